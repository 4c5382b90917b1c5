//! The files of tapes: which sessions have one, and removing one for good.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use model::id::SessionId;

use super::archived::Archived;
use super::part::{Part, archived_path, later_dir, packed_path, path};
use super::seal::KeyStore;
use super::{packed, part};
use crate::disk::{Disk, read_full};

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

/// Removes what a process that died was about to put in the place of a file in `dir`: the file is there as it was. Nobody may
/// be writing there.
///
/// # Errors
/// If the disk fails.
pub fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for name in if_there(disk.list(dir))?.unwrap_or_default() {
        let path = dir.join(&name);
        match name.rsplit_once('.') {
            Some((_, "new")) => drop(if_there(disk.remove(&path))?),
            Some((_, "parts")) => remove_unfinished(disk, &path)?,
            _ => {}
        }
    }
    Ok(())
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
    let stems =
        stems.filter(|(_, kind)| matches!(*kind, "tape" | "tapez" | "archived" | "parts")).map(|(stem, _)| stem);
    let mut sessions: Vec<SessionId> = stems.filter_map(|stem| stem.parse().ok()).collect();
    sessions.dedup();
    Ok(sessions)
}

/// What is there of a part of a tape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PartFiles {
    /// Whose tape.
    pub session: SessionId,
    /// Which part.
    pub part: Part,
    /// As it was written.
    pub is_live: bool,
    /// Compressed.
    pub is_packed: bool,
    /// That it is in the archive.
    pub is_archived: bool,
}

impl PartFiles {
    /// The part's file as it was written, or compressed.
    pub fn path(&self, dir: &Path) -> PathBuf {
        let path = if self.is_packed { packed_path } else { path };
        path(dir, self.session, self.part)
    }

    /// Whether only its key opens this file: false for one in clear, and for one of which that cannot be seen.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn is_sealed(&self, disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
        let file = disk.open_read(&self.path(dir))?;
        let mut magic = [0; 8];
        read_full(file.as_ref(), 0, &mut magic)?;
        Ok(if self.is_packed { packed::is_sealed(&magic) } else { part::is_sealed(&magic) })
    }
}

/// What is there of every tape in `dir`, by session and part.
///
/// # Errors
/// If the disk fails.
pub fn parts(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<PartFiles>> {
    let mut found = BTreeMap::new();
    for name in disk.list(dir)? {
        let Some((stem, kind)) = name.rsplit_once('.') else { continue };
        let Ok(session) = stem.parse() else { continue };
        if kind == "parts" {
            parts_of(disk, dir, session, &mut found)?;
        } else {
            note(&mut found, session, Part::FIRST, kind);
        }
    }
    Ok(found.into_values().collect())
}

type Found = BTreeMap<(SessionId, Part), PartFiles>;

/// The parts after a session's first.
fn parts_of(disk: &dyn Disk, dir: &Path, session: SessionId, found: &mut Found) -> io::Result<()> {
    for name in if_there(disk.list(&later_dir(dir, session)))?.unwrap_or_default() {
        let Some((stem, kind)) = name.rsplit_once('.') else { continue };
        if let Some(part) = stem.parse().ok().and_then(Part::of) {
            note(found, session, part, kind);
        }
    }
    Ok(())
}

fn note(found: &mut Found, session: SessionId, part: Part, kind: &str) {
    if !matches!(kind, "tape" | "tapez" | "archived") {
        return;
    }
    let none = PartFiles { session, part, is_live: false, is_packed: false, is_archived: false };
    let files = found.entry((session, part)).or_insert(none);
    files.is_live |= kind == "tape";
    files.is_packed |= kind == "tapez";
    files.is_archived |= kind == "archived";
}

/// What is there of one session's tape.
///
/// # Errors
/// If the disk fails.
pub fn parts_of_session(disk: &dyn Disk, dir: &Path, session: SessionId) -> io::Result<Vec<PartFiles>> {
    let mut found = Found::new();
    for file in first(dir, session) {
        if if_there(disk.open_read(&file))?.is_some() {
            note(&mut found, session, Part::FIRST, file.extension().and_then(|kind| kind.to_str()).unwrap_or_default());
        }
    }
    parts_of(disk, dir, session, &mut found)?;
    Ok(found.into_values().collect())
}

/// Removes the file of a part that is in the archive; what says so stays.
///
/// # Errors
/// If the disk fails, or nothing says that the part is in the archive.
pub fn remove_archived(disk: &dyn Disk, dir: &Path, files: &PartFiles) -> io::Result<()> {
    let PartFiles { session, part, .. } = *files;
    Archived::of(disk, dir, session, part)?.ok_or_else(|| io::Error::other("the part is not in the archive"))?;
    for file in [path(dir, session, part), packed_path(dir, session, part)] {
        if_there(disk.remove(&file))?;
        file.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))?;
    }
    Ok(())
}

fn first(dir: &Path, session: SessionId) -> [PathBuf; 3] {
    [path, packed_path, archived_path].map(|path| path(dir, session, Part::FIRST))
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
