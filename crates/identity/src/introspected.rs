//! Opaque tokens: what their issuer says of them (RFC 7662), checked as strictly as the claims of a signed token.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use model::id::Digest;
use model::issuer::Issuer;
use model::subject::{Credential, Subject};
use model::time::Timestamp;

use crate::check::{Check, Inspection};
use crate::error::{IdentityError, excerpt};
use crate::json::{Json, Object, parse_object};
use crate::proven::Proven;
use crate::revocable::Revocable;
use crate::{claims, subject};

/// The longest opaque token, in bytes. Those of large issuers are below 2 KiB.
const MAX_OPAQUE: usize = 4096;
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = crate::MAX_TOKEN;

/// Whether a token can be one that only its issuer can read: it has the characters of a bearer token (RFC 6750, section
/// 2.1), is at most 4 KiB long and begins with `prefix`; without a prefix it must not look like a JWT, so that no
/// signed token, whole or broken, is shown to an issuer that did not sign it.
pub fn is_opaque(token: &str, prefix: Option<&str>) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    let text = token.trim_end_matches('=');
    let is_bearer = !text.is_empty() && token.len() <= MAX_OPAQUE && text.bytes().all(is_plain);
    let is_its = match prefix {
        Some(prefix) => token.starts_with(prefix),
        None => !token.starts_with("eyJ") && !matches!(token.matches('.').count(), 2 | 4),
    };
    is_bearer && is_its
}

/// What an opaque token is remembered and recorded by: its SHA-256, which does not let anybody in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest(Digest);

impl TokenDigest {
    /// Of this token.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()) {
            *to = *from;
        }
        Self(Digest(bytes))
    }

    /// Whether a subject was verified by an opaque token, and by which.
    pub fn of_subject(subject: &Subject) -> Option<Self> {
        let digest = Self(subject.credential.digest?);
        (subject.token_id.as_deref() == Some(&*digest.token_id())).then_some(digest)
    }

    /// The id of the token in the record ([`Subject::token_id`]). Never the `jti` of an answer: with some issuers that is
    /// the token itself.
    pub fn token_id(&self) -> Arc<str> {
        self.to_string().into()
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.0)
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What an issuer said of an active token, and when it was asked.
#[derive(Clone, PartialEq, Debug)]
pub struct Introspected {
    claims: Object,
    asked_at: Timestamp,
}

impl Introspected {
    /// Reads an answer. `asked_at` is when the question was sent, so that a slow answer is not young.
    ///
    /// # Errors
    /// [`IdentityError::Inactive`] if the token is none, or not any more; otherwise the answer is malformed.
    pub fn parse(answer: &[u8], asked_at: Timestamp) -> Result<Self, IdentityError> {
        let malformed = |reason| IdentityError::Malformed { part: "answer", reason };
        if answer.len() > MAX_ANSWER {
            return Err(malformed(String::from("too long")));
        }
        let claims = parse_object(answer).map_err(malformed)?;
        match claims.get("active") {
            Some(Json::Bool(true)) => Ok(Self { claims, asked_at }),
            Some(Json::Bool(false)) => Err(IdentityError::Inactive),
            _ => Err(malformed(String::from("`active` is neither true nor false"))),
        }
    }

    /// When it was asked for.
    pub const fn asked_at(&self) -> Timestamp {
        self.asked_at
    }

    /// Says who the caller is.
    ///
    /// # Errors
    /// The first check that fails, as for [`crate::verify`].
    pub fn verify(
        &self,
        issuer: &Issuer,
        token: TokenDigest,
        proven: &Proven,
        now: Timestamp,
    ) -> Result<Subject, IdentityError> {
        self.step_by_step(issuer, token, proven, now, &mut |_| {})
    }

    /// [`Introspected::verify`], and how each check went.
    pub fn inspect(&self, issuer: &Issuer, token: TokenDigest, proven: &Proven, now: Timestamp) -> Inspection {
        let mut passed = 0_usize;
        let result = self.step_by_step(issuer, token, proven, now, &mut |_| passed = passed.saturating_add(1));
        Inspection { claims: Some(Json::shown(&self.claims)), ..Inspection::of(&Check::OF_OPAQUE, passed, result) }
    }

    /// What a revocation has to know of the token, as [`crate::revocable`].
    ///
    /// # Errors
    /// As [`Introspected::verify`]: it would not be believed, so there is nothing to revoke.
    pub fn revocable(&self, issuer: &Issuer, token: TokenDigest, now: Timestamp) -> Result<Revocable, IdentityError> {
        check_issuer(issuer, &self.claims)?;
        check_kind(&self.claims)?;
        claims::check_audience(issuer, &self.claims)?;
        let expires_at = claims::check_answered_times(issuer, &self.claims, self.asked_at, now)?;
        Ok(Revocable { subject: subject::key(issuer, &self.claims)?, digest: token.0, expires_at })
    }

    fn step_by_step(
        &self,
        issuer: &Issuer,
        token: TokenDigest,
        proven: &Proven,
        now: Timestamp,
        passed: &mut dyn FnMut(Check),
    ) -> Result<Subject, IdentityError> {
        let claims = &self.claims;
        passed(Check::Form);
        check_issuer(issuer, claims)?;
        passed(Check::Issuer);
        passed(Check::Active);
        check_kind(claims)?;
        passed(Check::Kind);
        claims::check_audience(issuer, claims)?;
        passed(Check::Audience);
        let expires_at = claims::check_answered_times(issuer, claims, self.asked_at, now)?;
        passed(Check::Times);
        let binding = subject::binding(claims, proven)?;
        passed(Check::Binding);
        let named = subject::parties(issuer, claims)?;
        passed(Check::Names);
        // Without `iat`, one as old as can be, which every revocation reaches.
        let issued_at = claims::issued_at(issuer, claims).unwrap_or_default();
        let credential = Credential { issued_at, digest: Some(token.0), ..Credential::default() };
        let subject = named.subject(issuer, binding, expires_at, Some(token.token_id()), credential)?;
        passed(Check::Groups);
        Ok(subject)
    }
}

/// `iss` may be left out (RFC 7662, section 2.2): it was the issuer that answered.
fn check_issuer(issuer: &Issuer, claims: &Object) -> Result<(), IdentityError> {
    match claims.get("iss") {
        None => Ok(()),
        Some(Json::Text(url)) if **url == *issuer.url => Ok(()),
        Some(Json::Text(url)) => Err(IdentityError::UnknownIssuer(excerpt(url))),
        Some(_) => Err(IdentityError::Claim { claim: "iss", problem: "not a text" }),
    }
}

/// That it is an access token. Issuers answer about refresh tokens too: some then leave out `token_type`, some say
/// `token_use` (Hydra), some `typ` (Keycloak).
fn check_kind(claims: &Object) -> Result<(), IdentityError> {
    let text = |name| claims.get(name).map(|value: &Json| value.text().unwrap_or_default());
    let is_bound = claims.contains_key("cnf");
    let is_type = match text("token_type") {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => true,
        Some(kind) if kind.eq_ignore_ascii_case("dpop") => is_bound,
        _ => false,
    };
    if !is_type {
        return Err(IdentityError::Kind("`token_type` is not that of an access token"));
    }
    if text("token_use").is_some_and(|used| used != "access_token") {
        return Err(IdentityError::Kind("`token_use` is not `access_token`"));
    }
    if text("typ").is_some_and(|typ| !matches!(typ, "Bearer" | "DPoP" | "at+jwt")) {
        return Err(IdentityError::Kind("`typ` is not that of an access token"));
    }
    claims::check_not_foreign(claims)
}

#[cfg(test)]
mod tests;
