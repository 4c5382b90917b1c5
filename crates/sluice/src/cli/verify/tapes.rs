//! Tapes against what the journal says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ledger::tape::{Archived, EndedPart, KeyStore, Part, TapeEnd, TapeReadError};
use ledger::{Disk, Reader, RealDisk};
use model::event::Event;
use model::id::{Digest, SessionId};

mod read;

use read::{End, Read};

/// What was found of the tapes.
#[derive(Default)]
pub(super) struct Tapes {
    /// As the journal says.
    pub(super) matching: u64,
    /// Parts of tapes, as the journal says: those that another part follows.
    pub(super) parts: u64,
    /// Of these tapes, those that were never finished: their process was killed, or their session broke off.
    pub(super) truncated: u64,
    /// Gone, as the journal says.
    pub(super) removed: u64,
    /// Not compared: there is no key to open them.
    pub(super) sealed: u64,
    /// Not compared as a whole: a part is in the archive, which was not named or could not be reached.
    pub(super) away: u64,
    /// Why the archive could not be reached.
    pub(super) unreached: Option<String>,
    pub(super) fault: Option<String>,
}

/// Where tapes are, and what opens them.
pub(super) struct Place<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a Path,
    pub(super) keys: Option<&'a KeyStore>,
    /// Whether the disk has what is in the archive.
    pub(super) has_archive: bool,
}

impl Place<'_> {
    /// The parts of which nothing but the word that they are in the archive is here.
    fn gone(&self, session: SessionId) -> BTreeSet<Part> {
        let parts = ledger::tape::parts_of_session(&RealDisk, self.dir, session).unwrap_or_default();
        let gone = parts.into_iter().filter(|files| files.is_archived && !files.is_live && !files.is_packed);
        gone.map(|files| files.part).collect()
    }

    /// Whether what stands beside the part says of it what the journal does.
    fn says(&self, session: SessionId, part: Part, is: (&str, Digest, u64)) -> bool {
        let said = Archived::of(&RealDisk, self.dir, session, part).ok().flatten();
        said.is_some_and(|said| (said.object.as_str(), said.digest, said.length) == is)
    }
}

/// What the journal says of a tape, each with the position of its entry.
#[derive(Default)]
pub(super) struct Said {
    /// The parts that ended.
    pub(super) parts: Vec<(u64, EndedPart)>,
    /// The whole, once the session has ended.
    pub(super) whole: Option<(u64, (Digest, u64))>,
}

/// Something that is not as the journal says, by the position of its entry.
type Wrong = (u64, String);

/// What is known while the journal is read.
#[derive(Default)]
struct Known {
    /// Of sessions that go on: their end is compared with them, so that a tape is read once. Also of those that ended, and
    /// of whose tape something is not here: the journal may have further down that it is in the archive.
    open: BTreeMap<SessionId, Said>,
    /// The parts that are in the archive, as the journal says and what stands beside the tape as well.
    archived: BTreeSet<(SessionId, Part)>,
    /// A tape that is not there may turn out to have been removed.
    wrong: BTreeMap<SessionId, Wrong>,
}

impl Tapes {
    /// Compares each closed session's tape with the digest and length that the journal has of it, and the parts that ended of
    /// the others.
    pub(super) fn verify(journal: &Path, place: &Place<'_>) -> Self {
        let mut reader = Reader::open(Arc::new(RealDisk), journal, 0);
        let (mut found, mut known) = (Self::default(), Known::default());
        loop {
            match reader.next() {
                Ok(Some((position, entry))) => found.learn(place, &mut known, position, entry.event),
                Ok(None) => break,
                Err(error) => return Self { fault: Some(error.to_string()), ..found },
            }
        }
        let Known { open, archived, mut wrong } = known;
        for (session, said) in open {
            let of = (session, Part::FIRST)..=(session, Part::LAST);
            let archived = archived.range(of).map(|(_, part)| *part).collect();
            if let Some(is) = found.settle(place, session, &said, &archived) {
                wrong.insert(session, is);
            }
        }
        let first = wrong.iter().min_by_key(|(_, (position, _))| *position);
        found.fault = first
            .map(|(session, (position, error))| format!("the tape of session {session} (entry {position}) {error}"));
        found
    }

    fn learn(&mut self, place: &Place<'_>, known: &mut Known, position: u64, event: Event) {
        match event {
            Event::TapePartEnded { session, part, digest, length } => match Part::of(part) {
                Some(part) => {
                    let ended = EndedPart { part, digest, length };
                    known.open.entry(session).or_default().parts.push((position, ended));
                }
                None => {
                    known.wrong.insert(session, (position, String::from("has a part that there cannot be")));
                }
            },
            Event::TapeArchived { session, part, object, digest, length } => {
                let Some(part) = Part::of(part) else { return };
                if place.says(session, part, (&object, digest, length)) {
                    known.archived.insert((session, part));
                } else {
                    known.archived.remove(&(session, part));
                }
            }
            Event::SessionClosed { session, tape: Some(tape), .. } => {
                let said = known.open.remove(&session).unwrap_or_default();
                let said = Said { whole: Some((position, tape)), ..said };
                let mut one = Self::default();
                match self.attempt(&mut one, place, session, &said, &BTreeSet::new()) {
                    Ok(None) => self.add(&one),
                    Ok(Some(is)) if place.gone(session).is_empty() => {
                        self.add(&one);
                        known.wrong.insert(session, is);
                    }
                    Ok(Some(_)) | Err(Unreached) => {
                        known.open.insert(session, said);
                    }
                }
            }
            Event::TapeRemoved { session, .. } => {
                known.open.remove(&session);
                known.wrong.remove(&session);
                self.removed += 1;
            }
            _ => {}
        }
    }

    /// Compares a tape once all is known of it, as far as it can be had.
    fn settle(
        &mut self,
        place: &Place<'_>,
        session: SessionId,
        said: &Said,
        archived: &BTreeSet<Part>,
    ) -> Option<Wrong> {
        if place.has_archive {
            let mut one = Self::default();
            if let Ok(wrong) = self.attempt(&mut one, place, session, said, &BTreeSet::new()) {
                self.add(&one);
                return wrong;
            }
        }
        let here = Place { disk: &RealDisk, has_archive: false, ..*place };
        let away = place.gone(session).intersection(archived).copied().collect();
        let mut one = Self::default();
        let wrong = self.attempt(&mut one, &here, session, said, &away).unwrap_or(None);
        self.add(&one);
        wrong
    }

    /// Compares a tape in `one`; not once the archive could not be reached, which may take minutes to find out.
    fn attempt(
        &mut self,
        one: &mut Self,
        place: &Place<'_>,
        session: SessionId,
        said: &Said,
        away: &BTreeSet<Part>,
    ) -> Result<Option<Wrong>, Unreached> {
        if place.has_archive && self.unreached.is_some() && !place.gone(session).is_empty() {
            return Err(Unreached);
        }
        let wrong = one.compare(place, session, said, away);
        self.unreached = self.unreached.take().or(one.unreached.take());
        wrong
    }

    fn add(&mut self, one: &Self) {
        self.matching += one.matching;
        self.parts += one.parts;
        self.truncated += one.truncated;
        self.sealed += one.sealed;
        self.away += one.away;
    }

    /// Compares what is there of a tape, without the parts that are away; the first thing that is wrong.
    fn compare(
        &mut self,
        place: &Place<'_>,
        session: SessionId,
        said: &Said,
        away: &BTreeSet<Part>,
    ) -> Result<Option<Wrong>, Unreached> {
        let Read { ended, end } = Read::of(place, session, said, away);
        match &end {
            End::Of(Err(TapeReadError::Sealed)) => {
                self.sealed += 1;
                return Ok(None);
            }
            End::Of(Err(TapeReadError::Disk(error))) if gateway::archive::is_unreached(error) => {
                self.unreached = Some(error.to_string());
                return Err(Unreached);
            }
            End::Of(_) | End::Away => {}
        }
        for (position, part) in said.parts.iter().filter(|(_, part)| !away.contains(&part.part)) {
            match ended.get(&part.part) {
                Some(found) if found == part => self.parts += 1,
                Some(_) => {
                    return Ok(Some((*position, format!("is not the one that was recorded, in part {}", part.part))));
                }
                None => {
                    let error = end.error().map_or_else(|| String::from("ends before it"), unreadable);
                    return Ok(Some((*position, format!("lacks part {}: it {error}", part.part))));
                }
            }
        }
        let wrong = match (end, said.whole) {
            (End::Away, _) | (_, None) => None,
            (End::Of(Ok((found, end))), Some((_, whole))) if found == whole => {
                let is_whole = away.is_empty();
                self.matching += u64::from(is_whole);
                self.truncated += u64::from(is_whole && end != TapeEnd::Complete);
                None
            }
            (End::Of(Ok(_)), Some((position, _))) => Some((position, String::from("is not the one that was recorded"))),
            (End::Of(Err(error)), Some((position, _))) => Some((position, unreadable(&error))),
        };
        self.away += u64::from(wrong.is_none() && !away.is_empty());
        Ok(wrong)
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        let broke_off = "of them as far as they were written before their session broke off";
        let more = [
            (self.truncated, broke_off),
            (self.parts, "parts of tapes that went on in another match"),
            (self.removed, "were removed"),
            (self.sealed, "are sealed and were not opened: give --tape-key"),
            (
                self.away,
                "are in the archive and were not compared as a whole: that takes --config, and its secret in a variable or a file",
            ),
        ];
        let more = more.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{} tapes match{}", self.matching, more.collect::<String>())
    }
}

/// The archive could not be reached: why is in [`Tapes::unreached`].
struct Unreached;

fn unreadable(error: &TapeReadError) -> String {
    match error {
        TapeReadError::Disk(why) => format!("cannot be read: {why}"),
        error => format!("cannot be read: {error}"),
    }
}
