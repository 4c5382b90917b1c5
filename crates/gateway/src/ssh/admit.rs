//! From a verified caller to a session: where it wants to be, whether it may, and that it is recorded.
//!
//! What may not be known before that is not told: a refused identity, an unknown target and a missing permission all get the
//! same answer, and the journal has the true reason.

use std::sync::Arc;

use model::effect::Object;
use model::subject::Subject;
use wire::ssh::destination::Wanted;

use super::server::Connection;
use super::session::{Begun, Credential, Session, Standing};
use super::target;
use crate::session_tape::SessionTape;
use crate::sessions::Signals;

/// Begins a session for a verified caller.
///
/// # Errors
/// The true reason why not, for the journal.
pub(super) async fn admit(
    connection: &Arc<Connection>,
    user: &str,
    subject: Subject,
    credential: Credential,
) -> Result<Arc<Session>, String> {
    let (node, id, source) = (&connection.node, connection.id, connection.source);
    let wanted = Wanted::parse(user).map_err(|error| error.to_string())?;
    let active = node.revisions.current();
    let place = target::place(&active, wanted.target, wanted.login);
    let place = place.ok_or_else(|| format!("no target has this name and login: {user:?}"))?;
    let standing = Standing::new(node, active, place, subject, source);
    standing.may_connect(Object::Login, source)?;
    let (subject, place) = (&standing.subject, &standing.place);
    let most = node.config.limits.max_sessions_per_subject;
    let among_its_subjects = node
        .sessions
        .admit_subject(&subject.key, most)
        .ok_or_else(|| format!("{} has {most} sessions already", subject.key))?;
    let opened = standing.record_opening(node, id, source, "ssh").await.map_err(|error| error.to_string())?;
    let tape = SessionTape::begin(node, id, &place.target).await?;
    let signals: Arc<Signals> = Arc::default();
    signals.live_by(subject.token_id.clone());
    tracing::info!(session = %id, subject = %subject.key, target = %place.model.name, "session opened");
    let entered = node.sessions.enter(standing.live(id, source, None), Arc::clone(&signals), None, among_its_subjects);
    let connection = Arc::clone(connection);
    Ok(Session::new(Begun { connection, opened, standing, tape, signals, entered, credential }))
}
