//! Errors as `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::approval::{AnswerError, AskError};

use crate::proof::DPOP_NONCE;

/// Why a call was refused, and what to do about it. It never carries a token, a key or another subject's data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// A nonce for the caller's next proof.
    #[serde(skip)]
    nonce: Option<HeaderValue>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), nonce: None }
    }

    /// The call is not of the form that it must have.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// No token, or not one that is believed. The true reason is in the log, not here.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "present a token: `Authorization: Bearer …`, see `sluice token --help`")
    }

    /// The proof that came with the token has no fresh nonce; here is one (RFC 9449, section 9).
    pub(crate) fn nonce(nonce: Option<HeaderValue>) -> Self {
        let detail = "put the DPoP-Nonce of this answer into the proof, and ask again";
        Self { nonce, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// Why, for whoever called.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Verified, but not permitted.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// Not in the state that it has to be in.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The method does not fit the path.
    pub(crate) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not have that method; see /openapi.json")
    }

    /// The host named is not this one: another page's script, or a wrong address.
    pub(crate) fn misdirected() -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "call this listener by the address that it is bound to")
    }

    /// A cookie counts only on calls of the console's own pages.
    pub(crate) fn foreign_page() -> Self {
        Self::new(StatusCode::FORBIDDEN, "the call is not one of the console's own pages")
    }

    /// The body is longer than anything that is asked for.
    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
    }

    /// Too much was asked for.
    pub(crate) fn too_many(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
    }

    /// Took longer than anything should.
    pub(crate) fn timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "it took too long; narrow the search, or try again")
    }

    /// The journal cannot be written, so nothing that has to be in it is done.
    pub(crate) fn not_recorded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the journal cannot be written; see Sluice's log and try again")
    }

    /// State does not answer.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// A defect of Sluice.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Sluice failed; its log says how")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let headers = response.headers_mut();
        if let Some(nonce) = self.nonce {
            headers.insert(DPOP_NONCE, nonce);
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("DPoP error=\"use_dpop_nonce\""));
        } else if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("DPoP"));
        }
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        let cause: &dyn std::error::Error = &error;
        tracing::error!(error = cause, "state failed");
        Self::unavailable(error.client_message())
    }
}

impl From<AnswerError> for Problem {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::NotFound => Self::not_found("approval"),
            AnswerError::OwnRequest | AnswerError::NotAnApprover => Self::forbidden(error.to_string()),
            AnswerError::State(error) => error.into(),
            other => Self::conflict(other.to_string()),
        }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::TooMany(_) | AskError::TooManyOfSubject { .. } => Self::too_many(error.client_message()),
            AskError::State(error) => error.into(),
            other => Self::bad(other.client_message()),
        }
    }
}
