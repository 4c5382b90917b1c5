//! The program: `sluice serve` is the gateway, everything else is how people set it up and run it.
#![forbid(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
