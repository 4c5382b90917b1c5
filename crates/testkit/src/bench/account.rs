//! What Sluice has counted, and what it must have.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::stage::Stage;
use crate::wait::eventually_blocking;

const ALLOWED: &str = "sluice_decisions_total{outcome=\"allow\"}";
const ENTRIES: &str = "sluice_journal_entries_total";
const CLEAR: &str = "sluice_classified_values_total{form=\"clear\"}";
const MASKED: &str = "sluice_classified_values_total{form=\"masked\"}";

/// How long counters may take to catch up with the last answer.
const COUNTING: Duration = Duration::from_secs(5);

/// What Sluice has counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    allowed: u64,
    entries: u64,
    clear: u64,
    masked: u64,
}

impl Account {
    pub(super) fn of(stage: &Stage) -> Result<Self> {
        let (allowed, entries) = (stage.count(ALLOWED)?, stage.count(ENTRIES)?);
        Ok(Self { allowed, entries, clear: stage.count(CLEAR)?, masked: stage.count(MASKED)? })
    }

    /// Since then, at least this many requests were decided and journaled, and this many values masked; none of a class
    /// was delivered in clear. `what` was measured.
    pub(super) fn must_have_grown(self, stage: &Stage, what: &str, requests: u64, masked: u64) -> Result<()> {
        // A value is counted when its answer has ended, which a client may see first.
        let all = |now: Self| {
            let decided = now.allowed - self.allowed >= requests && now.entries - self.entries >= requests;
            decided && now.masked - self.masked >= masked
        };
        let counted = eventually_blocking(COUNTING, "Sluice to account for every request", || {
            let now = Self::of(stage)?;
            Ok(all(now).then_some(now))
        });
        let now = counted.or_else(|error| {
            let now = Self::of(stage)?;
            Err(error.context(format!("{what}: {requests} requests, but {self:?} became {now:?}")))
        })?;
        ensure!(now.clear == self.clear, "{what}: classified values were delivered in clear");
        Ok(())
    }
}
