//! The tape of a session that goes on, for whoever syncs it meanwhile.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::id::SessionId;

use super::seal::KeyFile;
use crate::disk::{Disk, DiskFile};

/// A tape's file, and whether something of it may be lost.
pub(super) struct Shared {
    file: Arc<dyn DiskFile>,
    /// What does not survive a power cut yet. Held by whoever syncs: of two at a time, the disk would tell only one that it
    /// failed.
    new: Mutex<Option<Names>>,
    lost: AtomicBool,
}

/// What a tape cannot be found or read without.
pub(super) struct Names {
    pub(super) disk: Arc<dyn Disk>,
    /// The tape's directory.
    pub(super) dir: PathBuf,
    pub(super) key: Option<KeyFile>,
}

impl Names {
    fn sync(&self) -> io::Result<()> {
        if let Some(key) = &self.key {
            key.sync(self.disk.as_ref())?;
        }
        self.disk.sync_dir(&self.dir)
    }
}

impl Shared {
    pub(super) fn new(file: Arc<dyn DiskFile>, names: Names) -> Self {
        Self { file, new: Mutex::new(Some(names)), lost: AtomicBool::new(false) }
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

/// A tape that is synced beside its session, which never waits for it. It keeps no tape open.
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

    /// Makes what was written by now survive a power cut, if it does not yet; false if the tape has ended. Blocks.
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
