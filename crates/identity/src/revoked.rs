//! What is no longer believed at one moment, ready to be asked on every verification.

use std::collections::HashMap;
use std::sync::Arc;

use model::revocation::{Extent, Revocation, Whose};
use model::subject::{Subject, SubjectKey};
use model::time::Timestamp;

use crate::IdentityError;

/// The revocations in force. Every identity of a delegation is looked up, so that a revocation of any of them reaches the
/// whole: whoever acts for somebody who is no longer believed is not either.
#[derive(Debug, Default)]
pub struct Revoked {
    // At most one of each kind of extent.
    all: HashMap<Whose, Vec<Revocation>>,
    tokens: usize,
}

impl Revoked {
    /// Adds one, and returns what is in force then: together with an earlier one of the same kind.
    pub fn insert(&mut self, revocation: Revocation) -> Revocation {
        let whose = revocation.whose.clone();
        let entry = self.all.entry(whose.clone()).or_default();
        self.tokens += usize::from(whose.is_token() && entry.is_empty());
        let same = entry.iter().position(|other| other.extent.kind() == revocation.extent.kind());
        let joined = match same {
            Some(place) => {
                let earlier = entry.swap_remove(place);
                revocation.joined(&earlier)
            }
            None => revocation,
        };
        entry.push(joined.clone());
        joined
    }

    /// Believes them again, or as far as revocations of one kind go; returns what is no longer in force.
    pub fn lift(&mut self, whose: &Whose, kind: Option<&str>) -> Vec<Revocation> {
        let Some(entry) = self.all.get_mut(whose) else { return Vec::new() };
        let is_meant = |revocation: &mut Revocation| kind.is_none_or(|kind| revocation.extent.kind() == kind);
        let lifted = entry.extract_if(.., is_meant).collect();
        if entry.is_empty() {
            self.all.remove(whose);
            self.tokens = self.tokens.saturating_sub(usize::from(whose.is_token()));
        }
        lifted
    }

    /// Forgets what is over.
    pub fn sweep(&mut self, now: Timestamp) {
        self.all.retain(|_, revocations| {
            revocations.retain(|revocation| !revocation.is_over(now));
            !revocations.is_empty()
        });
        self.tokens = self.all.keys().filter(|whose| whose.is_token()).count();
    }

    /// Of how many single tokens there are.
    pub const fn tokens(&self) -> usize {
        self.tokens
    }

    /// Of how many subjects and issuers there are.
    pub fn others(&self) -> usize {
        self.all.len().saturating_sub(self.tokens)
    }

    /// Whether these are revoked in any way.
    pub fn has(&self, whose: &Whose) -> bool {
        self.all.contains_key(whose)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.all.values().flatten()
    }

    /// The subject as far as it is still believed: as it is, or with fewer groups.
    ///
    /// # Errors
    /// Its credential, an identity in it or an issuer of one is revoked.
    pub fn apply(&self, mut subject: Subject, now: Timestamp) -> Result<Subject, IdentityError> {
        if self.all.is_empty() {
            return Ok(subject);
        }
        let (issuer, token) = (Arc::clone(&subject.key.issuer), &subject.token_id);
        let by_id = token.clone().map(|id| Whose::TokenId { issuer, id });
        let tokens = subject.credential.made_of.iter().copied().chain(subject.credential.digest);
        let by_digest = tokens.map(Whose::Token);
        let of_identity = |key: &SubjectKey| [Whose::Subject(key.clone()), Whose::Issuer(Arc::clone(&key.issuer))];
        let named: Vec<Whose> =
            by_id.into_iter().chain(by_digest).chain(subject.identities().flat_map(of_identity)).collect();
        let issued_at = subject.credential.issued_at;
        for revocation in named.iter().filter_map(|whose| self.all.get(whose)).flatten() {
            let is_older = issued_at <= revocation.at;
            match &revocation.extent {
                _ if revocation.is_over(now) => {}
                Extent::All | Extent::Disabled => return Err(refused(revocation)),
                Extent::Issued if is_older => return Err(refused(revocation)),
                // Groups are the caller's own: nobody else's grant it anything.
                Extent::GroupsBut(kept) if is_older && is_of(&revocation.whose, &subject.key) => {
                    subject.groups.retain(|group| kept.contains(group));
                }
                Extent::Issued | Extent::GroupsBut(_) => {}
            }
        }
        Ok(subject)
    }
}

fn is_of(whose: &Whose, key: &SubjectKey) -> bool {
    matches!(whose, Whose::Subject(of) if of == key)
}

fn refused(revocation: &Revocation) -> IdentityError {
    IdentityError::Revoked(revocation.whose.to_string().into())
}

#[cfg(test)]
mod tests;
