//! psql that stays: one session, asked one thing after another.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use testkit::command::client_command;

use super::World;

/// Longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A session that lasts until it is dropped, or ended.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Client {
    /// Connects, and asks something to see that it is in.
    pub fn connect(world: &World, token: &str) -> Self {
        let mut command = client_command("psql").unwrap();
        command.args(["-X", "-A", "-t", "-q", "-v", "VERBOSITY=sqlstate"]).envs(world.environment(token));
        // Errors come in the order of what they answer.
        let (read, write) = std::io::pipe().unwrap();
        command.stdin(Stdio::piped()).stdout(write.try_clone().unwrap()).stderr(write);
        let mut child = command.spawn().unwrap();
        // It holds the writing end, which would keep the reading one open.
        drop(command);
        let (sender, lines) = channel();
        let output = BufReader::new(read);
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut client = Self { input: child.stdin.take(), child, lines };
        assert_eq!(client.ask("SELECT 'in'"), "in");
        client
    }

    /// Asks, and returns all that is printed: rows, or `ERROR:  SQLSTATE`; what psql says at its end if that is it.
    pub fn ask(&mut self, sql: &str) -> String {
        self.send(sql);
        self.answer()
    }

    /// Asks, and does not wait.
    pub fn send(&mut self, sql: &str) {
        let input = self.input.as_mut().unwrap();
        let _ = writeln!(input, "{sql};\n\\echo --end");
        let _ = input.flush();
    }

    /// What is printed next, up to the end of one answer.
    pub fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line == "--end" => break,
                Ok(line) => answer.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("no answer, after {answer:?}"),
            }
        }
        answer.join("\n")
    }

    /// Says goodbye.
    pub fn end(mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
