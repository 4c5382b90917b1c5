//! The ID token that comes with an access token. Sluice is never shown it: it only tells whether this answer belongs to
//! this login.
//!
//! Its signature is not looked at: it comes from the token endpoint itself, over TLS or from this machine (OpenID Connect
//! Core 1.0, section 3.1.3.7, step 6).

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ID token {0}")]
pub(super) struct IdTokenError(&'static str);

/// What it has to be.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    /// Where one was sent.
    pub(super) nonce: Option<&'a str>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    azp: Option<String>,
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Whether the token is of this issuer, for this client, and of this login.
pub(super) fn check(token: &str, expected: &Expected<'_>, now: SystemTime) -> Result<(), IdTokenError> {
    let claims = read(token).ok_or(IdTokenError("is no JWT with `iss`, `aud` and `exp`"))?;
    let (is_for_client, is_for_others) = match &claims.aud {
        Audience::One(one) => (one == expected.client, false),
        Audience::Several(all) => (all.iter().any(|one| one == expected.client), all.len() > 1),
    };
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp));
    if claims.iss != expected.issuer {
        return Err(IdTokenError("is of another issuer"));
    }
    if !is_for_client || (is_for_others && claims.azp.is_none()) || claims.azp.is_some_and(|azp| azp != expected.client)
    {
        return Err(IdTokenError("is for another client"));
    }
    if end.is_none_or(|end| end <= now) {
        return Err(IdTokenError("is over"));
    }
    if expected.nonce.is_some() && claims.nonce.as_deref() != expected.nonce {
        return Err(IdTokenError("is of another login (`nonce`)"));
    }
    Ok(())
}

fn read(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(claims: Value) -> Result<(), IdTokenError> {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let expected = Expected { issuer: "https://i", client: "cli", nonce: Some("n-1") };
        check(&token, &expected, SystemTime::UNIX_EPOCH + Duration::from_secs(100))
    }

    #[test]
    fn id_22_an_id_token_of_another_login_client_or_issuer_ends_the_login() {
        let good = json!({ "iss": "https://i", "aud": "cli", "exp": 200, "nonce": "n-1" });
        assert_eq!(judged(good.clone()), Ok(()));
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        assert_eq!(judged(with("aud", json!(["cli"]))), Ok(()));
        assert_eq!(judged(with("azp", json!("cli"))), Ok(()));
        let wrong = [
            ("nonce", json!("n-2")),
            ("nonce", Value::Null),
            ("iss", json!("https://i/")),
            ("iss", json!("https://other")),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("aud", json!(["cli", "other"])),
            ("azp", json!("other")),
            ("exp", json!(100)),
            ("exp", json!("200")),
        ];
        for (name, value) in wrong {
            assert!(judged(with(name, value.clone())).is_err(), "{name} = {value}");
        }
        for nonsense in ["", "a.b", "e30.e30.e30", "...."] {
            let expected = Expected { issuer: "https://i", client: "cli", nonce: None };
            assert!(check(nonsense, &expected, SystemTime::UNIX_EPOCH).is_err(), "{nonsense}");
        }
    }
}
