//! Evidence that somebody with access to the disk has changed, or wants to differ from (TD-).

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, params};
use serde_json::Value;
use testkit::demo::site::{AUDITOR, ORDER_SERVICE, Site, Tuning};
use testkit::scripted::message;
use testkit::wait::eventually_blocking;

use super::tapes::tapes;
use crate::support::admin::call;
use crate::support::raw::Raw;
use crate::support::{LIMIT, run, site, sqlstates};

/// Two tapes that are both whole, of the same length, each in the other's place.
#[tokio::test(flavor = "multi_thread")]
async fn td_11_a_tape_in_anothers_place_is_found() -> Result<()> {
    let mut site = site("exchanged", Tuning::default())?;
    for number in [1, 2] {
        let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
        client.simple(&format!("SELECT {number} AS asked")).await?;
        client.send(&[message(b'X', b"")]).await?;
        client.peer.read_to_close().await?;
    }
    site.stop()?;
    let verify = || {
        let config = site.config().display().to_string();
        let environment = [("SLUICE_CONFIG", config.as_str())];
        testkit::process::sluice(site.binary(), &["audit", "verify"], &environment)
    };
    verify()?.success()?;
    let paths = tapes(&site)?;
    let [first, second] = &paths[..] else { anyhow::bail!("{paths:?}") };
    let kept = std::fs::read(first)?;
    std::fs::copy(second, first)?;
    let found = verify()?;
    assert!(!found.status.success(), "a copy of another tape is not noticed: {}", found.stdout);
    std::fs::write(second, kept)?;
    let found = verify()?;
    assert!(!found.status.success(), "{}", found.stdout);
    let names = paths.iter().filter_map(|path| path.file_stem()?.to_str());
    assert_eq!(names.filter(|name| found.stderr.contains(name)).count(), 1, "{}", found.stderr);
    Ok(())
}

/// What the journal has of events with these words in their query.
fn events(site: &Site, query: &str) -> Result<Vec<Value>> {
    let (_, found) = call(site, &site.token(&AUDITOR)?, "GET", &format!("/v1/audit/events?{query}"), None)?;
    found.as_array().cloned().with_context(|| found.to_string())
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(kind).collect()
}

fn kind(event: &Value) -> Option<&str> {
    event["event"].as_object()?.keys().next().map(String::as_str)
}

/// Whoever can write to the state can approve; they cannot make somebody have approved.
#[test]
fn td_14_an_approval_that_was_written_into_the_state_was_given_by_nobody() -> Result<()> {
    let site = site("forged", Tuning { sluice_toml: "[approvals]\nhold_max = \"1s\"\n".into(), ..Tuning::default() })?;
    let token = site.token(&ORDER_SERVICE)?;
    let sql = "DELETE FROM payments WHERE id = 1";
    let asked = run(&site, &token, sql)?;
    assert_eq!(sqlstates(&asked), ["42501"], "{}", asked.stderr);
    let id = asked.stderr.split_whitespace().find(|word| word.starts_with("apr-")).context("no approval")?;
    let state = Connection::open(site.data().join("state.db"))?;
    assert_eq!(state.execute("UPDATE approvals SET status = 'approved' WHERE status = 'pending'", [])?, 1);
    assert_eq!(sqlstates(&run(&site, &token, sql)?), ["58030"], "a status alone is no approval");
    let answer = r#"{"approver": {"issuer": "corp", "id": "nobody"}, "groups": ["dba"], "approve": true, "at": 0}"#;
    let forge = "INSERT INTO answers (approval, people, answer) SELECT id, '[\"nobody\"]', ? FROM approvals";
    state.execute(forge, [answer])?;
    state.execute("UPDATE approvals SET status = 'approved' WHERE status = 'pending'", [])?;
    let forged = run(&site, &token, sql)?;
    assert!(forged.status.success(), "{}", forged.stderr);
    let found = eventually_blocking(LIMIT, "the use to be found", || {
        let found = events(&site, &format!("approval={id}"))?;
        Ok(kinds(&found).contains(&"approval_consumed").then_some(found))
    })?;
    assert!(!kinds(&found).contains(&"approval_answered"), "{found:?}");
    Ok(())
}

/// Which policies were in force is what the journal says, by the digest of their files.
#[test]
fn td_14_the_digest_of_a_revision_is_not_where_state_or_files_are() -> Result<()> {
    let mut site = site("history", Tuning::default())?;
    let config = site.config().display().to_string();
    let checked = testkit::process::sluice(site.binary(), &["check", "--config", &config], &[])?.success()?;
    let digest = checked.lines().find_map(|line| line.strip_prefix("revision ")).context("no digest")?.to_owned();
    run(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?;
    site.stop()?;
    let state = Connection::open(site.data().join("state.db"))?;
    assert_eq!(state.execute("UPDATE revisions SET digest = ?", params![[7_u8; 32]])?, 1);
    drop(state);
    let policy = site.revision_file("policies/90-later.cedar");
    std::fs::write(&policy, "@id(\"as-if-it-had-been-there\") permit (principal, action, resource);\n")?;
    let changed = testkit::process::sluice(site.binary(), &["check", "--config", &config], &[])?.success()?;
    assert!(!changed.contains(&digest), "another revision has the same digest");
    site.start()?;
    let told = eventually_blocking(LIMIT, "both revisions to be found", || {
        let found = events(&site, "limit=1000")?;
        let applied = found.into_iter().filter(|event| kind(event) == Some("revision_applied"));
        let applied: Vec<String> = applied.map(|event| event.to_string()).collect();
        Ok((applied.len() == 2).then_some(applied))
    })?;
    // The newest first. The requests of before name the older one.
    let [later, first] = &told[..] else { bail!("{told:?}") };
    assert!(first.contains(&digest) && !later.contains(&digest), "{told:?}");
    assert!(changed.lines().any(|line| line.strip_prefix("revision ").is_some_and(|new| later.contains(new))));
    Ok(())
}
