"use strict";
// Everything of the tape is put in as text, never as markup.
const tape = JSON.parse(document.getElementById("tape").textContent);
const frames = tape.frames;
const end = frames.length ? frames[frames.length - 1].at : 0;
const LONG_PAUSE = 2000;
const SPEEDS = [0.5, 1, 2, 4, 16];

const element = (name, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const clock = (millis) => {
  const seconds = Math.floor(millis / 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
};

const screen = element("pre", { id: "screen", tabIndex: 0 });
screen.setAttribute("role", "img");
screen.setAttribute("aria-label", "The recorded screen");
const cursor = element("span", { className: "cursor", textContent: " " });
const play = element("button", { type: "button", textContent: "Play" });
const speed = element("select", { title: "Speed" }, SPEEDS.map((factor) => new Option(`${factor}×`, factor, factor === 1, factor === 1)));
const seek = element("input", { type: "range", min: 0, max: Math.max(end, 1), value: 0, step: 1, title: "Seek" });
const skips = element("input", { type: "checkbox", checked: true });
const time = element("output", { id: "time" });
const requests = element("ol", { id: "requests" });
const marks = tape.requests.map((request) => {
  const mark = element("button", { type: "button", textContent: `${clock(request.at)}  ${request.text}` });
  mark.addEventListener("click", () => go(request.at));
  requests.append(element("li", {}, [mark]));
  return { at: request.at, mark };
});
const bar = element("div", { id: "bar" }, [play, speed, seek, time, element("label", {}, [skips, " skip pauses"])]);
const heading = element("h1", { textContent: tape.began ? `${tape.title}, ${tape.began}` : tape.title });
document.body.append(heading, element("main", {}, [element("div", {}, [screen, bar]), requests]));

let lines = [];
let shown = -1;
let now = 0;
let playing = null;

const span = ([text, number]) => {
  const made = element("span", { textContent: text });
  let [colour, ground, how] = tape.styles[number];
  if (how & 16) [colour, ground] = [ground || "#000000", colour || "#d0d0d0"];
  if (colour) made.style.color = colour;
  if (ground) made.style.background = ground;
  if (how & 1) made.style.fontWeight = "bold";
  if (how & 2) made.style.opacity = "0.6";
  if (how & 4) made.style.fontStyle = "italic";
  if (how & 8) made.style.textDecoration = "underline";
  return made;
};

const apply = (frame) => {
  if (frame.key) {
    lines = Array.from({ length: frame.key[1] }, () => element("div"));
    screen.replaceChildren(...lines, cursor);
    screen.style.width = `${frame.key[0]}ch`;
  }
  for (const [number, runs] of frame.rows) lines[number].replaceChildren(...runs.map(span));
};

// The last frame at or before a moment; -1 before the first.
const frameAt = (moment) => {
  let [from, to] = [0, frames.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (frames[middle].at <= moment) from = middle + 1;
    else to = middle;
  }
  return from - 1;
};

const draw = () => {
  const wanted = frameAt(now);
  if (wanted < 0) {
    screen.replaceChildren();
    shown = -1;
  } else if (wanted !== shown) {
    let from = wanted;
    while (from > 0 && !frames[from].key && from !== shown + 1) from -= 1;
    for (; from <= wanted; from += 1) apply(frames[from]);
    shown = wanted;
    const at = frames[wanted].cursor;
    cursor.hidden = !at;
    if (at) {
      cursor.style.left = `calc(.5rem + ${at[1]}ch)`;
      cursor.style.top = `calc(.5rem + ${at[0]} * 1.25em)`;
    }
  }
  seek.value = now;
  time.textContent = `${clock(now)} / ${clock(end)}`;
  for (const { at, mark } of marks) mark.className = at <= now ? "past" : "";
};

const go = (moment) => {
  now = Math.min(Math.max(moment, 0), end);
  draw();
};

const pause = () => {
  if (playing) cancelAnimationFrame(playing.request);
  playing = null;
  play.textContent = "Play";
};

const step = (moment) => {
  now += (moment - playing.last) * Number(speed.value);
  const next = frames[frameAt(now) + 1];
  if (skips.checked && next && next.at - now > LONG_PAUSE) now = next.at - LONG_PAUSE;
  go(now);
  if (now >= end) return pause();
  playing = { last: moment, request: requestAnimationFrame(step) };
};

const start = () => {
  if (now >= end) now = 0;
  play.textContent = "Pause";
  playing = { last: performance.now(), request: requestAnimationFrame(step) };
};

play.addEventListener("click", () => (playing ? pause() : start()));
seek.addEventListener("input", () => go(Number(seek.value)));
document.addEventListener("keydown", (event) => {
  if (event.target.closest("button, select, input")) return;
  if (event.key === " ") play.click();
  else if (event.key === "ArrowLeft") go(now - 5000);
  else if (event.key === "ArrowRight") go(now + 5000);
  else return;
  event.preventDefault();
});
draw();
