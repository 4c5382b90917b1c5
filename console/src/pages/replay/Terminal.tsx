// A terminal as it was seen: emulated by xterm, shown as text of ours, so that it can be read, searched and copied, and
// nothing writes styles into the page.
import { type IBufferCell, Terminal as Emulator } from '@xterm/headless';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { TapeLine } from '../../api/client';
import { bytesOf, channels, unstyled } from '../../lib/replay';
import { covered } from '../../lib/text';
import { clock, span } from '../../lib/time';
import { Visible } from '../../ui/parts';

/** Longer pauses than this are cut short when it plays. */
const LONGEST_PAUSE = 2000;

interface Run {
  text: string;
  style: Record<string, string>;
}

export function Terminal({ lines, at, isLive }: { lines: TapeLine[]; at: number | undefined; isLive: boolean }) {
  const all = useMemo(() => channels(lines), [lines]);
  const [chosen, setChosen] = useState<number>();
  const channel = chosen ?? all[0];
  const events = useMemo(() => lines.filter((line) => (line.kind === 'output' || line.kind === 'size') && line.channel === channel), [lines, channel]);
  const begin = events[0]?.at ?? 0;
  const end = events.at(-1)?.at ?? begin;
  const [position, setPosition] = useState<number>();
  const now = position ?? (isLive ? end : Math.min(end, Math.max(begin, at ?? end)));
  const [speed, setSpeed] = useState(0);
  const screen = useScreen(events, now);

  useEffect(() => {
    if (speed === 0) return;
    const next = events.find((event) => event.at > now);
    if (!next) {
      setSpeed(0);
      return;
    }
    const timer = setTimeout(() => setPosition(next.at), Math.min(next.at - now, LONGEST_PAUSE) / speed);
    return () => clearTimeout(timer);
  }, [speed, now, events]);

  const [needle, setNeedle] = useState('');
  const hits = useMemo(() => {
    const wanted = needle.toLowerCase();
    if (!wanted) return [];
    // A line may be split over pieces: what came shortly before belongs to it.
    let before = '';
    const found: { at: number; text: string }[] = [];
    for (const event of events) {
      if (event.kind !== 'output') continue;
      const text = before + unstyled(event.data);
      const where = text.toLowerCase().lastIndexOf(wanted);
      if (where >= 0) {
        found.push({ at: event.at, text: text.slice(Math.max(0, where - 30), where + wanted.length + 30) });
        before = '';
      } else {
        before = text.slice(-wanted.length);
      }
      if (found.length === 200) break;
    }
    return found;
  }, [events, needle]);

  return (
    <section className="terminal" aria-label="Terminal">
      <div className="filters">
        {all.length > 1 && (
          <label className="field">
            <span>Channel</span>
            <select value={channel} onChange={(event) => { setChosen(Number(event.target.value)); setPosition(undefined); }}>
              {all.map((number) => (
                <option key={number}>{number}</option>
              ))}
            </select>
          </label>
        )}
        <button type="button" onClick={() => { if (speed === 0 && now >= end) setPosition(begin); setSpeed(speed === 0 ? 1 : 0); }}>
          {speed === 0 ? 'Play' : 'Pause'}
        </button>
        <label className="field">
          <span>Speed</span>
          <select value={speed || 1} onChange={(event) => setSpeed(Number(event.target.value))}>
            {[1, 2, 4, 16].map((number) => (
              <option key={number} value={number}>
                {number}×
              </option>
            ))}
          </select>
        </label>
        <label className="field wide">
          <span>
            {clock(now)}, {span(now - begin)} of {span(end - begin)}
          </span>
          <input
            type="range"
            min={begin}
            max={Math.max(end, begin + 1)}
            value={now}
            aria-valuetext={clock(now)}
            onChange={(event) => { setSpeed(0); setPosition(Number(event.target.value)); }}
          />
        </label>
        <label className="field">
          <span>Search</span>
          <input type="search" value={needle} onChange={(event) => setNeedle(event.target.value)} />
        </label>
      </div>
      {needle && (
        <ul className="hits" aria-label="Where it is">
          {hits.length === 0 && <li className="quiet">Not on this screen at any time.</li>}
          {hits.map((hit, index) => (
            <li key={index}>
              <button type="button" className="link" onClick={() => { setSpeed(0); setPosition(hit.at); }}>
                {clock(hit.at)} <Visible text={hit.text} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <pre className="screen" tabIndex={0} role="img" aria-label={`The screen at ${clock(now)}: ${screen.map((line) => line.map((run) => run.text).join('')).join(' ').replace(/\s+/g, ' ').trim().slice(0, 2000)}`}>
        {screen.map((line, row) => (
          <div key={row}>
            {line.map((run, index) => (
              <span key={index} style={run.style}>
                {run.text}
              </span>
            ))}
            {'\n'}
          </div>
        ))}
      </pre>
    </section>
  );
}

/** The screen at a moment. Going on feeds what is new; going back begins anew. */
function useScreen(events: TapeLine[], now: number): Run[][] {
  const [screen, setScreen] = useState<Run[][]>([]);
  const kept = useRef<{ emulator: Emulator; events: TapeLine[]; fed: number; at: number }>(undefined);
  useEffect(() => {
    let isOver = false;
    let one = kept.current;
    const goesOn = one && now >= one.at && one.events[0] === events[0];
    if (!one || !goesOn) {
      one?.emulator.dispose();
      one = { emulator: new Emulator({ cols: 80, rows: 24, scrollback: 0, allowProposedApi: true }), events, fed: 0, at: now };
      kept.current = one;
    }
    one.events = events;
    one.at = now;
    for (let event = events[one.fed]; event && event.at <= now; event = events[one.fed]) {
      if (event.kind === 'size') one.emulator.resize(bound(event.columns, 500), bound(event.rows, 300));
      else if (event.kind === 'output') one.emulator.write(bytesOf(event));
      one.fed += 1;
    }
    one.emulator.write('', () => {
      if (!isOver && kept.current) setScreen(drawn(kept.current.emulator));
    });
    return () => {
      isOver = true;
    };
  }, [events, now]);
  useEffect(() => () => { kept.current?.emulator.dispose(); kept.current = undefined; }, []);
  return screen;
}

const bound = (number: number, most: number) => Math.min(most, Math.max(1, number));

/** The lines of the screen as runs of one style. */
function drawn(emulator: Emulator): Run[][] {
  const buffer = emulator.buffer.active;
  const lines: Run[][] = [];
  let cell: IBufferCell | undefined;
  for (let row = 0; row < emulator.rows; row += 1) {
    const line = buffer.getLine(buffer.baseY + row);
    const runs: Run[] = [];
    for (let column = 0; line && column < emulator.cols; column += 1) {
      cell = line.getCell(column, cell);
      if (!cell || cell.getWidth() === 0) continue;
      const style = styleOf(cell);
      const last = runs.at(-1);
      const text = covered(cell.getChars()) || ' ';
      if (last && JSON.stringify(last.style) === JSON.stringify(style)) last.text += text;
      else runs.push({ text, style });
    }
    lines.push(runs);
  }
  return lines;
}

const BASE = ['#1c1c1c', '#e5534b', '#57ab5a', '#c69026', '#6cb6ff', '#dcbdfb', '#56d4dd', '#cdd9e5', '#768390', '#ff938a', '#6bc46d', '#daaa3f', '#96d0ff', '#eedcff', '#76e3ea', '#ffffff'];

function colour(number: number): string {
  if (number < 16) return BASE[number] ?? '';
  if (number >= 232) return `rgb(${Array(3).fill(8 + (number - 232) * 10).join(',')})`;
  const level = (part: number) => (part === 0 ? 0 : 55 + part * 40);
  const cube = number - 16;
  return `rgb(${level(Math.floor(cube / 36))},${level(Math.floor(cube / 6) % 6)},${level(cube % 6)})`;
}

function styleOf(cell: IBufferCell): Record<string, string> {
  const of = (isRgb: boolean, isPalette: boolean, value: number) =>
    isRgb ? `#${value.toString(16).padStart(6, '0')}` : isPalette ? colour(value) : undefined;
  let fore = of(cell.isFgRGB(), cell.isFgPalette(), cell.getFgColor());
  let back = of(cell.isBgRGB(), cell.isBgPalette(), cell.getBgColor());
  if (cell.isInverse()) [fore, back] = [back ?? '#0d1117', fore ?? '#cdd9e5'];
  const style: Record<string, string> = {};
  if (fore) style['color'] = fore;
  if (back) style['backgroundColor'] = back;
  if (cell.isBold()) style['fontWeight'] = 'bold';
  if (cell.isItalic()) style['fontStyle'] = 'italic';
  if (cell.isUnderline()) style['textDecoration'] = 'underline';
  if (cell.isInvisible()) style['visibility'] = 'hidden';
  return style;
}
