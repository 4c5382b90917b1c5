//! The claims that say whether a token is for us, now, and of the right kind (RFC 7519, section 4.1; RFC 8725, 3.8 to
//! 3.12). Every check is on the verified bytes, and an absent or mistyped claim is an error, never a default.

use model::issuer::{Issuer, Profile};
use model::time::Timestamp;

use crate::error::IdentityError;
use crate::json::{Json, Object};

/// The end of the year 9999: later moments are mistakes, and milliseconds still fit.
const LATEST: u64 = 253_402_300_799;

/// Claims of other kinds of signed JWT: security events and logout tokens (RFC 8417), DPoP proofs (RFC 9449).
const FOREIGN: [&str; 3] = ["events", "htm", "htu"];

/// Checks that the token is of the issuer's kind.
pub(crate) fn check_kind(profile: Profile, typ: Option<&str>, claims: &Object) -> Result<(), IdentityError> {
    let is_jwt = typ == Some("jwt");
    let (typ_fits, claims_fit) = match profile {
        Profile::Rfc9068 => (typ == Some("at+jwt"), true),
        // `DPoP` where the client asked for a bound one, which its `cnf` then has to show.
        Profile::Keycloak => {
            (is_jwt, is_text(claims, "typ", |kind| kind == "Bearer" || kind == "DPoP" && claims.contains_key("cnf")))
        }
        Profile::Kubernetes => (typ.is_none() || is_jwt, claims.get("kubernetes.io").and_then(Json::object).is_some()),
        Profile::Github => {
            (is_jwt, is_text(claims, "repository", |_| true) && is_text(claims, "workflow_ref", |_| true))
        }
        Profile::Gitlab => (is_jwt, is_text(claims, "project_path", |_| true) && claims.contains_key("pipeline_id")),
        Profile::JwtSvid => (
            typ.is_none() || is_jwt || typ == Some("jose"),
            is_text(claims, "sub", |subject| subject.starts_with("spiffe://")),
        ),
        Profile::Entra => (is_jwt, is_entra(claims)),
        Profile::Google => (is_jwt, is_google_service(claims)),
        Profile::Okta => (typ.is_none() || is_jwt, is_okta(claims)),
        Profile::Aws => (is_jwt, claims.get("https://sts.amazonaws.com/").and_then(Json::object).is_some()),
        // Keycloak says which of its tokens it is; others do not.
        Profile::IdToken => {
            (typ.is_none() || is_jwt, !claims.contains_key("typ") || is_text(claims, "typ", |kind| kind == "ID"))
        }
    };
    if !typ_fits {
        return Err(IdentityError::Kind("`typ` is not what the issuer's profile fixes"));
    }
    if !claims_fit {
        return Err(IdentityError::Kind(OTHER_CLAIMS));
    }
    check_not_foreign(claims)
}

const OTHER_CLAIMS: &str = "its claims are not those of the issuer's profile";

/// Checks that it has no claim of a security event, a logout token or a proof.
pub(crate) fn check_not_foreign(claims: &Object) -> Result<(), IdentityError> {
    let is_foreign = FOREIGN.iter().any(|name| claims.contains_key(*name));
    if is_foreign { Err(IdentityError::Kind(OTHER_CLAIMS)) } else { Ok(()) }
}

/// An access token of either version names the client that asked for it, as `appid` or `azp`; an ID token does not.
fn is_entra(claims: &Object) -> bool {
    let has = |name| is_text(claims, name, |_| true);
    let names_client = match claims.get("ver").and_then(Json::text) {
        Some("1.0") => has("appid"),
        Some("2.0") => has("azp"),
        _ => false,
    };
    names_client && has("tid") && has("oid") && !claims.contains_key("nonce")
}

/// The identity token of a service account. A person's has the same form, and another address.
fn is_google_service(claims: &Object) -> bool {
    let is_account = |address: &str| address.ends_with(".gserviceaccount.com");
    is_text(claims, "azp", |_| true)
        && is_text(claims, "email", is_account)
        && claims.get("email_verified") == Some(&Json::Bool(true))
}

/// An access token of a custom authorization server; an ID token's `jti` begins with `ID.`, and it has no `cid`.
fn is_okta(claims: &Object) -> bool {
    is_text(claims, "cid", |_| true) && is_text(claims, "jti", |id| id.starts_with("AT."))
}

/// Checks that one `aud` is, byte by byte, a name of Sluice. Others may stand beside it.
pub(crate) fn check_audience(issuer: &Issuer, claims: &Object) -> Result<(), IdentityError> {
    let wrong = IdentityError::Claim { claim: "aud", problem: "absent, empty or not texts" };
    let names: Vec<&str> = match claims.get("aud") {
        Some(Json::Text(name)) => vec![name],
        Some(Json::List(names)) => {
            names.iter().map(|name| name.text().ok_or_else(|| wrong.clone())).collect::<Result<_, _>>()?
        }
        _ => return Err(wrong),
    };
    if names.is_empty() {
        return Err(wrong);
    }
    if names.iter().any(|name| issuer.audiences.contains(*name)) { Ok(()) } else { Err(IdentityError::Audience) }
}

/// Checks `exp`, `iat` and `nbf`, and returns when the token ends. The leeway is for an issuer whose clock is ahead; it
/// never prolongs a token.
pub(crate) fn check_times(issuer: &Issuer, claims: &Object, now: Timestamp) -> Result<Timestamp, IdentityError> {
    let expires = seconds(claims, "exp")?.ok_or(IdentityError::Claim { claim: "exp", problem: "absent" })?;
    let issued = seconds(claims, "iat")?.ok_or(IdentityError::Claim { claim: "iat", problem: "absent" })?;
    let not_before = seconds(claims, "nbf")?.unwrap_or(issued);
    check_span(issuer, issued, not_before, expires, now)
}

/// Likewise of an answer about an opaque token, where each of them may be left out: without `iat` the token's life is
/// counted from `asked_at`, and without `exp` it is the longest that the issuer's tokens may have.
pub(crate) fn check_answered_times(
    issuer: &Issuer,
    claims: &Object,
    asked_at: Timestamp,
    now: Timestamp,
) -> Result<Timestamp, IdentityError> {
    let expires = seconds(claims, "exp")?;
    if let Some(expires) = expires.filter(|expires| now >= Timestamp::from_seconds(*expires)) {
        return Err(IdentityError::Expired(now.seconds().saturating_sub(expires)));
    }
    let issued = seconds(claims, "iat")?.unwrap_or(asked_at.seconds());
    let not_before = seconds(claims, "nbf")?.unwrap_or(issued);
    let expires = expires.unwrap_or(issued.saturating_add(issuer.max_lifetime));
    check_span(issuer, issued, not_before, expires, now)
}

fn check_span(
    issuer: &Issuer,
    issued: u64,
    not_before: u64,
    expires: u64,
    now: Timestamp,
) -> Result<Timestamp, IdentityError> {
    let lifetime = expires.saturating_sub(issued);
    if lifetime == 0 || lifetime > issuer.max_lifetime {
        return Err(IdentityError::Lifetime(lifetime));
    }
    let expires_at = Timestamp::from_seconds(expires);
    if now >= expires_at {
        return Err(IdentityError::Expired(now.seconds().saturating_sub(expires)));
    }
    let horizon = now.seconds().saturating_add(issuer.leeway);
    match issued.max(not_before).checked_sub(horizon) {
        None | Some(0) => Ok(expires_at),
        Some(ahead) => Err(IdentityError::NotYet(ahead)),
    }
}

/// The earliest moment, by our clock, at which a token with these claims can have been issued: the issuer's may be ahead by
/// as much as the leeway.
pub(crate) fn issued_at(issuer: &Issuer, claims: &Object) -> Result<Timestamp, IdentityError> {
    let issued = seconds(claims, "iat")?.ok_or(IdentityError::Claim { claim: "iat", problem: "absent" })?;
    Ok(Timestamp::from_seconds(issued.saturating_sub(issuer.leeway)))
}

/// A NumericDate. Fractions are allowed by RFC 7519, but no issuer writes them, and parsers differ about them.
pub(crate) fn seconds(claims: &Object, claim: &'static str) -> Result<Option<u64>, IdentityError> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Json::Whole(seconds)) if *seconds <= LATEST => Ok(Some(*seconds)),
        Some(_) => Err(IdentityError::Claim { claim, problem: "not a whole number of seconds before the year 10000" }),
    }
}

fn is_text(claims: &Object, name: &str, fits: impl Fn(&str) -> bool) -> bool {
    claims.get(name).and_then(Json::text).is_some_and(fits)
}
