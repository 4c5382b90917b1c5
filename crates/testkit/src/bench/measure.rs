//! What was measured: samples, medians and ratios.

use std::collections::BTreeMap;

use super::cell::{Cell, LOGIN};
use super::route::Route;

/// One run of a cell on a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Requests that were answered while the run was measured.
    pub(super) requests: u64,
    /// Connections that were made for them, of which the cost is to be taken off.
    pub(super) logins: u64,
    /// Requests answered each second, over all clients.
    pub(super) rate: f64,
    /// Time from a request to the end of its answer, in microseconds: the median where each was timed (one client, and wide
    /// results), else the mean.
    pub(super) latency: f64,
    /// CPU time of the proxy for all of it, in microseconds; 0 without a proxy.
    pub(super) cpu: f64,
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
        let login = self.median(LOGIN, route, each);
        let alone = |sample: &Sample| (sample.cpu - float(sample.logins) * login) / float(sample.requests);
        self.median(cell, route, alone)
    }

    /// The same of Sluice divided by that of another route.
    pub(super) fn cpu_ratio(&self, cell: Cell, over: Route) -> f64 {
        self.cpu(cell, Route::Sluice) / self.cpu(cell, over)
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
pub(super) fn float(count: u64) -> f64 {
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
