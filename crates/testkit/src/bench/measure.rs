//! What is measured, on which route, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Plan;
use super::pgbench::{self, Protocol};
use super::stage::{Route, Stage};
use super::wide::{self, Format};
use crate::wait::eventually_blocking;

const ALLOWED: &str = "sluice_decisions_total{outcome=\"allow\"}";
const ENTRIES: &str = "sluice_journal_entries_total";
const CLEAR: &str = "sluice_classified_values_total{form=\"clear\"}";
const MASKED: &str = "sluice_classified_values_total{form=\"masked\"}";

/// How long counters may take to catch up with the last answer.
const COUNTING: Duration = Duration::from_secs(5);

/// One line of the tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Cell {
    /// `pgbench -S`: one row by its key.
    Statements { protocol: Protocol, clients: u32 },
    /// A connection for each such statement.
    Logins,
    /// The wide result.
    Wide { format: Format },
}

/// One run of a cell on a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Requests that were answered while the run was measured.
    pub(super) requests: u64,
    /// Connections that were made for them, of which the cost is to be taken off.
    pub(super) logins: u64,
    /// Requests answered each second, over all clients.
    pub(super) rate: f64,
    /// Mean time from a request to the end of its answer, in microseconds.
    pub(super) latency: f64,
    /// CPU time of the proxy for all of it, in microseconds; 0 without a proxy.
    pub(super) cpu: f64,
}

impl Cell {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let statements = Protocol::ALL
            .into_iter()
            .flat_map(|protocol| [1, 8, 32].into_iter().map(move |clients| Self::Statements { protocol, clients }));
        statements.chain([Self::Logins]).chain(Format::ALL.into_iter().map(|format| Self::Wide { format }))
    }

    /// Those whose name has `only` in it, and the one that is taken off the others.
    pub(super) fn chosen(only: Option<&str>) -> impl Iterator<Item = Self> {
        Self::all().filter(move |cell| *cell == Self::Logins || only.is_none_or(|only| cell.to_string().contains(only)))
    }

    /// Runs once, and sees to it that Sluice accounted for every request.
    pub(super) fn run(self, stage: &Stage, route: Route, plan: &Plan) -> Result<Sample> {
        let endpoint = stage.endpoint(route)?;
        let before = Account::of(stage)?;
        let sample = match self {
            Self::Statements { protocol, clients } => {
                pgbench::statements(&endpoint, protocol, clients, plan.statements)?
            }
            Self::Logins => pgbench::logins(&endpoint, plan.statements)?,
            Self::Wide { format } => wide::run(&endpoint, format, plan.wide)?,
        };
        if route == Route::Sluice {
            before.must_have_grown(stage, self, sample.requests)?;
        }
        Ok(sample)
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Statements { protocol, clients: 1 } => write!(out, "{}, 1 client", protocol.name()),
            Self::Statements { protocol, clients } => write!(out, "{}, {clients} clients", protocol.name()),
            Self::Logins => out.write_str("connect, log in, one statement"),
            Self::Wide { format } => write!(out, "wide result, {}", format.name()),
        }
    }
}

/// What Sluice has counted.
#[derive(Clone, Copy, Debug)]
struct Account {
    allowed: u64,
    entries: u64,
    clear: u64,
    masked: u64,
}

impl Account {
    fn of(stage: &Stage) -> Result<Self> {
        let (allowed, entries) = (stage.count(ALLOWED)?, stage.count(ENTRIES)?);
        Ok(Self { allowed, entries, clear: stage.count(CLEAR)?, masked: stage.count(MASKED)? })
    }

    fn must_have_grown(self, stage: &Stage, cell: Cell, requests: u64) -> Result<()> {
        let masked = match cell {
            Cell::Statements { .. } | Cell::Logins => 0,
            Cell::Wide { .. } => requests * wide::MASKED_VALUES,
        };
        // A value is counted when its answer has ended, which a client may see first.
        let all = |now: Self| {
            let decided = now.allowed - self.allowed >= requests && now.entries - self.entries >= requests;
            decided && now.masked - self.masked >= masked
        };
        let counted = eventually_blocking(COUNTING, "Sluice to account for every request", || {
            let now = Self::of(stage)?;
            Ok(all(now).then_some(now))
        });
        let now = counted.or_else(|error| {
            let now = Self::of(stage)?;
            Err(error.context(format!("{cell:?}: {requests} requests, but {self:?} became {now:?}")))
        })?;
        ensure!(now.clear == self.clear, "{cell:?}: classified values were delivered in clear");
        Ok(())
    }
}

/// All samples, in the order of the rounds.
#[derive(Default)]
pub(super) struct Results(BTreeMap<(Cell, Route), Vec<Sample>>);

impl Results {
    pub(super) fn add(&mut self, cell: Cell, route: Route, sample: Sample) {
        self.0.entry((cell, route)).or_default().push(sample);
    }

    /// The median over the rounds of a figure of a route.
    pub(super) fn median(&self, cell: Cell, route: Route, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.of(cell, route).iter().map(figure).collect())
    }

    /// The median over the rounds of a figure of Sluice divided by the same of another route in the same round.
    pub(super) fn ratio(&self, cell: Cell, over: Route, figure: impl Fn(&Sample) -> f64) -> f64 {
        let rounds = self.of(cell, Route::Sluice).iter().zip(self.of(cell, over));
        median(rounds.map(|(sluice, other)| figure(sluice) / figure(other)).collect())
    }

    /// CPU time of the proxy for each request, in microseconds, without what the connections cost.
    pub(super) fn cpu(&self, cell: Cell, route: Route) -> f64 {
        let each = |sample: &Sample| sample.cpu / float(sample.requests);
        let login = self.median(Cell::Logins, route, each);
        let alone = |sample: &Sample| (sample.cpu - float(sample.logins) * login) / float(sample.requests);
        self.median(cell, route, alone)
    }

    /// What was measured, in order.
    pub(super) fn cells(&self) -> Vec<Cell> {
        Cell::all().filter(|cell| !self.of(*cell, Route::Sluice).is_empty()).collect()
    }

    fn of(&self, cell: Cell, route: Route) -> &[Sample] {
        self.0.get(&(cell, route)).map_or(&[], Vec::as_slice)
    }

    /// All requests that Sluice answered, and accounted for.
    pub(super) fn accounted(&self) -> u64 {
        let sluice = self.0.iter().filter(|((_, route), _)| *route == Route::Sluice);
        sluice.flat_map(|(_, samples)| samples).map(|sample| sample.requests).sum()
    }
}

/// A count as a number to calculate with; none here comes near 2^32.
fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The middle one, or the mean of the two in the middle; not a number if there is none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or(f64::NAN);
    match values.get(middle.wrapping_sub(1)) {
        Some(lower) if values.len().is_multiple_of(2) => f64::midpoint(*lower, upper),
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).total_cmp(&2.0), std::cmp::Ordering::Equal);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]).total_cmp(&2.5), std::cmp::Ordering::Equal);
        assert!(median(Vec::new()).is_nan());
    }
}
