//! A disk in memory that fails on command and forgets, at a power cut, what was not synced.
//!
//! It is as unkind as POSIX allows: a name survives only after its directory was synced, bytes only after their file
//! was synced, and bytes that a *failed* fsync covered are lost at the power cut even if a later fsync succeeds.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// ENOSPC.
    NoSpace,
    /// EIO.
    Io,
    /// EMFILE.
    TooManyFiles,
    /// EROFS.
    ReadOnly,
    /// A write stores half of its bytes and says so; other operations fail with EIO.
    ShortWrite,
    /// A write stores half of its bytes and fails with EIO; other operations fail with EIO.
    TornWrite,
    /// The code that does it panics, after half of a write.
    Panic,
}

impl Fault {
    /// Every kind of fault that the system reports.
    pub const ALL: [Self; 6] =
        [Self::NoSpace, Self::Io, Self::TooManyFiles, Self::ReadOnly, Self::ShortWrite, Self::TornWrite];

    /// # Panics
    /// If that is what happens.
    fn happen(self) -> io::Error {
        if self == Self::Panic {
            std::panic::resume_unwind(Box::new("as it was asked to"));
        }
        self.error()
    }

    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::NoSpace => 28,
            Self::TooManyFiles => 24,
            Self::ReadOnly => 30,
            Self::Io | Self::ShortWrite | Self::TornWrite | Self::Panic => 5,
        })
    }
}

/// The disk. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    operations: u64,
    plan: Option<Plan>,
    /// How many bytes all files together may have.
    room: Option<usize>,
    files: BTreeMap<PathBuf, Arc<Mutex<Inode>>>,
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Inode>>>,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    at: u64,
    fault: Fault,
    once: bool,
}

#[derive(Debug, Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    lost: Vec<Range<usize>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `at`-th operation from now (counted from 1) fail, and only that one.
    pub fn fail_once(&self, at: u64, fault: Fault) {
        let mut state = locked(&self.0);
        state.plan = Some(Plan { at: state.operations.saturating_add(at), fault, once: true });
    }

    /// Makes the `at`-th operation from now (counted from 1) and all after it fail, until [`FaultyDisk::heal`].
    pub fn fail_from(&self, at: u64, fault: Fault) {
        let mut state = locked(&self.0);
        state.plan = Some(Plan { at: state.operations.saturating_add(at), fault, once: false });
    }

    /// Lets all files together have at most so many bytes: what does not fit is ENOSPC.
    pub fn limit(&self, room: Option<usize>) {
        locked(&self.0).room = room;
    }

    /// How many bytes all files together have.
    pub fn used(&self) -> usize {
        locked(&self.0).files.values().map(|inode| locked(inode).data.len()).sum()
    }

    /// How many of `wanted` bytes there is room for.
    fn fitting(&self, wanted: usize) -> usize {
        let room = locked(&self.0).room;
        room.map_or(wanted, |room| room.saturating_sub(self.used()).min(wanted))
    }

    /// Ends all faults; says whether one was still to come.
    pub fn heal(&self) -> bool {
        let mut state = locked(&self.0);
        let operations = state.operations;
        state.plan.take().is_some_and(|plan| plan.at > operations)
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        locked(&self.0).operations
    }

    /// The disk as it is after the power was cut now. Of unsynced bytes at the end of a file, `keep` are left.
    #[must_use]
    pub fn power_cut(&self, keep: usize) -> Self {
        self.cut(|synced, mut rest, lost| {
            rest.truncate(keep);
            let mut data = [synced, &rest].concat();
            blank(&mut data, lost);
            data
        })
    }

    /// As [`FaultyDisk::power_cut`], on a disk that writes in no order: of each `sector` bytes that were not synced,
    /// `survives` says whether they are there, or zeros in their place; also where an fsync failed.
    #[must_use]
    pub fn power_cut_in_disorder(&self, sector: usize, mut survives: impl FnMut() -> bool) -> Self {
        self.cut(|synced, mut rest, _| {
            rest.chunks_mut(sector).filter(|_| !survives()).for_each(|chunk| chunk.fill(0));
            [synced, &rest].concat()
        })
    }

    /// What `left` makes of each file: of what was synced, what was not, and where an fsync failed.
    fn cut(&self, mut left: impl FnMut(&[u8], Vec<u8>, &[Range<usize>]) -> Vec<u8>) -> Self {
        let state = locked(&self.0);
        let mut survive = |inode: &Arc<Mutex<Inode>>| {
            let inode = locked(inode);
            let rest = inode.data.get(inode.durable.len()..).unwrap_or_default().to_vec();
            let data = left(&inode.durable, rest, &inode.lost);
            Arc::new(Mutex::new(Inode { durable: data.clone(), data, lost: Vec::new() }))
        };
        let files: BTreeMap<_, _> =
            state.durable_names.iter().map(|(path, inode)| (path.clone(), survive(inode))).collect();
        Self(Arc::new(Mutex::new(State { durable_names: files.clone(), files, ..State::default() })))
    }

    /// An independent disk with the same content, as another process sees it after this one was killed.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = locked(&self.0);
        let copy = |inode: &Arc<Mutex<Inode>>| {
            let data = locked(inode).data.clone();
            Arc::new(Mutex::new(Inode { durable: data.clone(), data, lost: Vec::new() }))
        };
        let files: BTreeMap<_, _> = state.files.iter().map(|(path, inode)| (path.clone(), copy(inode))).collect();
        Self(Arc::new(Mutex::new(State { durable_names: files.clone(), files, ..State::default() })))
    }

    /// The paths and contents of all files.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        locked(&self.0).files.iter().map(|(path, inode)| (path.clone(), locked(inode).data.clone())).collect()
    }

    /// Puts a file in place, or takes it away.
    pub fn put(&self, path: &Path, content: Option<Vec<u8>>) {
        let mut state = locked(&self.0);
        match content {
            Some(data) => {
                let inode = Arc::new(Mutex::new(Inode { durable: data.clone(), data, lost: Vec::new() }));
                state.files.insert(path.to_owned(), Arc::clone(&inode));
                state.durable_names.insert(path.to_owned(), inode);
            }
            None => {
                state.files.remove(path);
                state.durable_names.remove(path);
            }
        }
    }

    fn step(&self) -> Option<Fault> {
        let mut state = locked(&self.0);
        state.operations = state.operations.saturating_add(1);
        let operations = state.operations;
        state
            .plan
            .filter(|plan| if plan.once { operations == plan.at } else { operations >= plan.at })
            .map(|plan| plan.fault)
    }

    fn checked(&self) -> io::Result<MutexGuard<'_, State>> {
        match self.step() {
            Some(fault) => Err(fault.happen()),
            None => Ok(locked(&self.0)),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.checked()?.files.get(path).map(Arc::clone).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }
}

fn blank(data: &mut [u8], ranges: &[Range<usize>]) {
    for range in ranges {
        let end = range.end.min(data.len());
        if let Some(lost) = data.get_mut(range.start.min(end)..end) {
            lost.fill(0);
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.checked().map(drop)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.checked()?;
        let inside = state.files.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.checked()?;
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Arc::new(Mutex::new(Inode::default()));
        state.files.insert(path.to_owned(), Arc::clone(&inode));
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.checked()?;
        let inode = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.checked()?.files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let state = self.checked()?;
        // Directories are not kept: one is there if something is in it, and then it is not empty.
        let is_there = state.files.keys().any(|path| path.parent() == Some(dir));
        Err(if is_there { io::ErrorKind::DirectoryNotEmpty } else { io::ErrorKind::NotFound }.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.checked()?;
        state.durable_names.retain(|path, _| path.parent() != Some(dir));
        let inside = state.files.iter().filter(|(path, _)| path.parent() == Some(dir));
        let names: Vec<_> = inside.map(|(path, inode)| (path.clone(), Arc::clone(inode))).collect();
        state.durable_names.extend(names);
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inode: Arc<Mutex<Inode>>,
}

impl FaultyFile {
    fn checked(&self) -> io::Result<MutexGuard<'_, Inode>> {
        match self.disk.step() {
            Some(fault) => Err(fault.happen()),
            None => Ok(locked(&self.inode)),
        }
    }
}

impl DiskFile for FaultyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.disk.step();
        let fitting = self.disk.fitting(bytes.len());
        let mut inode = locked(&self.inode);
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let (kept, told) = match fault {
            // As write(2) does: what fits is written, and the next call says that it was not all.
            None if fitting == 0 && !bytes.is_empty() => return Err(Fault::NoSpace.error()),
            None => (bytes.get(..fitting).unwrap_or_default(), Ok(fitting)),
            Some(Fault::ShortWrite) => (half, Ok(half.len())),
            Some(fault @ (Fault::TornWrite | Fault::Panic)) => (half, Err(fault)),
            Some(fault) => return Err(fault.error()),
        };
        inode.data.extend_from_slice(kept);
        told.map_err(Fault::happen)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let inode = self.checked()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let rest = inode.data.get(offset..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(from), Some(to)) = (rest.get(..count), into.get_mut(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        let fault = self.disk.step();
        let mut inode = locked(&self.inode);
        if let Some(fault) = fault {
            let range = inode.durable.len()..inode.data.len();
            inode.lost.push(range);
            return Err(fault.happen());
        }
        inode.durable = inode.data.clone();
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut inode = self.checked()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        inode.data.resize(length, 0);
        // Cutting is made durable at once: a cut that is forgotten shows up again as a torn tail, which is tested apart.
        inode.durable.truncate(length);
        for range in &mut inode.lost {
            range.end = range.end.min(length);
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let inode = self.checked()?;
        u64::try_from(inode.data.len()).map_err(io::Error::other)
    }

    fn lock(&self) -> io::Result<()> {
        self.checked().map(drop)
    }
}
