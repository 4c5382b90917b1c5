//! A tape as what is seen on one screen, with its moments: what recordings for other tools are made of.

use control::replay::{Event, Line};
use model::time::Timestamp;

use super::replay::Player;
use super::screen::Filter;

/// How large a screen is taken to be where there was no terminal.
const SCREEN: (u16, u16) = (120, 40);
/// The largest screen, in columns and lines: whoever asked for a terminal said how large it is.
const LARGEST: (u16, u16) = (500, 200);

/// What is shown of a tape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scene {
    /// One channel, or all that passed, in words.
    pub(super) channel: Option<u32>,
    /// Whether the channel has a terminal.
    pub(super) has_terminal: bool,
    /// Its first size, in columns and lines.
    pub(super) size: (u16, u16),
    /// What the terminal calls itself, if that is a name.
    pub(super) terminal: Option<String>,
}

impl Scene {
    /// The channel that was asked for; else the first one that has a terminal, if any has.
    pub(super) fn find<E>(wanted: Option<u32>, lines: impl Iterator<Item = Result<Line, E>>) -> Result<Self, E> {
        let mut terminals = std::collections::BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some(channel) = line.channel.filter(|channel| wanted.is_none_or(|wanted| wanted == *channel)) else {
                continue;
            };
            match line.event {
                Event::Request { statement, .. } => {
                    if let Some(name) = statement.strip_prefix("pty ").filter(|name| is_name(name)) {
                        terminals.insert(channel, name.to_owned());
                    }
                }
                Event::Size { columns, rows } => {
                    let terminal = terminals.remove(&channel);
                    return Ok(Self { channel: Some(channel), has_terminal: true, size: fit(columns, rows), terminal });
                }
                _ => {}
            }
        }
        Ok(Self { channel: wanted, has_terminal: false, size: SCREEN, terminal: None })
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

fn fit(columns: u32, rows: u32) -> (u16, u16) {
    let within = |number: u32, most: u16| u16::try_from(number).unwrap_or(most).clamp(1, most);
    (within(columns, LARGEST.0), within(rows, LARGEST.1))
}

/// Something on a screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shot {
    /// It showed this: text and what concerns the screen, and nothing else ([`Filter::screen`]).
    Shown(String),
    /// The caller wrote this.
    Written(String),
    /// It has this size from here on, in columns and lines.
    Size(u16, u16),
    /// A request: where one may want to look.
    Request(String),
}

/// Makes shots of the lines of a tape.
pub(super) struct Reel {
    scene: Scene,
    began: Option<Timestamp>,
    /// When the last shot was, in milliseconds.
    last: u64,
    filter: Filter,
    player: Player,
}

impl Reel {
    pub(super) fn new(scene: Scene) -> Self {
        Self { scene, began: None, last: 0, filter: Filter::screen(), player: Player::default() }
    }

    /// When the first line came that is shown.
    pub(super) const fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// What is seen at this line, and how many milliseconds after the first that is. Time never goes back.
    pub(super) fn shots(&mut self, line: Line) -> (u64, Vec<Shot>) {
        // What concerns the whole session is a part of what has begun.
        let is_beside = line.channel.is_some() || self.began.is_none();
        if self.scene.channel.is_some() && line.channel != self.scene.channel && is_beside {
            return (self.last, Vec::new());
        }
        let began = *self.began.get_or_insert(line.at);
        self.last = self.last.max(line.at.0.saturating_sub(began.0));
        let shots = if self.scene.channel.is_some() { self.of_channel(line) } else { self.in_words(line) };
        (self.last, shots)
    }

    /// All that passed, as `sluice sessions replay` writes it down.
    fn in_words(&mut self, line: Line) -> Vec<Shot> {
        let request = match &line.event {
            Event::Request { statement, .. } => Some(Shot::Request(statement.clone())),
            _ => None,
        };
        request.into_iter().chain(self.words(line)).collect()
    }

    fn words(&mut self, line: Line) -> Option<Shot> {
        let shown = self.player.play(line).replace('\n', "\r\n");
        (!shown.is_empty()).then_some(Shot::Shown(shown))
    }

    fn of_channel(&mut self, line: Line) -> Vec<Shot> {
        let shot = match line.event {
            Event::Request { statement, .. } => Some(Shot::Request(statement)),
            Event::Output(passed) | Event::ErrorOutput(passed) => {
                let shown = self.filter.pass(&passed.data);
                // Where there is no terminal, nobody has put the cursor at the beginning of a line yet.
                let shown = if self.scene.has_terminal { shown } else { shown.replace('\n', "\r\n") };
                (!shown.is_empty()).then_some(Shot::Shown(shown))
            }
            Event::Input(passed) => Some(Shot::Written(passed.data)),
            Event::Size { columns, rows } => {
                let (columns, rows) = fit(columns, rows);
                Some(Shot::Size(columns, rows))
            }
            Event::Cut { .. } | Event::Unreadable { .. } => self.words(line),
            _ => None,
        };
        shot.into_iter().collect()
    }
}
