//! The ID token at the end of a sign-in (OpenID Connect Core 1.0, section 3.1.3.7).

use std::collections::BTreeSet;
use std::sync::Arc;

use model::issuer::{Issuer, Profile};
use model::time::Timestamp;

use crate::error::IdentityError;
use crate::issuers::{Issuers, Names};
use crate::json::{Json, Object};
use crate::token::Token;
use crate::{claims, verify};

/// What the ID token of one sign-in has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected<'a> {
    /// By whom it is: the issuer's alias.
    pub issuer: &'a str,
    /// For whom: Sluice's own client there.
    pub client_id: &'a str,
    /// What was asked with.
    pub nonce: &'a str,
}

/// Verifies an ID token and says whom it names: its `sub`. It lets nobody in by itself.
///
/// # Errors
/// The first check that fails, as [`crate::verify`].
pub fn id_token(
    token: &str,
    issuers: &Issuers,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Arc<str>, IdentityError> {
    let token = Token::parse(token)?;
    let signer = verify::signer(issuers, &token, now)?;
    let issuer = signer.issuer();
    if &*issuer.alias != expected.issuer || signer.names() != Names::ItsOwn {
        return Err(IdentityError::UnknownIssuer(String::from("(another one than people sign in at)")));
    }
    claims::check_kind(Profile::IdToken, token.kind.as_deref(), &token.claims)?;
    let client = Issuer {
        audiences: BTreeSet::from([expected.client_id.into()]),
        max_lifetime: Issuer::LONGEST_LIFETIME,
        ..issuer.as_ref().clone()
    };
    claims::check_audience(&client, &token.claims)?;
    check_party(&token.claims, expected.client_id)?;
    claims::check_times(&client, &token.claims, now)?;
    if text(&token.claims, "nonce") != Some(expected.nonce) {
        return Err(IdentityError::Claim { claim: "nonce", problem: "not that of this sign-in" });
    }
    let subject = text(&token.claims, "sub").filter(|subject| !subject.is_empty());
    subject.map(Arc::from).ok_or(IdentityError::Claim { claim: "sub", problem: "absent" })
}

/// The party that it was issued to is the client itself, and is named where there are several audiences.
fn check_party(claims: &Object, client_id: &str) -> Result<(), IdentityError> {
    let has_several = matches!(claims.get("aud"), Some(Json::List(names)) if names.len() > 1);
    match claims.get("azp") {
        None if !has_several => Ok(()),
        Some(Json::Text(party)) if party == client_id => Ok(()),
        Some(_) | None => Err(IdentityError::Audience),
    }
}

fn text<'a>(claims: &'a Object, claim: &str) -> Option<&'a str> {
    claims.get(claim).and_then(Json::text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claims, SigningKey};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn claims(text: &str) -> Object {
        crate::json::parse_object(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_party_is_the_client() {
        for (text, is_right) in [
            (r#"{"aud":"c"}"#, true),
            (r#"{"aud":["c"]}"#, true),
            (r#"{"aud":["c","d"],"azp":"c"}"#, true),
            (r#"{"aud":["c","d"]}"#, false),
            (r#"{"aud":"c","azp":"d"}"#, false),
            (r#"{"aud":"c","azp":1}"#, false),
        ] {
            assert_eq!(check_party(&claims(text), "c").is_ok(), is_right, "{text}");
        }
    }

    /// A token of the right issuer, for us, and no ID token of this sign-in.
    #[test]
    fn id_22_an_access_token_is_no_id_token() {
        let key = SigningKey::from_seed(&model::secret::Secret::new([7; 32])).unwrap();
        let issuer = Arc::new(Issuer::new("corp", "https://id.example.com", "sluice"));
        let keys = crate::KeySet::from_jwks(key.jwks().as_bytes(), &issuer.algorithms).unwrap();
        let issuers = Issuers::new().with_keys(issuer, Arc::new(keys));
        let claims = Claims {
            issuer: "https://id.example.com",
            audience: "console",
            subject: "dana",
            groups: &[],
            lifetime: 60,
            token_id: "t",
        };
        let token = key.sign(&claims, NOW);
        let expected = Expected { issuer: "corp", client_id: "console", nonce: "n" };
        let refused = id_token(token.expose(), &issuers, &expected, NOW).unwrap_err();
        assert!(matches!(refused, IdentityError::Kind(_)), "{refused}");
        let other = Expected { issuer: "other", ..expected };
        assert!(matches!(id_token(token.expose(), &issuers, &other, NOW), Err(IdentityError::UnknownIssuer(_))));
    }
}
