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
/// let made = ledger::Receipt { lets: None, position: 0, level: ledger::Level::Power };
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
    lets: Option<Lets>,
    position: u64,
    level: Level,
}

/// What an entry lets go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lets {
    /// A request that was allowed, to be run.
    Run(RequestId),
    /// A text that may be prepared, and not be run.
    Prepare(RequestId),
    /// What Sluice itself says in a session that was opened, or where it acts for one: as request number 0.
    Act(RequestId),
}

impl Lets {
    /// The request that it is about.
    pub const fn request(self) -> RequestId {
        match self {
            Self::Run(request) | Self::Prepare(request) | Self::Act(request) => request,
        }
    }
}

impl Receipt {
    /// What the entry lets go on; most entries let nothing go on.
    pub const fn lets(&self) -> Option<Lets> {
        self.lets
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

/// What an entry lets go on: with no other entry about it may anything of it be forwarded.
pub(crate) fn let_on(event: &Event) -> Option<Lets> {
    match event {
        Event::Decided { request, outcome: Outcome::Allow, .. } => Some(Lets::Run(*request)),
        Event::Prepared { request, .. } => Some(Lets::Prepare(*request)),
        Event::SessionOpened { session, .. } => Some(Lets::Act(session.request(0))),
        Event::SecretUsed { session, .. } | Event::OwnStatement { session, .. } => {
            session.map(|session| Lets::Act(session.request(0)))
        }
        _ => None,
    }
}

/// A batch that is in the file, for which no receipts were taken yet.
#[derive(Debug)]
#[must_use = "take the receipts with `at_process` or `at_power`"]
pub struct Appended {
    pub(crate) first: u64,
    pub(crate) lets: Vec<Option<Lets>>,
    pub(crate) journal: JournalId,
    pub(crate) generation: u64,
}

impl Appended {
    /// The indexes of the entries.
    pub fn positions(&self) -> Range<u64> {
        let count = u64::try_from(self.lets.len()).unwrap_or(u64::MAX);
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
        positions.zip(self.lets).map(|(position, lets)| Receipt { lets, position, level }).collect()
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
