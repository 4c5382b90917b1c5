//! What every session of one process shares.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use identity::{Issuer, KeySet, KeyTiming, SigningKey as TokenKey};
use ledger::tape::KeyStore;
use ledger::{Disk, KeyFileError, OpenError, ReadError, Reader, RealDisk, Recovery};
use masking::Keys;
use model::event::Event;
use model::issuer::BareGroups;
use model::secret::Secret;
use store::config::{Config, IssuerConfig, KeyLocation, KeySource as ConfiguredKeys};
use store::vault::{Vault, VaultKey};
use store::{Sqlite, State};
use tokio_util::task::TaskTracker;

use crate::archive::Archive;
use crate::backends::Backends;
use crate::broken_off::{Running, Tapes};
use crate::clock;
use crate::credentials::Credentials;
use crate::http::Pool;
use crate::introspection::Asked;
use crate::issued::IssuedCredentials;
use crate::issuers::{KeySource, TrustedIssuers};
use crate::live_tapes::LiveTapes;
use crate::metrics::Metrics;
use crate::packing::Packing;
use crate::postgres::{Catalogs, Roles};
use crate::recorder::Recorder;
use crate::revision::{self, Refused, Revisions};
use crate::revocations::Revocations;
use crate::saml::Saml;
use crate::sessions::Sessions;
use crate::ssh::CallerCertificates;
use crate::ssh::authority::TargetAuthority;
use crate::tls::TlsError;
use crate::tokens::Tokens;
use crate::witnesses::{Witnesses, WitnessesError};

mod journal;
mod tape_key;

pub use journal::{repair, rotate_key};
pub use tape_key::tape_keys;

/// The alias of Sluice's own issuer, whose tokens `sluice token` signs for the first administrator.
pub const LOCAL_ISSUER: &str = "sluice";
/// The `iss` of Sluice's own tokens.
pub const LOCAL_ISSUER_URL: &str = "urn:sluice:local";
/// The `aud` of Sluice's own tokens.
pub const LOCAL_AUDIENCE: &str = "urn:sluice";
/// The `iss` of what the token endpoint issues, where the configuration names no URL. It is not that of
/// [`LOCAL_ISSUER`], as its tokens name subjects of every issuer.
pub const ENDPOINT_ISSUER_URL: &str = "urn:sluice:tokens";

/// Why the process cannot start, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or directory of the data directory cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file does not hold a key.
    #[error("{0}: it does not hold a key; restore it from your backup")]
    Key(PathBuf),
    /// The state cannot be opened.
    #[error(transparent)]
    State(#[from] store::Error),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] ledger::OpenError),
    /// The journal holds what only a later version can have written.
    #[error(
        "entry {0} of the journal is whole and of a kind that this version of Sluice does not know: a later version wrote it. \
         Start that version again, or a later one"
    )]
    NewerEntry(u64),
    /// The journal's key cannot be read or changed.
    #[error(transparent)]
    JournalKey(#[from] KeyFileError),
    /// The revision has mistakes.
    #[error(transparent)]
    Revision(#[from] Refused),
    /// A change of the policies was begun and cannot be finished.
    #[error("a change of the policies was begun and cannot be finished: {0}")]
    Change(#[from] store::revision::WriteError),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The key of tapes is gone, and what it opens is there.
    #[error(
        "{0} is gone, and there are tapes that nothing else opens: restore it from your backup; \
         or, if they are lost for good, move tapes/ and keys/tapes/ out of the data directory, and a new key is made"
    )]
    TapeKeyGone(PathBuf),
    /// The key of tapes is another one than that of the tapes that are there.
    #[error(
        "the key of tapes opens none of those that are there: name the one that they were sealed with; or, if they need not be \
         read any more, move tapes/ and keys/tapes/ out of the data directory"
    )]
    OtherTapeKey,
    /// The key of tapes that the configuration names cannot be used.
    #[error("[tapes] {0}; without the key of tapes no session can be recorded, and no tape can be read")]
    TapeKey(String),
    /// A key that the configuration names cannot be read.
    #[error("{0}")]
    KeySource(String),
    /// A witness's key cannot be read.
    #[error(transparent)]
    Witness(#[from] WitnessesError),
    /// The vault's key is none.
    #[error("the vault's key: {0}")]
    VaultKey(String),
    /// The vault cannot be opened.
    #[error("the vault: {0}")]
    Vault(String),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] clock::NoRandomness),
    /// What an earlier process left cannot be settled.
    #[error("what an earlier process left cannot be settled: {0}")]
    Settle(#[from] crate::restart::SettleError),
    /// A defect of Sluice.
    #[error("internal: {0}")]
    Internal(String),
}

/// What every session of one process shares.
pub struct Node {
    /// The configuration of the process.
    pub config: Config,
    /// The revision in force.
    pub revisions: Arc<Revisions>,
    /// The way into the journal.
    pub recorder: Arc<Recorder>,
    /// Approvals, index, vault.
    pub state: Arc<dyn State>,
    /// Who is believed.
    pub issuers: Arc<TrustedIssuers>,
    /// What is issued to whoever is believed.
    pub tokens: Tokens,
    /// What of it is known again: short-lived passwords and SSH certificates.
    pub issued: Arc<IssuedCredentials>,
    /// Signs certificates of callers of SSH.
    pub ssh_callers: CallerCertificates,
    /// Signs what hosts believe.
    pub(crate) ssh_target_authority: TargetAuthority,
    /// Who is no longer believed.
    pub revocations: Arc<Revocations>,
    /// Who is connected.
    pub sessions: Arc<Sessions>,
    pub(crate) running: Running,
    pub(crate) live_tapes: Arc<LiveTapes>,
    /// What is counted.
    pub metrics: Metrics,
    /// Short tasks of sessions, which end before the process does.
    pub tasks: TaskTracker,
    /// The keys behind tokens and format-preserving masks.
    pub(crate) mask_keys: Keys,
    /// The keys of tapes.
    pub tape_keys: Arc<KeyStore>,
    pub(crate) catalogs: Arc<Catalogs>,
    /// The logins of targets.
    pub(crate) credentials: Credentials,
    /// The roles that sessions have for themselves.
    pub(crate) roles: Arc<Roles>,
    /// Connections to targets that speak HTTP.
    pub(crate) http: Arc<Pool>,
    /// Which server processes at targets are Sluice's.
    pub(crate) backends: Arc<Backends>,
    pub(crate) witnesses: Witnesses,
    /// Where finished tapes go, if anywhere.
    pub(crate) archive: Option<Archive>,
    /// Which parts of tapes are being compressed.
    pub(crate) packing: Packing,
    /// Held while the journal's static files are written.
    pub(crate) tiles: Arc<Mutex<()>>,
    disk: Arc<dyn Disk>,
    vault: Option<Arc<Vault>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Node").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

/// Where things are in the data directory.
#[derive(Clone, Debug)]
pub struct Layout(PathBuf);

impl Layout {
    /// Of this data directory.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.to_owned())
    }

    /// The journal's segments and checkpoints.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The public key that verifies the journal.
    pub fn journal_public_key(&self) -> PathBuf {
        self.0.join("journal.pub")
    }

    /// The tapes.
    pub fn tapes(&self) -> PathBuf {
        self.0.join("tapes")
    }

    /// What is to be removed from the archive.
    pub fn archive(&self) -> PathBuf {
        self.0.join("archive")
    }

    /// How far each sink got.
    pub fn sinks(&self) -> PathBuf {
        self.0.join("sinks")
    }

    /// The keys of the tapes, one file each.
    pub fn tape_keys(&self) -> PathBuf {
        self.0.join("keys").join("tapes")
    }

    /// The development CA and certificate.
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    /// Where the listeners are bound.
    pub fn addresses(&self) -> PathBuf {
        self.0.join("addresses.json")
    }

    /// A key file.
    pub fn key(&self, name: &str) -> PathBuf {
        self.0.join("keys").join(name)
    }

    /// The directories that have to be there.
    fn directories(&self) -> [PathBuf; 6] {
        [self.0.clone(), self.journal(), self.tapes(), self.sinks(), self.tls(), self.0.join("keys")]
    }
}

impl Node {
    /// Opens everything that the configuration names. Nothing is bound or forwarded yet. Blocks.
    ///
    /// # Errors
    /// The first thing that cannot be used; the revision's mistakes come all together.
    pub fn open(config: Config) -> Result<Arc<Self>, StartError> {
        Self::open_on(config, Arc::new(RealDisk))
    }

    /// As [`Node::open`], with the journal and the tapes on another disk.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub fn open_on(config: Config, disk: Arc<dyn Disk>) -> Result<Arc<Self>, StartError> {
        let layout = Layout::of(&config.data_dir);
        // A change that an earlier process began: nobody reads some of each.
        let pending = store::revision::finish(&config.data_dir, &config.revision_dir)?;
        let checked = revision::check(&config.revision_dir)?;
        for dir in layout.directories() {
            create_private(&dir)?;
            warn_if_open(&dir, "chmod 700");
        }
        let tape_keys = Arc::new(tape_keys(&config)?);
        let opens = tape_keys.opens_what_is_there(disk.as_ref());
        if opens.map_err(|source| StartError::File { path: layout.tape_keys(), source })? == Some(false) {
            return Err(StartError::OtherTapeKey);
        }
        let metrics = Metrics::new().map_err(|error| StartError::Internal(error.to_string()))?;
        let witnesses = Witnesses::open(&config.witnesses)?;
        let explained = |error| explained(error, &layout, &disk);
        // Before the state, which is brought forward to this version's schema: not under a Sluice that still runs.
        let opened = journal::open(&layout, Arc::clone(&disk), &config.journal);
        let (journal, recovery) = opened.map_err(explained)?;
        let state: Arc<dyn State> = Arc::new(Sqlite::open(&config.data_dir)?);
        let settings = &config.journal;
        let recorder = Recorder::new(journal, settings.wait_deadline, settings.checkpoint_interval, metrics.clone());
        witnesses.hold(&recorder);
        recorder.note(Event::Started { version: env!("CARGO_PKG_VERSION").into() });
        report(&recovery, &recorder);
        let tapes = Tapes { disk: Arc::clone(&disk), dir: layout.tapes(), keys: Arc::clone(&tape_keys) };
        if let Err(error) = ledger::tape::remove_unfinished(disk.as_ref(), &layout.tapes()) {
            tracing::warn!(%error, "what an earlier process did not finish to compress stays");
        }
        crate::restart::settle(state.as_ref(), &recorder, &tapes).map_err(|error| explained(error.into()))?;
        let places = (config.revision_dir.clone(), config.data_dir.clone());
        let revisions = Revisions::start(places, checked, state.as_ref(), &recorder)?;
        if let Some(pending) = pending {
            crate::proposals::settle(&pending, &revisions.current(), &config.data_dir, state.as_ref());
        }
        let vault = open_vault(&config, &state)?.map(Arc::new);
        let tokens = Tokens::open(&config.tokens, &layout)?;
        let most = config.tokens.max_passwords_per_subject;
        let issued = Arc::new(IssuedCredentials::open(Arc::clone(&state), most, clock::now())?);
        let ssh_callers = CallerCertificates::open(&layout)?;
        let ssh_target_authority = TargetAuthority::open(&layout)?;
        let revocations = Arc::new(Revocations::open(Arc::clone(&state), metrics.revocations.clone())?);
        let issuers = trusted(&config, &layout, &tokens, Some(Arc::clone(&revocations)))?;
        let saml = Saml::new(&config.saml, Arc::clone(&state));
        let issuers = issuers.with_issued(Arc::clone(&issued)).with_saml(saml);
        issuers.ask(asked(&config.issuers, vault.as_ref()));
        let issuers = Arc::new(issuers);
        let mask_keys = Keys::derive(seed(&layout.key("masking.key"))?.expose());
        recorder.flush();
        if !recovery.set_aside.is_empty() {
            recorder.sync();
            let recorded = recorder.journal().set_aside_is_recorded();
            recorded.map_err(|source| StartError::File { path: layout.journal(), source })?;
        }
        let archive = config.archive.clone().map(Archive::new);
        Ok(Arc::new(Self {
            config,
            revisions: Arc::new(revisions),
            recorder,
            state,
            issuers,
            tokens,
            issued,
            ssh_callers,
            ssh_target_authority,
            revocations,
            sessions: Arc::default(),
            running: Running::default(),
            live_tapes: Arc::default(),
            metrics,
            tasks: TaskTracker::new(),
            mask_keys,
            tape_keys,
            catalogs: Arc::default(),
            credentials: Credentials::default(),
            roles: Arc::default(),
            http: Arc::default(),
            backends: Arc::default(),
            witnesses,
            archive,
            packing: Packing::default(),
            tiles: Arc::default(),
            disk,
            vault,
        }))
    }

    /// Where things are in the data directory.
    pub fn layout(&self) -> Layout {
        Layout::of(&self.config.data_dir)
    }

    /// Where journal and tapes are.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The tapes, for a session that broke off.
    pub(crate) fn tapes(&self) -> Tapes {
        Tapes { disk: Arc::clone(&self.disk), dir: self.layout().tapes(), keys: Arc::clone(&self.tape_keys) }
    }

    /// What `/metrics` shows.
    pub fn metrics_text(&self) -> String {
        self.recorder.show();
        self.metrics.text()
    }

    /// Those of these issuers that are asked about opaque tokens.
    pub(crate) fn asked(&self, issuers: &[IssuerConfig]) -> Vec<Asked> {
        asked(issuers, self.vault.as_ref())
    }

    /// A secret of the vault.
    pub(crate) fn secret(&self, name: &str) -> Option<Secret<String>> {
        match self.vault.as_ref()?.secret(name) {
            Ok(secret) => Some(secret),
            Err(error) => {
                tracing::error!(%error, "a secret cannot be read from the vault");
                None
            }
        }
    }

    /// How much one subject may ask.
    pub fn approval_limits(&self) -> store::approval::Limits {
        let pending = u32::try_from(self.config.approvals.max_pending_per_subject).unwrap_or(u32::MAX);
        store::approval::Limits { pending_per_subject: pending, ..store::approval::Limits::default() }
    }

    /// Whether requests can be served: what `/readyz` answers.
    pub fn is_ready(&self) -> Result<(), &'static str> {
        if self.recorder.is_writable() { Ok(()) } else { Err("the journal cannot be written") }
    }
}

/// Tells whoever went back to an earlier version that this is why the journal cannot be read. An entry whose checksum holds
/// and that cannot be decoded was written so.
fn explained(error: StartError, layout: &Layout, disk: &Arc<dyn Disk>) -> StartError {
    let may_be_newer = matches!(
        error,
        StartError::Journal(OpenError::Damaged { .. }) | StartError::Settle(crate::restart::SettleError::Journal(_))
    );
    if !may_be_newer {
        return error;
    }
    let mut reader = Reader::open(Arc::clone(disk), &layout.journal(), 0);
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Err(ReadError::Undecodable(index, _)) => return StartError::NewerEntry(index),
            Ok(None) | Err(_) => return error,
        }
    }
}

fn report(recovery: &Recovery, recorder: &Recorder) {
    for gap in journal::gaps(recovery) {
        tracing::warn!(?gap, "the journal was repaired");
        recorder.note(gap);
    }
}

/// A directory that only its owner can look into.
pub(crate) fn create_private(dir: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(|source| StartError::File { path: dir.to_owned(), source })
}

/// Says so where others can look into what is private: it was made, or changed, by somebody else.
fn warn_if_open(path: &Path, remedy: &str) {
    if store::credential::is_open_to_others(path) {
        tracing::warn!(path = %path.display(), "is open to others; run {remedy} on it");
    }
}

/// The 32 bytes of a key file, made on first use. One that others can read is no secret any more, and is refused.
fn seed(path: &Path) -> Result<Secret<[u8; 32]>, StartError> {
    let file = |source| StartError::File { path: path.to_owned(), source };
    if !path.exists() {
        let bytes = clock::random::<32>()?;
        crate::tls::write_private(path, &model::id::Digest(bytes).to_string())?;
    }
    if !path.is_file() {
        return Err(file(std::io::ErrorKind::InvalidInput.into()));
    }
    let text = key_text(&KeyLocation::File(path.to_owned()))?;
    let digest: model::id::Digest = text.expose().trim().parse().map_err(|_| StartError::Key(path.to_owned()))?;
    Ok(Secret::new(digest.0))
}

/// Sluice's own token key: whoever can read its file is the first administrator.
///
/// # Errors
/// If the file cannot be made or read.
pub fn local_key(layout: &Layout) -> Result<TokenKey, StartError> {
    let path = layout.key("token.key");
    if let Some(dir) = path.parent() {
        create_private(dir)?;
    }
    TokenKey::from_seed(&seed(&path)?).map_err(|_| StartError::Key(path))
}

fn trusted(
    config: &Config,
    layout: &Layout,
    tokens: &Tokens,
    revocations: Option<Arc<Revocations>>,
) -> Result<TrustedIssuers, StartError> {
    let key = local_key(layout)?;
    let mut local = Issuer::new(LOCAL_ISSUER, LOCAL_ISSUER_URL, LOCAL_AUDIENCE);
    local.kind = model::issuer::KindRule::User;
    local.groups_claim = model::issuer::ClaimPath::new(["groups"]);
    local.bare_groups = BareGroups::Only(std::collections::BTreeSet::from([Arc::from("sluice-admin")]));
    let keys = KeySet::from_jwks(key.jwks().as_bytes(), &local.algorithms)
        .map_err(|error| StartError::Internal(error.to_string()))?;
    let own = std::iter::once((local, KeySource::Fixed(Arc::new(keys))));
    let trusted = TrustedIssuers::new(own.chain(configured(&config.issuers)), KeyTiming::default(), revocations);
    let (endpoint, keys) = tokens.as_issuer().map_err(|error| StartError::Internal(error.to_string()))?;
    Ok(trusted.with_trust_domains(config.trust_domains.iter().cloned()).with_endpoint(endpoint, keys))
}

/// The issuers of the configuration, to verify a token with where no Sluice runs; with its own, if its key is there. They
/// know of no revocation, and no secret of the vault.
///
/// # Errors
/// If Sluice's own key cannot be read.
pub fn inspecting_issuers(config: &Config) -> Result<TrustedIssuers, StartError> {
    let layout = Layout::of(&config.data_dir);
    let has_key = layout.key("token.key").exists();
    let issuers = if has_key {
        trusted(config, &layout, &Tokens::open(&config.tokens, &layout)?, None)?
    } else {
        TrustedIssuers::new(configured(&config.issuers), KeyTiming::default(), None)
            .with_trust_domains(config.trust_domains.iter().cloned())
    };
    issuers.ask(asked(&config.issuers, None));
    Ok(issuers)
}

/// The issuers of the configuration, as they are trusted.
pub(crate) fn configured(issuers: &[IssuerConfig]) -> impl Iterator<Item = (Issuer, KeySource)> {
    issuers.iter().map(|configured| {
        let keys = match &configured.keys {
            ConfiguredKeys::Discovery { ca_file } => KeySource::Discovery {
                ca_file: ca_file.clone(),
                // The configuration lets plain HTTP through only where the operator allowed it.
                allow_http: configured.issuer.url.starts_with("http://"),
            },
            ConfiguredKeys::File(path) => KeySource::File(path.clone()),
        };
        ((*configured.issuer).clone(), keys)
    })
}

/// Those of the issuers that are asked about opaque tokens, with the way to the secret that it takes.
fn asked(issuers: &[IssuerConfig], vault: Option<&Arc<Vault>>) -> Vec<Asked> {
    let asked = issuers.iter().filter_map(|issuer| Some((issuer, issuer.introspection.clone()?)));
    asked
        .map(|(issuer, config)| {
            let (source, vault) = (config.client_secret.clone(), vault.cloned());
            let of_vault = move |name: &str| vault.as_ref().and_then(|vault| vault.secret(name).ok());
            let secret = Arc::new(move || store::credential::resolve(&source, &of_vault));
            Asked { issuer: Arc::clone(&issuer.issuer), config, secret }
        })
        .collect()
}

fn open_vault(config: &Config, state: &Arc<dyn State>) -> Result<Option<Vault>, StartError> {
    config.vault_key.as_ref().map(|location| vault(location, state, LOCAL_ISSUER)).transpose()
}

/// Opens the vault with the key at `location`; what is changed in it is noted as done by `by`.
///
/// # Errors
/// If the key cannot be read, or is not the vault's.
pub fn vault(location: &KeyLocation, state: &Arc<dyn State>, by: &str) -> Result<Vault, StartError> {
    let text = key_text(location)?;
    let key = VaultKey::parse(text.expose()).map_err(|error| StartError::VaultKey(error.to_string()))?;
    Vault::open(Arc::clone(state), &key, by, clock::now()).map_err(|error| StartError::Vault(error.to_string()))
}

fn key_text(location: &KeyLocation) -> Result<Secret<String>, StartError> {
    let source = match location {
        KeyLocation::File(path) => store::config::CredentialSource::File(path.clone()),
        KeyLocation::Env(name) => store::config::CredentialSource::Env(name.clone()),
    };
    store::credential::resolve(&source, &|_| None).map_err(|error| StartError::KeySource(error.to_string()))
}
