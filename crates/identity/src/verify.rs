//! The order of the checks: form, algorithm, issuer, key, signature, and only then what the claims say.

use model::subject::Subject;
use model::time::Timestamp;

use crate::error::{IdentityError, excerpt};
use crate::issuers::{Issuers, Names, Trusted};
use crate::json::Json;
use crate::keys::Key;
use crate::proven::Proven;
use crate::token::Token;
use crate::{claims, issued, subject};

/// Verifies a JWT and says who the caller is.
///
/// `proven` is what the caller showed beside the token, to which the token may be bound. `now` is wall-clock time. A token
/// that is good at one target alone is refused: it is for [`verify_for`].
///
/// # Errors
/// The first check that fails, as the true reason for the journal. [`IdentityError::UnknownKey`] and
/// [`IdentityError::KeysTooOld`] are the two that may pass after the issuer's keys are fetched again
/// ([`crate::KeyCache::unknown_key`]); all others are final.
pub fn verify(token: &str, issuers: &Issuers, proven: &Proven, now: Timestamp) -> Result<Subject, IdentityError> {
    check(token, issuers, proven, None, now)
}

/// As [`verify`], where the caller wants to be at `target`: a token that is good at that target alone will do too.
///
/// # Errors
/// As [`verify`].
pub fn verify_for(
    token: &str,
    issuers: &Issuers,
    proven: &Proven,
    target: &str,
    now: Timestamp,
) -> Result<Subject, IdentityError> {
    check(token, issuers, proven, Some(target), now)
}

fn check(
    token: &str,
    issuers: &Issuers,
    proven: &Proven,
    target: Option<&str>,
    now: Timestamp,
) -> Result<Subject, IdentityError> {
    let token = Token::parse(token)?;
    let trusted = issuer(issuers, &token)?;
    let key = key(trusted, &token, now)?;
    if !key.verifies(token.signed, &token.signature) {
        return Err(IdentityError::Signature);
    }
    let issuer = &trusted.issuer;
    claims::check_kind(issuer.profile, token.kind.as_deref(), &token.claims)?;
    match trusted.names {
        Names::ItsOwn => claims::check_audience(issuer, &token.claims)?,
        Names::Everybodys => issued::check_audience(issuer, &token.claims, target)?,
    }
    let expires_at = claims::check_times(issuer, &token.claims, now)?;
    let binding = subject::binding(&token.claims, proven)?;
    match trusted.names {
        Names::ItsOwn => subject::subject(issuer, &token.claims, binding, expires_at),
        Names::Everybodys => issued::subject(issuers, issuer, &token.claims, binding, expires_at),
    }
}

fn issuer<'a>(issuers: &'a Issuers, token: &Token<'_>) -> Result<&'a Trusted, IdentityError> {
    let Some(Json::Text(url)) = token.claims.get("iss") else {
        return Err(IdentityError::UnknownIssuer(String::from("(absent)")));
    };
    issuers.by_url(url).ok_or_else(|| IdentityError::UnknownIssuer(excerpt(url)))
}

/// One of the issuer's own keys, and only for the algorithm that it is pinned to.
fn key<'a>(trusted: &'a Trusted, token: &Token<'_>, now: Timestamp) -> Result<&'a Key, IdentityError> {
    let issuer = &trusted.issuer;
    let keys = trusted.keys(now).ok_or_else(|| IdentityError::KeysTooOld { issuer: issuer.alias.clone() })?;
    let key = keys.find(token.key_id.as_deref()).ok_or_else(|| IdentityError::UnknownKey {
        issuer: issuer.alias.clone(),
        kid: token.key_id.as_deref().map_or_else(|| String::from("(absent)"), excerpt),
    })?;
    let (claimed, pinned) = (token.algorithm, key.algorithm());
    // The issuer's own list too: it may be stricter now than when the keys were read.
    if claimed == pinned && issuer.algorithms.contains(&claimed) {
        Ok(key)
    } else {
        Err(IdentityError::KeyAlgorithm { claimed: claimed.name(), pinned: pinned.name() })
    }
}
