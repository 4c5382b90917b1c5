//! The demo's host: a private sshd that trusts Sluice's authority, and the caller's side of it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::site::{BACKUP_ROBOT, Site};
use crate::command::run;
use crate::ssh::keys::Key;
use crate::sshd::{Login, Options, Sshd};
use crate::tls::write_private;

/// The listener, for the end of `sluice.toml`.
pub(super) const LISTEN: &str = "\n[listen.ssh]\naddress = \"127.0.0.1:0\"\n";

/// The policies, by the file's name.
pub(super) const POLICIES: (&str, &str) = ("40-hosts.cedar", include_str!("files/policies/40-hosts.cedar"));

/// The host, and where it finds the authority that it trusts.
pub(super) struct Host {
    sshd: Sshd,
    authority: PathBuf,
    _folder: tempfile::TempDir,
}

impl Host {
    /// Starts it, with a few files in it.
    pub(super) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = folder.path().join("sluice_ca.pub");
        let logins = vec![Login::new("backup")];
        let sshd = Sshd::start(&Options { logins, user_authority: Some(authority.clone()), ..Options::default() })?;
        let data = sshd.home().join("data");
        fs::create_dir_all(data.join("old"))?;
        fs::write(data.join("orders.csv"), "id,total\n1,12.50\n2,8.00\n")?;
        fs::write(data.join("old/orders-2019.csv"), "id,total\n")?;
        Ok(Self { sshd, authority, _folder: folder })
    }

    /// Its table in `targets.toml`.
    pub(super) fn target(&self) -> Result<String> {
        Ok(format!(
            "\n[web1]\nprotocol = \"ssh\"\naddress = \"127.0.0.1:{}\"\nlogins = [\"backup\"]\nhost_keys = [\"{}\"]\n\
             credential = {{ certificate = true }}\n",
            self.sshd.port(),
            self.sshd.host_key().public_line()?
        ))
    }

    /// Has it trust the authority of this Sluice, and gives the robot a key and a configuration of OpenSSH.
    pub(super) fn introduce(&self, site: &Site) -> Result<()> {
        let sluice = |arguments: &[&str]| -> Result<String> {
            let mut command = Command::new(site.binary());
            command.args(arguments).arg("--config").arg(site.config());
            run(command, b"")?.success()
        };
        let shown = sluice(&["ssh", "target-ca"])?;
        fs::write(&self.authority, format!("{}\n", shown.lines().next().context("no authority")?))?;
        let keys = keys(site);
        fs::create_dir_all(&keys)?;
        let key = Key::generate(&keys, BACKUP_ROBOT.name)?;
        let address = site.process()?.address("ssh")?;
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let known = sluice(&["ssh", "known-hosts", "--host", &host, "--port", &port])?;
        fs::write(keys.join("known_hosts"), known)?;
        let (private, known) = (key.private().display().to_string(), keys.join("known_hosts").display().to_string());
        let configuration = format!(
            "Host web1\n    HostName {host}\n    Port {port}\n    User web1\n    IdentityFile {private}\n    \
             CertificateFile {private}-cert.pub\n    IdentitiesOnly yes\n    BatchMode yes\n    LogLevel ERROR\n    \
             UserKnownHostsFile {known}\n    GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n"
        );
        write_private(&keys.join("config"), configuration.as_bytes())
    }

    /// The server itself.
    pub(super) const fn sshd(&self) -> &Sshd {
        &self.sshd
    }
}

fn keys(site: &Site) -> PathBuf {
    site.home().join("clients/keys")
}

/// The environment in which the lines about hosts work.
pub(super) fn environment(site: &Site) -> [(&'static str, String); 2] {
    let keys = keys(site);
    [("KEYS", keys.display().to_string()), ("SSH", keys.join("config").display().to_string())]
}
