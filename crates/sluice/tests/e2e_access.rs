//! The access map against what really happens: each cell is what `explain` says and what a session gets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::{Value, json};
use support::{CLEARED, LIMIT, admin, binary, psql, record, rows, site, sqlstates};
use testkit::command::Output;
use testkit::demo::site::{AUDITOR, DBA, FRAUD_SERVICE, ORDER_SERVICE, Person, Site, Tuning};
use testkit::process::sluice;
use testkit::wait::eventually_blocking;

const STRANGER: Person = Person { name: "stranger", groups: &[], is_human: false };
const EVERYBODY: [Person; 5] = [ORDER_SERVICE, FRAUD_SERVICE, DBA, CLEARED, STRANGER];
const TABLES: [&str; 5] = ["customers", "cards", "orders", "payments", "refunds"];

fn as_auditor(site: &Site, arguments: &[&str]) -> Result<Output> {
    let token = site.token(&AUDITOR)?;
    let config = site.config().display().to_string();
    sluice(site.binary(), arguments, &[("SLUICE_CONFIG", config.as_str()), ("SLUICE_TOKEN", &token)])
}

fn parsed(output: Output) -> Result<Value> {
    serde_json::from_str(&output.stdout).with_context(|| format!("{}{}", output.stdout, output.stderr))
}

/// What the map says of somebody at the payments database.
fn cell(site: &Site, person: &Person) -> Result<Value> {
    let subject = format!("demo|{}", person.name);
    let kind = if person.is_human { "user" } else { "service" };
    let mut command = vec!["policy", "access", "--json", "--target", "payments", "--subject", &subject, "--kind", kind];
    command.extend(person.groups.iter().flat_map(|group| ["--group", *group]));
    parsed(as_auditor(site, &command)?)
}

fn answers(cell: &Value) -> BTreeMap<String, &Value> {
    let place = &cell["places"][0];
    let all = place["may"].as_array().unwrap().iter().chain([&place["connect"]]);
    all.map(|one| (format!("{} {}", one["verb"].as_str().unwrap(), one["object"].as_str().unwrap()), one)).collect()
}

/// Statements that do one thing to a table, bounded and not.
fn statements(table: &str) -> [(&'static str, bool, String); 8] {
    let table = format!("public.{table}");
    [
        ("select", true, format!("SELECT 1 FROM {table}")),
        ("insert", true, format!("INSERT INTO {table} DEFAULT VALUES")),
        ("update", true, format!("UPDATE {table} SET id = 1 WHERE id = 1")),
        ("update", false, format!("UPDATE {table} SET id = 1")),
        ("delete", true, format!("DELETE FROM {table} WHERE id = 1")),
        ("delete", false, format!("DELETE FROM {table}")),
        ("truncate", true, format!("TRUNCATE {table}")),
        ("ddl", true, format!("ALTER TABLE {table} ADD COLUMN x int")),
    ]
}

fn outcome(answer: &Value, bounded: bool) -> &str {
    let unbounded = answer["unbounded"].as_str().filter(|_| !bounded);
    unbounded.unwrap_or_else(|| answer["outcome"].as_str().unwrap())
}

#[test]
fn each_cell_is_what_explain_says_and_what_a_session_gets() -> Result<()> {
    let site = site("mapped", Tuning::default())?;
    // Somebody reads it, so that the catalog is known to Sluice.
    rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1 FROM orders LIMIT 1")?;
    let home = tempfile::tempdir()?;
    let catalog = home.path().join("mapped.catalog").display().to_string();
    let config = site.config().display().to_string();
    let save = ["target", "catalog", "--target", "payments", "--database", "mapped", "--save", &catalog];
    sluice(site.binary(), &save, &[("SLUICE_CONFIG", config.as_str())])?.success()?;
    let revision = site.home().join("revision").display().to_string();
    let mut compared = BTreeMap::new();
    for person in &EVERYBODY {
        let map = cell(&site, person)?;
        assert_eq!(map["is_complete"], true, "{map}");
        assert_eq!(map["places"][0]["known"], "its catalog", "{map}");
        let answers = answers(&map);
        let connects = answers["connect the database"]["outcome"] == "allow";
        let token = site.token(person)?;
        for table in TABLES {
            for (verb, bounded, statement) in statements(table) {
                let subject = format!("demo|{}", person.name);
                let mut command = vec!["policy", "explain", "--json", "--revision", &revision, "--catalog", &catalog];
                command.extend(["--target", "payments", "--subject", &subject, &statement]);
                command.extend(person.groups.iter().flat_map(|group| ["--group", *group]));
                command.extend(person.is_human.then_some("--user"));
                let explained = parsed(sluice(site.binary(), &command, &[])?)?;
                let said = explained["decision"].as_str().context("a decision")?;
                let what = format!("{verb} table public.{table}");
                let mapped = answers.get(&what).map_or("deny", |answer| outcome(answer, bounded));
                assert_eq!(mapped, said, "{}: {statement}: {explained}\n{:?}", person.name, answers.get(&what));
                *compared.entry(said.to_owned()).or_insert(0) += 1;
            }
            // And so it is, in a transaction that nothing comes of; in one, nobody is waited for.
            for (verb, statement) in [
                ("select", format!("SELECT 1 FROM {table} LIMIT 1")),
                ("delete", format!("DELETE FROM {table} WHERE id = -1")),
            ] {
                let output = psql(&site, &token, &[], &format!("BEGIN;\n{statement};\nROLLBACK;\n"))?;
                let real = match sqlstates(&output).first() {
                    None => "allow",
                    Some(_) if output.stderr.contains("approval") => "ask",
                    Some(_) => "deny",
                };
                let what = format!("{verb} table public.{table}");
                let mapped = answers.get(&what).map_or("deny", |answer| outcome(answer, true));
                assert_eq!(mapped, real, "{}: {statement}: {output:?}", person.name);
            }
        }
        // What is seen is what is shown.
        if connects && answers["select table public.cards"]["outcome"] == "allow" {
            let seen = map["places"][0]["sees"].as_array().context("what is seen")?;
            let of =
                |column: &str| seen.iter().find(|one| one["column"] == column).unwrap_or_else(|| panic!("{column}"));
            let number = rows(&site, &token, "SELECT number FROM cards LIMIT 1")?;
            let is_clear = number.chars().all(|letter| letter.is_ascii_digit());
            let shown = of("public.cards.number")["shown"].as_str().unwrap();
            assert_eq!(shown == "clear", is_clear, "{}: {shown} {number}", person.name);
            let name = rows(&site, &token, "SELECT name FROM customers LIMIT 1")?;
            let shown = of("public.customers.name")["shown"].as_str().unwrap();
            assert_eq!(shown == "clear", !name.contains('['), "{}: {shown} {name}", person.name);
        }
    }
    for (outcome, least) in [("allow", 20), ("ask", 4), ("deny", 50)] {
        assert!(compared[outcome] >= least, "the comparison has to see each: {compared:?}");
    }
    Ok(())
}

#[test]
fn the_map_shows_who_was_here_with_the_policies_behind_it() -> Result<()> {
    let site = site("shown", Tuning::default())?;
    for person in [&ORDER_SERVICE, &FRAUD_SERVICE] {
        rows(&site, &site.token(person)?, "SELECT 1 FROM orders LIMIT 1")?;
    }
    let map = || as_auditor(&site, &["policy", "access"])?.success();
    eventually_blocking(LIMIT, "the index", || Ok(map()?.contains("fraud-service").then_some(())))?;
    let shown = map()?;
    let line = shown.lines().find(|line| line.starts_with("demo|fraud-service")).context("a line")?;
    assert!(line.contains("payments") && line.contains("allow") && line.contains("card_number"), "{shown}");
    let all = parsed(as_auditor(&site, &["policy", "access", "--json", "--subject", "order"])?)?;
    assert_eq!(all["subjects"].as_array().unwrap().len(), 1, "{all}");
    let groups = &all["subjects"][0]["groups"];
    assert_eq!(groups, &serde_json::json!(["payments-apps"]), "the groups that it was last in");

    let of = ["policy", "access", "--subject", "demo|order-service", "--target", "payments", "--why"];
    let why = as_auditor(&site, &of)?.success()?;
    assert!(why.contains("prod-delete-needs-dba (20-approvals.cedar:"), "{why}");
    assert!(why.contains("  | @require_approval(\"dba\")"), "as it was written: {why}");
    assert!(why.contains("orders-are-kept") && why.contains("none permits it"), "{why}");

    // Nobody else gets any of it.
    let token = site.token(&DBA)?;
    let config = site.config().display().to_string();
    let environment = [("SLUICE_CONFIG", config.as_str()), ("SLUICE_TOKEN", token.as_str())];
    for command in [&of[..], &["policy", "access"]] {
        let refused = sluice(&binary(), command, &environment)?;
        assert!(refused.stdout.is_empty() && refused.stderr.contains("admin:audit"), "{refused:?}");
    }
    Ok(())
}

/// Permits that nobody ever needs, with words about them.
const IDLE: &str = "// What is kept.\n\n// About the first.\n@id(\"idle-read\")\npermit (principal in Group::\"nobody-at-all\", \
    action == Action::\"select\", resource);\n\n@id(\"idle-see\") permit (principal in Group::\"payments-apps\", \
    action == Action::\"reveal\", resource in DataClass::\"iban\"); // behind it\n\n@id(\"idle-admin\")\npermit (principal in \
    Group::\"nobody-at-all\", action == Action::\"admin:read\", resource);\n";

#[test]
fn what_decided_nothing_is_found_and_goes_without_a_change() -> Result<()> {
    let policies = vec![("55-idle.cedar".into(), IDLE.into())];
    let site = site("idle", Tuning { policies, ..Tuning::default() })?;
    let (order, fraud) = (site.token(&ORDER_SERVICE)?, site.token(&FRAUD_SERVICE)?);
    rows(&site, &order, "SELECT name FROM customers LIMIT 1")?;
    rows(&site, &order, "UPDATE payments SET amount = 1 WHERE id = 1")?;
    let number = rows(&site, &fraud, "SELECT number FROM cards LIMIT 1")?;
    assert!(number.chars().all(|letter| letter.is_ascii_digit()), "seen in clear: {number}");

    let home = tempfile::tempdir()?;
    let candidate = home.path().join("candidate");
    let to = candidate.display().to_string();
    let config = site.config().display().to_string();
    let command = ["policy", "unused", "--since", "30d", "--json", "--write", &to];
    let told = sluice(site.binary(), &command, &[("SLUICE_CONFIG", config.as_str())])?;
    let found: Value = serde_json::from_str(&told.stdout).with_context(|| told.stderr.clone())?;
    let ids = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let (unused, used) = (ids(&found["usage"]["unused"]), ids(&found["usage"]["used"]));
    for id in ["idle-read", "idle-see", "dba-connects", "dba-reads", "payments-may-be-deleted"] {
        assert!(unused.iter().any(|one| one == id), "{id}: {unused:?}");
    }
    for id in ["connect-to-payments", "apps-read", "order-service-writes", "apps-see-names", "pci-sees-cards"] {
        assert!(used.iter().any(|one| one == id), "{id}: {used:?}");
    }
    let not_told = ids(&found["usage"]["not_told"]);
    assert!(not_told.contains(&"idle-admin".into()) && not_told.contains(&"auditors".into()), "{not_told:?}");
    assert!(found["usage"]["known_since"].is_u64(), "the record does not reach back thirty days: {found}");
    let simulated = &found["simulated"];
    assert_eq!((&simulated["changed_requests"], &simulated["changed_sessions"]), (&json!(0), &json!(0)), "{found}");
    assert!(simulated["requests"].as_u64().unwrap() >= 3 && simulated["sessions"].as_u64().unwrap() >= 3, "{found}");
    // All else stays as it was.
    let kept = std::fs::read_to_string(candidate.join("55-idle.cedar"))?;
    let wanted = "// What is kept.\n\n// About the first.\n\n // behind it\n\n@id(\"idle-admin\")\npermit (principal in \
        Group::\"nobody-at-all\", action == Action::\"admin:read\", resource);\n";
    assert_eq!(kept, wanted);

    // The API says the same to whoever may search the record, and nothing to others.
    let auditor = site.token(&AUDITOR)?;
    let since = json!({ "since": "2020-01-01T00:00:00Z" });
    let path = "/v1/policy/unused";
    assert_eq!(admin::call(&site, &site.token(&DBA)?, "POST", path, Some(&since))?.0, 403);
    let (status, begun) = admin::call(&site, &auditor, "POST", path, Some(&since))?;
    assert_eq!(status, 202, "{begun}");
    let begins = |event: &Event| matches!(event, Event::AdminAction { action, .. } if &**action == "policy.unused");
    record::wait_for(&site, "the entry of the search", begins)?;
    let run = format!("{path}/{}", begun["id"].as_str().context("an id")?);
    let done = eventually_blocking(LIMIT, "the search", || {
        let (_, view) = admin::call(&site, &auditor, "GET", &run, None)?;
        Ok((view["status"] == "done").then_some(view))
    })?;
    assert_eq!(ids(&done["found"]["unused"]), unused, "{done}");
    assert_eq!(done["found"]["files"]["policies/55-idle.cedar"], wanted);
    assert_eq!(done["found"]["changed_requests"], 0);
    let root = support::token(&site, "root", &["sluice-admin"])?;
    assert_eq!(admin::call(&site, &root, "GET", &run, None)?.0, 404, "a search is its starter's own");

    // Without them, what went goes on, and what nobody did does not go any more.
    site.revise(|| {
        for entry in std::fs::read_dir(&candidate)? {
            let entry = entry?;
            let name = format!("policies/{}", entry.file_name().to_string_lossy());
            std::fs::copy(entry.path(), site.revision_file(&name))?;
        }
        Ok(())
    })?;
    rows(&site, &order, "SELECT name FROM customers LIMIT 1")?;
    assert_eq!(rows(&site, &fraud, "SELECT number FROM cards LIMIT 1")?, number);
    assert!(rows(&site, &site.token(&DBA)?, "SELECT 1").is_err(), "nobody of that group was here");
    Ok(())
}
