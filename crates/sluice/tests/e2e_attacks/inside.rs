//! What keeps the memory of the running program where it is: no core dump, no look from outside, no swap (LK-08, LK-13).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::wait::eventually_blocking;

use crate::support::{LIMIT, binary, database, postgres, rows};

/// A limit that forbids it, in KiB: any would, also one that Sluice would come up to only later.
const LIMITED: &str = "ulimit -l 8388608 2>/dev/null || ulimit -l 64";

/// With what root gives up this capability, or all; others have none.
fn without(capability: &str) -> String {
    if !geteuid().is_root() {
        return "exec".into();
    }
    format!("exec setpriv --bounding-set=-{capability} --inh-caps=-{capability}")
}

/// The program behind these lines of shell.
fn behind(home: &Path, lines: &str) -> Result<PathBuf> {
    let script = home.join("sluice");
    fs::write(&script, format!("#!/bin/sh\n{lines} {} \"$@\"\n", binary().display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    Ok(script)
}

/// A site whose program is this one, with a line in front of its settings.
fn prepared(binary: PathBuf, setting: &str) -> Result<Site> {
    let site = Site::prepare(postgres()?, &database("inside")?, binary, &Tuning::default())?;
    fs::write(site.config(), format!("{setting}\n{}", fs::read_to_string(site.config())?))?;
    Ok(site)
}

/// A field of `/proc/PID/status`, in KiB.
fn status(site: &Site, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", site.process()?.pid()))?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).context("no such field")?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

fn said(site: &Site, what: &str) -> usize {
    site.log().lines().filter(|line| line.contains(what)).count()
}

/// A process that is killed with the value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs these lines of shell; whatever becomes of the process, nobody but the test waits for it.
fn shell(lines: &str) -> Result<Killed> {
    let mut command = Command::new("sh");
    command.args(["-c", lines]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Killed(command.spawn()?))
}

/// Ends it as a crash would, and says whether there was a core dump.
fn dumps_core(mut process: Killed) -> Result<bool> {
    let pid = Pid::from_child(&process.0);
    kill_process(pid, Signal::ABORT)?;
    Ok(process.0.wait()?.core_dumped())
}

/// Whether somebody of the same user, without any power over others, may look into a process.
fn can_look(pid: u32, file: &str) -> Result<bool> {
    let look = format!("{} cat /proc/{pid}/{file}", without("all"));
    let output = Command::new("sh").args(["-c", &look]).stdin(Stdio::null()).output()?;
    let denied = String::from_utf8_lossy(&output.stderr).contains("Permission denied");
    ensure!(output.status.success() != denied, "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.status.success())
}

#[test]
fn lk_08_memory_stays_inside() -> Result<()> {
    let home = tempfile::tempdir()?;
    let begins = format!("cd {}; ulimit -c unlimited; {}", home.path().display(), without("all"));
    let mut site = prepared(behind(home.path(), &begins)?, "")?;
    fs::create_dir_all(site.data())?;
    // As it is for any other process.
    let other = shell(&format!("{begins} sleep 60"))?;
    let is_there = || Ok((fs::read_to_string(format!("/proc/{}/comm", other.0.id()))? == "sleep\n").then_some(()));
    eventually_blocking(LIMIT, "another process", is_there)?;
    assert!(can_look(other.0.id(), "maps")?, "nobody can look into any process here");
    assert!(dumps_core(other)?, "no process leaves a core dump here");

    site.start()?;
    let pid = site.process()?.pid();
    assert!(!can_look(pid, "maps")? && !can_look(pid, "mem")? && !can_look(pid, "environ")?);
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).context("the limit")?;
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    site.stop()?;

    let serve = format!("{} serve --config {}", site.binary().display(), site.config().display());
    let sluice = shell(&format!("exec {serve}"))?;
    let listens = || Ok(site.data().join("addresses.json").exists().then_some(()));
    eventually_blocking(LIMIT, "Sluice to listen", listens)?;
    assert!(!dumps_core(sluice)?, "there is a core dump");
    Ok(())
}

/// Whether this process may lock memory without a limit, and so those that it starts.
fn is_allowed() -> Result<bool> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let locked = limits.lines().find(|line| line.starts_with("Max locked memory")).context("the limit")?;
    let is_unlimited = locked.split_whitespace().rev().nth(1) == Some("unlimited");
    // CAP_IPC_LOCK, which counts outside of user namespaces.
    let status = fs::read_to_string("/proc/self/status")?;
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).context("no capabilities")?;
    let has_power = u64::from_str_radix(capabilities.trim(), 16)? & (1 << 14) != 0;
    let is_outermost = fs::read_to_string("/proc/self/uid_map")?.split_whitespace().eq(["0", "0", "4294967295"]);
    Ok(is_unlimited || (has_power && is_outermost))
}

#[test]
fn lk_13_memory_is_locked_where_the_system_allows_it() -> Result<()> {
    let mut site = prepared(binary(), "")?;
    site.start()?;
    let (locked, all) = (status(&site, "VmLck")?, status(&site, "VmSize")?);
    assert_eq!(locked > 0, is_allowed()?, "{}", site.log());
    assert_eq!(said(&site, "memory is locked"), usize::from(locked > 0));
    assert_eq!(said(&site, "memory is not locked"), usize::from(locked == 0));
    assert!(locked == 0 || locked * 10 > all * 9, "what comes later is not locked: {locked} KiB of {all}");
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    site.stop()?;

    let mut site = prepared(binary(), "lock_memory = \"off\"")?;
    site.start()?;
    assert_eq!((status(&site, "VmLck")?, said(&site, "locked")), (0, 0));
    Ok(())
}

#[test]
fn lk_13_where_a_limit_forbids_it_that_is_said_once_or_nothing_starts() -> Result<()> {
    let home = tempfile::tempdir()?;
    let forbidden = behind(home.path(), &format!("{LIMITED}; {}", without("ipc_lock")))?;
    let mut site = prepared(forbidden.clone(), "")?;
    site.start()?;
    assert_eq!((status(&site, "VmLck")?, said(&site, "memory is not locked")), (0, 1), "{}", site.log());
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    // It is as it was: the soft limit is the hard one.
    let limits = fs::read_to_string(format!("/proc/{}/limits", site.process()?.pid()))?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")).context("the limit")?;
    let limit: Vec<&str> = limit.split_whitespace().take(2).collect();
    assert!(limit[0] == limit[1] && limit[0] != "0" && limit[0] != "unlimited", "{limit:?}");
    site.stop()?;

    let mut site = prepared(forbidden, "lock_memory = \"on\"")?;
    assert!(site.start().is_err());
    assert_eq!(said(&site, "lock_memory is \"on\", and memory cannot be locked"), 1, "{}", site.log());
    let left: Vec<_> = fs::read_dir(site.data())?.collect();
    assert!(left.is_empty(), "it came further than that: {left:?}");
    Ok(())
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut site = prepared(behind(home.path(), "ulimit -S -n 256; exec")?, "")?;
    site.start()?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", site.process()?.pid()))?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("the limit")?;
    let limit: Vec<&str> = limit.split_whitespace().take(2).collect();
    assert!(limit[0] == limit[1] && limit[0] != "256", "{limit:?}");
    Ok(())
}
