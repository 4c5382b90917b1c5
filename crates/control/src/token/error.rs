//! Errors of the token endpoint (RFC 6749, section 5.2).

use axum::http::HeaderValue;

/// Why nothing was issued, as the caller may know it.
#[derive(Debug)]
pub(crate) struct TokenError {
    pub(super) status: u16,
    pub(super) error: &'static str,
    pub(super) description: String,
    pub(super) nonce: Option<HeaderValue>,
}

impl TokenError {
    fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), nonce: None }
    }

    /// The request lacks something, has it twice, or asks for what is not issued.
    pub(crate) fn request(description: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", description)
    }

    /// No such grant.
    pub(crate) fn unsupported_grant() -> Self {
        let known: Vec<&str> = super::grants::Grant::ALL.into_iter().map(super::grants::Grant::name).collect();
        Self::new(400, "unsupported_grant_type", format!("write one of {}", known.join(", ")))
    }

    /// A credential of a token exchange is not accepted (RFC 8693, section 2.2.2).
    pub(crate) fn credential() -> Self {
        Self::request("the identity was not accepted")
    }

    /// An assertion is not accepted (RFC 7521, section 4.1.1).
    pub(crate) fn grant() -> Self {
        Self::new(400, "invalid_grant", "the identity was not accepted")
    }

    /// Policy does not let this subject have it.
    pub(crate) fn not_permitted(description: impl Into<String>) -> Self {
        Self::new(400, "unauthorized_client", description)
    }

    /// There is no such target for this subject (RFC 8693, section 2.2.2).
    pub(crate) fn target() -> Self {
        Self::new(400, "invalid_target", "there is no such target that you may connect to")
    }

    /// The proof of possession does not hold (RFC 9449, section 5).
    pub(crate) fn proof() -> Self {
        Self::new(400, "invalid_dpop_proof", "the proof was not accepted")
    }

    /// The proof has no fresh nonce; here is one (RFC 9449, section 8).
    pub(crate) fn nonce(nonce: Option<HeaderValue>) -> Self {
        let description = "put the DPoP-Nonce of this answer into the proof, and ask again";
        Self { nonce, ..Self::new(400, "use_dpop_nonce", description) }
    }

    /// The subject has as many as it may have.
    pub(crate) fn too_many(description: impl Into<String>) -> Self {
        Self::new(429, "temporarily_unavailable", description)
    }

    /// The journal, or what else has to be written, cannot be.
    pub(crate) fn unavailable() -> Self {
        Self::new(503, "temporarily_unavailable", "it cannot be recorded; see Sluice's log and try again")
    }

    /// A defect of Sluice.
    pub(crate) fn internal() -> Self {
        Self::new(500, "server_error", "Sluice failed; its log says how")
    }
}
