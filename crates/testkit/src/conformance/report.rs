//! What a run says: on the terminal, and in the documentation.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

use super::compare::{Outcome, Row};
use super::listed::Listed;
use crate::marked::Marked;
use crate::postgres::binaries;

/// Where what the last run found stands.
const TABLE: Marked = Marked { page: "docs/protocols/postgres.md", writer: "./dev conformance postgres" };

pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away does not stop the run.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Every script, and the sums.
pub(super) fn table(rows: &[Row]) {
    line(&format!("\n{:<28} {:<8} {:<8}", "file", "direct", "through Sluice"));
    for row in rows {
        let remark = if row.differs() { "differs" } else { "" };
        line(&format!("{:<28} {:<8} {:<8} {remark}", row.name, word(row.direct), word(row.sluice)));
    }
    line(&format!("\n{}", sums(rows)));
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Missing => "not run",
    }
}

fn sums(rows: &[Row]) -> String {
    let count = |is: &dyn Fn(&&Row) -> bool| rows.iter().filter(is).count();
    format!(
        "{} files: {} match directly, {} through Sluice, {} differ.",
        rows.len(),
        count(&|row| row.direct == Outcome::Ok),
        count(&|row| row.sluice == Outcome::Ok),
        count(&|row| row.differs()),
    )
}

/// Writes the marked section of the documentation anew.
pub(super) fn write_documentation(rows: &[Row], listed: &Listed, sluice: &Path) -> Result<()> {
    TABLE.write(&section(rows, listed, sluice)?)
}

fn section(rows: &[Row], listed: &Listed, sluice: &Path) -> Result<String> {
    let mut text = String::new();
    let server = version(&binaries::server()?.join("postgres"))?;
    writeln!(text, "\n{}, {}. {}\n", server, version(sluice)?, sums(rows))?;
    let remarkable: Vec<&Row> =
        rows.iter().filter(|row| row.differs() || row.direct != Outcome::Ok || row.sluice != Outcome::Ok).collect();
    if remarkable.is_empty() {
        return Ok(text);
    }
    writeln!(text, "| file | direct | through Sluice | |\n|---|---|---|---|")?;
    for row in remarkable {
        let remark = match listed.differs.get(&row.name) {
            Some(reason) => reason.as_str(),
            None if row.is_same => "the same output",
            None => "",
        };
        writeln!(text, "| `{}` | {} | {} | {remark} |", row.name, word(row.direct), word(row.sluice))?;
    }
    writeln!(text, "\nAll others are ok on both.\n")?;
    Ok(text)
}

fn version(program: &Path) -> Result<String> {
    let mut command = std::process::Command::new(program);
    command.arg("--version");
    Ok(crate::command::run(command, b"")?.success()?.lines().next().unwrap_or_default().to_owned())
}
