//! `POST /events`: security events, pushed by an issuer (RFC 8935).
//!
//! The token is signed by the issuer and says for whom it is: that is all the authentication there is. It is taken once,
//! and answered when what it says is in force and in the journal.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::{Change, EventError, MAX_EVENT_AGE, SecurityEvent, What};
use model::revocation::{Extent, Revocation, Whose};
use model::subject::SubjectKey;
use model::time::Timestamp;

use crate::answer::Answer;
use crate::app::App;
use crate::journal;
use crate::problem::Problem;
use crate::revocations::told;

/// Whom the record names for what an issuer says: no subject's own doing.
const SENDER: &str = "security-events";

/// Takes a security event token: a signed statement of an issuer about one of its subjects.
#[utoipa::path(post, path = "/events", tag = "revocations",
    request_body(content = String, content_type = "application/secevent+jwt", description = "The token (RFC 8417)"),
    responses((status = 202, description = "What it says is in force, or it was taken before"),
        (status = 400, description = "`{\"err\": …, \"description\": …}` (RFC 8935, section 2.3)")))]
pub(crate) async fn receive(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let Some(token) = token(&headers, &body) else {
        return Ok(refused("invalid_request", "send one token as application/secevent+jwt"));
    };
    let event = match app.node.issuers.security_event(token).await {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(reason = %error, "a security event was refused");
            return Ok(refused(error.code(), description(&error)));
        }
    };
    let (issuer, id) = (Arc::clone(&event.issuer), Arc::clone(&event.id));
    let state_of = (Arc::clone(&issuer), Arc::clone(&id));
    if app.state(move |state| state.has_security_event(&state_of.0, &state_of.1)).await? {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    for change in &event.changes {
        carry_out(&app, &event, change).await?;
    }
    // Last: what was not carried out is sent again.
    let until = event.issued_at.plus_millis(MAX_EVENT_AGE).plus_millis(1);
    app.state(move |state| state.take_security_event(&issuer, &id, until)).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Does what an event says. To do it twice is to do it once.
async fn carry_out(app: &App, event: &SecurityEvent, change: &Change) -> Result<(), Problem> {
    let by = SubjectKey { issuer: Arc::clone(&event.issuer), id: SENDER.into() };
    let action = action(&change.what);
    let whose = Whose::Subject(change.subject.clone());
    let ended = app.node.issuers.ended_by_then(&event.issuer, event.issued_at);
    let (extent, until) = match &change.what {
        What::SessionRevoked | What::CredentialChanged | What::ClaimsChanged => (Extent::Issued, ended),
        What::GroupsNow(groups) => (Extent::GroupsBut(groups.clone()), ended),
        What::AccountDisabled => (Extent::Disabled, None),
        What::AccountEnabled => return enable(app, &by, action, whose, event.issued_at).await,
    };
    let reason = Some(format!("event {}", event.id).into());
    let revocation = Revocation { whose, extent, at: event.issued_at, until, by: by.clone(), reason };
    journal::act(app, &by, action, told(&revocation)).await?;
    Ok(app.node.revoke(revocation).await?)
}

/// What the record calls it.
const fn action(what: &What) -> &'static str {
    match what {
        What::SessionRevoked => "event.session_revoked",
        What::CredentialChanged => "event.credential_change",
        What::GroupsNow(_) | What::ClaimsChanged => "event.token_claims_change",
        What::AccountDisabled => "event.account_disabled",
        What::AccountEnabled => "event.account_enabled",
    }
}

/// Takes back what the issuer said before that moment, and nothing that an administrator said.
async fn enable(app: &App, by: &SubjectKey, action: &str, whose: Whose, said_at: Timestamp) -> Result<(), Problem> {
    let is_earlier = |one: &Revocation| one.whose == whose && one.extent == Extent::Disabled && one.at <= said_at;
    if !app.node.revocations.list().iter().any(is_earlier) {
        return Ok(());
    }
    journal::act(app, by, action, whose.to_string()).await?;
    app.node.restore(whose, Some(Extent::Disabled.kind())).await?;
    Ok(())
}

fn token<'a>(headers: &HeaderMap, body: &'a Bytes) -> Option<&'a str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let is_event = kind.split(';').next().map(str::trim) == Some("application/secevent+jwt");
    std::str::from_utf8(body).ok().filter(|_| is_event).map(str::trim)
}

/// What the sender may know: enough to mend its configuration, nothing to forge a better token by.
const fn description(error: &EventError) -> &'static str {
    match error {
        EventError::Token(_) => "the token is not accepted",
        EventError::NotTaken(_) => "events of this issuer are not taken",
        EventError::Malformed(what) => what,
        EventError::TooOld(_) => "the event is too old",
    }
}

fn refused(code: &str, description: &str) -> Response {
    let body = serde_json::json!({ "err": code, "description": description });
    Answer(StatusCode::BAD_REQUEST, body).into_response()
}
