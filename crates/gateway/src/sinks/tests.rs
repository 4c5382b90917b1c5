use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ledger::Level;
use model::event::Event;
use model::id::SessionId;
use serde_json::Value;
use store::config::Config;

use super::*;
use crate::recorder::entry;
use receivers::{Answered, Http, Syslog};

mod receivers;

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

const QUICK: Pace = Pace {
    gather: Duration::from_millis(1),
    deadline: LIMIT,
    first_wait: Duration::from_millis(5),
    most_wait: Duration::from_millis(20),
    refused_wait: Duration::from_millis(5),
    longest_wait: Duration::from_millis(20),
    goodbye: Duration::from_secs(5),
};

/// A node without any session, in a directory of its own.
struct Rig {
    dir: tempfile::TempDir,
    node: Arc<Node>,
    writer: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn new(sinks: &str) -> Self {
        Self::open(tempfile::tempdir().unwrap(), sinks)
    }

    fn open(dir: tempfile::TempDir, sinks: &str) -> Self {
        let node = open(dir.path(), sinks);
        let writer = tokio::spawn(Arc::clone(&node.recorder).run());
        Self { dir, node, writer }
    }

    /// Another process on the same data directory.
    async fn again(self, sinks: &str) -> Self {
        let Self { dir, node, writer } = self;
        writer.abort();
        let _ = writer.await;
        let alone = async || (Arc::strong_count(&node) == 1 && Arc::strong_count(&node.recorder) == 1).then_some(());
        testkit::wait::eventually(LIMIT, "the first process to be gone", alone).await.unwrap();
        drop(node);
        Self::open(dir, sinks)
    }

    fn start(&self) -> Sinks {
        Sinks::start(&self.node, QUICK)
    }

    /// Records this many numbered gaps, as a request would: what they wait for is the journal alone.
    async fn record(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let event = Event::Gap { session: Some(SessionId::from_bits(1)), reason: format!("gap {number}").into() };
            let begun = Instant::now();
            self.node.recorder.record(vec![entry(event)], Level::Process).await.unwrap();
            assert!(begun.elapsed() < Duration::from_secs(5), "a request waited for a sink");
        }
    }

    /// The first line of a metric's value for a sink.
    fn metric(&self, name: &str, sink: &str) -> i64 {
        let text = self.node.metrics.text();
        let line = format!("sluice_{name}{{sink=\"{sink}\"}} ");
        text.lines().find_map(|text| text.strip_prefix(&line)).map_or(-1, |value| value.parse().unwrap())
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        testkit::wait::eventually(LIMIT, what, async || is_so().then_some(())).await.unwrap();
    }

    async fn until_caught_up(&self, sink: &str) {
        self.until("the sink to catch up", || {
            self.metric("sink_lag_entries", sink) == 0 && self.at(sink) == self.size()
        })
        .await;
    }

    /// The position that is kept.
    fn at(&self, sink: &str) -> u64 {
        let text = std::fs::read_to_string(self.position(sink)).unwrap_or_default();
        text.split(' ').next().unwrap().trim().parse().unwrap_or(0)
    }

    fn position(&self, sink: &str) -> std::path::PathBuf {
        self.node.layout().sinks().join(format!("{sink}.position"))
    }

    fn size(&self) -> u64 {
        self.node.recorder.journal().size()
    }
}

fn open(dir: &Path, sinks: &str) -> Arc<Node> {
    std::fs::create_dir_all(dir.join("revision/policies")).unwrap();
    std::fs::write(dir.join("revision/targets.toml"), "").unwrap();
    std::fs::write(dir.join("revision/classification.toml"), "").unwrap();
    std::fs::write(dir.join("revision/policies/baseline.cedar"), policy::BASELINE).unwrap();
    testkit::tls::write_private(&dir.join("secret"), b"key\n").unwrap();
    let config = Config::parse(&sinks.replace("DIR", &dir.display().to_string()), &dir.join("sluice.toml"));
    Node::open(config.unwrap()).unwrap()
}

fn webhook(receiver: &Http) -> String {
    format!(
        "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\nallow_http = true\nevents = [\"gap\"]\n\
         secret = {{ file = \"secret\" }}\n",
        receiver.url()
    )
}

fn file(path: &str) -> String {
    format!("[[sink]]\nname = \"file\"\nkind = \"file\"\npath = \"{path}\"\nevents = [\"gap\"]\n")
}

/// The numbers of the gaps in these events, in their order.
fn numbers(events: &[Value]) -> Vec<u64> {
    let reasons = events.iter().map(|event| event.pointer("/event/gap/reason").and_then(Value::as_str).unwrap());
    reasons.map(|reason| reason.strip_prefix("gap ").unwrap().parse().unwrap()).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The numbers without those that came a second time; each must come after the one before it.
fn once(numbers: &[u64]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    numbers.iter().copied().filter(|number| seen.insert(*number)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_gets_every_event_in_order_and_signed() {
    let receiver = Http::start(|nth, _| match nth {
        0 | 1 => Answered::status(500),
        2 => Answered::status(429).header("Retry-After", "3600"),
        3 => Answered::status(400),
        4 => Answered::Cut,
        _ => Answered::status(204),
    })
    .await;
    let rig = Rig::new(&webhook(&receiver));
    let sinks = rig.start();
    rig.until("the sink's position", || rig.at("hook") == rig.size()).await;
    rig.record(0..1500).await;
    rig.until_caught_up("hook").await;
    sinks.finish().await;
    let posts = receiver.posts();
    let taken: Vec<Value> = posts[5..].iter().flat_map(|post| post.events()).collect();
    assert_eq!(numbers(&taken), (0..1500).collect::<Vec<_>>());
    let positions: Vec<u64> = taken.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|one, next| one < next));
    for post in &posts {
        post.assert_signed("key");
        let (events, key) = (post.events(), &post.headers["idempotency-key"]);
        let (first, last) = (&events[0]["position"], &events.last().unwrap()["position"]);
        assert_eq!(*key, format!("hook-{first}-{last}"));
    }
    assert!(posts[..6].iter().all(|post| post.body == posts[0].body), "a retry is the same batch");
    assert_eq!((rig.metric("sink_events_total", "hook"), rig.metric("sink_failures_total", "hook")), (1500, 5));
    assert_eq!(rig.node.is_ready(), Ok(()));
    let mut reader = rig.node.recorder.journal().reader(0);
    let entries = std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event);
    let used = entries.filter(|event| matches!(event, Event::SecretUsed { target, .. } if &**target == "sink:hook"));
    assert_eq!(used.count(), 1, "that its secret is used stands in the journal once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_holds_up_nothing_and_loses_nothing() {
    let silent = Arc::new(AtomicBool::new(true));
    let is_silent = Arc::clone(&silent);
    let receiver = Http::start(move |_, _| match is_silent.load(Ordering::SeqCst) {
        true => Answered::Never,
        false => Answered::status(200),
    })
    .await;
    let rig = Rig::new(&format!("{}from = \"start\"\n{}", webhook(&receiver), file("events.jsonl")));
    let sinks = Sinks::start(&rig.node, Pace { deadline: Duration::from_millis(300), ..QUICK });
    rig.until("the other sink's position", || rig.at("file") == rig.size()).await;
    rig.record(0..300).await;
    rig.until("two attempts", || rig.metric("sink_failures_total", "hook") >= 2).await;
    rig.record(300..400).await;
    rig.until_caught_up("file").await;
    assert_eq!(numbers(&lines(&rig.dir.path().join("events.jsonl"))), (0..400).collect::<Vec<_>>());
    assert!(rig.metric("sink_lag_entries", "hook") > 0);
    assert_eq!((rig.metric("sink_running", "hook"), rig.node.is_ready()), (1, Ok(())));
    silent.store(false, Ordering::SeqCst);
    rig.until_caught_up("hook").await;
    sinks.finish().await;
    let all: Vec<Value> = receiver.posts().iter().flat_map(receivers::Posted::events).collect();
    assert_eq!(once(&numbers(&all)), (0..400).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_at_what_was_acknowledged() {
    // It takes the batch, and Sluice is gone before the answer comes.
    let takes = Arc::new(AtomicBool::new(true));
    let does_answer = Arc::clone(&takes);
    let receiver = Http::start(move |_, _| match does_answer.load(Ordering::SeqCst) {
        true => Answered::status(200),
        false => Answered::Never,
    })
    .await;
    let rig = Rig::new(&webhook(&receiver));
    let mut sinks = rig.start();
    rig.until("the sink's position", || rig.at("hook") == rig.size()).await;
    rig.record(0..10).await;
    rig.until_caught_up("hook").await;
    takes.store(false, Ordering::SeqCst);
    let before = receiver.posts().len();
    rig.record(10..20).await;
    rig.until("another post", || receiver.posts().len() > before).await;
    sinks.tasks.shutdown().await;
    takes.store(true, Ordering::SeqCst);
    let rig = rig.again(&webhook(&receiver)).await;
    let sinks = rig.start();
    rig.record(20..30).await;
    rig.until_caught_up("hook").await;
    sinks.finish().await;
    let posts = receiver.posts();
    let first: Vec<Value> = posts[..before].iter().flat_map(receivers::Posted::events).collect();
    assert_eq!(numbers(&first), (0..10).collect::<Vec<_>>());
    let rest: Vec<Value> = posts[before..].iter().flat_map(receivers::Posted::events).collect();
    assert_eq!(once(&numbers(&rest)), (10..30).collect::<Vec<_>>(), "what was acknowledged is not sent again");
    let positions = |number| {
        let same = rest.iter().filter(|event| numbers(std::slice::from_ref(event)) == [number]);
        same.map(|event| event["position"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert!(positions(10).len() > 1, "at least once");
    assert!(positions(10).iter().all(|position| *position == positions(10)[0]), "with the same position");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_sluice_gives_a_dead_sink_a_short_time() {
    let receiver = Http::start(|_, _| Answered::status(503)).await;
    let rig = Rig::new(&webhook(&receiver));
    let sinks = rig.start();
    rig.until("the sink's position", || rig.at("hook") == rig.size()).await;
    rig.record(0..3).await;
    tokio::time::timeout(LIMIT, sinks.finish()).await.unwrap();
    assert!(rig.at("hook") < rig.size(), "it is left for the next start");
    let rig = rig.again(&file("events.jsonl").replace("\"file\"\nkind", "\"hook\"\nkind")).await;
    let sinks = rig.start();
    rig.until_caught_up("hook").await;
    sinks.finish().await;
    assert_eq!(numbers(&lines(&rig.dir.path().join("events.jsonl"))), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_begins_at_the_start_or_now_and_takes_the_kinds_that_it_wants() {
    let rig = Rig::new("");
    rig.record(0..3).await;
    let start = "[[sink]]\nname = \"all\"\nkind = \"file\"\npath = \"all.jsonl\"\nfrom = \"start\"\n";
    let rig = rig.again(&format!("{start}{}", file("events.jsonl"))).await;
    let sinks = rig.start();
    rig.until("the sink's position", || rig.at("file") == rig.size()).await;
    rig.record(3..5).await;
    rig.until_caught_up("file").await;
    rig.until_caught_up("all").await;
    sinks.finish().await;
    assert_eq!(numbers(&lines(&rig.dir.path().join("events.jsonl"))), [3, 4]);
    let all = lines(&rig.dir.path().join("all.jsonl"));
    let positions: Vec<u64> = all.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (0..rig.size()).collect::<Vec<_>>());
    assert!(all[0].pointer("/event/started/version").is_some(), "{}", all[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_not_in_the_journal_stops_the_sink_loudly() {
    let rig = Rig::new(&file("events.jsonl"));
    rig.start().finish().await;
    let good = std::fs::read_to_string(rig.position("file")).unwrap();
    let (next, hash) = good.trim().split_once(' ').unwrap();
    let other = format!("{next} {}", hash.chars().rev().collect::<String>());
    let beyond = format!("{} {hash}", rig.size() + 100);
    for wrong in [other.as_str(), &beyond, "nonsense"] {
        std::fs::write(rig.position("file"), wrong).unwrap();
        let sinks = rig.start();
        rig.until("the sink to stop", || rig.metric("sink_running", "file") == 0).await;
        rig.record(0..3).await;
        sinks.finish().await;
        assert_eq!(std::fs::read_to_string(rig.position("file")).unwrap(), wrong, "it guesses nothing");
        assert!(lines(&rig.dir.path().join("events.jsonl")).is_empty());
        assert_eq!(rig.node.is_ready(), Ok(()));
    }
    // Whoever knows better writes the entry to begin at.
    std::fs::write(rig.position("file"), "0").unwrap();
    let sinks = rig.start();
    rig.until_caught_up("file").await;
    assert_eq!(rig.metric("sink_running", "file"), 1);
    sinks.finish().await;
    assert_eq!(lines(&rig.dir.path().join("events.jsonl")).len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_outlives_rotation_and_a_full_disk() {
    let rig = Rig::new(&file("events.jsonl"));
    let (path, old) = (rig.dir.path().join("events.jsonl"), rig.dir.path().join("old.jsonl"));
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let sinks = rig.start();
    rig.until("the sink's position", || rig.at("file") == rig.size()).await;
    rig.record(0..5).await;
    rig.until("two attempts", || rig.metric("sink_failures_total", "file") >= 2).await;
    std::fs::remove_file(&path).unwrap();
    rig.until_caught_up("file").await;
    std::fs::rename(&path, &old).unwrap();
    rig.record(5..9).await;
    rig.until_caught_up("file").await;
    sinks.finish().await;
    assert_eq!((numbers(&lines(&old)), numbers(&lines(&path))), ((0..5).collect(), (5..9).collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_counts_octets_and_sends_again_what_was_not_read_to_its_end() {
    let receiver = Syslog::start(None, 2).await;
    let rig = Rig::new(&format!(
        "[[sink]]\nname = \"siem\"\nkind = \"syslog\"\naddress = \"{}\"\ntls = false\nevents = [\"gap\"]\n",
        receiver.address()
    ));
    let sinks = rig.start();
    rig.until("the sink's position", || rig.at("siem") == rig.size()).await;
    rig.record(0..600).await;
    rig.until_caught_up("siem").await;
    sinks.finish().await;
    assert_eq!(rig.metric("sink_failures_total", "siem"), 2);
    let messages = receiver.messages();
    let bodies: Vec<Value> =
        messages.iter().map(|message| serde_json::from_str(&message[message.find('{').unwrap()..]).unwrap()).collect();
    assert_eq!(once(&numbers(&bodies)), (0..600).collect::<Vec<_>>());
    let (message, body) = (&messages[0], &bodies[0]);
    let session = SessionId::from_bits(1);
    assert!(message.starts_with("<107>1 20") && message.contains(" sluice "), "{message}");
    assert!(message.contains(&format!(" gap [sluice@32473 index=\"{}\" session=\"{session}\"] {{", body["position"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_over_tls_verifies_the_receiver() {
    let authority = testkit::tls::Authority::generate("a CA of the tests").unwrap();
    let receiver = Syslog::start(Some(&authority), 0).await;
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let sink = |name: &str, ca: &Path| {
        format!(
            "[[sink]]\nname = \"{name}\"\nkind = \"syslog\"\naddress = \"{}\"\nca_file = \"{}\"\nevents = [\"gap\"]\nformat = \"ocsf\"\n",
            receiver.address(),
            ca.display()
        )
    };
    std::fs::write(&ca, authority.certificate_pem()).unwrap();
    let other = dir.path().join("other.pem");
    std::fs::write(&other, testkit::tls::Authority::generate("another CA").unwrap().certificate_pem()).unwrap();
    let rig = Rig::new(&format!("{}{}", sink("good", &ca), sink("bad", &other)));
    let sinks = rig.start();
    rig.until("both positions", || rig.at("good") == rig.size() && rig.at("bad") == rig.size()).await;
    rig.record(0..20).await;
    rig.until_caught_up("good").await;
    rig.until("an attempt", || rig.metric("sink_failures_total", "bad") >= 1).await;
    sinks.finish().await;
    assert_eq!(rig.metric("sink_events_total", "bad"), -1);
    let messages = receiver.messages();
    assert_eq!(messages.len(), 20);
    assert!(messages.iter().all(|message| message.contains(r#""class_uid":0"#)), "{}", messages[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_log_records_and_what_it_rejects_is_counted() {
    let receiver = Http::start(|nth, _| match nth {
        0 => Answered::status(200).body(r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}"#),
        _ => Answered::status(200).body("{}"),
    })
    .await;
    let rig = Rig::new(&format!(
        "[[sink]]\nname = \"otel\"\nkind = \"otlp\"\nurl = \"{}\"\nallow_http = true\nevents = [\"gap\"]\nheaders_file = \"secret\"\n",
        receiver.url()
    ));
    testkit::tls::write_private(&rig.dir.path().join("secret"), b"Authorization: Bearer abc\n").unwrap();
    let sinks = rig.start();
    rig.until("the sink's position", || rig.at("otel") == rig.size()).await;
    let gaps = (0..5).map(|number| entry(Event::Gap { session: None, reason: format!("gap {number}").into() }));
    rig.node.recorder.record(gaps.collect(), Level::Process).await.unwrap();
    rig.until_caught_up("otel").await;
    sinks.finish().await;
    let posts = receiver.posts();
    assert_eq!(posts[0].headers["authorization"], "Bearer abc");
    let mut taken = Vec::new();
    for post in &posts {
        let body: Value = serde_json::from_str(&post.body).unwrap();
        let records = body.pointer("/resourceLogs/0/scopeLogs/0/logRecords").unwrap().as_array().unwrap().clone();
        taken.extend(records.iter().map(|record| {
            serde_json::from_str::<Value>(record.pointer("/body/stringValue").unwrap().as_str().unwrap()).unwrap()
        }));
    }
    assert_eq!(numbers(&taken), [0, 1, 2, 3, 4]);
    assert_eq!((rig.metric("sink_rejected_total", "otel"), rig.metric("sink_events_total", "otel")), (2, 3));
}

#[test]
fn what_a_check_finds() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[[sink]]\nname = \"a\"\nkind = \"file\"\npath = \"none/events.jsonl\"\n\
                [[sink]]\nname = \"b\"\nkind = \"webhook\"\nurl = \"https://h/s3cret\"\nca_file = \"none.pem\"\n\
                secret = { file = \"none\" }\nheaders_file = \"none\"\n";
    let config = Config::parse(text, &dir.path().join("sluice.toml")).unwrap();
    assert_eq!(config.sinks.iter().map(|sink| check(sink).len()).collect::<Vec<_>>(), [1, 3]);
    let all: Vec<String> = config.sinks.iter().flat_map(check).collect();
    assert!(all[0].starts_with("sink a: ") && all[1].starts_with("sink b: "), "{all:?}");
    assert!(all.iter().all(|mistake| !mistake.contains("s3cret")), "{all:?}");
}
