//! The SPIFFE trust domains that Sluice believes, each by the last good bundle that was read of it. Before the first one
//! nothing of it is believed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use futures_util::future::join_all;
use identity::{BundleError, Issuers, TrustBundle};
use model::spiffe::TrustDomain;
use store::config::{BundleSource, TrustDomainConfig};

mod workload_api;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The most that is read of a file; a longer one is no bundle.
const MAX_FILE: u64 = 1024 * 1024;

/// Called when a bundle has changed.
pub(crate) type Publish = Arc<dyn Fn() + Send + Sync>;

/// Every trust domain of the configuration.
#[derive(Default)]
pub(crate) struct TrustDomains(Vec<Arc<Followed>>);

struct Followed {
    domain: Arc<TrustDomain>,
    from: BundleSource,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bundle: TrustBundle,
    /// Of the file as it was read last.
    seen: Option<Digest>,
    /// What is wrong now, so that it is said once.
    complaint: Option<String>,
}

/// Why a bundle cannot be had from its file.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{0}: {1}")]
    Read(String, std::io::Error),
    #[error("{0}: {1}")]
    Bundle(String, BundleError),
}

impl TrustDomains {
    /// Takes the trust domains, and reads the bundles that are in files. Blocks.
    pub(crate) fn read(configured: impl IntoIterator<Item = TrustDomainConfig>) -> Self {
        let all = configured.into_iter().map(|TrustDomainConfig { domain, bundle: from }| {
            let followed = Followed { domain, from, state: Mutex::default() };
            if let BundleSource::File(path) = &followed.from {
                followed.take_file(path, read(path));
            }
            Arc::new(followed)
        });
        Self(all.collect())
    }

    /// The issuers, and these beside them.
    pub(crate) fn add_to(&self, issuers: Issuers) -> Issuers {
        let add = |issuers: Issuers, followed: &Arc<Followed>| {
            issuers.with_trust_domain(Arc::clone(&followed.domain), followed.state().bundle.clone())
        };
        self.0.iter().fold(issuers, add)
    }

    /// Follows every bundle, for as long as it is polled.
    pub(crate) async fn follow(&self, publish: Publish) {
        let (mut files, mut sockets) = (Vec::new(), BTreeMap::<PathBuf, Vec<Arc<Followed>>>::new());
        for followed in &self.0 {
            match &followed.from {
                BundleSource::File(path) => files.push((path.clone(), Arc::clone(followed))),
                BundleSource::WorkloadApi(socket) => {
                    sockets.entry(socket.clone()).or_default().push(Arc::clone(followed));
                }
            }
        }
        let follow = |(socket, domains)| workload_api::follow(socket, domains, Arc::clone(&publish));
        let apis: Vec<_> = sockets.into_iter().map(follow).collect();
        tokio::join!(join_all(apis), follow_files(files, Arc::clone(&publish)));
    }
}

async fn follow_files(files: Vec<(PathBuf, Arc<Followed>)>, publish: Publish) {
    while !files.is_empty() {
        tokio::time::sleep(LOOK).await;
        for (path, followed) in &files {
            let own = path.clone();
            let Ok(content) = tokio::task::spawn_blocking(move || read(&own)).await else { continue };
            if followed.take_file(path, content) {
                publish();
            }
        }
    }
}

impl Followed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what its file holds now; whether that changed its bundle.
    fn take_file(&self, path: &Path, content: std::io::Result<Vec<u8>>) -> bool {
        let named = || path.display().to_string();
        let content = match content {
            Ok(content) => content,
            Err(error) => return self.complain(&FileError::Read(named(), error)),
        };
        let seen = digest(&SHA256, &content);
        if self.state().seen.replace(seen).is_some_and(|before| before.as_ref() == seen.as_ref()) {
            return false;
        }
        self.take(TrustBundle::from_file(&content).map_err(|error| FileError::Bundle(named(), error)))
    }

    /// Changes the bundle, unless that is refused; whether it did.
    fn change<E: Display>(&self, change: impl FnOnce(&TrustBundle) -> Result<TrustBundle, E>) -> bool {
        let changed = change(&self.state().bundle);
        self.take(changed)
    }

    fn take<E: Display>(&self, bundle: Result<TrustBundle, E>) -> bool {
        let bundle = match bundle {
            Ok(bundle) => bundle,
            Err(error) => return self.complain(&error),
        };
        let (authorities, keys) = (bundle.authorities(), bundle.key_ids().count());
        tracing::info!(trust_domain = %self.domain.name, authorities, keys, "trust bundle read");
        let mut state = self.state();
        (state.bundle, state.complaint) = (bundle, None);
        true
    }

    /// Says what is wrong, unless it is what was said last; the bundle stays.
    fn complain(&self, error: &dyn Display) -> bool {
        let error = error.to_string();
        let mut state = self.state();
        if state.complaint.as_ref() != Some(&error) {
            tracing::warn!(trust_domain = %self.domain.name, error, "the trust bundle cannot be read; the last good one stays");
            state.complaint = Some(error);
        }
        false
    }
}

/// What is wrong with a trust domain's bundle, as far as that can be seen without a Workload API.
pub fn check(config: &TrustDomainConfig) -> Option<String> {
    let BundleSource::File(path) = &config.bundle else { return None };
    let named = path.display().to_string();
    let bundle = match read(path) {
        Ok(content) => TrustBundle::from_file(&content).map_err(|error| FileError::Bundle(named, error)),
        Err(error) => Err(FileError::Read(named, error)),
    };
    bundle.err().map(|error| format!("trust domain {}: {error}", config.domain.name))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests;
