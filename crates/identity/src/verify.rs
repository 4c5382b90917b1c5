//! The order of the checks: form, algorithm, issuer, key, signature, and only then what the claims say.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use model::id::Digest;
use model::issuer::Issuer;
use model::spiffe::SpiffeId;
use model::subject::{Credential, Subject};
use model::time::Timestamp;

use crate::check::Check;
use crate::error::{IdentityError, excerpt};
use crate::issuers::{Issuers, Names, Trusted, TrustedDomain};
use crate::json::{Json, Object};
use crate::keys::Key;
use crate::proven::Proven;
use crate::token::{self, Token};
use crate::{claims, issued, subject, svid};

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
    step_by_step(token, issuers, proven, None, now, &mut |_| {})
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
    step_by_step(token, issuers, proven, Some(target), now, &mut |_| {})
}

/// [`verify`] or, with a target, [`verify_for`], which tells `passed` of each check once it is passed.
pub(crate) fn step_by_step(
    token: &str,
    issuers: &Issuers,
    proven: &Proven,
    target: Option<&str>,
    now: Timestamp,
    passed: &mut dyn FnMut(Check),
) -> Result<Subject, IdentityError> {
    let token = Token::parse(token)?;
    passed(Check::Form);
    let signer = signed(issuers, &token, now, passed)?;
    let issuer = signer.issuer();
    claims::check_kind(issuer.profile, token.kind.as_deref(), &token.claims)?;
    passed(Check::Kind);
    match signer.names() {
        Names::ItsOwn => claims::check_audience(issuer, &token.claims)?,
        Names::Everybodys => issued::check_audience(issuer, &token.claims, target)?,
    }
    passed(Check::Audience);
    let expires_at = claims::check_times(issuer, &token.claims, now)?;
    passed(Check::Times);
    let binding = subject::binding(&token.claims, proven)?;
    passed(Check::Binding);
    let issued_at = claims::issued_at(issuer, &token.claims)?;
    let (issued_at, made_of) = match signer.names() {
        Names::ItsOwn => (issued_at, Vec::new()),
        Names::Everybodys => (issued_at.min(issued::first_issued_at(&token.claims)?), issued::made_of(&token.claims)?),
    };
    let credential = Credential { issued_at, digest: fingerprint(&token), generation: 0, made_of };
    let named = match signer.names() {
        Names::ItsOwn => subject::parties(issuer, &token.claims)?,
        Names::Everybodys => issued::parties(issuers, issuer, &token.claims)?,
    };
    let token_id = subject::token_id(&token.claims)?;
    passed(Check::Names);
    let subject = match signer.names() {
        Names::ItsOwn => named.subject(issuer, binding, expires_at, token_id, credential)?,
        Names::Everybodys => issued::subject(named, binding, expires_at, token_id, credential)?,
    };
    let subject = match signer {
        Signer::Issuer(_) => subject,
        Signer::TrustDomain(trusted) => svid::of_trust_domain(&trusted.domain, subject)?,
    };
    passed(Check::Groups);
    Ok(subject)
}

/// The one that the token names, when it has signed it.
pub(crate) fn signer<'a>(issuers: &'a Issuers, token: &Token<'_>, now: Timestamp) -> Result<Signer<'a>, IdentityError> {
    signed(issuers, token, now, &mut |_| {})
}

fn signed<'a>(
    issuers: &'a Issuers,
    token: &Token<'_>,
    now: Timestamp,
    passed: &mut dyn FnMut(Check),
) -> Result<Signer<'a>, IdentityError> {
    let signer = named(issuers, &token.claims)?;
    passed(Check::Issuer);
    let key = key(signer.trusted(), token, now)?;
    passed(Check::Key);
    if !key.verifies(token.signed, &token.signature) {
        return Err(IdentityError::Signature);
    }
    passed(Check::Signature);
    Ok(signer)
}

/// Whether a text is no token, or one that names none of these issuers: whoever it was made for is somebody else. It may name
/// one and be wrong in whatever else.
pub fn is_of_nobody(token: &str, issuers: &Issuers) -> bool {
    match token::claims(token) {
        Ok(claims) => named(issuers, &claims).is_err(),
        Err(IdentityError::NotCompact | IdentityError::Encrypted) => true,
        Err(_) => false,
    }
}

/// What tells the token from all others ([`model::revocation::Whose::Token`]).
pub(crate) fn fingerprint(token: &Token<'_>) -> Option<Digest> {
    digest(&SHA256, token.signed).as_ref().try_into().ok().map(Digest)
}

/// Who must have signed the token.
#[derive(Clone, Copy)]
pub(crate) enum Signer<'a> {
    /// An issuer of the configuration, or Sluice's own.
    Issuer(&'a Trusted),
    /// A SPIFFE trust domain.
    TrustDomain(&'a TrustedDomain),
}

impl<'a> Signer<'a> {
    const fn trusted(self) -> &'a Trusted {
        match self {
            Self::Issuer(trusted) => trusted,
            Self::TrustDomain(trusted) => &trusted.tokens,
        }
    }

    /// By whose rules the token is read.
    pub(crate) const fn issuer(self) -> &'a Arc<Issuer> {
        &self.trusted().issuer
    }

    /// Whom the token may name.
    pub(crate) const fn names(self) -> Names {
        self.trusted().names
    }
}

/// The issuer that `iss` names. A JWT-SVID need not have one, and is of the trust domain of its `sub` (JWT-SVID, section
/// 3.1): only that trust domain's own keys can make it true.
fn named<'a>(issuers: &'a Issuers, claims: &Object) -> Result<Signer<'a>, IdentityError> {
    let text = |claim| claims.get(claim).and_then(Json::text);
    let url = text("iss");
    if let Some(trusted) = url.and_then(|url| issuers.by_url(url)) {
        return Ok(Signer::Issuer(trusted));
    }
    let workload = text("sub").and_then(SpiffeId::parse);
    let domain = workload.and_then(|id| issuers.by_trust_domain(id.trust_domain()));
    let unknown = || match (url, workload) {
        (Some(url), _) => excerpt(url),
        (None, Some(id)) => excerpt(id.as_str()),
        (None, None) => String::from("(absent)"),
    };
    domain.map(Signer::TrustDomain).ok_or_else(|| IdentityError::UnknownIssuer(unknown()))
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
