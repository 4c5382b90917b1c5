//! The revision in force: loaded whole, validated whole, swapped in one step; watched for changes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use model::classification::Classification;
use model::event::Event;
use model::id::{Digest, RevisionId};
use model::subject::Subject;
use policy::{PolicyError, PolicySet, SubjectPolicies};
use store::State;
use store::config::{ConfigError, Databases, RegisteredKeys, TargetConfig};
use store::revision::{RefusedRevision, RevisionFiles, Wanted};

use crate::clock;
use crate::http::Interface;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::sessions::{Sessions, Signal};
use crate::slices::Slices;

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often its files are read even if nothing seems to have changed: for file systems whose times are coarse.
const READ_ANYWAY: Duration = Duration::from_secs(5);

/// One version of the whole configuration.
#[derive(Debug)]
pub struct Active {
    /// Its number.
    pub id: RevisionId,
    /// The digest of all its files.
    pub digest: Digest,
    /// Its policies.
    pub policies: PolicySet,
    /// Which columns carry which class.
    pub classification: Classification,
    /// The targets by name.
    pub targets: BTreeMap<Arc<str>, Arc<TargetConfig>>,
    /// The public keys that stand for callers.
    pub ssh_keys: RegisteredKeys,
    /// The files of its policies, by name, as they were written.
    pub policy_files: Vec<(Arc<str>, Arc<str>)>,
    /// What is known of the interfaces of targets that speak HTTP, by their names.
    pub(crate) apis: BTreeMap<Arc<str>, Arc<Interface>>,
    /// Which of them callers reach by which host.
    pub(crate) http_hosts: HashMap<Arc<str>, Arc<str>>,
    /// Likewise below which path.
    pub(crate) http_prefixes: BTreeMap<Arc<str>, Arc<str>>,
    slices: Slices,
}

impl Active {
    /// The policies that can apply to a subject.
    pub fn policies_for(&self, subject: &Subject) -> Arc<SubjectPolicies> {
        self.slices.of(&self.policies, subject)
    }

    /// The target that a client of PostgreSQL means by this database name.
    pub fn route(&self, database: &str) -> Option<&Arc<TargetConfig>> {
        let servers = || self.targets.values().filter_map(|target| Some((target, &target.postgres()?.databases)));
        let names = |databases: &Databases| match databases {
            Databases::Only(names) => names.contains(database),
            Databases::All => false,
        };
        let named = servers().find(|(_, databases)| names(databases));
        named.or_else(|| servers().find(|(_, databases)| **databases == Databases::All)).map(|(target, _)| target)
    }
}

/// A revision that is not applied, with every mistake in it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the revision has {} mistakes", .errors.len())]
pub struct Refused {
    /// The digest of its files.
    pub digest: Digest,
    /// The mistakes, each with file and line.
    pub errors: Vec<String>,
}

/// A revision whose files are right, before it has a number.
#[derive(Debug)]
pub struct Checked {
    files: RevisionFiles,
    policies: PolicySet,
    apis: BTreeMap<Arc<str>, Arc<Interface>>,
}

impl Checked {
    /// The digest of all its files, by which the journal names it.
    pub const fn digest(&self) -> Digest {
        self.files.digest
    }

    /// Its policies.
    pub const fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// Which columns carry which class.
    pub const fn classification(&self) -> &Classification {
        &self.files.classification
    }

    /// The target of this name.
    pub fn target(&self, name: &str) -> Option<&TargetConfig> {
        self.files.targets.iter().find(|target| &*target.target.name == name)
    }
}

/// A mistake in a file of a revision, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// The file, as it was named; empty if none is meant.
    pub file: PathBuf,
    /// The line, from 1; 0 if the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 if the whole line is meant.
    pub column: usize,
    /// How many characters are meant; 0 if that is not known.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// All of it on one line.
    shown: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.shown)
    }
}

impl From<&ConfigError> for Mistake {
    fn from(error: &ConfigError) -> Self {
        let of_key = |key: &str| if key.is_empty() { String::new() } else { format!("{key}: ") };
        Self {
            file: error.file.clone(),
            line: error.line.unwrap_or(0),
            column: 0,
            length: 0,
            message: format!("{}{}", of_key(&error.key), error.problem),
            help: Some(error.advice.clone()).filter(|advice| !advice.is_empty()),
            shown: error.to_string(),
        }
    }
}

impl From<&PolicyError> for Mistake {
    fn from(error: &PolicyError) -> Self {
        Self {
            file: PathBuf::from(&error.path),
            line: error.line,
            column: error.column,
            length: error.length,
            message: error.message.clone(),
            help: error.help.clone(),
            shown: error.to_string(),
        }
    }
}

impl From<String> for Mistake {
    fn from(shown: String) -> Self {
        let (message, file) = (shown.clone(), PathBuf::new());
        Self { file, line: 0, column: 0, length: 0, message, help: None, shown }
    }
}

/// Reads and validates the revision in a directory. Blocks.
///
/// # Errors
/// Every mistake in every file.
pub fn check(dir: &std::path::Path) -> Result<Checked, Refused> {
    assemble(RevisionFiles::load(dir))
        .map_err(|(digest, mistakes)| Refused { digest, errors: mistakes.iter().map(ToString::to_string).collect() })
}

/// Reads and validates the revision in a directory as it would be with these files in it. Blocks.
///
/// # Errors
/// Every mistake that it would have.
pub fn check_with(dir: &std::path::Path, wanted: &Wanted) -> Result<Checked, Vec<Mistake>> {
    assemble(RevisionFiles::load_with(dir, wanted)).map_err(|(_, mistakes)| mistakes)
}

fn assemble(files: Result<RevisionFiles, RefusedRevision>) -> Result<Checked, (Digest, Vec<Mistake>)> {
    let files =
        files.map_err(|refused| (refused.digest, refused.errors.iter().map(Mistake::from).collect::<Vec<_>>()))?;
    let texts: Vec<(String, String)> =
        files.policies.iter().map(|file| (file.path.display().to_string(), file.text.clone())).collect();
    let policies = PolicySet::load(&texts, &files.classification.classes);
    match (policies, crate::http::apis(&files)) {
        (Ok(policies), Ok(apis)) => Ok(Checked { files, policies, apis }),
        (policies, apis) => {
            let of_policies = policies.err().unwrap_or_default();
            let of_apis = apis.err().unwrap_or_default().into_iter().map(Mistake::from);
            Err((files.digest, of_policies.iter().map(Mistake::from).chain(of_apis).collect()))
        }
    }
}

/// The revision in force and its directory.
#[derive(Debug)]
pub struct Revisions {
    dir: PathBuf,
    data_dir: PathBuf,
    /// Held while the directory is read or written, and while a proposal is changed.
    turn: Mutex<()>,
    current: ArcSwap<Active>,
    refused: ArcSwap<Option<Refused>>,
}

impl Revisions {
    /// Takes the first revision.
    ///
    /// # Errors
    /// If its number cannot be stored.
    pub fn start(
        (dir, data_dir): (PathBuf, PathBuf),
        first: Checked,
        state: &dyn State,
        recorder: &Recorder,
    ) -> Result<Self, store::Error> {
        let active = number(first, state)?;
        recorder.note(Event::RevisionApplied { revision: active.id, digest: active.digest });
        let (current, refused) = (ArcSwap::from_pointee(active), ArcSwap::from_pointee(None));
        Ok(Self { dir, data_dir, turn: Mutex::default(), current, refused })
    }

    /// Where the revision is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Does something while nobody reads or writes the directory or changes a proposal. Blocks.
    pub fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// The revision in force.
    pub fn current(&self) -> Arc<Active> {
        self.current.load_full()
    }

    /// Whether it is this one. Sessions are told of another only after it came into force: each asks before it judges.
    pub(crate) fn is_in_force(&self, id: RevisionId) -> bool {
        self.current.load().id == id
    }

    /// The last revision that was refused, if none was applied since.
    pub fn refused(&self) -> Option<Refused> {
        (**self.refused.load()).clone()
    }

    /// Watches the directory and applies what changes, for as long as it is polled.
    pub async fn watch(
        self: Arc<Self>,
        state: Arc<dyn State>,
        recorder: Arc<Recorder>,
        sessions: Arc<Sessions>,
        metrics: Metrics,
    ) {
        metrics.revision.set(i64::try_from(self.current().id.0).unwrap_or(i64::MAX));
        let (mut seen, mut read_at) = (None, std::time::Instant::now());
        let mut before = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let revisions = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || signature(&revisions.dir)).await.unwrap_or_default();
            // A file that is written in place is empty at first: what still changes is not read.
            let rests = before.replace(looked.clone()).is_some_and(|before| before == looked);
            if !rests || (seen.as_ref() == Some(&looked) && read_at.elapsed() < READ_ANYWAY) {
                continue;
            }
            (seen, read_at) = (Some(looked), std::time::Instant::now());
            let (revisions, state, recorder) = (Arc::clone(&self), Arc::clone(&state), Arc::clone(&recorder));
            let metrics = metrics.clone();
            let applied =
                tokio::task::spawn_blocking(move || revisions.reload(state.as_ref(), &recorder, &metrics)).await;
            if matches!(applied, Ok(true)) {
                sessions.tell_all(Signal::Revision);
            }
        }
    }

    /// Reads the directory and applies it if it is new and right. Says whether it was applied.
    pub fn reload(&self, state: &dyn State, recorder: &Recorder, metrics: &Metrics) -> bool {
        self.alone(|| self.take_up(state, recorder, metrics))
    }

    /// As [`Revisions::reload`], by whoever has the turn. A change that is pending is finished first: what is read is never
    /// some of each.
    pub(crate) fn take_up(&self, state: &dyn State, recorder: &Recorder, metrics: &Metrics) -> bool {
        let pending = match store::revision::finish(&self.data_dir, &self.dir) {
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!(%error, "a change of the policies is not finished; the running revision stays");
                return false;
            }
        };
        let is_new = self.read(state, recorder, metrics);
        if let Some(pending) = pending {
            crate::proposals::settle(&pending, &self.current(), &self.data_dir, state);
        }
        is_new
    }

    fn read(&self, state: &dyn State, recorder: &Recorder, metrics: &Metrics) -> bool {
        match check(&self.dir) {
            Ok(checked) if checked.files.digest == self.current.load().digest => {
                self.refused.store(Arc::new(None));
                false
            }
            Ok(checked) => match number(checked, state) {
                Ok(active) => {
                    tracing::info!(revision = %active.id, "a new revision is in force");
                    recorder.note(Event::RevisionApplied { revision: active.id, digest: active.digest });
                    let id = active.id.0;
                    self.current.store(Arc::new(active));
                    self.refused.store(Arc::new(None));
                    // Whoever sees the number may count on it.
                    metrics.revision.set(i64::try_from(id).unwrap_or(i64::MAX));
                    true
                }
                Err(error) => {
                    tracing::error!(%error, "a revision cannot be numbered; the running one stays");
                    false
                }
            },
            Err(refused) => {
                self.refuse(refused, recorder, metrics);
                false
            }
        }
    }

    fn refuse(&self, refused: Refused, recorder: &Recorder, metrics: &Metrics) {
        let known = (**self.refused.load()).as_ref().is_some_and(|known| known.errors == refused.errors);
        if known {
            return;
        }
        metrics.revisions_refused.inc();
        refused.errors.iter().for_each(|error| tracing::error!(%error, "a revision is refused; the running one stays"));
        recorder.note(Event::RevisionRefused { digest: refused.digest, errors: refused.errors.clone() });
        self.refused.store(Arc::new(Some(refused)));
    }
}

fn number(checked: Checked, state: &dyn State) -> Result<Active, store::Error> {
    let Checked { files, policies, apis } = checked;
    let id = state.next_revision(files.digest, clock::now())?;
    state.keep_revision(id, &files.kept)?;
    let (mut http_hosts, mut http_prefixes) = (HashMap::new(), BTreeMap::new());
    for (target, http) in files.targets.iter().filter_map(|target| Some((target, target.http()?))) {
        let name = &target.target.name;
        http_hosts.extend(http.hosts.iter().map(|host| (Arc::clone(host), Arc::clone(name))));
        http_prefixes.extend(http.path_prefix.iter().map(|prefix| (Arc::clone(prefix), Arc::clone(name))));
    }
    let by_name = |target: TargetConfig| (Arc::clone(&target.target.name), Arc::new(target));
    let file = |file: store::revision::PolicyFile| {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.into(), file.text.into())
    };
    Ok(Active {
        id,
        digest: files.digest,
        policies,
        classification: files.classification,
        targets: files.targets.into_iter().map(by_name).collect(),
        ssh_keys: files.ssh_keys,
        policy_files: files.policies.into_iter().map(file).collect(),
        apis,
        http_hosts,
        http_prefixes,
        slices: Slices::default(),
    })
}

/// What of the files shows that they may have changed.
fn signature(dir: &std::path::Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut found = Vec::new();
    for dir in [dir.to_owned(), dir.join("policies"), dir.join("apis")] {
        for file in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            // Through symbolic links: a swapped one shows other metadata.
            if let Ok(metadata) = std::fs::metadata(file.path()) {
                found.push((file.path(), metadata.len(), metadata.modified().ok()));
            }
        }
    }
    found.sort();
    found
}
