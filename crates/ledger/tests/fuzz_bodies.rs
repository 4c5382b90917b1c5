//! The fuzz targets' own code, without a fuzzer: see [`testkit::mutation`]. The seeds are what the ledger writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::tape::{Kind, Part, Tape, TapeEnd, compress};
use ledger::witness::Submission;
use ledger::{Disk, Journal, RealDisk, decode, prove_consistency};
use model::event::{Entry, Event};
use model::time::Timestamp;
use testkit::mutation::over_seeds;

/// How many mutations of the seeds each target is tried with: a few seconds of an unoptimised build.
const MUTATIONS: usize = 5000;

#[allow(unreachable_pub, reason = "the fuzz targets call them from outside")]
#[path = "../fuzz/bodies.rs"]
mod bodies;

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// The payloads of the golden file: one of each event.
fn payloads() -> Vec<Vec<u8>> {
    let golden = include_str!("golden/events.txt");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    golden.lines().map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

/// The entries of the golden file that stand in a journal by themselves: a change of the key is more than its entry.
fn ordinary() -> Vec<Entry> {
    let entries = payloads().into_iter().map(|payload| decode(&payload).unwrap());
    entries.filter(|entry| !matches!(entry.event, Event::KeyRotated { .. })).collect()
}

/// A tape of each kind of record, some with nothing in them.
fn write_tape(folder: &Path) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut tape = Tape::create(&disk, folder, bodies::SESSION, Timestamp(1000), None).unwrap();
    drop(tape.record(Kind::FromClient, Timestamp(1001), &[b"SELECT", b" 1"]).unwrap());
    drop(tape.record(Kind::ToClient, Timestamp(1002), &[&[b'x'; 300]]).unwrap());
    drop(tape.record(Kind::ToClient, Timestamp(1002), &[]).unwrap());
    drop(tape.declare_cut(Timestamp(1003), "1 GB of rows").unwrap());
    tape.finish(Timestamp(1004)).unwrap();
}

/// The second part of a tape, with which it ends.
fn write_part() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut tape = Tape::create(&disk, folder.path(), bodies::SESSION, Timestamp(1000), None).unwrap();
    tape.rotate(Timestamp(1001), true).unwrap().sync().unwrap();
    drop(tape.record(Kind::ToClient, Timestamp(1002), &[b"a row"]).unwrap());
    tape.finish(Timestamp(1004)).unwrap();
    std::fs::read(folder.path().join(format!("{}.parts/00002.tape", bodies::SESSION))).unwrap()
}

/// What each target begins with, by target and name.
fn written() -> Vec<(&'static str, String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: String| std::fs::read(folder.path().join(name)).unwrap();
    write_tape(folder.path());
    let tape = read(format!("{}.tape", bodies::SESSION));
    compress(&RealDisk, folder.path(), bodies::SESSION, Part::FIRST, None).unwrap();
    let packed = read(format!("{}.tapez", bodies::SESSION));
    let journal = tempfile::tempdir().unwrap();
    let (open, _) = Journal::open(Arc::new(RealDisk), journal.path(), bodies::key()).unwrap();
    drop(open.append(&ordinary()).unwrap());
    open.sync().unwrap();
    let signed = open.checkpoint().unwrap();
    let checkpoint = signed.note().as_bytes().to_vec();
    let proof = prove_consistency(&RealDisk, journal.path(), 5, signed.size()).unwrap().hashes;
    let submission = Submission { old: 5, proof, note: signed.note().to_owned() }.text().into_bytes();
    let segment = std::fs::read(journal.path().join("00000000000000000000.segment")).unwrap();
    let cut = tape[..tape.len() - 30].to_vec();
    let files = [
        ("tape", "whole", tape),
        ("tape", "cut", cut),
        ("tape", "part", write_part()),
        ("packed", "whole", packed),
        ("segment", "whole", segment),
    ];
    let files = files.into_iter().chain([("checkpoint", "own", checkpoint), ("submission", "own", submission)]);
    let entries = payloads().into_iter().enumerate().map(|(at, payload)| ("entry", format!("{at:02}"), payload));
    files.map(|(target, name, bytes)| (target, name.to_owned(), bytes)).chain(entries).collect()
}

#[test]
fn seeds_are_what_the_ledger_writes() {
    for (target, name, bytes) in written() {
        let path = seeds(target).join(&name);
        if std::env::var_os("SLUICE_GOLDEN").is_some() {
            std::fs::create_dir_all(seeds(target)).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{target}/{name} differs: SLUICE_GOLDEN=1 writes it anew");
    }
}

#[test]
fn entries() {
    over_seeds(&seeds("entry"), MUTATIONS, bodies::entry);
}

#[test]
fn tapes() {
    let whole = std::fs::read(seeds("tape").join("whole")).unwrap();
    assert_eq!(bodies::read_sealed_tape(&whole), Some(TapeEnd::Complete));
    let part = std::fs::read(seeds("tape").join("part")).unwrap();
    assert_eq!(bodies::read_sealed_part(&part), Some(TapeEnd::Complete));
    over_seeds(&seeds("tape"), MUTATIONS, bodies::tape);
}

#[test]
fn compressed_tapes() {
    let whole = std::fs::read(seeds("packed").join("whole")).unwrap();
    assert_eq!(bodies::read_sealed_packed(&whole), Some(TapeEnd::Complete));
    over_seeds(&seeds("packed"), MUTATIONS, bodies::packed);
}

#[test]
fn segments() {
    let whole = std::fs::read(seeds("segment").join("whole")).unwrap();
    assert_eq!(bodies::read_sealed_segment(&whole), u64::try_from(ordinary().len()).unwrap());
    over_seeds(&seeds("segment"), MUTATIONS, bodies::segment);
}

#[test]
fn submissions() {
    over_seeds(&seeds("submission"), MUTATIONS, bodies::submission);
}

#[test]
fn checkpoints() {
    over_seeds(&seeds("checkpoint"), MUTATIONS, bodies::checkpoint);
}
