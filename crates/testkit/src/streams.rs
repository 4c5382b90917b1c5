//! Servers whose connections turn to another protocol: of WebSocket (`tests/websocket/server.py`), and of what Kubernetes streams
//! (`tests/go/kubestreams`). Each writes what reached it to a file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{development_directory, go_program, workspace_root};
use crate::keeper::Kept;
use crate::wait::eventually_blocking;

/// How long one may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// A running server. It goes when the value is dropped.
pub struct Server {
    port: u16,
    _process: Kept,
    home: TempDir,
}

impl Server {
    /// A server of WebSocket, that says back what it is told.
    pub fn websocket() -> Result<Self> {
        let mut command = Command::new(websocket_python());
        command.arg(workspace_root().join("tests/websocket/server.py"));
        Self::start(command)
    }

    /// A server of what Kubernetes streams, with as much of an API server as `kubectl` asks for.
    pub fn kubernetes() -> Result<Self> {
        Self::start(Command::new(go_program("kubestreams")?))
    }

    fn start(mut command: Command) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("streams-").tempdir()?;
        command.arg(home.path().join("reached"));
        let log = home.path().join("log");
        let process = Kept::spawn(&command, "KILL", None, &log)?;
        let port = eventually_blocking(LIMIT, "the server's port", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(process.is_running(), "it has ended; its log:\n{text}");
            let line = text.lines().find(|line| line.starts_with("{\"port\":") && line.ends_with('}'));
            Ok(line.and_then(|line| serde_json::from_str::<Value>(line).ok()?.pointer("/port")?.as_u64()))
        })?;
        Ok(Self { port: u16::try_from(port)?, _process: process, home })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// What reached it so far.
    pub fn reached(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.home.path().join("reached"))?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Waits until something reached it that is looked for.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually_blocking(LIMIT, what, || Ok(self.reached().unwrap_or_default().into_iter().find(|one| is_it(one))))
    }
}

/// A Python with a client and a server of WebSocket.
pub fn websocket_python() -> PathBuf {
    development_directory().join("websocket/bin/python")
}
