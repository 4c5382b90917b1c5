use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::time::Timestamp;

use super::*;
use crate::disk::{Disk, Fault, FaultyDisk, RealDisk};
use crate::journal::Journal;
use crate::note::SigningKey;
use crate::samples::{dir, entry, key, open};

mod public;

fn site() -> &'static Path {
    Path::new("/site")
}

fn append(journal: &Journal, upto: u64) {
    let entries: Vec<_> = (journal.size()..upto).map(entry).collect();
    drop(journal.append(&entries).unwrap().at_process());
}

fn bring(disk: &FaultyDisk) -> Result<Exported, TilesError> {
    export(disk, dir(), key().public(), site())
}

fn check(disk: &FaultyDisk) -> Result<TilesReport, TilesFault> {
    verify_tiles(disk, site(), key().public())
}

fn files(disk: &FaultyDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    disk.contents().into_iter().filter(|(path, _)| path.starts_with(site()) && !path.ends_with("lock")).collect()
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(site()).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn paths_are_those_of_the_specification() {
    assert_eq!(path(Kind::Hashes(0), 1_234_067, WIDTH), "tile/0/x001/x234/067");
    assert_eq!(path(Kind::Hashes(1), 0, 17), "tile/1/000.p/17");
    assert_eq!(path(Kind::Entries, 1000, 255), "tile/entries/x001/000.p/255");
    assert_eq!(path(Kind::Entries, 999, WIDTH), "tile/entries/999");
}

/// The example of c2sp.org/tlog-tiles: 273 whole tiles and one of 112, one whole above and one of 17, one of 1.
#[test]
fn a_tree_of_70000_has_the_tiles_of_the_specification() {
    let (mut tiler, mut found) = (Tiler::default(), BTreeMap::new());
    let mut out = |file: File<'_>| -> Result<(), ()> {
        let kind = format!("{:?}", file.kind);
        found.entry((kind, file.width)).or_insert_with(Vec::new).push(file.number);
        Ok(())
    };
    for number in 0..70_000u64 {
        tiler.push(&number.to_be_bytes(), &mut out).unwrap();
    }
    tiler.finish(&mut out).unwrap();
    let found: Vec<(String, usize, u64, usize)> = found
        .into_iter()
        .map(|((kind, width), numbers)| (kind, width, *numbers.last().unwrap(), numbers.len()))
        .collect();
    let expected = [
        ("Entries", 112, 273, 1),
        ("Entries", 256, 272, 273),
        ("Hashes(0)", 112, 273, 1),
        ("Hashes(0)", 256, 272, 273),
        ("Hashes(1)", 17, 1, 1),
        ("Hashes(1)", 256, 0, 1),
        ("Hashes(2)", 1, 0, 1),
    ];
    assert_eq!(found, expected.map(|(kind, width, last, count)| (kind.to_owned(), width, last, count)));
}

#[test]
fn tiles_grow_with_the_journal_and_are_the_same_as_written_at_once() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 9000).unwrap();
    assert!(matches!(bring(&disk), Err(TilesError::NotSigned)));
    let mut before = 0;
    for size in [1, 2, 255, 256, 257, 511, 512, 1000, 1024, 1300] {
        append(&journal, size);
        journal.checkpoint().unwrap();
        // What is not signed is not written.
        append(&journal, size + 1);
        let exported = bring(&disk).unwrap();
        assert_eq!((exported.before, exported.checkpoint.size()), (before, size));
        assert_eq!(bring(&disk).unwrap().before, size);
        assert_eq!(check(&disk).map(|report| (report.entries, report.root)), Ok((size, *exported.checkpoint.root())));
        let at_once = disk.copy();
        files(&disk).keys().for_each(|path| at_once.put(path, None));
        bring(&at_once).unwrap();
        let grown = files(&disk);
        for (path, content) in files(&at_once) {
            assert_eq!(grown.get(&path), Some(&content), "{} at {size}", path.display());
        }
        before = size;
    }
    let parts = files(&disk).into_keys().map(|path| name_of(&path)).filter(|name| name.contains(".p/"));
    let parts: Vec<String> = parts.collect();
    let expected = ["tile/0/005.p/20", "tile/1/000.p/1", "tile/1/000.p/2", "tile/1/000.p/3", "tile/1/000.p/4"];
    let rest = ["tile/1/000.p/5", "tile/entries/005.p/20"];
    assert_eq!(parts, [expected.as_slice(), rest.as_slice()].concat(), "what is whole has no parts any more");
}

#[test]
fn td_01_every_flipped_byte_of_a_tile_is_found_and_its_file_named() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 260);
    journal.checkpoint().unwrap();
    bring(&disk).unwrap();
    for (path, content) in files(&disk) {
        let name = name_of(&path);
        let step = 1 + content.len() / 40;
        for at in (0..content.len()).step_by(step) {
            let mut flipped = content.clone();
            flipped[at] ^= 1 << (at % 8);
            disk.put(&path, Some(flipped));
            let fault = check(&disk).unwrap_err();
            // A changed entry shows in the tile that is made of it, unless it is none any more.
            let is_entry = name.starts_with("tile/entries/") && fault.file.starts_with("tile/0/");
            assert!(fault.file == name || is_entry || name == "checkpoint", "byte {at} of {name}: {fault}");
        }
        disk.put(&path, Some(content[..content.len() - 1].to_vec()));
        assert!(check(&disk).is_err(), "{name} cut");
        disk.put(&path, Some([content.as_slice(), &[0]].concat()));
        assert!(check(&disk).is_err(), "{name} with a byte more");
        disk.put(&path, None);
        assert_eq!(check(&disk), Err(TilesFault { file: name, what: String::from("it is missing") }));
        disk.put(&path, Some(content));
    }
    assert!(check(&disk).is_ok());
    let stranger = SigningKey::from_seed("sluice.example/journal", &[8; 32]).unwrap();
    assert_eq!(verify_tiles(&disk, site(), stranger.public()).unwrap_err().file, "checkpoint");
}

#[test]
fn tiles_of_another_journal_are_left_alone() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 600);
    journal.checkpoint().unwrap();
    bring(&disk).unwrap();
    let other = FaultyDisk::new();
    let (journal, _) = open(&other, 1 << 20).unwrap();
    drop(journal.append(&[entry(77)]).unwrap().at_process());
    append(&journal, 300);
    journal.checkpoint().unwrap();
    files(&disk).into_iter().for_each(|(path, content)| other.put(&path, Some(content)));
    let before = files(&other);
    assert!(matches!(bring(&other), Err(TilesError::Tiles { .. })), "they are longer");
    append(&journal, 600);
    journal.checkpoint().unwrap();
    assert!(matches!(bring(&other), Err(TilesError::Tiles { .. })), "they are as long");
    append(&journal, 900);
    journal.checkpoint().unwrap();
    assert!(matches!(bring(&other), Err(TilesError::Tiles { .. })), "they are shorter");
    assert_eq!(files(&other), before);
}

#[test]
fn a_damaged_journal_makes_no_checkpoint() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 300);
    journal.checkpoint().unwrap();
    bring(&disk).unwrap();
    append(&journal, 400);
    journal.checkpoint().unwrap();
    let path = crate::segment::path(dir(), 0);
    let mut content = disk.contents()[&path].clone();
    let at = content.len() - 5;
    content[at] ^= 1;
    disk.put(&path, Some(content));
    assert!(matches!(bring(&disk), Err(TilesError::Damaged(399))));
    assert_eq!(check(&disk).unwrap().entries, 300);
}

#[test]
fn tiles_follow_a_change_of_the_key() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 300);
    let next = || SigningKey::from_seed("sluice.example/journal", &[8; 32]).unwrap();
    let journal = journal.rotate(next(), Timestamp(1)).unwrap();
    append(&journal, 310);
    journal.checkpoint().unwrap();
    bring(&disk).unwrap();
    assert_eq!(check(&disk).unwrap().entries, 310);
    assert_eq!(verify_tiles(&disk, site(), next().public()).unwrap().entries, 310);
}

/// Wherever it ends, what is there is of the checkpoint that is there, and it goes on from it.
#[test]
fn rc_03_no_checkpoint_is_there_before_its_tiles() {
    for fault in [Fault::Io, Fault::TornWrite] {
        for at in 1.. {
            let disk = FaultyDisk::new();
            let (journal, _) = open(&disk, 1 << 20).unwrap();
            append(&journal, 250);
            journal.checkpoint().unwrap();
            bring(&disk).unwrap();
            append(&journal, 520);
            journal.checkpoint().unwrap();
            disk.fail_from(at, fault);
            let result = bring(&disk);
            let is_over = disk.heal();
            for later in [disk.copy(), disk.power_cut(0)] {
                let entries = check(&later).unwrap().entries;
                assert!(entries == 520 || (result.is_err() && entries == 250), "{fault:?} at {at}");
                assert_eq!(bring(&later).unwrap().checkpoint.size(), 520);
                assert_eq!(check(&later).unwrap().entries, 520, "{fault:?} at {at}");
            }
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn an_independent_reader_finds_every_entry_in_the_tiles() {
    let disk = FaultyDisk::new();
    let (journal, _) = open(&disk, 1 << 20).unwrap();
    append(&journal, 600);
    journal.checkpoint().unwrap();
    bring(&disk).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files(&disk) {
        let real = folder.path().join(name_of(&path));
        RealDisk.create_dir(real.parent().unwrap()).unwrap();
        std::fs::write(real, content).unwrap();
    }
    let read = || {
        Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py"))
            .args(["--tiles", &key().public().to_string()])
            .arg(folder.path())
            .output()
            .expect("this test needs python3: install it (apt-get install python3)")
    };
    let output = read();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "good 600\n");
    let tile = folder.path().join("tile/1/000.p/2");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    assert_eq!(String::from_utf8(read().stdout).unwrap(), "bad\n");
}
