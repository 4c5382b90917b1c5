//! Proofs of possession (DPoP, RFC 9449): a token that is bound to a key counts with a fresh proof by that key for this very
//! request, once.

use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::http::request::Parts;
use identity::dpop::{self, Nonces, Proof, ProofError, ReplayError, Replays};
use model::secret::Secret;
use model::subject::SubjectKey;
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName};

use super::asking::{Asked, written};
use crate::clock;

/// The field of a proof (RFC 9449, section 4.1).
const DPOP: &str = "dpop";

/// Proofs that are remembered in all, each for a minute: 50 MiB or so, and 4,000 requests a second.
const MOST: usize = 262_144;
/// Proofs of one subject that are remembered: 1,000 requests a second, all the time.
const MOST_PER_SUBJECT: usize = 65_536;

/// The nonces and the used proofs of a listener, and what it is called.
pub(super) struct Proofs {
    nonces: Nonces,
    used: Mutex<Replays>,
    /// What it shows to callers: a proof that was made for a server of another name is none here.
    certificate: CertificateDer<'static>,
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Proofs")
    }
}

impl Proofs {
    /// Of a listener that shows this certificate.
    ///
    /// # Errors
    /// If there is no randomness.
    pub(super) fn new(certificate: CertificateDer<'static>) -> Result<Self, clock::NoRandomness> {
        let nonces = Nonces::new(&Secret::new(clock::random()?));
        Ok(Self { nonces, used: Mutex::new(Replays::new(MOST, MOST_PER_SUBJECT)), certificate })
    }

    /// A nonce for a caller's next proof.
    pub(super) fn nonce(&self) -> String {
        self.nonces.issue(clock::now())
    }

    /// Verifies the one proof of a request, which has to be for this token.
    pub(super) fn verify(&self, parts: &Parts, ask: &Asked, token: &str) -> Result<Proof, ProofError> {
        let proof = only(&parts.headers).ok_or(ProofError::Kind)?;
        if !self.is_ours(ask.authority.host.trim_matches(['[', ']'])) {
            return Err(ProofError::Uri);
        }
        let uri = format!("https://{}{}", written(&ask.authority), parts.uri.path());
        let request = dpop::Request { method: parts.method.as_str(), uri: &uri, token: Some(token) };
        dpop::verify(proof, &request, &self.nonces, clock::now())
    }

    /// Uses a proof, once its token was verified with it.
    pub(super) fn use_once(&self, proof: &Proof, subject: &SubjectKey) -> Result<(), ReplayError> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).use_once(proof, subject, clock::now())
    }

    fn is_ours(&self, host: &str) -> bool {
        let Ok(name) = ServerName::try_from(host) else { return false };
        ParsedCertificate::try_from(&self.certificate).is_ok_and(|own| verify_server_name(&own, &name).is_ok())
    }
}

fn only(fields: &HeaderMap) -> Option<&str> {
    let mut all = fields.get_all(DPOP).iter();
    let (only, more) = (all.next()?, all.next());
    only.to_str().ok().filter(|_| more.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_called_what_its_certificate_says() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = crate::tls::development(dir.path()).unwrap();
        let certificate = crate::tls::certificates(&path).unwrap().remove(0);
        let proofs = Proofs::new(certificate).unwrap();
        assert!(["localhost", "127.0.0.1", "::1"].iter().all(|host| proofs.is_ours(host)));
        assert!(["evil.example", "127.0.0.2", "", "local host"].iter().all(|host| !proofs.is_ours(host)));
    }
}
