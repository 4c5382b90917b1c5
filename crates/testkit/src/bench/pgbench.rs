//! `pgbench`: one account by its key, over and over, or small transactions that write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::machine::{cpu_time, settled_cpu_time};
use super::measure::Sample;
use super::route::Endpoint;
use super::stage::client;
use crate::postgres::binaries;

/// BEGIN, three UPDATEs, a SELECT, an INSERT, END.
pub(super) const STATEMENTS_OF_A_WRITE: u64 = 7;

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

/// One run of pgbench.
pub(super) struct Run<'a> {
    endpoint: &'a Endpoint,
    options: Vec<&'static str>,
    clients: u32,
    length: Duration,
    /// Connections whose cost is to be taken off.
    logins: u64,
}

impl<'a> Run<'a> {
    /// Reads of one row, by clients that stay connected for as long as it takes.
    pub(super) fn reads(endpoint: &'a Endpoint, protocol: Protocol, clients: u32, length: Duration) -> Self {
        let options = vec!["-S", "-M", protocol.name()];
        Self { endpoint, options, clients, length, logins: u64::from(clients) }
    }

    /// Such reads, with a new connection for each.
    pub(super) fn logins(endpoint: &'a Endpoint, clients: u32, length: Duration) -> Self {
        Self { endpoint, options: vec!["-S", "-C"], clients, length, logins: 0 }
    }

    /// The standard transactions, which are like TPC-B's: [`STATEMENTS_OF_A_WRITE`] statements, four of which write.
    pub(super) fn writes(endpoint: &'a Endpoint, clients: u32, length: Duration) -> Self {
        let options = vec!["-b", "tpcb-like", "-M", Protocol::Prepared.name()];
        Self { endpoint, options, clients, length, logins: u64::from(clients) }
    }

    /// Runs it.
    pub(super) fn sample(&self) -> Result<Sample> {
        self.run(client(&program()?, self.endpoint))
    }

    /// Runs it as the command of another program, of which `wrapper` are the name and arguments.
    pub(super) fn sample_under(&self, wrapper: &[&str]) -> Result<Sample> {
        let [name, arguments @ ..] = wrapper else { return self.sample() };
        let mut command = client(Path::new(name), self.endpoint);
        command.args(arguments).arg(program()?);
        self.run(command)
    }

    /// Runs it, and returns as well how long each transaction took.
    pub(super) fn timed(&self) -> Result<(Sample, Latencies)> {
        let directory = tempfile::Builder::new().prefix("sluice-pgbench-").tempdir()?;
        let mut command = client(&program()?, self.endpoint);
        command.arg("--log").arg("--log-prefix").arg(directory.path().join("log"));
        let sample = self.run(command)?;
        let mut latencies = Vec::new();
        for file in fs::read_dir(directory.path())? {
            let text = fs::read_to_string(file?.path())?;
            // Client, transaction, then the time that it took in microseconds (pgbench's manual, "Per-Transaction Logging").
            latencies.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u32>().ok()));
        }
        let logged = u64::try_from(latencies.len())?;
        ensure!(logged == sample.requests, "pgbench logged {logged} of {} transactions", sample.requests);
        Ok((sample, Latencies::of(latencies)))
    }

    fn run(&self, mut command: Command) -> Result<Sample> {
        command.arg("-n").args(&self.options).args(["-c", &self.clients.to_string()]);
        command.args(["-j", &self.clients.min(2).to_string(), "-T", &self.length.as_secs().to_string()]);
        let earlier = self.endpoint.proxy.map(cpu_time).transpose()?;
        let result = crate::command::run(command, b"")?.success().context("pgbench failed")?;
        let outcome = outcome(&result).with_context(|| format!("cannot read what pgbench printed: {result}"))?;
        ensure!(result.contains("failed transactions: 0 "), "transactions failed: {result}");
        let now = self.endpoint.proxy.map(settled_cpu_time).transpose()?;
        let cpu = (now.unwrap_or_default() - earlier.unwrap_or_default()).as_secs_f64() * 1e6;
        // pgbench's own mean has but three decimals of a millisecond.
        let latency = f64::from(self.clients) * 1e6 / outcome.rate;
        Ok(Sample { requests: outcome.transactions, logins: self.logins, rate: outcome.rate, latency, cpu })
    }
}

/// How long each of many requests took, in microseconds.
pub(super) struct Latencies(Vec<u32>);

impl Latencies {
    pub(super) fn of(mut each: Vec<u32>) -> Self {
        each.sort_unstable();
        Self(each)
    }

    /// What this many of a thousand did not exceed: 500 is the median, 1000 the slowest.
    pub(super) fn permille(&self, part: usize) -> f64 {
        let at = (self.0.len() * part).div_ceil(1000).saturating_sub(1);
        self.0.get(at).copied().map_or(f64::NAN, f64::from)
    }
}

fn program() -> Result<PathBuf> {
    Ok(binaries::server()?.join("pgbench"))
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
    fn permilles_are_of_what_was_measured() {
        let latencies = Latencies::of((1..=2000).rev().collect());
        let [median, most, slowest] = [500, 999, 1000].map(|part| latencies.permille(part));
        assert!((median - 1000.0).abs() < 1e-9 && (most - 1998.0).abs() < 1e-9 && (slowest - 2000.0).abs() < 1e-9);
        assert!(Latencies::of(Vec::new()).permille(500).is_nan());
    }

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
