//! `targets.toml`: the backends behind Sluice, one table each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::credential::{self, Credential, PasswordSource, Servers};
use super::sluice::{GIB, KIB, certificate, seconds};
use super::{CertificateFiles, ConfigError, Document, Section};
use model::target::{Durability, OnUnmaskable, TapeMode, Target};

/// A backend: what policy may know of it, and what only the gateway does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetConfig {
    /// Name, protocol and labels.
    pub target: Target,
    /// The host to connect to, as the operator wrote it; an IPv6 address without brackets.
    pub host: Arc<str>,
    /// The port to connect to.
    pub port: u16,
    /// The databases that callers reach it by.
    pub databases: Databases,
    /// TLS to it.
    pub tls: TargetTls,
    /// As whom Sluice logs in.
    pub credential: Credential,
    /// When its decisions count as recorded.
    pub durability: Durability,
    /// What its tapes hold.
    pub tape: TapeMode,
    /// How long the tape of a session may become, in bytes, before it holds requests alone; `None` means as long as it
    /// takes.
    pub tape_cap: Option<u64>,
    /// When a part of a tape ends, and the tape goes on in the next one.
    pub tape_part: PartLimits,
    /// How long tapes are kept; `None` means for good.
    pub retention: Option<Duration>,
    /// What becomes of values that cannot be masked in their type.
    pub on_unmaskable: OnUnmaskable,
    /// Whether md5 authentication may be used, inside verified TLS.
    pub allow_md5: bool,
}

/// When a part of a tape ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartLimits {
    /// When it is so long, in bytes.
    pub size: u64,
    /// When it is so old.
    pub age: Duration,
}

impl Default for PartLimits {
    fn default() -> Self {
        Self { size: GIB, age: Duration::from_secs(24 * 3600) }
    }
}

/// Which databases of a server are reached through a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Databases {
    /// All that no other target names.
    All,
    /// These. Never empty.
    Only(BTreeSet<Arc<str>>),
}

/// TLS to a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetTls {
    /// How far the server is verified.
    pub mode: TlsMode,
    /// The CA that its certificate must chain to; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that Sluice shows.
    pub client: Option<CertificateFiles>,
}

/// How far a target's server is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TlsMode {
    /// Its certificate chains to the CA and names the host.
    #[default]
    VerifyFull,
    /// Encrypted, but whoever answers is believed.
    Require,
    /// In clear.
    Off,
}

/// Where a secret is kept: never in the configuration itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CredentialSource {
    /// In an environment variable.
    Env(String),
    /// In a file that only its owner can read; one newline at its end is not part of it.
    File(PathBuf),
    /// In the local vault, under this name.
    Vault(String),
}

/// Reads `text` as the `targets.toml` at `file`: the targets in the order of their names.
///
/// # Errors
/// Every mistake in it.
pub fn parse_targets(text: &str, file: &Path) -> Result<Vec<TargetConfig>, Vec<ConfigError>> {
    Document::new(file, text).read(|root| {
        let (mut targets, mut claimed) = (Vec::new(), BTreeMap::new());
        let servers = Servers { openbao: credential::servers(root), aws: credential::accounts(root) };
        for (name, setting) in root.take_all() {
            if !is_name(&name) {
                setting.report("it is no name for a target", "use a-z, 0-9, - and _, at most 63 of them");
            }
            let Some(section) = setting.section() else { continue };
            if let Some(target) = target(&section, &name, &servers) {
                claim_databases(&section, &target, &mut claimed);
                targets.push(target);
            }
            section.finish();
        }
        targets
    })
}

/// Policies name targets, and paths such as `payments/payments/public.cards` start with one.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=63).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn target(section: &Section<'_, '_>, name: &str, servers: &Servers) -> Option<TargetConfig> {
    let protocol = section.word("protocol", &[("postgres", "postgres")]);
    let address = section.parsed("address", "a host and a port, such as \"db.internal:5432\"", address);
    let databases = databases(section);
    let tls = tls(section);
    let credential = credential::credential(section, tls.client.is_some(), servers);
    let labels = labels(section.table("labels"));
    let durability = section.word(
        "durability",
        &[("auto", Durability::Auto), ("process", Durability::Process), ("power", Durability::Power)],
    );
    let tape =
        section.word("tape", &[("full", TapeMode::Full), ("requests", TapeMode::Requests), ("off", TapeMode::Off)]);
    let tape_cap = section.size("tape_cap", 64 * KIB..=1024 * GIB);
    let parts = PartLimits::default();
    let tape_part = PartLimits {
        size: section.size("tape_part", 64 * KIB..=64 * GIB).unwrap_or(parts.size),
        age: section.duration("tape_part_age", seconds(1, 30 * 24 * 3600)).unwrap_or(parts.age),
    };
    let retention = section.duration("retention", seconds(24 * 3600, 36_500 * 24 * 3600));
    let on_unmaskable = section.word(
        "on_unmaskable",
        &[("null", OnUnmaskable::Null), ("type_default", OnUnmaskable::TypeDefault), ("refuse", OnUnmaskable::Refuse)],
    );
    let allow_md5 = section.flag("allow_md5").unwrap_or(false);
    if allow_md5 && tls.mode != TlsMode::VerifyFull {
        section.report("allow_md5", "md5 needs verified TLS", "write tls = \"verify-full\", or remove allow_md5");
    }
    let is_token = |credential: &Credential| matches!(credential.password, Some(PasswordSource::RdsToken(_)));
    if credential.as_ref().is_some_and(is_token) && tls.mode != TlsMode::VerifyFull {
        section.report("tls", "a token of RDS needs verified TLS", "write tls = \"verify-full\"");
    }
    let protocol = section.required("protocol", protocol, "write protocol = \"postgres\"");
    let address = section.required("address", address, "write address = \"db.internal:5432\"");
    let databases = section.required("databases", databases, "write databases = [\"payments\"], or [\"*\"] for all");
    let credential = section.required("credential", credential, credential::CREDENTIAL_ADVICE);
    let (host, port) = address?;
    Some(TargetConfig {
        target: Target { name: name.into(), protocol: protocol?.into(), labels },
        host,
        port,
        databases: databases?,
        tls,
        credential: credential?,
        durability: durability.unwrap_or_default(),
        tape: tape.unwrap_or_default(),
        tape_cap,
        tape_part,
        retention,
        on_unmaskable: on_unmaskable.unwrap_or_default(),
        allow_md5,
    })
}

/// A host and a port, as `db.internal:5432` or `[::1]:5432`.
pub(super) fn address(text: &str) -> Option<(Arc<str>, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']').filter(|host| host.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => {
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            Some(host).filter(|host| !host.is_empty() && host.bytes().all(is_host))?
        }
    };
    Some((host.into(), port))
}

fn databases(section: &Section<'_, '_>) -> Option<Databases> {
    let names = section.texts("databases")?;
    let is_all = names.iter().any(|name| name == "*");
    let problem = match (names.len(), is_all) {
        (1, true) => return Some(Databases::All),
        (0, _) => "the list is empty",
        (_, true) => "\"*\" stands for all, so nothing can stand beside it",
        (_, false) => return Some(Databases::Only(names.into_iter().map(Into::into).collect())),
    };
    section.report("databases", problem, "write [\"payments\"], or [\"*\"] for all");
    None
}

fn tls(section: &Section<'_, '_>) -> TargetTls {
    let words = [("verify-full", TlsMode::VerifyFull), ("require", TlsMode::Require), ("off", TlsMode::Off)];
    let mode = section.word("tls", &words).unwrap_or_default();
    let ca_file = section.path("ca_file");
    let client = certificate(section, "client_cert", "client_key");
    if mode != TlsMode::VerifyFull && ca_file.is_some() {
        section.report("ca_file", "nothing is verified with it", "write tls = \"verify-full\", or remove ca_file");
    }
    if mode == TlsMode::Off && client.is_some() {
        section.report("client_cert", "it cannot be shown without TLS", "write tls = \"verify-full\"");
    }
    TargetTls { mode, ca_file, client }
}

fn labels(section: Section<'_, '_>) -> BTreeMap<String, String> {
    let settings = section.take_all();
    let labels = settings.into_iter().filter_map(|(key, setting)| Some((key, setting.text("a text in quotes")?)));
    labels.collect()
}

/// A database name leads to one target, whichever order the targets stand in; `*` too.
fn claim_databases(section: &Section<'_, '_>, target: &TargetConfig, claimed: &mut BTreeMap<Arc<str>, Arc<str>>) {
    let names = match &target.databases {
        Databases::All => BTreeSet::from(["*".into()]),
        Databases::Only(names) => names.clone(),
    };
    for database in names {
        if let Some(other) = claimed.get(&database) {
            let problem = format!("target {other:?} claims the database {database:?} too");
            section.report("databases", &problem, "let each database name lead to one target");
        } else {
            claimed.insert(database, Arc::clone(&target.target.name));
        }
    }
}
