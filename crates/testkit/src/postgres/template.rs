//! The data directory that every server begins with: made by `initdb` once on a machine, then copied.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{binaries, run_as_server};
use crate::random;

/// Goes up when `initdb`'s options change, so that an older template is not used.
const GENERATION: u32 = 1;

/// Makes the directory of a new server: `data` (a copy of the template), `socket`, `log` and `tls`, all of the account
/// that the server runs as.
pub(super) fn new_server_directory() -> Result<PathBuf> {
    let template = template()?;
    // Short: the path of a Unix socket is limited to 107 bytes.
    let prefix = "sluice-pg-";
    let directory = tempfile::Builder::new().prefix(prefix).tempdir().context("cannot make a directory")?.keep();
    for part in ["socket", "log", "tls"] {
        fs::create_dir(directory.join(part))?;
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
    give_to_server(&directory)?;
    run_as_server(Path::new("cp"), |command| {
        command.args(["-a", "--reflink=auto"]).arg(&template).arg(directory.join("data"));
    })?;
    Ok(directory)
}

/// Makes the server's account the owner of a directory and all in it.
pub(crate) fn give_to_server(path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut command = std::process::Command::new("chown");
    command.arg("-R").arg(format!("{0}:{0}", binaries::ACCOUNT)).arg(path);
    crate::command::run(command, b"")?.success()?;
    Ok(())
}

/// The template; made if it is not there. Two processes that make it at once both succeed, and one result stays.
fn template() -> Result<PathBuf> {
    let home = cache_directory()?;
    let template = home.join(format!("template-{}-{GENERATION}", binaries::version()?));
    if template.exists() {
        return Ok(template);
    }
    let draft = home.join(format!("draft-{}", random::word()?));
    run_as_server(&binaries::server()?.join("initdb"), |command| {
        command.arg("-D").arg(&draft);
        // No locale of the machine's: the same order of text everywhere.
        command.args(["-U", "postgres", "-E", "UTF8", "--no-locale", "--auth=trust", "--no-sync"]);
    })?;
    // The rename is atomic and fails when another process was faster: its template is as good.
    if fs::rename(&draft, &template).is_err() {
        ensure!(template.exists(), "cannot make {}", template.display());
        fs::remove_dir_all(&draft)?;
    }
    Ok(template)
}

/// A directory under the temporary one that belongs to the server's account and to no other.
fn cache_directory() -> Result<PathBuf> {
    let home = std::env::temp_dir().join(format!("sluice-testkit-{}", rustix::process::geteuid().as_raw()));
    // Private from the first moment on: others look at it at the same time.
    if fs::DirBuilder::new().mode(0o700).create(&home).is_ok() {
        give_to_server(&home)?;
    }
    let found = fs::symlink_metadata(&home).with_context(|| format!("cannot use {}", home.display()))?;
    let ours = owner_of_servers()?;
    // The name can be guessed, so that somebody else could have made it.
    let private = found.is_dir() && found.permissions().mode() & 0o077 == 0;
    ensure!(private && (found.uid() == ours || found.uid() == 0), "{} is not ours: remove it", home.display());
    Ok(home)
}

/// The user id that servers run as.
fn owner_of_servers() -> Result<u32> {
    let user = rustix::process::geteuid();
    if !user.is_root() {
        return Ok(user.as_raw());
    }
    let mut command = std::process::Command::new("id");
    command.args(["-u", binaries::ACCOUNT]);
    Ok(crate::command::run(command, b"")?.success()?.trim().parse()?)
}
