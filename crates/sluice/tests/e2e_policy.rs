//! `sluice policy` and `sluice target catalog`: the examples, and what they say against what a real session gets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::{binary, rows, run, site};
use testkit::command::{Output, workspace_root};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::payments::{Counts, Payments};
use testkit::postgres::Authentication;
use testkit::process::sluice;

const EXAMPLES: [&str; 5] = ["reader", "writer", "break-glass", "pci", "tenants"];

/// Lets the first administrator read the catalog, and the order service know what it lacks at `orders`.
const FURTHER: &str = r#"
@id("order-service-knows")
permit (
  principal == Service::"demo|order-service",
  action == Action::"know",
  resource in Table::"payments/@DATABASE@/public/orders"
);
"#;

fn examples() -> PathBuf {
    workspace_root().join("examples/policies")
}

fn policy(arguments: &[&str]) -> Result<Output> {
    sluice(&binary(), &[&["policy"], arguments].concat(), &[])
}

fn at(site: &Site, arguments: &[&str]) -> Result<Output> {
    let config = site.config().display().to_string();
    sluice(site.binary(), arguments, &[("SLUICE_CONFIG", config.as_str())])
}

fn json(output: &Output) -> Result<Value> {
    serde_json::from_str(&output.stdout).with_context(|| format!("{}{}", output.stdout, output.stderr))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[test]
fn every_example_is_a_revision_whose_cases_pass() -> Result<()> {
    let baseline = fs::read_to_string(workspace_root().join("crates/policy/shipped/baseline.cedar"))?;
    let listed: Vec<PathBuf> = fs::read_dir(examples())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    assert_eq!(listed.iter().filter(|path| path.is_dir()).count(), EXAMPLES.len(), "an example is in no test");
    let readme = fs::read_to_string(examples().join("README.md"))?;
    for name in EXAMPLES {
        let dir = examples().join(name);
        assert!(readme.contains(&format!("[{name}]({name}/policies/{name}.cedar)")), "the table lacks {name}");
        assert_eq!(
            fs::read_to_string(dir.join("policies/baseline.cedar"))?,
            baseline,
            "{name}: copy the baseline anew"
        );
        let dir = dir.to_str().context("a path of text")?;
        policy(&["check", dir])?.success()?;
        let tested = policy(&["test", dir])?;
        ensure!(tested.status.success(), "{}{}", tested.stdout, tested.stderr);
        assert!(tested.stdout.contains("all as expected"), "{}", tested.stdout);
    }
    Ok(())
}

#[test]
fn every_example_is_right_as_the_configuration_says_it() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path().to_str().context("a path of text")?;
    sluice(&binary(), &["init", dir], &[])?.success()?;
    let config = home.path().join("sluice.toml");
    let template = fs::read_to_string(&config)?;
    for name in EXAMPLES {
        let revision = examples().join(name).display().to_string();
        let (key, line) = ("revision_dir = ", template.lines().find(|line| line.contains("revision_dir = ")));
        let line = line.context("the template names the revision")?;
        fs::write(&config, template.replace(line, &format!("{key}{revision:?}")))?;
        let path = config.to_str().context("a path of text")?;
        sluice(&binary(), &["check", "--config", path], &[])?.success()?;
    }
    Ok(())
}

#[test]
fn a_case_that_fails_is_shown_with_what_differs() -> Result<()> {
    let home = tempfile::tempdir()?;
    copy(&examples(), home.path())?;
    let dir = home.path().join("pci");
    let cases = dir.join("tests/pci.toml");
    let text = fs::read_to_string(&cases)?;
    fs::write(&cases, text.replacen("number = \"partial\"", "number = \"clear\"", 1))?;
    let dir = dir.to_str().context("a path of text")?;
    let tested = policy(&["test", dir])?;
    assert_eq!(tested.status.code(), Some(1));
    for line in ["FAIL", "pci.toml:16", "        mask of number\n          - clear\n          + partial\n"] {
        assert!(tested.stdout.contains(line), "{line} is not in {}", tested.stdout);
    }
    assert!(tested.stderr.contains("1 of 7 cases failed"), "{}", tested.stderr);
    let told = json(&policy(&["test", dir, "--json"])?)?;
    assert_eq!(told["failed"], 1);
    assert_eq!(told["cases"][0]["differences"][0]["found"], "partial");

    let wrong =
        text.replacen("decision = \"allow\"", "decision = \"maybe\"", 1).replacen("kind = \"user\"", "kid = 1", 1);
    fs::write(&cases, wrong)?;
    let refused = policy(&["test", dir])?;
    assert_eq!(refused.status.code(), Some(1));
    for mistake in ["pci.toml:6: subject.staff.kid: there is no such setting", "pci.toml:20: case.decision: \"maybe\""]
    {
        assert!(refused.stderr.contains(mistake), "{mistake} is not in {}", refused.stderr);
    }
    Ok(())
}

#[test]
fn what_the_target_would_expect_is_an_input() -> Result<()> {
    let revision = examples().join("writer").display().to_string();
    let catalog = examples().join("shop.catalog").display().to_string();
    let explained = |rows: &[&str]| {
        let subject = ["--subject", "corp|order-service", "--group", "corp|order-services", "--target", "shop"];
        let statement = ["UPDATE orders SET status = 'late' WHERE total > 100", "--json"];
        let place = ["explain", "--revision", &revision, "--catalog", &catalog];
        json(&policy(&[&place, &subject[..], rows, &statement].concat())?)
    };
    for (rows, decision) in
        [(&[][..], "allow"), (&["--estimated-rows", "7"], "allow"), (&["--estimated-rows", "7000"], "ask")]
    {
        let found = explained(rows)?;
        assert_eq!(found["decision"], decision, "{rows:?}: {found:#}");
    }
    Ok(())
}

/// A database that is made as `shop.sql` says, with a Sluice before it. `EXAMPLES=write` writes the saved catalog.
#[test]
fn a_saved_catalog_says_what_the_live_one_says() -> Result<()> {
    let postgres = support::postgres()?;
    let login = postgres.login("shop_owner", Authentication::Scram)?;
    postgres.create_database("shop", Some("shop_owner"))?;
    let tables = fs::read_to_string(examples().join("shop.sql"))?;
    postgres.sql("shop", &format!("SET ROLE shop_owner; {tables}"))?;
    let payments = Payments { database: "shop".into(), login, counts: Counts::of(0) };
    let mut site = Site::prepare(postgres, &payments, binary(), &Tuning::default())?;
    site.start()?;
    let home = tempfile::tempdir()?;
    copy(&examples(), home.path())?;
    let save = home.path().join("shop.catalog");
    let path = save.to_str().context("a path of text")?;
    let of = ["target", "catalog", "--target", "payments", "--database", "shop"];
    if std::env::var_os("EXAMPLES").is_some_and(|value| value == "write") {
        let kept = examples().join("shop.catalog").display().to_string();
        at(&site, &[&of[..], &["--users-part", "--save", &kept]].concat())?.success()?;
    }
    for how in [&["--users-part"][..], &[]] {
        at(&site, &[&of[..], how, &["--save", path]].concat())?.success()?;
        for name in EXAMPLES {
            let dir = home.path().join(name).display().to_string();
            let tested = policy(&["test", &dir])?;
            ensure!(tested.status.success(), "{}{}", tested.stdout, tested.stderr);
        }
    }
    let unknown = at(&site, &["target", "catalog", "--target", "payments", "--database", "nowhere"])?;
    assert_eq!(unknown.status.code(), Some(1), "{}", unknown.stdout);
    let told = at(&site, &["audit", "events", "--since", "1h", "--json"])?.success()?;
    assert!(told.contains("own_statement") && told.contains("catalog"), "the reading is in the journal: {told}");
    Ok(())
}

/// `test` and `explain` say of a statement what a session gets.
#[test]
fn an_explanation_is_what_a_session_gets() -> Result<()> {
    let further = vec![("50-know.cedar".into(), FURTHER.into())];
    let site = site("explained", Tuning { policies: further, ..Tuning::default() })?;
    let revision = site.home().join("revision").display().to_string();
    let token = site.token(&ORDER_SERVICE)?;
    let explain = |statement: &str| -> Result<Value> {
        let groups: Vec<&str> = ORDER_SERVICE.groups.iter().flat_map(|group| ["--group", *group]).collect();
        let of = ["policy", "explain", "--json", "--revision", &revision, "--target", "payments"];
        let who = ["--database", "explained", "--subject", "demo|order-service", statement];
        json(&at(&site, &[&of[..], &groups, &who].concat())?)
    };
    let shown = explain("SELECT name, number FROM customers JOIN cards ON cards.customer_id = customers.id")?;
    assert_eq!(shown["decision"], "allow", "{shown}");
    assert_eq!(shown["statements"][0]["columns"][0]["shown"], "clear");
    assert_eq!(shown["statements"][0]["columns"][0]["because"][0], "person_name: apps-see-names");
    assert_eq!(shown["statements"][0]["columns"][1]["shown"], "partial");
    assert_eq!(shown["statements"][0]["columns"][1]["because"][0], "card_number: no policy permits reveal");
    let number = rows(&site, &token, "SELECT number FROM cards LIMIT 1")?;
    assert!(number.starts_with("****"), "{number}");

    let asks = explain("DELETE FROM payments WHERE id = 1")?;
    assert_eq!(asks["decision"], "ask", "{asks}");
    assert_eq!(asks["asks"][0], "dba");

    // What is missing is told where a policy permits it, and only there.
    let denied = explain("DELETE FROM orders")?;
    assert_eq!(denied["decision"], "deny");
    assert_eq!(denied["policies"][0], "orders-are-kept");
    assert_eq!(denied["may_know"], "delete on explained.public.orders");
    let refused = run(&site, &token, "DELETE FROM orders")?;
    let detail = "DETAIL:  missing: delete on explained.public.orders. Request ";
    assert!(refused.stderr.contains(detail), "{}", refused.stderr);
    let denied = explain("DELETE FROM customers")?;
    assert_eq!(denied["may_know"], Value::Null, "{denied}");
    let refused = run(&site, &token, "DELETE FROM customers")?;
    assert!(refused.stderr.contains("42501") && !refused.stderr.contains("missing:"), "{}", refused.stderr);

    let text = at(
        &site,
        &[
            "policy",
            "explain",
            "--revision",
            &revision,
            "--target",
            "payments",
            "--database",
            "explained",
            "--subject",
            "demo|nobody",
            "SELECT 1",
        ],
    )?
    .success()?;
    assert!(text.contains("decision  deny") && text.contains("evaluate database"), "{text}");
    Ok(())
}

#[test]
fn a_candidate_is_tried_on_what_the_journal_has() -> Result<()> {
    let site = site("simulated", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    for _ in 0..2 {
        run(&site, &token, "SELECT number FROM cards WHERE id = 1")?.success()?;
    }
    run(&site, &token, "SELECT total FROM orders WHERE id = 1")?.success()?;
    run(&site, &token, "UPDATE orders SET note = 'x' WHERE id = 1")?.success()?;
    let candidate = site.home().join("candidate");
    copy(&site.home().join("revision"), &candidate)?;
    let dir = candidate.to_str().context("a path of text")?;
    let simulate = || json(&at(&site, &["policy", "simulate", "--since", "1h", dir, "--json"])?);
    let same = simulate()?;
    assert_eq!((&same["changes"], &same["unexplained"]), (&serde_json::json!([]), &serde_json::json!(0)), "{same}");
    assert!(same["requests"].as_u64() >= Some(4) && same["sessions"].as_u64() >= Some(4), "{same}");

    fs::write(
        candidate.join("policies/95-candidate.cedar"),
        r#"@id("apps-see-cards")
        permit (principal in Group::"payments-apps", action == Action::"reveal", resource in DataClass::"card_number");
        @id("orders-are-frozen")
        forbid (principal, action == Action::"update", resource in Table::"payments/simulated/public/orders")
        unless { principal in Group::"dba" };"#,
    )?;
    let other = simulate()?;
    assert_eq!(other["changed_requests"], 3, "{other}");
    assert_eq!(other["changed_sessions"], 0, "{other}");
    let changes = other["changes"].as_array().context("a list")?;
    let find = |what: &str| changes.iter().find(|change| change["change"] == what);
    assert_eq!(find("number: partial -> clear").context("the mask")?["count"], 2, "{other}");
    let frozen = find("allow -> deny (orders-are-frozen)").context("the decision")?;
    assert_eq!(frozen["subject"], "demo|order-service");
    assert!(frozen["statement"].as_str().is_some_and(|text| text.starts_with("UPDATE orders")), "{other}");
    let table = at(&site, &["policy", "simulate", "--since", "1h", dir])?.success()?;
    assert!(table.contains("3 requests and 0 sessions would go otherwise"), "{table}");
    Ok(())
}
