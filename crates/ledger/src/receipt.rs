//! Proof that something is in the journal.
//!
//! Nothing here can be made outside this crate, copied or cloned: whoever holds a [`Receipt`] got it from
//! [`crate::Journal::append`], by way of [`Appended`].

use std::ops::Range;

use model::decision::Outcome;
use model::event::Event;
use model::id::RequestId;
pub use model::target::Level;

/// Proof that one entry is in the journal. Nobody makes one, and one is never two:
///
/// ```compile_fail,E0451
/// let made = ledger::Receipt { request: None, position: 0, level: ledger::Level::Power };
/// ```
///
/// ```compile_fail,E0277
/// fn is_cloned<T: Clone>() {}
/// is_cloned::<ledger::Receipt>();
/// ```
///
/// ```
/// fn is_told<T: std::fmt::Debug>() {}
/// is_told::<ledger::Receipt>();
/// ```
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a receipt is what allows a request to be forwarded"]
pub struct Receipt {
    request: Option<RequestId>,
    position: u64,
    level: Level,
}

impl Receipt {
    /// The request that the entry lets go on: one that was allowed or may be prepared, and number 0 where a session was
    /// opened or Sluice acts for it. All other entries let nothing go on, and name none.
    pub const fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// The index of the entry in the journal, from 0.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// How safely it is recorded.
    pub const fn level(&self) -> Level {
        self.level
    }
}

/// The request that an entry lets go on: with no other entry about it may anything of it be forwarded.
pub(crate) fn let_on(event: &Event) -> Option<RequestId> {
    match event {
        Event::Decided { request, outcome: Outcome::Allow, .. } | Event::Prepared { request, .. } => Some(*request),
        Event::SessionOpened { session, .. } => Some(session.request(0)),
        Event::SecretUsed { session, .. } | Event::OwnStatement { session, .. } => {
            session.map(|session| session.request(0))
        }
        _ => None,
    }
}

/// A batch that is in the file, for which no receipts were taken yet.
#[derive(Debug)]
#[must_use = "take the receipts with `at_process` or `at_power`"]
pub struct Appended {
    pub(crate) first: u64,
    pub(crate) requests: Vec<Option<RequestId>>,
    pub(crate) journal: JournalId,
    pub(crate) generation: u64,
}

impl Appended {
    /// The indexes of the entries.
    pub fn positions(&self) -> Range<u64> {
        let count = u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
        self.first..self.first.saturating_add(count)
    }

    /// One receipt per entry, in their order, at level [`Level::Process`]: the write has returned.
    pub fn at_process(self) -> Vec<Receipt> {
        self.receipts(Level::Process)
    }

    /// One receipt per entry, in their order, at level [`Level::Power`].
    ///
    /// # Errors
    /// If `synced` does not cover the batch: it is of another journal, it ended before the batch, or the batch's
    /// segment was abandoned after a failed fsync.
    pub fn at_power(self, synced: &Synced) -> Result<Vec<Receipt>, NotSynced> {
        let same = self.journal == synced.journal && self.generation == synced.generation;
        if same && self.positions().end <= synced.size { Ok(self.receipts(Level::Power)) } else { Err(NotSynced(self)) }
    }

    fn receipts(self, level: Level) -> Vec<Receipt> {
        let positions = self.positions();
        positions.zip(self.requests).map(|(position, request)| Receipt { request, position, level }).collect()
    }
}

/// The batch is not covered by that sync; it is handed back.
#[derive(Debug, thiserror::Error)]
#[error("the entries are not known to be on the disk")]
pub struct NotSynced(pub Appended);

/// Proof that an fdatasync succeeded, made by [`crate::Journal::sync`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synced {
    pub(crate) size: u64,
    pub(crate) journal: JournalId,
    pub(crate) generation: u64,
}

impl Synced {
    /// How many entries of the journal are on the disk.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Which open journal of this process a token belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct JournalId(pub(crate) u64);
