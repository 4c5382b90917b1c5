//! What the commands share that list something: how what was asked is sent, and how what was found is shown.

use serde_json::Value;

use super::failure::Failure;
use super::{put, show};

/// The parts of a query that were given.
pub(super) fn query<const N: usize>(parts: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Prints a list: as it came for programs, as a table for people.
pub(super) fn print(
    found: &Value,
    as_json: bool,
    headings: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
) -> Result<(), Failure> {
    if as_json {
        return put(&show::json(found));
    }
    let rows: Vec<Vec<String>> = show::list(found, "").iter().map(row).collect();
    put(&show::table(headings, &rows))
}
