//! Entries that nothing waits for, until they are written: boundedly many, whatever the disk does.

use std::collections::VecDeque;

use model::decision::Outcome;
use model::event::{Entry, Event};

/// How many are kept at most.
const MOST: usize = 4096;

/// How many bytes of them: callers say what is in some, such as the path of a call that was refused.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How many are kept of those that nothing else in the journal makes up for. There are about as many as there are
/// sessions and open approvals, which are bounded themselves, and no new ones while the journal cannot be written.
const MOST_NEEDED: usize = 65_536;

/// And of bytes, with those of the others.
const MOST_BYTES_NEEDED: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Each with how many bytes it takes in the journal.
    entries: VecDeque<(Entry, usize)>,
    /// How many these are in all.
    bytes: usize,
    /// How many there was no room for since the last gap was written.
    left_out: u64,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.left_out == 0
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry, or counts it; says whether it is kept.
    pub(super) fn push(&mut self, entry: Entry) -> bool {
        let needed = is_needed(&entry.event);
        let (most, most_bytes) = if needed { (MOST_NEEDED, MOST_BYTES_NEEDED) } else { (MOST, MOST_BYTES) };
        let length = ledger::length(&entry);
        let bytes = self.bytes.saturating_add(length);
        let fits = self.entries.len() < most && bytes <= most_bytes;
        if fits {
            self.entries.push_back((entry, length));
            self.bytes = bytes;
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        fits
    }

    /// Takes at most `most` of the oldest. With the last of them comes the gap that counts what was left out.
    pub(super) fn take(&mut self, most: usize, at: impl FnOnce(Event) -> Entry) -> Vec<Entry> {
        let drained = self.entries.drain(..self.entries.len().min(most));
        let mut taken = Vec::with_capacity(drained.len());
        for (entry, length) in drained {
            self.bytes = self.bytes.saturating_sub(length);
            taken.push(entry);
        }
        if self.entries.is_empty() && self.left_out > 0 {
            let reason = format!("{} entries were left out while the journal could not be written", self.left_out);
            taken.push(at(Event::Gap { session: None, reason: reason.into() }));
            self.left_out = 0;
        }
        taken
    }

    /// Puts what was taken back to where it was.
    pub(super) fn put_back(&mut self, taken: Vec<Entry>) {
        for entry in taken.into_iter().rev() {
            let length = ledger::length(&entry);
            self.bytes = self.bytes.saturating_add(length);
            self.entries.push_front((entry, length));
        }
    }
}

/// Whether an entry says how something ended, or what people did: of a request that has no end in the journal, it is
/// known that it may have run.
const fn is_needed(event: &Event) -> bool {
    match event {
        Event::SessionClosed { .. }
        | Event::ApprovalAsked { .. }
        | Event::ApprovalAnswered { .. }
        | Event::ApprovalConsumed { .. }
        | Event::ApprovalEnded { .. }
        | Event::HoldBecameTicket { .. }
        | Event::OutcomeUnknown { .. }
        | Event::RevisionApplied { .. }
        | Event::ClockMoved { .. }
        | Event::TapePartEnded { .. }
        | Event::Stopped => true,
        Event::AdminAction { outcome, .. } => matches!(outcome, Outcome::Allow),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use model::disclosure::Disclosure;
    use model::id::SessionId;

    use super::*;
    use crate::recorder::entry;

    fn completed(number: u64) -> Event {
        let request = SessionId::from_bits(1).request(number);
        Event::Completed { request, disclosure: Disclosure::default(), error: None, millis: 1 }
    }

    fn closed(session: u64) -> Event {
        Event::SessionClosed { session: SessionId::from_bits(session), reason: "over".into(), tape: None }
    }

    #[test]
    fn what_is_gathered_is_bounded_and_what_is_left_out_is_counted() {
        let mut gathered = Gathered::default();
        for number in 0..1_000_000 {
            gathered.push(entry(completed(number)));
        }
        assert!((0..1000).all(|session| gathered.push(entry(closed(session)))), "sessions that end are closed");
        assert_eq!(gathered.len(), MOST + 1000);
        let first = gathered.take(MOST, entry);
        assert!(first.iter().all(|entry| matches!(entry.event, Event::Completed { .. })));
        gathered.put_back(first);
        let all = gathered.take(usize::MAX, entry);
        let kinds: Vec<_> = all.iter().map(|entry| entry.event.kind()).collect();
        assert_eq!((kinds[0], kinds[MOST], kinds.len()), ("completed", "session_closed", MOST + 1001));
        let Event::Gap { session: None, reason } = &all.last().unwrap().event else { panic!("no gap") };
        assert_eq!(&**reason, "995904 entries were left out while the journal could not be written");
        assert!(gathered.is_empty());
        for session in 0..200_000 {
            gathered.push(entry(closed(session)));
        }
        assert_eq!(gathered.len(), MOST_NEEDED);
    }

    #[test]
    fn long_entries_are_bounded_by_their_bytes_and_leave_room_for_what_is_needed() {
        let refused = |length: usize| Event::SessionRefused {
            session: SessionId::from_bits(1),
            source: std::net::Ipv4Addr::LOCALHOST.into(),
            reason: "x".repeat(length).into(),
        };
        let mut gathered = Gathered::default();
        let kept = (0..MOST).filter(|_| gathered.push(entry(refused(60_000)))).count();
        assert_eq!(kept, MOST_BYTES / 60_050);
        assert!(gathered.push(entry(closed(1))) && gathered.bytes < MOST_BYTES);
        // What comes back has its place again, and what is written leaves it.
        let taken = gathered.take(10, entry);
        let bytes = gathered.bytes;
        gathered.put_back(taken);
        assert!(gathered.bytes > bytes + 600_000 && !gathered.push(entry(refused(60_000))));
        assert_eq!(gathered.take(usize::MAX, entry).len(), kept + 2, "with the gap");
        assert_eq!(gathered.bytes, 0);
        assert!(gathered.push(entry(refused(60_000))));
    }
}
