//! How Sluice logs in at a host: by a certificate for the session, a private key, or a password.

use std::net::IpAddr;
use std::sync::Arc;

use ledger::{Level, Receipt};
use model::event::Event;
use model::id::SessionId;
use model::subject::SubjectKey;
use ssh_key::{Certificate, PrivateKey};
use store::config::{CredentialSource, SshCredential, SshTarget, TargetConfig};

use super::authority::{ForSession, SignError};
use super::keys;
use crate::clock;
use crate::credentials::{NoCredential, Use, Wanted, stored_secret};
use crate::node::Node;
use crate::recorder::entry;

/// What Sluice shows to a host.
pub(crate) enum TargetAuth {
    /// A certificate of a key that is this session's own.
    Certificate(Box<(PrivateKey, Certificate)>),
    /// A private key.
    Key(Box<PrivateKey>),
    /// A password, held for as long as what logged in with it lives.
    Password(Use),
}

/// Whom to log in where.
#[derive(Clone, Copy)]
pub(crate) struct Login<'a> {
    /// The target.
    pub(crate) config: &'a TargetConfig,
    /// What it has of SSH.
    pub(crate) ssh: &'a SshTarget,
    /// The host's user.
    pub(crate) login: &'a Arc<str>,
    /// For which session.
    pub(crate) session: SessionId,
    /// Whose session it is.
    pub(crate) subject: &'a SubjectKey,
    /// The address that the host sees Sluice come from, where that is known.
    pub(crate) source: Option<IpAddr>,
    /// Whether policy may let the session have a terminal.
    pub(crate) terminal: bool,
    /// Whether policy may let the session forward ports.
    pub(crate) forwarding: bool,
}

/// Why Sluice cannot log in. It names places, and nothing that came from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTargetAuth {
    /// The use cannot be journaled.
    #[error("that the credential is used cannot be recorded")]
    NotRecorded,
    /// The password cannot be had.
    #[error(transparent)]
    Password(#[from] NoCredential),
    /// The password that came is another user's.
    #[error("{0} gave the password of another user than the login")]
    OtherUser(String),
    /// The private key cannot be had, or is none.
    #[error("{0}: {1}")]
    Key(CredentialSource, String),
    /// The certificate cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What Sluice logs in with, and the entry of the journal that says so, which is there before anything is shown.
///
/// # Errors
/// See [`NoTargetAuth`].
pub(crate) async fn target_auth(node: &Node, login: Login<'_>) -> Result<(TargetAuth, Receipt), NoTargetAuth> {
    match &login.ssh.credential {
        SshCredential::Certificate { lifetime } => {
            let wanted = ForSession {
                login: login.login,
                session: login.session,
                subject: login.subject,
                source: login.source,
                lifetime: *lifetime,
                terminal: login.terminal,
                forwarding: login.forwarding,
            };
            let signed = node.ssh_target_authority.for_session(&wanted, clock::now())?;
            // By its serial number the host's log and the journal are joined.
            let receipt = record(node, login, format!("ssh-ca:{}", signed.1.serial())).await?;
            Ok((TargetAuth::Certificate(Box::new(signed)), receipt))
        }
        SshCredential::PrivateKey { key, passphrase } => {
            let receipt = record(node, login, key.to_string()).await?;
            let found = private_key(node, key, passphrase.as_ref())?;
            Ok((TargetAuth::Key(Box::new(found)), receipt))
        }
        SshCredential::Password(source) => {
            let receipt = record(node, login, source.to_string()).await?;
            let wanted = Wanted { target: login.config, user: Some(login.login), source };
            let password = node.credentials.password(node, wanted).await?;
            match password.user() {
                Some(user) if user != login.login => Err(NoTargetAuth::OtherUser(source.to_string())),
                Some(_) | None => Ok((TargetAuth::Password(password), receipt)),
            }
        }
    }
}

fn private_key(
    node: &Node,
    key: &CredentialSource,
    passphrase: Option<&CredentialSource>,
) -> Result<PrivateKey, NoTargetAuth> {
    let secret = |source: &CredentialSource| {
        stored_secret(node, source).map_err(|error| NoTargetAuth::Key(source.clone(), error))
    };
    let passphrase = passphrase.map(secret).transpose()?;
    keys::parse(&secret(key)?, passphrase.as_ref()).map_err(|error| NoTargetAuth::Key(key.clone(), error.to_string()))
}

async fn record(node: &Node, login: Login<'_>, reference: String) -> Result<Receipt, NoTargetAuth> {
    let (session, target) = (Some(login.session), Arc::clone(&login.config.target.name));
    let used = Event::SecretUsed { session, target, reference: reference.into() };
    let receipts = node.recorder.record(vec![entry(used)], Level::Process).await;
    receipts.map_err(|_| NoTargetAuth::NotRecorded)?.pop().ok_or(NoTargetAuth::NotRecorded)
}
