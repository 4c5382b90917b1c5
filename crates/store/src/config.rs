//! What the operator wrote, as it was meant: `sluice.toml`, and the `targets.toml`, `classification.toml` and
//! `ssh_keys.toml` of a revision.
//!
//! A file is read into its tree of spanned values, and every section is taken out of the tree key by key (`reader`):
//! what is left over is unknown, and refused. Nothing stops at the first mistake: all of them come back together, each
//! with its file, its line and what to write instead ([`ConfigError`]). A [`Config`] exists only when there is none, so
//! nothing ever starts half configured.
//!
//! A reader of our own rather than serde: serde gives up at the first mistake and loses its line.
//!
//! Start with [`Config::load`]; the files themselves, with every setting explained, are [`TEMPLATE_SLUICE_TOML`],
//! [`TEMPLATE_TARGETS_TOML`], [`TEMPLATE_CLASSIFICATION_TOML`] and [`TEMPLATE_SSH_KEYS_TOML`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::issuer::Issuer;
use model::saml::SamlProvider;

mod archive;
mod classification;
mod console;
mod credential;
mod error;
mod http_listen;
mod introspection;
mod issuer;
mod public_key;
mod reader;
mod saml;
mod sinks;
mod sluice;
mod spiffe;
mod ssh_keys;
mod ssh_listen;
mod targets;
mod tokens;
mod units;
mod witness;

pub use archive::ArchiveConfig;
pub use classification::parse_classification;
pub use console::ConsoleConfig;
pub use credential::{
    AwsAccess, AwsAccount, AwsSecret, Credential, EphemeralRole, ExecPlugin, OAuth2Client, OAuth2Proof, OpenBaoAuth,
    OpenBaoPath, OpenBaoSecret, OpenBaoServer, OwnedObjects, PasswordSource,
};
pub use error::ConfigError;
pub use http_listen::{ForwardProxy, HttpListen};
pub use introspection::{ClientAuthentication, IntrospectionConfig};
pub use public_key::{LEAST_RSA, of_caller as caller_key};
pub use reader::{Document, Section, Setting};
pub use sinks::{Receiver, SinkConfig, SinkFormat, SinkKind, SinkStart};
pub use spiffe::{BundleSource, TrustDomainConfig};
pub use ssh_keys::{RegisteredKey, RegisteredKeys, parse_ssh_keys};
pub use ssh_listen::SshListen;
pub use targets::{
    AwsSigning, CredentialSource, Databases, FileTape, HttpCredential, HttpInterface, HttpTarget, HttpVersion,
    IdentityField, Impersonate, KubernetesTarget, PartLimits, PemSource, PostgresTarget, Speaks, SshCredential,
    SshTarget, TargetCertificate, TargetConfig, TargetTls, TlsMode, Unread, parse_targets,
};

/// A `sluice.toml` in which every setting is explained and has its default; `sluice init` writes it.
pub const TEMPLATE_SLUICE_TOML: &str = include_str!("config/templates/sluice.toml");
/// A `targets.toml` with one explained target; `sluice init` writes it.
pub const TEMPLATE_TARGETS_TOML: &str = include_str!("config/templates/targets.toml");
/// A `classification.toml` with explained rules; `sluice init` writes it.
pub const TEMPLATE_CLASSIFICATION_TOML: &str = include_str!("config/templates/classification.toml");
/// An `ssh_keys.toml` that registers no key and explains how to; `sluice init` writes it.
pub const TEMPLATE_SSH_KEYS_TOML: &str = include_str!("config/templates/ssh_keys.toml");

/// `sluice.toml`: what holds for one process and is read once, at its start, but for the issuers, which are followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where it was read from.
    pub file: PathBuf,
    /// Where Sluice keeps its state, journal and tapes.
    pub data_dir: PathBuf,
    /// Where the revision is: `targets.toml`, `classification.toml`, `policies/*.cedar` and, if any, `ssh_keys.toml`.
    pub revision_dir: PathBuf,
    /// Whether memory is kept out of swap (`lock_memory`).
    pub lock_memory: LockMemory,
    /// The listener for PostgreSQL clients (`[listen.postgres]`).
    pub postgres: PostgresListen,
    /// The listener for SSH clients (`[listen.ssh]`); `None` means that there is none.
    pub ssh: Option<SshListen>,
    /// The listener for HTTP clients (`[listen.http]`); `None` means that there is none.
    pub http: Option<HttpListen>,
    /// The listener of the admin interface (`[listen.admin]`).
    pub admin: Listen,
    /// The console on it (`[console]`); `None` means that there is none.
    pub console: Option<ConsoleConfig>,
    /// Whom Sluice believes (`[[issuer]]`). May be empty: then only Sluice's own tokens are.
    pub issuers: Vec<IssuerConfig>,
    /// Whose SAML assertions the token endpoint takes (`[[saml]]`).
    pub saml: Vec<SamlConfig>,
    /// Whose workloads it believes (`[[trust_domain]]`).
    pub trust_domains: Vec<TrustDomainConfig>,
    /// Bounds on what callers may use (`[limits]`).
    pub limits: Limits,
    /// How approvals run (`[approvals]`).
    pub approvals: ApprovalConfig,
    /// Whether and how the API changes the revision (`[policy]`).
    pub policy: PolicyConfig,
    /// How the journal is written (`[journal]`).
    pub journal: JournalConfig,
    /// Who cosigns the journal's checkpoints (`[[witness]]`).
    pub witnesses: Vec<WitnessConfig>,
    /// Where the key of the local vault is (`[vault]`); `None` when there is no vault.
    pub vault_key: Option<KeyLocation>,
    /// Where the key of tapes is (`[tapes]`); `None` means one that Sluice makes in its data directory.
    pub tape_key: Option<KeyLocation>,
    /// How Sluice logs (`[log]`).
    pub log: LogConfig,
    /// How sessions end (`[sessions]`).
    pub sessions: SessionConfig,
    /// Where the journal's events are sent as they happen (`[[sink]]`).
    pub sinks: Vec<SinkConfig>,
    /// Where finished tapes go (`[archive]`).
    pub archive: Option<ArchiveConfig>,
    /// What Sluice issues for credentials that it accepts (`[tokens]`).
    pub tokens: TokenConfig,
}

/// The listener for PostgreSQL clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresListen {
    /// Where, and with which certificate.
    pub listen: Listen,
    /// How a client is asked for its token, unless it says itself how (`auth`).
    pub auth: PostgresAuth,
    /// Where a client that speaks `OAUTHBEARER` is sent to get a token (`oauth`).
    pub oauth: OauthHint,
}

/// How a PostgreSQL client is asked for its token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PostgresAuth {
    /// As its password, in clear inside TLS, which every client can.
    #[default]
    Password,
    /// By SASL `OAUTHBEARER` (RFC 7628), which libpq 18 and some drivers can.
    OauthBearer,
}

impl PostgresAuth {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Password, Self::OauthBearer];

    /// Its name in the configuration, and in a client's `sluice.auth`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::OauthBearer => "oauthbearer",
        }
    }
}

/// What a client without a token is told (RFC 7628, section 3.2.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OauthHint {
    /// The URL of the issuer, one of `[[issuer]]`; `None` tells the client nothing.
    pub issuer: Option<Arc<str>>,
    /// The scope to ask it for.
    pub scope: Option<Arc<str>>,
}

/// One listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// Where to listen; port 0 means any free port.
    pub address: SocketAddr,
    /// Its certificate; `None` means one of the development CA that Sluice makes in its data directory.
    pub tls: Option<CertificateFiles>,
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain, the leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A trusted issuer and where its keys come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerConfig {
    /// What to believe of its tokens.
    pub issuer: Arc<Issuer>,
    /// Where its keys are.
    pub keys: KeySource,
    /// How it is asked about tokens that only it can read (`[issuer.introspection]`), if it is.
    pub introspection: Option<IntrospectionConfig>,
}

/// Where an issuer's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// At the `jwks_uri` of `<url>/.well-known/openid-configuration`.
    Discovery {
        /// The CA that its server's certificate must chain to; `None` means the system's.
        ca_file: Option<PathBuf>,
    },
    /// In a file that holds a JWK set, read again at every refresh.
    File(PathBuf),
}

/// A trusted SAML identity provider and where its metadata comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SamlConfig {
    /// What to believe of its assertions.
    pub provider: Arc<SamlProvider>,
    /// Where its metadata is.
    pub metadata: MetadataSource,
}

/// Where the metadata of a SAML provider is. Both are read again while Sluice runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetadataSource {
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// The certificate by which it has to be signed; `None` means that it is trusted as it is.
        signer: Option<PathBuf>,
    },
    /// At a URL.
    Url {
        /// Which.
        url: String,
        /// The CA that its server's certificate must chain to; `None` means the system's.
        ca_file: Option<PathBuf>,
        /// The certificate by which it has to be signed; `None` means that its server is trusted.
        signer: Option<PathBuf>,
    },
}

/// Bounds on what callers may use. Sizes are bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest statement; more is 54000.
    pub max_statement: usize,
    /// The largest Bind or COPY message.
    pub max_message: usize,
    /// From the first byte of a connection to an authenticated session.
    pub login_timeout: Duration,
    /// How long a session may do nothing; `None` means as long as its credential lives.
    pub idle_timeout: Option<Duration>,
    /// How long Sluice waits for a target to accept a connection and log it in.
    pub connect_timeout: Duration,
    /// Sessions in all.
    pub max_sessions: usize,
    /// Connections from one source address.
    pub max_per_source: usize,
    /// Connections from one source address that have not logged in.
    pub max_logins_per_source: usize,
    /// Sessions of one subject.
    pub max_sessions_per_subject: usize,
    /// Prepared statements of a session.
    pub max_prepared: usize,
    /// Portals of a session.
    pub max_portals: usize,
}

/// How approvals run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalConfig {
    /// How long a connection waits for an answer before its request becomes a ticket.
    pub hold_max: Duration,
    /// How long a ticket can be answered and used.
    pub ticket_ttl: Duration,
    /// Unanswered approvals of one subject; more are refused.
    pub max_pending_per_subject: usize,
}

/// Whether and how the API changes the revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyConfig {
    /// Whether proposals can be put into force by the API at all.
    pub apply: bool,
    /// How many others than its author have to agree to one.
    pub approvals: usize,
}

/// How the journal is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalConfig {
    /// What its checkpoints call the journal: their origin, and the name of its key.
    pub name: String,
    /// The longest time between two signed checkpoints while there are new entries.
    pub checkpoint_interval: Duration,
    /// The size at which a segment is sealed and the next one begun, in bytes.
    pub segment_size: u64,
    /// How long a request waits for a journal that cannot be written before it is refused with 58030.
    pub wait_deadline: Duration,
    /// Where the journal is kept as static files too (c2sp.org/tlog-tiles), if anywhere.
    pub tiles_dir: Option<PathBuf>,
}

/// A machine that remembers the journal's checkpoints and cosigns them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessConfig {
    /// What metrics, logs and the file beside the journal call it.
    pub name: String,
    /// Its submission prefix (c2sp.org/tlog-witness), without a slash at the end.
    pub url: String,
    /// What verifies its cosignatures.
    pub key: WitnessKeySource,
    /// The CA that its server's certificate must chain to; `None` means the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where the public key of a witness is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WitnessKeySource {
    /// In a file.
    File(PathBuf),
    /// In the configuration itself, as `NAME+ID+KEY`.
    Text(String),
}

/// What Sluice issues for credentials that it accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenConfig {
    /// The `iss` of its tokens: scheme, host and port by which callers reach the admin listener. `None` means that others
    /// have no way to know them.
    pub issuer: Option<String>,
    /// The longest that anything lives which Sluice issues.
    pub max_lifetime: Duration,
    /// Passwords of one subject that may be used at a time.
    pub max_passwords_per_subject: usize,
}

/// Where a key is kept: never in the configuration itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyLocation {
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
}

/// Whether memory is kept out of swap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LockMemory {
    /// Where the system allows it without a limit.
    #[default]
    Auto,
    /// Or nothing starts.
    On,
    /// It is not.
    Off,
}

/// How Sluice logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// For people or for machines.
    pub format: LogFormat,
    /// The least level that is logged.
    pub level: LogLevel,
}

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The least level that is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogLevel {
    /// Failures alone.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And the life of sessions.
    #[default]
    Info,
    /// And what a developer asks for.
    Debug,
    /// Everything.
    Trace,
}

/// How sessions end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionConfig {
    /// How long a session goes on after its credential expired. Default: not at all.
    pub grace: Duration,
    /// How long running requests may take to finish when Sluice stops.
    pub drain: Duration,
}

#[cfg(test)]
mod tests;
