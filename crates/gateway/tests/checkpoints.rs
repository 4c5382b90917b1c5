//! The end of a session is signed within a second, whatever is under way, and what could not be signed is signed later.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail so")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use gateway::metrics::Metrics;
use gateway::recorder::{Recorder, entry};
use ledger::{Journal, Level, SigningKey};
use model::event::Event;
use model::id::SessionId;
use tempfile::TempDir;
use testkit::wait::eventually_blocking;
use tokio::runtime::Runtime;
use world::disk::{Fault, TestDisk};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);

struct Stage {
    disk: TestDisk,
    recorder: Arc<Recorder>,
    runtime: Runtime,
    _folder: TempDir,
}

/// A recorder that signs nothing by itself but the ends of sessions.
fn stage() -> Stage {
    let (disk, folder) = (TestDisk::whole(), tempfile::tempdir().unwrap());
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    let (journal, _) = Journal::open(Arc::new(disk.clone()), &folder.path().join("journal"), key).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let recorder = Recorder::new(journal, LIMIT, HOUR, Metrics::new().unwrap());
    runtime.spawn(Arc::clone(&recorder).run());
    Stage { disk, recorder, runtime, _folder: folder }
}

fn closed(session: u64) -> Event {
    Event::SessionClosed { session: SessionId::from_bits(session), reason: "over".into(), tape: None }
}

impl Stage {
    fn signed(&self) -> u64 {
        self.recorder.journal().last_checkpoint().map_or(0, |checkpoint| checkpoint.size())
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        eventually_blocking(LIMIT, what, || Ok(is_so(self).then_some(()))).unwrap();
    }
}

#[test]
fn a_session_that_ends_while_the_disk_syncs_is_signed_as_well() {
    let stage = stage();
    let _healed = stage.disk.healed();
    stage.recorder.note(closed(1));
    stage.until("the first end to be signed", |stage| stage.signed() == 1);
    stage.disk.fail(Fault::SyncsHang);
    let (recorder, other) = (Arc::clone(&stage.recorder), entry(Event::Gap { session: None, reason: "x".into() }));
    let waiting = stage.runtime.spawn(async move { recorder.record(vec![other], Level::Power).await });
    stage.until("the sync to hang", |stage| stage.recorder.journal().size() == 2 && stage.disk.has_hung());
    stage.recorder.note(closed(2));
    stage.disk.heal();
    assert!(stage.runtime.block_on(waiting).unwrap().is_ok());
    stage.until("the second end to be signed", |stage| stage.signed() == 3);
}

#[test]
fn what_could_not_be_signed_is_signed_when_the_disk_is_back() {
    let stage = stage();
    let _healed = stage.disk.healed();
    let receipts = stage.runtime.block_on(stage.recorder.record(vec![entry(closed(1))], Level::Process));
    assert!(receipts.is_ok());
    stage.disk.fail(Fault::ReadOnly);
    stage.recorder.note(closed(2));
    stage.until("it to be seen", |stage| !stage.recorder.is_writable());
    stage.disk.heal();
    stage.until("both ends to be signed", |stage| stage.signed() == 2);
}
