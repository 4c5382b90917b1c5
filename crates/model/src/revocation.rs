//! Who or what is no longer believed, although no credential of theirs has ended.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::subject::SubjectKey;
use crate::time::Timestamp;

/// Whose credentials a revocation is about.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Those of a subject, wherever in a delegation it stands.
    Subject(SubjectKey),
    /// The token of this id (`jti`), and what was made of it.
    TokenId {
        /// The alias of its issuer.
        issuer: Arc<str>,
        /// The id.
        id: Arc<str>,
    },
    /// The token of which this is the SHA-256 of what is signed: a signature may have a second form, what it signs has not.
    Token(Digest),
    /// All of the issuer with this alias.
    Issuer(Arc<str>),
}

impl Whose {
    /// Whether it is about one token.
    pub const fn is_token(&self) -> bool {
        matches!(self, Self::TokenId { .. } | Self::Token(_))
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(key) => write!(out, "{key}"),
            Self::TokenId { issuer, id } => write!(out, "token {issuer}|{id}"),
            Self::Token(digest) => write!(out, "token sha256:{digest}"),
            Self::Issuer(alias) => write!(out, "issuer {alias}"),
        }
    }
}

/// What of them is no longer believed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// What was issued up to the moment of the revocation: a newer credential is believed.
    Issued,
    /// Whatever they have, and whenever it was issued.
    All,
    /// The same, as their issuer says (RISC `account-disabled`), until it says otherwise.
    Disabled,
    /// Of what was issued up to that moment, every group but these, as policies name them. It gives nobody a group.
    GroupsBut(BTreeSet<Arc<str>>),
}

impl Extent {
    /// The word for its kind: a later revocation of the same kind takes the place of an earlier one.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::All => "all",
            Self::Disabled => "disabled",
            Self::GroupsBut(_) => "groups",
        }
    }
}

/// One revocation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose credentials.
    pub whose: Whose,
    /// What of them.
    pub extent: Extent,
    /// The moment that [`Extent`] goes by.
    pub at: Timestamp,
    /// When it is over: the end that it was given, or the moment at which everything that it is about has ended by itself.
    /// `None` until it is lifted.
    pub until: Option<Timestamp>,
    /// Who said so; for an issuer's own events the issuer's alias with the id `security-events`.
    pub by: SubjectKey,
    /// Why, in their words.
    pub reason: Option<Arc<str>>,
}

impl Revocation {
    /// Whether it is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// This revocation where `earlier`, of the same kind, is in force already: it never believes more than before.
    #[must_use]
    pub fn joined(self, earlier: &Self) -> Self {
        let until = match (self.until, earlier.until) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (None, _) | (_, None) => None,
        };
        // Of two lists of groups the one that was said last holds.
        let newest = if earlier.at > self.at { earlier.clone() } else { self };
        Self { until, ..newest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(at: u64, until: Option<u64>) -> Revocation {
        let key = SubjectKey { issuer: "corp".into(), id: "jane".into() };
        let until = until.map(Timestamp);
        Revocation {
            whose: Whose::Subject(key.clone()),
            extent: Extent::Issued,
            at: Timestamp(at),
            until,
            by: key,
            reason: None,
        }
    }

    #[test]
    fn a_second_one_never_takes_back_what_the_first_said() {
        let (early, late) = (revocation(1, Some(50)), revocation(9, Some(20)));
        for joined in [late.clone().joined(&early), early.clone().joined(&late)] {
            assert_eq!((joined.at, joined.until), (Timestamp(9), Some(Timestamp(50))));
        }
        let forever = revocation(2, None);
        assert_eq!(forever.clone().joined(&late).until, None);
        assert_eq!(late.joined(&forever).until, None);
    }

    #[test]
    fn it_is_over_at_its_end_and_not_before() {
        assert!(!revocation(1, Some(5)).is_over(Timestamp(4)));
        assert!(revocation(1, Some(5)).is_over(Timestamp(5)));
        assert!(!revocation(1, None).is_over(Timestamp(u64::MAX)));
    }
}
