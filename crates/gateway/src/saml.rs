//! The SAML identity providers that Sluice trusts, with their metadata: read, renewed, and given up when it grows too old.
//!
//! An assertion is used once. That it was is in the state before anything is issued for it, so that neither a restart nor
//! a second call with the same assertion finds it unused; where the state cannot be written, none is accepted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use identity::saml::{Accepted, Metadata, MetadataError, ProviderKeys, Providers, SamlError, decode, verify};
use model::saml::SamlProvider;
use model::subject::Subject;
use model::time::Timestamp;
use store::State;
use store::config::{MetadataSource, SamlConfig};

use crate::fetch;
use crate::issued::sha256;
use crate::tls::{self, TlsError};
use crate::{clock, issuers::TrustedIssuers};

/// How often a file is read again, in milliseconds.
const FILE_REFRESH: u64 = 10_000;
/// How often metadata is fetched again.
const URL_REFRESH: u64 = 5 * 60_000;
/// The least time between two fetches, whatever callers bring.
const MIN_INTERVAL: u64 = 60_000;
/// How long metadata is believed that cannot be had again. Its own `validUntil` may end it sooner.
const MAX_AGE: u64 = 60 * 60_000;

/// Every provider of the configuration.
pub struct Saml {
    sources: Vec<Source>,
    current: ArcSwap<Providers>,
    state: Arc<dyn State>,
}

struct Source {
    provider: Arc<SamlProvider>,
    metadata: MetadataSource,
    known: Mutex<Known>,
    reading: tokio::sync::Mutex<()>,
}

/// What is known of a provider, and since when.
#[derive(Default)]
struct Known {
    metadata: Option<(Metadata, Timestamp)>,
    asked_at: Option<Timestamp>,
}

impl std::fmt::Debug for Saml {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.aliases()).finish()
    }
}

impl Saml {
    /// Takes the providers; no metadata is read yet.
    pub fn new(configured: &[SamlConfig], state: Arc<dyn State>) -> Self {
        let sources = configured.iter().map(|configured| Source {
            provider: Arc::clone(&configured.provider),
            metadata: configured.metadata.clone(),
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        });
        let saml = Self { sources: sources.collect(), current: ArcSwap::default(), state };
        saml.publish();
        saml
    }

    /// What subjects of the providers are prefixed with.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sources.iter().map(|source| &source.provider.alias)
    }

    /// Verifies an assertion in base64url, with newer metadata if its key is not known.
    async fn verify(&self, assertion: &str) -> Result<Accepted, SamlError> {
        let document = decode(assertion)?;
        let judge = || verify(&document, &self.current.load(), clock::now());
        match judge() {
            Err(SamlError::UnknownKey { provider } | SamlError::MetadataTooOld { provider }) => {
                self.renew(&provider).await;
                judge()
            }
            other => other,
        }
    }

    /// Notes that it is used, if it was not before.
    async fn use_once(&self, accepted: &Accepted) -> Result<(), SamlError> {
        let alias = &accepted.subject.key.issuer;
        let entity_id = self.source(alias).map_or(alias, |source| &source.provider.entity_id);
        let name = ["saml", entity_id, &accepted.assertion_id].join("\0");
        let digest = sha256(name.as_bytes());
        let (state, until) = (Arc::clone(&self.state), accepted.remember_until);
        let used = tokio::task::spawn_blocking(move || state.use_once(&digest, until, clock::now())).await;
        match used {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(SamlError::Replayed),
            Ok(Err(error)) => {
                tracing::error!(%error, "it cannot be noted that an assertion was used, so it is refused");
                Err(SamlError::Memory)
            }
            Err(_) => Err(SamlError::Memory),
        }
    }

    fn source(&self, alias: &str) -> Option<&Source> {
        self.sources.iter().find(|source| *source.provider.alias == *alias)
    }

    /// Asks for the metadata of a provider again, unless that was done a moment ago, or waits for whoever is at it.
    async fn renew(&self, alias: &str) {
        if let Some(source) = self.source(alias) {
            Box::pin(self.read(source, source.min_interval())).await;
        }
    }

    /// Reads what is due again.
    pub(crate) async fn refresh(&self) {
        for source in &self.sources {
            self.read(source, source.refresh()).await;
        }
    }

    /// Reads the metadata if the last attempt is so many milliseconds ago. One attempt at a time, each with a deadline of its
    /// own, so that this one has the outcome of the one before.
    async fn read(&self, source: &Source, interval: u64) {
        let _one = source.reading.lock().await;
        if !source.begin(interval) {
            return;
        }
        let (asked_at, alias) = (clock::now(), &source.provider.alias);
        match source.read(asked_at).await {
            Ok(metadata) => {
                let mut known = source.known();
                if known.metadata.as_ref().is_none_or(|(before, _)| *before != metadata) {
                    tracing::info!(provider = %alias, keys = metadata.keys.count(), "SAML metadata read");
                }
                known.metadata = Some((metadata, asked_at));
            }
            Err(error) => {
                tracing::warn!(provider = %alias, %error, "SAML metadata cannot be had; what is known goes on ageing");
            }
        }
        self.publish();
    }

    fn publish(&self) {
        let providers = self.sources.iter().fold(Providers::new(), |providers, source| {
            let provider = Arc::clone(&source.provider);
            match &source.known().metadata {
                Some((metadata, at)) => providers.with(provider, metadata, at.plus_millis(MAX_AGE)),
                None => providers.without_metadata(provider),
            }
        });
        self.current.store(Arc::new(providers));
    }
}

impl TrustedIssuers {
    /// Verifies a SAML assertion as RFC 7522 sends it, and uses it up.
    ///
    /// # Errors
    /// The true reason, for the journal; the caller is told [`SamlError::client_message`].
    pub async fn redeem(&self, assertion: &str) -> Result<Subject, SamlError> {
        let none = || SamlError::UnknownProvider(String::from("(no provider is configured)"));
        let saml = self.saml().ok_or_else(none)?;
        let mut accepted = saml.verify(assertion).await?;
        accepted.subject = self.believed(accepted.subject)?;
        saml.use_once(&accepted).await?;
        Ok(accepted.subject)
    }
}

impl Source {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const fn refresh(&self) -> u64 {
        match self.metadata {
            MetadataSource::File { .. } => FILE_REFRESH,
            MetadataSource::Url { .. } => URL_REFRESH,
        }
    }

    /// A file costs nothing to read again.
    const fn min_interval(&self) -> u64 {
        match self.metadata {
            MetadataSource::File { .. } => 0,
            MetadataSource::Url { .. } => MIN_INTERVAL,
        }
    }

    /// Whether the last attempt is so many milliseconds ago; then this is one. A clock that was set back delays none.
    fn begin(&self, interval: u64) -> bool {
        let (now, mut known) = (clock::now(), self.known());
        let is_due = known.asked_at.is_none_or(|at| at > now || now.millis_since(at) >= interval);
        if is_due {
            known.asked_at = Some(now);
        }
        is_due
    }

    async fn read(&self, now: Timestamp) -> Result<Metadata, ReadError> {
        let (document, signer) = match &self.metadata {
            MetadataSource::File { path, signer } => (read(path).await?, signer),
            MetadataSource::Url { url, ca_file, signer } => {
                // The configuration lets plain HTTP through only where the operator allowed it.
                let allow_http = url.starts_with("http://");
                let fetched = fetch::get_any(url, ca_file.as_deref(), allow_http).await;
                (fetched.map_err(|error| ReadError::Fetch(url.clone(), error))?, signer)
            }
        };
        let entity_id = &self.provider.entity_id;
        Ok(match signer {
            None => Metadata::read(&document, entity_id, now)?,
            Some(certificate) => Metadata::read_signed(&document, &keys(certificate)?, entity_id, now)?,
        })
    }
}

/// Why metadata could not be had.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{0}: {1}")]
    Fetch(String, fetch::FetchError),
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error(transparent)]
    Certificate(#[from] TlsError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

async fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    tokio::fs::read(path).await.map_err(|error| ReadError::File { path: path.display().to_string(), error })
}

/// Who may sign metadata.
fn keys(certificates: &Path) -> Result<ProviderKeys, ReadError> {
    let certificates = tls::certificates(certificates)?;
    Ok(ProviderKeys::from_certificates(certificates.iter().map(|certificate| &**certificate))?)
}

/// What a configured provider lacks that can be seen without fetching anything: for `sluice check`.
pub fn check(configured: &SamlConfig, now: Timestamp) -> Option<String> {
    let alias = &configured.provider.alias;
    let (file, ca_file, signer) = match &configured.metadata {
        MetadataSource::File { path, signer } => (Some(path), None, signer),
        MetadataSource::Url { ca_file, signer, .. } => (None, ca_file.as_ref(), signer),
    };
    let checked = check_files(configured, file, ca_file, signer.as_ref(), now);
    checked.err().map(|error| format!("saml {alias}: {error}"))
}

fn check_files(
    configured: &SamlConfig,
    file: Option<&PathBuf>,
    ca_file: Option<&PathBuf>,
    signer: Option<&PathBuf>,
    now: Timestamp,
) -> Result<(), ReadError> {
    let open = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| ReadError::File { path: path.display().to_string(), error })
    };
    ca_file.map(open).transpose()?;
    let signer = signer.map(|path| keys(path)).transpose()?;
    let entity_id = &configured.provider.entity_id;
    match (file.map(open).transpose()?, signer) {
        (Some(document), Some(signer)) => drop(Metadata::read_signed(&document, &signer, entity_id, now)?),
        (Some(document), None) => drop(Metadata::read(&document, entity_id, now)?),
        (None, _) => {}
    }
    Ok(())
}
