//! What the two routes printed, side by side.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::stage::Route;
use super::suite::Run;

/// How a script ended, next to the suite's expectation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// It printed what the suite expects.
    Ok,
    /// It printed something else.
    Failed,
    /// It was not run.
    Missing,
}

/// One script of the suite.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Run directly.
    pub direct: Outcome,
    /// Run through Sluice.
    pub sluice: Outcome,
    /// Whether both printed the same to the byte.
    pub is_same: bool,
}

impl Row {
    /// Whether Sluice makes a difference: the script passes without it and not with it, or fails in another way.
    pub fn differs(&self) -> bool {
        self.sluice != Outcome::Ok && !(self.is_same && self.direct == self.sluice)
    }
}

/// The rows of one round; what differs is written beside the results, one file for each script.
pub(super) fn round(runs: &[Run], results: &Path) -> Result<Vec<Row>> {
    let run = |route| runs.iter().find(|run| run.route == route).context("a route was not run");
    let (direct, sluice) = (run(Route::Direct)?, run(Route::Sluice)?);
    let outcomes = |run: &Run| -> BTreeMap<String, bool> { run.passed.iter().cloned().collect() };
    let (of_direct, of_sluice) = (outcomes(direct), outcomes(sluice));
    let outcome = |of: &BTreeMap<String, bool>, name: &str| match of.get(name) {
        Some(true) => Outcome::Ok,
        Some(false) => Outcome::Failed,
        None => Outcome::Missing,
    };
    let mut rows = Vec::new();
    for name in of_direct.keys().chain(of_sluice.keys().filter(|name| !of_direct.contains_key(*name))) {
        let file = format!("{name}.out");
        let text = |run: &Run| fs::read(run.directory.join(&file)).unwrap_or_default();
        let is_same = text(direct) == text(sluice);
        let (direct, sluice) = (outcome(&of_direct, name), outcome(&of_sluice, name));
        rows.push(Row { name: name.clone(), direct, sluice, is_same });
    }
    for row in rows.iter().filter(|row| row.differs()) {
        let file = format!("{}.out", row.name);
        let mut difference = Command::new("diff");
        difference.arg("-U4").args([direct.directory.join(&file), sluice.directory.join(&file)]);
        let difference = crate::command::run(difference, b"")?;
        fs::write(results.join(format!("{}.diff", row.name)), difference.stdout + &difference.stderr)?;
    }
    Ok(rows)
}

/// One row for each script: the worst of its rounds.
pub(super) fn worst(rounds: Vec<Vec<Row>>) -> Vec<Row> {
    let mut worst: BTreeMap<String, Row> = BTreeMap::new();
    for row in rounds.into_iter().flatten() {
        let kept = worst.get(&row.name).is_some_and(|kept| kept.differs() || !row.differs());
        if !kept {
            worst.insert(row.name.clone(), row);
        }
    }
    worst.into_values().collect()
}
