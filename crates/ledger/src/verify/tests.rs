use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;
use crate::disk::FaultyDisk;
use crate::journal::Journal;
use crate::merkle;
use crate::prove::{EntryProof, ProofError, ProveError, prove_consistency, prove_entry, prove_inclusion};
use crate::samples::{dir, entry, key, open, ordinary};
use crate::segment::{Scan, Step};
use crate::witness;

fn check(disk: &FaultyDisk) -> Report {
    verify(disk, dir(), key().public(), &[]).unwrap()
}

/// What the program says of its input.
pub(crate) fn ask(mut command: Command, given: Vec<u8>) -> String {
    let mut program = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs {}: {error}", command.get_program().display()));
    let (mut input, mut output) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
    let mut told = String::new();
    std::thread::scope(|scope| {
        // It answers as it reads: both at once, so that neither waits for the other.
        scope.spawn(move || input.write_all(&given).unwrap());
        output.read_to_string(&mut told).unwrap();
    });
    assert!(program.wait().unwrap().success());
    told
}

/// Does the work on a share of them for each processor; the results are in their order.
pub(crate) fn side_by_side<T: Sync, R: Send>(all: &[T], work: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        let shares = all.chunks(all.len().div_ceil(workers)).map(|share| scope.spawn(|| work(share)));
        shares.collect::<Vec<_>>().into_iter().flat_map(|share| share.join().unwrap()).collect()
    })
}

/// What the Python verifier says of its input.
fn python(mode: &str, given: Vec<u8>) -> String {
    let mut python = Command::new("python3");
    python.args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py"), mode]);
    ask(python, given)
}

/// Eight entries in segments of about two, with checkpoints after 3 and 8 of them.
fn sample(limit: u64) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, limit).unwrap();
    fill(&journal);
    let report = check(&disk);
    assert_eq!(report.fault, None);
    assert_eq!((report.entries, report.checkpoints, report.signed), (8, 2, 8));
    disk
}

fn fill(journal: &Journal) {
    for number in 0..8 {
        drop(journal.append(&[entry(number)]).unwrap().at_process());
        if number == 2 || number == 7 {
            journal.checkpoint().unwrap();
        }
    }
}

/// All files but the reserve, which holds nothing.
fn files(disk: &FaultyDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    disk.contents().into_iter().filter(|(path, _)| name_of(path) != "reserve").collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Where the frames of a segment begin, and the index of each.
fn frames(disk: &FaultyDisk, path: &Path) -> Vec<(u64, usize)> {
    let (_, mut scan) = Scan::open(disk, path).unwrap().unwrap();
    let mut found = Vec::new();
    while let Step::Frame { index, offset, .. } = scan.next().unwrap() {
        found.push((index, usize::try_from(offset).unwrap()));
    }
    found
}

pub(crate) mod asked;
mod mutated;

#[test]
fn td_01_every_flipped_bit_of_a_journal_is_found_and_named() {
    let disk = sample(150);
    for (path, content) in files(&disk) {
        let name = name_of(&path);
        let frames = if segment::first_index(&name).is_some() { frames(&disk, &path) } else { Vec::new() };
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.put(&path, Some(flipped));
            let fault = check(&disk).fault.unwrap_or_else(|| panic!("bit {bit} of {name} is not missed"));
            assert_eq!(fault.place.file, name, "bit {bit}: {fault}");
            if let Some((index, offset)) = frames.iter().rev().find(|(_, offset)| *offset <= bit / 8) {
                assert_eq!(fault.place.entry, Some(*index), "bit {bit} of {name}: {fault}");
                assert_eq!(fault.place.offset, u64::try_from(*offset).unwrap());
            }
        }
        disk.put(&path, Some(content));
    }
    assert!(check(&disk).is_good());
}

#[test]
fn td_01_every_cut_and_every_missing_file_is_found() {
    let disk = sample(150);
    for (path, content) in files(&disk) {
        let name = name_of(&path);
        for length in 0..content.len() {
            disk.put(&path, Some(content[..length].to_vec()));
            assert!(!check(&disk).is_good(), "{name} cut to {length}");
        }
        let mut longer = content.clone();
        longer.push(0);
        disk.put(&path, Some(longer));
        assert!(name == "lock" || !check(&disk).is_good(), "{name} with a byte more");
        disk.put(&path, None);
        assert!(name == "lock" || !check(&disk).is_good(), "{name} is not missed");
        disk.put(&path, Some(content));
    }
}

/// Writes a segment anew from payloads as an attacker would: with right checksums and indexes.
fn forge(disk: &FaultyDisk, payloads: &[Vec<u8>]) {
    let mut content = Header { edge: Edge::default(), previous_first: 0, previous_length: 0 }.encode();
    for (index, payload) in (0u64..).zip(payloads) {
        let mut covered = index.to_le_bytes().to_vec();
        covered.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_le_bytes());
        covered.extend_from_slice(payload);
        content.extend_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
        content.extend_from_slice(&covered);
    }
    disk.put(&segment::path(dir(), 0), Some(content));
}

fn payloads(disk: &FaultyDisk) -> Vec<Vec<u8>> {
    let (_, mut scan) = Scan::open(disk, &segment::path(dir(), 0)).unwrap().unwrap();
    let mut found = Vec::new();
    while let Step::Frame { payload, .. } = scan.next().unwrap() {
        found.push(payload.to_vec());
    }
    found
}

/// With checksums made right again, the signatures still tell between which checkpoints it happened.
#[test]
fn td_02_deleted_reordered_duplicated_and_inserted_entries() {
    let disk = sample(1 << 20);
    let good = payloads(&disk);
    let starts = frames(&disk, &segment::path(dir(), 0));
    forge(&disk, &good);
    assert!(check(&disk).is_good());
    let expect = |forged: &[Vec<u8>], what: &str, first: u64, before: u64| {
        forge(&disk, forged);
        let fault = check(&disk).fault.unwrap_or_else(|| panic!("{what} is not noticed"));
        assert_eq!((fault.place.entry, fault.place.before), (Some(first), Some(before)), "{what}: {fault}");
        let (_, start) = starts[usize::try_from(first).unwrap()];
        assert_eq!(fault.place.offset, u64::try_from(start).unwrap(), "{what}: {fault}");
        forge(&disk, &good);
    };
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut forged = good.clone();
        change(&mut forged);
        forged
    };
    expect(&changed(&|list| drop(list.remove(1))), "deleted before the first checkpoint", 0, 3);
    expect(&changed(&|list| list.swap(0, 2)), "reordered before the first checkpoint", 0, 3);
    expect(&changed(&|list| list.swap(4, 6)), "reordered after the first checkpoint", 3, 8);
    expect(&changed(&|list| list.insert(5, list[4].clone())), "duplicated", 3, 8);
    expect(&changed(&|list| list.insert(3, list[7].clone())), "inserted", 3, 8);
    expect(&changed(&|list| drop(list.pop())), "the signed tail cut off", 7, 8);
    expect(&changed(&Vec::clear), "everything cut off", 0, 3);
}

#[test]
fn td_02_frames_moved_as_they_are_are_named_exactly() {
    let disk = sample(1 << 20);
    let path = segment::path(dir(), 0);
    let content = files(&disk)[&path].clone();
    let starts: Vec<usize> = frames(&disk, &path).into_iter().map(|(_, offset)| offset).collect();
    let (a, b, c) = (starts[4], starts[5], starts[6]);
    let join = |parts: &[&[u8]]| parts.concat();
    let cases = [
        ("deleted", join(&[&content[..a], &content[b..]]), 4),
        ("duplicated", join(&[&content[..b], &content[a..]]), 5),
        ("reordered", join(&[&content[..a], &content[b..c], &content[a..b], &content[c..]]), 4),
    ];
    for (what, forged, entry) in cases {
        disk.put(&path, Some(forged));
        let fault = check(&disk).fault.unwrap();
        assert_eq!(fault.place.entry, Some(entry), "{what}: {fault}");
        assert!(fault.place.request.is_some() && fault.place.kind.as_deref() == Some("ApprovalConsumed"), "{fault}");
    }
}

#[test]
fn td_02_what_is_not_signed_yet_is_said() {
    let disk = sample(1 << 20);
    let (journal, recovery) = open(&disk, 1 << 20).unwrap();
    assert_eq!(recovery.signed, Some(8));
    drop(journal.append(&ordinary()).unwrap().at_process());
    let report = check(&disk);
    assert!(report.is_good());
    assert_eq!((report.signed, report.entries), (8, 8 + u64::try_from(ordinary().len()).unwrap()));
}

#[test]
fn segments_that_are_missing_doubled_or_of_another_journal() {
    let disk = sample(150);
    let firsts = segment::list(&disk, dir()).unwrap();
    assert!(firsts.len() >= 3, "{firsts:?}");
    let (middle, last) = (segment::path(dir(), firsts[1]), segment::path(dir(), *firsts.last().unwrap()));
    let all = files(&disk);
    disk.put(&middle, None);
    let place = check(&disk).fault.unwrap().place;
    assert_eq!((place.entry, place.before), (Some(firsts[1]), Some(firsts[2])));
    disk.put(&middle, Some(all[&last].clone()));
    assert_eq!(check(&disk).fault.unwrap().place.file, segment::file_name(firsts[1]));
    disk.put(&middle, Some(all[&middle].clone()));
    disk.put(&dir().join("00000000000000000099.segment"), Some(all[&last].clone()));
    assert!(!check(&disk).is_good());
    disk.put(&dir().join("00000000000000000099.segment"), None);
    disk.put(&dir().join("stray"), Some(vec![]));
    assert_eq!(check(&disk).fault.unwrap().place.file, "stray");
}

#[test]
fn an_empty_folder_is_no_journal() {
    assert!(!check(&FaultyDisk::new()).is_good());
}

#[test]
fn another_key_verifies_nothing() {
    let disk = sample(1 << 20);
    let other = crate::note::SigningKey::from_seed("sluice.example/journal", &[8; 32]).unwrap();
    assert!(!verify(&disk, dir(), other.public(), &[]).unwrap().is_good());
}

#[test]
fn proofs_from_the_files_verify() {
    let disk = sample(150);
    let signed = check(&disk);
    for index in 0..8 {
        let proof = prove_inclusion(&disk, dir(), index, 8).unwrap();
        assert_eq!(proof.root, signed.root);
        assert!(merkle::verify_inclusion(&proof.hash, index, 8, &proof.hashes, &proof.root));
    }
    let proof = prove_consistency(&disk, dir(), 3, 8).unwrap();
    assert!(merkle::verify_consistency(3, &proof.hash, 8, &proof.root, &proof.hashes));
    assert!(matches!(prove_inclusion(&disk, dir(), 8, 8), Err(ProveError::Range)));
    assert!(matches!(prove_inclusion(&disk, dir(), 0, 9), Err(ProveError::Range)));
    assert!(matches!(prove_consistency(&disk, dir(), 0, 8), Err(ProveError::Range)));
    assert!(matches!(prove_consistency(&disk, dir(), 3, 9), Err(ProveError::Range)));
    assert!(matches!(prove_consistency(&disk, dir(), 9, 9), Err(ProveError::Range)));
}

#[test]
fn growth_is_proved_between_any_two_sizes() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 150).unwrap();
    let mut edge = Edge::default();
    let mut roots = vec![edge.root()];
    for number in 0..40 {
        drop(journal.append(&[entry(number)]).unwrap().at_process());
        edge.push(merkle::leaf_hash(&[vec![frame::VERSION], postcard::to_stdvec(&entry(number)).unwrap()].concat()));
        roots.push(edge.root());
    }
    for old in 1..=40u64 {
        for size in old..=40 {
            let proof = prove_consistency(&disk, dir(), old, size).unwrap();
            let root_of = |size: u64| roots[usize::try_from(size).unwrap()];
            assert_eq!((proof.hash, proof.root), (root_of(old), root_of(size)), "{old} to {size}");
            assert!(merkle::verify_consistency(old, &proof.hash, size, &proof.root, &proof.hashes), "{old} to {size}");
        }
    }
}

/// A witness of the sample, which cosigned what had five entries.
fn witnessed() -> (FaultyDisk, crate::Cosigner, Checkpoint) {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 150).unwrap();
    drop(journal.append(&(0..5).map(entry).collect::<Vec<_>>()).unwrap().at_process());
    let checkpoint = journal.checkpoint().unwrap();
    drop(journal.append(&[entry(5)]).unwrap().at_process());
    journal.checkpoint().unwrap();
    let witness = crate::Cosigner::from_seed("witness.example/w1", &[9; 32]).unwrap();
    let text = format!("{}\n", checkpoint.note().split_once("\n\n").unwrap().0);
    let cosigned = checkpoint.with_cosignature(&witness.line(&text, 77), witness.public()).unwrap();
    (disk, witness, cosigned)
}

fn check_by(disk: &FaultyDisk, kept: &[Checkpoint], witnesses: &[WitnessKey]) -> Report {
    let key = key();
    let trust = Trust { key: key.public(), kept, witnesses };
    verify_with(disk, dir(), trust, &|count, work| (0..count).for_each(work)).unwrap()
}

#[test]
fn a_cosignature_that_is_asked_for_must_be_there_and_hold() {
    let (disk, witness, cosigned) = witnessed();
    let key = std::slice::from_ref(witness.public());
    let fault = check_by(&disk, &[], key).fault.unwrap();
    assert!(fault.what.contains("no checkpoint is cosigned by the witness witness.example/w1"), "{fault}");
    let expected = vec![Witnessed { witness: String::from("witness.example/w1"), size: 5, at: 77 }];
    let given = check_by(&disk, std::slice::from_ref(&cosigned), key);
    assert_eq!((given.fault, given.witnessed), (None, expected.clone()));
    witness::keep(&disk, dir(), "w1", &cosigned).unwrap();
    assert_eq!(witness::kept(&disk, dir(), "w1").unwrap().as_deref(), Some(cosigned.note().as_bytes()));
    let stored = check_by(&disk, &[], key);
    assert_eq!((stored.fault, stored.witnessed, stored.checkpoints), (None, expected, 2));
    let path = dir().join("witness-w1");
    let good = files(&disk)[&path].clone();
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        disk.put(&path, Some(flipped));
        let fault = check_by(&disk, &[], key).fault.unwrap_or_else(|| panic!("bit {bit} is not missed"));
        assert!(fault.place.file.starts_with("witness-"), "bit {bit}: {fault}");
    }
}

#[test]
fn td_04_an_older_state_is_found_by_the_witness_file_and_a_rewritten_one_too() {
    let (disk, _, cosigned) = witnessed();
    let older = FaultyDisk::new();
    let (journal, _) = open(&older, 150).unwrap();
    drop(journal.append(&[entry(0), entry(1)]).unwrap().at_process());
    journal.checkpoint().unwrap();
    witness::keep(&older, dir(), "w1", &cosigned).unwrap();
    let fault = check(&older).fault.unwrap();
    assert!(fault.what.contains("5 were signed, as a checkpoint says that a witness cosigned"), "{fault}");
    for number in [9, 9, 9, 9] {
        drop(journal.append(&[entry(number)]).unwrap().at_process());
    }
    let fault = check(&older).fault.unwrap();
    assert!(fault.what.contains("not those that a witness cosigned"), "{fault}");
    witness::keep(&disk, dir(), "w1", &cosigned).unwrap();
    assert_eq!(check(&disk).fault, None);
}

#[test]
fn a_proof_of_an_entry_needs_nothing_but_the_key() {
    let disk = sample(150);
    for index in 0..8 {
        let proof = prove_entry(&disk, dir(), key().public(), index).unwrap();
        assert_eq!(proof.checkpoint.size(), if index < 3 { 3 } else { 8 });
        let text = proof.text();
        let opened = EntryProof::open(&text, key().public()).unwrap();
        assert_eq!((opened.index, frame::decode(&opened.entry).unwrap()), (index, entry(index)));
        // Whatever is changed in it, it proves nothing any more, or says the same: an em dash is three bytes.
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            if let Ok(other) = EntryProof::open(&changed, key().public()) {
                assert_eq!((other.index, &other.entry), (opened.index, &opened.entry), "byte {at}");
            }
        }
    }
    assert!(matches!(prove_entry(&disk, dir(), key().public(), 8), Err(ProveError::NotSigned(8))));
    let other = crate::note::SigningKey::from_seed("sluice.example/journal", &[8; 32]).unwrap();
    let text = prove_entry(&disk, dir(), key().public(), 1).unwrap().text();
    assert!(matches!(EntryProof::open(&text, other.public()), Err(ProofError::Checkpoint(_))));
    assert!(matches!(prove_entry(&disk, dir(), other.public(), 1), Err(ProveError::Checkpoint(_))));
}

#[test]
fn an_entry_is_not_moved_to_another_place_by_a_proof() {
    let disk = sample(150);
    let text = prove_entry(&disk, dir(), key().public(), 4).unwrap().text();
    for index in (0..12).filter(|index| *index != 4) {
        let moved = text.replace("index 4\n", &format!("index {index}\n"));
        assert_eq!(EntryProof::open(&moved, key().public()), Err(ProofError::NotIncluded), "{index}");
    }
}

#[test]
fn td_04_an_older_state_is_found_by_a_checkpoint_kept_elsewhere() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    drop(journal.append(&[entry(0)]).unwrap().at_process());
    journal.checkpoint().unwrap();
    let old = files(&disk);
    drop(journal.append(&[entry(1)]).unwrap().at_process());
    let kept = journal.checkpoint().unwrap();
    drop(journal);
    assert_eq!(verify(&disk, dir(), key().public(), std::slice::from_ref(&kept)).unwrap().fault, None);
    let restored = FaultyDisk::new();
    for (path, content) in old {
        restored.put(&path, Some(content));
    }
    assert_eq!(check(&restored).fault, None);
    let fault = verify(&restored, dir(), key().public(), &[kept]).unwrap().fault.unwrap();
    assert!(fault.what.contains("kept elsewhere"), "{fault}");
    assert_eq!(fault.place.entry, Some(1));
}

#[test]
fn td_03_a_history_written_anew_is_found_by_a_checkpoint_kept_elsewhere() {
    let disk = sample(150);
    let kept = prove_entry(&disk, dir(), key().public(), 1).unwrap().checkpoint;
    let other = FaultyDisk::new();
    let (journal, _) = open(&other, 150).unwrap();
    for number in [0, 1, 9, 3, 4, 5, 6, 7] {
        drop(journal.append(&[entry(number)]).unwrap().at_process());
    }
    journal.checkpoint().unwrap();
    assert_eq!(check(&other).fault, None);
    let fault = verify(&other, dir(), key().public(), &[kept]).unwrap().fault.unwrap();
    assert!(fault.what.contains("kept elsewhere"), "{fault}");
    assert_eq!((fault.place.entry, fault.place.before), (Some(0), Some(3)));
}

#[test]
fn entries_of_a_larger_journal_are_proved() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 20_000).unwrap();
    for number in 0..1500 {
        drop(journal.append(&[entry(number)]).unwrap().at_process());
        if number % 400 == 399 {
            journal.checkpoint().unwrap();
        }
    }
    journal.checkpoint().unwrap();
    let report = check(&disk);
    assert_eq!((report.fault, report.entries, report.checkpoints, report.signed), (None, 1500, 4, 1500));
    for index in (0..1500).step_by(7) {
        let proof = prove_entry(&disk, dir(), key().public(), index).unwrap();
        assert_eq!(frame::decode(&proof.entry).unwrap(), entry(index));
    }
}

/// What a later version wrote and signed is verified by whoever has the key, whatever it means; what it has not signed yet
/// cannot be told from damage.
#[test]
fn op_04_entries_of_a_later_version_verify_by_their_bytes() {
    let later = [&[frame::VERSION, 1, 100][..], b"a kind of the future"].concat();
    let disk = sample(100_000);
    let known = payloads(&disk);
    forge(&disk, &[known.clone(), vec![later]].concat());
    let report = check(&disk);
    assert!(report.fault.is_some() && report.entries == 8, "{report:?}");
    assert!(matches!(
        Journal::open(std::sync::Arc::new(disk.clone()), dir(), key()),
        Err(crate::OpenError::Damaged { .. })
    ));
    let mut edge = Edge::default();
    let (_, mut scan) = Scan::open(&disk, &segment::path(dir(), 0)).unwrap().unwrap();
    while let Step::Frame { payload, .. } = scan.next().unwrap() {
        edge.push(merkle::leaf_hash(payload));
    }
    let checkpoint = key().sign(edge.size(), edge.root());
    disk.put(&dir().join(crate::checkpoints::file_name(9)), Some(checkpoint.note().into()));
    disk.put(&dir().join(crate::checkpoints::LATEST), Some(checkpoint.note().into()));
    let report = check(&disk);
    assert_eq!((report.fault, report.entries, report.signed), (None, 9, 9));
    // Signed or not, it is not opened to be written to.
    assert!(matches!(
        Journal::open(std::sync::Arc::new(disk.clone()), dir(), key()),
        Err(crate::OpenError::Damaged { .. })
    ));
}
