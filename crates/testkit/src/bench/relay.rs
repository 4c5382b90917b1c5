//! Sluice's plain relay: the program `relay`, which is built beside this one.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::keeper::Kept;
use crate::postgres::Postgres;
use crate::wait::eventually_blocking;

const START_LIMIT: Duration = Duration::from_secs(10);

/// A running relay. It stops, and its directory goes, when the value is dropped.
pub(super) struct Relay {
    process: Kept,
    address: SocketAddr,
}

impl Relay {
    /// With TLS to its clients and none to the server, as Sluice is set up here.
    pub(super) fn start(postgres: &Postgres) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("relay");
        ensure!(program.exists(), "{} is not built: run `./dev bench`", program.display());
        let directory = tempfile::Builder::new().prefix("sluice-relay-").tempdir()?.keep();
        let certificate = postgres.authority().server(&["localhost", "127.0.0.1"])?.write(&directory, "server")?;
        let mut command = Command::new(program);
        command.arg(format!("{}:{}", postgres.host(), postgres.port()));
        command.arg(&certificate.certificate).arg(&certificate.key);
        let log = directory.join("relay.log");
        let process = Kept::spawn(&command, "TERM", Some(&directory), &log)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let address = eventually_blocking(START_LIMIT, "the relay to start", || {
            ensure!(process.is_running(), "it has ended");
            Ok(said().lines().next().and_then(|line| line.parse().ok()))
        });
        Ok(Self { process, address: address.with_context(said)? })
    }

    pub(super) const fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}
