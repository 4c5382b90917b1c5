//! What is on a tape: everything that was delivered, whatever the channel (RC-12).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use ledger::tape::{Kind, Record, TapeEnd};
use model::event::Event;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::scripted::{Message, message, query};
use testkit::wait::eventually_blocking;

use crate::support::raw::{Raw, bind, close, describe, execute, parse, sync};
use crate::support::{CLEARED, LIMIT, postgres, record, rows, site, tape};

/// One channel of the protocol: what is sent, the kinds of messages that come back, and what the tape has of what was asked.
struct Channel {
    name: &'static str,
    sent: Vec<Vec<u8>>,
    shape: &'static str,
    asked: &'static str,
}

fn channel(name: &'static str, sent: Vec<Vec<u8>>, shape: &'static str, asked: &'static str) -> Channel {
    Channel { name, sent, shape, asked }
}

/// Every way in which something reaches a client of PostgreSQL.
fn channels(lo_creat: u32) -> Vec<Channel> {
    let pipeline = vec![
        parse("s", "SELECT id, total FROM orders WHERE id < $1 ORDER BY id"),
        describe(b'S', "s"),
        bind("p", "s", &["4"], 1),
        execute("p", 2),
        execute("p", 0),
        close(b'P', "p"),
        sync(),
    ];
    let copied = vec![
        query("COPY refunds (payment_id, amount, reason) FROM STDIN"),
        message(b'd', b"1\t1\tcopied in\n"),
        message(b'c', b""),
    ];
    let call =
        message(b'F', &[&lo_creat.to_be_bytes()[..], &[0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1]].concat());
    vec![
        channel("rows", vec![query("SELECT id, note FROM orders WHERE id = 1")], "TDCZ", "SELECT id, note FROM orders"),
        channel("several", vec![query("SELECT 1; SELECT 2")], "TDCTDCZ", "SELECT 1; SELECT 2"),
        channel("nothing", vec![query("")], "IZ", ""),
        channel("pipeline", pipeline, "1tT2DDsDC3Z", "SELECT id, total FROM orders WHERE id"),
        channel("error", vec![query("SELECT 1 / 0")], "EZ", "SELECT 1 / 0"),
        channel("denial", vec![query("DROP TABLE orders")], "EZ", "DROP TABLE orders"),
        channel("unreadable", vec![query("SELECT nonsense FROM")], "EZ", ""),
        channel("notice", vec![query("ROLLBACK")], "NCZ", "ROLLBACK"),
        channel("parameter", vec![query("SET application_name = 'tape'")], "CSZ", "SET application_name"),
        channel("listen", vec![query("LISTEN driver_tests")], "CZ", "LISTEN"),
        channel("notification", vec![query("NOTIFY driver_tests, 'told'")], "CAZ", "NOTIFY"),
        channel(
            "copy out",
            vec![query("COPY (SELECT id FROM orders WHERE id < 3) TO STDOUT")],
            "HddcCZ",
            "COPY (SELECT id",
        ),
        channel("copy in", copied, "GCZ", "COPY refunds"),
        channel(
            "cursor",
            vec![query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders; FETCH 2 FROM c; COMMIT")],
            "CCTDDCCZ",
            "DECLARE c",
        ),
        channel("function call", vec![call], "VZ", "lo_creat"),
    ]
}

/// Messages as they are on the wire.
fn wire(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(|found| message(found.tag, &found.body)).collect()
}

pub(super) fn tapes(site: &Site) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(site.data().join("tapes"))?;
    let mut paths = files.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn content(records: &[Record], kind: Kind) -> Vec<u8> {
    records.iter().filter(|record| record.kind == kind).flat_map(|record| record.content.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_12_every_channel_is_on_the_tape_byte_for_byte() -> Result<()> {
    let mut site = site("channels", Tuning::default())?;
    let oid = postgres()?.sql(site.database(), "SELECT 'lo_creat'::regproc::oid")?;
    let mut client = Raw::login(&site, &site.token(&CLEARED)?).await?;
    let mut delivered = wire(&client.greeting);
    let channels = channels(oid.trim().parse()?);
    for channel in &channels {
        let answer = client.exchange(&channel.sent).await?;
        assert_eq!(answer.shape(), channel.shape, "{}: {:?}", channel.name, answer.errors());
        delivered.extend(wire(&answer.0));
    }
    // Cancelled from a connection of its own.
    let endless = "SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 1000000) AS b";
    client.send(&[query(endless)]).await?;
    eventually_blocking(LIMIT, "the query to run", || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%100000) AS a%'";
        Ok((postgres()?.sql(site.database(), running)? == "2").then_some(()))
    })?;
    super::statements::asked_to_cancel(&site, &client.cancel_key()?).await?.read_to_close().await?;
    let answer = client.answer().await?;
    assert_eq!(answer.shape(), "TEZ");
    delivered.extend(wire(&answer.0));
    client.send(&[message(b'X', b"")]).await?;
    delivered.extend(client.peer.read_to_close().await?);
    site.stop()?;

    let paths = tapes(&site)?;
    ensure!(paths.len() == 1, "{paths:?}");
    let (records, end) = tape::records(&paths[0])?;
    assert_eq!(end, Some(TapeEnd::Complete));
    let taped = content(&records, Kind::ToClient);
    let start = delivered.len().checked_sub(taped.len()).context("more is on the tape than was delivered")?;
    assert!(taped == delivered[start..], "what is on the tape is not what was delivered");
    assert!(start <= wire(&client.greeting).len(), "an answer is not on the tape");
    let asked = String::from_utf8(content(&records, Kind::FromClient))?;
    for channel in channels.iter().chain([&Channel { name: "cancel", sent: vec![], shape: "", asked: endless }]) {
        assert!(asked.contains(channel.asked), "{}: {asked}", channel.name);
    }
    Ok(())
}

/// Why Sluice does not start.
fn start_fails(site: &mut Site) -> Result<String> {
    let error = site.start().err().context("it starts")?;
    Ok(format!("{error:#}\n{}", site.log()))
}

#[test]
fn rc_17_without_the_key_of_tapes_nothing_starts_and_none_is_made_anew() -> Result<()> {
    let mut site = site("tape_key", Tuning::default())?;
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    site.stop()?;
    let (key, aside) = (site.data().join("keys/tape.key"), site.home().join("tape.key"));
    fs::rename(&key, &aside)?;
    // Beside tapes, beside their keys, and beside both.
    for gone in [None, Some("keys/tapes"), Some("tapes")] {
        let moved = gone.map(|name| (site.data().join(name), site.home().join("moved")));
        if let Some((from, to)) = &moved {
            fs::rename(from, to)?;
        }
        let told = start_fails(&mut site)?;
        assert!(told.contains("tape.key is gone") && told.contains("restore it"), "{gone:?}: {told}");
        assert!(!key.exists(), "{gone:?}: it was made anew");
        if let Some((from, to)) = moved {
            // Where it is needed it was made before that was found.
            let _ = fs::remove_dir(&from);
            fs::rename(to, from)?;
        }
    }
    fs::rename(&aside, &key)?;
    site.start()?;
    site.stop()?;
    let paths = tapes(&site)?;
    assert_eq!(tape::records(&paths[0])?.1, Some(TapeEnd::Complete), "the tape can be read with it");

    // One that the configuration names.
    let configured = fs::read_to_string(site.config())? + "[tapes]\nkey_file = \"named.key\"\n";
    fs::write(site.config(), configured)?;
    let named = site.home().join("named.key");
    let told = start_fails(&mut site)?;
    assert!(told.contains("[tapes] key_file") && told.contains("named.key cannot be read"), "{told}");
    testkit::tls::write_private(&named, b"no key\n")?;
    let told = start_fails(&mut site)?;
    assert!(told.contains("named.key does not hold 64 hexadecimal digits"), "{told}");
    // Another one, which would open none of them; one that was torn does not tell.
    testkit::tls::write_private(&named, "ab".repeat(32).as_bytes())?;
    let told = start_fails(&mut site)?;
    assert!(told.contains("opens none of those that are there"), "{told}");
    fs::write(site.data().join("keys/tapes/0000000000001.key"), [0; 76])?;
    fs::copy(&key, &named)?;
    fs::rename(&key, &aside)?;
    site.start()?;
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    assert!(!key.exists(), "it is not needed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_17_a_session_whose_key_cannot_be_stored_is_refused_and_others_go_on() -> Result<()> {
    let site = site("key_store", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut client = Raw::login(&site, &token).await?;
    let (keys, aside) = (site.data().join("keys/tapes"), site.home().join("aside"));
    fs::rename(&keys, &aside)?;
    // Nothing can be stored in what is no directory, whoever tries.
    fs::write(&keys, "")?;
    for _ in 0..3 {
        let told = format!("{:#}", Raw::login(&site, &token).await.err().context("it was let in")?);
        assert!(told.contains("58030") && told.contains("cannot be recorded"), "{told}");
        assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);
    }
    record::wait_for(
        &site,
        "the refusal",
        |event| matches!(event, Event::SessionRefused { reason, .. } if reason.contains("tape")),
    )?;
    fs::remove_file(&keys)?;
    fs::rename(&aside, &keys)?;
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    assert_eq!(client.simple("SELECT 2").await?.column(), ["2"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_18_recording_that_is_turned_off_is_recorded_and_leaves_a_running_session_its_tape() -> Result<()> {
    let mut site = site("turned_off", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut client = Raw::login(&site, &token).await?;
    assert_eq!(client.simple("SELECT 1 AS before_it").await?.column(), ["1"]);
    let targets = site.revision_file("targets.toml");
    site.revise(|| Ok(fs::write(&targets, fs::read_to_string(&targets)? + "tape = \"off\"\n")?))?;
    assert_eq!(client.simple("SELECT 2 AS behind_it").await?.column(), ["2"]);
    assert_eq!(rows(&site, &token, "SELECT 3 AS untaped")?, "3");
    drop(client);
    site.stop()?;

    let paths = tapes(&site)?;
    ensure!(paths.len() == 1, "{paths:?}");
    let (records, end) = tape::records(&paths[0])?;
    assert_eq!(end, Some(TapeEnd::Complete));
    let asked = String::from_utf8(content(&records, Kind::FromClient))?;
    assert!(asked.contains("before_it") && asked.contains("behind_it") && !asked.contains("untaped"), "{asked}");
    let answers = content(&records, Kind::ToClient);
    assert!(testkit::canary::leak(&answers, "behind_it").is_some(), "its answer is on it too");

    let events = record::events(&site)?;
    let revisions: Vec<_> = events
        .iter()
        .filter_map(|event| if let Event::RevisionApplied { digest, .. } = event { Some(digest) } else { None })
        .collect();
    assert!(revisions.len() == 2 && revisions[0] != revisions[1], "{revisions:?}");
    let opened = |event: &Event| if let Event::SessionOpened { revision, .. } = event { Some(*revision) } else { None };
    let opened: Vec<_> = events.iter().filter_map(opened).collect();
    assert!(opened[0] < opened[1], "which revision each began under: {opened:?}");
    let has_tape =
        |event: &Event| if let Event::SessionClosed { tape, .. } = event { Some(tape.is_some()) } else { None };
    let mut closed: Vec<_> = events.iter().filter_map(has_tape).collect();
    closed.sort_unstable();
    assert_eq!(closed, [false, true], "and that one of them was not taped");
    Ok(())
}
