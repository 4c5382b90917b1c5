//! What an sshd wrote down, read.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// What a channel was asked to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// `exec`, with the line (RFC 4254, 6.5).
    Exec(Vec<u8>),
    /// `shell`.
    Shell,
    /// `subsystem`, with its name.
    Subsystem(String),
}

impl Request {
    /// An `exec` of this line.
    pub fn exec(line: impl AsRef<[u8]>) -> Self {
        Self::Exec(line.as_ref().to_vec())
    }
}

/// One execution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Executed {
    /// The account.
    pub login: String,
    /// What was run.
    pub request: Request,
    /// Whether it has a terminal (`pty-req`).
    pub has_terminal: bool,
    /// The client's port, which tells one connection from another.
    pub client_port: u16,
}

/// One login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// `publickey` or `password`.
    pub method: String,
    /// The account.
    pub login: String,
    /// The client's port.
    pub client_port: u16,
    /// Of a key, its kind and fingerprint; of a certificate, `ED25519-CERT SHA256:… ID … (serial …) CA ED25519 SHA256:…`.
    pub key: Option<String>,
}

/// One request for a forwarding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Forwarding {
    /// `direct-tcpip`: a connection from the server to (host, port).
    DirectTcpip(String, u16),
    /// `direct-streamlocal@openssh.com`: the same to a Unix socket.
    DirectStreamlocal(String),
    /// `tcpip-forward`: the server shall listen on (address, port).
    TcpipForward(String, u16),
    /// `streamlocal-forward@openssh.com`: the same on a Unix socket.
    StreamlocalForward(String),
}

/// Reads the records that `shell.sh` writes.
pub(super) fn executed(log: &[u8]) -> Result<Vec<Executed>> {
    let mut fields: Vec<&[u8]> = log.split(|byte| *byte == 0).collect();
    let rest = fields.pop();
    ensure!(rest.is_none_or(<[u8]>::is_empty), "the log of what was executed ends in the middle");
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let records = fields.chunks(5).map(|record| {
        let [kind, login, terminal, port, line] = record else {
            anyhow::bail!("the log of what was executed has a record of {} fields", record.len());
        };
        let request = match *kind {
            b"exec" => Request::exec(line),
            b"shell" => Request::Shell,
            b"subsystem" => Request::Subsystem(text(line)),
            other => anyhow::bail!("there is a record of kind {:?}", text(other)),
        };
        let client_port = text(port).parse().context("a client's port")?;
        Ok(Executed { login: text(login), request, has_terminal: !terminal.is_empty(), client_port })
    });
    records.collect()
}

/// `Accepted publickey for root from 127.0.0.1 port 52580 ssh2: ED25519 SHA256:…` (`auth_log` in OpenSSH's auth.c).
pub(super) fn accepted(log: &str) -> Vec<Accepted> {
    log.lines().filter_map(|line| accepted_line(line.trim_end())).collect()
}

fn accepted_line(line: &str) -> Option<Accepted> {
    let (method, rest) = line.strip_prefix("Accepted ")?.split_once(" for ")?;
    let (login, rest) = rest.split_once(" from ")?;
    let (port, rest) = rest.split_once(" port ")?.1.split_once(' ')?;
    let key = rest.split_once(": ").map(|(_, key)| key.to_owned());
    Some(Accepted { method: method.to_owned(), login: login.to_owned(), client_port: port.parse().ok()?, key })
}

/// The debugging messages of OpenSSH's serverloop.c.
pub(super) fn forwardings(log: &str) -> Vec<Forwarding> {
    log.lines().filter_map(|line| forwarding(line.trim_end())).collect()
}

fn forwarding(line: &str) -> Option<Forwarding> {
    let line = line.strip_prefix("debug1: ")?;
    if let Some(rest) = line.strip_prefix("server_request_direct_tcpip: originator ") {
        let (host, port) = rest.split_once(", target ")?.1.split_once(" port ")?;
        return Some(Forwarding::DirectTcpip(host.to_owned(), port.parse().ok()?));
    }
    if let Some(rest) = line.strip_prefix("server_request_direct_streamlocal: originator ") {
        return Some(Forwarding::DirectStreamlocal(rest.split_once(", target ")?.1.to_owned()));
    }
    let rest = line.strip_prefix("server_input_global_request: ")?;
    if let Some(rest) = rest.strip_prefix("tcpip-forward listen ") {
        let (address, port) = rest.split_once(" port ")?;
        return Some(Forwarding::TcpipForward(address.to_owned(), port.parse().ok()?));
    }
    let path = rest.strip_prefix("streamlocal-forward listen path ")?;
    Some(Forwarding::StreamlocalForward(path.to_owned()))
}

/// `debug1: server_input_channel_req: channel 0 request exec reply 1`.
pub(super) fn channel_requests(log: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in log.lines() {
        let rest = line.strip_prefix("debug1: server_input_channel_req: channel ");
        let request =
            rest.and_then(|rest| rest.split_once(" request ")).and_then(|(_, rest)| rest.split_once(" reply "));
        if let Some((request, _)) = request {
            *counts.entry(request.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}
