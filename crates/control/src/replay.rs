//! A session's tape, made readable.
//!
//! A tape holds the caller's requests as lines of JSON, and the very bytes that the caller got. [`Decoder`] turns both
//! into [`Event`]s, and [`Channels`] those of sessions with several channels. What it cannot read it names and goes on: a recording is evidence, and a part that is odd must not
//! hide the rest. Nothing here is escaped for a terminal; whoever shows it has to.

use std::path::Path;
use std::sync::Arc;

use ledger::Disk;
use ledger::tape::{KeyStore, Kind, Record, TapeEnd, TapeReadError, TapeReader};
use model::id::SessionId;
use model::time::Timestamp;
use serde::Deserialize;

mod event;
mod http;
mod postgres;
mod ssh;
mod value;

pub use event::{Digested, Event, Field, Line, Passed, Report};
pub use postgres::Decoder;
pub use ssh::Channels;

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
    channels: Channels,
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
            channels: Channels::default(),
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
        let lines = self.next_so_far();
        if !lines.is_empty() || self.is_over {
            return lines;
        }
        self.finish(false)
    }

    /// What comes next of a tape that is still written; nothing as long as there is no more, and after its end.
    pub(crate) fn next_so_far(&mut self) -> Vec<Line> {
        while !self.is_over {
            let lines = match self.reader.next() {
                Ok(Some(record)) => self.lines(&record),
                Ok(None) if self.reader.end() == Some(TapeEnd::Complete) => self.finish(true),
                Ok(None) => return Vec::new(),
                Err(error) => {
                    self.is_over = true;
                    vec![self.line(None, Event::Unreadable { reason: error.to_string() })]
                }
            };
            if !lines.is_empty() {
                return lines;
            }
        }
        Vec::new()
    }

    /// Whether its end was given out.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_over
    }

    fn lines(&mut self, record: &Record) -> Vec<Line> {
        self.last = record.at;
        let (channel, events) = match record.kind {
            Kind::FromClientOn | Kind::ToClientOn => self.channels.feed(&record.content),
            kind => (None, self.decoder.feed(kind, &record.content)),
        };
        if record.at < self.since {
            return Vec::new();
        }
        events.into_iter().map(|event| self.line(channel, event)).collect()
    }

    fn finish(&mut self, complete: bool) -> Vec<Line> {
        self.is_over = true;
        let torn = self.decoder.finish().map(|event| (None, event));
        let events = torn.into_iter().chain(self.channels.finish()).filter(|_| self.last >= self.since);
        let events: Vec<_> = events.chain([(None, Event::End { complete })]).collect();
        events.into_iter().map(|(channel, event)| self.line(channel, event)).collect()
    }

    const fn line(&self, channel: Option<u32>, event: Event) -> Line {
        Line { at: self.last, channel, event }
    }
}

impl Decoder {
    /// Takes the content of a record of a session that has no channels.
    pub fn feed(&mut self, kind: Kind, content: &[u8]) -> Vec<Event> {
        match kind {
            Kind::FromClient => self.requests(content),
            Kind::ToClient => self.answers(content),
            Kind::Cut => vec![Event::Cut { reason: String::from_utf8_lossy(content).into_owned() }],
            Kind::FromClientOn | Kind::ToClientOn | Kind::End | Kind::Continued => Vec::new(),
        }
    }
}

/// A request as every tape holds it: a line of JSON.
fn request(line: &[u8]) -> Event {
    #[derive(Deserialize)]
    struct Taped {
        request: String,
        statement: String,
        values: Vec<String>,
    }
    match serde_json::from_slice(line) {
        Ok(Taped { request, statement, values }) => Event::Request { request, statement, values },
        Err(_) => unreadable("a request", line.len()),
    }
}

fn unreadable(what: &str, bytes: usize) -> Event {
    Event::Unreadable { reason: format!("{what} ({bytes} bytes)") }
}
