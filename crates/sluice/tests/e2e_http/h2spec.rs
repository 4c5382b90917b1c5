//! `./dev conformance http`: h2spec, another reading of RFC 9113 and RFC 7541, against Sluice's HTTP/2.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::command::{development_directory, run};

use crate::ground::Ground;

#[test]
#[ignore = "./dev conformance http builds what it needs, and runs it"]
fn sm_14_h2spec_finds_nothing() -> Result<()> {
    let program = development_directory().join("h2spec/h2spec");
    ensure!(program.exists(), "{} is missing: run ./dev conformance http", program.display());
    let ground = Ground::new()?;
    let port = ground.site.process()?.address("http")?.port().to_string();
    // One run without a failure of three will do: where the rest of an answer crosses what is sent
    // wrongly, h2spec takes that for the reaction.
    let mut summary = String::new();
    for _ in 0..3 {
        let (passed, failed, said) = once(&program, &port)?;
        if passed > 140 && failed == 0 {
            assert_eq!(ground.api.reached()?, []);
            return Ok(());
        }
        summary = said;
    }
    panic!("{summary}")
}

/// How many cases passed and failed, and what was said.
fn once(program: &Path, port: &str) -> Result<(u32, u32, String)> {
    let mut command = Command::new(program);
    // Whoever asks is nobody, so that each answer is 401: h2spec looks at frames and not at what they say.
    command.args(["--tls", "--insecure", "--host", "localhost", "--port", port, "--path", "/echo", "--timeout", "5"]);
    let output = run(command, b"")?;
    let summary = output.stdout.lines().rev().find(|line| line.contains("tests, ")).unwrap_or_default();
    let count = |of: &str| summary.split(", ").find_map(|part| part.strip_suffix(of)?.trim().parse::<u32>().ok());
    let counts = count(" passed").zip(count(" failed"));
    let (passed, failed) = counts.with_context(|| format!("no summary: {output:?}"))?;
    Ok((passed, failed, format!("{summary}\n{}", output.stdout)))
}
