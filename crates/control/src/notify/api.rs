//! The channels of notifications, for people: how they are, and a message that tries one out.

use axum::extract::{Path, State};
use axum::response::IntoResponse;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::journal;
use crate::problem::Problem;
use crate::shape;

/// How every channel is.
pub(crate) fn views(app: &App) -> Vec<shape::ChannelView> {
    let metrics = &app.node.metrics;
    let view = |channel: &std::sync::Arc<super::Channel>| {
        let name = &*channel.config.name;
        shape::ChannelView {
            name: name.to_owned(),
            kind: channel.config.kind.as_str().to_owned(),
            is_running: metrics.notify_running.with_label_values(&[name]).get() != 0,
            waiting: metrics.notify_waiting.with_label_values(&[name]).get(),
            sent: metrics.notify_sent.with_label_values(&[name]).get(),
            failures: metrics.notify_failures.with_label_values(&[name]).get(),
            answers_refused: metrics.notify_refused.with_label_values(&[name]).get(),
        }
    };
    app.channels.iter().map(view).collect()
}

/// Lists the channels by which approvers are told.
#[utoipa::path(get, path = "/v1/notify", tag = "approvals",
    responses((status = 200, description = "The channels of `[[notify]]`, and how they are",
        body = Vec<shape::ChannelView>)))]
pub(crate) async fn list(State(app): State<App>) -> impl IntoResponse {
    Answer::ok(views(&app))
}

/// Sends a message by one channel that says that it is a test.
#[utoipa::path(post, path = "/v1/notify/{name}/test", tag = "approvals",
    params(("name" = String, Path, description = "The channel's name")),
    responses((status = 200, description = "It was taken: `{\"channel\": …, \"sent\": true}`", body = shape::Tried),
        (status = 404, description = "There is no such channel"),
        (status = 503, description = "It was not taken; the detail says why")))]
pub(crate) async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let channel = app.channels.find(&name).cloned().ok_or_else(|| Problem::not_found("channel"))?;
    journal::act(&app, &caller, "notify.test", name.as_str()).await?;
    match channel.test().await {
        Ok(()) => Ok(Answer::ok(shape::Tried { channel: name, sent: true })),
        Err(failure) => Err(Problem::unavailable(format!("{name} did not take it: {failure}"))),
    }
}
