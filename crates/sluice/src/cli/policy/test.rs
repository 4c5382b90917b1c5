//! `sluice policy test`: cases beside the policies, heard as a session would hear them.

use std::path::{Path, PathBuf};

use control::rehearsal::{self, CaseFile, Difference, Outcome};
use effects::postgres::saved;
use gateway::revision::Checked;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::paths::mistakes;
use super::super::{put, show};

/// Run the cases of a revision: who asks what, and what becomes of it
#[derive(clap::Args)]
#[command(
    after_help = "Cases are in tests/*.toml of the revision. They need no target: each file names a catalog that\n\
    `sluice target catalog` saved. Exit code 1 if a case fails.\n\nExamples:\n  sluice policy test\n  \
    sluice policy test revision\n  sluice policy test revision revision/tests/reader.toml --json"
)]
pub(in crate::cli) struct Args {
    /// The revision
    #[arg(default_value = "revision")]
    dir: PathBuf,
    /// Case files; all of the revision's tests/*.toml unless given
    files: Vec<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let checked = super::revision(&args.dir)?;
    let files = if args.files.is_empty() { case_files(&args.dir.join("tests"))? } else { args.files.clone() };
    let parsed = parse_all(&files)?;
    let mut outcomes = Vec::new();
    for (file, cases) in &parsed {
        outcomes.extend(run_file(&checked, file, cases)?);
    }
    report(&outcomes, args.json)
}

fn case_files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", dir.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::failed(format!("{}: there are no *.toml files with cases in it", dir.display())));
    }
    Ok(files)
}

/// Every mistake of every file at once.
fn parse_all(files: &[PathBuf]) -> Result<Vec<(PathBuf, CaseFile)>, Failure> {
    let (mut parsed, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        match std::fs::read_to_string(file) {
            Err(error) => errors.push(format!("{}: {error}", file.display())),
            Ok(text) => match rehearsal::parse_cases(&text, file) {
                Ok(cases) => parsed.push((file.clone(), cases)),
                Err(mistakes) => errors.extend(mistakes.iter().map(ToString::to_string)),
            },
        }
    }
    if errors.is_empty() {
        return Ok(parsed);
    }
    Err(Failure::Failed(format!("the cases have {}\n{}", mistakes(errors.len()), errors.join("\n"))))
}

fn run_file(checked: &Checked, file: &Path, cases: &CaseFile) -> Result<Vec<Outcome>, Failure> {
    let catalog = catalog(&cases.catalog)?;
    rehearsal::run(checked, file, cases, &catalog).map_err(Failure::failed)
}

/// Reads a saved catalog.
pub(super) fn catalog(path: &Path) -> Result<effects::postgres::Catalog, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    saved::read(&text).map_err(|error| failed(&error))
}

fn report(outcomes: &[Outcome], as_json: bool) -> Result<(), Failure> {
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    if as_json {
        let cases: Vec<Value> = outcomes.iter().map(in_json).collect();
        put(&show::json(&json!({ "cases": cases, "failed": failed })))?;
    } else {
        put(&outcomes.iter().map(text).collect::<String>())?;
    }
    let count = outcomes.len();
    let plural = if count == 1 { "case" } else { "cases" };
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {count} {plural} failed")));
    }
    if as_json { Ok(()) } else { put(&format!("{count} {plural}, all as expected\n")) }
}

fn text(outcome: &Outcome) -> String {
    let word = if outcome.differences.is_empty() { "ok  " } else { "FAIL" };
    let place = format!("{}:{}", outcome.file.display(), outcome.line);
    let mut out = format!("{word}  {}  {}\n", show::safe(&place), show::safe(&outcome.name));
    for Difference { what, expected, found } in &outcome.differences {
        if what == "why" {
            out.push_str(&format!("        why: {}\n", show::safe(found)));
        } else {
            let (what, expected, found) = (show::safe(what), show::safe(expected), show::safe(found));
            out.push_str(&format!("        {what}\n          - {expected}\n          + {found}\n"));
        }
    }
    out
}

fn in_json(outcome: &Outcome) -> Value {
    json!({
        "file": outcome.file.display().to_string(),
        "line": outcome.line,
        "name": outcome.name,
        "ok": outcome.differences.is_empty(),
        "differences": outcome.differences,
    })
}
