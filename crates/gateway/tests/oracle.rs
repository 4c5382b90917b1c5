//! Non-interference, through Sluice itself: a caller who may see no sensitive value gets the same answers, and the same
//! errors and refusals, from two databases that differ in all sensitive columns.
//!
//! `SLUICE_SEED` and `SLUICE_THROUGH` (how many statements) repeat a run or make it longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(missing_docs)]

mod world;

use std::fmt::Write;
use std::path::Path;

use testkit::payments::Payments;
use testkit::postgres::Postgres;
use testkit::statements::{self, ALL, Choices, Generated, Kind, SENSITIVE, generate};
use world::World;

const POLICIES: &str = r#"
@id("lab-reads")
permit (principal in Group::"readers", action in Action::"read", resource in Namespace::"payments/lab/public");
@id("lab-12-reads")
permit (principal in Group::"readers", action in Action::"read", resource in Namespace::"payments/lab_12/public");
@id("lab-writes")
permit (principal in Group::"readers", action in Action::"write", resource in Namespace::"payments/lab/public");
@id("lab-12-writes")
permit (principal in Group::"readers", action in Action::"write", resource in Namespace::"payments/lab_12/public");

// To look one up and to join by one are uses that a policy may permit; here nothing may be learnt at all.
@id("lab-no-uses")
forbid (principal, action in [Action::"lookup", Action::"join"], resource in DataClass::"hush") unless { context.revealed };
"#;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

fn lab(server: &Postgres, payments: &Payments, dir: &Path) {
    for variant in [None, Some(ALL)] {
        let mut plain = statements::load(server, variant).unwrap();
        let user = &payments.login.user;
        plain.rows(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO \"{user}\"")).unwrap();
    }
    let edit = |file: &str, change: &dyn Fn(String) -> String| {
        let path = dir.join("revision").join(file);
        std::fs::write(&path, change(std::fs::read_to_string(&path).unwrap())).unwrap();
    };
    // Nobody is asked, for each question has a number of its own.
    edit("targets.toml", &|text| {
        text.replace(r#"["payments"]"#, r#"["payments", "lab", "lab_12"]"#).replace("prod", "lab")
    });
    edit("policies/story.cedar", &|text| text + POLICIES);
    edit("classification.toml", &|mut text| {
        text.push_str("[classes.hush]\nmask = \"redact\"\n");
        for column in SENSITIVE {
            write!(text, "[[column]]\nmatch = \"public.{column}\"\nclasses = [\"hush\"]\n").unwrap();
        }
        text
    });
}

/// A script that runs each statement, undoes what it changes, and says where the next one begins.
fn script(all: &[Generated]) -> String {
    let mut script = String::from("SET statement_timeout = '5s';\n");
    for (at, statement) in all.iter().enumerate() {
        let text = &statement.text;
        writeln!(script, "\\echo #{at}\n\\warn #{at}").unwrap();
        match statement.kind {
            Kind::Query | Kind::Copy => writeln!(script, "{text};").unwrap(),
            Kind::Write | Kind::Makes => writeln!(script, "BEGIN;\n{text};\nROLLBACK;").unwrap(),
        }
    }
    script
}

/// What was printed for each statement.
fn parts(printed: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in printed.lines() {
        match line.strip_prefix('#').and_then(|rest| rest.parse::<usize>().ok()) {
            Some(_) => parts.push(String::new()),
            None => {
                if let Some(part) = parts.last_mut() {
                    // Where in a script a statement stands.
                    let said = line.split_once(": ERROR:").map_or(line, |(_, said)| said);
                    let said = match said.split_once(" Request ") {
                        // Each request has a number of its own.
                        Some((before, after)) => format!("{before}{}", after.trim_start_matches(|c| c != ' ')),
                        None => said.to_owned(),
                    };
                    writeln!(part, "{said}").unwrap();
                }
            }
        }
    }
    parts
}

#[test]
fn what_differs_in_secret_alone_looks_the_same() {
    let (seed, count) = (number("SLUICE_SEED", 1), number("SLUICE_THROUGH", 400));
    println!("seed {seed}, {count} statements");
    let world = World::start_with(10, lab);
    // Others than those that the analysis alone is asked about.
    let all: Vec<Generated> = (0..count).map(|at| generate(&mut Choices::of(!seed, at))).collect();
    let run = |database: &str, script: &str| {
        let output = world.psql_with(&world.reader(), &["-X", "-A", "-t", "-d", database], script);
        (parts(&output.stdout), parts(&output.stderr))
    };
    let (mut base, mut other) = (run("lab", &script(&all)), run("lab_12", &script(&all)));
    assert_eq!(base.0.len(), all.len(), "{:?}", base.1.last());
    // What was rolled back leaves traces, and plans, and with them the order of rows, go by how large tables are. So what
    // looks different is asked again where they are not.
    let differing: Vec<usize> =
        (0..all.len()).filter(|at| base.0[*at] != other.0[*at] || base.1[*at] != other.1[*at]).collect();
    let again: Vec<Generated> = differing.iter().map(|at| all[*at].clone()).collect();
    for database in ["lab", "lab_12"].into_iter().filter(|_| !again.is_empty()) {
        world.server.sql(database, "VACUUM FULL").unwrap();
    }
    for (first, database) in [(&mut base, "lab"), (&mut other, "lab_12")] {
        let second = run(database, &script(&again));
        for (at, (rows, errors)) in differing.iter().zip(second.0.into_iter().zip(second.1)) {
            (first.0[*at], first.1[*at]) = (rows, errors);
        }
    }
    println!("{} were asked again", again.len());
    let (mut refused, mut empty) = (0, 0);
    for (at, statement) in all.iter().enumerate() {
        assert_eq!(base.0[at], other.0[at], "seed {seed}, statement {at}: {}", statement.text);
        assert_eq!(base.1[at], other.1[at], "seed {seed}, statement {at}: {}", statement.text);
        refused += usize::from(!base.1[at].is_empty());
        empty += usize::from(base.0[at].trim().is_empty());
    }
    println!("{refused} of {count} were refused or failed, {empty} answered nothing");
    assert!(refused * 100 < all.len() * 60, "{refused}");
    assert!(empty * 100 < all.len() * 70, "{empty}");
}
