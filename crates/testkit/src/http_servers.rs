//! Servers of HTTP as people run them, to be targets: nginx, and one of Go's net/http. Each notes what it takes for a request.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::command::{development_directory, run, workspace_root};
use crate::keeper::Kept;
use crate::wait::eventually_blocking;

/// How long one may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// Which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// nginx, of the distribution.
    Nginx,
    /// `tests/go/httpserver`.
    Go,
}

/// A running server. It goes when the value is dropped.
pub struct Server {
    address: SocketAddr,
    home: TempDir,
    _process: Kept,
}

impl Server {
    /// Starts one.
    pub fn start(kind: Kind) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("server-").tempdir()?;
        std::fs::write(home.path().join("requests"), "")?;
        match kind {
            Kind::Nginx => nginx(home),
            Kind::Go => go(home),
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it took for requests so far: `METHOD PATH VERSION LENGTH` of the body, which may be missing.
    pub fn requests(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(self.home.path().join("requests"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// The program of nginx, which is in no ordinary user's path.
pub fn nginx_program() -> Result<PathBuf> {
    let known = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].into_iter().map(PathBuf::from);
    known.into_iter().find(|path| path.exists()).context("nginx is missing: run ./dev setup")
}

fn nginx(home: TempDir) -> Result<Server> {
    // It cannot say which port it got: one that is taken meanwhile is tried again.
    for _ in 0..5 {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let at = home.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = temporary.iter().map(|name| format!("  {name}_temp_path {at}/{name};\n")).collect();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error;\nevents {{}}\nhttp {{\n\
             {temporary}  log_format line '$request $content_length';\n  access_log {at}/requests line;\n\
             default_type text/plain;\n  server {{\n    listen {address};\n    return 200 taken;\n  }}\n}}\n"
        );
        std::fs::write(home.path().join("nginx.conf"), config)?;
        let mut command = Command::new(nginx_program()?);
        command.arg("-p").arg(home.path()).arg("-e").arg(home.path().join("error"));
        command.arg("-c").arg(home.path().join("nginx.conf"));
        let log = home.path().join("log");
        let process = Kept::spawn(&command, "KILL", None, &log)?;
        let started = eventually_blocking(LIMIT, "nginx to listen", || {
            let error = std::fs::read_to_string(home.path().join("error")).unwrap_or_default();
            if error.contains("Address already in use") {
                return Ok(Some(false));
            }
            ensure!(process.is_running(), "nginx has ended:\n{error}");
            Ok(TcpStream::connect(address).is_ok().then_some(true))
        })?;
        if started {
            return Ok(Server { address, home, _process: process });
        }
    }
    anyhow::bail!("nginx found no port")
}

fn go(home: TempDir) -> Result<Server> {
    let program = development_directory().join("go/httpserver");
    ensure!(program.exists(), "{} is missing: run ./dev setup", program.display());
    let log = home.path().join("log");
    let mut command = Command::new(program);
    command.arg(home.path().join("requests"));
    let process = Kept::spawn(&command, "KILL", None, &log)?;
    let address = said_port(&log, &process)?;
    Ok(Server { address, home, _process: process })
}

/// `tests/python/grpc_shop.py` with these arguments.
///
/// # Errors
/// If its Python is missing.
pub fn grpc_shop(arguments: &[&str]) -> Result<Command> {
    let python = development_directory().join("spiffe/bin/python");
    ensure!(python.exists(), "{} is missing: run ./dev setup", python.display());
    let mut command = Command::new(python);
    command.arg(workspace_root().join("tests/python/grpc_shop.py")).args(arguments);
    Ok(command)
}

/// A running service of gRPC, by grpcio.
pub struct GrpcShop {
    address: SocketAddr,
    home: TempDir,
    _process: Kept,
}

impl GrpcShop {
    /// Starts it on a free port.
    pub fn start() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("grpc-").tempdir()?;
        let log = home.path().join("log");
        let process = Kept::spawn(&grpc_shop(&["server"])?, "KILL", None, &log)?;
        let address = said_port(&log, &process)?;
        Ok(Self { address, home, _process: process })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The descriptor set of its messages.
    pub fn descriptors(&self) -> Result<Vec<u8>> {
        let file = self.home.path().join("shop.binpb");
        run(grpc_shop(&["descriptors", &file.display().to_string()])?, b"")?.success()?;
        Ok(std::fs::read(file)?)
    }
}

/// Where a server listens that prints `{"port": N}`.
fn said_port(log: &Path, process: &Kept) -> Result<SocketAddr> {
    let port = eventually_blocking(LIMIT, "the server's port", || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        ensure!(process.is_running(), "it has ended; its log:\n{text}");
        let line = text.lines().find(|line| line.starts_with("{\"port\":") && line.ends_with('}'));
        Ok(line.and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok()?.pointer("/port")?.as_u64()))
    })?;
    Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), u16::try_from(port)?))
}
