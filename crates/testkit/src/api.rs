//! HTTP APIs to be targets: a real one of Node (`tests/node/api.mjs`) with a log of what reached it, a Kubernetes API server in
//! memory (`tests/node/kubernetes_api.mjs`) with the same log, and a scripted one that
//! answers with whatever bytes a test wants.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::command::workspace_root;
use crate::keeper::Kept;
use crate::tls::{Authority, write_private};
use crate::wait::eventually_blocking;

/// How long it may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// What reached an API.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Reached {
    /// The method.
    pub method: String,
    /// The path and the query, as they came.
    pub path: String,
    /// The version of HTTP: `1.1` or `2.0`.
    pub version: String,
    /// The fields in their order, their names in lower case.
    pub fields: Vec<(String, String)>,
    /// How long the body was.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its beginning, as text.
    pub body: String,
    /// The common name of the client's certificate, if it showed one.
    pub client: Option<String>,
    /// Whether it was refused, for want of the token that the API wants: nothing was done.
    pub refused: bool,
}

impl Reached {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What differs from an API that speaks HTTP/1.1 in clear and lets everybody in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Whether it speaks HTTP/2, inside TLS.
    pub two: bool,
    /// Whether it wants a bearer token: what is in [`Api::bearer_file`] when it is asked.
    pub bearer: bool,
    /// Whether it wants a client certificate, of the CA that wrote [`Api::client`]. It speaks HTTP/2 then.
    pub mutual: bool,
}

/// A running API. It goes when the value is dropped.
pub struct Api {
    port: u16,
    _process: Kept,
    home: TempDir,
}

impl Api {
    /// Starts one on a free port.
    pub fn start(options: Options) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("api-").tempdir()?;
        let mut command = Command::new("node");
        command.arg(workspace_root().join("tests/node/api.mjs")).arg(home.path().join("reached"));
        command.arg(if options.bearer { home.path().join("bearer") } else { PathBuf::from("none") });
        std::fs::write(home.path().join("reached"), "")?;
        write_private(&home.path().join("bearer"), b"first-token")?;
        if options.two || options.mutual {
            let authority = Authority::generate("API test CA")?;
            std::fs::write(home.path().join("ca.pem"), authority.certificate_pem())?;
            let files = authority.server(&["localhost", "127.0.0.1"])?.write(home.path(), "api")?;
            command.arg(files.key).arg(files.certificate);
            if options.mutual {
                command.arg(home.path().join("ca.pem"));
                authority.client("first-client")?.write(home.path(), "client")?;
                authority.client("second-client")?.write(home.path(), "next")?;
            }
        }
        Self::running(home, &command)
    }

    /// Starts a Kubernetes API server, which wants the token of [`Api::bearer_file`].
    pub fn kubernetes() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("api-").tempdir()?;
        let mut command = Command::new("node");
        command.arg(workspace_root().join("tests/node/kubernetes_api.mjs"));
        command.args([home.path().join("reached"), home.path().join("bearer")]);
        std::fs::write(home.path().join("reached"), "")?;
        write_private(&home.path().join("bearer"), b"first-token")?;
        Self::running(home, &command)
    }

    fn running(home: TempDir, command: &Command) -> Result<Self> {
        let log = home.path().join("log");
        let process = Kept::spawn(command, "KILL", None, &log)?;
        let port = eventually_blocking(LIMIT, "the API's port", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(process.is_running(), "it has ended; its log:\n{text}");
            let line = text.lines().find(|line| line.starts_with("{\"port\":") && line.ends_with('}'));
            Ok(line.and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok()?.pointer("/port")?.as_u64()))
        });
        Ok(Self { port: u16::try_from(port?)?, _process: process, home })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// The CA of its certificate, if it speaks HTTP/2.
    pub fn ca(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// The certificate that it lets in, `client.crt` and `client.key`; and another one, `next.crt` and `next.key`.
    pub fn client(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The file with the token that it wants.
    pub fn bearer_file(&self) -> PathBuf {
        self.home.path().join("bearer")
    }

    /// What reached it so far, in the order in which it was read to its end.
    pub fn reached(&self) -> Result<Vec<Reached>> {
        let text = std::fs::read_to_string(self.home.path().join("reached"))?;
        let lines = text.lines().filter(|line| line.starts_with("{\"method\""));
        lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// How often an answer at this path was closed before or after its end.
    pub fn closed(&self, path: &str) -> Result<usize> {
        let text = std::fs::read_to_string(self.home.path().join("reached"))?;
        Ok(text.lines().filter(|line| **line == format!("{{\"closed\":\"{path}\"}}")).count())
    }
}

/// An API that verifies the JWT in a field of each request with `jose` (`tests/node/verifying_target.mjs`), and answers with
/// what it says.
pub struct Verifying {
    port: u16,
    _process: Kept,
    _home: TempDir,
}

impl Verifying {
    /// Starts one, which believes nothing yet.
    pub fn start() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("verifying-").tempdir()?;
        let log = home.path().join("log");
        let mut command = Command::new("node");
        command.arg("verifying_target.mjs").current_dir(workspace_root().join("tests/node"));
        let process = Kept::spawn(&command, "KILL", None, &log)?;
        let port = eventually_blocking(LIMIT, "the API's port", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(process.is_running(), "it has ended: run `./dev setup`; its log:\n{text}");
            let line = text.lines().find(|line| line.starts_with("{\"port\":") && line.ends_with('}'));
            Ok(line.and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok()?.pointer("/port")?.as_u64()))
        });
        Ok(Self { port: u16::try_from(port?)?, _process: process, _home: home })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// Tells it what to verify; or with `refuse` not to believe again what it has seen.
    pub fn configure(&self, settings: &serde_json::Value) -> Result<()> {
        let json = [("Content-Type", "application/json")];
        let (status, answer) = crate::http::call(self.address(), "POST", "/configure", &json, &settings.to_string())?;
        ensure!(status == 200, "{status}: {answer}");
        Ok(())
    }
}

/// A scripted API: to each connection it says the same bytes, once it has read a head, or more than one time.
pub struct Scripted {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Scripted {
    /// One that answers every head with the next of these; the connection is closed behind the last.
    pub fn start(answers: Vec<Vec<u8>>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let hearing = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, hearing) = (answers.clone(), Arc::clone(&hearing));
                std::thread::spawn(move || {
                    let _ = converse(stream, &answers, &hearing);
                });
            }
        });
        Ok(Self { address, heard })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What each connection said so far.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn converse(mut stream: TcpStream, answers: &[Vec<u8>], heard: &Mutex<Vec<Vec<u8>>>) -> std::io::Result<()> {
    let number = {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(Vec::new());
        heard.len().saturating_sub(1)
    };
    let mut piece = vec![0; 16 * 1024];
    let mut unread: Vec<u8> = Vec::new();
    for answer in answers {
        loop {
            let end = unread.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                unread.drain(..end.saturating_add(4));
                break;
            }
            let read = stream.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            let read = piece.get(..read).unwrap_or_default();
            unread.extend_from_slice(read);
            if let Some(heard) = heard.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
                heard.extend_from_slice(read);
            }
        }
        stream.write_all(answer)?;
    }
    Ok(())
}
