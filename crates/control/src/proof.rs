//! What a caller proves beside its token, on each call.

use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use gateway::clock;
use gateway::tls::ClientCertificate;
use identity::Proven;
use identity::dpop::{self, Nonces, Proof, ProofError, Replays};
use model::secret::Secret;
use model::subject::SubjectKey;

use crate::app::{App, Peer};
use crate::hosts;

/// The header of a proof (RFC 9449, section 4.1).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header of a nonce (RFC 9449, section 8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Proofs that are remembered in all: 10 MiB or so, and a thousand calls a second.
const MOST: usize = 65_536;
/// Proofs of one subject that are remembered: 16 calls a second, all the time.
const MOST_PER_SUBJECT: usize = 1_024;

/// The nonces and the used proofs of one process.
#[derive(Debug)]
pub(crate) struct Proofs {
    nonces: Nonces,
    used: Mutex<Replays>,
}

/// What came with a call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) proven: Proven,
    proof: Option<Proof>,
}

impl Shown {
    /// What a connection proved, whatever is called on it.
    pub(crate) fn on(peer: &Peer) -> Self {
        Self { proven: ClientCertificate::proven(peer.certificate.as_ref()), proof: None }
    }
}

impl Proofs {
    pub(crate) fn new() -> Result<Self, clock::NoRandomness> {
        let nonces = Nonces::new(&Secret::new(clock::random()?));
        Ok(Self { nonces, used: Mutex::new(Replays::new(MOST, MOST_PER_SUBJECT)) })
    }

    /// A nonce for the caller's next proof.
    pub(crate) fn nonce(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.nonces.issue(clock::now())).ok()
    }

    /// Uses the proof of a call, once its token was verified with it.
    pub(crate) fn use_once(&self, shown: &Shown, subject: &SubjectKey) -> Result<(), dpop::ReplayError> {
        let Some(proof) = &shown.proof else { return Ok(()) };
        self.used.lock().unwrap_or_else(PoisonError::into_inner).use_once(proof, subject, clock::now())
    }
}

/// The request of a call, as far as proofs are for it.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl Call<'_> {
    /// Verifies the one proof of the call, which has to be for `token` where there is one.
    /// It is added to what the connection `shown` proved.
    pub(crate) fn prove(&self, app: &App, token: Option<&str>, shown: Shown) -> Result<Shown, ProofError> {
        let mut all = self.headers.get_all(DPOP).iter();
        let (Some(only), None) = (all.next(), all.next()) else { return Err(ProofError::Kind) };
        let proof = only.to_str().map_err(|_| ProofError::Kind)?;
        let uri = self.own_url(app).ok_or(ProofError::Uri)?;
        let request = dpop::Request { method: self.method.as_str(), uri: &uri, token };
        let proof = dpop::verify(proof, &request, &app.proofs.nonces, clock::now())?;
        Ok(Shown { proven: Proven { proof_key: Some(proof.key), ..shown.proven }, proof: Some(proof) })
    }

    /// Whether a proof came with it.
    pub(crate) fn has_proof(&self) -> bool {
        self.headers.contains_key(DPOP)
    }

    /// Where it was called, if that is this listener: a proof that was made for another server is none here, whatever
    /// host a request names.
    fn own_url(&self, app: &App) -> Option<String> {
        let host = hosts::host(self.uri, self.headers)?;
        let path = self.uri.path();
        match hosts::public_url(app, host) {
            Some(url) => Some(format!("{url}{path}")),
            None if hosts::names_us(app, host) => {
                let scheme = if app.is_tls { "https" } else { "http" };
                Some(format!("{scheme}://{host}{path}"))
            }
            None => None,
        }
    }
}
