//! The one door to the file system.
//!
//! Everything that the ledger does to files goes through [`Disk`] and [`DiskFile`], so that a test can make the N-th
//! operation fail and look at what is left. The traits are as narrow as the ledger's needs: files only grow at the end,
//! are cut, are read by position, and are replaced by a rename.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(any(test, feature = "faults"))]
mod faulty;
mod real;

#[cfg(any(test, feature = "faults"))]
pub use faulty::{Fault, FaultyDisk};
pub use real::RealDisk;

/// A file system, or what stands for one.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory and its parents, readable by the owner alone; it may exist.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names of the entries of a directory, sorted. Names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates a file that must not exist, for reading and appending, readable by the owner alone.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and appending.
    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading only.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file, replacing what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory, which must be empty.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// One write(2) at the end. May write less than it was given, and says how much.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Reads at a position; 0 means the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// fdatasync(2). After an error nothing is known about what was appended since the last success.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Takes the file's exclusive lock until it is closed; an error if another process holds it.
    fn lock(&self) -> io::Result<()>;
}

/// Appends all of `bytes` or fails. After a failure any part of them may be in the file.
pub(crate) fn append_all(file: &dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0usize;
    // After a short write the next one says why, if there is a reason that lasts.
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.append(rest)? {
            0 => return Err(io::Error::new(io::ErrorKind::WriteZero, "nothing was written")),
            count => written = written.saturating_add(count),
        }
    }
    Ok(())
}

/// Fills `into` from `offset` on as far as the file goes, and returns how much that was.
pub(crate) fn read_full(file: &dyn DiskFile, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).map_err(io::Error::other)?);
        match file.read_at(at, rest)? {
            0 => break,
            count => filled = filled.saturating_add(count),
        }
    }
    Ok(filled)
}

/// The whole of a file that is known to be small, or an error if it is longer than `limit` bytes.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = disk.open_read(path)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "file is longer than it can be"));
    }
    let mut bytes = vec![0; length];
    let filled = read_full(file.as_ref(), 0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Puts `bytes` in place of `path` so that a reader, also after a power cut, sees the old or the new file whole.
///
/// # Errors
/// If the disk fails; the old file, or the new one, is there whole then, too.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    // With the whole name in it: a segment and a list of checkpoints may begin with one number at the same time.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = disk.create(&temporary)?;
    append_all(file.as_ref(), bytes)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
}
