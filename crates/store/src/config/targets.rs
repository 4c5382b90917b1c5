//! `targets.toml`: the backends behind Sluice, one table each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::target::{Durability, TapeMode, Target};

use super::credential::{self, PasswordSource, Servers};
use super::sluice::{GIB, KIB, seconds};
use super::{ConfigError, Document, Section};

mod http;
mod kubernetes;
mod postgres;
mod ssh;

pub use http::{AwsSigning, HttpCredential, HttpInterface, HttpTarget, HttpVersion, IdentityField, Unread};
pub use kubernetes::{Impersonate, KubernetesTarget};
pub use postgres::{Databases, PemSource, PostgresTarget, TargetCertificate, TargetTls, TlsMode};
pub use ssh::{FileTape, SshCredential, SshTarget};

/// A backend: what policy may know of it, and what only the gateway does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetConfig {
    /// Name, protocol and labels.
    pub target: Target,
    /// The host to connect to, as the operator wrote it; an IPv6 address without brackets.
    pub host: Arc<str>,
    /// The port to connect to.
    pub port: u16,
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
    /// What it speaks, and what goes with that.
    pub speaks: Speaks,
}

/// The protocol of a target, and what only that has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// PostgreSQL.
    Postgres(Arc<PostgresTarget>),
    /// SSH.
    Ssh(Arc<SshTarget>),
    /// HTTP; a Kubernetes API server too.
    Http(Arc<HttpTarget>),
}

impl TargetConfig {
    /// What there is of PostgreSQL, if it speaks that.
    pub fn postgres(&self) -> Option<&Arc<PostgresTarget>> {
        match &self.speaks {
            Speaks::Postgres(postgres) => Some(postgres),
            Speaks::Ssh(_) | Speaks::Http(_) => None,
        }
    }

    /// What there is of SSH, if it speaks that.
    pub fn ssh(&self) -> Option<&Arc<SshTarget>> {
        match &self.speaks {
            Speaks::Ssh(ssh) => Some(ssh),
            Speaks::Postgres(_) | Speaks::Http(_) => None,
        }
    }

    /// What there is of HTTP, if it speaks that.
    pub fn http(&self) -> Option<&Arc<HttpTarget>> {
        match &self.speaks {
            Speaks::Http(http) => Some(http),
            Speaks::Postgres(_) | Speaks::Ssh(_) => None,
        }
    }

    /// Whether Sluice logs in there as this user; `None` is whoever the source of the password names.
    pub fn logs_in_as(&self, user: Option<&Arc<str>>) -> bool {
        match &self.speaks {
            Speaks::Postgres(postgres) => postgres.credential.user.as_ref() == user,
            Speaks::Ssh(ssh) => user.is_some_and(|user| ssh.logins.contains(user)),
            Speaks::Http(http) => match &http.credential {
                HttpCredential::Basic { user: known, .. } => known.as_ref() == user,
                HttpCredential::OAuth2(_) | HttpCredential::SigV4(_) => user.is_none(),
                HttpCredential::None | HttpCredential::Bearer(_) | HttpCredential::Header { .. } => false,
            },
        }
    }

    /// By what Sluice proves itself there, as the record calls it; never a part of it.
    pub fn credential(&self) -> String {
        if let Some(source) = self.password() {
            return source.to_string();
        }
        let certified = |tls: &TargetTls| if tls.client.is_some() { "client certificate" } else { "none" }.to_owned();
        match &self.speaks {
            Speaks::Postgres(postgres) => certified(&postgres.tls),
            Speaks::Ssh(ssh) => match &ssh.credential {
                SshCredential::PrivateKey { key, .. } => key.to_string(),
                SshCredential::Certificate { .. } | SshCredential::Password(_) => {
                    "a certificate for each session".to_owned()
                }
            },
            Speaks::Http(http) => match &http.credential {
                HttpCredential::Bearer(source) | HttpCredential::Header { value: source, .. } => source.to_string(),
                _ => certified(&http.tls),
            },
        }
    }

    /// Where the password of its login comes from, if it logs in with one.
    pub fn password(&self) -> Option<&PasswordSource> {
        match &self.speaks {
            Speaks::Postgres(postgres) => postgres.credential.password.as_ref(),
            Speaks::Ssh(ssh) => match &ssh.credential {
                SshCredential::Password(source) => Some(source),
                SshCredential::Certificate { .. } | SshCredential::PrivateKey { .. } => None,
            },
            Speaks::Http(http) => match &http.credential {
                HttpCredential::Basic { password, .. } | HttpCredential::OAuth2(password) => Some(password),
                HttpCredential::SigV4(signing) => Some(&signing.keys),
                HttpCredential::None | HttpCredential::Bearer(_) | HttpCredential::Header { .. } => None,
            },
        }
    }
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
        let (mut targets, mut databases, mut hosts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let servers = Servers { openbao: credential::servers(root), aws: credential::accounts(root) };
        for (name, setting) in root.take_all() {
            if !is_name(&name) {
                setting.report("it is no name for a target", "use a-z, 0-9, - and _, at most 63 of them");
            }
            let Some(section) = setting.section() else { continue };
            if let Some(target) = target(&section, &name, &servers) {
                if let Some(postgres) = target.postgres() {
                    postgres::claim_databases(&section, &target.target.name, &postgres.databases, &mut databases);
                }
                if let Some(http) = target.http() {
                    http::claim(&section, &target.target.name, http, &mut hosts);
                }
                claim_address(&section, &target, &targets);
                targets.push(target);
            }
            section.finish();
        }
        targets
    })
}

/// Whoever may have a tunnel to a target reaches all that there is at its address: nothing else of this is another target's.
fn claim_address(section: &Section<'_, '_>, target: &TargetConfig, others: &[TargetConfig]) {
    let has_tunnel = |target: &TargetConfig| target.http().is_some_and(|http| http.tunnel);
    let is_there = |other: &&TargetConfig| other.port == target.port && is_same_host(&other.host, &target.host);
    for other in others.iter().filter(is_there).filter(|other| has_tunnel(other) || has_tunnel(target)) {
        let tunnel = if has_tunnel(target) { target } else { other };
        let (other, tunnel) = (&other.target.name, &tunnel.target.name);
        let problem =
            format!("target {other:?} has this address too, and {tunnel:?} has `tunnel`, which leads to both");
        section.report("address", &problem, "let a target with `tunnel` be the only one at its address");
    }
}

/// Whether two hosts are one as they are written: names in any case, addresses in any form.
fn is_same_host(one: &str, other: &str) -> bool {
    let address = |host: &str| host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let name = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (Some(_), None) => name(one) == name(other),
    }
}

/// Policies name targets, and paths such as `payments/payments/public.cards` start with one.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=63).contains(&name.len()) && name.bytes().all(is_plain)
}

/// The protocols that a target can speak.
#[derive(Clone, Copy)]
enum Protocol {
    Postgres,
    Ssh,
    Http,
    Kubernetes,
}

impl Protocol {
    const ALL: [(&'static str, Self); 4] =
        [("postgres", Self::Postgres), ("ssh", Self::Ssh), ("http", Self::Http), ("kubernetes", Self::Kubernetes)];

    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Kubernetes => "kubernetes",
        }
    }

    const fn address_advice(self) -> &'static str {
        match self {
            Self::Postgres => "write address = \"db.internal:5432\"",
            Self::Ssh => "write address = \"web1.internal:22\"",
            Self::Http => "write address = \"billing.internal:443\"",
            Self::Kubernetes => "write address = \"10.0.0.1:6443\"",
        }
    }
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn target(section: &Section<'_, '_>, name: &str, servers: &Servers) -> Option<TargetConfig> {
    let protocol = section.word("protocol", &Protocol::ALL);
    let address = section.parsed("address", "a host and a port, such as \"db.internal:5432\"", address);
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
    let speaks = speaks(section, protocol, servers);
    let protocol =
        section.required("protocol", protocol, "write protocol = \"postgres\", \"ssh\", \"http\" or \"kubernetes\"")?;
    let address = section.required("address", address, protocol.address_advice());
    let (host, port) = address?;
    Some(TargetConfig {
        target: Target { name: name.into(), protocol: protocol.name().into(), labels },
        host,
        port,
        durability: durability.unwrap_or_default(),
        tape: tape.unwrap_or_default(),
        tape_cap,
        tape_part,
        retention,
        speaks: speaks?,
    })
}

/// What goes with the protocol. Without one nothing can be said of what each has; what none has is a mistake all the same.
fn speaks(section: &Section<'_, '_>, protocol: Option<Protocol>, servers: &Servers) -> Option<Speaks> {
    match protocol {
        Some(Protocol::Postgres) => postgres::postgres(section, servers).map(Arc::new).map(Speaks::Postgres),
        Some(Protocol::Ssh) => ssh::ssh(section, servers).map(Arc::new).map(Speaks::Ssh),
        Some(Protocol::Http) => http::http(section, servers).map(Arc::new).map(Speaks::Http),
        Some(Protocol::Kubernetes) => kubernetes::kubernetes(section, servers).map(Arc::new).map(Speaks::Http),
        None => {
            let of_http = http::SETTINGS.iter().chain(&kubernetes::SETTINGS);
            for setting in postgres::SETTINGS.iter().chain(&ssh::SETTINGS).chain(of_http) {
                section.take(setting);
            }
            None
        }
    }
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

fn labels(section: Section<'_, '_>) -> BTreeMap<String, String> {
    let settings = section.take_all();
    let labels = settings.into_iter().filter_map(|(key, setting)| Some((key, setting.text("a text in quotes")?)));
    labels.collect()
}
