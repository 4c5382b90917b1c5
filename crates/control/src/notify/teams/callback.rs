//! `POST /notify/{name}/teams`: an activity that the Bot Connector brings. Its token says that it comes from there, for this
//! bot; who pressed what is what the activity says.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use model::id::{ApprovalId, Digest};
use model::time::Timestamp;
use serde_json::{Value, json};
use store::config::TeamsBot;

use super::super::actor::{self, Asks};
use super::Teams;
use super::card::{APPROVE, DENY};
use super::keys::Source;
use crate::app::{App, Peer};
use crate::problem::Problem;

/// Takes what the Bot Connector says that somebody did to a card.
#[utoipa::path(post, path = "/notify/{name}/teams", tag = "approvals",
    params(("name" = String, Path, description = "The channel's name")),
    request_body(content = String, content_type = "application/json", description = "An activity of the Bot Framework"),
    responses((status = 200, description = "It comes from the Bot Connector; the answer is told to whoever pressed"),
        (status = 401, description = "It does not come from the Bot Connector, or came before"),
        (status = 404, description = "There is no such channel, or it takes no answers")))]
pub(crate) async fn receive(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let channel = app.channels.find(&name).cloned().ok_or_else(|| Problem::not_found("channel"))?;
    let (teams, bot) = channel.teams().ok_or_else(|| Problem::not_found("channel"))?;
    let refused = |reason: &str| {
        app.node.metrics.notify_refused.with_label_values(&[&name]).inc();
        tracing::warn!(channel = %name, source = %peer.address.ip(), reason, "an activity is not the Bot Connector's");
        Problem::unauthenticated()
    };
    let (activity, ends_at) = verified(teams, bot, &headers, &body).await.map_err(|reason| refused(&reason))?;
    let Some(pressed) = pressed(&activity, bot) else {
        // Signed, and nothing that is answered here: the bot was added, or spoken to.
        return Ok(StatusCode::OK.into_response());
    };
    let Some(id) = activity.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
        return Err(refused("it has no id"));
    };
    let asks = Asks {
        channel: Arc::clone(&channel),
        kind: "teams",
        user: bot.users.iter().find(|user| user.id == pressed.user).cloned(),
        outside: pressed.user,
        source: peer.address.ip(),
        message: Some(pressed.message),
        once: (once(&name, id)?, ends_at),
    };
    let own = app.clone();
    let answered = async move { actor::answer(&own, &asks, pressed.approval, pressed.approve).await };
    let told = actor::to_its_end(&app, answered).await?.ok_or_else(|| refused("it came before"))?;
    let kind = "application/vnd.microsoft.activity.message";
    Ok(Json(json!({ "statusCode": 200, "type": kind, "value": told })).into_response())
}

/// The activity, if the Bot Connector brings it, and until when its token could bring it again.
async fn verified(
    teams: &Teams,
    bot: &TeamsBot,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Value, Timestamp), String> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return Err("it has no token".into()) };
    let token = only.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or("it has no token")?;
    let activity: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON")?;
    let text = |at: &str| activity.get(at).and_then(Value::as_str);
    // Before anything is fetched for it.
    if text("serviceUrl") != Some(&bot.service_url) || text("channelId") != Some("msteams") {
        return Err("it is of another service".into());
    }
    let source = Source {
        metadata_url: bot.metadata_url.clone(),
        ca: teams.config.ca_file.clone(),
        allow_http: teams.config.allow_http,
        app_id: bot.app_id.clone(),
    };
    let ends_at = teams.keys.verify(&source, token, &bot.service_url).await?;
    Ok((activity, ends_at))
}

/// What names an activity of this channel.
fn once(name: &str, id: &str) -> Result<Digest, Problem> {
    let once = digest::digest(&digest::SHA256, format!("teams\0{name}\0{id}").as_bytes());
    Ok(Digest(once.as_ref().try_into().map_err(|_| Problem::internal())?))
}

/// What somebody pressed.
#[derive(PartialEq, Eq, Debug)]
struct Pressed {
    user: String,
    /// The message that it is in.
    message: String,
    approval: ApprovalId,
    approve: bool,
}

/// Reads what was pressed, if it is a button of ours, in our channel of the one tenant.
fn pressed(activity: &Value, bot: &TeamsBot) -> Option<Pressed> {
    let text = |at: &str| activity.pointer(at).and_then(Value::as_str);
    let is_ours = text("/type") == Some("invoke")
        && text("/name") == Some("adaptiveCard/action")
        && text("/value/action/type") == Some("Action.Execute")
        && text("/channelData/tenant/id") == Some(&bot.tenant)
        // A thread of the channel has its first message behind a semicolon.
        && text("/conversation/id").and_then(|id| id.split(';').next()) == Some(&bot.conversation);
    let approve = match text("/value/action/verb")? {
        APPROVE => true,
        DENY => false,
        _ => return None,
    };
    let approval = text("/value/action/data/approval")?.parse().ok()?;
    // The token covers none of this: it has to be a message of which Sluice alone knows that it is about this approval.
    let message = text("/replyToId").unwrap_or_default().to_owned();
    is_ours.then_some(Pressed { user: text("/from/aadObjectId")?.to_owned(), message, approval, approve })
}
