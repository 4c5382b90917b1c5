//! A disk without room: what is written at the end, and how it goes on.

use super::*;
use crate::samples::RESERVE;

fn reserve() -> PathBuf {
    dir().join("reserve")
}

/// The reserve's length on the disk.
fn held(disk: &FaultyDisk) -> Option<u64> {
    disk.contents().get(&reserve()).map(|content| bytes(content.len()))
}

/// Fills the disk up to the last byte but `left`.
fn fill(disk: &FaultyDisk, left: usize) {
    disk.limit(Some(disk.used() + left));
}

#[test]
fn a_reserve_is_made_at_the_start_and_made_whole_again() {
    let disk = FaultyDisk::new();
    drop(open(&disk, SMALL).unwrap());
    assert_eq!(held(&disk), Some(RESERVE));
    assert_eq!(held(&disk.power_cut(0)), Some(RESERVE));
    let unfinished = dir().join("reserve.new");
    for broken in [None, Some(vec![1; 10]), Some(vec![])] {
        disk.put(&reserve(), broken);
        disk.put(&unfinished, Some(vec![1; 5000]));
        let (journal, recovery) = open(&disk, SMALL).unwrap();
        assert_eq!((held(&disk), recovery.torn.len(), journal.is_stalled()), (Some(RESERVE), 0, false));
        assert!(!disk.contents().contains_key(&unfinished), "what was being made when it died is gone");
    }
}

#[test]
fn a_full_disk_at_the_start_opens_a_journal_that_waits_for_room() {
    let disk = FaultyDisk::new();
    drop(open(&disk, 1 << 20).unwrap());
    disk.put(&reserve(), None);
    fill(&disk, 10);
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    assert!(journal.is_stalled() && journal.append(&[entry(0)]).is_err() && journal.try_recover().is_err());
    disk.limit(None);
    journal.try_recover().unwrap();
    drop(journal.append(&[entry(0)]).unwrap().at_process());
    assert_eq!((held(&disk), read_all(&disk)), (Some(RESERVE), vec![entry(0)]));
}

/// The disk is full after every number of bytes of a batch, and of everything that is done about it.
#[test]
fn a_full_disk_takes_closing_entries_and_nothing_else_until_there_is_room() {
    let mut closed = 0;
    for left in 0..600 {
        let disk = FaultyDisk::new();
        let (journal, _) = open(&disk, 400).unwrap();
        drop(journal.append(&[entry(0)]).unwrap().at_process());
        fill(&disk, left);
        let mut kept = vec![entry(0)];
        kept.extend((1..45).map(entry).take_while(|entry| {
            let batch = std::slice::from_ref(entry);
            journal.append(batch).map(Appended::at_process).is_ok()
        }));
        let Err(JournalError::Disk(why)) = journal.try_recover() else { panic!("{left}: there is no room") };
        assert_eq!(why.kind(), io::ErrorKind::StorageFull, "{left}");
        assert_eq!(held(&disk), None, "{left}: given up");
        for number in 0..3 {
            assert!(matches!(journal.append(&[entry(99)]), Err(JournalError::Stalled)), "{left}");
            drop(journal.append_closing(&[entry(50 + number)]).unwrap().at_process());
            kept.push(entry(50 + number));
            closed += 1;
            assert!(journal.try_recover().is_err() && journal.is_stalled(), "{left}: what was given up is no room");
        }
        assert_eq!(read_all(&disk.copy()), kept, "{left}");
        drop(open(&disk.copy(), 400).unwrap());
        journal.sync().unwrap();
        assert_eq!(read_all(&disk.power_cut(0)), kept, "{left}");
        disk.limit(None);
        journal.try_recover().unwrap();
        drop(journal.append(&[entry(90)]).unwrap().at_process());
        kept.push(entry(90));
        journal.checkpoint().unwrap();
        assert_eq!((held(&disk), read_all(&disk)), (Some(RESERVE), kept), "{left}");
        assert!(verify(&disk, dir(), key().public(), &[]).unwrap().is_good(), "{left}");
    }
    assert_eq!(closed, 1800);
}

/// The reserve is used up as well: nothing is written in part, and it goes on all the same.
#[test]
fn a_reserve_that_is_used_up_loses_nothing_that_was_acknowledged() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    fill(&disk, 0);
    assert!(journal.append(&[entry(0)]).is_err() && journal.try_recover().is_err());
    let mut kept = Vec::new();
    for number in 0..100 {
        if let Ok(appended) = journal.append_closing(&[entry(number)]) {
            drop(appended.at_process());
            kept.push(entry(number));
        }
        assert!(journal.try_recover().is_err());
    }
    assert!(kept.len() > 3 && kept.len() < 100, "{}", kept.len());
    assert_eq!(read_all(&disk.copy()), kept);
    disk.limit(None);
    journal.try_recover().unwrap();
    assert_eq!((held(&disk), read_all(&disk)), (Some(RESERVE), kept));
}

/// Every operation of giving up, closing and making anew fails, once or from then on; and dies there.
#[test]
fn rc_03_the_nth_operation_fails_while_the_disk_is_full() {
    for (fault, once) in Fault::ALL.into_iter().flat_map(|fault| [(fault, true), (fault, false)]) {
        for number in 1.. {
            let disk = FaultyDisk::new();
            let (journal, _) = open(&disk, 1 << 20).unwrap();
            fill(&disk, 20);
            if once {
                disk.fail_once(number, fault)
            } else {
                disk.fail_from(number, fault)
            }
            let mut process = BTreeMap::new();
            for turn in 0..6 {
                if turn == 3 {
                    disk.limit(None);
                }
                let _ = journal.try_recover();
                let batch = [entry(turn)];
                let appended = if turn < 3 { journal.append_closing(&batch) } else { journal.append(&batch) };
                if let Ok(appended) = appended {
                    process.insert(appended.positions().start, entry(turn));
                    drop(appended.at_process());
                }
            }
            let still_to_come = disk.heal();
            let what = format!("{fault:?} at {number}, once: {once}");
            check(&disk.copy(), &process, 0, &format!("{what}, killed"));
            check(&disk.power_cut(0), &BTreeMap::new(), 0, &format!("{what}, power cut"));
            let mut tries = 0;
            while journal.try_recover().is_err() {
                tries += 1;
                assert!(tries < 3, "{what}: it does not go on");
            }
            drop(journal.append(&[entry(9)]).unwrap().at_process());
            assert_eq!(held(&disk), Some(RESERVE), "{what}");
            check(&disk, &process, 0, &what);
            if still_to_come {
                break;
            }
        }
    }
}

/// Where the room is only asked for by the fdatasync, the reserve makes some for the segment that is begun anew.
#[test]
fn a_sync_without_room_gives_the_reserve_up_for_the_new_segment() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    drop(journal.append(&[entry(0), entry(1)]).unwrap().at_process());
    fill(&disk, 0);
    disk.fail_once(1, Fault::NoSpace);
    assert!(journal.sync().is_err());
    assert!(journal.try_recover().is_err() && held(&disk).is_none());
    assert!(journal.try_recover().is_err(), "there is a new segment now, and still no room");
    drop(journal.append_closing(&[entry(2)]).unwrap().at_process());
    journal.sync().unwrap();
    assert_eq!(read_all(&disk.power_cut(0)), [entry(0), entry(1), entry(2)]);
    disk.limit(None);
    journal.try_recover().unwrap();
    assert_eq!(held(&disk), Some(RESERVE));
}
