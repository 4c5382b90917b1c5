//! The files of a private sshd.

use std::fmt::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Login, Options};
use crate::command::run;

/// The server: it has to be started by its absolute path.
pub(super) fn program() -> Result<PathBuf> {
    find(&["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"])
}

fn find(places: &[&str]) -> Result<PathBuf> {
    let found = places.iter().map(PathBuf::from).find(|path| path.is_file());
    found.with_context(|| format!("there is none of {}: run ./dev setup", places.join(", ")))
}

/// Writes everything but `sshd_config`.
pub(super) fn write(directory: &Path, options: &Options) -> Result<()> {
    // Where its processes before authentication are confined, if it is root; a service would have made it.
    if rustix::process::geteuid().is_root() {
        std::fs::DirBuilder::new().mode(0o755).recursive(true).create("/run/sshd")?;
    }
    std::fs::create_dir(directory.join("home"))?;
    std::fs::create_dir(directory.join("principals"))?;
    std::fs::write(directory.join("authorized_keys"), options.authorized_keys.join("\n") + "\n")?;
    script(directory, "shell", include_str!("shell.sh"))?;
    let sftp = find(&["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"])?;
    let (sftp, log) = (sftp.display(), directory.join("sftp.log"));
    script(directory, "sftp-server", &format!("#!/bin/sh\nexec {sftp} -e -l DEBUG1 2>>{}\n", log.display()))?;
    write_accounts(directory, &logins(options))
}

fn logins(options: &Options) -> Vec<Login> {
    if options.logins.is_empty() { vec![Login::new("root"), Login::new("deploy")] } else { options.logins.clone() }
}

fn script(directory: &Path, name: &str, text: &str) -> Result<()> {
    let path = directory.join(name);
    std::fs::write(&path, text)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}

/// The databases that `libnss_wrapper` reads: passwd(5), shadow(5), group(5).
fn write_accounts(directory: &Path, logins: &[Login]) -> Result<()> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let (mut passwd, mut shadow) = (String::new(), String::new());
    for login in logins {
        let (name, at) = (&login.name, directory.display());
        writeln!(passwd, "{name}:x:{uid}:{gid}::{at}/home:{at}/shell")?;
        let password = login.password.as_deref().map_or(Ok("*".to_owned()), hash)?;
        writeln!(shadow, "{name}:{password}:1::::::")?;
        let principals = if login.principals.is_empty() { std::slice::from_ref(name) } else { &login.principals };
        std::fs::write(directory.join("principals").join(name), principals.join("\n") + "\n")?;
    }
    // Whom its processes before authentication are, if it is root.
    writeln!(passwd, "sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin")?;
    std::fs::write(directory.join("passwd"), passwd)?;
    std::fs::write(directory.join("shadow"), shadow)?;
    // Only root could give a terminal to that group.
    let tty = if rustix::process::geteuid().is_root() { "tty:x:5:\n" } else { "" };
    Ok(std::fs::write(directory.join("group"), format!("tests:x:{gid}:\n{tty}nogroup:x:65534:\n"))?)
}

/// A password as crypt(3) keeps it.
fn hash(password: &str) -> Result<String> {
    let mut command = Command::new("openssl");
    command.args(["passwd", "-6", "-stdin"]);
    Ok(run(command, password.as_bytes())?.success()?.trim().to_owned())
}

/// Writes `sshd_config`, in which the first value of a name holds.
pub(super) fn write_settings(directory: &Path, port: u16, options: &Options) -> Result<()> {
    let mut text = String::new();
    for (name, value) in &options.settings {
        writeln!(text, "{name} {value}")?;
    }
    let has_password = logins(options).iter().any(|login| login.password.is_some());
    let at = directory.display();
    write!(
        text,
        "ListenAddress 127.0.0.1\n\
         Port {port}\n\
         HostKey {at}/host\n\
         PidFile none\n\
         LogLevel DEBUG1\n\
         UsePAM no\n\
         StrictModes no\n\
         PermitRootLogin {}\n\
         PasswordAuthentication {}\n\
         KbdInteractiveAuthentication no\n\
         AuthorizedKeysFile {at}/authorized_keys\n\
         AuthorizedPrincipalsFile {at}/principals/%u\n\
         AllowTcpForwarding yes\n\
         AllowStreamLocalForwarding yes\n\
         PermitTunnel no\n\
         PermitUserEnvironment no\n\
         MaxSessions 100\n\
         MaxStartups 1000\n\
         MaxAuthTries 20\n\
         PrintMotd no\n\
         PrintLastLog no\n\
         UseDNS no\n\
         SetEnv SLUICE_SSHD={at}\n\
         Subsystem sftp {at}/sftp-server\n",
        if has_password { "yes" } else { "prohibit-password" },
        if has_password { "yes" } else { "no" },
    )?;
    if let Some(authority) = &options.user_authority {
        writeln!(text, "TrustedUserCAKeys {}", authority.display())?;
    }
    if options.host_authority.is_some() {
        writeln!(text, "HostCertificate {at}/host-cert.pub")?;
    }
    Ok(std::fs::write(directory.join("sshd_config"), text)?)
}
