//! The tokens of Sluice's token endpoint, which stand for subjects of any issuer: how they are written, how they are
//! read.
//!
//! `sub` and the `sub` of each actor are `alias|id`; the principal's `kind` and `groups` stand in its own object, the
//! groups as policies name them. Only the issuer of [`Issuers::with_endpoint`] is read so.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::id::Digest;
use model::secret::Secret;
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use serde_json::{Value, json};

use crate::error::{IdentityError, excerpt};
use crate::json::{Json, Object};
use crate::proven::Confirmation;
use crate::subject::{Named, is_deceptive, is_name, parties_by};
use crate::{Issuer, Issuers, MAX_GROUPS, SigningKey};

/// What the audience of a token begins with that is good at one target alone; the target's name follows.
pub const TARGET_AUDIENCE: &str = "urn:sluice:target:";

/// What a token of the token endpoint is to say.
#[derive(Clone, Debug)]
pub struct Issued<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// The `aud` of a token that is good everywhere.
    pub audience: &'a str,
    /// Whom it stands for. Its expiry, in whole seconds, becomes `exp`, and its token id `jti`, without which the token
    /// is never accepted. Its credential names the tokens that it is issued for.
    pub subject: &'a Subject,
    /// The only target at which it is good; `None` means wherever the subject may be.
    pub target: Option<&'a str>,
    /// The key that it is bound to.
    pub confirmation: Option<Confirmation>,
}

impl SigningKey {
    /// Signs a token that stands for a subject of any issuer (RFC 9068, with `act` as RFC 8693 has it).
    pub fn issue(&self, issued: &Issued<'_>, now: Timestamp) -> Secret<String> {
        let subject = issued.subject;
        let audience = issued.target.map_or_else(|| issued.audience.to_owned(), |at| format!("{TARGET_AUDIENCE}{at}"));
        let mut claims = json!({
            "iss": issued.issuer, "aud": audience, "client_id": subject.key.to_string(),
            "iat": now.seconds(), "exp": subject.expires_at.seconds(), "jti": subject.token_id,
            "first_iat": subject.credential.issued_at.seconds(),
            "made_of": subject.credential.made_of.iter().map(|of| URL_SAFE_NO_PAD.encode(of.0)).collect::<Vec<_>>(),
        });
        for (name, value) in written(subject) {
            put(&mut claims, &name, value);
        }
        if let Some(confirmation) = &issued.confirmation {
            put(&mut claims, "cnf", confirmation.claim());
        }
        self.jws(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.id()}), &claims)
    }
}

/// The token's own subject with its actors inside (RFC 8693, section 4.1).
pub(crate) fn written(subject: &Subject) -> serde_json::Map<String, Value> {
    let principal = json!({
        "sub": subject.key.to_string(), "kind": subject.kind,
        "groups": subject.groups.iter().map(|group| &**group).collect::<Vec<_>>(),
    });
    // From who is calling to who began it, each around the one before.
    let others = subject.on_behalf_of.iter().map(|key| json!({ "sub": key.to_string() }));
    let mut parties: Vec<Value> = std::iter::once(principal).chain(others).collect();
    let Some(mut whole) = parties.pop() else { return serde_json::Map::new() };
    let acts = parties.into_iter().rev().fold(None, |inner, mut actor| {
        if let Some(inner) = inner {
            put(&mut actor, "act", inner);
        }
        Some(actor)
    });
    if let Some(acts) = acts {
        put(&mut whole, "act", acts);
    }
    match whole {
        Value::Object(whole) => whole,
        _ => serde_json::Map::new(),
    }
}

pub(crate) fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// Checks that the token is good here: everywhere, or at this very target.
pub(crate) fn check_audience(issuer: &Issuer, claims: &Object, target: Option<&str>) -> Result<(), IdentityError> {
    let Some(Json::Text(named)) = claims.get("aud") else {
        return Err(IdentityError::Claim { claim: "aud", problem: "absent, empty or not texts" });
    };
    let at_target = || target.is_some() && named.strip_prefix(TARGET_AUDIENCE) == target;
    if issuer.audiences.contains(&**named) || at_target() { Ok(()) } else { Err(IdentityError::Audience) }
}

/// Reads the names from the claims of a verified token.
pub(crate) fn parties<'a>(issuers: &Issuers, issuer: &Issuer, claims: &'a Object) -> Result<Named<'a>, IdentityError> {
    parties_by(issuer, claims, |party| key(issuers, party))
}

/// Whom a verified token stands for: kind and groups are what it says of its principal.
pub(crate) fn subject(
    named: Named<'_>,
    binding: Binding,
    expires_at: Timestamp,
    token_id: Option<Arc<str>>,
    credential: Credential,
) -> Result<Subject, IdentityError> {
    Ok(Subject {
        kind: kind(named.principal)?,
        groups: groups(named.principal)?,
        key: named.key,
        on_behalf_of: named.on_behalf_of,
        expires_at,
        binding,
        token_id: Some(token_id.ok_or(IdentityError::Claim { claim: "jti", problem: "absent" })?),
        credential,
    })
}

/// `alias|id` of an issuer that is still trusted.
pub(crate) fn key(issuers: &Issuers, party: &Object) -> Result<SubjectKey, IdentityError> {
    let named = party.get("sub").and_then(Json::text).and_then(|named| named.split_once('|'));
    let (issuer, id) = named.filter(|(_, id)| is_name(id)).ok_or(IdentityError::Name("subject or actor"))?;
    if !issuers.knows(issuer) {
        return Err(IdentityError::UnknownIssuer(excerpt(issuer)));
    }
    Ok(SubjectKey { issuer: issuer.into(), id: id.into() })
}

/// When the oldest of the credentials that it was issued for can have been issued: it counts as no younger.
pub(crate) fn first_issued_at(claims: &Object) -> Result<Timestamp, IdentityError> {
    let first = crate::claims::seconds(claims, "first_iat")?;
    first.map(Timestamp::from_seconds).ok_or(IdentityError::Claim { claim: "first_iat", problem: "absent" })
}

/// The digests of the tokens that it was issued for.
pub(crate) fn made_of(claims: &Object) -> Result<Vec<Digest>, IdentityError> {
    let wrong = IdentityError::Claim { claim: "made_of", problem: "not a list of digests" };
    let listed = claims.get("made_of").and_then(Json::list).ok_or_else(|| wrong.clone())?;
    let digest = |one: &Json| {
        let bytes = one.text().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())?;
        bytes.try_into().ok().map(Digest)
    };
    listed.iter().map(digest).collect::<Option<_>>().ok_or(wrong)
}

fn kind(principal: &Object) -> Result<SubjectKind, IdentityError> {
    match principal.get("kind").and_then(Json::text) {
        Some("service") => Ok(SubjectKind::Service),
        Some("user") => Ok(SubjectKind::User),
        _ => Err(IdentityError::Claim { claim: "kind", problem: "neither service nor user" }),
    }
}

fn groups(principal: &Object) -> Result<Vec<Arc<str>>, IdentityError> {
    let listed = principal.get("groups").and_then(Json::list);
    let listed = listed.ok_or(IdentityError::Groups("the claim is not a list"))?;
    if listed.len() > MAX_GROUPS {
        return Err(IdentityError::Groups("there are too many"));
    }
    let name = |group: &Json| {
        let name = group.text().filter(|name| !name.is_empty() && !name.chars().any(is_deceptive));
        name.map(Arc::from).ok_or(IdentityError::Name("group"))
    };
    let names: BTreeSet<Arc<str>> = listed.iter().map(name).collect::<Result<_, _>>()?;
    Ok(names.into_iter().collect())
}
