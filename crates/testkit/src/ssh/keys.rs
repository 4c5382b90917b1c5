//! Keys and certificates of SSH, made by `ssh-keygen`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run;

/// A pair of keys, in files: NAME, NAME.pub and, once it is certified, NAME-cert.pub.
#[derive(Clone, Debug)]
pub struct Key {
    path: PathBuf,
}

impl Key {
    /// An Ed25519 key without a passphrase.
    pub fn generate(directory: &Path, name: &str) -> Result<Self> {
        Self::generate_kind(directory, name, &["-t", "ed25519"])
    }

    /// A key of another kind, as options of `ssh-keygen`: `["-t", "rsa", "-b", "3072"]`.
    pub fn generate_kind(directory: &Path, name: &str, kind: &[&str]) -> Result<Self> {
        let path = directory.join(name);
        let mut command = keygen();
        command.args(["-q", "-N", "", "-C", name]).args(kind).arg("-f").arg(&path);
        run(command, b"")?.success()?;
        Ok(Self { path })
    }

    /// The private key's file, in OpenSSH's format.
    pub fn private(&self) -> PathBuf {
        self.path.clone()
    }

    /// The public key's file.
    pub fn public(&self) -> PathBuf {
        self.path.with_file_name(self.name(".pub"))
    }

    /// The file of the certificate that it was given last.
    pub fn certificate(&self) -> PathBuf {
        self.path.with_file_name(self.name("-cert.pub"))
    }

    /// The public key as a line of `authorized_keys`: kind, base64, comment.
    pub fn public_line(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.public())?.trim_end().to_owned())
    }

    /// Its fingerprint, as `SHA256:…`.
    pub fn fingerprint(&self) -> Result<String> {
        let mut command = keygen();
        command.arg("-lf").arg(self.public());
        let shown = run(command, b"")?.success()?;
        Ok(shown.split(' ').nth(1).context("ssh-keygen shows no fingerprint")?.to_owned())
    }

    /// The line of `known_hosts` for a server at this address that has this key.
    pub fn known_hosts_line(&self, host: &str, port: u16) -> Result<String> {
        Ok(format!("[{host}]:{port} {}", self.public_line()?))
    }

    fn name(&self, ending: &str) -> String {
        let mut name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.push_str(ending);
        name
    }
}

/// What a certificate says of a user; [`Certificate::new`] is a usual one.
#[derive(Clone, Debug)]
pub struct Certificate<'a> {
    /// The key id, which sshd logs.
    pub id: &'a str,
    /// The principals; without any, it is for every account of a server that asks for no principals of its own.
    pub principals: &'a [&'a str],
    /// From when to when, as `ssh-keygen -V` takes it: `-1m:+5m`, and of one that is over `-2h:-1h`.
    pub validity: &'a str,
    /// Its number.
    pub serial: u64,
    /// Critical options and extensions, as `ssh-keygen -O` takes them: `force-command=…`, `source-address=…`, `clear`.
    pub options: &'a [&'a str],
}

impl<'a> Certificate<'a> {
    /// A certificate for these principals that holds for an hour.
    pub const fn new(id: &'a str, principals: &'a [&'a str]) -> Self {
        Self { id, principals, validity: "-5m:+1h", serial: 1, options: &[] }
    }
}

/// A key that certifies others: users' or hosts'.
#[derive(Clone, Debug)]
pub struct Authority {
    key: Key,
}

impl Authority {
    /// A new one.
    pub fn generate(directory: &Path, name: &str) -> Result<Self> {
        Ok(Self { key: Key::generate(directory, name)? })
    }

    /// Its key.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Gives a user's key a certificate, and returns its file: [`Key::certificate`].
    pub fn certify_user(&self, key: &Key, certificate: &Certificate<'_>) -> Result<PathBuf> {
        self.sign(key, certificate, &[])
    }

    /// Gives a host's key a certificate for these names, for an hour.
    pub fn certify_host(&self, key: &Key, names: &[&str]) -> Result<PathBuf> {
        self.sign(key, &Certificate::new("host", names), &["-h"])
    }

    /// The line of `known_hosts` that believes this authority about a server at this address.
    pub fn known_hosts_line(&self, host: &str, port: u16) -> Result<String> {
        Ok(format!("@cert-authority [{host}]:{port} {}", self.key.public_line()?))
    }

    fn sign(&self, key: &Key, certificate: &Certificate<'_>, kind: &[&str]) -> Result<PathBuf> {
        let mut command = keygen();
        command.args(["-q", "-s"]).arg(self.key.private()).args(kind);
        command.args(["-I", certificate.id, "-V", certificate.validity, "-z", &certificate.serial.to_string()]);
        if !certificate.principals.is_empty() {
            command.args(["-n", &certificate.principals.join(",")]);
        }
        for option in certificate.options {
            command.args(["-O", option]);
        }
        command.arg(key.public());
        run(command, b"")?.success()?;
        Ok(key.certificate())
    }
}

fn keygen() -> Command {
    Command::new("ssh-keygen")
}
