//! Whose turn it is: what comes behind that which failed last comes first, so that what fails for good keeps nothing else
//! waiting.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ledger::tape::PartFiles;
use model::time::Timestamp;

use super::round::{LOOK, millis};

/// What failed last, of each kind.
#[derive(Clone, Default, Debug)]
pub(super) struct Failed {
    pub(super) note: Option<PathBuf>,
    pub(super) ready: Option<PartFiles>,
    pub(super) kept: Option<PartFiles>,
}

impl Failed {
    /// What there is to do, in its order, beginning behind what failed last.
    pub(super) fn first<T: Ord>(&self, mut all: Vec<T>, of: impl FnOnce(&Self) -> &Option<T>) -> Vec<T> {
        if let Some(failed) = of(self) {
            let behind = all.partition_point(|one| one <= failed);
            all.rotate_left(behind);
        }
        all
    }
}

#[derive(Default)]
pub(super) struct Turns {
    failed: Mutex<Failed>,
    /// When what is kept is looked through again; at once after a start.
    due: Mutex<Timestamp>,
}

impl Turns {
    pub(super) fn failed_last(&self) -> Failed {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Failed)) {
        change(&mut self.failed.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether anything that is kept may be due: also if the clock was set back.
    pub(super) fn are_due(&self, now: Timestamp) -> bool {
        let due = self.due();
        due <= now || due > now.plus_millis(millis(LOOK))
    }

    /// When something is due, or all is looked through again.
    pub(super) fn due(&self) -> Timestamp {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is kept is being looked through; until then it need not be again, but for what [`Self::is_due`] says.
    pub(super) fn looked(&self, until: Timestamp) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Something is due then.
    pub(super) fn is_due(&self, at: Timestamp) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = at.min(*due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_looked_through_when_something_is_due_and_once_in_a_while() {
        let (turns, at) = (Turns::default(), |seconds: u64| Timestamp(1_000_000 + seconds * 1000));
        assert!(turns.are_due(at(0)), "after a start");
        turns.looked(at(60));
        assert!(!turns.are_due(at(59)) && turns.are_due(at(60)));
        turns.is_due(at(10));
        turns.is_due(at(30));
        assert!(!turns.are_due(at(9)) && turns.are_due(at(10)));
        turns.looked(at(60));
        assert!(turns.are_due(Timestamp(1000)), "after the clock was set back");
    }

    #[test]
    fn rc_11_a_round_begins_behind_what_failed_last() {
        let notes = || ["1", "2", "3"].map(PathBuf::from).to_vec();
        let begins = |failed: Option<&str>| {
            let failed = Failed { note: failed.map(PathBuf::from), ..Failed::default() };
            failed.first(notes(), |failed| &failed.note).remove(0)
        };
        // Also where that is gone meanwhile.
        let cases = [(None, "1"), (Some("1"), "2"), (Some("25"), "3"), (Some("3"), "1"), (Some("4"), "1")];
        for (failed, first) in cases {
            assert_eq!(begins(failed), PathBuf::from(first), "{failed:?}");
        }
    }
}
