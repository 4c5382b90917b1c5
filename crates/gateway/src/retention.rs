//! How long tapes are kept. One that is removed leaves an entry in the journal, written before anything is removed; the
//! journal itself keeps every entry, so that it verifies as before.

use std::sync::Arc;
use std::time::Duration;

use ledger::tape;
use ledger::{Level, RealDisk};
use model::event::Event;
use model::id::SessionId;
use model::subject::SubjectKey;
use model::time::Timestamp;
use store::audit::SessionSearch;

use crate::clock;
use crate::node::Node;
use crate::recorder::{NotRecorded, entry};

/// How often tapes are looked at.
const LOOK: Duration = Duration::from_secs(3600);

/// Why a tape was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// There is none.
    #[error("there is no tape of this session")]
    Missing,
    /// The session still runs.
    #[error("the session still runs: end it first")]
    Live,
    /// That it is removed cannot be recorded.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// The disk failed. What was said in the journal is done when it is tried again.
    #[error("the tape cannot be removed: {0}")]
    Disk(#[from] std::io::Error),
}

/// Removes what is due, at once and then every [`LOOK`], for as long as it is polled.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        sweep(&node, clock::now()).await;
        tokio::time::sleep(LOOK).await;
    }
}

/// Removes the tapes whose time is over at `now`; says how many.
pub async fn sweep(node: &Arc<Node>, now: Timestamp) -> usize {
    let reading = Arc::clone(node);
    let due = tokio::task::spawn_blocking(move || due(&reading, now)).await;
    let due = match due {
        Ok(Ok(due)) => due,
        Ok(Err(error)) => {
            tracing::error!(%error, "tapes cannot be looked at");
            return 0;
        }
        Err(_) => return 0,
    };
    let mut removed = 0usize;
    for (session, kept) in due {
        let reason = format!("it was kept for {} days", kept.as_secs() / (24 * 3600));
        match remove_tape(node, session, &reason, None).await {
            Ok(()) => removed = removed.saturating_add(1),
            Err(error) => tracing::error!(%session, %error, "a tape whose time is over stays"),
        }
    }
    removed
}

/// Why tapes cannot be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Disk(#[from] std::io::Error),
    #[error(transparent)]
    State(#[from] store::Error),
}

/// The tapes whose time is over, and how long that was. Blocks.
fn due(node: &Node, now: Timestamp) -> Result<Vec<(SessionId, Duration)>, LookError> {
    let targets = node.revisions.current();
    if targets.targets.values().all(|target| target.retention.is_none()) {
        return Ok(Vec::new());
    }
    let mut due = Vec::new();
    for session in tape::sessions(&RealDisk, &node.layout().tapes())? {
        let search = SessionSearch { session: Some(session), limit: 1, ..SessionSearch::default() };
        let Some(found) = node.state.sessions(&search)?.into_iter().next() else { continue };
        let Some(kept) = targets.targets.get(found.target.as_str()).and_then(|target| target.retention) else {
            continue;
        };
        // One whose end nobody wrote ended with its credential.
        let ended = found.closed.map_or(found.expires_at.max(found.opened_at), |closed| closed.at);
        let is_over = now.0.saturating_sub(ended.0) > u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        if is_over && node.sessions.find(session).is_none() {
            due.push((session, kept));
        }
    }
    Ok(due)
}

/// Removes a session's tape for good: its key is destroyed and its file removed, once the journal says so.
///
/// # Errors
/// See [`RemoveError`].
pub async fn remove_tape(
    node: &Arc<Node>,
    session: SessionId,
    reason: &str,
    by: Option<SubjectKey>,
) -> Result<(), RemoveError> {
    if node.sessions.find(session).is_some() {
        return Err(RemoveError::Live);
    }
    let looking = node.layout().tapes();
    let there = tokio::task::spawn_blocking(move || tape::exists(&RealDisk, &looking, session)).await;
    if !there.map_err(std::io::Error::other)?? {
        return Err(RemoveError::Missing);
    }
    let event = Event::TapeRemoved { session, reason: reason.into(), by };
    node.recorder.record(vec![entry(event)], Level::Power).await?;
    Ok(crate::archive::remove(node, session).await?)
}
