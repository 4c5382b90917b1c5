//! What orchestrators and Prometheus ask.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use model::id::Digest;

use crate::answer::Answer;
use crate::app::App;
use crate::problem::Problem;
use crate::shape;

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

/// Shows how the journal, its copies, its witnesses and the channels of notifications are.
#[utoipa::path(get, path = "/v1/health", tag = "health",
    responses((status = 200, description = "The journal, its index, sinks, witnesses and channels of notifications", body = shape::HealthView)))]
pub(crate) async fn health(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let (node, journal) = (&app.node, app.node.recorder.journal());
    let indexed = app.state(|state| state.indexed_to()).await?.map_or(0, |position| position.saturating_add(1));
    let sinks = node.config.sinks.iter().map(|sink| shape::SinkView {
        name: sink.name.to_string(),
        is_running: node.metrics.sink_running.with_label_values(&[&sink.name]).get() != 0,
        lag: node.metrics.sink_lag.with_label_values(&[&sink.name]).get(),
    });
    let witnesses = node.config.witnesses.iter().map(|witness| shape::WitnessView {
        name: witness.name.clone(),
        size: node.metrics.witness_size.with_label_values(&[&witness.name]).get(),
        contradicts: node.metrics.witness_contradicts.with_label_values(&[&witness.name]).get() != 0,
    });
    let checkpoint = journal.last_checkpoint();
    Ok(Answer::ok(shape::HealthView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        is_draining: app.draining.is_cancelled(),
        journal_fault: node.recorder.fault().map(|fault| fault.name().to_owned()),
        entries: journal.size(),
        indexed,
        checkpoint: checkpoint.map(|checkpoint| shape::CheckpointView {
            size: checkpoint.size(),
            root: Digest(*checkpoint.root()).to_string(),
        }),
        journal_key: journal.public_key().to_string(),
        sinks: sinks.collect(),
        witnesses: witnesses.collect(),
        channels: crate::notify::api::views(&app),
        sessions: u64::try_from(node.sessions.list().len()).unwrap_or(u64::MAX),
    }))
}
