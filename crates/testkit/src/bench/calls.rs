//! System calls of the proxies for a statement, counted by the kernel (`perf stat`), which hardly slows them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Plan;
use super::account::Account;
use super::measure::float;
use super::pgbench::{Protocol, Run};
use super::report::{Page, figure, line};
use super::route::Route;
use super::stage::Stage;

/// What its lines are asked for by.
pub(super) const NAME: &str = "system calls";
const CLIENTS: u32 = 8;

const ALL: &str = "raw_syscalls:sys_enter";

/// The columns, and the system calls that are in each.
const KINDS: [(&str, &[&str]); 7] = [
    ("recv", &["recvfrom", "recvmsg"]),
    ("read", &["read", "readv", "pread64"]),
    ("send", &["sendto", "sendmsg"]),
    ("write", &["write", "writev", "pwrite64"]),
    ("epoll", &["epoll_wait", "epoll_pwait", "epoll_ctl"]),
    ("futex", &["futex"]),
    ("sync", &["fsync", "fdatasync"]),
];

/// Counts once for each proxy, and prints what a statement took; with the logins of the clients and what the proxy puts off
/// meanwhile, which is next to nothing of it.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    let events: Vec<String> = KINDS.iter().flat_map(|(_, calls)| *calls).map(|call| tracepoint(call)).collect();
    let events = [&[ALL.to_owned()], &events[..]].concat().join(",");
    let mut probe = Command::new("perf");
    probe.args(["stat", "-e", &events, "true"]);
    if crate::command::run(probe, b"").and_then(crate::command::Output::success).is_err() {
        page.line(
            "\nSystem calls are left out: this takes `perf`, and a user who may count by tracepoints, such as root.",
        );
        return Ok(());
    }
    let columns = [&["all"], &KINDS.map(|(kind, _)| kind)[..], &["other"]].concat();
    let mut rows = Vec::new();
    for route in Route::PROXIES {
        line(&format!("counting the system calls of {}", route.name()));
        rows.push((route.name(), count(stage, plan, route, &events)?));
    }
    page.heading("System calls for a statement: prepared, 8 clients", &columns);
    rows.iter().for_each(|(name, figures)| page.row(name, figures));
    Ok(())
}

fn tracepoint(call: &str) -> String {
    format!("syscalls:sys_enter_{call}")
}

/// What a statement took of each column.
fn count(stage: &Stage, plan: &Plan, route: Route, events: &str) -> Result<Vec<String>> {
    let (endpoint, before) = (stage.endpoint(route)?, Account::of(stage)?);
    let pid = endpoint.proxy.context("no proxy")?.to_string();
    let directory = tempfile::Builder::new().prefix("sluice-calls-").tempdir()?;
    let file = directory.path().join("counts");
    let counts = file.display().to_string();
    // For as long as the command runs.
    let perf = ["perf", "stat", "-x", ",", "-o", &counts, "-e", events, "-p", &pid, "--"];
    let sample = Run::reads(&endpoint, Protocol::Prepared, CLIENTS, plan.statements).sample_under(&perf)?;
    if route == Route::Sluice {
        before.must_have_grown(stage, NAME, sample.requests, 0)?;
    }
    let counted = counted(&fs::read_to_string(&file)?);
    let of = |event: &str| counted.get(event).copied().with_context(|| format!("perf did not count {event}"));
    let kinds = KINDS.map(|(_, calls)| calls.iter().map(|call| of(&tracepoint(call))).sum::<Result<u64>>());
    let kinds = kinds.into_iter().collect::<Result<Vec<u64>>>()?;
    let all = of(ALL)?;
    ensure!(all > 0, "no system call was counted");
    let other = all.saturating_sub(kinds.iter().sum());
    let each = |count: u64| figure(float(count) / float(sample.requests), 2);
    Ok([&[all], &kinds[..], &[other]].concat().into_iter().map(each).collect())
}

/// Reads what `perf stat -x ,` wrote: value, unit, event and more.
fn counted(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let mut fields = line.split(',');
        let value = fields.next()?.parse().ok()?;
        Some((fields.nth(1)?.to_owned(), value))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_perf_are_understood() {
        let text = "# started on Sun Nov 29\n\n412,,raw_syscalls:sys_enter,287141,100.00,,\n\
                    7,,syscalls:sys_enter_futex,287141,100.00,,\n<not supported>,,instructions:u,0,100.00,,\n";
        let counted = counted(text);
        assert_eq!(counted.get(ALL), Some(&412));
        assert_eq!(counted.get(&tracepoint("futex")), Some(&7));
        assert_eq!(counted.len(), 2);
    }
}
