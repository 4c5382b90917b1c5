//! `./dev conformance identity`: identity products that are too large for every run of the tests, in front of a real Sluice
//! and a real PostgreSQL. Each part is a module with one function.

mod keycloak;
mod login;
mod spire;

use std::path::Path;

use anyhow::{Result, bail};

use super::report::line;

/// Runs the part of this name with the product in `installed`, and the `sluice` program, and says what was shown.
///
/// # Errors
/// There is no such part, something does not start, or does otherwise than it must.
pub fn run(part: &str, installed: &Path, sluice: &Path) -> Result<()> {
    match part {
        "keycloak" => keycloak::run(installed, sluice),
        "spire" => spire::run(installed, sluice),
        _ => bail!("there is no part {part:?}; there are keycloak and spire"),
    }
}

/// Says that something was shown.
fn shown(what: &str) {
    line(&format!("  shown: {what}"));
}
