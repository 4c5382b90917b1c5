//! The RFC 6962 Merkle tree over the journal's entries.
//!
//! A leaf is SHA-256(0x00 || entry), a node SHA-256(0x01 || left || right) (RFC 6962, section 2.1), so that no node can
//! pass for a leaf. Appending needs only the roots of the complete subtrees along the right edge: [`Edge`].

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// The root of the empty tree: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The hash of a leaf.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0x00], entry])
}

/// The hash of an inner node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[0x01], left, right])
}

/// As long as this, bytes are hashed in one call, which takes half the time of a context.
const SHORT: usize = 512;

pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut bytes = [0u8; SHORT];
    let mut filled = 0usize;
    for part in parts {
        let end = filled.saturating_add(part.len());
        let Some(room) = bytes.get_mut(filled..end) else { return sha256_of_long(parts) };
        room.copy_from_slice(part);
        filled = end;
    }
    hash_of(&digest(&SHA256, bytes.get(..filled).unwrap_or_default()))
}

fn sha256_of_long(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    hash_of(&context.finish())
}

fn hash_of(digest: &Digest) -> Hash {
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// A tree that can grow: its size, and the roots of its complete subtrees from the largest (left) to the smallest.
///
/// INVARIANT: there are as many hashes as `size` has one bits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edge {
    size: u64,
    hashes: Vec<Hash>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, if there are as many hashes as it needs.
    pub(crate) fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        let needed = usize::try_from(size.count_ones()).ok()?;
        (hashes.len() == needed).then_some(Self { size, hashes })
    }

    /// How many leaves the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    pub(crate) fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The root over `from..to`, if that is one of the complete subtrees.
    pub(crate) fn subtree(&self, from: u64, to: u64) -> Option<Hash> {
        let mut begins = 0u64;
        let mut left = self.size;
        for hash in &self.hashes {
            let width = 1u64.checked_shl(left.ilog2())?;
            let ends = begins.checked_add(width)?;
            if (begins, ends) == (from, to) {
                return Some(*hash);
            }
            begins = ends;
            left = left.checked_sub(width).filter(|left| *left > 0)?;
        }
        None
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut hashes = self.hashes.iter().rev();
        let Some(smallest) = hashes.next() else { return EMPTY_ROOT };
        hashes.fold(*smallest, |right, left| node_hash(left, &right))
    }
}

/// Where the hashes of leaves come from when a proof is made.
pub(crate) trait Leaves {
    /// What went wrong while reading them.
    type Error;
    /// The root of the subtree over `from..to`.
    fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, Self::Error>;
}

/// The root over leaf hashes, in one pass.
pub(crate) fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut edge = Edge::default();
    leaves.into_iter().for_each(|leaf| edge.push(leaf));
    edge.root()
}

/// The largest power of two smaller than `size` (`size` > 1).
const fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves (RFC 6962, section 2.1.1), the lowest hash first.
pub(crate) fn inclusion_proof<L: Leaves>(leaves: &mut L, index: u64, size: u64) -> Result<Vec<Hash>, L::Error> {
    let (mut from, mut to) = (0, size);
    let mut proof = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(leaves.subtree(middle, to)?);
            to = middle;
        } else {
            proof.push(leaves.subtree(from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `old` leaves is a prefix of the tree of `size` (RFC 6962, section 2.1.2).
pub(crate) fn consistency_proof<L: Leaves>(leaves: &mut L, old: u64, size: u64) -> Result<Vec<Hash>, L::Error> {
    let (mut from, mut to) = (0, size);
    let mut proof = Vec::new();
    // Whether the old tree is exactly what is left to look at, so that the verifier already has its root.
    let mut whole = true;
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(leaves.subtree(middle, to)?);
            to = middle;
        } else {
            proof.push(leaves.subtree(from, middle)?);
            from = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(leaves.subtree(from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that `leaf` is entry `index` of the tree with this size and root (RFC 9162, section 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree with `old_root` is a prefix of the one with `root` (RFC 9162, section 2.1.4.2).
///
/// Two trees of the same size are consistent if they are equal; nothing can be shown about the empty tree.
pub fn verify_consistency(old: u64, old_root: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if old == 0 || old > size {
        return false;
    }
    if old == size {
        return proof.is_empty() && old_root == root;
    }
    let mut steps = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { steps.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut hash) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(step, &old_hash);
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

#[cfg(test)]
mod tests;
