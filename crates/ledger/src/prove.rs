//! Proofs about single entries and about growth, made from the files of a journal.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoints;
use crate::disk::Disk;
use crate::merkle::{self, Edge, Hash, Leaves};
use crate::note::{Checkpoint, NoteError, VerifyingKey};
use crate::rotation::Keys;
use crate::segment::{self, Scan, Step};

/// A proof about the tree of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The leaf hash of the entry, or the root of the older tree.
    pub hash: Hash,
    /// The size of the tree that it is about.
    pub size: u64,
    /// The root of that tree.
    pub root: Hash,
    /// The hashes of the proof, in the order of RFC 6962.
    pub hashes: Vec<Hash>,
}

/// A proof that an entry is in a signed tree, with the entry itself: all that somebody needs who has the public key.
///
/// Its text is that of c2sp.org/tlog-proof; the entry's bytes are its extra data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryProof {
    /// The entry's place.
    pub index: u64,
    /// The entry as the journal has it; [`crate::decode`] reads it.
    pub entry: Vec<u8>,
    /// The hashes of the proof, in the order of RFC 6962.
    hashes: Vec<Hash>,
    /// The signed tree.
    pub checkpoint: Checkpoint,
}

/// The first line of a proof's text.
const PROOF: &str = "c2sp.org/tlog-proof@v1";
/// A proof has no more hashes than an index has bits.
const MAX_HASHES: usize = 63;

/// Why a text proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// Not a proof, or one without its entry.
    #[error("not a proof of an entry (c2sp.org/tlog-proof with the entry as its extra data)")]
    Malformed,
    /// The checkpoint is not by that key.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The tree does not hold the entry.
    #[error("the entry is not in the signed tree")]
    NotIncluded,
}

impl EntryProof {
    /// The text of the proof, which ends with a newline.
    pub fn text(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
        let (extra, index, note) = (STANDARD.encode(&self.entry), self.index, self.checkpoint.note());
        format!("{PROOF}\nextra {extra}\nindex {index}\n{hashes}\n{note}")
    }

    /// Reads a proof and verifies it.
    ///
    /// # Errors
    /// If it is not one, or proves nothing under this key.
    pub fn open(text: &str, key: &VerifyingKey) -> Result<Self, ProofError> {
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Malformed)?;
        let mut lines = head.split('\n');
        let mut labelled = |label: &str| lines.next().and_then(|line| line.strip_prefix(label));
        if labelled(PROOF) != Some("") {
            return Err(ProofError::Malformed);
        }
        let entry = labelled("extra ").and_then(|entry| STANDARD.decode(entry).ok()).ok_or(ProofError::Malformed)?;
        let digits = labelled("index ").ok_or(ProofError::Malformed)?;
        let index: u64 = digits.parse().map_err(|_| ProofError::Malformed)?;
        let hashes = lines.map(|line| STANDARD.decode(line).ok()?.try_into().ok()).collect::<Option<Vec<Hash>>>();
        let hashes = hashes.filter(|hashes| hashes.len() <= MAX_HASHES).ok_or(ProofError::Malformed)?;
        // The one spelling of a number is the one that we would write.
        if index.to_string() != digits {
            return Err(ProofError::Malformed);
        }
        let checkpoint = Checkpoint::open(note.as_bytes(), key)?;
        let leaf = merkle::leaf_hash(&entry);
        if !merkle::verify_inclusion(&leaf, index, checkpoint.size(), &hashes, checkpoint.root()) {
            return Err(ProofError::NotIncluded);
        }
        Ok(Self { index, entry, hashes, checkpoint })
    }
}

/// Proves entry `index` by the first stored checkpoint that covers it.
///
/// # Errors
/// See [`ProveError`].
pub fn prove_entry(disk: &dyn Disk, dir: &Path, key: &VerifyingKey, index: u64) -> Result<EntryProof, ProveError> {
    let checkpoint = covering(disk, dir, key, index)?;
    let hashes = prove_inclusion(disk, dir, index, checkpoint.size())?.hashes;
    let proof = EntryProof { index, entry: payload_of(disk, dir, index)?, hashes, checkpoint };
    // What is handed out is what whoever gets it will find: the files may be damaged.
    EntryProof::open(&proof.text(), key).map_err(|_| ProveError::Damaged(index))
}

/// The first stored checkpoint by that key whose tree has the entry.
fn covering(disk: &dyn Disk, dir: &Path, key: &VerifyingKey, index: u64) -> Result<Checkpoint, ProveError> {
    let (names, keys) = (disk.list(dir)?, Keys::of(disk, dir, key)?);
    let mut lists: Vec<&String> = names.iter().filter(|name| checkpoints::first_size(name).is_some()).collect();
    lists.sort_unstable();
    for name in lists {
        let notes = checkpoints::read_list(disk, &dir.join(name), &keys)?;
        let covers =
            |(_, checkpoint): &(u64, Checkpoint)| checkpoint.size() > index && keys.of_size(checkpoint.size()) == key;
        if let Some((_, checkpoint)) = notes.good.into_iter().find(covers) {
            return Ok(checkpoint);
        }
        if let Some(bad) = notes.bad.filter(|bad| !bad.torn) {
            return Err(ProveError::Checkpoint(bad.error));
        }
    }
    Err(ProveError::NotSigned(index))
}

fn payload_of(disk: &dyn Disk, dir: &Path, wanted: u64) -> Result<Vec<u8>, ProveError> {
    let firsts = segment::list(disk, dir)?;
    let first = firsts.into_iter().take_while(|first| *first <= wanted).last().ok_or(ProveError::Range)?;
    let (_, mut scan) = Scan::open(disk, &segment::path(dir, first))?.ok_or(ProveError::Damaged(first))?;
    while let Step::Frame { index, payload, .. } = scan.next()? {
        if index == wanted {
            return Ok(payload.to_vec());
        }
    }
    Err(ProveError::Damaged(wanted))
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The disk failed.
    #[error("the journal cannot be read")]
    Disk(#[from] io::Error),
    /// The journal has fewer entries than the proof is about, or there are none to prove anything of.
    #[error("the journal has no such entries")]
    Range,
    /// An entry is damaged; `verify` says more.
    #[error("entry {0} is damaged")]
    Damaged(u64),
    /// No checkpoint covers the entry yet.
    #[error("no checkpoint by this key covers entry {0}; Sluice signs one every 10 seconds")]
    NotSigned(u64),
    /// A checkpoint is damaged.
    #[error("a checkpoint is damaged: {0}")]
    Checkpoint(NoteError),
}

/// Proves that entry `index` is in the tree of the first `size` entries. [`merkle::verify_inclusion`] checks it.
///
/// # Errors
/// See [`ProveError`].
pub fn prove_inclusion(disk: &dyn Disk, dir: &Path, index: u64, size: u64) -> Result<Proof, ProveError> {
    let mut leaves = FileLeaves::read(disk, dir, size)?;
    let position = usize::try_from(index).map_err(|_| ProveError::Range)?;
    let hash = *leaves.0.get(position).ok_or(ProveError::Range)?;
    let hashes = merkle::inclusion_proof(&mut leaves, index, size)?;
    Ok(Proof { hash, size, root: leaves.subtree(0, size)?, hashes })
}

/// Proves that the tree of the first `old` entries is a prefix of that of the first `size`.
/// [`merkle::verify_consistency`] checks it.
///
/// # Errors
/// See [`ProveError`].
pub fn prove_consistency(disk: &dyn Disk, dir: &Path, old: u64, size: u64) -> Result<Proof, ProveError> {
    if old == 0 || old > size {
        return Err(ProveError::Range);
    }
    let mut grown = Grown::read(disk, dir, old, size)?;
    let hashes = merkle::consistency_proof(&mut grown, old, size)?;
    Ok(Proof { hash: grown.before.root(), size, root: grown.root(), hashes })
}

/// A tree, and the leaf hashes that came after it: all that a proof of growth is made of. So no more is read of a journal
/// than what is new, from the beginning of its segment on.
struct Grown {
    before: Edge,
    leaves: Vec<Hash>,
}

impl Grown {
    fn read(disk: &dyn Disk, dir: &Path, old: u64, size: u64) -> Result<Self, ProveError> {
        let firsts = segment::list(disk, dir)?;
        let begin = firsts.iter().rposition(|first| *first < old).ok_or(ProveError::Range)?;
        let mut grown: Option<Self> = None;
        for first in firsts.into_iter().skip(begin).take_while(|first| *first < size) {
            let path = segment::path(dir, first);
            let (header, mut scan) = Scan::open(disk, &path)?.ok_or(ProveError::Damaged(first))?;
            let grown = grown.get_or_insert_with(|| Self { before: header.edge.clone(), leaves: Vec::new() });
            while let Step::Frame { index, payload, .. } = scan.next()? {
                match grown.size() {
                    next if next == size => break,
                    next if next != index => return Err(ProveError::Damaged(next)),
                    next if next < old => grown.before.push(merkle::leaf_hash(payload)),
                    _ => grown.leaves.push(merkle::leaf_hash(payload)),
                }
            }
        }
        grown.filter(|grown| grown.size() == size).ok_or(ProveError::Range)
    }

    fn size(&self) -> u64 {
        self.before.size().saturating_add(u64::try_from(self.leaves.len()).unwrap_or(u64::MAX))
    }

    fn root(&self) -> Hash {
        let mut edge = self.before.clone();
        self.leaves.iter().for_each(|leaf| edge.push(*leaf));
        edge.root()
    }
}

impl Leaves for Grown {
    type Error = ProveError;

    /// What a proof of growth asks for is after the old tree, or one of the complete subtrees that it consists of.
    fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, ProveError> {
        if to <= self.before.size() {
            return self.before.subtree(from, to).ok_or(ProveError::Range);
        }
        let place = |at: u64| at.checked_sub(self.before.size()).and_then(|at| usize::try_from(at).ok());
        let leaves = place(from).zip(place(to)).and_then(|(from, to)| self.leaves.get(from..to));
        Ok(merkle::root_of(leaves.ok_or(ProveError::Range)?.iter().copied()))
    }
}

/// The leaf hashes of the first entries: 32 bytes for each.
struct FileLeaves(Vec<Hash>);

impl FileLeaves {
    fn read(disk: &dyn Disk, dir: &Path, size: u64) -> Result<Self, ProveError> {
        let mut leaves = Vec::new();
        for first in segment::list(disk, dir)?.into_iter().take_while(|first| *first < size) {
            let path = segment::path(dir, first);
            let (_, mut scan) = Scan::open(disk, &path)?.ok_or(ProveError::Damaged(first))?;
            while let Step::Frame { index, payload, .. } = scan.next()? {
                let expected = u64::try_from(leaves.len()).map_err(|_| ProveError::Range)?;
                if expected == size {
                    break;
                }
                if index != expected {
                    return Err(ProveError::Damaged(expected));
                }
                leaves.push(merkle::leaf_hash(payload));
            }
        }
        let complete = u64::try_from(leaves.len()).is_ok_and(|count| count == size && size > 0);
        if complete { Ok(Self(leaves)) } else { Err(ProveError::Range) }
    }
}

impl Leaves for FileLeaves {
    type Error = ProveError;

    fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, ProveError> {
        let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let leaves = range.and_then(|(from, to)| self.0.get(from..to)).ok_or(ProveError::Range)?;
        Ok(merkle::root_of(leaves.iter().copied()))
    }
}
