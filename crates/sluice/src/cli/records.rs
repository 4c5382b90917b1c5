//! Who is asked about the past: a Sluice, or the indexes of data directories without any.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::{Classes, Question, QuestionError};
use serde_json::{Map, Value};
use store::Index;

use super::client::{self, Client};
use super::connect::Connect;
use super::failure::Failure;
use super::policy;
use super::show;

/// Which journals
#[derive(clap::Args)]
#[command(next_help_heading = "Which journals")]
pub(super) struct JournalsArgs {
    /// Ask the index in this data directory, and no Sluice: --config, --url and --token are not used then. With several,
    /// each line says of which journal it is
    #[arg(long = "data-dir", value_name = "DIR")]
    data_dirs: Vec<PathBuf>,
}

/// What a class is
#[derive(clap::Args)]
#[command(next_help_heading = "What a class is")]
pub(super) struct NowArgs {
    /// By what is of the class now, whatever was classified then. Of columns that were not, values are counted by rows:
    /// at most so many were given in clear
    #[arg(long, requires = "class")]
    pub(super) now: bool,
    /// What --now means, with --data-dir: the classification of this revision
    #[arg(long, value_name = "DIR", requires_all = ["now", "data_dirs"])]
    revision: Option<PathBuf>,
}

/// An index in a file, and which journal it is of.
pub(super) struct File {
    journal: String,
    index: Index,
}

/// Who answers.
pub(super) enum Records {
    Sluice(Client),
    Files { files: Vec<File>, classification: Classes },
}

impl JournalsArgs {
    /// Finds them.
    pub(super) fn open(&self, connect: &Connect, now: Option<&NowArgs>) -> Result<Records, Failure> {
        if self.data_dirs.is_empty() {
            return connect.client().map(Records::Sluice);
        }
        let mut seen = BTreeSet::new();
        for dir in &self.data_dirs {
            let whole = dir.canonicalize().map_err(|error| Failure::caused(dir.display(), &error))?;
            if !seen.insert(whole) {
                return Err(Failure::Usage(format!("{} is named twice; what it has would count twice", dir.display())));
            }
        }
        let files = self.data_dirs.iter().map(|dir| File::open(dir)).collect::<Result<_, _>>()?;
        let read = |dir: &PathBuf| policy::revision(dir).map(|checked| Arc::new(checked.classification().clone()));
        let revision = now.and_then(|now| now.revision.as_ref());
        Ok(Records::Files { files, classification: revision.map(read).transpose()? })
    }

    /// Whether what is found says of which journal it is.
    pub(super) fn are_several(&self) -> bool {
        self.data_dirs.len() > 1
    }
}

impl File {
    fn open(dir: &Path) -> Result<Self, Failure> {
        let journal = dir.display().to_string();
        let index = Index::open(dir).map_err(|error| Failure::caused(&journal, &error))?;
        // What is not in the index is not found: an answer must not pass for more than it is.
        match gateway::indexer::behind(dir, &index) {
            Ok(0) => {}
            Ok(missing) => super::tell(&format!(
                "warning: {}: {missing} entries of the journal are not in its index: start Sluice, or run sluice audit \
                 reindex",
                show::safe(&journal)
            )),
            Err(error) => super::tell(&format!(
                "warning: {}: whether the index has all of the journal is not known: {error}",
                show::safe(&journal)
            )),
        }
        Ok(Self { journal, index })
    }
}

const fn path(question: Question) -> &'static str {
    match question {
        Question::Search => "/v1/audit/search",
        Question::Disclosed => "/v1/audit/disclosed",
        Question::Report => "/v1/audit/report",
        Question::Events => "/v1/audit/events",
    }
}

impl Records {
    /// Asks all of them, and puts their answers together.
    pub(super) fn ask(&self, question: Question, query: &[(&'static str, String)]) -> Result<Value, Failure> {
        let (files, classification) = match self {
            Self::Sluice(client) => return client.get(path(question), query),
            Self::Files { files, classification } => (files, classification),
        };
        let encoded = client::query(query);
        let mut answers = Vec::new();
        for file in files {
            let answer = question.ask(&file.index, &encoded, classification);
            answers.push(answer.map_err(|error| match error {
                QuestionError::Query(why) => Failure::Usage(why),
                error => Failure::caused(&file.journal, &error),
            })?);
        }
        if let ([_], Some(only)) = (files.as_slice(), answers.first()) {
            return Ok(only.clone());
        }
        let each = files.iter().zip(answers).map(|(file, answer)| (file.journal.as_str(), answer));
        Ok(match question {
            Question::Disclosed => added_up(each),
            Question::Report => ranked(each.flat_map(lines).collect()),
            Question::Search | Question::Events => merged(each.flat_map(lines).collect(), query),
        })
    }
}

/// The lines of one journal's answer, each saying so.
fn lines((journal, answer): (&str, Value)) -> Vec<Value> {
    let Value::Array(mut lines) = answer else { return Vec::new() };
    for line in lines.iter_mut().filter_map(Value::as_object_mut) {
        line.insert(String::from("journal"), Value::from(journal));
    }
    lines
}

/// The newest of all, the newest first: as many as one journal would give.
fn merged(mut lines: Vec<Value>, query: &[(&'static str, String)]) -> Value {
    // Stable: what one journal says of one moment stays in its order.
    lines.sort_by_key(|line| std::cmp::Reverse(show::number(line, "/at")));
    let limit = query.iter().find(|(name, _)| *name == "limit").and_then(|(_, limit)| limit.parse().ok());
    lines.truncate(limit.unwrap_or(usize::MAX));
    Value::Array(lines)
}

/// Whoever was given most in clear first, as in the report of one journal.
fn ranked(mut lines: Vec<Value>) -> Value {
    lines.sort_by_key(|line| {
        std::cmp::Reverse(["/clear_at_most", "/clear", "/masked", "/unknown"].map(|name| show::number(line, name)))
    });
    Value::Array(lines)
}

/// The sums, and beside them what each journal says.
fn added_up<'a>(each: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let (mut sums, mut journals) = (Map::new(), Vec::new());
    for (journal, answer) in each {
        let Value::Object(mut counts) = answer else { continue };
        for (name, count) in &counts {
            let sum = sums.get(name).and_then(Value::as_u64).unwrap_or(0);
            sums.insert(name.clone(), Value::from(sum.saturating_add(count.as_u64().unwrap_or(0))));
        }
        counts.insert(String::from("journal"), Value::from(journal));
        journals.push(Value::Object(counts));
    }
    sums.insert(String::from("journals"), Value::Array(journals));
    Value::Object(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_of_several_journals_are_merged_by_time_and_say_whose_they_are() {
        let answers = || {
            [("a", json!([{"at": 9, "n": 1}, {"at": 4, "n": 2}])), ("b", json!([{"at": 7}, {"at": 4, "n": 3}]))]
                .into_iter()
        };
        let told = |limit: &str| {
            let merged = merged(answers().flat_map(lines).collect(), &[("limit", limit.to_owned())]);
            let line = |line: &Value| format!("{}{}", show::number(line, "/at"), show::text(line, "/journal"));
            show::list(&merged, "").iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(told("10"), ["9a", "7b", "4a", "4b"]);
        assert_eq!(told("2"), ["9a", "7b"]);
    }

    #[test]
    fn who_was_given_most_comes_first_whichever_journal_says_it() {
        let of = |clear: u64, masked: u64| json!({"clear": clear, "masked": masked});
        let each = [("a", json!([of(5, 0), of(0, 9)])), ("b", json!([of(7, 0), of(5, 1)]))].into_iter();
        let told = ranked(each.flat_map(lines).collect());
        let line = |line: &Value| (show::number(line, "/clear"), show::text(line, "/journal"));
        let expected = [(7, "b"), (5, "b"), (5, "a"), (0, "a")].map(|(clear, journal)| (clear, journal.to_owned()));
        assert_eq!(show::list(&told, "").iter().map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn sums_have_what_each_journal_says_beside_them() {
        let counts = [("a", json!({"clear": 1, "unknown": 0})), ("b", json!({"clear": 2, "unknown": 5}))];
        let expected = json!({"clear": 3, "unknown": 5, "journals": [
            {"journal": "a", "clear": 1, "unknown": 0}, {"journal": "b", "clear": 2, "unknown": 5}]});
        assert_eq!(added_up(counts.into_iter()), expected);
    }
}
