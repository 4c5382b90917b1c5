//! Those who watch a session and can end it: what policy lets run only while somebody does, waits for them
//! (`@require_observer`).
//!
//! Whoever is here reads the session's tape as it grows, so that nothing is shown to the caller that an observer is not shown.
//! A session is told of each change, and decides again what runs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::id::SessionId;

use crate::sessions::{Signal, Signals};

/// Who observes a session, and what waits for an observer.
#[derive(Debug, Default)]
pub(crate) struct Observers {
    numbers: AtomicU64,
    /// The groups of each.
    present: Mutex<Vec<(u64, Vec<Arc<str>>)>>,
    /// In words, whom something waits for.
    awaited: Mutex<Vec<(u64, Arc<str>)>>,
}

/// Somebody observes a session until this is dropped.
#[derive(Debug)]
pub struct Observing {
    signals: Arc<Signals>,
    number: u64,
}

/// What the caller of a session, and whoever reads its tape, is told of those who do not observe it.
pub(crate) fn told(session: SessionId, what: &str, whom: &str) -> String {
    format!("sluice: {what} an observer of {whom}, who runs: sluice sessions watch {session} --moderate")
}

/// Something waits for an observer until this is dropped.
pub(crate) struct Awaiting {
    signals: Arc<Signals>,
    number: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observers {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The groups of all who are here, in order.
    pub(crate) fn groups(&self) -> Vec<Arc<str>> {
        let all: BTreeSet<Arc<str>> =
            locked(&self.present).iter().flat_map(|(_, groups)| groups.iter().cloned()).collect();
        all.into_iter().collect()
    }

    /// Whom something waits for, in words.
    pub(crate) fn awaited(&self) -> Vec<Arc<str>> {
        let all: BTreeSet<Arc<str>> = locked(&self.awaited).iter().map(|(_, whom)| Arc::clone(whom)).collect();
        all.into_iter().collect()
    }
}

impl Observing {
    /// Somebody in these groups begins to observe.
    pub fn begin(signals: &Arc<Signals>, groups: &[Arc<str>]) -> Self {
        let number = signals.observers.number();
        locked(&signals.observers.present).push((number, groups.to_vec()));
        signals.raise(Signal::Observers);
        Self { signals: Arc::clone(signals), number }
    }

    /// The observer is in these groups now.
    pub fn is_now(&self, groups: &[Arc<str>]) {
        let mut present = locked(&self.signals.observers.present);
        let own = present.iter_mut().find(|(number, was)| *number == self.number && was != groups);
        let has_changed = own.map(|(_, was)| *was = groups.to_vec()).is_some();
        drop(present);
        if has_changed {
            self.signals.raise(Signal::Observers);
        }
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        locked(&self.signals.observers.present).retain(|(number, _)| *number != self.number);
        self.signals.raise(Signal::Observers);
    }
}

impl Awaiting {
    /// Something begins to wait for `whom`.
    pub(crate) fn begin(signals: &Arc<Signals>, whom: &str) -> Self {
        let number = signals.observers.number();
        locked(&signals.observers.awaited).push((number, whom.into()));
        Self { signals: Arc::clone(signals), number }
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        locked(&self.signals.observers.awaited).retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn a_session_is_told_of_each_who_comes_changes_or_leaves() {
        let signals = Arc::new(Signals::default());
        let told = || signals.take()(Signal::Observers);
        let first = Observing::begin(&signals, &groups(&["b", "a"]));
        assert!(told());
        let second = Observing::begin(&signals, &groups(&["b"]));
        assert!(told());
        assert_eq!(signals.observers.groups(), [Arc::from("a"), Arc::from("b")]);
        drop(first);
        assert!(told());
        assert_eq!(signals.observers.groups(), [Arc::from("b")]);
        second.is_now(&groups(&["b"]));
        assert!(!told());
        second.is_now(&groups(&[]));
        assert!(told());
        assert!(signals.observers.groups().is_empty());
    }

    #[test]
    fn what_waits_is_listed_until_it_does_not() {
        let signals = Arc::new(Signals::default());
        let (one, other) = (Awaiting::begin(&signals, "sre"), Awaiting::begin(&signals, "sre"));
        assert_eq!(signals.observers.awaited(), [Arc::from("sre")]);
        drop(one);
        assert_eq!(signals.observers.awaited(), [Arc::from("sre")]);
        drop(other);
        assert!(signals.observers.awaited().is_empty());
    }
}
