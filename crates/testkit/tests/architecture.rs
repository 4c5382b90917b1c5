//! The arrows of ARCHITECTURE.md: which crate may depend on which, and what the pure ones must not contain.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use testkit::command::{run, workspace_root};

/// They answer one question each, and never depend on each other.
const PURE: [&str; 6] = ["wire", "identity", "effects", "policy", "masking", "ledger"];

/// Which crates each crate may depend on, testkit aside, which all may use in their tests.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let pure_and = |others: &[&'static str]| PURE.iter().chain(others).copied().collect::<BTreeSet<_>>();
    let mut allowed = BTreeMap::from([
        ("model", BTreeSet::new()),
        ("store", BTreeSet::from(["model"])),
        ("connect", BTreeSet::from(["model", "wire"])),
        ("gateway", pure_and(&["model", "store"])),
        ("control", pure_and(&["model", "store", "gateway"])),
        ("sluice", pure_and(&["model", "store", "gateway", "control", "connect"])),
        ("testkit", BTreeSet::from(["model"])),
        ("workloads", pure_and(&["model"])),
    ]);
    allowed.extend(PURE.map(|name| (name, BTreeSet::from(["model"]))));
    allowed
}

/// Libraries that open sockets or run tasks.
const EFFECTFUL_LIBRARIES: [&str; 9] =
    ["tokio", "hyper", "hyper-util", "rustls", "tokio-rustls", "axum", "reqwest", "russh", "socket2"];

/// The crates that may use them.
const EFFECTFUL: [&str; 6] = ["store", "gateway", "control", "connect", "sluice", "testkit"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `null` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
    /// Set for a crate of this workspace.
    path: Option<String>,
}

fn workspace() -> Result<Vec<Package>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(workspace_root());
    let metadata: Metadata = serde_json::from_str(&run(command, b"")?.success()?)?;
    Ok(metadata.packages)
}

#[test]
fn crates_depend_only_along_the_arrows() -> Result<()> {
    let allowed = allowed();
    for package in workspace()? {
        let allowed = allowed.get(package.name.as_str());
        let allowed = allowed.with_context(|| format!("{} is new: give it a place in this test", package.name))?;
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let name = dependency.name.as_str();
            let in_tests = dependency.kind.as_deref() == Some("dev");
            let fine = if name == "testkit" { in_tests } else { allowed.contains(name) };
            assert!(fine, "{} must not depend on {name}", package.name);
        }
    }
    Ok(())
}

#[test]
fn only_the_effectful_crates_reach_the_network() -> Result<()> {
    for package in workspace()? {
        if EFFECTFUL.contains(&package.name.as_str()) {
            continue;
        }
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
            let effectful = EFFECTFUL_LIBRARIES.contains(&dependency.name.as_str());
            assert!(!effectful, "{} must not use {}", package.name, dependency.name);
        }
    }
    Ok(())
}

#[test]
fn every_crate_has_the_workspace_lints_and_the_pure_ones_forbid_unsafe_code() -> Result<()> {
    let crates = workspace_root().join("crates");
    for package in workspace()? {
        let manifest = std::fs::read_to_string(crates.join(&package.name).join("Cargo.toml"))?;
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has no workspace lints", package.name);
    }
    for name in PURE.into_iter().chain(["model"]) {
        let root = std::fs::read_to_string(crates.join(name).join("src/lib.rs"))?;
        // `masking` may have one module for vector scanning, under the workspace's `deny`.
        let forbidden = root.contains("#![forbid(unsafe_code)]");
        let excepted = name == "masking" && root.contains("#![deny(unsafe_code)]");
        assert!(forbidden || excepted, "{name} does not forbid unsafe code");
    }
    Ok(())
}

/// What a pure crate gets as an argument instead: the clock, randomness, files, sockets, the environment.
#[test]
fn pure_crates_touch_nothing_of_the_world() -> Result<()> {
    const FORBIDDEN: [&str; 10] = [
        "SystemTime::now",
        "Instant::now",
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::env",
        "std::process",
        "std::thread",
        "SystemRandom",
    ];
    for name in PURE.into_iter().chain(["model"]) {
        for (path, text) in sources(&workspace_root().join("crates").join(name).join("src"))? {
            // The one thing that `ledger` does to the world goes through its `Disk` trait; here is the real disk.
            if path.ends_with("ledger/src/disk/real.rs") {
                continue;
            }
            // Tests are at the end of a file, or in a file of their own.
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let found = FORBIDDEN.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{path} must not use {}: {line}", found.unwrap_or(&""));
            }
        }
    }
    Ok(())
}

/// Every source file but the tests', with its path.
fn sources(directory: &std::path::Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}
