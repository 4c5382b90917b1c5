//! The console in a real browser, before the real `sluice` and a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]
#![allow(clippy::print_stdout, reason = "a test that fails shows what the browser saw")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use support::{LIMIT, admin, psql, run, sqlstates, started};
use testkit::command::{Output, workspace_root};
use testkit::demo::site::{AUDITOR, DBA, FRAUD_SERVICE, ORDER_SERVICE, Site, Tuning};
use testkit::drivers::Toolchain;
use testkit::issuer::{Grant, Page};
use testkit::wait::eventually_blocking;

const CONSOLE: &str = "
[console]
client_id = \"console\"

[approvals]
hold_max = \"10m\"

[policy]
apply = true
";

/// Who runs all of it, and has no other part in the story.
const ROOT: &str = "root";

/// Who looks at what root proposes.
const SECOND: &str = "rory";

fn chromium() -> Option<PathBuf> {
    let known = std::env::var_os("SLUICE_CHROMIUM").map(PathBuf::from);
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    known.into_iter().chain(usual).find(|path| path.exists())
}

/// Lets people sign in to the console.
fn admit(site: &Site) {
    let issuer = site.issuer();
    issuer.register_page(Page { id: "console".into(), secret: None, path: "/signin/callback".into() });
    let lifetime = std::time::Duration::from_secs(3000);
    for person in [DBA, AUDITOR] {
        issuer.admit(person.name, person.grant().lifetime(lifetime));
    }
    for name in [ROOT, SECOND] {
        issuer
            .admit(name, Grant::new(name).groups(["sluice-admin"]).lifetime(lifetime).claim("account_type", "person"));
    }
}

/// Drives the browser, and shows what it saw if that was not all.
fn browse(site: &Site, environment: &[(&str, &str)]) -> Result<Output> {
    let directory = workspace_root().join("tests/console");
    let chromium = chromium().context("there is no Chromium here: ./dev setup installs it")?;
    let address = site.process()?.address("admin")?;
    let mut node = Command::new("node");
    node.arg("console.mjs").current_dir(&directory);
    node.env("CONSOLE", format!("http://{address}")).env("ISSUER", site.issuer().url()).env("CHROMIUM", chromium);
    node.env("DATABASE", site.database()).envs(environment.iter().copied());
    // It waits for each thing as long as that may take, and no longer: all of it together has no bound of its own.
    let output = node.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) };
    println!("{}{}", output.stdout, output.stderr);
    Ok(output)
}

/// The newest session of somebody that the record has.
fn session_of(site: &Site, token: &str, subject: &str) -> Result<String> {
    eventually_blocking(LIMIT, "the session in the index", || {
        let (_, found) =
            admin::call(site, token, "GET", &format!("/v1/sessions/history?subject={subject}&limit=1"), None)?;
        Ok(found.pointer("/0/session").and_then(|id| id.as_str()).map(str::to_owned))
    })
}

#[test]
fn the_console_does_what_it_shows() -> Result<()> {
    if Toolchain::Node.is_left_out() {
        return Ok(());
    }
    ensure!(is_built(), "the console is not built: npm run build --prefix console");
    // Not watched: what looks for ways past Sluice asks the server what no session would.
    let site = started("console", Tuning { sluice_toml: CONSOLE.into(), ..Tuning::default() })?;
    admit(&site);
    let (orders, fraud) = (site.token(&ORDER_SERVICE)?, site.token(&FRAUD_SERVICE)?);
    let root = site.issuer().issue(Grant::new(ROOT).groups(["sluice-admin"]))?;
    run(&site, &orders, "SELECT id, number FROM cards ORDER BY id LIMIT 3")?.success()?;
    let web = session_of(&site, &root, "order-service")?;
    assert_eq!((remaining(&site, 11)?, remaining(&site, 12)?), (1, 1));
    let pictures = std::env::var("SLUICE_SCREENSHOTS").unwrap_or_default();
    let home = tempfile::tempdir()?;
    let proof = home.path().join("entry.tlog-proof");
    thread::scope(|scope| {
        // What a browser shows of it must not read the other way round.
        let approved =
            scope.spawn(|| run(&site, &orders, "DELETE FROM payments WHERE id = 11 AND status <> '\u{202e}delias'"));
        let denied = scope.spawn(|| run(&site, &orders, "DELETE FROM payments WHERE id = 12"));
        let killed = scope.spawn(|| {
            let long = "SELECT count(*) FROM payments a, payments b, payments c, payments d";
            psql(&site, &fraud, &["-c", "SELECT count(*) FROM orders", "-c", long], "")
        });
        let driven = browse(
            &site,
            &[("WEB_SESSION", &web), ("SCREENSHOTS", &pictures), ("PROOF", proof.to_str().context("a path of text")?)],
        );
        // Whatever became of the browser, nothing is left waiting.
        if !driven.as_ref().is_ok_and(|output| output.status.success()) {
            drop(end_all(&site, &root));
        }
        let outcomes = [approved, denied, killed].map(|thread| thread.join().expect("psql runs"));
        let driven = driven?;
        ensure!(driven.status.success(), "the browser did not see all of it: {}{}", driven.stdout, driven.stderr);
        let [approved, denied, killed] = outcomes;
        ensure!(approved?.status.success(), "the approved DELETE ran");
        assert_eq!(sqlstates(&denied?), ["42501"], "the denied one did not");
        let killed = killed?;
        assert_eq!(sqlstates(&killed), ["57P01"], "{}", killed.stderr);
        Ok(())
    })?;
    assert_eq!(remaining(&site, 11)?, 0);
    assert_eq!(remaining(&site, 12)?, 1);
    // What two people put into force decides.
    let cards = run(&site, &orders, "SELECT id, number FROM cards ORDER BY id LIMIT 3")?;
    assert_eq!(sqlstates(&cards), ["42501"], "{}", cards.stderr);
    let (proved, key) = (proof.display().to_string(), site.data().join("journal.pub").display().to_string());
    let checked = testkit::process::sluice(site.binary(), &["audit", "check-proof", &proved, "--key", &key], &[])?;
    ensure!(checked.status.success(), "what the browser downloaded proves it elsewhere too: {}", checked.stderr);
    Ok(())
}

fn end_all(site: &Site, token: &str) -> Result<()> {
    let (_, live) = admin::call(site, token, "GET", "/v1/sessions", None)?;
    for session in live.as_array().into_iter().flatten() {
        let id = session.get("session").and_then(|id| id.as_str()).context("no session")?;
        let _ = admin::call(site, token, "POST", &format!("/v1/sessions/{id}/kill"), None)?;
    }
    Ok(())
}

fn remaining(site: &Site, id: u32) -> Result<u64> {
    let counted =
        support::rows(site, &site.token(&ORDER_SERVICE)?, &format!("SELECT count(*) FROM payments WHERE id = {id}"))?;
    match counted.parse() {
        Ok(count) => Ok(count),
        Err(_) => bail!("not a count: {counted}"),
    }
}

fn is_built() -> bool {
    Path::new(&workspace_root()).join("console/dist/index.html").exists()
}
