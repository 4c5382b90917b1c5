//! `[[issuer]]` of `sluice.toml`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use model::issuer::{Algorithm, BareGroups, ClaimPath, Issuer, KindRule, Profile};
use toml::de::DeValue;

use super::sluice::seconds;
use super::{IssuerConfig, KeySource, Section};

/// Sluice's own issuer has this alias, so no other may.
const OWN_ALIAS: &str = "sluice";

pub(super) fn issuers(root: &Section<'_, '_>) -> Vec<IssuerConfig> {
    let (mut aliases, mut urls) = (BTreeSet::from([Arc::from(OWN_ALIAS)]), BTreeSet::new());
    let mut issuers = Vec::new();
    for section in root.tables("issuer") {
        let Some(issuer) = issuer(&section) else {
            section.finish();
            continue;
        };
        if !aliases.insert(Arc::clone(&issuer.issuer.alias)) {
            section.report("alias", "it is taken", "give each issuer an alias of its own; \"sluice\" is Sluice itself");
        }
        if !urls.insert(Arc::clone(&issuer.issuer.url)) {
            section.report("url", "another issuer has it", "give all audiences of one issuer in one [[issuer]]");
        }
        section.finish();
        issuers.push(issuer);
    }
    issuers
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn issuer(section: &Section<'_, '_>) -> Option<IssuerConfig> {
    let alias =
        section.parsed("alias", "a short name of a-z, 0-9, - and _", |text| is_alias(text).then(|| text.into()));
    let url = section.text("url");
    let keys = keys(section, url.as_deref());
    let audiences = audiences(section, "audience");
    let profile = profile(section);
    let algorithms = algorithms(section);
    let kind = kind(section);
    let id_claim = section.parsed("id_claim", "the name of a claim", |text| (!text.is_empty()).then(|| text.into()));
    let groups_claim = groups_claim(section);
    let bare_groups = bare_groups(section);
    let max_lifetime = section.duration("max_lifetime", seconds(1, 7 * 86_400));
    let leeway = section.duration("leeway", seconds(0, 120));

    let alias: Option<Arc<str>> = section.required("alias", alias, "write alias = \"corp\"");
    let url = section.required("url", url, "write the `iss` of its tokens, such as \"https://id.example.com\"");
    let audiences = section.required("audience", audiences, "write the `aud` that means Sluice, such as \"sluice\"");
    let mut issuer = Issuer::new(alias?, url?, "");
    issuer.audiences = audiences?;
    issuer.profile = profile.unwrap_or_default();
    issuer.algorithms = algorithms.unwrap_or(issuer.algorithms);
    issuer.kind = kind.unwrap_or_default();
    issuer.id_claim = id_claim.unwrap_or(issuer.id_claim);
    issuer.groups_claim = groups_claim;
    issuer.bare_groups = bare_groups.unwrap_or_default();
    issuer.max_lifetime = max_lifetime.map_or(issuer.max_lifetime, |duration| duration.as_secs());
    issuer.leeway = leeway.map_or(issuer.leeway, |duration| duration.as_secs());
    Some(IssuerConfig { issuer: Arc::new(issuer), keys: keys? })
}

/// Whether it can be the name of an issuer or a sink.
pub(super) fn is_alias(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=32).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Keys come from a file, or over TLS. Plain HTTP is for a test issuer on this machine, and only when asked for.
fn keys(section: &Section<'_, '_>, url: Option<&str>) -> Option<KeySource> {
    let file = section.path("jwks_file");
    let ca_file = section.path("ca_file");
    let allows_http = section.flag("allow_http").unwrap_or(false);
    if let Some(file) = file {
        if ca_file.is_some() {
            section.report("ca_file", "it has no use beside jwks_file", "remove one of the two");
        }
        return Some(KeySource::File(file));
    }
    let url = url?;
    let is_http = url.starts_with("http://");
    let is_trusted = is_fetchable(url, "https://") || allows_http && is_http && is_loopback(url);
    if !is_trusted {
        let advice = match (allows_http, is_http) {
            (true, true) => "allow_http is for issuers on this machine; write a URL with https://",
            _ => "write a URL with https:// and without query or fragment, or give the keys in jwks_file",
        };
        section.report("url", "its keys cannot be fetched safely from there", advice);
        return None;
    }
    Some(KeySource::Discovery { ca_file })
}

/// Whether `url` is the scheme and a host, with nothing that makes another address of `url` + a path.
pub(super) fn is_fetchable(url: &str, scheme: &str) -> bool {
    let rest = url.strip_prefix(scheme).unwrap_or_default();
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@' | b'\\'));
    is_plain && rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
}

pub(super) fn is_loopback(url: &str) -> bool {
    if !is_fetchable(url, "http://") {
        return false;
    }
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One text or a list of them; none empty.
pub(super) fn audiences(section: &Section<'_, '_>, key: &'static str) -> Option<BTreeSet<Arc<str>>> {
    let setting = section.take(key)?;
    let advice = "write \"sluice\", or a list of such texts";
    let texts = match &setting.value {
        DeValue::String(text) => vec![text.to_string()],
        DeValue::Array(_) => return non_empty(setting.texts()?, section, key, advice),
        _ => Vec::new(),
    };
    let is_good = texts.iter().any(|text| !text.is_empty());
    if !is_good {
        setting.report("it is empty or not a text", advice);
        return None;
    }
    Some(texts.into_iter().map(Into::into).collect())
}

fn non_empty(
    texts: Vec<String>,
    section: &Section<'_, '_>,
    key: &'static str,
    advice: &str,
) -> Option<BTreeSet<Arc<str>>> {
    if texts.is_empty() {
        section.report(key, "the list is empty", advice);
        return None;
    }
    Some(texts.into_iter().map(Into::into).collect())
}

fn profile(section: &Section<'_, '_>) -> Option<Profile> {
    section.word("profile", &Profile::ALL.map(|profile| (profile.name(), profile)))
}

fn algorithms(section: &Section<'_, '_>) -> Option<BTreeSet<Algorithm>> {
    let setting = section.take("algorithms")?;
    let names = Algorithm::ALL.map(Algorithm::name).join(", ");
    let texts = setting.texts()?;
    let parsed = texts.iter().map(|text| text.parse::<Algorithm>().ok()).collect::<Option<BTreeSet<_>>>();
    let algorithms = parsed.filter(|algorithms| !algorithms.is_empty());
    if algorithms.is_none() {
        section.report("algorithms", "it has an unknown algorithm, or none", &format!("choose among {names}"));
    }
    algorithms
}

/// `"service"`, `"user"`, or `{ claim = "…", user = "…" }`.
pub(super) fn kind(section: &Section<'_, '_>) -> Option<KindRule> {
    let setting = section.take("kind")?;
    if setting.value.is_str() {
        let word = |text: &str| match text {
            "service" => Some(KindRule::Service),
            "user" => Some(KindRule::User),
            _ => None,
        };
        return setting.parsed("\"service\", \"user\", or { claim = \"account_type\", user = \"person\" }", word);
    }
    let rule = setting.section()?;
    let (claim, value) = (rule.text("claim"), rule.text("user"));
    let claim = rule.required("claim", claim, "write the claim that tells people from machines");
    let value = rule.required("user", value, "write what that claim says for people");
    rule.finish();
    Some(KindRule::UserIf { claim: claim?.into(), value: value?.into() })
}

/// A dotted path, or a list of names for claims whose names have dots in them.
fn groups_claim(section: &Section<'_, '_>) -> Option<ClaimPath> {
    let setting = section.take("groups_claim")?;
    if setting.value.is_array() {
        let names = setting.texts()?;
        let path = ClaimPath::new(names);
        if path.is_none() {
            section.report("groups_claim", "the list is empty", "write [\"https://example.com/groups\"]");
        }
        return path;
    }
    setting.parsed("\"groups\", \"realm_access.roles\" or [\"https://example.com/groups\"]", |text| {
        ClaimPath::new(text.split('.'))
    })
}

/// A list of names, or `"*"`.
pub(super) fn bare_groups(section: &Section<'_, '_>) -> Option<BareGroups> {
    let setting = section.take("bare_groups")?;
    if setting.value.is_array() {
        let names = setting.texts()?.into_iter().map(Into::into).collect();
        return Some(BareGroups::Only(names));
    }
    setting.parsed("[\"dba\", \"auditors\"], or \"*\" for all groups of this issuer", |text| {
        (text == "*").then_some(BareGroups::All)
    })
}
