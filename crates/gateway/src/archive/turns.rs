//! Whose turn it is: what comes behind that which failed last comes first, so that what fails for good keeps nothing else
//! waiting.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ledger::tape::PartFiles;

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
pub(super) struct Turns(Mutex<Failed>);

impl Turns {
    pub(super) fn failed_last(&self) -> Failed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Failed)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
