//! The issuers that Sluice trusts, with their keys: fetched, renewed, and given up when they grow too old.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use identity::{
    EventError, IdentityError, Issuer, Issuers, KeyCache, KeySet, KeyTiming, Proven, Revocable, SecurityEvent,
    UnknownKey,
};
use model::subject::{Credential, Subject};
use tokio::sync::Notify;

use crate::clock;
use crate::fetch;
use crate::passwords::{self, Passwords};
use crate::revocations::Revocations;

mod changes;

pub use changes::IssuerChanges;

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

/// The issuers by alias.
type Sources = BTreeMap<Arc<str>, Arc<Source>>;

struct Source {
    issuer: Arc<Issuer>,
    keys: KeySource,
    known: Arc<Known>,
    /// Another one for each state of its configuration.
    generation: u64,
}

/// The keys as they are known, which outlive a change of what else the configuration says of the issuer.
struct Known {
    cache: Mutex<KeyCache>,
    fetched: Notify,
}

impl Known {
    fn new(timing: KeyTiming) -> Arc<Self> {
        Arc::new(Self { cache: Mutex::new(KeyCache::new(timing)), fetched: Notify::new() })
    }
}

impl Source {
    fn cache(&self) -> std::sync::MutexGuard<'_, KeyCache> {
        self.known.cache.lock().unwrap_or_else(PoisonError::into_inner)
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
    sources: ArcSwap<Sources>,
    /// Sluice's own token endpoint, whose tokens stand for subjects of all of them.
    endpoint: Option<(Arc<Issuer>, Arc<KeySet>)>,
    passwords: Option<Arc<Passwords>>,
    current: ArcSwap<Issuers>,
    /// The latest generation. Held while the two above are changed: `current` is never made from sources that are not
    /// the latest.
    publishing: Mutex<u64>,
    timing: KeyTiming,
    revocations: Arc<Revocations>,
}

impl std::fmt::Debug for TrustedIssuers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.sources.load().keys()).finish()
    }
}

impl TrustedIssuers {
    /// Takes the issuers; no key is fetched yet.
    pub fn new(
        issuers: impl IntoIterator<Item = (Issuer, KeySource)>,
        timing: KeyTiming,
        revocations: Arc<Revocations>,
    ) -> Self {
        let sources: Sources = issuers
            .into_iter()
            .map(|(issuer, keys)| {
                let known = Known::new(timing);
                let source = Arc::new(Source { issuer: Arc::new(issuer), keys, known, generation: 0 });
                (Arc::clone(&source.issuer.alias), source)
            })
            .collect();
        let (sources, current) = (ArcSwap::from_pointee(sources), ArcSwap::default());
        let (endpoint, passwords) = (None, None);
        let trusted = Self { sources, endpoint, passwords, current, publishing: Mutex::default(), timing, revocations };
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

    /// Verifies what a client of `target` gave as its password: a token, or a short-lived password that Sluice issued.
    ///
    /// # Errors
    /// As [`TrustedIssuers::verify`].
    pub async fn log_in(&self, password: &str, proven: &Proven, target: &str) -> Result<Subject, IdentityError> {
        let Some(passwords) = self.passwords.as_ref().filter(|_| passwords::is_one(password)) else {
            return self.verify_for(password, proven, target).await;
        };
        let subject = passwords.find(password, proven, target, clock::now())?;
        let sources = self.sources.load();
        for identity in subject.identities() {
            generation(&sources, &identity.issuer)?;
        }
        self.believed(of_its_generation(&sources, subject)?)
    }

    /// Verifies a token that is shown to Sluice itself, fetching the issuer's keys if the token names one that is not
    /// known.
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
        let verify = |issuers: &Issuers, sources: &Sources| {
            let now = clock::now();
            let subject = match at {
                Some(target) => identity::verify_for(token, issuers, proven, target, now),
                None => identity::verify(token, issuers, proven, now),
            }?;
            of_its_generation(sources, subject)
        };
        self.believed(self.with_keys(verify).await?)
    }

    /// What a revocation has to know of a token, fetching keys as for [`TrustedIssuers::verify`].
    ///
    /// # Errors
    /// The token would not be believed, so there is nothing to revoke.
    pub async fn revocable(&self, token: &str) -> Result<Revocable, IdentityError> {
        self.with_keys(|issuers, _| identity::revocable(token, issuers, clock::now())).await
    }

    /// Verifies a security event token, fetching keys as for [`TrustedIssuers::verify`].
    ///
    /// # Errors
    /// The true reason, for the journal.
    pub async fn security_event(&self, token: &str) -> Result<SecurityEvent, EventError> {
        let read = |issuers: &Issuers, _: &Sources| match identity::security_event(token, issuers, clock::now()) {
            Err(EventError::Token(error)) => Err(error),
            other => Ok(other),
        };
        self.with_keys(read).await?
    }

    /// Whoever was verified before, as far as they are still believed: as they were, or with fewer groups. A live
    /// session asks at [`crate::sessions::Signal::Trust`].
    ///
    /// # Errors
    /// An issuer is not configured any more, or not as it was; or something of the subject was revoked.
    pub fn standing(&self, subject: &Subject) -> Result<Subject, IdentityError> {
        let sources = self.sources.load();
        for identity in subject.identities() {
            generation(&sources, &identity.issuer)?;
        }
        if generation(&sources, &subject.key.issuer)? != subject.credential.generation {
            return Err(IdentityError::Revoked(format!("issuer {} was changed", subject.key.issuer).into()));
        }
        self.believed(subject.clone())
    }

    /// Whether an issuer of this alias is believed: a subject of another one cannot be meant.
    pub fn has(&self, alias: &str) -> bool {
        self.sources.load().contains_key(alias)
    }

    /// The last step of every way to a subject: what was revoked is not believed.
    fn believed(&self, subject: Subject) -> Result<Subject, IdentityError> {
        self.revocations.apply(subject)
    }

    /// Checks by the keys of the moment, and once more after they were fetched, where that may help.
    async fn with_keys<T>(
        &self,
        check: impl Fn(&Issuers, &Sources) -> Result<T, IdentityError>,
    ) -> Result<T, IdentityError> {
        let check = || {
            // In this order: sources that are new only count with issuers that are.
            let sources = self.sources.load();
            check(&self.current.load(), &sources)
        };
        let refused = match check() {
            Ok(checked) => return Ok(checked),
            Err(error) => error,
        };
        let alias = match &refused {
            IdentityError::UnknownKey { issuer, .. } | IdentityError::KeysTooOld { issuer } => issuer,
            _ => return Err(refused),
        };
        let Some(source) = self.sources.load().get(alias).cloned() else { return Err(refused) };
        let waiting = source.known.fetched.notified();
        let next = source.cache().unknown_key(clock::now());
        match next {
            // Seldom, and large: in a box, so that not every task has room for it.
            UnknownKey::Fetch => Box::pin(self.fetch(&source)).await,
            UnknownKey::Await => {
                let _ = tokio::time::timeout(AWAIT_FETCH, waiting).await;
            }
            UnknownKey::Refuse => return Err(refused),
        }
        check()
    }

    /// Renews the keys of every issuer when they are due, for as long as it is polled.
    pub async fn keep_fresh(&self) {
        loop {
            for source in self.sources.load_full().values() {
                let due = !matches!(source.keys, KeySource::Fixed(_)) && source.cache().refresh_due(clock::now());
                if due {
                    self.fetch(source).await;
                }
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
        source.known.fetched.notify_waiters();
    }

    fn publish(&self) {
        let _alone = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.store(Arc::new(issuers(self.endpoint.as_ref(), &self.sources.load())));
    }
}

/// What tokens are verified by, made from these sources.
fn issuers(endpoint: Option<&(Arc<Issuer>, Arc<KeySet>)>, sources: &Sources) -> Issuers {
    let endpoint = endpoint
        .into_iter()
        .fold(Issuers::new(), |issuers, (issuer, keys)| issuers.with_endpoint(Arc::clone(issuer), Arc::clone(keys)));
    sources.values().fold(endpoint, |issuers, source| match &source.keys {
        KeySource::Fixed(keys) => issuers.with_keys(Arc::clone(&source.issuer), Arc::clone(keys)),
        KeySource::Discovery { .. } | KeySource::File(_) => issuers.with(Arc::clone(&source.issuer), &source.cache()),
    })
}

/// The subject, believed by the state of its issuer's configuration that there is now.
fn of_its_generation(sources: &Sources, subject: Subject) -> Result<Subject, IdentityError> {
    let generation = generation(sources, &subject.key.issuer)?;
    Ok(Subject { credential: Credential { generation, ..subject.credential }, ..subject })
}

/// By which state of its configuration an issuer is believed.
fn generation(sources: &Sources, alias: &Arc<str>) -> Result<u64, IdentityError> {
    let source = sources.get(alias).ok_or_else(|| IdentityError::UnknownIssuer(format!("`{alias}`")))?;
    Ok(source.generation)
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
