//! Permits that decided nothing, found in the journal: long work, which shows how far it is and can be stopped.
//!
//! It takes `admin:audit`, as simulations do: what comes of it is what others asked. One runs at a time; the last one of whoever
//! began it is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use gateway::node::Node;
use gateway::proposals::NotApplied;
use gateway::revision::{Active, Checked, check_with};
use serde::Deserialize;
use store::revision::{RevisionFiles, Wanted};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::drafts::blocking;
use crate::input::{Body, Id};
use crate::journal;
use crate::problem::Problem;
use crate::rehearsal::{Counts, Replay, Side, Unused, Usage, without};
use crate::runs::{Ended, Kind, Run, Runs};
use crate::shape;
use crate::time::Moment;

/// What searches are begun as.
const KIND: Kind = Kind { prefix: "unused", most: 1 };

/// Since when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnusedBody {
    /// Requests since this moment (RFC 3339).
    #[schema(value_type = String)]
    since: Moment,
}

/// The searches of this process.
pub(crate) type Searches = Runs<Found>;

/// What came of one.
pub(crate) struct Found {
    usage: Unused,
    files: BTreeMap<String, String>,
    counts: Counts,
}

/// Finds what is unused, and tries the policies without it on the same requests: each entry is read twice. Blocks.
fn search(run: &Run<Found>, node: &Node, (active, present): (&Active, &Checked)) -> Result<Found, Ended> {
    let catalogs = BTreeMap::new();
    let mut usage = Usage::new(run.since, present, Side::new(present, &catalogs));
    run.each(node, |entry| usage.take(entry))?;
    let usage = usage.found();
    let ids: BTreeSet<Arc<str>> = usage.unused.iter().map(|permit| Arc::clone(&permit.id)).collect();
    if ids.is_empty() {
        return Ok(Found { usage, files: BTreeMap::new(), counts: Counts::default() });
    }
    let files: Vec<(String, String)> =
        active.policy_files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let files: BTreeMap<String, String> =
        without(&files, &ids).into_iter().map(|(name, text)| (format!("policies/{name}"), text)).collect();
    let candidate = candidate(node, active, &files)?;
    let mut replay = Replay::new(run.since, Side::new(present, &catalogs), Side::new(&candidate, &catalogs));
    run.each(node, |entry| replay.take(entry))?;
    Ok(Found { usage, files, counts: replay.counts })
}

/// The revision that a run began with, with these files in it.
fn candidate(node: &Node, active: &Active, files: &BTreeMap<String, String>) -> Result<Checked, Ended> {
    let one = |(name, text): (&String, &String)| Some((name.parse().ok()?, Some(text.clone())));
    let changed: Wanted =
        files.iter().map(one).collect::<Option<_>>().ok_or_else(|| Ended::failed("a policy file has an odd name"))?;
    let dir = node.revisions.dir();
    let checked = check_with(dir, &changed);
    // Looked at last: whatever was read before is of this revision.
    let is_there = RevisionFiles::digest_in(dir).is_ok_and(|digest| digest == active.digest);
    if !is_there || node.revisions.current().digest != active.digest {
        let id = active.id;
        return Err(Ended::failed(format!("revision {id}, of which it was, was changed meanwhile: begin again")));
    }
    checked.map_err(|_| Ended::failed("the policies without the unused are not right"))
}

/// Begins to look in the journal for permits that decided nothing, and to try the policies without them.
#[utoipa::path(post, path = "/v1/policy/unused", tag = "policy", request_body = UnusedBody,
    responses((status = 202, description = "It runs", body = shape::UnusedView),
        (status = 409, description = "The revision's directory is not what is in force"),
        (status = 429, description = "One runs")))]
pub(crate) async fn begin(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<UnusedBody>,
) -> Result<impl IntoResponse, Problem> {
    let (dir, active) = (app.node.revisions.dir().to_owned(), app.node.revisions.current());
    let in_force = Arc::clone(&active);
    let present = blocking(move || in_force_there(&dir, &in_force)).await??;
    let run = app.searches.begin(&app, &caller, &KIND, body.since.0)?;
    if let Err(problem) = journal::act(&app, &caller, "policy.unused", run.id.as_str()).await {
        run.give_up();
        return Err(problem);
    }
    run.spawn(&app.node, move |run, node| search(run, node, (&active, &present)));
    Ok(Answer(StatusCode::ACCEPTED, view(&run)))
}

/// The revision that is in force, as its directory has it.
fn in_force_there(dir: &Path, in_force: &Active) -> Result<Checked, Problem> {
    let present = gateway::revision::check(dir).ok().filter(|present| present.digest() == in_force.digest);
    Ok(present.ok_or(NotApplied::Unsettled)?)
}

/// Shows how far a search of one's own is, and what it found.
#[utoipa::path(get, path = "/v1/policy/unused/{id}", tag = "policy",
    params(("id" = String, Path, description = "The search")),
    responses((status = 200, description = "How far it is, or what it found", body = shape::UnusedView),
        (status = 404, description = "The caller has no such search")))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer::ok(view(&*app.searches.find(&id, &caller)?)))
}

/// Stops a search of one's own.
#[utoipa::path(post, path = "/v1/policy/unused/{id}/cancel", tag = "policy",
    params(("id" = String, Path, description = "The search")),
    responses((status = 200, description = "It stops", body = shape::UnusedView),
        (status = 404, description = "The caller has no such search")))]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<impl IntoResponse, Problem> {
    let run = app.searches.find(&id, &caller)?;
    run.cancel();
    Ok(Answer::ok(view(&run)))
}

fn view(run: &Run<Found>) -> shape::UnusedView {
    run.show(|status, failure, found| shape::UnusedView {
        id: run.id.clone(),
        status: status.to_owned(),
        failure,
        since: run.since.0,
        entries: run.entries.saturating_mul(2),
        read: run.read(),
        found: found.map(|found| shape::UnusedFound {
            known_since: found.usage.known_since.map(|at| at.0),
            gaps: found.usage.gaps,
            unused: found.usage.unused.iter().map(permit).collect(),
            not_told: found.usage.not_told.iter().map(permit).collect(),
            used: found.usage.used.iter().map(permit).collect(),
            files: found.files.clone(),
            requests: found.counts.requests,
            sessions: found.counts.sessions,
            unexplained: found.counts.unexplained,
            changed_requests: found.counts.changed_requests,
            changed_sessions: found.counts.changed_sessions,
        }),
    })
}

fn permit(of: &crate::rehearsal::Permit) -> shape::PermitView {
    shape::PermitView {
        id: of.id.to_string(),
        principal: of.principal.clone(),
        count: of.count,
        last: of.last.map(|at| at.0),
    }
}
