//! A SAML 2.0 identity provider, as the configuration meant it: whom Sluice believes, and about what.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::issuer::{BareGroups, KindRule};

/// One trusted identity provider. `store` reads it from `[[saml]]`, `identity` verifies assertions by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SamlProvider {
    /// What subjects and groups of this provider are prefixed with; holds no `|`.
    pub alias: Arc<str>,
    /// Its entity id: the `Issuer` of its assertions and the `entityID` of its metadata, compared byte by byte.
    pub entity_id: Arc<str>,
    /// The audiences that mean Sluice: its own entity id, mostly. Never empty.
    pub audiences: BTreeSet<Arc<str>>,
    /// The `Recipient` values that mean Sluice: the URL of its token endpoint, as callers know it. Never empty.
    pub recipients: BTreeSet<Arc<str>>,
    /// What names the subject.
    pub subject: SubjectName,
    /// The attribute that lists groups; `None` when assertions list none.
    pub groups_attribute: Option<Arc<str>>,
    /// The groups that policies name without the provider's alias.
    pub bare_groups: BareGroups,
    /// Whether its subjects are machines or people; a rule's claim is the name of an attribute.
    pub kind: KindRule,
    /// The longest that an identity lasts after the assertion was issued, in seconds.
    pub max_lifetime: u64,
    /// How far the provider's clock may be ahead of ours, in seconds. It never prolongs an assertion.
    pub leeway: u64,
    /// Whether assertions may answer a request of the caller's own (`InResponseTo`), as those of the ECP profile do.
    pub solicited: bool,
}

impl SamlProvider {
    /// The default of [`SamlProvider::max_lifetime`], in seconds: one hour.
    pub const MAX_LIFETIME: u64 = 3600;

    /// A provider of machines that are named by `NameID`, without groups and with the default bounds.
    pub fn new(
        alias: impl Into<Arc<str>>,
        entity_id: impl Into<Arc<str>>,
        audience: impl Into<Arc<str>>,
        recipient: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            alias: alias.into(),
            entity_id: entity_id.into(),
            audiences: BTreeSet::from([audience.into()]),
            recipients: BTreeSet::from([recipient.into()]),
            subject: SubjectName::default(),
            groups_attribute: None,
            bare_groups: BareGroups::default(),
            kind: KindRule::default(),
            max_lifetime: Self::MAX_LIFETIME,
            leeway: 0,
            solicited: false,
        }
    }
}

/// What of an assertion names its subject.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum SubjectName {
    /// `NameID`, unless its format is transient.
    #[default]
    NameId,
    /// The only value of this attribute.
    Attribute(Arc<str>),
}
