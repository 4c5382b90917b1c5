//! What a target is told of who asks: a JWT for one request, which nobody but the target takes.
//!
//! It is no access token: its `typ` and its audience are others, and Sluice itself never takes one.

use model::secret::Secret;
use model::subject::Subject;
use model::time::Timestamp;
use serde_json::json;

use crate::SigningKey;
use crate::issued::{put, written};

/// The `typ` of what targets are told (RFC 8725, section 3.11).
pub const TOLD_TYPE: &str = "sluice-identity+jwt";

/// What a target is told of one request.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// Who asks, and for whom: `sub` and `act` as in the tokens that Sluice issues.
    pub subject: &'a Subject,
    /// The request's id, which is `jti`.
    pub request: &'a str,
    /// The target.
    pub target: &'a str,
    /// The method and the path of the request.
    pub line: (&'a str, &'a str),
    /// Seconds from now to `exp`.
    pub lifetime: u64,
}

impl SigningKey {
    /// Signs what a target is told.
    pub fn tell(&self, told: &Told<'_>, now: Timestamp) -> Secret<String> {
        let (issued, expires) = (now.seconds(), now.seconds().saturating_add(told.lifetime));
        let (method, path) = told.line;
        let mut claims = json!({
            "iss": told.issuer, "aud": told.audience, "iat": issued, "exp": expires, "jti": told.request,
            "target": told.target, "method": method, "path": path,
        });
        for (name, value) in written(told.subject) {
            put(&mut claims, &name, value);
        }
        self.jws(&json!({"alg": "EdDSA", "typ": TOLD_TYPE, "kid": self.id()}), &claims)
    }
}
