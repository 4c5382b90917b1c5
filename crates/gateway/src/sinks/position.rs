//! How far a sink got, durably.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ledger::{Journal, ReadError};
use model::id::Digest;

/// How far a sink got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The index of the first entry that is not acknowledged.
    pub next: u64,
    /// The leaf hash of the entry before it: it tells this journal from one that was put in its place.
    pub last: Option<Digest>,
}

/// Why a sink must not go on from its position: whatever it did would be a guess.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// Its file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its file is not one.
    #[error("{0} is damaged; remove it to begin as `from` says, or write the entry to begin at into it")]
    Damaged(PathBuf),
    /// It is behind the journal's end.
    #[error(
        "it has acknowledged entries up to {next}, and the journal has {size}: an older journal was put in its place"
    )]
    Beyond {
        /// The position.
        next: u64,
        /// How many entries there are.
        size: u64,
    },
    /// It is one of another journal.
    #[error("entry {0} is another one than it has acknowledged: another journal was put in its place")]
    Other(u64),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Position {
    /// The position in this file; `None` if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is not one.
    pub fn load(path: &Path) -> Result<Option<Self>, PositionError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some).ok_or_else(|| PositionError::Damaged(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PositionError::File { path: path.to_owned(), source }),
        }
    }

    /// `NEXT HASH`; an operator who writes `NEXT` alone decides where it begins.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let next = words.next()?.parse().ok()?;
        let last = words.next().map(str::parse).transpose().ok()?;
        words.next().is_none().then_some(Self { next, last })
    }

    /// Replaces the file whole, so that whoever reads it after a power cut finds this position or the one before.
    ///
    /// # Errors
    /// It is not kept.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        let last = self.last.map(|last| format!(" {last}")).unwrap_or_default();
        replace(path, format!("{}{last}\n", self.next).as_bytes())
    }

    /// The position in `journal` before the entry `next`.
    ///
    /// # Errors
    /// There is no such entry.
    pub fn before(journal: &Journal, next: u64) -> Result<Self, PositionError> {
        let Some(last) = next.checked_sub(1) else { return Ok(Self::default()) };
        match journal.reader(last).next_hashed()? {
            Some((_, _, hash)) => Ok(Self { next, last: Some(Digest(hash)) }),
            None => Err(PositionError::Beyond { next, size: journal.size() }),
        }
    }

    /// Whether this is a position in `journal`; the same, with its hash.
    ///
    /// # Errors
    /// It is not one of this journal.
    pub fn confirm(self, journal: &Journal) -> Result<Self, PositionError> {
        let found = Self::before(journal, self.next)?;
        if self.last.is_some_and(|last| Some(last) != found.last) {
            return Err(PositionError::Other(self.next.saturating_sub(1)));
        }
        Ok(found)
    }
}

/// Replaces a file whole: whoever reads it after a power cut finds what is written now, or what was there before.
///
/// # Errors
/// It is as it was, or the one or the other.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_replaced_whole_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("siem.position");
        assert_eq!(Position::load(&path).unwrap(), None);
        for position in [Position::default(), Position { next: 17, last: Some(Digest([7; 32])) }] {
            position.store(&path).unwrap();
            assert_eq!(Position::load(&path).unwrap(), Some(position));
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["siem.position"]);
        std::fs::write(&path, "12\n").unwrap();
        assert_eq!(Position::load(&path).unwrap(), Some(Position { next: 12, last: None }));
        for damaged in ["", "x", "12 x", "-1", "12 00 1"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(Position::load(&path), Err(PositionError::Damaged(_))), "{damaged:?}");
        }
    }
}
