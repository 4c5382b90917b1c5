//! `[[trust_domain]]` of `sluice.toml`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use model::issuer::{Issuer, Profile};
use model::spiffe::{PathPattern, TrustDomain, is_trust_domain};

use super::issuer::{audiences, is_alias};
use super::sluice::seconds;
use super::{IssuerConfig, Section};

/// A trust domain and where its bundle comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustDomainConfig {
    /// What to believe of it.
    pub domain: Arc<TrustDomain>,
    /// Where its bundle is.
    pub bundle: BundleSource,
}

/// Where the bundle of a trust domain is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum BundleSource {
    /// In a file of PEM certificates, or a SPIFFE bundle document; looked at again every second.
    File(PathBuf),
    /// At the Workload API of this Unix socket, which tells of every change.
    WorkloadApi(PathBuf),
}

/// `issuers` are those of the same file: an alias is one party's.
pub(super) fn trust_domains(root: &Section<'_, '_>, issuers: &[IssuerConfig]) -> Vec<TrustDomainConfig> {
    let mut aliases: BTreeSet<Arc<str>> = issuers.iter().map(|issuer| Arc::clone(&issuer.issuer.alias)).collect();
    aliases.insert(Arc::from(super::issuer::OWN_ALIAS));
    let (mut names, mut domains) = (BTreeSet::new(), Vec::new());
    for section in root.tables("trust_domain") {
        if let Some(config) = trust_domain(&section) {
            if !aliases.insert(Arc::clone(&config.domain.issuer.alias)) {
                let advice = "give each issuer and trust domain an alias of its own; \"sluice\" is Sluice itself";
                section.report("alias", "it is taken", advice);
            }
            if !names.insert(Arc::clone(&config.domain.name)) {
                section.report("name", "another trust domain has it", "give all that is known of it in one table");
            }
            domains.push(config);
        }
        section.finish();
    }
    domains
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn trust_domain(section: &Section<'_, '_>) -> Option<TrustDomainConfig> {
    let expected = "the name of a trust domain, such as \"prod.example\", without spiffe://";
    let name = section.parsed("name", expected, |text| is_trust_domain(text).then(|| Arc::<str>::from(text)));
    let alias =
        section.parsed("alias", "a short name of a-z, 0-9, - and _", |text| is_alias(text).then(|| text.into()));
    let audiences = audiences(section, "audience").unwrap_or_default();
    let certificates = section.flag("certificates").unwrap_or(true);
    let max_lifetime = section.duration("max_lifetime", seconds(1, 7 * 86_400));
    let leeway = section.duration("leeway", seconds(0, 120));
    let bundle = bundle(section);
    let groups = groups(&section.table("groups"));

    let name = section.required("name", name, "write name = \"prod.example\"");
    let alias: Option<Arc<str>> = section.required("alias", alias, "write alias = \"prod\"");
    let (name, alias) = (name?, alias?);
    let mut issuer = Issuer::new(alias, format!("spiffe://{name}"), "");
    issuer.audiences = audiences;
    issuer.profile = Profile::JwtSvid;
    issuer.max_lifetime = max_lifetime.map_or(issuer.max_lifetime, |duration| duration.as_secs());
    issuer.leeway = leeway.map_or(issuer.leeway, |duration| duration.as_secs());
    if !certificates && issuer.audiences.is_empty() {
        let advice = "leave certificates out, or write the `aud` of its JWT-SVIDs that means Sluice";
        section.report("certificates", "without certificates and audience nothing of it is believed", advice);
    }
    let domain = Arc::new(TrustDomain { name, issuer: Arc::new(issuer), certificates, groups });
    Some(TrustDomainConfig { domain, bundle: bundle? })
}

fn bundle(section: &Section<'_, '_>) -> Option<BundleSource> {
    let advice = "write bundle_file = \"prod.example.pem\", or workload_api = \"/run/spire/agent.sock\"";
    match (section.path("bundle_file"), section.path("workload_api")) {
        (Some(file), None) => Some(BundleSource::File(file)),
        (None, Some(socket)) => Some(BundleSource::WorkloadApi(socket)),
        (Some(_), Some(_)) => {
            section.report("bundle_file", "it has workload_api too", "keep one of the two");
            None
        }
        (None, None) => section.required("bundle_file", None, advice),
    }
}

/// Each setting is a group, and lists the paths of its workloads.
fn groups(section: &Section<'_, '_>) -> Vec<(Arc<str>, Vec<PathPattern>)> {
    let mut groups = Vec::new();
    for (name, setting) in section.take_all() {
        let is_name =
            (1..=200).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'|');
        if !is_name {
            setting.report("it is not the name of a group", "write printable ASCII without space and |");
        }
        let list = setting.value.as_array().map(|list| list.iter().map(|entry| entry.get_ref().as_str()));
        let patterns =
            list.and_then(|list| list.map(|text| text.and_then(PathPattern::parse)).collect::<Option<Vec<_>>>());
        match patterns.filter(|patterns| !patterns.is_empty()) {
            Some(patterns) => groups.push((Arc::from(name), patterns)),
            None => setting.report(
                "it is not a list of paths",
                "write [\"/ns/orders/sa/*\"]: * is one segment, and /** at the end is all below",
            ),
        }
    }
    groups
}
