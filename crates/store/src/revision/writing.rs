//! Writing an agreed change into the revision's directory: after a crash at any point, what Sluice reads is all of what was
//! before or all of what was agreed, and never some of each.
//!
//! 1. Each new text is written beside its file under a hidden name, and synced, as is a directory that is made for it.
//!    Nothing has happened yet: where the directory cannot be written or the disk is full, this is refused.
//! 2. All of the change is written to `revision.pending` in the data directory, synced, and renamed to that name. From here
//!    on the change is made, whatever happens.
//! 3. Each file is renamed to its name, the directories are synced, and once the change is noted in the state
//!    `revision.pending` goes.
//!
//! Whoever reads the revision first finishes what is pending ([`finish`]), before it looks.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use model::id::{Digest, ProposalId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::changes::{Change, present};

/// Where a change that is being made is, in the data directory.
const PENDING: &str = "revision.pending";

/// A change on its way into the directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// The proposal.
    pub proposal: ProposalId,
    /// What was agreed to.
    pub digest: Digest,
    /// Who put it into force.
    pub by: SubjectKey,
    /// When.
    pub at: Timestamp,
    /// The files.
    pub changes: Vec<Change>,
}

/// Why a change is not in the directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Something else puts the files there, and would undo it.
    #[error("{0} is a symbolic link: whatever puts the files there would undo a change; make it there")]
    KeptElsewhere(PathBuf),
    /// A file is neither what it was nor what it is to be.
    #[error(
        "{0} was changed meanwhile; if the change was begun, write the file as it is to be and remove revision.pending from \
         the data directory"
    )]
    Changed(PathBuf),
    /// A file or directory cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What is done to files, so that a test can fail each step.
trait Steps {
    /// Writes a file anew and syncs it.
    fn write(&self, path: &Path, bytes: &[u8], is_private: bool) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory, if it is not there.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

struct Real;

impl Steps for Real {
    fn write(&self, path: &Path, bytes: &[u8], is_private: bool) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if is_private { 0o600 } else { 0o644 });
        // What an earlier attempt left: removed, never followed.
        gone(fs::remove_file(path))?;
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        gone(fs::remove_file(path))
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// What is not there need not be removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether something else than Sluice puts these files into the directory: what is a symbolic link would be undone.
///
/// # Errors
/// Which is.
pub fn is_kept_elsewhere(dir: &Path, changes: &[Change]) -> Result<(), WriteError> {
    let of_one = |change: &Change| {
        let file = dir.join(change.file.as_str());
        [file.parent().map(Path::to_owned), Some(file)].into_iter().flatten()
    };
    let mut paths = std::iter::once(dir.to_owned()).chain(changes.iter().flat_map(of_one));
    let is_link = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink());
    paths.find(is_link).map_or(Ok(()), |path| Err(WriteError::KeptElsewhere(path)))
}

/// Begins a change: when this returns `Ok`, it is made, by [`finish`] now or after the next start.
///
/// # Errors
/// Nothing has happened: the directory cannot be written, or its files are not what they were.
pub fn begin(data_dir: &Path, dir: &Path, pending: &Pending) -> Result<(), WriteError> {
    begin_by(&Real, data_dir, dir, pending)
}

/// Finishes what was begun, if anything was: what the files are to be, they are. It stays pending until [`forget`].
///
/// # Errors
/// A file cannot be written, or somebody else changed it. What is in the directory may be some of each, and must not be
/// read.
pub fn finish(data_dir: &Path, dir: &Path) -> Result<Option<Pending>, WriteError> {
    finish_by(&Real, data_dir, dir)
}

/// Forgets a change that is finished and noted.
///
/// # Errors
/// It cannot be removed: it is finished again, which changes nothing.
pub fn forget(data_dir: &Path) -> Result<(), WriteError> {
    let path = data_dir.join(PENDING);
    at(&path, Real.remove(&path).and_then(|()| Real.sync_directory(data_dir)))
}

fn begin_by(steps: &dyn Steps, data_dir: &Path, dir: &Path, pending: &Pending) -> Result<(), WriteError> {
    is_kept_elsewhere(dir, &pending.changes)?;
    for change in &pending.changes {
        if found(dir, change)? != change.before {
            return Err(WriteError::Changed(dir.join(change.file.as_str())));
        }
    }
    let committed = stage(steps, dir, &pending.changes).and_then(|()| commit(steps, data_dir, pending));
    if committed.is_err() {
        // Hidden files are read by nobody; the next attempt removes what this cannot.
        pending.changes.iter().for_each(|change| drop(steps.remove(&staged(dir, change))));
    }
    committed
}

/// Writes each new text beside its file.
fn stage(steps: &dyn Steps, dir: &Path, changes: &[Change]) -> Result<(), WriteError> {
    make_parents(steps, dir, changes)?;
    for change in changes {
        // Of what is to go too: whether it may go is known before anything is.
        let (path, text) = (staged(dir, change), change.after.as_deref().unwrap_or_default());
        at(&path, steps.write(&path, text.as_bytes(), false))?;
        let known = dir.join(change.file.as_str()).metadata().map(|known| known.permissions());
        if let Ok(permissions) = known {
            at(&path, fs::set_permissions(&path, permissions))?;
        }
    }
    Ok(())
}

/// Makes what is missing of the directories that new files are in, so that they survive a power cut.
fn make_parents<'c>(
    steps: &dyn Steps,
    dir: &Path,
    changes: impl IntoIterator<Item = &'c Change>,
) -> Result<(), WriteError> {
    let of_new = changes.into_iter().filter(|change| change.after.is_some());
    let parents: BTreeSet<PathBuf> =
        of_new.filter_map(|change| Some(dir.join(change.file.as_str()).parent()?.to_owned())).collect();
    let missing: Vec<&PathBuf> = parents.iter().filter(|parent| !parent.is_dir()).collect();
    for parent in &missing {
        at(parent, steps.make_directory(parent))?;
    }
    if missing.is_empty() { Ok(()) } else { at(dir, steps.sync_directory(dir)) }
}

/// The one step that decides: the change is in the data directory, or it is not.
fn commit(steps: &dyn Steps, data_dir: &Path, pending: &Pending) -> Result<(), WriteError> {
    let (path, temporary) = (data_dir.join(PENDING), data_dir.join(".revision.pending.new"));
    let text = serde_json::to_vec(pending).map_err(io::Error::other);
    at(&temporary, text.and_then(|text| steps.write(&temporary, &text, true)))?;
    at(&path, steps.rename(&temporary, &path))?;
    let synced = steps.sync_directory(data_dir);
    if synced.is_err() {
        // Whether the name would survive a power cut is not known: it must not, as this is refused.
        at(&path, steps.remove(&path))?;
    }
    at(data_dir, synced)
}

fn finish_by(steps: &dyn Steps, data_dir: &Path, dir: &Path) -> Result<Option<Pending>, WriteError> {
    let path = data_dir.join(PENDING);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(WriteError::File { path, source }),
    };
    let pending: Pending = at(&path, serde_json::from_slice(&bytes).map_err(io::Error::other))?;
    is_kept_elsewhere(dir, &pending.changes)?;
    let mut open = Vec::new();
    // All are looked at before one is written.
    for change in &pending.changes {
        match found(dir, change)? {
            now if now == change.after => {}
            now if now == change.before => open.push(change),
            _ => return Err(WriteError::Changed(dir.join(change.file.as_str()))),
        }
    }
    // The disk may have lost a directory that staging made.
    make_parents(steps, dir, open.iter().copied())?;
    for change in open {
        put(steps, dir, change)?;
    }
    let of_one = |change: &Change| dir.join(change.file.as_str()).parent().map(Path::to_owned);
    let directories: BTreeSet<PathBuf> =
        pending.changes.iter().filter_map(of_one).filter(|directory| directory.is_dir()).collect();
    directories.iter().try_for_each(|directory| at(directory, steps.sync_directory(directory)))?;
    Ok(Some(pending))
}

fn put(steps: &dyn Steps, dir: &Path, change: &Change) -> Result<(), WriteError> {
    let (path, temporary) = (dir.join(change.file.as_str()), staged(dir, change));
    let Some(text) = &change.after else {
        at(&temporary, steps.remove(&temporary))?;
        return at(&path, steps.remove(&path));
    };
    // What was staged, unless the disk lost it.
    if fs::read(&temporary).ok().as_deref() != Some(text.as_bytes()) {
        at(&temporary, steps.write(&temporary, text.as_bytes(), false))?;
    }
    at(&path, steps.rename(&temporary, &path))
}

/// A name that no reader of the revision takes.
fn staged(dir: &Path, change: &Change) -> PathBuf {
    let path = dir.join(change.file.as_str());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.sluice-new"))
}

fn found(dir: &Path, change: &Change) -> Result<Option<String>, WriteError> {
    let unreadable = |error: crate::config::ConfigError| WriteError::File {
        path: dir.join(change.file.as_str()),
        source: io::Error::other(error.problem),
    };
    present(dir, &change.file).map_err(unreadable)
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, WriteError> {
    result.map_err(|source| WriteError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
