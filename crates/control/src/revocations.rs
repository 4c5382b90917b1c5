//! Who is no longer believed: put in force, listed, lifted. It reaches every live session at once.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use gateway::clock;
use gateway::node::LOCAL_ISSUER;
use gateway::revocations::RevokeError;
use model::revocation::{Extent, Revocation, Whose};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::input::{self, Body};
use crate::journal;
use crate::problem::Problem;

/// The longest that somebody is barred for; longer is until it is lifted.
const LONGEST: u64 = 10 * 366 * 86_400;

/// Whose credentials: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeBody {
    /// A subject, as `alias|id`. What is issued to it later is believed, unless `barred` or `seconds` say otherwise.
    subject: Option<String>,
    /// One token, as `alias|jti`.
    token_id: Option<String>,
    /// Whether the subject is refused whatever it presents, until that is lifted.
    #[serde(default)]
    barred: bool,
    /// Whether it is refused whatever it presents, for so many seconds.
    seconds: Option<u64>,
    /// Why, for the record.
    reason: Option<String>,
}

/// Which issuer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeIssuerBody {
    /// Its alias.
    issuer: String,
    /// For so many seconds; until it is lifted unless given.
    seconds: Option<u64>,
    /// Why, for the record.
    reason: Option<String>,
}

/// Whose credentials: one of the three.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiftBody {
    /// A subject, as `alias|id`.
    subject: Option<String>,
    /// A token, as `alias|jti`.
    token_id: Option<String>,
    /// An issuer, by its alias.
    issuer: Option<String>,
    /// Why, for the record.
    reason: Option<String>,
}

/// A revocation as it is shown.
#[derive(Serialize)]
struct Shown {
    whose: String,
    /// `issued`, `all`, `disabled` or `groups`.
    extent: &'static str,
    /// The groups that are left, where it is about groups.
    groups: Option<Vec<Arc<str>>>,
    at: Timestamp,
    until: Option<Timestamp>,
    by: SubjectKey,
    reason: Option<Arc<str>>,
}

impl From<Revocation> for Shown {
    fn from(revocation: Revocation) -> Self {
        let Revocation { whose, extent, at, until, by, reason } = revocation;
        let kind = extent.kind();
        let groups = match extent {
            Extent::GroupsBut(groups) => Some(groups.into_iter().collect()),
            Extent::Issued | Extent::All | Extent::Disabled => None,
        };
        Self { whose: whose.to_string(), extent: kind, groups, at, until, by, reason }
    }
}

/// Lists the revocations in force, the latest first.
#[utoipa::path(get, path = "/v1/revocations", tag = "revocations",
    responses((status = 200, description = "The revocations in force, the latest first")))]
pub(crate) async fn list(State(app): State<App>) -> impl IntoResponse {
    Answer::ok(app.node.revocations.list().into_iter().map(Shown::from).collect::<Vec<_>>())
}

/// Revokes what a subject has, or one token. Live sessions end at once, and what they run is cancelled and rolled back.
#[utoipa::path(post, path = "/v1/revocations", tag = "revocations", request_body = RevokeBody,
    responses((status = 200, description = "It is in force, and that is in the journal"),
        (status = 404, description = "No issuer has that alias")))]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<RevokeBody>,
) -> Result<impl IntoResponse, Problem> {
    let now = clock::now();
    let whose = whose(body.subject, body.token_id, None)?;
    let ended = match &whose {
        Whose::Subject(SubjectKey { issuer, .. }) | Whose::TokenId { issuer, .. } => {
            app.node.issuers.ended_by_then(issuer, now)
        }
        Whose::Token(_) | Whose::Issuer(_) => None,
    };
    let (action, extent, until) = match (&whose, body.barred, body.seconds) {
        (Whose::TokenId { .. }, false, None) => ("token.revoke", Extent::All, ended),
        (Whose::TokenId { .. }, _, _) => return Err(Problem::bad("a token is revoked for good")),
        (_, true, Some(_)) => return Err(Problem::bad("say barred, or for how many seconds")),
        (_, true, None) => ("subject.revoke", Extent::All, None),
        (_, false, Some(seconds)) => ("subject.revoke", Extent::All, Some(after(now, seconds)?)),
        (_, false, None) => ("subject.revoke", Extent::Issued, ended),
    };
    is_believed(&app, &whose)?;
    enforce(&app, &caller, action, (whose, extent, until), body.reason).await
}

/// Revokes an issuer: nobody is believed because of it, and its sessions end at once.
#[utoipa::path(post, path = "/v1/revocations/issuer", tag = "revocations", request_body = RevokeIssuerBody,
    responses((status = 200, description = "It is in force, and that is in the journal"),
        (status = 404, description = "No issuer has that alias"),
        (status = 409, description = "It is Sluice's own, which lets the first administrator in")))]
pub(crate) async fn put_issuer(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<RevokeIssuerBody>,
) -> Result<impl IntoResponse, Problem> {
    let whose = Whose::Issuer(body.issuer.into());
    is_believed(&app, &whose)?;
    if matches!(&whose, Whose::Issuer(alias) if &**alias == LOCAL_ISSUER) {
        return Err(Problem::conflict("whoever can read its key is the root of trust: change keys/token.key instead"));
    }
    let until = body.seconds.map(|seconds| after(clock::now(), seconds)).transpose()?;
    enforce(&app, &caller, "issuer.revoke", (whose, Extent::All, until), body.reason).await
}

/// Lifts every revocation of a subject, a token or an issuer. Sessions that ended stay so.
#[utoipa::path(post, path = "/v1/revocations/lift", tag = "revocations", request_body = LiftBody,
    responses((status = 200, description = "It is lifted, and that is in the journal"),
        (status = 404, description = "Nothing of that is revoked")))]
pub(crate) async fn lift(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<LiftBody>,
) -> Result<impl IntoResponse, Problem> {
    let whose = whose(body.subject, body.token_id, body.issuer)?;
    if !app.node.revocations.has(&whose) {
        return Err(Problem::not_found("revocation"));
    }
    let reason = input::reason(body.reason)?;
    journal::act(&app, &caller, "revocation.lift", with_reason(whose.to_string(), reason.as_deref())).await?;
    let lifted = app.node.restore(whose, None).await?;
    Ok(Answer::ok(lifted.into_iter().map(Shown::from).collect::<Vec<_>>()))
}

async fn enforce(
    app: &App,
    caller: &Caller,
    action: &str,
    (whose, extent, until): (Whose, Extent, Option<Timestamp>),
    reason: Option<String>,
) -> Result<impl IntoResponse + use<>, Problem> {
    let reason = input::reason(reason)?.map(Arc::from);
    let (at, by) = (clock::now(), caller.subject.key.clone());
    let revocation = Revocation { whose, extent, at, until, by, reason };
    journal::act(app, caller, action, told(&revocation)).await?;
    app.node.revoke(revocation.clone()).await?;
    Ok(Answer::ok(Shown::from(revocation)))
}

/// As the record has it.
pub(crate) fn told(revocation: &Revocation) -> String {
    let what = match (&revocation.extent, revocation.until) {
        (Extent::Issued, _) => format!("{}, as issued until {}", revocation.whose, revocation.at),
        (Extent::All, Some(until)) if !revocation.whose.is_token() => format!("{}, until {until}", revocation.whose),
        (Extent::All | Extent::Disabled, _) => revocation.whose.to_string(),
        (Extent::GroupsBut(kept), _) => {
            let kept = kept.iter().map(|group| &**group).collect::<Vec<_>>().join(", ");
            format!("{}, all groups but [{kept}] as issued until {}", revocation.whose, revocation.at)
        }
    };
    with_reason(what, revocation.reason.as_deref())
}

fn with_reason(what: String, reason: Option<&str>) -> String {
    reason.map_or_else(|| what.clone(), |reason| format!("{what}: {reason}"))
}

/// Exactly one of them.
fn whose(subject: Option<String>, token_id: Option<String>, issuer: Option<String>) -> Result<Whose, Problem> {
    match (subject, token_id, issuer) {
        (Some(subject), None, None) => {
            let (issuer, id) = pair(&subject)?;
            Ok(Whose::Subject(SubjectKey { issuer, id }))
        }
        (None, Some(token), None) => {
            let (issuer, id) = pair(&token)?;
            Ok(Whose::TokenId { issuer, id })
        }
        (None, None, Some(alias)) => Ok(Whose::Issuer(alias.into())),
        (_, _, _) => Err(Problem::bad("name one subject as alias|id, or one token as alias|jti")),
    }
}

fn pair(text: &str) -> Result<(Arc<str>, Arc<str>), Problem> {
    match text.split_once('|') {
        Some((alias, id)) if !alias.is_empty() && !id.is_empty() => Ok((alias.into(), id.into())),
        Some(_) | None => Err(Problem::bad("it is written as alias|id, such as corp|order-service")),
    }
}

/// A name with a mistake in it would leave the one that was meant in.
fn is_believed(app: &App, whose: &Whose) -> Result<(), Problem> {
    let alias = match whose {
        Whose::Subject(key) => &key.issuer,
        Whose::TokenId { issuer, .. } | Whose::Issuer(issuer) => issuer,
        Whose::Token(_) => return Ok(()),
    };
    if app.node.issuers.has(alias) { Ok(()) } else { Err(Problem::not_found("issuer; see [[issuer]] in sluice.toml")) }
}

fn after(now: Timestamp, seconds: u64) -> Result<Timestamp, Problem> {
    if (1..=LONGEST).contains(&seconds) {
        Ok(now.plus_millis(seconds.saturating_mul(1000)))
    } else {
        Err(Problem::bad("at least a second, and at most ten years: leave it out for as long as it is not lifted"))
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        if !matches!(error, RevokeError::Full) {
            let cause: &dyn std::error::Error = &error;
            tracing::error!(error = cause, "a revocation is not kept");
        }
        Self::unavailable(error.to_string())
    }
}
