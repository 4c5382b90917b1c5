//! A tape for people: requests with their moments, answers as tables.

use control::replay::{Event, Line, Report};

use crate::cli::show;

/// Rows that are gathered before they are shown: widths are of a piece, memory is bounded.
const GATHERED: usize = 500;

/// Shows a tape piece by piece.
#[derive(Default)]
pub(super) struct Player {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Player {
    /// What there is to show after this line.
    pub(super) fn play(&mut self, line: Line) -> String {
        let at = line.at;
        match line.event {
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
                let before = self.flush();
                format!("{before}{}", plain(at, other))
            }
        }
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

fn plain(at: model::time::Timestamp, event: Event) -> String {
    match event {
        Event::Request { request, statement, values } => {
            let values = values.iter().enumerate();
            let values = values.map(|(at, value)| format!("    ${} = {}\n", at.saturating_add(1), show::safe(value)));
            format!(
                "\n{at}  request {}\n{}{}",
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
        Event::Columns { .. } | Event::Row { .. } | Event::Complete { .. } => String::new(),
    }
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
    use model::time::Timestamp;

    use super::*;

    fn line(event: Event) -> Line {
        Line { at: Timestamp(1_795_406_400_000), event }
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
