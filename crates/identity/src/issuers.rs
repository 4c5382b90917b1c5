//! Whom Sluice trusts at one moment, with the keys of that moment: a snapshot that readers share.

use std::collections::HashMap;
use std::sync::Arc;

use model::time::Timestamp;

use crate::{Issuer, KeyCache, KeySet};

/// The trusted issuers by their exact `iss`. The gateway builds one whenever an issuer or its keys change.
#[derive(Debug, Default)]
pub struct Issuers {
    by_url: HashMap<Arc<str>, Trusted>,
}

#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) issuer: Arc<Issuer>,
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
        self.with_keys_until(issuer, keys, until)
    }

    /// Trusts `issuer` with keys that do not age: Sluice's own.
    #[must_use]
    pub fn with_keys(self, issuer: Arc<Issuer>, keys: Arc<KeySet>) -> Self {
        self.with_keys_until(issuer, keys, Timestamp(u64::MAX))
    }

    fn with_keys_until(mut self, issuer: Arc<Issuer>, keys: Arc<KeySet>, until: Timestamp) -> Self {
        self.by_url.insert(Arc::clone(&issuer.url), Trusted { issuer, keys, until });
        self
    }

    pub(crate) fn by_url(&self, url: &str) -> Option<&Trusted> {
        self.by_url.get(url)
    }
}

impl Trusted {
    /// The keys, unless they are too old.
    pub(crate) fn keys(&self, now: Timestamp) -> Option<&KeySet> {
        (now < self.until).then_some(&*self.keys)
    }
}
