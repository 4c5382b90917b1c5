//! Child processes that cannot outlive the process that started them.
//!
//! A test process may be killed, and values in statics are never dropped, so `Drop` alone would leave servers behind.
//! Each child therefore has a small shell as its parent (its keeper), which waits for the end of its own standard input.
//! That comes when the [`Kept`] is dropped *or* when this process dies of whatever cause. The keeper then stops the
//! child, by its id, and removes its directory. The keeper reaps the child only then: until that moment the id belongs
//! to this child, even when it has ended, so that a signal can never reach a stranger.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::eventually_blocking;

/// `$1` is the signal that stops, `$2` the directory to remove at the end of file (a line instead keeps it), and the
/// rest is the command.
const KEEPER: &str = r#"
signal=$1; directory=$2; shift 2
"$@" </dev/null &
echo $!
read -r keep || keep=
kill -s "$signal" $! 2>/dev/null
wait $!; status=$?
if [ -z "$keep" ] && [ -n "$directory" ]; then rm -rf -- "$directory"; fi
echo "$status"
"#;

/// A running (or ended, not yet reaped) child.
pub(crate) struct Kept {
    keeper: Child,
    answers: BufReader<ChildStdout>,
    pid: Pid,
}

impl Kept {
    /// Starts `command` (its program, arguments, environment and working directory count, its streams do not: both
    /// outputs go to `log`). `signal` is the name of the signal that stops it, such as `QUIT`. `directory` is removed
    /// once the child has ended, unless [`Self::finish`] is told to keep it.
    pub(crate) fn spawn(command: &Command, signal: &str, directory: Option<&Path>, log: &Path) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg("keeper").arg(signal);
        keeper.arg(directory.unwrap_or(Path::new("")));
        // The child's own standard output is the log, the keeper's is the pipe to here.
        keeper.args(["sh", "-c", r#"exec "$@" >&2"#, "sh"]);
        keeper.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => keeper.env(name, value),
                None => keeper.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            keeper.current_dir(directory);
        }
        // A group of its own: an interrupt typed at a terminal reaches this process, whose end then stops the child.
        keeper.process_group(0);
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut keeper = keeper.spawn().context("cannot start sh")?;
        let mut answers = BufReader::new(keeper.stdout.take().context("the keeper has no output")?);
        let pid = read_number(&mut answers)?;
        let pid = Pid::from_raw(pid).context("the keeper gave no process id")?;
        Ok(Self { keeper, answers, pid })
    }

    /// The child's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it still runs (a zombie does not).
    pub(crate) fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The state follows the parenthesised name, which may itself hold anything.
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        !matches!(state, None | Some('Z' | 'X'))
    }

    /// Sends a signal; it makes no difference when the child has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Waits until it has ended.
    pub(crate) fn wait_for_end(&self, limit: Duration) -> Result<()> {
        eventually_blocking(limit, "the end of a process", || Ok((!self.is_running()).then_some(())))
    }

    /// Stops it if it runs, keeps its directory, and returns its exit status as a shell counts it (128 + signal).
    pub(crate) fn finish(mut self) -> Result<i32> {
        let mut input = self.keeper.stdin.take().context("the keeper has no input")?;
        input.write_all(b"keep\n")?;
        let status = read_number(&mut self.answers)?;
        self.keeper.wait()?;
        Ok(status)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing could be done about an error: the keeper does its work by itself.
        let _ = self.keeper.wait();
    }
}

fn read_number(answers: &mut BufReader<ChildStdout>) -> Result<i32> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    line.trim().parse().with_context(|| format!("the keeper answered {line:?}"))
}
