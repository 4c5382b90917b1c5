//! What the commands share that list something: how what was asked is sent, and how what was found is shown.

use serde_json::Value;

use super::failure::Failure;
use super::{put, show, time};

/// How a list is shown; unless one is given, as a table for people
#[derive(clap::Args, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Form {
    /// For programs
    #[arg(long)]
    pub(super) json: bool,
    /// For spreadsheets (RFC 4180): whole texts, and a ' before what would be taken for a formula
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl Form {
    /// Whether people read it.
    pub(super) const fn is_table(self) -> bool {
        !self.json && !self.csv
    }

    /// A text that may be long: as far as there is room for it, or whole.
    pub(super) fn cut(self, text: &str, most: usize) -> String {
        if self.is_table() { show::cut(text, most) } else { text.to_owned() }
    }
}

/// What narrows every list
#[derive(clap::Args)]
pub(super) struct Span {
    /// Then or later: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since)]
    since: Option<control::time::Moment>,
    /// Before then
    #[arg(long, value_parser = time::since)]
    until: Option<control::time::Moment>,
    /// By this subject: alias|id, or an id of any issuer's
    #[arg(long)]
    pub(super) subject: Option<String>,
    /// At this target
    #[arg(long)]
    target: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(control::MOST)))]
    pub(super) limit: u32,
}

impl Span {
    /// As a query has it.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        query([
            ("limit", Some(self.limit.to_string())),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("subject", self.subject.clone()),
            ("target", self.target.clone()),
        ])
    }
}

/// The parts of a query that were given.
pub(super) fn query<const N: usize>(parts: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Prints a list: as it came for programs, or as a table.
pub(super) fn print(
    found: &Value,
    form: Form,
    headings: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
) -> Result<(), Failure> {
    if form.json {
        return put(&show::json(found));
    }
    let rows: Vec<Vec<String>> = show::list(found, "").iter().map(row).collect();
    put(&if form.csv { show::csv(headings, &rows) } else { show::table(headings, &rows) })
}
