use proptest::prelude::*;

use super::*;
use crate::disk::{Fault, FaultyDisk};

const SESSION: SessionId = SessionId::from_bits(42);

fn dir() -> &'static Path {
    Path::new("/data/tapes")
}

fn create(disk: &FaultyDisk) -> Result<Tape, TapeError> {
    Tape::create(disk, dir(), SESSION, Timestamp(1000))
}

fn reader(disk: &FaultyDisk) -> TapeReader {
    TapeReader::open(disk, dir(), SESSION).unwrap()
}

fn rest(reader: &mut TapeReader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn record(kind: Kind, at: u64, content: &[u8]) -> Record {
    Record { kind, at: Timestamp(at), content: content.to_vec() }
}

fn three(disk: &FaultyDisk) -> (Digest, u64) {
    let mut tape = create(disk).unwrap();
    let taped = tape.record(Kind::FromClient, Timestamp(1001), &[b"SELECT", b" ", b"1"]).unwrap();
    assert_eq!((taped.session(), taped.kind(), taped.offset(), taped.length()), (SESSION, Kind::FromClient, 28, 8));
    drop(tape.record(Kind::ToClient, Timestamp(1002), &[b"1"]).unwrap());
    drop(tape.declare_cut(Timestamp(1003), "1 GB of rows: cap").unwrap());
    tape.finish(Timestamp(1004)).unwrap()
}

fn expected() -> Vec<Record> {
    vec![
        record(Kind::FromClient, 1001, b"SELECT 1"),
        record(Kind::ToClient, 1002, b"1"),
        record(Kind::Cut, 1003, b"1 GB of rows: cap"),
    ]
}

#[test]
fn what_precedes_a_record_is_written_with_it_or_at_the_end() {
    let disk = FaultyDisk::new();
    let mut tape = create(&disk).unwrap();
    tape.precede(Kind::FromClient, Timestamp(1001), &[b"SELECT 1"]).unwrap();
    assert_eq!(rest(&mut reader(&disk)), vec![], "nothing is written yet");
    let taped = tape.record(Kind::ToClient, Timestamp(1002), &[b"1"]).unwrap();
    assert_eq!((taped.kind(), taped.offset(), taped.length()), (Kind::ToClient, 28 + 17 + 8, 1));
    let written = vec![record(Kind::FromClient, 1001, b"SELECT 1"), record(Kind::ToClient, 1002, b"1")];
    assert_eq!(rest(&mut reader(&disk)), written);
    tape.precede(Kind::FromClient, Timestamp(1003), &[b"SELECT 2"]).unwrap();
    tape.flush().unwrap();
    tape.precede(Kind::FromClient, Timestamp(1004), &[b"SELECT 3"]).unwrap();
    let finished = tape.finish(Timestamp(1005)).unwrap();
    let mut tape = reader(&disk);
    let more = [record(Kind::FromClient, 1003, b"SELECT 2"), record(Kind::FromClient, 1004, b"SELECT 3")];
    assert_eq!(rest(&mut tape), [written, more.into()].concat());
    assert_eq!((tape.end(), tape.digest().unwrap()), (Some(TapeEnd::Complete), finished));
}

#[test]
fn a_finished_tape_is_complete_and_compressing_keeps_its_digest() {
    let disk = FaultyDisk::new();
    let finished = three(&disk);
    let mut tape = reader(&disk);
    assert_eq!((rest(&mut tape), tape.end(), tape.started()), (expected(), Some(TapeEnd::Complete), Timestamp(1000)));
    assert_eq!(tape.digest().unwrap(), finished);
    compress(&disk, dir(), SESSION).unwrap();
    let mut tape = reader(&disk);
    assert_eq!((rest(&mut tape), tape.end()), (expected(), Some(TapeEnd::Complete)));
    assert_eq!(tape.digest().unwrap(), finished);
    compress(&disk, dir(), SESSION).unwrap();
    assert_eq!(reader(&disk).digest().unwrap(), finished, "again is harmless");
    assert_eq!(disk.contents().len(), 1);
}

#[test]
fn a_live_tape_can_be_followed_and_a_session_has_one() {
    let disk = FaultyDisk::new();
    let mut tape = create(&disk).unwrap();
    assert!(create(&disk).is_err());
    let mut reader = reader(&disk);
    assert_eq!(reader.next().unwrap(), None);
    drop(tape.record(Kind::ToClient, Timestamp(1001), &[b"a"]).unwrap());
    assert_eq!(reader.next().unwrap(), Some(record(Kind::ToClient, 1001, b"a")));
    assert_eq!((reader.next().unwrap(), reader.end()), (None, Some(TapeEnd::Truncated { offset: tape.length() })));
}

#[test]
fn long_content_is_split_and_seeking_finds_its_time() {
    let disk = FaultyDisk::new();
    let mut tape = create(&disk).unwrap();
    let part = vec![7; MAX_RECORD / 3];
    for at in 0..20 {
        let taped = tape.record(Kind::ToClient, Timestamp(2000 + at), &[&part, b"", &part, &part, &part]).unwrap();
        assert_eq!(taped.length(), u64::try_from(part.len() * 4).unwrap());
    }
    let finished = tape.finish(Timestamp(3000)).unwrap();
    for _ in 0..2 {
        let mut tape = reader(&disk);
        for at in [0, 2000, 2007, 2019] {
            tape.seek(Timestamp(at)).unwrap();
            assert_eq!(tape.next().unwrap().unwrap().at, Timestamp(at.max(2000)));
        }
        tape.seek(Timestamp(9000)).unwrap();
        assert_eq!((tape.next().unwrap(), tape.end()), (None, Some(TapeEnd::Complete)));
        tape.seek(Timestamp(0)).unwrap();
        let total: usize = rest(&mut tape).iter().map(|record| record.content.len()).sum();
        assert_eq!(total, part.len() * 80);
        compress(&disk, dir(), SESSION).unwrap();
        assert_eq!(reader(&disk).digest().unwrap(), finished);
    }
    assert!(disk.contents().values().next().unwrap().len() < 100_000);
}

#[test]
fn a_tape_cut_anywhere_is_truncated_there_and_left_alone() {
    let disk = FaultyDisk::new();
    three(&disk);
    let whole = disk.contents()[&path(dir(), SESSION)].clone();
    for length in 0..whole.len() {
        disk.put(&path(dir(), SESSION), Some(whole[..length].to_vec()));
        if length < HEADER {
            assert!(matches!(TapeReader::open(&disk, dir(), SESSION), Err(TapeReadError::Truncated(0))));
            continue;
        }
        let mut tape = reader(&disk);
        let records = rest(&mut tape);
        assert!(expected().starts_with(&records));
        let Some(TapeEnd::Truncated { offset }) = tape.end() else { panic!("cut to {length} and complete") };
        assert!(offset <= u64::try_from(length).unwrap());
        assert!(matches!(compress(&disk, dir(), SESSION), Err(TapeReadError::Truncated(_))));
    }
}

/// TD-01 and TD-11: what is flipped is noticed when reading, or by the digest that the journal holds.
#[test]
fn td_01_every_flipped_bit_of_a_tape_is_noticed() {
    let disk = FaultyDisk::new();
    let finished = three(&disk);
    for _ in 0..2 {
        let (path, whole) = disk.contents().pop_first().unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.put(&path, Some(flipped));
            let read = TapeReader::open(&disk, dir(), SESSION).and_then(|mut tape| tape.digest());
            assert!(!read.is_ok_and(|digest| digest == finished), "bit {bit}");
        }
        disk.put(&path, Some(whole));
        compress(&disk, dir(), SESSION).unwrap();
    }
}

#[test]
fn rc_03_the_nth_operation_fails_and_nothing_taped_is_lost() {
    for fault in Fault::ALL {
        for number in 1.. {
            let disk = FaultyDisk::new();
            disk.fail_once(number, fault);
            let mut taped = Vec::new();
            let mut finished = None;
            if let Ok(mut tape) = create(&disk) {
                for at in 0..4 {
                    let content = [u8::try_from(at).unwrap(); 30];
                    match tape.record(Kind::ToClient, Timestamp(at), &[&content]) {
                        Ok(_) => taped.push(record(Kind::ToClient, at, &content)),
                        Err(_) => assert!(tape.record(Kind::ToClient, Timestamp(9), &[b"x"]).is_err()),
                    }
                    let _ = tape.sync();
                }
                finished = tape.finish(Timestamp(5)).ok();
            }
            let compressed = finished.is_some().then(|| compress(&disk, dir(), SESSION));
            let over = disk.heal();
            let left = disk.copy();
            if !taped.is_empty() {
                let mut tape = reader(&left);
                assert!(rest(&mut tape).starts_with(&taped), "{fault:?} at {number}");
                assert!(finished.is_none() || tape.end() == Some(TapeEnd::Complete));
            }
            if let Some(finished) = finished {
                compress(&left, dir(), SESSION).unwrap();
                assert_eq!(reader(&left).digest().unwrap(), finished, "{fault:?} at {number}: {compressed:?}");
                assert_eq!(reader(&left.power_cut(0)).digest().unwrap(), finished);
            }
            if over {
                break;
            }
        }
    }
}

proptest! {
    #[test]
    fn tapes_survive(records in proptest::collection::vec((any::<bool>(), any::<u64>(), any::<Vec<u8>>()), 0..20)) {
        let disk = FaultyDisk::new();
        let mut tape = create(&disk).unwrap();
        let mut expected = Vec::new();
        for (from, at, content) in &records {
            let kind = if *from { Kind::FromClient } else { Kind::ToClient };
            drop(tape.record(kind, Timestamp(*at), &[content]).unwrap());
            if !content.is_empty() {
                expected.push(record(kind, *at, content));
            }
        }
        let finished = tape.finish(Timestamp(0)).unwrap();
        prop_assert_eq!(rest(&mut reader(&disk)), expected.clone());
        compress(&disk, dir(), SESSION).unwrap();
        prop_assert_eq!(reader(&disk).digest().unwrap(), finished);
        prop_assert_eq!(rest(&mut reader(&disk)), expected);
    }
}
