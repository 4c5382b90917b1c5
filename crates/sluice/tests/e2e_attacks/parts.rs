//! Sessions that outgrow one part of a tape (RC-14).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use ledger::tape::{Kind, TapeEnd};
use model::event::Event;
use model::id::SessionId;
use serde_json::Value;
use testkit::command::Output;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::process::sluice;
use testkit::tls::write_private;
use testkit::wait::eventually_blocking;

use crate::support::raw::Raw;
use crate::support::{LIMIT, prepare, record, site, tape};

fn small_parts() -> Tuning {
    Tuning { target: "tape_part = \"64KiB\"\n".into(), ..Tuning::default() }
}

/// An answer of some 30 KB that no other request has.
async fn ask(client: &mut Raw, name: &str) -> Result<()> {
    let sql = format!("SELECT '{name}' AS found, repeat(md5(id::text), 100) FROM orders WHERE id < 10 ORDER BY id");
    let answer = client.simple(&sql).await?;
    ensure!(answer.errors().is_empty() && answer.rows().len() == 9, "{name}: {:?}", answer.errors());
    Ok(())
}

fn command(site: &Site, arguments: &[&str]) -> Result<Output> {
    let config = site.config().display().to_string();
    sluice(site.binary(), arguments, &[("SLUICE_CONFIG", config.as_str())])
}

/// The parts of each session's tape that the journal has, in order, and what its end says.
fn parts(site: &Site) -> Result<Vec<(SessionId, u32, u64)>> {
    let events = record::events(site)?.into_iter();
    Ok(events
        .filter_map(|event| match event {
            Event::TapePartEnded { session, part, length, .. } => Some((session, part, length)),
            _ => None,
        })
        .collect())
}

fn wait_for_parts(site: &Site, count: usize) -> Result<SessionId> {
    eventually_blocking(LIMIT, "parts to end", || {
        let found = parts(site)?;
        Ok((found.len() >= count).then(|| found[0].0))
    })
}

/// What the journal says of a session's whole tape.
fn whole(site: &Site, session: SessionId) -> Result<u64> {
    let event = record::wait_for(
        site,
        "the session's end",
        |event| matches!(event, Event::SessionClosed { session: closed, .. } if *closed == session),
    )?;
    let Event::SessionClosed { tape: Some((_, length)), .. } = event else { anyhow::bail!("{event:?}") };
    Ok(length)
}

/// The files of a part: two, where a process was killed while it compressed the part.
fn files(site: &Site, session: SessionId, part: u32) -> Vec<PathBuf> {
    let stem = if part == 1 { session.to_string() } else { format!("{session}.parts/{part:05}") };
    let forms = ["tapez", "tape"].map(|form| site.data().join("tapes").join(format!("{stem}.{form}")));
    forms.into_iter().filter(|path| path.exists()).collect()
}

/// The file of a part, whichever form it has.
fn file(site: &Site, session: SessionId, part: u32) -> Result<PathBuf> {
    files(site, session, part).into_iter().next().with_context(|| format!("part {part} is missing"))
}

fn verify(site: &Site) -> Result<Output> {
    command(site, &["audit", "verify", "--json"])
}

fn verified(site: &Site) -> Result<Value> {
    let output = verify(site)?;
    Ok(serde_json::from_str(&output.success()?)?)
}

/// Each damage is found, and gone when the file is put back. Nothing may write meanwhile.
fn every_damage_is_found(site: &Site, session: SessionId, count: u32) -> Result<()> {
    let found = |what: &str| {
        let output = verify(site)?;
        ensure!(!output.status.success(), "{what} is not noticed: {}", output.stdout);
        ensure!(output.stderr.contains(&format!("the tape of session {session} ")), "{what}: {}", output.stderr);
        anyhow::Ok(())
    };
    for part in 1..=count {
        let path = file(site, session, part)?;
        let content = fs::read(&path)?;
        files(site, session, part).iter().try_for_each(fs::remove_file)?;
        found(&format!("part {part} missing"))?;
        fs::write(&path, &content[..content.len() / 2])?;
        found(&format!("part {part} cut"))?;
        fs::write(&path, &content)?;
    }
    let (second, third) = (file(site, session, 2)?, file(site, session, 3)?);
    let kept = (fs::read(&second)?, fs::read(&third)?);
    fs::write(&second, &kept.1)?;
    fs::write(&third, &kept.0)?;
    found("two parts swapped")?;
    fs::write(&second, kept.0)?;
    fs::write(&third, kept.1)?;
    verified(site).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_14_a_long_session_is_one_tape_of_many_parts() -> Result<()> {
    let mut site = site("parts", small_parts())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    for number in 0..12 {
        ask(&mut client, &format!("needle {number}")).await?;
    }
    // While the session goes on.
    let session = wait_for_parts(&site, 3)?;
    let id = session.to_string();
    let replay =
        |site: &Site, options: &[&str]| command(site, &[&["sessions", "replay", &id], options].concat())?.success();
    let live = replay(&site, &[])?;
    assert!((0..12).all(|number| live.contains(&format!("needle {number}"))), "{}", live.len());
    let going_on = verified(&site)?;
    assert!(going_on["tape_parts"].as_u64() >= Some(3), "{going_on}");
    let middle: Value = {
        let lines = command(&site, &["sessions", "export", &id])?.success()?;
        let line = lines.lines().find(|line| line.contains("'needle 8'")).context("the request")?;
        serde_json::from_str(line)?
    };
    // Stopped with the session open: its last part is finished.
    site.stop()?;
    drop(client);
    let ended = parts(&site)?;
    let length = whole(&site, session)?;
    let count = u32::try_from(ended.len())? + 1;
    assert!(count >= 4, "{ended:?}");
    assert!(ended.iter().all(|(_, _, length)| (64 << 10..160 << 10).contains(length)), "{ended:?}");
    assert!(ended.iter().map(|(_, part, _)| *part).eq(1..count), "{ended:?}");
    assert!(length > ended.iter().map(|(_, _, length)| length).sum());
    let (records, end) = tape::records(&file(&site, session, 1)?)?;
    assert_eq!(end, Some(TapeEnd::Complete));
    let asked = records.iter().filter(|record| record.kind == Kind::FromClient).count();
    assert_eq!(asked, 12);
    every_damage_is_found(&site, session, count)?;

    site.start()?;
    let moment = middle["at"].as_u64().context("its time")?;
    let moment = model::time::Timestamp(moment).to_string();
    let since = replay(&site, &["--at", &moment])?;
    assert!(since.contains("needle 11") && !since.contains("needle 2"), "{}", since.len());
    let found = replay(&site, &["--grep", "needle 9"])?;
    assert!(found.contains("needle 9") && !found.contains("needle 8"), "{}", found.len());
    command(&site, &["sessions", "remove-tape", &id, "--reason", "request 4711"])?.success()?;
    let left: Vec<_> = fs::read_dir(site.data().join("tapes"))?.collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(verified(&site)?["tapes_removed"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_14_what_a_killed_session_left_in_several_parts_is_one_tape() -> Result<()> {
    let mut site = site("killed_parts", small_parts())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    for number in 0..10 {
        ask(&mut client, &format!("needle {number}")).await?;
    }
    site.kill()?;
    drop(client);
    let before = parts(&site)?;
    site.start()?;
    let session = wait_for_parts(&site, 3)?;
    let length = whole(&site, session)?;
    let ended = parts(&site)?;
    let count = u32::try_from(ended.len())? + 1;
    assert!(ended.starts_with(&before) && ended.iter().map(|(_, part, _)| *part).eq(1..count), "{before:?} {ended:?}");
    assert!(length > ended.iter().map(|(_, _, length)| length).sum());
    let found = verified(&site)?;
    assert_eq!((&found["tapes"], &found["tapes_truncated"]), (&Value::from(1), &Value::from(1)), "{found}");
    let played = command(&site, &["sessions", "replay", &session.to_string()])?.success()?;
    assert!((0..10).all(|number| played.contains(&format!("needle {number}"))), "{}", played.len());
    site.stop()?;
    every_damage_is_found(&site, session, count)
}

/// A part ends by its age as well, without anybody asking anything; one with nothing on it stays.
#[tokio::test(flavor = "multi_thread")]
async fn rc_14_a_part_ends_when_it_is_old_while_nothing_is_asked() -> Result<()> {
    let tuning = Tuning { target: "tape_part_age = \"1s\"\n".into(), ..Tuning::default() };
    let mut site = site("aged_parts", tuning)?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    for count in 1..=2 {
        ask(&mut client, "needle").await?;
        wait_for_parts(&site, count)?;
    }
    let Event::TapePartEnded { session, part: 1, .. } =
        record::wait_for(&site, "a part", |event| matches!(event, Event::TapePartEnded { .. }))?
    else {
        anyhow::bail!("another part is the first");
    };
    site.stop()?;
    drop(client);
    // The last part begins fresh, and there is nothing on it.
    assert_eq!(parts(&site)?.len(), 2);
    whole(&site, session)?;
    let found = verified(&site)?;
    assert_eq!((&found["tapes"], &found["tape_parts"]), (&Value::from(1), &Value::from(2)), "{found}");
    Ok(())
}

/// What is archived of a session stays here until its end is known, so that this covers the whole tape: what is cut off it
/// later is found.
#[tokio::test(flavor = "multi_thread")]
async fn rc_14_a_killed_session_whose_parts_are_archived_has_an_end_that_covers_its_tape() -> Result<()> {
    let s3 = testkit::s3::S3::start()?;
    let target = "tape_part = \"64KiB\"\n".into();
    let tuning = Tuning { sluice_toml: s3.configuration("archive.secret", "0s"), target, ..Tuning::default() };
    let mut site = prepare("killed_archived", tuning)?;
    write_private(&site.home().join("archive.secret"), b"any")?;
    site.start()?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    for number in 0..10 {
        ask(&mut client, &format!("needle {number}")).await?;
    }
    let archived = |site: &Site| {
        let events = record::events(site)?.into_iter();
        anyhow::Ok(events.filter(|event| matches!(event, Event::TapeArchived { .. })).count())
    };
    eventually_blocking(LIMIT, "parts to be archived", || Ok((archived(&site)? >= 2).then_some(())))?;
    // A round, in which what could go would: another session's part is archived and goes.
    let mut other = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    ask(&mut other, "other").await?;
    other.send(&[testkit::scripted::message(b'X', b"")]).await?;
    other.peer.read_to_close().await?;
    let session = parts(&site)?[0].0;
    let others = |site: &Site| -> Result<usize> {
        let names = fs::read_dir(site.data().join("tapes"))?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<Result<Vec<_>>>()?.into_iter().map(|name| name.to_string_lossy().into_owned());
        Ok(names.filter(|name| name.contains(".tape") && !name.starts_with(&session.to_string())).count())
    };
    eventually_blocking(LIMIT, "the other one to go", || {
        let told = record::events(&site)?
            .into_iter()
            .any(|event| matches!(event, Event::TapeArchived { session: of, .. } if of != session));
        Ok((told && others(&site)? == 0).then_some(()))
    })?;
    site.kill()?;
    drop(client);
    s3.always(Some(testkit::s3::Fault::Fails));
    site.start()?;
    whole(&site, session)?;
    let gap = record::events(&site)?
        .into_iter()
        .any(|event| matches!(event, Event::Gap { session: Some(of), .. } if of == session));
    ensure!(!gap, "its tape could be read");
    let last = u32::try_from(parts(&site)?.iter().filter(|(of, ..)| *of == session).count())? + 1;
    let path = file(&site, session, last)?;
    site.stop()?;
    s3.always(None);
    verified(&site)?;
    let content = fs::read(&path)?;
    fs::write(&path, &content[..content.len() - 1000])?;
    let output = verify(&site)?;
    ensure!(
        !output.status.success() && output.stderr.contains(&session.to_string()),
        "{}{}",
        output.stdout,
        output.stderr
    );
    Ok(())
}

/// The beginning of a tape is gone that the journal was told of: that is a gap, and not a session without a tape.
#[tokio::test(flavor = "multi_thread")]
async fn rc_14_a_killed_session_whose_beginning_is_gone_has_a_gap() -> Result<()> {
    let mut site = site("killed_gone", small_parts())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    for number in 0..5 {
        ask(&mut client, &format!("needle {number}")).await?;
    }
    let session = wait_for_parts(&site, 1)?;
    site.kill()?;
    drop(client);
    files(&site, session, 1).iter().try_for_each(fs::remove_file)?;
    let _ = fs::remove_dir_all(site.data().join(format!("tapes/{session}.parts")));
    site.start()?;
    let gap = |event: &Event| matches!(event, Event::Gap { session: Some(of), reason } if *of == session && reason.contains("cannot be read"));
    record::wait_for(&site, "a gap", gap)?;
    Ok(())
}
