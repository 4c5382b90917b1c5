//! What Sluice is compared with: a program of its own, that ends with the value.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::keeper::Kept;
use crate::wait::eventually_blocking;

const START_LIMIT: Duration = Duration::from_secs(10);

/// A running proxy. It stops, and its directory goes, when the value is dropped.
pub(super) struct Proxy {
    process: Kept,
    port: u16,
}

impl Proxy {
    /// Starts it. `port` is asked, with what it has said so far, until it knows where it listens.
    pub(super) fn start(
        name: &str,
        command: &Command,
        directory: &Path,
        port: impl Fn(&str) -> Option<u16>,
    ) -> Result<Self> {
        let log = directory.join("start.log");
        let process = Kept::spawn(command, "TERM", Some(directory), &log)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let port = eventually_blocking(START_LIMIT, &format!("{name} to start"), || {
            ensure!(process.is_running(), "it has ended");
            Ok(port(&said()))
        });
        Ok(Self { process, port: port.with_context(said)? })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// A server's program: Debian has them where only root looks.
pub(super) fn program(name: &str) -> PathBuf {
    let debian = Path::new("/usr/sbin").join(name);
    if debian.exists() { debian } else { PathBuf::from(name) }
}
