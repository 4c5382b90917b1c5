//! OpenSSH's own clients, and what goes through them: `ssh`, `scp`, `sftp`, `rsync`, `git`.
//!
//! Each reads a configuration of the test's and nothing of the developer's. Calls block, and are bounded: see
//! [`crate::command`]. [`terminal`] types at a shell, [`programs`] are the other clients, [`keys`] makes keys and
//! certificates.

pub mod keys;
pub mod programs;
pub mod terminal;

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::command::{Output, RawOutput, run, run_raw};
use crate::process::Running;
use crate::wait::eventually_blocking;

use self::terminal::Terminal;

/// The name under which a client's configuration knows the server. Every name that begins so is the server too.
pub const TARGET: &str = "target";

/// How long a connection may take until others share it.
const MASTER_LIMIT: Duration = Duration::from_secs(30);

/// What a client proves itself with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A private key.
    Key(PathBuf),
    /// A private key with a certificate.
    Certificate {
        /// The private key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// A password, or the answer to every prompt of keyboard-interactive: a token.
    Password(String),
}

/// Where and as whom a client connects, and which host key it believes.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// A name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub login: String,
    /// What it proves itself with.
    pub credential: Credential,
    /// Lines of `known_hosts`.
    pub known_hosts: String,
}

/// OpenSSH's clients with a directory and configuration of their own.
pub struct Client {
    directory: TempDir,
    endpoint: Endpoint,
}

/// A connection that all calls of a client share while this lives.
pub struct Shared {
    master: Running,
    /// Tells it to end.
    exit: Command,
}

impl Shared {
    /// Ends it, and waits until it has ended.
    ///
    /// It is told by its socket: a signal that comes between OpenSSH's look for one and its wait is not seen for as long as
    /// nothing happens on the connection.
    pub fn stop(self) -> Result<()> {
        run(self.exit, b"")?.success()?;
        self.master.wait().map(drop)
    }

    /// Waits until it has ended by itself, and returns its exit status.
    pub fn wait(self) -> Result<i32> {
        self.master.wait()
    }
}

impl Client {
    /// Writes the configuration.
    pub fn new(endpoint: &Endpoint) -> Result<Self> {
        Self::with_settings(endpoint, &[])
    }

    /// With lines of `ssh_config` that hold before all others, as (name, value): `("SendEnv", "LANG")`.
    pub fn with_settings(endpoint: &Endpoint, settings: &[(&str, &str)]) -> Result<Self> {
        let client = Self { directory: tempfile::Builder::new().prefix("ssh-").tempdir()?, endpoint: endpoint.clone() };
        std::fs::write(client.known_hosts(), format!("{}\n", endpoint.known_hosts))?;
        if let Credential::Password(password) = &endpoint.credential {
            client.write_askpass(password)?;
        }
        std::fs::write(client.configuration(), client.settings(settings)?)?;
        Ok(client)
    }

    /// Where the client has its files; a test may put more there.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The file for `ssh -F`.
    pub fn configuration(&self) -> PathBuf {
        self.directory().join("config")
    }

    /// The file of the host keys that it believes.
    pub fn known_hosts(&self) -> PathBuf {
        self.directory().join("known_hosts")
    }

    /// Adds lines to the end of the configuration, such as another `Host`.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let present = std::fs::read_to_string(self.configuration())?;
        Ok(std::fs::write(self.configuration(), format!("{present}{lines}\n"))?)
    }

    /// What it was prompted for, one prompt a line, where the credential is a password.
    pub fn prompts(&self) -> Vec<String> {
        let prompts = std::fs::read_to_string(self.directory().join("prompts")).unwrap_or_default();
        prompts.lines().map(str::to_owned).collect()
    }

    /// One of OpenSSH's programs with this configuration, for what the other methods do not do.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.environment(program);
        command.arg("-F").arg(self.configuration());
        command
    }

    /// Runs a line at the server: `ssh [OPTION…] target LINE`.
    pub fn exec(&self, line: impl AsRef<OsStr>) -> Result<Output> {
        self.exec_with(&[], line, b"").map(|output| Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// [`Self::exec`] with options of `ssh` and an input, byte for byte.
    pub fn exec_with(&self, options: &[&str], line: impl AsRef<OsStr>, input: &[u8]) -> Result<RawOutput> {
        let mut command = self.command("ssh");
        command.args(options).arg(TARGET).arg(line);
        run_raw(command, input)
    }

    /// Runs `ssh` with these arguments, the server's name among them.
    pub fn ssh(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        self.run("ssh", arguments, input)
    }

    /// Runs `scp`; paths at the server are `target:PATH`. The option `-O` makes it use its old protocol.
    pub fn scp(&self, arguments: &[&str]) -> Result<Output> {
        self.run("scp", arguments, b"")
    }

    /// Runs a batch of `sftp`, a command a line.
    pub fn sftp(&self, batch: &str) -> Result<Output> {
        // A batch would ask for no password.
        let asks = matches!(self.endpoint.credential, Credential::Password(_));
        let batch_mode = if asks { "BatchMode=no" } else { "BatchMode=yes" };
        self.run("sftp", &["-o", batch_mode, "-b", "-", TARGET], batch.as_bytes())
    }

    /// Runs `rsync`; paths at the server are `target:PATH`.
    pub fn rsync(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.environment("rsync");
        command.arg("-e").arg(self.remote_shell()?).args(arguments);
        run(command, b"")
    }

    /// Runs `git` in a folder; repositories at the server are `target:PATH`.
    pub fn git(&self, folder: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = self.environment("git");
        command.env("GIT_SSH_COMMAND", self.remote_shell()?).env("HOME", self.directory());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Test").env(format!("GIT_{role}_EMAIL"), "test@example.com");
        }
        command.args(["-c", "init.defaultBranch=main"]).args(arguments).current_dir(folder);
        run(command, b"")
    }

    /// Opens a shell at a terminal of this size: `ssh -tt target`.
    pub fn shell(&self, columns: u16, rows: u16) -> Result<Terminal> {
        let mut command = self.command("ssh");
        command.args(["-tt", TARGET]).env("TERM", "xterm");
        Terminal::start(&command, columns, rows)
    }

    /// Keeps `ssh` running with these options, such as `-N` with forwardings; [`Self::share`] waits until it is there.
    pub fn start(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = self.command("ssh");
        command.args(arguments);
        Running::start(&command, &self.directory().join("running.log"))
    }

    /// Opens a connection that all calls of this client share from now on, while the value lives. It is the first to set
    /// forwardings up, given as options: `["-L", "/tmp/socket:localhost:80"]`.
    pub fn share(&self, options: &[&str]) -> Result<Shared> {
        let socket = self.control_socket();
        let socket = socket.to_str().context("the socket's path is not UTF-8")?.to_owned();
        let common = ["-N", "-M", "-S", &socket, "-o", "ExitOnForwardFailure=yes"];
        let master = self.start(&[&common, options, &[TARGET]].concat())?;
        let waited = eventually_blocking(MASTER_LIMIT, "a connection to share", || {
            // It speaks only once it has logged in, and its forwardings are there.
            let is_ready = std::fs::exists(&socket)? && self.ssh(&["-O", "check", TARGET], b"")?.status.success();
            ensure!(is_ready || master.is_running(), "it has ended");
            Ok(is_ready.then_some(()))
        });
        waited.with_context(|| master.log())?;
        let mut exit = self.command("ssh");
        exit.args(["-O", "exit", TARGET]);
        Ok(Shared { master, exit })
    }

    /// The socket of [`Self::share`].
    pub fn control_socket(&self) -> PathBuf {
        self.directory().join("control")
    }

    /// The command line that `rsync -e` and git take.
    pub fn remote_shell(&self) -> Result<String> {
        let configuration = self.configuration();
        Ok(format!("ssh -F {}", configuration.to_str().context("the configuration's path is not UTF-8")?))
    }

    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut command = self.command(program);
        command.args(arguments);
        run(command, input)
    }

    /// A program that asks for passwords only as this client's configuration says, and shows the messages of no language.
    fn environment(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in
            ["SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY", "RSYNC_RSH", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"]
        {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        if matches!(self.endpoint.credential, Credential::Password(_)) {
            command.env("SSH_ASKPASS", self.directory().join("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        }
        command
    }

    /// A script that writes down what is asked for, and answers.
    fn write_askpass(&self, password: &str) -> Result<()> {
        let (at, script) = (self.directory().display(), self.directory().join("askpass"));
        std::fs::write(self.directory().join("password"), format!("{password}\n"))?;
        std::fs::write(&script, format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >>{at}/prompts\nexec cat {at}/password\n"))?;
        Ok(std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o700))?)
    }

    fn settings(&self, first: &[(&str, &str)]) -> Result<String> {
        let (endpoint, at) = (&self.endpoint, self.directory().display());
        let mut text = format!("Host {TARGET}*\n");
        for (name, value) in first {
            writeln!(text, "    {name} {value}")?;
        }
        let (host, port, login) = (&endpoint.host, endpoint.port, &endpoint.login);
        writeln!(text, "    HostName {host}\n    Port {port}\n    User {login}\n    ControlPath {at}/control")?;
        writeln!(text, "    UserKnownHostsFile {at}/known_hosts\n    GlobalKnownHostsFile /dev/null")?;
        writeln!(text, "    StrictHostKeyChecking yes\n    UpdateHostKeys no\n    ConnectTimeout 30")?;
        writeln!(text, "    IdentityAgent none\n    IdentitiesOnly yes")?;
        match &endpoint.credential {
            Credential::Key(key) => writeln!(text, "    IdentityFile {}\n    BatchMode yes", key.display())?,
            Credential::Certificate { key, certificate } => {
                let (key, certificate) = (key.display(), certificate.display());
                writeln!(text, "    IdentityFile {key}\n    CertificateFile {certificate}\n    BatchMode yes")?;
            }
            Credential::Password(_) => {
                writeln!(text, "    IdentityFile none\n    NumberOfPasswordPrompts 1")?;
                writeln!(text, "    PreferredAuthentications keyboard-interactive,password")?;
            }
        }
        Ok(text)
    }
}
