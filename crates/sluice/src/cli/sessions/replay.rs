//! A tape for people: requests with their moments, answers as tables.

use std::collections::{BTreeMap, BTreeSet};

use control::replay::{Digested, Event, Field, Line, Passed, Report};

use model::time::Timestamp;

use super::streams::{Lane, Streams};
use crate::cli::show;

/// Rows that are gathered before they are shown: widths are of a piece, memory is bounded.
const GATHERED: usize = 500;

/// Shows a tape piece by piece.
#[derive(Default)]
pub(super) struct Player {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    streams: Streams,
    /// Whether what was written in a terminal is shown too: most of it is seen on the screen, and passwords are not.
    with_input: bool,
    terminals: BTreeSet<Option<u32>>,
    /// How much of a message follows, which is shown as soon as all of it is there.
    messages: BTreeMap<(Option<u32>, Lane), u64>,
}

impl Player {
    /// One that shows what was written in terminals, too, if that is wanted.
    pub(super) fn new(with_input: bool) -> Self {
        Self { with_input, ..Self::default() }
    }

    /// What there is to show after this line.
    pub(super) fn play(&mut self, line: Line) -> String {
        let (at, channel) = (line.at, line.channel);
        match line.event {
            Event::Input(_) if !self.with_input && self.terminals.contains(&channel) => String::new(),
            Event::Input(passed) => self.pass(channel, Lane::Input, &passed),
            Event::Output(passed) => self.pass(channel, Lane::Output, &passed),
            Event::ErrorOutput(passed) => self.streams.pass(channel, Lane::Error, &passed.data),
            Event::Row { values } => {
                let shown = values.into_iter().map(|value| value.unwrap_or_else(|| String::from("NULL")));
                self.rows.push(shown.collect());
                if self.rows.len() >= GATHERED { self.flush() } else { String::new() }
            }
            Event::Columns { names } => {
                let before = self.flush();
                self.names = names;
                before
            }
            Event::Complete { tag } => {
                // An answer without rows still shows its headings.
                let rows = if self.rows.is_empty() { self.headings() } else { self.flush() };
                self.names.clear();
                format!("{rows}  {}\n", show::safe(&tag))
            }
            other => {
                match &other {
                    Event::Size { .. } => drop(self.terminals.insert(channel)),
                    Event::Message { to, taped, .. } => {
                        let lane = if to == "target" { Lane::Input } else { Lane::Output };
                        self.messages.insert((channel, lane), *taped);
                    }
                    _ => {}
                }
                let (rows, streams) = (self.flush(), self.streams.before(channel));
                format!("{rows}{streams}{}", plain(at, channel, other))
            }
        }
    }

    fn pass(&mut self, channel: Option<u32>, lane: Lane, passed: &Passed) -> String {
        let mut shown = self.streams.pass(channel, lane, &passed.data);
        if let Some(left) = self.messages.get_mut(&(channel, lane)) {
            *left = left.saturating_sub(u64::try_from(passed.length()).unwrap_or(u64::MAX));
            if *left == 0 {
                shown.push_str(&self.streams.before(channel));
            }
        }
        shown
    }

    fn headings(&self) -> String {
        if self.names.is_empty() { String::new() } else { self.table() }
    }

    fn flush(&mut self) -> String {
        let shown = if self.rows.is_empty() { String::new() } else { self.table() };
        self.rows.clear();
        shown
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(Vec::len).max().unwrap_or(0).max(self.names.len());
        let number = |at: usize| format!("column {}", at.saturating_add(1));
        let names: Vec<String> =
            (0..width).map(|at| self.names.get(at).map_or_else(|| number(at), |name| show::safe(name))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        show::table(&names, &self.rows).lines().map(|line| format!("    {line}\n")).collect()
    }
}

fn plain(at: Timestamp, channel: Option<u32>, event: Event) -> String {
    let on = channel.map(|channel| format!(" on channel {channel}")).unwrap_or_default();
    match event {
        Event::Request { request, statement, values } => {
            let values = values.iter().enumerate();
            let values = values.map(|(at, value)| format!("    ${} = {}\n", at.saturating_add(1), show::safe(value)));
            format!(
                "\n{at}  request {}{on}\n{}{}",
                show::safe(&request),
                show::quoted(&statement),
                values.collect::<String>()
            )
        }
        Event::Copy { data } => data.lines().map(|line| format!("    {}\n", show::safe(line))).collect(),
        Event::Error(report) | Event::Notice(report) => reported(&report),
        Event::Notification { channel, payload } => {
            format!("{at}  NOTIFY {}: {}\n", show::safe(&channel), show::safe(&payload))
        }
        Event::Setting { name, value } => format!("  {} is {}\n", show::safe(&name), show::safe(&value)),
        Event::Cut { reason } => format!("{at}  [left out of the tape: {}]\n", show::safe(&reason)),
        Event::Unreadable { reason } => format!("{at}  [cannot be read: {}]\n", show::safe(&reason)),
        Event::End { complete: true } => format!("\n{at}  end of the session\n"),
        Event::End { complete: false } => {
            format!("\n{at}  the tape ends here: the session still runs, or was cut off\n")
        }
        Event::Size { columns, rows } => format!("{at}  terminal{on}: {columns} columns, {rows} lines\n"),
        Event::Exit { exit_status, signal, input, output } => {
            let status = exit_status.map(|status| format!("exit status {status}"));
            let signal = signal.map(|signal| format!("signal {}", show::safe(&signal)));
            let carried = [carried("given", input.as_ref()), carried("gave", output.as_ref())].concat();
            format!("{at}  end{on}: {}\n{carried}", status.or(signal).unwrap_or_else(|| String::from("closed")))
        }
        Event::Asked { method, path, fields: given } => {
            format!("  {} {}\n{}", show::safe(&method), show::safe(&path), fields(&given))
        }
        Event::Answered { status, fields: given } => format!("{at}  answer{on}: {status}\n{}", fields(&given)),
        Event::Trailers { fields: given } => fields(&given),
        Event::Message { to, opcode, bytes, taped } => {
            let what = match opcode {
                1 => "text",
                2 => "bytes",
                8 => "end",
                _ => "message",
            };
            let left = bytes.saturating_sub(taped);
            let left = if left > 0 { format!(", {left} of them not on the tape") } else { String::new() };
            format!("{at}  {what}{on} to the {}: {bytes} bytes{left}\n", show::safe(&to))
        }
        Event::Exchanged { status, error, millis, input, output } => {
            let carried = [carried("given", input.as_ref()), carried("gave", output.as_ref())].concat();
            let status = status.map_or_else(|| String::from("no answer"), |status| status.to_string());
            let error = error.map(|error| format!(" ({})", show::safe(&error))).unwrap_or_default();
            format!("{at}  end{on}: {status}{error} after {millis} ms\n{carried}")
        }
        Event::File { request, read, written } => {
            let carried = [carried("read", read.as_ref()), carried("written", written.as_ref())].concat();
            format!("{at}  closed{on}: what request {} opened\n{carried}", show::safe(&request))
        }
        Event::Columns { .. }
        | Event::Row { .. }
        | Event::Complete { .. }
        | Event::Input(_)
        | Event::Output(_)
        | Event::ErrorOutput(_) => String::new(),
    }
}

fn fields(given: &[Field]) -> String {
    given.iter().map(|field| format!("    {}: {}\n", show::safe(&field.name), show::safe(&field.value))).collect()
}

/// What is not on the tape, and can be told by its digest.
fn carried(how: &str, what: Option<&Digested>) -> String {
    let Some(Digested { bytes, sha256 }) = what else { return String::new() };
    let sha256 = sha256.as_ref().map(|sha256| format!(", SHA-256 {}", show::safe(sha256)));
    format!("    {how} {bytes} bytes{}\n", sha256.unwrap_or_default())
}

fn reported(report: &Report) -> String {
    let mut out = format!(
        "  {} {}: {}\n",
        show::safe(&report.severity),
        show::safe(&report.sqlstate),
        show::safe(&report.message)
    );
    for (name, text) in [("DETAIL", &report.detail), ("HINT", &report.hint)] {
        if let Some(text) = text {
            out.push_str(&format!("  {name}: {}\n", show::safe(text)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use control::replay::Passed;

    use super::*;

    fn line(event: Event) -> Line {
        Line { at: Timestamp(1_795_406_400_000), channel: None, event }
    }

    #[test]
    fn an_answer_is_a_table() {
        let mut player = Player::default();
        let events = [
            Event::Request { request: "s.1".into(), statement: "SELECT *\nFROM cards".into(), values: vec![] },
            Event::Columns { names: vec!["id".into(), "number".into()] },
            Event::Row { values: vec![Some("1".into()), Some("************1234".into())] },
            Event::Row { values: vec![Some("2".into()), None] },
            Event::Complete { tag: "SELECT 2".into() },
            Event::End { complete: true },
        ];
        let shown: String = events.into_iter().map(|event| player.play(line(event))).collect();
        let expected = "
2026-11-23T04:00:00.000Z  request s.1
  | SELECT *
  | FROM cards
    id  number
    1   ************1234
    2   NULL
  SELECT 2

2026-11-23T04:00:00.000Z  end of the session
";
        assert_eq!(shown, expected);
    }

    fn passed(text: &str) -> Passed {
        Passed { data: text.into(), bytes: None }
    }

    fn digested(sha256: &str) -> Option<Digested> {
        Some(Digested { bytes: 3, sha256: Some(sha256.into()) })
    }

    /// Golden: two channels at once, and files.
    #[test]
    fn channels_are_told_apart() {
        let on = |channel, event| Line { channel: Some(channel), ..line(event) };
        let request = |request: &str, statement: &str| Event::Request {
            request: request.into(),
            statement: statement.into(),
            values: vec![],
        };
        let lines = [
            on(1, request("s.1", "pty xterm")),
            on(1, request("s.2", "shell")),
            on(1, Event::Size { columns: 80, rows: 24 }),
            on(1, Event::Output(passed("\u{1b}[1m$ \u{1b}[0m"))),
            on(1, Event::Input(passed("l"))),
            on(1, Event::Output(passed("l"))),
            on(2, request("s.3", "exec ls -l /nowhere")),
            on(2, Event::ErrorOutput(passed("ls: no such file\n"))),
            on(1, Event::Input(passed("s\r"))),
            on(1, Event::Output(passed("s\r\nfile\u{1b}]0;x\u{7}\r\n$ "))),
            on(2, Event::Exit { exit_status: Some(2), signal: None, input: None, output: None }),
            on(3, Event::File { request: "s.4".into(), read: digested("ab"), written: None }),
            on(1, Event::Exit { exit_status: None, signal: Some("HUP".into()), input: None, output: None }),
            line(Event::End { complete: true }),
        ];
        let shown = |mut player: Player| lines.iter().cloned().map(|line| player.play(line)).collect::<String>();
        let expected = "
2026-11-23T04:00:00.000Z  request s.1 on channel 1
  | pty xterm

2026-11-23T04:00:00.000Z  request s.2 on channel 1
  | shell
2026-11-23T04:00:00.000Z  terminal on channel 1: 80 columns, 24 lines

2026-11-23T04:00:00.000Z  request s.3 on channel 2
  | exec ls -l /nowhere
  ! ls: no such file
  channel 1:
  < ls
    $ ls
    file
2026-11-23T04:00:00.000Z  end on channel 2: exit status 2
2026-11-23T04:00:00.000Z  closed on channel 3: what request s.4 opened
    read 3 bytes, SHA-256 ab
  channel 1:
    $ 
2026-11-23T04:00:00.000Z  end on channel 1: signal HUP

2026-11-23T04:00:00.000Z  end of the session
";
        assert_eq!(shown(Player::new(true)), expected);
        assert_eq!(shown(Player::default()), expected.replace("  < ls\n", ""), "most of it is seen on the screen");
    }

    /// RC-13: nothing on a tape drives the terminal that it is played on.
    #[test]
    fn rc_13_hostile_content_is_escaped() {
        let hostile = "\u{1b}]52;c;ZWNobw==\u{7}\u{1b}[2J\u{9b}31m\r\u{202e}";
        let report = || Report {
            severity: hostile.into(),
            sqlstate: hostile.into(),
            message: hostile.into(),
            detail: Some(hostile.into()),
            hint: Some(hostile.into()),
        };
        let events = [
            Event::Request { request: hostile.into(), statement: hostile.into(), values: vec![hostile.into()] },
            Event::Columns { names: vec![hostile.into()] },
            Event::Row { values: vec![Some(hostile.into())] },
            Event::Complete { tag: hostile.into() },
            Event::Copy { data: hostile.into() },
            Event::Error(report()),
            Event::Notice(report()),
            Event::Notification { channel: hostile.into(), payload: hostile.into() },
            Event::Setting { name: hostile.into(), value: hostile.into() },
            Event::Cut { reason: hostile.into() },
            Event::Unreadable { reason: hostile.into() },
            Event::Input(passed(hostile)),
            Event::Output(passed(hostile)),
            Event::ErrorOutput(passed(hostile)),
            Event::File { request: hostile.into(), read: digested(hostile), written: digested(hostile) },
            Event::Exit {
                exit_status: None,
                signal: Some(hostile.into()),
                input: digested(hostile),
                output: digested(hostile),
            },
            Event::End { complete: true },
        ];
        let mut player = Player::default();
        let shown: String = events.into_iter().map(|event| player.play(line(event))).collect();
        assert!(shown.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')), "{shown:?}");
    }

    #[test]
    fn many_rows_are_shown_in_pieces() {
        let mut player = Player::default();
        let mut most = 0;
        for _ in 0..10_000 {
            player.play(line(Event::Row { values: vec![Some("x".into())] }));
            most = most.max(player.rows.len());
        }
        assert!(most <= GATHERED);
    }
}
