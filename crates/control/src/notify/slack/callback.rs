//! `POST /notify/{name}/slack`: somebody pressed a button. Slack signs what it sends, and that is all the authentication
//! there is (docs.slack.dev, "Verifying requests from Slack").

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use axum::Extension;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gateway::clock;
use model::id::{ApprovalId, Digest};
use model::time::Timestamp;
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

/// The shortest signing secret, in bytes; Slack's have 32.
const SHORTEST: usize = 16;

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
    let refused = |forged: Forged| {
        app.node.metrics.notify_refused.with_label_values(&[&name]).inc();
        tracing::warn!(channel = %name, source = %peer.address.ip(), reason = %forged, "an answer is not Slack's");
        Problem::unauthenticated()
    };
    // Before a secret is read for it.
    let claimed = claimed(&headers, clock::now().seconds()).map_err(refused)?;
    claimed.verify(&signing(slack, answers).await?, &body).map_err(refused)?;
    let Some(pressed) = pressed(&body, answers, &slack.config.channel) else {
        // Signed, and nothing that is answered here: a link that was opened, or a message of somewhere else.
        return Ok(StatusCode::OK.into_response());
    };
    let asks = Asks {
        channel: Arc::clone(&channel),
        kind: "slack",
        user: answers.users.iter().find(|user| user.id == pressed.user).cloned(),
        outside: pressed.user.clone(),
        source: peer.address.ip(),
        // What Slack signs covers which approval it is about.
        message: None,
        once: claimed.once()?,
    };
    let answered = answered(app.clone(), slack.clone(), asks, pressed);
    // Slack hangs up after three seconds.
    match actor::to_its_end(&app, answered).await? {
        true => Ok(StatusCode::OK.into_response()),
        false => Err(refused(Forged::Replayed)),
    }
}

/// Takes an answer, and tells whoever gave it what came of it; false if it came before.
async fn answered(app: App, slack: Slack, asks: Asks, pressed: Pressed) -> Result<bool, Problem> {
    let Some(told) = actor::answer(&app, &asks, pressed.approval, pressed.approve).await? else { return Ok(false) };
    let telling = async move {
        if let Err(error) = slack.tell(&pressed.user, &told).await {
            tracing::warn!(%error, "whoever answered in Slack cannot be told what came of it");
        }
    };
    app.channels.spawn(telling);
    Ok(true)
}

/// The key by which Slack signs.
async fn signing(slack: &Slack, answers: &SlackAnswers) -> Result<hmac::Key, Problem> {
    let secret = super::super::secret(&slack.node, &answers.signing_secret).await;
    secret.and_then(|secret| key(secret.expose())).map_err(|error| {
        tracing::error!(%error, "answers from Slack cannot be verified");
        Problem::unavailable("answers cannot be verified now; Sluice's log says why")
    })
}

/// The key in a secret: whoever can guess it signs as Slack does.
pub(in super::super) fn key(secret: &str) -> Result<hmac::Key, Failure> {
    let secret = secret.trim();
    if secret.len() < SHORTEST {
        let advice = "the signing secret is shorter than any of Slack's: it is the app's *Signing Secret*";
        return Err(Failure::Secret(advice.into()));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
}

/// What a call claims of itself.
#[derive(PartialEq, Eq, Debug)]
struct Claimed<'a> {
    time: &'a str,
    tag: Vec<u8>,
}

impl Claimed<'_> {
    /// Whether Slack signed this body.
    fn verify(&self, key: &hmac::Key, body: &[u8]) -> Result<(), Forged> {
        let mut text = format!("v0:{}:", self.time).into_bytes();
        text.extend_from_slice(body);
        hmac::verify(key, &text, &self.tag).map_err(|_| Forged::Signature)
    }

    /// What names it, and until when it could come again.
    fn once(&self) -> Result<(Digest, Timestamp), Problem> {
        let mut once = digest::Context::new(&digest::SHA256);
        once.update(b"slack\0");
        once.update(&self.tag);
        let once = Digest(once.finish().as_ref().try_into().map_err(|_| Problem::internal())?);
        Ok((once, clock::now().plus_millis(OLDEST.saturating_mul(2000))))
    }
}

/// What a call claims, if it is of about now and has a signature's form.
fn claimed(headers: &HeaderMap, now: u64) -> Result<Claimed<'_>, Forged> {
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
    Ok(Claimed { time, tag })
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
    // A channel that is shared with another workspace has users of that one, too.
    let is_member = said.pointer("/user/team_id").is_none_or(|team| team.as_str() == Some(&answers.team));
    let is_ours = text("/type") == Some("block_actions")
        && is_member
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
        let key = key(secret).unwrap();
        let check = |signature: &str, body: &str, now: u64| {
            claimed(&headers(signature), now).and_then(|claimed| claimed.verify(&key, body.as_bytes()))
        };
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
        assert_eq!(claimed(&two, time), Err(Forged::Unsigned));
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_none() {
        assert!(key(" 0123456789abcdef\n").is_ok());
        for wrong in ["", " \n", "0123456789abcde", "                   short"] {
            assert!(key(wrong).is_err(), "{wrong:?}");
        }
    }
}
