//! The session that a request belongs to: one that lives on its connection, or a new one, if the caller may have it.
//!
//! What may not be known before that is not told: an unknown target and a missing permission get the same answer, and the
//! journal has the true reason.

use std::sync::Arc;

use model::effect::Object;
use model::id::{Digest, SessionId};
use model::subject::Subject;

use super::asking::place_of;
use super::connection::Connection;
use super::identify::Shown;
use super::refusal::Refusal;
use super::session::{Begun, Place, Running, Session, Standing};
use crate::clock;
use crate::session_tape::SessionTape;
use crate::sessions::Signals;

/// Why a request belongs to no session: what the caller is told, and the true reason for the journal.
pub(super) struct NotAdmitted {
    pub(super) refusal: Refusal,
    pub(super) reason: String,
}

impl NotAdmitted {
    /// Refused so, for this reason.
    pub(super) fn new(refusal: Refusal, reason: impl Into<String>) -> Self {
        Self { refusal, reason: reason.into() }
    }

    /// Nobody is known by what was shown.
    pub(super) fn unknown(reason: impl ToString) -> Self {
        Self::new(Refusal::Unauthenticated, reason.to_string())
    }

    /// Nothing but its browser says who asks, of a page that may not.
    pub(super) fn page(refusal: Refusal) -> Self {
        Self::new(refusal, "a page of another origin asks, and nothing in the request says who")
    }

    /// What it would belong to ends.
    pub(super) fn gone(reason: &str) -> Self {
        Self::new(Refusal::Gone, reason)
    }

    /// Likewise, told as a proxy tells it.
    pub(super) fn by_a_proxy(self) -> Self {
        match self.refusal {
            Refusal::Unauthenticated => Self { refusal: Refusal::ProxyUnauthenticated, ..self },
            _ => self,
        }
    }

    fn not_allowed(reason: impl Into<String>) -> Self {
        Self::new(Refusal::NotAllowed, reason)
    }

    fn not_recorded(reason: impl ToString) -> Self {
        Self::new(Refusal::NotRecorded, reason.to_string())
    }
}

/// Finds or begins the session of whoever is `shown` at `place`, and the request in it. Without a place nobody is admitted,
/// but verified all the same: whether there is a target is not to be told from the answer or its time.
pub(super) async fn admit(
    connection: &Arc<Connection>,
    shown: &Shown,
    place: Option<Place>,
) -> Result<(Arc<Session>, Running), NotAdmitted> {
    let credential = shown.digest();
    if let Some(known) = known(connection, shown, credential, place.as_ref()).await {
        shown.use_once(connection, &known.0.standing().subject.key).map_err(NotAdmitted::unknown)?;
        return Ok(known);
    }
    let at = place.as_ref().map_or("", |place| &*place.model.name);
    let subject = shown.verify(connection, at).await.map_err(NotAdmitted::unknown)?;
    shown.use_once(connection, &subject.key).map_err(NotAdmitted::unknown)?;
    let place = place.ok_or_else(|| NotAdmitted::not_allowed("no target has this host or path"))?;
    let mut sessions = connection.sessions.lock().await;
    if connection.over.is_cancelled() {
        return Err(NotAdmitted::not_allowed("the connection ends"));
    }
    sessions.retain(|session| !session.is_over());
    if let Some(session) = sessions.iter().find(|session| is_same(session, &place, &subject))
        && let Some(running) = session.begin()
    {
        renew(session, subject, credential, shown);
        return Ok((Arc::clone(session), running));
    }
    let session = begin(connection, shown, subject, place, credential).await?;
    let running = session.begin().ok_or_else(|| NotAdmitted::not_allowed("the session ended as it began"))?;
    sessions.push(Arc::clone(&session));
    connection.is_logged_in();
    Ok((session, running))
}

/// The session that lives by this very credential: who looks after it sees to it that the credential is good still.
async fn known(
    connection: &Connection,
    shown: &Shown,
    credential: Digest,
    place: Option<&Place>,
) -> Option<(Arc<Session>, Running)> {
    let name = &place?.model.name;
    let sessions = connection.sessions.lock().await;
    let is_it = |session: &&Arc<Session>| {
        let standing = session.standing();
        session.lives_by(credential) && standing.place.model.name == *name && shown.suits(standing.subject.binding)
    };
    let session = sessions.iter().find(is_it)?;
    Some((Arc::clone(session), session.begin()?))
}

/// Whether a session is this caller's, with neither more nor less than it may.
fn is_same(session: &Session, place: &Place, subject: &Subject) -> bool {
    let standing = session.standing();
    let known = &standing.subject;
    standing.place.model.name == place.model.name
        && known.is_same_caller(subject)
        && known.groups == subject.groups
        && known.binding == subject.binding
}

/// A session lives by the credential that ends last.
fn renew(session: &Session, subject: Subject, credential: Digest, shown: &Shown) {
    if subject.expires_at > session.standing().subject.expires_at
        && let Err(end) = session.live_by(subject, credential, shown.svid().cloned())
    {
        session.end(end);
    }
}

async fn begin(
    connection: &Arc<Connection>,
    shown: &Shown,
    subject: Subject,
    place: Place,
    credential: Digest,
) -> Result<Arc<Session>, NotAdmitted> {
    let (node, source) = (&connection.node, connection.source);
    let id = clock::random_bits().map(SessionId::from_bits).map_err(NotAdmitted::not_recorded)?;
    let active = node.revisions.current();
    // As this revision has it: another may have come while the caller was verified.
    let is_same = |now: &Place| now.target.host == place.target.host && now.target.port == place.target.port;
    let now = place_of(&active, &place.model.name).filter(is_same);
    let place = now.ok_or_else(|| NotAdmitted::not_allowed("the target is no longer configured"))?;
    let standing = Standing::new(node, active, place, subject, source);
    standing.may_connect(Object::Target, source).map_err(NotAdmitted::not_allowed)?;
    let (subject, place) = (&standing.subject, &standing.place);
    let most = node.config.limits.max_sessions_per_subject;
    let too_many =
        || NotAdmitted::new(Refusal::TooManySessions(most), format!("{} has {most} sessions already", subject.key));
    let among_its_subjects = node.sessions.admit_subject(&subject.key, most).ok_or_else(too_many)?;
    let _opened = standing.record_opening(node, id, source, "http").await.map_err(NotAdmitted::not_recorded)?;
    let tape = SessionTape::begin(node, id, &place.target).await.map_err(NotAdmitted::not_recorded)?;
    let signals: Arc<Signals> = Arc::default();
    let certificate = connection.certificate.as_ref().map(crate::tls::ClientCertificate::thumbprint);
    let live = standing.live(id, source, certificate);
    signals.live_by(subject.token_id.clone());
    tracing::info!(session = %id, subject = %subject.key, target = %place.model.name, "session opened");
    let entered = node.sessions.enter(live, Arc::clone(&signals), None, among_its_subjects);
    node.metrics.sessions.inc();
    node.metrics.sessions_opened.inc();
    let session = Session::new(Begun {
        node: Arc::clone(node),
        id,
        source,
        standing,
        tape,
        signals,
        entered,
        svid: shown.svid().cloned(),
        credential,
        idle_timeout: connection.shared.settings.idle_timeout,
    });
    watch(connection, &session);
    Ok(session)
}

/// Looks after a session, and ends the connection with it if it was the only one.
fn watch(connection: &Arc<Connection>, session: &Arc<Session>) {
    let (watching, watched) = (Arc::clone(connection), Arc::clone(session));
    connection.spawn(async move {
        let takes_connection = watched.watch().await;
        if takes_connection && watching.sessions.lock().await.iter().all(|session| session.is_over()) {
            watching.over.cancel();
        }
    });
}
