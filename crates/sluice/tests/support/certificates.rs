//! Clients that show a certificate: those of testkit, and what a test asks of them.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use testkit::demo::site::Site;
use testkit::spiffe::clients::{Shown, psql};
use testkit::tls::Certificate;

use super::tls;

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
