//! `[[issuer]]` of `sluice.toml`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use model::issuer::{Algorithm, BareGroups, ClaimPath, GroupClaim, Issuer, KindRule, Profile};
use toml::de::DeValue;

use super::introspection::{Around, introspection, is_ambiguous};
use super::sluice::seconds;
use super::{IntrospectionConfig, IssuerConfig, KeySource, Section, Setting};

/// Sluice's own issuer has this alias, so no other may.
pub(super) const OWN_ALIAS: &str = "sluice";

pub(super) fn issuers(root: &Section<'_, '_>) -> Vec<IssuerConfig> {
    let (mut aliases, mut urls) = (BTreeSet::from([Arc::from(OWN_ALIAS)]), BTreeSet::new());
    let mut issuers: Vec<IssuerConfig> = Vec::new();
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
        if let Some(asked) = &issuer.introspection
            && issuers.iter().filter_map(|other| other.introspection.as_ref()).any(|other| is_ambiguous(asked, other))
        {
            let advice = "give each a token_prefix of its own: a token is shown to no issuer that did not make it";
            section.report("introspection", "another issuer would be asked about the same tokens", advice);
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
    let (keys, introspection) = keys(section, url.as_deref());
    let audiences = audiences(section, "audience");
    let profile = profile(section);
    let algorithms = algorithms(section);
    let kind = kind(section);
    let id_claim = section.parsed("id_claim", "the name of a claim", |text| (!text.is_empty()).then(|| text.into()));
    let groups_claim = groups_claim(section);
    let group_claims = group_claims(section);
    let bare_groups = bare_groups(section);
    let max_lifetime = section.duration("max_lifetime", seconds(1, Issuer::LONGEST_LIFETIME));
    let leeway = section.duration("leeway", seconds(0, Issuer::LONGEST_LEEWAY));
    let events = section.flag("events").unwrap_or(false);

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
    issuer.group_claims = group_claims.unwrap_or_default();
    issuer.bare_groups = bare_groups.unwrap_or_default();
    issuer.max_lifetime = max_lifetime.map_or(issuer.max_lifetime, |duration| duration.as_secs());
    issuer.leeway = leeway.map_or(issuer.leeway, |duration| duration.as_secs());
    issuer.events = events;
    Some(IssuerConfig { issuer: Arc::new(issuer), keys: keys?, introspection })
}

/// Whether it can be the name of an issuer or a sink.
pub(super) fn is_alias(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=32).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Keys come from a file, or over TLS, and so do answers about opaque tokens. Plain HTTP is for a test issuer on this
/// machine, and only when asked for.
fn keys(section: &Section<'_, '_>, url: Option<&str>) -> (Option<KeySource>, Option<IntrospectionConfig>) {
    let file = section.path("jwks_file");
    let ca_file = section.path("ca_file");
    let allows_http = section.flag("allow_http").unwrap_or(false);
    let asked = section.table("introspection");
    let is_asked = asked.is_present();
    let around = Around { ca_file: ca_file.clone(), allows_http, discovers: file.is_none() };
    let introspection = introspection(asked, around);
    if let Some(file) = file {
        if ca_file.is_some() && !is_asked {
            section.report("ca_file", "it has no use beside jwks_file", "remove one of the two");
        }
        return (Some(KeySource::File(file)), introspection);
    }
    (url.and_then(|url| discovery(section, url, allows_http, ca_file)), introspection)
}

fn discovery(section: &Section<'_, '_>, url: &str, allows_http: bool, ca_file: Option<PathBuf>) -> Option<KeySource> {
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

fn groups_claim(section: &Section<'_, '_>) -> Option<ClaimPath> {
    claim_path(section.take("groups_claim")?)
}

const PATH_ADVICE: &str = "\"groups\", \"realm_access.roles\" or [\"https://example.com/groups\"]";

/// A dotted path, or a list of names for claims whose names have dots in them.
fn claim_path(setting: Setting<'_, '_>) -> Option<ClaimPath> {
    if !setting.value.is_array() {
        return setting.parsed(PATH_ADVICE, |text| ClaimPath::new(text.split('.')));
    }
    if setting.value.as_array().is_some_and(|names| names.is_empty()) {
        setting.report("the list is empty", "write [\"https://example.com/groups\"]");
    }
    ClaimPath::new(setting.texts()?)
}

/// A list of claims, or a table of what their groups begin with and where they are.
fn group_claims(section: &Section<'_, '_>) -> Option<Vec<GroupClaim>> {
    let setting = section.take("group_claims")?;
    let expected = "[\"repository\", \"environment\"], or { namespace = [\"kubernetes.io\", \"namespace\"] }";
    if setting.value.is_array() {
        let names = setting.texts()?;
        let claims = names.iter().map(|name| {
            let path = ClaimPath::new(name.split('.'))?;
            is_group_prefix(name).then(|| GroupClaim { prefix: name.as_str().into(), path })
        });
        let claims = claims.collect::<Option<Vec<_>>>().filter(|claims| !claims.is_empty());
        if claims.is_none() {
            section.report("group_claims", "it is empty, or a name in it has : or |", expected);
        }
        return claims;
    }
    if !setting.value.is_table() {
        setting.report("it is neither a list nor a table", expected);
        return None;
    }
    let claims = setting.section()?.take_all().into_iter().map(|(prefix, setting)| {
        if !is_group_prefix(&prefix) {
            setting
                .report("it cannot begin the name of a group", "use a name of at most 64 characters without : and |");
        }
        Some(GroupClaim { prefix: prefix.into(), path: claim_path(setting)? })
    });
    claims.collect()
}

fn is_group_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':' && byte != b'|')
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
