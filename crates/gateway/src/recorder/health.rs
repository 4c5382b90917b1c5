//! Whether the journal can be written, and if not, why: asked without waiting for any disk.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ledger::JournalError;

/// What takes longer is no longer done by whoever asks for it, but by threads that may be kept waiting.
const SLOW: Duration = Duration::from_millis(10);

/// Why the journal cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// There is no room (ENOSPC, EDQUOT).
    Full,
    /// The file system is read-only (EROFS).
    ReadOnly,
    /// A write or an fdatasync does not return, or requests wait for them until their deadline.
    Stalled,
    /// Anything else that the system said.
    Other,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::ReadOnly, Self::Stalled, Self::Other];

    /// Its name as a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Stalled => "stalled",
            Self::Other => "other",
        }
    }

    /// What an error says; `None` if it is not the disk's, or was told before.
    pub(super) fn of(error: &JournalError) -> Option<Self> {
        let JournalError::Disk(error) = error else { return None };
        Some(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Other,
        })
    }
}

/// What was seen of the disk.
#[derive(Debug)]
pub(super) struct Health {
    limit: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    failed: Option<Fault>,
    /// Since when a write, and something else, is under way.
    writing: Option<Instant>,
    working: Option<Instant>,
    /// Whether the last write was slow.
    slow: bool,
    /// When a request last waited in vain for a disk that did not fail.
    missed: Option<Instant>,
}

impl Health {
    /// What takes longer than `limit` is stalled.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, seen: Mutex::default() }
    }

    /// Why the journal cannot be written now; `None` if it can.
    pub(super) fn fault(&self) -> Option<Fault> {
        let seen = self.seen();
        let over = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() > self.limit);
        let missed = seen.missed.is_some_and(|at| at.elapsed() < self.limit);
        let stalled = over(seen.writing) || over(seen.working) || missed;
        seen.failed.or_else(|| stalled.then_some(Fault::Stalled))
    }

    /// Whether something is under way for so long that nothing more is begun.
    pub(super) fn hangs(&self) -> bool {
        let seen = self.seen();
        [seen.writing, seen.working].into_iter().flatten().any(|since| since.elapsed() > self.limit)
    }

    /// Whether a write may be expected to take no time worth speaking of.
    pub(super) fn is_quick(&self) -> bool {
        let seen = self.seen();
        let quick = |since: Option<Instant>| since.is_none_or(|since| since.elapsed() < SLOW);
        seen.failed.is_none() && !seen.slow && quick(seen.writing)
    }

    /// Whether a write is under way that should have returned.
    pub(super) fn is_writing_slowly(&self) -> bool {
        self.seen().writing.is_some_and(|since| since.elapsed() >= SLOW)
    }

    /// Does a write.
    pub(super) fn writing<T>(&self, write: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        self.seen().writing = Some(begun);
        let result = write();
        let mut seen = self.seen();
        (seen.writing, seen.slow) = (None, begun.elapsed() >= SLOW);
        result
    }

    /// Does anything else that waits for the disk.
    pub(super) fn working<T>(&self, work: impl FnOnce() -> T) -> T {
        self.seen().working = Some(Instant::now());
        let result = work();
        self.seen().working = None;
        result
    }

    /// The disk failed; says whether that is news.
    pub(super) fn failed(&self, fault: Fault) -> bool {
        self.seen().failed.replace(fault) != Some(fault)
    }

    /// The disk did what it was asked.
    pub(super) fn well(&self) {
        self.seen().failed = None;
    }

    /// A request waited in vain.
    pub(super) fn missed(&self) {
        self.seen().missed = Some(Instant::now());
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_return_is_stalled_and_is_well_when_it_has() {
        let limit = Duration::from_secs(3600);
        let health = Health::new(limit);
        let before = Instant::now().checked_sub(limit * 2);
        assert!(before.is_some());
        assert_eq!((health.fault(), health.is_quick(), health.hangs()), (None, true, false));
        health.writing(|| {
            health.seen().writing = before;
            assert_eq!((health.fault(), health.is_quick(), health.hangs()), (Some(Fault::Stalled), false, true));
        });
        assert_eq!((health.fault(), health.hangs()), (None, false));
        health.working(|| {
            health.seen().working = before;
            assert_eq!((health.fault(), health.hangs()), (Some(Fault::Stalled), true));
        });
        assert_eq!((health.fault(), health.hangs()), (None, false));
        health.missed();
        assert_eq!((health.fault(), health.hangs()), (Some(Fault::Stalled), false));
        health.seen().missed = before;
        assert_eq!(health.fault(), None);
    }

    #[test]
    fn a_write_that_was_slow_leaves_the_next_to_threads_until_one_is_quick() {
        let health = Health::new(Duration::from_secs(3600));
        health.writing(|| std::thread::sleep(SLOW));
        assert_eq!((health.fault(), health.is_quick()), (None, false));
        // A machine that is busy may make a slow one of any write, but not of all.
        let quick = (0..1000).any(|_| {
            health.writing(|| ());
            health.is_quick()
        });
        assert!(quick);
    }

    #[test]
    fn what_the_system_says_has_a_name() {
        for (number, fault) in
            [(28, Fault::Full), (122, Fault::Full), (30, Fault::ReadOnly), (5, Fault::Other), (24, Fault::Other)]
        {
            let health = Health::new(Duration::from_secs(1));
            let error = JournalError::Disk(io::Error::from_raw_os_error(number));
            assert_eq!(Fault::of(&error), Some(fault));
            assert!(health.failed(fault) && !health.failed(fault));
            assert_eq!(health.fault(), Some(fault));
            health.well();
            assert_eq!(health.fault(), None);
        }
    }
}
