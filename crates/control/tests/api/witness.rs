//! A gateway and its witness, each with its own disk, over loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::witness::{MAX_SUBMISSION, Witness};
use ledger::{RealDisk, Trust, VerifyingKey, WitnessKey, verify_with};
use model::event::Event;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::world::World;

struct Elsewhere {
    address: SocketAddr,
    key: WitnessKey,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Elsewhere {
    async fn start(dir: &Path, log: &VerifyingKey) -> Self {
        Self::start_with(dir, log, None).await
    }

    async fn start_with(dir: &Path, log: &VerifyingKey, certificate: Option<(PathBuf, PathBuf)>) -> Self {
        let witness =
            Witness::open(Arc::new(RealDisk), dir, "witness.example/w1", &[9; 32], vec![log.clone()]).unwrap();
        let listener = control::witness::bind("127.0.0.1:0".parse().unwrap(), certificate).await.unwrap();
        let (address, key, stop) = (listener.address(), witness.public().clone(), CancellationToken::new());
        let until = stop.clone();
        let serving = tokio::spawn(async move { control::witness::serve(Arc::new(witness), listener, &until).await });
        Self { address, key, stop, serving }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }

    /// What the gateway's configuration says of it.
    fn configured(&self) -> String {
        let (address, key) = (self.address, &self.key);
        format!(
            "[journal]\ncheckpoint_interval = \"100ms\"\ntiles_dir = \"tlog\"\n\
             [[witness]]\nname = \"w1\"\nurl = \"http://{address}\"\nkey = \"{key}\"\nallow_http = true\n"
        )
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

/// The key of the gateway's journal, made before its first start, so that the witness can be told.
fn journal_key(dir: &Path) -> VerifyingKey {
    let keys = dir.join("data/keys");
    std::fs::create_dir_all(&keys).unwrap();
    let file = keys.join("journal.key");
    std::fs::write(&file, "07".repeat(32)).unwrap();
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    ledger::SigningKey::from_seed("sluice", &[7; 32]).unwrap().public().clone()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn note(world: &World, reason: &str) {
    world.node.recorder.note(Event::Gap { session: None, reason: reason.into() });
}

impl World {
    fn cosigned(&self) -> u64 {
        let size = self.node.metrics.witness_size.with_label_values(&["w1"]).get();
        u64::try_from(size).unwrap()
    }

    fn contradicts(&self) -> bool {
        self.node.metrics.witness_contradicts.with_label_values(&["w1"]).get() == 1
    }

    /// Waits until the witness has cosigned all that there is, and more than `before`.
    async fn all_cosigned(&self, before: u64) -> u64 {
        until("the witness does not cosign", || {
            self.node.recorder.flush();
            self.cosigned() > before && self.cosigned() == self.node.recorder.journal().size()
        })
        .await;
        self.cosigned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_is_cosigned_and_the_journal_is_verified_by_it() {
    let (dir, home) = (Arc::new(TempDir::new().unwrap()), TempDir::new().unwrap());
    let key = journal_key(dir.path());
    let witness = Elsewhere::start(home.path(), &key).await;
    let world = World::start_in(dir, &witness.configured()).await;
    let first = world.all_cosigned(0).await;
    note(&world, "something happens");
    let second = world.all_cosigned(first).await;
    assert!(!world.contradicts());
    let journal = world.node.layout().journal();
    let dir = world.stop().await;
    let witnesses = [witness.key.clone()];
    let trust = Trust { key: &key, kept: &[], witnesses: &witnesses };
    let report = verify_with(&RealDisk, &journal, trust, &|count, work| (0..count).for_each(work)).unwrap();
    assert_eq!(report.fault, None);
    assert!(report.witnessed[0].size >= second);
    // The last checkpoint of the process was sent as well.
    assert_eq!(report.witnessed[0].size, report.signed);
    // And the static files hold it.
    let tiles = ledger::verify_tiles(&RealDisk, &dir.path().join("tlog"), &key).unwrap();
    assert_eq!((tiles.entries, tiles.root), (report.signed, report.root));
    drop(dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_16_a_journal_that_was_put_back_is_contradicted_at_the_start() {
    let (dir, home) = (Arc::new(TempDir::new().unwrap()), TempDir::new().unwrap());
    let key = journal_key(dir.path());
    let witness = Elsewhere::start(home.path(), &key).await;
    let configured = witness.configured();
    let world = World::start_in(dir, &configured).await;
    let first = world.all_cosigned(0).await;
    let (journal, backup) = (world.node.layout().journal(), home.path().join("backup"));
    let dir = world.stop().await;
    copy(&journal, &backup);
    let world = World::start_in(dir, &configured).await;
    note(&world, "what is to be forgotten");
    world.all_cosigned(first).await;
    let dir = world.stop().await;
    copy(&backup, &journal);
    let world = World::start_in(dir, &configured).await;
    until("the witness does not contradict", || world.contradicts()).await;
    let told = |event: &Event| matches!(event, Event::Gap { reason, .. } if reason.contains("contradicts the journal"));
    until("the journal does not say so", || world.journal().iter().any(told)).await;
    // It is asked again, and says the same of the journal that has that entry now: once is enough.
    let failures = || world.node.metrics.witness_failures.with_label_values(&["w1"]).get();
    until("the witness is not asked again", || failures() > 1).await;
    assert_eq!(world.journal().into_iter().filter(told).count(), 1);
    assert!(world.contradicts());
    // Nothing more of it is signed, not even its end.
    note(&world, "what nobody signs");
    world.node.recorder.flush();
    world.node.recorder.checkpoint();
    let dir = world.stop().await;
    // Nor after a restart at which the witness cannot be asked.
    witness.stop().await;
    let world = World::start_in(dir, &configured).await;
    until("the witness is not asked", || world.node.metrics.witness_failures.with_label_values(&["w1"]).get() > 0)
        .await;
    assert_eq!(world.node.recorder.checkpoint(), None);
    let dir = world.stop().await;
    // Nor where what is remembered of it names no journal, as it did once.
    let file = journal.with_file_name("contradicted-w1");
    let remembered = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "it has another entry there\n").unwrap();
    let world = World::start_in(dir, &configured).await;
    until("the witness is not asked", || world.node.metrics.witness_failures.with_label_values(&["w1"]).get() > 0)
        .await;
    assert_eq!(world.node.recorder.checkpoint(), None);
    let dir = world.stop().await;
    std::fs::write(&file, remembered).unwrap();
    let latest = |journal: &Path| std::fs::read_to_string(journal.join("checkpoint")).unwrap();
    assert_eq!(latest(&journal), latest(&backup), "it was signed");
    // Nor of one that is begun anew under the same name; of another journal, it is.
    std::fs::remove_dir_all(&journal).unwrap();
    let world = World::start_in(dir, &configured).await;
    note(&world, "the first of a new journal");
    let dir = world.stop().await;
    assert!(!journal.join("checkpoint").exists(), "it was signed");
    std::fs::remove_dir_all(&journal).unwrap();
    let world = World::start_in(dir, &configured.replace("[journal]\n", "[journal]\nname = \"anew\"\n")).await;
    until("the new journal is not signed", || world.node.recorder.checkpoint().is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_was_away_is_sent_what_it_missed() {
    let (dir, home) = (Arc::new(TempDir::new().unwrap()), TempDir::new().unwrap());
    let key = journal_key(dir.path());
    let witness = Elsewhere::start(home.path(), &key).await;
    let world = World::start_in(dir, &witness.configured()).await;
    let first = world.all_cosigned(0).await;
    let dir = world.stop().await;
    witness.stop().await;
    let witness = Elsewhere::start(home.path(), &key).await;
    // The gateway has lost what the witness cosigned: it learns the size from the witness.
    std::fs::remove_file(dir.path().join("data/journal/witness-w1")).unwrap();
    let world = World::start_in(dir, &witness.configured()).await;
    assert!(world.all_cosigned(first).await > first);
    drop(world);
    witness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_inside_tls_is_believed_by_its_certificate() {
    let (dir, home) = (Arc::new(TempDir::new().unwrap()), TempDir::new().unwrap());
    let key = journal_key(dir.path());
    let tls = home.path().join("tls");
    let certificate = gateway::tls::development(&tls).unwrap();
    let witness = Elsewhere::start_with(&home.path().join("witness"), &key, Some(certificate)).await;
    let plain = witness.configured().replace("allow_http = true\n", "");
    let encrypted = plain.replace("http://", "https://");
    let stranger = World::start_in(dir, &format!("{encrypted}ca_file = \"data/tls/ca.pem\"\n")).await;
    let failures = || stranger.node.metrics.witness_failures.with_label_values(&["w1"]).get();
    until("another CA's certificate is believed", || failures() > 0).await;
    assert_eq!(stranger.cosigned(), 0);
    let dir = stranger.stop().await;
    let ca = tls.join("ca.pem").display().to_string();
    let world = World::start_in(dir, &format!("{encrypted}ca_file = \"{ca}\"\n")).await;
    world.all_cosigned(0).await;
    drop(world);
    witness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_answers_as_its_specification_says() {
    let home = TempDir::new().unwrap();
    let disk: Arc<dyn ledger::Disk> = Arc::new(RealDisk);
    let journal_dir = home.path().join("journal");
    let own = || ledger::SigningKey::from_seed("sluice", &[7; 32]).unwrap();
    let (journal, _) = ledger::Journal::open(disk, &journal_dir, own()).unwrap();
    let event = Event::Gap { session: None, reason: "x".into() };
    drop(journal.append(&[gateway::recorder::entry(event)]).unwrap().at_process());
    let checkpoint = journal.checkpoint().unwrap();
    let witness = Elsewhere::start(&home.path().join("witness"), own().public()).await;
    let send = async |body: &str| witness.send("POST", "/add-checkpoint", body).await.to_lowercase();
    let note = checkpoint.note();
    let unknown = note.replace("sluice", "another");
    let cases = [
        (String::from("old 0\r\n\r\n"), "http/1.1 400"),
        (format!("old 2\n\n{note}"), "http/1.1 400"),
        (format!("old 0\n\n{unknown}"), "http/1.1 404"),
        (format!("old 0\n\n{}", note.replace("\n1\n", "\n2\n")), "http/1.1 403"),
        (format!("old 0\n{}\n\n{note}", "A".repeat(43) + "="), "http/1.1 422"),
        (format!("old 1\n\n{note}"), "http/1.1 409"),
        ("x".repeat(MAX_SUBMISSION + 1), "http/1.1 413"),
        (format!("old 0\n\n{note}"), "http/1.1 200"),
        (format!("old 0\n\n{note}"), "http/1.1 409"),
        (format!("old 1\n\n{note}"), "http/1.1 200"),
    ];
    for (body, expected) in cases {
        let answer = send(&body).await;
        assert!(answer.starts_with(expected), "{body}: {answer}");
    }
    let conflict = send(&format!("old 0\n\n{note}")).await;
    assert!(conflict.contains("content-type: text/x.tlog.size\r\n") && conflict.ends_with("\r\n\r\n1\n"), "{conflict}");
    assert!(witness.send("GET", "/add-checkpoint", "").await.starts_with("HTTP/1.1 405"));
    assert!(witness.send("POST", "/", "").await.starts_with("HTTP/1.1 404"));
    witness.stop().await;
    let elsewhere = control::witness::bind("0.0.0.0:0".parse().unwrap(), None).await;
    assert!(matches!(elsewhere, Err(control::witness::ListenError::NoCertificate)));
}
