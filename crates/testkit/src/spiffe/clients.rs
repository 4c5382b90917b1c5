//! Clients of Sluice that show a certificate, and a Sluice that believes their trust domain.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::{Output, psql_with_input};
use crate::demo::site::{Site, Tuning};
use crate::tls::Certificate;

/// Everybody of the group `prod|etl` may read, and see, all of payments.
const POLICIES: &str = r#"
@id("etl-connects")
permit (principal in Group::"prod|etl", action == Action::"connect", resource in Target::"payments");

@id("etl-reads")
permit (principal in Group::"prod|etl", action in [Action::"read"], resource in Database::"payments/@DATABASE@");

@id("etl-sees")
permit (principal in Group::"prod|etl", action == Action::"reveal", resource);
"#;

/// The workload that the tests are.
pub const LOADER: &str = "spiffe://prod.acme/ns/etl/sa/loader";

/// The trust domain `prod.acme`, alias `prod`, with more lines for its table.
pub fn trusting(more: &str) -> Tuning {
    let table = "\n[[trust_domain]]\nname = \"prod.acme\"\nalias = \"prod\"\naudience = \"sluice\"\n\
                 groups = { etl = [\"/ns/etl/sa/*\"] }\n";
    Tuning {
        sluice_toml: format!("{table}{more}\n"),
        policies: vec![("45-spiffe.cedar".into(), POLICIES.into())],
        ..Tuning::default()
    }
}

/// What a client shows and sends.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// A certificate and its key, by their path without extension.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A password.
    pub token: Option<String>,
    /// Start-up options.
    pub options: Option<&'static str>,
}

impl Shown {
    /// A certificate alone.
    pub fn certificate(directory: &Path, name: &str, certificate: &Certificate) -> Result<Self> {
        let files = certificate.write(directory, name)?;
        Ok(Self { certificate: Some((files.certificate, files.key)), ..Self::default() })
    }

    /// And a token.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// And start-up options.
    pub fn with_options(mut self, options: &'static str) -> Self {
        self.options = Some(options);
        self
    }
}

/// Runs a statement with psql: unaligned, rows only, errors with their SQLSTATE.
pub fn psql(site: &Site, shown: &Shown, sql: &str) -> Result<Output> {
    let address = site.process()?.address("postgres")?;
    let (host, port, ca) = (address.ip().to_string(), address.port().to_string(), site.ca().display().to_string());
    // libpq takes what is in the home directory unless it is told otherwise.
    let nothing = PathBuf::from("/nonexistent");
    let (certificate, key) = shown.certificate.clone().unwrap_or((nothing.clone(), nothing));
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let environment = [
        ("PGHOST", host.as_str()),
        ("PGPORT", &port),
        ("PGUSER", "anybody"),
        ("PGDATABASE", site.database()),
        ("PGPASSWORD", shown.token.as_deref().unwrap_or_default()),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", &ca),
        ("PGSSLCERT", &certificate),
        ("PGSSLKEY", &key),
        ("PGOPTIONS", shown.options.unwrap_or_default()),
        ("PGPASSFILE", "/nonexistent"),
    ];
    psql_with_input(&["-w", "-A", "-t", "-q", "-v", "VERBOSITY=verbose", "-c", sql], &environment, b"")
}

/// The rows that psql gets.
pub fn rows(site: &Site, shown: &Shown, sql: &str) -> Result<String> {
    Ok(psql(site, shown, sql)?.success()?.trim_end().to_owned())
}
