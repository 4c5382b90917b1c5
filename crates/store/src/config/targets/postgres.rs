//! What a target adds that speaks PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use model::target::OnUnmaskable;

use super::super::credential::{self, Credential, PasswordSource, Servers};
use super::super::{CredentialSource, Section};

/// A PostgreSQL server behind a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresTarget {
    /// The databases that callers reach it by.
    pub databases: Databases,
    /// TLS to it.
    pub tls: TargetTls,
    /// As whom Sluice logs in.
    pub credential: Credential,
    /// What becomes of values that cannot be masked in their type.
    pub on_unmaskable: OnUnmaskable,
    /// Whether md5 authentication may be used, inside verified TLS.
    pub allow_md5: bool,
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
    pub client: Option<TargetCertificate>,
}

/// A client certificate, read when a connection is made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TargetCertificate {
    /// The chain, the leaf first.
    pub cert: PemSource,
    /// The private key.
    pub key: PemSource,
}

/// Where a certificate or its key is, in PEM.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PemSource {
    /// In a file.
    File(PathBuf),
    /// Where secrets are.
    Secret(CredentialSource),
}

/// What the record calls it; never a part of it.
impl std::fmt::Display for PemSource {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(out, "{}", path.display()),
            Self::Secret(source) => source.fmt(out),
        }
    }
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

/// What only such a target has.
pub(super) const SETTINGS: [&str; 8] =
    ["databases", "tls", "ca_file", "client_cert", "client_key", "credential", "on_unmaskable", "allow_md5"];

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn postgres(section: &Section<'_, '_>, servers: &Servers) -> Option<PostgresTarget> {
    let databases = databases(section);
    let tls = tls(section);
    let credential = credential::credential(section, tls.client.is_some(), servers);
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
    let databases = section.required("databases", databases, "write databases = [\"payments\"], or [\"*\"] for all");
    let credential = section.required("credential", credential, credential::CREDENTIAL_ADVICE);
    Some(PostgresTarget {
        databases: databases?,
        tls,
        credential: credential?,
        on_unmaskable: on_unmaskable.unwrap_or_default(),
        allow_md5,
    })
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

/// TLS to a target, of whatever protocol.
pub(super) fn tls(section: &Section<'_, '_>) -> TargetTls {
    let words = [("verify-full", TlsMode::VerifyFull), ("require", TlsMode::Require), ("off", TlsMode::Off)];
    let mode = section.word("tls", &words).unwrap_or_default();
    let ca_file = section.path("ca_file");
    let client = certificate(section);
    if mode != TlsMode::VerifyFull && ca_file.is_some() {
        section.report("ca_file", "nothing is verified with it", "write tls = \"verify-full\", or remove ca_file");
    }
    if mode == TlsMode::Off && client.is_some() {
        section.report("client_cert", "it cannot be shown without TLS", "write tls = \"verify-full\"");
    }
    TargetTls { mode, ca_file, client }
}

/// `client_cert` and `client_key`, which come together.
fn certificate(section: &Section<'_, '_>) -> Option<TargetCertificate> {
    let (cert, key) = (pem(section, "client_cert"), pem(section, "client_key"));
    match (section.holds("client_cert"), section.holds("client_key")) {
        (true, false) => section.required::<()>("client_key", None, "write the path of the certificate's private key"),
        (false, true) => section.required::<()>("client_cert", None, "write the path of the key's certificate chain"),
        _ => None,
    };
    Some(TargetCertificate { cert: cert?, key: key? })
}

/// A path, or a table that says where a secret is.
fn pem(section: &Section<'_, '_>, key: &'static str) -> Option<PemSource> {
    let setting = section.take(key)?;
    let Some(text) = setting.value.as_str() else {
        return credential::stored_at(setting).map(PemSource::Secret);
    };
    if text.is_empty() || text.contains("-----BEGIN") {
        setting.report("it is no path", "write the path of a file in PEM, or where it is kept: { vault = \"name\" }");
        return None;
    }
    Some(PemSource::File(section.beside(text)))
}

/// A database name leads to one target, whichever order the targets stand in; `*` too.
pub(super) fn claim_databases(
    section: &Section<'_, '_>,
    name: &Arc<str>,
    databases: &Databases,
    claimed: &mut BTreeMap<Arc<str>, Arc<str>>,
) {
    let names = match databases {
        Databases::All => BTreeSet::from(["*".into()]),
        Databases::Only(names) => names.clone(),
    };
    for database in names {
        if let Some(other) = claimed.get(&database) {
            let problem = format!("target {other:?} claims the database {database:?} too");
            section.report("databases", &problem, "let each database name lead to one target");
        } else {
            claimed.insert(database, Arc::clone(name));
        }
    }
}
