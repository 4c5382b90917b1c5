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
