//! Running other programs to their end: `psql`, Python.
//!
//! These calls block. In a test whose own runtime serves the peer (a gateway in this process), call them through
//! [`tokio::task::spawn_blocking`].

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::postgres::binaries;
use crate::wait::eventually_blocking;

/// How long a program may take before it is killed.
const LIMIT: Duration = Duration::from_secs(120);

/// How a program ended and what it wrote.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// The standard output, or an error with the standard error if the program failed.
    pub fn success(self) -> Result<String> {
        ensure!(self.status.success(), "{}: {}{}", self.status, self.stderr, self.stdout);
        Ok(self.stdout)
    }
}

/// [`Output`], byte for byte.
#[derive(Debug)]
pub struct RawOutput {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Runs `psql` with these arguments and environment variables (such as `PGPASSWORD`), without any `.psqlrc`.
/// Variables beginning with `PG` are not inherited, so that the developer's own settings make no difference.
pub fn psql(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    psql_with_input(arguments, environment, b"")
}

/// [`psql`], with `input` as its standard input: a script, or the rows of a COPY.
pub fn psql_with_input(arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Result<Output> {
    client("psql", &[&["-X"], arguments].concat(), environment, input)
}

/// Runs one of the client programs that come with PostgreSQL, such as `pg_dump`; see [`psql`].
pub fn client(program: &str, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Result<Output> {
    let mut command = client_command(program)?;
    command.args(arguments).envs(environment.iter().copied());
    run(command, input)
}

/// One of the client programs that come with PostgreSQL, without the developer's own settings.
pub fn client_command(program: &str) -> Result<Command> {
    let mut command = Command::new(binaries::client(program)?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// A `PATH` on which PostgreSQL's client programs come first.
pub fn path_with_clients() -> Result<String> {
    let inherited = std::env::var("PATH").unwrap_or_default();
    let psql = binaries::client("psql")?;
    Ok(match psql.parent().filter(|directory| directory.is_absolute()) {
        Some(directory) => format!("{}:{inherited}", directory.display()),
        None => inherited,
    })
}

/// Runs `command` with `input` until it ends, at most two minutes.
pub fn run(command: Command, input: &[u8]) -> Result<Output> {
    let output = run_raw(command, input)?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// [`run`], with the bytes that the program wrote.
pub fn run_raw(mut command: Command, input: &[u8]) -> Result<RawOutput> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    thread::scope(|scope| {
        // A program may end without reading its input, so that a failed write is no error.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let stdout = scope.spawn(move || read_all(stdout));
        let stderr = scope.spawn(move || read_all(stderr));
        let status = match eventually_blocking(LIMIT, &name, || Ok(child.try_wait()?)) {
            Ok(status) => status,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
        };
        let joined = |handle: thread::ScopedJoinHandle<'_, Vec<u8>>| handle.join().ok().context("a reader panicked");
        Ok(RawOutput { status, stdout: joined(stdout)?, stderr: joined(stderr)? })
    })
}

fn read_all(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What was read before an error is still worth showing.
        let _ = stream.read_to_end(&mut bytes);
    }
    bytes
}

/// The root of the workspace that this crate was built in.
pub fn workspace_root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Where `./dev` keeps what it installs: `SLUICE_DEV_DIR`, or `.dev` in the workspace root.
pub fn development_directory() -> PathBuf {
    std::env::var_os("SLUICE_DEV_DIR").map_or_else(|| workspace_root().join(".dev"), PathBuf::from)
}

/// A program of `tests/go`, which `./dev` has built.
pub fn go_program(name: &str) -> Result<PathBuf> {
    let program = development_directory().join("go").join(name);
    ensure!(program.exists(), "{} is not there: run `./dev setup`", program.display());
    Ok(program)
}
