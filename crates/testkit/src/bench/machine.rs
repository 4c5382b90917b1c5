//! The machine that is measured on: what it is, what a process used of it, and how to keep it awake.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::keeper::Kept;
use crate::wait::eventually_blocking;

/// How long a clock tick of `/proc` is: USER_HZ is 100 on every Linux that PostgreSQL runs on (proc_pid_stat(5)).
const TICK: Duration = Duration::from_millis(10);

/// The CPU time that a process, with all its threads, has used until now.
pub(super) fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    // The name in parentheses may itself hold anything; utime and stime are the 12th and 13th fields behind it.
    let (_, fields) = stat.rsplit_once(')').context("no process status")?;
    let mut times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let mut next = || times.next().context("no CPU time")?.context("no number of ticks");
    Ok(TICK * (next()? + next()?))
}

/// How long a process may be busy with what it put off.
const SETTLING: Duration = Duration::from_secs(60);

/// Waits until a process does next to nothing, and returns the CPU time that it has used by then: what it puts off (an
/// index that follows, memory given back) is part of what its requests cost, and must not disturb the next run.
pub(super) fn settled_cpu_time(pid: u32) -> Result<Duration> {
    let mut before = cpu_time(pid)?;
    let mut quiet = 0;
    eventually_blocking(SETTLING, "the proxy to come to rest", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = cpu_time(pid)?;
        quiet = if now.saturating_sub(before) <= TICK { quiet + 1 } else { 0 };
        before = now;
        // The index looks for more several times a second: once may be between two looks.
        Ok((quiet >= 3).then_some(now))
    })
}

/// Loops of the lowest priority (SCHED_IDLE), one for each core. They give way to anything else at once. Without them the
/// cores of a machine with one busy client halt between any two messages, and it is their waking up that is measured.
pub(super) struct Spinners(#[expect(dead_code, reason = "they end when it is dropped")] Vec<Kept>);

impl Spinners {
    pub(super) fn start(log: &Path) -> Result<Self> {
        let spin = || {
            let mut command = Command::new("chrt");
            command.args(["--idle", "0", "sh", "-c", "while :; do :; done"]);
            Kept::spawn(&command, "KILL", None, log)
        };
        let cores = std::thread::available_parallelism()?.get();
        Ok(Self((0..cores).map(|_| spin()).collect::<Result<_>>()?))
    }
}

/// The processor, the kernel and the load, each as a line of text.
pub(super) fn description() -> Result<Vec<String>> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    Ok(vec![
        format!("{cores} cores, {model}"),
        format!("Linux {}", kernel.trim()),
        format!("load average {} before the first round", load.join(" ")),
    ])
}

/// The first line that a program says of its version.
pub(super) fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
