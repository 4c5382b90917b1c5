//! What is configured, as far as it may be shown, and who one is.

use axum::extract::State;
use axum::response::IntoResponse;
use policy::AdminVerb;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::shape;

/// Shows the revision in force, and the last one that was refused if none was applied since.
#[utoipa::path(get, path = "/v1/revision", tag = "revision",
    responses((status = 200, description = "Number, digest and targets, and the mistakes of a refused one",
        body = shape::RevisionView)))]
pub(crate) async fn get(State(app): State<App>) -> impl IntoResponse {
    let active = app.node.revisions.current();
    let targets: Vec<_> = active.targets.values().map(|config| &config.target).collect();
    let refused = app.node.revisions.refused();
    Answer::ok(serde_json::json!({
        "revision": active.id,
        "digest": active.digest,
        "targets": targets,
        "classes": active.classification.classes.keys().collect::<Vec<_>>(),
        "refused": refused.map(|refused| serde_json::json!({ "digest": refused.digest, "errors": refused.errors })),
    }))
}

/// Shows the policies in force, as they were written.
#[utoipa::path(get, path = "/v1/revision/policies", tag = "revision",
    responses((status = 200, description = "The files, in the order of their names", body = shape::PoliciesView)))]
pub(crate) async fn policies(State(app): State<App>) -> impl IntoResponse {
    let active = app.node.revisions.current();
    let files: Vec<_> =
        active.policy_files.iter().map(|(name, text)| serde_json::json!({ "name": name, "text": text })).collect();
    Answer::ok(serde_json::json!({ "revision": active.id, "files": files }))
}

/// Shows who the caller is to Sluice, and what of the admin API it may use.
#[utoipa::path(get, path = "/v1/whoami", tag = "revision",
    responses((status = 200, description = "Subject, groups, delegation, expiry and admin verbs", body = shape::Whoami)))]
pub(crate) async fn whoami(caller: Caller) -> impl IntoResponse {
    let subject = &caller.subject;
    let verbs: Vec<&str> =
        AdminVerb::ALL.into_iter().filter(|verb| caller.may(*verb).is_ok()).map(AdminVerb::as_str).collect();
    Answer::ok(serde_json::json!({
        "subject": subject.key,
        "kind": subject.kind,
        "groups": subject.groups,
        "on_behalf_of": subject.on_behalf_of,
        "expires_at": subject.expires_at,
        "binding": subject.binding,
        "may": verbs,
    }))
}
