//! Objects of the archive as files that can be read.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use ledger::disk::DiskFile;
use ledger::tape::{Archive, Archived};
use tokio::runtime::Handle;

use super::bucket::{ArchiveError, Bucket};

/// How much is read at a time: some blocks of a tape.
const PIECE: usize = 2 << 20;

/// The archive for whoever reads tapes, on a thread that may block.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) bucket: Arc<Bucket>,
    pub(super) runtime: Handle,
}

impl Archive for Remote {
    fn open(&self, archived: &Archived) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(Object {
            bucket: Arc::clone(&self.bucket),
            runtime: self.runtime.clone(),
            name: archived.object.clone(),
            length: archived.length,
            piece: Mutex::default(),
        }))
    }
}

/// An archive that cannot be opened, and why.
#[derive(Debug)]
pub(super) struct Closed(pub(super) String);

impl Archive for Closed {
    fn open(&self, _archived: &Archived) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::Error::other(format!("the archive: {}", self.0)))
    }
}

/// An object, of which the piece that was read last is kept.
struct Object {
    bucket: Arc<Bucket>,
    runtime: Handle,
    name: String,
    length: u64,
    piece: Mutex<(u64, Bytes)>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Object").field("name", &self.name).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Object {
    /// What it means that the object cannot be read: that it is not there, or not as long as it was, or that nobody knows.
    fn failed(&self, error: &ArchiveError) -> io::Error {
        let told = format!("the archive: {error}");
        match self.runtime.block_on(self.bucket.length(&self.name)) {
            Ok(length) if length != Some(self.length) => io::Error::other(told),
            Ok(_) | Err(_) => io::Error::other(Unreached(told)),
        }
    }
}

/// The archive did not answer, so that nothing is known of what is there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreached(String);

/// Whether reading failed because the archive could not be reached, and not because of what is there.
pub fn is_unreached(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unreached>())
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "what is in the archive does not change")
}

impl DiskFile for Object {
    fn append(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(read_only())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if offset >= self.length {
            return Ok(0);
        }
        let mut piece = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |piece: &(u64, Bytes)| {
            let skip = usize::try_from(offset.checked_sub(piece.0)?).ok()?;
            piece.1.get(skip..).filter(|rest| !rest.is_empty()).map(|rest| piece.1.slice_ref(rest))
        };
        let found = match known(&piece) {
            Some(found) => found,
            None => {
                let read = self.runtime.block_on(self.bucket.read(&self.name, offset, self.length, PIECE));
                let read = read.map_err(|error| self.failed(&error))?;
                *piece = (offset, read.clone());
                read
            }
        };
        into.iter_mut().zip(&found).for_each(|(to, from)| *to = *from);
        Ok(into.len().min(found.len()))
    }

    fn sync(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn truncate(&self, _length: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn lock(&self) -> io::Result<()> {
        Err(read_only())
    }
}
