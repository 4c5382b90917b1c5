//! `sluice policy test`: cases beside the policies, heard as a session would hear them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use effects::postgres::saved;
use gateway::revision::Checked;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::paths::mistakes;
use super::super::{put, show};
use super::cases::{self, Case, CaseFile};
use super::hearing::{self, Heard, Request, Room};
use super::words;

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

/// A case that was heard, with what differs from what was expected.
struct Outcome {
    file: PathBuf,
    line: usize,
    name: String,
    differences: Vec<Difference>,
}

/// Something that should be otherwise.
struct Difference {
    what: String,
    expected: String,
    found: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let checked = hearing::revision(&args.dir)?;
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
            Ok(text) => match cases::parse(&text, file) {
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
    let room = Room::new(checked, &cases.target, &catalog)?;
    let run = |case: &Case| {
        let request = Request { text: &case.statement, parameters: &case.parameters, search_path: &cases.search_path };
        let differences = differences(case, &room.hear(&case.who, request));
        Outcome { file: file.to_owned(), line: case.line, name: case.name.clone(), differences }
    };
    Ok(cases.cases.iter().map(run).collect())
}

/// Reads a saved catalog.
pub(super) fn catalog(path: &Path) -> Result<effects::postgres::Catalog, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    saved::read(&text).map_err(|error| failed(&error))
}

fn differences(case: &Case, heard: &Heard) -> Vec<Difference> {
    let expected = &case.expected;
    let mut found = Vec::new();
    let mut compare = |what: &str, expected: String, is: String| {
        if expected != is {
            found.push(Difference { what: what.to_owned(), expected, found: is });
        }
    };
    compare("decision", words::outcome(expected.decision).to_owned(), words::outcome(heard.outcome()).to_owned());
    let verdict = heard.deciding();
    let listed = |list: &BTreeSet<String>| list.iter().cloned().collect::<Vec<_>>().join(", ");
    if let Some(groups) = &expected.groups {
        compare("groups", listed(groups), words::groups(verdict).join(", "));
    }
    if let Some(policies) = &expected.policies {
        compare("policies", listed(policies), words::policies(verdict).join(", "));
    }
    if let Some(message) = &expected.message {
        compare("message", message.clone(), heard.message().unwrap_or_default());
    }
    if let Some(lacks) = &expected.lacks {
        compare("missing", lacks.clone(), verdict.lacks().map(ToString::to_string).unwrap_or_default());
    }
    let shown = masks(heard);
    for (column, mask) in &expected.masks {
        let is = shown.get(column).cloned().unwrap_or_else(|| String::from("(no such column in the answer)"));
        compare(&format!("mask of {column}"), mask.clone(), is);
    }
    let is_wrong = !found.is_empty();
    if is_wrong && let Some(message) = heard.message() {
        let missing = verdict.denial().map(|denial| format!(" (missing: {})", denial.missing)).unwrap_or_default();
        found.push(Difference {
            what: "why".to_owned(),
            expected: String::new(),
            found: format!("{message}{missing}"),
        });
    }
    found
}

/// By column; of columns with one name in several places, the words of all.
fn masks(heard: &Heard) -> BTreeMap<String, String> {
    let mut masks: BTreeMap<String, String> = BTreeMap::new();
    for (name, fate) in heard.answers.iter().flatten().flatten() {
        let word = words::fate(fate);
        match masks.get_mut(&**name) {
            Some(known) if *known == word => {}
            Some(known) => known.push_str(&format!(" and {word}")),
            None => drop(masks.insert(name.to_string(), word)),
        }
    }
    masks
}

fn report(outcomes: &[Outcome], as_json: bool) -> Result<(), Failure> {
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    if as_json {
        let cases: Vec<Value> = outcomes.iter().map(Outcome::json).collect();
        put(&show::json(&json!({ "cases": cases, "failed": failed })))?;
    } else {
        put(&outcomes.iter().map(Outcome::text).collect::<String>())?;
    }
    let count = outcomes.len();
    let plural = if count == 1 { "case" } else { "cases" };
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {count} {plural} failed")));
    }
    if as_json { Ok(()) } else { put(&format!("{count} {plural}, all as expected\n")) }
}

impl Outcome {
    fn text(&self) -> String {
        let word = if self.differences.is_empty() { "ok  " } else { "FAIL" };
        let place = format!("{}:{}", self.file.display(), self.line);
        let mut out = format!("{word}  {}  {}\n", show::safe(&place), show::safe(&self.name));
        for Difference { what, expected, found } in &self.differences {
            if what == "why" {
                out.push_str(&format!("        why: {}\n", show::safe(found)));
            } else {
                let (what, expected, found) = (show::safe(what), show::safe(expected), show::safe(found));
                out.push_str(&format!("        {what}\n          - {expected}\n          + {found}\n"));
            }
        }
        out
    }

    fn json(&self) -> Value {
        let difference = |difference: &Difference| {
            let Difference { what, expected, found } = difference;
            json!({ "what": what, "expected": expected, "found": found })
        };
        json!({
            "file": self.file.display().to_string(),
            "line": self.line,
            "name": self.name,
            "ok": self.differences.is_empty(),
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
        })
    }
}
