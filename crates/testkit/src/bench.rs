//! The benchmark: what does a statement cost through Sluice, next to PgBouncer and to no proxy at all?
//!
//! [`run`] is what `./dev bench` does. One private PostgreSQL server is reached by three routes (`Route`): directly,
//! through PgBouncer in session mode, and through a release build of Sluice that decides, journals and tapes every
//! statement. Clients speak TLS on all three; neither proxy speaks it to the server. Nothing is measured once: all routes
//! take turns within each round, so that a ratio compares two runs that are seconds apart, and every figure is the
//! median over the rounds. A machine that others use moves the rates; it moves the ratios much less.
//!
//! A run that Sluice did not authorise and journal statement by statement is an error, not a figure.
//!
//! Start with [`run`], then `stage.rs` for what is started and `pgbench.rs` for what is measured.

mod durability;
mod machine;
mod measure;
mod pgbench;
mod pgbouncer;
mod report;
pub mod sessions;
mod stage;
mod wide;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use self::measure::Cell;
use self::stage::{Route, Stage};

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// How often each route takes its turn.
    pub rounds: usize,
    /// How long `pgbench` runs each time: in whole seconds.
    pub statements: Duration,
    /// How long wide results are read each time.
    pub wide: Duration,
}

impl Plan {
    /// What the published figures are made with: about fifteen minutes.
    pub const FULL: Self = Self { rounds: 5, statements: Duration::from_secs(5), wide: Duration::from_secs(3) };
    /// To see whether a change cost something: under five minutes.
    pub const QUICK: Self = Self { rounds: 3, statements: Duration::from_secs(2), wide: Duration::from_secs(1) };
}

/// Starts everything, measures what has `only` in its name, or all, and prints the tables. Nothing that it started is left
/// running.
///
/// # Errors
/// Something does not start, a statement fails, or Sluice did not account for each one.
pub fn run(plan: Plan, only: Option<&str>, sluice: PathBuf) -> Result<()> {
    report::line("starting PostgreSQL, PgBouncer and Sluice");
    let stage = Stage::start(sluice)?;
    report::machine(&stage)?;
    let durability = only.is_none_or(|only| durability::NAME.contains(only));
    if durability {
        durability::run(&stage, &plan)?;
    }
    if durability && only.is_some() && Cell::chosen(only).all(|cell| cell == Cell::Logins) {
        return Ok(());
    }
    let mut results = measure::Results::default();
    for round in 0..plan.rounds {
        report::line(&format!("round {} of {}", round + 1, plan.rounds));
        for cell in Cell::chosen(only) {
            for route in Route::in_turn(round) {
                results.add(cell, route, cell.run(&stage, route, &plan)?);
            }
        }
    }
    report::tables(&results);
    Ok(())
}
