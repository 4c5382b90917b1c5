//! Who a caller of HTTP is: by a token, or a short-lived password, in `Authorization`, with a proof where the token is bound to a
//! key; or by the certificate of its connection alone.

use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::http::request::Parts;
use identity::dpop::{Proof, ProofError, ReplayError};
use identity::{IdentityError, Proven};
use model::id::Digest;
use model::secret::Secret;
use model::subject::{Binding, Subject, SubjectKey};

use super::asking::Asked;
use super::connection::Connection;
use crate::issued::sha256;
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
                let proof = connection.proofs.verify(parts, ask, &token)?;
                Ok(Self::Bound(Secret::new(token), Box::new(proof)))
            }
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
            Self::Bound(_, proof) => connection.proofs.use_once(proof, subject),
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

/// The one token in `Authorization`, if there is any.
fn presented(fields: &HeaderMap) -> Result<Option<Scheme>, NothingShown> {
    let mut all = fields.get_all(AUTHORIZATION).iter();
    let (value, more) = (all.next(), all.next());
    let Some(value) = value else { return Ok(None) };
    if more.is_some() {
        return Err(NothingShown::Several);
    }
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
    use super::*;

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
}
