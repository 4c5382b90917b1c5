//! What a target adds that speaks HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::credential::{self, PasswordSource, Servers};
use super::super::sluice::{GIB, KIB, MIB, seconds};
use super::super::{CredentialSource, Section};
use super::kubernetes::KubernetesTarget;
use super::postgres::{TargetTls, TlsMode, tls};

/// An HTTP server behind a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpTarget {
    /// The names by which callers reach it, in lower case and without a port.
    pub hosts: Vec<Arc<str>>,
    /// The path below which callers reach it whatever name they use, without a slash at its end; it is not forwarded.
    pub path_prefix: Option<Arc<str>>,
    /// The name that it is told it is asked by (`Host`); `None` means its address.
    pub authority: Option<Arc<str>>,
    /// TLS to it.
    pub tls: TargetTls,
    /// Whether it takes `%2F` in a path for a part of a name, as others would not.
    pub encoded_slash: bool,
    /// Whether it takes `;` in a path for a part of a name, as others would not.
    pub semicolon: bool,
    /// The version of HTTP that it is spoken to in.
    pub version: HttpVersion,
    /// How Sluice proves itself to it.
    pub credential: HttpCredential,
    /// How it is told who asks; `None` means that it is not.
    pub identity: Option<IdentityField>,
    /// What is known of its interface.
    pub interface: HttpInterface,
    /// The largest body of a request, in bytes.
    pub max_body: u64,
    /// The largest body that is looked into, or that an approval can be asked for, in bytes.
    pub max_inspected_body: usize,
    /// How long it may take to begin an answer.
    pub answer_timeout: Duration,
    /// How long a request waits for an approval that does not say itself how long it would (`Prefer: wait`).
    pub hold: Duration,
    /// How much of each body the tape holds, in bytes.
    pub tape_body: u64,
    /// What becomes of answers that are not read, such as images, where their content may have to be masked.
    pub unread: Unread,
    /// The origins of pages that may ask where a browser says who its user is, beside the one by which the target is reached.
    pub origins: Vec<Arc<str>>,
    /// The longest message of a WebSocket, in bytes.
    pub max_message: usize,
    /// Whether callers may be connected to it so that nobody sees what passes, where policy permits that.
    pub tunnel: bool,
    /// What there is of Kubernetes, if it is an API server.
    pub kubernetes: Option<KubernetesTarget>,
}

/// The version of HTTP that a target is spoken to in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum HttpVersion {
    /// What it chooses in the TLS handshake; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    One,
    /// HTTP/2, without TLS by prior knowledge (RFC 9113, section 3.3).
    Two,
}

/// What becomes of answers of a kind that is not read, where what they show may have to be masked. Where a class is hidden by
/// its place on the route they are always refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Unread {
    /// They are refused.
    #[default]
    Refuse,
    /// They go out, and what is found in them counts as seen in clear.
    Through,
}

/// How Sluice proves itself to an HTTP server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HttpCredential {
    /// Not at all, or by the client certificate alone.
    None,
    /// By a bearer token (RFC 6750).
    Bearer(CredentialSource),
    /// By a user and a password (RFC 7617).
    Basic {
        /// The user; `None` where the source names one with each password.
        user: Option<Arc<str>>,
        /// Where the password comes from.
        password: PasswordSource,
    },
    /// By a field of its own, such as an API key.
    Header {
        /// The field's name, in lower case.
        name: Arc<str>,
        /// Where its value is.
        value: CredentialSource,
    },
    /// By a bearer token that an issuer gives to Sluice: of [`PasswordSource::OAuth2`].
    OAuth2(PasswordSource),
    /// By a signature of AWS, version 4.
    SigV4(AwsSigning),
}

/// The field by which a target is told who asks: a JWT that Sluice signs for each request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityField {
    /// The field's name, in lower case.
    pub header: Arc<str>,
    /// `aud`; `None` means the target's name.
    pub audience: Option<Arc<str>>,
    /// How long it is good.
    pub lifetime: Duration,
}

/// As what requests to a service of AWS are signed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AwsSigning {
    /// Where the keys come from: [`PasswordSource::AwsKeys`].
    pub keys: PasswordSource,
    /// The service's name in signatures, such as `execute-api`.
    pub service: String,
    /// The region.
    pub region: String,
}

/// What is known of a target's interface.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HttpInterface {
    /// The name of its OpenAPI document among the revision's `apis/`.
    pub openapi: Option<Arc<str>>,
    /// Routes as `METHOD /path/{parameter}`.
    pub routes: Vec<String>,
    /// The paths at which it speaks GraphQL.
    pub graphql: Vec<String>,
    /// The paths at which it speaks JSON-RPC.
    pub json_rpc: Vec<String>,
    /// The paths at which it speaks MCP.
    pub mcp: Vec<String>,
    /// Whether its paths are services and methods of gRPC.
    pub grpc: bool,
    /// The name of the descriptor set of its messages among the revision's `apis/`.
    pub descriptors: Option<Arc<str>>,
    /// Whether it takes another method from the body of a form (`_method`), so that forms are looked into.
    pub form_method_override: bool,
}

const MAX_BODY: u64 = 64 * MIB;
const MAX_INSPECTED_BODY: u64 = MIB;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const TAPE_BODY: u64 = MIB;
/// For a target whose clock is not quite right.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(60);

/// What only such a target has.
pub(super) const SETTINGS: [&str; 29] = [
    "hosts",
    "path_prefix",
    "authority",
    "encoded_slash",
    "semicolon",
    "tls",
    "ca_file",
    "client_cert",
    "client_key",
    "version",
    "credential",
    "identity",
    "openapi",
    "routes",
    "graphql",
    "json_rpc",
    "mcp",
    "grpc",
    "descriptors",
    "form_method_override",
    "max_body",
    "max_inspected_body",
    "answer_timeout",
    "hold",
    "tape_body",
    "unread",
    "origins",
    "max_message",
    "tunnel",
];

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn http(section: &Section<'_, '_>, servers: &Servers) -> Option<HttpTarget> {
    let hosts = hosts(section);
    let path_prefix = section.parsed("path_prefix", "a path such as \"/billing\"", prefix);
    let authority = section.parsed("authority", "a host, such as \"billing.internal\"", authority);
    let encoded_slash = section.flag("encoded_slash").unwrap_or(false);
    let semicolon = section.flag("semicolon").unwrap_or(false);
    let tls = tls(section);
    let words = [("auto", HttpVersion::Auto), ("http1", HttpVersion::One), ("http2", HttpVersion::Two)];
    let version = section.word("version", &words).unwrap_or_default();
    let credential = credential(section, &tls, servers);
    let identity = identity(section);
    let interface = interface(section);
    let max_body = section.size("max_body", KIB..=1024 * GIB).unwrap_or(MAX_BODY);
    let inspected = section.size("max_inspected_body", KIB..=16 * MIB).unwrap_or(MAX_INSPECTED_BODY);
    let answer_timeout = section.duration("answer_timeout", seconds(1, 3600)).unwrap_or(ANSWER_TIMEOUT);
    let hold = section.duration("hold", seconds(0, 3600)).unwrap_or(Duration::ZERO);
    let tape_body = section.size("tape_body", 0..=GIB).unwrap_or(TAPE_BODY);
    let unread = section.word("unread", &[("refuse", Unread::Refuse), ("through", Unread::Through)]);
    let origins = origins(section);
    let max_message = section.size("max_message", KIB..=16 * MIB).unwrap_or(MIB);
    let tunnel = section.flag("tunnel").unwrap_or(false);
    if !section.holds("path_prefix") {
        let advice =
            "write hosts = [\"billing.example.com\"], the names that callers use, or path_prefix = \"/billing\"";
        section.required("hosts", hosts.as_ref(), advice);
    }
    let credential = section.required("credential", credential, CREDENTIAL_ADVICE);
    Some(HttpTarget {
        hosts: hosts.unwrap_or_default(),
        path_prefix,
        authority,
        encoded_slash,
        semicolon,
        tls,
        version,
        credential: credential?,
        identity: identity?,
        interface,
        max_body,
        max_inspected_body: usize::try_from(inspected).unwrap_or(usize::MAX),
        answer_timeout,
        hold,
        tape_body,
        unread: unread.unwrap_or_default(),
        origins,
        max_message: usize::try_from(max_message).unwrap_or(usize::MAX),
        tunnel,
        kubernetes: None,
    })
}

fn hosts(section: &Section<'_, '_>) -> Option<Vec<Arc<str>>> {
    let names = section.texts("hosts")?;
    if let Some(wrong) = names.iter().find(|name| !is_host(name)) {
        section.report("hosts", &format!("{wrong:?} is no name of a host"), "write names without port, in lower case");
        return None;
    }
    Some(names.into_iter().map(Into::into).collect())
}

/// Origins as browsers write them (RFC 6454, section 6.2).
fn origins(section: &Section<'_, '_>) -> Vec<Arc<str>> {
    let names = section.texts("origins").unwrap_or_default();
    let is_origin = |origin: &str| {
        let rest = ["https://", "http://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
        rest.is_some_and(|rest| authority(rest).is_some())
    };
    if let Some(wrong) = names.iter().find(|name| !is_origin(name)) {
        let problem = format!("{wrong:?} is no origin");
        section.report("origins", &problem, "write it as browsers do, such as \"https://app.example.com\"");
    }
    names.into_iter().map(Into::into).collect()
}

/// What a caller can write in front of the port: a name in lower case, or an address.
fn is_host(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    let is_name = (1..=253).contains(&name.len()) && name.bytes().all(is_plain);
    is_name || name.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.to_string() == name)
}

/// A path of unreserved characters alone (RFC 3986, section 2.3), which is its own canonical form.
fn prefix(text: &str) -> Option<Arc<str>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
    let path = text.trim_end_matches('/').strip_prefix('/')?;
    path.split('/').all(is_segment).then(|| format!("/{path}").into())
}

fn authority(text: &str) -> Option<Arc<str>> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (text, "1"),
    };
    (is_host(host) && port.parse::<u16>().is_ok()).then(|| text.into())
}

/// `identity = { … }`: `None` after a mistake, `Some(None)` where there is none.
fn identity(section: &Section<'_, '_>) -> Option<Option<IdentityField>> {
    let Some(setting) = section.take("identity") else { return Some(None) };
    let identity = setting.section()?;
    let header = identity.parsed("header", "a field's name, such as \"Sluice-Identity\"", field);
    let is_word = |text: &str| !text.is_empty() && text.len() <= 255 && !text.contains(char::is_control);
    let audience = identity.parsed("audience", "a text", |text| is_word(text).then(|| text.into()));
    let lifetime = identity.duration("lifetime", seconds(5, 600)).unwrap_or(IDENTITY_LIFETIME);
    let header = identity.required("header", header, "write header = \"Sluice-Identity\"");
    identity.finish();
    Some(Some(IdentityField { header: header?, audience, lifetime }))
}

fn interface(section: &Section<'_, '_>) -> HttpInterface {
    let is_document = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_known = [".json", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
        !name.starts_with('.') && name.bytes().all(is_plain) && is_known
    };
    let is_set = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !name.starts_with('.') && name.bytes().all(is_plain) && name.ends_with(".binpb")
    };
    let descriptors = "the name of a file in `apis/` of the revision, such as \"billing.binpb\"";
    let openapi = "the name of a file in `apis/` of the revision, such as \"billing.json\"";
    HttpInterface {
        openapi: section.parsed("openapi", openapi, |name| is_document(name).then(|| name.into())),
        routes: section.texts("routes").unwrap_or_default(),
        graphql: section.texts("graphql").unwrap_or_default(),
        json_rpc: section.texts("json_rpc").unwrap_or_default(),
        mcp: section.texts("mcp").unwrap_or_default(),
        grpc: section.flag("grpc").unwrap_or(false),
        descriptors: section.parsed("descriptors", descriptors, |name| is_set(name).then(|| name.into())),
        form_method_override: section.flag("form_method_override").unwrap_or(false),
    }
}

const CREDENTIAL_ADVICE: &str = "write credential = { bearer = { env = \"BILLING_TOKEN\" } }, { user = \"sluice\", \
                                 password = { … } }, { header = \"x-api-key\", value = { … } }, { oauth2 = { … } }, \
                                 { sigv4 = \"account\", service = \"execute-api\" } or { none = true }";

fn credential(section: &Section<'_, '_>, tls: &TargetTls, servers: &Servers) -> Option<HttpCredential> {
    let credential = section.take("credential")?.section()?;
    let ways = [
        none(&credential),
        bearer(&credential),
        basic(&credential, servers),
        header(&credential),
        oauth2(&credential),
        sigv4(&credential, servers),
    ];
    let is_right = ways.iter().all(Option::is_some);
    let mut found: Vec<_> = ways.into_iter().flatten().flatten().collect();
    if found.len() > 1 {
        credential.report("", "it has several ways to prove who Sluice is", "keep one of them");
        found.clear();
    } else if found.is_empty() && is_right && !credential.has_mistake() {
        credential.report("", "it has no way to prove who Sluice is", CREDENTIAL_ADVICE);
    }
    let found = found.pop().filter(|_| is_right);
    if tls.mode == TlsMode::Require && found.as_ref().is_some_and(|found| *found != HttpCredential::None) {
        credential.report(
            "",
            "whoever answers would be told it",
            "write tls = \"verify-full\", or \"off\" on this machine",
        );
    }
    credential.finish();
    found
}

/// `None` after a mistake, `Some(None)` where there is none; as the others.
fn none(credential: &Section<'_, '_>) -> Option<Option<HttpCredential>> {
    if !credential.holds("none") {
        return Some(None);
    }
    let wanted = credential.flag("none");
    if wanted == Some(false) {
        credential.report("none", "it can only be true", "write none = true, or a way to prove who Sluice is");
    }
    wanted?.then_some(Some(HttpCredential::None))
}

fn bearer(credential: &Section<'_, '_>) -> Option<Option<HttpCredential>> {
    Some(credential::secret(credential, "bearer")?.map(HttpCredential::Bearer))
}

fn basic(credential: &Section<'_, '_>, servers: &Servers) -> Option<Option<HttpCredential>> {
    let Some(password) = credential::password(credential, servers)? else { return Some(None) };
    let is_user = |user: &str| !user.is_empty() && !user.contains(|c: char| c == ':' || c.is_control());
    let expected = "a name without a colon (RFC 7617, section 2)";
    let user = credential.parsed("user", expected, |user| is_user(user).then(|| Arc::from(user)));
    if matches!(password, PasswordSource::RdsToken(_)) {
        credential.report("password", "a token of RDS is for databases alone", CREDENTIAL_ADVICE);
        return None;
    }
    if !password.may_name_user() {
        credential.required("user", user.as_ref(), "write user = \"sluice\"")?;
    }
    Some(Some(HttpCredential::Basic { user, password }))
}

fn header(credential: &Section<'_, '_>) -> Option<Option<HttpCredential>> {
    if !credential.holds("header") {
        return Some(None);
    }
    let name = credential.parsed("header", "the name of a field that is no other's, such as \"x-api-key\"", field);
    let value = credential::secret(credential, "value")?;
    let value = credential.required("value", value, credential::SOURCE_ADVICE);
    Some(Some(HttpCredential::Header { name: name?, value: value? }))
}

fn oauth2(credential: &Section<'_, '_>) -> Option<Option<HttpCredential>> {
    Some(
        credential::oauth2_client(credential)?
            .map(|client| HttpCredential::OAuth2(PasswordSource::OAuth2(Arc::new(client)))),
    )
}

/// All of it is read where `sigv4` is, so that what goes with another way stays unknown here.
fn sigv4(credential: &Section<'_, '_>, servers: &Servers) -> Option<Option<HttpCredential>> {
    let Some(setting) = credential.take("sigv4") else { return Some(None) };
    let account = credential::account_named(setting, &servers.aws);
    let is_word = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
    };
    let word = |key, expected| credential.parsed(key, expected, |text| is_word(text).then(|| text.to_owned()));
    let service = word("service", "the service's name in signatures, such as \"execute-api\" or \"s3\"");
    let region = word("region", "such as \"eu-central-1\"");
    let service = credential.required("service", service, "write service = \"execute-api\"");
    let account = account?;
    let region = region.unwrap_or_else(|| account.region.clone());
    let keys = PasswordSource::AwsKeys(account);
    Some(Some(HttpCredential::SigV4(AwsSigning { keys, service: service?, region })))
}

/// A field's name (RFC 9110, section 5.1) that has no meaning of its own in a request.
fn field(name: &str) -> Option<Arc<str>> {
    const TAKEN: [&str; 12] = [
        "connection",
        "content-length",
        "content-type",
        "content-encoding",
        "cookie",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let name = name.to_ascii_lowercase();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_free = !name.is_empty() && name.bytes().all(is_plain) && !TAKEN.contains(&&*name);
    is_free.then(|| name.into())
}

/// What callers write leads to one target, whichever order the targets stand in.
pub(super) fn claim(
    section: &Section<'_, '_>,
    name: &Arc<str>,
    http: &HttpTarget,
    claimed: &mut BTreeMap<Arc<str>, Arc<str>>,
) {
    let hosts = http.hosts.iter().map(|host| ("hosts", host));
    for (key, claim) in hosts.chain(http.path_prefix.iter().map(|prefix| ("path_prefix", prefix))) {
        if let Some(other) = claimed.get(claim) {
            let problem = format!("target {other:?} claims {claim:?} too");
            section.report(key, &problem, "let each name and each path lead to one target");
        } else {
            claimed.insert(Arc::clone(claim), Arc::clone(name));
        }
    }
}

#[cfg(test)]
mod tests;
