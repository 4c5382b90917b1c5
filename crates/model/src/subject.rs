//! Who is calling, and on whose behalf.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::time::Timestamp;

/// What names a subject everywhere: the issuer's alias and the issuer's own id for it, shown as `alias|id`.
/// Never an e-mail address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SubjectKey {
    /// The alias that the configuration gives the issuer; holds no `|`.
    pub issuer: Arc<str>,
    /// The issuer's id for the subject (`sub`), verbatim.
    pub id: Arc<str>,
}

impl fmt::Display for SubjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}|{}", self.issuer, self.id)
    }
}

/// Whether a subject is a machine or a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// A workload: service, job, agent.
    Service,
    /// A person.
    User,
}

/// How the credential is tied to the connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Whoever holds the token may use it.
    Bearer,
    /// Bound to the client certificate of this connection (RFC 8705).
    Mtls,
    /// Bound to a key proven on each request (RFC 9449).
    Dpop,
    /// Bound to the key that this SSH connection proved.
    Ssh,
}

impl Binding {
    /// Whether a credential that is tied like `renewed` may take the place of one that is tied like this: what is bound to a
    /// key stays so. A connection of SSH proved its key once and for all: whatever renews a session there only prolongs it.
    pub fn stays_with(self, renewed: Self) -> bool {
        matches!(self, Self::Bearer | Self::Ssh) || self == renewed
    }
}

/// The verified caller. Only `identity` makes one, from a credential that it verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// What names it.
    pub key: SubjectKey,
    /// Machine or person.
    pub kind: SubjectKind,
    /// Groups as policy names them: `alias|group`, or the bare name where the issuer's configuration maps it so.
    pub groups: Vec<Arc<str>>,
    /// Who triggered it, the nearest first (RFC 8693 `act`, read from the outside in). Empty when it acts for itself.
    pub on_behalf_of: Vec<SubjectKey>,
    /// The moment at which the credential ends.
    pub expires_at: Timestamp,
    /// How the credential is tied to the connection.
    pub binding: Binding,
    /// The credential's own id (`jti`), for the record.
    pub token_id: Option<Arc<str>>,
    /// What a revocation may go by. For this process alone: it is in no record.
    #[serde(skip)]
    pub credential: Credential,
}

/// What is known of a credential beside what it says of its subject. The default is that of one as old as can be, which
/// every revocation reaches.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credential {
    /// The earliest moment, by our clock, at which it can have been issued.
    pub issued_at: Timestamp,
    /// The SHA-256 of what is signed of a token; `None` for what is no token.
    pub digest: Option<Digest>,
    /// By which state of its issuer's configuration it was believed: what the gateway counts up when that changes.
    pub generation: u64,
    /// The digests of the tokens for which it was issued, if Sluice issued it: when one of them is revoked, so is it.
    pub made_of: Vec<Digest>,
}

impl Subject {
    /// Whether a renewed credential stands for the same caller: same issuer, id and actors.
    pub fn is_same_caller(&self, other: &Self) -> bool {
        self.key == other.key && self.kind == other.kind && self.on_behalf_of == other.on_behalf_of
    }

    /// Whether `renewed` may take this credential's place in a session: it stands for the same caller, and a session that
    /// is bound stays so ([`Binding::stays_with`]).
    pub fn may_be_renewed_by(&self, renewed: &Self) -> bool {
        self.is_same_caller(renewed) && self.binding.stays_with(renewed.binding)
    }

    /// Every identity of the delegation, the caller first: the ones that may not approve its requests.
    pub fn identities(&self) -> impl Iterator<Item = &SubjectKey> {
        std::iter::once(&self.key).chain(&self.on_behalf_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_bound_stays_bound() {
        let subject = |binding| Subject {
            key: SubjectKey { issuer: "corp".into(), id: "etl".into() },
            kind: SubjectKind::Service,
            groups: Vec::new(),
            on_behalf_of: Vec::new(),
            expires_at: Timestamp(1),
            binding,
            token_id: None,
            credential: Credential::default(),
        };
        let renews = |before, after| subject(before).may_be_renewed_by(&subject(after));
        assert!(renews(Binding::Bearer, Binding::Bearer) && renews(Binding::Bearer, Binding::Mtls));
        assert!(renews(Binding::Mtls, Binding::Mtls) && !renews(Binding::Mtls, Binding::Bearer));
        assert!(!renews(Binding::Mtls, Binding::Dpop));
        assert!(renews(Binding::Ssh, Binding::Bearer) && !renews(Binding::Mtls, Binding::Ssh));
        let other = Subject { key: SubjectKey { issuer: "corp".into(), id: "other".into() }, ..subject(Binding::Mtls) };
        assert!(!subject(Binding::Mtls).may_be_renewed_by(&other));
    }
}
