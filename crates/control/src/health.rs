//! What orchestrators and Prometheus ask.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use crate::app::App;

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It does")))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests can be served.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, description = "They can"),
        (status = 503, description = "They cannot; the body is the reason in one word: `draining`, `journal`")))]
pub(crate) async fn readyz(State(app): State<App>) -> impl IntoResponse {
    if app.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if app.node.is_ready().is_err() {
        (StatusCode::SERVICE_UNAVAILABLE, "journal\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// Counters and gauges in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Prometheus text format 0.0.4", content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.node.metrics_text())
}
