//! `sluice.toml`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{
    ApprovalConfig, CertificateFiles, Config, ConfigError, Document, IssuerConfig, JournalConfig, KeyLocation, Limits,
    Listen, LockMemory, LogConfig, LogFormat, LogLevel, OauthHint, PolicyConfig, PostgresAuth, PostgresListen, Section,
    SessionConfig, archive, console, http_listen, issuer, saml, sinks, spiffe, ssh_listen, tokens, witness,
};
use crate::revision::read_text;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

impl Config {
    /// Reads the file. Relative paths in it are relative to where it is.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(file: &Path) -> Result<Self, Vec<ConfigError>> {
        let text = read_text(file).map_err(|error| vec![error])?;
        Self::parse(&text, file)
    }

    /// Reads `text` as if it stood in `file`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Vec<ConfigError>> {
        let config = Document::new(file, text).read(config)?;
        Ok(Self { file: file.to_owned(), ..config })
    }
}

fn config(root: &Section<'_, '_>) -> Config {
    let listen = root.table("listen");
    let data_dir = root.path("data_dir").unwrap_or_else(|| root.beside("data"));
    let issuers = issuer::issuers(root);
    let (postgres, admin) = (postgres(listen.table("postgres"), &issuers), admin(listen.table("admin")));
    let ssh = ssh_listen::ssh(listen.table("ssh"));
    let http = http_listen::http(listen.table("http"));
    listen.finish();
    of_its_own(root, "listen.admin.address", admin.address, &[postgres.listen.address]);
    if let Some(ssh) = &ssh {
        of_its_own(root, "listen.ssh.address", ssh.address, &[postgres.listen.address, admin.address]);
    }
    if let Some(http) = &http {
        let others = [postgres.listen.address, admin.address].into_iter().chain(ssh.as_ref().map(|ssh| ssh.address));
        of_its_own(root, "listen.http.address", http.address, &others.collect::<Vec<_>>());
    }
    let console = console::console(root.table("console"), &issuers, &admin);
    let tokens = tokens::tokens(root.table("tokens"), &issuers);
    let trust_domains = spiffe::trust_domains(root, &issuers);
    let taken = issuers
        .iter()
        .map(|issuer| &issuer.issuer.alias)
        .chain(trust_domains.iter().map(|trusted| &trusted.domain.issuer.alias));
    let saml = saml::providers(root, taken, &tokens);
    Config {
        file: PathBuf::new(),
        trust_domains,
        revision_dir: root.path("revision_dir").unwrap_or_else(|| root.beside("revision")),
        data_dir,
        lock_memory: lock_memory(root),
        postgres,
        ssh,
        http,
        admin,
        console,
        limits: limits(root.table("limits")),
        approvals: approvals(root.table("approvals")),
        policy: policy(root.table("policy")),
        journal: journal(root.table("journal")),
        vault_key: key(root.table("vault"), VAULT_ADVICE),
        tape_key: key(root.table("tapes"), TAPES_ADVICE),
        witnesses: witness::witnesses(root),
        log: log(root.table("log")),
        sessions: sessions(root.table("sessions")),
        sinks: sinks::sinks(root),
        archive: archive::archive(root.table("archive")),
        saml,
        tokens,
        issuers,
    }
}

/// No two listeners have one address.
fn of_its_own(root: &Section<'_, '_>, key: &str, address: SocketAddr, others: &[SocketAddr]) {
    if others.contains(&address) && address.port() != 0 {
        root.report(key, "another listener has this address", "give each a port of its own");
    }
}

fn lock_memory(root: &Section<'_, '_>) -> LockMemory {
    let words = [("auto", LockMemory::Auto), ("on", LockMemory::On), ("off", LockMemory::Off)];
    root.word("lock_memory", &words).unwrap_or_default()
}

fn listener(section: &Section<'_, '_>, port: u16) -> Listen {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let expected = format!("an IP address and a port, such as \"{default}\" or \"[::]:{port}\"");
    let address = section.parsed("address", &expected, |text| text.parse().ok()).unwrap_or(default);
    let tls = certificate(section, "tls_cert", "tls_key");
    Listen { address, tls }
}

fn admin(section: Section<'_, '_>) -> Listen {
    let listen = listener(&section, 7632);
    section.finish();
    listen
}

fn postgres(section: Section<'_, '_>, issuers: &[IssuerConfig]) -> PostgresListen {
    let listen = listener(&section, 6432);
    let auth = section.word("auth", &PostgresAuth::ALL.map(|way| (way.as_str(), way))).unwrap_or_default();
    let oauth = section.table("oauth");
    let with_alias = |alias: &str| issuers.iter().find(|known| &*known.issuer.alias == alias);
    let url = |known: &IssuerConfig| Arc::clone(&known.issuer.url);
    let named = oauth.parsed("issuer", "the alias of an [[issuer]]", |alias| with_alias(alias).map(url));
    let scope = oauth.text("scope").map(Into::into);
    oauth.finish();
    section.finish();
    let only = match issuers {
        [only] => Some(url(only)),
        _ => None,
    };
    PostgresListen { listen, auth, oauth: OauthHint { issuer: named.or(only), scope } }
}

/// A certificate and its key: both or neither.
pub(super) fn certificate(
    section: &Section<'_, '_>,
    cert: &'static str,
    key: &'static str,
) -> Option<CertificateFiles> {
    match (section.path(cert), section.path(key)) {
        (Some(cert), Some(key)) => Some(CertificateFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => section.required(key, None, "write the path of the certificate's private key"),
        (None, Some(_)) => section.required(cert, None, "write the path of the key's certificate chain"),
    }
}

fn limits(section: Section<'_, '_>) -> Limits {
    let bytes = |key, range, default: u64| {
        let size = section.size(key, range).unwrap_or(default);
        usize::try_from(size).unwrap_or(usize::MAX)
    };
    let count = |key, default| section.number(key, 1..=1_000_000).unwrap_or(default);
    let limits = Limits {
        max_statement: bytes("max_statement", KIB..=16 * MIB, MIB),
        max_message: bytes("max_message", 64 * KIB..=GIB, 64 * MIB),
        login_timeout: section.duration("login_timeout", seconds(1, 300)).unwrap_or(Duration::from_secs(10)),
        idle_timeout: section.duration("idle_timeout", seconds(1, 7 * 86_400)),
        connect_timeout: section.duration("connect_timeout", seconds(1, 300)).unwrap_or(Duration::from_secs(10)),
        max_sessions: count("max_sessions", 2000),
        max_per_source: count("max_per_source", 500),
        max_logins_per_source: count("max_logins_per_source", 50),
        max_sessions_per_subject: count("max_sessions_per_subject", 200),
        max_prepared: count("max_prepared", 5000),
        max_portals: count("max_portals", 1000),
    };
    if limits.max_message < limits.max_statement {
        section.report("max_message", "it is below max_statement", "a message must be able to hold a statement");
    }
    section.finish();
    limits
}

fn policy(section: Section<'_, '_>) -> PolicyConfig {
    let policy = PolicyConfig {
        apply: section.flag("apply").unwrap_or(false),
        approvals: section.number("approvals", 1..=10).unwrap_or(1),
    };
    section.finish();
    policy
}

fn approvals(section: Section<'_, '_>) -> ApprovalConfig {
    let approvals = ApprovalConfig {
        hold_max: section.duration("hold_max", seconds(0, 3600)).unwrap_or(Duration::from_secs(120)),
        ticket_ttl: section.duration("ticket_ttl", seconds(10, 7 * 86_400)).unwrap_or(Duration::from_secs(900)),
        max_pending_per_subject: section.number("max_pending_per_subject", 1..=1000).unwrap_or(10),
    };
    section.finish();
    approvals
}

fn journal(section: Section<'_, '_>) -> JournalConfig {
    let milliseconds = |least: u64, most: u64| Duration::from_millis(least)..=Duration::from_secs(most);
    let is_name = |text: &str| {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        (1..=200).contains(&text.len()) && text.chars().all(plain)
    };
    let name =
        section.parsed("name", "1 to 200 characters without space or +", |text| is_name(text).then(|| text.to_owned()));
    let journal = JournalConfig {
        name: name.unwrap_or_else(|| String::from("sluice")),
        checkpoint_interval: section
            .duration("checkpoint_interval", milliseconds(100, 3600))
            .unwrap_or(Duration::from_secs(10)),
        segment_size: section.size("segment_size", MIB..=4 * GIB).unwrap_or(64 * MIB),
        wait_deadline: section.duration("wait_deadline", milliseconds(0, 300)).unwrap_or(Duration::from_secs(5)),
        tiles_dir: section.path("tiles_dir"),
    };
    section.finish();
    journal
}

const VAULT_ADVICE: &str = "write key_file = \"vault.key\" or key_env = \"SLUICE_VAULT_KEY\"";
const TAPES_ADVICE: &str = "write key_file = \"tapes.key\" or key_env = \"SLUICE_TAPE_KEY\"";

/// Where a key is, for a table that is there.
fn key(section: Section<'_, '_>, advice: &str) -> Option<KeyLocation> {
    let location = match (section.path("key_file"), section.variable("key_env")) {
        (Some(file), None) => Some(KeyLocation::File(file)),
        (None, Some(variable)) => Some(KeyLocation::Env(variable)),
        (Some(_), Some(_)) => {
            section.report("", "it has both key_file and key_env", "keep one of the two");
            None
        }
        (None, None) if section.is_present() => section.required("key_file", None, advice),
        (None, None) => None,
    };
    section.finish();
    location
}

fn log(section: Section<'_, '_>) -> LogConfig {
    let format = section.word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let level = section.word(
        "level",
        &[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ],
    );
    section.finish();
    LogConfig { format: format.unwrap_or_default(), level: level.unwrap_or_default() }
}

fn sessions(section: Section<'_, '_>) -> SessionConfig {
    let sessions = SessionConfig {
        grace: section.duration("grace", seconds(0, 300)).unwrap_or(Duration::ZERO),
        drain: section.duration("drain", seconds(0, 3600)).unwrap_or(Duration::from_secs(30)),
    };
    section.finish();
    sessions
}

pub(super) const fn seconds(least: u64, most: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(least)..=Duration::from_secs(most)
}
