//! The issuers of the configuration changed while Sluice runs: what differs, and the step from the one to the other.

use std::fmt;
use std::sync::{Arc, PoisonError};

use model::issuer::Issuer;
use store::config::TrustDomainConfig;

use super::{KeySource, Known, Source, Sources, TrustedIssuers};

/// What differs, by alias.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IssuerChanges {
    /// Believed from now on.
    pub added: Vec<Arc<str>>,
    /// Not believed any more.
    pub removed: Vec<Arc<str>>,
    /// Believed in another way: what was believed before is not.
    pub changed: Vec<Arc<str>>,
}

impl IssuerChanges {
    /// Whether nothing differs.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Whether the issuer of this alias is one of them.
    pub fn has(&self, alias: &Arc<str>) -> bool {
        [&self.added, &self.removed, &self.changed].into_iter().any(|aliases| aliases.contains(alias))
    }
}

impl fmt::Display for IssuerChanges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let told = parts.iter().filter(|(_, aliases)| !aliases.is_empty());
        let told: Vec<String> = told.map(|(what, aliases)| format!("{what} {}", aliases.join(", "))).collect();
        out.write_str(&told.join("; "))
    }
}

impl KeySource {
    /// Whether keys are fetched from the same place in the same way.
    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Discovery { ca_file, allow_http }, Self::Discovery { ca_file: file, allow_http: http }) => {
                ca_file == file && allow_http == http
            }
            (Self::File(path), Self::File(other)) => path == other,
            (Self::Discovery { .. } | Self::File(_) | Self::Fixed(_), _) => false,
        }
    }

    const fn is_own(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }
}

impl Source {
    fn is_as(&self, issuer: &Issuer, keys: &KeySource) -> bool {
        *self.issuer == *issuer && self.keys.is_as(keys)
    }

    /// Whether the keys that are known can be believed of `issuer`, too.
    fn has_keys_of(&self, issuer: &Issuer, keys: &KeySource) -> bool {
        self.keys.is_as(keys) && self.issuer.url == issuer.url && self.issuer.algorithms == issuer.algorithms
    }
}

impl TrustedIssuers {
    /// What would change if the configuration had these issuers. Sluice's own is none of them, and stays.
    pub fn compare(&self, configured: &[(Issuer, KeySource)]) -> IssuerChanges {
        let sources = self.sources.load();
        let mut changes = IssuerChanges::default();
        for (issuer, keys) in configured {
            match sources.get(&issuer.alias) {
                None => changes.added.push(Arc::clone(&issuer.alias)),
                Some(source) if !source.is_as(issuer, keys) => changes.changed.push(Arc::clone(&issuer.alias)),
                Some(_) => {}
            }
        }
        let is_there = |alias: &Arc<str>| configured.iter().any(|(issuer, _)| issuer.alias == *alias);
        let gone = sources.iter().filter(|(alias, source)| !source.keys.is_own() && !is_there(alias));
        changes.removed = gone.map(|(alias, _)| Arc::clone(alias)).collect();
        changes
    }

    /// The same of trust domains, added to what changes of issuers.
    pub fn compare_trust_domains(&self, configured: &[TrustDomainConfig], changes: &mut IssuerChanges) {
        self.trust_domains.compare(configured, changes);
    }

    /// Believes these trust domains as soon as [`TrustedIssuers::replace`] was called, so that at no moment an alias is an
    /// issuer's and a trust domain's.
    pub fn replace_trust_domains(&self, configured: &[TrustDomainConfig]) {
        self.trust_domains.replace(configured);
    }

    /// Believes these issuers from now on, and Sluice's own. Whoever was verified by one that is gone, or is configured
    /// in another way, does not stand any more ([`TrustedIssuers::standing`]).
    pub fn replace(&self, configured: Vec<(Issuer, KeySource)>) {
        let mut latest = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = latest.saturating_add(1);
        let (before, generation) = (self.sources.load_full(), *latest);
        let own = before.iter().filter(|(_, source)| source.keys.is_own());
        let mut sources: Sources = own.map(|(alias, source)| (Arc::clone(alias), Arc::clone(source))).collect();
        for (issuer, keys) in configured {
            let earlier = before.get(&issuer.alias);
            let source = match earlier {
                Some(earlier) if earlier.is_as(&issuer, &keys) => Arc::clone(earlier),
                _ => {
                    let kept = earlier.filter(|earlier| earlier.has_keys_of(&issuer, &keys));
                    let known = kept.map_or_else(|| Known::new(self.timing), |earlier| Arc::clone(&earlier.known));
                    Arc::new(Source { issuer: Arc::new(issuer), keys, known, generation })
                }
            };
            sources.insert(Arc::clone(&source.issuer.alias), source);
        }
        // In this order: whoever reads the new sources verifies by the new issuers.
        self.current.store(Arc::new(self.issuers(&sources)));
        self.sources.store(Arc::new(sources));
    }
}

#[cfg(test)]
mod tests;
