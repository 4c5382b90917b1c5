//! Windows: a time-boxed grant, asked for ahead.
//!
//! Who has to agree is not the requester's to say: policy is asked what it would demand of exactly these effects now.
//! What needs no approval, and what no approval would allow, is told so at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use gateway::clock;
use gateway::revision::Active;
use model::class::Labels;
use model::decision::Need;
use model::effect::{Effect, Facts, Object, TableKind, TableName, Verb};
use model::event::Event;
use model::id::{ApprovalId, SessionId};
use model::target::Target;
use policy::{DEFAULT_APPROVAL_TTL, Question, Verdict};
use serde::{Deserialize, Serialize};
use store::window::{Scope, Terms, WindowRequest};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::input::{Body, reason};
use crate::journal;
use crate::problem::Problem;
use crate::shape;

/// The longest window.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest: what is left when somebody has read it.
const SHORTEST: Duration = Duration::from_secs(60);

/// What a window is to cover.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The verbs: `insert`, `update`, `delete`, `truncate`, `maintain`, `ddl`, `grant`, `opaque`.
    #[schema(value_type = Vec<String>)]
    pub verbs: Vec<Verb>,
    /// The only tables that may be touched, as `schema.table`.
    #[serde(default)]
    pub tables: Vec<String>,
    /// The target.
    pub target: String,
    /// The target's database.
    pub database: String,
    /// For how long, in seconds from now.
    pub seconds: u64,
    /// Why: the approver reads it.
    pub reason: String,
    /// Whether it is to cover an UPDATE or DELETE without a condition too.
    #[serde(default)]
    pub unbounded: bool,
    /// At most so many requests; any number unless given.
    #[serde(default)]
    pub max_uses: Option<u32>,
}

/// Asks for a window.
#[utoipa::path(post, path = "/v1/windows", tag = "approvals", request_body = Wanted,
    responses((status = 201, description = "The question is put: `{\"id\": …, \"status\": …, \"needs\": […]}`",
            body = shape::WindowAsked),
        (status = 403, description = "Policy denies it, and no approval would change that"),
        (status = 409, description = "No approval is needed for it")))]
pub(crate) async fn request(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<Wanted>,
) -> Result<impl IntoResponse, Problem> {
    let why = reason(Some(wanted.reason.clone()))?.ok_or_else(|| Problem::bad("say why: the approver reads it"))?;
    let scope = scope(&wanted)?;
    let active = app.node.revisions.current();
    let target = target(&active, &wanted)?;
    let verdicts = judge(&caller, &target, &wanted, &scope, &why);
    let needs = needs(&verdicts)?;
    let length = length(&wanted, &verdicts)?;
    let now = clock::now();
    let id = clock::random_bits().map_err(|_| Problem::internal())?;
    let window = WindowRequest {
        request: SessionId::from_bits(id).request(0),
        subject: caller.subject.key.clone(),
        on_behalf_of: caller.subject.on_behalf_of.clone(),
        target: Arc::clone(&target.name),
        database: wanted.database.into(),
        terms: Terms {
            scope,
            until: now.plus_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)),
            max_uses: wanted.max_uses,
        },
        needs,
        reason: Some(why),
        revision: active.id,
        asked_at: now,
    };
    put(&app, &caller, window, ApprovalId::from_bits(id)).await
}

/// Puts the question; it is in the journal before it is given out as put.
async fn put(
    app: &App,
    caller: &Caller,
    window: WindowRequest,
    id: ApprovalId,
) -> Result<impl IntoResponse + use<>, Problem> {
    journal::is_writable(app)?;
    let (node, needs) = (Arc::clone(&app.node), window.needs.clone());
    let limits = node.approval_limits();
    let asked = app.state(move |state| {
        let asked = state.request_window(&window, id, &limits)?;
        node.recorder.note_outdated(&asked);
        if asked.is_new {
            node.metrics.approvals_asked.inc();
            node.recorder.note(Event::ApprovalAsked { approval: asked.id, asked: Box::new(window.asked()) });
        }
        Ok::<_, store::approval::AskError>(asked)
    });
    let asked = asked.await?;
    journal::act(app, caller, "window.request", asked.id.to_string()).await?;
    let answer = serde_json::json!({ "id": asked.id, "status": asked.status, "needs": needs });
    Ok(Answer(StatusCode::CREATED, answer))
}

fn scope(wanted: &Wanted) -> Result<Scope, Problem> {
    let verbs: BTreeSet<Verb> = wanted.verbs.iter().copied().collect();
    if verbs.is_empty() || verbs.len() > 20 || wanted.tables.len() > 100 {
        return Err(Problem::bad("name 1 to 20 verbs and at most 100 tables"));
    }
    let tables = wanted.tables.iter().map(|name| table(name)).collect::<Result<BTreeSet<_>, _>>()?;
    for verb in &verbs {
        check_verb(*verb, !tables.is_empty())?;
    }
    Ok(Scope { verbs: verbs.into_iter().collect(), tables: tables.into_iter().collect(), session: None })
}

/// A window is for changes; reading what its tables hold goes with them.
fn check_verb(verb: Verb, has_tables: bool) -> Result<(), Problem> {
    match verb {
        Verb::Insert | Verb::Update | Verb::Delete | Verb::Truncate if !has_tables => {
            Err(Problem::bad(format!("`{verb}` is done to tables: name them, as schema.table")))
        }
        Verb::Opaque if has_tables => {
            Err(Problem::bad("what is not understood cannot be held to tables: ask for `opaque` without any"))
        }
        Verb::Insert
        | Verb::Update
        | Verb::Delete
        | Verb::Truncate
        | Verb::Maintain
        | Verb::Ddl
        | Verb::Grant
        | Verb::Opaque => Ok(()),
        Verb::Connect
        | Verb::Select
        | Verb::Lookup
        | Verb::Join
        | Verb::Filter
        | Verb::Execute
        | Verb::Evaluate
        | Verb::Transaction
        | Verb::Set
        | Verb::Listen
        | Verb::Notify
        | Verb::Declassify
        | Verb::Exec
        | Verb::Shell
        | Verb::Pty
        | Verb::Sftp
        | Verb::Forward
        | Verb::ListenForward
        | Verb::AgentForward
        | Verb::X11
        | Verb::ReadFile
        | Verb::ListDirectory
        | Verb::StatFile
        | Verb::WriteFile
        | Verb::AppendFile
        | Verb::CreateFile
        | Verb::RemoveFile
        | Verb::RenameFile
        | Verb::MakeDirectory
        | Verb::Symlink
        | Verb::HardLink
        | Verb::SetAttributes
        | Verb::CopyFile
        | Verb::Get
        | Verb::Head
        | Verb::Options
        | Verb::Post
        | Verb::Put
        | Verb::Patch
        | Verb::DeleteRoute
        | Verb::Trace
        | Verb::Tunnel
        | Verb::OtherMethod
        | Verb::Upgrade
        | Verb::GraphqlQuery
        | Verb::GraphqlMutate
        | Verb::GraphqlSubscribe
        | Verb::GraphqlIntrospect
        | Verb::GrpcCall
        | Verb::RpcCall
        | Verb::McpTool
        | Verb::McpResource
        | Verb::McpPrompt
        | Verb::KubernetesGet
        | Verb::KubernetesList
        | Verb::KubernetesWatch
        | Verb::KubernetesLog
        | Verb::KubernetesDiscover
        | Verb::KubernetesCreate
        | Verb::KubernetesUpdate
        | Verb::KubernetesPatch
        | Verb::KubernetesDelete
        | Verb::KubernetesDeleteCollection
        | Verb::KubernetesEvict
        | Verb::KubernetesExec
        | Verb::KubernetesAttach
        | Verb::KubernetesPortForward
        | Verb::KubernetesProxy
        | Verb::KubernetesDebug
        | Verb::KubernetesSchedule
        | Verb::KubernetesToken
        | Verb::KubernetesApprove
        | Verb::KubernetesBind
        | Verb::KubernetesEscalate
        | Verb::KubernetesImpersonate
        | Verb::KubernetesOther => {
            let known = "insert, update, delete, truncate, maintain, ddl, grant, opaque";
            Err(Problem::bad(format!("a window cannot be asked for `{verb}`; choose among {known}")))
        }
    }
}

/// `schema.table`; a name alone is one of the schema `public`.
fn table(name: &str) -> Result<TableName, Problem> {
    let (schema, table) = name.split_once('.').unwrap_or(("public", name));
    if schema.is_empty() || table.is_empty() || name.len() > 200 || table.contains('.') {
        return Err(Problem::bad("a table is written as schema.table, such as public.payments"));
    }
    Ok(TableName::new(schema, table))
}

/// The target, if the caller could mean it: one that does not exist and one without that database look the same.
fn target(active: &Active, wanted: &Wanted) -> Result<Target, Problem> {
    let routed = active.route(&wanted.database).filter(|config| *config.target.name == *wanted.target);
    routed.map(|config| config.target.clone()).ok_or_else(|| Problem::not_found("target with that database"))
}

/// What policy says of each effect now: connecting to the database first, so that nobody asks where they may not be.
fn judge(caller: &Caller, target: &Target, wanted: &Wanted, scope: &Scope, why: &str) -> Vec<Verdict> {
    let (context, labels) = (caller.context(Some(why)), Labels::default());
    let ask = |effects: &[Effect], facts: &Facts| {
        let (database, context) = (wanted.database.as_str(), &context);
        let question = Question { target, database, effects, facts, labels: &labels, context };
        policy::judge(caller.policies(), &question)
    };
    let connect = [Effect::new(Verb::Connect, Object::Database)];
    let mut verdicts = vec![ask(&connect, &Facts { bounded: true, ..Facts::default() })];
    for verb in &scope.verbs {
        let kind = verb.as_str().to_ascii_uppercase().into();
        let facts = Facts { kind, bounded: !wanted.unbounded, multi: false, opaque: None };
        let effects: Vec<Effect> = match scope.tables.as_slice() {
            [] => vec![Effect::new(*verb, Object::Database)],
            tables => tables.iter().map(|table| on_table(*verb, table)).collect(),
        };
        verdicts.push(ask(&effects, &facts));
    }
    verdicts
}

fn on_table(verb: Verb, table: &TableName) -> Effect {
    Effect::new(verb, Object::Table(table.clone(), TableKind::Table))
}

/// What has to be agreed to. What is denied is told so, and so is what needs nobody.
fn needs(verdicts: &[Verdict]) -> Result<Vec<Need>, Problem> {
    if let Some(denial) = verdicts.iter().find_map(Verdict::denial) {
        return Err(Problem::forbidden(format!(
            "policy denies `{}`, and no approval would change that: {}",
            denial.missing, denial.message
        )));
    }
    let needs: BTreeSet<Need> = verdicts.iter().flat_map(Verdict::needs).cloned().collect();
    if needs.is_empty() {
        return Err(Problem::conflict("you need no approval for that: just do it"));
    }
    Ok(needs.into_iter().collect())
}

/// A policy that says how long its approvals may last means windows too.
fn length(wanted: &Wanted, verdicts: &[Verdict]) -> Result<Duration, Problem> {
    let stated = verdicts.iter().map(Verdict::approval_ttl).filter(|ttl| *ttl != DEFAULT_APPROVAL_TTL).min();
    let most = stated.unwrap_or(LONGEST).min(LONGEST);
    let length = Duration::from_secs(wanted.seconds);
    if length < SHORTEST.min(most) || length > most {
        return Err(Problem::bad(format!(
            "a window here lasts {} s to {} s",
            SHORTEST.min(most).as_secs(),
            most.as_secs()
        )));
    }
    Ok(length)
}
