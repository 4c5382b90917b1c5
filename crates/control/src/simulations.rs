//! What changed policies would have done with the requests of the journal: long work, which shows how far it is and can be
//! stopped.
//!
//! It takes `admin:audit`, as whoever sees what comes of it sees what others asked. A run is its starter's own.

use std::collections::BTreeMap;
use std::path::Path;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use gateway::node::Node;
use gateway::proposals::NotApplied;
use gateway::revision::{Checked, check_with};
use model::id::{Digest, ProposalId};
use serde::Deserialize;
use store::revision::Wanted;
use utoipa::{IntoParams, ToSchema};

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::drafts::{blocking, shown, wanted};
use crate::input::{Body, Id, Params};
use crate::journal;
use crate::problem::Problem;
use crate::rehearsal::{Change, Counts, Replay, Side};
use crate::runs::{Ended, Kind, Run, Runs};
use crate::shape;
use crate::time::Moment;

/// What simulations are begun as.
const KIND: Kind = Kind { prefix: "sim", most: 2 };
/// The most changes that one answer has.
const MOST_SHOWN: usize = 500;

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

/// The simulations of this process.
pub(crate) type Simulations = Runs<Simulated>;

/// What came of one.
pub(crate) struct Simulated {
    counts: Counts,
    changes: Vec<Change>,
}

/// Replays the journal on both sides. Blocks.
fn simulate(run: &Run<Simulated>, node: &Node, (present, candidate): (&Checked, &Checked)) -> Result<Simulated, Ended> {
    let catalogs = BTreeMap::new();
    let mut replay = Replay::new(run.since, Side::new(present, &catalogs), Side::new(candidate, &catalogs));
    run.each(node, |entry| replay.take(entry))?;
    let changes = replay.changes().into_iter().cloned().collect();
    Ok(Simulated { counts: replay.counts, changes })
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
    let run = app.simulations.begin(&app, &caller, &KIND, body.since.0)?;
    let object = format!("{} {}", run.id, candidate.digest());
    if let Err(problem) = journal::act(&app, &caller, "policy.simulate", object).await {
        run.give_up();
        return Err(problem);
    }
    run.spawn(&app.node, move |run, node| simulate(run, node, (&present, &candidate)));
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
    run.cancel();
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

fn view(run: &Run<Simulated>, offset: usize, limit: usize) -> shape::SimulationView {
    run.show(|status, failure, found| {
        let page = found.map(|found| found.changes.iter().skip(offset).take(limit).map(changed).collect());
        shape::SimulationView {
            id: run.id.clone(),
            status: status.to_owned(),
            failure,
            since: run.since.0,
            began_at: run.began_at.0,
            entries: run.entries,
            read: run.read(),
            counts: found.map(|found| shape::SimulatedCounts::from(found.counts)),
            different: found.map_or(0, |found| found.changes.len()),
            changes: page.unwrap_or_default(),
        }
    })
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
