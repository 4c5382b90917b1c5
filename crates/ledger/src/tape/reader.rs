//! Reading a tape, live, truncated, finished or compressed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use model::id::{Digest, SessionId};
use model::time::Timestamp;

use super::packed::{self, Packed};
use super::seal::{KeyStore, Place, TAG, TapeKey};
use super::{HEADER, Kind, MAGIC, MAGIC_SEALED, MAX_RECORD, RECORD_HEADER, complete, digest_of, kind_and_time};
use crate::disk::{Disk, DiskFile};

/// Why a tape cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TapeReadError {
    /// The disk failed, or there is no such tape.
    #[error("the tape cannot be read")]
    Disk(#[from] io::Error),
    /// Not as it was written, at this byte of the uncompressed tape (of the file, where its frame is damaged).
    #[error("the tape is damaged at byte {0}")]
    Damaged(u64),
    /// It ends at this byte without having been finished.
    #[error("the tape is truncated at byte {0}")]
    Truncated(u64),
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
    /// The session's process died, or the disk failed: nothing from this byte on.
    Truncated {
        /// The byte.
        offset: u64,
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

/// Where the records are.
#[derive(Debug)]
enum Content {
    /// In the file as they were written; sealed one by one if there is a key.
    Live(Ahead, Option<TapeKey>),
    /// In the compressed file, which opens what is sealed itself.
    Packed(Packed),
}

/// A file that is read in larger pieces than it is asked for.
#[derive(Debug)]
struct Ahead {
    file: Arc<dyn DiskFile>,
    piece: Vec<u8>,
    /// Where in the file the piece begins.
    at: u64,
}

/// How long such a piece is.
const PIECE: usize = 64 * 1024;

impl Ahead {
    fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, piece: Vec::new(), at: 0 }
    }

    /// Reads at a position; 0 means the end of the file as it is now.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if into.len() >= PIECE {
            return self.file.read_at(offset, into);
        }
        let wanted = into.len();
        if self.from(offset).len() < wanted {
            // What lies beyond the piece may have been written since.
            self.piece.resize(PIECE, 0);
            let filled = self.file.read_at(offset, &mut self.piece);
            self.piece.truncate(*filled.as_ref().unwrap_or(&0));
            self.at = offset;
            filled?;
        }
        let known = self.from(offset);
        into.iter_mut().zip(known).for_each(|(to, from)| *to = *from);
        Ok(known.len().min(wanted))
    }

    fn from(&self, offset: u64) -> &[u8] {
        let skip = offset.checked_sub(self.at).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.piece.get(skip..)).unwrap_or_default()
    }
}

/// Reads a tape from its beginning.
#[derive(Debug)]
pub struct TapeReader {
    content: Content,
    header: Vec<u8>,
    started: Timestamp,
    offset: u64,
    record: Vec<u8>,
    end: Option<TapeEnd>,
}

/// What is at the present position, undecoded.
pub(super) enum Step<'a> {
    /// A whole record, its header included.
    Record { at: Timestamp, bytes: &'a [u8] },
    /// Nothing more.
    Ended(TapeEnd),
}

impl TapeReader {
    /// Opens the tape of a session; a sealed one with the key that `keys` has of it.
    ///
    /// # Errors
    /// If there is none, its header is not that of this session's tape, or it is sealed and cannot be opened.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        session: SessionId,
        keys: Option<&KeyStore>,
    ) -> Result<Self, TapeReadError> {
        let key = || keys.ok_or(TapeReadError::Sealed)?.open(disk, session);
        let content = match disk.open_read(&packed::path(dir, session)) {
            Ok(file) => Content::Packed(Packed::open(file, key)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Content::Live(Ahead::new(disk.open_read(&super::path(dir, session))?), None)
            }
            Err(error) => return Err(error.into()),
        };
        let mut reader =
            Self { content, header: Vec::new(), started: Timestamp(0), offset: 0, record: Vec::new(), end: None };
        reader.header = reader.read(0, HEADER)?;
        match parse_header(&reader.header, session) {
            Some(started) => reader.started = started,
            None if reader.header.len() < HEADER => return Err(TapeReadError::Truncated(0)),
            None => return Err(TapeReadError::Damaged(0)),
        }
        if reader.header.starts_with(MAGIC_SEALED)
            && let Content::Live(_, sealed) = &mut reader.content
        {
            *sealed = Some(key()?);
        }
        reader.offset = u64::try_from(HEADER).map_err(io::Error::other)?;
        Ok(reader)
    }

    /// When the session began.
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// The next record; `None` at the end, and then [`TapeReader::end`] says how it ends. On the tape of a live session
    /// it can be called again.
    ///
    /// # Errors
    /// If the disk fails, or something is damaged in the middle: whole records after bytes that are none.
    #[expect(clippy::should_implement_trait, reason = "None is not final on a live tape")]
    pub fn next(&mut self) -> Result<Option<Record>, TapeReadError> {
        let Step::Record { at, bytes } = self.step()? else { return Ok(None) };
        let kind = bytes.get(4).copied().and_then(Kind::from_code);
        let content = bytes.get(RECORD_HEADER..).unwrap_or_default().to_vec();
        match kind {
            Some(Kind::End) | None => Ok(None),
            Some(kind) => Ok(Some(Record { kind, at, content })),
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
        let start = u64::try_from(HEADER).map_err(io::Error::other)?;
        self.end = None;
        self.offset = match &self.content {
            Content::Live(..) => start,
            Content::Packed(packed) => packed.seek(at).max(start),
        };
        loop {
            let before = self.offset;
            match self.step()? {
                Step::Record { at: now, .. } if now < at => {}
                Step::Record { .. } => {
                    self.offset = before;
                    self.end = None;
                    return Ok(());
                }
                Step::Ended(_) => return Ok(()),
            }
        }
    }

    /// Reads the whole tape and returns its digest and length, to be compared with those in the journal.
    ///
    /// # Errors
    /// If the disk fails, or the tape is damaged or truncated.
    pub fn digest(&mut self) -> Result<(Digest, u64), TapeReadError> {
        match self.digest_of_what_is_there()? {
            (digest, TapeEnd::Complete) => Ok(digest),
            (_, TapeEnd::Truncated { offset }) => Err(TapeReadError::Truncated(offset)),
        }
    }

    /// Likewise of a tape that was never finished: of its whole records, and how it ends. Of one that was, it is the same as
    /// [`TapeReader::digest`].
    ///
    /// # Errors
    /// If the disk fails, or the tape is damaged.
    pub fn digest_of_what_is_there(&mut self) -> Result<((Digest, u64), TapeEnd), TapeReadError> {
        let mut context = Context::new(&SHA256);
        context.update(self.key().map_or(&[], TapeKey::salt));
        context.update(&self.header);
        self.offset = u64::try_from(HEADER).map_err(io::Error::other)?;
        self.end = None;
        let mut length = self.offset;
        loop {
            match self.step()? {
                Step::Record { bytes, .. } => {
                    context.update(bytes);
                    length = length.saturating_add(u64::try_from(bytes.len()).map_err(io::Error::other)?);
                }
                Step::Ended(end) => return Ok(((digest_of(context), length), end)),
            }
        }
    }

    const fn key(&self) -> Option<&TapeKey> {
        match &self.content {
            Content::Live(_, key) => key.as_ref(),
            Content::Packed(packed) => packed.key(),
        }
    }

    pub(super) const fn is_sealed(&self) -> bool {
        self.key().is_some()
    }

    pub(super) const fn is_compressed(&self) -> bool {
        matches!(self.content, Content::Packed(_))
    }

    pub(super) fn header_bytes(&self) -> Vec<u8> {
        self.header.clone()
    }

    /// The next record, [`Kind::End`] included.
    pub(super) fn step(&mut self) -> Result<Step<'_>, TapeReadError> {
        if self.end == Some(TapeEnd::Complete) {
            return Ok(Step::Ended(TapeEnd::Complete));
        }
        let found = self.load(self.offset)?;
        let Some((kind, at)) = found else { return self.stop() };
        let length = u64::try_from(self.record.len()).map_err(io::Error::other)?;
        self.unseal()?;
        self.offset = self.offset.saturating_add(length);
        if kind == Kind::End {
            if !self.read(self.offset, 1)?.is_empty() {
                return Err(TapeReadError::Damaged(self.offset));
            }
            self.end = Some(TapeEnd::Complete);
        }
        Ok(Step::Record { at, bytes: &self.record })
    }

    /// Bytes that are no record: the torn end, or damage.
    fn stop(&mut self) -> Result<Step<'_>, TapeReadError> {
        let offset = self.offset;
        let rest = self.read(offset, MAX_RECORD.saturating_add(RECORD_HEADER).saturating_add(TAG).saturating_mul(2))?;
        let frames_follow = (1..rest.len()).any(|at| parse_record(rest.get(at..).unwrap_or_default()).is_some());
        if frames_follow || matches!(self.content, Content::Packed(_)) {
            return Err(TapeReadError::Damaged(offset));
        }
        let end = TapeEnd::Truncated { offset };
        self.end = Some(end);
        Ok(Step::Ended(end))
    }

    /// Reads the record at `offset` into `self.record`; `None` if there is no whole one.
    fn load(&mut self, offset: u64) -> Result<Option<(Kind, Timestamp)>, TapeReadError> {
        self.record = self.read(offset, RECORD_HEADER)?;
        let Some(length) = content_length(&self.record) else { return Ok(None) };
        let rest_at = offset.saturating_add(u64::try_from(RECORD_HEADER).map_err(io::Error::other)?);
        let content = self.read(rest_at, length)?;
        self.record.extend_from_slice(&content);
        Ok(parse_record(&self.record))
    }

    /// Puts a sealed record in clear, as it was before it was sealed.
    fn unseal(&mut self) -> Result<(), TapeReadError> {
        let Content::Live(_, Some(key)) = &self.content else { return Ok(()) };
        let bad = TapeReadError::Damaged(self.offset);
        let Some((head, content)) = self.record.split_at_mut_checked(RECORD_HEADER) else { return Err(bad) };
        key.open(Place::Record(self.offset), kind_and_time(head), content).ok_or(bad)?;
        self.record.truncate(self.record.len().saturating_sub(TAG));
        Ok(complete(&mut self.record)?)
    }

    /// As many bytes from `offset` on as there are, up to `length`.
    fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, TapeReadError> {
        let mut bytes = vec![0; length];
        let mut filled = 0usize;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(filled).map_err(io::Error::other)?);
            let count = match &mut self.content {
                Content::Live(file, _) => file.read_at(at, rest)?,
                Content::Packed(packed) => packed.read_at(at, rest)?,
            };
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn parse_header(header: &[u8], session: SessionId) -> Option<Timestamp> {
    let rest = header.strip_prefix(MAGIC).or_else(|| header.strip_prefix(MAGIC_SEALED))?;
    let (bits, rest) = rest.split_first_chunk::<8>()?;
    let (started, rest) = rest.split_first_chunk::<8>()?;
    let crc = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let covered = header.get(..24)?;
    let ours = u64::from_le_bytes(*bits) == session.bits() && crc == crc32c::crc32c(covered);
    ours.then_some(Timestamp(u64::from_le_bytes(*started)))
}

/// The content's length that a record's header claims, if it can be.
fn content_length(record: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*record.get(13..)?.first_chunk::<4>()?);
    usize::try_from(length).ok().filter(|length| *length <= MAX_RECORD.saturating_add(TAG))
}

/// The record at the beginning of `bytes`, if there is a whole one.
fn parse_record(bytes: &[u8]) -> Option<(Kind, Timestamp)> {
    let length = content_length(bytes)?;
    let covered = bytes.get(4..RECORD_HEADER.checked_add(length)?)?;
    let kind = Kind::from_code(*covered.first()?)?;
    let crc = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
    let at = u64::from_le_bytes(*covered.get(1..)?.first_chunk::<8>()?);
    (crc == crc32c::crc32c(covered)).then_some((kind, Timestamp(at)))
}
