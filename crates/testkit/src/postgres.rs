//! A private PostgreSQL server, and the log of what it executed.

mod accounts;
pub(crate) mod binaries;
mod configuration;
mod log;
mod plain;
mod template;

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

pub use self::accounts::{Authentication, Login};
pub use self::log::{LoggedError, LoggedStatement, StatementKind};
pub use self::plain::{Answer, Answers, Field, Plain};
pub(crate) use self::template::give_to_server;
use crate::command::psql_with_input;
use crate::keeper::Kept;
use crate::tls::Authority;
use crate::wait::eventually_blocking;

/// How long a server may take to start; generous, for a machine that compiles at the same time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a start is tried again when another process took the port in between.
const START_ATTEMPTS: usize = 5;

/// The application name of the server's own administration; it is left out of the statement log.
pub(crate) const OWN_APPLICATION: &str = "testkit";

/// How a server differs from the usual.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Lines for `postgresql.conf`, after all others, as (name, value): `("fsync", "on")`.
    pub settings: Vec<(String, String)>,
}

/// A running PostgreSQL server with a data directory of its own, on a free port of 127.0.0.1 and a Unix socket.
///
/// Over TCP it demands TLS (see [`Authentication`] for the exceptions) with a certificate of its own authority for
/// `localhost` and 127.0.0.1. Over the Unix socket anybody on the machine who can enter its directory is superuser
/// `postgres` without a password. It stops, and its directory goes, when the value is dropped or this process ends.
pub struct Postgres {
    directory: PathBuf,
    port: u16,
    authority: Authority,
    logins: Mutex<HashMap<String, Login>>,
    server: Option<Kept>,
}

impl Postgres {
    /// Starts a server: about half a second, and some seconds the first time on a machine, when its template is made.
    pub fn start(options: Options) -> Result<Self> {
        let directory = template::new_server_directory()?;
        let authority = Authority::generate("Sluice test PostgreSQL")?;
        configuration::write_certificates(&directory, &authority)?;
        let mut postgres = Self { directory, port: 0, authority, logins: Mutex::default(), server: None };
        postgres.start_on_free_port(&options)?;
        postgres.sql("postgres", accounts::CREATE_GROUPS)?;
        Ok(postgres)
    }

    /// The server that all tests of this process share; each makes its own databases ([`Self::create_database`]) and
    /// logins. It has ended when the process has.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| Self::start(Options::default()).map_err(|error| format!("{error:#}")));
        started.as_ref().map_err(|error| anyhow!("the shared PostgreSQL server did not start: {error}"))
    }

    /// The address for TCP, as text.
    pub const fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port; also the number in the Unix socket's name.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where the Unix socket is: the `host` for a superuser's connection.
    pub fn socket_directory(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// The certificate of the server's authority: `sslrootcert`.
    pub fn ca_certificate(&self) -> PathBuf {
        self.directory.join("tls/ca.crt")
    }

    /// The server's authority, to make client certificates or a lookalike server with.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The postmaster's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Kept::pid)
    }

    /// Runs SQL (one or more statements) as superuser; returns rows unaligned, columns separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        self.psql(database, &["-c", sql], b"").with_context(|| format!("while running {sql}"))
    }

    /// Runs a `COPY … FROM STDIN` as superuser with these rows.
    pub fn copy_in(&self, database: &str, statement: &str, rows: &[u8]) -> Result<()> {
        self.psql(database, &["-c", statement], rows).map(drop)
    }

    /// Creates an empty database, owned by `owner` if given.
    pub fn create_database(&self, name: &str, owner: Option<&str>) -> Result<()> {
        let owner = owner.map(|owner| format!(" OWNER \"{owner}\"")).unwrap_or_default();
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\"{owner}")).map(drop)
    }

    /// Creates a database as a copy of `template`, which nobody may be connected to: a fresh one for each test, fast.
    pub fn copy_database(&self, template: &str, name: &str) -> Result<()> {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"")).map(drop)
    }

    /// Stops the server at once (connections break, nothing is flushed), keeping its data and its port.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            server.signal(rustix::process::Signal::QUIT)?;
            server.finish()?;
        }
        Ok(())
    }

    /// Starts it again after [`Self::stop`], on the same port.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "the server still runs");
        match self.launch()? {
            Launch::Ready(server) => self.server = Some(server),
            Launch::Ended => bail!("PostgreSQL did not start again:\n{}", self.start_log()),
        }
        Ok(())
    }

    fn psql(&self, database: &str, arguments: &[&str], input: &[u8]) -> Result<String> {
        let socket = self.socket_directory();
        let port = self.port.to_string();
        let environment = [
            ("PGHOST", socket.to_str().context("the socket's path is not UTF-8")?),
            ("PGPORT", &port),
            ("PGUSER", "postgres"),
            ("PGDATABASE", database),
            ("PGAPPNAME", OWN_APPLICATION),
        ];
        let common = ["-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"];
        let output = psql_with_input(&[&common, arguments].concat(), &environment, input)?.success()?;
        Ok(output.trim_end_matches('\n').to_owned())
    }

    fn start_on_free_port(&mut self, options: &Options) -> Result<()> {
        for _ in 0..START_ATTEMPTS {
            self.port = TcpListener::bind((self.host(), 0))?.local_addr()?.port();
            configuration::write_settings(&self.directory, self.port, options)?;
            match self.launch()? {
                Launch::Ready(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                // Between the look for a free port and the server's own bind, another process may take it.
                Launch::Ended if self.start_log().contains("could not bind") => {}
                Launch::Ended => break,
            }
        }
        let log = self.start_log();
        std::fs::remove_dir_all(&self.directory)?;
        bail!("PostgreSQL did not start:\n{log}")
    }

    fn launch(&self) -> Result<Launch> {
        let data = self.directory.join("data");
        let mut command = binaries::server_command(&binaries::server()?.join("postgres"))?;
        command.arg("-D").arg(&data).current_dir(&self.directory);
        std::fs::write(self.start_log_path(), "")?;
        let server = Kept::spawn(&command, "QUIT", Some(&self.directory), &self.start_log_path())?;
        let status = data.join("postmaster.pid");
        let ready = eventually_blocking(START_LIMIT, "PostgreSQL to start", || {
            let content = std::fs::read_to_string(&status).unwrap_or_default();
            // Left by a server that was stopped at once, the file has another process id on its first line.
            let ours = content.lines().next().is_some_and(|pid| pid.trim() == server.pid().to_string());
            // The eighth line is the postmaster's status (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
            let ready = ours && content.lines().nth(7).is_some_and(|line| line.trim() == "ready");
            Ok(if ready { Some(true) } else { (!server.is_running()).then_some(false) })
        })?;
        if ready {
            return Ok(Launch::Ready(server));
        }
        server.finish()?;
        Ok(Launch::Ended)
    }

    fn start_log_path(&self) -> PathBuf {
        self.directory.join("start.log")
    }

    /// What the server wrote before its log collector ran, and what the collector has; for error messages.
    fn start_log(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        read(&self.start_log_path()) + &read(&self.directory.join("log/server.log"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        match self.server.take() {
            Some(server) => drop(server),
            // Stopped, so that no keeper removes it; what remains is in the temporary directory.
            None => {
                let _ = std::fs::remove_dir_all(&self.directory);
            }
        }
    }
}

enum Launch {
    Ready(Kept),
    Ended,
}

/// Runs a command of the server's account to its end.
fn run_as_server(program: &Path, arguments: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = binaries::server_command(program)?;
    arguments(&mut command);
    let name = command.get_program().to_string_lossy().into_owned();
    crate::command::run(command, b"")?.success().with_context(|| format!("{name} failed"))?;
    Ok(())
}
