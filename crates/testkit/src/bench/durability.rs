//! What a decision that survives a power cut costs: the same clients at `process` and at `power`, in turns.

use anyhow::Result;

use super::Plan;
use super::account::Account;
use super::measure::{float, median};
use super::pgbench::{Protocol, Run};
use super::report::{Page, line};
use super::route::Route;
use super::stage::Stage;

/// The name of its line.
pub(super) const NAME: &str = "durability, prepared, 32 clients";
const CLIENTS: u32 = 32;
const SYNCS: &str = "sluice_journal_syncs_total";

/// One run at one level.
#[derive(Clone, Copy)]
struct Turn {
    /// Statements each second.
    rate: f64,
    /// fdatasyncs each second.
    syncs: f64,
}

/// Measures both levels in each round, beginning with the other one each time, and prints the medians and the ratio of runs
/// that are seconds apart. The stage is left at `process`.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    let (mut process, mut power) = (Vec::new(), Vec::new());
    for round in 0..plan.part_rounds {
        line(&format!("durability, round {} of {}", round + 1, plan.part_rounds));
        let turns = if round % 2 == 0 { ["process", "power"] } else { ["power", "process"] };
        for level in turns {
            stage.set_target("durability", level)?;
            let turn = turn(stage, plan)?;
            if level == "power" { power.push(turn) } else { process.push(turn) }
        }
    }
    stage.set_target("durability", "process")?;
    let of = |turns: &[Turn], figure: fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
    let ratio = median(power.iter().zip(&process).map(|(power, process)| power.rate / process.rate).collect());
    let [at_process, at_power] = [&process, &power].map(|turns| of(turns, |turn| turn.rate));
    let [syncs, power_syncs] = [&process, &power].map(|turns| of(turns, |turn| turn.syncs));
    let columns = ["`process`", "`power`", "`power` / `process`", "fdatasyncs/s, `process`", "`power`"];
    page.heading("A decision that survives a power cut: statements each second", &columns);
    let whole = |figure: f64| format!("{figure:.0}");
    page.row(NAME, &[whole(at_process), whole(at_power), format!("{ratio:.2}"), whole(syncs), whole(power_syncs)]);
    Ok(())
}

fn turn(stage: &Stage, plan: &Plan) -> Result<Turn> {
    let endpoint = stage.endpoint(Route::Sluice)?;
    let (before, syncs) = (Account::of(stage)?, stage.count(SYNCS)?);
    let sample = Run::reads(&endpoint, Protocol::Prepared, CLIENTS, plan.statements).sample()?;
    before.must_have_grown(stage, NAME, sample.requests, 0)?;
    let syncs = float(stage.count(SYNCS)?.saturating_sub(syncs));
    Ok(Turn { rate: sample.rate, syncs: syncs / plan.statements.as_secs_f64() })
}
