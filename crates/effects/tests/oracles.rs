//! Two oracles for what is said of a statement, asked about generated statements (`testkit::statements`):
//!
//! - *Non-interference*: a statement runs on databases that differ in one sensitive column alone. What differs in the
//!   answer, or in what was written, must be said to come from that column; if the column is said to be used
//!   (`lookup`, `join`, `filter`), anything may differ.
//! - *PostgreSQL's own view*: the provenance in RowDescription, the output lists and conditions of EXPLAIN (VERBOSE), and
//!   the dependencies of a temporary view made of the statement.
//!
//! `./dev test` asks about 2,000 statements, `./dev fuzz` about 100,000. `SLUICE_SEED` repeats a run.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::as_conversions)]

mod common;
#[path = "oracles/judge.rs"]
mod judge;
#[path = "oracles/lab.rs"]
mod lab;
#[path = "oracles/plan.rs"]
mod plan;

use testkit::statements::{Choices, generate, smaller};

use self::judge::{Outcome, judge};
use self::lab::Lab;

/// After how many faults a run stops.
const ENOUGH: usize = 8;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

#[derive(Default, Debug)]
struct Tally {
    statements: u64,
    refused: u64,
    failed: u64,
    opaque: u64,
    /// Differences in a variant that were allowed as the column is said to be used.
    used: u64,
    compared: u64,
    columns: u64,
    changed: u64,
    planned: u64,
    viewed: u64,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.statements += 1;
        self.refused += u64::from(outcome.refused);
        self.failed += u64::from(outcome.failed);
        self.opaque += u64::from(outcome.opaque);
        self.used += outcome.used;
        self.compared += outcome.compared;
        self.columns += outcome.columns;
        self.changed += outcome.changed;
        self.planned += u64::from(outcome.planned);
        self.viewed += u64::from(outcome.viewed);
    }
}

#[test]
fn what_is_said_of_generated_statements_is_true() {
    let (seed, count) = (number("SLUICE_SEED", 1), number("SLUICE_STATEMENTS", 2_000));
    println!("seed {seed}, {count} statements");
    let mut lab = Lab::open();
    let mut tally = Tally::default();
    let mut faults = Vec::new();
    let first = number("SLUICE_FIRST", 0);
    for at in first..first + count {
        let mut choices = Choices::of(seed, at);
        let statement = generate(&mut choices);
        let judged = judge(&mut lab, &statement, at).or_else(|_| {
            // Rolled back writes leave traces that differ from database to database, and plans go by them.
            lab.level();
            judge(&mut lab, &statement, at)
        });
        match judged {
            Ok(outcome) => {
                if outcome.refused && std::env::var_os("SLUICE_SHOW").is_some() {
                    println!("refused: {}\n  {}", outcome.error, statement.text);
                }
                tally.add(&outcome);
            }
            Err(_) => {
                let tape = smaller(choices.tape(), 400, |mut choices| {
                    let statement = generate(&mut choices);
                    judge(&mut lab, &statement, at).is_err()
                });
                let least = generate(&mut Choices::again(tape));
                let why = judge(&mut lab, &least, at).expect_err("it failed before");
                faults.push(format!("seed {seed}, statement {at}:\n  {}\n  {why}", least.text));
                println!("{}", faults.last().unwrap());
            }
        }
        if faults.len() >= ENOUGH {
            break;
        }
    }
    println!("{tally:?}");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    // A run that finds nothing because it asks nothing is no proof.
    let share = |part: u64, percent: u64| assert!(part * 100 >= tally.statements * percent, "{part}: {tally:?}");
    share(tally.statements - tally.refused, 90);
    share(tally.statements - tally.refused - tally.failed, 80);
    share(tally.statements - tally.opaque, 95);
    share(tally.planned, 60);
    share(tally.viewed, 50);
    share(tally.compared, 60);
    // Where the secret shows: in columns that are masked, or in what a statement is said to use it for.
    share(tally.changed, 20);
    share(tally.changed + tally.used, 50);
}
