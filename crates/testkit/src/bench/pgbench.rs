//! `pgbench -S`: one account by its key, over and over.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::machine::{cpu_time, settled_cpu_time};
use super::measure::Sample;
use super::stage::{Endpoint, client};
use crate::postgres::binaries;

/// How pgbench sends a statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Protocol {
    Simple,
    Extended,
    Prepared,
}

impl Protocol {
    pub(super) const ALL: [Self; 3] = [Self::Simple, Self::Extended, Self::Prepared];

    /// As pgbench names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Prepared => "prepared",
        }
    }
}

/// What pgbench reports at the end.
struct Outcome {
    transactions: u64,
    rate: f64,
}

/// Runs pgbench once, with all clients connected for as long as it takes.
pub(super) fn statements(endpoint: &Endpoint, protocol: Protocol, clients: u32, length: Duration) -> Result<Sample> {
    let mut sample = run(endpoint, &["-M", protocol.name()], clients, length)?;
    sample.logins = u64::from(clients);
    Ok(sample)
}

/// Runs pgbench once, with a new connection for each statement.
pub(super) fn logins(endpoint: &Endpoint, length: Duration) -> Result<Sample> {
    run(endpoint, &["-C"], 1, length)
}

fn run(endpoint: &Endpoint, options: &[&str], clients: u32, length: Duration) -> Result<Sample> {
    let mut command = client(&binaries::server()?.join("pgbench"), endpoint);
    command.args(["-n", "-S"]).args(options);
    command.args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string(), "-T", &length.as_secs().to_string()]);
    let earlier = endpoint.proxy.map(cpu_time).transpose()?;
    let result = crate::command::run(command, b"")?.success().context("pgbench failed")?;
    let outcome = outcome(&result).with_context(|| format!("cannot read what pgbench printed: {result}"))?;
    ensure!(result.contains("failed transactions: 0 "), "transactions failed: {result}");
    let cpu = endpoint.proxy.map(settled_cpu_time).transpose()?.unwrap_or_default() - earlier.unwrap_or_default();
    // pgbench's own mean has but three decimals of a millisecond.
    let latency = f64::from(clients) * 1e6 / outcome.rate;
    Ok(Sample { requests: outcome.transactions, logins: 0, rate: outcome.rate, latency, cpu: cpu.as_secs_f64() * 1e6 })
}

fn outcome(text: &str) -> Option<Outcome> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    Some(Outcome {
        transactions: value("number of transactions actually processed: ")?.parse().ok()?,
        rate: value("tps = ")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reports_of_pgbench_are_understood() {
        assert!(outcome("pgbench: error: connection refused").is_none());
        let text = "number of transactions actually processed: 63055\nnumber of failed transactions: 0 (0.000%)\n\
                    latency average = 0.032 ms\ninitial connection time = 2.6 ms\n\
                    tps = 31557.1 (without initial connection time)\n";
        let outcome = outcome(text).unwrap();
        assert_eq!(outcome.transactions, 63055);
        assert!((outcome.rate - 31557.1).abs() < 1e-6);
    }
}
