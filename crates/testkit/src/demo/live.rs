//! A program that runs while the story goes on: a psql that waits, or that is typed into.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use super::terminal::Terminal;
use crate::wait::eventually_blocking;

/// How long it may take to answer, or to end.
const LIMIT: Duration = Duration::from_secs(60);

/// The program, and what it has written so far. It is killed, with its children, when the value is dropped.
pub(super) struct Live {
    child: Child,
    input: Option<ChildStdin>,
    written: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    shown: usize,
    marks: usize,
}

impl Live {
    pub(super) fn start(mut command: Command) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().context("cannot start a shell")?;
        let mut output = child.stdout.take().context("it has no output")?;
        let written = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&written);
        let reader = std::thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut block) {
                let text = String::from_utf8_lossy(block.get(..length).unwrap_or_default()).into_owned();
                into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        let input = child.stdin.take();
        Ok(Self { child, input, written, reader: Some(reader), shown: 0, marks: 0 })
    }

    /// All that it has written.
    pub(super) fn text(&self) -> String {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has written this.
    pub(super) fn wait_for(&self, text: &str) -> Result<()> {
        eventually_blocking(LIMIT, &format!("{text:?}"), || Ok(self.text().contains(text).then_some(())))
            .with_context(|| format!("it wrote {:?}", self.text()))
    }

    /// What it has written since the last look.
    pub(super) fn news(&mut self) -> String {
        let text = self.text();
        let news = text.get(self.shown..).unwrap_or_default().to_owned();
        self.shown = text.len();
        news
    }

    /// Types a line into psql, waits until it was carried out (or psql has ended), shows both, and returns the output.
    pub(super) fn type_into_psql(&mut self, terminal: &Terminal, prompt: &str, line: &str) -> Result<String> {
        terminal.typed(prompt, line);
        self.marks += 1;
        let mark = format!("mark {}\n", self.marks);
        let input = self.input.as_mut().context("its input was closed")?;
        // A psql that has ended shows in what it wrote.
        let _ = input.write_all(format!("{line}\n\\echo {mark}").as_bytes());
        let (child, written) = (&mut self.child, &self.written);
        eventually_blocking(LIMIT, "psql to answer", || {
            let answered = written.lock().unwrap_or_else(PoisonError::into_inner).contains(&mark);
            Ok((answered || child.try_wait()?.is_some()).then_some(()))
        })?;
        if self.child.try_wait()?.is_some() {
            self.finish_reading();
        }
        let output = self.news().replace(&mark, "");
        terminal.output(&output);
        Ok(output)
    }

    /// Ctrl-C.
    pub(super) fn interrupt(&self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process_group(pid, Signal::INT)?)
    }

    /// Waits until it has ended, and returns what it wrote since the last look.
    pub(super) fn finish(&mut self) -> Result<String> {
        drop(self.input.take());
        let child = &mut self.child;
        eventually_blocking(LIMIT, "its end", || Ok(child.try_wait()?.map(drop)))
            .with_context(|| format!("it wrote {:?}", self.text()))?;
        self.finish_reading();
        Ok(self.news())
    }

    fn finish_reading(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // Not reaped yet, so that the group is still its own.
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), pid) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
