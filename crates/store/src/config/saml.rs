//! `[[saml]]` of `sluice.toml`.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::saml::{SamlProvider, SubjectName};

use super::issuer::{OWN_ALIAS, audiences, bare_groups, is_alias, is_fetchable, is_loopback, kind};
use super::sluice::seconds;
use super::{MetadataSource, SamlConfig, Section, TokenConfig};

/// `taken` are the aliases of whoever else is believed: an alias is one party's.
pub(super) fn providers<'a>(
    root: &Section<'_, '_>,
    taken: impl Iterator<Item = &'a Arc<str>>,
    tokens: &TokenConfig,
) -> Vec<SamlConfig> {
    let endpoint = tokens.issuer.as_ref().map(|url| Arc::from(format!("{url}/token")));
    let mut aliases: BTreeSet<Arc<str>> = taken.map(Arc::clone).chain([Arc::from(OWN_ALIAS)]).collect();
    let mut entity_ids = BTreeSet::new();
    let mut providers = Vec::new();
    for section in root.tables("saml") {
        let Some(provider) = provider(&section, endpoint.as_ref()) else {
            section.finish();
            continue;
        };
        if !aliases.insert(Arc::clone(&provider.provider.alias)) {
            section.report("alias", "it is taken", "give each issuer, trust domain and provider an alias of its own");
        }
        if !entity_ids.insert(Arc::clone(&provider.provider.entity_id)) {
            section.report(
                "entity_id",
                "another provider has it",
                "give all audiences of one provider in one [[saml]]",
            );
        }
        section.finish();
        providers.push(provider);
    }
    providers
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn provider(section: &Section<'_, '_>, endpoint: Option<&Arc<str>>) -> Option<SamlConfig> {
    let name = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    let alias =
        section.parsed("alias", "a short name of a-z, 0-9, - and _", |text| is_alias(text).then(|| Arc::from(text)));
    let entity_id = section.parsed("entity_id", "the provider's entity id", name);
    let metadata = metadata(section);
    let audience = audiences(section, "audience");
    let recipient = audiences(section, "recipient").or_else(|| endpoint.map(|url| BTreeSet::from([Arc::clone(url)])));
    let subject = section.parsed("subject_attribute", "the name of an attribute", name);
    let groups_attribute = section.parsed("groups_attribute", "the name of an attribute", name);
    let bare_groups = bare_groups(section);
    let kind = kind(section);
    let max_lifetime = section.duration("max_lifetime", seconds(1, 7 * 86_400));
    let leeway = section.duration("leeway", seconds(0, 120));
    let solicited = section.flag("solicited");

    let alias = section.required("alias", alias, "write alias = \"corp\"");
    let entity_id = section.required("entity_id", entity_id, "write the `entityID` of the provider's metadata");
    let audience = section.required("audience", audience, "write Sluice's own entity id, such as \"urn:sluice\"");
    let advice = "write the URL of Sluice's token endpoint as callers know it, or set tokens.issuer";
    let recipient = section.required("recipient", recipient, advice);
    let mut provider = SamlProvider::new(alias?, entity_id?, "", "");
    provider.audiences = audience?;
    provider.recipients = recipient?;
    provider.subject = subject.map(SubjectName::Attribute).unwrap_or_default();
    provider.groups_attribute = groups_attribute;
    provider.bare_groups = bare_groups.unwrap_or_default();
    provider.kind = kind.unwrap_or_default();
    provider.max_lifetime = max_lifetime.map_or(provider.max_lifetime, |duration| duration.as_secs());
    provider.leeway = leeway.map_or(provider.leeway, |duration| duration.as_secs());
    provider.solicited = solicited.unwrap_or_default();
    Some(SamlConfig { provider: Arc::new(provider), metadata: metadata? })
}

/// Metadata is a file that the operator trusts, or comes over TLS. Plain HTTP is for a provider on this machine, and only
/// when asked for.
fn metadata(section: &Section<'_, '_>) -> Option<MetadataSource> {
    let (file, url) = (section.path("metadata_file"), section.text("metadata_url"));
    let (ca_file, signer) = (section.path("ca_file"), section.path("metadata_cert"));
    let allows_http = section.flag("allow_http").unwrap_or(false);
    match (file, url) {
        (Some(_), Some(_)) => {
            section.report("metadata_url", "it has metadata_file too", "keep one of the two");
            None
        }
        (None, None) => section.required("metadata_file", None, "write metadata_file = \"idp.xml\", or metadata_url"),
        (Some(path), None) => {
            if ca_file.is_some() {
                section.report("ca_file", "it has no use beside metadata_file", "remove one of the two");
            }
            Some(MetadataSource::File { path, signer })
        }
        (None, Some(url)) if is_fetchable(&url, "https://") || allows_http && is_loopback(&url) => {
            Some(MetadataSource::Url { url, ca_file, signer })
        }
        (None, Some(_)) => {
            let advice = "write a URL with https:// and without query or fragment, or give it in metadata_file";
            section.report("metadata_url", "it cannot be fetched safely from there", advice);
            None
        }
    }
}

#[cfg(test)]
mod tests;
