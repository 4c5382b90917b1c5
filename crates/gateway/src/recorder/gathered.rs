//! Entries that nothing waits for, until they are written: boundedly many, whatever the disk does.

use std::collections::VecDeque;

use model::decision::Outcome;
use model::event::{Entry, Event};

/// How many are kept at most.
const MOST: usize = 4096;

/// How many are kept of those that nothing else in the journal makes up for. There are about as many as there are
/// sessions and open approvals, which are bounded themselves, and no new ones while the journal cannot be written.
const MOST_NEEDED: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Gathered {
    entries: VecDeque<Entry>,
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
        let most = if is_needed(&entry.event) { MOST_NEEDED } else { MOST };
        let fits = self.entries.len() < most;
        if fits {
            self.entries.push_back(entry);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        fits
    }

    /// Takes at most `most` of the oldest. With the last of them comes the gap that counts what was left out.
    pub(super) fn take(&mut self, most: usize, at: impl FnOnce(Event) -> Entry) -> Vec<Entry> {
        let mut taken: Vec<Entry> = self.entries.drain(..self.entries.len().min(most)).collect();
        if self.entries.is_empty() && self.left_out > 0 {
            let reason = format!("{} entries were left out while the journal could not be written", self.left_out);
            taken.push(at(Event::Gap { session: None, reason: reason.into() }));
            self.left_out = 0;
        }
        taken
    }

    /// Puts what was taken back to where it was.
    pub(super) fn put_back(&mut self, taken: Vec<Entry>) {
        taken.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
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
}
