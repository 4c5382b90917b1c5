//! A program that is asked for a password: one JSON object on its standard input, one on its standard output
//! (docs/configuration.md). It is bounded in time and in what it writes, gets no environment but what it was promised, and is
//! not run if anybody else could have written it.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use model::secret::Secret;
use serde::Deserialize;
use serde_json::json;
use store::config::ExecPlugin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::Wanted;
use super::pair::Found;
use crate::clock;

/// The version of what is said in both directions.
const VERSION: u32 = 1;
/// The most that it may write to its standard output, in bytes: a password, and what stands around it.
const MAX_OUTPUT: u64 = 128 * 1024;
/// How much of its standard error goes into the log, in bytes.
const MAX_ERROR: u64 = 2 * 1024;
/// The longest that an answer is believed.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Why a program gives no password. What it wrote is not repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("others than its owner can change {0}: it is not run")]
    Writable(PathBuf),
    #[error("{0} cannot be used: {1}")]
    File(PathBuf, String),
    #[error("it cannot be started: {0}")]
    Start(std::io::Error),
    #[error("it did not answer in time, and was killed")]
    Deadline,
    #[error("it wrote more than {MAX_OUTPUT} bytes, and was killed")]
    TooMuch,
    #[error("it failed: {0}")]
    Failed(std::process::ExitStatus),
    #[error("its answer is not what the protocol says")]
    Answer,
    #[error("what it answered has ended already")]
    Ended,
}

/// The answer; fields that are not known are left alone, so that a later version may have more.
#[derive(Deserialize)]
struct Answer {
    version: u32,
    username: Option<String>,
    password: String,
    /// Seconds since 1970-01-01 UTC.
    expires_at: Option<u64>,
}

/// Asks a program.
pub(super) async fn run(plugin: &ExecPlugin, wanted: Wanted<'_>) -> Result<Found, ExecError> {
    let program = trusted(&plugin.program)?;
    let asked = json!({
        "version": VERSION,
        "target": wanted.target.target.name,
        "user": wanted.user,
        "reference": plugin.reference,
    });
    let mut child = start(&program, plugin)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    let spoken = tokio::time::timeout(plugin.timeout, speak(&mut child, &asked.to_string())).await;
    let spoken = spoken.unwrap_or(Err(ExecError::Deadline));
    // Whatever it started goes with it. Its number is still its own: nobody has waited for it.
    if let (Err(_), Some(group)) = (&spoken, group) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let Spoken { output, error, status } = spoken?;
    let answer = if status.success() { parsed(&output) } else { Err(ExecError::Failed(status)) };
    tell(&program, &error, &output, answer.as_ref().ok());
    found(answer?)
}

struct Spoken {
    output: Vec<u8>,
    error: Vec<u8>,
    status: std::process::ExitStatus,
}

fn start(program: &Path, plugin: &ExecPlugin) -> Result<Child, ExecError> {
    let mut command = Command::new(program);
    command.args(&plugin.arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
    command.envs(environment(plugin));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(ExecError::Start)
}

fn environment(plugin: &ExecPlugin) -> impl Iterator<Item = (&String, OsString)> {
    plugin.environment.iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

async fn speak(child: &mut Child, asked: &str) -> Result<Spoken, ExecError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let asking = async {
        if let Some(mut stdin) = stdin {
            // A program may answer without reading.
            let _ = stdin.write_all(asked.as_bytes()).await;
        }
    };
    let reading = async {
        let output = bounded(stdout, MAX_OUTPUT).await?;
        if output.len() > usize::try_from(MAX_OUTPUT).unwrap_or(usize::MAX) {
            Err(ExecError::TooMuch)
        } else {
            Ok(output)
        }
    };
    let erring = async {
        let mut stderr = stderr;
        let error = bounded(stderr.as_mut(), MAX_ERROR).await?;
        // The rest is read and forgotten, so that it need not wait for somebody to read it.
        if let Some(rest) = &mut stderr {
            let _ = tokio::io::copy(rest, &mut tokio::io::sink()).await;
        }
        Ok(error)
    };
    let ((), output, error) = tokio::try_join!(
        async {
            asking.await;
            Ok(())
        },
        reading,
        erring
    )?;
    let status = child.wait().await.map_err(ExecError::Start)?;
    Ok(Spoken { output, error, status })
}

/// What a stream has, and one byte more where that is too much.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, ExecError> {
    let Some(stream) = stream else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    stream.take(most.saturating_add(1)).read_to_end(&mut bytes).await.map_err(ExecError::Start)?;
    Ok(bytes)
}

fn parsed(output: &[u8]) -> Result<Answer, ExecError> {
    let answer: Answer = serde_json::from_slice(output).map_err(|_| ExecError::Answer)?;
    if answer.version == VERSION { Ok(answer) } else { Err(ExecError::Answer) }
}

fn found(answer: Answer) -> Result<Found, ExecError> {
    let until = match answer.expires_at {
        None => None,
        Some(at) => {
            let now = Duration::from_millis(clock::now().0);
            let left =
                Duration::from_secs(at).checked_sub(now).filter(|left| !left.is_zero()).ok_or(ExecError::Ended)?;
            Some(Instant::now() + left.min(LONGEST))
        }
    };
    let user = answer.username.filter(|user| !user.is_empty()).map(Into::into);
    Ok(Found { user, password: Secret::new(answer.password), until, lease: None })
}

/// Puts what it wrote to its standard error into the log, unless there is a piece of its answer in it.
fn tell(program: &Path, error: &[u8], output: &[u8], answer: Option<&Answer>) {
    let shown = error.get(..usize::try_from(MAX_ERROR).unwrap_or_default()).unwrap_or(error);
    let text: String = String::from_utf8_lossy(shown).escape_debug().collect();
    if text.is_empty() {
        return;
    }
    let program = program.display();
    let quotes = answer.is_some_and(|answer| contains(error, answer.password.as_bytes())) || shares(error, output);
    if quotes {
        tracing::warn!(%program, "what a program wrote to its standard error is withheld: there is a piece of its answer in it");
    } else {
        tracing::warn!(%program, text, "a program wrote to its standard error");
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && memchr::memmem::find(text, part).is_some()
}

/// The shortest piece of an answer that is taken for a secret, in bytes.
const PIECE: usize = 8;

/// Whether a piece of the output is in the text.
fn shares(text: &[u8], output: &[u8]) -> bool {
    text.windows(PIECE).any(|piece| memchr::memmem::find(output, piece).is_some())
}

/// The file that a path leads to, if nobody but its owner and root can change it, or put another one in its place.
fn trusted(path: &Path) -> Result<PathBuf, ExecError> {
    let file = |error: std::io::Error| ExecError::File(path.to_owned(), error.kind().to_string());
    let real = std::fs::canonicalize(path).map_err(file)?;
    let metadata = real.metadata().map_err(file)?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(ExecError::File(real, "it is no program".to_owned()));
    }
    for part in real.ancestors() {
        let metadata = part.metadata().map_err(file)?;
        let owner = metadata.uid();
        let is_owned = owner == 0 || owner == rustix::process::geteuid().as_raw();
        let mode = metadata.permissions().mode();
        // In a directory with the sticky bit, each can change what is its own alone.
        let is_kept = metadata.is_dir() && mode & 0o1000 != 0;
        if !is_owned || (mode & 0o022 != 0 && !is_kept) {
            return Err(ExecError::Writable(part.to_owned()));
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests;
