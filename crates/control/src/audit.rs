//! The index over the journal: who did what, and what anybody was shown.

use axum::extract::State;
use axum::response::IntoResponse;
use model::class::DataClass;
use model::decision::Outcome;
use model::effect::{ColumnName, TableName, Verb};
use model::id::{ApprovalId, Digest, RequestId, SessionId};
use model::time::Timestamp;
use serde::Deserialize;
use store::audit::Search;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::app::App;
use crate::input::Params;
use crate::problem::Problem;
use crate::time::Moment;

/// The most that one search gives.
const MOST: u32 = 10_000;

/// Which requests to find; everything that is given narrows the search.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParams {
    /// Decided at this moment or later (RFC 3339).
    #[param(value_type = Option<String>)]
    since: Option<Moment>,
    /// Decided before this moment (RFC 3339).
    #[param(value_type = Option<String>)]
    until: Option<Moment>,
    /// By this subject: `alias|id`, or an id alone for any issuer's.
    subject: Option<String>,
    /// On behalf of this subject.
    on_behalf_of: Option<String>,
    /// At this target.
    target: Option<String>,
    /// Touching this relation: `schema.name`, or a name alone in any schema.
    table: Option<String>,
    /// Touching this column: `schema.table.column`.
    column: Option<String>,
    /// With this verb among the effects.
    #[param(value_type = Option<String>)]
    verb: Option<Verb>,
    /// `allow`, `deny` or `ask`.
    #[param(value_type = Option<String>)]
    outcome: Option<Outcome>,
    /// Decided by the policy with this `@id`.
    policy: Option<String>,
    /// Having delivered a value of this class, in clear or masked, or not known not to have.
    class: Option<String>,
    /// Running this statement, by its digest.
    #[param(value_type = Option<String>)]
    statement: Option<Digest>,
    /// Belonging to the trace with this id: 32 hexadecimal digits.
    trace: Option<String>,
    /// Running a statement with this in its text.
    text: Option<String>,
    /// Of this session.
    #[param(value_type = Option<String>)]
    session: Option<SessionId>,
    /// This request.
    #[param(value_type = Option<String>)]
    request: Option<RequestId>,
    /// Spending this approval.
    #[param(value_type = Option<String>)]
    approval: Option<ApprovalId>,
    /// Of a session whose connection used this secret.
    secret: Option<String>,
    /// Only allowed requests whose end is not known.
    #[serde(default)]
    unknown_only: bool,
    /// At most so many; 100 unless given, 10,000 at most.
    limit: Option<u32>,
}

impl SearchParams {
    fn search(self) -> Result<Search, Problem> {
        Ok(Search {
            since: self.since.map(|moment| moment.0),
            until: self.until.map(|moment| moment.0),
            subject: self.subject,
            on_behalf_of: self.on_behalf_of,
            target: self.target,
            table: self.table,
            columns: self.column.as_deref().map(column).transpose()?.into_iter().collect(),
            verb: self.verb,
            outcome: self.outcome,
            policy: self.policy,
            class: self.class.map(DataClass::new),
            statement: self.statement,
            trace: self.trace.as_deref().map(trace_id).transpose()?,
            text: self.text,
            session: self.session,
            request: self.request,
            approval: self.approval,
            secret: self.secret,
            unknown_only: self.unknown_only,
            limit: self.limit.unwrap_or_default().min(MOST),
        })
    }
}

/// Since when, and of which class.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportParams {
    /// The class.
    class: String,
    /// Since this moment (RFC 3339); from the beginning unless given.
    #[param(value_type = Option<String>)]
    since: Option<Moment>,
}

fn column(text: &str) -> Result<ColumnName, Problem> {
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(schema), Some(table), Some(column), None) => Ok(ColumnName::new(TableName::new(schema, table), column)),
        (_, _, _, _) => Err(Problem::bad("a column is written as schema.table.column, such as public.cards.number")),
    }
}

fn trace_id(text: &str) -> Result<String, Problem> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Problem::bad("a trace id is 32 hexadecimal digits, such as 4bf92f3577b34da6a3ce929d0e0e4736"))
    }
}

/// Finds requests, the newest first.
#[utoipa::path(get, path = "/v1/audit/search", tag = "audit", params(SearchParams),
    responses((status = 200, description = "Requests that match, the newest first")))]
pub(crate) async fn search(
    State(app): State<App>,
    Params(params): Params<SearchParams>,
) -> Result<impl IntoResponse, Problem> {
    let search = params.search()?;
    Ok(Answer::ok(app.state(move |state| state.search(&search)).await?))
}

/// Says how many values of a class the matching requests delivered: in clear, masked, and how many requests may have.
#[utoipa::path(get, path = "/v1/audit/disclosed", tag = "audit", params(SearchParams),
    responses((status = 200, description = "`{\"clear\": …, \"masked\": …, \"requests\": …, \"unknown\": …}`")))]
pub(crate) async fn disclosed(
    State(app): State<App>,
    Params(params): Params<SearchParams>,
) -> Result<impl IntoResponse, Problem> {
    let search = params.search()?;
    let class = search.class.clone().ok_or_else(|| Problem::bad("name the class: ?class=card_number"))?;
    Ok(Answer::ok(app.state(move |state| state.disclosed(&class, &search)).await?))
}

/// Says what each subject was shown of a class, the most values in clear first.
#[utoipa::path(get, path = "/v1/audit/report", tag = "audit", params(ReportParams),
    responses((status = 200, description = "One line per subject, the most values in clear first")))]
pub(crate) async fn report(
    State(app): State<App>,
    Params(params): Params<ReportParams>,
) -> Result<impl IntoResponse, Problem> {
    let class = DataClass::new(params.class);
    let since = params.since.map_or(Timestamp(0), |moment| moment.0);
    Ok(Answer::ok(app.state(move |state| state.report(&class, since)).await?))
}

/// Finds events that are not requests: approvals, break-glass, revisions, secrets used, administration, gaps.
#[utoipa::path(get, path = "/v1/audit/events", tag = "audit", params(SearchParams),
    responses((status = 200, description = "Events that match, the newest first; of the parameters only times, \
        subject, target, session, approval, secret and limit narrow it")))]
pub(crate) async fn events(
    State(app): State<App>,
    Params(params): Params<SearchParams>,
) -> Result<impl IntoResponse, Problem> {
    let search = params.search()?;
    Ok(Answer::ok(app.state(move |state| state.events(&search)).await?))
}
