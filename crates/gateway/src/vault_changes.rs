//! Brings changes of the vault into the journal. `sluice secret` makes them, beside a Sluice that has the journal, or while
//! none does; each is noted in the same transaction, and stays noted until it is recorded.

use std::sync::Arc;
use std::time::Duration;

use ledger::Level;
use model::decision::Outcome;
use model::event::{Entry, Event};
use model::subject::SubjectKey;
use store::vault::VaultChange;

use crate::node::{LOCAL_ISSUER, Node};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Records every change, for as long as it is polled.
pub(crate) async fn run(node: &Node) {
    let mut failed = false;
    loop {
        let recorded = record(node).await;
        if let Err(error) = &recorded
            && !failed
        {
            tracing::error!(%error, "changes of the vault are not recorded yet");
        }
        failed = recorded.is_err();
        match recorded {
            Ok(true) => continue,
            // Without a vault nothing changes any more; what was noted before is recorded all the same.
            Ok(false) if node.config.vault_key.is_none() => return,
            Ok(false) | Err(_) => tokio::time::sleep(EVERY).await,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    State(#[from] store::Error),
    #[error(transparent)]
    NotRecorded(#[from] crate::recorder::NotRecorded),
    #[error("it was broken off")]
    BrokenOff(#[from] tokio::task::JoinError),
}

/// Records some of them; says whether there were any. If Sluice dies between the two halves, or the disk takes too long, the
/// journal has a change more than once, and never not at all.
async fn record(node: &Node) -> Result<bool, Failure> {
    let state = Arc::clone(&node.state);
    let changes = tokio::task::spawn_blocking(move || state.vault_changes()).await??;
    let Some(last) = changes.last().map(|change| change.number) else { return Ok(false) };
    node.recorder.record(changes.into_iter().map(entry).collect(), Level::Power).await?;
    let state = Arc::clone(&node.state);
    tokio::task::spawn_blocking(move || state.vault_changes_recorded(last)).await??;
    Ok(true)
}

fn entry(change: VaultChange) -> Entry {
    let subject = SubjectKey { issuer: LOCAL_ISSUER.into(), id: change.by.into() };
    let (action, object) = (change.action.into(), change.name.into());
    Entry { at: change.at, event: Event::AdminAction { subject, action, object, outcome: Outcome::Allow } }
}
