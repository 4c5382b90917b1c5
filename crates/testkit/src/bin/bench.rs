//! `./dev bench [--quick]`: see [`testkit::bench`].

use std::process::ExitCode;

use testkit::bench::{Plan, run};
use testkit::process::binary;

#[expect(clippy::print_stderr, reason = "a program's own messages")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Plan::FULL,
        ["--quick"] => Plan::QUICK,
        _ => {
            eprintln!("usage: bench [--quick]");
            return ExitCode::from(2);
        }
    };
    match binary().and_then(|sluice| run(plan, sluice)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
