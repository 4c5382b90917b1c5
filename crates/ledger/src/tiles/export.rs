//! Writing the tiles of a journal, from where they ended.

use std::io;
use std::path::Path;

use super::{CHECKPOINT, File, Kind, Tiler, WIDTH, path, shifted};
use crate::checkpoints;
use crate::disk::{Disk, read_small, replace};
use crate::journal::{OpenError, hold};
use crate::merkle::{self, Edge, Hash};
use crate::note::{Checkpoint, MAX_NOTE, NoteError, VerifyingKey};
use crate::rotation::Keys;
use crate::segment::{self, Scan, Step};

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exported {
    /// The checkpoint that the tiles are of now.
    pub checkpoint: Checkpoint,
    /// How many entries they had before.
    pub before: u64,
}

/// Why the tiles are not those of the journal's latest checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum TilesError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// Another process writes the tiles.
    #[error("another process writes these tiles")]
    InUse,
    /// There is no checkpoint yet.
    #[error("the journal has no checkpoint yet; Sluice signs one every 10 seconds")]
    NotSigned,
    /// The journal's checkpoint is damaged.
    #[error("the journal's checkpoint: {0}")]
    Checkpoint(NoteError),
    /// The journal is not what its checkpoint signed.
    #[error("entry {0} of the journal is damaged, or not the signed one; run `sluice audit verify`")]
    Damaged(u64),
    /// The tiles that are there are not this journal's.
    #[error("{file} of the tiles is not of this journal: {what}; begin with an empty directory")]
    Tiles {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Brings the tiles in `dir` up to the latest checkpoint of the journal in `journal`, which is verified by `known` or by a
/// key that follows from it. What is written is compared with that checkpoint before that is written. If it is broken off,
/// the tiles are still those of the checkpoint that is there, and it can be called again.
///
/// # Errors
/// See [`TilesError`].
pub fn export(disk: &dyn Disk, journal: &Path, known: &VerifyingKey, dir: &Path) -> Result<Exported, TilesError> {
    let keys = Keys::of(disk, journal, known)?;
    let latest = read_checkpoint(disk, &journal.join(checkpoints::LATEST), &keys).map_err(TilesError::Checkpoint);
    let latest = latest??.ok_or(TilesError::NotSigned)?;
    disk.create_dir(dir)?;
    let _held = hold(disk, dir).map_err(|error| match error {
        OpenError::Disk(error) => TilesError::Disk(error),
        _ => TilesError::InUse,
    })?;
    let wrong = |error: NoteError| TilesError::Tiles { file: CHECKPOINT.to_owned(), what: error.to_string() };
    let there = read_checkpoint(disk, &dir.join(CHECKPOINT), &keys).map_err(wrong)??;
    let before = there.as_ref().map_or(0, Checkpoint::size);
    if before > latest.size() {
        let what = format!("it has {before} entries, and the journal has {}", latest.size());
        return Err(TilesError::Tiles { file: CHECKPOINT.to_owned(), what });
    }
    let work = Work { disk, journal, dir, latest: &latest, there: there.as_ref() };
    if before < latest.size() || there.is_none() {
        work.run(before - before % 256)?;
        replace(disk, &dir.join(CHECKPOINT), latest.note().as_bytes())?;
        work.tidy(before)?;
    } else if there.is_some_and(|there| there.root() != latest.root()) {
        return Err(TilesError::Tiles { file: CHECKPOINT.to_owned(), what: String::from("it is of another tree") });
    }
    Ok(Exported { checkpoint: latest, before })
}

fn read_checkpoint(disk: &dyn Disk, path: &Path, keys: &Keys) -> Result<io::Result<Option<Checkpoint>>, NoteError> {
    match read_small(disk, path, MAX_NOTE) {
        Ok(note) => keys.open(&note).map(|checkpoint| Ok(Some(checkpoint))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(None)),
        Err(error) => Ok(Err(error)),
    }
}

struct Work<'a> {
    disk: &'a dyn Disk,
    journal: &'a Path,
    dir: &'a Path,
    latest: &'a Checkpoint,
    there: Option<&'a Checkpoint>,
}

impl Work<'_> {
    /// Writes every tile that has an entry from `start` on, a multiple of 256.
    fn run(&self, start: u64) -> Result<(), TilesError> {
        let mut tiler = Tiler::resume(start, self.last_tiles(start)?);
        let edge = self.walk(start, &mut tiler)?;
        if edge.size() != self.latest.size() || edge.root() != *self.latest.root() {
            return Err(TilesError::Damaged(self.there.map_or(0, Checkpoint::size)));
        }
        tiler.finish(&mut |file| self.write(&file))
    }

    /// Of each level from the first on, the hashes of its last tile.
    fn last_tiles(&self, start: u64) -> Result<Vec<Vec<Hash>>, TilesError> {
        let levels = (1u32..=7).take_while(|level| shifted(start, *level) > 0);
        levels.map(|level| self.last_tile(start, level)).collect()
    }

    /// It is there with just that many hashes, or whole already where writing was broken off.
    fn last_tile(&self, start: u64, level: u32) -> Result<Vec<Hash>, TilesError> {
        let (number, width) = (shifted(start, level.saturating_add(1)), shifted(start, level) % 256);
        let width = usize::try_from(width).unwrap_or(0);
        if width == 0 {
            return Ok(Vec::new());
        }
        let kind = Kind::Hashes(usize::try_from(level).unwrap_or(0));
        let (partial, whole) = (path(kind, number, width), path(kind, number, WIDTH));
        let read = |file: &str| read_small(self.disk, &self.dir.join(file), WIDTH * 32);
        let content = match read(&partial) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => read(&whole),
            result => result,
        };
        let wrong = |what: String| TilesError::Tiles { file: partial.clone(), what };
        let content = content.map_err(|error| wrong(error.to_string()))?;
        let (hashes, _) = content.as_chunks::<32>();
        hashes.get(..width).map(<[Hash]>::to_vec).ok_or_else(|| wrong(String::from("it is too short")))
    }

    /// Reads the journal from `start` on, and returns its tree.
    fn walk(&self, start: u64, tiler: &mut Tiler) -> Result<Edge, TilesError> {
        let firsts = segment::list(self.disk, self.journal)?;
        let begin = firsts.iter().rposition(|first| *first <= start).ok_or(TilesError::Damaged(0))?;
        let mut edge: Option<Edge> = None;
        for first in firsts.into_iter().skip(begin).take_while(|first| *first <= self.latest.size()) {
            let opened = Scan::open(self.disk, &segment::path(self.journal, first))?;
            let (header, mut scan) = opened.ok_or(TilesError::Damaged(first))?;
            let edge = edge.get_or_insert_with(|| header.edge.clone());
            loop {
                self.compare(edge, start, tiler)?;
                if edge.size() == self.latest.size() {
                    break;
                }
                match scan.next()? {
                    Step::Frame { index, payload, .. } if index == edge.size() => {
                        edge.push(merkle::leaf_hash(payload));
                        if index >= start {
                            tiler.push(payload, &mut |file| self.write(&file))?;
                        }
                    }
                    Step::End => break,
                    Step::Frame { .. } | Step::Bad => return Err(TilesError::Damaged(edge.size())),
                }
            }
        }
        edge.ok_or(TilesError::Damaged(0))
    }

    /// The tiles that are there must be of the same tree.
    fn compare(&self, edge: &Edge, start: u64, tiler: &Tiler) -> Result<(), TilesError> {
        if edge.size() == start && tiler.size == start && tiler.edge().as_ref() != Some(edge) {
            let what = String::from("the tiles before it are of another tree");
            return Err(TilesError::Tiles { file: path(Kind::Entries, shifted(start, 1), WIDTH), what });
        }
        if self.there.is_some_and(|there| there.size() == edge.size() && *there.root() != edge.root()) {
            let what = String::from("it is of another tree");
            return Err(TilesError::Tiles { file: CHECKPOINT.to_owned(), what });
        }
        Ok(())
    }

    /// Removes what tiles held before they were whole: the whole ones are there now.
    fn tidy(&self, before: u64) -> Result<(), TilesError> {
        let levels = (0usize..8).map(Kind::Hashes).zip(1u32..);
        for (kind, up) in std::iter::once((Kind::Entries, 1)).chain(levels) {
            let number = shifted(before, up);
            if shifted(self.latest.size(), up) == number {
                continue;
            }
            let parts = self.dir.join(format!("{}.p", path(kind, number, WIDTH)));
            let names = match self.disk.list(&parts) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                result => result?,
            };
            names.iter().try_for_each(|name| self.disk.remove(&parts.join(name)))?;
        }
        Ok(())
    }

    fn write(&self, file: &File<'_>) -> Result<(), TilesError> {
        let path = self.dir.join(file.path());
        if let Some(parent) = path.parent() {
            self.disk.create_dir(parent)?;
        }
        replace(self.disk, &path, file.content)?;
        Ok(())
    }
}
