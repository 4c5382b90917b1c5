use proptest::prelude::*;

use super::part::{HEADER, path};
use super::*;
use crate::disk::{Fault, FaultyDisk};
use model::secret::Secret;

const SESSION: SessionId = SessionId::from_bits(42);

fn dir() -> &'static Path {
    Path::new("/data/tapes")
}

/// The keys of sealed tapes.
fn keys(master: u8) -> KeyStore {
    KeyStore::new(Path::new("/data/keys/tapes"), &Secret::new([master; 32])).unwrap()
}

fn drawn() -> Drawn {
    Drawn { key: Secret::new([7; 32]), nonce: [9; 12] }
}

/// What a tape in clear and a sealed one are made and read with.
fn both() -> [Option<KeyStore>; 2] {
    [None, Some(keys(1))]
}

fn create(disk: &FaultyDisk, keys: Option<&KeyStore>) -> Result<Tape, TapeError> {
    let drawn = drawn();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Tape::create(&disk, dir(), SESSION, Timestamp(1000), keys.map(|keys| (keys, &drawn)))
}

fn reader<'d>(disk: &'d FaultyDisk, keys: Option<&KeyStore>) -> TapeReader<'d> {
    TapeReader::open(disk, dir(), SESSION, keys).unwrap()
}

/// The only file of a tape, and what is in it.
fn file(disk: &FaultyDisk) -> (PathBuf, Vec<u8>) {
    let mut files: Vec<_> = disk.contents().into_iter().filter(|(path, _)| path.starts_with(dir())).collect();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

fn rest(reader: &mut TapeReader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn record(kind: Kind, at: u64, content: &[u8]) -> Record {
    Record { kind, at: Timestamp(at), content: content.to_vec() }
}

fn three(disk: &FaultyDisk, keys: Option<&KeyStore>) -> (Digest, u64) {
    let mut tape = create(disk, keys).unwrap();
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
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        tape.precede(Kind::FromClient, Timestamp(1001), &[b"SELECT 1"]).unwrap();
        assert_eq!(rest(&mut reader(&disk, keys)), vec![], "nothing is written yet");
        let taped = tape.record(Kind::ToClient, Timestamp(1002), &[b"1"]).unwrap();
        assert_eq!((taped.kind(), taped.offset(), taped.length()), (Kind::ToClient, 28 + 17 + 8, 1));
        let written = vec![record(Kind::FromClient, 1001, b"SELECT 1"), record(Kind::ToClient, 1002, b"1")];
        assert_eq!(rest(&mut reader(&disk, keys)), written);
        tape.precede(Kind::FromClient, Timestamp(1003), &[b"SELECT 2"]).unwrap();
        tape.flush().unwrap();
        tape.precede(Kind::FromClient, Timestamp(1004), &[b"SELECT 3"]).unwrap();
        let finished = tape.finish(Timestamp(1005)).unwrap();
        let mut tape = reader(&disk, keys);
        let more = [record(Kind::FromClient, 1003, b"SELECT 2"), record(Kind::FromClient, 1004, b"SELECT 3")];
        assert_eq!(rest(&mut tape), [written, more.into()].concat());
        assert_eq!((tape.end(), tape.digest().unwrap()), (Some(TapeEnd::Complete), finished));
    }
}

#[test]
fn a_finished_tape_is_complete_and_compressing_keeps_its_digest() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let finished = three(&disk, keys);
        let mut tape = reader(&disk, keys);
        assert_eq!(
            (rest(&mut tape), tape.end(), tape.started()),
            (expected(), Some(TapeEnd::Complete), Timestamp(1000))
        );
        assert_eq!(tape.digest().unwrap(), finished);
        compress(&disk, dir(), SESSION, Part::FIRST, keys).unwrap();
        let mut tape = reader(&disk, keys);
        assert_eq!((rest(&mut tape), tape.end()), (expected(), Some(TapeEnd::Complete)));
        assert_eq!(tape.digest().unwrap(), finished);
        compress(&disk, dir(), SESSION, Part::FIRST, keys).unwrap();
        assert_eq!(reader(&disk, keys).digest().unwrap(), finished, "again is harmless");
        file(&disk);
    }
}

#[test]
fn a_live_tape_can_be_followed_and_a_session_has_one() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        assert!(create(&disk, keys).is_err());
        let mut reader = reader(&disk, keys);
        assert_eq!(reader.next().unwrap(), None);
        drop(tape.record(Kind::ToClient, Timestamp(1001), &[b"a"]).unwrap());
        assert_eq!(reader.next().unwrap(), Some(record(Kind::ToClient, 1001, b"a")));
        assert_eq!(
            (reader.next().unwrap(), reader.end()),
            (None, Some(TapeEnd::Truncated { at: Spot { part: Part::FIRST, offset: tape.written } }))
        );
    }
}

#[test]
fn long_content_is_split_and_seeking_finds_its_time() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        let part = vec![7; MAX_RECORD / 3];
        for at in 0..20 {
            let taped = tape.record(Kind::ToClient, Timestamp(2000 + at), &[&part, b"", &part, &part, &part]).unwrap();
            assert_eq!(taped.length(), u64::try_from(part.len() * 4).unwrap());
        }
        let finished = tape.finish(Timestamp(3000)).unwrap();
        for _ in 0..2 {
            let mut tape = reader(&disk, keys);
            for at in [0, 2000, 2007, 2019] {
                tape.seek(Timestamp(at)).unwrap();
                assert_eq!(tape.next().unwrap().unwrap().at, Timestamp(at.max(2000)));
            }
            tape.seek(Timestamp(9000)).unwrap();
            assert_eq!((tape.next().unwrap(), tape.end()), (None, Some(TapeEnd::Complete)));
            tape.seek(Timestamp(0)).unwrap();
            let total: usize = rest(&mut tape).iter().map(|record| record.content.len()).sum();
            assert_eq!(total, part.len() * 80);
            compress(&disk, dir(), SESSION, Part::FIRST, keys).unwrap();
            assert_eq!(reader(&disk, keys).digest().unwrap(), finished);
        }
        assert!(file(&disk).1.len() < 100_000);
    }
}

#[test]
fn a_tape_cut_anywhere_is_truncated_there_and_left_alone() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        three(&disk, keys);
        let whole = file(&disk).1;
        for length in 0..whole.len() {
            disk.put(&path(dir(), SESSION, Part::FIRST), Some(whole[..length].to_vec()));
            if length < HEADER {
                assert!(matches!(
                    TapeReader::open(&disk, dir(), SESSION, keys),
                    Err(TapeReadError::Truncated(Spot { offset: 0, .. }))
                ));
                continue;
            }
            let mut tape = reader(&disk, keys);
            let records = rest(&mut tape);
            assert!(expected().starts_with(&records));
            let Some(TapeEnd::Truncated { at: Spot { offset, .. } }) = tape.end() else {
                panic!("cut to {length} and complete")
            };
            assert!(offset <= u64::try_from(length).unwrap());
            assert!(matches!(compress(&disk, dir(), SESSION, Part::FIRST, keys), Err(TapeReadError::Truncated(_))));
        }
    }
}

/// What is left of a tape that was never finished has a digest: that of its whole records, and of no fewer or others.
#[test]
fn td_01_a_tape_that_was_not_finished_has_a_digest_of_what_is_there() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        let left = || reader(&disk, keys).digest_of_what_is_there().unwrap();
        let mut known = vec![left()];
        for at in 1..4 {
            drop(tape.record(Kind::ToClient, Timestamp(at), &[b"row"]).unwrap());
            assert!(matches!(reader(&disk, keys).digest(), Err(TapeReadError::Truncated(_))));
            known.push(left());
            assert_eq!(known.last().unwrap().0.1, tape.length());
        }
        let written = file(&disk).1;
        let finished = tape.finish(Timestamp(9)).unwrap();
        assert_eq!(left(), (finished, TapeEnd::Complete));
        let mut found = Vec::new();
        for length in HEADER..=written.len() {
            disk.put(&path(dir(), SESSION, Part::FIRST), Some(written[..length].to_vec()));
            found.push(left());
        }
        found.dedup();
        assert_eq!(found, known, "each record that is cut off changes it");
    }
}

/// TD-01 and TD-11: what is flipped is noticed when reading, or by the digest that the journal holds.
#[test]
fn td_01_every_flipped_bit_of_a_tape_is_noticed() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let finished = three(&disk, keys);
        for _ in 0..2 {
            let (path, whole) = file(&disk);
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                disk.put(&path, Some(flipped));
                let read = TapeReader::open(&disk, dir(), SESSION, keys).and_then(|mut tape| tape.digest());
                assert!(!read.is_ok_and(|digest| digest == finished), "bit {bit}");
            }
            disk.put(&path, Some(whole));
            compress(&disk, dir(), SESSION, Part::FIRST, keys).unwrap();
        }
    }
}

#[test]
fn rc_03_the_nth_operation_fails_and_nothing_taped_is_lost() {
    for keys in both() {
        let keys = keys.as_ref();
        for fault in Fault::ALL {
            for number in 1.. {
                let disk = FaultyDisk::new();
                disk.fail_once(number, fault);
                let mut taped = Vec::new();
                let mut finished = None;
                if let Ok(mut tape) = create(&disk, keys) {
                    for at in 0..4 {
                        let content = [u8::try_from(at).unwrap(); 30];
                        match tape.record(Kind::ToClient, Timestamp(at), &[&content]) {
                            Ok(_) => taped.push(record(Kind::ToClient, at, &content)),
                            Err(_) => assert!(tape.record(Kind::ToClient, Timestamp(9), &[b"x"]).is_err()),
                        }
                        let _ = tape.live().sync();
                    }
                    finished = tape.finish(Timestamp(5)).ok();
                }
                let compressed = finished.is_some().then(|| compress(&disk, dir(), SESSION, Part::FIRST, keys));
                let over = disk.heal();
                let left = disk.copy();
                if !taped.is_empty() {
                    let mut tape = reader(&left, keys);
                    assert!(rest(&mut tape).starts_with(&taped), "{fault:?} at {number}");
                    assert!(finished.is_none() || tape.end() == Some(TapeEnd::Complete));
                }
                if let Some(finished) = finished {
                    compress(&left, dir(), SESSION, Part::FIRST, keys).unwrap();
                    assert_eq!(
                        reader(&left, keys).digest().unwrap(),
                        finished,
                        "{fault:?} at {number}: {compressed:?}"
                    );
                    assert_eq!(reader(&left.power_cut(0), keys).digest().unwrap(), finished);
                }
                if over {
                    break;
                }
            }
        }
    }
}

/// What was recorded before a sync is there after a power cut, and can be read, whoever synced.
#[test]
fn rc_02_a_power_cut_takes_no_more_of_a_live_tape_than_what_was_not_synced() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let left = || rest(&mut reader(&disk.power_cut(0), keys));
        let mut tape = create(&disk, keys).unwrap();
        assert!(TapeReader::open(&disk.power_cut(0), dir(), SESSION, keys).is_err(), "not synced yet");
        let mut live = tape.live();
        assert!(live.sync().unwrap());
        assert_eq!(left(), []);
        let mut synced = Vec::new();
        for at in 1..4 {
            drop(tape.record(Kind::ToClient, Timestamp(at), &[b"row"]).unwrap());
            assert_eq!(left(), synced);
            assert!(live.sync().unwrap());
            synced.push(record(Kind::ToClient, at, b"row"));
            assert_eq!(left(), synced);
        }
        let before = disk.operations();
        assert!(live.sync().unwrap());
        assert!(disk.operations() <= before + 1, "nothing was written, and nothing is synced");
        tape.finish(Timestamp(9)).unwrap();
        assert!(!live.sync().unwrap(), "it has ended");
    }
}

/// After a sync that failed nobody knows what is on the disk, whatever the next one says.
#[test]
fn rc_04_a_live_tape_whose_sync_failed_takes_nothing_more() {
    for number in 1..3 {
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, None).unwrap();
        let mut live = tape.live();
        live.sync().unwrap();
        drop(tape.record(Kind::ToClient, Timestamp(1), &[b"row"]).unwrap());
        disk.fail_once(number, Fault::ALL[0]);
        assert!(live.sync().is_err());
        disk.heal();
        assert!(matches!(tape.record(Kind::ToClient, Timestamp(2), &[b"row"]), Err(TapeError::Failed)));
        assert!(tape.finish(Timestamp(3)).is_err());
    }
}

/// LK-14: what is on the disk says nothing without its key, and nothing at all once that is destroyed.
#[test]
fn lk_14_a_tape_whose_key_is_destroyed_cannot_be_read_by_anybody() {
    let disk = FaultyDisk::new();
    let (mine, another) = (keys(1), keys(2));
    let finished = three(&disk, Some(&mine));
    for _ in 0..2 {
        let stored = disk.contents().into_values().flatten().collect::<Vec<u8>>();
        for secret in [&b"SELECT"[..], b"rows: cap", &[7; 32]] {
            assert!(!stored.windows(secret.len()).any(|window| window == secret));
        }
        let open = |keys| TapeReader::open(&disk, dir(), SESSION, keys);
        assert!(matches!(open(None), Err(TapeReadError::Sealed)));
        assert!(matches!(open(Some(&another)), Err(TapeReadError::WrongKey)));
        assert_eq!(open(Some(&mine)).unwrap().digest().unwrap(), finished);
        compress(&disk, dir(), SESSION, Part::FIRST, Some(&mine)).unwrap();
    }
    assert!(mine.shred(&disk, SESSION).unwrap());
    assert!(!mine.shred(&disk, SESSION).unwrap());
    assert!(matches!(TapeReader::open(&disk, dir(), SESSION, Some(&mine)), Err(TapeReadError::Shredded)));
}

/// A key belongs to one tape: put in another's place, it does not open.
#[test]
fn a_key_opens_its_own_tape_alone() {
    let disk = FaultyDisk::new();
    let keys = keys(1);
    three(&disk, Some(&keys));
    let (other, at) = (SessionId::from_bits(43), |session| PathBuf::from(format!("/data/keys/tapes/{session}.key")));
    let arc: Arc<dyn Disk> = Arc::new(disk.clone());
    let drawn = Drawn { key: Secret::new([8; 32]), nonce: [1; 12] };
    Tape::create(&arc, dir(), other, Timestamp(1), Some((&keys, &drawn))).unwrap().finish(Timestamp(2)).unwrap();
    let swapped = disk.contents()[&at(SESSION)].clone();
    disk.put(&at(other), Some(swapped));
    assert!(matches!(TapeReader::open(&disk, dir(), other, Some(&keys)), Err(TapeReadError::WrongKey)));
}

mod growing;
mod packing;
mod parts;

proptest! {
    #[test]
    fn tapes_survive(sealed: bool, records in proptest::collection::vec((any::<bool>(), any::<u64>(), any::<Vec<u8>>()), 0..20)) {
        let keys = sealed.then(|| keys(1));
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        let mut expected = Vec::new();
        for (from, at, content) in &records {
            let kind = if *from { Kind::FromClient } else { Kind::ToClient };
            drop(tape.record(kind, Timestamp(*at), &[content]).unwrap());
            if !content.is_empty() {
                expected.push(record(kind, *at, content));
            }
        }
        let finished = tape.finish(Timestamp(0)).unwrap();
        prop_assert_eq!(rest(&mut reader(&disk, keys)), expected.clone());
        compress(&disk, dir(), SESSION, Part::FIRST, keys).unwrap();
        prop_assert_eq!(reader(&disk, keys).digest().unwrap(), finished);
        prop_assert_eq!(rest(&mut reader(&disk, keys)), expected);
    }
}

#[test]
fn whether_a_key_opens_the_tapes_that_are_there_is_told_by_a_whole_key() {
    let disk = FaultyDisk::new();
    assert_eq!(keys(1).opens_what_is_there(&disk).unwrap(), None, "nothing is there");
    three(&disk, Some(&keys(1)));
    assert_eq!(keys(1).opens_what_is_there(&disk).unwrap(), Some(true));
    assert_eq!(keys(2).opens_what_is_there(&disk).unwrap(), Some(false));
    let other = Drawn { key: Secret::new([8; 32]), nonce: [8; 12] };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    drop(Tape::create(&shared, dir(), SessionId::from_bits(43), Timestamp(1), Some((&keys(2), &other))).unwrap());
    assert_eq!(keys(2).opens_what_is_there(&disk).unwrap(), Some(true), "one is enough");
    assert_eq!(keys(3).opens_what_is_there(&disk).unwrap(), Some(false));
    for session in [SESSION, SessionId::from_bits(43)] {
        let path = Path::new("/data/keys/tapes").join(format!("{session}.key"));
        let torn = disk.contents()[&path][..20].to_vec();
        disk.put(&path, Some(torn));
    }
    assert_eq!(keys(3).opens_what_is_there(&disk).unwrap(), None, "a power cut left too little");
}
