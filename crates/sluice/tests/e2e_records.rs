//! Questions after the fact: of a class as it was then and as it is now, and over several journals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use support::{LIMIT, run};
use testkit::demo::site::{Site, Tuning};
use testkit::process::sluice;
use testkit::wait::eventually_blocking;

fn command(site: &Site, arguments: &[&str]) -> Result<testkit::command::Output> {
    let config = site.config().display().to_string();
    sluice(site.binary(), arguments, &[("SLUICE_CONFIG", config.as_str())])
}

fn as_json(site: &Site, arguments: &[&str]) -> Result<Value> {
    let output = command(site, &[arguments, &["--json"]].concat())?;
    Ok(serde_json::from_str(&output.success()?)?)
}

/// The line of a subject in a report.
fn line(report: &Value, subject: &str) -> Option<Value> {
    report.as_array()?.iter().find(|line| line["subject"]["id"] == subject).cloned()
}

/// Waits until so many of a subject's requests have their end in the index.
fn ended(site: &Site, subject: &str, count: usize) -> Result<()> {
    eventually_blocking(LIMIT, "the requests in the index", || {
        let found = as_json(site, &["audit", "search", "--subject", subject, "--text", "then_or_now"])?;
        let ended = found.as_array().context("a list")?.iter().filter(|one| one["completion"].is_object());
        Ok((ended.count() == count).then_some(()))
    })
}

const ASKED: &str = "SELECT id, total AS then_or_now FROM orders ORDER BY id LIMIT 3";

/// Copies a journal and its index, of a Sluice that does not run.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.join("journal"))?;
    std::fs::copy(from.join("index.db"), to.join("index.db"))?;
    for file in std::fs::read_dir(from.join("journal"))? {
        let file = file?;
        if file.file_type()?.is_file() {
            std::fs::copy(file.path(), to.join("journal").join(file.file_name()))?;
        }
    }
    Ok(())
}

#[test]
fn a_column_that_is_classified_later_is_found_and_journals_are_searched_together() -> Result<()> {
    let mut site = support::site("records", Tuning::default())?;
    let token = support::token(&site, "reader", &["payments-apps"])?;
    run(&site, &token, ASKED)?.success()?;
    ended(&site, "reader", 1)?;
    let copier = support::token(&site, "copier", &["payments-apps"])?;
    run(&site, &copier, &format!("COPY ({ASKED}) TO STDOUT"))?.success()?;
    ended(&site, "copier", 1)?;
    let by_then = as_json(&site, &["audit", "report", "--class", "phone"])?;
    let by_now = || as_json(&site, &["audit", "report", "--class", "phone", "--now"]);
    let before = by_now()?;
    assert_eq!(line(&before, "reader"), None, "it is not classified yet: {before}");

    let path = site.revision_file("classification.toml");
    let text = std::fs::read_to_string(&path)?;
    let old_revision = tempfile::tempdir()?;
    copy_revision(path.parent().context("its directory")?, old_revision.path())?;
    std::fs::write(&path, format!("{text}\n[[column]]\nmatch = \"public.orders.total\"\nclasses = [\"phone\"]\n"))?;
    let reader = eventually_blocking(LIMIT, "the new revision", || Ok(line(&by_now()?, "reader")))?;
    assert_eq!((&reader["clear"], &reader["clear_at_most"], &reader["masked"]), (&0.into(), &3.into(), &0.into()));
    assert_eq!((&reader["requests"], &reader["unknown"]), (&1.into(), &0.into()));
    // What a COPY sent was an answer too.
    let copier = line(&by_now()?, "copier").context("the COPY is found")?;
    assert_eq!((&copier["clear_at_most"], &copier["requests"], &copier["unknown"]), (&3.into(), &1.into(), &0.into()));
    let search = ["audit", "search", "--class", "phone", "--now", "--subject", "copier"];
    let found = as_json(&site, &search)?;
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    // What it was then stays what it was.
    let again = as_json(&site, &["audit", "report", "--class", "phone"])?;
    assert_eq!(line(&again, "reader"), line(&by_then, "reader"));
    let shown = command(&site, &["audit", "search", "--class", "phone", "--now", "--subject", "reader"])?.success()?;
    assert!(
        shown.contains("NOW SHOWN") && shown.contains("at most 3 clear 0 masked of public.orders.total"),
        "{shown}"
    );
    let last = "reader read phone as it is now: 0 in clear counted, at most 3, 0 masked, 0 unknown";
    assert_eq!(shown.lines().last(), Some(last));
    let csv = command(&site, &["audit", "report", "--class", "phone", "--now", "--csv"])?.success()?;
    assert!(csv.starts_with("SUBJECT,NOW IN CLEAR,NOW IN CLEAR AT MOST,NOW MASKED,REQUESTS,UNKNOWN\r\n"), "{csv}");
    assert!(csv.contains("reader,0,3,0,1,0\r\n"), "{csv}");
    let refused = command(&site, &["audit", "report", "--class", "no_such_class", "--now"])?;
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("no class no_such_class"), "{refused:?}");

    // From here on it is counted.
    let east = tempfile::tempdir()?;
    site.stop()?;
    copy(&site.data(), east.path())?;
    site.start()?;
    let token = support::token(&site, "reader", &["payments-apps"])?;
    run(&site, &token, ASKED)?.success()?;
    ended(&site, "reader", 2)?;
    several(&site, east.path(), old_revision.path())
}

fn copy_revision(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.join("policies"))?;
    for name in ["targets.toml", "classification.toml"] {
        std::fs::copy(from.join(name), to.join(name))?;
    }
    for file in std::fs::read_dir(from.join("policies"))? {
        let file = file?;
        std::fs::copy(file.path(), to.join("policies").join(file.file_name()))?;
    }
    Ok(())
}

/// The journal of the site, while it runs, and an older copy of it.
fn several(site: &Site, east: &Path, old_revision: &Path) -> Result<()> {
    let (east, west) = (east.display().to_string(), site.data().display().to_string());
    let revision = site.revision_file("classification.toml");
    let revision = revision.parent().context("its directory")?.display().to_string();
    let both = ["--data-dir", &east, "--data-dir", &west];
    let ask = |arguments: &[&str]| as_json(site, &[arguments, &both].concat());
    let found = ask(&["audit", "search", "--subject", "reader", "--text", "then_or_now"])?;
    let of: Vec<_> = found.as_array().context("a list")?.iter().map(|one| one["journal"].as_str().unwrap()).collect();
    // The newest is in the one that went on; the older one is in both.
    assert_eq!(of[0], west);
    assert_eq!((of.len(), of.iter().filter(|journal| **journal == east).count()), (3, 1), "{of:?}");
    let times: Vec<_> = found.as_array().unwrap().iter().map(|one| one["at"].as_u64().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let one = ask(&["audit", "search", "--subject", "reader", "--text", "then_or_now", "--limit", "1"])?;
    assert_eq!(one.as_array().map(Vec::len), Some(1));

    let now = ["--class", "phone", "--now", "--revision", &revision];
    let report = ask(&[&["audit", "report"], &now[..]].concat())?;
    let counts = |journal: &str| {
        let of = |line: &&Value| line["journal"] == journal && line["subject"]["id"] == "reader";
        let line = report.as_array()?.iter().find(of)?;
        Some(["clear", "clear_at_most", "masked", "requests"].map(|name| line[name].as_u64().unwrap()))
    };
    assert_eq!(counts(&east), Some([0, 3, 0, 1]), "{report}");
    assert_eq!(counts(&west), Some([0, 3, 3, 2]), "counted since, and masked: {report}");
    let disclosed = ask(&[&["audit", "disclosed", "--subject", "reader"], &now[..]].concat())?;
    assert_eq!((&disclosed["clear_at_most"], &disclosed["masked"]), (&6.into(), &3.into()), "{disclosed}");
    assert_eq!(disclosed["journals"].as_array().map(Vec::len), Some(2));
    // By another revision it is another answer.
    let old = old_revision.display().to_string();
    let report = ask(&["audit", "report", "--class", "phone", "--now", "--revision", &old])?;
    assert_eq!(line(&report, "reader"), None, "{report}");

    let table = command(site, &[&["audit", "search", "--subject", "reader"], &both[..]].concat())?.success()?;
    assert!(table.starts_with("JOURNAL ") && table.contains(&east) && table.contains(&west), "{table}");
    let csv = command(site, &[&["audit", "report", "--class", "phone", "--csv"], &both[..]].concat())?.success()?;
    assert!(csv.starts_with("JOURNAL,SUBJECT,IN CLEAR,MASKED,REQUESTS,UNKNOWN\r\n"), "{csv}");
    let secrets = ask(&["audit", "events"])?;
    assert!(secrets.as_array().is_some_and(|events| events.iter().all(|event| event["journal"].is_string())));
    // Without a revision nobody knows what `now` is; without an index nobody knows anything.
    let refused = command(site, &[&["audit", "report", "--class", "phone", "--now"], &both[..]].concat())?;
    assert!(refused.status.code() == Some(2) && refused.stderr.contains("--revision"), "{refused:?}");
    let nothing = command(site, &["audit", "search", "--data-dir", &old])?;
    assert!(nothing.status.code() == Some(1) && nothing.stderr.contains("index.db: No such file"), "{nothing:?}");
    // What is named twice would count twice.
    let again = format!("{east}/.");
    let twice = command(site, &["audit", "search", "--data-dir", &east, "--data-dir", &again])?;
    assert!(twice.status.code() == Some(2) && twice.stderr.contains("named twice"), "{twice:?}");
    Ok(())
}
