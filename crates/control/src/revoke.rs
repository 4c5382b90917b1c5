//! `POST /revoke`: a token is given up by whoever has it (RFC 7009).
//!
//! Having it is all the authentication there is: whoever has a token can do no less with it than this, and one that was
//! stolen is best revoked by the thief.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gateway::clock;
use model::revocation::{Extent, Revocation, Whose};
use serde::Deserialize;

use crate::answer::Answer;
use crate::app::App;
use crate::journal;
use crate::problem::Problem;
use crate::revocations::told;

/// The form (RFC 7009, section 2.1). Others that clients add, such as `client_id`, are passed over.
#[derive(Deserialize)]
struct Form {
    token: String,
}

/// Revokes the token in the form. One that is not believed anyway gets the same answer.
#[utoipa::path(post, path = "/revoke", tag = "revocations",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`token`, and `token_type_hint` if you like"),
    responses((status = 200, description = "It is not believed any more, or was not (RFC 7009)"),
        (status = 400, description = "`{\"error\": \"invalid_request\"}`")))]
pub(crate) async fn token(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let Some(Form { token }) = form(&headers, &body) else {
        let error = serde_json::json!({ "error": "invalid_request" });
        return Ok(Answer(StatusCode::BAD_REQUEST, error).into_response());
    };
    let revocable = match app.node.issuers.revocable(&token).await {
        Ok(revocable) => revocable,
        Err(error) => {
            tracing::info!(reason = %error, "a token that is not believed was to be revoked");
            return Ok(StatusCode::OK.into_response());
        }
    };
    let whose = Whose::Token(revocable.digest);
    if app.node.revocations.has(&whose) {
        return Ok(StatusCode::OK.into_response());
    }
    let by = revocable.subject;
    let until = Some(revocable.expires_at);
    let revocation = Revocation { whose, extent: Extent::All, at: clock::now(), until, by: by.clone(), reason: None };
    journal::act(&app, &by, "token.revoke", told(&revocation)).await?;
    app.node.revoke(revocation).await?;
    Ok(StatusCode::OK.into_response())
}

/// The form, if the body is one. Read as the query of a URL, which has the same syntax.
fn form(headers: &HeaderMap, body: &Bytes) -> Option<Form> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let is_form = kind.split(';').next().map(str::trim) == Some("application/x-www-form-urlencoded");
    let text = std::str::from_utf8(body).ok().filter(|_| is_form)?;
    let uri = format!("/?{text}").parse().ok()?;
    Some(Query::<Form>::try_from_uri(&uri).ok()?.0)
}
