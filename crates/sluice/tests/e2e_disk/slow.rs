//! 10 KB/s, and more to record than that.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Result;
use testkit::wait::eventually_blocking;

use crate::stage::{JOURNAL, Stage, asking, in_time};
use crate::support::raw::Raw;
use crate::support::{LIMIT, postgres};

const RATE: u64 = 10_000;

/// Asks a few times, each with two kilobytes to record: what was asked, and what was answered.
async fn ask(mut client: Raw, number: usize) -> Result<(Raw, Vec<(String, Vec<String>, Vec<String>)>)> {
    let mut asked = Vec::new();
    for round in 0..3 {
        let name = format!("slow_{number}_{round}_end");
        let columns: String = (0..60).map(|column| format!(", 1 AS {name}_column_{column}")).collect();
        let begun = Instant::now();
        let answer = client.simple(&format!("{}{columns}", asking(&name))).await?;
        in_time(begun);
        asked.push((name, answer.column(), answer.errors()));
    }
    Ok((client, asked))
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_06_a_slow_disk_under_the_program_is_back_pressure_and_past_the_deadline_a_refusal() -> Result<()> {
    let stage = Stage::with_deadline("slowdisk", JOURNAL)?;
    let (mut clients, leaver) = (Vec::new(), stage.leaver().await?);
    for _ in 0..8 {
        clients.push(stage.client().await?);
    }
    stage.disk.slow_down(RATE);
    let asking: Vec<_> =
        clients.into_iter().enumerate().map(|(number, client)| tokio::spawn(ask(client, number))).collect();
    eventually_blocking(LIMIT, "the disk to be seen", || Ok((stage.reasons()? == ["stalled"]).then_some(())))?;
    stage.is_red("stalled")?;
    drop(leaver);
    let (mut answers, mut clients) = (Vec::new(), Vec::new());
    for asking in asking {
        let (client, asked) = asking.await??;
        answers.extend(asked);
        clients.push(client);
    }
    let log = postgres()?.statement_log()?;
    let has_run = |name: &&str| log.iter().any(|statement| statement.text.contains(*name));
    let names = || answers.iter().map(|(name, _, _)| &**name);
    let ran: BTreeSet<&str> = names().filter(has_run).collect();
    let answered: BTreeSet<&str> =
        answers.iter().filter(|(_, rows, _)| rows == &["4711"]).map(|(name, _, _)| &**name).collect();
    let refused = answers.iter().filter(|(_, _, errors)| errors == &["58030"]).count();
    assert_eq!(ran, answered, "what ran is what was answered");
    assert_eq!(answered.len() + refused, answers.len(), "{answers:?}");
    assert!(refused > 0 && !answered.is_empty(), "{refused} of {} refused", answers.len());
    stage.disk.heal();
    stage.goes_on(Some(&mut clients[0])).await?;
    stage.closes_the_leaver()?;
    stage.verifies()
}
