//! `./dev bench [--quick] [NAME]`: see [`testkit::bench`].

use std::process::ExitCode;

use testkit::bench::{Plan, run};
use testkit::process::binary;

#[expect(clippy::print_stderr, reason = "a program's own messages")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let plan = if words.first() == Some(&"--quick") { Plan::QUICK } else { Plan::FULL };
    words.retain(|word| *word != "--quick");
    let only = match words.as_slice() {
        [] => None,
        [name] if !name.starts_with('-') => Some(*name),
        _ => {
            eprintln!("usage: bench [--quick] [NAME]");
            return ExitCode::from(2);
        }
    };
    match binary().and_then(|sluice| run(plan, only, sluice)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
