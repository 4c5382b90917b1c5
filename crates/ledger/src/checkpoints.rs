//! The stored checkpoints: every one in `*.checkpoints`, one after another, and the latest in `checkpoint`, where
//! c2sp.org/tlog-tiles looks for it.
//!
//! A list file is named by the size of its first checkpoint. Between two notes stands an empty line. After any failure
//! the next checkpoint begins a new list, so that no failed fsync is ever trusted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, append_all, read_full, replace};
use crate::note::{Checkpoint, NoteError};
use crate::rotation::Keys;

/// The name of the file with the latest checkpoint.
pub(crate) const LATEST: &str = "checkpoint";
/// Where a new list begins, in bytes.
const LIST_LIMIT: u64 = 1024 * 1024;

/// The writing side.
#[derive(Debug)]
pub(crate) struct CheckpointLog {
    dir: PathBuf,
    list: Option<List>,
    last: Option<Checkpoint>,
}

#[derive(Debug)]
struct List {
    file: Arc<dyn DiskFile>,
    /// Length up to the last whole note.
    length: u64,
    /// Whether something failed, so that the file may have a torn end.
    failed: bool,
}

impl CheckpointLog {
    /// Continues after `last`; the next checkpoint begins a new list.
    pub(crate) fn new(dir: &Path, last: Option<Checkpoint>) -> Self {
        Self { dir: dir.to_owned(), list: None, last }
    }

    /// The latest checkpoint.
    pub(crate) const fn last(&self) -> Option<&Checkpoint> {
        self.last.as_ref()
    }

    /// Takes note that somebody did not get to the end of storing one.
    pub(crate) fn panicked(&mut self) {
        if let Some(list) = &mut self.list {
            list.failed = true;
        }
    }

    /// Stores a checkpoint; it is on the disk when this returns.
    pub(crate) fn store(&mut self, disk: &dyn Disk, checkpoint: &Checkpoint) -> io::Result<()> {
        if let Some(list) = self.list.as_ref().filter(|list| list.failed) {
            list.file.truncate(list.length)?;
            self.list = None;
        }
        match self.list.as_mut().filter(|list| list.length < LIST_LIMIT) {
            Some(list) => list.append(checkpoint)?,
            None => self.list = Some(List::begin(disk, &self.dir, checkpoint)?),
        }
        replace(disk, &self.dir.join(LATEST), checkpoint.note().as_bytes())?;
        self.last = Some(checkpoint.clone());
        Ok(())
    }
}

impl List {
    fn begin(disk: &dyn Disk, dir: &Path, checkpoint: &Checkpoint) -> io::Result<Self> {
        let path = dir.join(file_name(checkpoint.size()));
        replace(disk, &path, checkpoint.note().as_bytes())?;
        let length = u64::try_from(checkpoint.note().len()).map_err(io::Error::other)?;
        Ok(Self { file: disk.open_append(&path)?, length, failed: false })
    }

    fn append(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        let bytes = format!("\n{}", checkpoint.note());
        let written = append_all(self.file.as_ref(), bytes.as_bytes()).and_then(|()| self.file.sync());
        written.inspect_err(|_| self.failed = true)?;
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).map_err(io::Error::other)?);
        Ok(())
    }
}

/// The name of the list whose first checkpoint has this size.
pub(crate) fn file_name(size: u64) -> String {
    format!("{size:020}.checkpoints")
}

/// The size of the first checkpoint of the list with this name; `None` for other files.
pub(crate) fn first_size(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".checkpoints")?;
    let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A note that could not be read.
#[derive(Debug)]
pub(crate) struct BadNote {
    /// Where the good notes before it end.
    pub(crate) offset: u64,
    /// What is wrong with it.
    pub(crate) error: NoteError,
    /// Whether a write was cut off there.
    pub(crate) torn: bool,
}

/// What one list holds.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Where each note begins, and the checkpoint that it is, up to the first bad one.
    pub(crate) good: Vec<(u64, Checkpoint)>,
    /// The first bad one.
    pub(crate) bad: Option<BadNote>,
}

/// Reads one list.
pub(crate) fn read_list(disk: &dyn Disk, path: &Path, keys: &Keys) -> io::Result<Notes> {
    let file = disk.open_read(path)?;
    let mut content = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
    let filled = read_full(file.as_ref(), 0, &mut content)?;
    content.truncate(filled);
    Ok(parse_list(&content, keys))
}

fn parse_list(content: &[u8], keys: &Keys) -> Notes {
    let mut notes = Notes::default();
    let mut end = 0;
    while let Some(rest) = content.get(end..).filter(|rest| end == 0 || !rest.is_empty()) {
        let separator = usize::from(end > 0);
        let body = rest.get(separator..).unwrap_or_default();
        let note = body.get(..note_length(body)).unwrap_or_default();
        let separated = separator == 0 || rest.first() == Some(&b'\n');
        let error = match keys.open(note) {
            Ok(checkpoint) if separated && checkpoint.is_own_form() => {
                notes.good.push((offset(end.saturating_add(separator)), checkpoint));
                end = end.saturating_add(separator).saturating_add(note.len());
                continue;
            }
            Ok(_) => NoteError::Malformed,
            Err(error) => error,
        };
        notes.bad = Some(BadNote { offset: offset(end), error, torn: is_torn(rest, body, keys) });
        break;
    }
    notes
}

fn offset(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

/// The length of the five lines of a note, or of all there is.
fn note_length(bytes: &[u8]) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    ends.take(5).nth(4).map_or(bytes.len(), |at| at.saturating_add(1))
}

/// Whether what is left of a list looks like a write that was cut off: the beginning of a note, or one with zeros where
/// bytes never reached the disk. A whole note behind it was written later, so that this one was on the disk.
fn is_torn(rest: &[u8], body: &[u8], keys: &Keys) -> bool {
    let begun = rest.first() == Some(&b'\n') && body.iter().filter(|byte| **byte == b'\n').count() < 5;
    let lines = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at.saturating_add(1));
    let mut later = lines.skip(1).filter_map(|at| rest.get(at..));
    (begun || rest.contains(&0))
        && !later.any(|later| keys.open(later.get(..note_length(later)).unwrap_or_default()).is_ok())
}
