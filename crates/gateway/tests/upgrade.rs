//! Data directories of earlier versions, and of later ones.
//!
//! `golden/data-VERSION` is what a version left behind: a journal with its keys, the tape of a session, and `state.db` with
//! an approval. There is one for each that was released, and none is ever changed. `SLUICE_GOLDEN=1` writes that of this
//! version where it is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::node::{Layout, Node, StartError};
use gateway::postgres::Listener;
use ledger::merkle::{Edge, leaf_hash};
use ledger::tape::{KeyStore, TapeReader};
use ledger::{Checkpoint, OpenError, Reader, RealDisk, VerifyingKey};
use model::event::Event;
use model::id::Digest;
use model::secret::Secret;
use store::config::Config;
use tokio_util::sync::CancellationToken;
use world::World;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
const THIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data-", env!("CARGO_PKG_VERSION"));

/// Copies what is in a directory, for its owner alone: modes are not kept everywhere.
fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied, wanted);
        } else if wanted(&path) {
            fs::copy(&path, &copied).unwrap();
            fs::set_permissions(&copied, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// What a session and a question leave, without what is made anew: the reserve, the lock, the index, certificates.
fn write_golden() {
    let mut world = World::start(50);
    world.rows(&world.reader(), "SELECT number FROM cards WHERE id = 1");
    let cashier = world.token("cashier", &["apps", "readers", "cashiers", "writers"]);
    world.psql_with(&cashier, &["-X", "-f", "-"], "BEGIN;\nDELETE FROM payments WHERE id = 1;\nROLLBACK;\n");
    let dir = std::mem::replace(&mut world.dir, tempfile::tempdir().unwrap());
    drop(world);
    let is_kept = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let made_anew = ["reserve", "lock"].contains(&name) || name.starts_with("index.db") || name.ends_with(".pem");
        !made_anew && !path.parent().unwrap().ends_with("tls")
    };
    copy(&dir.path().join("data"), Path::new(THIS), &is_kept);
    for empty in ["tls", "sinks"] {
        let _ = fs::remove_dir(Path::new(THIS).join(empty));
    }
}

/// A copy of a golden data directory, with a configuration around it.
struct Left(tempfile::TempDir);

impl Left {
    fn by(golden: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(golden, &dir.path().join("data"), &|_| true);
        let sluice = "data_dir = \"data\"\nrevision_dir = \"revision\"\n[listen.postgres]\naddress = \"127.0.0.1:0\"\n";
        let targets = "[payments]\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\ndatabases = [\"payments\"]\n\
                       credential = { user = \"x\", password = { env = \"NOBODYS\" } }\n";
        fs::create_dir_all(dir.path().join("revision/policies")).unwrap();
        for (name, text) in [
            ("sluice.toml", sluice),
            ("revision/targets.toml", targets),
            ("revision/classification.toml", ""),
            ("revision/policies/baseline.cedar", policy::BASELINE),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    /// By the version that is this one.
    fn by_this() -> Self {
        Self::by(Path::new(THIS))
    }

    fn layout(&self) -> Layout {
        Layout::of(&self.0.path().join("data"))
    }

    fn config(&self) -> Config {
        Config::load(&self.0.path().join("sluice.toml")).unwrap()
    }

    /// Starts, looks at the node, and stops in order.
    fn start(&self, look: impl FnOnce(&Node)) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let config = self.config();
        runtime.block_on(async {
            let node = tokio::task::spawn_blocking(move || Node::open(config)).await.unwrap()?;
            look(&node);
            let listener = Listener::bind(&node).await?;
            let stop = CancellationToken::new();
            stop.cancel();
            gateway::serve(node, listener, stop).await;
            Ok(())
        })
    }

    fn start_error(&self) -> StartError {
        self.start(|_| {}).expect_err("it starts")
    }

    fn events(&self) -> Vec<Event> {
        let mut reader = Reader::open(Arc::new(RealDisk), &self.layout().journal(), 0);
        std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event).collect()
    }

    fn verify(&self, kept: &[Checkpoint]) -> ledger::Report {
        ledger::verify(&RealDisk, &self.layout().journal(), &self.key(), kept).unwrap()
    }

    fn key(&self) -> VerifyingKey {
        fs::read_to_string(self.layout().journal_public_key()).unwrap().parse().unwrap()
    }

    fn segment(&self) -> PathBuf {
        self.layout().journal().join("00000000000000000000.segment")
    }
}

#[test]
fn op_04_data_of_every_version_opens_verifies_and_is_gone_on_with() {
    if std::env::var_os("SLUICE_GOLDEN").is_some() && !Path::new(THIS).exists() {
        write_golden();
    }
    let all = fs::read_dir(GOLDEN).unwrap().map(|entry| entry.unwrap().path());
    let all: Vec<_> = all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("data-")).collect();
    assert!(all.contains(&PathBuf::from(THIS)), "SLUICE_GOLDEN=1 writes that of this version");
    for golden in all {
        let left = Left::by(&golden);
        let before = left.verify(&[]);
        assert!(before.is_good() && before.signed > 10, "{}: {before:?}", golden.display());
        let kept = fs::read(left.layout().journal().join("checkpoint")).unwrap();
        let kept = Checkpoint::open(&kept, &left.key()).unwrap();
        let written = left.events();
        left.start(|node| look(node, &written)).unwrap();
        // One tree: it has grown from what was signed before, and what begins again is in it.
        let after = left.verify(&[kept]);
        assert!(after.is_good() && after.signed == after.entries && after.entries > before.entries, "{after:?}");
        let now = left.events();
        assert_eq!(now[..written.len()], written, "no entry means anything else than before");
        let begun = &now[written.len()..];
        assert!(matches!(begun.first(), Some(Event::Started { .. })) && begun.last() == Some(&Event::Stopped));
    }
}

/// Tapes and approvals are what the journal says that they are.
fn look(node: &Node, written: &[Event]) {
    let (mut tapes, mut asked) = (0, 0);
    for event in written {
        match event {
            Event::SessionClosed { session, tape: Some(tape), .. } => {
                let dir = node.layout().tapes();
                let mut reader = TapeReader::open(&RealDisk, &dir, *session, Some(&node.tape_keys)).unwrap();
                assert_eq!(reader.digest().unwrap(), *tape);
                tapes += 1;
            }
            Event::ApprovalAsked { approval, .. } => {
                assert!(node.state.approval(*approval).unwrap().is_some());
                asked += 1;
            }
            _ => {}
        }
    }
    assert!(tapes > 0 && asked > 0, "{tapes} tapes, {asked} questions");
}

/// The tape's keys are as they were, too: whoever has the key of the copy opens them without Sluice.
#[test]
fn op_04_a_tape_is_opened_by_the_keys_beside_it() {
    let left = Left::by_this();
    let key: Digest = fs::read_to_string(left.layout().key("tape.key")).unwrap().trim().parse().unwrap();
    let keys = KeyStore::new(&left.layout().tape_keys(), &Secret::new(key.0)).unwrap();
    let closed = left.events().into_iter().find_map(|event| match event {
        Event::SessionClosed { session, tape: Some(tape), .. } => Some((session, tape)),
        _ => None,
    });
    let (session, digest) = closed.unwrap();
    let mut tape = TapeReader::open(&RealDisk, &left.layout().tapes(), session, Some(&keys)).unwrap();
    assert_eq!(tape.digest().unwrap(), digest);
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

/// Version 1 of the encoding, a moment, a kind far beyond all there are.
const LATER: &[u8] = b"\x01\x01\x64a kind of the future";

/// The frame of a later version's entry.
fn frame(index: u64) -> Vec<u8> {
    let length = u16::try_from(LATER.len()).unwrap();
    let covered = [&index.to_le_bytes()[..], &length.to_le_bytes(), LATER].concat();
    [&crc32c(&covered).to_le_bytes()[..], &covered].concat()
}

#[test]
fn op_04_an_entry_of_a_kind_that_is_not_known_stops_the_start_and_loses_nothing() {
    let left = Left::by_this();
    let index = u64::try_from(left.events().len()).unwrap();
    let journal = [fs::read(left.segment()).unwrap(), frame(index)].concat();
    fs::write(left.segment(), &journal).unwrap();
    for _ in 0..2 {
        let error = left.start_error();
        assert!(matches!(error, StartError::NewerEntry(at) if at == index), "{error}");
        assert!(error.to_string().contains("a later version wrote it"), "{error}");
        assert!(fs::read(left.segment()).unwrap() == journal, "it was cut off, or written to");
    }
    // The same bytes without their checksum are what is left of a write, and cut.
    let torn = &journal[..journal.len() - 1];
    fs::write(left.segment(), torn).unwrap();
    left.start(|_| {}).unwrap();
    assert!(left.verify(&[]).is_good());
}

/// Of the segments before the last, only the headers are read to open a journal.
#[test]
fn op_04_so_does_one_in_an_earlier_segment() {
    let left = Left::by_this();
    let mut reader = Reader::open(Arc::new(RealDisk), &left.layout().journal(), 0);
    let mut edge = Edge::default();
    while let Some((_, _, leaf)) = reader.next_hashed().unwrap() {
        edge.push(leaf);
    }
    let (first, mut journal) = (edge.size(), fs::read(left.segment()).unwrap());
    // Up to a full tree, whose edge is its root.
    while !edge.size().is_power_of_two() || edge.size() == first {
        journal.extend(frame(edge.size()));
        edge.push(leaf_hash(LATER));
    }
    let length = u64::try_from(journal.len()).unwrap();
    fs::write(left.segment(), journal).unwrap();
    let numbers = [edge.size(), 0, length].map(u64::to_le_bytes).concat();
    let header = [b"SLUICEJ\x01", &numbers[..], &edge.root()[..]].concat();
    let header = [&header[..], &crc32c(&header).to_le_bytes()].concat();
    let last = left.layout().journal().join(format!("{:020}.segment", edge.size()));
    fs::write(&last, &header).unwrap();
    let error = left.start_error();
    assert!(matches!(error, StartError::NewerEntry(at) if at == first), "{error}");
    assert!(fs::read(last).unwrap() == header, "something was written");
}

/// A start beside a Sluice that runs touches nothing that it uses: it does not bring its state forward under it.
#[test]
fn op_04_a_second_start_changes_nothing() {
    let left = Left::by_this();
    let held = ledger::hold(&RealDisk, &left.layout().journal()).unwrap();
    let state = left.0.path().join("data/state.db");
    fs::remove_file(&state).unwrap();
    let error = left.start_error();
    assert!(matches!(error, StartError::Journal(OpenError::InUse)), "{error}");
    assert!(!state.exists(), "it was opened, and so migrated");
    drop(held);
    left.start(|_| {}).unwrap();
}
