//! The differences that are known, each with its reason.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::compare::Row;

const FILE: &str = include_str!("../../conformance/postgres.toml");

/// The scripts that are known to differ.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Why each differs, by its name.
    pub differs: BTreeMap<String, String>,
}

/// Reads `crates/testkit/conformance/postgres.toml`.
///
/// # Errors
/// It cannot be read, or a reason is missing.
pub fn listed() -> Result<Listed> {
    let listed: Listed = toml::from_str(FILE).context("conformance/postgres.toml")?;
    for (name, reason) in &listed.differs {
        ensure!(reason.split_whitespace().count() >= 5, "{name} needs a reason that a reader understands");
    }
    Ok(listed)
}

/// What is wrong with a run, a line for each; `whole` if all scripts ran.
pub(super) fn complaints(rows: &[Row], listed: &Listed, whole: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for row in rows {
        match (row.differs(), listed.differs.contains_key(&row.name)) {
            (true, false) => complaints.push(format!("{} differs through Sluice and is not listed", row.name)),
            (false, true) => complaints.push(format!("{} is listed and does not differ", row.name)),
            _ => {}
        }
    }
    let gone = listed.differs.keys().filter(|name| !rows.iter().any(|row| row.name == **name));
    complaints.extend(gone.filter(|_| whole).map(|name| format!("{name} is listed and was not run")));
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::compare::Outcome;
    use super::*;

    fn row(name: &str, direct: Outcome, sluice: Outcome, is_same: bool) -> Row {
        Row { name: name.to_owned(), direct, sluice, is_same }
    }

    #[test]
    fn a_difference_must_be_listed_and_a_listed_one_must_differ() {
        use Outcome::{Failed, Missing, Ok};
        let rows = [
            row("same", Ok, Ok, true),
            row("fails_alike", Failed, Failed, true),
            row("fails_otherwise", Failed, Failed, false),
            row("known", Ok, Failed, false),
            row("unknown", Ok, Failed, false),
            row("mended", Ok, Ok, true),
            row("not_run", Ok, Missing, false),
        ];
        let reason = "a reason that is long enough".to_owned();
        let differs = ["known", "mended", "gone"].map(|name| (name.to_owned(), reason.clone()));
        let listed = Listed { differs: differs.into_iter().collect() };
        let complaints = complaints(&rows, &listed, true);
        let expected = [
            "fails_otherwise differs through Sluice and is not listed",
            "unknown differs through Sluice and is not listed",
            "mended is listed and does not differ",
            "not_run differs through Sluice and is not listed",
            "gone is listed and was not run",
        ];
        assert_eq!(complaints, expected);
    }

    #[test]
    fn every_listed_difference_has_its_reason() {
        listed().unwrap();
    }
}
