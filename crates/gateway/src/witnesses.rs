//! The journal's witnesses: other machines that remember its checkpoints and cosign them (c2sp.org/tlog-witness).
//!
//! Each is sent every checkpoint, with a proof that it grew from the one that it remembers, behind the requests and never
//! in their way. What it cosigned is put beside the journal. A witness that remembers more than there is, or something
//! else, contradicts the journal: it was rolled back, or written anew. That is said at once, and nothing more is signed. So
//! each is asked about the last checkpoint at the start, whatever the files beside the journal say, before the next one is
//! signed; one that cannot be asked holds that up for half a minute. That one contradicted is remembered until it agrees, or until
//! a journal of another name is begun.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use ledger::witness::{self, SIZE_TYPE, Submission};
use ledger::{Checkpoint, KeyError, NoteError, ProveError, RealDisk, WitnessKey};
use model::event::Event;
use store::config::{WitnessConfig, WitnessKeySource};
use tokio::task::JoinSet;

use crate::fetch::{self, Call, FetchError};
use crate::metrics::Metrics;
use crate::recorder::Recorder;

/// How soon after a failure a witness is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// How long nothing is signed at the start because a witness cannot be asked.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the last checkpoint may take at the end of the process.
const LAST: Duration = Duration::from_secs(5);
/// How often the size that a witness remembers may turn out to be another than thought, for one checkpoint.
const ATTEMPTS: usize = 3;

/// The key of a witness cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("witness {witness}: its key: {reason}")]
pub struct WitnessesError {
    /// Its name.
    pub witness: String,
    /// Why.
    pub reason: String,
}

/// Why a checkpoint was not cosigned.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it answers {0}")]
    Refused(u16),
    #[error("its answer holds no cosignature by its key: {0}")]
    Cosignature(#[from] NoteError),
    #[error("the size that it remembers changes all the time")]
    Restless,
    #[error("no proof could be made: {0}")]
    Proof(#[from] ProveError),
    #[error("the journal's entries are not those of its checkpoint; run `sluice audit verify`")]
    Damaged,
    #[error("what it cosigned cannot be stored: {0}")]
    Store(#[from] std::io::Error),
    #[error("it remembers {remembered} entries, and this journal has {size}: it was put back to an older state")]
    RolledBack { remembered: u64, size: u64 },
    #[error("it remembers another journal of {0} entries: this one was written anew")]
    Forked(u64),
}

impl Failure {
    /// Whether the witness knows that the journal is not what it was.
    const fn is_contradiction(&self) -> bool {
        matches!(self, Self::RolledBack { .. } | Self::Forked(_))
    }
}

/// The witnesses of a node.
#[derive(Debug)]
pub struct Witnesses(Vec<Arc<One>>);

#[derive(Debug)]
struct One {
    config: WitnessConfig,
    key: WitnessKey,
    /// Held while its file is written: what was begun goes on where its task ends.
    storing: Arc<Mutex<()>>,
}

/// What every witness is asked about, and where to tell of it.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) recorder: Arc<Recorder>,
    /// The journal's directory.
    pub(crate) journal: PathBuf,
    pub(crate) metrics: Metrics,
}

impl Around {
    fn journal_name(&self) -> &str {
        self.recorder.journal().public_key().name()
    }
}

impl Witnesses {
    /// Reads their keys.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub fn open(configured: &[WitnessConfig]) -> Result<Self, WitnessesError> {
        let one = |config: &WitnessConfig| {
            Ok(Arc::new(One { config: config.clone(), key: key(config)?, storing: Arc::default() }))
        };
        configured.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Lets nothing be signed until each of them was asked.
    pub(crate) fn hold(&self, recorder: &Recorder) {
        self.0.iter().for_each(|one| recorder.hold_signing(&one.config.name, false));
    }

    /// Sends every checkpoint to every witness, for as long as it is polled.
    pub(crate) async fn run(&self, around: Around) {
        let mut all = JoinSet::new();
        for one in &self.0 {
            let (one, around) = (Arc::clone(one), around.clone());
            all.spawn(async move { one.follow(&around).await });
        }
        // None of them ends by itself.
        while all.join_next().await.is_some() {}
        std::future::pending::<()>().await;
    }

    /// Sends the last checkpoint of the process, as far as the witnesses answer in time.
    pub(crate) async fn last(&self, around: Around) {
        let mut all = JoinSet::new();
        for one in &self.0 {
            let (one, around) = (Arc::clone(one), around.clone());
            let mut place = Place { asked: true, contradicted: true, ..Place::default() };
            all.spawn(async move { one.turn(&around, &mut place).await });
        }
        let _ = tokio::time::timeout(LAST, async { while all.join_next().await.is_some() {} }).await;
    }
}

fn key(config: &WitnessConfig) -> Result<WitnessKey, WitnessesError> {
    let failed = |reason: String| WitnessesError { witness: config.name.clone(), reason };
    let text = match &config.key {
        WitnessKeySource::Text(text) => text.clone(),
        WitnessKeySource::File(path) => {
            std::fs::read_to_string(path).map_err(|error| failed(format!("{}: {error}", path.display())))?
        }
    };
    text.trim().parse().map_err(|error: KeyError| failed(error.to_string()))
}

/// What is known of one witness.
#[derive(Debug)]
struct Place {
    /// When it was asked for the first time.
    began: Instant,
    /// Whether it was asked since the start.
    asked: bool,
    /// The size that it is thought to remember, once that was looked up.
    remembers: Option<u64>,
    /// Why the last checkpoint was not cosigned.
    failed: Option<String>,
    /// Whether the journal has it that this witness contradicts it.
    contradicted: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { began: Instant::now(), asked: false, remembers: None, failed: None, contradicted: false }
    }
}

impl One {
    /// Where it is remembered which journal it contradicts: the name of that, and why.
    fn contradiction(&self, around: &Around) -> PathBuf {
        around.journal.with_file_name(format!("contradicted-{}", self.config.name))
    }

    /// Whether it is remembered that it contradicts this journal. One of another name is another journal; a file that says
    /// no name is about this one: a power cut has emptied it, or it was written before names were.
    fn has_contradicted(&self, around: &Around) -> bool {
        match std::fs::read_to_string(self.contradiction(around)) {
            Ok(text) => text
                .split_once('\n')
                .is_none_or(|(journal, reason)| reason.is_empty() || journal == around.journal_name()),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    fn remember_contradiction(&self, around: &Around, reason: &str) {
        let text = format!("{}\n{reason}\n", around.journal_name());
        if let Err(error) = std::fs::write(self.contradiction(around), text) {
            tracing::error!(%error, "that it does cannot be remembered");
        }
    }

    fn forget_contradiction(&self, around: &Around) {
        match std::fs::remove_file(self.contradiction(around)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::error!(witness = self.config.name, %error, "that it contradicted cannot be forgotten");
            }
            _ => {}
        }
    }

    /// Sends it every checkpoint.
    async fn follow(&self, around: &Around) {
        let mut signed = around.recorder.signed();
        let mut place = Place { contradicted: self.has_contradicted(around), ..Place::default() };
        if place.contradicted {
            around.recorder.hold_signing(&self.config.name, true);
        }
        loop {
            signed.mark_unchanged();
            self.turn(around, &mut place).await;
            if place.failed.is_some() {
                tokio::time::sleep(RETRY).await;
            } else if signed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Sends it the latest checkpoint, if it has not cosigned that already, and tells how it went.
    async fn turn(&self, around: &Around, place: &mut Place) {
        let Some(checkpoint) = around.recorder.signed().borrow().clone() else {
            // What was never signed contradicts nobody; whether it should have been shows with the first checkpoint.
            if !place.contradicted {
                around.recorder.release_signing(&self.config.name);
            }
            return;
        };
        let remembers = place.remembers.unwrap_or_else(|| self.kept(around));
        if place.asked && place.failed.is_none() && remembers == checkpoint.size() {
            self.tell(around, remembers);
            return;
        }
        match self.send(around, &checkpoint, remembers).await {
            Ok(()) => {
                if !place.asked || place.contradicted {
                    self.forget_contradiction(around);
                }
                let began = place.began;
                *place = Place { began, asked: true, remembers: Some(checkpoint.size()), ..Place::default() };
                around.recorder.release_signing(&self.config.name);
                self.tell(around, checkpoint.size());
            }
            Err(failure) => self.fail(around, place, &failure),
        }
    }

    /// How much it remembers, as the file beside the journal has it. What is wrong with that file `verify` says; here it
    /// means that the witness has to be asked.
    fn kept(&self, around: &Around) -> u64 {
        let note = witness::kept(&RealDisk, &around.journal, &self.config.name).ok().flatten().unwrap_or_default();
        let checkpoint = Checkpoint::open(&note, around.recorder.journal().public_key());
        let cosigned = checkpoint.ok().filter(|checkpoint| checkpoint.cosigned_at(&self.key).is_ok());
        cosigned.map_or(0, |checkpoint| checkpoint.size())
    }

    /// Sends it a checkpoint, and stores that with its cosignature.
    async fn send(&self, around: &Around, checkpoint: &Checkpoint, remembers: u64) -> Result<(), Failure> {
        let mut old = remembers;
        for _ in 0..ATTEMPTS {
            match self.ask(around, checkpoint, old.min(checkpoint.size())).await? {
                Answer::Cosigned(cosigned) => {
                    let (journal, name) = (around.journal.clone(), self.config.name.clone());
                    let storing = Arc::clone(&self.storing);
                    return blocking(move || {
                        let _alone = storing.lock().unwrap_or_else(PoisonError::into_inner);
                        Ok(witness::keep(&RealDisk, &journal, &name, &cosigned)?)
                    })
                    .await;
                }
                Answer::Remembers(remembered) if remembered > checkpoint.size() => {
                    return Err(Failure::RolledBack { remembered, size: checkpoint.size() });
                }
                Answer::Remembers(remembered) if remembered == old => return Err(Failure::Forked(remembered)),
                Answer::Remembers(remembered) => old = remembered,
                Answer::Inconsistent => return Err(Failure::Forked(old)),
            }
        }
        Err(Failure::Restless)
    }

    async fn ask(&self, around: &Around, checkpoint: &Checkpoint, old: u64) -> Result<Answer, Failure> {
        let submission = submission(around, checkpoint, old).await?;
        let url = format!("{}/add-checkpoint", self.config.url);
        // The configuration lets plain HTTP through only where the operator allowed it.
        let allow_http = url.starts_with("http://");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))]);
        let call = Call { url: &url, ca: self.config.ca_file.as_deref(), allow_http, headers };
        let answer = fetch::post(&call, submission.text().into(), fetch::DEADLINE).await?;
        let is_size = answer.media_type().as_deref() == Some(SIZE_TYPE);
        let body = answer.body.ok_or(FetchError::Body)?;
        let size = witness::parse_size(&body).filter(|_| is_size);
        match (answer.status.as_u16(), size) {
            (200, _) => {
                let lines = String::from_utf8(body.into()).map_err(|_| NoteError::Malformed)?;
                Ok(Answer::Cosigned(checkpoint.with_cosignature(&lines, &self.key)?))
            }
            (409, Some(size)) => Ok(Answer::Remembers(size)),
            (422, _) => Ok(Answer::Inconsistent),
            (status, _) => Err(Failure::Refused(status)),
        }
    }

    fn tell(&self, around: &Around, size: u64) {
        let name = [self.config.name.as_str()];
        around.metrics.witness_contradicts.with_label_values(&name).set(0);
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        around.metrics.witness_size.with_label_values(&name).set(size);
    }

    /// A contradiction is said each time, and stands in the journal once; anything else is said when it changes.
    fn fail(&self, around: &Around, place: &mut Place, failure: &Failure) {
        let (name, reason) = (self.config.name.as_str(), failure.to_string());
        around.metrics.witness_failures.with_label_values(&[name]).inc();
        place.asked = true;
        if failure.is_contradiction() {
            around.recorder.hold_signing(name, true);
            around.metrics.witness_contradicts.with_label_values(&[name]).set(1);
            tracing::error!(witness = name, reason, "a witness CONTRADICTS the journal");
            if !std::mem::replace(&mut place.contradicted, true) {
                self.remember_contradiction(around, &reason);
                let reason = format!("the witness {name} contradicts the journal: {reason}");
                around.recorder.note(Event::Gap { session: None, reason: reason.into() });
            }
            place.failed = Some(reason);
            return;
        }
        // Where the journal itself does not fit, nobody needs a witness to doubt it.
        let may_go_on = !place.contradicted && !matches!(failure, Failure::Damaged);
        if may_go_on && place.began.elapsed() >= PATIENCE {
            around.recorder.release_signing(name);
        }
        if place.failed.as_ref() != Some(&reason) {
            tracing::error!(witness = name, reason, "a witness does not cosign");
        }
        place.failed = Some(reason);
    }
}

/// What a witness answers.
enum Answer {
    /// The checkpoint with its cosignature.
    Cosigned(Checkpoint),
    /// It remembers another size.
    Remembers(u64),
    /// The proof does not lead from what it remembers to the checkpoint.
    Inconsistent,
}

async fn submission(around: &Around, checkpoint: &Checkpoint, old: u64) -> Result<Submission, Failure> {
    let (journal, checkpoint) = (around.journal.clone(), checkpoint.clone());
    blocking(move || {
        let note = checkpoint.note().to_owned();
        if old == 0 {
            return Ok(Submission { old, proof: Vec::new(), note });
        }
        let proof = ledger::prove_consistency(&RealDisk, &journal, old, checkpoint.size())?;
        let is_signed = proof.root == *checkpoint.root();
        if is_signed { Ok(Submission { old, proof: proof.hashes, note }) } else { Err(Failure::Damaged) }
    })
    .await
}

/// Work on the journal's files, on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::Store(std::io::Error::other(error))),
    }
}
