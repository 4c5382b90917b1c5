//! `POST /notify/{name}/slack`: somebody pressed a button. Slack signs what it sends, and that is all the authentication
//! there is (docs.slack.dev, "Verifying requests from Slack").

use aws_lc_rs::{digest, hmac};
use axum::Extension;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gateway::clock;
use model::id::{ApprovalId, Digest};
use serde_json::Value;
use store::config::SlackAnswers;

use super::super::actor::{self, Asks};
use super::super::failure::Failure;
use super::Slack;
use super::blocks::{APPROVE, DENY};
use crate::app::{App, Peer};
use crate::problem::Problem;

/// How old what Slack sends may be, in seconds.
const OLDEST: u64 = 300;

/// The longest body: the message whose button it was comes back in it.
const MAX_BODY: usize = 512 * 1024;

/// Why a call is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Forged {
    #[error("it has no time or no signature")]
    Unsigned,
    #[error("its time is too far off")]
    Stale,
    #[error("its signature is not Slack's")]
    Signature,
    #[error("it came before")]
    Replayed,
}

/// Takes what Slack says that somebody did to a message.
#[utoipa::path(post, path = "/notify/{name}/slack", tag = "approvals",
    params(("name" = String, Path, description = "The channel's name")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "`payload=…`"),
    responses((status = 200, description = "It is signed by Slack; what came of it is told in the channel"),
        (status = 401, description = "It is not signed by Slack, is too old, or came before"),
        (status = 404, description = "There is no such channel, or it takes no answers")))]
pub(crate) async fn receive(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let channel = app.channels.find(&name).cloned().ok_or_else(|| Problem::not_found("channel"))?;
    let (slack, answers) = channel.slack().ok_or_else(|| Problem::not_found("channel"))?;
    let (parts, body) = request.into_parts();
    let (headers, body) = (parts.headers, to_bytes(body, MAX_BODY).await.map_err(|_| Problem::too_large())?);
    if let Err(forged) = verify(&app, slack, answers, &headers, &body).await? {
        app.node.metrics.notify_refused.with_label_values(&[&name]).inc();
        tracing::warn!(channel = %name, source = %peer.address.ip(), reason = %forged, "an answer is not Slack's");
        return Err(Problem::unauthenticated());
    }
    let Some(pressed) = pressed(&body, answers, &slack.config.channel) else {
        // Signed, and nothing that is answered here: a link that was opened, or a message of somewhere else.
        return Ok(StatusCode::OK.into_response());
    };
    let asks = Asks {
        channel: &channel,
        kind: "slack",
        outside: &pressed.user,
        user: answers.users.iter().find(|user| user.id == pressed.user),
        source: peer.address.ip(),
    };
    let told = actor::answer(&app, asks, pressed.approval, pressed.approve).await;
    let (slack, user) = (slack.clone(), pressed.user);
    let telling = async move {
        if let Err(error) = slack.tell(&user, &told).await {
            tracing::warn!(%error, "whoever answered in Slack cannot be told what came of it");
        }
    };
    app.channels.spawn(telling);
    Ok(StatusCode::OK.into_response())
}

/// Whether Slack sent this, lately and for the first time.
async fn verify(
    app: &App,
    slack: &Slack,
    answers: &SlackAnswers,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Result<(), Forged>, Problem> {
    let secret = super::super::secret(&slack.node, &answers.signing_secret).await;
    let secret = secret.map_err(|error: Failure| {
        tracing::error!(%error, "answers from Slack cannot be verified");
        Problem::unavailable("answers cannot be verified now; Sluice's log says why")
    })?;
    let signature = match signed(secret.expose().trim(), headers, body, clock::now().seconds()) {
        Ok(signature) => signature,
        Err(forged) => return Ok(Err(forged)),
    };
    let mut once = digest::Context::new(&digest::SHA256);
    once.update(b"slack\0");
    once.update(&signature);
    let once = Digest(once.finish().as_ref().try_into().map_err(|_| Problem::internal())?);
    let now = clock::now();
    let until = now.plus_millis(OLDEST.saturating_mul(2000));
    let is_first = app.state(move |state| state.use_once(&once, until, now)).await?;
    Ok(if is_first { Ok(()) } else { Err(Forged::Replayed) })
}

/// The signature of this body, if it is Slack's and of about now.
fn signed(secret: &str, headers: &HeaderMap, body: &[u8], now: u64) -> Result<Vec<u8>, Forged> {
    let only = |name: &str| {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (Some(only), None) => only.to_str().ok(),
            (_, _) => None,
        }
    };
    let (time, signature) = (only("x-slack-request-timestamp"), only("x-slack-signature"));
    let (time, signature) = time.zip(signature).ok_or(Forged::Unsigned)?;
    let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = time.parse().ok().filter(|_| is_number).ok_or(Forged::Unsigned)?;
    if now.abs_diff(seconds) > OLDEST {
        return Err(Forged::Stale);
    }
    let tag = signature.strip_prefix("v0=").and_then(bytes).ok_or(Forged::Signature)?;
    let mut text = format!("v0:{time}:").into_bytes();
    text.extend_from_slice(body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, &text, &tag).map_err(|_| Forged::Signature)?;
    Ok(tag)
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte: u8, digit| byte << 4 | digit)).collect())
}

/// What somebody pressed.
#[derive(PartialEq, Eq, Debug)]
struct Pressed {
    user: String,
    approval: ApprovalId,
    approve: bool,
}

/// Reads what was pressed, if it is a button of ours, in our channel of the one workspace.
fn pressed(body: &[u8], answers: &SlackAnswers, channel: &str) -> Option<Pressed> {
    let mut payloads = form_urlencoded::parse(body).filter(|(name, _)| name == "payload");
    let (payload, None) = (payloads.next()?.1, payloads.next()) else { return None };
    let said: Value = serde_json::from_str(&payload).ok()?;
    let text = |at: &str| said.pointer(at).and_then(Value::as_str);
    let is_ours = text("/type") == Some("block_actions")
        && text("/team/id") == Some(&answers.team)
        && text("/channel/id") == Some(channel);
    let [action] = said.pointer("/actions")?.as_array()?.as_slice() else { return None };
    let approve = match action.get("action_id")?.as_str()? {
        APPROVE => true,
        DENY => false,
        _ => return None,
    };
    let approval = action.get("value")?.as_str()?.parse().ok()?;
    is_ours.then_some(Pressed { user: text("/user/id")?.to_owned(), approval, approve })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's own page, whose request is of 2018.
    #[test]
    fn a_signature_is_what_slack_computes() {
        let (secret, time) = ("8f742231b10e8888abcd99yyyzzz85a5", 1_531_420_618);
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                    channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                    response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F\
                    96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let headers = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-slack-request-timestamp", time.into());
            headers.insert("x-slack-signature", signature.parse().unwrap());
            headers
        };
        let check = |signature: &str, body: &str, now: u64| signed(secret, &headers(signature), body.as_bytes(), now);
        assert!(check(signature, body, time).is_ok());
        assert!(check(signature, body, time + OLDEST).is_ok());
        assert_eq!(check(signature, body, time + OLDEST + 1), Err(Forged::Stale));
        assert_eq!(check(signature, body, time - OLDEST - 1), Err(Forged::Stale));
        assert_eq!(check(signature, &body.replace("U2CERLKJA", "U2CERLKJB"), time), Err(Forged::Signature));
        for wrong in ["v0=", "v1=a2114d", "a2114d", &signature.replace("a2", "a3"), "v0=zz"] {
            assert_eq!(check(wrong, body, time), Err(Forged::Signature), "{wrong}");
        }
        let mut two = headers(signature);
        two.append("x-slack-signature", signature.parse().unwrap());
        assert_eq!(signed(secret, &two, body.as_bytes(), time), Err(Forged::Unsigned));
    }
}
