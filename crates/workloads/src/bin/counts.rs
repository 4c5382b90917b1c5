//! `./dev counts [--update]`, which `./dev check` runs too: see [`workloads::counts`].
#![allow(clippy::print_stdout, reason = "figures")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use workloads::counted;
use workloads::counts::{self, Figures, Verdict};

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", name, runs] => run(name, runs.parse()?).map(|()| ExitCode::SUCCESS),
        [] => check(false),
        ["--update"] => check(true),
        words => bail!("counts takes --update, not {}", words.join(" ")),
    }
}

/// What is counted, after once to have everything in place.
fn run(name: &str, runs: u32) -> Result<()> {
    let mut run = (counted::named(name)?.prepare)()?;
    run()?;
    counted::repeat(&mut run, runs)
}

fn check(update: bool) -> Result<ExitCode> {
    if !cfg!(target_arch = "x86_64") {
        ensure!(!update, "the figures are those of x86_64");
        println!("    !!! INSTRUCTIONS WERE NOT COUNTED: the figures are those of x86_64, and this is none !!!");
        return Ok(ExitCode::SUCCESS);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.tsv");
    let counted = counts::count(&std::env::current_exe()?)?;
    if update {
        std::fs::write(&path, counted.text())?;
        print!("{}", counted.text());
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(report(&counted, &Figures::parse(&text)?))
}

fn report(counted: &Figures, figures: &Figures) -> ExitCode {
    let tolerance = counts::tolerance(counted, figures);
    if counted.compiler != figures.compiler {
        println!("    the figures are of {}, and this is {}:", figures.compiler, counted.compiler);
        println!("    only more than {tolerance} % fails");
    }
    let verdicts = counts::compare(counted, figures);
    for (name, verdict) in &verdicts {
        let (count, figure) = (counted.instructions.get(*name), figures.instructions.get(*name));
        let said = match verdict {
            Verdict::Same => "",
            Verdict::More => "MORE than the tolerance: find out why, or say why and run ./dev counts --update",
            Verdict::Less => "less than the tolerance: run ./dev counts --update, so that the gain is kept",
            Verdict::Unknown => "NO FIGURE: run ./dev counts --update",
            Verdict::Gone => "NO SUCH WORKLOAD: run ./dev counts --update",
        };
        println!("    {name:<28} {:>10} of {:>10} {:>8}  {said}", shown(count), shown(figure), change(count, figure));
    }
    match verdicts.iter().any(|(_, verdict)| verdict.is_failure()) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn shown(figure: Option<&u64>) -> String {
    figure.map_or_else(|| "-".to_owned(), u64::to_string)
}

/// In tenths of a percent, for showing.
fn change(count: Option<&u64>, figure: Option<&u64>) -> String {
    let (Some(count), Some(figure)) = (count, figure) else { return String::new() };
    let (sign, difference) = if count < figure { ('-', figure - count) } else { ('+', count - figure) };
    let tenths = u128::from(difference) * 1000 / u128::from((*figure).max(1));
    format!("{sign}{}.{} %", tenths / 10, tenths % 10)
}
