//! `pgbench -S`: one account by its key, over and over.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::machine::cpu_time;
use super::measure::Sample;
use super::stage::{Endpoint, client};
use crate::postgres::binaries;

/// How much longer than asked for a run may take, to connect and to end.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Runs pgbench once. The CPU time is that from its first report, after one second, to its end: what it takes to connect
/// (a TLS handshake for each client, a token, a login) is no part of what a statement costs.
pub(super) fn run(endpoint: &Endpoint, protocol: Protocol, clients: u32, length: Duration) -> Result<Sample> {
    let mut child = command(endpoint, protocol, clients, length)?.spawn().context("cannot start pgbench")?;
    let mut reports = BufReader::new(child.stderr.take().context("pgbench has no standard error")?);
    let (mut text, mut first) = (String::new(), None);
    while reports.read_line(&mut text)? > 0 {
        let last = text.trim_end().rsplit('\n').next().unwrap_or_default();
        if let (None, Some(done)) = (&first, progress(last)) {
            first = Some((done, endpoint.proxy.map(cpu_time).transpose()?));
        }
    }
    let mut result = String::new();
    child.stdout.take().context("pgbench has no standard output")?.read_to_string(&mut result)?;
    let status = child.wait()?;
    ensure!(status.success(), "pgbench: {status}: {text}{result}");
    let outcome = outcome(&result).with_context(|| format!("cannot read what pgbench printed: {result}"))?;
    ensure!(result.contains("failed transactions: 0 "), "transactions failed: {result}");
    let (done, earlier) = first.with_context(|| format!("pgbench reported no progress: {text}"))?;
    let cpu = match (endpoint.proxy, earlier) {
        (Some(pid), Some(earlier)) => {
            let counted = f64::from(u32::try_from(outcome.transactions)?) - done;
            (cpu_time(pid)? - earlier).as_secs_f64() * 1e6 / counted
        }
        _ => 0.0,
    };
    // pgbench's own mean has but three decimals of a millisecond.
    let latency = f64::from(clients) * 1e6 / outcome.rate;
    Ok(Sample { requests: outcome.transactions, rate: outcome.rate, latency, cpu })
}

fn command(endpoint: &Endpoint, protocol: Protocol, clients: u32, length: Duration) -> Result<Command> {
    let limit = (length + PATIENCE).as_secs().to_string();
    let pgbench = binaries::server()?.join("pgbench");
    let mut command = client("timeout".as_ref(), endpoint);
    command.arg(limit).arg(pgbench).args(["-n", "-S", "-P", "1", "-M", protocol.name()]);
    command.args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string(), "-T", &length.as_secs().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// How many transactions were done at the time of a report: `progress: 1.0 s, 20000.1 tps, lat …`.
fn progress(line: &str) -> Option<f64> {
    let mut parts = line.strip_prefix("progress: ")?.split(", ");
    let seconds: f64 = parts.next()?.strip_suffix(" s")?.parse().ok()?;
    let rate: f64 = parts.next()?.strip_suffix(" tps")?.parse().ok()?;
    Some(seconds * rate)
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
        let done = progress("progress: 1.5 s, 20000.0 tps, lat 0.050 ms stddev 0.004, 0 failed").unwrap();
        assert!((done - 30000.0).abs() < 1e-6);
        assert!(progress("pgbench: error: connection refused").is_none());
        let text = "number of transactions actually processed: 63055\nnumber of failed transactions: 0 (0.000%)\n\
                    latency average = 0.032 ms\ninitial connection time = 2.6 ms\n\
                    tps = 31557.1 (without initial connection time)\n";
        let outcome = outcome(text).unwrap();
        assert_eq!(outcome.transactions, 63055);
        assert!((outcome.rate - 31557.1).abs() < 1e-6);
    }
}
