//! What is done to directories of tiles: to bytes, to files, to entries and to the checkpoint.

use super::*;
use crate::frame;
use crate::samples::ordinary;
use notes::{signed, text_of};

mod checkpoint;

use checkpoint::{TO_SIGNATURES, TO_SIGNED};

/// Tiles that are good, and what they are made of.
pub(super) struct Base {
    site: Site,
    /// An earlier state of them.
    earlier: Files,
    entries: Vec<Vec<u8>>,
    /// The key that signed.
    key: SigningKey,
    rotations: usize,
}

impl Base {
    /// Of so many entries, with a change of the key at each of these places.
    pub(super) fn new(rotations: &[u64], size: u64) -> Self {
        let disk = FaultyDisk::new();
        let (mut journal, _) = open(&disk, 1 << 24).unwrap();
        let mut number = 7;
        for position in rotations {
            append(&journal, *position);
            number += 1;
            journal = journal.rotate(signer(number), Timestamp(1)).unwrap();
        }
        append(&journal, (size / 2).max(journal.size()));
        let earlier = brought(&disk, &journal);
        append(&journal, size);
        let (key, files) = (signer(number), brought(&disk, &journal));
        let entries = entries_of(&files, size);
        Self { site: Site { files, key: key.public().clone() }, earlier, entries, key, rotations: rotations.len() }
    }
}

fn brought(disk: &FaultyDisk, journal: &Journal) -> Files {
    journal.checkpoint().unwrap();
    bring(disk).unwrap();
    site_of(disk)
}

fn entries_of(files: &Files, size: u64) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while wide(entries.len()) < size {
        let (first, rest) = (wide(entries.len()), size - wide(entries.len()));
        let width = usize::try_from(rest).unwrap().min(WIDTH);
        let mut rest = files[&path(Kind::Entries, shifted(first, 1), width)].as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            entries.push(entry.to_vec());
            rest = after;
        }
    }
    entries
}

/// The files of these entries, and the root over them.
fn tiled(entries: &[Vec<u8>]) -> (Files, merkle::Hash) {
    let (mut tiler, mut files) = (Tiler::default(), Files::new());
    let mut out = |file: File<'_>| -> Result<(), ()> {
        files.insert(file.path(), file.content.to_vec());
        Ok(())
    };
    entries.iter().for_each(|entry| tiler.push(entry, &mut out).unwrap());
    tiler.finish(&mut out).unwrap();
    (files, merkle::root_of(entries.iter().map(|entry| merkle::leaf_hash(entry))))
}

type Change = fn(&Base, &mut Site, &mut Dice);

fn any(site: &Site, dice: &mut Dice) -> String {
    named(site, dice, |_| true).unwrap()
}

fn named(site: &Site, dice: &mut Dice, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let names: Vec<&String> = site.files.keys().filter(|name| is_wanted(name)).collect();
    names.get(dice.below(names.len())).map(|name| (*name).clone())
}

fn edit(site: &mut Site, dice: &mut Dice, how: impl FnOnce(&mut Vec<u8>, &mut Dice)) {
    let name = any(site, dice);
    how(site.files.get_mut(&name).unwrap(), dice);
}

fn edit_note(site: &mut Site, how: impl FnOnce(&str) -> String) {
    let note = how(super::checkpoint(site));
    site.files.insert(CHECKPOINT.to_owned(), note.into_bytes());
}

/// Signs another text, made of the lines of the checkpoint, in its place.
fn resign(base: &Base, site: &mut Site, how: impl FnOnce(&[&str]) -> String) {
    edit_note(site, |note| signed(&base.key, &how(&text_of(note).lines().collect::<Vec<_>>())));
}

fn rename(site: &mut Site, name: &str, to: String) {
    let content = site.files.remove(name).unwrap();
    site.files.insert(to, content);
}

fn is_hashes(name: &str) -> bool {
    name.starts_with("tile/") && !name.starts_with("tile/entries/")
}

fn is_partial(name: &str) -> bool {
    name.contains(".p/")
}

fn byte(dice: &mut Dice) -> u8 {
    u8::try_from(dice.below(256)).unwrap()
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    bytes[at] ^= 1 << dice.below(8);
}

/// Of a damaged disk.
const TO_BYTES: &[(&str, Change)] = &[
    ("a bit flipped", |_, site, dice| edit(site, dice, |bytes, dice| flip(bytes, dice))),
    ("a bit of the checkpoint flipped", |_, site, dice| flip(site.files.get_mut(CHECKPOINT).unwrap(), dice)),
    ("a byte set", |_, site, dice| {
        edit(site, dice, |bytes, dice| {
            let at = dice.below(bytes.len());
            bytes[at] = byte(dice);
        });
    }),
    ("a file cut", |_, site, dice| edit(site, dice, |bytes, dice| bytes.truncate(dice.below(bytes.len())))),
    ("garbage behind a file", |_, site, dice| {
        edit(site, dice, |bytes, dice| (0..=dice.below(70)).for_each(|_| bytes.push(byte(dice))));
    }),
    ("a file emptied", |_, site, dice| edit(site, dice, |bytes, _| bytes.clear())),
    ("a file removed", |_, site, dice| {
        let name = any(site, dice);
        site.files.remove(&name);
    }),
];

/// Of somebody who copies and renames.
const TO_FILES: &[(&str, Change)] = &[
    ("two files exchanged", |_, site, dice| {
        let (one, other) = (any(site, dice), any(site, dice));
        let taken = site.files[&one].clone();
        let given = site.files.insert(other, taken).unwrap();
        site.files.insert(one, given);
    }),
    ("a file in the place of another", |_, site, dice| {
        let (from, to) = (any(site, dice), any(site, dice));
        let content = site.files[&from].clone();
        site.files.insert(to, content);
    }),
    ("two hashes of a tile exchanged", |_, site, dice| {
        let Some(name) = named(site, dice, is_hashes) else { return };
        let (hashes, _) = site.files.get_mut(&name).unwrap().as_chunks_mut::<32>();
        let (one, other) = (dice.below(hashes.len()), dice.below(hashes.len()));
        hashes.swap(one, other);
    }),
    ("a hash fewer in a tile", |_, site, dice| {
        let Some(name) = named(site, dice, is_hashes) else { return };
        let tile = site.files.get_mut(&name).unwrap();
        tile.truncate(tile.len() - 32);
    }),
    ("a partial tile of another width", |_, site, dice| {
        let Some(name) = named(site, dice, is_partial) else { return };
        let (place, width) = name.split_once(".p/").unwrap();
        let width: usize = width.parse().unwrap();
        let to = if dice.one_in(2) { width + 1 } else { width - 1 };
        rename(site, &name, format!("{place}.p/{to}"));
    }),
    ("a partial tile said to be whole", |_, site, dice| {
        let Some(name) = named(site, dice, is_partial) else { return };
        rename(site, &name, name.split_once(".p/").unwrap().0.to_owned());
    }),
    ("a whole tile said to be partial", |_, site, dice| {
        let Some(name) = named(site, dice, |name| name.starts_with("tile/") && !is_partial(name)) else { return };
        rename(site, &name, format!("{name}.p/{}", if dice.one_in(2) { 255 } else { 256 }));
    }),
    ("a tile one level up", |_, site, dice| {
        let Some(name) = named(site, dice, |name| name.starts_with("tile/0/")) else { return };
        rename(site, &name, name.replacen("tile/0/", "tile/1/", 1));
    }),
    ("an earlier state of a file", |base, site, dice| {
        let name = any(site, dice);
        if let Some(earlier) = base.earlier.get(&name) {
            site.files.insert(name, earlier.clone());
        }
    }),
];

type ToEntries = fn(&mut Vec<Vec<u8>>, &mut Dice);

/// Of somebody who knows what the files are, and makes all of them anew.
const TO_ENTRIES: &[(&str, ToEntries)] = &[
    ("an entry removed", |entries, dice| drop(entries.remove(dice.below(entries.len())))),
    ("an entry doubled", |entries, dice| {
        let at = dice.below(entries.len());
        entries.insert(at, entries[at].clone());
    }),
    ("two entries exchanged", |entries, dice| {
        let (one, other) = (dice.below(entries.len()), dice.below(entries.len()));
        entries.swap(one, other);
    }),
    ("an entry altered", |entries, dice| {
        let at = dice.below(entries.len());
        entries[at] = payload(dice);
    }),
    ("entries appended", |entries, dice| (0..=dice.below(300)).for_each(|_| entries.push(payload(dice)))),
    ("entries cut from the end", |entries, dice| entries.truncate(dice.below(entries.len()))),
];

fn payload(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    let chosen = if dice.one_in(2) { entry(wide(dice.below(90))) } else { ordinary().swap_remove(dice.below(5)) };
    frame::encode(&chosen, 0, &mut bytes).unwrap();
    bytes[frame::HEADER..].to_vec()
}

/// Alters entries and makes anew what is over them, with the key that was stolen or without it.
fn remade(base: &Base, site: &mut Site, dice: &mut Dice, how: ToEntries) {
    let mut entries = base.entries.clone();
    how(&mut entries, dice);
    let (files, root) = tiled(&entries);
    let signed_by = |key: &SigningKey| key.sign(wide(entries.len()), root).note().as_bytes().to_vec();
    // A change of the key says what was before it, so that such a journal is not made anew just so.
    match dice.below(if base.rotations > 0 { 5 } else { 10 }) {
        0 => site.files.extend(files.into_iter().filter(|(name, _)| name.starts_with("tile/entries/"))),
        1 => site.files.extend(files.into_iter().filter(|(name, _)| !name.starts_with("tile/1/"))),
        2 => site.files.extend(files),
        3 => {
            site.files.extend(files);
            resign(base, site, |lines| format!("{}\n{}\n{}\n", lines[0], entries.len(), lines[2]));
        }
        4 => {
            site.files.extend(files);
            site.files.insert(CHECKPOINT.to_owned(), signed_by(&signer(99)));
        }
        _ => {
            site.files.extend(files);
            site.files.insert(CHECKPOINT.to_owned(), signed_by(&base.key));
        }
    }
}

/// What no reader looks at.
const UNSEEN: &[(&str, Change)] = &[
    ("nothing", |_, _, _| {}),
    ("stray files", |_, site, dice| {
        let names = ["lock", "index.html", "tile/0/999", "tile/entries/x001/000", "tile/3/000.p/1", "checkpoint.old"];
        site.files.insert(names[dice.below(names.len())].to_owned(), vec![7; dice.below(99)]);
    }),
    ("partial tiles of other checkpoints", |base, site, _| {
        for (name, content) in &base.earlier {
            site.files.entry(name.clone()).or_insert_with(|| content.clone());
        }
    }),
    ("a whole tile beside the partial one", |_, site, dice| {
        let Some(name) = named(site, dice, is_partial) else { return };
        let place = name.split_once(".p/").unwrap().0.to_owned();
        site.files.entry(place).or_insert_with(|| vec![7; WIDTH * 32]);
    }),
];

/// Damages tiles, and says how.
pub(super) fn damage(base: &Base, case: usize, dice: &mut Dice) -> (&'static str, Site) {
    let mut site = base.site.clone();
    let of = match case % 20 {
        0..3 => TO_BYTES,
        3..6 => TO_FILES,
        6..9 => {
            let (what, how) = TO_ENTRIES[dice.below(TO_ENTRIES.len())];
            remade(base, &mut site, dice, how);
            return (what, site);
        }
        9..13 => TO_SIGNED,
        13..18 => TO_SIGNATURES,
        _ => UNSEEN,
    };
    let (what, change) = of[dice.below(of.len())];
    change(base, &mut site, dice);
    (what, site)
}
