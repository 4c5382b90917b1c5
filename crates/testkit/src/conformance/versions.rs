//! `./dev conformance versions`: the tests that need a server, on servers of other versions than the machine's.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::report::line;
use crate::command::workspace_root;
use crate::marked::Marked;

const TABLE: Marked = Marked { page: "docs/protocols/postgres.md", writer: "./dev conformance versions" };

/// Tests that say something about the server that they run on.
struct Suite {
    /// What they are about.
    name: &'static str,
    /// Each package with its test programs, and what the tests' names must have in them.
    programs: &'static [(&'static str, &'static [&'static str], &'static str)],
    /// The oldest version that they can run on, and why.
    since: u32,
}

const SUITES: [Suite; 5] = [
    Suite { name: "catalogs, functions", programs: &[("effects", &["catalogs", "functions"], "")], since: 13 },
    // Many of the statements are of syntax that version 13 does not have.
    Suite { name: "oracle, 500 statements", programs: &[("effects", &["oracles"], "")], since: 14 },
    Suite { name: "everyday use, logins", programs: &[("gateway", &["everyday", "target_logins"], "")], since: 13 },
    Suite {
        name: "attacks",
        programs: &[("gateway", &["attacks"], ""), ("sluice", &["e2e_attacks"], "masking")],
        since: 13,
    },
    Suite { name: "drivers", programs: &[("sluice", &["e2e_drivers"], "gets_what_the_server_gives")], since: 13 },
];

/// How one of them ended.
struct Row {
    version: String,
    cells: Vec<Option<(u32, u32)>>,
}

/// Runs all of it on each server, given by its bin directory; prints the table, and writes it if `is_whole`.
///
/// # Errors
/// A server cannot be run, or a test failed on one.
pub fn run(servers: &[PathBuf], is_whole: bool) -> Result<()> {
    let rows = servers.iter().map(|server| row(server)).collect::<Result<Vec<Row>>>()?;
    let table = table(&rows)?;
    line(&table);
    if is_whole {
        TABLE.write(&format!("\n{table}\n"))?;
    }
    let failed = rows.iter().flat_map(|row| row.cells.iter().flatten()).any(|(_, failed)| *failed > 0);
    ensure!(!failed, "there are failures; `SLUICE_PG_BIN=… cargo test` shows one");
    Ok(())
}

fn row(server: &Path) -> Result<Row> {
    let mut asked = Command::new(server.join("postgres"));
    asked.arg("--version");
    let version = crate::command::run(asked, b"")?.success()?;
    let version = version.split_whitespace().nth(2).context("the server says no version")?.to_owned();
    let major: u32 = version.split('.').next().unwrap_or_default().parse()?;
    let mut cells = Vec::new();
    for suite in SUITES {
        let cell = if major < suite.since { None } else { Some(counted(&suite, server)?) };
        line(&format!("{version}: {}: {}", suite.name, shown(cell)));
        cells.push(cell);
    }
    Ok(Row { version, cells })
}

/// How many passed and failed.
fn counted(suite: &Suite, server: &Path) -> Result<(u32, u32)> {
    let (mut passed, mut failed) = (0, 0);
    for (package, programs, filter) in suite.programs {
        let mut command = Command::new("cargo");
        command.args(["test", "--no-fail-fast", "-p", package]).current_dir(workspace_root());
        command.args(programs.iter().flat_map(|program| ["--test", program]));
        // psql may be older than the server, and then not know its catalogs.
        command.args(["--", filter, "--skip", "psql"]);
        command.env("SLUICE_PG_BIN", server).env("SLUICE_STATEMENTS", "500");
        let output = command.output().context("cargo cannot be started")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let results: Vec<&str> = text.lines().filter(|line| line.starts_with("test result:")).collect();
        ensure!(results.len() == programs.len(), "{}", String::from_utf8_lossy(&output.stderr));
        let number = |line: &str, what: &str| -> u32 {
            let words: Vec<&str> = line.split([' ', ';']).collect();
            words
                .windows(2)
                .find(|pair| pair.get(1) == Some(&what))
                .and_then(|pair| pair.first()?.parse().ok())
                .unwrap_or(0)
        };
        for line in results {
            passed += number(line, "passed");
            failed += number(line, "failed");
        }
        text.lines().filter(|line| line.ends_with("FAILED")).for_each(line_of_failure);
        if !output.status.success() {
            keep(server, &text)?;
        }
    }
    ensure!(passed + failed > 0, "nothing of {} was run", suite.name);
    Ok((passed, failed))
}

/// Adds what was printed to a log, where it can be read.
fn keep(server: &Path, text: &str) -> Result<()> {
    let logs = crate::command::development_directory().join("log");
    std::fs::create_dir_all(&logs)?;
    let path = logs.join("versions.log");
    let mut log = std::fs::File::options().append(true).create(true).open(&path)?;
    writeln!(log, "\n{}\n{text}", server.display())?;
    line(&format!("  see {}", path.display()));
    Ok(())
}

fn line_of_failure(text: &str) {
    line(&format!("  {text}"));
}

fn shown(cell: Option<(u32, u32)>) -> String {
    match cell {
        None => "–".into(),
        Some((passed, 0)) => format!("{passed} passed"),
        Some((passed, failed)) => format!("{passed} passed, {failed} FAILED"),
    }
}

fn table(rows: &[Row]) -> Result<String> {
    let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    let mut text = format!("| PostgreSQL | {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len() + 1));
    for row in rows {
        let cells: Vec<String> = row.cells.iter().map(|cell| shown(*cell)).collect();
        writeln!(text, "| {} | {} |", row.version, cells.join(" | "))?;
    }
    Ok(text)
}
