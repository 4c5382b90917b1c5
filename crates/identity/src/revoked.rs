//! What is no longer believed at one moment, ready to be asked on every verification.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use model::id::Digest;
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
    // Tokens that are revoked by their ids, as what was issued for them knows them.
    by_id: HashMap<Digest, Whose>,
}

/// What a credential that Sluice issues remembers of the id of a token that it was issued for: the id says nothing to
/// whoever reads it there.
pub fn id_digest(issuer: &str, id: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in ["sluice token id", issuer, id] {
        // No part has a NUL in it, so that no two lists of them are one.
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    context.finish().as_ref().try_into().map(Digest).unwrap_or_default()
}

fn id_of(whose: &Whose) -> Option<Digest> {
    match whose {
        Whose::TokenId { issuer, id } => Some(id_digest(issuer, id)),
        Whose::Subject(_) | Whose::Token(_) | Whose::Issuer(_) => None,
    }
}

impl Revoked {
    /// Adds one, and returns what is in force then: together with an earlier one of the same kind.
    pub fn insert(&mut self, revocation: Revocation) -> Revocation {
        let whose = revocation.whose.clone();
        self.by_id.extend(id_of(&whose).map(|digest| (digest, whose.clone())));
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
            id_of(whose).map(|digest| self.by_id.remove(&digest));
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
        self.by_id.retain(|_, whose| self.all.contains_key(whose));
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
        let made_of = &subject.credential.made_of;
        let by_digest = made_of.iter().copied().chain(subject.credential.digest).map(Whose::Token);
        let behind_it = made_of.iter().filter_map(|digest| self.by_id.get(digest)).cloned();
        let of_identity = |key: &SubjectKey| [Whose::Subject(key.clone()), Whose::Issuer(Arc::clone(&key.issuer))];
        let named: Vec<Whose> = by_id
            .into_iter()
            .chain(by_digest)
            .chain(behind_it)
            .chain(subject.identities().flat_map(of_identity))
            .collect();
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
