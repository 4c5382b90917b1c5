//! What people do is in the journal before it is given out as done.

use std::sync::Arc;

use gateway::recorder::{NotRecorded, entry};
use ledger::Level;
use model::decision::Outcome;
use model::event::Event;
use model::subject::SubjectKey;

use crate::access::Caller;
use crate::app::App;
use crate::problem::Problem;

/// Who does something.
pub(crate) trait Actor {
    /// As the record names them.
    fn key(&self) -> &SubjectKey;
}

impl Actor for Caller {
    fn key(&self) -> &SubjectKey {
        &self.subject.key
    }
}

/// Somebody who is no caller of the admin API: an issuer that sends an event, or whoever gives up a token.
impl Actor for SubjectKey {
    fn key(&self) -> &SubjectKey {
        self
    }
}

/// Records that `actor` does `action` to `object`, durably, together with everything that was noted before it.
///
/// # Errors
/// The journal cannot be written. The entry is kept and goes into the journal before anything else does, so that no
/// request can profit from an act that is not recorded.
pub(crate) async fn act(
    app: &App,
    actor: &impl Actor,
    action: &str,
    object: impl Into<Arc<str>>,
) -> Result<(), Problem> {
    let event = Event::AdminAction {
        subject: actor.key().clone(),
        action: action.into(),
        object: object.into(),
        outcome: Outcome::Allow,
    };
    record(app, event.clone()).await.map_err(|_| {
        app.node.recorder.note(event);
        Problem::not_recorded()
    })
}

/// Records something durably before it is done.
///
/// # Errors
/// It is not in the journal, and so must not be done.
pub(crate) async fn record(app: &App, event: Event) -> Result<(), NotRecorded> {
    app.node.recorder.record(vec![entry(event)], Level::Power).await.map(|_| ())
}

/// Notes that the caller was not let.
pub(crate) fn refused(app: &App, caller: &Caller, action: &str, object: impl Into<Arc<str>>) {
    app.node.recorder.note(Event::AdminAction {
        subject: caller.subject.key.clone(),
        action: action.into(),
        object: object.into(),
        outcome: Outcome::Deny,
    });
}

/// Whether anything can be recorded now: asked before state is changed.
pub(crate) fn is_writable(app: &App) -> Result<(), Problem> {
    if app.node.recorder.is_writable() { Ok(()) } else { Err(Problem::not_recorded()) }
}
