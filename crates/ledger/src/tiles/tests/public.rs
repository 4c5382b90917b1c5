//! The tiles before a public client of c2sp.org/tlog-tiles, Torchwood and Go's own `sumdb`, as `tests/go/tlog` calls them:
//! it reads what Sluice writes, and says the same as our own verifier of thousands of damaged directories.
//!
//! Left out is what that client does not claim to see: bundles with entries that are none to Sluice, sealed and signed
//! anew (it does not decode entries), and a key from which the entries lead to the one that signed.

use super::*;
use crate::merkle;
use crate::note::{Checkpoint, VerifyingKey};
use crate::prove::prove_consistency;
use crate::verify::tests::asked::{Dice, put, put_number};
use crate::verify::tests::{ask, side_by_side};
use notes::Choice;

mod changes;
mod notes;

/// How many damaged directories.
const SITES: usize = 5_000;

type Files = BTreeMap<String, Vec<u8>>;

/// A directory of tiles, and what it is looked at with.
#[derive(Clone)]
struct Site {
    files: Files,
    key: VerifyingKey,
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}

fn site_of(disk: &FaultyDisk) -> Files {
    files(disk).into_iter().map(|(path, content)| (name_of(&path), content)).collect()
}

/// What the public client says of each with these older checkpoints: how many entries it has, or what is wrong.
fn public<'a>(sites: impl IntoIterator<Item = (&'a Site, &'a [&'a str])>) -> Vec<Result<u64, String>> {
    let mut given = Vec::new();
    for (site, olders) in sites {
        put(site.key.to_string().as_bytes(), &mut given);
        put_number(olders.len(), &mut given);
        olders.iter().for_each(|older| put(older.as_bytes(), &mut given));
        put_number(site.files.len(), &mut given);
        for (name, content) in &site.files {
            put(name.as_bytes(), &mut given);
            put(content, &mut given);
        }
    }
    let mut command = Command::new(testkit::command::go_program("tlog").unwrap());
    command.arg("--stream");
    let said = |line: &str| match line.split_once(' ') {
        Some(("good", entries)) => Ok(entries.parse().unwrap()),
        Some(("bad", what)) => Err(what.to_owned()),
        _ => panic!("the public client says {line:?}"),
    };
    ask(command, given).lines().map(said).collect()
}

fn ours(site: &Site) -> Result<u64, String> {
    let disk = FaultyDisk::new();
    for (name, content) in &site.files {
        disk.put(&self::site().join(name), Some(content.clone()));
    }
    verify_tiles(&disk, self::site(), &site.key).map(|report| report.entries).map_err(|fault| fault.to_string())
}

/// Tiles of each of these sizes, as they grow, of a journal that begins with this entry.
fn grown(disk: &FaultyDisk, first: u64, sizes: &[u64]) -> Vec<Site> {
    let (journal, _) = open(disk, 1 << 24).unwrap();
    let grow = |size: &u64| {
        if journal.size() == 0 && *size > 0 {
            drop(journal.append(&[entry(first)]).unwrap().at_process());
        }
        append(&journal, *size);
        journal.checkpoint().unwrap();
        bring(disk).unwrap();
        Site { files: site_of(disk), key: key().public().clone() }
    };
    sizes.iter().map(grow).collect()
}

fn checkpoint(site: &Site) -> &str {
    std::str::from_utf8(&site.files[CHECKPOINT]).unwrap()
}

/// Whether the journal of the one checkpoint grew from that of the other, as `sluice audit prove-growth` and
/// `check-growth` find it.
fn has_grown(disk: &FaultyDisk, site: &Site, older: &str) -> bool {
    let opened = |note: &str| Checkpoint::open(note.as_bytes(), &site.key);
    let (Ok(new), Ok(old)) = (opened(checkpoint(site)), opened(older)) else { return false };
    let Ok(proof) = prove_consistency(disk, dir(), old.size(), new.size()) else { return false };
    proof.hash == *old.root()
        && proof.root == *new.root()
        && merkle::verify_consistency(old.size(), old.root(), new.size(), new.root(), &proof.hashes)
}

/// At the boundaries of tiles: every record is included, and the tree grew from every one before.
#[test]
fn td_12_a_public_client_reads_tiles_of_every_size() {
    const SIZES: [u64; 14] = [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000, 1024, 65_535, 65_536, 65_537];
    let disk = FaultyDisk::new();
    let sites = grown(&disk, 0, &SIZES);
    let notes: Vec<&str> = sites.iter().map(checkpoint).collect();
    let told = public(sites.iter().enumerate().map(|(at, site)| (site, &notes[..=at])));
    assert_eq!(told, SIZES.map(Ok));
    for (site, older) in sites.last().into_iter().flat_map(|site| notes[1..].iter().map(move |older| (site, older))) {
        assert!(has_grown(&disk, site, older), "from {older}");
    }
}

/// Each of some trees with each of their checkpoints, those of another journal, and one by another key.
#[test]
fn td_12_a_public_client_agrees_on_what_a_journal_grew_from() {
    const SIZES: [u64; 9] = [1, 2, 255, 256, 257, 511, 512, 513, 1000];
    let (disk, other) = (FaultyDisk::new(), FaultyDisk::new());
    let (sites, others) = (grown(&disk, 0, &SIZES), grown(&other, 1 << 40, &SIZES));
    let stranger = notes::signed(&signer(9), notes::text_of(checkpoint(&sites[0])));
    let olders = sites.iter().chain(&others).map(checkpoint).chain([stranger.as_str()]);
    let pairs: Vec<(&Site, [&str; 1])> =
        olders.flat_map(|older| sites.iter().map(move |site| (site, [older]))).collect();
    let told = public(pairs.iter().map(|(site, older)| (*site, older.as_slice())));
    let mut consistent = 0;
    for ((site, [older]), theirs) in pairs.iter().zip(told) {
        let is_grown = has_grown(&disk, site, older);
        consistent += usize::from(is_grown);
        assert_eq!(theirs.is_ok(), is_grown, "{theirs:?}: {} from {older}", checkpoint(site));
    }
    assert_eq!(consistent, 9 * 10 / 2, "from itself and from those before, and from nothing else");
}

/// A directory that was damaged, and how.
struct Damaged {
    what: &'static str,
    base: usize,
    site: Site,
    /// What the two may differ in, if anything.
    allowed: Option<Choice>,
}

fn signer(number: u8) -> SigningKey {
    SigningKey::from_seed("sluice.example/journal", &[number; 32]).unwrap()
}

/// What directories are made from: tiles of so many entries, also with a change of the key.
fn bases() -> Vec<changes::Base> {
    let sizes = [1, 2, 5, 100, 255, 256, 257, 300, 511, 512, 513, 700];
    let mut bases: Vec<changes::Base> = sizes.iter().map(|size| changes::Base::new(&[], *size)).collect();
    bases.push(changes::Base::new(&[40], 300));
    bases.push(changes::Base::new(&[], 65_537));
    bases
}

#[test]
fn td_12_a_public_client_agrees_on_five_thousand_damaged_directories_of_tiles() {
    let (bases, mut dice) = (bases(), Dice(13));
    let damaged: Vec<Damaged> = (0..SITES)
        .map(|case| {
            // The long one is few of them: it is what takes the time.
            let base = if case % 250 == 0 { bases.len() - 1 } else { dice.below(bases.len() - 1) };
            let (what, site) = changes::damage(&bases[base], case, &mut dice);
            let allowed = notes::choice(what, &site.files);
            Damaged { what, base, site, allowed }
        })
        .collect();
    let told = side_by_side(&damaged, |damaged| {
        let ours: Vec<_> = damaged.iter().map(|damaged| ours(&damaged.site)).collect();
        let theirs = public(damaged.iter().map(|damaged| (&damaged.site, [].as_slice())));
        assert_eq!(ours.len(), theirs.len());
        ours.into_iter().zip(theirs).collect()
    });
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut choices, mut differ) = (BTreeMap::new(), Vec::new());
    for (case, (damaged, (ours, theirs))) in damaged.iter().zip(&told).enumerate() {
        let count = counts.entry(damaged.what).or_default();
        count.0 += 1;
        count.1 += usize::from(ours.is_ok());
        match (ours, theirs, damaged.allowed) {
            (Ok(ours), Ok(theirs), _) if ours == theirs => {}
            (Err(_), Err(_), _) => {}
            (Err(_), Ok(_), Some(choice)) => *choices.entry(choice).or_insert(0) += 1,
            _ => differ
                .push(format!("{case}: {}, base {}: ours {ours:?}, theirs {theirs:?}", damaged.what, damaged.base)),
        }
    }
    let good: usize = counts.values().map(|(_, good)| good).sum();
    println!("{good} of {SITES} good, ours alone refuses {choices:?}: {counts:#?}");
    assert!(differ.is_empty(), "{} of {SITES} differ:\n{}", differ.len(), differ[..differ.len().min(40)].join("\n"));
    assert!((SITES / 5..SITES / 2).contains(&good), "{good} are good");
    assert!(counts.values().all(|(count, _)| *count >= 20), "{counts:#?}");
    assert_eq!(choices.len(), 2, "{choices:?}");
}
