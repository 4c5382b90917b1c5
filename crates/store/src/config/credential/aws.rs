//! `[[aws]]` of `targets.toml`: how Sluice signs what it asks of AWS, and what targets have there.

use std::sync::Arc;
use std::time::Duration;

use super::super::sluice::seconds;
use super::super::{CredentialSource, Section};
use super::{PasswordSource, SOURCE_ADVICE, name, url};

/// A region, and as whom requests to it are signed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AwsAccount {
    /// What targets call it.
    pub name: Arc<str>,
    /// The region.
    pub region: String,
    /// As whom Sluice signs.
    pub access: AwsAccess,
    /// The URL of Secrets Manager, without a slash at the end.
    pub secrets_url: String,
    /// The URL of the token service, without a slash at the end.
    pub sts_url: String,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// As whom Sluice signs what it asks of AWS.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AwsAccess {
    /// As the holder of an access key.
    Key {
        /// The key's id.
        id: String,
        /// Where its secret is, read at each use.
        secret: CredentialSource,
        /// Where its session token is, if it is a temporary one.
        session_token: Option<CredentialSource>,
    },
    /// As a role, taken with a token of the workload (`AssumeRoleWithWebIdentity`).
    WebIdentity {
        /// The role's ARN.
        role_arn: String,
        /// Where the token is, read at each use.
        token: CredentialSource,
    },
    /// As the role of the container (ECS, EKS Pod Identity), from the address that it was given.
    Container {
        /// The address.
        url: String,
        /// Where the token for it is, if it wants one.
        token: Option<CredentialSource>,
    },
}

/// A secret of Secrets Manager.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AwsSecret {
    /// As whom, and where.
    pub account: Arc<AwsAccount>,
    /// Its name or ARN.
    pub id: String,
    /// The field of the password; `None` when the whole secret is the password.
    pub field: Option<String>,
    /// The field of the user, if it has one.
    pub user_field: Option<String>,
}

/// Every account that the file names.
pub(in super::super) fn accounts(root: &Section<'_, '_>) -> Vec<Arc<AwsAccount>> {
    let mut accounts: Vec<Arc<AwsAccount>> = Vec::new();
    for section in root.tables("aws") {
        if let Some(account) = account(&section) {
            if accounts.iter().any(|other| other.name == account.name) {
                section.report("name", "it is taken", "give each [[aws]] a name of its own");
            }
            accounts.push(Arc::new(account));
        }
        section.finish();
    }
    accounts
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn account(section: &Section<'_, '_>) -> Option<AwsAccount> {
    let name = name(section);
    let region = section.parsed("region", "such as \"eu-central-1\"", |text| is_region(text).then(|| text.to_owned()));
    let (secrets_url, sts_url) = (url(section, "secrets_url"), url(section, "sts_url"));
    let timeout = section.duration("timeout", seconds(1, 60)).unwrap_or(Duration::from_secs(5));
    let access = section.take("access").map(super::super::Setting::section);
    let is_told = access.is_some();
    let access = access.flatten().and_then(access_of);
    let name = section.required("name", name, "write name = \"prod\"");
    let region = section.required("region", region, "write region = \"eu-central-1\"");
    if !is_told {
        section.required::<()>("access", None, ACCESS_ADVICE);
    }
    let region = region?;
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let service =
        |told: Option<String>, service: &str| told.unwrap_or_else(|| format!("https://{service}.{region}.{domain}"));
    let (secrets_url, sts_url) = (service(secrets_url, "secretsmanager"), service(sts_url, "sts"));
    Some(AwsAccount { name: name?, region: region.clone(), access: access?, secrets_url, sts_url, timeout })
}

const ACCESS_ADVICE: &str = "write access = { key_id = \"…\", secret = { env = \"…\" } }, \
    { role_arn = \"arn:…\", token = { file = \"…\" } } or { container = \"http://169.254.170.23/v1/credentials\" }";

fn access_of(section: Section<'_, '_>) -> Option<AwsAccess> {
    let word = |key| section.parsed(key, "a text that is not empty", |text| is_word(text).then(|| text.to_owned()));
    let (key_id, role_arn) = (word("key_id"), word("role_arn"));
    let container = section.parsed("container", "an address that AWS gives to containers", |text| {
        is_of_container(text).then(|| text.to_owned())
    });
    let secret = super::secret(&section, "secret");
    let session_token = super::secret(&section, "session_token");
    let token = super::secret(&section, "token");
    let access = match (key_id, role_arn, container) {
        (Some(id), None, None) => {
            let secret = secret.and_then(|secret| section.required("secret", secret, SOURCE_ADVICE));
            secret.zip(session_token).map(|(secret, session_token)| AwsAccess::Key { id, secret, session_token })
        }
        (None, Some(role_arn), None) => {
            let token = token.and_then(|token| section.required("token", token, SOURCE_ADVICE));
            token.map(|token| AwsAccess::WebIdentity { role_arn, token })
        }
        (None, None, Some(url)) => token.map(|token| AwsAccess::Container { url, token }),
        _ => {
            section.report("", "it says no way to sign, or several", ACCESS_ADVICE);
            None
        }
    };
    section.finish();
    access
}

/// The account of this name.
pub(in super::super) fn account_named(
    setting: super::super::Setting<'_, '_>,
    accounts: &[Arc<AwsAccount>],
) -> Option<Arc<AwsAccount>> {
    setting.parsed("the name of an [[aws]]", |text| accounts.iter().find(|account| &*account.name == text).cloned())
}

/// `aws = "account"` and what goes with it.
pub(super) fn source(source: &Section<'_, '_>, accounts: &[Arc<AwsAccount>]) -> Option<Option<PasswordSource>> {
    let Some(setting) = source.take("aws") else { return Some(None) };
    let account = account_named(setting, accounts);
    let id = source.parsed("secret", "the name or the ARN of a secret", |text| is_word(text).then(|| text.to_owned()));
    let is_token = source.flag("rds_token").unwrap_or(false);
    let (field, user_field) = (source.text("field"), source.text("user_field"));
    let found = match (id, is_token) {
        (Some(id), false) => PasswordSource::AwsSecret(AwsSecret { account: account?, id, field, user_field }),
        (None, true) if field.is_none() && user_field.is_none() => PasswordSource::RdsToken(account?),
        _ => {
            let advice = "write secret = \"payments\" (and field = \"password\"), or rds_token = true alone";
            source.report("aws", "it says nothing to ask for, or two things", advice);
            return None;
        }
    };
    Some(Some(found))
}

fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_word(text: &str) -> bool {
    (1..=2048).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The addresses at which AWS gives containers their credentials, in clear and on the machine itself (the list of its own SDKs,
/// "Container credential provider"), and this machine.
fn is_of_container(text: &str) -> bool {
    const HOSTS: [&str; 3] = ["http://169.254.170.2/", "http://169.254.170.23/", "http://[fd00:ec2::23]/"];
    HOSTS.iter().any(|host| text.starts_with(host)) && super::super::issuer::is_fetchable(text, "http://")
        || super::super::issuer::is_loopback(text)
}
