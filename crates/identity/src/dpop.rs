//! Proofs of possession on HTTP (RFC 9449): a JWT that the caller signs for each request with a key of its own, to
//! which its token is bound.
//!
//! [`verify`] checks one proof. What goes over several requests stands beside it: [`Nonces`] makes proofs recent by the
//! server's own clock, and [`Replays`] lets each be used once. A proof names nobody: it only lets a bound token count
//! ([`crate::Proven::proof_key`]).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::id::Digest;
use model::time::Timestamp;

use crate::error::IdentityError;
use crate::json::{Json, Object};
use crate::keys::Key;
use crate::token::Token;

mod nonces;
mod replays;
mod uri;

pub use nonces::{NONCE_LIFETIME, Nonces};
pub use replays::{ReplayError, Replays};

/// The longest proof that is read, in bytes: one with the largest RSA key fits.
pub const MAX_PROOF: usize = 8 * 1024;
/// How long before now a proof may have been made, in seconds (RFC 9449, section 11.1: "a relatively brief period").
pub const MAX_AGE: u64 = 60;
/// How far the caller's clock may be ahead, in seconds.
pub const MAX_AHEAD: u64 = 10;
/// The longest `jti`, in bytes.
const MAX_ID: usize = 255;

/// The request that a proof has to be for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method, compared with `htm`.
    pub method: &'a str,
    /// Its whole URL without query, as this server is called: compared with `htu`.
    pub uri: &'a str,
    /// The access token that came with it, whose digest the proof has to hold (`ath`); `None` at a token endpoint.
    pub token: Option<&'a str>,
}

/// A proof that holds for its request, and was not looked for among those that were used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The thumbprint of the key (RFC 7638, SHA-256).
    pub key: Digest,
    /// What tells it from others by the same key.
    pub(crate) id: Digest,
    /// When it is too old.
    pub(crate) until: Timestamp,
}

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It lacks a nonce of this server that is still fresh: the caller is given one and asks again (RFC 9449, section
    /// 8).
    #[error("the proof has no fresh nonce of this server")]
    Nonce,
    /// It is no JWS in compact form with a header and claims.
    #[error("the proof has not the form of one: {0}")]
    Form(IdentityError),
    /// It is longer than [`MAX_PROOF`].
    #[error("the proof is longer than {MAX_PROOF} bytes")]
    TooLong,
    /// `typ` is not `dpop+jwt`.
    #[error("the proof's `typ` is not dpop+jwt")]
    Kind,
    /// `jwk` is absent, private, symmetric, weak, or not for `alg`.
    #[error("the proof's key cannot be used: {0}")]
    Key(&'static str),
    /// The signature is not that key's.
    #[error("the proof's signature is wrong")]
    Signature,
    /// A claim is absent, or not of its type.
    #[error("the proof's `{0}` is absent or not of its type")]
    Claim(&'static str),
    /// `htm` is another method.
    #[error("the proof is for another method")]
    Method,
    /// `htu` is another URL.
    #[error("the proof is for another URL")]
    Uri,
    /// `iat` is too long ago, or ahead.
    #[error("the proof was not made now")]
    Time,
    /// `ath` is not the digest of the token that came with it.
    #[error("the proof is not for this token")]
    Token,
}

/// Verifies a proof (RFC 9449, section 4.3).
///
/// # Errors
/// The first check that fails. [`ProofError::Nonce`] only for a proof to which nothing else is wrong.
pub fn verify(proof: &str, request: &Request<'_>, nonces: &Nonces, now: Timestamp) -> Result<Proof, ProofError> {
    if proof.len() > MAX_PROOF {
        return Err(ProofError::TooLong);
    }
    let token = Token::parse(proof).map_err(ProofError::Form)?;
    if token.kind.as_deref() != Some("dpop+jwt") {
        return Err(ProofError::Kind);
    }
    let jwk = token.header.get("jwk").and_then(Json::object).ok_or(ProofError::Key("there is none"))?;
    let key = Key::of_proof(jwk, token.algorithm).map_err(ProofError::Key)?;
    if !key.verifies(token.signed, &token.signature) {
        return Err(ProofError::Signature);
    }
    let thumbprint = crate::keys::thumbprint(jwk).map_err(ProofError::Key)?;
    let until = check_claims(&token.claims, request, now)?;
    let id = id(&token.claims, &thumbprint)?;
    match token.claims.get("nonce").and_then(Json::text) {
        Some(nonce) if nonces.is_fresh(nonce, now) => Ok(Proof { key: thumbprint, id, until }),
        _ => Err(ProofError::Nonce),
    }
}

/// That the proof is for this request, and of now. Returns when it is too old.
fn check_claims(claims: &Object, request: &Request<'_>, now: Timestamp) -> Result<Timestamp, ProofError> {
    if text(claims, "htm")? != request.method {
        return Err(ProofError::Method);
    }
    let (named, called) = (uri::normal(text(claims, "htu")?), uri::normal(request.uri));
    if named.is_none() || named != called {
        return Err(ProofError::Uri);
    }
    if let Some(token) = request.token {
        let expected = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        if text(claims, "ath")? != expected {
            return Err(ProofError::Token);
        }
    }
    let Some(Json::Whole(made)) = claims.get("iat") else { return Err(ProofError::Claim("iat")) };
    let until = Timestamp::from_seconds(made.saturating_add(MAX_AGE).saturating_add(1));
    if now >= until || *made > now.seconds().saturating_add(MAX_AHEAD) {
        return Err(ProofError::Time);
    }
    Ok(until)
}

/// A `jti` is its key's own: nobody can use up another's.
fn id(claims: &Object, key: &Digest) -> Result<Digest, ProofError> {
    let id = text(claims, "jti")?;
    if id.is_empty() || id.len() > MAX_ID {
        return Err(ProofError::Claim("jti"));
    }
    sha256(&[&key.0, id.as_bytes()].concat())
}

fn sha256(bytes: &[u8]) -> Result<Digest, ProofError> {
    let bytes = digest(&SHA256, bytes).as_ref().try_into();
    bytes.map(Digest).map_err(|_| ProofError::Claim("jti"))
}

fn text<'a>(claims: &'a Object, name: &'static str) -> Result<&'a str, ProofError> {
    claims.get(name).and_then(Json::text).ok_or(ProofError::Claim(name))
}
