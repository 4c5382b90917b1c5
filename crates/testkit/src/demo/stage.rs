//! Running the story's lines: shown as they are typed, run by a shell, their output shown and looked at.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::live::Live;
use super::site::Site;
use super::terminal::Terminal;
use crate::api::Api;
use crate::command::{run, workspace_root};
use crate::postgres::Postgres;
use crate::sshd::Sshd;
use crate::wait::eventually_blocking;

/// How long something may take that the story waits for; far more than it does.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the story is played.
pub(super) struct Stage<'a> {
    pub(super) terminal: &'a Terminal,
    pub(super) postgres: &'a Postgres,
    behind: Behind<'a>,
    pub(super) site: &'a mut Site,
    part: usize,
}

/// What is behind Sluice beside the database.
#[derive(Clone, Copy)]
pub(super) struct Behind<'a> {
    pub(super) host: &'a Sshd,
    pub(super) api: &'a Api,
    pub(super) cluster: &'a Api,
}

/// What a line wrote, standard error included, and how it ended.
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) succeeded: bool,
}

impl<'a> Stage<'a> {
    pub(super) const fn new(
        terminal: &'a Terminal,
        postgres: &'a Postgres,
        behind: Behind<'a>,
        site: &'a mut Site,
    ) -> Self {
        Self { terminal, postgres, behind, site, part: 0 }
    }

    /// The host, behind Sluice's back.
    pub(super) const fn host(&self) -> &Sshd {
        self.behind.host
    }

    /// The API, behind Sluice's back.
    pub(super) const fn api(&self) -> &Api {
        self.behind.api
    }

    /// The cluster, behind Sluice's back.
    pub(super) const fn cluster(&self) -> &Api {
        self.behind.cluster
    }

    /// Waits for something.
    pub(super) fn eventually<T>(&self, what: &str, attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        eventually_blocking(LIMIT, what, attempt)
    }

    /// Begins a part of the story.
    pub(super) fn part(&mut self, title: &str, explanation: &str) -> Result<()> {
        self.part += 1;
        self.terminal.heading(self.part, title, explanation);
        // Tokens live for five minutes: a slow machine shall not be taken for a failure.
        self.site.renew_tokens()
    }

    /// Shows a shell line, runs it, and shows what it wrote.
    pub(super) fn shell(&self, line: &str) -> Result<Shown> {
        self.terminal.command(line);
        let shown = self.quietly(line)?;
        self.terminal.output(&shown.text);
        Ok(shown)
    }

    /// Runs a shell line without showing anything.
    pub(super) fn quietly(&self, line: &str) -> Result<Shown> {
        let output = run(self.command(line)?, b"")?;
        ensure!(output.stderr.is_empty(), "the shell: {}", output.stderr);
        Ok(Shown { text: output.stdout, succeeded: output.status.success() })
    }

    /// A psql command of one of the clients.
    pub(super) fn sql(&self, client: &str, sql: &str) -> Result<Shown> {
        self.shell(&psql(client, sql))
    }

    /// Starts a shell line that goes on while the story does.
    pub(super) fn begin(&self, line: &str) -> Result<Live> {
        self.terminal.command(line);
        Live::start(self.command(line)?)
    }

    /// A file of the demo, written for the reader to see as well.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.site.home().join("clients").join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Says what was checked, if it holds.
    pub(super) fn check(&self, what: &str, holds: bool) -> Result<()> {
        ensure!(holds, "not so: {what}");
        self.terminal.checked(what);
        Ok(())
    }

    /// Asks the database itself, behind Sluice's back.
    pub(super) fn directly(&self, sql: &str) -> Result<String> {
        self.postgres.sql(self.site.database(), sql)
    }

    fn command(&self, line: &str) -> Result<Command> {
        // Line by line, so that what comes over the two streams stays in the order in which a terminal shows it.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "bash", "-c", &format!("exec 2>&1; {line}")]).current_dir(workspace_root());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.envs(super::environment(self.site).context("no environment for clients")?);
        Ok(command)
    }
}

impl Shown {
    /// Whether all of these are in the output.
    pub(super) fn has(&self, texts: &[&str]) -> bool {
        texts.iter().all(|text| self.text.contains(text))
    }

    /// The first word after `before`: an id in a message.
    pub(super) fn word_after(&self, before: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(before)?;
        rest.split_whitespace().next().map(|word| word.trim_end_matches(['.', ',']))
    }
}

/// The psql line that runs `sql` as one of the clients.
pub(super) fn psql(client: &str, sql: &str) -> String {
    format!("psql service={client} -c {}", quoted(sql))
}

/// An argument as a person would quote it for a shell.
pub(super) fn quoted(text: &str) -> String {
    let harmless_in_double_quotes = !text.contains(['"', '$', '`', '\\', '!']);
    if harmless_in_double_quotes { format!("\"{text}\"") } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_pasted() {
        assert_eq!(psql("a", "SELECT 'x'"), r#"psql service=a -c "SELECT 'x'""#);
        assert_eq!(quoted("DO $$ 'x' $$"), r"'DO $$ '\''x'\'' $$'");
    }

    #[test]
    fn ids_are_found_in_messages() {
        let shown = Shown { text: "NOTICE:  waiting for approval 42abc by dba\n".into(), succeeded: true };
        assert_eq!(shown.word_after("waiting for approval "), Some("42abc"));
        assert_eq!(shown.word_after("nothing "), None);
    }
}
