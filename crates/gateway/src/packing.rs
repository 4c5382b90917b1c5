//! Which parts of tapes are being compressed: each by one at a time, and not by who comes second; and none while its tape is
//! removed.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ledger::tape::Part;
use model::id::SessionId;

/// A part of a session's tape, or all of them.
type What = (SessionId, Option<Part>);

/// The parts that are being compressed, and the tapes that are being removed.
#[derive(Default)]
pub(crate) struct Packing {
    claimed: Mutex<HashSet<What>>,
    freed: Condvar,
}

/// That a part, or a whole tape, is one's own, until this is dropped.
pub(crate) struct Claim<'a> {
    packing: &'a Packing,
    what: What,
}

impl Packing {
    /// Claims a part; `None` while somebody else compresses it, or removes its tape.
    pub(crate) fn claim(&self, session: SessionId, part: Part) -> Option<Claim<'_>> {
        let what = (session, Some(part));
        let mut claimed = self.claimed();
        let is_mine = !claimed.contains(&(session, None)) && claimed.insert(what);
        drop(claimed);
        // Made only then: a claim that is dropped ends the one that there is.
        is_mine.then(|| Claim { packing: self, what })
    }

    /// Claims a whole tape, once nobody compresses any of it. Blocks meanwhile.
    pub(crate) fn claim_all(&self, session: SessionId) -> Claim<'_> {
        let is_claimed = |claimed: &mut HashSet<What>| claimed.iter().any(|(of, _)| *of == session);
        let claimed = self.freed.wait_while(self.claimed(), is_claimed);
        let what = (session, None);
        claimed.unwrap_or_else(PoisonError::into_inner).insert(what);
        Claim { packing: self, what }
    }

    fn claimed(&self) -> MutexGuard<'_, HashSet<What>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.packing.claimed().remove(&self.what);
        self.packing.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_compressed_by_one_at_a_time() {
        let (packing, session) = (Packing::default(), SessionId::from_bits(1));
        let claim = packing.claim(session, Part::FIRST).unwrap();
        for _ in 0..2 {
            assert!(packing.claim(session, Part::FIRST).is_none(), "whoever is refused ends no claim");
        }
        assert!(packing.claim(SessionId::from_bits(2), Part::FIRST).is_some());
        drop(claim);
        assert!(packing.claim(session, Part::FIRST).is_some());
    }

    #[test]
    fn nothing_of_a_tape_is_compressed_while_it_is_removed_nor_removed_while_it_is_compressed() {
        let (packing, session) = (Packing::default(), SessionId::from_bits(1));
        let all = packing.claim_all(session);
        assert!(packing.claim(session, Part::FIRST).is_none());
        assert!(packing.claim(SessionId::from_bits(2), Part::FIRST).is_some());
        drop(all);
        let part = packing.claim(session, Part::FIRST).unwrap();
        std::thread::scope(|scope| {
            let removing = scope.spawn(|| drop(packing.claim_all(session)));
            assert!(!removing.is_finished());
            drop(part);
            removing.join().unwrap();
        });
        assert!(packing.claim(session, Part::FIRST).is_some());
    }
}
