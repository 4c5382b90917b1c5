//! The logins of targets: as whom Sluice logs in, and with which password.
//!
//! A password is read when it is used, and kept only where its source says until when it holds: then it is one that every
//! session of the target uses. Of each source one thing is asked at a time; whoever waits meanwhile gets what was asked for
//! after they came. What a target refuses is asked for once more, so that a rotation drops nobody.
//!
//! What it must never do: give a password without its use having been journaled (the callers in `postgres::upstream` see to
//! that), keep one longer than its source allows, or show one in a log or an error.
//!
//! Start with [`Credentials::login`]; the places that passwords come from are `openbao`, `aws` and `exec`, and what becomes of
//! leases is in `leases`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ledger::Level;
use model::event::Event;
use model::secret::Secret;
use store::config::{Credential, CredentialSource, PasswordSource, TargetCertificate, TargetConfig};

use crate::node::Node;
use crate::recorder::entry;
use crate::tls::{OwnCertificate, TlsError};

mod aws;
mod exec;
mod leases;
mod oauth2;
mod openbao;
mod pair;

pub(crate) use aws::{AwsKeys, Payload, now as aws_now, sign_request};
pub(crate) use leases::{finish, run};
pub(crate) use pair::Use;
use pair::{Found, Pair};

/// Why a password cannot be had. It names the place, and nothing that came from there.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reference}: {reason}")]
pub(crate) struct NoCredential {
    reference: Arc<str>,
    reason: Arc<str>,
}

/// As whom to log in.
pub(crate) struct Login {
    /// The target's user.
    pub(crate) user: Arc<str>,
    /// Its password, for as long as it is used; `None` where the client certificate is enough.
    pub(crate) password: Option<Use>,
}

/// The pauses in which a password that the target refused is waited out: whoever rotates one changes the target and its
/// source one after the other.
const ROTATION: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];

/// Where the passwords of one target come from, and what came last.
struct Source {
    /// Held by whoever asks.
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<Last>>,
}

/// What was asked for last, and what came of it.
struct Last {
    asked: Instant,
    outcome: Result<Kept, NoCredential>,
}

/// What came, for whoever else may use it.
enum Kept {
    /// It holds until some moment, and is kept.
    UntilItsEnd(Arc<Pair>),
    /// It is for those who ask at the same time: nothing keeps it longer than its user.
    WhileUsed(Weak<Pair>),
}

impl Kept {
    fn new(pair: &Arc<Pair>) -> Self {
        if pair.has_end() { Self::UntilItsEnd(Arc::clone(pair)) } else { Self::WhileUsed(Arc::downgrade(pair)) }
    }

    fn pair(&self) -> Option<Arc<Pair>> {
        match self {
            Self::UntilItsEnd(pair) => Some(Arc::clone(pair)),
            Self::WhileUsed(pair) => pair.upgrade(),
        }
    }
}

/// A password that is wanted: where, of whom, and where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The target.
    pub(crate) target: &'a TargetConfig,
    /// The target's user; `None` where the source names one with each password.
    pub(crate) user: Option<&'a Arc<str>>,
    /// Where it comes from.
    pub(crate) source: &'a PasswordSource,
}

/// The name of a target, its user, and where the password comes from.
type Key = (Arc<str>, Option<Arc<str>>, PasswordSource);

/// The logins of all targets.
#[derive(Default)]
pub(crate) struct Credentials {
    sources: Mutex<HashMap<Key, Arc<Source>>>,
    /// Every pair that has a lease, until it ended.
    leased: Mutex<Vec<Arc<Pair>>>,
    servers: openbao::Servers,
}

impl Credentials {
    /// As whom to log in at `target` now. What the target refused before, as `spent`, is given again only where nothing else
    /// came within a rotation's time. The use has to be in the journal.
    ///
    /// # Errors
    /// If the password cannot be had.
    pub(crate) async fn login(
        &self,
        node: &Node,
        target: &TargetConfig,
        configured: &Credential,
        spent: Option<Login>,
    ) -> Result<Login, NoCredential> {
        let spent = spent.and_then(|login| Some((login.user, login.password?)));
        if let Some((_, password)) = &spent {
            password.close();
        }
        let no_user = |source: &PasswordSource| failed(source, "it names no user, and neither does the target");
        let (user, password) = match &configured.password {
            None => (configured.user.clone(), None),
            Some(source) => {
                let wanted = Wanted { target, user: configured.user.as_ref(), source };
                let user = |pair: &Use| pair.user().or(configured.user.as_ref()).cloned();
                let mut pair = self.password(node, wanted).await?;
                if let Some((refused_user, refused)) = spent {
                    let is_refused =
                        |pair: &Use| user(pair).as_ref() == Some(&refused_user) && pair.is_same_as(&refused);
                    for pause in ROTATION {
                        if !is_refused(&pair) {
                            break;
                        }
                        tokio::time::sleep(pause).await;
                        pair = self.password(node, wanted).await?;
                    }
                }
                (Some(user(&pair).ok_or_else(|| no_user(source))?), Some(pair))
            }
        };
        // The configuration has a user wherever nothing else names one.
        let user = user.unwrap_or_default();
        Ok(Login { user, password })
    }

    /// A password. Its use has to be in the journal.
    ///
    /// # Errors
    /// If it cannot be had.
    pub(crate) async fn password(&self, node: &Node, wanted: Wanted<'_>) -> Result<Use, NoCredential> {
        match wanted.source {
            PasswordSource::Stored(stored) => {
                let secret = stored_secret(node, stored).map_err(|error| failed(wanted.source, error))?;
                Ok(Use::unleased(Found::password(secret)))
            }
            _ => self.asked(node, wanted).await,
        }
    }

    fn source(&self, wanted: Wanted<'_>) -> Arc<Source> {
        let key = (Arc::clone(&wanted.target.target.name), wanted.user.cloned(), wanted.source.clone());
        let mut sources = locked(&self.sources);
        let new = || Arc::new(Source { turn: tokio::sync::Mutex::default(), last: Mutex::default() });
        Arc::clone(sources.entry(key).or_insert_with(new))
    }

    /// What a source gives, asked for once for all who want it at the same time.
    async fn asked(&self, node: &Node, wanted: Wanted<'_>) -> Result<Use, NoCredential> {
        let (came, source, from) = (Instant::now(), self.source(wanted), wanted.source);
        if let Some(outcome) = source.usable(came) {
            return outcome;
        }
        let turn = source.turn.lock().await;
        // Somebody else may have asked while this one waited for its turn.
        if let Some(outcome) = source.usable(came) {
            return outcome;
        }
        let asked = Instant::now();
        let found = self.ask(node, wanted).await;
        let (used, outcome) = match found.map(|found| Arc::new(Pair::new(found))) {
            Ok(pair) => {
                self.keep(&pair);
                (Use::of(&pair).ok_or_else(|| failed(from, "it has ended already")), Ok(Kept::new(&pair)))
            }
            Err(reason) => {
                let error = failed(from, reason);
                (Err(error.clone()), Err(error))
            }
        };
        *locked(&source.last) = Some(Last { asked, outcome });
        drop(turn);
        used
    }

    fn keep(&self, pair: &Arc<Pair>) {
        if pair.is_leased() {
            locked(&self.leased).push(Arc::clone(pair));
        }
    }

    async fn ask(&self, node: &Node, wanted: Wanted<'_>) -> Result<Found, String> {
        let found = match wanted.source {
            PasswordSource::Stored(stored) => Found::password(stored_secret(node, stored)?),
            PasswordSource::OpenBao(secret) => {
                let server = self.servers.server(&secret.server);
                server.find(node, &secret.path).await.map_err(|error| error.to_string())?
            }
            PasswordSource::AwsSecret(secret) => aws::secret(node, secret).await.map_err(|error| error.to_string())?,
            PasswordSource::RdsToken(account) => {
                let token = aws::rds_token(node, account, wanted).await;
                token.map_err(|error| error.to_string())?
            }
            PasswordSource::OAuth2(client) => oauth2::token(node, client).await.map_err(|error| error.to_string())?,
            PasswordSource::AwsKeys(account) => aws::keys(node, account).await.map_err(|error| error.to_string())?,
            PasswordSource::Exec(plugin) => exec::run(plugin, wanted).await.map_err(|error| error.to_string())?,
        };
        if store::credential::is_usable(found.password.expose()) {
            Ok(found)
        } else {
            Err("it is empty, too long, or has a NUL".to_owned())
        }
    }
}

impl Source {
    /// What came last, if it may still be used: because it holds until some moment, or was asked for at `came` or later. A
    /// failure is everybody's who waited for it.
    fn usable(&self, came: Instant) -> Option<Result<Use, NoCredential>> {
        let last = locked(&self.last);
        let last = last.as_ref()?;
        let is_fresh = last.asked >= came;
        match &last.outcome {
            Ok(kept @ Kept::UntilItsEnd(_)) => kept.pair().and_then(|pair| Use::of(&pair)).map(Ok),
            Ok(kept) if is_fresh => kept.pair().and_then(|pair| Use::of(&pair)).map(Ok),
            Err(error) if is_fresh => Some(Err(error.clone())),
            Ok(_) | Err(_) => None,
        }
    }
}

fn failed(source: &PasswordSource, reason: impl ToString) -> NoCredential {
    NoCredential { reference: source.to_string().into(), reason: reason.to_string().into() }
}

/// A secret of this machine that proves Sluice to `server`. That it is used is journaled before.
async fn proof(node: &Node, server: &str, source: &CredentialSource) -> Result<Secret<String>, String> {
    let (target, reference) = (server.into(), source.to_string().into());
    let used = entry(Event::SecretUsed { session: None, target, reference });
    node.recorder.record(vec![used], Level::Process).await.map_err(|error| error.to_string())?;
    stored_secret(node, source)
}

/// The certificate that Sluice shows to a target. Its use has to be in the journal.
pub(crate) fn certificate(node: &Node, from: &TargetCertificate) -> Result<OwnCertificate, TlsError> {
    let read = |source: &CredentialSource| store::credential::resolve(source, &|name: &str| node.secret(name));
    let secret = |source: &CredentialSource| read(source).map_err(|error| error.to_string());
    tokio::task::block_in_place(|| OwnCertificate::read(from, &secret))
}

/// A secret of this machine.
pub(crate) fn stored_secret(node: &Node, source: &CredentialSource) -> Result<Secret<String>, String> {
    let vault = |name: &str| node.secret(name);
    let read = tokio::task::block_in_place(|| store::credential::resolve(source, &vault));
    read.map_err(|error| error.to_string())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
