//! Whom Sluice trusts at one moment, with the metadata of that moment: a snapshot that readers share.

use std::collections::HashMap;
use std::sync::Arc;

use model::saml::SamlProvider;
use model::time::Timestamp;

use super::error::SamlError;
use super::keys::ProviderKeys;
use super::metadata::Metadata;
use crate::error::excerpt;

/// The trusted providers by their entity id. The gateway builds one whenever metadata changes.
#[derive(Debug, Default)]
pub struct Providers(HashMap<Arc<str>, Trusted>);

#[derive(Debug)]
struct Trusted {
    provider: Arc<SamlProvider>,
    keys: ProviderKeys,
    until: Timestamp,
}

impl Providers {
    /// None: every assertion is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts `provider` with the keys in `metadata`, until the earlier of `until` and the metadata's own end.
    #[must_use]
    pub fn with(mut self, provider: Arc<SamlProvider>, metadata: &Metadata, until: Timestamp) -> Self {
        let until = metadata.valid_until.map_or(until, |end| end.min(until));
        let entity_id = Arc::clone(&provider.entity_id);
        self.0.insert(entity_id, Trusted { provider, keys: metadata.keys.clone(), until });
        self
    }

    /// Knows `provider`, but none of its keys: so the reason for a refusal is told apart from a stranger's.
    #[must_use]
    pub fn without_metadata(mut self, provider: Arc<SamlProvider>) -> Self {
        let entity_id = Arc::clone(&provider.entity_id);
        self.0.insert(entity_id, Trusted { provider, keys: ProviderKeys::default(), until: Timestamp(0) });
        self
    }

    /// The provider of this entity id with its keys, unless they are too old.
    pub(super) fn find(&self, entity_id: &str, now: Timestamp) -> Result<(&SamlProvider, &ProviderKeys), SamlError> {
        let stranger = || SamlError::UnknownProvider(excerpt(entity_id));
        let trusted = self.0.get(entity_id).ok_or_else(stranger)?;
        if now < trusted.until {
            Ok((&trusted.provider, &trusted.keys))
        } else {
            Err(SamlError::MetadataTooOld { provider: Arc::clone(&trusted.provider.alias) })
        }
    }
}
