//! Tapes against what the journal says of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ledger::tape::{EndedPart, KeyStore, Part, TapeEnd, TapeReadError, TapeReader};
use ledger::{Disk, Reader, RealDisk};
use model::event::Event;
use model::id::{Digest, SessionId};

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
    /// Not compared: a part is in the archive, which was not named.
    pub(super) away: u64,
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
    /// Whether a part of the tape is in the archive and not here, and the archive is not looked at.
    fn is_away(&self, session: SessionId) -> bool {
        let parts = ledger::tape::parts_of_session(&RealDisk, self.dir, session).unwrap_or_default();
        !self.has_archive && parts.iter().any(|files| files.is_archived && !files.is_live && !files.is_packed)
    }
}

/// What the journal says of a tape, each with the position of its entry.
#[derive(Default)]
struct Said {
    /// The parts that ended.
    parts: Vec<(u64, EndedPart)>,
    /// The whole, once the session has ended.
    whole: Option<(u64, (Digest, u64))>,
}

/// Something that is not as the journal says, by the position of its entry.
type Wrong = (u64, String);

impl Tapes {
    /// Compares each closed session's tape with the digest and length that the journal has of it, and the parts that ended of
    /// the others.
    pub(super) fn verify(journal: &Path, place: &Place<'_>) -> Self {
        let mut reader = Reader::open(Arc::new(RealDisk), journal, 0);
        let mut found = Self::default();
        // Of sessions that go on: their end is compared with them, so that a tape is read once.
        let mut open: BTreeMap<SessionId, Said> = BTreeMap::new();
        // A tape that is not there may turn out to have been removed.
        let mut wrong: BTreeMap<SessionId, Wrong> = BTreeMap::new();
        loop {
            let (position, entry) = match reader.next() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => return Self { fault: Some(error.to_string()), ..found },
            };
            match entry.event {
                Event::TapePartEnded { session, part, digest, length } => match Part::of(part) {
                    Some(part) => {
                        let ended = EndedPart { part, digest, length };
                        open.entry(session).or_default().parts.push((position, ended));
                    }
                    None => drop(wrong.insert(session, (position, String::from("has a part that there cannot be")))),
                },
                Event::SessionClosed { session, tape: Some(tape), .. } => {
                    let said = Said { whole: Some((position, tape)), ..open.remove(&session).unwrap_or_default() };
                    found.compare(place, session, &said).into_iter().for_each(|is| drop(wrong.insert(session, is)));
                }
                Event::TapeRemoved { session, .. } => {
                    open.remove(&session);
                    wrong.remove(&session);
                    found.removed += 1;
                }
                _ => {}
            }
        }
        for (session, said) in open {
            found.compare(place, session, &said).into_iter().for_each(|is| drop(wrong.insert(session, is)));
        }
        let first = wrong.iter().min_by_key(|(_, (position, _))| *position);
        found.fault = first
            .map(|(session, (position, error))| format!("the tape of session {session} (entry {position}) {error}"));
        found
    }

    /// Compares what is there of a tape; the first thing that is wrong.
    fn compare(&mut self, place: &Place<'_>, session: SessionId, said: &Said) -> Option<Wrong> {
        let mut ended = BTreeMap::new();
        let opened = TapeReader::open(place.disk, place.dir, session, place.keys);
        let read = opened.and_then(|mut tape| {
            tape.digests(|part| {
                ended.insert(part.part, part);
            })
        });
        if matches!(read, Err(TapeReadError::Sealed)) {
            self.sealed += 1;
            return None;
        }
        if read.is_err() && place.is_away(session) {
            self.away += 1;
            return None;
        }
        let unreadable = |error: &TapeReadError| match error {
            TapeReadError::Disk(why) => format!("cannot be read: {why}"),
            error => format!("cannot be read: {error}"),
        };
        for (position, part) in &said.parts {
            match ended.get(&part.part) {
                Some(found) if found == part => self.parts += 1,
                Some(_) => {
                    return Some((*position, format!("is not the one that was recorded, in part {}", part.part)));
                }
                None => {
                    let error = read.as_ref().err().map_or_else(|| String::from("ends before it"), unreadable);
                    return Some((*position, format!("lacks part {}: it {error}", part.part)));
                }
            }
        }
        let (position, whole) = said.whole?;
        match read {
            Ok((found, end)) if found == whole => {
                self.matching += 1;
                self.truncated += u64::from(end != TapeEnd::Complete);
                None
            }
            Ok(_) => Some((position, String::from("is not the one that was recorded"))),
            Err(error) => Some((position, unreadable(&error))),
        }
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
                "are in the archive and were not fetched: that takes --config, and its secret in a variable or a file",
            ),
        ];
        let more = more.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{} tapes match{}", self.matching, more.collect::<String>())
    }
}
