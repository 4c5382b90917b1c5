//! The benchmark: what does a statement cost through Sluice, next to other proxies and to none at all?
//!
//! [`run`] is what `./dev bench` does. One private PostgreSQL server is reached by several routes (`Route`): directly,
//! through PgBouncer in session mode, through HAProxy, through a plain relay of Sluice's own legs (`relay`, beside this
//! program), and through a release build of Sluice that decides, journals and tapes every statement. Clients speak TLS on
//! all of them. Nothing is measured once: all routes take turns within each round, so that a ratio compares two runs that
//! are seconds apart, and every figure is the median over the rounds. A machine that others use moves the rates; it moves
//! the ratios much less.
//!
//! A run that Sluice did not authorise and journal statement by statement is an error, not a figure.
//!
//! Start with [`run`], then `stage.rs` for what is started, `cell.rs` for what is measured on all routes, and `PARTS` for
//! what has a table of its own.

mod account;
mod bulk;
mod calls;
mod cell;
mod doorstep;
mod durability;
mod haproxy;
pub mod http;
mod machine;
mod measure;
mod pgbench;
mod pgbouncer;
mod plot;
mod proxy;
mod publish;
mod relay;
mod report;
mod revision;
mod route;
pub mod sessions;
pub mod ssh;
mod stage;
mod tape;
mod wide;
mod writes;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::cell::{Cell, LOGIN};
use self::measure::Results;
use self::report::{Page, line};
use self::route::Route;
use self::stage::Stage;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// How often each route takes its turn.
    pub rounds: usize,
    /// Likewise, for what has a table of its own.
    pub part_rounds: usize,
    /// How long `pgbench` runs each time: in whole seconds.
    pub statements: Duration,
    /// How long wide results are read each time.
    pub wide: Duration,
    /// How much is copied out each time, in MiB.
    pub bulk: u32,
    /// Every line, or only as many as there is time for.
    pub every: bool,
}

impl Plan {
    /// What the published figures are made with: about an hour.
    pub const FULL: Self = Self {
        rounds: 7,
        part_rounds: 7,
        statements: Duration::from_secs(4),
        wide: Duration::from_secs(3),
        bulk: 1024,
        every: true,
    };
    /// To see whether a change cost something: under five minutes.
    pub const QUICK: Self = Self {
        rounds: 3,
        part_rounds: 2,
        statements: Duration::from_secs(1),
        wide: Duration::from_millis(500),
        bulk: 128,
        every: false,
    };
}

/// What has a table of its own.
struct Part {
    name: &'static str,
    run: fn(&Stage, &Plan, &mut Page) -> Result<()>,
}

/// In this order: what writes to the tables comes last.
const PARTS: [Part; 7] = [
    Part { name: doorstep::NAME, run: doorstep::run },
    Part { name: calls::NAME, run: calls::run },
    Part { name: durability::NAME, run: durability::run },
    Part { name: tape::NAME, run: tape::run },
    Part { name: bulk::NAME, run: bulk::run },
    Part { name: revision::NAME, run: revision::run },
    Part { name: writes::NAME, run: writes::run },
];

/// Starts everything, measures what has `only` in its name, or all, and prints the tables; `write` puts them into
/// `docs/performance.md`. Nothing that it started is left running.
///
/// # Errors
/// Something does not start, a statement fails, or Sluice did not account for each one.
pub fn run(plan: Plan, only: Option<&str>, write: bool, sluice: PathBuf) -> Result<()> {
    let begin = Instant::now();
    line("starting PostgreSQL, the proxies and Sluice");
    let stage = Stage::start(sluice)?;
    let mut page = Page::default();
    page.machine(&stage)?;
    let is_wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let parts: Vec<&Part> = PARTS.iter().filter(|part| is_wanted(part.name)).collect();
    let mut results = Results::default();
    // The logins are measured for the sake of others: alone they are not asked for.
    if parts.is_empty() || Cell::chosen(only, &plan).any(|cell| cell != LOGIN) {
        results = cells(&stage, &plan, only)?;
        page.results(&results);
    }
    for part in parts {
        (part.run)(&stage, &plan, &mut page)?;
    }
    page.line(&format!(
        "\nIt took {} minutes {} seconds.",
        begin.elapsed().as_secs() / 60,
        begin.elapsed().as_secs() % 60
    ));
    if write { publish::publish(&plan, &results, page.text()) } else { Ok(()) }
}

fn cells(stage: &Stage, plan: &Plan, only: Option<&str>) -> Result<Results> {
    let mut results = Results::default();
    for round in 0..plan.rounds {
        line(&format!("round {} of {}", round + 1, plan.rounds));
        for cell in Cell::chosen(only, plan) {
            for route in Route::in_turn(cell.routes(plan), round) {
                results.add(cell, route, cell.run(stage, route, plan)?);
            }
        }
    }
    Ok(results)
}
