//! The files of tapes: which sessions have one, and removing one for good.

use std::io;
use std::path::{Path, PathBuf};

use model::id::SessionId;

use super::part::{Part, later_dir, packed_path, path};
use super::seal::KeyStore;
use crate::disk::Disk;

/// Removes all parts of a session's tape, its key first: what a copy of it held is gone with that. Says whether there was
/// anything. What this does is written into the journal before.
///
/// # Errors
/// If the disk fails; then call it again.
pub fn remove(disk: &dyn Disk, dir: &Path, session: SessionId, keys: &KeyStore) -> io::Result<bool> {
    let mut found = keys.shred(disk, session)?;
    // The first part is the last to go: as long as it is there, so is the tape.
    let later = later_dir(dir, session);
    for file in later_files(disk, dir, session)? {
        found |= if_there(disk.remove(&file))?.is_some();
    }
    found |= if_there(disk.remove_dir(&later))?.is_some();
    for file in first(dir, session) {
        found |= if_there(disk.remove(&file))?.is_some();
    }
    disk.sync_dir(dir)?;
    Ok(found)
}

/// Whether a session has a tape in `dir`, or anything of one.
///
/// # Errors
/// If the disk fails.
pub fn exists(disk: &dyn Disk, dir: &Path, session: SessionId) -> io::Result<bool> {
    for file in first(dir, session) {
        if if_there(disk.open_read(&file))?.is_some() {
            return Ok(true);
        }
    }
    Ok(!later_files(disk, dir, session)?.is_empty())
}

/// The sessions that have a tape in `dir`, in the order of their names.
///
/// # Errors
/// If the disk fails.
pub fn sessions(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<SessionId>> {
    let names = disk.list(dir)?;
    let stems = names.iter().filter_map(|name| name.rsplit_once('.'));
    let stems = stems.filter(|(_, kind)| matches!(*kind, "tape" | "tapez" | "parts")).map(|(stem, _)| stem);
    let mut sessions: Vec<SessionId> = stems.filter_map(|stem| stem.parse().ok()).collect();
    sessions.dedup();
    Ok(sessions)
}

fn first(dir: &Path, session: SessionId) -> [PathBuf; 2] {
    [path(dir, session, Part::FIRST), packed_path(dir, session, Part::FIRST)]
}

/// Whatever is where the parts after the first are.
fn later_files(disk: &dyn Disk, dir: &Path, session: SessionId) -> io::Result<Vec<PathBuf>> {
    let later = later_dir(dir, session);
    let names = if_there(disk.list(&later))?.unwrap_or_default();
    Ok(names.into_iter().map(|name| later.join(name)).collect())
}

/// `None` for what is not there.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
