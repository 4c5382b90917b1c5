//! `./dev bench [--quick] [--write] [NAME]`, `./dev bench ssh [--quick]`, `./dev bench http [--quick]` and `./dev bench sessions [N]`: see [`testkit::bench`].

use std::process::ExitCode;

use testkit::bench::{Plan, http, run, sessions, ssh};
use testkit::process::binary;

#[expect(clippy::print_stderr, reason = "a program's own messages")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["sessions", count] = words.as_slice()
        && let Ok(count) = count.parse()
    {
        return ended(binary().and_then(|sluice| sessions::run(sluice, count)));
    }
    if let ["http", rest @ ..] = words.as_slice()
        && matches!(rest, [] | ["--quick"])
    {
        let plan = if rest.is_empty() { http::Plan::FULL } else { http::Plan::QUICK };
        return ended(binary().and_then(|sluice| http::measure(sluice, plan)));
    }
    if let ["ssh", rest @ ..] = words.as_slice()
        && matches!(rest, [] | ["--quick"])
    {
        let plan = if rest.is_empty() { ssh::Plan::FULL } else { ssh::Plan::QUICK };
        return ended(binary().and_then(|sluice| ssh::measure(sluice, plan)));
    }
    let mut take = |option: &str| {
        let found = words.contains(&option);
        words.retain(|word| *word != option);
        found
    };
    let (plan, write) = (if take("--quick") { Plan::QUICK } else { Plan::FULL }, take("--write"));
    let only = match words.as_slice() {
        [] => None,
        // Tables with some of their lines are not to be written.
        [name] if !name.starts_with('-') && !write => Some(*name),
        _ => {
            eprintln!("usage: bench [--quick] NAME, bench [--quick] [--write], or bench sessions N");
            return ExitCode::from(2);
        }
    };
    ended(binary().and_then(|sluice| run(plan, only, write, sluice)))
}

#[expect(clippy::print_stderr, reason = "a program's own messages")]
fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
