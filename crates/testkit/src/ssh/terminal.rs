//! A program at a terminal, which is typed at and read.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::wait::eventually_blocking;

/// How long a text, or the end, may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How a program at a terminal ended, and all that it showed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it showed; bytes that are not UTF-8 are replaced.
    pub shown: String,
}

/// A program whose controlling terminal is this. It is killed when the value is dropped.
pub struct Terminal {
    keyboard: File,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    seen: usize,
}

impl Terminal {
    /// Starts a command (its program, arguments, environment and working directory) at a new terminal of this size.
    pub fn start(command: &Command, columns: u16, rows: u16) -> Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        set_size(&controller, columns, rows)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = File::from(rustix::fs::open(ptsname(&controller, Vec::new())?, flags, Mode::empty())?);
        // `setsid` makes it the controlling one, and then is the command itself.
        let mut started = Command::new("setsid");
        started.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => started.env(name, value),
                None => started.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            started.current_dir(folder);
        }
        started.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?).stderr(terminal);
        let child = started.spawn().context("cannot start setsid")?;
        // It holds the terminal's ends, which have to be closed here for the reader to see the program's end.
        drop(started);
        let (shown, screen) = (Arc::default(), File::from(controller.try_clone()?));
        let reader = thread::spawn({
            let shown = Arc::clone(&shown);
            move || read_into(screen, &shown)
        });
        Ok(Self { keyboard: File::from(controller), child, shown, reader, seen: 0 })
    }

    /// Types.
    pub fn send(&mut self, keys: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_ref())?)
    }

    /// Waits until it shows this text after what was waited for before, and returns what it showed up to its end. What is
    /// typed is shown too: to wait for an answer, wait for what is not in the question.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        let (shown, seen) = (Arc::clone(&self.shown), self.seen);
        let found = eventually_blocking(LIMIT, text, || {
            let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let new = shown.get(seen..).unwrap_or_default();
            let at = new.windows(text.len()).position(|window| window == text.as_bytes());
            Ok(at.and_then(|at| new.get(..at + text.len())).map(<[u8]>::to_vec))
        });
        let found = found.with_context(|| format!("it shows {:?}", self.shown()))?;
        self.seen += found.len();
        Ok(String::from_utf8_lossy(&found).into_owned())
    }

    /// Changes its size.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        set_size(&self.keyboard, columns, rows)
    }

    /// All that it has shown.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) -> Result<Ended> {
        let waited = eventually_blocking(LIMIT, "the end of a program at a terminal", || Ok(self.child.try_wait()?));
        let status = waited.with_context(|| format!("it shows {:?}", self.shown()))?;
        eventually_blocking(LIMIT, "the end of what it shows", || Ok(self.reader.is_finished().then_some(())))?;
        Ok(Ended { status, shown: self.shown() })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing could be done about an error: it has ended then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(terminal: impl std::os::fd::AsFd, columns: u16, rows: u16) -> Result<()> {
    Ok(tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?)
}

/// Reads until the program, and what it started, has closed the terminal: then a read fails (EIO).
fn read_into(mut screen: File, shown: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    loop {
        match screen.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                let read = buffer.get(..length).unwrap_or_default();
                shown.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(read);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
