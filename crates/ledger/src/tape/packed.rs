//! The compressed form of a part of a tape.
//!
//! ```text
//! "SLUICEZ" | version u8 | blocks | index | index offset u64 | crc32c u32 | "SLUICEZ" | version u8
//! block = a zstd frame over whole records in clear (the first also over the part's header); in version 2 it is sealed
//! index = per block: offset u64 | length u32 | crc32c u32 | uncompressed offset u64 | uncompressed length u32 | first at u64
//! ```
//!
//! The index is at the end and covered by the checksum before the closing magic, so a file that was cut is not taken
//! for a shorter tape. Its content, uncompressed, is the part as it was written, byte for byte.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use model::id::{Digest, SessionId};
use model::time::Timestamp;

use super::part::{HEADER_LATER, Part, Spot, packed_path, path};
use super::reader::{Advance, PartEnd, PartReader, TapeReadError};
use super::seal::{KeyStore, Place, TapeKey};
use super::{MAX_RECORD, RECORD_HEADER, digest_of};
use crate::disk::{Disk, DiskFile, append_all, read_full};

const MAGIC: &[u8; 8] = b"SLUICEZ\x01";
const MAGIC_SEALED: &[u8; 8] = b"SLUICEZ\x02";
const INDEX_ENTRY: usize = 36;
const FOOTER: usize = 20;
/// Uncompressed bytes after which a block ends.
const BLOCK: usize = 256 * 1024;
/// The most that a block can hold: a record more than [`BLOCK`].
const MAX_BLOCK: usize = BLOCK + MAX_RECORD + RECORD_HEADER + HEADER_LATER;
/// Fast, and about a third of the size on rows of text.
const LEVEL: i32 = 1;

/// Rewrites a part that ended to its compressed form, and removes the other. Each record's checksum is checked on the way,
/// and what was written is read again before anything goes. A part that is compressed already stays as it is.
///
/// # Errors
/// If the disk fails, or the part is not complete: a truncated tape is evidence and is left alone.
pub fn compress(
    disk: &dyn Disk,
    dir: &Path,
    session: SessionId,
    part: Part,
    keys: Option<&KeyStore>,
) -> Result<(), TapeReadError> {
    let key = || keys.ok_or(TapeReadError::Sealed)?.open(disk, session);
    let reader = match PartReader::open_live(disk, dir, session, part, &key) {
        Err(TapeReadError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
            return PartReader::open(disk, dir, session, part, &key).map(drop);
        }
        opened => opened?,
    };
    let target = packed_path(dir, session, part);
    let temporary = temporary(&target);
    let written = pack(disk, &temporary, part, reader).and_then(|content| {
        let mut again = PartReader::packed(disk.open_read(&temporary)?, session, part, &key)?;
        if content_of(&mut again)? == content { Ok(()) } else { Err(TapeReadError::Damaged(Spot { part, offset: 0 })) }
    });
    if let Err(error) = written {
        // Sluice removes what is left of it when it starts.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, &target)?;
    target.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))?;
    disk.remove(&path(dir, session, part))?;
    Ok(())
}

/// A name that no other call has: whoever compresses the same part meanwhile has a file of its own.
fn temporary(target: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    target.with_extension(format!("{}.new", CALLS.fetch_add(1, Ordering::Relaxed)))
}

/// Writes the compressed form of a part, and syncs it; the digest of what is in it.
fn pack(disk: &dyn Disk, to: &Path, part: Part, mut reader: PartReader) -> Result<Digest, TapeReadError> {
    let packer = zstd::bulk::Compressor::new(LEVEL)?;
    let key = reader.key().map(|key| key.of(part));
    let mut writer = Writer { file: disk.create(to)?, key, packer, offset: 0, index: Vec::new() };
    writer.append(writer.magic())?;
    let mut block = reader.header_bytes().to_vec();
    let mut digest = Context::new(&SHA256);
    digest.update(&block);
    let (mut length, mut first_at) = (0u64, reader.header().started);
    loop {
        let end = match reader.advance()? {
            Advance::Record(_, at) => {
                if block.is_empty() {
                    first_at = at;
                }
                block.extend_from_slice(reader.record());
                digest.update(reader.record());
                false
            }
            Advance::Ended(PartEnd::Complete | PartEnd::Continued) => true,
            Advance::Ended(PartEnd::Torn(at)) => return Err(TapeReadError::Truncated(at)),
        };
        if block.len() >= BLOCK || (end && !block.is_empty()) {
            writer.block(&block, length, first_at)?;
            length = length.saturating_add(u64::try_from(block.len()).map_err(io::Error::other)?);
            block.clear();
        }
        if end {
            break;
        }
    }
    writer.finish()?;
    Ok(digest_of(digest))
}

/// The digest of what is in a part, read to its end.
fn content_of(reader: &mut PartReader) -> Result<Digest, TapeReadError> {
    let mut digest = Context::new(&SHA256);
    digest.update(reader.header_bytes());
    loop {
        match reader.advance()? {
            Advance::Record(..) => digest.update(reader.record()),
            Advance::Ended(PartEnd::Complete | PartEnd::Continued) => return Ok(digest_of(digest)),
            Advance::Ended(PartEnd::Torn(at)) => return Err(TapeReadError::Truncated(at)),
        }
    }
}

struct Writer {
    file: Arc<dyn DiskFile>,
    key: Option<TapeKey>,
    packer: zstd::bulk::Compressor<'static>,
    offset: u64,
    index: Vec<u8>,
}

impl Writer {
    const fn magic(&self) -> &'static [u8; 8] {
        if self.key.is_some() { MAGIC_SEALED } else { MAGIC }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        append_all(self.file.as_ref(), bytes)?;
        self.offset = self.offset.saturating_add(u64::try_from(bytes.len()).map_err(io::Error::other)?);
        Ok(())
    }

    fn block(&mut self, content: &[u8], at: u64, first_at: Timestamp) -> io::Result<()> {
        let mut packed = self.packer.compress(content)?;
        if let Some(key) = &self.key {
            let tag = key.seal(Place::Block(at), &[], &mut packed)?;
            packed.extend_from_slice(tag.as_ref());
        }
        let (offset, length) = (self.offset, u32::try_from(packed.len()).map_err(io::Error::other)?);
        let content_length = u32::try_from(content.len()).map_err(io::Error::other)?;
        self.index.extend_from_slice(&offset.to_le_bytes());
        self.index.extend_from_slice(&length.to_le_bytes());
        self.index.extend_from_slice(&crc32c::crc32c(&packed).to_le_bytes());
        self.index.extend_from_slice(&at.to_le_bytes());
        self.index.extend_from_slice(&content_length.to_le_bytes());
        self.index.extend_from_slice(&first_at.0.to_le_bytes());
        self.append(&packed)
    }

    fn finish(mut self) -> io::Result<()> {
        let mut end = std::mem::take(&mut self.index);
        end.extend_from_slice(&self.offset.to_le_bytes());
        let crc = crc32c::crc32c(&end);
        end.extend_from_slice(&crc.to_le_bytes());
        end.extend_from_slice(self.magic());
        self.append(&end)?;
        self.file.sync()
    }
}

/// Whether a file that begins like this is sealed.
pub(super) fn is_sealed(magic: &[u8; 8]) -> bool {
    magic == MAGIC_SEALED
}

/// Reads a compressed part as if it were not.
#[derive(Debug)]
pub(super) struct Packed {
    part: Part,
    file: Arc<dyn DiskFile>,
    key: Option<TapeKey>,
    blocks: Vec<Block>,
    /// The block that was read last, and its content.
    open: Option<(usize, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    offset: u64,
    length: u32,
    crc: u32,
    content_at: u64,
    content_length: u32,
    first_at: Timestamp,
}

impl Packed {
    /// Opens the file; a sealed one with the key that `key` finds.
    pub(super) fn open(
        part: Part,
        file: Arc<dyn DiskFile>,
        key: impl FnOnce() -> Result<TapeKey, TapeReadError>,
    ) -> Result<Self, TapeReadError> {
        let damaged = |offset| TapeReadError::Damaged(Spot { part, offset });
        let read = |offset, length| read(&file, offset, length)?.ok_or_else(|| damaged(offset));
        let length = file.length()?;
        let footer = u64::try_from(FOOTER).map_err(io::Error::other)?;
        let footer_at = length.checked_sub(footer).ok_or_else(|| damaged(0))?;
        let (head, end) = (read(0, MAGIC.len())?, read(footer_at, FOOTER)?);
        let index_at = u64_at(&end, 0).filter(|at| *at <= footer_at).ok_or_else(|| damaged(footer_at))?;
        let index_length = usize::try_from(footer_at.saturating_sub(index_at)).map_err(io::Error::other)?;
        let mut covered = read(index_at, index_length)?;
        covered.extend_from_slice(end.get(..8).unwrap_or_default());
        let is_sealed = head == MAGIC_SEALED;
        let whole = (is_sealed || head == MAGIC)
            && end.ends_with(&head)
            && u32_at(&end, 8) == Some(crc32c::crc32c(&covered))
            && index_length.is_multiple_of(INDEX_ENTRY);
        let index = covered.get(..index_length).unwrap_or_default();
        let blocks: Option<Vec<Block>> = index.chunks_exact(INDEX_ENTRY).map(Block::decode).collect();
        let blocks = blocks.filter(|blocks| whole && follow_each_other(blocks, index_at));
        let blocks = blocks.ok_or_else(|| damaged(index_at))?;
        let key = is_sealed.then(key).transpose()?.map(|key| key.of(part));
        Ok(Self { part, blocks, file, key, open: None })
    }

    pub(super) const fn key(&self) -> Option<&TapeKey> {
        self.key.as_ref()
    }

    /// Reads at a position of the uncompressed part; 0 means its end.
    pub(super) fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, TapeReadError> {
        let number = self.blocks.partition_point(|block| block.content_at <= offset).checked_sub(1);
        let found = number.and_then(|number| Some((number, *self.blocks.get(number)?)));
        let Some((number, block)) = found else { return Ok(0) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            self.open = Some((number, self.unpack(block)?));
        }
        let content = self.open.as_ref().map_or(&[][..], |(_, content)| content);
        let skip = usize::try_from(offset.saturating_sub(block.content_at)).map_err(io::Error::other)?;
        let rest = content.get(skip..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(count)
    }

    /// The position of a block that begins before `at`, as near to it as the index knows; 0 for the part's beginning.
    pub(super) fn seek(&self, at: Timestamp) -> u64 {
        let after = self.blocks.partition_point(|block| block.first_at < at);
        after.checked_sub(1).and_then(|number| self.blocks.get(number)).map_or(0, |block| block.content_at)
    }

    fn unpack(&self, block: Block) -> Result<Vec<u8>, TapeReadError> {
        let length = usize::try_from(block.length).map_err(io::Error::other)?;
        let content_length = usize::try_from(block.content_length).map_err(io::Error::other)?;
        let bad = || TapeReadError::Damaged(Spot { part: self.part, offset: block.content_at });
        let mut packed = read(&self.file, block.offset, length)?.ok_or_else(bad)?;
        if crc32c::crc32c(&packed) != block.crc || content_length > MAX_BLOCK {
            return Err(bad());
        }
        let packed = match &self.key {
            Some(key) => key.open(Place::Block(block.content_at), &[], &mut packed).ok_or_else(bad)?,
            None => &mut packed,
        };
        let content = zstd::bulk::decompress(packed, content_length).map_err(|_| bad())?;
        if content.len() == content_length { Ok(content) } else { Err(bad()) }
    }
}

impl Block {
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            offset: u64_at(bytes, 0)?,
            length: u32_at(bytes, 8)?,
            crc: u32_at(bytes, 12)?,
            content_at: u64_at(bytes, 16)?,
            content_length: u32_at(bytes, 24)?,
            first_at: Timestamp(u64_at(bytes, 28)?),
        })
    }
}

/// Whether the blocks fill the file and the part without a gap.
fn follow_each_other(blocks: &[Block], index_at: u64) -> bool {
    let start = u64::try_from(MAGIC.len()).ok().map(|packed| (packed, 0u64));
    let end = blocks.iter().fold(start, |at, block| {
        let (packed, content) = at.filter(|at| *at == (block.offset, block.content_at))?;
        Some((packed.checked_add(block.length.into())?, content.checked_add(block.content_length.into())?))
    });
    end.is_some_and(|(packed, _)| packed == index_at)
}

/// So many bytes; `None` if there are fewer.
fn read(file: &Arc<dyn DiskFile>, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
    let available = file.length()?.saturating_sub(offset);
    if u64::try_from(length).map_err(io::Error::other)? > available {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    let filled = read_full(file.as_ref(), offset, &mut bytes)?;
    Ok((filled == length).then_some(bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}
