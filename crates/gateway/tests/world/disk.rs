//! The machine's disk, until a test makes it full, read-only, slow, or lets it hang.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use ledger::RealDisk;
use ledger::disk::{Disk, DiskFile};

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// So many bytes are left, and those of files that are removed.
    Full(u64),
    /// EROFS.
    ReadOnly,
    /// So many bytes a second.
    Slow(u32),
    /// No write returns until the fault is over.
    WritesHang,
    /// No fdatasync returns until the fault is over.
    SyncsHang,
    /// Whoever writes or syncs panics, after half of a write.
    Panics,
}

/// The disk. Clones are the same one. Its faults are those of the directories with this name.
#[derive(Clone, Debug)]
pub struct TestDisk {
    shared: Arc<Shared>,
    only: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Shared {
    fault: Mutex<Option<Fault>>,
    changed: Condvar,
    hanging: AtomicUsize,
}

impl TestDisk {
    /// Faults concern all that is on it.
    pub fn whole() -> Self {
        Self { shared: Arc::default(), only: None }
    }

    /// Faults concern what is in directories with this name: the others are on another disk, as it were.
    pub fn only(name: &'static str) -> Self {
        Self { only: Some(name), ..Self::whole() }
    }

    pub fn fail(&self, fault: Fault) {
        *self.fault() = Some(fault);
    }

    pub fn heal(&self) {
        *self.fault() = None;
        self.shared.changed.notify_all();
    }

    /// Heals it when what is returned is dropped, so that nothing hangs that a failed test leaves behind.
    pub fn healed(&self) -> Healed {
        Healed(self.clone())
    }

    /// Whether a write or an fdatasync hangs, or did.
    pub fn has_hung(&self) -> bool {
        self.shared.hanging.load(Ordering::Relaxed) > 0
    }

    fn fault(&self) -> MutexGuard<'_, Option<Fault>> {
        self.shared.fault.lock().unwrap()
    }

    fn concerns(&self, path: &Path) -> bool {
        self.only.is_none_or(|name| path.parent().is_some_and(|dir| dir.ends_with(name)))
    }

    fn panics(&self, path: &Path) -> bool {
        self.concerns(path) && *self.fault() == Some(Fault::Panics)
    }

    /// What any change of the disk comes to.
    fn change(&self, path: &Path) -> io::Result<()> {
        match self.concerns(path).then(|| *self.fault()).flatten() {
            Some(Fault::ReadOnly) => Err(io::Error::from_raw_os_error(30)),
            _ => Ok(()),
        }
    }

    /// How many of these bytes can be written; waits for as long as it takes.
    fn room(&self, path: &Path, wanted: usize) -> io::Result<usize> {
        self.change(path)?;
        if !self.concerns(path) {
            return Ok(wanted);
        }
        let mut fault = self.fault();
        while *fault == Some(Fault::WritesHang) {
            self.shared.hanging.fetch_add(1, Ordering::Relaxed);
            fault = self.shared.changed.wait(fault).unwrap();
        }
        match &mut *fault {
            Some(Fault::Full(0)) => Err(io::Error::from_raw_os_error(28)),
            Some(Fault::Full(left)) => {
                let fits = u64::try_from(wanted).unwrap().min(*left);
                *left -= fits;
                Ok(usize::try_from(fits).unwrap())
            }
            Some(Fault::Slow(rate)) => {
                let time = Duration::from_secs(1) * u32::try_from(wanted).unwrap() / *rate;
                // It is slow until it is not: who waits goes on when the disk is back.
                drop(self.shared.changed.wait_timeout(fault, time).unwrap());
                Ok(wanted)
            }
            _ => Ok(wanted),
        }
    }

    fn give_back(&self, path: &Path, bytes: u64) {
        if let (true, Some(Fault::Full(left))) = (self.concerns(path), &mut *self.fault()) {
            *left += bytes;
        }
    }

    fn file(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(TestFile { disk: self.clone(), path: path.to_owned(), file })
    }
}

/// See [`TestDisk::healed`].
pub struct Healed(TestDisk);

impl Drop for Healed {
    fn drop(&mut self) {
        self.0.heal();
    }
}

impl Disk for TestDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.change(path)?;
        Ok(self.file(path, RealDisk.create(path)?))
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.change(path)?;
        Ok(self.file(path, RealDisk.open_append(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open_read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(to)?;
        let replaced = RealDisk.open_read(to).and_then(|file| file.length()).unwrap_or(0);
        RealDisk.rename(from, to)?;
        self.give_back(to, replaced);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(path)?;
        let length = RealDisk.open_read(path).and_then(|file| file.length()).unwrap_or(0);
        RealDisk.remove(path)?;
        self.give_back(path, length);
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(dir)?;
        RealDisk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

#[derive(Debug)]
struct TestFile {
    disk: TestDisk,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for TestFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.disk.panics(&self.path) {
            self.file.append(&bytes[..bytes.len() / 2])?;
            std::panic::resume_unwind(Box::new("as it was asked to"));
        }
        let fits = self.disk.room(&self.path, bytes.len())?;
        self.file.append(&bytes[..fits])
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(&self.path)?;
        assert!(!self.disk.panics(&self.path), "as it was asked to");
        let mut fault = self.disk.fault();
        while self.disk.concerns(&self.path) && *fault == Some(Fault::SyncsHang) {
            self.disk.shared.hanging.fetch_add(1, Ordering::Relaxed);
            fault = self.disk.shared.changed.wait(fault).unwrap();
        }
        drop(fault);
        self.file.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.change(&self.path)?;
        let before = self.file.length()?;
        self.file.truncate(length)?;
        self.disk.give_back(&self.path, before.saturating_sub(length));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn lock(&self) -> io::Result<()> {
        self.file.lock()
    }
}
