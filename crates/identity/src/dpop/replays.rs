//! Each proof once (RFC 9449, section 11.1), in bounded memory.

use std::collections::{BTreeSet, HashMap};

use model::id::Digest;
use model::subject::SubjectKey;
use model::time::Timestamp;

use super::Proof;

/// Why a proof does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It was used before.
    #[error("the proof was used before")]
    Used,
    /// So many proofs of this subject, or of all, are remembered that no more can be. What cannot be remembered could
    /// be used again, so it is refused.
    #[error("there are too many proofs in a short time")]
    TooMany,
}

/// The proofs that were used and are not too old yet.
#[derive(Debug)]
pub struct Replays {
    used: HashMap<Digest, SubjectKey>,
    ends: BTreeSet<(Timestamp, Digest)>,
    per_subject: HashMap<SubjectKey, usize>,
    most: usize,
    most_per_subject: usize,
}

impl Replays {
    /// None yet. `most` are remembered in all, and `most_per_subject` of one subject, so that no subject takes the
    /// place of the others.
    pub fn new(most: usize, most_per_subject: usize) -> Self {
        let (used, ends, per_subject) = (HashMap::new(), BTreeSet::new(), HashMap::new());
        Self { used, ends, per_subject, most, most_per_subject }
    }

    /// Uses a proof of `subject`, whose token was verified with it: only callers that are believed fill the memory.
    ///
    /// # Errors
    /// If it was used before, or cannot be remembered.
    pub fn use_once(&mut self, proof: &Proof, subject: &SubjectKey, now: Timestamp) -> Result<(), ReplayError> {
        self.forget(now);
        if self.used.contains_key(&proof.id) {
            return Err(ReplayError::Used);
        }
        let of_subject = self.per_subject.get(subject).copied().unwrap_or(0);
        if self.used.len() >= self.most || of_subject >= self.most_per_subject {
            return Err(ReplayError::TooMany);
        }
        self.used.insert(proof.id, subject.clone());
        self.ends.insert((proof.until, proof.id));
        self.per_subject.insert(subject.clone(), of_subject.saturating_add(1));
        Ok(())
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// Forgets what is too old to be used again.
    fn forget(&mut self, now: Timestamp) {
        while let Some((until, id)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.remove(&(until, id));
            let Some(subject) = self.used.remove(&id) else { continue };
            if let Some(count) = self.per_subject.get_mut(&subject) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.per_subject.remove(&subject);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(id: u8, until: u64) -> Proof {
        Proof { key: Digest([0; 32]), id: Digest([id; 32]), until: Timestamp::from_seconds(until) }
    }

    fn subject(id: &str) -> SubjectKey {
        SubjectKey { issuer: "corp".into(), id: id.into() }
    }

    #[test]
    fn a_proof_is_used_once_and_forgotten_when_it_is_too_old() {
        let (mut replays, at) = (Replays::new(10, 10), Timestamp::from_seconds);
        assert_eq!(replays.use_once(&proof(1, 60), &subject("a"), at(0)), Ok(()));
        assert_eq!(replays.use_once(&proof(1, 60), &subject("a"), at(59)), Err(ReplayError::Used));
        assert_eq!(replays.use_once(&proof(1, 60), &subject("b"), at(59)), Err(ReplayError::Used));
        assert_eq!(replays.use_once(&proof(2, 120), &subject("a"), at(60)), Ok(()));
        assert_eq!((replays.len(), replays.per_subject.len()), (1, 1));
    }

    #[test]
    fn no_subject_and_not_all_of_them_fill_the_memory() {
        let (mut replays, at) = (Replays::new(5, 2), Timestamp::from_seconds);
        for id in 0..100 {
            let whose = subject(if id % 2 == 0 { "a" } else { "b" });
            let expected = if id < 4 { Ok(()) } else { Err(ReplayError::TooMany) };
            assert_eq!(replays.use_once(&proof(id, 60), &whose, at(0)), expected);
        }
        assert_eq!(replays.use_once(&proof(200, 60), &subject("c"), at(0)), Ok(()));
        assert_eq!(replays.use_once(&proof(201, 60), &subject("c"), at(0)), Err(ReplayError::TooMany));
        assert_eq!(replays.len(), 5);
        assert_eq!(replays.use_once(&proof(202, 120), &subject("c"), at(60)), Ok(()));
        assert_eq!(replays.len(), 1);
    }
}
