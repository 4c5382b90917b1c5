//! What `./dev conformance identity` does: identity products that are too large for every run of the tests, in front of a
//! real Sluice and a real PostgreSQL.

mod keycloak;
mod login;

use std::path::Path;

use anyhow::Result;

use super::report::line;

/// Where the products are, as `./dev` has installed them.
#[derive(Clone, Copy, Debug)]
pub struct Products<'a> {
    /// The unpacked distribution of Keycloak.
    pub keycloak: &'a Path,
}

/// Runs all of it and says what was shown.
///
/// # Errors
/// Something does not start, or does otherwise than it must.
pub fn run(products: &Products<'_>, sluice: &Path) -> Result<()> {
    line("Keycloak");
    keycloak::run(products.keycloak, sluice)?;
    line("\nall of it is as it must be");
    Ok(())
}

/// Says that something was shown.
fn shown(what: &str) {
    line(&format!("  shown: {what}"));
}
