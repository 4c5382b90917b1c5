//! The command line against a real session: listed, replayed, ended; a window asked for, agreed to and used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use anyhow::{Context, Result};
use serde_json::Value;
use support::raw::Raw;
use support::{LIMIT, run, shared};
use testkit::demo::site::{DBA, ORDER_SERVICE, Site, Tuning};
use testkit::process::sluice;
use testkit::wait::eventually_blocking;

/// Runs `sluice` against the site with this token, or else as the first administrator.
fn command(site: &Site, token: Option<&str>, arguments: &[&str]) -> Result<testkit::command::Output> {
    let config = site.config().display().to_string();
    let mut environment = vec![("SLUICE_CONFIG", config.as_str())];
    environment.extend(token.map(|token| ("SLUICE_TOKEN", token)));
    sluice(site.binary(), arguments, &environment)
}

fn as_json(site: &Site, arguments: &[&str]) -> Result<Value> {
    let output = command(site, None, &[arguments, &["--json"]].concat())?;
    Ok(serde_json::from_str(&output.success()?)?)
}

/// The newest live session of a subject.
fn live_session(site: &Site, subject: &str) -> Result<Option<String>> {
    let listed = as_json(site, &["sessions", "list"])?;
    let found = listed.as_array().context("a list")?.iter().rfind(|session| session["subject"]["id"] == subject);
    Ok(found.and_then(|session| session["session"].as_str()).map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_listed_replayed_and_ended() -> Result<()> {
    let site = &shared()?;
    let token = support::token(site, "watched", &["payments-apps"])?;
    let mut client = Raw::login(site, &token).await?;
    client.simple("SELECT id, total FROM orders ORDER BY id LIMIT 2").await?;
    client.simple("DROP TABLE orders").await?;
    let id = live_session(site, "watched")?.context("the session is listed")?;
    let shown = command(site, None, &["sessions", "show", &id])?.success()?;
    assert!(shown.contains("live"), "{shown}");
    let played = command(site, None, &["sessions", "replay", &id])?.success()?;
    for expected in ["watched at payments", "SELECT id, total FROM orders", "id  total", "SELECT 2", "42501"] {
        assert!(played.contains(expected), "{expected} is not in:\n{played}");
    }
    let renewed = support::token(site, "watched", &["payments-apps"])?;
    let path = format!("/v1/sessions/{id}/token");
    let (status, _) = support::admin::call(site, &renewed, "POST", &path, None)?;
    assert_eq!(status, 200);
    let (status, _) = support::admin::call(site, &site.token(&DBA)?, "POST", &path, None)?;
    assert_eq!(status, 404, "somebody else's session");
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);
    command(site, None, &["sessions", "kill", &id])?.success()?;
    assert_eq!(client.end().await?.as_deref(), Some("57P01"));
    eventually_blocking(LIMIT, "the record of its end", || {
        let record = as_json(site, &["sessions", "show", &id])?;
        Ok(record["record"]["closed"].is_object().then_some(()))
    })?;
    let killed = as_json(site, &["audit", "events", "--since", "1h"])?.to_string();
    assert!(killed.contains("session.kill") && killed.contains("session.replay") && killed.contains("session.renew"));
    Ok(())
}

#[test]
fn a_window_is_asked_for_agreed_to_and_used() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let database = site.database();
    let request = ["request", "--target", "payments", "--database", database, "--verb", "delete"];
    let scope = ["--table", "public.refunds", "--for", "10m", "--max-uses", "2", "--reason", "INC-42", "--json"];
    let asked = command(site, Some(&token), &[request.as_slice(), &scope].concat())?.success()?;
    let asked: Value = serde_json::from_str(&asked)?;
    let id = asked["id"].as_str().context("an id")?;
    let own = command(site, Some(&token), &["approvals", "approve", id])?;
    assert_eq!(own.status.code(), Some(1), "nobody answers their own");
    let approved = command(site, Some(&site.token(&DBA)?), &["approvals", "approve", id, "--reason", "agreed"])?;
    assert_eq!(approved.success()?, format!("{id} is approved\n"));
    for _ in 0..2 {
        run(site, &token, "DELETE FROM refunds WHERE id = 900001")?.success()?;
    }
    let shown = command(site, Some(&site.token(&DBA)?), &["approvals", "show", id])?.success()?;
    assert!(shown.contains("used by") && shown.contains("only on public.refunds"), "{shown}");
    assert!(shown.contains("consumed"), "{shown}");
    Ok(())
}

/// From the files and the public key alone, as an auditor who was sent both.
#[test]
fn an_entry_is_proved_to_somebody_who_has_the_key_alone() -> Result<()> {
    let site = &shared()?;
    let token = support::token(site, "proven", &["payments-apps"])?;
    run(site, &token, "SELECT id AS proven FROM orders WHERE id = 1")?.success()?;
    let found = eventually_blocking(LIMIT, "the request in the index", || {
        let found = as_json(site, &["audit", "search", "--subject", "proven", "--text", "proven"])?;
        Ok(found[0]["request"].as_str().map(str::to_owned))
    })?;
    let listed =
        command(site, None, &["audit", "search", "--subject", "proven", "--text", "proven", "--csv"])?.success()?;
    assert!(listed.starts_with("WHEN,SUBJECT,TARGET,") && listed.contains(&found), "{listed}");
    let data_dir = site.data().display().to_string();
    let outside = tempfile::tempdir()?;
    let kept = |name: &str| outside.path().join(name).display().to_string();
    std::fs::copy(site.data().join("journal.pub"), kept("journal.pub"))?;
    let proof = eventually_blocking(LIMIT, "a checkpoint that covers it", || {
        let output = command(site, None, &["audit", "prove", &found, "--data-dir", &data_dir])?;
        Ok(output.status.success().then_some(output.stdout))
    })?;
    std::fs::write(kept("request.tlog-proof"), &proof)?;
    let checked = as_json(site, &["audit", "check-proof", &kept("request.tlog-proof"), "--key", &kept("journal.pub")])?;
    let content = checked["content"].to_string();
    assert!(checked["good"] == true && content.contains("decided") && content.contains(&found), "{checked}");
    let forged = proof.replacen("index ", "index 1", 1);
    std::fs::write(kept("forged.tlog-proof"), forged)?;
    let refused =
        command(site, None, &["audit", "check-proof", &kept("forged.tlog-proof"), "--key", &kept("journal.pub")])?;
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("proves NOTHING"), "{}", refused.stderr);
    // A checkpoint that is kept is what the journal must have grown from.
    std::fs::copy(site.data().join("journal/checkpoint"), kept("checkpoint"))?;
    let verify = ["audit", "verify", "--data-dir", &data_dir, "--checkpoint", &kept("checkpoint")];
    assert!(command(site, None, &verify)?.success()?.contains("the record is whole"));
    Ok(())
}

#[test]
fn growth_is_proved_to_somebody_who_has_two_checkpoints_and_the_key_alone() -> Result<()> {
    let site = &shared()?;
    let data_dir = site.data().display().to_string();
    let outside = tempfile::tempdir()?;
    let kept = |name: &str| outside.path().join(name).display().to_string();
    std::fs::copy(site.data().join("journal.pub"), kept("journal.pub"))?;
    let latest = || std::fs::read_to_string(site.data().join("journal/checkpoint")).ok();
    let token = support::token(site, "grower", &["payments-apps"])?;
    run(site, &token, "SELECT 1")?.success()?;
    let old = eventually_blocking(LIMIT, "a checkpoint", || Ok(latest()))?;
    std::fs::write(kept("old"), &old)?;
    run(site, &token, "SELECT 2")?.success()?;
    let new = eventually_blocking(LIMIT, "another checkpoint", || Ok(latest().filter(|new| *new != old)))?;
    std::fs::write(kept("new"), new)?;
    let prove = ["audit", "prove-growth", &kept("old"), &kept("new"), "--data-dir", &data_dir];
    let proof = command(site, None, &prove)?.success()?;
    let check = |old: &str, proof: &str| {
        std::fs::write(kept("proof"), proof)?;
        command(site, None, &["audit", "check-growth", &kept(old), &kept("proof"), "--key", &kept("journal.pub")])
    };
    assert!(check("old", &proof)?.success()?.contains("grew from that of"), "{proof}");
    // Of another size, with another hash, and from a checkpoint that is not the older one.
    let hash = proof.lines().nth(1).filter(|line| !line.is_empty()).context("no hash")?;
    let digit = if hash.starts_with('A') { "B" } else { "A" };
    let forged = proof.replacen(hash, &format!("{digit}{}", &hash[1..]), 1);
    for (from, proof) in [("old", &*proof.replacen("old ", "old 1", 1)), ("old", &forged), ("new", &proof)] {
        let refused = check(from, proof)?;
        assert!(refused.status.code() == Some(1) && refused.stderr.contains("proves NOTHING"), "{}", refused.stderr);
    }
    Ok(())
}

#[test]
fn the_index_is_made_again_from_the_journal() -> Result<()> {
    let mut site = support::site("reindexed", Tuning::default())?;
    let token = support::token(&site, "searched", &["payments-apps"])?;
    run(&site, &token, "SELECT id, 'searched' FROM orders WHERE id = 1")?.success()?;
    let search = |site: &Site| {
        eventually_blocking(LIMIT, "the request in the index", || {
            let found = as_json(site, &["audit", "search", "--subject", "searched"])?;
            Ok(found[0]["completion"].is_object().then(|| found.to_string()))
        })
    };
    let before = search(&site)?;
    let reindex = |site: &Site| {
        let data_dir = site.data().display().to_string();
        command(site, None, &["audit", "reindex", "--data-dir", &data_dir])
    };
    let refused = reindex(&site)?;
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("another process"), "{}", refused.stderr);
    site.stop()?;
    std::fs::write(site.data().join("index.db"), "this is no database any more")?;
    let told = reindex(&site)?.success()?;
    assert!(told.contains("entries indexed"), "{told}");
    site.start()?;
    assert_eq!(search(&site)?, before);
    Ok(())
}

/// A session whose answers outgrow its cap: the tape says so, and is played, searched, exported and removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_tape_is_capped_searched_exported_and_removed() -> Result<()> {
    let tuning = Tuning { target: "tape_cap = \"64KiB\"\n".into(), ..Tuning::default() };
    let site = &support::site("capped", tuning)?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut client = Raw::login(site, &token).await?;
    client.simple("SELECT 'needle in the hay' AS found, id FROM orders WHERE id = 1").await?;
    client.simple("SELECT repeat('x', 100000)").await?;
    assert_eq!(client.simple("SELECT 'after the cap'").await?.column(), ["after the cap"]);
    let id = live_session(site, "order-service")?.context("the session is listed")?;
    let refused = command(site, None, &["sessions", "remove-tape", &id, "--reason", "too early"])?;
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("still runs"), "{}", refused.stderr);
    command(site, None, &["sessions", "kill", &id])?.success()?;
    client.end().await?;
    let events = eventually_blocking(LIMIT, "the record of its end", || {
        let record = as_json(site, &["sessions", "show", &id])?;
        let events = as_json(site, &["audit", "events", "--since", "1h"])?.to_string();
        Ok((record["record"]["closed"].is_object() && events.contains("tape_cut")).then_some(events))
    })?;
    assert!(events.contains("65536 bytes"), "{events}");
    let replay = |options: &[&str]| command(site, None, &[&["sessions", "replay", &id], options].concat())?.success();
    let played = replay(&[])?;
    for expected in ["left out of the tape", "SELECT 'after the cap'", "needle in the hay", "end of the session"] {
        assert!(played.contains(expected), "{expected} is not in:\n{played}");
    }
    assert!(!played.lines().any(|line| line.trim() == "after the cap"), "its answer is not on the tape");
    let found = replay(&["--grep", "NEEDLE"])?;
    assert!(found.contains("needle in the hay") && !found.contains("repeat"), "{found}");
    assert!(!replay(&["--at", "1d"])?.contains("needle"), "nothing so late");
    assert!(replay(&["--speed", "1000", "--idle-limit", "1s"])?.contains("needle"));
    let outside = tempfile::tempdir()?;
    let cast = outside.path().join("session.cast").display().to_string();
    let export = ["sessions", "export", &id, "--format", "asciicast", "--output", &cast];
    command(site, None, &export)?.success()?;
    let written = std::fs::read_to_string(&cast)?;
    let header: Value = serde_json::from_str(written.lines().next().context("a header")?)?;
    assert!(header["version"] == 2 && written.contains("needle in the hay"), "{header}");
    assert_eq!(command(site, None, &export)?.status.code(), Some(1), "nothing is overwritten");
    let exported = command(site, None, &["sessions", "export", &id])?.success()?;
    assert!(exported.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{exported}");
    let data_dir = site.data().display().to_string();
    let verify = || command(site, None, &["audit", "verify", "--data-dir", &data_dir])?.success();
    assert!(verify()?.contains("1 tapes match\n"), "{}", verify()?);
    command(site, None, &["sessions", "remove-tape", &id, "--reason", "request 4711"])?.success()?;
    assert!(verify()?.contains("0 tapes match, 1 were removed"), "{}", verify()?);
    Ok(())
}
