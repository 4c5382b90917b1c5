//! The issuers that Sluice trusts, with their keys: fetched, renewed, and given up when they grow too old.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use identity::{IdentityError, Issuer, Issuers, KeyCache, KeySet, KeyTiming, Proven, UnknownKey};
use model::subject::Subject;
use tokio::sync::Notify;

use crate::clock;
use crate::fetch;
use crate::passwords::{self, Passwords};
use crate::saml::Saml;

/// How long a login waits for somebody else's fetch of the same keys.
const AWAIT_FETCH: Duration = Duration::from_secs(10);

/// Where the keys of an issuer come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The discovery document below the issuer's URL names them (OpenID Connect Discovery 1.0, RFC 8414).
    Discovery {
        /// Trust anchors in place of the operating system's.
        ca_file: Option<PathBuf>,
        /// Whether plain HTTP to a loopback address will do.
        allow_http: bool,
    },
    /// A file in JWKS form, read again at every refresh.
    File(PathBuf),
    /// Keys of Sluice's own, which do not age.
    Fixed(Arc<KeySet>),
}

struct Source {
    issuer: Arc<Issuer>,
    keys: KeySource,
    cache: Mutex<KeyCache>,
    fetched: Notify,
}

impl Source {
    fn cache(&self) -> std::sync::MutexGuard<'_, KeyCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to fetch keys, which ends in the cache whatever becomes of it.
struct Attempt<'a> {
    source: &'a Source,
    brought: Option<KeySet>,
}

impl Attempt<'_> {
    fn end(mut self, asked_at: model::time::Timestamp) {
        if let Some(keys) = self.brought.take() {
            self.source.cache().fetched(keys, asked_at);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // After `fetched` this changes nothing: the attempt is over already.
        self.source.cache().failed();
    }
}

/// Every issuer of the configuration.
pub struct TrustedIssuers {
    sources: BTreeMap<Arc<str>, Source>,
    /// Sluice's own token endpoint, whose tokens stand for subjects of all of them.
    endpoint: Option<(Arc<Issuer>, Arc<KeySet>)>,
    passwords: Option<Arc<Passwords>>,
    saml: Option<Saml>,
    current: ArcSwap<Issuers>,
}

impl std::fmt::Debug for TrustedIssuers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.sources.keys()).finish()
    }
}

impl TrustedIssuers {
    /// Takes the issuers; no key is fetched yet.
    pub fn new(issuers: impl IntoIterator<Item = (Issuer, KeySource)>, timing: KeyTiming) -> Self {
        let sources = issuers.into_iter().map(|(issuer, keys)| {
            let source = Source {
                issuer: Arc::new(issuer),
                keys,
                cache: Mutex::new(KeyCache::new(timing)),
                fetched: Notify::new(),
            };
            (Arc::clone(&source.issuer.alias), source)
        });
        let (sources, current) = (sources.collect(), ArcSwap::default());
        let trusted = Self { sources, endpoint: None, passwords: None, saml: None, current };
        trusted.publish();
        trusted
    }

    /// With the tokens of Sluice's own token endpoint.
    #[must_use]
    pub fn with_endpoint(mut self, issuer: Issuer, keys: KeySet) -> Self {
        self.endpoint = Some((Arc::new(issuer), Arc::new(keys)));
        self.publish();
        self
    }

    /// With the short-lived passwords that Sluice issued.
    #[must_use]
    pub fn with_passwords(mut self, passwords: Arc<Passwords>) -> Self {
        self.passwords = Some(passwords);
        self
    }

    /// With SAML identity providers.
    #[must_use]
    pub fn with_saml(mut self, saml: Saml) -> Self {
        self.saml = Some(saml);
        self.publish();
        self
    }

    pub(crate) const fn saml(&self) -> Option<&Saml> {
        self.saml.as_ref()
    }

    /// Verifies what a client of `target` gave as its password: a token, or a short-lived password that Sluice issued.
    ///
    /// # Errors
    /// As [`TrustedIssuers::verify`].
    pub async fn log_in(&self, password: &str, proven: &Proven, target: &str) -> Result<Subject, IdentityError> {
        let Some(passwords) = self.passwords.as_ref().filter(|_| passwords::is_one(password)) else {
            return self.verify_for(password, proven, target).await;
        };
        let subject = passwords.find(password, proven, target, clock::now())?;
        let issuers = self.current.load();
        let gone = subject.identities().find(|identity| !issuers.knows(&identity.issuer));
        let gone = gone.map(|identity| IdentityError::UnknownIssuer(identity.issuer.to_string()));
        gone.map_or(Ok(subject), Err)
    }

    /// Verifies a token that is shown to Sluice itself, fetching the issuer's keys if the token names one that is not known.
    ///
    /// # Errors
    /// The true reason, for the journal; the caller is told [`IdentityError::client_message`].
    pub async fn verify(&self, token: &str, proven: &Proven) -> Result<Subject, IdentityError> {
        self.verify_at(token, proven, None).await
    }

    /// Verifies a token that is shown for a target: one that is good there alone will do too.
    ///
    /// # Errors
    /// As [`TrustedIssuers::verify`].
    pub async fn verify_for(&self, token: &str, proven: &Proven, target: &str) -> Result<Subject, IdentityError> {
        self.verify_at(token, proven, Some(target)).await
    }

    async fn verify_at(&self, token: &str, proven: &Proven, at: Option<&str>) -> Result<Subject, IdentityError> {
        let verify = || {
            let (issuers, now) = (self.current.load(), clock::now());
            match at {
                Some(target) => identity::verify_for(token, &issuers, proven, target, now),
                None => identity::verify(token, &issuers, proven, now),
            }
        };
        let refused = match verify() {
            Ok(subject) => return Ok(subject),
            Err(error) => error,
        };
        let alias = match &refused {
            IdentityError::UnknownKey { issuer, .. } | IdentityError::KeysTooOld { issuer } => issuer,
            _ => return Err(refused),
        };
        let Some(source) = self.sources.get(alias) else { return Err(refused) };
        let waiting = source.fetched.notified();
        let next = source.cache().unknown_key(clock::now());
        match next {
            // Seldom, and large: in a box, so that not every task has room for it.
            UnknownKey::Fetch => Box::pin(self.fetch(source)).await,
            UnknownKey::Await => {
                let _ = tokio::time::timeout(AWAIT_FETCH, waiting).await;
            }
            UnknownKey::Refuse => return Err(refused),
        }
        verify()
    }

    /// Renews the keys of every issuer when they are due, for as long as it is polled.
    pub async fn keep_fresh(&self) {
        loop {
            for source in self.sources.values() {
                let due = !matches!(source.keys, KeySource::Fixed(_)) && source.cache().refresh_due(clock::now());
                if due {
                    self.fetch(source).await;
                }
            }
            if let Some(saml) = &self.saml {
                saml.refresh().await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Cancel safe: an attempt that is given up counts as failed.
    async fn fetch(&self, source: &Source) {
        let asked_at = clock::now();
        let mut attempt = Attempt { source, brought: None };
        match read_keys(source).await {
            Ok(keys) => {
                tracing::info!(issuer = %source.issuer.alias, keys = keys.ids().count(), "keys fetched");
                attempt.brought = Some(keys);
            }
            Err(error) => {
                tracing::warn!(issuer = %source.issuer.alias, %error, "keys cannot be fetched; those known go on ageing");
            }
        }
        attempt.end(asked_at);
        self.publish();
        source.fetched.notify_waiters();
    }

    fn publish(&self) {
        let endpoint = self.endpoint.iter().fold(Issuers::new(), |issuers, (issuer, keys)| {
            issuers.with_endpoint(Arc::clone(issuer), Arc::clone(keys))
        });
        let issuers = self.sources.values().fold(endpoint, |issuers, source| match &source.keys {
            KeySource::Fixed(keys) => issuers.with_keys(Arc::clone(&source.issuer), Arc::clone(keys)),
            KeySource::Discovery { .. } | KeySource::File(_) => {
                issuers.with(Arc::clone(&source.issuer), &source.cache())
            }
        });
        let aliases = self.saml.iter().flat_map(Saml::aliases);
        let issuers = aliases.fold(issuers, |issuers, alias| issuers.with_alias(Arc::clone(alias)));
        self.current.store(Arc::new(issuers));
    }
}

/// Why an issuer's keys could not be had.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("{0}: {1}")]
    Fetch(String, fetch::FetchError),
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("the discovery document {0}")]
    Discovery(&'static str),
    #[error(transparent)]
    Keys(identity::KeySetError),
}

#[derive(serde::Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

async fn read_keys(source: &Source) -> Result<KeySet, KeysError> {
    let issuer = &source.issuer;
    let json = match &source.keys {
        KeySource::Fixed(_) => return Ok(KeySet::default()),
        KeySource::File(path) => {
            tokio::fs::read(path).await.map_err(|error| KeysError::File { path: path.display().to_string(), error })?
        }
        KeySource::Discovery { ca_file, allow_http } => {
            let get = async |url: String| {
                let fetched = fetch::get(&url, ca_file.as_deref(), *allow_http).await;
                fetched.map_err(|error| KeysError::Fetch(url, error))
            };
            let below = format!("{}/.well-known/openid-configuration", issuer.url.trim_end_matches('/'));
            let document: DiscoveryDocument = serde_json::from_slice(&get(below).await?)
                .map_err(|_| KeysError::Discovery("is not JSON with `issuer` and `jwks_uri`"))?;
            // OpenID Connect Discovery 1.0, section 4.3: the two must be identical, or keys of another issuer come in.
            if document.issuer != *issuer.url {
                return Err(KeysError::Discovery("names another issuer"));
            }
            get(document.jwks_uri).await?
        }
    };
    KeySet::from_jwks(&json, &issuer.algorithms).map_err(KeysError::Keys)
}
