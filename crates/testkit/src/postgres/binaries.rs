//! Where PostgreSQL's programs are, and whom its server runs as.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

/// The account that Debian's package creates. PostgreSQL refuses to run as root.
pub(crate) const ACCOUNT: &str = "postgres";

/// The oldest server that Sluice is tested with.
const OLDEST: u32 = 13;

/// The oldest server that writes its log as JSON, which the statement log is read from.
pub(crate) const OLDEST_WITH_JSON_LOG: u32 = 15;

/// The directory of `postgres` and `initdb`: `SLUICE_PG_BIN`, or the newest version that Debian's packages installed,
/// or the one on the `PATH`.
pub(crate) fn server() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow!("{error}"))
}

/// A client program, such as `psql`: the one beside the server, or the one on the `PATH`.
pub(crate) fn client(program: &str) -> Result<PathBuf> {
    let beside = server()?.join(program);
    Ok(if beside.exists() { beside } else { PathBuf::from(program) })
}

/// A command that runs as this process's user, or as `postgres` when this process is root.
pub(crate) fn server_command(program: &Path) -> Result<Command> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={ACCOUNT}"), &format!("--regid={ACCOUNT}"), "--clear-groups", "--"]);
    command.arg(program).env("HOME", "/").current_dir("/");
    Ok(command)
}

fn find() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("SLUICE_PG_BIN") {
        return checked(PathBuf::from(directory));
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = installed.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let directories = versions.map(|version| (version, PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))));
    let newest = directories.filter(|(_, directory)| has_server(directory)).max();
    if let Some((_, directory)) = newest {
        return checked(directory);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).find(|directory| has_server(directory)) {
        Some(directory) => checked(directory),
        None => {
            bail!("no PostgreSQL server is installed: run `./dev setup`, or set SLUICE_PG_BIN to its bin directory")
        }
    }
}

fn has_server(directory: &Path) -> bool {
    directory.join("postgres").exists() && directory.join("initdb").exists()
}

fn checked(directory: PathBuf) -> Result<PathBuf> {
    let output = Command::new(directory.join("postgres")).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}/postgres", directory.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.split_whitespace().nth(2).and_then(major_of) {
        Some(major) if major >= OLDEST => Ok(directory),
        _ => bail!("PostgreSQL {OLDEST} or newer is needed, {} has {:?}", directory.display(), text.trim()),
    }
}

/// "15.18", "18beta1".
fn major_of(version: &str) -> Option<u32> {
    version.split(|symbol: char| !symbol.is_ascii_digit()).next()?.parse().ok()
}

/// The server's major version.
pub(crate) fn major() -> Result<u32> {
    let version = version()?;
    major_of(&version).with_context(|| format!("cannot read the version {version:?}"))
}

/// What names the server's build: the cached template is keyed by it.
pub(crate) fn version() -> Result<String> {
    let output = Command::new(server()?.join("postgres")).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(2).map(str::to_owned).with_context(|| format!("cannot read the version in {text:?}"))
}
