//! `./dev bench ledger [ENTRIES]`: how fast is the record written, verified, indexed and searched?
//!
//! It makes a journal as thirty days of use would, of ten million entries unless told otherwise, in a folder of its own
//! beside the build, and removes it at the end. Every figure is printed as Markdown, as `docs/performance.md` has it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "figures"
)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway::metrics::Metrics;
use gateway::node::Layout;
use gateway::recorder::Recorder;
use gateway::threads::on_all_processors;
use ledger::disk::{Disk, DiskFile};
use ledger::{Journal, Level, RealDisk, SigningKey};
use model::class::DataClass;
use model::decision::Outcome;
use model::disclosure::{Counts, Disclosure};
use model::effect::{ColumnName, Effect, Facts, Object, TableKind, TableName, Verb};
use model::event::{Entry, Event, Shown};
use model::id::{Digest, RevisionId, SessionId};
use model::lineage::{Origin, Output, OutputColumn};
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use store::State;
use store::audit::Search;

/// How many requests a session makes, and how many different statements there are.
const REQUESTS: u64 = 500;
const STATEMENTS: u64 = 200;
const START: u64 = 1_793_000_000_000;
const MONTH: u64 = 30 * 24 * 3600 * 1000;
/// How many entries are appended at once.
const BATCH: usize = 1000;
const TASKS: usize = 32;

fn main() {
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let entries: u64 = wanted.unwrap_or(10_000_000);
    let folder = tempfile::Builder::new().prefix("ledger-bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("| what | figure |\n|---|--:|");
    appending(&folder.path().join("append"));
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    generate(&Layout::of(&data).journal(), entries);
    verifying(&Layout::of(&data).journal());
    searching(&data);
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

fn each_second(count: u64, took: Duration) -> String {
    format!("{:.0} thousand/s", count as f64 / took.as_secs_f64() / 1000.0)
}

fn key() -> SigningKey {
    SigningKey::from_seed("bench", &[7; 32]).unwrap()
}

/// Counts the fdatasyncs.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicU64>);

#[derive(Debug)]
struct CountedFile(Arc<dyn DiskFile>, Arc<AtomicU64>);

impl Disk for Counting {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(CountedFile(RealDisk.create(path)?, Arc::clone(&self.0))))
    }
    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(CountedFile(RealDisk.open_append(path)?, Arc::clone(&self.0))))
    }
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open_read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

impl DiskFile for CountedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, into)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sync()
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }
}

/// One entry after another, by one task and by many, as sessions record their decisions.
fn appending(dir: &Path) {
    let disk = Counting::default();
    let (journal, _) = Journal::open(Arc::new(disk.clone()), dir, key()).unwrap();
    let minute = Duration::from_secs(60);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let recorder = Recorder::new(journal, minute, minute, Metrics::new().unwrap());
    runtime.spawn(Arc::clone(&recorder).run());
    let length = Duration::from_secs(3);
    for (tasks, level) in [(1, Level::Process), (TASKS, Level::Process), (1, Level::Power), (TASKS, Level::Power)] {
        let before = disk.0.load(Ordering::Relaxed);
        let began = Instant::now();
        let count: u64 = runtime.block_on(async {
            let work = |_| tokio::spawn(record_for(Arc::clone(&recorder), level, began, length));
            let mut count = 0;
            for task in (0..tasks).map(work).collect::<Vec<_>>() {
                count += task.await.unwrap();
            }
            count
        });
        let took = began.elapsed();
        let syncs = (disk.0.load(Ordering::Relaxed) - before) as f64 / took.as_secs_f64();
        let (level, syncs) = match level {
            Level::Process => ("process", String::new()),
            Level::Power => ("power", format!(", {syncs:.0} fdatasyncs/s")),
        };
        row(&format!("recorded at `{level}`, {tasks} at a time"), &format!("{}{syncs}", each_second(count, took)));
    }
}

async fn record_for(recorder: Arc<Recorder>, level: Level, began: Instant, length: Duration) -> u64 {
    let mut count = 0;
    while began.elapsed() < length {
        drop(recorder.record(vec![decided(SessionId::from_bits(1), 1, START)], level).await.unwrap());
        count += 1;
    }
    count
}

fn generate(dir: &Path, entries: u64) {
    let (journal, _) = Journal::open(Arc::new(RealDisk), dir, key()).unwrap();
    let began = Instant::now();
    let mut batch: Vec<Entry> =
        (0..STATEMENTS).map(|number| Entry { at: Timestamp(START), event: statement(number) }).collect();
    let mut made = STATEMENTS;
    let mut session = 0;
    let at = |made: u64| START + MONTH / 1_000_000 * (made * 1_000_000 / entries.max(1));
    while made < entries {
        session += 1;
        let id = SessionId::from_bits(session);
        batch.push(Entry { at: Timestamp(at(made)), event: opened(session) });
        for number in 1..=REQUESTS {
            batch.push(decided(id, number, at(made)));
            batch.push(Entry { at: Timestamp(at(made) + 3), event: completed(id, number) });
            if batch.len() >= BATCH {
                drop(journal.append(&batch).unwrap().at_process());
                batch.clear();
            }
        }
        made += 2 * REQUESTS + 1;
        if session % 100 == 0 {
            journal.checkpoint().unwrap();
        }
    }
    drop(journal.append(&batch).unwrap().at_process());
    journal.checkpoint().unwrap();
    row(&format!("entries in the journal, appended in batches of {BATCH}"), &journal.size().to_string());
    row("appended in batches, checkpoints and all", &each_second(journal.size(), began.elapsed()));
    let bytes: u64 = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    row("bytes for each entry", &format!("{:.0}", bytes as f64 / journal.size() as f64));
}

fn verifying(dir: &Path) {
    let began = Instant::now();
    let report = {
        let key = key();
        let trust = ledger::Trust { key: key.public(), kept: &[], witnesses: &[] };
        ledger::verify_with(&RealDisk, dir, trust, &on_all_processors).unwrap()
    };
    let took = began.elapsed();
    assert!(report.is_good(), "{report:?}");
    let cores = std::thread::available_parallelism().unwrap();
    row(&format!("verified, {cores} cores"), &each_second(report.entries, took));
    let began = Instant::now();
    ledger::prove_entry(&RealDisk, dir, key().public(), report.entries / 2).unwrap();
    row("an entry in the middle proved", &format!("{:.2} s", began.elapsed().as_secs_f64()));
}

fn searching(data: &Path) {
    let began = Instant::now();
    let entries = gateway::indexer::rebuild(data, |_| ()).unwrap();
    row("indexed", &each_second(entries, began.elapsed()));
    let size = std::fs::metadata(data.join("index.db")).unwrap().len();
    row("bytes of the index for each entry", &format!("{:.0}", size as f64 / entries as f64));
    let index = store::Sqlite::open(data).unwrap();
    let all = Search::default();
    let since = Some(Timestamp(START + MONTH - MONTH / 30));
    let searches = [
        ("the newest hundred", all.clone()),
        (
            "one hour at one target",
            Search {
                since,
                until: Some(Timestamp(START + MONTH - MONTH / 30 + 3_600_000)),
                target: Some("target-3".into()),
                ..all.clone()
            },
        ),
        ("a subject", Search { subject: Some("service-42".into()), ..all.clone() }),
        (
            "a subject that was shown card numbers",
            Search { subject: Some("service-42".into()), class: Some(DataClass::new("card_number")), ..all.clone() },
        ),
        ("a relation", Search { table: Some("public.table_7".into()), ..all.clone() }),
        ("a relation that nobody touched", Search { table: Some("public.none".into()), ..all.clone() }),
        ("a verb", Search { verb: Some(Verb::Delete), ..all.clone() }),
        ("refused", Search { outcome: Some(Outcome::Deny), ..all.clone() }),
        ("a policy", Search { policy: Some("policy-9".into()), ..all.clone() }),
        ("a text", Search { text: Some("table_150 ".into()), ..all.clone() }),
        ("a session", Search { session: Some(SessionId::from_bits(77)), ..all.clone() }),
        ("a request", Search { request: Some(SessionId::from_bits(77).request(3)), ..all.clone() }),
        ("a trace", Search { trace: Some(format!("{:032x}", 77 * REQUESTS + 3)), ..all.clone() }),
        (
            "a class in a week",
            Search {
                class: Some(DataClass::new("card_number")),
                since: Some(Timestamp(START + MONTH - MONTH / 4)),
                ..all
            },
        ),
    ];
    for (what, search) in searches {
        let began = Instant::now();
        let found = index.search(&search).unwrap().len();
        row(&format!("search: {what} ({found} found)"), &milliseconds(began));
    }
    let class = DataClass::new("card_number");
    let began = Instant::now();
    index.report(&class, Timestamp(START)).unwrap();
    row("report: what every subject was shown of a class in 30 days", &milliseconds(began));
    let began = Instant::now();
    index.disclosed(&class, &Search { subject: Some("service-42".into()), ..Search::default() }).unwrap();
    row("disclosed: what a subject was shown of a class", &milliseconds(began));
}

fn milliseconds(began: Instant) -> String {
    format!("{:.1} ms", began.elapsed().as_secs_f64() * 1000.0)
}

fn table(number: u64) -> TableName {
    TableName::new("public", format!("table_{number}").as_str())
}

fn statement(number: u64) -> Event {
    let verb = if number.is_multiple_of(50) { Verb::Delete } else { Verb::Select };
    let column = ColumnName::new(table(number), "number");
    Event::Statement {
        id: digest(number),
        target: "target-1".into(),
        database: "shop".into(),
        text: format!("SELECT number, total FROM table_{number} WHERE id = $1"),
        effects: vec![Effect::new(verb, Object::Table(table(number), TableKind::Table))],
        facts: Facts { kind: "SELECT".into(), bounded: true, multi: false, opaque: None },
        output: Output::Rows(vec![OutputColumn { name: "number".into(), origin: Origin::Column(column) }]),
    }
}

fn digest(number: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    Digest(bytes)
}

fn opened(session: u64) -> Event {
    let subject = Subject {
        key: SubjectKey { issuer: "corp".into(), id: format!("service-{}", session % 100).as_str().into() },
        kind: SubjectKind::Service,
        groups: vec!["payments-apps".into()],
        on_behalf_of: Vec::new(),
        expires_at: Timestamp(START + MONTH),
        binding: Binding::Bearer,
        token_id: Some("0190b3f2-7d4e".into()),
        credential: model::subject::Credential::default(),
    };
    Event::SessionOpened {
        session: SessionId::from_bits(session),
        subject,
        target: format!("target-{}", session % 5).as_str().into(),
        database: "shop".into(),
        source: std::net::IpAddr::from([10, 0, 0, 1]),
        application: "orders".into(),
        revision: RevisionId(1),
    }
}

fn decided(session: SessionId, number: u64, at: u64) -> Entry {
    let mixed = session.bits().wrapping_mul(REQUESTS).wrapping_add(number);
    let outcome = if mixed.is_multiple_of(997) { Outcome::Deny } else { Outcome::Allow };
    let event = Event::Decided {
        request: session.request(number),
        statements: vec![digest((mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % STATEMENTS)],
        values: vec![Shown::Clear(String::from("4711"))],
        outcome,
        policies: vec![format!("policy-{}", mixed % 10).as_str().into()],
        revision: RevisionId(1),
        approval: None,
        denial: None,
        on_behalf_of: None,
        traceparent: (number % 4 == 3).then(|| format!("00-{mixed:032x}-00f067aa0ba902b7-01").as_str().into()),
    };
    Entry { at: Timestamp(at), event }
}

fn completed(session: SessionId, number: u64) -> Event {
    let mut disclosure = Disclosure { rows: 3, bytes: 120, ..Disclosure::default() };
    if number.is_multiple_of(20) {
        let counts = Counts { clear: 0, masked: 3 };
        disclosure.classes = [(DataClass::new("card_number"), counts)].into();
        disclosure.columns = [(ColumnName::new(table(7), "number"), counts)].into();
    }
    Event::Completed { request: session.request(number), disclosure, error: None, millis: 2 }
}
