//! A segment: a file of frames, behind a header that ties it to everything before it.
//!
//! ```text
//! "SLUICEJ" | version u8 (1) | first index u64 | the segment before: first index u64, length u64 | edge hashes
//! | crc32c u32 | frames                                                                         all little-endian
//! ```
//!
//! The edge hashes (one per one bit of the first index) are the right edge of the tree over all entries before this
//! segment. So a journal opens by reading its last segment alone, and `verify` compares them with what it computed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, read_full};
use crate::frame::{self, Parsed};
use crate::merkle::{Edge, Hash};

const MAGIC: &[u8; 8] = b"SLUICEJ\x01";
const FIXED: usize = 32;
/// The longest header: an edge has at most 64 hashes.
pub(crate) const MAX_HEADER: usize = FIXED + 64 * 32 + 4;

/// What a segment says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// The tree before this segment; its size is the index of the segment's first entry.
    pub(crate) edge: Edge,
    /// The index of the first entry of the segment before; 0 for the first segment.
    pub(crate) previous_first: u64,
    /// The length in bytes of the segment before; 0 for the first segment.
    pub(crate) previous_length: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_HEADER);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.edge.size().to_le_bytes());
        bytes.extend_from_slice(&self.previous_first.to_le_bytes());
        bytes.extend_from_slice(&self.previous_length.to_le_bytes());
        self.edge.hashes().iter().for_each(|hash| bytes.extend_from_slice(hash));
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the beginning of `bytes`, and its length.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (previous_first, rest) = rest.split_first_chunk::<8>()?;
        let (previous_length, rest) = rest.split_first_chunk::<8>()?;
        let first = u64::from_le_bytes(*first);
        let count = usize::try_from(first.count_ones()).ok()?;
        let hashes_end = count.checked_mul(32)?;
        let hashes: Vec<Hash> =
            rest.get(..hashes_end)?.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect();
        let (crc, _) = rest.get(hashes_end..)?.split_first_chunk::<4>()?;
        let covered = bytes.get(..FIXED.checked_add(hashes_end)?)?;
        let edge = Edge::from_parts(first, hashes)?;
        let previous_first = u64::from_le_bytes(*previous_first);
        let header = Self { edge, previous_first, previous_length: u64::from_le_bytes(*previous_length) };
        (crc32c::crc32c(covered) == u32::from_le_bytes(*crc)).then_some((header, covered.len().checked_add(4)?))
    }
}

/// The name of the segment whose first entry is `first`; names sort as the entries do.
pub(crate) fn file_name(first: u64) -> String {
    format!("{first:020}.segment")
}

/// The first entry of the segment with this name; `None` for other files.
pub(crate) fn first_index(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".segment")?;
    let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The path of the segment whose first entry is `first`.
pub(crate) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(file_name(first))
}

/// The first entries of all segments of a journal, in order.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let mut firsts: Vec<u64> = disk.list(dir)?.iter().filter_map(|name| first_index(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// Reads a segment from its beginning, frame by frame.
#[derive(Debug)]
pub(crate) struct Scan {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    /// Where in `buffer` the next frame begins.
    start: usize,
    /// Where in the file that is.
    offset: u64,
}

/// What a scan came upon.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Step<'a> {
    /// A whole frame.
    Frame {
        /// The index that it claims.
        index: u64,
        /// Its payload.
        payload: &'a [u8],
        /// Where it begins in the file.
        offset: u64,
    },
    /// The end of the file, at the end of a frame.
    End,
    /// Bytes that are no frame; the scan stays in front of them.
    Bad,
}

impl Scan {
    /// Opens a segment and reads its header; `None` if that is damaged.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Option<(Header, Self)>> {
        let file = disk.open_read(path)?;
        let mut head = vec![0; MAX_HEADER];
        let filled = read_full(file.as_ref(), 0, &mut head)?;
        head.truncate(filled);
        let Some((header, length)) = Header::decode(&head) else { return Ok(None) };
        let offset = u64::try_from(length).map_err(io::Error::other)?;
        Ok(Some((header, Self { file, buffer: Vec::new(), start: 0, offset })))
    }

    /// Where in the file the next frame begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the file.
    pub(crate) fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    /// The next frame. After [`Step::End`] or [`Step::Bad`] it can be called again, once the file has grown.
    pub(crate) fn next(&mut self) -> io::Result<Step<'_>> {
        let mut parsed_short = self.parsed_short();
        while parsed_short {
            if !self.fill()? {
                let at_end = self.buffer.len() == self.start;
                return Ok(if at_end { Step::End } else { Step::Bad });
            }
            parsed_short = self.parsed_short();
        }
        let from = self.start;
        let Some(Parsed::Frame { index, payload }) = self.buffer.get(from..).map(frame::parse) else {
            return Ok(Step::Bad);
        };
        let offset = self.offset;
        let length = frame::HEADER.saturating_add(payload.len());
        self.start = self.start.saturating_add(length);
        self.offset = self.offset.saturating_add(u64::try_from(length).map_err(io::Error::other)?);
        Ok(Step::Frame { index, payload, offset })
    }

    fn parsed_short(&self) -> bool {
        frame::is_short(self.buffer.get(self.start..).unwrap_or_default())
    }

    /// Reads on; whether there was anything.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let have = self.buffer.len();
        let at = self.offset.saturating_add(u64::try_from(have).map_err(io::Error::other)?);
        self.buffer.resize(have.saturating_add(CHUNK), 0);
        let filled = read_full(self.file.as_ref(), at, self.buffer.get_mut(have..).unwrap_or_default());
        self.buffer.truncate(have.saturating_add(*filled.as_ref().unwrap_or(&0)));
        filled.map(|count| count > 0)
    }

    /// Forgets what was read ahead, so that [`Scan::next`] looks at the file again.
    pub(crate) fn refresh(&mut self) {
        self.buffer.clear();
        self.start = 0;
    }

    /// Whether a whole frame lies anywhere after the bad bytes that the scan stands in front of: then they are not the
    /// torn end of the last write. `expected` is the index that should come next.
    pub(crate) fn frames_follow(&mut self, expected: u64) -> io::Result<bool> {
        while self.fill()? {}
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let most = expected.saturating_add(u64::try_from(rest.len()).map_err(io::Error::other)?);
        Ok((1..rest.len()).any(|at| {
            let parsed = frame::parse(rest.get(at..).unwrap_or_default());
            matches!(parsed, Parsed::Frame { index, .. } if index > expected && index <= most)
        }))
    }
}
