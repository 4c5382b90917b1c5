//! Clients that show a certificate, and trust domains for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use testkit::command::{Output, psql_with_input};
use testkit::demo::site::{Site, Tuning};
use testkit::tls::Certificate;

use super::tls;

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

/// Fails unless the login is refused.
#[track_caller]
pub fn assert_not_let_in(site: &Site, shown: &Shown) {
    let output = psql(site, shown, "SELECT 1").expect("psql runs");
    assert!(!output.status.success(), "{}", output.stdout);
    let refused = output.stderr.contains("the connection is not allowed");
    // Without a token, libpq ends when it is asked for one.
    let asked = shown.token.is_none() && output.stderr.contains("no password supplied");
    assert!(refused || asked, "{}", output.stderr);
}

/// A configuration of rustls that shows this certificate.
pub fn presenting(ca: &Path, certificate: &Certificate) -> Result<Arc<ClientConfig>> {
    let chain =
        CertificateDer::pem_slice_iter(certificate.certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes())?;
    let roots = tls::roots(ca)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_client_auth_cert(chain, key)?))
}
