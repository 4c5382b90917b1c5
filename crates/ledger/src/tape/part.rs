//! The parts of a tape, and how each begins.

use std::path::{Path, PathBuf};

use model::id::{Digest, SessionId};
use model::time::Timestamp;

/// The first part of a tape: in clear, and sealed.
const MAGIC: &[u8; 8] = b"SLUICET\x01";
const MAGIC_SEALED: &[u8; 8] = b"SLUICET\x02";
/// Those that follow.
const MAGIC_LATER: &[u8; 8] = b"SLUICET\x03";
const MAGIC_LATER_SEALED: &[u8; 8] = b"SLUICET\x04";
/// Bytes of the first part's header, and of the others'.
pub(super) const HEADER: usize = 28;
pub(super) const HEADER_LATER: usize = 68;

/// Which part of a tape, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Part(u32);

impl Part {
    /// The one that a tape begins with.
    pub const FIRST: Self = Self(1);
    /// How many there can be: nonces have room for twice as many ([`Part::index`]).
    const MOST: u32 = 1 << 30;
    /// The last that there can be.
    pub const LAST: Self = Self(Self::MOST);

    /// The part with this number, if there can be one.
    pub const fn of(number: u32) -> Option<Self> {
        if number >= 1 && number <= Self::MOST { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::of(self.0.saturating_add(1))
    }

    /// Its number counted from 0.
    pub(super) const fn index(self) -> u32 {
        self.0.saturating_sub(1)
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

/// A place on a tape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// In this part.
    pub part: Part,
    /// At this byte of it.
    pub offset: u64,
}

impl std::fmt::Display for Spot {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "byte {}", self.offset)?;
        if self.part == Part::FIRST { Ok(()) } else { write!(out, " of part {}", self.part) }
    }
}

/// How a part begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) session: SessionId,
    pub(super) started: Timestamp,
    pub(super) is_sealed: bool,
    /// What it follows; `None` for the first.
    pub(super) follows: Option<Follows>,
}

/// How a part hangs on the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Follows {
    pub(super) part: Part,
    /// Whether nothing that was asked before it is answered in it.
    pub(super) is_fresh: bool,
    /// The digest of the part before.
    pub(super) before: Digest,
}

impl Header {
    /// How long the header of a part is.
    pub(super) const fn length(part: Part) -> usize {
        if part.0 == Part::FIRST.0 { HEADER } else { HEADER_LATER }
    }

    pub(super) fn part(&self) -> Part {
        self.follows.map_or(Part::FIRST, |follows| follows.part)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let magic = match (self.follows, self.is_sealed) {
            (None, false) => MAGIC,
            (None, true) => MAGIC_SEALED,
            (Some(_), false) => MAGIC_LATER,
            (Some(_), true) => MAGIC_LATER_SEALED,
        };
        let mut bytes = magic.to_vec();
        bytes.extend_from_slice(&self.session.bits().to_le_bytes());
        bytes.extend_from_slice(&self.started.0.to_le_bytes());
        if let Some(follows) = self.follows {
            bytes.extend_from_slice(&follows.part.0.to_le_bytes());
            bytes.extend_from_slice(&u32::from(follows.is_fresh).to_le_bytes());
            bytes.extend_from_slice(&follows.before.0);
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in `bytes`; `None` if they are not the whole header of this part of this session's tape.
    pub(super) fn parse(bytes: &[u8], session: SessionId, part: Part) -> Option<Self> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, rest) = covered.split_first_chunk::<8>()?;
        let (bits, rest) = rest.split_first_chunk::<8>()?;
        let (started, rest) = rest.split_first_chunk::<8>()?;
        let (is_sealed, is_later) = match magic {
            MAGIC => (false, false),
            MAGIC_SEALED => (true, false),
            MAGIC_LATER => (false, true),
            MAGIC_LATER_SEALED => (true, true),
            _ => return None,
        };
        let follows = if is_later { Some(Follows::parse(rest)?) } else { None };
        let started = Timestamp(u64::from_le_bytes(*started));
        let header = Self { session, started, is_sealed, follows };
        let ours = u64::from_le_bytes(*bits) == session.bits() && header.part() == part;
        let whole = bytes.len() == Self::length(part) && u32::from_le_bytes(*crc) == crc32c::crc32c(covered);
        (ours && whole).then_some(header)
    }
}

impl Follows {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk::<4>()?;
        let (fresh, before) = rest.split_first_chunk::<4>()?;
        // Nothing follows the first by being the first.
        let part = Part::of(u32::from_le_bytes(*number)).filter(|part| *part != Part::FIRST)?;
        let is_fresh = match u32::from_le_bytes(*fresh) {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self { part, is_fresh, before: Digest(before.try_into().ok()?) })
    }
}

/// Whether a part's file that begins like this is sealed.
pub(super) fn is_sealed(magic: &[u8; 8]) -> bool {
    [MAGIC_SEALED, MAGIC_LATER_SEALED].contains(&magic)
}

/// The directory of the parts that follow a session's first.
pub(super) fn later_dir(dir: &Path, session: SessionId) -> PathBuf {
    dir.join(format!("{session}.parts"))
}

/// The path of a part while it is written and until it is compressed.
pub(crate) fn path(dir: &Path, session: SessionId, part: Part) -> PathBuf {
    if part == Part::FIRST {
        return dir.join(format!("{session}.tape"));
    }
    later_dir(dir, session).join(format!("{:05}.tape", part.0))
}

/// The path of a compressed part.
pub(super) fn packed_path(dir: &Path, session: SessionId, part: Part) -> PathBuf {
    path(dir, session, part).with_extension("tapez")
}

/// The path of what says where a part is in the archive.
pub(super) fn archived_path(dir: &Path, session: SessionId, part: Part) -> PathBuf {
    path(dir, session, part).with_extension("archived")
}
