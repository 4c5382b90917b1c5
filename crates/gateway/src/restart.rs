//! What an earlier process left half done, settled before anything is forwarded.

use std::collections::HashMap;

use model::event::Event;
use model::id::{ApprovalId, RequestId};
use store::State;
use store::approval::Spent;

use crate::clock;
use crate::recorder::Recorder;

/// Why what was left cannot be settled; then nothing may be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// State cannot be read or written.
    #[error(transparent)]
    State(#[from] store::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ledger::ReadError),
}

/// Settles everything.
///
/// # Errors
/// If state or the journal cannot be used.
pub(crate) fn settle(state: &dyn State, recorder: &Recorder) -> Result<(), SettleError> {
    catch_up(state, recorder)?;
    Ok(report_unknown(state, recorder)?)
}

/// Tells state what the journal knows to be spent or ended, so that a restored backup of it revives no approval (AP-12).
fn catch_up(state: &dyn State, recorder: &Recorder) -> Result<(), SettleError> {
    let (mut spent, mut by_request) = (HashMap::<ApprovalId, Spent>::new(), HashMap::<RequestId, ApprovalId>::new());
    let mut ended = Vec::new();
    let mut reader = recorder.journal().reader(0);
    while let Some((_, entry)) = reader.next()? {
        match entry.event {
            Event::ApprovalConsumed { approval, request } => {
                spent.insert(approval, Spent { approval, request, at: entry.at, completed: false });
                by_request.insert(request, approval);
            }
            Event::Completed { request, .. } | Event::OutcomeUnknown { request, .. } => {
                let approval = by_request.remove(&request);
                if let Some(spent) = approval.and_then(|approval| spent.get_mut(&approval)) {
                    spent.completed = true;
                }
            }
            Event::ApprovalEnded { approval, .. } => ended.push(approval),
            _ => {}
        }
    }
    let spent: Vec<Spent> = spent.into_values().collect();
    state.mark_consumed(&spent)?;
    for approval in ended {
        // Open again, it came back with a backup.
        state.withdraw(approval, "it had ended before the state was restored", clock::now())?;
    }
    Ok(())
}

/// Approvals that were spent and whose requests never ended: nobody knows whether they ran. They are journaled so, and
/// never run again (AP-11).
fn report_unknown(state: &dyn State, recorder: &Recorder) -> Result<(), store::Error> {
    for (approval, request) in state.unresolved()? {
        tracing::warn!(%approval, %request, "outcome unknown: the process ended while this ran");
        recorder.note(Event::OutcomeUnknown { approval, request });
        state.completed(approval, request)?;
    }
    Ok(())
}
