//! Whom Sluice trusts at one moment, with the keys of that moment: a snapshot that readers share.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::spiffe::TrustDomain;
use model::time::Timestamp;

use crate::{Issuer, KeyCache, KeySet, TrustBundle};

/// The trusted issuers by their exact `iss`. The gateway builds one whenever an issuer or its keys change.
#[derive(Debug, Default)]
pub struct Issuers {
    by_url: HashMap<Arc<str>, Trusted>,
    by_trust_domain: HashMap<Arc<str>, TrustedDomain>,
    /// Whose subjects a token of the token endpoint may stand for.
    aliases: BTreeSet<Arc<str>>,
}

/// A SPIFFE trust domain with its bundle of the moment.
#[derive(Debug)]
pub(crate) struct TrustedDomain {
    pub(crate) domain: Arc<TrustDomain>,
    pub(crate) bundle: TrustBundle,
    /// What its JWT-SVIDs are verified by.
    pub(crate) tokens: Trusted,
    generation: u64,
}

/// Whom an issuer may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Names {
    /// Its own subjects alone.
    ItsOwn,
    /// Subjects of every issuer that is trusted: Sluice's token endpoint.
    Everybodys,
}

#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) names: Names,
    keys: Arc<KeySet>,
    /// When the keys stop being believed.
    until: Timestamp,
}

impl Issuers {
    /// None: every token is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts `issuer` with the keys in `cache`, until their maximum age. The configuration sees to it that no two
    /// issuers share a URL; here the later one would replace the earlier.
    #[must_use]
    pub fn with(self, issuer: Arc<Issuer>, cache: &KeyCache) -> Self {
        let (keys, until) = cache.keys();
        self.with_keys_until(issuer, Names::ItsOwn, keys, until)
    }

    /// Trusts `issuer` with keys that do not age: Sluice's own.
    #[must_use]
    pub fn with_keys(self, issuer: Arc<Issuer>, keys: Arc<KeySet>) -> Self {
        self.with_keys_until(issuer, Names::ItsOwn, keys, Timestamp(u64::MAX))
    }

    /// Trusts a SPIFFE trust domain by this bundle, for its own workloads alone.
    #[must_use]
    pub fn with_trust_domain(self, domain: Arc<TrustDomain>, bundle: TrustBundle) -> Self {
        self.with_trust_domain_of(0, domain, bundle)
    }

    /// The same, by a later state of its configuration ([`Issuers::generation`]).
    #[must_use]
    pub fn with_trust_domain_of(mut self, generation: u64, domain: Arc<TrustDomain>, bundle: TrustBundle) -> Self {
        let (issuer, keys) = (Arc::clone(&domain.issuer), Arc::clone(&bundle.keys));
        let tokens = Trusted { issuer, names: Names::ItsOwn, keys, until: Timestamp(u64::MAX) };
        self.aliases.insert(Arc::clone(&domain.issuer.alias));
        self.by_trust_domain.insert(Arc::clone(&domain.name), TrustedDomain { domain, bundle, tokens, generation });
        self
    }

    /// Trusts the tokens of Sluice's own token endpoint, which stand for subjects of any trusted issuer. No other issuer
    /// may name anybody but its own subjects.
    #[must_use]
    pub fn with_endpoint(self, issuer: Arc<Issuer>, keys: Arc<KeySet>) -> Self {
        self.with_keys_until(issuer, Names::Everybodys, keys, Timestamp(u64::MAX))
    }

    /// Trusts an issuer whose credentials are no JWTs, as far as tokens of the token endpoint stand for its subjects.
    #[must_use]
    pub fn with_alias(mut self, alias: Arc<str>) -> Self {
        self.aliases.insert(alias);
        self
    }

    fn with_keys_until(mut self, issuer: Arc<Issuer>, names: Names, keys: Arc<KeySet>, until: Timestamp) -> Self {
        self.aliases.insert(Arc::clone(&issuer.alias));
        self.by_url.insert(Arc::clone(&issuer.url), Trusted { issuer, names, keys, until });
        self
    }

    /// Whether the issuer of this alias is trusted.
    pub fn knows(&self, alias: &str) -> bool {
        self.aliases.contains(alias)
    }

    /// By which state of its configuration the trust domain of this alias is trusted.
    pub fn generation(&self, alias: &str) -> Option<u64> {
        let mut domains = self.by_trust_domain.values();
        domains.find(|trusted| &*trusted.domain.issuer.alias == alias).map(|trusted| trusted.generation)
    }

    pub(crate) fn by_url(&self, url: &str) -> Option<&Trusted> {
        self.by_url.get(url)
    }

    pub(crate) fn by_trust_domain(&self, name: &str) -> Option<&TrustedDomain> {
        self.by_trust_domain.get(name)
    }
}

impl Trusted {
    /// The keys, unless they are too old.
    pub(crate) fn keys(&self, now: Timestamp) -> Option<&KeySet> {
        (now < self.until).then_some(&*self.keys)
    }
}
