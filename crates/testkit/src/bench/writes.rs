//! Transactions that write, at level `power`: Sluice's decisions survive a power cut, as the server's commits do.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::Plan;
use super::account::Account;
use super::measure::{Sample, float, median};
use super::pgbench::{Run, STATEMENTS_OF_A_WRITE};
use super::report::{Page, figure, line};
use super::route::Route;
use super::stage::Stage;

/// The name of its line.
pub(super) const NAME: &str = "writes, TPC-B at `power`, 32 clients";
const CLIENTS: u32 = 32;

/// How much longer they run than those that only read: commits wait for a disk.
const LONGER: Duration = Duration::from_secs(1);

/// Measures all routes in turn, and prints medians and the ratios within a round. The stage is left at `process`.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    stage.set_target("durability", "power")?;
    stage.set_server("fsync", Some("on"))?;
    let mut taken: BTreeMap<Route, Vec<Sample>> = BTreeMap::new();
    for round in 0..plan.part_rounds {
        line(&format!("writes, round {} of {}", round + 1, plan.part_rounds));
        for route in Route::in_turn(&Route::COMPARED, round) {
            taken.entry(route).or_default().push(sample(stage, plan, route)?);
        }
    }
    stage.set_server("fsync", None)?;
    stage.set_target("durability", "process")?;
    let [direct, pgbouncer, sluice] = Route::COMPARED.map(|route| taken.remove(&route).unwrap_or_default());
    let columns =
        ["direct", "PgBouncer", "Sluice", "Sluice / PgBouncer", "PgBouncer / direct", "CPU, µs, PgBouncer", "Sluice"];
    page.heading("Transactions that write, each second", &columns);
    let rates = [&direct, &pgbouncer, &sluice].map(|samples| figure(median_of(samples, |sample| sample.rate), 0));
    let ratios = [ratio(&sluice, &pgbouncer), ratio(&pgbouncer, &direct)].map(|ratio| figure(ratio, 2));
    let cpu = [&pgbouncer, &sluice]
        .map(|samples| figure(median_of(samples, |sample| sample.cpu / float(sample.requests)), 1));
    page.row(NAME, &[&rates[..], &ratios[..], &cpu[..]].concat());
    Ok(())
}

fn sample(stage: &Stage, plan: &Plan, route: Route) -> Result<Sample> {
    let (endpoint, before) = (stage.endpoint(route)?, Account::of(stage)?);
    let sample = Run::writes(&endpoint, CLIENTS, plan.statements + LONGER).sample()?;
    if route == Route::Sluice {
        before.must_have_grown(stage, NAME, sample.requests * STATEMENTS_OF_A_WRITE, 0)?;
    }
    Ok(sample)
}

fn median_of(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    median(samples.iter().map(figure).collect())
}

fn ratio(samples: &[Sample], over: &[Sample]) -> f64 {
    median(samples.iter().zip(over).map(|(sample, over)| sample.rate / over.rate).collect())
}
