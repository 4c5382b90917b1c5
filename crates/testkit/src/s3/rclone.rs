//! A real S3 server that checks signatures: `rclone serve s3`, which `./dev` installs.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::command::development_directory;
use crate::keeper::Kept;
use crate::wait::eventually_blocking;

/// The id of its access key, and the secret.
pub const KEY: (&str, &str) = ("SLUICETESTS", "a-secret-of-the-tests");

/// How long it may take to start.
const LIMIT: Duration = Duration::from_secs(60);

/// The server; it ends with the value.
pub struct Rclone {
    _process: Kept,
    directory: tempfile::TempDir,
    address: SocketAddr,
}

impl Rclone {
    /// Starts it with one bucket, `bucket`.
    pub fn start() -> Result<Self> {
        let program = development_directory().join("venv/bin/rclone");
        ensure!(program.exists(), "{} is missing: run ./dev setup", program.display());
        let directory = tempfile::tempdir()?;
        std::fs::create_dir_all(directory.path().join("objects/bucket"))?;
        let log = directory.path().join("log");
        // It cannot say which port it got: one that is taken meanwhile is tried again.
        for _ in 0..5 {
            let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let mut command = Command::new(&program);
            command.args([
                "serve",
                "s3",
                "--addr",
                &address.to_string(),
                "--auth-key",
                &format!("{},{}", KEY.0, KEY.1),
            ]);
            command.arg("--config").arg(directory.path().join("config"));
            command.arg("--cache-dir").arg(directory.path().join("cache"));
            command.arg(directory.path().join("objects"));
            let process = Kept::spawn(&command, "TERM", None, &log)?;
            let started = eventually_blocking(LIMIT, "rclone to listen", || {
                if std::fs::read_to_string(&log).unwrap_or_default().contains("address already in use") {
                    return Ok(Some(false));
                }
                Ok(TcpStream::connect(address).is_ok().then_some(true))
            });
            if started.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())? {
                return Ok(Self { _process: process, directory, address });
            }
            std::fs::write(&log, "")?;
        }
        anyhow::bail!("rclone found no port")
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it keeps what is in its bucket.
    pub fn objects(&self) -> PathBuf {
        self.directory.path().join("objects/bucket")
    }
}
