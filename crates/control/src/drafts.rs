//! What somebody writes before it is a proposal: which files, whether they are right, and what their cases say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::response::IntoResponse;
use gateway::revision::{Mistake, check_with};
use serde::Deserialize;
use store::revision::{ChangeableFile, MOST_CHANGES, Wanted};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::app::App;
use crate::input::Body;
use crate::problem::Problem;
use crate::rehearsal::{Examined, Outcome, examine};
use crate::shape;

/// The longest body of a call that brings files.
pub(crate) const MAX_FILES: usize = 4 << 20;

/// Files as they are to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesBody {
    /// By their names in the revision: `policies/NAME.cedar`, `tests/NAME.toml` or `classification.toml`. Null removes one.
    pub(crate) files: BTreeMap<String, Option<String>>,
}

/// What files are to be, if each of them may be changed.
pub(crate) fn wanted(files: BTreeMap<String, Option<String>>) -> Result<Wanted, Problem> {
    if files.is_empty() || files.len() > MOST_CHANGES {
        return Err(Problem::bad(format!("name 1 to {MOST_CHANGES} files")));
    }
    let one = |(name, text): (String, Option<String>)| {
        let file: ChangeableFile =
            name.parse().map_err(|error: store::revision::InvalidFile| Problem::bad(error.to_string()))?;
        if text.is_none() && file.as_str() == "classification.toml" {
            return Err(Problem::bad("a revision has a classification.toml: leave it empty to classify nothing"));
        }
        Ok((file, text))
    };
    files.into_iter().map(one).collect()
}

/// Does what may take long, or blocks.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a task of the admin API failed");
        Problem::internal()
    })
}

/// The files that may be changed, as they are in the directory now.
#[utoipa::path(get, path = "/v1/revision/files", tag = "revision",
    responses((status = 200, description = "Policies, classification and cases, and the revision in force",
        body = shape::ChangeableFilesView)))]
pub(crate) async fn files(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let dir = app.node.revisions.dir().to_owned();
    let active = app.node.revisions.current();
    let read = blocking(move || read(&dir)).await?;
    let files = read.map_err(|error| Problem::conflict(error.to_string()))?;
    Ok(Answer::ok(shape::ChangeableFilesView {
        revision: active.id.0,
        digest: active.digest.to_string(),
        may_apply: app.node.config.policy.apply,
        approvals: app.node.config.policy.approvals,
        files,
    }))
}

fn read(dir: &Path) -> Result<Vec<shape::PolicyFileView>, store::config::ConfigError> {
    let loaded = store::revision::RevisionFiles::load(dir);
    let kept = match loaded {
        Ok(files) => files.kept,
        Err(refused) => return Err(refused.errors.into_iter().next().unwrap_or_else(nothing)),
    };
    let shown = kept.into_iter().filter_map(|file| Some((file.path.parse().ok()?, file.text?)));
    let mut all: Vec<(ChangeableFile, String)> = shown.collect();
    all.extend(store::revision::cases(dir)?);
    all.sort();
    Ok(all.into_iter().map(|(file, text)| shape::PolicyFileView { name: file.to_string(), text }).collect())
}

fn nothing() -> store::config::ConfigError {
    let (problem, advice) = (String::from("the revision cannot be read"), String::from("see `sluice check`"));
    store::config::ConfigError { file: PathBuf::new(), line: None, key: String::new(), problem, advice }
}

/// Checks files as the revision would be with them.
#[utoipa::path(post, path = "/v1/policy/check", tag = "policy", request_body = FilesBody,
    responses((status = 200, description = "Every mistake, with file, line and column; none if it is right",
        body = shape::CheckedView)))]
pub(crate) async fn check(State(app): State<App>, Body(body): Body<FilesBody>) -> Result<impl IntoResponse, Problem> {
    let wanted = wanted(body.files)?;
    let dir = app.node.revisions.dir().to_owned();
    let checked = blocking(move || {
        let checked = check_with(&dir, &wanted);
        checked.map(|checked| checked.digest()).map_err(|mistakes| shown(&dir, &mistakes))
    });
    let (digest, mistakes) = match checked.await? {
        Ok(digest) => (Some(digest.to_string()), Vec::new()),
        Err(mistakes) => (None, mistakes),
    };
    Ok(Answer::ok(shape::CheckedView { digest, mistakes }))
}

/// Runs the cases of the revision as it would be with these files.
#[utoipa::path(post, path = "/v1/policy/test", tag = "policy", request_body = FilesBody,
    responses((status = 200, description = "Every case, and what differs from what it expects", body = shape::ExaminedView)))]
pub(crate) async fn test(State(app): State<App>, Body(body): Body<FilesBody>) -> Result<impl IntoResponse, Problem> {
    let wanted = wanted(body.files)?;
    let dir = app.node.revisions.dir().to_owned();
    let examined = blocking(move || tried(&dir, &wanted)).await?;
    Ok(Answer::ok(examined))
}

/// What the cases say of the revision with these files in it; mistakes where it is not right.
pub(crate) fn tried(dir: &Path, wanted: &Wanted) -> shape::ExaminedView {
    let examined = match check_with(dir, wanted) {
        Ok(checked) => examine(dir, &checked, wanted),
        Err(mistakes) => Examined { mistakes, ..Examined::default() },
    };
    let case = |outcome: &Outcome| shape::CaseView {
        file: relative(dir, &outcome.file),
        line: outcome.line,
        name: outcome.name.clone(),
        ok: outcome.differences.is_empty(),
        differences: outcome.differences.iter().map(shape::DifferenceView::from).collect(),
    };
    shape::ExaminedView {
        failed: examined.failed(),
        cases: examined.outcomes.iter().map(case).collect(),
        mistakes: shown(dir, &examined.mistakes),
    }
}

/// Mistakes by the names that files have in the revision: where that is on this machine is nobody's business.
pub(crate) fn shown(dir: &Path, mistakes: &[Mistake]) -> Vec<shape::MistakeView> {
    let one = |mistake: &Mistake| shape::MistakeView {
        file: relative(dir, &mistake.file),
        line: mistake.line,
        column: mistake.column,
        length: mistake.length,
        message: mistake.message.clone(),
        help: mistake.help.clone(),
    };
    mistakes.iter().map(one).collect()
}

fn relative(dir: &Path, file: &Path) -> String {
    file.strip_prefix(dir).unwrap_or(file).display().to_string()
}
