//! The tape of a session: what passed in both directions, as the caller saw it.
//!
//! ```text
//! "SLUICET" | version u8 | session u64 | started u64 | crc32c u32                           all little-endian
//! crc32c u32 | kind u8 | at u64 (ms since the epoch) | length u32 | bytes                  one record; crc of the rest
//! ```
//!
//! Where a session has several channels, a record's bytes begin with the [`Track`] that they passed on.
//!
//! Version 1 is a tape in clear. In the file of a version 2 tape the bytes of each record are sealed, their tag behind
//! them, and length and crc are those of the sealed bytes ([`KeyStore`]).
//!
//! A long tape is a row of parts ([`Tape::rotate`]), each a file of its own that begins like this, version 4 where it is
//! sealed; all but the last end with [`Kind::Continued`]:
//!
//! ```text
//! "SLUICET" | version u8 (3) | session u64 | started u64 | part u32 | fresh u32 | digest of the part before | crc32c u32
//! ```
//!
//! So the digest of the last part is that of the whole tape.
//!
//! [`Tape::record`] returns after write(2), so what was recorded survives a SIGKILL, and a [`Taped`] proves it. What was
//! recorded before a [`LiveTape::sync`] began, or when the tape has ended, survives a power cut as well. The last record of
//! a tape that was finished is [`Kind::End`]; a tape without one is read as truncated. [`compress()`] rewrites
//! a finished tape to a fraction of its size; its digest is that of the records in clear, so it stays the same.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use model::id::{Digest, SessionId};
use model::time::Timestamp;

use crate::disk::{Disk, append_all};

mod archived;
mod files;
mod live;
mod packed;
mod part;
mod reader;
mod rotate;
mod seal;
mod track;

pub use archived::{Archive, Archived, WithArchive};
pub use files::{PartFiles, exists, parts, parts_of_session, remove, remove_archived, remove_unfinished, sessions};
pub use live::LiveTape;
pub use packed::compress;
pub use part::{Part, Spot};
pub use reader::{Record, TapeEnd, TapeReadError, TapeReader};
pub use rotate::{Ended, EndedPart};
pub use seal::{Drawn, KeyStore};
pub use track::{Direction, Lane, Track};

use live::{Names, Shared};
use part::Header;
use seal::{Place, TapeKey};

/// Bytes in front of a record's content.
pub(crate) const RECORD_HEADER: usize = 17;
/// The longest content of one record; more is split over several.
pub(crate) const MAX_RECORD: usize = 256 * 1024;

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// From the caller.
    FromClient,
    /// To the caller, as it saw it.
    ToClient,
    /// Something was left out on purpose; the content says what and why, as text.
    Cut,
    /// The tape is whole.
    End,
    /// The part is whole, and the tape goes on in the next one.
    Continued,
    /// From the caller, on one of several tracks: the content begins with a [`Track`].
    FromClientOn,
    /// To the caller, as it saw it, on one of several tracks: the content begins with a [`Track`].
    ToClientOn,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::FromClient => 1,
            Self::ToClient => 2,
            Self::Cut => 3,
            Self::End => 4,
            Self::Continued => 5,
            Self::FromClientOn => 6,
            Self::ToClientOn => 7,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::FromClient),
            2 => Some(Self::ToClient),
            3 => Some(Self::Cut),
            4 => Some(Self::End),
            5 => Some(Self::Continued),
            6 => Some(Self::FromClientOn),
            7 => Some(Self::ToClientOn),
            _ => None,
        }
    }
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The disk failed; the tape takes nothing more.
    #[error("the tape cannot be written")]
    Disk(#[from] io::Error),
    /// The disk failed before. The session has to end.
    #[error("the tape failed before")]
    Failed,
}

/// Proof that bytes are in a session's tape. Nobody makes one, and one is never two:
///
/// ```compile_fail,E0277
/// fn is_cloned<T: Clone>() {}
/// is_cloned::<ledger::Taped>();
/// ```
///
/// ```
/// fn is_told<T: std::fmt::Debug>() {}
/// is_told::<ledger::Taped>();
/// ```
#[derive(PartialEq, Eq, Debug)]
#[must_use = "it is what allows bytes to be delivered"]
pub struct Taped {
    session: SessionId,
    kind: Kind,
    offset: u64,
    length: u64,
}

impl Taped {
    /// Whose tape it is.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// In which direction the bytes went.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where in the tape the first record is.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes of content were recorded.
    pub const fn length(&self) -> u64 {
        self.length
    }
}

/// The tape of a live session.
pub struct Tape {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Of the present part, as are its file and its key.
    header: Header,
    file: Arc<Shared>,
    key: Option<TapeKey>,
    /// Of the tape in clear, what waits included.
    length: u64,
    /// How long the parts before the present one are in clear.
    part_at: u64,
    /// How much of the present part is its header.
    part_header: u64,
    /// Of the present part.
    digest: Context,
    /// As it goes to the file.
    buffer: Vec<u8>,
    /// How much is in the file.
    written: u64,
    failed: bool,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = out.debug_struct("Tape");
        out.field("session", &self.session()).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Tape {
    /// Begins the tape of a session in `dir`, which is created if need be; sealed, if there are keys for tapes.
    ///
    /// # Errors
    /// If the disk fails, or the session has a tape already.
    pub fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        session: SessionId,
        now: Timestamp,
        seal: Option<(&KeyStore, &Drawn)>,
    ) -> Result<Self, TapeError> {
        let key = seal.map(|(keys, drawn)| keys.create(disk.as_ref(), session, drawn)).transpose()?;
        let (key, key_file) = key.unzip();
        let names = Names { disk: Arc::clone(disk), dirs: vec![dir.to_owned()], key: key_file, before: None };
        disk.create_dir(dir)?;
        let file = disk.create(&part::path(dir, session, Part::FIRST))?;
        let header = Header { session, started: now, is_sealed: key.is_some(), follows: None };
        let mut tape = Self {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            header,
            file: Arc::new(Shared::new(file, names)),
            key,
            length: 0,
            part_at: 0,
            part_header: 0,
            digest: Context::new(&SHA256),
            buffer: Vec::new(),
            written: 0,
            failed: false,
        };
        tape.take_up(header)?;
        Ok(tape)
    }

    /// Begins with a part whose file is there.
    fn take_up(&mut self, header: Header) -> Result<(), TapeError> {
        self.header = header;
        self.buffer = header.encode();
        self.digest = part_digest(self.key.as_ref(), &self.buffer);
        self.part_at = self.length;
        self.part_header = u64::try_from(self.buffer.len()).map_err(io::Error::other)?;
        self.length = self.length.saturating_add(self.part_header);
        self.written = 0;
        self.write()
    }

    /// Records what passed at `at` in one direction, given in parts, with one write(2).
    ///
    /// # Errors
    /// If the disk fails or failed before: then nothing more can be recorded, and the session has to end.
    pub fn record(&mut self, kind: Kind, at: Timestamp, parts: &[&[u8]]) -> Result<Taped, TapeError> {
        let (offset, length) = self.put(kind, None, at, parts)?;
        self.write()?;
        Ok(Taped { session: self.session(), kind, offset, length })
    }

    /// As [`Tape::record`], for what passed on one track of several. The proof counts the content alone.
    ///
    /// # Errors
    /// As [`Tape::record`].
    pub fn record_on(
        &mut self,
        direction: Direction,
        track: Track,
        at: Timestamp,
        parts: &[&[u8]],
    ) -> Result<Taped, TapeError> {
        let kind = direction.kind();
        let (offset, length) = self.put(kind, Some(track), at, parts)?;
        self.write()?;
        Ok(Taped { session: self.session(), kind, offset, length })
    }

    /// As [`Tape::precede`], on one track of several.
    ///
    /// # Errors
    /// As [`Tape::record`], of earlier records.
    pub fn precede_on(
        &mut self,
        direction: Direction,
        track: Track,
        at: Timestamp,
        parts: &[&[u8]],
    ) -> Result<(), TapeError> {
        self.put(direction.kind(), Some(track), at, parts).map(|_| ())
    }

    /// As [`Tape::record`], but written together with what is recorded next, or by [`Tape::flush`] or the end: for what
    /// is not delivered, and so needs no proof yet.
    ///
    /// # Errors
    /// As [`Tape::record`], of earlier records.
    pub fn precede(&mut self, kind: Kind, at: Timestamp, parts: &[&[u8]]) -> Result<(), TapeError> {
        self.put(kind, None, at, parts).map(|_| ())
    }

    /// Puts records in the buffer; says where in the tape they will be, and how many bytes of content they hold.
    fn put(
        &mut self,
        kind: Kind,
        track: Option<Track>,
        at: Timestamp,
        parts: &[&[u8]],
    ) -> Result<(u64, u64), TapeError> {
        if self.failed || self.file.is_lost() {
            return Err(TapeError::Failed);
        }
        let offset = self.length;
        let mut length = 0u64;
        let mut open: Option<usize> = None;
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let start = *open.get_or_insert_with(|| begin_record(&mut self.buffer, kind, track, at));
                let used = self.buffer.len().saturating_sub(start.saturating_add(RECORD_HEADER));
                let (now, later) = rest.split_at_checked(MAX_RECORD.saturating_sub(used)).unwrap_or((rest, &[]));
                self.buffer.extend_from_slice(now);
                length = length.saturating_add(u64::try_from(now.len()).map_err(io::Error::other)?);
                rest = later;
                if !later.is_empty() {
                    self.end_record(start)?;
                    open = None;
                }
            }
        }
        if let Some(start) = open {
            self.end_record(start)?;
        }
        Ok((offset, length))
    }

    /// Ends the record that begins at `start` of the buffer: it counts for length and digest, and is sealed.
    fn end_record(&mut self, start: usize) -> io::Result<()> {
        let record = self.buffer.get_mut(start..).unwrap_or_default();
        complete(record)?;
        self.digest.update(record);
        self.length = self.length.saturating_add(u64::try_from(record.len()).map_err(io::Error::other)?);
        let Some(key) = &self.key else { return Ok(()) };
        let place = Place::Record(self.written.saturating_add(u64::try_from(start).map_err(io::Error::other)?));
        let Some((head, content)) = record.split_at_mut_checked(RECORD_HEADER) else { return Ok(()) };
        let tag = key.seal(place, kind_and_time(head), content)?;
        self.buffer.extend_from_slice(tag.as_ref());
        complete(self.buffer.get_mut(start..).unwrap_or_default())
    }

    /// Writes what waits for the next record.
    ///
    /// # Errors
    /// As [`Tape::record`].
    pub fn flush(&mut self) -> Result<(), TapeError> {
        self.write()
    }

    /// How many bytes wait in memory for the next record or [`Tape::flush`].
    pub const fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Gives back the room of what is written. For a session that has gone quiet.
    pub fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    /// Declares that something is left out of the tape from here on, or was: what, and why.
    ///
    /// # Errors
    /// As [`Tape::record`].
    pub fn declare_cut(&mut self, at: Timestamp, what: &str) -> Result<Taped, TapeError> {
        self.record(Kind::Cut, at, &[what.as_bytes()])
    }

    /// The present part for whoever syncs it beside its session: without that, it survives a power cut once it has ended.
    pub fn live(&self) -> LiveTape {
        LiveTape::new(self.session(), &self.file)
    }

    /// Whose tape it is.
    pub const fn session(&self) -> SessionId {
        self.header.session
    }

    /// How long the tape is in clear, in bytes, what waits to be written included.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Ends the tape, syncs it, and returns its digest and length for the journal: the digest of its last part, which covers
    /// those before, and the length of all.
    ///
    /// # Errors
    /// As [`Tape::record`]; the tape is then one that is read as truncated.
    pub fn finish(mut self, at: Timestamp) -> Result<(Digest, u64), TapeError> {
        let start = begin_record(&mut self.buffer, Kind::End, None, at);
        self.end_record(start)?;
        self.write()?;
        self.file.sync()?;
        Ok((digest_of(self.digest), self.length))
    }

    fn write(&mut self) -> Result<(), TapeError> {
        if self.failed || self.file.is_lost() {
            return Err(TapeError::Failed);
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        append_all(self.file.file(), &self.buffer).inspect_err(|_| self.failed = true)?;
        self.written = self.written.saturating_add(u64::try_from(self.buffer.len()).map_err(io::Error::other)?);
        self.buffer.clear();
        Ok(())
    }
}

pub(crate) fn digest_of(context: Context) -> Digest {
    let mut digest = Digest::default();
    digest.0.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

/// The beginning of a part's digest.
fn part_digest(key: Option<&TapeKey>, header: &[u8]) -> Context {
    let mut digest = Context::new(&SHA256);
    digest.update(key.map_or(&[], TapeKey::salt));
    digest.update(header);
    digest
}

fn begin_record(buffer: &mut Vec<u8>, kind: Kind, track: Option<Track>, at: Timestamp) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.push(kind.code());
    buffer.extend_from_slice(&at.0.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    if let Some(track) = track {
        buffer.extend_from_slice(&track.label());
    }
    start
}

/// Writes length and checksum into a record whose content is there.
pub(crate) fn complete(record: &mut [u8]) -> io::Result<()> {
    let length = u32::try_from(record.len().saturating_sub(RECORD_HEADER)).map_err(io::Error::other)?;
    record.iter_mut().skip(13).zip(length.to_le_bytes()).for_each(|(to, from)| *to = from);
    let crc = crc32c::crc32c(record.get(4..).unwrap_or_default());
    record.iter_mut().zip(crc.to_le_bytes()).for_each(|(to, from)| *to = from);
    Ok(())
}

/// What is authenticated with a record's content: kind and time.
fn kind_and_time(head: &[u8]) -> &[u8] {
    head.get(4..13).unwrap_or_default()
}

#[cfg(test)]
mod tests;
