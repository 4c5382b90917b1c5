//! A private OpenSSH server, and the log of what it executed.

mod configuration;
mod log;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use self::log::{Accepted, Executed, Forwarding, Request};
use crate::keeper::Kept;
use crate::ssh::keys::{Authority, Key};
use crate::ssh::{Credential, Endpoint};
use crate::wait::eventually_blocking;

/// How long it may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a start is tried again when another process took the port in between.
const START_ATTEMPTS: usize = 5;

/// An account. All accounts are the user that runs the tests, under names that only this server knows.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// Its password; without one, none lets it in.
    pub password: Option<String>,
    /// The principals of which a certificate needs one; without any, its name.
    pub principals: Vec<String>,
}

impl Login {
    /// An account that a key or a certificate lets in.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// What a server has and lets in.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its accounts; without any, `root` and `deploy`.
    pub logins: Vec<Login>,
    /// Public keys that let in every account, as lines of `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// The public key of the authority whose certificates let in (`TrustedUserCAKeys`).
    pub user_authority: Option<PathBuf>,
    /// The authority that certifies its host key for `127.0.0.1` and `localhost`; without one, it has the key alone.
    pub host_authority: Option<Authority>,
    /// Lines of `sshd_config` that hold before all others, as (name, value): `("AllowTcpForwarding", "no")`. Without any,
    /// it forwards TCP and Unix sockets, refuses tunnels, takes no variable, and opens 100 sessions in a connection.
    pub settings: Vec<(String, String)>,
}

/// A running sshd on a free port of 127.0.0.1, with a directory, host key and accounts of its own.
///
/// Its accounts are of no system database: `libnss_wrapper` shows them to this process alone. Each has the shell
/// `/bin/sh`, behind a script that writes down what is executed, and the home [`Self::home`]. It is killed, with its
/// connections and what was started in them, when the value is dropped or this process ends; its directory goes too.
pub struct Sshd {
    directory: PathBuf,
    port: u16,
    host_key: Key,
    host_authority: Option<Authority>,
    server: Kept,
}

impl Sshd {
    /// Starts one: a tenth of a second.
    pub fn start(options: &Options) -> Result<Self> {
        let program = configuration::program()?;
        let directory = tempfile::Builder::new().prefix("sshd-").tempdir()?.keep();
        let started = Self::start_in(&program, &directory, options);
        if started.is_err() {
            // It may have gone with the server; why that did not start is what counts.
            let _ = std::fs::remove_dir_all(&directory);
        }
        started
    }

    fn start_in(program: &Path, directory: &Path, options: &Options) -> Result<Self> {
        let host_key = Key::generate(directory, "host")?;
        if let Some(authority) = &options.host_authority {
            authority.certify_host(&host_key, &["127.0.0.1", "localhost"])?;
        }
        configuration::write(directory, options)?;
        for _ in 0..START_ATTEMPTS {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            configuration::write_settings(directory, port, options)?;
            if let Some(server) = launch(program, directory)? {
                let (directory, host_authority) = (directory.to_owned(), options.host_authority.clone());
                return Ok(Self { directory, port, host_key, host_authority, server });
            }
        }
        bail!("sshd found no port:\n{}", start_log(directory))
    }

    /// The address, as text.
    pub const fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, for a client with this login and credential that trusts its host key, or its host authority.
    pub fn endpoint(&self, login: &str, credential: Credential) -> Result<Endpoint> {
        let known_hosts = match &self.host_authority {
            Some(authority) => authority.known_hosts_line(self.host(), self.port)?,
            None => self.host_key.known_hosts_line(self.host(), self.port)?,
        };
        Ok(Endpoint { host: self.host().to_owned(), port: self.port, login: login.to_owned(), credential, known_hosts })
    }

    /// Its host key.
    pub const fn host_key(&self) -> &Key {
        &self.host_key
    }

    /// The home directory of every account.
    pub fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.server.is_running()
    }

    /// What it was asked to execute, in order, byte for byte.
    pub fn executed(&self) -> Result<Vec<Executed>> {
        log::executed(&std::fs::read(self.directory.join("executed")).unwrap_or_default())
    }

    /// Who got in, in order.
    pub fn accepted(&self) -> Vec<Accepted> {
        log::accepted(&self.log())
    }

    /// The forwardings that it was asked for, whether it allowed them or not, in order.
    pub fn forwardings(&self) -> Vec<Forwarding> {
        log::forwardings(&self.log())
    }

    /// How often clients made each request on a channel (`pty-req`, `env`, `exec`, `window-change`, `signal`), whatever
    /// came of it.
    pub fn channel_requests(&self) -> BTreeMap<String, usize> {
        log::channel_requests(&self.log())
    }

    /// What `sftp-server` did, in its own words: a line for each operation (`open "…" flags READ mode 0666`).
    pub fn sftp_operations(&self) -> Vec<String> {
        let log = std::fs::read(self.directory.join("sftp.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// What it logged, at level DEBUG1.
    pub fn log(&self) -> String {
        read(&self.directory.join("sshd.log"))
    }
}

/// Starts it; `None` if another program took its port.
fn launch(program: &Path, directory: &Path) -> Result<Option<Kept>> {
    let mut command = Command::new("sh");
    command.args(["-c", include_str!("sshd/server.sh"), "server"]).arg(directory).arg("env");
    command.arg("LD_PRELOAD=libnss_wrapper.so").arg(program);
    command.arg("-D").arg("-E").arg(directory.join("sshd.log")).arg("-f").arg(directory.join("sshd_config"));
    for (name, file) in [("PASSWD", "passwd"), ("SHADOW", "shadow"), ("GROUP", "group")] {
        command.env(format!("NSS_WRAPPER_{name}"), directory.join(file));
    }
    let server = Kept::spawn(&command, "TERM", Some(directory), &directory.join("start.log"))?;
    let ready = eventually_blocking(START_LIMIT, "sshd to start", || {
        let listens = start_log(directory).contains("Server listening on");
        Ok(if listens { Some(true) } else { (!server.is_running()).then_some(false) })
    })?;
    let log = start_log(directory);
    // The loader goes on without it, and then every login would be the machine's own.
    if log.contains("cannot be preloaded") {
        bail!("libnss_wrapper.so is missing: run ./dev setup");
    }
    if ready {
        return Ok(Some(server));
    }
    server.finish()?;
    if log.contains("Address already in use") {
        std::fs::remove_file(directory.join("sshd.log")).context("there is no log")?;
        return Ok(None);
    }
    bail!("sshd did not start:\n{log}")
}

fn start_log(directory: &Path) -> String {
    read(&directory.join("start.log")) + &read(&directory.join("sshd.log"))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
