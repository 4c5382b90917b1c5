//! The file of a journal's secret key, and the one of the key that is to follow it.
//!
//! The new key is on the disk before the journal knows of it, and takes the old one's place after: wherever that ends,
//! the journal says which of the two is in force.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::id::Digest;
use model::secret::Secret;
use model::time::Timestamp;

use super::Keys;
use crate::disk::{Disk, read_small, replace};
use crate::journal::{Journal, OpenError, RotateError};
use crate::note::{Checkpoint, SigningKey, VerifyingKey};

/// 64 hexadecimal digits, and a newline or two.
const MAX_KEY: usize = 80;

/// Why a journal's key cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no key.
    #[error("{0}: it does not hold a key; restore it from your backup")]
    Key(PathBuf),
    /// The journal cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The change cannot be recorded.
    #[error(transparent)]
    Rotate(#[from] RotateError),
}

/// A key that was changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotated {
    /// The key before.
    pub old: VerifyingKey,
    /// The key in force.
    pub new: VerifyingKey,
    /// The first checkpoint by it; `None` where an earlier change was only brought to its end.
    pub checkpoint: Option<Checkpoint>,
}

/// Where the secret key of a journal is.
#[derive(Clone, Debug)]
pub struct KeyFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    journal: PathBuf,
    name: String,
}

impl KeyFile {
    /// The key in `path` of the journal in `journal`, which its checkpoints call `name`.
    pub fn new(disk: Arc<dyn Disk>, path: &Path, journal: &Path, name: impl Into<String>) -> Self {
        Self { disk, path: path.to_owned(), journal: journal.to_owned(), name: name.into() }
    }

    /// The key in force. A change that was broken off is brought to its end first.
    ///
    /// # Errors
    /// If there is no key, or it cannot be read.
    pub fn load(&self) -> Result<SigningKey, KeyFileError> {
        self.settle()?;
        self.read(&self.path)?.ok_or_else(|| self.failed(&self.path)(io::ErrorKind::NotFound.into()))
    }

    /// Makes a key from `fresh`, 32 random bytes, and puts it in force: the journal has that as an entry, signed by both
    /// keys. The old secret key is gone when this returns. Whatever fails, it can be called again.
    ///
    /// # Errors
    /// If a process writes the journal, or something fails.
    pub fn rotate(&self, fresh: &[u8; 32], at: Timestamp) -> Result<Rotated, KeyFileError> {
        if let Some(settled) = self.settle()? {
            return Ok(settled);
        }
        let old = self.load()?;
        let before = old.public().clone();
        let (journal, _) = Journal::open(Arc::clone(&self.disk), &self.journal, old)?;
        let new = self.next(fresh)?;
        let new_public = new.public().clone();
        let journal = journal.rotate(new, at)?;
        self.settle()?;
        Ok(Rotated { old: before, new: new_public, checkpoint: journal.last_checkpoint() })
    }

    /// The key that is to follow: one that was made before, or a new one.
    fn next(&self, fresh: &[u8; 32]) -> Result<SigningKey, KeyFileError> {
        let path = self.pending();
        if let Some(key) = self.read(&path)? {
            return Ok(key);
        }
        replace(self.disk.as_ref(), &path, Digest(*fresh).to_string().as_bytes()).map_err(self.failed(&path))?;
        self.read(&path)?.ok_or(KeyFileError::Key(path))
    }

    /// Lets the new key take the old one's place, if the journal says that it is in force.
    fn settle(&self) -> Result<Option<Rotated>, KeyFileError> {
        let path = self.pending();
        let Some(new) = self.read(&path)? else { return Ok(None) };
        let keys = Keys::of(self.disk.as_ref(), &self.journal, new.public()).map_err(self.failed(&self.journal))?;
        let Some(old) = keys.previous().filter(|_| keys.current() == new.public()) else { return Ok(None) };
        let renamed = self.disk.rename(&path, &self.path).and_then(|()| match self.path.parent() {
            Some(dir) => self.disk.sync_dir(dir),
            None => Ok(()),
        });
        renamed.map_err(self.failed(&self.path))?;
        Ok(Some(Rotated { old: old.clone(), new: new.public().clone(), checkpoint: None }))
    }

    fn pending(&self) -> PathBuf {
        self.path.with_extension("next")
    }

    fn read(&self, path: &Path) -> Result<Option<SigningKey>, KeyFileError> {
        let bytes = match read_small(self.disk.as_ref(), path, MAX_KEY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => Secret::new(result.map_err(self.failed(path))?),
        };
        let wrong = || KeyFileError::Key(path.to_owned());
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| wrong())?;
        let seed = Secret::new(text.trim().parse::<Digest>().map_err(|_| wrong())?.0);
        SigningKey::from_seed(self.name.as_str(), seed.expose()).map(Some).map_err(|_| wrong())
    }

    fn failed(&self, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError + use<> {
        let path = path.to_owned();
        move |source| KeyFileError::Disk { path, source }
    }
}
