//! Approvals: see them, answer them, take one's own back.
//!
//! Four eyes, groups and quorum are `store`'s to check, in the transaction that takes the answer. Here an answer is put
//! into the journal before it is given out as done.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use model::approval::{Answer as Given, Status};
use model::event::Event;
use model::id::ApprovalId;
use model::subject::SubjectKey;
use policy::AdminVerb;
use serde::{Deserialize, Serialize};
use store::approval::{Approval, Filter};
use utoipa::{IntoParams, ToSchema};

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::input::{Body, Id, Params, reason};
use crate::journal;
use crate::problem::Problem;
use crate::shape;
use crate::time::Moment;

/// Which approvals to list; everything that is given narrows the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// `pending`, `approved`, `denied`, `withdrawn`, `expired`, `consumed`.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
    /// Asked by this subject, `alias|id`.
    subject: Option<String>,
    /// At this target.
    target: Option<String>,
    /// Asked at this moment or later (RFC 3339).
    #[param(value_type = Option<String>)]
    since: Option<Moment>,
    /// At most so many; 100 unless given.
    limit: Option<u32>,
}

/// An answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerBody {
    /// Yes or no.
    approve: bool,
    /// Why.
    reason: Option<String>,
}

/// Taking a request back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithdrawBody {
    /// Why.
    reason: Option<String>,
}

/// One approval, and how far it is.
#[derive(Serialize)]
struct View {
    #[serde(flatten)]
    approval: Approval,
    progress: Vec<Progress>,
}

/// How far one need is met.
#[derive(Serialize)]
struct Progress {
    policy: Arc<str>,
    groups: Vec<Arc<str>>,
    quorum: u8,
    agreed: usize,
}

/// An approval as it stands now. Nothing depends on the task that expires approvals; so what is shown must not either.
pub(crate) fn as_of_now(mut approval: Approval) -> Approval {
    let is_open = matches!(approval.status, Status::Pending | Status::Approved);
    if is_open && approval.asked.expires_at <= gateway::clock::now() {
        approval.status = Status::Expired;
    }
    approval
}

impl View {
    fn of(approval: Approval) -> Self {
        let approval = as_of_now(approval);
        let progress = approval.agreed().map(|(need, agreed)| Progress {
            policy: Arc::clone(&need.policy),
            groups: need.groups.clone(),
            quorum: need.quorum.max(1),
            agreed,
        });
        Self { progress: progress.collect(), approval }
    }
}

/// Lists approvals, the newest first.
#[utoipa::path(get, path = "/v1/approvals", tag = "approvals", params(ListParams),
    responses((status = 200, description = "Approvals with their needs, answers and uses, the newest first",
        body = Vec<shape::ApprovalView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<impl IntoResponse, Problem> {
    let filter = Filter {
        status: params.status,
        subject: params.subject.as_deref().map(subject_key).transpose()?,
        target: params.target.map(Arc::from),
        since: params.since.map(|moment| moment.0),
        limit: params.limit.unwrap_or_default().min(1000),
    };
    let found = app.state(move |state| state.approvals(&filter)).await?;
    Ok(Answer::ok(found.into_iter().map(View::of).collect::<Vec<_>>()))
}

/// Shows one approval: to those who may answer approvals, and to whoever asked.
#[utoipa::path(get, path = "/v1/approvals/{id}", tag = "approvals",
    params(("id" = String, Path, description = "The approval's id, `apr-…`")),
    responses((status = 200, description = "The whole of what is asked, with its needs, answers and uses",
        body = shape::ApprovalView)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ApprovalId>,
) -> Result<impl IntoResponse, Problem> {
    let found = app.state(move |state| state.approval(id)).await?;
    let may_see_all = caller.may(AdminVerb::Approve).is_ok();
    match found.filter(|approval| may_see_all || caller.is(&approval.asked.subject)) {
        Some(approval) => Ok(Answer::ok(View::of(approval))),
        None => Err(Problem::not_found("approval")),
    }
}

/// Answers an approval, as a member of one of the groups that it asks.
#[utoipa::path(post, path = "/v1/approvals/{id}/answer", tag = "approvals", request_body = AnswerBody,
    params(("id" = String, Path, description = "The approval's id, `apr-…`")),
    responses((status = 200, description = "The answer counts and is in the journal: `{\"status\": …}`",
            body = shape::Standing),
        (status = 403, description = "Nobody answers their own request; or none of your groups may answer it"),
        (status = 409, description = "It has ended, or you have answered already")))]
pub(crate) async fn answer(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ApprovalId>,
    Body(body): Body<AnswerBody>,
) -> Result<impl IntoResponse, Problem> {
    let status = give(&app, &caller, id, body.approve, reason(body.reason)?, id.to_string()).await?;
    Ok(Answer::ok(serde_json::json!({ "id": id, "status": status })))
}

/// Takes somebody's answer, however it came: `object` is what the record says of that.
///
/// # Errors
/// It does not count, or is not in the journal.
pub(crate) async fn give(
    app: &App,
    caller: &Caller,
    id: ApprovalId,
    approve: bool,
    reason: Option<String>,
    object: String,
) -> Result<Status, Problem> {
    let action = if approve { "approval.approve" } else { "approval.deny" };
    let given = Given {
        approver: caller.subject.key.clone(),
        groups: caller.subject.groups.clone(),
        approve,
        reason,
        at: gateway::clock::now(),
    };
    journal::is_writable(app)?;
    let (node, subject) = (Arc::clone(&app.node), Arc::clone(&caller.subject));
    let answered = app.state(move |state| {
        let status = state.answer(id, &given, &subject.on_behalf_of, given.at)?;
        // In the same breath, so that it comes before whatever the waiting request puts into the journal.
        if status == Status::Denied {
            let by = format!("denied by {}", given.approver);
            node.recorder.note(Event::ApprovalAnswered { approval: id, answer: given });
            node.recorder.note(Event::ApprovalEnded { approval: id, status, reason: by.into() });
        } else {
            node.recorder.note(Event::ApprovalAnswered { approval: id, answer: given });
        }
        Ok::<_, store::approval::AnswerError>(status)
    });
    let status = answered.await.inspect_err(|_| journal::refused(app, caller, action, object.as_str()))?;
    journal::act(app, caller, action, object).await?;
    Ok(status)
}

/// Withdraws one's own request for an approval.
#[utoipa::path(post, path = "/v1/approvals/{id}/withdraw", tag = "approvals", request_body = WithdrawBody,
    params(("id" = String, Path, description = "The approval's id, `apr-…`")),
    responses((status = 200, description = "It is withdrawn: `{\"status\": \"withdrawn\"}`", body = shape::Standing),
        (status = 404, description = "You have no such approval"),
        (status = 409, description = "It has ended already")))]
pub(crate) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ApprovalId>,
    Body(body): Body<WithdrawBody>,
) -> Result<impl IntoResponse, Problem> {
    let why = reason(body.reason)?.unwrap_or_else(|| String::from("withdrawn by the requester"));
    journal::is_writable(&app)?;
    let (node, subject) = (Arc::clone(&app.node), Arc::clone(&caller.subject));
    let withdrawn = app.state(move |state| {
        let found = state.approval(id)?.filter(|approval| approval.asked.subject == subject.key);
        if found.is_none() {
            return Err(Problem::not_found("approval"));
        }
        if !state.withdraw(id, &why, gateway::clock::now())? {
            return Err(Problem::conflict("it has ended already"));
        }
        let reason = why.into();
        node.recorder.note(Event::ApprovalEnded { approval: id, status: Status::Withdrawn, reason });
        Ok(())
    });
    withdrawn.await?;
    journal::act(&app, &caller, "approval.withdraw", id.to_string()).await?;
    Ok(Answer(StatusCode::OK, serde_json::json!({ "id": id, "status": Status::Withdrawn })))
}

/// `alias|id`.
pub(crate) fn subject_key(text: &str) -> Result<SubjectKey, Problem> {
    match text.split_once('|') {
        Some((issuer, id)) if !issuer.is_empty() && !id.is_empty() => {
            Ok(SubjectKey { issuer: issuer.into(), id: id.into() })
        }
        Some(_) | None => Err(Problem::bad("a subject is written as `alias|id`, such as `corp|order-service`")),
    }
}
