//! What Sluice issues: short-lived tokens that stand for the subject of the credential that was shown for them.

use std::sync::Arc;
use std::time::Duration;

use identity::{Confirmation, Issued, Issuer, KeySet, KeySetError, SigningKey, Told};
use model::secret::Secret;
use model::subject::Subject;
use model::time::Timestamp;
use store::config::TokenConfig;

use crate::node::{ENDPOINT_ISSUER_URL, LOCAL_AUDIENCE, LOCAL_ISSUER, Layout, StartError, local_key};

/// Signs what the token endpoint issues.
pub struct Tokens {
    key: SigningKey,
    issuer: Arc<str>,
    /// Whether others can find the key at the issuer's URL.
    is_public: bool,
    max_lifetime: Duration,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Tokens {
    /// With the key in the data directory.
    ///
    /// # Errors
    /// If the key cannot be made or read.
    pub fn open(config: &TokenConfig, layout: &Layout) -> Result<Self, StartError> {
        let issuer = config.issuer.as_deref().unwrap_or(ENDPOINT_ISSUER_URL);
        Ok(Self {
            key: local_key(layout)?,
            issuer: issuer.into(),
            is_public: config.issuer.is_some(),
            max_lifetime: config.max_lifetime,
        })
    }

    /// What its tokens are verified by.
    ///
    /// # Errors
    /// If the key set cannot be read back.
    pub fn as_issuer(&self) -> Result<(Issuer, KeySet), KeySetError> {
        let mut issuer = Issuer::new(LOCAL_ISSUER, Arc::clone(&self.issuer), LOCAL_AUDIENCE);
        issuer.max_lifetime = self.max_lifetime.as_secs();
        let keys = KeySet::from_jwks(self.jwks().as_bytes(), &issuer.algorithms)?;
        Ok((issuer, keys))
    }

    /// The `iss` of its tokens where it is a URL at which others find the key.
    pub fn public_issuer(&self) -> Option<&str> {
        self.is_public.then_some(&*self.issuer)
    }

    /// The public key as a JWK set.
    pub fn jwks(&self) -> String {
        self.key.jwks()
    }

    /// When something ends that is issued now for a credential that ends at `end`: no later than that credential, and
    /// no later than the configured bound. In whole seconds.
    pub fn end(&self, end: Timestamp, now: Timestamp) -> Timestamp {
        let bound = now.seconds().saturating_add(self.max_lifetime.as_secs());
        Timestamp::from_seconds(end.seconds().min(bound))
    }

    /// Signs what a target is told of a request.
    pub(crate) fn tell(&self, told: Told<'_>, now: Timestamp) -> Secret<String> {
        self.key.tell(&Told { issuer: &self.issuer, ..told }, now)
    }

    /// Signs a token for a subject whose expiry and token id are the token's own.
    pub fn sign(
        &self,
        subject: &Subject,
        target: Option<&str>,
        confirmation: Option<Confirmation>,
        now: Timestamp,
    ) -> Secret<String> {
        let issued = Issued { issuer: &self.issuer, audience: LOCAL_AUDIENCE, subject, target, confirmation };
        self.key.issue(&issued, now)
    }
}
