//! What the demo prints: colours on a terminal only, and where `NO_COLOR` is not set.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use anyhow::Result;

/// Where the story is told.
pub(super) struct Terminal {
    colours: bool,
}

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const TITLE: &str = "1;36";
const COMMAND: &str = "1;33";
const DIM: &str = "2";

impl Terminal {
    pub(super) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours: wanted && std::io::stdout().is_terminal() }
    }

    /// Runs something that takes a moment, and says how long it took.
    pub(super) fn progress<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.write(&format!("  {} … ", what));
        let begin = Instant::now();
        let done = work();
        let (mark, colour) = if done.is_ok() { ("ok", GREEN) } else { ("failed", RED) };
        self.line(&format!("{} ({:.1} s)", self.paint(colour, mark), begin.elapsed().as_secs_f64()));
        done
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&format!("\n{}\n", self.paint(TITLE, text)));
    }

    /// A part of the story, numbered, and what it shows.
    pub(super) fn heading(&self, number: usize, title: &str, explanation: &str) {
        let rule = "─".repeat(100);
        self.line(&format!("\n{}\n{}", self.paint(DIM, &rule), self.paint(TITLE, format!("{number}. {title}"))));
        self.line(&format!("{}\n", self.paint(DIM, explanation)));
    }

    /// A line as it is typed at a shell's prompt.
    pub(super) fn command(&self, line: &str) {
        self.line(&format!("\n{} {}", self.paint(GREEN, "$"), self.paint(COMMAND, line)));
    }

    /// A line as it is typed inside psql.
    pub(super) fn typed(&self, prompt: &str, line: &str) {
        self.line(&format!("{} {}", self.paint(GREEN, prompt), self.paint(COMMAND, line)));
    }

    pub(super) fn output(&self, text: &str) {
        let text = text.trim_end();
        if !text.is_empty() {
            self.line(text);
        }
    }

    pub(super) fn remark(&self, text: &str) {
        self.line(&format!("\n{}", self.paint(BOLD, text)));
    }

    /// An outcome that was checked.
    pub(super) fn checked(&self, what: &str) {
        self.line(&format!("  {} {what}", self.paint(GREEN, "✓")));
    }

    pub(super) fn failure(&self, what: &str) {
        self.line(&format!("\n  {} {what}\n", self.paint(RED, "✗")));
    }

    pub(super) fn plain(&self, text: &str) {
        self.line(text);
    }

    fn paint(&self, colour: &str, text: impl Display) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// A reader that went away is no failure of the story.
    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}
