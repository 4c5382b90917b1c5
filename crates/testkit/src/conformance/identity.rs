//! `./dev conformance identity`: providers of identities as they are installed in the world, and Sluice believing them.
//! Each part is a module with one function.

mod keycloak;
mod login;
mod spire;

use std::path::Path;

use anyhow::{Result, bail};

/// Runs the part of this name with the programs in `programs`, and the `sluice` program.
///
/// # Errors
/// There is no such part, something does not start, or Sluice believes what it must not or the other way round.
pub fn run(part: &str, programs: &Path, sluice: &Path) -> Result<()> {
    match part {
        "keycloak" => keycloak::run(programs, sluice),
        "spire" => spire::run(programs, sluice),
        _ => bail!("there is no part {part:?}; there are keycloak and spire"),
    }
}

/// Says that something was shown.
fn shown(what: &str) {
    super::report::line(&format!("  shown: {what}"));
}
