//! The token endpoint (RFC 6749, section 3.2): a credential in, a short-lived one of Sluice's own out.
//!
//! Each grant is a module of [`grants`]: it verifies what was shown and says whom that stands for
//! ([`grants::Redeemed`]). Everything after that is the same for all, and stands in [`issue`]: whether policy lets
//! them, until when, bound to what, the journal, the answer. What is issued stands for the same subject as what was
//! shown, and never lives longer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::event::Event;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::app::{App, Peer};
use crate::proof::{Call, DPOP_NONCE, Shown};

mod error;
mod form;
pub(crate) mod grants;
mod issue;
pub(crate) mod metadata;
mod target;

use error::TokenError;
use form::Form;
use grants::{Asked, Grant};

/// The type of a short-lived database password. It is Sluice's own: no standard has one.
pub(crate) const DATABASE_PASSWORD: &str = "urn:sluice:token-type:database-password";

/// The type of a certificate of a caller's SSH key, as a line of OpenSSH. It is Sluice's own, too.
pub(crate) const SSH_CERTIFICATE: &str = "urn:sluice:token-type:ssh-certificate";

/// What is asked of the token endpoint.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form, which `form` reads")]
pub(crate) struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693), `…:jwt-bearer` (RFC 7523) or `…:saml2-bearer`
    /// (RFC 7522).
    grant_type: String,
    /// Token exchange: the credential, of any trusted issuer or Sluice's own.
    subject_token: Option<String>,
    /// `urn:ietf:params:oauth:token-type:access_token`, `…:jwt` or `…:id_token`.
    subject_token_type: Option<String>,
    /// The credential of whoever acts on behalf of that subject.
    actor_token: Option<String>,
    /// As `subject_token_type`.
    actor_token_type: Option<String>,
    /// `urn:ietf:params:oauth:token-type:access_token` unless given; `urn:sluice:token-type:database-password` for a
    /// password, which is for one target; `urn:sluice:token-type:ssh-certificate` for a certificate of `public_key`.
    requested_token_type: Option<String>,
    /// The SSH key that a certificate is of, as the line of OpenSSH (`ssh-ed25519 AAAA…`).
    public_key: Option<String>,
    /// The only target at which it is to be good, by its name.
    audience: Option<String>,
    /// The same as `urn:sluice:target:NAME`.
    resource: Option<String>,
    /// JWT bearer: the credential. SAML 2.0 bearer: the assertion, or the response with it, in base64url.
    assertion: Option<String>,
}

/// What is given out (RFC 6749, section 5.1; RFC 8693, section 2.2.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenAnswer {
    /// The credential, whatever it is.
    access_token: String,
    /// What it is.
    issued_token_type: &'static str,
    /// How it is used: `Bearer`, `DPoP`, or `N_A` for a password or a certificate.
    token_type: &'static str,
    /// Seconds until it ends.
    expires_in: u64,
}

/// Gives a short-lived credential of Sluice's own for one that it accepts.
#[utoipa::path(post, path = "/token", tag = "tokens", security(()),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It was issued, and that is in the journal", body = TokenAnswer),
        (status = 400, description = "RFC 6749, section 5.2: `{\"error\": …, \"error_description\": …}`"),
        (status = 429, description = "The subject has as many as it may have")))]
pub(crate) async fn token(State(app): State<App>, request: Request) -> Response {
    let mut response = match answer(&app, request).await {
        Ok(answer) => Answer::ok(answer).into_response(),
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

async fn answer(app: &App, request: Request) -> Result<TokenAnswer, TokenError> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else { return Err(TokenError::internal()) };
    let (parts, body) = request.into_parts();
    let call = Call { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
    let (source, shown) = (peer.address.ip(), Shown::on(&peer));
    let shown = if call.has_proof() { prove(app, &call, source, shown)? } else { shown };
    let form = Form::of(&parts.headers, Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await.ok())?;
    let target = target::named(&form)?;
    let asked = Asked { app, form: &form, shown, source, target: target.as_deref() };
    let grant = Grant::named(form.required("grant_type")?).ok_or_else(TokenError::unsupported_grant)?;
    let redeemed = grant.redeem(&asked).await?;
    app.proofs.use_once(&shown, &redeemed.subject.key).map_err(|error| {
        refused(app, asked.source, &error.to_string());
        TokenError::proof()
    })?;
    issue::issue(&asked, redeemed).await
}

fn prove(app: &App, call: &Call<'_>, source: IpAddr, shown: Shown) -> Result<Shown, TokenError> {
    call.prove(app, None, shown).map_err(|error| match error {
        identity::dpop::ProofError::Nonce => TokenError::nonce(app.proofs.nonce()),
        other => {
            refused(app, source, &other.to_string());
            TokenError::proof()
        }
    })
}

/// The true reason is in the journal; the caller gets a generic one.
fn refused(app: &App, source: IpAddr, reason: &str) {
    tracing::info!(%source, reason, "the token endpoint refused what was shown to it");
    app.node.recorder.note(Event::TokenRefused { source, reason: Arc::from(reason) });
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::json!({ "error": self.error, "error_description": self.description });
        let mut response = Answer(status, body).into_response();
        if let Some(nonce) = self.nonce {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
        response
    }
}
