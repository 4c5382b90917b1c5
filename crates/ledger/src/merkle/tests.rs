use proptest::prelude::*;

use super::*;

/// The inputs and roots of the reference implementation of Certificate Transparency (RFC 6962).
const INPUTS: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

struct Memory(Vec<Hash>);

impl Leaves for Memory {
    type Error = std::convert::Infallible;

    fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, Self::Error> {
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        Ok(reference(&self.0[range]))
    }
}

/// The definition of RFC 6962, section 2.1, word for word.
fn reference(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let middle = leaves.len().next_power_of_two() / 2;
            node_hash(&reference(&leaves[..middle]), &reference(&leaves[middle..]))
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

fn prefix(leaves: &[Hash], size: u64) -> &[Hash] {
    &leaves[..usize::try_from(size).unwrap()]
}

#[test]
fn the_roots_are_those_of_the_reference() {
    let mut edge = Edge::default();
    for (number, root) in ROOTS.iter().enumerate() {
        assert_eq!(model::id::Digest(edge.root()).to_string(), *root);
        if let Some(input) = INPUTS.get(number) {
            edge.push(leaf_hash(input));
        }
    }
}

#[test]
fn td_07_a_node_cannot_pass_for_a_leaf() {
    let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let mut forged = vec![0x01];
    forged.extend_from_slice(&left);
    forged.extend_from_slice(&right);
    let root = node_hash(&left, &right);
    // The concatenation of two hashes, with and without the node's prefix, as the content of one entry.
    assert_ne!(leaf_hash(&forged), root);
    assert_ne!(leaf_hash(&forged[1..]), root);
    assert!(!verify_inclusion(&leaf_hash(&forged[1..]), 0, 1, &[], &root));
    assert!(!verify_inclusion(&root, 0, 2, &[], &root));
}

#[test]
fn every_proof_verifies_and_td_09_no_forged_one_does() {
    let all = leaves(20);
    for size in 1..=20u64 {
        let root = reference(prefix(&all, size));
        let mut memory = Memory(all.clone());
        for index in 0..size {
            let leaf = all[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(&mut memory, index, size).unwrap();
            assert!(verify_inclusion(&leaf, index, size, &proof, &root));
            assert!(!verify_inclusion(&leaf, index, size + (1 << 40), &proof, &root));
            assert!(!verify_inclusion(&leaf, size, size, &proof, &root));
            assert!((0..size).all(|other| other == index || !verify_inclusion(&leaf, other, size, &proof, &root)));
            let mut longer = proof.clone();
            longer.push(leaf);
            assert!(!verify_inclusion(&leaf, index, size, &longer, &root));
            assert!(proof.is_empty() || !verify_inclusion(&leaf, index, size, &proof[1..], &root));
        }
        for old in 1..=size {
            let old_root = reference(prefix(&all, old));
            let proof = consistency_proof(&mut memory, old, size).unwrap();
            assert!(verify_consistency(old, &old_root, size, &root, &proof), "{old} of {size}");
            assert!(!verify_consistency(old, &leaf_hash(b"fork"), size, &root, &proof));
            assert!(!verify_consistency(old, &old_root, size, &leaf_hash(b"fork"), &proof));
            let mut longer = proof.clone();
            longer.push(root);
            assert!(!verify_consistency(old, &old_root, size, &root, &longer));
            assert!(proof.is_empty() || !verify_consistency(old, &old_root, size, &root, &proof[1..]));
        }
        assert!(!verify_consistency(0, &EMPTY_ROOT, size, &root, &[]));
        assert!(!verify_consistency(size + 1, &root, size, &root, &[]));
    }
}

proptest! {
    #[test]
    fn an_edge_has_the_root_of_the_definition(count in 0u64..300) {
        let all = leaves(count);
        prop_assert_eq!(root_of(all.iter().copied()), reference(&all));
        let mut edge = Edge::default();
        all.iter().for_each(|leaf| edge.push(*leaf));
        prop_assert_eq!(Edge::from_parts(edge.size(), edge.hashes().to_vec()), Some(edge));
    }
}
