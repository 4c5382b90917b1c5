//! When to fetch an issuer's keys, as a state machine without clock or socket: the gateway does what it says.
//!
//! Three bounds, all documented promises:
//! * a key that the issuer withdrew is refused after [`KeyTiming::refresh`] at the latest, while the issuer can be asked;
//! * when it cannot be asked, its keys are believed for [`KeyTiming::max_age`] and not a moment longer;
//! * whatever callers send, it is asked at most once per [`KeyTiming::min_interval`].

use std::sync::Arc;

use model::time::Timestamp;

use crate::KeySet;

/// The bounds of a [`KeyCache`], in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyTiming {
    /// How often the keys are fetched when all is well. Default: 5 minutes.
    pub refresh: u64,
    /// How long keys are believed that could not be renewed. Default: 1 hour.
    pub max_age: u64,
    /// The least time between two attempts. Default: 1 minute.
    pub min_interval: u64,
}

impl Default for KeyTiming {
    fn default() -> Self {
        Self { refresh: 5 * 60_000, max_age: 60 * 60_000, min_interval: 60_000 }
    }
}

/// What to do about a token whose key the cache does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownKey {
    /// Fetch now, then verify again. The attempt is already counted: call [`KeyCache::fetched`] or
    /// [`KeyCache::failed`] in the end.
    Fetch,
    /// Somebody is fetching: wait for them, then verify again.
    Await,
    /// The issuer was asked a moment ago: refuse.
    Refuse,
}

/// The keys of one issuer and the history of fetching them.
#[derive(Debug)]
pub struct KeyCache {
    timing: KeyTiming,
    keys: Arc<KeySet>,
    fetched_at: Option<Timestamp>,
    attempted_at: Option<Timestamp>,
    is_fetching: bool,
}

impl KeyCache {
    /// Without keys: nothing verifies before the first fetch.
    pub fn new(timing: KeyTiming) -> Self {
        Self { timing, keys: Arc::default(), fetched_at: None, attempted_at: None, is_fetching: false }
    }

    /// The keys and the moment at which they stop being believed: 0 before the first fetch.
    pub fn keys(&self) -> (Arc<KeySet>, Timestamp) {
        let until = self.fetched_at.map_or(Timestamp(0), |at| at.plus_millis(self.timing.max_age));
        (Arc::clone(&self.keys), until)
    }

    /// When the gateway's timer is to call [`KeyCache::refresh_due`] next; 0 means now.
    pub fn next_refresh(&self) -> Timestamp {
        let planned = self.fetched_at.map_or(Timestamp(0), |at| at.plus_millis(self.timing.refresh));
        let earliest = self.attempted_at.map_or(Timestamp(0), |at| at.plus_millis(self.timing.min_interval));
        planned.max(earliest)
    }

    /// Whether to fetch now because the keys are due. A `true` is counted as an attempt.
    pub fn refresh_due(&mut self, now: Timestamp) -> bool {
        self.follow_clock(now);
        let is_due = !self.is_fetching && now >= self.next_refresh();
        if is_due {
            self.begin(now);
        }
        is_due
    }

    /// A token named a key that is not here, or the keys are too old.
    pub fn unknown_key(&mut self, now: Timestamp) -> UnknownKey {
        self.follow_clock(now);
        let was_just_asked = self.attempted_at.is_some_and(|at| now.millis_since(at) < self.timing.min_interval);
        match (self.is_fetching, was_just_asked) {
            (true, _) => UnknownKey::Await,
            (false, true) => UnknownKey::Refuse,
            (false, false) => {
                self.begin(now);
                UnknownKey::Fetch
            }
        }
    }

    /// The fetch brought these keys: they replace all earlier ones. `asked_at` is when it began, so that a slow answer
    /// does not make old keys young.
    pub fn fetched(&mut self, keys: KeySet, asked_at: Timestamp) {
        self.keys = Arc::new(keys);
        self.fetched_at = Some(asked_at);
        self.is_fetching = false;
    }

    /// The fetch failed, or brought a set that is refused: the keys stay, and age.
    pub const fn failed(&mut self) {
        self.is_fetching = false;
    }

    const fn begin(&mut self, now: Timestamp) {
        self.attempted_at = Some(now);
        self.is_fetching = true;
    }

    /// If the clock was set back, nothing recorded may lie ahead: keys would stay young, or fetching would pause.
    fn follow_clock(&mut self, now: Timestamp) {
        self.fetched_at = self.fetched_at.map(|at| at.min(now));
        self.attempted_at = self.attempted_at.map(|at| at.min(now));
    }
}

#[cfg(test)]
mod tests;
