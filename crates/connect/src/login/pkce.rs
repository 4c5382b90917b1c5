//! Proof key for code exchange (RFC 7636), by SHA-256 alone.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::secret::Secret;

use crate::random::{self, NoRandomness};

/// A verifier that stays here, and its challenge.
pub(super) struct Pkce {
    pub(super) verifier: Secret<String>,
    pub(super) challenge: String,
}

impl Pkce {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        Ok(Self::of(random::word()?))
    }

    fn of(verifier: String) -> Self {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        Self { verifier: Secret::new(verifier), challenge }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn the_example_of_the_standard() {
        let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_is_new_each_time_and_as_long_as_it_has_to_be() {
        let (one, other) = (Pkce::new().unwrap(), Pkce::new().unwrap());
        assert_ne!(one.verifier.expose(), other.verifier.expose());
        // RFC 7636, section 4.1.
        assert!((43..=128).contains(&one.verifier.expose().len()));
    }
}
