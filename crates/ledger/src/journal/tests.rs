use std::collections::BTreeMap;
use std::sync::mpsc;

use super::*;
use crate::disk::{Fault, FaultyDisk};
use crate::receipt::{Lets, Level};
use crate::samples::{allowed, dir, entry, key, long_entry, open, ordinary, request};
use crate::verify::verify;

mod full;
mod receipts;

/// Small enough that the scenario below fills several segments.
const SMALL: u64 = 150;

fn read_all(disk: &FaultyDisk) -> Vec<Entry> {
    let mut reader = Reader::open(Arc::new(disk.clone()), dir(), 0);
    std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry).collect()
}

/// Calls it as Sluice does, which goes on after a panic.
fn caught<T, E>(panicked: E, act: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).unwrap_or(Err(panicked))
}

/// What the journal acknowledged, by position.
#[derive(Default)]
struct Acknowledged {
    process: BTreeMap<u64, Entry>,
    power: BTreeMap<u64, Entry>,
    checkpoint: u64,
}

/// Opens, appends, syncs and signs, over several segments, recovering whenever something fails.
fn scenario(disk: &FaultyDisk) -> Acknowledged {
    scenario_in(disk, SMALL)
}

fn scenario_in(disk: &FaultyDisk, segment: u64) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let opened = || caught(OpenError::InUse, || open(disk, segment));
    let Some(journal) = (0..3).find_map(|_| opened().ok()) else { return acknowledged };
    let journal = journal.0;
    for turn in 0..9u64 {
        if journal.is_stalled() {
            assert!(matches!(journal.append(&[entry(0)]), Err(JournalError::Stalled)));
            let _ = caught(JournalError::Stalled, || journal.try_recover());
        }
        let batch: Vec<Entry> = (0..=turn % 3).map(|part| entry(turn * 10 + part)).collect();
        let Ok(appended) = caught(JournalError::Stalled, || journal.append(&batch)) else { continue };
        let entries: BTreeMap<u64, Entry> = appended.positions().zip(batch).collect();
        acknowledged.process.extend(entries.clone());
        if turn % 2 == 0
            && let Ok(synced) = caught(JournalError::Stalled, || journal.sync())
            && let Ok(receipts) = appended.at_power(&synced)
        {
            assert!(receipts.iter().all(|receipt| receipt.level() == Level::Power));
            acknowledged.power.extend(entries);
        }
        if turn % 3 == 2
            && let Ok(checkpoint) = caught(JournalError::Stalled, || journal.checkpoint())
        {
            acknowledged.checkpoint = checkpoint.size();
        }
    }
    acknowledged
}

/// Reopens what is left and checks that every acknowledged entry is there and the rest verifies.
fn check(left: &FaultyDisk, acknowledged: &BTreeMap<u64, Entry>, checkpoint: u64, what: &str) {
    let before = left.contents();
    let (journal, recovery) = open(left, SMALL).unwrap_or_else(|error| panic!("{what}: {error}"));
    let entries = read_all(left);
    assert_eq!(u64::try_from(entries.len()).unwrap(), recovery.entries, "{what}");
    for (position, entry) in acknowledged {
        assert_eq!(entries.get(usize::try_from(*position).unwrap()), Some(entry), "{what}: entry {position}");
    }
    assert!(recovery.signed.unwrap_or(0) >= checkpoint, "{what}: a checkpoint is lost");
    for torn in &recovery.torn {
        let length = before[&dir().join(&torn.file)].len();
        assert_eq!(u64::try_from(length).unwrap(), torn.offset + torn.bytes, "{what}: {torn:?}");
    }
    drop(journal.append(&ordinary()).unwrap().at_process());
    let last = journal.checkpoint().unwrap();
    let report = verify(left, dir(), key().public(), &[]).unwrap();
    assert_eq!((report.fault, report.entries), (None, last.size()), "{what}");
}

fn enumerate(faults: &[Fault], begin: impl Fn(&FaultyDisk, u64, Fault)) {
    for fault in faults.iter().copied() {
        let mut runs = 0;
        for number in 1.. {
            let disk = FaultyDisk::new();
            begin(&disk, number, fault);
            let acknowledged = scenario(&disk);
            let still_to_come = disk.heal();
            let what = format!("{fault:?} at operation {number}");
            check(&disk.copy(), &acknowledged.process, acknowledged.checkpoint, &format!("{what}, killed"));
            for keep in [0, 1, 20, 50, 10_000] {
                let left = disk.power_cut(keep);
                let what = format!("{what}, power cut, {keep} bytes kept");
                check(&left, &acknowledged.power, acknowledged.checkpoint, &what);
            }
            runs += 1;
            if still_to_come {
                assert!(!acknowledged.power.is_empty() && acknowledged.checkpoint > 0);
                break;
            }
        }
        assert!(runs > 60, "the scenario has {runs} operations");
    }
}

#[test]
fn rc_03_the_nth_operation_fails_and_no_acknowledged_entry_is_lost() {
    enumerate(&Fault::ALL, FaultyDisk::fail_once);
}

#[test]
fn rc_03_all_operations_fail_from_the_nth_on_and_no_acknowledged_entry_is_lost() {
    enumerate(&Fault::ALL, FaultyDisk::fail_from);
}

#[test]
fn rc_07_the_writer_panics_at_the_nth_operation_and_no_acknowledged_entry_is_lost() {
    enumerate(&[Fault::Panic], FaultyDisk::fail_once);
    enumerate(&[Fault::Panic], FaultyDisk::fail_from);
}

/// The power fails at every operation, and of what was not synced any part is on the disk, in any order.
#[test]
fn rc_02_a_power_cut_at_the_nth_operation_loses_no_receipt_and_what_it_leaves_in_disorder_is_set_aside() {
    let mut state = 2_u64;
    let mut coin = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 62 != 0
    };
    let (mut number, mut repaired) = (0, 0);
    loop {
        number += 1;
        let disk = FaultyDisk::new();
        disk.fail_from(number, Fault::Io);
        let acknowledged = scenario_in(&disk, 1 << 20);
        let over = disk.heal();
        for turn in 0..30 {
            let left = disk.power_cut_in_disorder([32, 64, 512][turn % 3], &mut coin);
            let what = format!("power cut at operation {number}, disorder {turn}");
            if let Err(OpenError::Hole { file, offset }) = open(&left, SMALL) {
                let before = left.contents()[&dir().join(&file)].clone();
                let sizes = Sizes { segment: SMALL, ..Sizes::default() };
                let (journal, recovery) = Journal::open_repairing(Arc::new(left.clone()), dir(), key(), sizes).unwrap();
                let [aside] = &recovery.set_aside[..] else { panic!("{what}: {recovery:?}") };
                assert_eq!((&aside.torn.file, aside.torn.offset), (&file, offset), "{what}");
                // Until it is recorded, whoever opens the journal is told.
                drop(journal);
                let (journal, again) = open(&left, 1 << 20).unwrap();
                assert_eq!(again.set_aside, recovery.set_aside, "{what}");
                journal.set_aside_is_recorded().unwrap();
                let kept = left.contents()[&dir().join(&aside.kept)].clone();
                assert_eq!(kept, before[usize::try_from(offset).unwrap()..], "{what}");
                assert_eq!(aside.digest, model::id::Digest(crate::merkle::sha256(&[&kept])), "{what}");
                assert!(aside.whole > 0, "{what}");
                repaired += 1;
            }
            check(&left, &acknowledged.power, acknowledged.checkpoint, &what);
        }
        if over {
            break;
        }
    }
    assert!(number > 30 && repaired > 10, "{repaired} repaired of {number} operations");
}

/// What is signed is never set aside.
#[test]
fn rc_02_damage_to_what_is_signed_is_not_repaired() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    drop(journal.append(&[entry(0), entry(1), entry(2)]).unwrap().at_process());
    journal.checkpoint().unwrap();
    drop(journal.append(&[entry(3), entry(4)]).unwrap().at_process());
    let path = segment::path(dir(), 0);
    let content = disk.contents()[&path].clone();
    for at in 0..content.len() {
        let left = disk.copy();
        let mut damaged = content.clone();
        damaged[at] ^= 0x10;
        left.put(&path, Some(damaged));
        if let Ok((_, recovery)) = Journal::open_repairing(Arc::new(left.clone()), dir(), key(), Sizes::default()) {
            assert!(recovery.entries >= 3, "byte {at}: {recovery:?}");
            assert_eq!(read_all(&left)[..3], [entry(0), entry(1), entry(2)]);
        }
    }
}

/// Nor by way of the checkpoints: one that was written before another, or was the latest, was on the disk.
#[test]
fn rc_02_a_damaged_checkpoint_is_no_torn_one_if_it_was_on_the_disk() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    drop(journal.append(&[entry(0), entry(1), entry(2)]).unwrap().at_process());
    journal.checkpoint().unwrap();
    drop(journal.append(&[entry(3), entry(4)]).unwrap().at_process());
    journal.checkpoint().unwrap();
    drop(journal.append(&[entry(5)]).unwrap().at_process());
    journal.checkpoint().unwrap();
    let list = dir().join(crate::checkpoints::file_name(3));
    let content = disk.contents()[&list].clone();
    let second = content.len() / 3 + 1;
    for (at, byte) in (second..content.len()).flat_map(|at| [(at, 0), (at, content[at] ^ 1)]) {
        let left = disk.copy();
        let mut damaged = content.clone();
        damaged[at] = byte;
        left.put(&list, Some(damaged));
        let opened = Journal::open_repairing(Arc::new(left), dir(), key(), Sizes::default());
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "byte {at}: {:?}", opened.map(|(_, found)| found));
    }
}

/// The fsync of the batch fails once and would succeed the next time.
#[test]
fn rc_04_a_failed_fsync_abandons_the_segment_and_gives_no_receipt() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    let good = journal.append(&[entry(0)]).unwrap();
    let before = journal.sync().unwrap();
    assert_eq!(good.at_power(&before).unwrap()[0].level(), Level::Power);
    let lost = journal.append(&[entry(1), entry(2)]).unwrap();

    disk.fail_once(1, Fault::Io);
    assert!(matches!(journal.sync(), Err(JournalError::Disk(_))));
    let operations = disk.operations();
    assert!(matches!(journal.sync(), Err(JournalError::Stalled)));
    assert!(matches!(journal.append(&[entry(3)]), Err(JournalError::Stalled)));
    assert!(journal.checkpoint().is_err());
    assert_eq!(disk.operations(), operations, "the fsync is not retried");

    journal.try_recover().unwrap();
    let after = journal.sync().unwrap();
    assert_eq!(after.size(), 3, "the entries were written again, to a fresh segment");
    let lost = lost.at_power(&before).unwrap_err().0;
    assert!(lost.at_power(&after).is_err(), "but their batch never becomes durable");
    let next = journal.append(&[entry(3)]).unwrap();
    assert!(next.at_power(&journal.sync().unwrap()).is_ok());
    journal.checkpoint().unwrap();
    assert_eq!(read_all(&disk.power_cut(0)), [entry(0), entry(1), entry(2), entry(3)]);
    assert!(verify(&disk, dir(), key().public(), &[]).unwrap().is_good());
}

#[test]
fn it_goes_on_when_the_disk_is_back() {
    for fault in Fault::ALL {
        let disk = FaultyDisk::new();
        let (journal, _) = open(&disk, SMALL).unwrap();
        drop(journal.append(&[entry(0)]).unwrap().at_process());
        disk.fail_from(1, fault);
        assert!(journal.append(&[entry(7), entry(8)]).is_err());
        assert!(journal.is_stalled() && journal.try_recover().is_err() && journal.checkpoint().is_err());
        disk.heal();
        journal.try_recover().unwrap();
        drop(journal.append(&[entry(1)]).unwrap().at_process());
        assert_eq!(journal.checkpoint().unwrap().size(), 2);
        assert_eq!(read_all(&disk), [entry(0), entry(1)]);
    }
}

#[test]
fn rc_08_torn_garbage_and_zero_tails_are_cut_and_reported() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    drop(journal.append(&[entry(0), entry(1)]).unwrap().at_process());
    let path = segment::path(dir(), 0);
    let whole = disk.contents()[&path].clone();
    drop(journal.append(&[long_entry(300)]).unwrap().at_process());
    let longer = disk.contents()[&path].clone();
    let garbage: Vec<u8> = (0..3000u32).map(|i| u8::try_from(i.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    let mut tails = vec![vec![0; 100_000], garbage, vec![0xff; 10]];
    tails.extend((whole.len() + 1..longer.len()).map(|end| longer[whole.len()..end].to_vec()));
    for tail in tails {
        let left = FaultyDisk::new();
        left.put(&path, Some([whole.as_slice(), &tail].concat()));
        let (_, recovery) = open(&left, 1 << 20).unwrap();
        let (offset, bytes) = (bytes(whole.len()), bytes(tail.len()));
        assert_eq!(recovery.torn, [recovery::Torn { file: segment::file_name(0), offset, bytes }]);
        assert_eq!(left.contents()[&path], whole);
        assert_eq!(read_all(&left), [entry(0), entry(1)]);
    }
}

#[test]
fn rc_08_damage_in_the_middle_and_missing_segments_are_refused() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, SMALL).unwrap();
    for number in 0..20 {
        drop(journal.append(&[entry(number)]).unwrap().at_process());
    }
    let all = disk.contents();
    let firsts = segment::list(&disk, dir()).unwrap();
    assert!(firsts.len() > 3);
    let refused = |what: &str| match open(&disk.copy(), SMALL) {
        Err(OpenError::Damaged { .. }) => {}
        other => panic!("{what}: {:?}", other.map(|(_, recovery)| recovery)),
    };
    let last = segment::path(dir(), *firsts.last().unwrap());
    for first in &firsts[..firsts.len() - 1] {
        let path = segment::path(dir(), *first);
        disk.put(&path, None);
        refused("a missing segment");
        let content = &all[&path];
        disk.put(&path, Some(content[..content.len() - 1].to_vec()));
        refused("a truncated segment");
        disk.put(&path, Some(all[&last].clone()));
        refused("another segment's content");
        disk.put(&path, Some(all[&path].clone()));
    }
    journal.checkpoint().unwrap();
    let whole = disk.contents()[&last].clone();
    disk.put(&last, Some(whole[..whole.len() - 1].to_vec()));
    refused("a signed entry was cut off");
    disk.put(&last, None);
    refused("the last segment, with signed entries, is missing");
}

#[test]
fn rc_08_a_damaged_entry_before_whole_ones_is_no_torn_tail() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    drop(journal.append(&[entry(0), entry(1), entry(2)]).unwrap().at_process());
    let path = segment::path(dir(), 0);
    let mut content = disk.contents()[&path].clone();
    let at = content.len() - 50;
    content[at] ^= 0x10;
    disk.put(&path, Some(content));
    assert!(matches!(open(&disk.copy(), 1 << 20), Err(OpenError::Hole { .. })));
}

#[test]
fn receipts_name_their_request_and_belong_to_one_journal() {
    let (disk, other_disk) = (FaultyDisk::new(), FaultyDisk::new());
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    let (other, _) = open(&other_disk, 1 << 20).unwrap();
    let appended = journal.append(&[allowed(5), long_entry(5), entry(5)]).unwrap();
    drop(other.append(&[entry(5), entry(6), entry(7), entry(8)]).unwrap().at_process());
    let appended = appended.at_power(&other.sync().unwrap()).unwrap_err().0;
    let receipts = appended.at_process();
    assert_eq!(
        receipts.iter().map(|receipt| receipt.lets()).collect::<Vec<_>>(),
        [Some(Lets::Prepare(request(5))), None, None]
    );
    assert_eq!(receipts.iter().map(|receipt| receipt.position()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(receipts.iter().all(|receipt| receipt.level() == Level::Process));
}

#[test]
fn td_08_a_batch_with_an_entry_that_is_too_long_is_refused_whole() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    let result = journal.append(&[entry(0), long_entry(70_000), entry(1)]);
    assert!(matches!(result, Err(JournalError::Entry(EncodeError::TooLarge(_)))));
    assert_eq!((journal.size(), journal.is_stalled()), (0, false));
    drop(journal.append(&[entry(2)]).unwrap().at_process());
    assert_eq!(read_all(&disk), [entry(2)]);
}

#[test]
fn rc_09_a_clock_that_jumps_changes_no_order() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, SMALL).unwrap();
    let (hour, ten_years) = (3_600_000, 315_576_000_000);
    let now = 1_793_000_000_000;
    let times = [now, now - hour, now + ten_years, now, 0, u64::MAX, now + 1];
    let entries: Vec<Entry> =
        (0..).zip(times).map(|(number, at)| Entry { at: model::time::Timestamp(at), ..entry(number) }).collect();
    for entry in &entries {
        drop(journal.append(std::slice::from_ref(entry)).unwrap().at_process());
    }
    journal.checkpoint().unwrap();
    assert_eq!(read_all(&disk), entries);
    assert!(verify(&disk, dir(), key().public(), &[]).unwrap().is_good());
    drop(journal);
    let (journal, recovery) = open(&disk, SMALL).unwrap();
    assert_eq!((recovery.entries, journal.size()), (7, 7));
}

#[test]
fn a_reader_follows_over_segments_and_recovery() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, SMALL).unwrap();
    let mut reader = journal.reader(0);
    assert!(reader.next().unwrap().is_none());
    for number in 0..30 {
        if number % 7 == 3 {
            disk.fail_once(1, Fault::TornWrite);
            assert!(journal.append(&[entry(99), entry(99)]).is_err());
            assert!(reader.next().unwrap().is_none(), "what is not acknowledged is not read");
            journal.try_recover().unwrap();
        }
        drop(journal.append(&[entry(number)]).unwrap().at_process());
        if number % 11 == 10 {
            disk.fail_once(1, Fault::Io);
            assert!(journal.sync().is_err() && journal.is_stalled());
            journal.try_recover().unwrap();
        }
        assert_eq!(reader.next().unwrap(), Some((number, entry(number))));
        assert!(reader.next().unwrap().is_none());
    }
    let mut later = journal.reader(17);
    assert_eq!(later.next().unwrap(), Some((17, entry(17))));
    let (_, _, seventeen) = journal.reader(17).next_hashed().unwrap().unwrap();
    let (index, read, eighteen) = later.next_hashed().unwrap().unwrap();
    assert_eq!((index, read), (18, entry(18)));
    assert_ne!(seventeen, eighteen);
}

/// A segment and a list of checkpoints that begin with one number are written side by side.
#[test]
fn what_is_put_in_place_of_one_file_is_never_another_s() {
    let disk = FaultyDisk::new();
    let (one, other) = (segment::path(dir(), 7), dir().join(crate::checkpoints::file_name(7)));
    // Up to its rename: looked for, created, written, synced.
    disk.fail_from(5, Fault::Io);
    replace(&disk, &one, b"one").unwrap_err();
    disk.heal();
    let begun = disk.contents();
    assert_eq!(begun.values().map(Vec::as_slice).collect::<Vec<_>>(), [b"one"]);
    replace(&disk, &other, b"other").unwrap();
    assert!(begun.keys().all(|path| disk.contents().contains_key(path)), "it is gone: {begun:?}");
}

#[test]
fn threads_share_the_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("journal");
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk);
    let (journal, _) =
        Journal::open_with(Arc::clone(&disk), &dir, key(), Sizes { segment: 4096, reserve: 4096 }).unwrap();
    assert!(matches!(Journal::open(Arc::clone(&disk), &dir, key()), Err(OpenError::InUse)));
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (sender, journal) = (sender.clone(), &journal);
            scope.spawn(move || {
                for number in 0..50 {
                    let appended = journal.append(&[allowed(thread * 1000 + number)]).unwrap();
                    let synced = journal.sync().unwrap();
                    let receipt = appended.at_power(&synced).unwrap().pop().unwrap();
                    sender.send((receipt.position(), receipt.lets().unwrap().request().number)).unwrap();
                }
                journal.checkpoint().unwrap();
            });
        }
    });
    drop(sender);
    let receipts: BTreeMap<u64, u64> = receiver.into_iter().collect();
    assert_eq!(receipts.keys().copied().collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    let mut reader = journal.reader(0);
    while let Some((position, found)) = reader.next().unwrap() {
        assert_eq!(found, allowed(receipts[&position]));
    }
    assert_eq!(reader.position(), 200);
    let report = verify(disk.as_ref(), &dir, key().public(), &[]).unwrap();
    assert_eq!((report.fault, report.entries, report.signed), (None, 200, 200));
    drop(journal);
    assert!(Journal::open(disk, &dir, key()).is_ok());
}

/// An independent reading of the formats: the standard library of Python and nothing of ours.
#[test]
fn td_12_the_independent_verifier_agrees_on_mutated_journals() {
    let disk = FaultyDisk::new();
    let (mut journal, _) = open(&disk, 300).unwrap();
    for (number, entry) in ordinary().into_iter().enumerate() {
        drop(journal.append(&[entry]).unwrap().at_process());
        if number % 8 == 7 {
            journal.checkpoint().unwrap();
        }
        if number == 10 {
            let next = crate::SigningKey::from_seed("sluice.example/journal", &[8; 32]).unwrap();
            journal = journal.rotate(next, model::time::Timestamp(1)).unwrap();
        }
    }
    journal.checkpoint().unwrap();
    let all: Vec<(PathBuf, Vec<u8>)> = disk.contents().into_iter().filter(|(_, content)| !content.is_empty()).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut ours = Vec::new();
    for case in 0..300usize {
        let (path, content) = &all[case % all.len()];
        let mutated = mutate(content, case);
        let target = folder.path().join(format!("{case:03}"));
        std::fs::create_dir(&target).unwrap();
        for (other, content) in &all {
            std::fs::write(target.join(other.file_name().unwrap()), content).unwrap();
        }
        match mutated {
            Some(bytes) => std::fs::write(target.join(path.file_name().unwrap()), bytes).unwrap(),
            None => std::fs::remove_file(target.join(path.file_name().unwrap())).unwrap(),
        }
        let good = verify(&crate::disk::RealDisk, &target, key().public(), &[]).unwrap().is_good();
        ours.push(format!("{case:03} {}", if good { "good" } else { "bad" }));
    }
    assert!(ours.iter().filter(|line| line.ends_with("good")).count() >= 10);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
    let output = std::process::Command::new("python3")
        .arg(script)
        .arg(key().public().to_string())
        .arg(folder.path())
        .output()
        .expect("this test needs python3: install it (apt-get install python3)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(ours, theirs);
}

/// One of several kinds of damage, in a place that moves with `case`; every thirtieth case is none.
fn mutate(content: &[u8], case: usize) -> Option<Vec<u8>> {
    let mut bytes = content.to_vec();
    let at = (case * 7919) % bytes.len();
    match case % 6 {
        _ if case.is_multiple_of(30) => {}
        0 => bytes[at] ^= 1 << (case % 8),
        1 => bytes.truncate(at),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, 0),
        4 => bytes.extend_from_slice(&content[at..]),
        _ if case % 4 == 1 => return None,
        _ => bytes.swap(at, content.len() - 1 - at),
    }
    Some(bytes)
}
