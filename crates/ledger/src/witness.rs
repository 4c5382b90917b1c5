//! A witness: it remembers the last checkpoint of each log that it watches, and cosigns the next one only where a proof
//! shows that the log grew from it (c2sp.org/tlog-witness).
//!
//! ```text
//! old 20852014                      a submission: the size that the witness is thought to remember
//! PlRNCrwHpqhG…=                    the consistency proof from there, a hash a line
//!
//! sluice                            the checkpoint
//! …
//! ```
//!
//! What it must never do: cosign what it has not written down first. So two checkpoints that contradict each other never
//! both have its signature, wherever it is killed.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::{self, EMPTY_ROOT, Hash};
use crate::note::{self, Checkpoint, MAX_NOTE, Note, NoteError, VerifyingKey};

mod kept;
mod memory;

pub(crate) use kept::is_kept;
pub use kept::{keep, kept};
pub use memory::{Witness, WitnessError};

/// A proof has at most as many hashes (c2sp.org/tlog-witness, "add-checkpoint").
const MAX_HASHES: usize = 63;
/// The longest submission: a line for the size, hashes of 44 characters each, and the checkpoint.
pub const MAX_SUBMISSION: usize = 32 + MAX_HASHES * 45 + MAX_NOTE;
/// The media type of the size that goes with a refusal (c2sp.org/tlog-witness, "add-checkpoint").
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// What a log sends to a witness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// The size that the log thinks the witness remembers; 0 for nothing.
    pub old: u64,
    /// The proof that the checkpoint grew from there, in the order of RFC 6962.
    pub proof: Vec<Hash>,
    /// The checkpoint, a signed note. It is not verified.
    pub note: String,
}

impl Submission {
    /// Reads the body of a request. There is one spelling of each: what [`Submission::text`] writes.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let malformed = || Refusal::Malformed;
        let text = std::str::from_utf8(body).map_err(|_| malformed())?;
        let (head, note) = text.split_once("\n\n").ok_or_else(malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(note::parse_number);
        let proof = lines.map(note::parse_hash).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
        if proof.len() > MAX_HASHES || body.len() > MAX_SUBMISSION {
            return Err(malformed());
        }
        Ok(Self { old: old.ok_or_else(malformed)?, proof, note: note.to_owned() })
    }

    /// The body of a request.
    pub fn text(&self) -> String {
        let hashes: String = self.proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
        format!("old {}\n{hashes}\n{}", self.old, self.note)
    }
}

/// The size in the body of a refusal with [`Refusal::Conflict`].
pub fn parse_size(body: &[u8]) -> Option<u64> {
    std::str::from_utf8(body).ok()?.strip_suffix('\n').and_then(note::parse_number)
}

/// Why a witness does not cosign.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a submission, or the old size is larger than the checkpoint's.
    #[error("not a well-formed submission")]
    Malformed,
    /// It does not watch that log.
    #[error("the log is not known here")]
    UnknownLog,
    /// No key of the log signed the checkpoint.
    #[error("the checkpoint is not signed by a key of the log that is known here")]
    Unsigned,
    /// It remembers another size, which is in it, or another tree of that size.
    #[error("the latest checkpoint of the log that was cosigned here has {0} entries")]
    Conflict(u64),
    /// The proof does not show that the log grew from what the witness remembers.
    #[error("the proof does not hold")]
    Inconsistent,
    /// What it would remember cannot be written.
    #[error("the witness cannot write what it has to remember")]
    Disk(#[from] io::Error),
}

/// The size and root of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Head {
    /// What a witness remembers of a log that it never saw.
    const NOTHING: Self = Self { size: 0, root: EMPTY_ROOT };
}

/// The log that a submission is about, if one of these keys is the log's; nothing is verified yet.
fn log_of<'a>(submission: &Submission, logs: &'a [VerifyingKey]) -> Result<Vec<&'a VerifyingKey>, Refusal> {
    let note = Note::parse(submission.note.as_bytes()).map_err(|_| Refusal::Malformed)?;
    let head = note.head().map_err(|_| Refusal::Malformed)?;
    let keys: Vec<&VerifyingKey> = logs.iter().filter(|key| key.name() == head.origin).collect();
    if keys.is_empty() { Err(Refusal::UnknownLog) } else { Ok(keys) }
}

/// The checkpoint of a submission, by one of the log's keys.
fn signed(submission: &Submission, keys: &[&VerifyingKey]) -> Result<(Checkpoint, VerifyingKey), Refusal> {
    for key in keys {
        match Checkpoint::open(submission.note.as_bytes(), key).and_then(|checkpoint| checkpoint.only_by(key)) {
            Ok(checkpoint) => return Ok((checkpoint, (*key).clone())),
            Err(NoteError::Unsigned) => {}
            Err(_) => return Err(Refusal::Unsigned),
        }
    }
    Err(Refusal::Unsigned)
}

/// What a witness makes of a submission, in the order of c2sp.org/tlog-witness: the checkpoint to remember and to
/// cosign, with no signature but the log's.
///
/// # Errors
/// Why not.
pub fn decide(
    submission: &Submission,
    logs: &[VerifyingKey],
    remembered: impl FnOnce(&str) -> Option<Head>,
) -> Result<Checkpoint, Refusal> {
    let keys = log_of(submission, logs)?;
    let (checkpoint, key) = signed(submission, &keys)?;
    if submission.old > checkpoint.size() {
        return Err(Refusal::Malformed);
    }
    let last = remembered(key.name()).unwrap_or(Head::NOTHING);
    if submission.old != last.size {
        return Err(Refusal::Conflict(last.size));
    }
    if last.size == checkpoint.size() && last.root != *checkpoint.root() {
        return Err(Refusal::Conflict(last.size));
    }
    let grew = match last.size {
        0 => submission.proof.is_empty(),
        old => merkle::verify_consistency(old, &last.root, checkpoint.size(), checkpoint.root(), &submission.proof),
    };
    if grew { Ok(checkpoint) } else { Err(Refusal::Inconsistent) }
}

#[cfg(test)]
mod tests;
