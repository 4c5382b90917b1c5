//! Roles that log in over TCP, and how each proves itself.

use std::fmt;

use anyhow::{Context, Result, ensure};

use super::Postgres;
use crate::random;
use crate::tls::CertificateFiles;

/// How the server makes a role prove itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Authentication {
    /// SCRAM-SHA-256 inside TLS (with channel binding where the client wants it).
    #[default]
    Scram,
    /// The role's password in clear, inside TLS.
    Cleartext,
    /// md5, inside TLS.
    Md5,
    /// A client certificate of the server's authority whose common name is the role's; no password.
    Certificate,
    /// SCRAM-SHA-256, with TLS or without.
    ScramWithoutTls,
}

impl Authentication {
    const fn group(self) -> &'static str {
        match self {
            Self::Scram => "testkit_scram",
            Self::Cleartext => "testkit_cleartext",
            Self::Md5 => "testkit_md5",
            Self::Certificate => "testkit_certificate",
            Self::ScramWithoutTls => "testkit_plain",
        }
    }
}

pub(super) const CREATE_GROUPS: &str = "CREATE ROLE testkit_scram; CREATE ROLE testkit_cleartext; \
    CREATE ROLE testkit_md5; CREATE ROLE testkit_certificate; CREATE ROLE testkit_plain";

/// By membership, so that a role's method is chosen when it is created.
pub(super) const HOST_BASED_AUTHENTICATION: &str = "\
local     all postgres trust
local     all all scram-sha-256
hostssl   all +testkit_scram 127.0.0.1/32 scram-sha-256
hostssl   all +testkit_cleartext 127.0.0.1/32 password
hostssl   all +testkit_md5 127.0.0.1/32 md5
hostssl   all +testkit_certificate 127.0.0.1/32 cert
host      all +testkit_plain 127.0.0.1/32 scram-sha-256
host      all all all reject
";

/// A role that may log in. Its password is random and of this server alone.
#[derive(Clone)]
pub struct Login {
    /// The role's name.
    pub user: String,
    /// Its password; empty for [`Authentication::Certificate`].
    pub password: String,
    /// Its client certificate, for [`Authentication::Certificate`].
    pub certificate: Option<CertificateFiles>,
}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Postgres {
    /// The role `user`, created with this method (and nothing else: no superuser, no privilege) unless it was before.
    pub fn login(&self, user: &str, authentication: Authentication) -> Result<Login> {
        let plain_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        ensure!(user.bytes().all(plain_name), "{user:?} is no plain name for a role");
        let mut logins = self.logins.lock().ok().context("another thread panicked while it made a login")?;
        if let Some(login) = logins.get(user) {
            return Ok(login.clone());
        }
        let (password, certificate) = match authentication {
            Authentication::Certificate => {
                let files = self.authority.client(user)?.write(&self.directory.join("tls"), user)?;
                (String::new(), Some(files))
            }
            _ => (random::word()?, None),
        };
        let encryption = if authentication == Authentication::Md5 { "md5" } else { "scram-sha-256" };
        let secret = if password.is_empty() { "NULL".to_owned() } else { format!("'{password}'") };
        let group = authentication.group();
        let create = format!("CREATE ROLE {user} LOGIN PASSWORD {secret} IN ROLE {group}");
        self.sql("postgres", &format!("SET password_encryption = '{encryption}'; {create}"))?;
        let login = Login { user: user.to_owned(), password, certificate };
        logins.insert(user.to_owned(), login.clone());
        Ok(login)
    }
}
