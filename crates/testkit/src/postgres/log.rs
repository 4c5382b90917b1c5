//! The oracle O1: what the server executed, in its own words and order.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{OWN_APPLICATION, Postgres, binaries};
use crate::random;
use crate::wait::eventually_blocking;

/// How long the server's log collector may lag behind.
const COLLECTOR_LIMIT: Duration = Duration::from_secs(20);

/// One execution that the server logged before it began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedStatement {
    /// The role that was logged in.
    pub user: String,
    /// The database.
    pub database: String,
    /// The `application_name` at that moment.
    pub application: String,
    /// The backend's process id: one connection's statements have the same.
    pub pid: u32,
    /// The text executed, as the client sent it, of any number of lines.
    pub text: String,
    /// How it came to be executed.
    pub kind: StatementKind,
    /// The parameters, or for an `EXECUTE` what was prepared, as the server words it.
    pub detail: Option<String>,
}

/// How a statement came to be executed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StatementKind {
    /// A Query message (of possibly several statements).
    Simple,
    /// An Execute message: `<unnamed>` or the prepared statement's name, with `/portal` if that has a name.
    Execute(String),
    /// A later Execute message of the same portal.
    Fetch(String),
    /// A FunctionCall message; the text is the function's description.
    FunctionCall,
}

/// One error that the server logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedError {
    /// The role that was logged in; empty before authentication.
    pub user: String,
    /// The database; empty before authentication.
    pub database: String,
    /// The backend's process id.
    pub pid: u32,
    /// `ERROR` or `FATAL`.
    pub severity: String,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// The message.
    pub message: String,
    /// The statement that failed, where one was running.
    pub statement: Option<String>,
}

/// One line of `server.json` (PostgreSQL's write_jsonlog, src/backend/utils/error/jsonlog.c).
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    user: String,
    #[serde(default)]
    dbname: String,
    #[serde(default)]
    application_name: String,
    pid: u32,
    error_severity: String,
    #[serde(default)]
    state_code: String,
    #[serde(default)]
    message: String,
    detail: Option<String>,
    statement: Option<String>,
}

impl Postgres {
    /// Everything executed since the server started, except by this kit's own administration. Complete: it waits for
    /// the server's log to be written.
    pub fn statement_log(&self) -> Result<Vec<LoggedStatement>> {
        self.statement_log_since(0)
    }

    /// What was executed since the log was as long as [`Postgres::log_length`] said.
    pub fn statement_log_since(&self, length: u64) -> Result<Vec<LoggedStatement>> {
        Ok(self.records(length)?.into_iter().filter_map(logged_statement).collect())
    }

    /// How long the log is in bytes, up to the end of a line. `None` for a server before version 15, which keeps none that
    /// can be read.
    pub fn log_length(&self) -> Result<Option<u64>> {
        if binaries::major()? < binaries::OLDEST_WITH_JSON_LOG {
            return Ok(None);
        }
        let content = fs::read(self.directory.join("log/server.json"))?;
        let end = memchr::memrchr(b'\n', &content).map_or(0, |at| at.saturating_add(1));
        Ok(Some(u64::try_from(end)?))
    }

    /// Every error of a session since the server started, likewise.
    pub fn error_log(&self) -> Result<Vec<LoggedError>> {
        let errors = self.records(0)?.into_iter().filter(|record| matches!(&*record.error_severity, "ERROR" | "FATAL"));
        let error = |record: Record| LoggedError {
            user: record.user,
            database: record.dbname,
            pid: record.pid,
            severity: record.error_severity,
            sqlstate: record.state_code,
            message: record.message,
            statement: record.statement,
        };
        Ok(errors.map(error).collect())
    }

    /// The server's raw log, in both its forms: for canaries, and for a person.
    pub fn raw_log(&self) -> Result<Vec<u8>> {
        self.records(0)?;
        let read = |name: &str| fs::read(self.directory.join("log").join(name));
        Ok([read("server.log")?, read("server.json")?].concat())
    }

    fn records(&self, from: u64) -> Result<Vec<Record>> {
        let path = self.directory.join("log/server.json");
        // All backends write to one pipe: once the collector has written this mark, it has all that came before.
        let mark = format!("testkit mark {}", random::word()?);
        self.sql("postgres", &format!("SELECT '{mark}'"))?;
        let content = eventually_blocking(COLLECTOR_LIMIT, "the server's log", || {
            let mut content = Vec::new();
            let mut file = fs::File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut content)?;
            Ok((memchr::memmem::find(&content, mark.as_bytes()).is_some() && content.ends_with(b"\n"))
                .then_some(content))
        })?;
        let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(|line| {
            let line = String::from_utf8_lossy(line);
            serde_json::from_str(&line).with_context(|| format!("not a line of the server's log: {line}"))
        });
        let records: Vec<Record> = records.collect::<Result<_>>()?;
        Ok(records.into_iter().filter(|record| record.application_name != OWN_APPLICATION).collect())
    }
}

fn logged_statement(record: Record) -> Option<LoggedStatement> {
    if record.error_severity != "LOG" {
        return None;
    }
    let (kind, text) = kind_and_text(&record.message)?;
    Some(LoggedStatement {
        kind,
        text: text.to_owned(),
        user: record.user,
        database: record.dbname,
        application: record.application_name,
        pid: record.pid,
        detail: record.detail,
    })
}

/// Takes a message of `log_statement` apart (PostgreSQL's src/backend/tcop/postgres.c, exec_simple_query and
/// exec_execute_message; fastpath.c, HandleFunctionRequest).
fn kind_and_text(message: &str) -> Option<(StatementKind, &str)> {
    if let Some(text) = message.strip_prefix("statement: ") {
        return Some((StatementKind::Simple, text));
    }
    if let Some(text) = message.strip_prefix("fastpath function call: ") {
        return Some((StatementKind::FunctionCall, text));
    }
    if let Some(rest) = message.strip_prefix("execute fetch from ") {
        return rest.split_once(": ").map(|(name, text)| (StatementKind::Fetch(name.to_owned()), text));
    }
    let (name, text) = message.strip_prefix("execute ")?.split_once(": ")?;
    Some((StatementKind::Execute(name.to_owned()), text))
}
