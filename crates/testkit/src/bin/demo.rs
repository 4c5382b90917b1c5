//! `./dev demo [--once]`: see [`testkit::demo`].

use std::process::ExitCode;

use testkit::demo::{Mode, run};
use testkit::process::binary;

#[expect(clippy::print_stderr, reason = "a program's own messages")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mode = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Mode::Stay,
        ["--once"] => Mode::Once,
        _ => {
            eprintln!("usage: demo [--once]");
            return ExitCode::from(2);
        }
    };
    match binary().and_then(|sluice| run(mode, sluice)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
