//! A SPIRE server of a trust domain, and an agent of it, each in a directory of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::run;
use crate::keeper::Kept;
use crate::wait::eventually_blocking;

/// How long a part of SPIRE may take to start, or to follow another.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

const SERVER: &str = r#"
server {
    bind_address = "127.0.0.1"
    bind_port = "@PORT@"
    socket_path = "@DIRECTORY@/server.sock"
    trust_domain = "@DOMAIN@"
    data_dir = "@DIRECTORY@/server"
    log_level = "INFO"
}
plugins {
    DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "@DIRECTORY@/datastore.sqlite3" } }
    KeyManager "memory" { plugin_data {} }
    NodeAttestor "join_token" { plugin_data {} }
}
"#;

const AGENT: &str = r#"
agent {
    data_dir = "@DIRECTORY@/agent"
    log_level = "INFO"
    server_address = "127.0.0.1"
    server_port = "@PORT@"
    socket_path = "@DIRECTORY@/agent.sock"
    trust_bundle_path = "@DIRECTORY@/bootstrap.pem"
    trust_domain = "@DOMAIN@"
}
plugins {
    KeyManager "memory" { plugin_data {} }
    NodeAttestor "join_token" { plugin_data {} }
    WorkloadAttestor "unix" { plugin_data {} }
}
"#;

/// A running server; it ends with the value.
pub(super) struct Server {
    // In this order: the processes end before their directory goes.
    agent: Option<Kept>,
    _server: Kept,
    programs: PathBuf,
    domain: String,
    port: u16,
    directory: TempDir,
}

impl Server {
    /// Starts one for this trust domain.
    pub(super) fn start(programs: &Path, domain: &str) -> Result<Self> {
        // Short, for a socket's path has 107 bytes at most.
        let directory = tempfile::Builder::new().prefix("spire-").tempdir()?;
        // It cannot say which port it got.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = directory.path().join("server.conf");
        fs::write(&config, filled(SERVER, domain, port, directory.path()))?;
        let mut command = Command::new(programs.join("spire-server"));
        command.args(["run", "-config"]).arg(&config);
        let log = directory.path().join("server.log");
        let process = Kept::spawn(&command, "TERM", None, &log)?;
        let (programs, domain) = (programs.to_owned(), domain.to_owned());
        let started = Self { agent: None, _server: process, programs, domain, port, directory };
        let is_up = || Ok(started.ask(&["healthcheck"]).is_ok().then_some(()));
        eventually_blocking(LIMIT, "the SPIRE server", is_up)
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(started)
    }

    /// Starts its agent, attested by a join token, and lets workloads of this process's user be `workload`.
    pub(super) fn start_agent(&mut self, workload: &str, federates_with: &[&str]) -> Result<()> {
        fs::write(self.path("bootstrap.pem"), self.ask(&["bundle", "show"])?)?;
        let parent = format!("spiffe://{}/agent", self.domain);
        let joined = self.ask(&["token", "generate", "-spiffeID", &parent, "-output", "json"])?;
        let joined: Value = serde_json::from_str(&joined)?;
        let token = joined.get("value").and_then(Value::as_str).context("no join token")?;
        let selector = format!("unix:uid:{}", rustix::process::getuid().as_raw());
        let mut entry = vec!["entry", "create", "-parentID", &parent, "-spiffeID", workload, "-selector", &selector];
        federates_with.iter().for_each(|domain| entry.extend(["-federatesWith", domain]));
        self.ask(&entry)?;
        fs::write(self.path("agent.conf"), filled(AGENT, &self.domain, self.port, self.directory.path()))?;
        let mut command = Command::new(self.programs.join("spire-agent"));
        command.args(["run", "-joinToken", token, "-config"]).arg(self.path("agent.conf"));
        let log = self.path("agent.log");
        self.agent = Some(Kept::spawn(&command, "TERM", None, &log)?);
        let is_up = || Ok(self.fetch("first").is_ok().then_some(()));
        eventually_blocking(LIMIT, "the SPIRE agent", is_up)
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())
    }

    /// The socket of the agent's Workload API.
    pub(super) fn workload_api(&self) -> PathBuf {
        self.path("agent.sock")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the server's own command line answers.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String> {
        let words = arguments.iter().take_while(|word| !word.starts_with('-')).count();
        let (verb, rest) = arguments.split_at(words);
        let mut command = Command::new(self.programs.join("spire-server"));
        command.args(verb).arg("-socketPath").arg(self.path("server.sock")).args(rest);
        run(command, b"")?.success()
    }

    /// What a workload gets from the agent, by SPIRE's own client: the paths of certificate and key.
    pub(super) fn fetch(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let into = self.path(name);
        fs::create_dir_all(&into)?;
        let mut command = Command::new(self.programs.join("spire-agent"));
        command.args(["api", "fetch", "x509", "-socketPath"]).arg(self.workload_api()).arg("-write").arg(&into);
        run(command, b"")?.success()?;
        Ok((into.join("svid.0.pem"), into.join("svid.0.key")))
    }

    /// A JWT-SVID for this audience, from the agent.
    pub(super) fn fetch_token(&self, audience: &str) -> Result<String> {
        let mut command = Command::new(self.programs.join("spire-agent"));
        command.args(["api", "fetch", "jwt", "-audience", audience, "-socketPath"]).arg(self.workload_api());
        let answer = run(command, b"")?.success()?;
        let token = answer.split_whitespace().find(|word| word.split('.').count() == 3 && word.starts_with("ey"));
        Ok(token.with_context(|| format!("no token in {answer}"))?.to_owned())
    }

    /// An X.509-SVID that the server itself makes: the paths of certificate and key.
    pub(super) fn mint(&self, id: &str) -> Result<(PathBuf, PathBuf)> {
        let into = self.path("minted");
        fs::create_dir_all(&into)?;
        self.ask(&["x509", "mint", "-spiffeID", id, "-write", &into.display().to_string()])?;
        Ok((into.join("svid.pem"), into.join("key.pem")))
    }

    /// Makes a new authority of this kind (`x509`, `jwt`) and issues by it; the old one stays in the bundle until the
    /// answer is given to [`Self::revoke`].
    pub(super) fn rotate(&self, kind: &str) -> Result<String> {
        let active = |answer: &str, which: &str| -> Result<String> {
            let answer: Value = serde_json::from_str(answer)?;
            let id = answer.get(which).and_then(|authority| authority.get("authority_id")).and_then(Value::as_str);
            Ok(id.with_context(|| format!("no {which} authority in {answer}"))?.to_owned())
        };
        let old = active(&self.ask(&["localauthority", kind, "show", "-output", "json"])?, "active")?;
        let prepared = self.ask(&["localauthority", kind, "prepare", "-output", "json"])?;
        let new = active(&prepared, "prepared_authority")?;
        self.ask(&["localauthority", kind, "activate", "-authorityID", &new])?;
        ensure!(old != new, "SPIRE did not make a new authority");
        Ok(old)
    }

    /// Has everything issued anew that an authority issued which is not active any more.
    pub(super) fn taint(&self, kind: &str, authority: &str) -> Result<()> {
        self.ask(&["localauthority", kind, "taint", "-authorityID", authority]).map(drop)
    }

    /// Takes a tainted authority out of the bundle.
    pub(super) fn revoke(&self, kind: &str, authority: &str) -> Result<()> {
        self.ask(&["localauthority", kind, "revoke", "-authorityID", authority]).map(drop)
    }
}

fn filled(template: &str, domain: &str, port: u16, directory: &Path) -> String {
    let directory = directory.display().to_string();
    template.replace("@DOMAIN@", domain).replace("@PORT@", &port.to_string()).replace("@DIRECTORY@", &directory)
}
