//! The second clock of an approval's end.
//!
//! An end is a moment of the wall clock, which an operator or a time server may set back. So each question that is
//! asked or met in this process also gets a deadline on the monotonic clock, and the earlier of the two ends it: a clock
//! that is set back never extends an approval, and one that is set forward, or a suspended machine, ends it early.
//! After a restart the time that is left is measured from the wall clock again, at most the whole life.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::id::ApprovalId;
use model::time::Timestamp;

/// Deadlines of the approvals that this process has met.
#[derive(Default)]
pub(super) struct Clock(Mutex<HashMap<ApprovalId, Instant>>);

impl Clock {
    /// A question was put and lives for `millis`.
    pub(super) fn started(&self, id: ApprovalId, millis: u64) {
        let _ = self.deadline(id, millis);
    }

    /// An approval ended: its deadline need not be remembered.
    pub(super) fn stopped(&self, id: ApprovalId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Whether an approval with this life, from its asking to its end, is over at `now` of the wall clock.
    pub(super) fn is_over(
        &self,
        id: ApprovalId,
        (asked_at, expires_at): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> bool {
        let left = expires_at.millis_since(now.max(asked_at));
        let passed = self.deadline(id, left).is_none_or(|deadline| Instant::now() >= deadline);
        left == 0 || passed
    }

    /// The deadline of an approval; the first time, `millis` from now. `None` if the clock cannot express it.
    fn deadline(&self, id: ApprovalId, millis: u64) -> Option<Instant> {
        let mut deadlines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(deadline) = deadlines.get(&id) {
            return Some(*deadline);
        }
        let deadline = Instant::now().checked_add(Duration::from_millis(millis))?;
        deadlines.insert(id, deadline);
        Some(deadline)
    }
}
