//! A part of a tape whose file is in an archive.
//!
//! ```text
//! "sluice archived tape 1" | object | digest of its bytes | length | milliseconds since 1970      a line each
//! ```
//!
//! Stands beside the part's file, and in its place once that is removed: [`WithArchive`] finds the object by it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::id::{Digest, SessionId};
use model::time::Timestamp;

use super::part::{Part, archived_path};
use crate::disk::{Disk, DiskFile, read_small, replace};

const HEAD: &str = "sluice archived tape 1";
/// The longest that there can be; names of objects have at most 1024 bytes.
const LONGEST: usize = 4096;

/// Where the file of a part is in the archive, and what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archived {
    /// The object's name.
    pub object: String,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub length: u64,
    /// When they were found to be there.
    pub at: Timestamp,
}

impl Archived {
    /// What is said of a part, if it is archived.
    ///
    /// # Errors
    /// If the disk fails, or what is there cannot be read.
    pub fn of(disk: &dyn Disk, dir: &Path, session: SessionId, part: Part) -> io::Result<Option<Self>> {
        Self::read(disk, &archived_path(dir, session, part))
    }

    fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        let bytes = match read_small(disk, path, LONGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let parsed = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
        parsed.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "does not say where the part is"))
    }

    /// Says it of a part: whole or not at all, also after a power cut.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write(&self, disk: &dyn Disk, dir: &Path, session: SessionId, part: Part) -> io::Result<()> {
        let Self { object, digest, length, at } = self;
        let text = format!("{HEAD}\n{object}\n{digest}\n{length}\n{}\n", at.0);
        replace(disk, &archived_path(dir, session, part), text.as_bytes())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let (head, object, digest) = (lines.next()?, lines.next()?, lines.next()?);
        let (length, at, end) = (lines.next()?, lines.next()?, lines.next()?);
        let whole = head == HEAD && end.is_empty() && lines.next().is_none() && !object.is_empty();
        let archived = Self {
            object: object.to_owned(),
            digest: digest.parse().ok()?,
            length: length.parse().ok()?,
            at: Timestamp(at.parse().ok()?),
        };
        whole.then_some(archived)
    }
}

/// Whatever has objects that can be read.
pub trait Archive: Send + Sync + std::fmt::Debug {
    /// Opens an object for reading. What is read is not compared with its digest: whoever needs that reads all of it.
    fn open(&self, archived: &Archived) -> io::Result<Arc<dyn DiskFile>>;
}

/// A disk on which parts of tapes that are archived can be read as if they were there.
#[derive(Clone, Debug)]
pub struct WithArchive {
    disk: Arc<dyn Disk>,
    archive: Arc<dyn Archive>,
}

impl WithArchive {
    /// This disk, and what is not on it from there.
    pub fn new(disk: Arc<dyn Disk>, archive: Arc<dyn Archive>) -> Self {
        Self { disk, archive }
    }

    /// What is said of the part whose file this would be.
    fn archived(&self, path: &Path) -> io::Result<Option<Archived>> {
        let Some(form) = path.extension().and_then(|form| form.to_str()).filter(|form| form.starts_with("tape")) else {
            return Ok(None);
        };
        let archived = Archived::read(self.disk.as_ref(), &path.with_extension("archived"))?;
        // The object has the form that the file had.
        Ok(archived.filter(|archived| archived.object.rsplit_once('.').is_some_and(|(_, found)| found == form)))
    }
}

impl Disk for WithArchive {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(path)
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open_append(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        match self.disk.open_read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.archived(path)? {
                Some(archived) => self.archive.open(&archived),
                None => Err(error),
            },
            other => other,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}
