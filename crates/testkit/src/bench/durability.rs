//! What a decision that survives a power cut costs: the same clients at `process` and at `power`, in turns.

use std::fs;

use anyhow::Result;

use super::Plan;
use super::measure::median;
use super::pgbench::{self, Protocol};
use super::report::line;
use super::stage::{Route, Stage};

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
pub(super) fn run(stage: &Stage, plan: &Plan) -> Result<()> {
    let (mut process, mut power) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        line(&format!("durability, round {} of {}", round + 1, plan.rounds));
        let turns = if round % 2 == 0 { ["process", "power"] } else { ["power", "process"] };
        for level in turns {
            stage.set_durability(level)?;
            let turn = turn(stage, plan)?;
            if level == "power" { power.push(turn) } else { process.push(turn) }
        }
    }
    stage.set_durability("process")?;
    let of = |turns: &[Turn], figure: fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
    let ratio = median(power.iter().zip(&process).map(|(power, process)| power.rate / process.rate).collect());
    line(
        "\n| Statements each second | `process` | `power` | `power` / `process` | fdatasyncs/s, `process` | `power` |",
    );
    line("|---|--:|--:|--:|--:|--:|");
    let [at_process, at_power] = [&process, &power].map(|turns| of(turns, |turn| turn.rate));
    let [syncs, power_syncs] = [&process, &power].map(|turns| of(turns, |turn| turn.syncs));
    line(&format!("| {NAME} | {at_process:.0} | {at_power:.0} | {ratio:.2} | {syncs:.0} | {power_syncs:.0} |"));
    Ok(())
}

fn turn(stage: &Stage, plan: &Plan) -> Result<Turn> {
    let endpoint = stage.endpoint(Route::Sluice)?;
    let before = stage.count(SYNCS)?;
    let sample = pgbench::statements(&endpoint, Protocol::Prepared, CLIENTS, plan.statements)?;
    let syncs = u32::try_from(stage.count(SYNCS)?.saturating_sub(before)).unwrap_or(u32::MAX);
    Ok(Turn { rate: sample.rate, syncs: f64::from(syncs) / plan.statements.as_secs_f64() })
}

impl Stage {
    /// Has decisions recorded at this level by all sessions that begin from now on.
    fn set_durability(&self, level: &str) -> Result<()> {
        let path = self.site().revision_file("targets.toml");
        let text = fs::read_to_string(&path)?;
        let set = ["process", "power"].iter().fold(text.clone(), |text, other| {
            text.replace(&format!("durability = \"{other}\""), &format!("durability = \"{level}\""))
        });
        if set != text {
            self.site().revise(|| Ok(fs::write(&path, set)?))?;
        }
        Ok(())
    }
}
