//! Cases that were heard, and what differs from what they expect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use effects::postgres::{Catalog, saved};
use gateway::revision::{Checked, Mistake};
use serde::Serialize;
use store::config::ConfigError;
use store::revision::{ChangeableFile, Kind, Wanted};

use super::NotHeard;
use super::cases::{self, Case, CaseFile};
use super::hearing::{Heard, Request, Room};
use super::words;

/// The largest saved catalog that is read, in bytes.
const MOST_CATALOG: u64 = 64 << 20;

/// A case that was heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Its file.
    pub file: PathBuf,
    /// Where it begins.
    pub line: usize,
    /// What it shows.
    pub name: String,
    /// What is otherwise than it expects; empty when it came out as it says.
    pub differences: Vec<Difference>,
}

/// Something that should be otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// What the case says.
    pub expected: String,
    /// What came of it.
    pub found: String,
}

/// What came of the cases of a revision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Examined {
    /// Every case, in order.
    pub outcomes: Vec<Outcome>,
    /// Why cases could not be heard.
    pub mistakes: Vec<Mistake>,
}

impl Examined {
    /// How many did not come out as they say.
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count()
    }

    /// Whether all of them could be heard and came out as they say.
    ///
    /// # Errors
    /// How many did not.
    pub fn passes(&self) -> Result<(), String> {
        match (self.mistakes.as_slice(), self.failed()) {
            ([], 0) => Ok(()),
            ([], failed) => Err(format!("{failed} of {} cases of the revision fail", self.outcomes.len())),
            ([first, ..], _) => Err(format!("the cases of the revision cannot be run: {first}")),
        }
    }
}

/// Hears the cases of one file.
///
/// # Errors
/// Its target is not one of the revision's.
pub fn run(checked: &Checked, file: &Path, cases: &CaseFile, catalog: &Catalog) -> Result<Vec<Outcome>, NotHeard> {
    let room = Room::new(checked, &cases.target, catalog)?;
    let run = |case: &Case| {
        let request = Request { text: &case.statement, parameters: &case.parameters, search_path: &cases.search_path };
        let differences = differences(case, &room.hear(&case.who, request));
        Outcome { file: file.to_owned(), line: case.line, name: case.name.clone(), differences }
    };
    Ok(cases.cases.iter().map(run).collect())
}

/// Hears every case of the revision in `dir` as it would be with these files in it. A case of these files reaches no catalog
/// outside of the directory, unless the one in its place does already. Blocks.
pub fn examine(dir: &Path, checked: &Checked, wanted: &Wanted) -> Examined {
    let mut examined = Examined::default();
    let files = match store::revision::cases(dir) {
        Ok(files) => files,
        Err(error) => {
            examined.mistakes.push(Mistake::from(&error));
            return examined;
        }
    };
    let mut files: BTreeMap<ChangeableFile, String> = files.into_iter().collect();
    // What the operator's own files name may be anywhere.
    let named = |(name, text): (&ChangeableFile, &String)| {
        let parsed = cases::parse(text, &dir.join(name.as_str())).ok()?;
        std::fs::canonicalize(parsed.catalog).ok()
    };
    let known: BTreeSet<PathBuf> = files.iter().filter_map(named).collect();
    for (file, text) in wanted.iter().filter(|(file, _)| file.kind() == Kind::Cases) {
        match text {
            Some(text) => drop(files.insert(file.clone(), text.clone())),
            None => drop(files.remove(file)),
        }
    }
    let mut catalogs = BTreeMap::new();
    for (name, text) in &files {
        let file = dir.join(name.as_str());
        match heard((dir, &known), checked, &file, text, &mut catalogs) {
            Ok(outcomes) => examined.outcomes.extend(outcomes),
            Err(errors) => examined.mistakes.extend(errors.iter().map(Mistake::from)),
        }
    }
    examined
}

fn heard(
    (dir, known): (&Path, &BTreeSet<PathBuf>),
    checked: &Checked,
    file: &Path,
    text: &str,
    catalogs: &mut BTreeMap<PathBuf, Catalog>,
) -> Result<Vec<Outcome>, Vec<ConfigError>> {
    let cases = cases::parse(text, file)?;
    let wrong = |key: &str, problem: String, advice: &str| {
        let (key, advice) = (key.to_owned(), advice.to_owned());
        vec![ConfigError { file: file.to_owned(), line: None, key, problem, advice }]
    };
    let inside = inside(dir, known, &cases.catalog).map_err(|problem| {
        wrong("catalog", problem, "name a file that `sluice target catalog` saved in the revision")
    })?;
    if !catalogs.contains_key(&inside) {
        let read = read_catalog(&inside).map_err(|problem| wrong("catalog", problem, ""))?;
        catalogs.insert(inside.clone(), read);
    }
    let Some(catalog) = catalogs.get(&inside) else { return Ok(Vec::new()) };
    run(checked, file, &cases, catalog).map_err(|error| wrong("target", error.to_string(), ""))
}

/// The file behind a path, which has to be known, or in the revision's directory, wherever links lead.
fn inside(dir: &Path, known: &BTreeSet<PathBuf>, path: &Path) -> Result<PathBuf, String> {
    let missing = || String::from("there is no such file in the revision's directory");
    let real = std::fs::canonicalize(dir).map_err(|_| missing())?;
    // What is elsewhere is not told from what is nowhere.
    let found = std::fs::canonicalize(path).map_err(|_| missing())?;
    let is_inside = (found.starts_with(&real) || known.contains(&found)) && found.is_file();
    if is_inside { Ok(found) } else { Err(missing()) }
}

fn read_catalog(path: &Path) -> Result<Catalog, String> {
    let length = path.metadata().map_err(|error| error.to_string())?.len();
    if length > MOST_CATALOG {
        return Err(String::from("it is larger than 64 MiB"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    saved::read(&text).map_err(|error| error.to_string())
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
