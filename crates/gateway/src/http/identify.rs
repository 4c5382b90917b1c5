//! Who a caller of HTTP is: by a token, or a short-lived password, in `Authorization`, with a proof where the token is bound to a
//! key; or by the certificate of its connection alone. Who asks to be connected shows it in `Proxy-Authorization`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use hyper::http::request::Parts;
use identity::dpop::{Proof, ProofError, ReplayError};
use identity::{IdentityError, Proven};
use model::id::Digest;
use model::secret::Secret;
use model::subject::{Binding, Subject, SubjectKey};

use super::asking::Asked;
use super::connection::Connection;
use crate::issued::sha256;
use crate::issuers::{Claimed, TrustedIssuers};
use crate::tls::ClientCertificate;

/// What a request shows of who asks.
pub(super) enum Shown {
    /// A token.
    Token(Secret<String>),
    /// A token that is bound to a key, which this request proves.
    Bound(Secret<String>, Box<Proof>),
    /// Nothing but what its connection proved.
    Certificate(ClientCertificate),
}

/// Why nothing is shown that anybody could be known by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NothingShown {
    #[error("there is neither a token nor a client certificate")]
    Absent,
    #[error("there is more than one Authorization field")]
    Several,
    #[error("Authorization is not a bearer token, nor one with a proof")]
    Scheme,
    #[error("Proxy-Authorization is not a bearer token, nor a password")]
    ProxyScheme,
    #[error("Authorization in what was asked for has an opaque token, about which no issuer is asked there")]
    Opaque,
    #[error("Authorization in what was asked for has a token with a proof")]
    Proven,
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// A token, and the scheme that it is shown by.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Scheme {
    Bearer(String),
    /// With a proof of its key (RFC 9449, section 7.1).
    Dpop(String),
}

impl Shown {
    /// What a request shows on a connection.
    pub(super) fn of(parts: &Parts, ask: &Asked, connection: &Connection) -> Result<Self, NothingShown> {
        match presented(&parts.headers)? {
            None => connection.certificate.clone().map(Self::Certificate).ok_or(NothingShown::Absent),
            Some(Scheme::Bearer(token)) => Ok(Self::Token(Secret::new(token))),
            Some(Scheme::Dpop(token)) => {
                let proof = connection.shared.proofs.verify(parts, ask, &token)?;
                Ok(Self::Bound(Secret::new(token), Box::new(proof)))
            }
        }
    }

    /// What a request to be connected shows.
    pub(super) fn of_proxy(parts: &Parts, connection: &Connection) -> Result<Self, NothingShown> {
        match one(&parts.headers, &PROXY_AUTHORIZATION)?.map(for_proxy) {
            None => connection.certificate.clone().map(Self::Certificate).ok_or(NothingShown::Absent),
            Some(token) => token.map(Self::Token).ok_or(NothingShown::ProxyScheme),
        }
    }

    /// What a request shows in a connection that somebody is known by already. It may be for the target, as anything is that is
    /// no token which says itself that it is for here: nobody else is asked about it.
    pub(super) fn within(fields: &HeaderMap, issuers: &TrustedIssuers) -> Result<Option<Self>, NothingShown> {
        let (token, is_proven) = match presented(fields) {
            Ok(Some(Scheme::Bearer(token))) => (token, false),
            Ok(Some(Scheme::Dpop(token))) => (token, true),
            Ok(None) | Err(NothingShown::Scheme) => return Ok(None),
            Err(error) => return Err(error),
        };
        match issuers.claimed(&token) {
            Claimed::Nobodys => Ok(None),
            Claimed::Opaque => Err(NothingShown::Opaque),
            Claimed::Read if is_proven => Err(NothingShown::Proven),
            Claimed::Read => Ok(Some(Self::Token(Secret::new(token)))),
        }
    }

    /// The digest of the credential, which a session is found by.
    pub(super) fn digest(&self) -> Digest {
        match self {
            Self::Token(token) => sha256(token.expose().as_bytes()),
            // The same token with a proof by another key is another credential, which nobody has verified.
            Self::Bound(token, proof) => sha256(&[token.expose().as_bytes(), &[0], &proof.key.0].concat()),
            Self::Certificate(certificate) => certificate.thumbprint(),
        }
    }

    /// Whether a session that is bound so can be asked for by what is shown.
    pub(super) const fn suits(&self, binding: Binding) -> bool {
        matches!(self, Self::Bound(..)) == matches!(binding, Binding::Dpop)
    }

    /// Uses the proof, if there is one, now that its token is known to be this subject's.
    ///
    /// # Errors
    /// If it was used before.
    pub(super) fn use_once(&self, connection: &Connection, subject: &SubjectKey) -> Result<(), ReplayError> {
        match self {
            Self::Bound(_, proof) => connection.shared.proofs.use_once(proof, subject),
            Self::Token(_) | Self::Certificate(_) => Ok(()),
        }
    }

    /// The certificate, where it is what says who asks.
    pub(super) fn svid(&self) -> Option<&ClientCertificate> {
        match self {
            Self::Token(_) | Self::Bound(..) => None,
            Self::Certificate(certificate) => Some(certificate),
        }
    }

    /// Whom it stands for at the target `at`.
    ///
    /// # Errors
    /// The true reason, for the journal.
    pub(super) async fn verify(&self, connection: &Connection, at: &str) -> Result<Subject, IdentityError> {
        let issuers = &connection.node.issuers;
        match self {
            Self::Token(token) => {
                let proven: Proven = ClientCertificate::proven(connection.certificate.as_ref());
                issuers.log_in(token.expose(), &proven, at).await
            }
            Self::Bound(token, proof) => {
                let proven = ClientCertificate::proven(connection.certificate.as_ref());
                let proven = Proven { proof_key: Some(proof.key), ..proven };
                let subject = issuers.verify_for(token.expose(), &proven, at).await?;
                if subject.binding == Binding::Dpop {
                    Ok(subject)
                } else {
                    Err(IdentityError::Binding("it is not bound to the key of its proof"))
                }
            }
            Self::Certificate(certificate) => issuers.recognise(certificate),
        }
    }
}

/// The one value of a field, if there is any.
fn one<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, NothingShown> {
    let mut all = fields.get_all(name).iter();
    match (all.next(), all.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(NothingShown::Several),
    }
}

/// The token in `Proxy-Authorization`: as it is, or as the password of Basic (RFC 7617), which is what clients can that are told
/// of a proxy in its URL; or as the user, where there is no password.
fn for_proxy(value: &HeaderValue) -> Option<Secret<String>> {
    let (scheme, shown) = value.to_str().ok()?.split_once(' ')?;
    let shown = shown.trim_start_matches(' ');
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Secret::new(shown.to_owned()),
        "basic" => {
            let pair = Secret::new(String::from_utf8(STANDARD.decode(shown).ok()?).ok()?);
            let (user, password) = pair.expose().split_once(':')?;
            Secret::new(if password.is_empty() { user } else { password }.to_owned())
        }
        _ => return None,
    };
    (!token.expose().is_empty()).then_some(token)
}

/// The one token in `Authorization`, if there is any.
fn presented(fields: &HeaderMap) -> Result<Option<Scheme>, NothingShown> {
    let Some(value) = one(fields, &AUTHORIZATION)? else { return Ok(None) };
    let value = value.to_str().map_err(|_| NothingShown::Scheme)?;
    let (scheme, token) = value.split_once(' ').ok_or(NothingShown::Scheme)?;
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err(NothingShown::Scheme);
    }
    // The scheme's name is in any case (RFC 9110, section 11.1).
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Ok(Some(Scheme::Bearer(token.to_owned()))),
        "dpop" => Ok(Some(Scheme::Dpop(token.to_owned()))),
        _ => Err(NothingShown::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use identity::{Issuer, KeyTiming};
    use store::config::{ClientAuthentication, CredentialSource, IntrospectionConfig};

    use super::*;
    use crate::introspection::{self, Secrets};
    use crate::issuers::KeySource;

    fn shown(values: &[&str]) -> Result<Option<Scheme>, NothingShown> {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(AUTHORIZATION, value.parse().unwrap());
        }
        presented(&fields)
    }

    #[test]
    fn one_token_is_shown_or_nothing_is() {
        let bearer = || Ok(Some(Scheme::Bearer("a.b.c".to_owned())));
        assert_eq!(shown(&["Bearer a.b.c"]), bearer());
        assert_eq!(shown(&["bearer  a.b.c"]), bearer());
        assert_eq!(shown(&["DPoP a.b.c"]), Ok(Some(Scheme::Dpop("a.b.c".to_owned()))));
        assert_eq!(shown(&[]), Ok(None));
        assert_eq!(shown(&["Bearer a", "Bearer a"]), Err(NothingShown::Several));
        assert_eq!(shown(&["Bearer a", "DPoP a"]), Err(NothingShown::Several));
        for other in ["Bearer", "Bearer ", "DPoP", "Basic YTpi", "a.b.c", "Token Bearer a"] {
            assert_eq!(shown(&[other]), Err(NothingShown::Scheme), "{other}");
        }
    }

    #[test]
    fn a_proxy_is_shown_a_token_or_a_password_that_is_one() {
        let shown = |value: &str| {
            let token = for_proxy(&HeaderValue::from_str(value).unwrap())?;
            Some(token.expose().clone())
        };
        let basic = |pair: &str| shown(&format!("Basic {}", STANDARD.encode(pair)));
        let token = Some("a.b.c".to_owned());
        assert_eq!((shown("Bearer a.b.c"), shown("bearer  a.b.c")), (token.clone(), token.clone()));
        assert_eq!((basic("erin:a.b.c"), basic(":a.b.c"), basic("a.b.c:")), (token.clone(), token.clone(), token));
        assert_eq!(basic("erin:a:b"), Some("a:b".to_owned()));
        for other in ["Bearer", "Bearer ", "Basic", "Basic ?", "Basic YWI=", "DPoP a.b.c", "a.b.c"] {
            assert_eq!(shown(other), None, "{other}");
        }
        assert_eq!((basic(":"), basic("a.b.c")), (None, None));
    }

    /// Those of an issuer, which is asked about tokens that begin with `corp_`.
    fn issuers() -> TrustedIssuers {
        let issuer = Issuer::new("corp", "https://id.example", "sluice");
        let config = IntrospectionConfig {
            url: None,
            client_id: "sluice".to_owned(),
            client_secret: CredentialSource::Env("UNUSED".to_owned()),
            method: ClientAuthentication::Basic,
            token_prefix: Some("corp_".to_owned()),
            max_age: Duration::ZERO,
            max_outage: Duration::ZERO,
            ca_file: None,
        };
        let secret: Secrets = Arc::new(|| Ok(Secret::new("secret".to_owned())));
        let keys = KeySource::File("/nowhere".into());
        let issuers = TrustedIssuers::new([(issuer.clone(), keys)], KeyTiming::default(), None);
        issuers.ask(vec![introspection::Asked { issuer: Arc::new(issuer), config, secret }]);
        issuers
    }

    #[test]
    fn within_a_connection_only_what_says_that_it_is_for_here_is_looked_at() {
        let issuers = issuers();
        let looked_at = |values: &[&str]| {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(AUTHORIZATION, value.parse().unwrap());
            }
            Shown::within(&fields, &issuers).map(|shown| shown.is_some())
        };
        let token = |header: &str, issuer: &str| {
            let claims = URL_SAFE_NO_PAD.encode(format!("{{\"iss\":\"{issuer}\"}}"));
            format!("{}.{claims}.c2ln", URL_SAFE_NO_PAD.encode(header))
        };
        for header in ["{\"alg\":\"ES256\"}", "{\"alg\":\"HS256\"}", "{}", "no JSON"] {
            let (ours, others) = (token(header, "https://id.example"), token(header, "https://other.example"));
            assert_eq!(looked_at(&[&format!("Bearer {ours}")]), Ok(true), "{header}");
            assert_eq!(looked_at(&[&format!("DPoP {ours}")]), Err(NothingShown::Proven), "{header}");
            for scheme in ["Bearer", "DPoP"] {
                assert_eq!(looked_at(&[&format!("{scheme} {others}")]), Ok(false), "{header}");
            }
        }
        for of_the_target in
            ["Bearer opaque", "Bearer a.b.c", "Basic YTpi", "DPoP a.b.c", "AWS4-HMAC-SHA256 Credential=a"]
        {
            assert_eq!(looked_at(&[of_the_target]), Ok(false), "{of_the_target}");
        }
        // An issuer would have to be asked about it, which is not done there.
        assert_eq!(looked_at(&["Bearer corp_x"]), Err(NothingShown::Opaque));
        assert_eq!(looked_at(&["DPoP corp_?"]), Err(NothingShown::Opaque));
        assert_eq!(looked_at(&[]), Ok(false));
        assert_eq!(looked_at(&["Bearer a.b.c", "Basic YTpi"]), Err(NothingShown::Several));
    }
}
