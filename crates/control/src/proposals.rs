//! Proposed changes of the policies: made by one, agreed to by others, put into force as they were looked at.
//!
//! The rules for people are in `store::proposal`, and the way into the directory is in `gateway::proposals`. Whatever
//! changes a proposal has the turn ([`gateway::revision::Revisions::alone`]), so that nothing is changed while it is put
//! into force.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use gateway::clock;
use gateway::proposals::{NotApplied, Wish};
use gateway::revision::check_with;
use model::id::{Digest, ProposalId, RevisionId};
use model::subject::SubjectKey;
use serde::Deserialize;
use store::proposal::{Agreement, Draft, Proposal, ProposalError, ProposalStatus};
use store::revision::Wanted;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::diff;
use crate::drafts::{blocking, shown, tried, wanted};
use crate::input::{Body, Id, reason};
use crate::journal;
use crate::problem::Problem;
use crate::rehearsal::examine;
use crate::shape;

/// What is proposed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProposalBody {
    /// Files as they are to be, by their names: `policies/NAME.cedar`, `tests/NAME.toml` or `classification.toml`. Null
    /// removes one.
    files: BTreeMap<String, Option<String>>,
    /// Why: whoever agrees reads it.
    reason: String,
    /// The number of the revision that they were written for.
    base: u64,
}

/// What somebody looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestBody {
    /// The proposal's digest as it was shown.
    #[schema(value_type = String)]
    digest: Digest,
    /// Why.
    reason: Option<String>,
}

/// Lists proposals, the newest first.
#[utoipa::path(get, path = "/v1/proposals", tag = "policy",
    responses((status = 200, description = "Proposals without their files, the newest first",
        body = Vec<shape::ProposalView>)))]
pub(crate) async fn list(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let proposals = app.state(|state| state.proposals()).await?;
    Ok(Answer::ok(proposals.iter().map(|proposal| view(&app, proposal)).collect::<Vec<_>>()))
}

/// Shows a proposal: its files, and what differs from the revision that it changes.
#[utoipa::path(get, path = "/v1/proposals/{id}", tag = "policy",
    params(("id" = String, Path, description = "The proposal")),
    responses((status = 200, description = "All of it", body = shape::ProposalFilesView),
        (status = 404, description = "There is no such proposal")))]
pub(crate) async fn get(State(app): State<App>, Id(id): Id<ProposalId>) -> Result<impl IntoResponse, Problem> {
    let proposal = find(&app, id).await?;
    Ok(Answer::ok(whole(&app, proposal).await?))
}

/// Proposes a change. It has to be right; its cases need not come out yet.
#[utoipa::path(post, path = "/v1/proposals", tag = "policy", request_body = ProposalBody,
    responses((status = 201, description = "It is proposed", body = shape::ProposalFilesView),
        (status = 409, description = "Another revision is in force, or nothing would change"),
        (status = 400, description = "The revision that it makes is not right")))]
pub(crate) async fn propose(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<ProposalBody>,
) -> Result<impl IntoResponse, Problem> {
    let draft = draft(&app, body).await?;
    journal::is_writable(&app)?;
    let id = ProposalId::from_bits(clock::random_bits().map_err(|_| Problem::internal())?);
    let (author, behalf, now) = (caller.subject.key.clone(), caller.subject.on_behalf_of.clone(), clock::now());
    let proposal = Proposal::new(id, author, behalf, draft, now);
    let kept = proposal.clone();
    if !app.state(move |state| state.propose(&kept, now)).await? {
        return Err(Problem::too_many("too many proposals are open: withdraw some"));
    }
    journal::act(&app, &caller, "policy.propose", named(&proposal)).await?;
    Ok(Answer(StatusCode::CREATED, whole(&app, proposal).await?))
}

/// Changes one's own proposal. Whoever agreed to it has to look again.
#[utoipa::path(post, path = "/v1/proposals/{id}/change", tag = "policy", request_body = ProposalBody,
    params(("id" = String, Path, description = "The proposal")),
    responses((status = 200, description = "It is changed", body = shape::ProposalFilesView),
        (status = 403, description = "It is somebody else's"),
        (status = 409, description = "It has ended, or another revision is in force")))]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ProposalId>,
    Body(body): Body<ProposalBody>,
) -> Result<impl IntoResponse, Problem> {
    let draft = draft(&app, body).await?;
    let (who, behalf) = (caller.subject.key.clone(), caller.subject.on_behalf_of.clone());
    let changed =
        alter(&app, &caller, id, "policy.change", move |proposal| proposal.change(&who, &behalf, draft, clock::now()));
    let proposal = changed.await?;
    Ok(Answer::ok(whole(&app, proposal).await?))
}

/// Takes one's own proposal back.
#[utoipa::path(post, path = "/v1/proposals/{id}/withdraw", tag = "policy",
    params(("id" = String, Path, description = "The proposal")),
    responses((status = 200, description = "It is withdrawn", body = shape::ProposalView),
        (status = 403, description = "It is somebody else's"), (status = 409, description = "It has ended")))]
pub(crate) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ProposalId>,
) -> Result<impl IntoResponse, Problem> {
    let (who, behalf) = (caller.subject.key.clone(), caller.subject.on_behalf_of.clone());
    let withdrawn =
        alter(&app, &caller, id, "policy.withdraw", move |proposal| proposal.withdraw(&who, &behalf, clock::now()));
    let proposal = withdrawn.await?;
    Ok(Answer::ok(view(&app, &proposal)))
}

/// Agrees to somebody else's proposal, as it was looked at.
#[utoipa::path(post, path = "/v1/proposals/{id}/approve", tag = "policy", request_body = DigestBody,
    params(("id" = String, Path, description = "The proposal")),
    responses((status = 200, description = "The agreement is taken", body = shape::ProposalView),
        (status = 403, description = "It is the caller's own"),
        (status = 409, description = "It was changed since, or has ended, or the caller agreed already")))]
pub(crate) async fn approve(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ProposalId>,
    Body(body): Body<DigestBody>,
) -> Result<impl IntoResponse, Problem> {
    let agreement = Agreement {
        by: caller.subject.key.clone(),
        on_behalf_of: caller.subject.on_behalf_of.clone(),
        token_id: caller.subject.token_id.clone(),
        at: clock::now(),
        digest: body.digest,
        reason: reason(body.reason)?,
    };
    let proposal = alter(&app, &caller, id, "policy.approve", move |proposal| proposal.agree(agreement)).await?;
    Ok(Answer::ok(view(&app, &proposal)))
}

/// Puts a proposal into force that others agreed to, as it was looked at.
#[utoipa::path(post, path = "/v1/proposals/{id}/apply", tag = "policy", request_body = DigestBody,
    params(("id" = String, Path, description = "The proposal")),
    responses((status = 200, description = "It is in force", body = shape::AppliedView),
        (status = 409, description = "Too few agreed, another revision is in force, cases fail, or the directory is not \
            the API's to change")))]
pub(crate) async fn apply(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ProposalId>,
    Body(body): Body<DigestBody>,
) -> Result<impl IntoResponse, Problem> {
    let wish = Wish { proposal: id, digest: body.digest, by: caller.subject.key.clone() };
    let (own, who, runtime) = (app.clone(), caller.clone(), tokio::runtime::Handle::current());
    let applied = blocking(move || {
        let dir = own.node.revisions.dir();
        let record =
            |proposal: &Proposal| runtime.block_on(journal::act(&own, &who, "policy.apply", agreed(proposal))).is_ok();
        own.node.apply(&wish, |checked, wanted| examine(dir, checked, wanted).passes(), record)
    });
    let revision = applied.await?.inspect_err(|_| journal::refused(&app, &caller, "policy.apply", id.to_string()))?;
    let revision = revision.unwrap_or_else(|| app.node.revisions.current().id);
    let proposal = find(&app, id).await?;
    Ok(Answer::ok(shape::AppliedView { revision: revision.0, proposal: view(&app, &proposal) }))
}

/// A proposal as the record names it: what it is, and what exactly.
fn named(proposal: &Proposal) -> String {
    format!("{} {}", proposal.id, proposal.digest)
}

/// Who proposed, who agreed, and what comes of it.
fn agreed(proposal: &Proposal) -> String {
    let by: Vec<String> = proposal.counted(clock::now()).iter().map(|agreement| agreement.by.to_string()).collect();
    let (named, author, becomes) = (named(proposal), &proposal.author, proposal.becomes);
    format!("{named} by {author}, agreed to by {}, makes {becomes}", by.join(" and "))
}

async fn find(app: &App, id: ProposalId) -> Result<Proposal, Problem> {
    let proposal = app.state(move |state| state.proposal(id)).await?;
    proposal.ok_or_else(|| Problem::not_found("proposal"))
}

/// Changes one proposal while nobody else does, and records that before it is given out as done.
async fn alter(
    app: &App,
    caller: &Caller,
    id: ProposalId,
    action: &str,
    work: impl FnOnce(&mut Proposal) -> Result<(), ProposalError> + Send + 'static,
) -> Result<Proposal, Problem> {
    journal::is_writable(app)?;
    let own = app.clone();
    let altered = blocking(move || {
        own.node.revisions.alone(|| {
            let state = own.node.state.as_ref();
            let mut proposal = state.proposal(id)?.ok_or_else(|| Problem::not_found("proposal"))?;
            work(&mut proposal)?;
            match state.change_proposal(&proposal)? {
                true => Ok(Proposal { version: proposal.version.saturating_add(1), ..proposal }),
                false => Err(Problem::conflict("somebody else changed it in the same moment: look again")),
            }
        })
    });
    match altered.await? {
        Ok(proposal) => {
            journal::act(app, caller, action, named(&proposal)).await?;
            Ok(proposal)
        }
        Err(problem) => {
            journal::refused(app, caller, action, id.to_string());
            Err(problem)
        }
    }
}

/// What is proposed, if it is right and changes something of the revision in force.
async fn draft(app: &App, body: ProposalBody) -> Result<Draft, Problem> {
    let why = reason(Some(body.reason))?.ok_or_else(|| Problem::bad("say why: whoever agrees reads it"))?;
    let (wanted, base) = (wanted(body.files)?, RevisionId(body.base));
    let active = app.node.revisions.current();
    if active.id != base {
        let now = active.id;
        return Err(Problem::conflict(format!(
            "revision {now} is in force, and not {base}: write the change for that one"
        )));
    }
    let dir = app.node.revisions.dir().to_owned();
    let looked = blocking(move || look(&dir, wanted)).await??;
    let (changes, becomes, present) = looked;
    if present != active.digest {
        return Err(NotApplied::Unsettled.into());
    }
    if changes.is_empty() {
        return Err(Problem::conflict("nothing would change"));
    }
    Ok(Draft { reason: why, base, base_digest: active.digest, becomes, changes })
}

fn look(dir: &std::path::Path, wanted: Wanted) -> Result<(Vec<store::revision::Change>, Digest, Digest), Problem> {
    let unreadable = |error: &dyn std::fmt::Display| Problem::conflict(error.to_string());
    let changes = store::revision::changes(dir, &wanted).map_err(|error| unreadable(&error))?;
    let checked = check_with(dir, &wanted).map_err(|mistakes| {
        let told = shown(dir, &mistakes);
        let told: Vec<String> = told.iter().take(20).map(ToString::to_string).collect();
        Problem::bad(format!("the revision that it would make is not right: {}", told.join("; ")))
    })?;
    let present = store::revision::RevisionFiles::digest_in(dir).map_err(|error| unreadable(&error))?;
    Ok((changes, checked.digest(), present))
}

fn view(app: &App, proposal: &Proposal) -> shape::ProposalView {
    let now = clock::now();
    let counted = proposal.counted(now);
    let status = match proposal.status_at(now) {
        ProposalStatus::Open => "open",
        ProposalStatus::Applied => "applied",
        ProposalStatus::Withdrawn => "withdrawn",
        ProposalStatus::Expired => "expired",
    };
    let name = |key: &SubjectKey| shape::SubjectName::from(key);
    shape::ProposalView {
        id: proposal.id.to_string(),
        status: status.to_owned(),
        author: name(&proposal.author),
        on_behalf_of: proposal.on_behalf_of.iter().map(name).collect(),
        reason: proposal.reason.clone(),
        base: proposal.base.0,
        is_current: proposal.base_digest == app.node.revisions.current().digest,
        digest: proposal.digest.to_string(),
        becomes: proposal.becomes.to_string(),
        created_at: proposal.created_at.0,
        changed_at: proposal.changed_at.0,
        needed: app.node.config.policy.approvals,
        agreements: counted.iter().map(|agreement| agreed_view(agreement)).collect(),
        ended_by: proposal.ended.as_ref().map(|end| name(&end.by)),
        ended_at: proposal.ended.as_ref().map(|end| end.at.0),
        revision: proposal.ended.as_ref().and_then(|end| end.revision).map(|revision| revision.0),
    }
}

fn agreed_view(agreement: &Agreement) -> shape::AgreementView {
    shape::AgreementView {
        by: shape::SubjectName::from(&agreement.by),
        on_behalf_of: agreement.on_behalf_of.iter().map(shape::SubjectName::from).collect(),
        at: agreement.at.0,
        reason: agreement.reason.clone(),
    }
}

async fn whole(app: &App, proposal: Proposal) -> Result<shape::ProposalFilesView, Problem> {
    let (view, dir) = (view(app, &proposal), app.node.revisions.dir().to_owned());
    let may_run = view.is_current && view.status == "open";
    blocking(move || {
        let wanted: Wanted =
            proposal.changes.iter().map(|change| (change.file.clone(), change.after.clone())).collect();
        shape::ProposalFilesView {
            proposal: view,
            diffs: diff::of_changes(&proposal.changes),
            files: proposal.changes.into_iter().map(|change| (change.file.into(), change.after)).collect(),
            examined: may_run.then(|| tried(&dir, &wanted)),
        }
    })
    .await
}

impl From<ProposalError> for Problem {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::NotYours | ProposalError::OwnProposal => Self::forbidden(error.to_string()),
            other => Self::conflict(other.to_string()),
        }
    }
}

impl From<NotApplied> for Problem {
    fn from(error: NotApplied) -> Self {
        match error {
            NotApplied::NotFound => Self::not_found("proposal"),
            NotApplied::Proposal(error) => error.into(),
            NotApplied::State(error) => error.into(),
            NotApplied::NotRecorded => Self::not_recorded(),
            NotApplied::Write(error) => {
                let cause: &dyn std::error::Error = &error;
                tracing::warn!(error = cause, "a proposal cannot be written into the revision's directory");
                Self::conflict(format!("the revision's directory cannot be changed: {error}"))
            }
            other => Self::conflict(other.to_string()),
        }
    }
}
