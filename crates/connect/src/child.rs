//! The one command that is run with the way to its target in its environment.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use model::secret::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Variables of libpq that would lead a program elsewhere, or have it ask for what a local door does not have; and what is
/// no business of a program that comes to its target without it.
const REMOVED: [&str; 10] = [
    "SLUICE_TOKEN",
    "SLUICE_CLIENT_SECRET",
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGPASSFILE",
    "PGSSLNEGOTIATION",
    "PGCHANNELBINDING",
    "PGREQUIREAUTH",
    "PGTARGETSESSIONATTRS",
];

/// Why the command does not run.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// There is no such program.
    #[error("{0}: not found")]
    NotFound(String),
    /// It cannot be run.
    #[error("{program}: {error}")]
    NotRunnable {
        /// Which.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// It ran, and nothing more can be said of it.
    #[error("the command cannot be waited for: {0}")]
    Lost(io::Error),
}

/// The variables by which programs that use libpq, or read what it reads, find a door.
pub fn environment(address: SocketAddr, database: &str, password: &Secret<String>) -> Vec<(&'static str, String)> {
    vec![
        ("PGHOST", address.ip().to_string()),
        ("PGPORT", address.port().to_string()),
        ("PGUSER", "sluice".to_owned()),
        ("PGDATABASE", database.to_owned()),
        ("PGPASSWORD", password.expose().clone()),
        ("PGSSLMODE", "disable".to_owned()),
        ("PGGSSENCMODE", "disable".to_owned()),
    ]
}

/// Runs the command to its end, passes signals on to it, and returns its exit status as a shell counts it
/// (128 + signal).
///
/// `is_terminal` says that a terminal sends its signals (Ctrl-C) to the command already.
///
/// # Errors
/// If it cannot be run.
pub async fn run(
    program: &OsString,
    arguments: &[OsString],
    environment: &[(&'static str, String)],
    is_terminal: bool,
) -> Result<u8, ChildError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::inherit()).kill_on_drop(true);
    REMOVED.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let name = || program.to_string_lossy().into_owned();
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ChildError::NotFound(name()),
        _ => ChildError::NotRunnable { program: name(), error },
    })?;
    wait(child, is_terminal).await.map(status_of).map_err(ChildError::Lost)
}

async fn wait(mut child: Child, is_terminal: bool) -> io::Result<ExitStatus> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut one = signal(SignalKind::user_defined1())?;
    let mut two = signal(SignalKind::user_defined2())?;
    loop {
        let received = tokio::select! {
            ended = child.wait() => return ended,
            _ = terminate.recv() => Some(Signal::TERM),
            _ = hang_up.recv() => Some(Signal::HUP),
            _ = quit.recv() => (!is_terminal).then_some(Signal::QUIT),
            _ = interrupt.recv() => (!is_terminal).then_some(Signal::INT),
            _ = one.recv() => Some(Signal::USR1),
            _ = two.recv() => Some(Signal::USR2),
        };
        // The child is not reaped yet, so that the id is its own.
        if let (Some(pid), Some(received)) = (pid, received) {
            let _ = kill_process(pid, received);
        }
    }
}

fn status_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> Result<u8, ChildError> {
        let address = "127.0.0.1:4711".parse().unwrap();
        let environment = environment(address, "payments", &Secret::new("word".into()));
        run(&"sh".into(), &["-c".into(), script.into()], &environment, false).await
    }

    #[tokio::test]
    async fn its_status_and_its_environment_are_its_own() {
        assert_eq!(sh("exit 7").await.unwrap(), 7);
        assert_eq!(sh("kill -TERM $$").await.unwrap(), 128 + 15);
        let finds = "test \"$PGUSER@$PGHOST:$PGPORT/$PGDATABASE $PGPASSWORD\" = 'sluice@127.0.0.1:4711/payments word'";
        assert_eq!(sh(finds).await.unwrap(), 0);
        let missing = run(&"/nowhere/psql".into(), &[], &[], false).await.unwrap_err();
        assert!(matches!(missing, ChildError::NotFound(_)), "{missing}");
        let directory = run(&"/".into(), &[], &[], false).await.unwrap_err();
        assert!(matches!(directory, ChildError::NotRunnable { .. }), "{directory}");
    }

    #[tokio::test]
    async fn signals_are_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let script = format!("trap 'exit 9' USR1; : >'{}'; while :; do sleep 0.01; done", ready.display());
        let running = tokio::spawn(async move { sh(&script).await });
        while !ready.exists() {
            tokio::task::yield_now().await;
        }
        kill_process(rustix::process::getpid(), Signal::USR1).unwrap();
        assert_eq!(running.await.unwrap().unwrap(), 9);
    }
}
