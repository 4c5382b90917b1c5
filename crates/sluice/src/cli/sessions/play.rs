//! `sluice sessions replay` and `watch`: what passed, or passes, as the caller saw it.

use std::io::IsTerminal;
use std::time::Duration;

use control::replay::{Event, Line};
use model::time::Timestamp;

use super::stage::{LEAVE, Stage};
use super::unprocessed::Unprocessed;
use super::{At, OneArgs, grep, heading, pace, part, replay};
use crate::cli::failure::Failure;
use crate::cli::{put, put_line, time};

/// Which one, and what of it
#[derive(clap::Args)]
pub(in crate::cli) struct ReplayArgs {
    #[command(flatten)]
    one: OneArgs,
    /// From there on: 10m after the beginning, or 2026-11-23T02:00:00Z
    #[arg(long, value_name = "TIME", value_parser = At::parse)]
    at: Option<At>,
    #[command(flatten)]
    what: What,
    /// At the pace at which it was recorded (1), or so many times as fast; at once unless given. What was shown on a
    /// terminal is played in yours
    #[arg(long, value_name = "FACTOR", value_parser = pace::speed)]
    speed: Option<f64>,
    /// With --speed, wait at most so long between two lines
    #[arg(long, value_name = "TIME", value_parser = time::duration, requires = "speed")]
    idle_limit: Option<Duration>,
}

/// Which one, and what of it
#[derive(clap::Args)]
pub(in crate::cli) struct WatchArgs {
    #[command(flatten)]
    one: OneArgs,
    #[command(flatten)]
    what: What,
    /// Observe it: what policy lets run only while somebody observes, goes on for as long as you watch
    #[arg(long)]
    moderate: bool,
}

/// What of a session is shown
#[derive(clap::Args)]
struct What {
    /// Only what passed on this channel of an SSH session
    #[arg(long, value_name = "NUMBER")]
    channel: Option<u32>,
    /// Only requests with this text, and what of answers has it, whatever the case of its letters
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// What the caller wrote in a terminal as well: also what no screen showed, such as passwords
    #[arg(long)]
    with_input: bool,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let ReplayArgs { one, at, what, speed, idle_limit } = args;
    let client = one.connect.client()?;
    let opened = begin(one)?;
    let since = at.map(|at| format!("?since={}", at.moment(opened))).unwrap_or_default();
    let path = format!("/v1/sessions/{}/tape{since}", one.id);
    let mut shown = Shown::new(one, what, speed.is_some());
    let Some(speed) = *speed else {
        return client.lines(&path, |line| shown.line(super::parse(line)?, |_| ()));
    };
    let spooled = |error: std::io::Error| Failure::failed(format!("the tape cannot be kept meanwhile: {error}"));
    let mut spool = pace::Spool::new().map_err(spooled)?;
    client.lines(&path, |line| spool.put(line).map_err(spooled))?;
    let _unprocessed = shown.stage.is_some().then(Unprocessed::begin);
    let mut pace = pace::Pace::new(speed, *idle_limit);
    for line in spool.lines().map_err(spooled)? {
        shown.line(super::parse(&line.map_err(spooled)?)?, |at| std::thread::sleep(pace.wait(at)))?;
    }
    Ok(())
}

pub(super) fn watch(args: &WatchArgs) -> Result<(), Failure> {
    let WatchArgs { one, what, moderate } = args;
    let client = one.connect.client()?;
    begin(one)?;
    let how = if *moderate { "?moderate=true" } else { "" };
    if *moderate && !one.json {
        put_line(
            "You observe this session: what waits for an observer goes on for as long as you watch. Ctrl-C to leave.",
        )?;
    }
    let mut shown = Shown::new(one, what, true);
    let unprocessed = shown.stage.is_some().then(Unprocessed::begin);
    let followed = client.lines(&format!("/v1/sessions/{}/watch{how}", one.id), |line| match line {
        // It goes on, and nothing passed.
        "" => Ok(()),
        line => shown.line(super::parse(line)?, |_| ()),
    });
    shown.leave()?;
    drop(unprocessed);
    followed?;
    if shown.has_ended { Ok(()) } else { Err(Failure::failed("you may watch it no longer")) }
}

/// Says whose session it is; when it was opened.
fn begin(one: &OneArgs) -> Result<Option<Timestamp>, Failure> {
    let session = one.connect.client()?.get(&format!("/v1/sessions/{}", one.id), &[]).ok();
    if let (false, Some(session)) = (one.json, &session) {
        put(&heading(one.id, part(session)))?;
    }
    Ok(session.as_ref().and_then(|session| part(session).pointer("/opened_at")?.as_u64()).map(Timestamp))
}

/// Shows a tape line by line.
struct Shown {
    json: bool,
    channel: Option<u32>,
    grep: Option<grep::Greps>,
    player: replay::Player,
    stage: Option<Stage>,
    has_ended: bool,
}

impl Shown {
    /// `plays` says that terminals are played rather than written down, where there is one to play them in.
    fn new(one: &OneArgs, what: &What, plays: bool) -> Self {
        let plays = plays && !one.json && what.grep.is_none() && std::io::stdout().is_terminal();
        Self {
            json: one.json,
            channel: what.channel,
            grep: what.grep.as_deref().map(grep::Greps::new),
            player: replay::Player::new(what.with_input),
            stage: plays.then(|| Stage::new(what.channel)),
            has_ended: false,
        }
    }

    /// Shows what there is to show after this line, when `wait` returns.
    fn line(&mut self, line: Line, mut wait: impl FnMut(Timestamp)) -> Result<(), Failure> {
        self.has_ended |= matches!(line.event, Event::End { .. });
        if line.channel.is_some() && self.channel.is_some_and(|channel| line.channel != Some(channel)) {
            return Ok(());
        }
        let lines = match &mut self.grep {
            Some(grep) => grep.pass(line),
            None => vec![line],
        };
        for line in lines {
            wait(line.at);
            put(&self.text(line)?)?;
        }
        Ok(())
    }

    fn text(&mut self, line: Line) -> Result<String, Failure> {
        if self.json {
            return super::compact(&line);
        }
        let Some(stage) = &mut self.stage else { return Ok(self.player.play(line)) };
        let was_playing = stage.is_playing();
        if let Some(played) = stage.play(&line) {
            return Ok(played);
        }
        let left = if was_playing { LEAVE } else { "" };
        Ok(format!("{left}{}", self.player.play(line).replace('\n', "\r\n")))
    }

    /// Leaves the terminal as it was, if something is played on it.
    fn leave(&self) -> Result<(), Failure> {
        if self.stage.as_ref().is_some_and(Stage::is_playing) { put(LEAVE) } else { Ok(()) }
    }
}
