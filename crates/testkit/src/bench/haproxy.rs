//! HAProxy, which passes bytes on: TLS is the server's own, so that what it takes is without that.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::keeper::Kept;
use crate::postgres::{Postgres, binaries, give_to_server};
use crate::wait::eventually_blocking;

const START_LIMIT: Duration = Duration::from_secs(10);

/// A running HAProxy on a free port. It stops, and its directory goes, when the value is dropped.
pub(super) struct HaProxy {
    process: Kept,
    port: u16,
}

impl HaProxy {
    /// In TCP mode, with as many threads as it takes by itself.
    pub(super) fn start(postgres: &Postgres) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("sluice-haproxy-").tempdir()?.keep();
        let port = TcpListener::bind((postgres.host(), 0))?.local_addr()?.port();
        let settings = directory.join("haproxy.cfg");
        let text = format!(
            "global\n    maxconn 500\ndefaults\n    mode tcp\n    timeout connect 10s\n    timeout client 1h\n    \
             timeout server 1h\nlisten postgres\n    bind {host}:{port}\n    server target {host}:{server}\n",
            host = postgres.host(),
            server = postgres.port(),
        );
        fs::write(&settings, text)?;
        give_to_server(&directory)?;
        let mut command = binaries::server_command(&program())?;
        // In the foreground: what is stopped is the process that was started.
        command.args(["-db", "-f"]).arg(&settings).current_dir(&directory);
        let log = directory.join("start.log");
        let process = Kept::spawn(&command, "TERM", Some(&directory), &log)?;
        let started = eventually_blocking(START_LIMIT, "HAProxy to start", || {
            ensure!(process.is_running(), "it has ended");
            Ok(TcpStream::connect((postgres.host(), port)).ok().map(drop))
        });
        started.with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(Self { process, port })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Debian has it where only root looks.
pub(super) fn program() -> PathBuf {
    let debian = Path::new("/usr/sbin/haproxy");
    if debian.exists() { debian.to_owned() } else { PathBuf::from("haproxy") }
}
