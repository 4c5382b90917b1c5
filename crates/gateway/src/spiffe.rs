//! The SPIFFE trust domains that Sluice believes, each by the last good bundle that was read of it. Before the first one
//! nothing of it is believed. Which ones there are may change while Sluice runs.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use futures_util::future::join_all;
use identity::{BundleError, Issuers, TrustBundle};
use model::spiffe::TrustDomain;
use store::config::{BundleSource, TrustDomainConfig};
use tokio::sync::Notify;

use crate::issuers::IssuerChanges;

mod workload_api;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The most that is read of a file; a longer one is no bundle.
const MAX_FILE: u64 = 1024 * 1024;

/// Called when a bundle has changed.
pub(crate) type Publish = Arc<dyn Fn() + Send + Sync>;

/// The first generation of a trust domain that was changed: no issuer ever gets so far.
const CHANGED: u64 = 1 << 63;

/// Every trust domain of the configuration.
#[derive(Default)]
pub(crate) struct TrustDomains {
    all: ArcSwap<Vec<Arc<Followed>>>,
    replaced: AtomicU64,
    changed: Notify,
}

struct Followed {
    domain: Arc<TrustDomain>,
    from: BundleSource,
    /// Another one for each state of its configuration.
    generation: u64,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
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
            let followed = Followed { domain, from, generation: 0, state: Mutex::default() };
            if let BundleSource::File(path) = &followed.from {
                followed.take_file(path, read(path));
            }
            Arc::new(followed)
        });
        Self { all: ArcSwap::from_pointee(all.collect()), ..Self::default() }
    }

    /// What would change if the configuration had these.
    pub(crate) fn compare(&self, configured: &[TrustDomainConfig], changes: &mut IssuerChanges) {
        let all = self.all.load();
        for config in configured {
            match all.iter().find(|followed| followed.alias() == &config.domain.issuer.alias) {
                None => changes.added.push(Arc::clone(&config.domain.issuer.alias)),
                Some(followed) if !followed.is_as(config) => changes.changed.push(Arc::clone(followed.alias())),
                Some(_) => {}
            }
        }
        let is_there = |followed: &&Arc<Followed>| {
            !configured.iter().any(|config| config.domain.issuer.alias == *followed.alias())
        };
        changes.removed.extend(all.iter().filter(is_there).map(|followed| Arc::clone(followed.alias())));
    }

    /// Believes these from now on. A bundle that is known stays, if it comes from where it came from.
    pub(crate) fn replace(&self, configured: &[TrustDomainConfig]) {
        let generation = CHANGED | self.replaced.fetch_add(1, Ordering::Relaxed);
        let before = self.all.load_full();
        let next = configured.iter().map(|config| {
            if let Some(same) = before.iter().find(|followed| followed.is_as(config)) {
                return Arc::clone(same);
            }
            let has_its_bundle =
                |one: &&Arc<Followed>| one.domain.name == config.domain.name && one.from == config.bundle;
            let state = before.iter().find(has_its_bundle).map(|one| one.state().clone()).unwrap_or_default();
            let (domain, from) = (Arc::clone(&config.domain), config.bundle.clone());
            Arc::new(Followed { domain, from, generation, state: Mutex::new(state) })
        });
        self.all.store(Arc::new(next.collect()));
        self.changed.notify_one();
    }

    /// The issuers, and these beside them.
    pub(crate) fn add_to(&self, issuers: Issuers) -> Issuers {
        let add = |issuers: Issuers, followed: &Arc<Followed>| {
            let bundle = followed.state().bundle.clone();
            issuers.with_trust_domain_of(followed.generation, Arc::clone(&followed.domain), bundle)
        };
        self.all.load().iter().fold(issuers, add)
    }

    /// Follows every bundle, for as long as it is polled.
    pub(crate) async fn follow(&self, publish: Publish) {
        loop {
            let all = self.all.load_full();
            tokio::select! {
                () = follow_all(&all, &publish) => self.changed.notified().await,
                () = self.changed.notified() => {}
            }
        }
    }
}

/// Until the end, or at once where there is nothing to follow.
async fn follow_all(all: &[Arc<Followed>], publish: &Publish) {
    let (mut files, mut sockets) = (Vec::new(), BTreeMap::<PathBuf, Vec<Arc<Followed>>>::new());
    for followed in all {
        match &followed.from {
            BundleSource::File(path) => files.push((path.clone(), Arc::clone(followed))),
            BundleSource::WorkloadApi(socket) => {
                sockets.entry(socket.clone()).or_default().push(Arc::clone(followed));
            }
        }
    }
    let follow = |(socket, domains)| workload_api::follow(socket, domains, Arc::clone(publish));
    let apis: Vec<_> = sockets.into_iter().map(follow).collect();
    tokio::join!(join_all(apis), follow_files(files, Arc::clone(publish)));
}

async fn follow_files(files: Vec<(PathBuf, Arc<Followed>)>, publish: Publish) {
    while !files.is_empty() {
        for (path, followed) in &files {
            let own = path.clone();
            let Ok(content) = tokio::task::spawn_blocking(move || read(&own)).await else { continue };
            if followed.take_file(path, content) {
                publish();
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Followed {
    fn alias(&self) -> &Arc<str> {
        &self.domain.issuer.alias
    }

    fn is_as(&self, config: &TrustDomainConfig) -> bool {
        self.domain == config.domain && self.from == config.bundle
    }

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
