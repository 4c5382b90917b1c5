//! How long to wait before the next attempt.

use std::time::Duration;

use crate::random;

/// The first delay.
const FIRST: Duration = Duration::from_millis(200);

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(30);

/// Delays that double from 200 ms to 30 s, each cut by up to a half at random, so that many clients do not come back at
/// the same moment.
#[derive(Debug, Default, Clone)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next delay.
    pub fn next_delay(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempts.min(8)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        // Without randomness, all of it.
        let share = random::bytes::<1>().map_or(255, |[byte]| byte);
        doubled / 2 + (doubled / 2).saturating_mul(u32::from(share)) / 255
    }

    /// It went well: the next delay is the first one again.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_bound_and_begin_again() {
        let mut backoff = Backoff::default();
        let delays: Vec<Duration> = (0..12).map(|_| backoff.next_delay()).collect();
        for (attempt, delay) in delays.iter().enumerate() {
            let most = Duration::from_millis(200 << attempt.min(8)).min(LONGEST);
            assert!(*delay >= most / 2 && *delay <= most, "attempt {attempt}: {delay:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }
}
