//! Verifying tiles by themselves: entries, hashes and checkpoint, without the journal.

use std::io;
use std::path::Path;

use super::{CHECKPOINT, File, Kind, Tiler, WIDTH, path};
use crate::disk::{Disk, read_small};
use crate::frame::{self, MAX_PAYLOAD};
use crate::merkle::{self, Edge, Hash};
use crate::note::{MAX_NOTE, Note, VerifyingKey};
use crate::rotation::{self, Learned};

/// What is in a directory of tiles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TilesReport {
    /// How many entries there are.
    pub entries: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// The first file that is not as it has to be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct TilesFault {
    /// Which, below the directory.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

fn fault(file: impl Into<String>, what: impl Into<String>) -> TilesFault {
    TilesFault { file: file.into(), what: what.into() }
}

/// Verifies the tiles in `dir` with a key of the journal: the one that signed the checkpoint, or one before it, from which
/// the entries lead to it. Files that do not belong to the checkpoint's tree are not looked at.
///
/// # Errors
/// The first file that is wrong or cannot be read.
pub fn verify_tiles(disk: &dyn Disk, dir: &Path, key: &VerifyingKey) -> Result<TilesReport, TilesFault> {
    let note = read_small(disk, &dir.join(CHECKPOINT), MAX_NOTE).map_err(|error| unreadable(CHECKPOINT, &error))?;
    let wrong = |error: crate::note::NoteError| fault(CHECKPOINT, error.to_string());
    // How much there is to read; whether it was signed can only be told with the keys that are in it.
    let size = Note::parse(&note).and_then(|note| note.head().map(|head| head.size)).map_err(wrong)?;
    let mut walk = Walk { disk, dir, tiler: Tiler::default(), edge: Edge::default(), keys: Learned::default() };
    for number in 0..size.div_ceil(256) {
        let rest = size.saturating_sub(number.saturating_mul(256));
        walk.bundle(number, usize::try_from(rest).unwrap_or(WIDTH).min(WIDTH))?;
    }
    walk.tiler.finish(&mut |file| compare(disk, dir, &file))?;
    let checkpoint = walk.keys.known_by(key).open(&note).map_err(wrong)?;
    if *checkpoint.root() != walk.edge.root() {
        return Err(fault(CHECKPOINT, "it signed another tree than that of the tiles"));
    }
    Ok(TilesReport { entries: size, root: walk.edge.root() })
}

fn unreadable(file: impl Into<String>, error: &io::Error) -> TilesFault {
    match error.kind() {
        io::ErrorKind::NotFound => fault(file, "it is missing"),
        _ => fault(file, error.to_string()),
    }
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    tiler: Tiler,
    edge: Edge,
    keys: Learned,
}

impl Walk<'_> {
    fn bundle(&mut self, number: u64, width: usize) -> Result<(), TilesFault> {
        let file = path(Kind::Entries, number, width);
        let most = WIDTH.saturating_mul(MAX_PAYLOAD.saturating_add(2));
        let content =
            read_small(self.disk, &self.dir.join(&file), most).map_err(|error| unreadable(file.as_str(), &error))?;
        let mut rest = content.as_slice();
        for _ in 0..width {
            let (payload, after) = split(rest).ok_or_else(|| fault(file.as_str(), "it is too short"))?;
            self.entry(payload).map_err(|what| fault(file.as_str(), what))?;
            let (disk, dir) = (self.disk, self.dir);
            // The bundle itself was just read.
            self.tiler.push(payload, &mut |tile| match tile.kind {
                Kind::Entries => Ok(()),
                Kind::Hashes(_) => compare(disk, dir, &tile),
            })?;
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(fault(file, "it is too long")) }
    }

    fn entry(&mut self, payload: &[u8]) -> Result<(), String> {
        let index = self.edge.size();
        let entry = frame::decode(payload).map_err(|error| format!("entry {index}: {error}"))?;
        if rotation::is_change(&entry.event) {
            self.keys.learn(&entry.event, index, &self.edge.root()).map_err(|why| format!("entry {index}: {why}"))?;
        }
        self.edge.push(merkle::leaf_hash(payload));
        Ok(())
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn compare(disk: &dyn Disk, dir: &Path, expected: &File<'_>) -> Result<(), TilesFault> {
    let file = expected.path();
    let most = WIDTH.saturating_mul(MAX_PAYLOAD.saturating_add(2));
    let content = read_small(disk, &dir.join(&file), most).map_err(|error| unreadable(file.as_str(), &error))?;
    if content == expected.content { Ok(()) } else { Err(fault(file, "it is not what the entries make")) }
}
