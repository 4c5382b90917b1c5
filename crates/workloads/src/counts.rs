//! How many instructions a run of each workload takes, and whether that is what it took before.
//!
//! Each workload is prepared, run once and then so often under `valgrind --tool=callgrind`, which counts between the beginning
//! and the end of [`counted::repeat`] alone: neither the start of the program nor the preparation is in it. (A difference of
//! two runs would not do: a thousand policies take a hundred times as much to be read as to be asked, and that varies.)
//! Instructions of the kernel are not counted, nor what caches and branches cost: a count says that code does more or less
//! than before, not how long it takes.
//!
//! Counts are steady because valgrind shows every program the same processor (AVX2, without SHA and AVX-512 instructions),
//! whatever machine it is on, and runs one thread. What is left: the seeds of hash tables, drawn anew in each process, the
//! allocator and `memcpy` of another libc, and above all another compiler.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::counted::{self, Workload};

/// How far a count may be from the figure, in percent. Repeated counts of the same program differ by less than one; a
/// regression that anybody would mend is larger.
pub const TOLERANCE: u64 = 10;

/// The same, under another compiler than the one that the figures were made by: it may unroll and inline otherwise, so only
/// what cannot be its doing counts.
pub const TOLERANCE_OF_ANOTHER_COMPILER: u64 = 30;

/// The figures, and what they were counted with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// `rustc --version`.
    pub compiler: String,
    /// Instructions of one run, by workload.
    pub instructions: BTreeMap<String, u64>,
}

const HEADER: &str = "\
# Instructions of one run of each workload (crates/workloads/src/counted.rs), as callgrind counts them on x86_64 in a
# release build. `./dev check` compares; `./dev counts --update` writes this file. See docs/performance.md.
";
const COMPILER: &str = "compiler";

impl Figures {
    /// Reads what [`Figures::text`] wrote.
    ///
    /// # Errors
    /// If a line is no figure.
    pub fn parse(text: &str) -> Result<Self> {
        let mut figures = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, value) = line.split_once('\t').with_context(|| format!("no figure: {line:?}"))?;
            if name == COMPILER {
                value.clone_into(&mut figures.compiler);
                continue;
            }
            let value = value.parse().with_context(|| format!("no figure: {line:?}"))?;
            ensure!(figures.instructions.insert(name.to_owned(), value).is_none(), "{name:?} has two figures");
        }
        Ok(figures)
    }

    /// As it is kept.
    pub fn text(&self) -> String {
        let mut out = format!("{HEADER}{COMPILER}\t{}\n", self.compiler);
        for (name, instructions) in &self.instructions {
            // Writing to a String does not fail.
            let _ = writeln!(out, "{name}\t{instructions}");
        }
        out
    }
}

/// What a comparison says of one workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Within the tolerance.
    Same,
    /// It takes more: a failure.
    More,
    /// It takes less: the figure should be made anew, or it hides the next regression.
    Less,
    /// There is no figure for it: a failure.
    Unknown,
    /// There is a figure and no such workload: a failure.
    Gone,
}

impl Verdict {
    /// Whether the check fails over it.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::More | Self::Unknown | Self::Gone)
    }
}

/// Compares what was counted with the figures: each workload, its count and its figure.
pub fn compare<'a>(counted: &'a Figures, figures: &'a Figures) -> Vec<(&'a str, Verdict)> {
    let tolerance = tolerance(counted, figures);
    let judge = |name: &'a str, count: u64| {
        let Some(figure) = figures.instructions.get(name).copied() else { return (name, Verdict::Unknown) };
        let margin = u64::try_from(u128::from(figure) * u128::from(tolerance) / 100).unwrap_or(u64::MAX);
        let verdict = match count {
            count if count > figure.saturating_add(margin) => Verdict::More,
            count if count < figure.saturating_sub(margin) => Verdict::Less,
            _ => Verdict::Same,
        };
        (name, verdict)
    };
    let all = counted.instructions.iter().map(|(name, count)| judge(name, *count));
    let gone = figures.instructions.keys().filter(|name| !counted.instructions.contains_key(*name));
    all.chain(gone.map(|name| (name.as_str(), Verdict::Gone))).collect()
}

/// The tolerance that holds between them, in percent.
pub fn tolerance(counted: &Figures, figures: &Figures) -> u64 {
    match counted.compiler == figures.compiler {
        true => TOLERANCE,
        false => TOLERANCE_OF_ANOTHER_COMPILER,
    }
}

/// Counts all workloads, which `program` runs when it is called with `run NAME RUNS`.
///
/// # Errors
/// If valgrind is not there, or a run fails.
pub fn count(program: &Path) -> Result<Figures> {
    Ok(Figures { compiler: compiler()?, instructions: count_each(program)? })
}

/// Two at a time: processors that anybody has.
fn count_each(program: &Path) -> Result<BTreeMap<String, u64>> {
    let counted = std::thread::scope(|scope| {
        let (some, others) = counted::ALL.split_at(counted::ALL.len() / 2);
        let others = scope.spawn(|| count_all(program, others));
        (count_all(program, some), others.join())
    });
    let (some, Ok(others)) = counted else { bail!("counting panicked") };
    Ok(some?.into_iter().chain(others?).collect())
}

fn count_all(program: &Path, workloads: &[Workload]) -> Result<Vec<(String, u64)>> {
    workloads.iter().map(|workload| Ok((workload.name.to_owned(), count_one(program, workload)?))).collect()
}

/// Instructions of one run.
fn count_one(program: &Path, workload: &Workload) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--read-inline-info=no", "--toggle-collect=*counted*repeat*"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(program).args(["run", workload.name, &workload.runs.to_string()]);
    let output = command.output().context("valgrind cannot be started")?;
    ensure!(output.status.success(), "{:?} failed: {}", workload.name, String::from_utf8_lossy(&output.stderr));
    let total = total(&std::fs::read_to_string(&out)?).unwrap_or_default();
    ensure!(total > 0, "callgrind counted nothing of {:?}", workload.name);
    Ok(total / u64::from(workload.runs))
}

/// The sum of all that was counted in what callgrind wrote.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc cannot be started")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(compiler: &str, each: &[(&str, u64)]) -> Figures {
        let instructions = each.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Figures { compiler: compiler.into(), instructions }
    }

    fn verdicts(counted: &Figures, figures: &Figures) -> Vec<Verdict> {
        compare(counted, figures).into_iter().map(|(_, verdict)| verdict).collect()
    }

    #[test]
    fn more_is_a_failure_and_less_is_told() {
        let kept = figures("1", &[("a", 1000), ("b", 1000), ("c", 1000)]);
        let counted = figures("1", &[("a", 1101), ("b", 1100), ("c", 899)]);
        assert_eq!(verdicts(&counted, &kept), [Verdict::More, Verdict::Same, Verdict::Less]);
        assert_eq!([Verdict::More, Verdict::Less].map(Verdict::is_failure), [true, false]);
    }

    #[test]
    fn another_compiler_has_more_leeway_and_twice_the_work_fails_all_the_same() {
        let kept = figures("1", &[("a", 1000), ("b", 1000)]);
        let counted = figures("2", &[("a", 1300), ("b", 2000)]);
        assert_eq!(verdicts(&counted, &kept), [Verdict::Same, Verdict::More]);
    }

    #[test]
    fn a_workload_without_a_figure_and_a_figure_without_a_workload_fail() {
        let verdicts = verdicts(&figures("1", &[("new", 1)]), &figures("1", &[("old", 1)]));
        assert_eq!(verdicts, [Verdict::Unknown, Verdict::Gone]);
        assert!(verdicts.into_iter().all(Verdict::is_failure));
    }

    #[test]
    fn figures_are_read_as_they_were_written() {
        let figures = figures("rustc 1.95.0 (59807616e 2026-04-14)", &[("mask a chunk", 123_456)]);
        assert_eq!(Figures::parse(&figures.text()).unwrap(), figures);
        assert!(Figures::parse("mask a chunk\tmany\n").is_err());
        assert!(Figures::parse("a\t1\na\t2\n").is_err());
    }

    #[test]
    fn the_committed_figures_are_those_of_the_workloads() {
        let kept = Figures::parse(include_str!("../counts.tsv")).unwrap();
        let names: Vec<&str> = kept.instructions.keys().map(String::as_str).collect();
        let mut workloads = counted::ALL.map(|workload| workload.name);
        workloads.sort_unstable();
        assert_eq!(names, workloads);
    }

    #[test]
    fn every_workload_runs() {
        for workload in counted::ALL {
            let mut run = (workload.prepare)().unwrap();
            run().unwrap();
            run().unwrap();
        }
    }

    #[test]
    fn callgrind_says_its_total_on_a_line() {
        assert_eq!(total("events: Ir\nfn=(1)\n3 4\n\ntotals: 123456\n"), Some(123_456));
        assert_eq!(total("events: Ir\n"), None);
    }
}
