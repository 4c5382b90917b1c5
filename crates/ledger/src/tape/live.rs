//! The tape of a session that goes on, for whoever syncs it meanwhile.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::id::SessionId;

use super::seal::KeyFile;
use crate::disk::{Disk, DiskFile};

/// The file of a tape's part, and whether something of the tape may be lost.
pub(super) struct Shared {
    file: Arc<dyn DiskFile>,
    /// What does not survive a power cut yet. Held by whoever syncs: of two at a time, the disk would tell only one that it
    /// failed.
    new: Mutex<Option<Names>>,
    /// Of all parts of the tape.
    lost: Arc<AtomicBool>,
}

/// What a tape cannot be found or read without.
pub(super) struct Names {
    pub(super) disk: Arc<dyn Disk>,
    /// The directories that the name hangs on, the outer first.
    pub(super) dirs: Vec<PathBuf>,
    pub(super) key: Option<KeyFile>,
    /// The part before: what is on this one is worth nothing without it.
    pub(super) before: Option<Arc<Shared>>,
}

impl Names {
    fn sync(&self) -> io::Result<()> {
        if let Some(before) = &self.before {
            before.sync()?;
        }
        if let Some(key) = &self.key {
            key.sync(self.disk.as_ref())?;
        }
        self.dirs.iter().try_for_each(|dir| self.disk.sync_dir(dir))
    }
}

impl Shared {
    pub(super) fn new(file: Arc<dyn DiskFile>, names: Names) -> Self {
        Self { file, new: Mutex::new(Some(names)), lost: Arc::default() }
    }

    /// The file of the part after `before`: what is lost of one is lost of the tape.
    pub(super) fn after(before: &Self, file: Arc<dyn DiskFile>, names: Names) -> Self {
        Self { file, new: Mutex::new(Some(names)), lost: Arc::clone(&before.lost) }
    }

    pub(super) fn file(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    /// Whether a sync failed: what was written before it may be gone though the next one succeeds.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Makes what was written survive a power cut, and what it cannot be found or read without.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_lost() {
            return Err(io::Error::other("what is on the tape may be lost"));
        }
        if let Some(names) = &*new {
            self.or_lost(names.sync())?;
            *new = None;
        }
        self.or_lost(self.file.sync())
    }

    fn or_lost<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|_| self.lost.store(true, Ordering::Release))
    }
}

/// A part of a tape that is synced beside its session, which never waits for it. It keeps no tape open.
pub struct LiveTape {
    session: SessionId,
    file: Weak<Shared>,
    /// How long the file was when it was last synced.
    synced: u64,
}

impl LiveTape {
    pub(super) fn new(session: SessionId, file: &Arc<Shared>) -> Self {
        Self { session, file: Arc::downgrade(file), synced: 0 }
    }

    /// Whose tape it is.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Makes what was written by now survive a power cut, if it does not yet; false if the part has ended and is
    /// synced. Blocks.
    ///
    /// # Errors
    /// If the disk fails. The tape takes nothing more then: its session ends with the next thing that it has to record.
    pub fn sync(&mut self) -> io::Result<bool> {
        let Some(shared) = self.file.upgrade() else { return Ok(false) };
        let length = shared.or_lost(shared.file.length())?;
        if length > self.synced {
            shared.sync()?;
            self.synced = length;
        }
        Ok(true)
    }
}
