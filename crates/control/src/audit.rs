//! The index over the journal: who did what, and what anybody was shown.

use std::sync::Arc;

use axum::extract::{Query, RawQuery, State};
use axum::response::IntoResponse;
use model::class::DataClass;
use model::classification::Classification;
use model::decision::Outcome;
use model::effect::{ColumnName, TableName, Verb};
use model::id::{ApprovalId, Digest, RequestId, SessionId};
use model::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use store::Index;
use store::audit::{Now, Search};
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::app::App;
use crate::problem::Problem;
use crate::shape;
use crate::time::Moment;

/// The most that one list gives.
pub const MOST: u32 = 10_000;

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
    /// By what is of that class now, as the revision in force has it, whatever was classified then.
    #[serde(default)]
    now: bool,
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
    fn search(self, classification: &Classes) -> Result<Search, QuestionError> {
        let class = self.class.map(DataClass::new);
        let now = match (self.now, &class) {
            (true, Some(class)) => Some(now(class.clone(), classification)?),
            (true, None) => return Err(unnamed()),
            (false, _) => None,
        };
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
            class: class.filter(|_| now.is_none()),
            now,
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
    /// By what is of that class now, as the revision in force has it, whatever was classified then.
    #[serde(default)]
    now: bool,
    /// Since this moment (RFC 3339); from the beginning unless given.
    #[param(value_type = Option<String>)]
    since: Option<Moment>,
}

/// The classification that *now* means, if one is known.
pub type Classes = Option<Arc<Classification>>;

fn now(class: DataClass, classification: &Classes) -> Result<Now, QuestionError> {
    let classification = classification.clone();
    let classification = classification.ok_or_else(|| QuestionError::query("say by which revision: --revision DIR"))?;
    if !classification.classes.contains_key(&class) {
        return Err(QuestionError::query(format!("the revision has no class {class}")));
    }
    Ok(Now { class, classification })
}

fn unnamed() -> QuestionError {
    QuestionError::query("name the class: ?class=card_number")
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// It makes no sense: what is wrong with it, and what to ask instead.
    #[error("{0}")]
    Query(String),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] store::Error),
}

impl QuestionError {
    fn query(why: impl Into<String>) -> Self {
        Self::Query(why.into())
    }
}

impl From<QuestionError> for Problem {
    fn from(error: QuestionError) -> Self {
        match error {
            QuestionError::Query(why) => Self::bad(why),
            QuestionError::Index(error) => Self::from(error),
        }
    }
}

/// What can be asked of an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// Requests.
    Search,
    /// How many values of a class they delivered.
    Disclosed,
    /// What each subject was shown of a class.
    Report,
    /// Other events.
    Events,
}

impl Question {
    /// Asks an index without a Sluice, in the words of the admin API: `query` is that of the URL, and the answer is what the
    /// route of that name gives. `classification` is what *now* means.
    ///
    /// # Errors
    /// The query makes no sense, or the index cannot be read.
    pub fn ask(self, records: &Index, query: &str, classification: &Classes) -> Result<Value, QuestionError> {
        match self {
            Self::Search => told(records.search(&read::<SearchParams>(query)?.search(classification)?)),
            Self::Events => told(records.events(&read::<SearchParams>(query)?.search(classification)?)),
            Self::Disclosed => {
                let search = read::<SearchParams>(query)?.search(classification)?;
                match (&search.now, &search.class) {
                    (Some(now), _) => told(records.disclosed_now(now, &search)),
                    (None, Some(class)) => told(records.disclosed(class, &search)),
                    (None, None) => Err(unnamed()),
                }
            }
            Self::Report => {
                let params: ReportParams = read(query)?;
                let class = DataClass::new(params.class);
                let since = params.since.map(|moment| moment.0);
                match params.now {
                    true => told(records.report_now(&now(class, classification)?, since)),
                    false => told(records.report(&class, since.unwrap_or(Timestamp(0)))),
                }
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(query: &str) -> Result<T, QuestionError> {
    let uri = format!("/?{query}").parse().map_err(|_| QuestionError::query("that is no query"))?;
    let read = Query::<T>::try_from_uri(&uri).map_err(|error| QuestionError::query(error.body_text()))?;
    Ok(read.0)
}

fn told<T: serde::Serialize>(answer: Result<T, store::Error>) -> Result<Value, QuestionError> {
    serde_json::to_value(answer?).map_err(|_| store::Error::Corrupt("an answer in JSON").into())
}

/// Asks the index of this Sluice, by the revision in force.
async fn ask(app: &App, question: Question, query: Option<String>) -> Result<Answer<Value>, Problem> {
    let active = app.node.revisions.current();
    let classification = Some(Arc::new(active.classification.clone()));
    let query = query.unwrap_or_default();
    let answer = app.state(move |state| question.ask(state.records(), &query, &classification)).await?;
    Ok(Answer::ok(answer))
}

fn column(text: &str) -> Result<ColumnName, QuestionError> {
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(schema), Some(table), Some(column), None) => Ok(ColumnName::new(TableName::new(schema, table), column)),
        (_, _, _, _) => {
            Err(QuestionError::query("a column is written as schema.table.column, such as public.cards.number"))
        }
    }
}

fn trace_id(text: &str) -> Result<String, QuestionError> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(QuestionError::query("a trace id is 32 hexadecimal digits, such as 4bf92f3577b34da6a3ce929d0e0e4736"))
    }
}

/// Finds requests, the newest first.
#[utoipa::path(get, path = "/v1/audit/search", tag = "audit", params(SearchParams),
    responses((status = 200, description = "Requests that match, the newest first", body = Vec<shape::RequestView>)))]
pub(crate) async fn search(State(app): State<App>, RawQuery(query): RawQuery) -> Result<impl IntoResponse, Problem> {
    ask(&app, Question::Search, query).await
}

/// Says how many values of a class the matching requests delivered: in clear, masked, and how many requests may have.
#[utoipa::path(get, path = "/v1/audit/disclosed", tag = "audit", params(SearchParams),
    responses((status = 200, description = "`{\"clear\": …, \"masked\": …, \"requests\": …, \"unknown\": …}`, and with \
        `now` also `clear_at_most`", body = shape::DisclosedView)))]
pub(crate) async fn disclosed(State(app): State<App>, RawQuery(query): RawQuery) -> Result<impl IntoResponse, Problem> {
    ask(&app, Question::Disclosed, query).await
}

/// Says what each subject was shown of a class, the most values in clear first.
#[utoipa::path(get, path = "/v1/audit/report", tag = "audit", params(ReportParams),
    responses((status = 200, description = "One line per subject, the most values in clear first",
        body = Vec<shape::ReportLine>)))]
pub(crate) async fn report(State(app): State<App>, RawQuery(query): RawQuery) -> Result<impl IntoResponse, Problem> {
    ask(&app, Question::Report, query).await
}

/// Finds events that are not requests: approvals, break-glass, revisions, secrets used, administration, gaps.
#[utoipa::path(get, path = "/v1/audit/events", tag = "audit", params(SearchParams),
    responses((status = 200, description = "Events that match, the newest first; of the parameters only times, \
        subject, target, session, approval, secret and limit narrow it", body = Vec<shape::EventView>)))]
pub(crate) async fn events(State(app): State<App>, RawQuery(query): RawQuery) -> Result<impl IntoResponse, Problem> {
    ask(&app, Question::Events, query).await
}
