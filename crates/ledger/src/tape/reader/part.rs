//! Reading one part of a tape, as it is written or compressed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::id::SessionId;
use model::time::Timestamp;

use super::TapeReadError;
use crate::disk::{Disk, DiskFile};
use crate::tape::packed::Packed;
use crate::tape::part::{Header, Part, Spot, packed_path, path};
use crate::tape::seal::{Place, TAG, TapeKey};
use crate::tape::{Kind, MAX_RECORD, RECORD_HEADER, complete, kind_and_time};

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

/// What is at the present position.
pub(in crate::tape) enum Advance {
    /// A whole record, the last one of the part included: [`PartReader::record`] has it.
    Record(Kind, Timestamp),
    /// Nothing more.
    Ended(PartEnd),
}

/// How a part ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::tape) enum PartEnd {
    /// And the tape with it.
    Complete,
    /// And the next one follows.
    Continued,
    /// Without having been finished, here.
    Torn(Spot),
}

/// Reads a part from its beginning.
#[derive(Debug)]
pub(in crate::tape) struct PartReader {
    part: Part,
    content: Content,
    header: Header,
    header_bytes: Vec<u8>,
    offset: u64,
    record: Vec<u8>,
    /// How it ends, once that is known for good.
    end: Option<Kind>,
}

impl PartReader {
    /// Opens a part; a sealed one with the key that `key` finds.
    pub(in crate::tape) fn open(
        disk: &dyn Disk,
        dir: &Path,
        session: SessionId,
        part: Part,
        key: &dyn Fn() -> Result<TapeKey, TapeReadError>,
    ) -> Result<Self, TapeReadError> {
        match disk.open_read(&packed_path(dir, session, part)) {
            Ok(file) => Self::packed(file, session, part, key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::open_live(disk, dir, session, part, key),
            Err(error) => Err(error.into()),
        }
    }

    /// Likewise as it was written, even if it was compressed since.
    pub(in crate::tape) fn open_live(
        disk: &dyn Disk,
        dir: &Path,
        session: SessionId,
        part: Part,
        key: &dyn Fn() -> Result<TapeKey, TapeReadError>,
    ) -> Result<Self, TapeReadError> {
        let file = Ahead::new(disk.open_read(&path(dir, session, part))?);
        Self::of(Content::Live(file, None), session, part, key)
    }

    /// Likewise from its compressed file, whatever that is called.
    pub(in crate::tape) fn packed(
        file: Arc<dyn DiskFile>,
        session: SessionId,
        part: Part,
        key: &dyn Fn() -> Result<TapeKey, TapeReadError>,
    ) -> Result<Self, TapeReadError> {
        Self::of(Content::Packed(Packed::open(part, file, key)?), session, part, key)
    }

    fn of(
        mut content: Content,
        session: SessionId,
        part: Part,
        key: &dyn Fn() -> Result<TapeKey, TapeReadError>,
    ) -> Result<Self, TapeReadError> {
        let length = Header::length(part);
        let header_bytes = content.read(0, length)?;
        let start = Spot { part, offset: 0 };
        let header = match Header::parse(&header_bytes, session, part) {
            Some(header) => header,
            None if header_bytes.len() < length => return Err(TapeReadError::Truncated(start)),
            None => return Err(TapeReadError::Damaged(start)),
        };
        if let (true, Content::Live(_, sealed)) = (header.is_sealed, &mut content) {
            *sealed = Some(key()?.of(part));
        }
        let offset = u64::try_from(length).map_err(io::Error::other)?;
        Ok(Self { part, content, header, header_bytes, offset, record: Vec::new(), end: None })
    }

    pub(in crate::tape) const fn part(&self) -> Part {
        self.part
    }

    pub(in crate::tape) const fn header(&self) -> Header {
        self.header
    }

    pub(in crate::tape) fn header_bytes(&self) -> &[u8] {
        &self.header_bytes
    }

    /// What opens it, if it is sealed.
    pub(in crate::tape) const fn key(&self) -> Option<&TapeKey> {
        match &self.content {
            Content::Live(_, key) => key.as_ref(),
            Content::Packed(packed) => packed.key(),
        }
    }

    pub(in crate::tape) const fn is_compressed(&self) -> bool {
        matches!(self.content, Content::Packed(_))
    }

    /// The record that was come upon last, in clear and with its header.
    pub(in crate::tape) fn record(&self) -> &[u8] {
        &self.record
    }

    /// Goes on to the next record. Behind a torn end it can be called again: a part that is written may have grown.
    pub(in crate::tape) fn advance(&mut self) -> Result<Advance, TapeReadError> {
        match self.end {
            Some(Kind::Continued) => return Ok(Advance::Ended(PartEnd::Continued)),
            Some(_) => return Ok(Advance::Ended(PartEnd::Complete)),
            None => {}
        }
        let Some((kind, at)) = self.load(self.offset)? else { return self.stop() };
        let length = u64::try_from(self.record.len()).map_err(io::Error::other)?;
        self.unseal()?;
        self.offset = self.offset.saturating_add(length);
        if matches!(kind, Kind::End | Kind::Continued) {
            if !self.content.read(self.offset, 1)?.is_empty() {
                return Err(TapeReadError::Damaged(self.here()));
            }
            self.end = Some(kind);
        }
        Ok(Advance::Record(kind, at))
    }

    /// Goes back to the beginning.
    pub(in crate::tape) fn rewind(&mut self) -> io::Result<()> {
        self.offset = u64::try_from(self.header_bytes.len()).map_err(io::Error::other)?;
        self.end = None;
        Ok(())
    }

    /// Goes to the first record at or after `at`; to the end if there is none.
    pub(in crate::tape) fn seek(&mut self, at: Timestamp) -> Result<(), TapeReadError> {
        self.rewind()?;
        if let Content::Packed(packed) = &self.content {
            self.offset = packed.seek(at).max(self.offset);
        }
        loop {
            let before = self.offset;
            match self.advance()? {
                Advance::Record(_, now) if now < at => {}
                Advance::Record(..) => {
                    self.offset = before;
                    self.end = None;
                    return Ok(());
                }
                Advance::Ended(_) => return Ok(()),
            }
        }
    }

    const fn here(&self) -> Spot {
        Spot { part: self.part, offset: self.offset }
    }

    /// Bytes that are no record: the torn end, or damage.
    fn stop(&mut self) -> Result<Advance, TapeReadError> {
        let longest = MAX_RECORD.saturating_add(RECORD_HEADER).saturating_add(TAG).saturating_mul(2);
        let rest = self.content.read(self.offset, longest)?;
        // A part that is written may have grown since the look before.
        if !self.is_compressed() && parse_record(&rest).is_some() {
            return self.advance();
        }
        let frames_follow = (1..rest.len()).any(|at| parse_record(rest.get(at..).unwrap_or_default()).is_some());
        if frames_follow || self.is_compressed() {
            return Err(TapeReadError::Damaged(self.here()));
        }
        Ok(Advance::Ended(PartEnd::Torn(self.here())))
    }

    /// Reads the record at `offset` into `self.record`; `None` if there is no whole one.
    fn load(&mut self, offset: u64) -> Result<Option<(Kind, Timestamp)>, TapeReadError> {
        self.record = self.content.read(offset, RECORD_HEADER)?;
        let Some(length) = content_length(&self.record) else { return Ok(None) };
        let rest_at = offset.saturating_add(u64::try_from(RECORD_HEADER).map_err(io::Error::other)?);
        let content = self.content.read(rest_at, length)?;
        self.record.extend_from_slice(&content);
        Ok(parse_record(&self.record))
    }

    /// Puts a sealed record in clear, as it was before it was sealed.
    fn unseal(&mut self) -> Result<(), TapeReadError> {
        let bad = TapeReadError::Damaged(self.here());
        let Content::Live(_, Some(key)) = &self.content else { return Ok(()) };
        let Some((head, content)) = self.record.split_at_mut_checked(RECORD_HEADER) else { return Err(bad) };
        key.open(Place::Record(self.offset), kind_and_time(head), content).ok_or(bad)?;
        self.record.truncate(self.record.len().saturating_sub(TAG));
        Ok(complete(&mut self.record)?)
    }
}

impl Content {
    /// As many bytes from `offset` on as there are, up to `length`.
    fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, TapeReadError> {
        let mut bytes = vec![0; length];
        let mut filled = 0usize;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(filled).map_err(io::Error::other)?);
            let count = match self {
                Self::Live(file, _) => file.read_at(at, rest)?,
                Self::Packed(packed) => packed.read_at(at, rest)?,
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
