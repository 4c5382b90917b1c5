//! SIGKILL at any moment under load: what the target executed is in the journal, what a caller was told is in it, and the
//! journal verifies.
//!
//! `SLUICE_KILLS` (25 unless given) and `SLUICE_SEED` make it longer, or repeat it: `./dev soak`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]
#![allow(clippy::print_stdout)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use ledger::{Reader, RealDisk};
use model::event::Event;
use model::id::SessionId;
use testkit::command::Output;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::normal::statements;
use testkit::process::sluice;
use testkit::scripted::query;
use testkit::statements::Choices;
use testkit::wait::eventually_blocking;

use support::oracle::{Permitted, Watched};
use support::raw::{Raw, bind, execute, parse, sync};
use support::{LIMIT, site};

/// How many callers there are at a time.
const CALLERS: usize = 4;

/// The longest time under load, in milliseconds.
const LONGEST: usize = 250;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// The statements that callers got an answer to, as the record shows them.
type Told = Arc<Mutex<BTreeSet<String>>>;

/// One caller: reads and writes, in both protocols, until its connection is gone. Each statement has a name of its own.
async fn caller(site: &Site, token: &str, who: &str, told: &Told, over: &AtomicBool) -> Result<()> {
    let mut client = Raw::login(site, token).await?;
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("{who}_{round}");
        let write = "INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1, 'kill')";
        let sql = match round % 4 {
            0 => format!("SELECT {round} AS {name}"),
            1 => format!("{write} RETURNING id AS {name}"),
            2 => format!("SELECT id AS {name} FROM orders WHERE id = $1"),
            _ => format!("SELECT count(*) AS {name} FROM cards"),
        };
        let answer = match round % 4 {
            2 => client.exchange(&[parse("", &sql), bind("", "", &["1"], 0), execute("", 0), sync()]).await?,
            3 => {
                client.send(&[query("BEGIN"), query(&sql)]).await?;
                client.answer().await?;
                let answer = client.answer().await?;
                client.simple("COMMIT").await?;
                answer
            }
            _ => client.simple(&sql).await?,
        };
        ensure!(answer.errors().is_empty(), "{name}: {:?}", answer.errors());
        told.lock().unwrap().extend(statements(&sql));
    }
    Ok(())
}

/// Loads Sluice, and kills it so long after its first answers; every fourth time, after its start.
fn load_and_kill(site: &mut Watched<Site>, token: &str, kill: u64, moment: Duration, told: &Told) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let over = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (shared, over, runtime): (&Site, _, _) = (site, &over, &runtime);
        for number in 0..CALLERS {
            let who = format!("k{kill}_{number}");
            // It ends with its connection: when Sluice is killed.
            scope.spawn(move || while runtime.block_on(caller(shared, token, &who, told, over)).is_ok() {});
        }
        if kill % 4 != 3 {
            eventually_blocking(LIMIT, "answers", || Ok((!told.lock().unwrap().is_empty()).then_some(())))?;
        }
        std::thread::sleep(moment);
        over.store(true, Ordering::Relaxed);
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(shared.process()?.pid())?).unwrap(),
            rustix::process::Signal::KILL,
        )?;
        anyhow::Ok(())
    })?;
    site.kill()
}

/// The sessions that were killed, all of which the journal has an end of: with the length of what was on the tape then.
fn broken_off(site: &Site) -> Result<BTreeMap<SessionId, u64>> {
    let mut reader = Reader::open(Arc::new(RealDisk), &site.data().join("journal"), 0);
    let (mut open, mut broken_off) = (BTreeSet::new(), BTreeMap::new());
    while let Some((position, entry)) = reader.next()? {
        match entry.event {
            Event::SessionOpened { session, .. } => drop(open.insert(session)),
            Event::SessionRefused { session, .. } => drop(open.remove(&session)),
            Event::SessionClosed { session, reason, tape } => {
                ensure!(open.remove(&session), "session {session} ends a second time, in entry {position}");
                if &*reason == "the process ended" {
                    broken_off.insert(session, tape.map_or(0, |(_, length)| length));
                }
            }
            _ => {}
        }
    }
    ensure!(open.is_empty(), "no end of {open:?}");
    Ok(broken_off)
}

/// Cuts the last record off the longest of these tapes, and puts it back; says whether any had one.
fn cut_is_found(
    site: &Site,
    broken_off: &BTreeMap<SessionId, u64>,
    verify: &dyn Fn() -> Result<Output>,
) -> Result<bool> {
    let Some((session, _)) = broken_off.iter().max_by_key(|(_, length)| **length) else { return Ok(false) };
    let path = site.data().join(format!("tapes/{session}.tape"));
    let Ok(whole) = std::fs::read(&path) else { return Ok(false) };
    // Header, and records with a header of their own (crates/ledger/src/tape.rs).
    let (mut last, mut at) = (None, 28);
    while let Some(length) = whole.get(at + 13..at + 17) {
        let next = at + 17 + usize::try_from(u32::from_le_bytes(length.try_into()?))?;
        if next > whole.len() {
            break;
        }
        (last, at) = (Some(at), next);
    }
    let Some(last) = last else { return Ok(false) };
    std::fs::write(&path, &whole[..last])?;
    let verified = verify()?;
    let expected = format!("the tape of session {session} ");
    let found = verified.stderr.contains(&expected) && verified.stderr.contains("is not the one that was recorded");
    ensure!(!verified.status.success() && found, "{}{}", verified.stdout, verified.stderr);
    std::fs::write(&path, &whole)?;
    Ok(true)
}

#[test]
fn rc_01_a_sigkill_at_any_moment_loses_nothing_that_was_executed_or_told() -> Result<()> {
    let (kills, seed) = (number("SLUICE_KILLS", 25), number("SLUICE_SEED", 1));
    println!("{kills} kills, seed {seed}");
    let mut site = site("kills", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut cut = false;
    let told: Told = Arc::default();
    let mut choices = Choices::of(seed, 0);
    let (mut answers, mut recorded) = (0, Permitted::of(&site));
    let config = site.config().display().to_string();
    let binary = site.binary().to_owned();
    let verify = || sluice(&binary, &["audit", "verify"], &[("SLUICE_CONFIG", config.as_str())]);
    for kill in 0..kills {
        let moment = Duration::from_millis(u64::try_from(choices.below(LONGEST))?);
        load_and_kill(&mut site, &token, kill, moment, &told)?;
        site.start()?;
        recorded.read_on()?;
        let told = std::mem::take(&mut *told.lock().unwrap());
        for text in &told {
            let found = recorded.counts.contains_key(text);
            assert!(found, "kill {kill}, seed {seed}: {text} was answered, and the journal has nothing of it");
        }
        let broken_off = broken_off(&site)?;
        let verified = verify()?;
        ensure!(verified.status.success(), "kill {kill}, seed {seed}: {}{}", verified.stdout, verified.stderr);
        cut |= cut_is_found(&site, &broken_off, &verify)?;
        answers += told.len();
        println!("kill {kill} after {moment:?}: {} answers, all recorded", told.len());
    }
    assert!(cut, "no tape of a killed session has a record");
    assert!(answers > usize::try_from(kills)? * 5, "{answers} answers are no load");
    // Everything executed since the beginning, as often as it was permitted: `site` looks at that when it ends.
    site.stop()?;
    let verified = verify()?;
    ensure!(verified.status.success(), "{}{}", verified.stdout, verified.stderr);
    Ok(())
}
