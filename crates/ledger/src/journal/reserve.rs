//! Room that is kept for the end: a file that holds nothing, and is given up when the disk is full.
//!
//! It takes real blocks, of bytes that no file system stores in less. What is then written in its place are entries
//! about what has ended already. It is made anew only where there is room for it and for as much again, so that a disk
//! that is full to the last byte is not taken for one that has room because of what was given up.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, append_all};

/// The file's name in the journal's directory.
pub(crate) const NAME: &str = "reserve";

/// Bytes that are written at a time: on a full disk little is written in vain.
const PIECE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    size: u64,
    held: bool,
}

impl Reserve {
    /// The reserve as an earlier process left it; what is left of one that was being made is removed.
    pub(super) fn find(disk: &dyn Disk, dir: &Path, size: u64) -> io::Result<Self> {
        let mut reserve = Self { path: dir.join(NAME), size, held: false };
        remove(disk, &reserve.unfinished())?;
        reserve.held = match disk.open_read(&reserve.path) {
            Ok(file) => file.length()? == size,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        Ok(reserve)
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// Makes it anew. It succeeds only if there is as much room again beside it.
    pub(super) fn renew(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let unfinished = self.unfinished();
        remove(disk, &unfinished)?;
        let made = self.make(disk, &unfinished);
        if made.is_err() {
            // What was written of it would take the room from whoever may use it.
            let _ = remove(disk, &unfinished);
        }
        made
    }

    fn make(&mut self, disk: &dyn Disk, unfinished: &Path) -> io::Result<()> {
        let file = disk.create(unfinished)?;
        // The one that is held is as much room again, as soon as the new one has its name.
        let wanted = if self.held { self.size } else { self.size.saturating_mul(2) };
        let mut noise = Noise(wanted);
        let mut left = wanted;
        while left > 0 {
            let piece = noise.bytes(usize::try_from(left).unwrap_or(PIECE).min(PIECE));
            append_all(file.as_ref(), &piece)?;
            left = left.saturating_sub(super::bytes(piece.len()));
        }
        // Blocks may be given only when the bytes leave memory, and before they do there is no telling that there are any.
        file.sync()?;
        if wanted > self.size {
            file.truncate(self.size)?;
            file.sync()?;
        }
        disk.rename(unfinished, &self.path)?;
        self.held = true;
        self.sync_dir(disk)
    }

    /// Gives the room to whoever writes next.
    pub(super) fn give_up(&mut self, disk: &dyn Disk) -> io::Result<()> {
        remove(disk, &self.path)?;
        self.held = false;
        self.sync_dir(disk)
    }

    fn sync_dir(&self, disk: &dyn Disk) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
    }

    fn unfinished(&self) -> PathBuf {
        self.path.with_extension("new")
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Bytes that do not compress (splitmix64).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.word().to_le_bytes());
        words.flatten().take(count).collect()
    }

    const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
