//! A session's tape, made readable.
//!
//! A tape holds the caller's requests as lines of JSON, and the very bytes that the caller got. [`Decoder`] turns both
//! into [`Event`]s. What it cannot read it names and goes on: a recording is evidence, and a part that is odd must not
//! hide the rest. Nothing here is escaped for a terminal; whoever shows it has to.

use std::path::Path;
use std::sync::Arc;

use ledger::Disk;
use ledger::tape::{KeyStore, Kind, TapeEnd, TapeReadError, TapeReader};
use model::id::SessionId;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

mod postgres;
mod value;

pub use postgres::Decoder;

/// One thing that passed, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// When, in milliseconds since the epoch.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What passed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The caller asked for this.
    Request {
        /// The request's id, as every refusal names it.
        request: String,
        /// The statement, classified constants masked.
        statement: String,
        /// Its parameters, as the record may show them.
        values: Vec<String>,
    },
    /// Rows with these columns follow.
    Columns {
        /// The labels.
        names: Vec<String>,
    },
    /// A row.
    Row {
        /// The values as text; absent for NULL.
        values: Vec<Option<String>>,
    },
    /// Data of a COPY.
    Copy {
        /// As text.
        data: String,
    },
    /// A statement is complete.
    Complete {
        /// Its command tag.
        tag: String,
    },
    /// A request failed.
    Error(Report),
    /// A note.
    Notice(Report),
    /// Somebody notified a channel.
    Notification {
        /// The channel.
        channel: String,
        /// What was said.
        payload: String,
    },
    /// A setting has a new value.
    Setting {
        /// Which.
        name: String,
        /// Its value.
        value: String,
    },
    /// Something was left out of the tape on purpose.
    Cut {
        /// What and why.
        reason: String,
    },
    /// Something on the tape cannot be read.
    Unreadable {
        /// Why, and how much.
        reason: String,
    },
    /// The end of the tape.
    End {
        /// Whether it was closed in order. If not, the session still runs, or its process died.
        complete: bool,
    },
}

/// An error or a note.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// `ERROR`, `FATAL`, `NOTICE`, …
    pub severity: String,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// What happened.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Why a tape cannot be played.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// There is none.
    Missing,
    /// It cannot be read.
    Unreadable(String),
}

/// A tape being played.
pub(crate) struct Tape {
    reader: TapeReader<'static>,
    decoder: Decoder,
    last: Timestamp,
    /// What came before is read, for what follows hangs on it, and left out.
    since: Timestamp,
    is_over: bool,
}

/// Opens the tape of a session. Blocks.
pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, session: SessionId, keys: &KeyStore) -> Result<Tape, OpenError> {
    match TapeReader::open_shared(disk, dir, session, Some(keys)) {
        Ok(reader) => Ok(Tape {
            last: reader.started(),
            reader,
            decoder: Decoder::default(),
            since: Timestamp(0),
            is_over: false,
        }),
        Err(TapeReadError::Disk(error)) if error.kind() == std::io::ErrorKind::NotFound => Err(OpenError::Missing),
        Err(error) => Err(OpenError::Unreadable(error.to_string())),
    }
}

impl Tape {
    /// The same from this moment on: read from the latest part that can be understood without those before it.
    pub(crate) fn since(mut self, since: Timestamp) -> Result<Self, OpenError> {
        self.reader.skip_towards(since).map_err(|error| OpenError::Unreadable(error.to_string()))?;
        Ok(Self { since, last: self.reader.started(), ..self })
    }

    /// What comes next; nothing after the end.
    pub(crate) fn next_lines(&mut self) -> Vec<Line> {
        while !self.is_over {
            let mut lines = self.step();
            lines.retain(|line| line.at >= self.since || matches!(line.event, Event::End { .. }));
            if !lines.is_empty() {
                return lines;
            }
        }
        Vec::new()
    }

    fn step(&mut self) -> Vec<Line> {
        match self.reader.next() {
            Ok(Some(record)) => {
                self.last = record.at;
                self.decoder.feed(record.kind, &record.content).into_iter().map(|event| self.line(event)).collect()
            }
            Ok(None) => {
                self.is_over = true;
                let complete = self.reader.end() == Some(TapeEnd::Complete);
                self.decoder
                    .finish()
                    .into_iter()
                    .chain([Event::End { complete }])
                    .map(|event| self.line(event))
                    .collect()
            }
            Err(error) => {
                self.is_over = true;
                vec![self.line(Event::Unreadable { reason: error.to_string() })]
            }
        }
    }

    const fn line(&self, event: Event) -> Line {
        Line { at: self.last, event }
    }
}

impl Decoder {
    /// Takes the content of a record.
    pub fn feed(&mut self, kind: Kind, content: &[u8]) -> Vec<Event> {
        match kind {
            Kind::FromClient => self.requests(content),
            Kind::ToClient => self.answers(content),
            Kind::Cut => vec![Event::Cut { reason: String::from_utf8_lossy(content).into_owned() }],
            Kind::End | Kind::Continued => Vec::new(),
        }
    }
}
