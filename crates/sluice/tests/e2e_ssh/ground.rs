//! A host, a Sluice in front of it, and callers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use model::id::SessionId;
use serde_json::Value;
use tempfile::TempDir;
use testkit::command::{Output, run};
use testkit::demo::site::Site;
use testkit::issuer::Grant;
use testkit::ssh::keys::Key;
use testkit::ssh::{Client, Credential, Endpoint};
use testkit::sshd::{Options, Sshd};
use testkit::wait::eventually_blocking;

use super::oracle;
use crate::support::{LIMIT, admin, binary};

/// The groups of somebody who may do all that the tests do but forward, and sees nothing in clear.
pub(crate) const ENGINEER: &[&str] = &["engineers"];

/// Likewise, and may forward.
pub(crate) const FORWARDER: &[&str] = &["engineers", "forwarders"];

/// Likewise, and sees everything.
pub(crate) const CLEARED: &[&str] = &["engineers", "forwarders", "cleared"];

const BASELINE: &str = include_str!("../../../policy/shipped/baseline.cedar");
const POLICIES: &str = include_str!("policies.cedar");

/// What differs from the usual ground.
#[derive(Default)]
pub(crate) struct Tuning {
    /// Of the host.
    pub(crate) host: Options,
    /// Lines for the end of `sluice.toml`.
    pub(crate) sluice_toml: String,
    /// Lines for the end of the target.
    pub(crate) target: String,
    /// The line with the target's host keys; the host's own key unless given.
    pub(crate) host_keys: Option<String>,
    /// `ssh_keys.toml`.
    pub(crate) ssh_keys: String,
    /// Another file of policies.
    pub(crate) policies: String,
}

/// All of it. When it goes, what the host executed has to be what the journal permitted.
pub(crate) struct Ground {
    // In this order: Sluice ends before its host.
    pub(crate) site: Site,
    pub(crate) sshd: Sshd,
    pub(crate) folder: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        Self::tuned(Tuning::default())
    }

    pub(crate) fn tuned(mut tuning: Tuning) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = folder.path().join("target_ca.pub");
        // sshd reads it at each login.
        tuning.host.user_authority = Some(authority.clone());
        let sshd = Sshd::start(&tuning.host)?;
        let listen = format!("\n[listen.ssh]\naddress = \"127.0.0.1:0\"\n{}", tuning.sluice_toml);
        let mut site = Site::with_revision(binary(), &listen, &revision(&sshd, &tuning)?)?;
        std::fs::create_dir_all(site.data())?;
        let shown = sluice(&site, &["ssh", "target-ca"])?.success()?;
        std::fs::write(&authority, shown.lines().next().context("no authority")?.to_owned() + "\n")?;
        site.start()?;
        Ok(Self { site, sshd, folder })
    }

    /// A token for somebody in these groups.
    pub(crate) fn token(&self, subject: &str, groups: &[&str]) -> Result<String> {
        self.site.issuer().issue(Grant::new(subject).groups(groups.iter().copied()))
    }

    /// Where Sluice is, for this user (`web1`, `deploy%web1`) with this credential.
    pub(crate) fn endpoint(&self, user: &str, credential: Credential) -> Result<Endpoint> {
        let address = self.site.process()?.address("ssh")?;
        let (host, port) = (address.ip().to_string(), address.port());
        let known_hosts =
            sluice(&self.site, &["ssh", "known-hosts", "--host", &host, "--port", &port.to_string()])?.success()?;
        Ok(Endpoint { host, port, login: user.to_owned(), credential, known_hosts })
    }

    /// OpenSSH's clients of `web1` for somebody in these groups, by a token.
    pub(crate) fn client(&self, groups: &[&str]) -> Result<Client> {
        self.client_with(groups, &[])
    }

    /// Likewise with lines of `ssh_config`.
    pub(crate) fn client_with(&self, groups: &[&str], settings: &[(&str, &str)]) -> Result<Client> {
        Client::with_settings(&self.by_token(groups)?, settings)
    }

    /// Where Sluice is for somebody in these groups, by a token.
    pub(crate) fn by_token(&self, groups: &[&str]) -> Result<Endpoint> {
        self.endpoint("web1", Credential::Password(self.token("erin", groups)?))
    }

    /// A key that is nobody's yet.
    pub(crate) fn key(&self, name: &str) -> Result<Key> {
        Key::generate(self.folder.path(), name)
    }

    /// Runs `sluice` with the token of somebody in these groups.
    pub(crate) fn sluice_as(&self, subject: &str, groups: &[&str], arguments: &[&str]) -> Result<Output> {
        run(self.command_as(subject, groups, arguments)?, b"")
    }

    /// `sluice` with the token of somebody in these groups.
    pub(crate) fn command_as(&self, subject: &str, groups: &[&str], arguments: &[&str]) -> Result<Command> {
        self.site.hand_out(subject, Grant::new(subject).groups(groups.iter().copied()))?;
        let file = self.site.token_file(subject).display().to_string();
        let config = self.site.config().display().to_string();
        let mut command = Command::new(self.site.binary());
        command.args(arguments).args(["--config", &config, "--token-file", &file]);
        Ok(command)
    }

    /// The id of an approval that somebody waits for.
    pub(crate) fn pending(&self) -> Result<String> {
        let token = self.token("olga", &["ops"])?;
        eventually_blocking(LIMIT, "an approval to wait for", || {
            let (_, list) = admin::call(&self.site, &token, "GET", "/v1/approvals?status=pending", None)?;
            Ok(list.pointer("/0/id").or_else(|| list.pointer("/0/approval")).and_then(Value::as_str).map(str::to_owned))
        })
    }

    /// The sessions that live.
    pub(crate) fn sessions(&self) -> Result<Vec<SessionId>> {
        let token = self.token("ada", &["sluice-admin"])?;
        let (_, live) = admin::call(&self.site, &token, "GET", "/v1/sessions", None)?;
        let sessions =
            live.as_array().context("no list")?.iter().filter_map(|one| one["session"].as_str()?.parse().ok());
        Ok(sessions.collect())
    }

    /// The tapes, one of each session, whatever files it is in at the moment.
    pub(crate) fn tapes(&self) -> Result<BTreeSet<PathBuf>> {
        let directory = self.site.data().join("tapes");
        let mut tapes = BTreeSet::new();
        for entry in std::fs::read_dir(&directory)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let session = name.split('.').next().unwrap_or_default();
            if session.parse::<SessionId>().is_ok() {
                tapes.insert(directory.join(session).with_extension("tape"));
            }
        }
        Ok(tapes)
    }

    /// The most memory that Sluice has used so far, in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.site.process()?.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the log of Sluice:\n{}", self.site.log());
            return;
        }
        oracle::verify(&self.site, &self.sshd).expect("the host executed what the journal permitted");
    }
}

fn revision(sshd: &Sshd, tuning: &Tuning) -> Result<Vec<(&'static str, String)>> {
    let host_keys = match &tuning.host_keys {
        Some(lines) => lines.clone(),
        None => format!("host_keys = [\"{}\"]", sshd.host_key().public_line()?),
    };
    let port = sshd.port();
    let logins: Vec<String> = match tuning.host.logins.as_slice() {
        [] => ["root", "deploy"].map(str::to_owned).to_vec(),
        logins => logins.iter().map(|login| login.name.clone()).collect(),
    };
    let credential = if tuning.target.contains("credential") { "" } else { "credential = { certificate = true }\n" };
    let target = format!(
        "[web1]\nprotocol = \"ssh\"\naddress = \"127.0.0.1:{port}\"\nlogins = {logins:?}\n{host_keys}\n{credential}{}\n",
        tuning.target
    );
    let mut files = vec![
        ("targets.toml", target),
        ("classification.toml", String::new()),
        ("policies/00-baseline.cedar", BASELINE.to_owned()),
        ("policies/10-hosts.cedar", POLICIES.to_owned()),
        ("policies/20-more.cedar", tuning.policies.clone()),
    ];
    if !tuning.ssh_keys.is_empty() {
        files.push(("ssh_keys.toml", tuning.ssh_keys.clone()));
    }
    Ok(files)
}

fn sluice(site: &Site, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(site.binary());
    command.args(arguments).arg("--config").arg(site.config());
    run(command, b"")
}
