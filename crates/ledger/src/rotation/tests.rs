use std::path::Path;
use std::sync::Arc;

use model::event::Entry;
use model::time::Timestamp;

use super::*;
use crate::disk::{Disk, Fault, FaultyDisk};
use crate::journal::{Journal, OpenError, RotateError};
use crate::prove::{EntryProof, prove_entry};
use crate::samples::{dir, entry, key, open};
use crate::verify::{Report, verify};

const NAME: &str = "sluice.example/journal";

fn other(seed: u8) -> SigningKey {
    SigningKey::from_seed(NAME, &[seed; 32]).unwrap()
}

fn append(journal: &Journal, count: u64) {
    for number in 0..count {
        drop(journal.append(&[entry(number)]).unwrap().at_process());
    }
}

fn check(disk: &FaultyDisk, seed: u8) -> Report {
    verify(disk, dir(), other(seed).public(), &[]).unwrap()
}

/// Five entries by key 7, then the change to 8, then three, then the change to 9, then one.
fn changed_twice(limit: u64) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, limit).unwrap();
    append(&journal, 3);
    journal.checkpoint().unwrap();
    append(&journal, 2);
    let journal = journal.rotate(other(8), Timestamp(1)).unwrap();
    append(&journal, 3);
    let journal = journal.rotate(other(9), Timestamp(2)).unwrap();
    append(&journal, 1);
    journal.checkpoint().unwrap();
    disk
}

#[test]
fn a_journal_whose_key_changed_is_verified_with_any_of_its_keys() {
    for limit in [150, 1 << 20] {
        let disk = changed_twice(limit);
        for seed in [7, 8, 9] {
            let report = check(&disk, seed);
            assert_eq!((report.fault, report.entries, report.signed), (None, 11, 11), "key {seed}");
        }
        let fault = check(&disk, 6).fault.unwrap();
        assert!(fault.what.contains("not signed by the key"), "{fault}");
        let keys = Keys::of(&disk, dir(), key().public()).unwrap();
        let seeds = [(0, 7), (5, 7), (6, 8), (9, 8), (10, 9), (u64::MAX, 9)];
        for (size, seed) in seeds {
            assert_eq!(keys.of_size(size), other(seed).public(), "{size} entries");
        }
    }
}

#[test]
fn it_goes_on_with_the_new_key_alone() {
    let disk = changed_twice(1 << 20);
    let reopen = |seed| Journal::open(Arc::new(disk.clone()), dir(), other(seed));
    assert!(matches!(reopen(7), Err(OpenError::OldKey)));
    assert!(matches!(reopen(8), Err(OpenError::OldKey)));
    assert!(matches!(reopen(6), Err(OpenError::Damaged { .. })), "a key that never was");
    let (journal, recovery) = reopen(9).unwrap();
    assert_eq!((recovery.entries, recovery.signed), (11, Some(11)));
    append(&journal, 1);
    journal.checkpoint().unwrap();
    assert_eq!(check(&disk, 7).fault, None);
    assert!(matches!(journal.rotate(other(9), Timestamp(3)), Err(RotateError::Key)));
    let (journal, _) = reopen(9).unwrap();
    let elsewhere = SigningKey::from_seed("other.example", &[1; 32]).unwrap();
    assert!(matches!(journal.rotate(elsewhere, Timestamp(3)), Err(RotateError::Key)));
}

#[test]
fn the_key_of_an_empty_journal_can_be_changed_and_twice_in_a_row() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    let journal = journal.rotate(other(8), Timestamp(1)).unwrap();
    drop(journal.rotate(other(9), Timestamp(2)).unwrap());
    for seed in [7, 8, 9] {
        assert_eq!(check(&disk, seed).fault, None, "key {seed}");
    }
}

#[test]
fn proofs_are_by_the_key_that_is_asked_for() {
    let disk = changed_twice(150);
    for index in 0..11 {
        let newest = prove_entry(&disk, dir(), other(9).public(), index).unwrap();
        assert!(EntryProof::open(&newest.text(), other(9).public()).is_ok(), "{index}");
    }
    assert_eq!(prove_entry(&disk, dir(), other(7).public(), 1).unwrap().checkpoint.size(), 3);
    assert!(prove_entry(&disk, dir(), other(7).public(), 5).is_err(), "the change is signed by the new key");
}

/// Puts another entry in the place of the change to key 8, with right checksums, in a journal that ends there.
fn with_change(event: Event) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 5);
    drop(journal.rotate(other(8), Timestamp(1)).unwrap());
    let path = segment::path(dir(), 5);
    let (header, _) = Scan::open(&disk, &path).unwrap().unwrap();
    let mut content = header.encode();
    let leaf = frame::encode(&Entry { at: Timestamp(1), event }, 5, &mut content).unwrap();
    disk.put(&path, Some(content));
    let mut edge = header.edge;
    edge.push(leaf);
    // As whoever stole both keys would sign it.
    let (before, forged) = (check(&disk, 7), other(8).sign(6, edge.root()));
    drop(before);
    let contents = disk.contents();
    let (list, _) = contents.iter().rfind(|(path, _)| path.to_string_lossy().ends_with(".checkpoints")).unwrap();
    let old = Note::parse(&contents[&dir().join("checkpoint")]).unwrap().text.to_owned();
    let text = String::from_utf8(contents[list].clone()).unwrap();
    let begins = text.find(&old).unwrap();
    disk.put(list, Some(format!("{}{}", &text[..begins], forged.note()).into_bytes()));
    disk.put(&dir().join("checkpoint"), Some(forged.note().as_bytes().to_vec()));
    disk
}

fn right() -> Event {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 5);
    let root = *journal.checkpoint().unwrap().root();
    event(&key(), &other(8), 5, root)
}

#[test]
fn td_03_a_change_of_the_key_without_both_signatures_is_none() {
    assert_eq!(check(&with_change(right()), 7).fault, None);
    assert_eq!(check(&with_change(right()), 8).fault, None);
    let Event::KeyRotated { old, new, size, root, by_old, by_new } = right() else { panic!("it is one") };
    let make = |old: &str, new: &str, size, root, by_old: &str, by_new: &str| Event::KeyRotated {
        old: old.into(),
        new: new.into(),
        size,
        root,
        by_old: by_old.into(),
        by_new: by_new.into(),
    };
    let stranger = other(1).public().to_string();
    let cases = [
        ("the old key", make(&old, &new, size, root, &by_new, &by_new)),
        ("the new key", make(&old, &new, size, root, &by_old, &by_old)),
        ("the old key", make(&old, &new, size, root, "", &by_new)),
        ("the old key", make(&old, &stranger, size, root, &by_old, &by_new)),
        ("another place", make(&old, &new, 4, root, &by_old, &by_new)),
        ("another place", make(&old, &new, size, Digest([1; 32]), &by_old, &by_new)),
        ("two of one journal", make(&old, &old, size, root, &by_old, &by_new)),
        ("names no keys", make(&old, &format!("{new}\n"), size, root, &by_old, &by_new)),
    ];
    for (why, event) in cases {
        for seed in [7, 8] {
            let fault = check(&with_change(event.clone()), seed).fault.unwrap();
            assert!(fault.what.contains(why), "{why}: {fault}");
            assert_eq!((fault.place.entry, fault.place.file.as_str()), (Some(5), "00000000000000000005.segment"));
        }
    }
}

#[test]
fn td_03_a_checkpoint_by_another_key_without_a_change_is_named() {
    let disk = with_change(entry(9).event);
    let fault = check(&disk, 7).fault.unwrap();
    assert!(fault.what.contains("not signed by the key"), "{fault}");
    assert!(fault.place.file.ends_with(".checkpoints"), "{fault}");
    assert!(!check(&disk, 8).is_good());
    // Nor do the old key's go on after the change.
    let disk = changed_twice(1 << 20);
    let good = verify(&disk, dir(), key().public(), &[]).unwrap();
    let late = key().sign(good.entries, good.root);
    let path = dir().join("00000000000000000099.checkpoints");
    disk.put(&path, Some(late.note().as_bytes().to_vec()));
    assert!(check(&disk, 7).fault.unwrap().what.contains("not signed by the key"));
}

#[test]
fn td_02_the_key_is_not_changed_within_a_segment() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 5);
    drop(journal.append(&[Entry { at: Timestamp(1), event: right() }]).unwrap().at_process());
    journal.checkpoint().unwrap();
    let fault = check(&disk, 7).fault.unwrap();
    assert!(fault.what.contains("within a segment"), "{fault}");
    assert_eq!(fault.place.entry, Some(5));
}

fn file(disk: &FaultyDisk) -> KeyFile {
    KeyFile::new(Arc::new(disk.clone()), Path::new("/keys/journal.key"), dir(), NAME)
}

fn with_file() -> FaultyDisk {
    let disk = FaultyDisk::new();
    crate::disk::replace(&disk, Path::new("/keys/journal.key"), Digest([7; 32]).to_string().as_bytes()).unwrap();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 5);
    journal.checkpoint().unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    disk
}

#[test]
fn the_old_secret_is_gone_when_the_key_was_changed() {
    let disk = with_file();
    let changed = file(&disk).rotate(&[8; 32], Timestamp(1)).unwrap();
    assert_eq!((&changed.old, &changed.new), (key().public(), other(8).public()));
    assert_eq!(changed.checkpoint.unwrap().size(), 6);
    let old = Digest([7; 32]).to_string();
    for (path, content) in disk.contents() {
        assert!(!content.windows(old.len()).any(|part| part == old.as_bytes()), "{}", path.display());
    }
    assert!(!disk.contents().contains_key(Path::new("/keys/journal.next")));
    assert_eq!(file(&disk).load().unwrap().public(), other(8).public());
}

/// Wherever it fails, or the power is cut: the key file is that of the journal, both keys verify, and it can be done again.
#[test]
fn rc_03_the_key_is_changed_or_not_wherever_the_disk_fails() {
    for fault in Fault::ALL {
        for at in 1.. {
            let disk = with_file();
            disk.fail_from(at, fault);
            let result = file(&disk).rotate(&[8; 32], Timestamp(1));
            let is_over = disk.heal();
            for later in [disk.power_cut(0), disk.power_cut(1 << 20), disk.copy()] {
                let loaded = file(&later).load().unwrap();
                assert!(result.is_err() || loaded.public() == other(8).public(), "{fault:?} at {at}");
                let (journal, _) = Journal::open(Arc::new(later.clone()), dir(), loaded).unwrap();
                journal.checkpoint().unwrap();
                drop(journal);
                assert_eq!(check(&later, 7).fault, None, "{fault:?} at {at}");
                let again = file(&later).rotate(&[9; 32], Timestamp(2)).unwrap();
                assert_eq!(check(&later, 7).fault, None, "{fault:?} at {at}");
                let newest = verify(&later, dir(), &again.new, &[]).unwrap();
                assert_eq!(newest.fault, None, "{fault:?} at {at}");
                assert_eq!(file(&later).load().unwrap().public(), &again.new);
            }
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn a_change_that_was_broken_off_is_brought_to_its_end() {
    let disk = with_file();
    let next = Digest([8; 32]).to_string().into_bytes();
    disk.put(Path::new("/keys/journal.next"), Some(next.clone()));
    assert_eq!(file(&disk).load().unwrap().public(), key().public(), "it had not begun");
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    drop(journal.rotate(other(8), Timestamp(1)).unwrap());
    let resumed = disk.copy();
    assert_eq!(file(&disk).load().unwrap().public(), other(8).public());
    assert!(!disk.contents().contains_key(Path::new("/keys/journal.next")));
    let settled = file(&resumed).rotate(&[9; 32], Timestamp(2)).unwrap();
    assert_eq!((settled.new, settled.checkpoint), (other(8).public().clone(), None));
}
