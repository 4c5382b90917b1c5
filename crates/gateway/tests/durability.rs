//! Disks that are full, read-only, slow or silent: nothing is forwarded that is not recorded in time, whoever asks is told
//! so, operators see why, and when the disk is back Sluice goes on by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod world;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway::metrics::Metrics;
use gateway::recorder::{Recorder, entry};
use ledger::tape::{TapeEnd, TapeReader};
use ledger::{Journal, Level, RealDisk, SigningKey};
use model::disclosure::Disclosure;
use model::event::Event;
use model::id::SessionId;
use testkit::wait::eventually_blocking;
use world::World;
use world::client::Client;
use world::disk::{Fault, TestDisk};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// How long requests wait for the disk.
const DEADLINE: Duration = Duration::from_secs(1);

/// What a request that could not be recorded is told.
const NOT_RECORDED: &str = "ERROR:  58030";

fn world(disk: &TestDisk) -> World {
    world_with(disk, "")
}

/// With more settings of the journal.
fn world_with(disk: &TestDisk, settings: &str) -> World {
    World::start_on(Arc::new(disk.clone()), 50, |_, _, dir| {
        let mut file = std::fs::File::options().append(true).open(dir.join("sluice.toml")).unwrap();
        write!(file, "[journal]\nwait_deadline = \"1s\"\n{settings}\n").unwrap();
    })
}

fn leaver(world: &World) -> String {
    world.token("leaver", &["apps", "readers"])
}

fn asking(name: &str) -> String {
    format!("SELECT 4711 AS {name}")
}

/// Whether the target executed it.
fn executed(world: &World, name: &str) -> bool {
    world.server.statement_log().unwrap().iter().any(|logged| logged.text.contains(name))
}

fn journal(world: &World) -> Vec<Event> {
    let mut reader = world.node.recorder.journal().reader(0);
    std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event).collect()
}

/// Whether the journal says that the only session of this subject ended.
fn closed(world: &World, who: &str) -> bool {
    let events = journal(world);
    let session = events.iter().find_map(|event| match event {
        Event::SessionOpened { session, subject, .. } if &*subject.key.id == who => Some(*session),
        _ => None,
    });
    let ended = |event: &Event| matches!(event, Event::SessionClosed { session: ended, .. } if Some(*ended) == session);
    session.is_some() && events.iter().any(ended)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually_blocking(LIMIT, what, || Ok(is_so().then_some(()))).unwrap();
}

/// The reasons that the metric gives.
fn reasons(world: &World) -> Vec<String> {
    let text = world.node.metrics_text();
    let writable = text.contains("\nsluice_journal_writable 1");
    let reasons: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("sluice_journal_fault{reason=\"")?.strip_suffix("\"} 1"))
        .map(str::to_owned)
        .collect();
    assert_eq!(writable, reasons.is_empty(), "{text}");
    reasons
}

/// A session asks in vain: it is told so in time, and the target knows nothing of it.
fn asks_in_vain(world: &World, client: &mut Client, name: &str) {
    let begun = Instant::now();
    assert_eq!(client.ask(&asking(name)), NOT_RECORDED);
    let took = begun.elapsed();
    assert!(took < DEADLINE + Duration::from_secs(2), "{took:?}");
    assert!(!executed(world, name), "it was forwarded");
}

/// Everything is refused for this reason, by `client` and to whoever comes new.
fn is_red(world: &World, client: &mut Client, reason: &str) {
    asks_in_vain(world, client, "asked_in_vain");
    until("/readyz to be red", || world.node.is_ready().is_err());
    assert_eq!(reasons(world), [reason]);
    let stranger = world.psql(&world.reader(), &["-c", &asking("asked_by_a_stranger")]);
    assert!(stranger.stderr.contains("the session cannot be recorded"), "{}", stranger.stderr);
    assert!(!executed(world, "asked_by_a_stranger"));
    assert!(world.node.is_ready().is_err(), "it stays red");
    assert_eq!(reasons(world), [reason]);
}

/// The disk is back: the same session, and whoever comes new, are served.
fn goes_on(world: &World, client: &mut Client) {
    until("Sluice to go on", || world.node.is_ready().is_ok());
    assert_eq!(client.ask(&asking("asked_again")), "4711");
    assert!(executed(world, "asked_again"));
    assert_eq!(world.rows(&world.reader(), "SELECT 1"), "1\n");
    assert_eq!(reasons(world), [""; 0]);
}

/// The journal and the tapes are whole.
fn verifies(world: &World) {
    world.node.recorder.journal().checkpoint().unwrap();
    let dir = world.node.layout().journal();
    let key = world.node.recorder.journal().public_key().clone();
    let report = ledger::verify(&ledger::RealDisk, &dir, &key, &[]).unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn rc_03_a_full_disk_refuses_all_records_what_ends_and_goes_on() {
    let disk = TestDisk::only("journal");
    let (world, _healed) = (world(&disk), disk.healed());
    let (mut client, leaver) = (Client::connect(&world, &world.reader()), Client::connect(&world, &leaver(&world)));
    disk.fail(Fault::Full(0));
    is_red(&world, &mut client, "full");
    leaver.end();
    until("the reserve to hold the end of a session", || closed(&world, "leaver"));
    assert!(world.node.is_ready().is_err() && !world.node.layout().journal().join("reserve").exists());
    asks_in_vain(&world, &mut client, "asked_again_in_vain");
    disk.heal();
    goes_on(&world, &mut client);
    let reserve = world.node.layout().journal().join("reserve");
    assert_eq!(std::fs::metadata(reserve).unwrap().len(), 1024 * 1024);
    verifies(&world);
}

/// While it lasts all is refused for this reason, and what ends meanwhile is recorded when it is over.
fn refuses_all_and_goes_on(fault: Fault, reason: &str) {
    let disk = TestDisk::only("journal");
    let (world, _healed) = (world(&disk), disk.healed());
    let (mut client, leaver) = (Client::connect(&world, &world.reader()), Client::connect(&world, &leaver(&world)));
    disk.fail(fault);
    is_red(&world, &mut client, reason);
    leaver.end();
    disk.heal();
    goes_on(&world, &mut client);
    until("the end of a session to be recorded", || closed(&world, "leaver"));
    verifies(&world);
}

#[test]
fn rc_03_a_read_only_disk_refuses_all_and_goes_on() {
    refuses_all_and_goes_on(Fault::ReadOnly, "read_only");
}

#[test]
fn rc_03_where_tapes_are_on_the_full_disk_nothing_is_delivered_that_is_not_taped() {
    let disk = TestDisk::whole();
    let (world, _healed) = (world(&disk), disk.healed());
    let mut client = Client::connect(&world, &world.reader());
    disk.fail(Fault::Full(0));
    let answer = client.ask(&asking("asked_in_vain"));
    assert!(!answer.contains("4711") && !executed(&world, "asked_in_vain"), "{answer}");
    assert_eq!(reasons(&world), ["full"]);
    disk.heal();
    goes_on(&world, &mut Client::connect(&world, &world.reader()));
    verifies(&world);
}

/// What Sluice has to read before it understands a request, or before it asks a human, is recorded first as well.
#[test]
fn rc_03_sluices_own_statements_do_not_reach_the_target_unrecorded() {
    let disk = TestDisk::only("journal");
    let (world, _healed) = (world(&disk), disk.healed());
    // One behind the read-only wall, whose state is read at rest, and one that reads it inside its pipeline.
    for groups in [&["apps", "readers", "pathfinders"][..], &["apps", "readers", "pathfinders", "writers"]] {
        let mut client = Client::connect(&world, &world.token("order-service", groups));
        // In both protocols.
        for (ask, answer) in
            [("SELECT 4711 AS unread", "4711"), ("SELECT 4711 AS unread \\gdesc\n--", "unread|integer")]
        {
            assert_eq!(client.ask("SET search_path = public"), "");
            let before = world.server.statement_log().unwrap().len();
            disk.fail(Fault::Full(0));
            assert_eq!(client.ask(ask), NOT_RECORDED);
            let log = world.server.statement_log().unwrap();
            assert_eq!(log.get(before..), Some(&[][..]), "it ran at the target");
            disk.heal();
            until("Sluice to go on", || world.node.is_ready().is_ok());
            assert_eq!(client.ask(ask), answer);
        }
    }
    let mut client = Client::connect(&world, &world.token("writer", &["apps", "readers", "writers"]));
    let delete = "DELETE FROM orders WHERE id = 1";
    let explained = || executed(&world, &format!("EXPLAIN (FORMAT JSON) {delete}"));
    let asked = || world.node.state.approvals(&store::approval::Filter::default()).unwrap().len();
    disk.fail(Fault::Full(0));
    assert_eq!(client.ask(delete), NOT_RECORDED);
    assert!(!explained() && asked() == 0, "the target was asked for an estimate");
    disk.heal();
    until("Sluice to go on", || world.node.is_ready().is_ok());
    client.send(delete);
    until("the approval to be asked for", || asked() == 1);
    assert!(explained());
    verifies(&world);
}

#[test]
fn rc_07_a_write_that_does_not_return_is_seen_and_what_it_was_for_is_not_forwarded() {
    let disk = TestDisk::only("journal");
    let (world, _healed) = (world(&disk), disk.healed());
    let (mut first, mut client) = (Client::connect(&world, &world.reader()), Client::connect(&world, &leaver(&world)));
    disk.fail(Fault::WritesHang);
    // Its own thread writes: it is told when the write returns.
    first.send(&asking("asked_first"));
    until("the write to hang", || disk.has_hung());
    is_red(&world, &mut client, "stalled");
    disk.heal();
    assert_eq!(first.answer(), NOT_RECORDED, "the write returned, too late");
    assert!(!executed(&world, "asked_first"), "it was forwarded after the deadline");
    goes_on(&world, &mut client);
    assert_eq!(first.ask(&asking("asked_first_again")), "4711");
    verifies(&world);
}

#[test]
fn rc_07_an_fdatasync_that_does_not_return_is_seen_and_nothing_is_forwarded_past_the_deadline() {
    let disk = TestDisk::only("journal");
    let (world, _healed) = (world(&disk), disk.healed());
    let mut client = Client::connect(&world, &world.reader());
    let cashier = world.token("cashier", &["apps", "readers", "cashiers", "cleared"]);
    let mut writer = Client::connect(&world, &cashier);
    disk.fail(Fault::SyncsHang);
    let update = "UPDATE orders SET total = total WHERE id = 1 /* written_in_vain */";
    let begun = Instant::now();
    assert_eq!(writer.ask(update), NOT_RECORDED);
    assert!(begun.elapsed() < DEADLINE + Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(!executed(&world, "written_in_vain"));
    until("/readyz to be red", || world.node.is_ready().is_err());
    is_red(&world, &mut client, "stalled");
    disk.heal();
    goes_on(&world, &mut client);
    assert_eq!(writer.ask("UPDATE orders SET total = total WHERE id = 1 /* written_again */"), "");
    assert!(executed(&world, "written_again"));
    verifies(&world);
}

/// Both who writes in their own turn and the thread that syncs.
#[test]
fn rc_07_a_writer_that_panics_refuses_all_loses_nothing_and_goes_on() {
    refuses_all_and_goes_on(Fault::Panics, "other");
}

/// A session whose task panics ends with it, in the journal as well, and what is on its tape is part of that.
#[test]
fn rc_07_a_session_that_panics_has_an_end_that_covers_its_tape() {
    let disk = TestDisk::only("tapes");
    let (world, _healed) = (world(&disk), disk.healed());
    let mut client = Client::connect(&world, &leaver(&world));
    disk.fail(Fault::Panics);
    assert!(!client.ask(&asking("asked_in_vain")).contains("4711"), "it was delivered and is not on the tape");
    disk.heal();
    until("the end of the session to be recorded", || closed(&world, "leaver"));
    let events = journal(&world);
    let end = events.iter().find_map(|event| match event {
        Event::SessionClosed { session, reason, tape } => Some((*session, &**reason, *tape)),
        _ => None,
    });
    let (session, reason, tape) = end.unwrap();
    assert_eq!(reason, "a session's task panicked");
    let names = |event: &Event| matches!(event, Event::Gap { session: Some(gap), .. } if *gap == session);
    assert!(events.iter().any(names), "the gap names its session");
    let (node, dir) = (&world.node, world.node.layout().tapes());
    let mut left = TapeReader::open(&RealDisk, &dir, session, Some(&node.tape_keys)).unwrap();
    let (found, end) = left.digest_of_what_is_there().unwrap();
    assert!(matches!(end, TapeEnd::Truncated { .. }) && found.1 > 100, "{end:?} {found:?}");
    assert_eq!(tape, Some(found));
    goes_on(&world, &mut Client::connect(&world, &world.reader()));
    verifies(&world);
}

/// The tapes of sessions that go on are synced, and no session waits for it, one that begins included.
#[test]
fn rc_02_live_tapes_are_synced_beside_their_sessions() {
    let disk = TestDisk::only("tapes");
    let world = world_with(&disk, "checkpoint_interval = \"100ms\"");
    let _healed = disk.healed();
    let mut client = Client::connect(&world, &world.reader());
    disk.fail(Fault::SyncsHang);
    assert_eq!(client.ask(&asking("asked_before")), "4711");
    until("the tape to be synced", || disk.has_hung());
    assert_eq!(client.ask(&asking("asked_meanwhile")), "4711");
    let mut another = Client::connect(&world, &world.reader());
    assert_eq!(another.ask(&asking("asked_by_another")), "4711");
    disk.heal();
    goes_on(&world, &mut client);
    verifies(&world);
}

/// 10 KB/s, and more to record than that.
#[test]
fn rc_06_a_slow_disk_is_back_pressure_and_past_the_deadline_a_refusal() {
    let disk = TestDisk::only("journal");
    let (world, _healed) = (world(&disk), disk.healed());
    let token = world.reader();
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(&world, &token)).collect();
    disk.fail(Fault::Slow(10_000));
    let seen = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    let answers: Vec<(String, String)> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                seen.fetch_or(reasons(&world) == ["stalled"], Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let ask = |(number, client): (usize, &mut Client)| {
            let ask = |round| {
                let name = format!("slow_{number}_{round}_end");
                let columns: String = (0..60).map(|column| format!(", 1 AS {name}_column_{column}")).collect();
                let begun = Instant::now();
                let answer = client.ask(&format!("SELECT 4711 AS {name}{columns}"));
                assert!(begun.elapsed() < DEADLINE + Duration::from_secs(3), "{:?}", begun.elapsed());
                (name, answer)
            };
            (0..3).map(ask).collect::<Vec<_>>()
        };
        let asking: Vec<_> = clients.iter_mut().enumerate().map(|client| scope.spawn(move || ask(client))).collect();
        let answers = asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        answers
    });
    let log = world.server.statement_log().unwrap();
    let ran: BTreeSet<&str> =
        answers.iter().map(|(name, _)| &**name).filter(|name| log.iter().any(|ran| ran.text.contains(name))).collect();
    let answered: BTreeSet<&str> =
        answers.iter().filter(|(_, answer)| answer.starts_with("4711|")).map(|(name, _)| &**name).collect();
    let refused = answers.iter().filter(|(_, answer)| answer == NOT_RECORDED).count();
    assert_eq!(ran, answered, "what ran is what was answered");
    assert_eq!(answered.len() + refused, answers.len(), "{answers:?}");
    assert!(refused > 0 && !answered.is_empty() && seen.into_inner(), "{refused} of {} refused", answers.len());
    disk.heal();
    goes_on(&world, &mut clients[0]);
    verifies(&world);
}

/// What nothing waits for is bounded while the disk fails, and what is left out is counted in the journal.
#[test]
fn rc_06_what_is_gathered_while_the_disk_fails_is_bounded_counted_and_sessions_are_closed() {
    let disk = TestDisk::whole();
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    let (journal, _) = Journal::open(Arc::new(disk.clone()), &folder.path().join("journal"), key).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let metrics = Metrics::new().unwrap();
    let recorder = Recorder::new(journal, Duration::from_millis(200), DEADLINE, metrics.clone());
    runtime.spawn(Arc::clone(&recorder).run());
    disk.fail(Fault::ReadOnly);
    let session = SessionId::from_bits(7);
    for number in 0..100_000 {
        let disclosure = Disclosure::default();
        recorder.note(Event::Completed { request: session.request(number), disclosure, error: None, millis: 1 });
    }
    recorder.note(Event::SessionClosed { session, reason: "over".into(), tape: None });
    let gap = entry(Event::Gap { session: Some(session), reason: "asked for".into() });
    let refused = runtime.block_on(recorder.record(vec![gap], Level::Process));
    assert!(refused.is_err() && recorder.fault() == Some(gateway::recorder::Fault::ReadOnly));
    disk.heal();
    until("the journal to be written", || recorder.is_writable() && recorder.journal().size() > 4000);
    recorder.flush();
    let mut reader = recorder.journal().reader(0);
    let events: Vec<Event> = std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event).collect();
    let left_out = metrics.journal_left_out.get();
    let kept = u64::try_from(events.len()).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::SessionClosed { .. })));
    let counted = format!("{left_out} entries were left out while the journal could not be written");
    assert!(events.iter().any(|event| matches!(event, Event::Gap { reason, .. } if **reason == *counted)), "{counted}");
    assert!(left_out > 90_000 && left_out + kept == 100_002, "{left_out} left out, {kept} kept");
}

/// An entry that no journal takes is the request's own misfortune, and no fault of the disk.
#[test]
fn an_entry_that_is_too_long_is_refused_at_once_and_nobody_else_notices() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    let (journal, _) = Journal::open(Arc::new(ledger::RealDisk), &folder.path().join("journal"), key).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let recorder = Recorder::new(journal, LIMIT, DEADLINE, Metrics::new().unwrap());
    let gap = |reason: &str| vec![entry(Event::Gap { session: None, reason: reason.into() })];
    let begun = Instant::now();
    assert!(runtime.block_on(recorder.record(gap(&"x".repeat(100_000)), Level::Process)).is_err());
    assert!(begun.elapsed() < DEADLINE && recorder.is_writable());
    assert_eq!(runtime.block_on(recorder.record(gap("short"), Level::Process)).unwrap().len(), 1);
}
