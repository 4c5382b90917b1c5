//! `[[openbao]]` of `targets.toml`: OpenBao and HashiCorp Vault servers, and what targets have there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::sluice::seconds;
use super::super::{CredentialSource, Section};
use super::{SOURCE_ADVICE, name, url};

/// A server, and how Sluice proves itself to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OpenBaoServer {
    /// What targets call it.
    pub name: Arc<str>,
    /// Its URL, without a slash at the end; plain HTTP only on this machine.
    pub url: String,
    /// The CA that its certificate must chain to; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// The namespace of all that is asked of it, if any (`X-Vault-Namespace`).
    pub namespace: Option<String>,
    /// How Sluice logs in.
    pub auth: OpenBaoAuth,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// How Sluice logs in at a server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OpenBaoAuth {
    /// With a token that something else keeps valid, read at each use.
    Token(CredentialSource),
    /// By the AppRole method.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id, which is no secret.
        role_id: String,
        /// Where the secret id is, read at each login.
        secret_id: CredentialSource,
    },
    /// By the JWT or the Kubernetes method: with a token of a workload.
    Jwt {
        /// Where the method is mounted.
        mount: String,
        /// The role to log in to.
        role: String,
        /// Where the token is, read at each login.
        token: CredentialSource,
    },
}

/// A secret of a server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OpenBaoSecret {
    /// Where.
    pub server: Arc<OpenBaoServer>,
    /// What of it.
    pub path: OpenBaoPath,
}

/// Which secret, by its path in the API without `/v1/`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OpenBaoPath {
    /// A field of a secret of the KV engine, version 2; read at each use.
    Kv {
        /// Such as `secret/data/payments`.
        path: String,
        /// The field of the password.
        field: String,
        /// The field of the user, if it has one.
        user_field: Option<String>,
    },
    /// A user and its password that the database engine makes, for a time: `database/creds/payments`.
    Lease(String),
}

impl fmt::Display for OpenBaoSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server.name;
        match &self.path {
            OpenBaoPath::Kv { path, field, .. } => write!(out, "openbao:{server}:{path}#{field}"),
            OpenBaoPath::Lease(path) => write!(out, "openbao:{server}:{path}"),
        }
    }
}

/// Every server that the file names.
pub(in super::super) fn servers(root: &Section<'_, '_>) -> Vec<Arc<OpenBaoServer>> {
    let mut servers: Vec<Arc<OpenBaoServer>> = Vec::new();
    for section in root.tables("openbao") {
        if let Some(server) = server(&section) {
            if servers.iter().any(|other| other.name == server.name) {
                section.report("name", "it is taken", "give each [[openbao]] a name of its own");
            }
            servers.push(Arc::new(server));
        }
        section.finish();
    }
    servers
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn server(section: &Section<'_, '_>) -> Option<OpenBaoServer> {
    let name = name(section);
    let address = url(section, "url");
    let ca_file = section.path("ca_file");
    let namespace =
        section.parsed("namespace", "a path such as \"team\"", |text| is_path(text).then(|| text.to_owned()));
    let timeout = section.duration("timeout", seconds(1, 60)).unwrap_or(Duration::from_secs(5));
    let auth = section.take("auth").map(super::super::Setting::section);
    let is_told = auth.is_some();
    let auth = auth.flatten().and_then(auth_of);
    let name = section.required("name", name, "write name = \"corp\"");
    let url = section.required("url", address, "write url = \"https://bao.internal:8200\"");
    if !is_told {
        section.required::<()>("auth", None, AUTH_ADVICE);
    }
    Some(OpenBaoServer { name: name?, url: url?, ca_file, namespace, auth: auth?, timeout })
}

const AUTH_ADVICE: &str = "write auth = { approle = \"ROLE_ID\", secret_id = { file = \"…\" } }, \
    { kubernetes = \"ROLE\", token = { file = \"…\" } }, { jwt = \"ROLE\", token = { file = \"…\" } } or \
    { token = { file = \"…\" } }";

fn auth_of(section: Section<'_, '_>) -> Option<OpenBaoAuth> {
    let word =
        |key| section.parsed(key, "a text that is not empty", |text| (!text.is_empty()).then(|| text.to_owned()));
    let (role_id, jwt, kubernetes) = (word("approle"), word("jwt"), word("kubernetes"));
    let mount = section.parsed("mount", "a path such as \"approle\"", |text| is_path(text).then(|| text.to_owned()));
    let (secret_id, token) = (super::secret(&section, "secret_id"), super::secret(&section, "token"));
    let mounted = |default: &str| mount.clone().unwrap_or_else(|| default.to_owned());
    let needed = |key, source: Option<Option<CredentialSource>>| section.required(key, source?, SOURCE_ADVICE);
    let auth = match (role_id, jwt, kubernetes) {
        (Some(role_id), None, None) => needed("secret_id", secret_id).map(|secret_id| OpenBaoAuth::AppRole {
            mount: mounted("approle"),
            role_id,
            secret_id,
        }),
        (None, Some(role), None) => {
            needed("token", token).map(|token| OpenBaoAuth::Jwt { mount: mounted("jwt"), role, token })
        }
        (None, None, Some(role)) => {
            needed("token", token).map(|token| OpenBaoAuth::Jwt { mount: mounted("kubernetes"), role, token })
        }
        (None, None, None) => match token {
            Some(Some(token)) => Some(OpenBaoAuth::Token(token)),
            Some(None) => {
                section.report("", "it says no way to log in", AUTH_ADVICE);
                None
            }
            None => None,
        },
        _ => {
            section.report("", "it says several ways to log in", AUTH_ADVICE);
            None
        }
    };
    section.finish();
    auth
}

/// `openbao = "server"` and what goes with it.
pub(super) fn secret(source: &Section<'_, '_>, servers: &[Arc<OpenBaoServer>]) -> Option<Option<OpenBaoSecret>> {
    let Some(setting) = source.take("openbao") else { return Some(None) };
    let server = setting
        .parsed("the name of an [[openbao]]", |text| servers.iter().find(|server| &*server.name == text).cloned());
    let is_kv = |text: &str| is_path(text) && text.contains("/data/");
    let kv =
        source.parsed("kv", "a path such as \"secret/data/payments\"", |text| is_kv(text).then(|| text.to_owned()));
    let lease = source
        .parsed("lease", "a path such as \"database/creds/payments\"", |text| is_path(text).then(|| text.to_owned()));
    let field = source.text("field");
    let user_field = source.text("user_field");
    let path = match (kv, lease) {
        (Some(path), None) => {
            OpenBaoPath::Kv { path, field: field.unwrap_or_else(|| "password".to_owned()), user_field }
        }
        (None, Some(path)) if field.is_none() && user_field.is_none() => OpenBaoPath::Lease(path),
        (None, Some(_)) => {
            source.report("lease", "it has its own fields", "remove field and user_field");
            return None;
        }
        _ => {
            let advice = "write kv = \"secret/data/payments\" or lease = \"database/creds/payments\"";
            source.report("openbao", "it says nothing to read there, or two things", advice);
            return None;
        }
    };
    Some(Some(OpenBaoSecret { server: server?, path }))
}

/// Whether it is a path that means the same whoever reads it.
fn is_path(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        !part.is_empty() && part.bytes().all(is_plain) && !part.bytes().all(|byte| byte == b'.')
    };
    text.len() <= 256 && text.split('/').all(is_part)
}
