//! Tapes in object storage (RC-11): a storage that misbehaves, and a real one that checks signatures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use model::event::Event;
use serde_json::Value;
use testkit::command::Output;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::process::sluice;
use testkit::s3::rclone::{KEY, Rclone};
use testkit::s3::{Act, Fault, S3, configuration};
use testkit::tls::write_private;
use testkit::wait::eventually_blocking;

use crate::support::oracle::Watched;
use crate::support::raw::Raw;
use crate::support::{LIMIT, prepare, record};

/// A Sluice with this archive, whose tapes have small parts.
fn archiving(name: &str, archive: String, secret: &str) -> Result<Watched<Site>> {
    let target = "tape_part = \"64KiB\"\n".into();
    let mut site = Watched::new(prepare(name, Tuning { sluice_toml: archive, target, ..Tuning::default() })?)?;
    write_private(&site.home().join("archive.secret"), secret.as_bytes())?;
    site.start()?;
    Ok(site)
}

/// A session of some parts, to its end; its id.
async fn session(site: &Site) -> Result<String> {
    session_of(site, 0).await
}

/// Likewise, after so many others that ended.
async fn session_of(site: &Site, before: usize) -> Result<String> {
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    for number in 0..10 {
        let sql = format!(
            "SELECT 'needle {number}' AS found, repeat(md5(id::text), 100) FROM orders WHERE id < 10 ORDER BY id"
        );
        let answer = client.simple(&sql).await?;
        ensure!(answer.errors().is_empty(), "{:?}", answer.errors());
    }
    client.send(&[testkit::scripted::message(b'X', b"")]).await?;
    client.peer.read_to_close().await?;
    eventually_blocking(LIMIT, "its end", || {
        let events = record::events(site)?.into_iter();
        let mut ends = events.filter(|event| matches!(event, Event::SessionClosed { .. })).skip(before);
        Ok(ends.next().and_then(|end| end.session()).map(|session| session.to_string()))
    })
}

fn command(site: &Site, arguments: &[&str]) -> Result<Output> {
    let config = site.config().display().to_string();
    sluice(site.binary(), arguments, &[("SLUICE_CONFIG", config.as_str())])
}

fn verified(site: &Site) -> Result<Value> {
    Ok(serde_json::from_str(&command(site, &["audit", "verify", "--json"])?.success()?)?)
}

/// Every file below a directory that ends so.
fn files(dir: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, endings)?);
        } else if path.extension().is_some_and(|kind| endings.iter().any(|ending| kind == *ending)) {
            found.push(path);
        }
    }
    Ok(found)
}

fn local(site: &Site) -> Result<Vec<PathBuf>> {
    files(&site.data().join("tapes"), &["tape", "tapez"])
}

/// How many parts are here, one that is just being compressed counted once.
fn parts(site: &Site) -> Result<usize> {
    let stems = local(site)?.into_iter().map(|path| path.with_extension(""));
    Ok(stems.collect::<std::collections::BTreeSet<_>>().len())
}

/// How many parts the journal says are in the archive.
fn archived(site: &Site) -> Result<usize> {
    Ok(record::events(site)?.iter().filter(|event| matches!(event, Event::TapeArchived { .. })).count())
}

/// Waits until the archive has so many parts, and it is said beside each: one that is killed in between sends it again.
fn wait_until_archived(site: &Site, parts: usize) -> Result<()> {
    let said = || files(&site.data().join("tapes"), &["archived"]).map(|said| said.len());
    let all = || Ok((archived(site)? == parts && said()? == parts).then_some(()));
    eventually_blocking(LIMIT, "all to be archived", all).with_context(|| site.log())
}

fn wait_until_all_is_away(site: &Site) -> Result<()> {
    let all = || Ok(local(site)?.is_empty().then_some(()));
    eventually_blocking(LIMIT, "all tapes to be in the archive alone", all).with_context(|| site.log())
}

/// Waits until this file alone is not in the archive.
fn wait_until_only(site: &Site, path: &Path) -> Result<()> {
    let only = || Ok((local(site)? == [path]).then_some(()));
    eventually_blocking(LIMIT, "all other tapes to be in the archive alone", only).with_context(|| site.log())
}

/// The configuration of the directory where it is asked counts for its own data directory and for no other; one that was named
/// counts for any, and is not passed over.
fn the_archive_is_that_of_the_data_directory(site: &Site) -> Result<()> {
    let verify = |directory: &Path, options: &[&str]| {
        let mut command = std::process::Command::new(site.binary());
        command.args(["audit", "verify", "--json", "--data-dir"]).arg(site.data()).args(options).current_dir(directory);
        testkit::command::run(command, b"")
    };
    let away = |output: Output| -> Result<Value> {
        let found: Value = serde_json::from_str(&output.success()?)?;
        Ok(found["tapes_away"].clone())
    };
    let other = tempfile::tempdir()?;
    // It names a data directory beside itself.
    fs::copy(site.config(), other.path().join("sluice.toml"))?;
    ensure!(away(verify(site.home(), &[])?)? == 0, "its own archive was not looked at");
    ensure!(away(verify(other.path(), &[])?)? == 1, "the archive of another data directory was");
    let config = site.config().display().to_string();
    ensure!(away(verify(other.path(), &["--config", &config])?)? == 0, "one that was named was not");
    let broken = other.path().join("broken.toml");
    fs::write(&broken, "data_dir = 1\n")?;
    let refused = verify(other.path(), &["--config", &broken.display().to_string()])?;
    ensure!(!refused.status.success() && refused.stderr.contains("mistake"), "{refused:?}");
    Ok(())
}

/// It is played, searched, exported and verified as if it were here.
fn is_as_if_it_were_here(site: &Site, id: &str) -> Result<()> {
    let played = command(site, &["sessions", "replay", id])?.success()?;
    ensure!((0..10).all(|number| played.contains(&format!("needle {number}"))), "{}", played.len());
    let found = command(site, &["sessions", "replay", id, "--grep", "needle 7"])?.success()?;
    ensure!(found.contains("needle 7") && !found.contains("needle 6"), "{}", found.len());
    let exported = command(site, &["sessions", "export", id])?.success()?;
    ensure!(exported.contains("needle 9"), "{}", exported.len());
    let since = command(site, &["sessions", "replay", id, "--at", "1d"])?.success()?;
    ensure!(!since.contains("needle"), "nothing so late: {since}");
    let found = verified(site)?;
    ensure!(found["tapes"] == 1 && found["tapes_away"] == 0, "{found}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_11_nothing_goes_before_its_object_is_what_it_was() -> Result<()> {
    let s3 = S3::start()?;
    s3.always(Some(Fault::Fails));
    let site = archiving("archive", s3.configuration("archive.secret", "0s"), "any")?;
    let id = session(&site).await?;
    eventually_blocking(LIMIT, "failures", || {
        Ok((site.metric("sluice_archive_failures_total")? >= Some(9)).then_some(()))
    })?;
    let parts = parts(&site)?;
    assert!(parts >= 3 && s3.objects().is_empty() && archived(&site)? == 0, "{parts}");
    assert_eq!(site.metric("sluice_archive_waiting")?, Some(u64::try_from(parts)?));
    let told = site.log().matches("the archive fails").count();
    assert!((1..=4).contains(&told), "{told} lines for some failures:\n{}", site.log());
    // Then it stores other bytes, half of them, and loses its answers.
    s3.plan(Act::Put, [Fault::StoresWrong, Fault::StoresHalf, Fault::LosesReply, Fault::Throttles].map(Some));
    s3.always(None);
    wait_until_all_is_away(&site)?;
    let objects = s3.objects();
    assert_eq!((objects.len(), archived(&site)?), (parts, parts), "{:?}", objects.keys());
    assert!(objects.keys().all(|name| name.starts_with(&format!("some/prefix/tapes/{id}/"))), "{:?}", objects.keys());
    is_as_if_it_were_here(&site, &id)?;
    record::wait_for(
        &site,
        "what the journal says of each",
        |event| matches!(event, Event::TapeArchived { object, length, .. } if objects.get(&**object).is_some_and(|found| u64::try_from(found.len()).ok() == Some(*length))),
    )?;

    // No key of any kind is there, nor anything that was said.
    let keys = files(&site.data().join("keys"), &["key"])?;
    assert!(keys.len() >= 2);
    for content in objects.values() {
        for key in &keys {
            let key = fs::read(key)?;
            assert!(!content.windows(32).any(|window| key.windows(32).any(|key| key == window)));
        }
        assert!(testkit::canary::leak(content, "needle").is_none());
    }
    // Who does not name the archive is told what was not compared, and that nothing is damaged.
    let data = site.data().display().to_string();
    let offline = sluice(site.binary(), &["audit", "verify", "--json", "--data-dir", &data], &[])?.success()?;
    let offline: Value = serde_json::from_str(&offline)?;
    assert!(offline["tapes_away"] == 1 && offline["good"] == true, "{offline}");

    the_archive_is_that_of_the_data_directory(&site)?;

    // What is changed or removed there is found.
    for (name, content) in &objects {
        let mut changed = content.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for bad in [Some(changed), None, Some(content[..middle].to_vec())] {
            s3.put(name, bad);
            let found = command(&site, &["audit", "verify"])?;
            assert!(!found.status.success() && found.stderr.contains(&id), "{name}: {}{}", found.stdout, found.stderr);
        }
        s3.put(name, Some(content.clone()));
    }
    // Removed for good: at once here, and there as soon as it can be reached.
    s3.always(Some(Fault::Fails));
    command(&site, &["sessions", "remove-tape", &id, "--reason", "request 4711"])?.success()?;
    assert!(command(&site, &["sessions", "replay", &id])?.stderr.contains("tape"), "it cannot be played");
    assert_eq!(s3.objects().len(), parts);
    assert!(files(&site.data().join("keys/tapes"), &["key"])?.is_empty());
    s3.always(None);
    eventually_blocking(LIMIT, "the objects to go", || Ok(s3.objects().is_empty().then_some(())))?;
    eventually_blocking(LIMIT, "what was to be done", || {
        Ok(files(&site.data().join("archive"), &["remove"])?.is_empty().then_some(()))
    })?;
    assert_eq!(verified(&site)?["tapes_removed"], 1);
    assert!(fs::read_dir(site.data().join("tapes"))?.next().is_none());
    Ok(())
}

/// What verifying says without the archive's configuration, with what it prints for programs.
fn verified_offline(site: &Site) -> Result<(Output, Value)> {
    let data = site.data().display().to_string();
    let output = sluice(site.binary(), &["audit", "verify", "--json", "--data-dir", &data], &[])?;
    let found = serde_json::from_str(&output.stdout)?;
    Ok((output, found))
}

/// A part is away only if the journal says so, what stands beside the tape says the same, and the file is not here.
#[tokio::test(flavor = "multi_thread")]
async fn rc_11_only_what_the_journal_has_as_archived_is_away() -> Result<()> {
    let s3 = S3::start()?;
    let mut site = archiving("archive_away", s3.configuration("archive.secret", "1d"), "any")?;
    let id = session(&site).await?;
    let parts = parts(&site)?;
    wait_until_archived(&site, parts)?;
    site.stop()?;
    let tapes = site.data().join("tapes");
    let first = tapes.join(format!("{id}.tapez"));
    let second = tapes.join(format!("{id}.parts/00002.tapez"));
    let third = tapes.join(format!("{id}.parts/00003.tapez"));
    let damaged = |what: &str| {
        let (output, found) = verified_offline(&site)?;
        ensure!(!output.status.success() && output.stderr.contains(&id) && found["good"] == false, "{what}: {found}");
        ensure!(output.stderr.contains("DAMAGED"), "{what}: {}", output.stderr);
        anyhow::Ok(())
    };
    // Any one or two of them away: the others are compared, and nothing is damaged.
    for away in [vec![&first], vec![&second], vec![&first, &second], vec![&first, &third]] {
        let kept: Vec<_> = away.iter().map(|path| Ok((*path, fs::read(path)?))).collect::<Result<_>>()?;
        away.iter().try_for_each(fs::remove_file)?;
        let (output, found) = verified_offline(&site)?;
        ensure!(output.status.success() && found["tapes_away"] == 1, "{away:?}: {found} {}", output.stderr);
        let compared = parts - 1 - away.len();
        ensure!(found["tape_parts"] == compared && found["tapes"] == 0, "{away:?}: {found}");
        let as_here = verified(&site)?;
        ensure!(as_here["tapes"] == 1 && as_here["tapes_away"] == 0, "{away:?}: {as_here}");
        // With one of those that are here cut.
        for here in [&first, &second, &third].into_iter().filter(|path| path.exists()) {
            let content = fs::read(here)?;
            fs::write(here, &content[..content.len() / 2])?;
            damaged(&format!("{away:?} away and {here:?} cut"))?;
            fs::write(here, content)?;
        }
        // What stands beside it says something else, or nothing at all.
        let beside = away[0].with_extension("archived");
        let says = fs::read_to_string(&beside)?;
        for other in [String::new(), says.replace("/tapes/", "/others/")] {
            fs::write(&beside, other)?;
            damaged("what stands beside it says something else")?;
        }
        fs::write(&beside, &says)?;
        // An archive that cannot be reached makes nothing damaged, and not good either.
        s3.always(Some(Fault::Fails));
        let output = command(&site, &["audit", "verify", "--json"])?;
        let found: Value = serde_json::from_str(&output.stdout)?;
        ensure!(!output.status.success() && !output.stderr.contains("DAMAGED"), "{}", output.stderr);
        ensure!(found["good"] == false && found["fault"].is_null() && found["tapes_away"] == 1, "{found}");
        ensure!(found["archive_unreached"].is_string() && found["tape_parts"] == compared, "{found}");
        s3.always(None);
        kept.iter().try_for_each(|(path, content)| fs::write(path, content))?;
    }
    // Something that is said of a part that there is not makes no damage go away.
    let content = fs::read(&first)?;
    fs::write(&first, &content[..content.len() / 2])?;
    fs::write(tapes.join(format!("{id}.parts/00099.archived")), b"")?;
    damaged("one cut, and another one said to be away")?;
    fs::write(&first, content)?;
    fs::remove_file(tapes.join(format!("{id}.parts/00099.archived")))?;
    ensure!(verified(&site)?["tapes"] == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_11_a_tape_is_not_away_where_there_never_was_an_archive() -> Result<()> {
    let site = prepare("no_archive", Tuning { target: "tape_part = \"64KiB\"\n".into(), ..Tuning::default() })?;
    let mut site = site;
    site.start()?;
    let id = session(&site).await?;
    site.stop()?;
    ensure!(verified(&site)?["tapes"] == 1);
    let first = site.data().join(format!("tapes/{id}.tapez"));
    fs::remove_file(&first)?;
    for says in ["", "sluice archived tape 1\nsome/object.tapez\n"] {
        fs::write(first.with_extension("archived"), says)?;
        for output in [command(&site, &["audit", "verify", "--json"])?, verified_offline(&site)?.0] {
            ensure!(!output.status.success() && output.stderr.contains("DAMAGED"), "{}", output.stdout);
        }
    }
    Ok(())
}

/// A kept copy stays for as long as it is to be kept, and a process that ends in between goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn rc_11_a_copy_is_kept_as_long_as_it_is_to_be_and_over_a_restart() -> Result<()> {
    let s3 = S3::start()?;
    let mut site = archiving("archive_kept", s3.configuration("archive.secret", "1d"), "any")?;
    let id = session(&site).await?;
    let parts = parts(&site)?;
    wait_until_archived(&site, parts)?;
    assert_eq!(local(&site)?.len(), parts, "they stay");
    site.kill()?;
    let config = fs::read_to_string(site.config())?.replace("keep_local = \"1d\"", "keep_local = \"0s\"");
    fs::write(site.config(), config)?;
    // One is gone from there in the meantime: its copy stays.
    let (name, content) = s3.objects().into_iter().next().context("an object")?;
    s3.put(&name, None);
    site.start()?;
    eventually_blocking(LIMIT, "the others to go", || Ok((local(&site)?.len() == 1).then_some(())))?;
    eventually_blocking(LIMIT, "the failure", || {
        Ok((site.metric("sluice_archive_failures_total")? >= Some(2)).then_some(()))
    })?;
    assert_eq!(local(&site)?.len(), 1, "what is not there is not removed here");
    s3.put(&name, Some(content));
    wait_until_all_is_away(&site)?;
    assert_eq!(archived(&site)?, parts, "none was archived twice");
    is_as_if_it_were_here(&site, &id)
}

/// A copy is compared with its object once more before it goes: what has become of that since is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn rc_11_a_copy_stays_whose_object_became_as_many_other_bytes() -> Result<()> {
    let s3 = S3::start()?;
    let mut site = archiving("archive_changed", s3.configuration("archive.secret", "1d"), "any")?;
    let id = session(&site).await?;
    let parts = parts(&site)?;
    wait_until_archived(&site, parts)?;
    site.stop()?;
    let (name, content) = s3.objects().into_iter().next().context("an object")?;
    let mut other = content.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    s3.put(&name, Some(other));
    let config = fs::read_to_string(site.config())?.replace("keep_local = \"1d\"", "keep_local = \"0s\"");
    fs::write(site.config(), config)?;
    site.start()?;
    eventually_blocking(LIMIT, "it to be said", || {
        Ok(site.log().contains("what the archive has is not what was sent").then_some(()))
    })?;
    eventually_blocking(LIMIT, "the others to go", || Ok((local(&site)?.len() == 1).then_some(())))?;
    s3.put(&name, Some(content));
    wait_until_all_is_away(&site)?;
    is_as_if_it_were_here(&site, &id)
}

/// As many as end a round cannot be read, ahead of all others; those are archived all the same.
#[tokio::test(flavor = "multi_thread")]
async fn rc_11_what_cannot_be_read_keeps_no_other_tape_from_the_archive() -> Result<()> {
    let s3 = S3::start()?;
    s3.always(Some(Fault::Fails));
    let mut site = archiving("archive_unread", s3.configuration("archive.secret", "1d"), "any")?;
    session(&site).await?;
    session_of(&site, 1).await?;
    eventually_blocking(LIMIT, "all to be compressed", || {
        Ok(files(&site.data().join("tapes"), &["tape"])?.is_empty().then_some(()))
    })?;
    site.stop()?;
    let mut paths = local(&site)?;
    // By session, and the first part of each before the others.
    paths.sort_by_key(|path| path.with_extension("").display().to_string().replace(".parts", ""));
    assert!(paths.len() >= 5, "{paths:?}");
    let aside = site.home().join("aside");
    fs::create_dir(&aside)?;
    let unreadable: Vec<_> = paths.iter().take(4).cloned().collect();
    for (number, path) in unreadable.iter().enumerate() {
        fs::rename(path, aside.join(number.to_string()))?;
        // One as it is while it is written, the others compressed.
        let path = if number == 0 { path.with_extension("tape") } else { path.clone() };
        fs::create_dir(path)?;
    }
    s3.always(None);
    site.start()?;
    let others = paths.len() - unreadable.len();
    eventually_blocking(LIMIT, "the others to be archived", || Ok((archived(&site)? == others).then_some(())))?;
    for (number, path) in unreadable.iter().enumerate() {
        fs::remove_dir(if number == 0 { path.with_extension("tape") } else { path.clone() })?;
        fs::rename(aside.join(number.to_string()), path)?;
    }
    eventually_blocking(LIMIT, "all to be archived", || Ok((archived(&site)? == paths.len()).then_some(())))
}

/// A tape in clear, from before they were sealed, stays here.
#[tokio::test(flavor = "multi_thread")]
async fn rc_11_a_tape_in_clear_is_not_sent() -> Result<()> {
    use ledger::tape::{Kind, Tape};
    let s3 = S3::start()?;
    let mut site = archiving("archive_clear", s3.configuration("archive.secret", "0s"), "any")?;
    let ended: model::id::SessionId = session(&site).await?.parse()?;
    wait_until_all_is_away(&site)?;
    site.stop()?;
    // In the place of what was archived of a session that ended, as an earlier version had left it.
    let tapes = site.data().join("tapes");
    let of_parts = tapes.join(format!("{ended}.parts"));
    fs::remove_dir_all(of_parts)?;
    fs::remove_file(tapes.join(format!("{ended}.archived")))?;
    let objects = s3.objects().len();
    let disk: std::sync::Arc<dyn ledger::Disk> = std::sync::Arc::new(ledger::RealDisk);
    let mut tape = Tape::create(&disk, &tapes, ended, model::time::Timestamp(1), None)?;
    drop(tape.record(Kind::ToClient, model::time::Timestamp(2), &[b"in clear"])?);
    tape.finish(model::time::Timestamp(3))?;
    site.start()?;
    let later = session_of(&site, 1).await?;
    eventually_blocking(LIMIT, "what came later to be archived", || {
        Ok(s3.objects().keys().any(|name| name.contains(&later)).then_some(()))
    })?;
    wait_until_only(&site, &tapes.join(format!("{ended}.tape")))?;
    let found = s3.objects();
    assert!(
        found.len() > objects
            && !found
                .values()
                .any(|content| content.starts_with(b"SLUICET\x01") || content.starts_with(b"SLUICEZ\x01"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rc_11_a_real_server_takes_what_is_signed_and_nothing_else() -> Result<()> {
    let server = Rclone::start()?;
    let archive = configuration(server.address(), KEY.0, "archive.secret", "0s");
    let site = archiving("archive_real", archive, "not-the-secret")?;
    let id = session(&site).await?;
    eventually_blocking(LIMIT, "a failure", || {
        Ok((site.metric("sluice_archive_failures_total")? >= Some(1)).then_some(()))
    })?;
    assert!(files(&server.objects(), &["tapez"])?.is_empty() && archived(&site)? == 0);
    let parts = parts(&site)?;
    write_private(&site.home().join("archive.secret"), KEY.1.as_bytes())?;
    wait_until_all_is_away(&site)?;
    assert_eq!((files(&server.objects(), &["tapez"])?.len(), archived(&site)?), (parts, parts));
    is_as_if_it_were_here(&site, &id)?;
    command(&site, &["sessions", "remove-tape", &id, "--reason", "request 4711"])?.success()?;
    eventually_blocking(LIMIT, "the objects to go", || {
        Ok(files(&server.objects(), &["tapez"])?.is_empty().then_some(()))
    })
}
