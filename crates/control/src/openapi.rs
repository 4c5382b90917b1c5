//! The API's own description.

use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::answer::Answer;
use crate::token::{self, metadata};
use crate::{approvals, audit, events, health, revision, revocations, revoke, sessions, targets, windows};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sluice admin API", description = "Moments in answers are milliseconds since 1970-01-01 UTC. \
        Errors are application/problem+json (RFC 9457)."),
    paths(
        health::healthz, health::readyz, health::metrics, describe,
        token::token, metadata::jwks, metadata::oauth, metadata::openid,
        revision::whoami, revision::get, targets::catalog, targets::doctor,
        approvals::list, approvals::get, approvals::answer, approvals::withdraw, windows::request,
        sessions::list, sessions::history, sessions::get, sessions::kill, sessions::renew, sessions::tape, sessions::remove_tape,
        revocations::list, revocations::put, revocations::put_issuer, revocations::lift, revoke::token, events::receive,
        audit::search, audit::disclosed, audit::report, audit::events,
    ),
    security(("bearer" = [])),
    modifiers(&Bearer),
)]
pub(crate) struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1")))]
pub(crate) async fn describe() -> impl IntoResponse {
    Answer::ok(Description::openapi())
}
