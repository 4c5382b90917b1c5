//! What Sluice knows of its targets.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use gateway::postgres::{ExportError, export_catalog};
use serde::Deserialize;

use crate::answer::Answer;
use crate::app::App;
use crate::input::Params;
use crate::problem::Problem;

/// Which of the target's databases.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
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
