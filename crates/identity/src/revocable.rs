//! A token that somebody wants to be believed no more (RFC 7009).

use model::id::Digest;
use model::subject::SubjectKey;
use model::time::Timestamp;

use crate::error::IdentityError;
use crate::issuers::{Issuers, Names};
use crate::token::Token;
use crate::{claims, issued, subject, verify};

/// What a revocation has to know of a token that would be believed. It says who may be meant, and is no caller: nobody has
/// proved to hold the key that the token may be bound to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revocable {
    /// The token's own subject.
    pub subject: SubjectKey,
    /// What tells it from all other tokens.
    pub digest: Digest,
    /// When it ends anyway.
    pub expires_at: Timestamp,
}

/// Checks all of a token but its binding: whoever has a bound token may give it up without its key.
///
/// # Errors
/// As [`crate::verify`]: it would not be believed, so there is nothing to revoke.
pub fn revocable(token: &str, issuers: &Issuers, now: Timestamp) -> Result<Revocable, IdentityError> {
    let token = Token::parse(token)?;
    let signer = verify::signer(issuers, &token, now)?;
    let issuer = signer.issuer();
    claims::check_kind(issuer.profile, token.kind.as_deref(), &token.claims)?;
    let expires_at = claims::check_times(issuer, &token.claims, now)?;
    let subject = match signer.names() {
        Names::ItsOwn => {
            claims::check_audience(issuer, &token.claims)?;
            subject::key(issuer, &token.claims)?
        }
        // One that is good at a single target alone may be given up here too.
        Names::Everybodys => issued::key(issuers, &token.claims)?,
    };
    let digest = verify::fingerprint(&token).ok_or(IdentityError::NotCompact)?;
    Ok(Revocable { subject, digest, expires_at })
}
