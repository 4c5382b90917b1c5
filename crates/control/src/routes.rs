//! Every route, beside what it takes to call it. A route cannot be added without saying so.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use policy::AdminVerb::{Apply, Approve, Audit, Operate, Propose, Read, Replay, Sessions};

use crate::access::{Access, authorise};
use crate::app::App;
use crate::console::pages;
use crate::drafts::MAX_FILES;
use crate::input::MAX_BODY;
use crate::problem::Problem;
use crate::token::{self, metadata};
use crate::{
    access_map, approvals, audit, drafts, events, health, hosts, notify, openapi, proposals, prove, revision,
    revisions, revocations, revoke, scans, sessions, sign_in, simulations, targets, unused, windows,
};

/// How long anything but a stream may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Calls that bring files, whose bodies are longer.
const OF_FILES: [&str; 5] =
    ["/v1/policy/check", "/v1/policy/test", "/v1/policy/simulations", "/v1/proposals", "/v1/proposals/{id}/change"];

/// One route as it is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The method.
    pub method: Method,
    /// The path, with `{id}` for what differs.
    pub path: &'static str,
    /// What it takes to call it.
    pub access: Access,
}

struct Route {
    listed: Listed,
    handler: MethodRouter<App>,
}

fn route(method: Method, path: &'static str, access: Access, handler: MethodRouter<App>) -> Route {
    Route { listed: Listed { method, path, access }, handler }
}

fn reads(path: &'static str, access: Access, handler: MethodRouter<App>) -> Route {
    route(Method::GET, path, access, handler)
}

fn changes(path: &'static str, access: Access, handler: MethodRouter<App>) -> Route {
    route(Method::POST, path, access, handler)
}

fn all() -> Vec<Route> {
    use Access::{Caller, CallerOr, Local, Open, Session, Verb};
    vec![
        reads("/healthz", Open, get(health::healthz)),
        reads("/readyz", Open, get(health::readyz)),
        reads("/metrics", Local(Read), get(health::metrics)),
        reads("/openapi.json", Open, get(openapi::describe)),
        changes("/token", Open, post(token::token)),
        reads("/jwks", Open, get(metadata::jwks)),
        reads("/.well-known/jwks.json", Open, get(metadata::well_known_jwks)),
        reads("/.well-known/oauth-authorization-server", Open, get(metadata::oauth)),
        reads("/.well-known/openid-configuration", Open, get(metadata::openid)),
        reads("/v1/whoami", Caller, get(revision::whoami)),
        reads("/signin", Open, get(sign_in::begin)),
        reads("/signin/callback", Open, get(sign_in::finish)),
        changes("/signout", Caller, post(sign_in::sign_out)),
        reads("/v1/health", Verb(Read), get(health::health)),
        reads("/v1/revision", Verb(Read), get(revision::get)),
        reads("/v1/revision/policies", Verb(Read), get(revision::policies)),
        reads("/v1/revision/files", Verb(Read), get(drafts::files)),
        reads("/v1/revisions", Verb(Read), get(revisions::list)),
        reads("/v1/revisions/{number}", Verb(Read), get(revisions::get)),
        reads("/v1/revisions/{number}/diff", Verb(Read), get(revisions::diff)),
        changes("/v1/policy/check", Verb(Propose), post(drafts::check)),
        changes("/v1/policy/test", Verb(Propose), post(drafts::test)),
        changes("/v1/policy/simulations", Verb(Audit), post(simulations::begin)),
        reads("/v1/policy/simulations/{id}", Verb(Audit), get(simulations::get)),
        changes("/v1/policy/simulations/{id}/cancel", Verb(Audit), post(simulations::cancel)),
        reads("/v1/proposals", Verb(Read), get(proposals::list)),
        changes("/v1/proposals", Verb(Propose), post(proposals::propose)),
        reads("/v1/proposals/{id}", Verb(Read), get(proposals::get)),
        changes("/v1/proposals/{id}/change", Verb(Propose), post(proposals::change)),
        changes("/v1/proposals/{id}/withdraw", Verb(Propose), post(proposals::withdraw)),
        changes("/v1/proposals/{id}/approve", Verb(Apply), post(proposals::approve)),
        changes("/v1/proposals/{id}/apply", Verb(Apply), post(proposals::apply)),
        reads("/v1/targets", Verb(Operate), get(targets::list)),
        reads("/v1/targets/{target}/catalog", Verb(Operate), get(targets::catalog)),
        changes("/v1/targets/{target}/doctor", Verb(Operate), post(targets::doctor)),
        changes("/v1/targets/{target}/scan", Verb(Operate), post(scans::begin)),
        reads("/v1/scans/{id}", Verb(Operate), get(scans::get)),
        changes("/v1/scans/{id}/cancel", Verb(Operate), post(scans::cancel)),
        reads("/v1/access", Verb(Audit), get(access_map::map)),
        reads("/v1/access/cell", Verb(Audit), get(access_map::cell)),
        changes("/v1/policy/unused", Verb(Audit), post(unused::begin)),
        reads("/v1/policy/unused/{id}", Verb(Audit), get(unused::get)),
        changes("/v1/policy/unused/{id}/cancel", Verb(Audit), post(unused::cancel)),
        reads("/v1/approvals", Verb(Approve), get(approvals::list)),
        reads("/v1/approvals/{id}", CallerOr(Approve), get(approvals::get)),
        changes("/v1/approvals/{id}/answer", Verb(Approve), post(approvals::answer)),
        changes("/v1/approvals/{id}/withdraw", Caller, post(approvals::withdraw)),
        changes("/v1/windows", Caller, post(windows::request)),
        reads("/v1/notify", Verb(Read), get(notify::api::list)),
        changes("/v1/notify/{name}/test", Verb(Operate), post(notify::api::test)),
        changes("/notify/{name}/slack", Open, post(notify::slack::callback::receive)),
        changes("/notify/{name}/teams", Open, post(notify::teams::callback::receive)),
        reads("/v1/sessions", Verb(Sessions), get(sessions::list)),
        reads("/v1/sessions/history", Verb(Audit), get(sessions::history)),
        reads("/v1/sessions/{id}", Verb(Sessions), get(sessions::get)),
        changes("/v1/sessions/{id}/kill", Verb(Sessions), post(sessions::kill)),
        changes("/v1/sessions/{id}/token", Session, post(sessions::renew)),
        reads("/v1/sessions/{id}/tape", Verb(Replay), get(sessions::tape)),
        reads("/v1/sessions/{id}/watch", Verb(Replay), get(sessions::watch)),
        changes("/v1/sessions/{id}/tape/remove", Verb(Operate), post(sessions::remove_tape)),
        reads("/v1/revocations", Verb(Sessions), get(revocations::list)),
        changes("/v1/revocations", Verb(Sessions), post(revocations::put)),
        changes("/v1/revocations/issuer", Verb(Operate), post(revocations::put_issuer)),
        changes("/v1/revocations/lift", Verb(Operate), post(revocations::lift)),
        changes("/revoke", Open, post(revoke::token)),
        changes("/events", Open, post(events::receive)),
        reads("/v1/audit/search", Verb(Audit), get(audit::search)),
        reads("/v1/audit/disclosed", Verb(Audit), get(audit::disclosed)),
        reads("/v1/audit/report", Verb(Audit), get(audit::report)),
        reads("/v1/audit/events", Verb(Audit), get(audit::events)),
        reads("/v1/audit/entries/{entry}/proof", Verb(Audit), get(prove::entry)),
    ]
}

/// A call has as long a body as it needs.
fn bounded_body(route: Route) -> Route {
    let most = if OF_FILES.contains(&route.listed.path) { MAX_FILES } else { MAX_BODY };
    Route { handler: route.handler.layer(DefaultBodyLimit::max(most)), ..route }
}

/// Every route that is served, in the order of the code.
pub fn listed() -> Vec<Listed> {
    all().into_iter().map(|route| route.listed).collect()
}

/// The whole API.
pub(crate) fn router(app: &App) -> Router {
    let guarded = |router: Router<App>, route: Route| {
        let guard = middleware::from_fn_with_state((app.clone(), route.listed.access), authorise);
        let route = bounded_body(route);
        router.route(route.listed.path, route.handler.layer(guard))
    };
    all()
        .into_iter()
        .fold(pages::router(app), guarded)
        .fallback(async || Problem::not_found("path; see /openapi.json"))
        .method_not_allowed_fallback(async || Problem::method())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), hosts::check))
        .layer(middleware::from_fn(bounded))
        .with_state(app.clone())
}

/// A deadline for the call, and headers that keep answers out of caches and pages.
pub(crate) async fn bounded(request: Request, next: Next) -> Response {
    let response = tokio::time::timeout(DEADLINE, next.run(request)).await;
    let mut response = response.unwrap_or_else(|_| Problem::timeout().into_response());
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
