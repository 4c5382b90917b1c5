//! Security event tokens (RFC 8417): what an issuer says has happened to its subjects. Events of CAEP 1.0 and RISC 1.0.
//!
//! An issuer is believed about its own subjects alone. What a token says beside the events that are known here is passed
//! over (RFC 8417, section 2): it may only take something away, so that nothing is believed because of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::issuer::{Issuer, KindRule};
use model::subject::SubjectKey;
use model::time::Timestamp;

use crate::error::IdentityError;
use crate::issuers::Issuers;
use crate::json::{Json, Object};
use crate::token::Token;
use crate::{claims, groups, subject, verify};

/// How old an event may be, in milliseconds: older ones are about tokens that have ended.
pub const MAX_EVENT_AGE: u64 = Issuer::LONGEST_LIFETIME * 1000;

/// The most events in one token. Transmitters put one into each (OpenID Shared Signals 1.0, section 4.1.8).
const MAX_EVENTS: usize = 8;

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

/// What an issuer said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecurityEvent {
    /// The issuer's alias.
    pub issuer: Arc<str>,
    /// The token's id (`jti`): it is taken once.
    pub id: Arc<str>,
    /// When it was said, by the issuer's clock.
    pub issued_at: Timestamp,
    /// What changed; empty where none of it is known here.
    pub changes: Vec<Change>,
}

/// What changed for one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Whose.
    pub subject: SubjectKey,
    /// What.
    pub what: What,
}

/// The events that are acted on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// CAEP `session-revoked`.
    SessionRevoked,
    /// CAEP `credential-change`, unless a credential was only added.
    CredentialChanged,
    /// CAEP `token-claims-change` of the groups: what they are now, as policies name them.
    GroupsNow(BTreeSet<Arc<str>>),
    /// CAEP `token-claims-change` of a claim that says who or what the subject is.
    ClaimsChanged,
    /// RISC `account-disabled` or `account-purged`.
    AccountDisabled,
    /// RISC `account-enabled`: takes back what `account-disabled` said, and nothing else.
    AccountEnabled,
}

/// Why a security event token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is not signed by somebody who is believed, for us.
    #[error(transparent)]
    Token(#[from] IdentityError),
    /// The issuer is not one whose events are taken.
    #[error("issuer `{0}` is not configured to send events")]
    NotTaken(Arc<str>),
    /// It is signed and does not say what such a token must.
    #[error("the security event is malformed: {0}")]
    Malformed(&'static str),
    /// It was issued too long ago.
    #[error("the security event is {0} s old")]
    TooOld(u64),
}

impl EventError {
    /// The code of RFC 8935, section 2.4.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotTaken(_) | Self::Token(IdentityError::UnknownIssuer(_)) => "invalid_issuer",
            Self::Token(IdentityError::Audience) => "invalid_audience",
            Self::Token(
                IdentityError::UnknownKey { .. }
                | IdentityError::KeysTooOld { .. }
                | IdentityError::KeyAlgorithm { .. }
                | IdentityError::Algorithm(_)
                | IdentityError::KeyId
                | IdentityError::Signature,
            ) => "invalid_key",
            Self::Token(_) | Self::Malformed(_) | Self::TooOld(_) => "invalid_request",
        }
    }
}

/// Verifies a security event token and reads the events that are known here.
///
/// # Errors
/// The first check that fails. The signature is checked before anything else that it says.
pub fn security_event(token: &str, issuers: &Issuers, now: Timestamp) -> Result<SecurityEvent, EventError> {
    let token = Token::parse(token)?;
    let issuer = verify::signer(issuers, &token, now)?.issuer();
    if token.kind.as_deref() != Some("secevent+jwt") {
        return Err(IdentityError::Kind("`typ` is not secevent+jwt").into());
    }
    if !issuer.events {
        return Err(EventError::NotTaken(Arc::clone(&issuer.alias)));
    }
    claims::check_audience(issuer, &token.claims)?;
    let issued_at = check_times(issuer, &token.claims, now)?;
    let id = subject::token_id(&token.claims)?.ok_or(EventError::Malformed("it has no `jti`"))?;
    let changes = changes(issuer, &token.claims)?;
    Ok(SecurityEvent { issuer: Arc::clone(&issuer.alias), id, issued_at, changes })
}

/// `iat` is needed; `exp` is not (RFC 8417, section 2.2), and is kept where it is.
fn check_times(issuer: &Issuer, claims: &Object, now: Timestamp) -> Result<Timestamp, EventError> {
    let absent = IdentityError::Claim { claim: "iat", problem: "absent" };
    let issued = claims::seconds(claims, "iat")?.ok_or(absent)?;
    let ahead = issued.saturating_sub(now.seconds().saturating_add(issuer.leeway));
    if ahead > 0 {
        return Err(IdentityError::NotYet(ahead).into());
    }
    let issued_at = Timestamp::from_seconds(issued);
    if now.millis_since(issued_at) > MAX_EVENT_AGE {
        return Err(EventError::TooOld(now.millis_since(issued_at) / 1000));
    }
    match claims::seconds(claims, "exp")? {
        Some(expires) if now.seconds() >= expires => Err(IdentityError::Expired(now.seconds() - expires).into()),
        Some(_) | None => Ok(issued_at),
    }
}

fn changes(issuer: &Issuer, claims: &Object) -> Result<Vec<Change>, EventError> {
    let events =
        claims.get("events").and_then(Json::object).ok_or(EventError::Malformed("`events` is not an object"))?;
    if events.is_empty() || events.len() > MAX_EVENTS {
        return Err(EventError::Malformed("`events` has none or too many"));
    }
    let mut changes = Vec::new();
    for (uri, event) in events {
        let event = event.object().ok_or(EventError::Malformed("an event is not an object"))?;
        if let Some(what) = what(issuer, uri, event)? {
            changes.push(Change { subject: subject_of(issuer, claims, event)?, what });
        }
    }
    Ok(changes)
}

/// What an event means here; `None` for one that changes nothing that is believed here.
fn what(issuer: &Issuer, uri: &str, event: &Object) -> Result<Option<What>, EventError> {
    let of = |prefix: &str| uri.strip_prefix(prefix);
    Ok(match (of(CAEP), of(RISC)) {
        (Some("session-revoked"), _) => Some(What::SessionRevoked),
        (Some("credential-change"), _) => match event.get("change_type").and_then(Json::text) {
            // CAEP 1.0, section 3.3.1.
            Some("create") => None,
            Some("revoke" | "update" | "delete") => Some(What::CredentialChanged),
            Some(_) | None => return Err(EventError::Malformed("`change_type` is not one of CAEP's")),
        },
        (Some("token-claims-change"), _) => {
            let claims = event.get("claims").and_then(Json::object);
            claims_changed(issuer, claims.ok_or(EventError::Malformed("`claims` is not an object"))?)?
        }
        (_, Some("account-disabled" | "account-purged")) => Some(What::AccountDisabled),
        (_, Some("account-enabled")) => Some(What::AccountEnabled),
        (_, _) => None,
    })
}

/// What new values of claims mean: groups are taken as they are, anything else that Sluice goes by makes old tokens stale.
fn claims_changed(issuer: &Issuer, claims: &Object) -> Result<Option<What>, EventError> {
    let says_kind = matches!(&issuer.kind, KindRule::UserIf { claim, .. } if claims.contains_key(&**claim));
    if says_kind || claims.contains_key(&*issuer.id_claim) {
        return Ok(Some(What::ClaimsChanged));
    }
    let Some(path) = &issuer.groups_claim else { return Ok(None) };
    if groups::find(claims, path)?.is_none() {
        // What holds the groups may have been replaced by something without them.
        let touches = path.names().first().is_some_and(|outer| claims.contains_key(&**outer));
        return Ok(touches.then(|| What::GroupsNow(BTreeSet::new())));
    }
    Ok(Some(What::GroupsNow(groups::groups(issuer, claims)?.into_iter().collect())))
}

/// Whom an event is about: `sub_id` of the token (RFC 9493), or `subject` of the event, as drafts of CAEP and RISC had it.
/// Two that differ are one too many.
fn subject_of(issuer: &Issuer, claims: &Object, event: &Object) -> Result<SubjectKey, EventError> {
    let named = [claims.get("sub_id"), event.get("subject"), event.get("sub_id")];
    let mut keys = named.into_iter().flatten().map(|named| identified(issuer, named));
    let first = keys.next().ok_or(EventError::Malformed("it names no subject"))??;
    for other in keys {
        if other? != first {
            return Err(EventError::Malformed("it names two subjects"));
        }
    }
    Ok(first)
}

/// A subject identifier (RFC 9493, sections 3.2.3 and 3.2.5). Others name nobody that tokens name.
fn identified(issuer: &Issuer, named: &Json) -> Result<SubjectKey, EventError> {
    let named = named.object().ok_or(EventError::Malformed("the subject is not an object"))?;
    let text = |name: &str| named.get(name).and_then(Json::text);
    let id = match text("format") {
        Some("iss_sub") if text("iss") != Some(&*issuer.url) => {
            return Err(EventError::Malformed("the subject is another issuer's"));
        }
        Some("iss_sub") if &*issuer.id_claim != "sub" => {
            return Err(EventError::Malformed("this issuer's subjects are not named by `sub`: send format opaque"));
        }
        Some("iss_sub") => text("sub"),
        Some("opaque") => text("id"),
        Some(_) | None => return Err(EventError::Malformed("the subject's format is neither iss_sub nor opaque")),
    };
    Ok(subject::named(issuer, id)?)
}
