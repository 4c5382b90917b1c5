//! `[issuer.introspection]` of `sluice.toml`: how an issuer is asked about its opaque tokens.

use std::path::PathBuf;
use std::time::Duration;

use super::credential::{SOURCE_ADVICE, secret};
use super::issuer::{is_fetchable, is_loopback};
use super::sluice::seconds;
use super::{CredentialSource, Section};

/// How an issuer is asked about its opaque tokens (RFC 7662).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntrospectionConfig {
    /// Where; `None` means the `introspection_endpoint` of the issuer's discovery document.
    pub url: Option<String>,
    /// As which client Sluice asks.
    pub client_id: String,
    /// Where that client's secret is. Read for each question.
    pub client_secret: CredentialSource,
    /// How the secret is shown.
    pub method: ClientAuthentication,
    /// What this issuer's opaque tokens begin with; `None` means that every opaque token is its.
    pub token_prefix: Option<String>,
    /// How long an answer counts, and how often the tokens of live sessions are asked about again.
    pub max_age: Duration,
    /// How long sessions live on while the issuer does not answer.
    pub max_outage: Duration,
    /// The CA that the server's certificate must chain to; `None` means the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a client shows its secret (OpenID Connect Core, section 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientAuthentication {
    /// In the header `Authorization`: `client_secret_basic`.
    #[default]
    Basic,
    /// In the form: `client_secret_post`.
    Post,
}

const URL_ADVICE: &str = "write a URL with https:// and without query or fragment; http:// is for this machine alone, with \
    the issuer's allow_http = true";

/// What the issuer's own table says that this one needs too.
pub(super) struct Around {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) allows_http: bool,
    /// Whether the issuer is asked where things are.
    pub(super) discovers: bool,
}

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn introspection(section: Section<'_, '_>, around: Around) -> Option<IntrospectionConfig> {
    if !section.is_present() {
        return None;
    }
    let is_safe = |url: &str| is_fetchable(url, "https://") || around.allows_http && is_loopback(url);
    let url = section.parsed("url", URL_ADVICE, |url| is_safe(url).then(|| url.to_owned()));
    let client_id =
        section.parsed("client_id", "Sluice's own client at the issuer", |id| (!id.is_empty()).then(|| id.to_owned()));
    let client_secret = secret(&section, "client_secret");
    let methods =
        [("client_secret_basic", ClientAuthentication::Basic), ("client_secret_post", ClientAuthentication::Post)];
    let method = section.word("method", &methods).unwrap_or_default();
    let token_prefix =
        section.parsed("token_prefix", "1 to 64 characters of a token that is no JWT, such as \"corp_\"", |text| {
            is_prefix(text).then(|| text.to_owned())
        });
    let max_age = section.duration("max_age", seconds(1, 300)).unwrap_or(Duration::from_secs(30));
    let max_outage = section.duration("max_outage", seconds(0, 3600)).unwrap_or(Duration::from_secs(300));
    let client_id = section.required("client_id", client_id, "write client_id = \"sluice\"");
    if client_secret == Some(None) {
        section.required::<()>("client_secret", None, SOURCE_ADVICE);
    }
    if url.is_none() && !around.discovers && !section.has_mistake() {
        section.required::<()>("url", None, "with jwks_file the issuer is not asked where it can be asked: write it");
    }
    let is_right = !section.has_mistake();
    section.finish();
    let (client_id, client_secret) = (client_id?, client_secret??);
    is_right.then_some(IntrospectionConfig {
        url,
        client_id,
        client_secret,
        method,
        token_prefix,
        max_age,
        max_outage,
        ca_file: around.ca_file,
    })
}

/// Every JWT begins with `ey`: those are verified here, and shown to nobody.
fn is_prefix(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with("ey") && !"ey".starts_with(text)
}

/// Whether a token could be meant for either: it would be shown to an issuer that did not make it.
pub(super) fn is_ambiguous(one: &IntrospectionConfig, other: &IntrospectionConfig) -> bool {
    match (&one.token_prefix, &other.token_prefix) {
        (Some(one), Some(other)) => one.starts_with(other.as_str()) || other.starts_with(one.as_str()),
        (None, None) => true,
        // The one with a prefix is asked about what begins so, the other about the rest.
        (Some(_), None) | (None, Some(_)) => false,
    }
}
