//! Conformance: does what works directly work through Sluice?
//!
//! [`run`] is what `./dev conformance postgres` does. PostgreSQL's own regression suite, of the source package of the very
//! server that is installed, runs twice: directly, and through Sluice under a policy that permits and reveals everything.
//! Each route has a private server of its own, started alike, so that neither finds what the other left behind.
//!
//! A file that matches what the suite expects when run directly must match through Sluice, and one that does not must
//! print the same. The exceptions stand in `crates/testkit/conformance/postgres.toml`, each with its reason: a file that
//! differs and is not listed fails the run, and so does one that is listed and does not differ.
//!
//! [`identity::run`] is what `./dev conformance identity` does: identity products as they are installed in the world.
//!
//! [`kubernetes::run`] is what `./dev conformance kubernetes` does: a real cluster, and its clients.
//!
//! [`versions::run`] is what `./dev conformance versions` does: the tests that need a server, on servers of other versions.
//!
//! Start with [`run`], then `stage.rs` for what is started and `suite.rs` for what runs on it.

mod compare;
pub mod identity;
pub mod kubernetes;
mod listed;
mod report;
mod stage;
mod suite;
pub mod versions;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

pub use self::compare::{Outcome, Row};
pub use self::listed::{Listed, listed};
use self::stage::Route;
use self::suite::Suite;

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The unpacked `src/test/regress` of the server's source package.
    pub source: PathBuf,
    /// Its `regress.c`, compiled for the server.
    pub library: PathBuf,
    /// Where results and differences are left.
    pub results: PathBuf,
    /// How often each route takes its turn.
    pub rounds: usize,
    /// Only these files, in this order, after `test_setup`; empty for all.
    pub only: Vec<String>,
}

/// Runs the suite on both routes in turn, prints the table, and writes what differs and the section of the documentation.
///
/// # Errors
/// Something does not start, a file differs without being listed, or a listed one does not differ.
pub fn run(plan: &Plan, sluice: &Path) -> Result<()> {
    let suite = Suite::new(plan)?;
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        let mut runs = Vec::new();
        for route in Route::in_turn(round) {
            report::line(&format!("round {} of {}: {}", round + 1, plan.rounds, route.name()));
            let run = suite.run(route, sluice, round)?;
            report::line(&format!("  {} s", run.took.as_secs()));
            runs.push(run);
        }
        runs.sort_by_key(|run| run.route);
        rounds.push(compare::round(&runs, &plan.results)?);
    }
    let rows = compare::worst(rounds);
    report::table(&rows);
    let whole = plan.only.is_empty();
    let listed = listed()?;
    if whole {
        report::write_documentation(&rows, &listed, sluice)?;
    }
    let complaints = listed::complaints(&rows, &listed, whole);
    complaints.iter().for_each(|complaint| report::line(complaint));
    ensure!(complaints.is_empty(), "the differences are in {}", plan.results.display());
    Ok(())
}
