//! `./dev conformance postgres`, `versions`, `identity` and `kubernetes`: see [`testkit::conformance`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use testkit::command::development_directory;
use testkit::conformance::{Plan, identity, kubernetes, run, versions};
use testkit::process::binary;

const USAGE: &str = "usage: conformance postgres SOURCE LIBRARY [--rounds N] [FILE...]\n       conformance versions [--all] BIN_DIRECTORY...\n       conformance identity PART BIN_DIRECTORY\n       conformance kubernetes DIRECTORY";

#[expect(clippy::print_stderr, reason = "a program's own messages")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match (arguments.split_first(), plan(&arguments)) {
        (Some((what, [part, programs])), _) if what == "identity" => {
            binary().and_then(|sluice| identity::run(part, Path::new(programs), &sluice))
        }
        (Some((what, [installed])), _) if what == "kubernetes" => {
            binary().and_then(|sluice| kubernetes::run(Path::new(installed), &sluice))
        }
        (Some((what, rest)), _) if what == "versions" && !rest.is_empty() => {
            let servers: Vec<PathBuf> = rest.iter().filter(|word| *word != "--all").map(PathBuf::from).collect();
            versions::run(&servers, rest.len() > servers.len())
        }
        (_, Some(plan)) => binary().and_then(|sluice| run(&plan, &sluice)),
        (_, None) => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn plan(arguments: &[String]) -> Option<Plan> {
    let [protocol, source, library, rest @ ..] = arguments else { return None };
    let (rounds, only) = match rest {
        [option, rounds, only @ ..] if option == "--rounds" => (rounds.parse().ok().filter(|count| *count > 0)?, only),
        only => (1, only),
    };
    let is_known = protocol == "postgres" && !only.iter().any(|name| name.starts_with('-'));
    is_known.then(|| Plan {
        source: PathBuf::from(source),
        library: PathBuf::from(library),
        results: development_directory().join("conformance/postgres"),
        rounds,
        only: only.to_vec(),
    })
}
