//! Tapes against what the journal says of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ledger::tape::{EndedPart, KeyStore, Part, TapeEnd, TapeReadError, TapeReader};
use ledger::{Reader, RealDisk};
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
    pub(super) fault: Option<String>,
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
    pub(super) fn verify(journal: &Path, dir: &Path, keys: Option<&KeyStore>) -> Self {
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
                    found.compare(dir, session, &said, keys).into_iter().for_each(|is| drop(wrong.insert(session, is)));
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
            found.compare(dir, session, &said, keys).into_iter().for_each(|is| drop(wrong.insert(session, is)));
        }
        let first = wrong.iter().min_by_key(|(_, (position, _))| *position);
        found.fault = first
            .map(|(session, (position, error))| format!("the tape of session {session} (entry {position}) {error}"));
        found
    }

    /// Compares what is there of a tape; the first thing that is wrong.
    fn compare(&mut self, dir: &Path, session: SessionId, said: &Said, keys: Option<&KeyStore>) -> Option<Wrong> {
        let mut ended = BTreeMap::new();
        let opened = TapeReader::open(&RealDisk, dir, session, keys);
        let read = opened.and_then(|mut tape| {
            tape.digests(|part| {
                ended.insert(part.part, part);
            })
        });
        if matches!(read, Err(TapeReadError::Sealed)) {
            self.sealed += 1;
            return None;
        }
        let unreadable = |error: &TapeReadError| format!("cannot be read: {error}");
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
        ];
        let more = more.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{} tapes match{}", self.matching, more.collect::<String>())
    }
}
