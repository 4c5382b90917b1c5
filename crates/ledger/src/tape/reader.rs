//! Reading a tape, live, truncated, finished or compressed: its parts one after the other, one of them at a time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::id::{Digest, SessionId};
use model::time::Timestamp;

use super::part::{Part, Spot};
use super::rotate::EndedPart;
use super::seal::{KeyStore, TapeKey};
use super::{Kind, RECORD_HEADER, digest_of, part_digest};
use crate::disk::Disk;

mod part;

pub(super) use part::{Advance, PartEnd, PartReader};

/// Why a tape cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TapeReadError {
    /// The disk failed, or there is no such tape.
    #[error("the tape cannot be read")]
    Disk(#[from] io::Error),
    /// Not as it was written, at this byte of an uncompressed part (of the file, where its frame is damaged).
    #[error("the tape is damaged at {0}")]
    Damaged(Spot),
    /// It ends there without having been finished.
    #[error("the tape is truncated at {0}")]
    Truncated(Spot),
    /// It is sealed, and whoever reads has no keys for tapes.
    #[error("the tape is sealed, and there are no keys to open it")]
    Sealed,
    /// Its key was destroyed: nobody can read it any more.
    #[error("the tape's key was destroyed")]
    Shredded,
    /// Its key was sealed with another key, or tampered with.
    #[error("the key for tapes does not open this tape's key")]
    WrongKey,
}

/// How a tape ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TapeEnd {
    /// Everything is there.
    Complete,
    /// The session's process died, or the disk failed: nothing from there on.
    Truncated {
        /// Where.
        at: Spot,
    },
}

/// One piece of what passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Which way, or what else it is.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// The bytes, or for [`Kind::Cut`] the declaration.
    pub content: Vec<u8>,
}

/// A disk that is lent, or shared.
#[derive(Debug)]
enum On<'d> {
    Lent(&'d dyn Disk),
    Shared(Arc<dyn Disk>),
}

impl On<'_> {
    fn disk(&self) -> &dyn Disk {
        match self {
            Self::Lent(disk) => *disk,
            Self::Shared(disk) => disk.as_ref(),
        }
    }
}

/// Reads a tape from its beginning.
#[derive(Debug)]
pub struct TapeReader<'d> {
    disk: On<'d>,
    dir: PathBuf,
    session: SessionId,
    /// Of the tape, if it is sealed.
    key: Option<TapeKey>,
    /// The part that is read from.
    first: Part,
    /// The part that is read.
    part: PartReader,
    end: Option<TapeEnd>,
}

impl<'d> TapeReader<'d> {
    /// Opens the tape of a session; a sealed one with the key that `keys` has of it.
    ///
    /// # Errors
    /// If there is none, its header is not that of this session's tape, or it is sealed and cannot be opened.
    pub fn open(
        disk: &'d dyn Disk,
        dir: &Path,
        session: SessionId,
        keys: Option<&KeyStore>,
    ) -> Result<Self, TapeReadError> {
        Self::open_on(On::Lent(disk), dir, session, Part::FIRST, keys)
    }

    /// As [`TapeReader::open`], from a part on, without those before it: where they are not here. That the part names the
    /// digest of the one before it is in its own digest.
    ///
    /// # Errors
    /// As [`TapeReader::open`].
    pub fn open_from(
        disk: &'d dyn Disk,
        dir: &Path,
        session: SessionId,
        part: Part,
        keys: Option<&KeyStore>,
    ) -> Result<Self, TapeReadError> {
        Self::open_on(On::Lent(disk), dir, session, part, keys)
    }

    /// As [`TapeReader::open`], for a reader that is kept.
    ///
    /// # Errors
    /// As [`TapeReader::open`].
    pub fn open_shared(
        disk: Arc<dyn Disk>,
        dir: &Path,
        session: SessionId,
        keys: Option<&KeyStore>,
    ) -> Result<TapeReader<'static>, TapeReadError> {
        TapeReader::open_on(On::Shared(disk), dir, session, Part::FIRST, keys)
    }

    fn open_on(
        disk: On<'d>,
        dir: &Path,
        session: SessionId,
        first: Part,
        keys: Option<&KeyStore>,
    ) -> Result<Self, TapeReadError> {
        let key = || keys.ok_or(TapeReadError::Sealed)?.open(disk.disk(), session);
        let part = PartReader::open(disk.disk(), dir, session, first, &key)?;
        let key = part.key().map(|key| key.of(first));
        Ok(Self { disk, dir: dir.to_owned(), session, key, first, part, end: None })
    }

    /// When the session began, or, after [`TapeReader::skip_towards`], the part that is read.
    pub const fn started(&self) -> Timestamp {
        self.part.header().started
    }

    /// The next record; `None` at the end, and then [`TapeReader::end`] says how it ends. On the tape of a live session
    /// it can be called again.
    ///
    /// # Errors
    /// If the disk fails, or something is damaged in the middle: whole records after bytes that are none.
    #[expect(clippy::should_implement_trait, reason = "None is not final on a live tape")]
    pub fn next(&mut self) -> Result<Option<Record>, TapeReadError> {
        loop {
            match self.advance()? {
                Advance::Record(Kind::End | Kind::Continued, _) => {}
                Advance::Record(kind, at) => {
                    let content = self.part.record().get(RECORD_HEADER..).unwrap_or_default().to_vec();
                    return Ok(Some(Record { kind, at, content }));
                }
                Advance::Ended(PartEnd::Continued) if self.enter_next()?.is_some() => {}
                Advance::Ended(end) => {
                    self.end = Some(self.tape_end(end)?);
                    return Ok(None);
                }
            }
        }
    }

    /// How the tape ends; `None` before [`TapeReader::next`] came to its end.
    pub const fn end(&self) -> Option<TapeEnd> {
        self.end
    }

    /// Goes to the first record at or after `at`. Records are in the order in which they were made; where the clock
    /// jumped back, to the first such record after the jump.
    ///
    /// # Errors
    /// As [`TapeReader::next`].
    pub fn seek(&mut self, at: Timestamp) -> Result<(), TapeReadError> {
        self.restart()?;
        while let Some(next) = self.next_part()?.filter(|next| next.header().started < at) {
            self.part = next;
        }
        self.part.seek(at)
    }

    /// Goes to the beginning of the latest part that began by `at` and can be understood without those before it. Before
    /// that is nothing that was answered at `at` or later.
    ///
    /// # Errors
    /// As [`TapeReader::next`].
    pub fn skip_towards(&mut self, at: Timestamp) -> Result<(), TapeReadError> {
        self.restart()?;
        let mut from = self.part.part();
        while let Some(next) = self.next_part()?.filter(|next| next.header().started <= at) {
            if next.header().follows.is_some_and(|follows| follows.is_fresh) {
                from = next.part();
            }
            self.part = next;
        }
        self.part = self.open_part(from)?;
        Ok(())
    }

    /// Reads the whole tape and returns its digest and length, to be compared with those in the journal.
    ///
    /// # Errors
    /// If the disk fails, or the tape is damaged or truncated.
    pub fn digest(&mut self) -> Result<(Digest, u64), TapeReadError> {
        match self.digest_of_what_is_there()? {
            (digest, TapeEnd::Complete) => Ok(digest),
            (_, TapeEnd::Truncated { at }) => Err(TapeReadError::Truncated(at)),
        }
    }

    /// Likewise of a tape that was never finished: of its whole records, and how it ends. Of one that was, it is the same as
    /// [`TapeReader::digest`].
    ///
    /// # Errors
    /// If the disk fails, or the tape is damaged.
    pub fn digest_of_what_is_there(&mut self) -> Result<((Digest, u64), TapeEnd), TapeReadError> {
        self.digests(|_| ())
    }

    /// Likewise, and tells of each part that another one follows, or was to follow.
    ///
    /// # Errors
    /// As [`TapeReader::digest_of_what_is_there`].
    pub fn digests(&mut self, mut tell: impl FnMut(EndedPart)) -> Result<((Digest, u64), TapeEnd), TapeReadError> {
        self.restart()?;
        let mut before = 0u64;
        loop {
            let (digest, length, end) = self.digest_of_part()?;
            let total = before.saturating_add(length);
            if end == PartEnd::Continued {
                tell(EndedPart { part: self.part.part(), digest, length });
                if let Some(follows) = self.enter_next()? {
                    if follows != digest {
                        return Err(TapeReadError::Damaged(Spot { part: self.part.part(), offset: 0 }));
                    }
                    before = total;
                    continue;
                }
            }
            return Ok(((digest, total), self.tape_end(end)?));
        }
    }

    /// Reads the present part.
    fn digest_of_part(&mut self) -> Result<(Digest, u64, PartEnd), TapeReadError> {
        let header = self.part.header_bytes();
        let mut context = part_digest(self.key.as_ref(), header);
        let mut length = u64::try_from(header.len()).map_err(io::Error::other)?;
        loop {
            match self.advance()? {
                Advance::Record(..) => {
                    let record = self.part.record();
                    context.update(record);
                    length = length.saturating_add(u64::try_from(record.len()).map_err(io::Error::other)?);
                }
                Advance::Ended(end) => return Ok((digest_of(context), length, end)),
            }
        }
    }

    /// Goes on to the next record of the present part. A torn end that another part follows is damage.
    fn advance(&mut self) -> Result<Advance, TapeReadError> {
        let found = self.part.advance()?;
        let Advance::Ended(PartEnd::Torn(_)) = found else { return Ok(found) };
        if self.next_part()?.is_none() {
            return Ok(found);
        }
        // The next part may have been begun in between.
        match self.part.advance()? {
            Advance::Ended(PartEnd::Torn(at)) => Err(TapeReadError::Damaged(at)),
            found => Ok(found),
        }
    }

    /// How the tape ends where its last part ends like that.
    fn tape_end(&self, end: PartEnd) -> Result<TapeEnd, TapeReadError> {
        let nothing_of = |part| TapeEnd::Truncated { at: Spot { part, offset: 0 } };
        match end {
            PartEnd::Complete if self.next_part()?.is_some() => {
                let part = self.part.part().next().unwrap_or(self.part.part());
                Err(TapeReadError::Damaged(Spot { part, offset: 0 }))
            }
            PartEnd::Complete => Ok(TapeEnd::Complete),
            PartEnd::Continued => Ok(nothing_of(self.part.part().next().unwrap_or(self.part.part()))),
            PartEnd::Torn(at) => Ok(TapeEnd::Truncated { at }),
        }
    }

    fn restart(&mut self) -> Result<(), TapeReadError> {
        self.end = None;
        if self.part.part() != self.first {
            self.part = self.open_part(self.first)?;
        }
        Ok(self.part.rewind()?)
    }

    /// Goes to the beginning of the next part, if it was begun; the digest that it has of the present one.
    fn enter_next(&mut self) -> Result<Option<Digest>, TapeReadError> {
        let Some(next) = self.next_part()? else { return Ok(None) };
        let follows = next.header().follows;
        self.part = next;
        Ok(follows.map(|follows| follows.before))
    }

    /// The next part, if it was begun.
    fn next_part(&self) -> Result<Option<PartReader>, TapeReadError> {
        let Some(next) = self.part.part().next() else { return Ok(None) };
        match self.open_part(next) {
            Ok(part) => Ok(Some(part)),
            Err(TapeReadError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // It has no whole header yet, or never will.
            Err(TapeReadError::Truncated(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_part(&self, part: Part) -> Result<PartReader, TapeReadError> {
        let key = || self.key.as_ref().map(|key| key.of(part)).ok_or(TapeReadError::Damaged(Spot { part, offset: 0 }));
        let opened = PartReader::open(self.disk.disk(), &self.dir, self.session, part, &key)?;
        // A part in clear in the place of a sealed one was not written by Sluice.
        if opened.key().is_some() == self.key.is_some() {
            Ok(opened)
        } else {
            Err(TapeReadError::Damaged(Spot { part, offset: 0 }))
        }
    }
}
