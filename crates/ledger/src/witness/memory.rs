//! What a witness keeps on its disk: its key, and of each log the last checkpoint that it cosigned.
//!
//! ```text
//! witness.key            the secret key, PRIVATE+KEY+NAME+ID+SEED
//! witness.pub            the public one, for whoever asks
//! HASH.checkpoint        of each log: the cosigned note; HASH is SHA-256 of the log's origin, in hexadecimal
//! lock                   held by the one process that writes here
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::id::Digest;

use super::{Head, Refusal, Submission, decide};
use crate::cosignature::{self, Cosigner, WitnessKey};
use crate::disk::{Disk, DiskFile, read_small, replace};
use crate::merkle::sha256;
use crate::note::{Checkpoint, KeyError, MAX_NOTE, Note, NoteError, VerifyingKey};

const SECRET: &str = "witness.key";
const PUBLIC: &str = "witness.pub";
/// A key of the longest name is shorter.
const MAX_KEY: usize = 1024;

/// Why a witness does not start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Another process is the witness of this directory.
    #[error("another process has this directory open")]
    InUse,
    /// The disk failed.
    #[error("the directory cannot be used: {0}")]
    Disk(#[from] io::Error),
    /// The key is damaged, or the name cannot be one.
    #[error("{SECRET}: {0}")]
    Key(#[from] KeyError),
    /// What it remembers of a log is damaged. Without it the witness would cosign anything.
    #[error("{file}: {error}; restore it, or ask every log for its latest cosigned checkpoint")]
    Damaged {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        error: NoteError,
    },
}

/// A witness at work: the only writer of its directory. Share it in an [`Arc`]; [`Witness::submit`] blocks.
#[derive(Debug)]
pub struct Witness {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    cosigner: Cosigner,
    logs: Vec<VerifyingKey>,
    /// By origin. Held while a submission is decided, written and cosigned, so that no two cross.
    heads: Mutex<BTreeMap<String, Head>>,
    _lock: Arc<dyn DiskFile>,
}

impl Witness {
    /// Opens the witness in `dir`, or begins one there: then `name` and `fresh`, 32 random bytes, make its key.
    ///
    /// # Errors
    /// See [`WitnessError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        name: &str,
        fresh: &[u8; 32],
        logs: Vec<VerifyingKey>,
    ) -> Result<Self, WitnessError> {
        disk.create_dir(dir)?;
        let lock = lock(disk.as_ref(), dir)?;
        let cosigner = key(disk.as_ref(), dir, name, fresh)?;
        let heads = read_heads(disk.as_ref(), dir, cosigner.public())?;
        replace(disk.as_ref(), &dir.join(PUBLIC), format!("{}\n", cosigner.public()).as_bytes())?;
        Ok(Self { disk, dir: dir.to_owned(), cosigner, logs, heads: Mutex::new(heads), _lock: lock })
    }

    /// The key that verifies its cosignatures.
    pub const fn public(&self) -> &WitnessKey {
        self.cosigner.public()
    }

    /// The body of a request, and the time in seconds since 1970: the signature lines to answer with. The checkpoint is
    /// on the disk when this returns.
    ///
    /// # Errors
    /// Why it does not cosign.
    pub fn submit(&self, body: &[u8], now: u64) -> Result<String, Refusal> {
        let submission = Submission::parse(body)?;
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = decide(&submission, &self.logs, |origin| heads.get(origin).copied())?;
        let note = Note::parse(checkpoint.note().as_bytes()).map_err(|_| Refusal::Malformed)?;
        let origin = note.head().map_err(|_| Refusal::Malformed)?.origin;
        let line = self.cosigner.line(note.text, now);
        self.remember(origin, &checkpoint.with_lines(&line))?;
        heads.insert(origin.to_owned(), Head { size: checkpoint.size(), root: *checkpoint.root() });
        Ok(line)
    }

    /// After a failure either checkpoint may be on the disk. That the old one counts is safe: nobody was given a
    /// cosignature of the new one.
    fn remember(&self, origin: &str, cosigned: &Checkpoint) -> io::Result<()> {
        replace(self.disk.as_ref(), &self.dir.join(file_name(origin)), cosigned.note().as_bytes())
    }
}

fn file_name(origin: &str) -> String {
    format!("{}.checkpoint", Digest(sha256(&[origin.as_bytes()])))
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>, WitnessError> {
    let path = dir.join("lock");
    let file = match disk.create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open_append(&path)?,
        result => result?,
    };
    match file.lock() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(WitnessError::InUse),
        result => Ok(result.map(|()| file)?),
    }
}

fn key(disk: &dyn Disk, dir: &Path, name: &str, fresh: &[u8; 32]) -> Result<Cosigner, WitnessError> {
    let path = dir.join(SECRET);
    let text = match read_small(disk, &path, MAX_KEY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = Cosigner::secret_text(name, fresh)?;
            replace(disk, &path, text.as_bytes())?;
            text
        }
        result => String::from_utf8(result?).map_err(|_| KeyError::Text)?,
    };
    Ok(Cosigner::from_secret_text(&text)?)
}

fn read_heads(disk: &dyn Disk, dir: &Path, own: &WitnessKey) -> Result<BTreeMap<String, Head>, WitnessError> {
    let mut heads = BTreeMap::new();
    for file in disk.list(dir)?.into_iter().filter(|name| name.ends_with(".checkpoint")) {
        // Twice as long as a log's note at most: it had its own signature and ours.
        let note = read_small(disk, &dir.join(&file), 2 * MAX_NOTE)?;
        match cosignature::own(&note, own) {
            Ok((origin, size, root)) if file_name(&origin) == file => {
                heads.insert(origin, Head { size, root });
            }
            Ok(_) => return Err(WitnessError::Damaged { file, error: NoteError::Origin }),
            Err(error) => return Err(WitnessError::Damaged { file, error }),
        }
    }
    Ok(heads)
}
