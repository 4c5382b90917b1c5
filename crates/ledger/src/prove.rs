//! Proofs about single entries and about growth, made from the files of a journal.

use std::io;
use std::path::Path;

use crate::disk::Disk;
use crate::merkle::{self, Hash, Leaves};
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
    let mut leaves = FileLeaves::read(disk, dir, size)?;
    let hashes = merkle::consistency_proof(&mut leaves, old, size)?;
    Ok(Proof { hash: leaves.subtree(0, old)?, size, root: leaves.subtree(0, size)?, hashes })
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
                if index != expected {
                    return Err(ProveError::Damaged(expected));
                }
                if index < size {
                    leaves.push(merkle::leaf_hash(payload));
                }
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
