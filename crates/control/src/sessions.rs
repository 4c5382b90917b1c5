//! Sessions: who is connected, who was, what passed, and ending one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gateway::retention::RemoveError;
use gateway::sessions::Signal;
use model::id::SessionId;
use model::subject::SubjectKey;
use model::target::TapeMode;
use serde::Deserialize;
use store::audit::SessionSearch;
use utoipa::{IntoParams, ToSchema};

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::audit::MOST;
use crate::input::{self, Body, Id, Params};
use crate::journal;
use crate::problem::Problem;
use crate::replay;
use crate::shape;
use crate::stream;
use crate::time::Moment;
use crate::watch::{self, Moderating};

/// Which sessions of the record to list; everything that is given narrows the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryParams {
    /// Open at this moment or later (RFC 3339).
    #[param(value_type = Option<String>)]
    since: Option<Moment>,
    /// Opened before this moment (RFC 3339).
    #[param(value_type = Option<String>)]
    until: Option<Moment>,
    /// By this subject: `alias|id`, or an id alone for any issuer's.
    subject: Option<String>,
    /// At this target.
    target: Option<String>,
    /// Only those whose end is not in the journal.
    #[serde(default)]
    open_only: bool,
    /// At most so many; 100 unless given, 10,000 at most.
    limit: Option<u32>,
}

/// Lists live sessions, the oldest first.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions",
    responses((status = 200, description = "Live sessions, the oldest first", body = Vec<shape::LiveView>)))]
pub(crate) async fn list(State(app): State<App>) -> impl IntoResponse {
    Answer::ok(app.node.sessions.list())
}

/// Lists sessions of the record, the newest first.
#[utoipa::path(get, path = "/v1/sessions/history", tag = "sessions", params(HistoryParams),
    responses((status = 200, description = "Sessions as the journal tells them, the newest first",
        body = Vec<shape::SessionRecord>)))]
pub(crate) async fn history(
    State(app): State<App>,
    Params(params): Params<HistoryParams>,
) -> Result<impl IntoResponse, Problem> {
    let search = SessionSearch {
        session: None,
        since: params.since.map(|moment| moment.0),
        until: params.until.map(|moment| moment.0),
        subject: params.subject,
        target: params.target,
        open_only: params.open_only,
        limit: params.limit.unwrap_or_default().min(MOST),
    };
    Ok(Answer::ok(app.state(move |state| state.sessions(&search)).await?))
}

/// Shows one session: whether it lives, and what the journal tells of it.
#[utoipa::path(get, path = "/v1/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 200, description = "`{\"live\": …, \"record\": …}`, either of which may be null",
        body = shape::SessionView)))]
pub(crate) async fn get(State(app): State<App>, Id(id): Id<SessionId>) -> Result<impl IntoResponse, Problem> {
    let live = app.node.sessions.find(id).map(|(live, _)| live);
    let search = SessionSearch { session: Some(id), limit: 1, ..SessionSearch::default() };
    let record = app.state(move |state| state.sessions(&search)).await?.into_iter().next();
    if live.is_none() && record.is_none() {
        return Err(Problem::not_found("session"));
    }
    Ok(Answer::ok(serde_json::json!({ "live": live, "record": record })))
}

/// Ends a live session: what it runs is cancelled and rolled back.
#[utoipa::path(post, path = "/v1/sessions/{id}/kill", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 200, description = "It was told to end, and that is in the journal", body = shape::Killed),
        (status = 404, description = "No such session lives")))]
pub(crate) async fn kill(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    if app.node.sessions.find(id).is_none() {
        return Err(Problem::not_found("live session"));
    }
    journal::act(&app, &caller, "session.kill", id.to_string()).await?;
    let told = app.node.sessions.tell(id, Signal::Kill);
    Ok(Answer::ok(serde_json::json!({ "session": id, "told": told })))
}

/// Renews the credential of one's own session, also while a statement runs: what authenticates this call becomes the
/// session's. A token that is bound to a certificate must be bound to that of the session's own connection, and a session
/// that is bound to a key stays so.
#[utoipa::path(post, path = "/v1/sessions/{id}/token", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 200, description = "The session has the token: `{\"expires_at\": …}`"),
        (status = 404, description = "You have no such live session"),
        (status = 409, description = "The credential is not bound as the session's is")))]
pub(crate) async fn renew(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    let subject = &caller.subject;
    let found = app.node.sessions.find(id);
    // The same issuer, subject and actors; somebody else's session looks like none.
    let own = found.filter(|(live, _)| live.subject == subject.key && live.on_behalf_of == subject.on_behalf_of);
    let (live, signals) = own.ok_or_else(|| Problem::not_found("live session of yours"))?;
    let stays_bound = live.binding.stays_with(subject.binding);
    let fits = stays_bound && caller.may_renew(live.certificate);
    if !fits {
        return Err(Problem::conflict("the credential is not bound as the session's is"));
    }
    journal::act(&app, &caller, "session.renew", id.to_string()).await?;
    signals.renew(caller.renewal());
    Ok(Answer::ok(serde_json::json!({ "session": id, "expires_at": subject.expires_at })))
}

/// Which part of a tape to play.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TapeParams {
    /// From this moment on (RFC 3339).
    #[param(value_type = Option<String>)]
    since: Option<Moment>,
}

/// Plays a session's tape: requests and answers as the caller saw them. That somebody looked is in the journal.
#[utoipa::path(get, path = "/v1/sessions/{id}/tape", tag = "sessions",
    params(("id" = String, Path, description = "The session's id"), TapeParams),
    responses((status = 200, description = "One JSON object per line: requests, columns, rows, errors, in order",
        body = replay::Line, content_type = "application/x-ndjson"),
        (status = 404, description = "There is no tape of it")))]
pub(crate) async fn tape(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<TapeParams>,
) -> Result<Response, Problem> {
    let tape = opened(&app, id, params.since).await?;
    journal::act(&app, &caller, "session.replay", id.to_string()).await?;
    Ok(stream::lines(Arc::clone(&app.node), caller, tape))
}

/// How to watch.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchParams {
    /// Count as an observer: what policy lets run only while somebody observes it, runs for as long as this lasts.
    #[serde(default)]
    moderate: bool,
}

/// Follows a live session's tape from its beginning on, as it grows, until the session ends or the caller may no longer
/// look. That somebody looks is in the journal, and when whoever moderates leaves. An empty line now and then says that it
/// goes on.
#[utoipa::path(get, path = "/v1/sessions/{id}/watch", tag = "sessions",
    params(("id" = String, Path, description = "The session's id"), WatchParams),
    responses((status = 200, description = "As of `tape`, each line within a second of what it tells of",
        body = replay::Line, content_type = "application/x-ndjson"),
        (status = 404, description = "No such session lives, or it has no tape"),
        (status = 409, description = "It cannot be moderated: it is the caller's own, or its tape holds requests alone")))]
pub(crate) async fn watch(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<WatchParams>,
) -> Result<Response, Problem> {
    let (live, signals) = app.node.sessions.find(id).ok_or_else(|| Problem::not_found("live session"))?;
    let is_own = |key: &SubjectKey| live.subject == *key || live.on_behalf_of.contains(key);
    if params.moderate && caller.subject.identities().any(is_own) {
        return Err(Problem::conflict("nobody moderates a session of their own"));
    }
    let revision = app.node.revisions.current();
    let tape_mode = revision.targets.get(&live.target).map(|target| target.tape);
    if params.moderate && tape_mode != Some(TapeMode::Full) {
        return Err(Problem::conflict("the target's tape does not hold what the caller sees: nobody can observe it"));
    }
    let tape = opened(&app, id, None).await?;
    let action = if params.moderate { "session.moderate" } else { "session.watch" };
    journal::act(&app, &caller, action, id.to_string()).await?;
    let moderating = params.moderate.then(|| Moderating::begin(&app.node, &caller, id, &signals));
    Ok(watch::lines(Arc::clone(&app.node), caller, id, tape, moderating))
}

/// The tape of a session, from a moment on.
async fn opened(app: &App, id: SessionId, since: Option<Moment>) -> Result<replay::Tape, Problem> {
    let (dir, keys) = (app.node.layout().tapes(), Arc::clone(&app.node.tape_keys));
    let disk = gateway::archive::tape_disk(&app.node).await;
    let opened = tokio::task::spawn_blocking(move || {
        let tape = replay::open(disk, &dir, id, &keys)?;
        match since {
            Some(since) => tape.since(since.0),
            None => Ok(tape),
        }
    });
    let opened = opened.await.map_err(|_| Problem::internal())?;
    opened.map_err(|error| match error {
        replay::OpenError::Missing => Problem::not_found("tape"),
        replay::OpenError::Unreadable(reason) => Problem::conflict(reason),
    })
}

/// Why a tape is removed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveBody {
    /// For the record.
    reason: String,
}

/// Removes a session's tape for good: its key is destroyed, so that no copy of it can be read either. Who did it and why
/// is in the journal, which keeps every entry of the session.
#[utoipa::path(post, path = "/v1/sessions/{id}/tape/remove", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")), request_body = RemoveBody,
    responses((status = 200, description = "It is gone, and that is in the journal"),
        (status = 404, description = "There is no tape of it"),
        (status = 409, description = "The session still runs")))]
pub(crate) async fn remove_tape(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Body(body): Body<RemoveBody>,
) -> Result<impl IntoResponse, Problem> {
    let reason = input::reason(Some(body.reason))?.ok_or_else(|| Problem::bad("say why: reason"))?;
    journal::act(&app, &caller, "tape.remove", id.to_string()).await?;
    let by = Some(caller.subject.key.clone());
    match gateway::retention::remove_tape(&app.node, id, &reason, by).await {
        Ok(()) => Ok(Answer::ok(serde_json::json!({ "session": id, "removed": true }))),
        Err(RemoveError::Missing) => Err(Problem::not_found("tape")),
        Err(error @ RemoveError::Live) => Err(Problem::conflict(error.to_string())),
        Err(RemoveError::NotRecorded(_)) => Err(Problem::not_recorded()),
        Err(error @ RemoveError::Disk(_)) => {
            tracing::error!(session = %id, %error, "a tape cannot be removed");
            Err(Problem::internal())
        }
    }
}
