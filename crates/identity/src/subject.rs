//! From verified claims to the subject: names, delegation and binding. The rule of delegation is in the crate's
//! own documentation.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::id::Digest;
use model::issuer::{Issuer, KindRule};
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;

use crate::error::IdentityError;
use crate::groups;
use crate::json::{Json, Object};
use crate::proven::Proven;

/// The most actors in a delegation.
pub const MAX_ACTORS: usize = 8;
/// The longest name of a subject, group or token, in bytes (OpenID Connect Core, section 2, for `sub`).
const MAX_NAME: usize = 255;

/// Who a verified credential names, before its groups are read.
pub(crate) struct Named<'a> {
    /// The caller's own claims: the outermost actor's, or the token's when nobody acts for its subject.
    pub(crate) principal: &'a Object,
    pub(crate) key: SubjectKey,
    pub(crate) on_behalf_of: Vec<SubjectKey>,
}

/// Reads the names from the claims of a verified credential.
pub(crate) fn parties<'a>(issuer: &Issuer, claims: &'a Object) -> Result<Named<'a>, IdentityError> {
    parties_by(issuer, claims, |party| key(issuer, party))
}

/// [`parties`], each with the name that `key` reads.
pub(crate) fn parties_by<'a>(
    issuer: &Issuer,
    claims: &'a Object,
    key: impl Fn(&Object) -> Result<SubjectKey, IdentityError>,
) -> Result<Named<'a>, IdentityError> {
    let actors = actors(issuer, claims)?;
    // The caller first.
    let parties: Vec<&Object> = actors.into_iter().chain([claims]).collect();
    let keys = parties.iter().map(|party| key(party)).collect::<Result<Vec<_>, _>>()?;
    let (Some(principal), Some((key, on_behalf_of))) = (parties.first(), keys.split_first()) else {
        return Err(IdentityError::Name("subject"));
    };
    Ok(Named { principal, key: key.clone(), on_behalf_of: on_behalf_of.to_vec() })
}

impl Named<'_> {
    /// The subject, with the groups of its principal.
    pub(crate) fn subject(
        self,
        issuer: &Issuer,
        binding: Binding,
        expires_at: Timestamp,
        token_id: Option<Arc<str>>,
        credential: Credential,
    ) -> Result<Subject, IdentityError> {
        Ok(Subject {
            kind: kind(&issuer.kind, self.principal),
            groups: groups::groups(issuer, self.principal)?,
            key: self.key,
            on_behalf_of: self.on_behalf_of,
            expires_at,
            binding,
            token_id,
            credential,
        })
    }
}

/// Checks that the connection proved the key that the token is bound to (`cnf`, RFC 7800). Any confirmation that is not
/// understood, or not possible on this connection, refuses the token: a bound token never counts as a bearer token.
pub(crate) fn binding(claims: &Object, proven: &Proven) -> Result<Binding, IdentityError> {
    let Some(confirmation) = claims.get("cnf") else {
        return Ok(Binding::Bearer);
    };
    let confirmation = confirmation.object().ok_or(IdentityError::Binding("`cnf` is not an object"))?;
    let only = confirmation.first_key_value().filter(|_| confirmation.len() == 1);
    let is = |named: &Json, shown: Digest| {
        let named = named.text().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        named.is_some_and(|named| named == shown.0)
    };
    match only.map(|(name, value)| (name.as_str(), value)) {
        Some(("x5t#S256", named)) => {
            let shown = proven.certificate.ok_or(IdentityError::Binding("the connection has no client certificate"))?;
            let fits = is(named, shown);
            if fits { Ok(Binding::Mtls) } else { Err(IdentityError::Binding("the client certificate is another")) }
        }
        Some(("jkt", named)) => {
            let shown = proven.proof_key.ok_or(IdentityError::Binding("there is no DPoP proof"))?;
            let fits = is(named, shown);
            if fits { Ok(Binding::Dpop) } else { Err(IdentityError::Binding("the DPoP proof is by another key")) }
        }
        _ => Err(IdentityError::Binding("`cnf` is not one certificate (x5t#S256) or one key (jkt) alone")),
    }
}

/// The `act` objects, the outermost first.
pub(crate) fn actors<'a>(issuer: &Issuer, claims: &'a Object) -> Result<Vec<&'a Object>, IdentityError> {
    let mut actors = Vec::new();
    let mut outer = claims;
    while let Some(actor) = outer.get("act") {
        let actor = actor.object().ok_or(IdentityError::Delegation("`act` is not an object"))?;
        let speaks_for_itself = actor.get("iss").is_none_or(|named| named.text() == Some(&*issuer.url));
        if !speaks_for_itself {
            return Err(IdentityError::Delegation("an actor is another issuer's subject"));
        }
        if actors.len() == MAX_ACTORS {
            return Err(IdentityError::Delegation("there are too many actors"));
        }
        actors.push(actor);
        outer = actor;
    }
    Ok(actors)
}

/// The party's name.
pub(crate) fn key(issuer: &Issuer, party: &Object) -> Result<SubjectKey, IdentityError> {
    named(issuer, party.get(&*issuer.id_claim).and_then(Json::text))
}

/// The subject of this name. Printable ASCII alone, as OpenID Connect demands of `sub`: so no two names look alike, and
/// none needs a canonical form.
pub(crate) fn named(issuer: &Issuer, id: Option<&str>) -> Result<SubjectKey, IdentityError> {
    let id = id.filter(|id| is_name(id)).ok_or(IdentityError::Name("subject or actor"))?;
    Ok(SubjectKey { issuer: Arc::clone(&issuer.alias), id: id.into() })
}

/// Whether a text may name a subject.
pub(crate) fn is_name(id: &str) -> bool {
    is_short_and_trimmed(id) && id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn kind(rule: &KindRule, party: &Object) -> SubjectKind {
    match rule {
        KindRule::Service => SubjectKind::Service,
        KindRule::User => SubjectKind::User,
        KindRule::UserIf { claim, value } => {
            let is_user = party.get(&**claim).and_then(Json::text) == Some(value);
            if is_user { SubjectKind::User } else { SubjectKind::Service }
        }
    }
}

/// `jti`, for the record.
pub(crate) fn token_id(claims: &Object) -> Result<Option<Arc<str>>, IdentityError> {
    match claims.get("jti") {
        None => Ok(None),
        Some(Json::Text(id)) if is_short_and_trimmed(id) && !id.chars().any(is_deceptive) => Ok(Some((**id).into())),
        Some(_) => Err(IdentityError::Claim { claim: "jti", problem: "not a short text" }),
    }
}

pub(crate) fn is_short_and_trimmed(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.trim() == name
}

/// Characters that are not seen, or change how others are seen: controls, line separators, and Unicode's
/// Default_Ignorable and bidirectional controls.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
