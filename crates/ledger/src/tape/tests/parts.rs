//! A tape of several parts is one tape.

use super::*;
use crate::tape::part::{HEADER_LATER, packed_path};

/// Three records in each of `parts` parts but the last, which has one. Every other part begins with nothing unanswered.
fn several(disk: &FaultyDisk, keys: Option<&KeyStore>, parts: u32) -> (Vec<Record>, Vec<EndedPart>, (Digest, u64)) {
    let mut tape = create(disk, keys).unwrap();
    let (mut records, mut ended) = (Vec::new(), Vec::new());
    for part in 1..parts {
        for number in 0..3 {
            put(&mut tape, u64::from(part) * 100 + number, &mut records);
        }
        let at = Timestamp(u64::from(part) * 100 + 50);
        ended.push(tape.rotate(at, part % 2 == 0).unwrap().sync().unwrap());
    }
    put(&mut tape, u64::from(parts) * 100, &mut records);
    (records, ended, tape.finish(Timestamp(u64::from(parts) * 100 + 1)).unwrap())
}

fn put(tape: &mut Tape, at: u64, records: &mut Vec<Record>) {
    let (question, answer) = (format!("request {at}"), format!("answer {at}"));
    tape.precede(Kind::FromClient, Timestamp(at), &[question.as_bytes()]).unwrap();
    drop(tape.record(Kind::ToClient, Timestamp(at), &[answer.as_bytes()]).unwrap());
    records.push(record(Kind::FromClient, at, question.as_bytes()));
    records.push(record(Kind::ToClient, at, answer.as_bytes()));
}

fn part(number: u32) -> Part {
    Part::of(number).unwrap()
}

/// What the journal would compare: the digests of all parts and of the whole, or why not.
fn digests(disk: &FaultyDisk, keys: Option<&KeyStore>) -> Result<(Vec<EndedPart>, (Digest, u64)), TapeReadError> {
    let mut ended = Vec::new();
    let (whole, _) = TapeReader::open(disk, dir(), SESSION, keys)?.digests(|part| ended.push(part))?;
    Ok((ended, whole))
}

#[test]
fn rc_14_a_tape_of_parts_is_read_as_one_and_compressing_changes_nothing() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let (records, ended, whole) = several(&disk, keys, 5);
        assert_eq!(ended.iter().map(|ended| ended.part.number()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        // Any of them may be compressed already.
        for compressed in 0..=5 {
            if let Some(part) = Part::of(compressed) {
                compress(&disk, dir(), SESSION, part, keys).unwrap();
                compress(&disk, dir(), SESSION, part, keys).unwrap();
            }
            let mut tape = reader(&disk, keys);
            assert_eq!((rest(&mut tape), tape.end()), (records.clone(), Some(TapeEnd::Complete)), "{compressed}");
            assert_eq!(tape.digest().unwrap(), whole);
            assert_eq!(digests(&disk, keys).unwrap(), (ended.clone(), whole));
            assert_eq!(sessions(&disk, dir()).unwrap(), [SESSION]);
        }
        assert!(disk.contents().keys().all(|path| path.extension().unwrap() != "tape"));
    }
}

/// Wherever the seek begins and ends up.
#[test]
fn rc_14_seeking_goes_over_parts() {
    let disk = FaultyDisk::new();
    let (records, ..) = several(&disk, None, 6);
    for _ in 0..2 {
        let mut tape = reader(&disk, None);
        for at in [0, 100, 101, 103, 150, 200, 302, 303, 599, 600, 101] {
            tape.seek(Timestamp(at)).unwrap();
            let expected: Vec<_> = records.iter().filter(|record| record.at.0 >= at).cloned().collect();
            assert_eq!(rest(&mut tape), expected, "{at}");
        }
        tape.seek(Timestamp(9000)).unwrap();
        assert_eq!((tape.next().unwrap(), tape.end()), (None, Some(TapeEnd::Complete)));
        for number in 1..=6 {
            compress(&disk, dir(), SESSION, part(number), None).unwrap();
        }
    }
}

/// What is skipped is not read; what is needed to understand the rest is.
#[test]
fn rc_14_skipping_stops_at_a_part_that_can_be_understood_by_itself() {
    let disk = FaultyDisk::new();
    several(&disk, None, 6);
    let mut tape = reader(&disk, None);
    // Parts 3 and 5 began fresh, at 250 and 450.
    for (at, first) in [(0, 100), (249, 100), (250, 300), (449, 300), (450, 500), (9000, 500), (1, 100)] {
        tape.skip_towards(Timestamp(at)).unwrap();
        assert_eq!(tape.next().unwrap().unwrap().at, Timestamp(first), "{at}");
        assert!(rest(&mut tape).len() >= 2);
    }
    disk.put(&path(dir(), SESSION, part(4)), Some(vec![0; 10]));
    tape.skip_towards(Timestamp(250)).unwrap();
    assert_eq!(tape.next().unwrap().unwrap().at, Timestamp(300));
}

#[test]
fn rc_14_a_live_tape_is_followed_into_its_next_part() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        let mut reader = reader(&disk, keys);
        let mut expected = Vec::new();
        for at in [1, 2, 3] {
            put(&mut tape, at, &mut expected);
            assert_eq!(rest(&mut reader), expected.split_off(0));
            assert!(matches!(reader.end(), Some(TapeEnd::Truncated { .. })));
            // At the torn end, behind it, and where the next part has something already.
            let _ended = tape.rotate(Timestamp(at), true).unwrap();
            if at == 2 {
                assert_eq!(rest(&mut reader), []);
            }
        }
        tape.finish(Timestamp(4)).unwrap();
        assert_eq!((rest(&mut reader), reader.end()), (vec![], Some(TapeEnd::Complete)));
    }
}

/// TD-01 for parts: one that is missing, swapped, cut, changed or of another tape is found.
#[test]
fn rc_14_a_missing_swapped_cut_or_changed_part_is_found() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let (_, ended, whole) = several(&disk, keys, 4);
        let expected = (ended, whole);
        for compressed in [false, true] {
            let paths: Vec<PathBuf> = (1..=4)
                .map(|number| {
                    if compressed {
                        compress(&disk, dir(), SESSION, part(number), keys).unwrap();
                    }
                    let path = if compressed { packed_path } else { path };
                    path(dir(), SESSION, part(number))
                })
                .collect();
            let there = disk.contents();
            let is_found = |what: &str| {
                // By the digest of the whole alone, which is that of the last part.
                let found = digests(&disk, keys);
                assert!(!found.is_ok_and(|(_, whole)| whole == expected.1), "{what}");
                there.iter().for_each(|(path, content)| disk.put(path, Some(content.clone())));
            };
            for (number, path) in (1..).zip(&paths) {
                let content = &there[path];
                disk.put(path, None);
                is_found(&format!("{number} is missing"));
                for length in (0..content.len()).step_by(if compressed { 1 } else { 7 }) {
                    disk.put(path, Some(content[..length].to_vec()));
                    is_found(&format!("{number} is cut to {length}"));
                }
                for bit in (0..content.len() * 8).step_by(11) {
                    let mut flipped = content.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    disk.put(path, Some(flipped));
                    is_found(&format!("bit {bit} of {number}"));
                }
                for (other_number, other) in (1..).zip(&paths).filter(|(_, other)| *other != path) {
                    disk.put(path, Some(there[other].clone()));
                    is_found(&format!("{other_number} for {number}"));
                    disk.put(path, Some(there[other].clone()));
                    disk.put(other, Some(content.clone()));
                    is_found(&format!("{number} and {other_number} are swapped"));
                }
            }
            assert_eq!(digests(&disk, keys).unwrap(), expected, "and all is back");
        }
    }
}

/// A part that is well formed and not the one that was recorded, as whoever has the key could write it, is found by the digest
/// of the last part alone.
#[test]
fn rc_14_a_part_that_was_written_anew_is_not_the_one_that_the_last_one_names() {
    for keys in both() {
        let keys = keys.as_ref();
        let (disk, other) = (FaultyDisk::new(), FaultyDisk::new());
        let of = |disk: &FaultyDisk, said: &[u8]| {
            let mut tape = create(disk, keys).unwrap();
            drop(tape.record(Kind::ToClient, Timestamp(1), &[said]).unwrap());
            tape.rotate(Timestamp(2), true).unwrap().sync().unwrap();
            tape.finish(Timestamp(3)).unwrap()
        };
        let (whole, another) = (of(&disk, b"yes"), of(&other, b"no!"));
        assert!(whole.1 == another.1 && whole != another);
        let first = path(dir(), SESSION, Part::FIRST);
        disk.put(&first, Some(other.contents()[&first].clone()));
        assert!(matches!(digests(&disk, keys), Err(TapeReadError::Damaged(_))));
    }
}

/// Two parts of one tape never use a nonce twice: the same content in the same place is sealed to other bytes.
#[test]
fn rc_14_parts_are_sealed_apart() {
    let disk = FaultyDisk::new();
    let keys = keys(1);
    let mut tape = create(&disk, Some(&keys)).unwrap();
    // Nothing that could be compressed.
    let content: Vec<u8> =
        (0..500u64).flat_map(|at| (at * at).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
    for at in 0..2 {
        let _ended = tape.rotate(Timestamp(at), true).unwrap();
        drop(tape.record(Kind::ToClient, Timestamp(7), &[&content]).unwrap());
    }
    tape.finish(Timestamp(9)).unwrap();
    for _ in 0..2 {
        let contents = disk.contents();
        let sealed = |number| {
            let (live, packed) = (path(dir(), SESSION, part(number)), packed_path(dir(), SESSION, part(number)));
            contents.get(&live).or_else(|| contents.get(&packed)).unwrap()[HEADER_LATER..].to_vec()
        };
        let (second, third) = (sealed(2), sealed(3));
        let same = second.iter().zip(&third).filter(|(one, other)| one == other).count();
        assert!(second.len() > 3000 && same < second.len() / 8, "{same} of {}", second.len());
        for number in 1..=3 {
            compress(&disk, dir(), SESSION, part(number), Some(&keys)).unwrap();
        }
    }
}

#[test]
fn rc_14_removing_a_tape_removes_all_of_its_parts_key_first() {
    for number in 1.. {
        let disk = FaultyDisk::new();
        let keys = keys(1);
        several(&disk, Some(&keys), 4);
        compress(&disk, dir(), SESSION, part(2), Some(&keys)).unwrap();
        // What a compression that was broken off left.
        disk.put(&packed_path(dir(), SESSION, part(3)).with_extension("new"), Some(vec![1]));
        disk.fail_once(number, Fault::Io);
        let first = remove(&disk, dir(), SESSION, &keys);
        let over = disk.heal();
        if first.is_err() && exists(&disk, dir(), SESSION).unwrap() {
            assert_eq!(sessions(&disk, dir()).unwrap(), [SESSION], "it is found again: {number}");
            remove(&disk, dir(), SESSION, &keys).unwrap();
        }
        assert!(!exists(&disk, dir(), SESSION).unwrap());
        assert_eq!(disk.contents(), std::collections::BTreeMap::new(), "{number}: {first:?}");
        if over {
            return;
        }
    }
}

/// What is done with a tape in the tests below; what was delivered, and what the journal was told.
struct Story {
    delivered: Vec<Record>,
    ended: Vec<EndedPart>,
    finished: Option<(Digest, u64)>,
}

fn story(disk: &FaultyDisk, keys: Option<&KeyStore>) -> Story {
    let mut story = Story { delivered: Vec::new(), ended: Vec::new(), finished: None };
    let Ok(mut tape) = create(disk, keys) else { return story };
    for at in 0..6u64 {
        match tape.record(Kind::ToClient, Timestamp(at), &[&[7; 30]]) {
            Ok(_) => story.delivered.push(record(Kind::ToClient, at, &[7; 30])),
            // The session ends with the first thing that cannot be recorded.
            Err(_) => {
                assert!(tape.record(Kind::ToClient, Timestamp(9), &[b"x"]).is_err());
                return story;
            }
        }
        if at % 2 == 1 {
            match tape.rotate(Timestamp(at), true) {
                Ok(ended) => story.ended.extend(ended.sync()),
                Err(_) => assert!(tape.record(Kind::ToClient, Timestamp(9), &[b"x"]).is_err()),
            }
        }
    }
    story.finished = tape.finish(Timestamp(9)).ok();
    story
}

/// Everything that the journal was told is there, and so is all that was delivered before.
fn is_whole(disk: &FaultyDisk, keys: Option<&KeyStore>, story: &Story, all: bool, what: &str) {
    if story.delivered.is_empty() {
        return;
    }
    if let (false, None, None) = (all, story.ended.last(), story.finished) {
        return;
    }
    // What was not synced may be a hole: it is come upon behind what was.
    let mut tape = reader(disk, keys);
    let found: Vec<_> = std::iter::from_fn(|| tape.next().ok().flatten()).collect();
    let told = if all || story.finished.is_some() { story.delivered.len() } else { story.ended.len() * 2 };
    assert!(found.starts_with(&story.delivered[..told]), "{what}: {found:?}");
    let mut ended = Vec::new();
    let whole = reader(disk, keys).digests(|part| ended.push(part)).ok().map(|(whole, _)| whole);
    assert!(ended.starts_with(&story.ended), "{what}");
    assert!(story.finished.is_none() || story.finished == whole, "{what}");
}

#[test]
fn rc_14_the_nth_operation_fails_while_a_tape_rotates_and_nothing_delivered_is_unrecorded() {
    for keys in both() {
        let keys = keys.as_ref();
        for fault in Fault::ALL {
            for number in 1.. {
                let disk = FaultyDisk::new();
                disk.fail_once(number, fault);
                let story = story(&disk, keys);
                let over = disk.heal();
                let what = format!("{fault:?} at {number}");
                is_whole(&disk.copy(), keys, &story, true, &what);
                is_whole(&disk.power_cut(0), keys, &story, false, &what);
                if over {
                    assert_eq!((story.delivered.len(), story.ended.len()), (6, 3));
                    break;
                }
            }
        }
    }
}

/// All fail from the N-th on: what is left is as it was at a power cut before that operation.
#[test]
fn rc_14_a_power_cut_at_the_nth_operation_leaves_every_part_that_the_journal_was_told_of() {
    for keys in both() {
        let keys = keys.as_ref();
        for number in 1.. {
            let disk = FaultyDisk::new();
            disk.fail_from(number, Fault::Io);
            let story = story(&disk, keys);
            let over = disk.heal();
            for keep in [0, 1, 40, 4000] {
                is_whole(&disk.power_cut(keep), keys, &story, false, &format!("{number}, {keep}"));
            }
            if over {
                break;
            }
        }
    }
}

/// Syncing the part that is written syncs those before it: no power cut leaves a hole between parts.
#[test]
fn rc_14_a_live_part_is_never_synced_before_those_it_follows() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        let mut records = Vec::new();
        let mut unsynced = Vec::new();
        for at in 1..4 {
            put(&mut tape, at, &mut records);
            unsynced.push(tape.rotate(Timestamp(at), true).unwrap());
        }
        put(&mut tape, 4, &mut records);
        assert!(tape.live().sync().unwrap());
        let left = disk.power_cut(0);
        assert_eq!(rest(&mut reader(&left, keys)), records);
        // One of them that cannot be synced ends the tape, whichever part is written.
        put(&mut tape, 5, &mut records);
        let ended = tape.rotate(Timestamp(5), true).unwrap();
        disk.fail_once(1, Fault::Io);
        assert!(ended.sync().is_err());
        disk.heal();
        assert!(matches!(tape.record(Kind::ToClient, Timestamp(6), &[b"x"]), Err(TapeError::Failed)));
        assert!(tape.live().sync().is_err());
    }
}

proptest! {
    #[test]
    fn rc_14_tapes_of_any_parts_survive(
        sealed: bool,
        steps in proptest::collection::vec((any::<u8>(), any::<u64>(), any::<Vec<u8>>()), 0..30),
    ) {
        let keys = sealed.then(|| keys(1));
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        let mut tape = create(&disk, keys).unwrap();
        let (mut expected, mut ended) = (Vec::new(), Vec::new());
        for (what, at, content) in &steps {
            match what % 4 {
                0 => ended.push(tape.rotate(Timestamp(*at), *at % 2 == 0).unwrap().sync().unwrap()),
                1 => tape.precede(Kind::FromClient, Timestamp(*at), &[content]).unwrap(),
                _ => drop(tape.record(Kind::ToClient, Timestamp(*at), &[content]).unwrap()),
            }
            if what % 4 != 0 && !content.is_empty() {
                let kind = if what % 4 == 1 { Kind::FromClient } else { Kind::ToClient };
                expected.push(record(kind, *at, content));
            }
        }
        let length = tape.length();
        let whole = tape.finish(Timestamp(0)).unwrap();
        prop_assert!(whole.1 > length);
        prop_assert_eq!(rest(&mut reader(&disk, keys)), expected.clone());
        prop_assert_eq!(digests(&disk, keys).unwrap(), (ended.clone(), whole));
        for part in ended.iter().map(|ended| ended.part) {
            compress(&disk, dir(), SESSION, part, keys).unwrap();
        }
        prop_assert_eq!(rest(&mut reader(&disk, keys)), expected);
        prop_assert_eq!(digests(&disk, keys).unwrap(), (ended, whole));
    }
}
