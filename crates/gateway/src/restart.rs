//! What an earlier process left half done, settled before anything is forwarded.

use model::event::Event;
use store::State;

use crate::recorder::Recorder;

/// Approvals that were spent and whose requests never ended: nobody knows whether they ran. They are journaled so, and
/// never run again (AP-11).
pub(crate) fn settle(state: &dyn State, recorder: &Recorder) -> Result<(), store::Error> {
    for (approval, request) in state.unresolved()? {
        tracing::warn!(%approval, %request, "outcome unknown: the process ended while this ran");
        recorder.note(Event::OutcomeUnknown { approval, request });
        state.completed(approval, request)?;
    }
    Ok(())
}
