//! Reading entries in their order, also while the journal grows.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::event::Entry;

use crate::disk::Disk;
use crate::frame::{self, DecodeError};
use crate::merkle::{self, Hash};
use crate::segment::{self, Scan, Step};

/// Why an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("the journal cannot be read")]
    Disk(#[from] io::Error),
    /// The entry is not there, or not as it was written.
    #[error("entry {0} is damaged")]
    Damaged(u64),
    /// The entry cannot be decoded.
    #[error("entry {0} cannot be decoded")]
    Undecodable(u64, #[source] DecodeError),
}

/// Reads a journal from a position on. It checks each entry's checksum; only `verify` checks the tree.
#[derive(Debug)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    position: u64,
    /// Entries from here on are not to be read yet; without it, what is in the files decides.
    visible: Option<Arc<AtomicU64>>,
    scan: Option<Scan>,
}

impl Reader {
    /// Reads the files of a journal that another process may be writing.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, position: u64) -> Self {
        Self { disk, dir: dir.to_owned(), position, visible: None, scan: None }
    }

    pub(crate) fn following(disk: Arc<dyn Disk>, dir: &Path, position: u64, visible: Arc<AtomicU64>) -> Self {
        Self { disk, dir: dir.to_owned(), position, visible: Some(visible), scan: None }
    }

    /// The index of the entry that [`Reader::next`] returns.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The next entry and its index; `None` if there is none yet. Call it again when the journal has grown.
    ///
    /// # Errors
    /// See [`ReadError`]. The position stays, so a call can be repeated.
    #[expect(clippy::should_implement_trait, reason = "None does not mean the end")]
    pub fn next(&mut self) -> Result<Option<(u64, Entry)>, ReadError> {
        Ok(self.take()?.map(|(index, entry, _)| (index, entry)))
    }

    /// As [`Reader::next`], with the entry's leaf hash: what tells it from any other entry that could stand there.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn next_hashed(&mut self) -> Result<Option<(u64, Entry, Hash)>, ReadError> {
        Ok(self.take()?.map(|(index, entry, payload)| (index, entry, merkle::leaf_hash(&payload))))
    }

    fn take(&mut self) -> Result<Option<(u64, Entry, Vec<u8>)>, ReadError> {
        let Some(payload) = self.next_payload()? else { return Ok(None) };
        let index = self.position;
        let entry = frame::decode(&payload).map_err(|error| ReadError::Undecodable(index, error))?;
        self.position = index.saturating_add(1);
        Ok(Some((index, entry, payload)))
    }

    fn next_payload(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let written = self.visible.as_ref().map(|visible| visible.load(Ordering::Acquire));
        if written.is_some_and(|written| written <= self.position) {
            return Ok(None);
        }
        if let Some(payload) = self.scan_on()? {
            return Ok(Some(payload));
        }
        // The end of what was open: the entry may be in a newer segment, or in one that replaced this one.
        self.scan = self.find_segment()?;
        match (self.scan_on()?, written) {
            (Some(payload), _) => Ok(Some(payload)),
            (None, Some(_)) => Err(ReadError::Damaged(self.position)),
            (None, None) => Ok(None),
        }
    }

    /// Looks for the entry in the open segment.
    fn scan_on(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let position = self.position;
        let Some(scan) = self.scan.as_mut() else { return Ok(None) };
        loop {
            match scan.next()? {
                Step::Frame { index, payload, .. } if index == position => return Ok(Some(payload.to_vec())),
                Step::Frame { index, .. } if index < position => {}
                Step::Frame { .. } => return Err(ReadError::Damaged(position)),
                Step::End | Step::Bad => {
                    scan.refresh();
                    return Ok(None);
                }
            }
        }
    }

    fn find_segment(&self) -> Result<Option<Scan>, ReadError> {
        let firsts = segment::list(self.disk.as_ref(), &self.dir)?;
        let Some(first) = firsts.into_iter().rfind(|first| *first <= self.position) else { return Ok(None) };
        match Scan::open(self.disk.as_ref(), &segment::path(&self.dir, first))? {
            Some((_, scan)) => Ok(Some(scan)),
            None => Err(ReadError::Damaged(self.position)),
        }
    }
}
