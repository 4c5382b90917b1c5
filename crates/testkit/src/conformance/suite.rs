//! The suite itself: its files laid out for one run, and `pg_regress` running them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::Plan;
use super::stage::{Route, Stage, module_directory, regress_program};
use crate::keeper::Kept;
use crate::postgres::{binaries, give_to_server};

/// How long one run may take: many times what it does.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// Modules of the server that scripts load from where `regress.so` is.
const MODULES: [&str; 2] = ["autoinc.so", "refint.so"];

/// What every script needs to have run before it.
const FIRST: &str = "test_setup";

/// The suite, ready to be run.
pub(super) struct Suite<'a> {
    plan: &'a Plan,
    schedule: String,
}

/// One run of it.
pub(super) struct Run {
    pub(super) route: Route,
    /// The scripts in the order in which they ended, and whether each printed what the suite expects.
    pub(super) passed: Vec<(String, bool)>,
    /// Where `results/NAME.out` are.
    pub(super) directory: PathBuf,
    pub(super) took: Duration,
}

impl<'a> Suite<'a> {
    pub(super) fn new(plan: &'a Plan) -> Result<Self> {
        let schedule = plan.source.join("parallel_schedule");
        let schedule = fs::read_to_string(&schedule).with_context(|| format!("no {}", schedule.display()))?;
        let schedule = if plan.only.is_empty() { schedule } else { only(&plan.only) };
        fs::create_dir_all(&plan.results)?;
        Ok(Self { plan, schedule })
    }

    /// Runs it once, on a server of its own.
    pub(super) fn run(&self, route: Route, sluice: &Path, round: usize) -> Result<Run> {
        let stage = Stage::start(route, sluice)?;
        let place = self.lay_out()?;
        let directory = self.plan.results.join(format!("{}-{}", route.name(), round + 1));
        fs::create_dir_all(&directory)?;
        let begin = Instant::now();
        let output = self.regress(&stage, place.path(), &directory)?;
        let took = begin.elapsed();
        copy_outputs(place.path(), &directory)?;
        stage.logs()?.iter().try_for_each(|(name, text)| fs::write(directory.join(name), text))?;
        let passed = passed(&output);
        ensure!(!passed.is_empty(), "pg_regress ran nothing:\n{output}");
        Ok(Run { route, passed, directory, took })
    }

    /// The suite's files where the server may read and write them: scripts copy to and from files beside them.
    fn lay_out(&self) -> Result<TempDir> {
        let place = tempfile::Builder::new().prefix("sluice-regress-").tempdir()?;
        let path = place.path();
        let mut copy = Command::new("cp");
        copy.arg("-r").args(["sql", "expected", "data", "resultmap"].map(|part| self.plan.source.join(part))).arg(path);
        crate::command::run(copy, b"")?.success()?;
        fs::write(path.join("schedule"), &self.schedule)?;
        fs::create_dir(path.join("results"))?;
        fs::copy(&self.plan.library, path.join("regress.so"))?;
        for module in MODULES {
            fs::copy(module_directory()?.join(module), path.join(module))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        give_to_server(path)?;
        Ok(place)
    }

    /// Runs `pg_regress` and returns what it printed.
    fn regress(&self, stage: &Stage, place: &Path, directory: &Path) -> Result<String> {
        let mut command = Command::new(regress_program()?);
        let here = |option: &str, part: &str| format!("--{option}={}", place.join(part).display());
        command.args([here("inputdir", ""), here("outputdir", ""), here("dlpath", ""), here("schedule", "schedule")]);
        command.arg(format!("--bindir={}", binaries::server()?.display())).arg("--max-concurrent-tests=20");
        stage.connect(&mut command)?;
        command.current_dir(place);
        let log = directory.join("pg_regress.log");
        // What it wrote in an earlier run.
        let _ = fs::remove_file(&log);
        let process = Kept::spawn(&command, "TERM", None, &log)?;
        process.wait_for_end(LIMIT)?;
        process.finish()?;
        Ok(fs::read_to_string(log)?)
    }
}

/// A schedule for a few scripts: one after the other, in the order that was asked for.
fn only(names: &[String]) -> String {
    let others = names.iter().map(String::as_str).filter(|name| *name != FIRST);
    std::iter::once(FIRST).chain(others).map(|name| format!("test: {name}\n")).collect()
}

fn copy_outputs(place: &Path, directory: &Path) -> Result<()> {
    for entry in fs::read_dir(place.join("results"))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "out") {
            // Where the suite was laid out is in no two runs the same.
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).replace(&place.display().to_string(), "SUITE");
            fs::write(directory.join(entry.file_name()), text)?;
        }
    }
    let differences = place.join("regression.diffs");
    if differences.exists() {
        fs::copy(differences, directory.join("regression.diffs"))?;
    }
    Ok(())
}

/// Reads `     boolean                      ... ok          226 ms` and `test tablespace ... FAILED (test process …)`.
fn passed(output: &str) -> Vec<(String, bool)> {
    let line = |line: &str| {
        let (name, status) = line.split_once(" ... ")?;
        Some((name.split_whitespace().last()?.to_owned(), status.split_whitespace().next()? == "ok"))
    };
    let by_name: BTreeMap<String, bool> = output.lines().filter_map(line).collect();
    by_name.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn the_lines_of_pg_regress_are_read() {
        let output = "\
============== running regression test queries        ==============
test test_setup                   ... ok          437 ms
parallel group (2 tests):  txid boolean
     boolean                      ... FAILED       92 ms
     txid                         ... failed (ignored)  9 ms
test tablespace                   ... FAILED (test process exited with exit code 2)       12 ms
========================
 3 of 4 tests failed.
";
        let expected = [("boolean", false), ("tablespace", false), ("test_setup", true), ("txid", false)];
        assert_eq!(passed(output), expected.map(|(name, ok)| (name.to_owned(), ok)));
    }
}
