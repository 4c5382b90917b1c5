//! The revisions that were in force: what they said, and what changed from one to the next.

use axum::extract::State;
use axum::response::IntoResponse;
use model::id::RevisionId;
use serde::Deserialize;
use store::history::KeptRevision;
use store::revision::RevisionText;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::app::App;
use crate::diff;
use crate::input::{Id, Params};
use crate::problem::Problem;
use crate::shape;

/// With which revision one is compared.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffParams {
    /// The number of the one before; the last before it unless given.
    against: Option<u64>,
}

/// Lists the revisions that are or were in force, the newest first.
#[utoipa::path(get, path = "/v1/revisions", tag = "revision",
    responses((status = 200, description = "Number, digest, time, and the proposal that each came of",
        body = Vec<shape::KeptRevisionView>)))]
pub(crate) async fn list(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let revisions = app.state(|state| state.revisions()).await?;
    Ok(Answer::ok(revisions.into_iter().map(view).collect::<Vec<_>>()))
}

fn view(kept: KeptRevision) -> shape::KeptRevisionView {
    shape::KeptRevisionView {
        revision: kept.revision.0,
        digest: kept.digest.to_string(),
        at: kept.at.0,
        proposal: kept.proposal.map(|id| id.to_string()),
        by: kept.by.as_ref().map(shape::SubjectName::from),
        has_files: kept.has_files,
    }
}

/// Shows the files of a revision: policies and classification as they were written, of all others the digest.
#[utoipa::path(get, path = "/v1/revisions/{number}", tag = "revision",
    params(("number" = u64, Path, description = "Its number")),
    responses((status = 200, description = "The files, in the order of their names", body = shape::RevisionFilesView),
        (status = 404, description = "It is not kept")))]
pub(crate) async fn get(State(app): State<App>, Id(number): Id<u64>) -> Result<impl IntoResponse, Problem> {
    let files = files(&app, number).await?;
    let view = |file: RevisionText| shape::RevisionFileView {
        path: file.path,
        digest: file.digest.to_string(),
        text: file.text,
    };
    Ok(Answer::ok(shape::RevisionFilesView { revision: number, files: files.into_iter().map(view).collect() }))
}

/// Shows what differs between two revisions, file by file, as unified diffs.
#[utoipa::path(get, path = "/v1/revisions/{number}/diff", tag = "revision",
    params(("number" = u64, Path, description = "Its number"), DiffParams),
    responses((status = 200, description = "The files that differ", body = shape::RevisionDiffView),
        (status = 404, description = "One of them is not kept")))]
pub(crate) async fn diff(
    State(app): State<App>,
    Id(number): Id<u64>,
    Params(params): Params<DiffParams>,
) -> Result<impl IntoResponse, Problem> {
    let against = params.against.unwrap_or_else(|| number.saturating_sub(1));
    let (before, after) = match against {
        // Before the first there was nothing.
        0 => (Vec::new(), files(&app, number).await?),
        against => (files(&app, against).await?, files(&app, number).await?),
    };
    let found = tokio::task::spawn_blocking(move || diff::of_revisions(&before, &after)).await;
    let files = found.map_err(|_| Problem::internal())?;
    Ok(Answer::ok(shape::RevisionDiffView { revision: number, against, files }))
}

async fn files(app: &App, number: u64) -> Result<Vec<RevisionText>, Problem> {
    let files = app.state(move |state| state.revision_files(RevisionId(number))).await?;
    files.ok_or_else(|| Problem::not_found("revision whose files are kept"))
}
