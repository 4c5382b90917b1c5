//! Proofs that an entry is in the journal, for whoever has the public key.

use axum::extract::State;
use axum::response::IntoResponse;
use ledger::{ProveError, RealDisk};
use model::event::Entry;
use tokio::sync::Semaphore;

use crate::answer::Answer;
use crate::app::App;
use crate::input::Id;
use crate::problem::Problem;
use crate::shape;

/// Each proof reads the journal from its beginning on: one at a time, also when nobody waits for it any more.
static PLACE: Semaphore = Semaphore::const_new(1);

/// Proves that an entry is in the journal: the entry, its place in the tree, and the first checkpoint that covers it.
#[utoipa::path(get, path = "/v1/audit/entries/{entry}/proof", tag = "audit",
    params(("entry" = u64, Path, description = "The entry's position in the journal")),
    responses((status = 200, description = "The proof (c2sp.org/tlog-proof), the public key, and what the entry says",
            body = shape::ProofView),
        (status = 404, description = "The journal has no such entry"),
        (status = 409, description = "No checkpoint covers it yet, or it is damaged")))]
pub(crate) async fn entry(State(app): State<App>, Id(entry): Id<u64>) -> Result<impl IntoResponse, Problem> {
    let (journal, key) = (app.node.layout().journal(), app.node.recorder.journal().public_key().clone());
    let shown = key.to_string();
    let place = PLACE.acquire().await.map_err(|_| Problem::internal())?;
    let proving = tokio::task::spawn_blocking(move || {
        let _place = place;
        ledger::prove_entry(&RealDisk, &journal, &key, entry)
    });
    let proof = proving.await.map_err(|_| Problem::internal())?.map_err(problem)?;
    let content: Option<Entry> = ledger::decode(&proof.entry).ok();
    let content = serde_json::to_value(content).map_err(|_| Problem::internal())?;
    Ok(Answer::ok(shape::ProofView { entry, proof: proof.text(), key: shown, content }))
}

fn problem(error: ProveError) -> Problem {
    match error {
        ProveError::Range => Problem::not_found("entry"),
        ProveError::NotSigned(_) => {
            Problem::conflict("no checkpoint covers it yet; Sluice signs one every few seconds")
        }
        ProveError::Damaged(_) | ProveError::Checkpoint(_) => {
            tracing::error!(%error, "an entry cannot be proved");
            Problem::conflict("the journal is damaged there: run `sluice audit verify`")
        }
        ProveError::Disk(_) => {
            tracing::error!(%error, "the journal cannot be read");
            Problem::unavailable("the journal cannot be read now; the log of Sluice says why")
        }
    }
}
