//! The API's own description.

use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::answer::Answer;
use crate::token::{self, metadata};
use crate::{
    access_map, approvals, audit, drafts, events, health, notify, proposals, prove, revision, revisions, revocations,
    revoke, scans, sessions, sign_in, simulations, targets, unused, windows,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sluice admin API", description = "Moments in answers are milliseconds since 1970-01-01 UTC. \
        Errors are application/problem+json (RFC 9457)."),
    paths(
        health::healthz, health::readyz, health::metrics, describe,
        token::token, metadata::jwks, metadata::well_known_jwks, metadata::oauth, metadata::openid,
        sign_in::begin, sign_in::finish, sign_in::sign_out, health::health, revision::policies, prove::entry,
        revision::whoami, revision::get, drafts::files, revisions::list, revisions::get, revisions::diff,
        drafts::check, drafts::test, simulations::begin, simulations::get, simulations::cancel, proposals::list, proposals::propose, proposals::get, proposals::change,
        proposals::withdraw, proposals::approve, proposals::apply, targets::list, targets::catalog, targets::doctor,
        access_map::map, access_map::cell, unused::begin, unused::get, unused::cancel, scans::begin, scans::get, scans::cancel,
        approvals::list, approvals::get, approvals::answer, approvals::withdraw, windows::request,
        notify::api::list, notify::api::test, notify::slack::callback::receive, notify::teams::callback::receive,
        sessions::list, sessions::history, sessions::get, sessions::kill, sessions::renew, sessions::tape, sessions::watch,
        sessions::remove_tape,
        revocations::list, revocations::put, revocations::put_issuer, revocations::lift, revoke::token, events::receive,
        audit::search, audit::disclosed, audit::report, audit::events,
    ),
    security(("bearer" = [])),
    modifiers(&Bearer, &Names),
)]
pub(crate) struct Description;

/// The API's description, as `GET /openapi.json` gives it: what clients are generated from.
pub fn openapi() -> String {
    Description::openapi().to_pretty_json().unwrap_or_default()
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// Names each operation by its method and path: no two have one name.
struct Names;

impl Modify for Names {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            let words: String =
                path.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
            for (method, operation) in [("get", &mut item.get), ("post", &mut item.post)] {
                if let Some(operation) = operation {
                    operation.operation_id = Some(format!("{method}{words}"));
                }
            }
        }
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1")))]
pub(crate) async fn describe() -> impl IntoResponse {
    Answer::ok(Description::openapi())
}
