//! What a tape costs: the same reads with `full` and with `off`, in turns.

use anyhow::Result;

use super::Plan;
use super::account::Account;
use super::measure::{Sample, float, median};
use super::pgbench::{Protocol, Run};
use super::report::{Page, figure, line};
use super::route::Route;
use super::stage::Stage;
use super::wide::{self, Format};

/// What its lines have in their names.
pub(super) const NAME: &str = "tape";

/// What is read, by one client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Small,
    Wide,
}

impl Read {
    const fn name(self) -> &'static str {
        match self {
            Self::Small => "tape, one row, prepared",
            Self::Wide => "tape, wide result, text",
        }
    }

    fn sample(self, stage: &Stage, plan: &Plan) -> Result<Sample> {
        let (endpoint, before) = (stage.endpoint(Route::Sluice)?, Account::of(stage)?);
        let sample = match self {
            Self::Small => {
                let (sample, latencies) = Run::reads(&endpoint, Protocol::Prepared, 1, plan.statements).timed()?;
                Sample { latency: latencies.permille(500), ..sample }
            }
            Self::Wide => wide::run(&endpoint, Format::Text, 1, plan.wide)?,
        };
        let masked = if self == Self::Wide { sample.requests * wide::MASKED_VALUES } else { 0 };
        before.must_have_grown(stage, self.name(), sample.requests, masked)?;
        Ok(sample)
    }
}

/// Reads with both, beginning with the other one in each round, and prints medians and ratios. The stage is left at `full`.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    let reads = [Read::Small, Read::Wide];
    let (mut off, mut full) = (reads.map(|_| Vec::new()), reads.map(|_| Vec::new()));
    for round in 0..plan.part_rounds {
        line(&format!("tape, round {} of {}", round + 1, plan.part_rounds));
        for mode in if round % 2 == 0 { ["off", "full"] } else { ["full", "off"] } {
            stage.set_target("tape", mode)?;
            let taken = if mode == "off" { &mut off } else { &mut full };
            for (read, samples) in reads.into_iter().zip(taken) {
                samples.push(read.sample(stage, plan)?);
            }
        }
    }
    stage.set_target("tape", "full")?;
    page.heading("Tape: p50 and CPU time, µs", &["p50, `off`", "`full`", "ratio", "CPU, `off`", "`full`", "ratio"]);
    for ((read, off), full) in reads.into_iter().zip(&off).zip(&full) {
        let latency = compared(off, full, |sample| sample.latency);
        let cpu = compared(off, full, |sample| sample.cpu / float(sample.requests));
        page.row(read.name(), &[latency, cpu].concat());
    }
    Ok(())
}

/// The medians of both, and the median of the ratios within a round.
fn compared(off: &[Sample], full: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<String> {
    let ratio = median(full.iter().zip(off).map(|(full, off)| of(full) / of(off)).collect());
    let [off, full] = [off, full].map(|samples| median(samples.iter().map(&of).collect()));
    vec![figure(off, 1), figure(full, 1), figure(ratio, 2)]
}
