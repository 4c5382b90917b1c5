//! `./dev bench [--quick] [NAME]` and `./dev bench sessions [N]`: see [`testkit::bench`].

use std::process::ExitCode;

use testkit::bench::{Plan, run, sessions};
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
    let plan = if words.first() == Some(&"--quick") { Plan::QUICK } else { Plan::FULL };
    words.retain(|word| *word != "--quick");
    let only = match words.as_slice() {
        [] => None,
        [name] if !name.starts_with('-') => Some(*name),
        _ => {
            eprintln!("usage: bench [--quick] [NAME], or bench sessions N");
            return ExitCode::from(2);
        }
    };
    ended(binary().and_then(|sluice| run(plan, only, sluice)))
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
