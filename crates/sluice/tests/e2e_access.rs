//! The access map against what really happens: each cell is what `explain` says and what a session gets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;
use support::{CLEARED, LIMIT, binary, psql, rows, site, sqlstates};
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

fn json(output: Output) -> Result<Value> {
    serde_json::from_str(&output.stdout).with_context(|| format!("{}{}", output.stdout, output.stderr))
}

/// What the map says of somebody at the payments database.
fn cell(site: &Site, person: &Person) -> Result<Value> {
    let subject = format!("demo|{}", person.name);
    let kind = if person.is_human { "user" } else { "service" };
    let mut command = vec!["policy", "access", "--json", "--target", "payments", "--subject", &subject, "--kind", kind];
    command.extend(person.groups.iter().flat_map(|group| ["--group", *group]));
    json(as_auditor(site, &command)?)
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

fn outcome<'a>(answer: &'a Value, bounded: bool) -> &'a str {
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
                let explained = json(sluice(site.binary(), &command, &[])?)?;
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
    let all = json(as_auditor(&site, &["policy", "access", "--json", "--subject", "order"])?)?;
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
