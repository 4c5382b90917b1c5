//! The issuers that Sluice trusts, with their keys: fetched, renewed, and given up when they grow too old.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use identity::{
    EventError, IdentityError, Inspection, Issuer, Issuers, KeyCache, KeySet, KeyTiming, Proven, Revocable,
    SecurityEvent, UnknownKey,
};
use model::subject::{Credential, Subject};
use model::time::Timestamp;
use store::config::TrustDomainConfig;
use tokio::sync::Notify;

use crate::clock;
use crate::fetch;
use crate::introspection::{Asked, Introspectors};
use crate::issued::{self, IssuedCredentials};
use crate::revocations::Revocations;
use crate::saml::Saml;
use crate::sessions::{Sessions, Signal};
use crate::spiffe::TrustDomains;
use crate::tls::ClientCertificate;

mod changes;

pub use changes::IssuerChanges;

/// What a token says of itself, which nobody has verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claimed {
    /// It is none that is believed here, whoever reads it.
    Nobodys,
    /// An issuer would be asked about it: it begins as that issuer's do.
    Opaque,
    /// It is read here: a token of an issuer, or a password that Sluice issued.
    Read,
}

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

/// Every issuer and trust domain of the configuration.
pub struct TrustedIssuers {
    sources: ArcSwap<Sources>,
    trust_domains: TrustDomains,
    /// Sluice's own token endpoint, whose tokens stand for subjects of all of them.
    endpoint: Option<(Arc<Issuer>, Arc<KeySet>)>,
    issued: Option<Arc<IssuedCredentials>>,
    saml: Option<Saml>,
    current: ArcSwap<Issuers>,
    /// The latest generation. Held while `sources` and `current` are changed: `current` is never made from what is not the
    /// latest.
    publishing: Mutex<u64>,
    timing: KeyTiming,
    /// What is looked up last, on every way to a subject. Nothing is where no Sluice runs: to inspect a token.
    revocations: Option<Arc<Revocations>>,
    /// Who is asked about tokens that only they can read.
    asked: Introspectors,
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
        revocations: impl Into<Option<Arc<Revocations>>>,
    ) -> Self {
        let sources: Sources = issuers
            .into_iter()
            .map(|(issuer, keys)| {
                let known = Known::new(timing);
                let source = Arc::new(Source { issuer: Arc::new(issuer), keys, known, generation: 0 });
                (Arc::clone(&source.issuer.alias), source)
            })
            .collect();
        let trusted = Self {
            sources: ArcSwap::from_pointee(sources),
            trust_domains: TrustDomains::default(),
            endpoint: None,
            issued: None,
            saml: None,
            current: ArcSwap::default(),
            publishing: Mutex::default(),
            timing,
            revocations: revocations.into(),
            asked: Introspectors::default(),
        };
        trusted.publish();
        trusted
    }

    /// With these trust domains, whose bundles are read where they are in files. Blocks.
    #[must_use]
    pub fn with_trust_domains(mut self, trust_domains: impl IntoIterator<Item = TrustDomainConfig>) -> Self {
        self.trust_domains = TrustDomains::read(trust_domains);
        self.publish();
        self
    }

    /// With the tokens of Sluice's own token endpoint.
    #[must_use]
    pub fn with_endpoint(mut self, issuer: Issuer, keys: KeySet) -> Self {
        self.endpoint = Some((Arc::new(issuer), Arc::new(keys)));
        self.publish();
        self
    }

    /// With what Sluice issued and knows again.
    #[must_use]
    pub fn with_issued(mut self, issued: Arc<IssuedCredentials>) -> Self {
        self.issued = Some(issued);
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

    /// Asks these issuers about opaque tokens from now on, and no others. What is known of one that is asked as before
    /// stays known. The configuration sees to it that no two are asked about the same.
    pub fn ask(&self, asked: Vec<Asked>) {
        self.asked.replace(asked);
    }

    /// The aliases of the issuers that would be asked otherwise than they are.
    pub fn compare_asked(&self, asked: &[Asked]) -> Vec<Arc<str>> {
        self.asked.compare(asked)
    }

    /// Verifies what a client of `target` gave as its password: a token, or a short-lived password that Sluice issued.
    ///
    /// # Errors
    /// As [`TrustedIssuers::verify`].
    pub async fn log_in(&self, password: &str, proven: &Proven, target: &str) -> Result<Subject, IdentityError> {
        let Some(issued) = self.issued.as_ref().filter(|_| issued::is_password(password)) else {
            return self.verify_for(password, proven, target).await;
        };
        self.standing(&issued.find_password(password, proven, target, clock::now())?)
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
        if let Some(introspector) = self.asked.about(token) {
            // Before it is asked: whoever is removed meanwhile is not believed.
            let generation = self.generation(introspector.alias())?;
            return self.believed(introspector.verify(token, proven, generation).await?);
        }
        let verify = |issuers: &Issuers, sources: &Sources| {
            let subject = match at {
                Some(target) => identity::verify_for(token, issuers, proven, target, clock::now())?,
                None => identity::verify(token, issuers, proven, clock::now())?,
            };
            let generation = generation(issuers, sources, &subject.key.issuer)?;
            Ok(Subject { credential: Credential { generation, ..subject.credential }, ..subject })
        };
        self.believed(self.with_keys(verify).await?)
    }

    /// Says who a client is by the certificate that it proved to hold in the handshake of this connection.
    ///
    /// # Errors
    /// The true reason, for the journal. The certificate may still be what a token is bound to.
    pub fn recognise(&self, certificate: &ClientCertificate) -> Result<Subject, IdentityError> {
        let issuers = self.current.load();
        let subject = identity::verify_certificate(certificate.chain(), &issuers, clock::now())?;
        let generation = issuers.generation(&subject.key.issuer).unwrap_or_default();
        self.believed(Subject { credential: Credential { generation, ..subject.credential }, ..subject })
    }

    /// Whether a token that may be for somebody else says that it is for here. Nobody is asked, and nothing is believed.
    pub(crate) fn claimed(&self, token: &str) -> Claimed {
        if issued::is_password(token) {
            Claimed::Read
        } else if self.asked.have_prefix_of(token) {
            Claimed::Opaque
        } else if identity::is_of_nobody(token, &self.current.load()) {
            Claimed::Nobodys
        } else {
            Claimed::Read
        }
    }

    /// What a revocation has to know of a token, fetching keys as for [`TrustedIssuers::verify`].
    ///
    /// # Errors
    /// The token would not be believed, so there is nothing to revoke.
    pub async fn revocable(&self, token: &str) -> Result<Revocable, IdentityError> {
        if let Some(issued) = self.issued.as_ref().filter(|_| issued::is_password(token)) {
            return issued.revocable(token, clock::now());
        }
        if let Some(introspector) = self.asked.about(token) {
            return introspector.revocable(token).await;
        }
        self.with_keys(|issuers, _| identity::revocable(token, issuers, clock::now())).await
    }

    /// Verifies an ID token, and says whom it names, fetching keys as for [`TrustedIssuers::verify`].
    ///
    /// # Errors
    /// The true reason, for the log.
    pub async fn id_token(&self, token: &str, expected: &identity::Expected<'_>) -> Result<Arc<str>, IdentityError> {
        self.with_keys(|issuers, _| identity::id_token(token, issuers, expected, clock::now())).await
    }

    /// The URL of the issuer of this alias.
    pub fn url_of(&self, alias: &str) -> Option<Arc<str>> {
        self.sources.load().get(alias).map(|source| Arc::clone(&source.issuer.url))
    }

    /// The issuer of this alias, and how it is asked about itself.
    pub(crate) fn named(&self, alias: &str) -> Option<(Arc<Issuer>, Option<PathBuf>, bool)> {
        let source = self.sources.load().get(alias).cloned()?;
        let (ca, allow_http) = match &source.keys {
            KeySource::Discovery { ca_file, allow_http } => (ca_file.clone(), *allow_http),
            KeySource::File(_) | KeySource::Fixed(_) => (None, false),
        };
        Some((Arc::clone(&source.issuer), ca, allow_http))
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
        for identity in subject.identities() {
            self.generation(&identity.issuer)?;
        }
        if self.generation(&subject.key.issuer)? != subject.credential.generation {
            return Err(IdentityError::Revoked(format!("issuer {} was changed", subject.key.issuer).into()));
        }
        self.asked.standing(subject)?;
        self.believed(subject.clone())
    }

    /// [`TrustedIssuers::standing`], for whoever lives in no session that is told of changes: an issuer that is asked about its
    /// tokens is asked as if the token were shown again.
    ///
    /// # Errors
    /// As above, or the issuer cannot be asked.
    pub async fn standing_now(&self, subject: &Subject) -> Result<Subject, IdentityError> {
        let stands = self.standing(subject)?;
        match self.asked.again(subject).await? {
            Some(now) if now.is_same_caller(subject) => self.believed(now),
            Some(_) => Err(IdentityError::Inactive),
            None => Ok(stands),
        }
    }

    /// Believes a subject that the operator's configuration vouches for, as its issuer is configured now.
    ///
    /// # Errors
    /// Its issuer is not configured, or something of it was revoked.
    pub fn vouch(&self, subject: Subject) -> Result<Subject, IdentityError> {
        let generation = self.generation(&subject.key.issuer)?;
        self.believed(Subject { credential: Credential { generation, ..subject.credential }, ..subject })
    }

    /// Whether anybody of this alias is believed: a subject of another one cannot be meant.
    pub fn has(&self, alias: &str) -> bool {
        self.current.load().knows(alias)
    }

    fn generation(&self, alias: &Arc<str>) -> Result<u64, IdentityError> {
        let sources = self.sources.load();
        generation(&self.current.load(), &sources, alias)
    }

    /// When every credential of this issuer has ended by itself that was issued until `at`, whatever its configuration says
    /// or said; `None` where no bound is known, as there is one for tokens alone.
    pub fn ended_by_then(&self, alias: &str, at: Timestamp) -> Option<Timestamp> {
        let seconds = Issuer::LONGEST_LIFETIME.saturating_add(Issuer::LONGEST_LEEWAY);
        self.sources.load().contains_key(alias).then(|| at.plus_millis(seconds.saturating_mul(1000)))
    }

    /// The last step of every way to a subject: what was revoked is not believed.
    pub(crate) fn believed(&self, subject: Subject) -> Result<Subject, IdentityError> {
        match &self.revocations {
            Some(revocations) => revocations.apply(subject),
            None => Ok(subject),
        }
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
            UnknownKey::Fetch => {
                let _ = Box::pin(self.fetch(&source)).await;
            }
            UnknownKey::Await => {
                let _ = tokio::time::timeout(AWAIT_FETCH, waiting).await;
            }
            UnknownKey::Refuse => return Err(refused),
        }
        check()
    }

    /// [`TrustedIssuers::verify`], check by check; and why the issuer's keys could not be had, if they could not.
    pub async fn inspect(&self, token: &str, proven: &Proven) -> (Inspection, Option<String>) {
        if let Some(introspector) = self.asked.about(token) {
            return (introspector.inspect(token, proven).await, None);
        }
        let inspect = || identity::inspect(token, &self.current.load(), proven, clock::now());
        let found = inspect();
        let (Err(IdentityError::UnknownKey { issuer, .. }) | Err(IdentityError::KeysTooOld { issuer })) = &found.result
        else {
            return (found, None);
        };
        let Some(source) = self.sources.load().get(issuer).cloned() else { return (found, None) };
        let failed = self.fetch(&source).await.err();
        (inspect(), failed.map(|error| error.to_string()))
    }

    /// Follows the bundles of every trust domain, for as long as it is polled, and has sessions look whether theirs still
    /// vouches for them.
    pub async fn follow_trust_domains(self: Arc<Self>, sessions: Arc<Sessions>) {
        let publishing = Arc::clone(&self);
        let publish = move || {
            publishing.publish();
            sessions.tell_all(Signal::Trust);
        };
        self.trust_domains.follow(Arc::new(publish)).await;
    }

    /// Asks about the opaque tokens that sessions live by, and tells the sessions of those that do not count any more, for
    /// as long as it is polled.
    pub async fn keep_asking(&self, sessions: &Arc<Sessions>) {
        loop {
            self.asked.ask_again(sessions).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Renews the keys of every issuer when they are due, for as long as it is polled.
    pub async fn keep_fresh(&self) {
        loop {
            for source in self.sources.load_full().values() {
                let due = !matches!(source.keys, KeySource::Fixed(_)) && source.cache().refresh_due(clock::now());
                if due {
                    let _ = self.fetch(source).await;
                }
            }
            if let Some(saml) = &self.saml {
                saml.refresh().await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Cancel safe: an attempt that is given up counts as failed.
    async fn fetch(&self, source: &Source) -> Result<(), KeysError> {
        let asked_at = clock::now();
        let mut attempt = Attempt { source, brought: None };
        let read = read_keys(source).await.map(|keys| {
            tracing::info!(issuer = %source.issuer.alias, keys = keys.ids().count(), "keys fetched");
            attempt.brought = Some(keys);
        });
        if let Err(error) = &read {
            tracing::warn!(issuer = %source.issuer.alias, %error, "keys cannot be fetched; those known go on ageing");
        }
        attempt.end(asked_at);
        self.publish();
        source.known.fetched.notify_waiters();
        read
    }

    fn publish(&self) {
        let _alone = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.store(Arc::new(self.issuers(&self.sources.load())));
    }

    /// What credentials are verified by, made from these sources and whatever else is trusted.
    fn issuers(&self, sources: &Sources) -> Issuers {
        let endpoint = self.endpoint.iter().fold(Issuers::new(), |issuers, (issuer, keys)| {
            issuers.with_endpoint(Arc::clone(issuer), Arc::clone(keys))
        });
        let issuers = sources.values().fold(endpoint, |issuers, source| match &source.keys {
            KeySource::Fixed(keys) => issuers.with_keys(Arc::clone(&source.issuer), Arc::clone(keys)),
            KeySource::Discovery { .. } | KeySource::File(_) => {
                issuers.with(Arc::clone(&source.issuer), &source.cache())
            }
        });
        let aliases = self.saml.iter().flat_map(Saml::aliases);
        let issuers = aliases.fold(issuers, |issuers, alias| issuers.with_alias(Arc::clone(alias)));
        self.trust_domains.add_to(issuers)
    }
}

/// By which state of its configuration an issuer or a trust domain is believed. What is trusted beside these has but one.
fn generation(issuers: &Issuers, sources: &Sources, alias: &Arc<str>) -> Result<u64, IdentityError> {
    match sources.get(alias) {
        Some(source) => Ok(source.generation),
        None if issuers.knows(alias) => Ok(issuers.generation(alias).unwrap_or_default()),
        None => Err(IdentityError::UnknownIssuer(format!("`{alias}`"))),
    }
}

/// Why an issuer's keys could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("{0}: {1}")]
    Fetch(String, fetch::FetchError),
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("the discovery document {0}")]
    Discovery(&'static str),
    #[error(transparent)]
    Keys(identity::KeySetError),
}

/// What an issuer says of itself (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
#[derive(serde::Deserialize)]
pub(crate) struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
    pub(crate) introspection_endpoint: Option<String>,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) token_endpoint: Option<String>,
}

/// Fetches the discovery document of an issuer.
pub(crate) async fn discover(
    issuer: &Issuer,
    ca: Option<&Path>,
    allow_http: bool,
) -> Result<DiscoveryDocument, KeysError> {
    let below = format!("{}/.well-known/openid-configuration", issuer.url.trim_end_matches('/'));
    let fetched = fetch::get(&below, ca, allow_http).await.map_err(|error| KeysError::Fetch(below, error))?;
    let document: DiscoveryDocument = serde_json::from_slice(&fetched)
        .map_err(|_| KeysError::Discovery("is not JSON with `issuer` and `jwks_uri`"))?;
    // OpenID Connect Discovery 1.0, section 4.3: the two must be identical, or keys of another issuer come in.
    if document.issuer == *issuer.url { Ok(document) } else { Err(KeysError::Discovery("names another issuer")) }
}

async fn read_keys(source: &Source) -> Result<KeySet, KeysError> {
    let issuer = &source.issuer;
    let json = match &source.keys {
        KeySource::Fixed(_) => return Ok(KeySet::default()),
        KeySource::File(path) => {
            tokio::fs::read(path).await.map_err(|error| KeysError::File { path: path.display().to_string(), error })?
        }
        KeySource::Discovery { ca_file, allow_http } => {
            let url = discover(issuer, ca_file.as_deref(), *allow_http).await?.jwks_uri;
            let fetched = fetch::get(&url, ca_file.as_deref(), *allow_http).await;
            fetched.map_err(|error| KeysError::Fetch(url, error))?
        }
    };
    KeySet::from_jwks(&json, &issuer.algorithms).map_err(KeysError::Keys)
}
