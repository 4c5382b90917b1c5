//! The real `sluice` program, started, watched and stopped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::command::{Output, run, workspace_root};
use crate::http;
use crate::keeper::Kept;
use crate::wait::eventually_blocking;

/// How long Sluice may take until it is ready, or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// How to start it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program: [`binary`], or what a test of its package has in `env!("CARGO_BIN_EXE_sluice")`.
    pub binary: PathBuf,
    /// Its configuration file. Its listeners should have port 0.
    pub config: PathBuf,
    /// The data directory that the configuration names.
    pub data_directory: PathBuf,
    /// Environment variables on top of this process's own.
    pub environment: Vec<(OsString, OsString)>,
}

/// A running `sluice serve`. It is killed when the value is dropped or this process ends.
pub struct SluiceProcess {
    process: Kept,
    addresses: BTreeMap<String, SocketAddr>,
    log: PathBuf,
}

impl SluiceProcess {
    /// Starts `sluice serve --config FILE` and waits until `/readyz` is green.
    pub fn start(options: &Options) -> Result<Self> {
        let log = options.data_directory.with_extension("log");
        let addresses_file = options.data_directory.join("addresses.json");
        // An earlier run's; its ports may be another program's by now.
        let _ = std::fs::remove_file(&addresses_file);
        let mut command = Command::new(&options.binary);
        command.arg("serve").arg("--config").arg(&options.config);
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        let process = Kept::spawn(&command, "KILL", None, &log)?;
        let mut started = Self { process, addresses: BTreeMap::new(), log };
        let waited = started.wait_until_ready(&addresses_file);
        waited.with_context(|| format!("Sluice did not start; its log:\n{}", started.log()))?;
        Ok(started)
    }

    /// Where a listener is bound, by its name in `addresses.json`: `postgres`, `admin`.
    pub fn address(&self, listener: &str) -> Result<SocketAddr> {
        self.addresses.get(listener).copied().with_context(|| format!("Sluice has no listener {listener:?}"))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// What it has written to its standard output and error, since the first start with this data directory.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// A GET of the admin listener, over plain HTTP: the status and the body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        http_get(self.address("admin")?, path)
    }

    /// Asks it to end (SIGTERM) and does not wait: the drain can be watched.
    pub fn terminate(&self) -> Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// Asks it to end, waits until it has, and returns its exit status.
    pub fn stop(self) -> Result<i32> {
        self.terminate()?;
        self.wait()
    }

    /// Waits until it has ended by itself, and returns its exit status.
    pub fn wait(self) -> Result<i32> {
        let ended = self.process.wait_for_end(LIMIT);
        ended.with_context(|| format!("Sluice did not end; its log:\n{}", self.log()))?;
        self.process.finish()
    }

    /// Kills it (SIGKILL): a crash.
    pub fn kill(self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait_for_end(LIMIT)?;
        self.process.finish().map(drop)
    }

    fn wait_until_ready(&mut self, addresses_file: &Path) -> Result<()> {
        self.addresses = eventually_blocking(LIMIT, "Sluice's addresses", || {
            ensure!(self.process.is_running(), "it has ended");
            let content = std::fs::read(addresses_file).unwrap_or_default();
            // Half written, it does not parse: look again.
            Ok(serde_json::from_slice::<BTreeMap<String, SocketAddr>>(&content).ok())
        })?;
        let admin = self.address("admin")?;
        eventually_blocking(LIMIT, "/readyz", || {
            ensure!(self.process.is_running(), "it has ended");
            Ok(http_get(admin, "/readyz").ok().filter(|(status, _)| *status == 200).map(drop))
        })
    }
}

/// The `sluice` program that cargo built: `SLUICE_BIN`, or beside the running test's own program.
pub fn binary() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("SLUICE_BIN") {
        return Ok(PathBuf::from(binary));
    }
    let own = std::env::current_exe()?;
    // target/PROFILE/deps/TEST, target/PROFILE/examples/EXAMPLE or target/PROFILE/PROGRAM
    let mut near = own.ancestors().skip(1).take(2).map(|directory| directory.join("sluice"));
    match near.find(|path| path.is_file()) {
        Some(binary) => Ok(binary),
        None => bail!("there is no `sluice` near {}: build it with `cargo build -p sluice`", own.display()),
    }
}

/// Runs `sluice` with these arguments and environment variables to its end.
pub fn sluice(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(binary);
    command.args(arguments).envs(environment.iter().copied()).current_dir(workspace_root());
    run(command, b"")
}

/// A GET in clear: the status and the body.
pub fn http_get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    http::call(address, "GET", path, &[], "")
}

/// A program that runs until it is told to end, such as `sluice connect`. It is killed when the value is dropped or this
/// process ends.
pub struct Running {
    process: Kept,
    log: PathBuf,
}

impl Running {
    /// Starts a command; what it writes goes to `log`.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        Ok(Self { process: Kept::spawn(command, "KILL", None, log)?, log: log.to_owned() })
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has written lines with this text, this many of them, and returns the last.
    pub fn wait_for(&self, text: &str, count: usize) -> Result<String> {
        let waited = eventually_blocking(LIMIT, text, || {
            let log = self.log();
            // A line that has no end yet may go on.
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let found =
                whole.lines().filter(|line| line.contains(text)).nth(count.saturating_sub(1)).map(str::to_owned);
            ensure!(found.is_some() || self.process.is_running(), "it has ended");
            Ok(found)
        });
        waited.with_context(|| self.log())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Asks it to end (SIGTERM), waits until it has, and returns its exit status.
    pub fn stop(self) -> Result<i32> {
        self.process.signal(Signal::TERM)?;
        self.wait()
    }

    /// Waits until it has ended by itself, and returns its exit status.
    pub fn wait(self) -> Result<i32> {
        self.process.wait_for_end(LIMIT).with_context(|| self.log())?;
        self.process.finish()
    }
}
