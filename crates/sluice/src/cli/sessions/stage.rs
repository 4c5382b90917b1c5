//! A channel's terminal, shown in the terminal of whoever looks.

use control::replay::{Event, Line};

use super::screen::Filter;

/// What leaves a terminal as it was found, on a line of its own at the bottom: colours, margins, characters, the cursor,
/// wrapping and the main screen.
pub(super) const LEAVE: &str = "\u{1b}[0m\u{1b}[r\u{1b}(B\u{1b}[?5;6l\u{1b}[?7;25h\u{1b}[?1049l\u{1b}[9999;1H\r\n";

/// Plays one channel of a session, as soon as that has a terminal.
pub(super) struct Stage {
    /// The one that was asked for; else the first that has a terminal.
    wanted: Option<u32>,
    /// The one that is played.
    playing: Option<(u32, Filter)>,
}

impl Stage {
    pub(super) const fn new(wanted: Option<u32>) -> Self {
        Self { wanted, playing: None }
    }

    /// What the terminal is sent for this line; `None` as long as nothing is played on it.
    pub(super) fn play(&mut self, line: &Line) -> Option<String> {
        let Some((playing, filter)) = &mut self.playing else { return self.begin(line) };
        let is_its = line.channel == Some(*playing);
        let shown = match &line.event {
            Event::Output(passed) | Event::ErrorOutput(passed) if is_its => filter.pass(&passed.data),
            Event::Exit { .. } if is_its => {
                self.playing = None;
                return Some(LEAVE.to_owned());
            }
            Event::End { .. } | Event::Cut { .. } | Event::Unreadable { .. } => {
                self.playing = None;
                // What it says is shown as any other line is.
                return None;
            }
            _ => String::new(),
        };
        Some(shown)
    }

    /// Whether the terminal has to be left before other lines are shown.
    pub(super) const fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    fn begin(&mut self, line: &Line) -> Option<String> {
        let (Event::Size { columns, rows }, Some(channel)) = (&line.event, line.channel) else { return None };
        if self.wanted.is_some_and(|wanted| wanted != channel) {
            return None;
        }
        self.playing = Some((channel, Filter::screen()));
        Some(format!("{}  channel {channel}: a terminal of {columns} columns and {rows} lines\r\n", line.at))
    }
}

#[cfg(test)]
mod tests {
    use control::replay::Passed;
    use model::time::Timestamp;

    use super::*;

    fn line(channel: u32, event: Event) -> Line {
        Line { at: Timestamp(1_795_406_400_000), channel: Some(channel), event }
    }

    fn output(text: &str) -> Event {
        Event::Output(Passed { data: text.into(), bytes: None })
    }

    const SIZE: Event = Event::Size { columns: 80, rows: 24 };
    const EXIT: Event = Event::Exit { exit_status: Some(0), signal: None, input: None, output: None };

    #[test]
    fn the_first_terminal_is_played_and_nothing_beside_it() {
        let mut stage = Stage::new(None);
        assert_eq!(stage.play(&line(1, output("before"))), None);
        let begins = "2026-11-23T04:00:00.000Z  channel 2: a terminal of 80 columns and 24 lines\r\n";
        assert_eq!(stage.play(&line(2, SIZE)).as_deref(), Some(begins));
        assert_eq!(stage.play(&line(1, output("other"))).as_deref(), Some(""));
        // RC-13: also here nothing but its screen is driven.
        let shown = "\u{1b}[31mred\u{1b}[6n\u{1b}]52;c;ZQ==\u{7}\u{1b}[";
        assert_eq!(stage.play(&line(2, output(shown))).as_deref(), Some("\u{1b}[31mred"));
        assert_eq!(stage.play(&line(2, output("2J"))).as_deref(), Some("\u{1b}[2J"));
        assert!(stage.is_playing());
        assert_eq!(stage.play(&line(2, EXIT)).as_deref(), Some(LEAVE));
        assert_eq!(stage.play(&line(1, output("after"))), None);
    }

    #[test]
    fn the_terminal_that_was_asked_for_is_played() {
        let mut stage = Stage::new(Some(3));
        assert_eq!(stage.play(&line(2, SIZE)), None);
        assert!(stage.play(&line(3, SIZE)).is_some());
        assert_eq!(stage.play(&Line { channel: None, ..line(0, Event::End { complete: false }) }), None);
    }
}
