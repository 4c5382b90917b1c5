//! Which parts of tapes are being compressed: each by one at a time, and not by who comes second.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ledger::tape::Part;
use model::id::SessionId;

/// The parts that are being compressed.
#[derive(Default)]
pub(crate) struct Packing(Mutex<HashSet<(SessionId, Part)>>);

/// That a part is one's own to compress, until this is dropped.
pub(crate) struct Claim<'a> {
    packing: &'a Packing,
    of: (SessionId, Part),
}

impl Packing {
    /// Claims a part; `None` while somebody else compresses it.
    pub(crate) fn claim(&self, session: SessionId, part: Part) -> Option<Claim<'_>> {
        let of = (session, part);
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of);
        is_new.then_some(Claim { packing: self, of })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.packing.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_compressed_by_one_at_a_time() {
        let (packing, session) = (Packing::default(), SessionId::from_bits(1));
        let claim = packing.claim(session, Part::FIRST).unwrap();
        assert!(packing.claim(session, Part::FIRST).is_none());
        assert!(packing.claim(SessionId::from_bits(2), Part::FIRST).is_some());
        drop(claim);
        assert!(packing.claim(session, Part::FIRST).is_some());
    }
}
