//! What changed policies would have done with the requests of the journal: long work, which shows how far it is and can be
//! stopped.
//!
//! It takes `admin:audit`, as whoever sees what comes of it sees what others asked. A run is its starter's own.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use gateway::clock;
use gateway::node::Node;
use gateway::proposals::NotApplied;
use gateway::revision::{Checked, check_with};
use model::id::{Digest, ProposalId, SessionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::Deserialize;
use store::revision::Wanted;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::drafts::{blocking, shown, wanted};
use crate::input::{Body, Id, Params};
use crate::journal;
use crate::problem::Problem;
use crate::rehearsal::{Change, Counts, Replay, Side};
use crate::shape;
use crate::time::Moment;

/// Runs at a time: each has a processor to itself.
const MOST_RUNNING: usize = 2;
/// Runs that are remembered.
const MOST_KEPT: usize = 20;
/// How long what came of one is kept, in milliseconds.
const KEPT: u64 = 60 * 60 * 1000;
/// The most changes that one answer has.
const MOST_SHOWN: usize = 500;
/// How often a run looks whether it is to stop, in entries.
const LOOK: u64 = 256;

/// What is simulated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimulationBody {
    /// Files as they would be, as in a proposal.
    #[serde(default)]
    files: Option<BTreeMap<String, Option<String>>>,
    /// Or a proposal.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    proposal: Option<ProposalId>,
    /// Requests since this moment (RFC 3339).
    #[schema(value_type = String)]
    since: Moment,
}

/// Which changes to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// How many of them to pass over.
    #[serde(default)]
    offset: usize,
    /// At most so many; 100 unless given, 500 at most.
    limit: Option<usize>,
}

/// The runs of this process.
#[derive(Default)]
pub(crate) struct Simulations(Mutex<VecDeque<Arc<Run>>>);

/// One run.
struct Run {
    id: String,
    by: SubjectKey,
    since: Timestamp,
    began_at: Timestamp,
    /// How many entries there were when it began.
    entries: u64,
    read: AtomicU64,
    stop: CancellationToken,
    outcome: Mutex<Outcome>,
}

enum Outcome {
    Running,
    Cancelled,
    Failed(String),
    Done(Counts, Vec<Change>),
}

impl Simulations {
    fn locked(&self) -> MutexGuard<'_, VecDeque<Arc<Run>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a run in, if there is room for it.
    fn take(&self, run: &Arc<Run>, now: Timestamp) -> Result<(), Problem> {
        let mut runs = self.locked();
        runs.retain(|known| known.is_running() || now.millis_since(known.began_at) < KEPT);
        let running: Vec<&Arc<Run>> = runs.iter().filter(|known| known.is_running()).collect();
        if running.iter().any(|known| known.by == run.by) {
            return Err(Problem::too_many("one of yours runs: wait for it, or cancel it"));
        }
        if running.len() >= MOST_RUNNING {
            return Err(Problem::too_many("simulations of others run: try again when they are done"));
        }
        while runs.len() >= MOST_KEPT {
            let oldest = runs.iter().position(|known| !known.is_running());
            if oldest.and_then(|oldest| runs.remove(oldest)).is_none() {
                break;
            }
        }
        runs.push_back(Arc::clone(run));
        Ok(())
    }

    /// One of the caller's own: of others nobody learns that they are there.
    fn find(&self, id: &str, caller: &Caller) -> Result<Arc<Run>, Problem> {
        let found = self.locked().iter().find(|run| run.id == id && caller.is(&run.by)).cloned();
        found.ok_or_else(|| Problem::not_found("simulation of yours"))
    }
}

impl Run {
    fn locked(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self) -> bool {
        matches!(*self.locked(), Outcome::Running)
    }

    fn end(&self, outcome: Outcome) {
        *self.locked() = outcome;
    }

    /// Reads the journal as it was when the run began. Blocks.
    fn run(&self, node: &Node, present: &Checked, candidate: &Checked) -> Outcome {
        let catalogs = BTreeMap::new();
        let mut replay = Replay::new(self.since, Side::new(present, &catalogs), Side::new(candidate, &catalogs));
        let mut reader = node.recorder.journal().reader(0);
        for at in 0..self.entries {
            if at.is_multiple_of(LOOK) && self.stop.is_cancelled() {
                return Outcome::Cancelled;
            }
            match reader.next() {
                Ok(Some((_, entry))) => replay.take(entry),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "a simulation cannot read the journal");
                    return Outcome::Failed(String::from("the journal cannot be read: see Sluice's log"));
                }
            }
            self.read.store(at.saturating_add(1), Ordering::Relaxed);
        }
        let changes = replay.changes().into_iter().cloned().collect();
        Outcome::Done(replay.counts, changes)
    }
}

/// Begins to simulate changed policies: what they would have said of the requests of the journal.
#[utoipa::path(post, path = "/v1/policy/simulations", tag = "policy", request_body = SimulationBody,
    responses((status = 202, description = "It runs", body = shape::SimulationView),
        (status = 400, description = "The revision that it would make is not right"),
        (status = 429, description = "Too many run")))]
pub(crate) async fn begin(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<SimulationBody>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = files(&app, body.files, body.proposal).await?;
    let (dir, in_force) = (app.node.revisions.dir().to_owned(), app.node.revisions.current().digest);
    let (present, candidate) = blocking(move || both(&dir, &wanted, in_force)).await??;
    let bits = clock::random_bits().map_err(|_| Problem::internal())?;
    let run = Arc::new(Run {
        id: format!("sim-{}", SessionId::from_bits(bits)),
        by: caller.subject.key.clone(),
        since: body.since.0,
        began_at: clock::now(),
        entries: app.node.recorder.journal().size(),
        read: AtomicU64::new(0),
        stop: app.draining.child_token(),
        outcome: Mutex::new(Outcome::Running),
    });
    app.simulations.take(&run, clock::now())?;
    let object = format!("{} {}", run.id, candidate.digest());
    if let Err(problem) = journal::act(&app, &caller, "policy.simulate", object).await {
        run.end(Outcome::Cancelled);
        return Err(problem);
    }
    let (own, node) = (Arc::clone(&run), Arc::clone(&app.node));
    app.node.tasks.spawn_blocking(move || {
        let run = std::panic::AssertUnwindSafe(|| own.run(&node, &present, &candidate));
        let ended = std::panic::catch_unwind(run);
        own.end(ended.unwrap_or_else(|_| Outcome::Failed(String::from("Sluice failed; its log says how"))));
    });
    Ok(Answer(StatusCode::ACCEPTED, view(&run, 0, 0)))
}

/// Shows how far a simulation of one's own is, and what it found.
#[utoipa::path(get, path = "/v1/policy/simulations/{id}", tag = "policy", params(
        ("id" = String, Path, description = "The simulation"), PageParams),
    responses((status = 200, description = "How far it is; what would go otherwise, the most frequent first",
            body = shape::SimulationView),
        (status = 404, description = "The caller has no such simulation")))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<String>,
    Params(page): Params<PageParams>,
) -> Result<impl IntoResponse, Problem> {
    let run = app.simulations.find(&id, &caller)?;
    Ok(Answer::ok(view(&run, page.offset, page.limit.unwrap_or(100).min(MOST_SHOWN))))
}

/// Stops a simulation of one's own.
#[utoipa::path(post, path = "/v1/policy/simulations/{id}/cancel", tag = "policy",
    params(("id" = String, Path, description = "The simulation")),
    responses((status = 200, description = "It stops", body = shape::SimulationView),
        (status = 404, description = "The caller has no such simulation")))]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<impl IntoResponse, Problem> {
    let run = app.simulations.find(&id, &caller)?;
    run.stop.cancel();
    Ok(Answer::ok(view(&run, 0, 0)))
}

/// The files of a draft, or of a proposal.
async fn files(
    app: &App,
    files: Option<BTreeMap<String, Option<String>>>,
    proposal: Option<ProposalId>,
) -> Result<Wanted, Problem> {
    match (files, proposal) {
        (Some(files), None) => wanted(files),
        (None, Some(id)) => {
            let proposal = app.state(move |state| state.proposal(id)).await?;
            let proposal = proposal.ok_or_else(|| Problem::not_found("proposal"))?;
            Ok(proposal.changes.into_iter().map(|change| (change.file, change.after)).collect())
        }
        (_, _) => Err(Problem::bad("name either files or a proposal")),
    }
}

/// The revision in force, and the one that is tried.
fn both(dir: &Path, wanted: &Wanted, in_force: Digest) -> Result<(Checked, Checked), Problem> {
    let present = gateway::revision::check(dir).ok().filter(|present| present.digest() == in_force);
    let present = present.ok_or(NotApplied::Unsettled)?;
    let candidate = check_with(dir, wanted).map_err(|mistakes| {
        let told: Vec<String> = shown(dir, &mistakes).iter().take(20).map(ToString::to_string).collect();
        Problem::bad(format!("the revision that it would make is not right: {}", told.join("; ")))
    })?;
    Ok((present, candidate))
}

fn view(run: &Run, offset: usize, limit: usize) -> shape::SimulationView {
    let outcome = run.locked();
    let (status, failure, found) = match &*outcome {
        Outcome::Running => ("running", None, None),
        Outcome::Cancelled => ("cancelled", None, None),
        Outcome::Failed(why) => ("failed", Some(why.clone()), None),
        Outcome::Done(counts, changes) => ("done", None, Some((counts, changes))),
    };
    let page = found.map(|(_, changes)| changes.iter().skip(offset).take(limit).map(changed).collect());
    shape::SimulationView {
        id: run.id.clone(),
        status: status.to_owned(),
        failure,
        since: run.since.0,
        began_at: run.began_at.0,
        entries: run.entries,
        read: run.read.load(Ordering::Relaxed),
        counts: found.map(|(counts, _)| shape::SimulatedCounts::from(*counts)),
        different: found.map_or(0, |(_, changes)| changes.len()),
        changes: page.unwrap_or_default(),
    }
}

fn changed(change: &Change) -> shape::SimulatedView {
    shape::SimulatedView {
        count: change.count,
        subject: shape::SubjectName::from(&change.subject),
        target: change.target.to_string(),
        change: change.what.clone(),
        such_as: change.example.clone(),
        statement: change.text.clone(),
    }
}
