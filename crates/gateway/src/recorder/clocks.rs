//! The wall clock beside one that cannot be set. Entries have the time of the first; where it jumps, an entry says how far,
//! so that what lies between two entries of one process can be told from the journal alone.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use model::event::Event;
use model::time::Timestamp;

/// What is no jump yet, in milliseconds: reading two clocks takes time, and threads are interrupted.
const TOLERANCE: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Clocks {
    begin: Instant,
    /// The wall clock's time at `begin`, in milliseconds, as it would be now.
    wall_at_begin: AtomicI64,
}

impl Clocks {
    pub(crate) fn new(wall: Timestamp) -> Self {
        Self { begin: Instant::now(), wall_at_begin: AtomicI64::new(millis(wall)) }
    }

    /// Says so, once, if the wall clock was set since the last call.
    pub(crate) fn moved(&self, wall: Timestamp) -> Option<Event> {
        self.moved_after(wall, self.begin.elapsed())
    }

    fn moved_after(&self, wall: Timestamp, elapsed: Duration) -> Option<Event> {
        let elapsed = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let now = millis(wall).saturating_sub(elapsed);
        let before = self.wall_at_begin.load(Ordering::Relaxed);
        let by = now.saturating_sub(before);
        if by.unsigned_abs() <= TOLERANCE {
            return None;
        }
        // Of two who see it, one says it.
        let stored = self.wall_at_begin.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed);
        stored.is_ok().then_some(Event::ClockMoved { by })
    }

    /// As if the wall clock were set now.
    #[cfg(test)]
    pub(super) fn pretend(&self, by: i64) {
        self.wall_at_begin.fetch_sub(by, Ordering::Relaxed);
    }
}

fn millis(wall: Timestamp) -> i64 {
    i64::try_from(wall.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledger::{Journal, Level, RealDisk, SigningKey};
    use model::id::SessionId;

    use super::*;
    use crate::metrics::Metrics;
    use crate::recorder::{Recorder, entry};

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_jump_is_told_once_and_creeping_is_none() {
        let clocks = Clocks::new(Timestamp(10 * HOUR));
        let at = |wall, elapsed| clocks.moved_after(Timestamp(wall), Duration::from_millis(elapsed));
        assert_eq!(at(10 * HOUR + 5_900, 5_000), None);
        assert_eq!(at(9 * HOUR + 6_000, 6_000), Some(Event::ClockMoved { by: -3_600_000 }));
        assert_eq!(at(9 * HOUR + 7_000, 7_000), None);
        let ten_years = 10 * 365 * 24 * HOUR;
        let by = i64::try_from(ten_years).unwrap();
        assert_eq!(at(9 * HOUR + ten_years + 7_000, 7_000), Some(Event::ClockMoved { by }));
        assert_eq!(at(9 * HOUR + ten_years + 8_000, 7_000), None, "what is less is gathered until it is more");
        assert_eq!(at(9 * HOUR + ten_years + 9_001, 8_000), Some(Event::ClockMoved { by: 1_001 }));
        assert_eq!(at(0, 9_000).map(|event| event.kind()), Some("clock_moved"));
    }

    /// Before the first entry that has the new time.
    #[tokio::test]
    async fn rc_09_a_clock_that_is_set_has_an_entry() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed("test", &[1; 32]).unwrap();
        let journal = Journal::open(Arc::new(RealDisk), dir.path(), key).unwrap().0;
        let minute = Duration::from_secs(60);
        let recorder = Recorder::new(journal, minute, minute, Metrics::new().unwrap());
        let closed = |session| Event::SessionClosed {
            session: SessionId::from_bits(session),
            reason: "over".into(),
            tape: None,
        };
        let record = async |session| {
            let receipts = recorder.record(vec![entry(closed(session))], Level::Process).await.unwrap();
            assert_eq!(receipts.len(), 1, "the receipt is the entry's own");
        };
        record(1).await;
        recorder.clocks.pretend(-3_600_000);
        record(2).await;
        recorder.clocks.pretend(315_360_000_000);
        recorder.note(closed(3));
        recorder.flush();
        let mut reader = recorder.journal().reader(0);
        let events: Vec<Event> = std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event).collect();
        let expected = [None, Some(-3_600_000), None, Some(315_360_000_000), None];
        assert_eq!(events.len(), expected.len(), "{events:?}");
        for (event, expected) in events.iter().zip(expected) {
            let by = if let Event::ClockMoved { by } = event { Some(*by) } else { None };
            assert_eq!(by.is_some(), expected.is_some(), "{events:?}");
            // Each of the clocks is read for itself, to the millisecond.
            assert!(by.unwrap_or(0).abs_diff(expected.unwrap_or(0)) < 1_000, "{events:?}");
        }
    }
}
