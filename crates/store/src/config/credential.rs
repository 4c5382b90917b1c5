//! `credential` of a target: as whom Sluice logs in there, and where the password comes from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::sluice::seconds;
use super::{CredentialSource, Section, Setting};

mod aws;
mod oauth2;
mod openbao;
mod role;

pub(super) use aws::account_named;
pub(super) use aws::accounts;
pub use aws::{AwsAccess, AwsAccount, AwsSecret};
pub(super) use oauth2::client as oauth2_client;
pub use oauth2::{OAuth2Client, OAuth2Proof};
pub(super) use openbao::servers;
pub use openbao::{OpenBaoAuth, OpenBaoPath, OpenBaoSecret, OpenBaoServer};
pub use role::{EphemeralRole, OwnedObjects};

/// As whom Sluice logs in at a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// The target's user; `None` where the source of the password names one with each password.
    pub user: Option<Arc<str>>,
    /// Where its password comes from; `None` when the client certificate is enough.
    pub password: Option<PasswordSource>,
    /// The role that each session gets for itself; `None` means that sessions log in as `user`.
    pub ephemeral_role: Option<EphemeralRole>,
}

/// Where the password of a target's user comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PasswordSource {
    /// From this machine.
    Stored(CredentialSource),
    /// From an OpenBao or HashiCorp Vault server.
    OpenBao(OpenBaoSecret),
    /// From AWS Secrets Manager.
    AwsSecret(AwsSecret),
    /// It is a token of RDS IAM authentication, which Sluice signs itself.
    RdsToken(Arc<AwsAccount>),
    /// A program prints it.
    Exec(ExecPlugin),
    /// It is a token that an issuer gives to Sluice itself: of APIs alone.
    OAuth2(Arc<OAuth2Client>),
    /// They are the keys that requests to AWS are signed with: of APIs alone.
    AwsKeys(Arc<AwsAccount>),
}

/// A program that is asked for a password: JSON in, JSON out (docs/configuration.md).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExecPlugin {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The environment variables that it gets; there are no others.
    pub environment: Vec<String>,
    /// What it is asked for, in its own words.
    pub reference: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// What the record calls the secret; never a part of it.
impl fmt::Display for PasswordSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(source) => source.fmt(out),
            Self::OpenBao(secret) => secret.fmt(out),
            Self::AwsSecret(secret) => write!(out, "aws:{}:{}", secret.account.name, secret.id),
            Self::RdsToken(account) => write!(out, "rds:{}", account.name),
            Self::Exec(plugin) => write!(out, "exec:{}:{}", plugin.program.display(), plugin.reference),
            Self::OAuth2(client) => write!(out, "oauth2:{}:{}", client.token_url, client.id),
            Self::AwsKeys(account) => write!(out, "sigv4:{}", account.name),
        }
    }
}

impl PasswordSource {
    /// Whether each password comes with the user that it is of.
    pub const fn may_name_user(&self) -> bool {
        match self {
            Self::OpenBao(secret) => match &secret.path {
                OpenBaoPath::Kv { user_field, .. } => user_field.is_some(),
                OpenBaoPath::Lease(_) => true,
            },
            Self::AwsSecret(secret) => secret.user_field.is_some(),
            Self::Exec(_) => true,
            Self::Stored(_) | Self::RdsToken(_) | Self::OAuth2(_) | Self::AwsKeys(_) => false,
        }
    }
}

/// The servers that passwords come from, by the names that targets call them.
pub(super) struct Servers {
    pub(super) openbao: Vec<Arc<OpenBaoServer>>,
    pub(super) aws: Vec<Arc<AwsAccount>>,
}

const USER: &str = "the name of the target's user";
pub(super) const CREDENTIAL_ADVICE: &str =
    "write credential = { user = \"sluice\", password = { env = \"PAYMENTS_PASSWORD\" } }";

pub(super) fn credential(section: &Section<'_, '_>, has_certificate: bool, servers: &Servers) -> Option<Credential> {
    let credential = section.take("credential")?.section()?;
    let user = credential.parsed("user", USER, |user| (!user.is_empty()).then(|| Arc::from(user)));
    let password = password(&credential, servers);
    if password == Some(None) && !has_certificate {
        credential.required::<()>("password", None, SOURCE_ADVICE);
    }
    let names_user = password.iter().flatten().any(PasswordSource::may_name_user);
    if !names_user {
        credential.required("user", user.as_ref(), "write user = \"sluice\"");
    }
    let ephemeral_role = role::ephemeral_role(&credential);
    credential.finish();
    let is_whole = names_user || user.is_some();
    is_whole.then_some(Credential { user, password: password?, ephemeral_role: ephemeral_role? })
}

pub(super) const SOURCE_ADVICE: &str =
    "write { env = \"VARIABLE\" }, { file = \"path\" } or { vault = \"name\" }, and put the secret there";
const PASSWORD_ADVICE: &str = "write { env = \"VARIABLE\" }, { file = \"path\" }, { vault = \"name\" }, \
     { openbao = \"server\", … }, { aws = \"account\", … } or { exec = [\"program\"] }";

/// Where a secret of this machine is: `None` after a mistake, `Some(None)` where there is none.
pub(super) fn secret(section: &Section<'_, '_>, key: &'static str) -> Option<Option<CredentialSource>> {
    let Some(setting) = secret_setting(section, key, SOURCE_ADVICE)? else { return Some(None) };
    stored_at(setting).map(Some)
}

/// Where the secret of this machine is that a table stands for.
pub(super) fn stored_at(setting: Setting<'_, '_>) -> Option<CredentialSource> {
    let source = setting.section()?;
    let found = stored(&source);
    if found == Some(None) && !source.has_mistake() {
        source.report("", "it has no source", SOURCE_ADVICE);
    }
    source.finish();
    found.flatten()
}

/// Where a password comes from: `None` after a mistake, `Some(None)` where there is none.
pub(super) fn password(section: &Section<'_, '_>, servers: &Servers) -> Option<Option<PasswordSource>> {
    let Some(setting) = secret_setting(section, "password", PASSWORD_ADVICE)? else { return Some(None) };
    let source = setting.section()?;
    let found = [
        stored(&source).map(|found| found.map(PasswordSource::Stored)),
        openbao::secret(&source, &servers.openbao).map(|found| found.map(PasswordSource::OpenBao)),
        aws::source(&source, &servers.aws),
        exec(&source).map(|found| found.map(PasswordSource::Exec)),
    ];
    let is_right = found.iter().all(Option::is_some);
    let mut found: Vec<PasswordSource> = found.into_iter().flatten().flatten().collect();
    if found.len() > 1 {
        source.report("", "it has several sources", "keep one of them");
        found.clear();
    } else if found.is_empty() && is_right && !source.has_mistake() {
        source.report("", "it has no source", PASSWORD_ADVICE);
    }
    source.finish();
    found.pop().filter(|_| is_right).map(Some)
}

/// The table that says where a secret is. Whatever stands there instead may be the secret, so it is never shown.
fn secret_setting<'d, 't>(
    section: &Section<'d, 't>,
    key: &'static str,
    advice: &str,
) -> Option<Option<Setting<'d, 't>>> {
    let Some(setting) = section.take(key) else { return Some(None) };
    if !matches!(setting.value, DeValue::Table(_)) {
        setting.report("a secret must not stand in a configuration file", advice);
        return None;
    }
    Some(Some(setting))
}

/// The source on this machine that a table names, if one.
fn stored(source: &Section<'_, '_>) -> Option<Option<CredentialSource>> {
    let vault = source
        .parsed("vault", "a name given to `sluice secret set`", |name| (!name.is_empty()).then(|| name.to_owned()));
    let (variable, file) = (source.variable("env"), source.path("file"));
    match (variable, file, vault) {
        (Some(variable), None, None) => Some(Some(CredentialSource::Env(variable))),
        (None, Some(file), None) => Some(Some(CredentialSource::File(file))),
        (None, None, Some(name)) => Some(Some(CredentialSource::Vault(name))),
        (None, None, None) => Some(None),
        _ => {
            source.report("", "it has several sources", "keep one of them");
            None
        }
    }
}

/// `exec = ["program", "argument", …]` and what goes with it. All of it is read where `exec` is, so that what goes with another
/// source stays unknown here.
fn exec(source: &Section<'_, '_>) -> Option<Option<ExecPlugin>> {
    let Some(setting) = source.take("exec") else { return Some(None) };
    let words = setting.texts();
    let environment = source.take("environment").map_or_else(|| Some(Vec::new()), Setting::texts);
    let reference = source.text("reference");
    let timeout = source.duration("timeout", seconds(1, 60)).unwrap_or(Duration::from_secs(5));
    let mut words = words?.into_iter();
    let Some(program) = words.next() else {
        source.report("exec", "it is empty", "write [\"/usr/local/lib/sluice/password\"]");
        return None;
    };
    let (program, arguments) = (source.beside(&program), words.collect());
    let reference = reference.unwrap_or_default();
    Some(Some(ExecPlugin { program, arguments, environment: environment?, reference, timeout }))
}

/// A name of a server or account, as issuers have them.
fn name(section: &Section<'_, '_>) -> Option<Arc<str>> {
    let is_name = |text: &str| super::issuer::is_alias(text).then(|| text.into());
    section.parsed("name", "a short name of a-z, 0-9, - and _", is_name)
}

/// A URL without a slash at its end, of a server that may be told a secret.
fn url(section: &Section<'_, '_>, key: &'static str) -> Option<String> {
    use super::issuer::{is_fetchable, is_loopback};
    let url = section.text(key)?;
    if is_fetchable(&url, "https://") || is_loopback(&url) {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let advice = "write a URL with https:// and without query or fragment; http:// is for a server on this machine";
    section.report(key, "secrets cannot be had safely from there", advice);
    None
}

#[cfg(test)]
mod tests;
