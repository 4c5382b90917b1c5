//! What a disk that fails costs in memory, whatever callers do meanwhile: not more for a long time than for a short one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use testkit::demo::site::ORDER_SERVICE;
use testkit::scripted::{Peer, password, query, startup};
use testkit::wait::eventually_blocking;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::stage::{JOURNAL, Stage};
use crate::support::raw::{Raw, V3_0, last_error, started};
use crate::support::{LIMIT, memory, record};

/// What memory may grow by while the same goes on and on: what the allocator takes until it has settled. Without a bound the
/// paths of calls alone were four times as much.
const FLAT: u64 = 32 * 1024 * 1024;

/// How much callers do in a round.
const WARM_UP: usize = 2;
const ROUNDS: usize = 5;
const SESSIONS: usize = 80;
const REQUESTS: usize = 10;
const STRANGERS: usize = 20;
const WITHOUT_TLS: usize = 500;
const CALLS: usize = 400;

/// The longest path that a call may have, nearly.
const PATH: usize = 60_000;

/// A session that sends one request behind the other and reads the answers afterwards.
async fn ask_in_vain(mut client: Raw) -> Result<Raw> {
    client.send(&vec![query("SELECT 4711 AS flat_in_vain"); REQUESTS]).await?;
    for _ in 0..REQUESTS {
        ensure!(client.answer().await?.errors() == ["58030"], "another answer");
    }
    Ok(client)
}

/// People who may not, at the admin API: each call is an entry that nothing waits for, with the path that they chose.
fn call_in_vain(stage: &Stage) -> Result<()> {
    let token = stage.site.token(&ORDER_SERVICE)?;
    let mut stream = TcpStream::connect(stage.site.process()?.address("admin")?)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut reading = stream.try_clone()?;
    let answers = std::thread::spawn(move || {
        let mut text = String::new();
        reading.read_to_string(&mut text).map(|_| text.matches("HTTP/1.1 403").count())
    });
    for number in 1..=CALLS {
        let path = format!("/v1/sessions/{number}{}", "x".repeat(PATH));
        let connection = if number == CALLS { "close" } else { "keep-alive" };
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: {connection}\r\n\r\n"
        )?;
    }
    let refused = answers.join().ok().context("the reader panicked")??;
    ensure!(refused == CALLS, "{refused} calls were refused");
    Ok(())
}

/// Whoever comes now is turned away, with and without a token.
async fn come_in_vain(stage: &Stage) -> Result<()> {
    let token = stage.site.token(&ORDER_SERVICE)?;
    let mut waiting = Vec::new();
    for _ in 0..STRANGERS {
        let mut stranger = started(&stage.site, V3_0, &[]).await?;
        stranger.read_until(b'R').await?;
        stranger.send(&password(&token)).await?;
        waiting.push(stranger);
    }
    for mut stranger in waiting {
        ensure!(last_error(&stranger.read_to_close().await?).as_deref() == Some("58030"), "a stranger was let in");
    }
    let address = stage.site.process()?.address("postgres")?;
    for _ in 0..WITHOUT_TLS {
        let mut peer = Peer::connect(address).await?;
        peer.send(&startup(V3_0, &[("user", "anybody"), ("database", "nowhere")])).await?;
        ensure!(last_error(&peer.read_to_close().await?).as_deref() == Some("28000"));
    }
    Ok(())
}

/// All that callers can do while nothing can be recorded, once; somebody leaves meanwhile.
async fn round(stage: &Stage, clients: &mut Vec<Raw>, leaving: Option<Raw>) -> Result<()> {
    let asking: Vec<_> = clients.drain(..).map(|client| tokio::spawn(ask_in_vain(client))).collect();
    drop(leaving);
    come_in_vain(stage).await?;
    call_in_vain(stage)?;
    for asking in asking {
        clients.push(asking.await??);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_06_memory_stays_flat_while_the_disk_fails_and_thousands_ask_come_and_leave() -> Result<()> {
    let stage = Stage::start("flat", JOURNAL, "wait_deadline = \"200ms\"")?;
    let (mut clients, mut leaving) = (Vec::new(), vec![stage.leaver().await?]);
    for _ in 0..SESSIONS {
        clients.push(stage.client().await?);
    }
    for _ in 0..ROUNDS {
        leaving.push(stage.client().await?);
    }
    stage.disk.become_read_only();
    // What the sessions need in any case, and what is gathered to the bound, is there after these.
    for _ in 0..WARM_UP {
        round(&stage, &mut clients, None).await?;
    }
    let (before, mut most) = (memory(&stage.site)?, 0);
    for _ in 0..ROUNDS {
        round(&stage, &mut clients, leaving.pop()).await?;
        most = most.max(memory(&stage.site)?);
    }
    drop(leaving);
    stage.is_red("read_only")?;
    let grown = most.saturating_sub(before);
    println!("{} KiB, then {} KiB at most", before / 1024, most / 1024);
    assert!(grown < FLAT, "memory grew by {grown} bytes");
    stage.disk.heal();
    stage.goes_on(clients.first_mut()).await?;
    stage.closes_the_leaver()?;
    let left_out = stage.site.metric("sluice_journal_left_out_total")?.context("it is not counted")?;
    let counted = format!("{left_out} entries were left out while the journal could not be written");
    record::wait_for(
        &stage.site,
        &counted,
        |event| matches!(event, model::event::Event::Gap { reason, .. } if **reason == *counted),
    )?;
    assert!(left_out > 1000, "{left_out} were left out");
    stage.verifies()
}

/// Reads answers for as long as they come, and counts them.
async fn count_answers(mut from: impl AsyncRead + Unpin, answers: Arc<AtomicU64>) -> Result<()> {
    let mut body = Vec::new();
    loop {
        let tag = from.read_u8().await?;
        body.resize(usize::try_from(from.read_u32().await?)? - 4, 0);
        from.read_exact(&mut body).await?;
        answers.fetch_add(u64::from(tag == b'Z'), Ordering::Relaxed);
    }
}

/// Far more than all buffers on the way hold, if nobody reads.
const PIPELINE: u64 = 128 * 1024 * 1024;

/// What the kernel's buffers of both ends hold on their own.
const KERNELS: u64 = 32 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn rc_06_on_a_slow_disk_whoever_pipelines_is_kept_waiting_and_memory_stays_flat() -> Result<()> {
    let stage = Stage::with_deadline("pipeline", JOURNAL)?;
    let mut other = stage.client().await?;
    let (from, mut to) = stage.client().await?.peer.into_halves();
    stage.disk.slow_down(10_000);
    let before = memory(&stage.site)?;
    let (sent, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let reading = tokio::spawn(count_answers(from, Arc::clone(&answers)));
    let sending = tokio::spawn({
        let sent = Arc::clone(&sent);
        async move {
            // Long on the wire and short in the journal.
            let request = query(&format!("SELECT 4711 /* {} */", "pipelined".repeat(400)));
            while sent.load(Ordering::Relaxed) < PIPELINE {
                to.write_all(&request).await?;
                sent.fetch_add(u64::try_from(request.len())?, Ordering::Relaxed);
            }
            anyhow::Ok(to)
        }
    });
    let mut most = 0;
    eventually_blocking(LIMIT, "answers to come", || {
        most = most.max(memory(&stage.site)?);
        Ok((answers.load(Ordering::Relaxed) >= 150).then_some(()))
    })?;
    stage.is_red("stalled")?;
    let (sent, grown) = (sent.load(Ordering::Relaxed), most.saturating_sub(before));
    println!(
        "{} answers, {} KiB sent, memory grew by {} KiB",
        answers.load(Ordering::Relaxed),
        sent / 1024,
        grown / 1024
    );
    assert!(!sending.is_finished() && sent < KERNELS, "{sent} bytes were taken");
    assert!(grown < FLAT, "memory grew by {grown} bytes");
    sending.abort();
    reading.abort();
    stage.disk.heal();
    stage.goes_on(Some(&mut other)).await?;
    stage.verifies()
}
