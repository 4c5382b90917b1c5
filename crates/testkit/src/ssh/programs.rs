//! Clients of SSH that are not OpenSSH's: the programs of `tests/ssh`, `tests/go/ssh` and `tests/node/ssh2_client.mjs`.
//!
//! A program runs all of its scenarios against one server and prints a JSON object with a member for each, in which
//! nothing depends on the address. So the same program runs directly and through Sluice, and its results are compared.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Client, Credential, Endpoint};
use crate::command::{Output, development_directory, go_program, run, workspace_root};

/// What every program shows, or says why it cannot (`{"unsupported": "why"}`).
pub const SCENARIOS: [&str; 12] = [
    "exec",
    "exec_signal",
    "stdin",
    "environment",
    "parallel",
    "terminal",
    "resize",
    "sftp",
    "sftp_failure",
    "sftp_large",
    "forward",
    "remote_forward",
];

/// A client program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// paramiko, of Python.
    Paramiko,
    /// `golang.org/x/crypto/ssh` and `github.com/pkg/sftp`.
    Go,
    /// `ssh2`, of Node. It knows no certificates.
    Node,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Paramiko, Self::Go, Self::Node];

    /// Runs it, and returns its results. `folder` is an empty folder at the server, and `echo` a server that it can reach
    /// which sends back what it is sent, see [`Echo`].
    ///
    /// # Errors
    /// The program is not there or fails, or one of [`SCENARIOS`] is missing in what it prints.
    pub fn run(self, endpoint: &Endpoint, folder: &Path, echo: &Echo) -> Result<Value> {
        let files = tempfile::tempdir()?;
        let known_hosts = files.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("{}\n", endpoint.known_hosts))?;
        let mut command = self.command()?;
        for name in ["SSH_AUTH_SOCK", "SLUICE_KEY", "SLUICE_CERTIFICATE", "SLUICE_TOKEN"] {
            command.env_remove(name);
        }
        match &endpoint.credential {
            Credential::Key(key) => command.env("SLUICE_KEY", key),
            Credential::Certificate { key, certificate } => {
                command.env("SLUICE_KEY", key).env("SLUICE_CERTIFICATE", certificate)
            }
            Credential::Password(password) => command.env("SLUICE_TOKEN", password),
        };
        command.env("SLUICE_HOST", &endpoint.host).env("SLUICE_PORT", endpoint.port.to_string());
        command.env("SLUICE_USER", &endpoint.login).env("SLUICE_KNOWN_HOSTS", &known_hosts);
        command.env("SLUICE_FOLDER", folder).env("SLUICE_ECHO", echo.port().to_string());
        let output = run(command, b"")?.success().with_context(|| format!("{self:?} failed"))?;
        let results: Value = serde_json::from_str(&output).with_context(|| format!("it printed no JSON: {output}"))?;
        for scenario in SCENARIOS {
            ensure!(results.get(scenario).is_some(), "{self:?} reports nothing of {scenario}");
        }
        Ok(results)
    }

    fn command(self) -> Result<Command> {
        let tests = workspace_root().join("tests");
        match self {
            Self::Paramiko => {
                let mut command = Command::new(python_program("python")?);
                command.arg(tests.join("ssh/paramiko_client.py"));
                Ok(command)
            }
            Self::Go => Ok(Command::new(go_program("ssh")?)),
            Self::Node => {
                let module = tests.join("node/node_modules/ssh2");
                ensure!(module.exists(), "{} is missing: run ./dev setup", module.display());
                let mut command = Command::new("node");
                command.arg("ssh2_client.mjs").current_dir(tests.join("node"));
                Ok(command)
            }
        }
    }
}

/// A program of the Python environment for SSH.
fn python_program(name: &str) -> Result<PathBuf> {
    let program = development_directory().join("ssh/bin").join(name);
    ensure!(program.exists(), "{} is missing: run ./dev setup", program.display());
    Ok(program)
}

/// Runs the playbook `tests/ssh/playbook.yml` by way of OpenSSH's `ssh`, with the connections that Ansible shares by
/// itself. `folder` is an empty folder at the server; what is fetched from it is below [`Client::directory`], in
/// `fetched`. The output names neither folder nor address.
pub fn ansible(client: &Client, folder: &Path) -> Result<Output> {
    let (at, tests) = (client.directory(), workspace_root().join("tests/ssh"));
    let python = python_program("python")?;
    let inventory = at.join("inventory");
    let mut line = format!("target ansible_ssh_common_args='-F {}'", client.configuration().display());
    line.push_str(&format!(" ansible_python_interpreter={}", python.display()));
    if let Credential::Password(password) = &client.endpoint.credential {
        line.push_str(&format!(" ansible_password='{password}'"));
    }
    std::fs::write(&inventory, line + "\n")?;
    let mut command = client.environment("env");
    command.arg(python_program("ansible-playbook")?).arg("-i").arg(&inventory);
    command.arg("-e").arg(format!("folder={} fetched={}", folder.display(), at.join("fetched").display()));
    command.arg("playbook.yml").current_dir(tests);
    command.env("ANSIBLE_HOME", at.join("ansible")).env("ANSIBLE_LOCAL_TEMP", at.join("ansible/tmp"));
    command.env("ANSIBLE_SSH_CONTROL_PATH_DIR", at.join("cp")).env("ANSIBLE_NOCOLOR", "1");
    // Its own check of its locale.
    command.env("LC_ALL", "C.UTF-8").env("ANSIBLE_SSH_PASSWORD_MECHANISM", "ssh_askpass");
    run(command, b"")
}

/// A server on a free port of 127.0.0.1 that sends back what it is sent, on every connection, until the process ends.
pub struct Echo {
    port: u16,
}

impl Echo {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || send_back(&connection));
            }
        });
        Ok(Self { port })
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// The end of what comes is the end of what goes, and a connection that breaks is over.
fn send_back(connection: &TcpStream) {
    let _ = std::io::copy(&mut &*connection, &mut &*connection);
    let _ = connection.shutdown(std::net::Shutdown::Write);
}
