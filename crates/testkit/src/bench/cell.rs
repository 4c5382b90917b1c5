//! The lines of the tables that all routes are measured for.

use std::time::Duration;

use anyhow::Result;

use super::Plan;
use super::account::Account;
use super::measure::Sample;
use super::pgbench::{Protocol, Run};
use super::route::Route;
use super::stage::Stage;
use super::wide::{self, Format};

/// One line of the tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Cell {
    /// `pgbench -S`: one row by its key.
    Statements { protocol: Protocol, clients: u32 },
    /// A connection for each such statement.
    Logins { clients: u32 },
    /// The wide result.
    Wide { format: Format, clients: u32 },
}

/// What is taken off all others of a route, where there are connections.
pub(super) const LOGIN: Cell = Cell::Logins { clients: 1 };

/// How many clients there are, and ten times as many.
pub(super) const FEW: Cell = Cell::Statements { protocol: Protocol::Prepared, clients: 8 };
pub(super) const MANY: Cell = Cell::Statements { protocol: Protocol::Prepared, clients: 80 };

impl Cell {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let statements = Protocol::ALL
            .into_iter()
            .flat_map(|protocol| [1, 8, 32].into_iter().map(move |clients| Self::Statements { protocol, clients }));
        let logins = [1, 8].into_iter().map(|clients| Self::Logins { clients });
        let wide = [1, 4]
            .into_iter()
            .flat_map(|clients| Format::ALL.into_iter().map(move |format| Self::Wide { format, clients }));
        statements.chain([MANY]).chain(logins).chain(wide)
    }

    /// Those whose name has `only` in it, and the one that is taken off the others; without a name, what the plan has time
    /// for.
    pub(super) fn chosen(only: Option<&str>, plan: &Plan) -> impl Iterator<Item = Self> {
        let every = plan.every;
        Self::all().filter(move |cell| {
            *cell == LOGIN || only.map_or(every || cell.is_quick(), |only| cell.to_string().contains(only))
        })
    }

    const fn is_quick(self) -> bool {
        match self {
            Self::Statements { protocol, clients } => matches!(protocol, Protocol::Prepared) || clients == 8,
            Self::Logins { .. } => true,
            Self::Wide { format, .. } => matches!(format, Format::Text),
        }
    }

    /// On which routes it is measured. A quick run compares with HAProxy only where most is compared.
    pub(super) const fn routes(self, plan: &Plan) -> &'static [Route] {
        match self {
            Self::Statements { protocol: Protocol::Prepared, clients: 8 } | Self::Logins { clients: 1 } => &Route::ALL,
            Self::Statements { .. } if plan.every => &Route::ALL,
            Self::Statements { .. } => &[Route::Direct, Route::PgBouncer, Route::Relay, Route::Sluice],
            Self::Logins { .. } | Self::Wide { .. } => &Route::COMPARED,
        }
    }

    /// Runs once, and sees to it that Sluice accounted for every request.
    pub(super) fn run(self, stage: &Stage, route: Route, plan: &Plan) -> Result<Sample> {
        let before = Account::of(stage)?;
        let sample = self.sample(stage, route, plan)?;
        if route == Route::Sluice {
            let masked = if matches!(self, Self::Wide { .. }) { sample.requests * wide::MASKED_VALUES } else { 0 };
            before.must_have_grown(stage, &self.to_string(), sample.requests, masked)?;
        }
        Ok(sample)
    }

    fn sample(self, stage: &Stage, route: Route, plan: &Plan) -> Result<Sample> {
        match self {
            Self::Statements { protocol, clients } => {
                // pgbench's time runs while its clients connect: of one second, eighty would leave little.
                let length = plan.statements + Duration::from_secs(u64::from(clients / 80));
                let endpoint = stage.endpoint(route)?;
                let run = Run::reads(&endpoint, protocol, clients, length);
                if clients > 1 {
                    return run.sample();
                }
                let (sample, latencies) = run.timed()?;
                Ok(Sample { latency: latencies.permille(500), ..sample })
            }
            Self::Logins { clients } => Run::logins(&stage.endpoint(route)?, clients, plan.statements).sample(),
            Self::Wide { format, clients } => wide::run(&stage.endpoint_in_clear(route)?, format, clients, plan.wide),
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clients = match self {
            Self::Statements { protocol, clients } => {
                out.write_str(protocol.name())?;
                *clients
            }
            Self::Logins { clients } => {
                out.write_str("connect, log in, one statement")?;
                *clients
            }
            Self::Wide { format, clients } => {
                write!(out, "wide result, {}", format.name())?;
                *clients
            }
        };
        write!(out, ", {clients} client{}", if clients == 1 { "" } else { "s" })
    }
}
