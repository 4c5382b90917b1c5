//! What is on a tape: everything that was delivered, whatever the channel (RC-12).

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use ledger::tape::{Kind, Record, TapeEnd};
use testkit::demo::site::{Site, Tuning};
use testkit::scripted::{Message, message, query};
use testkit::wait::eventually_blocking;

use crate::support::raw::{Raw, bind, close, describe, execute, parse, sync};
use crate::support::{CLEARED, LIMIT, postgres, site, tape};

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
    let files = std::fs::read_dir(site.data().join("tapes"))?;
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
