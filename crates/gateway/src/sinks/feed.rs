//! Reads the journal for a sink, a batch at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledger::{Journal, ReadError, Reader};
use model::id::Digest;
use store::State;
use store::config::SinkConfig;

use super::forms::Form;
use super::known::Known;
use super::position::Position;
use super::telling::Telling;

/// How many entries a batch covers, sent or not.
const MOST_ENTRIES: usize = 2_000;

/// How many events are in a batch, and after how many bytes it is closed: many HTTP servers take a body of 1 MiB, and one
/// more event may be large.
const MOST_EVENTS: usize = 500;
const MOST_BYTES: usize = 256 * 1024;

/// Events that are sent, and acknowledged, together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The index of the first event.
    pub(super) first: u64,
    /// The index of the last one.
    pub(super) last: u64,
    /// Each event in the sink's form.
    pub(super) events: Vec<String>,
    /// Where the sink is when it was acknowledged.
    pub(super) after: Position,
}

/// A sink's own reading of the journal.
pub(super) struct Feed {
    journal: Arc<Journal>,
    reader: Option<Reader>,
    known: Known,
    form: Form,
    kinds: Option<BTreeSet<&'static str>>,
}

impl Feed {
    /// For this sink.
    pub(super) fn new(journal: Arc<Journal>, state: Arc<dyn State>, config: &SinkConfig) -> Self {
        Self { journal, reader: None, known: Known::new(state), form: Form::of(config), kinds: config.events.clone() }
    }

    /// What comes after `from`, of the first `durable` entries; `None` if there is nothing. Blocks. After a failure it can
    /// be called again.
    pub(super) fn next(&mut self, from: Position, durable: u64) -> Result<Option<Batch>, ReadError> {
        let reader = self.reader.take().filter(|reader| reader.position() == from.next);
        let mut reader = reader.unwrap_or_else(|| self.journal.reader(from.next));
        let batch = self.read(&mut reader, from, durable)?;
        self.reader = Some(reader);
        Ok((batch.after != from).then_some(batch))
    }

    fn read(&mut self, reader: &mut Reader, from: Position, durable: u64) -> Result<Batch, ReadError> {
        let mut batch = Batch { first: from.next, last: from.next, events: Vec::new(), after: from };
        let (mut entries, mut bytes) = (0, 0);
        while entries < MOST_ENTRIES && batch.events.len() < MOST_EVENTS && bytes < MOST_BYTES {
            if reader.position() >= durable {
                break;
            }
            let Some((index, entry, hash)) = reader.next_hashed()? else { break };
            entries += 1;
            batch.after = Position { next: index.saturating_add(1), last: Some(Digest(hash)) };
            let is_wanted = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(entry.event.kind()));
            if !is_wanted {
                self.known.learn(&entry.event);
                continue;
            }
            let event = self.form.write(&Telling::new(index, &entry, &mut self.known));
            bytes = bytes.saturating_add(event.len());
            if batch.events.is_empty() {
                batch.first = index;
            }
            batch.last = index;
            batch.events.push(event);
        }
        Ok(batch)
    }
}
