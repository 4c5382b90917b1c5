//! Reads of the journal what is about approvals.

use std::sync::Arc;

use gateway::node::Node;
use gateway::sinks::{Position, PositionError};
use ledger::{ReadError, Reader};
use model::event::Event;
use model::id::{ApprovalId, Digest};
use model::time::Timestamp;

/// How many entries are read at a time.
const MOST_ENTRIES: usize = 2_000;

/// Something that happened to an approval.
#[derive(Debug)]
pub(super) struct Told {
    /// Where the journal has it: the same event always has the same index and hash.
    pub(super) index: u64,
    pub(super) hash: Digest,
    pub(super) at: Timestamp,
    pub(super) approval: ApprovalId,
    pub(super) event: Event,
}

impl Told {
    /// The position behind it.
    pub(super) const fn after(&self) -> Position {
        Position { next: self.index.saturating_add(1), last: Some(self.hash) }
    }
}

/// What was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) told: Vec<Told>,
    pub(super) after: Position,
}

/// A channel's own reading of the journal.
pub(super) struct Feed {
    node: Arc<Node>,
    reader: Option<Reader>,
}

impl Feed {
    pub(super) const fn new(node: Arc<Node>) -> Self {
        Self { node, reader: None }
    }

    /// Where a channel goes on that had got to `kept`; one that never began does with what this process does.
    pub(super) async fn begin(&self, kept: Option<Position>) -> Result<Position, PositionError> {
        let (journal, began) = (Arc::clone(self.node.recorder.journal()), self.node.began);
        super::blocking(move || match kept {
            Some(position) => position.confirm(&journal),
            None => Position::before(&journal, began),
        })
        .await
    }

    /// How many entries there are behind this position.
    pub(super) fn behind(&self, from: Position) -> u64 {
        self.node.recorder.journal().size().saturating_sub(from.next)
    }

    /// What comes after `from` and is on the disk; `None` if there is nothing. After a failure it can be called again.
    pub(super) async fn next(&mut self, from: Position) -> Result<Option<Read>, ReadError> {
        if self.behind(from) == 0 {
            return Ok(None);
        }
        // What left must not be missing here after a power cut: a receiver would know more than the journal.
        let durable = self.node.recorder.durable_beyond(from.next).await;
        let reader = self.reader.take().filter(|reader| reader.position() == from.next);
        let mut reader = reader.unwrap_or_else(|| self.node.recorder.journal().reader(from.next));
        let (reader, read) = super::blocking(move || {
            let read = read(&mut reader, from, durable);
            (reader, read)
        })
        .await;
        let read = read?;
        self.reader = Some(reader);
        Ok((read.after != from).then_some(read))
    }
}

fn read(reader: &mut Reader, from: Position, durable: u64) -> Result<Read, ReadError> {
    let mut read = Read { told: Vec::new(), after: from };
    for _ in 0..MOST_ENTRIES {
        if reader.position() >= durable {
            break;
        }
        let Some((index, entry, hash)) = reader.next_hashed()? else { break };
        let hash = Digest(hash);
        read.after = Position { next: index.saturating_add(1), last: Some(hash) };
        if let Some(approval) = approval_of(&entry.event) {
            read.told.push(Told { index, hash, at: entry.at, approval, event: entry.event });
        }
    }
    Ok(read)
}

/// The approval that an event is about.
const fn approval_of(event: &Event) -> Option<ApprovalId> {
    match event {
        Event::ApprovalAsked { approval, .. }
        | Event::ApprovalAnswered { approval, .. }
        | Event::ApprovalConsumed { approval, .. }
        | Event::ApprovalEnded { approval, .. }
        | Event::HoldBecameTicket { approval }
        | Event::OutcomeUnknown { approval, .. } => Some(*approval),
        _ => None,
    }
}
