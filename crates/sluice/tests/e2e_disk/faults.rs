//! One fault at a time.

use std::time::Instant;

use anyhow::Result;
use testkit::scripted::query;
use testkit::wait::eventually_blocking;

use crate::stage::{ALL, JOURNAL, Stage, asking, executed, in_time};
use crate::support::LIMIT;
use crate::support::faulty_disk::{BROKEN, HANGS, Kind, NO_DESCRIPTOR};

/// What nobody may write to the disk before it is durable.
fn update(name: &str) -> String {
    format!("UPDATE orders SET total = total WHERE id = 1 /* {name} */")
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_03_a_file_system_that_becomes_read_only_under_the_program_refuses_all_and_it_goes_on() -> Result<()> {
    let stage = Stage::with_deadline("readonly", JOURNAL)?;
    let (mut client, leaver) = (stage.client().await?, stage.leaver().await?);
    stage.disk.become_read_only();
    stage.asks_in_vain(&mut client, "readonly_in_vain").await?;
    stage.is_red("read_only")?;
    stage.turns_strangers_away().await?;
    drop(leaver);
    stage.asks_in_vain(&mut client, "readonly_in_vain_again").await?;
    assert!(!stage.has_closed_the_leaver()?);
    stage.disk.heal();
    stage.goes_on(Some(&mut client)).await?;
    stage.closes_the_leaver()?;
    stage.verifies()
}

/// With tapes, keys and state on it: nothing is delivered that is not taped, so the session ends.
#[tokio::test(flavor = "multi_thread")]
async fn rc_03_where_everything_is_on_the_read_only_file_system_nothing_is_delivered_and_it_goes_on() -> Result<()> {
    let stage = Stage::with_deadline("readonlyall", ALL)?;
    let (mut client, leaver) = (stage.client().await?, stage.leaver().await?);
    stage.disk.become_read_only();
    let answer = client.simple(&asking("readonlyall_in_vain")).await;
    assert!(answer.as_ref().map_or(true, |answer| answer.column().is_empty()), "{answer:?}");
    assert!(!executed("readonlyall_in_vain")?);
    stage.is_red("read_only")?;
    stage.turns_strangers_away().await?;
    drop(leaver);
    stage.disk.heal();
    stage.goes_on(None).await?;
    stage.closes_the_leaver()?;
    stage.verifies()
}

/// The reserve is there for what ends meanwhile, and for nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn rc_03_on_a_full_disk_the_program_records_what_ends_in_its_reserve_and_goes_on() -> Result<()> {
    let stage = Stage::with_deadline("full", JOURNAL)?;
    let (mut client, leaver) = (stage.client().await?, stage.leaver().await?);
    stage.disk.fill_up(0);
    stage.asks_in_vain(&mut client, "full_in_vain").await?;
    stage.is_red("full")?;
    drop(leaver);
    stage.closes_the_leaver()?;
    let reserve = stage.site.data().join("journal/reserve");
    assert!(!reserve.exists(), "it was given up for that");
    stage.asks_in_vain(&mut client, "full_in_vain_again").await?;
    stage.is_red("full")?;
    stage.turns_strangers_away().await?;
    stage.disk.heal();
    stage.goes_on(Some(&mut client)).await?;
    assert_eq!(std::fs::metadata(reserve)?.len(), 1024 * 1024, "it is made anew");
    stage.verifies()
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_07_a_write_that_hangs_under_the_program_is_seen_and_nothing_is_forwarded_after_it() -> Result<()> {
    let stage = Stage::with_deadline("writehangs", JOURNAL)?;
    let (mut first, mut client, leaver) = (stage.client().await?, stage.client().await?, stage.leaver().await?);
    let before = stage.disk.met(Kind::Writes);
    stage.disk.fail(Kind::Writes, HANGS);
    // Its own thread writes: it is told when the write returns.
    first.send(&[query(&asking("writehangs_first"))]).await?;
    let hangs = || Ok((stage.disk.met(Kind::Writes) > before).then_some(()));
    eventually_blocking(LIMIT, "a write to hang", hangs)?;
    stage.asks_in_vain(&mut client, "writehangs_in_vain").await?;
    stage.is_red("stalled")?;
    stage.turns_strangers_away().await?;
    drop(leaver);
    stage.disk.heal();
    assert_eq!(first.answer().await?.errors(), ["58030"], "the write returned, too late");
    assert!(!executed("writehangs_first")?, "it was forwarded after the deadline");
    stage.goes_on(Some(&mut first)).await?;
    stage.goes_on(Some(&mut client)).await?;
    stage.closes_the_leaver()?;
    stage.verifies()
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_07_an_fdatasync_that_hangs_under_the_program_is_seen_and_nothing_waits_past_the_deadline() -> Result<()> {
    let stage = Stage::with_deadline("synchangs", JOURNAL)?;
    let (mut client, mut writer, leaver) = (stage.client().await?, stage.writer().await?, stage.leaver().await?);
    stage.disk.fail(Kind::Syncs, HANGS);
    let begun = Instant::now();
    assert_eq!(writer.simple(&update("synchangs_in_vain")).await?.errors(), ["58030"]);
    in_time(begun);
    assert!(!executed("synchangs_in_vain")?);
    stage.is_red("stalled")?;
    stage.asks_in_vain(&mut client, "synchangs_neither").await?;
    stage.turns_strangers_away().await?;
    drop(leaver);
    stage.disk.heal();
    stage.goes_on(Some(&mut client)).await?;
    assert_eq!(writer.simple(&update("synchangs_again")).await?.tags(), ["UPDATE 1"]);
    assert!(executed("synchangs_again")?);
    stage.closes_the_leaver()?;
    stage.verifies()
}

fn segments(stage: &Stage) -> Result<usize> {
    let entries = std::fs::read_dir(stage.site.data().join("journal"))?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().filter(|entry| entry.path().extension().is_some_and(|name| name == "segment")).count())
}

/// What the fdatasync was for may be gone, whatever a second one says: nobody has a receipt for it, and all goes on elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn rc_04_an_fdatasync_that_fails_once_under_the_program_costs_a_segment_and_no_record() -> Result<()> {
    let stage = Stage::with_deadline("synconce", JOURNAL)?;
    let (mut client, mut writer, leaver) = (stage.client().await?, stage.writer().await?, stage.leaver().await?);
    assert_eq!(writer.simple(&update("synconce_before")).await?.tags(), ["UPDATE 1"]);
    let before = segments(&stage)?;
    stage.disk.fail_times(Kind::Syncs, BROKEN, 1);
    let begun = Instant::now();
    assert_eq!(writer.simple(&update("synconce_in_vain")).await?.errors(), ["58030"]);
    in_time(begun);
    assert!(!executed("synconce_in_vain")?);
    assert_eq!((stage.disk.met(Kind::Syncs), segments(&stage)?), (1, before + 1));
    assert_eq!(writer.simple(&update("synconce_again")).await?.tags(), ["UPDATE 1"]);
    drop(leaver);
    stage.goes_on(Some(&mut client)).await?;
    stage.closes_the_leaver()?;
    stage.verifies()
}

/// An fdatasync fails, and no file can be opened to go on in.
#[tokio::test(flavor = "multi_thread")]
async fn rc_04_without_a_descriptor_for_a_new_segment_the_program_refuses_all_and_goes_on() -> Result<()> {
    let stage = Stage::with_deadline("nofiles", JOURNAL)?;
    let (mut client, mut writer, leaver) = (stage.client().await?, stage.writer().await?, stage.leaver().await?);
    assert_eq!(writer.simple(&update("nofiles_before")).await?.tags(), ["UPDATE 1"]);
    let before = segments(&stage)?;
    stage.disk.fail(Kind::Changes, NO_DESCRIPTOR);
    stage.disk.fail_times(Kind::Syncs, BROKEN, 1);
    let begun = Instant::now();
    assert_eq!(writer.simple(&update("nofiles_in_vain")).await?.errors(), ["58030"]);
    in_time(begun);
    assert!(!executed("nofiles_in_vain")?);
    stage.is_red("other")?;
    stage.asks_in_vain(&mut client, "nofiles_neither").await?;
    stage.turns_strangers_away().await?;
    drop(leaver);
    assert_eq!(segments(&stage)?, before);
    stage.disk.heal();
    stage.goes_on(Some(&mut client)).await?;
    assert_eq!(segments(&stage)?, before + 1);
    stage.closes_the_leaver()?;
    stage.verifies()
}
