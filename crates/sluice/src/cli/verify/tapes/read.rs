//! Reading what is here of a tape, also where parts of it are in an archive that is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ledger::tape::{EndedPart, Part, Spot, TapeEnd, TapeReadError, TapeReader};
use model::id::{Digest, SessionId};

use super::{Place, Said};

/// What was read of a tape.
pub(super) struct Read {
    /// The parts that another one follows.
    pub(super) ended: BTreeMap<Part, EndedPart>,
    pub(super) end: End,
}

/// How a tape ends.
pub(super) enum End {
    /// Digest and length of the whole, or what kept it from being read.
    Of(Result<((Digest, u64), TapeEnd), TapeReadError>),
    /// In a part that is away.
    Away,
}

impl End {
    pub(super) const fn error(&self) -> Option<&TapeReadError> {
        match self {
            Self::Of(Err(error)) => Some(error),
            Self::Of(Ok(_)) | Self::Away => None,
        }
    }
}

impl Read {
    /// Reads the parts that are not away, each run of them by itself: a part's digest covers that of the one before it, and
    /// so the journal binds them together.
    pub(super) fn of(place: &Place<'_>, session: SessionId, said: &Said, away: &BTreeSet<Part>) -> Self {
        let (mut ended, mut from) = (BTreeMap::new(), Part::FIRST);
        loop {
            let mut passed = None;
            while away.contains(&from) {
                passed = Some(from);
                let Some(next) = from.next() else { return Self { ended, end: End::Away } };
                from = next;
            }
            let read = TapeReader::open_from(place.disk, place.dir, session, from, place.keys);
            let read = read.and_then(|mut run| run.digests(|part| ended.extend([(part.part, part)])));
            match (read, passed) {
                (Ok((_, TapeEnd::Truncated { at: Spot { part, offset: 0 } })), _) if away.contains(&part) => {
                    from = part
                }
                (Err(TapeReadError::Disk(error)), Some(last))
                    if error.kind() == io::ErrorKind::NotFound && said.may_end_with(last) =>
                {
                    return Self { ended, end: End::Away };
                }
                (read, _) => {
                    let before = said.length_before(from);
                    let read = read.map(|((digest, length), end)| ((digest, before.saturating_add(length)), end));
                    return Self { ended, end: End::Of(read) };
                }
            }
        }
    }
}

impl Said {
    /// Whether nothing that the journal has follows this part.
    fn may_end_with(&self, part: Part) -> bool {
        let Some((_, ended)) = self.parts.iter().find(|(_, ended)| ended.part == part) else { return true };
        let is = (ended.digest, self.length_before(part).saturating_add(ended.length));
        self.whole.is_none_or(|(_, whole)| whole == is)
    }

    /// How long the parts before this one are together.
    fn length_before(&self, part: Part) -> u64 {
        self.parts.iter().filter(|(_, ended)| ended.part < part).map(|(_, ended)| ended.length).sum()
    }
}
