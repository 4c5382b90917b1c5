//! What Sluice knows of its targets.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use gateway::postgres::{ExportError, examine, export_catalog};
use serde::Deserialize;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::input::Params;
use crate::journal;
use crate::problem::Problem;
use crate::shape;

/// Lists the targets: where each is, by what Sluice proves itself there, and how connecting to it went since Sluice started.
#[utoipa::path(get, path = "/v1/targets", tag = "revision",
    responses((status = 200, description = "The targets, by their names", body = Vec<shape::ReachedTargetView>)))]
pub(crate) async fn list(State(app): State<App>) -> impl IntoResponse {
    let active = app.node.revisions.current();
    let mut targets: Vec<_> = active.targets.values().collect();
    targets.sort_by(|one, other| one.target.name.cmp(&other.target.name));
    let shown = targets.into_iter().map(|config| {
        serde_json::json!({
            "name": config.target.name,
            "protocol": config.target.protocol,
            "labels": config.target.labels,
            "host": config.host,
            "port": config.port,
            "credential": config.credential(),
            "contact": app.node.contacts.at(&config.target.name),
        })
    });
    Answer::ok(shown.collect::<Vec<_>>())
}

/// Which of the target's databases.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CatalogParams {
    /// The database.
    database: String,
}

/// Reads a database's structure: names, types, definitions of views, and no row of a table of its users.
#[utoipa::path(get, path = "/v1/targets/{target}/catalog", tag = "revision",
    params(("target" = String, Path, description = "The target"), CatalogParams),
    responses((status = 200, description = "The catalog, as `sluice policy` reads it"),
        (status = 404, description = "No such target or database"),
        (status = 503, description = "It cannot be read now")))]
pub(crate) async fn catalog(
    State(app): State<App>,
    Path(target): Path<String>,
    Params(params): Params<CatalogParams>,
) -> Result<impl IntoResponse, Problem> {
    match export_catalog(&app.node, &target, &params.database).await {
        Ok(catalog) => Ok(Answer::ok(serde_json::json!({ "catalog": catalog }))),
        Err(ExportError::Unknown) => Err(Problem::not_found("target or database")),
        Err(ExportError::Unavailable) => Err(Problem::unavailable(ExportError::Unavailable.to_string())),
    }
}

/// Which of the target's databases; its first unless given.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DoctorParams {
    /// The database.
    database: Option<String>,
}

/// Looks for ways past Sluice at a target, and changes nothing there. That you looked, and what was found, is recorded.
#[utoipa::path(post, path = "/v1/targets/{target}/doctor", tag = "revision",
    params(("target" = String, Path, description = "The target"), DoctorParams),
    responses((status = 200, description = "What was found, the gravest first, and what could not be looked at",
            body = shape::DoctorView),
        (status = 404, description = "No such target or database"),
        (status = 503, description = "It cannot be looked at, or recorded, now")))]
pub(crate) async fn doctor(
    State(app): State<App>,
    caller: Caller,
    Path(target): Path<String>,
    Params(params): Params<DoctorParams>,
) -> Result<impl IntoResponse, Problem> {
    let known = app.node.revisions.current().targets.get_key_value(&*target).map(|(name, _)| Arc::clone(name));
    let name = known.ok_or_else(|| Problem::not_found("target or database"))?;
    if app.node.revisions.current().targets.get(&name).is_some_and(|target| target.postgres().is_none()) {
        return Err(Problem::bad("only targets that speak PostgreSQL can be examined"));
    }
    journal::act(&app, &caller, "target.doctor", name).await?;
    match examine(&app.node, &target, params.database.as_deref()).await {
        Ok(report) => Ok(Answer::ok(report)),
        Err(ExportError::Unknown) => Err(Problem::not_found("target or database")),
        Err(ExportError::Unavailable) => {
            Err(Problem::unavailable("the target cannot be examined now; the log of Sluice says why"))
        }
    }
}
