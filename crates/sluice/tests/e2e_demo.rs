//! The test of the story: the demo, run as a reader runs it.

use std::process::Command;

use anyhow::{Result, ensure};
use testkit::command::{run, workspace_root};

#[test]
fn the_story_goes_as_told_and_leaves_nothing_behind() -> Result<()> {
    let demo = demo()?;
    let home = tempfile::tempdir()?;
    let mut command = Command::new(demo);
    command.arg("--once").env("SLUICE_BIN", env!("CARGO_BIN_EXE_sluice")).env("TMPDIR", home.path());
    let output = run(command, b"")?;
    ensure!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
    ensure!(output.stdout.contains("Every step went as told."), "{}", output.stdout);
    ensure!(!output.stdout.contains('\x1b'), "colours, and no terminal");
    let left: Vec<_> = std::fs::read_dir(home.path())?.flatten().map(|entry| entry.file_name()).collect();
    // The template of the server's data is kept on purpose, for the next start.
    let of_the_demo = |name: &str| name.starts_with("sluice-") && !name.starts_with("sluice-testkit-");
    ensure!(!left.iter().any(|name| of_the_demo(&name.to_string_lossy())), "left behind: {left:?}");
    Ok(())
}

/// The demo's program, built from the present sources.
fn demo() -> Result<std::path::PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    // With the features that all tests are built with, so that nothing is built twice: a test of testkit needs its programs.
    build.args(["test", "--quiet", "--workspace", "--no-run", "--test", "architecture"]).current_dir(workspace_root());
    run(build, b"")?.success()?;
    // target/PROFILE/deps/TEST
    let own = std::env::current_exe()?;
    let directory = own.ancestors().nth(2).unwrap_or(&own);
    Ok(directory.join("demo"))
}
