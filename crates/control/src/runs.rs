//! Long work on the journal that the API begins: it shows how far it is, can be stopped, and is its starter's own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway::clock;
use gateway::node::Node;
use model::event::Entry;
use model::id::SessionId;
use model::subject::SubjectKey;
use model::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::access::Caller;
use crate::app::App;
use crate::problem::Problem;

/// Runs that are remembered.
const MOST_KEPT: usize = 20;
/// How long what came of one is kept, in milliseconds.
const KEPT: u64 = 60 * 60 * 1000;
/// How often a run looks whether it is to stop, in entries.
const LOOK: u64 = 256;

/// The runs of one kind, of this process.
pub(crate) struct Runs<T>(Mutex<VecDeque<Arc<Run<T>>>>);

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// What runs are of.
pub(crate) struct Kind {
    /// What their ids begin with.
    pub(crate) prefix: &'static str,
    /// How many go on at a time: each has a processor to itself.
    pub(crate) most: usize,
}

/// One run, and what comes of it.
pub(crate) struct Run<T> {
    pub(crate) id: String,
    by: SubjectKey,
    /// Requests since then are looked at.
    pub(crate) since: Timestamp,
    pub(crate) began_at: Timestamp,
    /// How many entries there were when it began.
    pub(crate) entries: u64,
    read: AtomicU64,
    stop: CancellationToken,
    outcome: Mutex<Outcome<T>>,
}

enum Outcome<T> {
    Running,
    Ended(Ended),
    Done(T),
}

/// Why a run ended before it was done.
pub(crate) enum Ended {
    Cancelled,
    Failed(String),
}

impl Ended {
    /// It failed, with these words for whoever began it.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Runs<T> {
    /// Takes a run of the caller's in, if there is room for it. Nothing is done yet.
    pub(crate) fn begin(
        &self,
        app: &App,
        caller: &Caller,
        kind: &Kind,
        since: Timestamp,
    ) -> Result<Arc<Run<T>>, Problem> {
        let (bits, now) = (clock::random_bits().map_err(|_| Problem::internal())?, clock::now());
        let mut runs = locked(&self.0);
        runs.retain(|known| known.is_running() || now.millis_since(known.began_at) < KEPT);
        let by = caller.subject.key.clone();
        if runs.iter().any(|known| known.is_running() && known.by == by) {
            return Err(Problem::too_many("one of yours runs: wait for it, or cancel it"));
        }
        if runs.iter().filter(|known| known.is_running()).count() >= kind.most {
            return Err(Problem::too_many("those of others run: try again when they are done"));
        }
        if runs.len() >= MOST_KEPT
            && let Some(oldest) = runs.iter().position(|known| !known.is_running())
        {
            drop(runs.remove(oldest));
        }
        let run = Arc::new(Run {
            id: format!("{}-{}", kind.prefix, SessionId::from_bits(bits)),
            by,
            since,
            began_at: now,
            entries: app.node.recorder.journal().size(),
            read: AtomicU64::new(0),
            stop: app.draining.child_token(),
            outcome: Mutex::new(Outcome::Running),
        });
        runs.push_back(Arc::clone(&run));
        Ok(run)
    }

    /// One of the caller's own: of others nobody learns that they are there.
    pub(crate) fn find(&self, id: &str, caller: &Caller) -> Result<Arc<Run<T>>, Problem> {
        let found = locked(&self.0).iter().find(|run| run.id == id && caller.is(&run.by)).cloned();
        found.ok_or_else(|| Problem::not_found("such run of yours"))
    }
}

impl<T> Run<T> {
    fn is_running(&self) -> bool {
        matches!(*locked(&self.outcome), Outcome::Running)
    }

    /// Stops it soon.
    pub(crate) fn cancel(&self) {
        self.stop.cancel();
    }

    /// Ends it though nothing was done.
    pub(crate) fn give_up(&self) {
        *locked(&self.outcome) = Outcome::Ended(Ended::Cancelled);
    }

    /// How many entries were read.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Shows how it stands: in a word, why it failed if so, and what came of it if it is done.
    pub(crate) fn show<R>(&self, show: impl FnOnce(&str, Option<String>, Option<&T>) -> R) -> R {
        match &*locked(&self.outcome) {
            Outcome::Running => show("running", None, None),
            Outcome::Ended(Ended::Cancelled) => show("cancelled", None, None),
            Outcome::Ended(Ended::Failed(why)) => show("failed", Some(why.clone()), None),
            Outcome::Done(found) => show("done", None, Some(found)),
        }
    }

    /// Reads the journal as it was when the run began. Blocks.
    pub(crate) fn each(&self, node: &Node, mut take: impl FnMut(Entry)) -> Result<(), Ended> {
        let mut reader = node.recorder.journal().reader(0);
        for at in 0..self.entries {
            if at.is_multiple_of(LOOK) && self.stop.is_cancelled() {
                return Err(Ended::Cancelled);
            }
            match reader.next() {
                Ok(Some((_, entry))) => take(entry),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, run = self.id, "the journal cannot be read");
                    return Err(Ended::failed("the journal cannot be read: see Sluice's log"));
                }
            }
            self.read.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl<T: Send + 'static> Run<T> {
    /// Has it done, on a thread of its own.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        node: &Arc<Node>,
        work: impl FnOnce(&Self, &Node) -> Result<T, Ended> + Send + 'static,
    ) {
        let (own, lent) = (Arc::clone(self), Arc::clone(node));
        node.tasks.spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&own, &lent)));
            *locked(&own.outcome) = match done {
                Ok(Ok(found)) => Outcome::Done(found),
                Ok(Err(ended)) => Outcome::Ended(ended),
                Err(_) => Outcome::Ended(Ended::failed("Sluice failed; its log says how")),
            };
        });
    }
}
