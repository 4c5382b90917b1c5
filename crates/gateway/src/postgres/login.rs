//! From an accepted connection to a session: encryption, identity, target, in that order.
//!
//! What may not be known before the login succeeds is not told: a refused identity, an unknown database and a missing
//! permission all get the same answer, and the journal has the true reason.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use effects::postgres::settings;
use identity::IdentityError;
use ledger::Level;
use masking::postgres::Outbox;
use model::effect::{Effect, Object, SettingClass, Verb};
use model::event::Event;
use model::id::SessionId;
use model::subject::{Subject, SubjectKey};
use rustls::ServerConfig;
use store::config::TargetConfig;
use tokio::net::TcpStream;
use tokio::time::Instant;
use wire::postgres::backend::{Authentication, Backend, TransactionStatus};
use wire::postgres::encode::Severity;
use wire::postgres::frame::Limits;
use wire::postgres::part::Bytes as Part;
use wire::postgres::pipeline::Pipeline;
use wire::postgres::startup::{SESSION_PARAMETER, Version};

use super::analysed::{Epoch, Memo};
use super::credential;
use super::names::Names;
use super::opening::{Applicant, Failed, Opening, Wanted, open};
use super::refusal::Told;
use super::rest::Given;
use super::roles;
use super::say;
use super::server::Server;
use super::session::{Caller, Place, Session};
use super::upstream::Connected;
use super::wall::{self, Wall};
use crate::clock;
use crate::gate::{ClientSide, Released};
use crate::listener::Accepted;
use crate::node::Node;
use crate::recorder::{NotRecorded, entry};
use crate::revision::Active;
use crate::session_tape::SessionTape;
use crate::sessions::{CancelKey, LiveSession, Renewal, Signals};

/// Why a connection does not become a session: the true reason for the journal, the answer for the caller.
pub(super) struct Refusal {
    reason: String,
    told: Option<Told>,
}

impl Refusal {
    /// Ends without a word: there is nobody to tell, or telling could be mistaken for an answer.
    pub(super) fn silent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), told: None }
    }

    pub(super) fn tell(reason: impl Into<String>, sqlstate: &'static str, message: &str, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let told = Told { sqlstate, message: message.to_owned(), detail: None, hint };
        Self { reason: reason.into(), told: Some(told) }
    }

    /// The one answer to whoever is not let in.
    pub(super) fn generic(reason: impl Into<String>) -> Self {
        let hint =
            "Check the token, the database name and your permission to connect; your operator can look the session up.";
        Self::tell(reason, "28000", "the connection is not allowed", hint)
    }

    /// Adds for the journal why the client's certificate did not settle who it is.
    pub(super) fn beside(mut self, certificate: Option<&IdentityError>) -> Self {
        if let Some(error) = certificate {
            self.reason = format!("{}; and {error}", self.reason);
        }
        self
    }

    pub(super) fn target(reason: impl Into<String>) -> Self {
        Self::tell(
            reason,
            "08006",
            "the target cannot be reached",
            "Try again in a moment; if it lasts, tell your operator.",
        )
    }
}

/// How long a client that cancels waits at most for that to be passed on.
const PASSING_ON: Duration = Duration::from_secs(10);

/// Serves one connection to its end.
pub(super) async fn serve(node: Arc<Node>, accepted: Accepted, tls: Arc<ServerConfig>) {
    let Accepted { stream, source, logging_in } = accepted;
    // In a box, so that the task of a session that goes on has no room for its login.
    let began = Box::pin(let_in(&node, stream, source, tls)).await;
    drop(logging_in);
    let Some((ready, entered)) = began else { return };
    let session = ready.caller.session;
    let end = ready.run().await;
    tracing::info!(%session, reason = end.reason(), "session closed");
    drop(entered);
    node.metrics.sessions.dec();
}

/// Brings a connection to the beginning of its session, unless it is refused, or was only there to cancel.
async fn let_in(
    node: &Arc<Node>,
    stream: TcpStream,
    source: IpAddr,
    tls: Arc<ServerConfig>,
) -> Option<(Box<Session>, crate::sessions::Entered)> {
    let session = SessionId::from_bits(clock::random_bits().ok()?);
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + node.config.limits.login_timeout;
    let too_long = || (Refusal::silent("the login took too long"), None);
    let opened = tokio::time::timeout_at(deadline, open(stream, tls)).await;
    let begun = match opened {
        Ok(Ok(Opening::Session(applicant))) => {
            let logging_in = log_in(node, session, source, applicant);
            let logged_in = tokio::time::timeout_at(deadline + node.config.limits.connect_timeout, logging_in).await;
            match logged_in {
                Ok(begun) => begun,
                Err(_) => Err(too_long()),
            }
        }
        Ok(Ok(Opening::Renewal(applicant, sessions))) => {
            let renewing = Box::pin(super::renewal::renew(node, applicant, sessions));
            match tokio::time::timeout_at(deadline, renewing).await {
                Ok(Ok(())) => return None,
                Ok(Err(failed)) => Err(failed),
                Err(_) => Err(too_long()),
            }
        }
        Ok(Ok(Opening::Cancel(key, leg))) => {
            if let Some(passed_on) = node.sessions.cancel(&key) {
                let _ = tokio::time::timeout(PASSING_ON, passed_on).await;
            }
            drop(leg);
            return None;
        }
        Ok(Err(failed)) => Err(failed),
        Err(_) => Err(too_long()),
    };
    match begun {
        Ok(ready) => Some(ready),
        Err((refusal, leg)) => {
            refuse(node, session, source, refusal, leg).await;
            None
        }
    }
}

/// Journals why a connection was turned away, and tells the client what it may know.
async fn refuse(node: &Node, session: SessionId, source: IpAddr, refusal: Refusal, side: Option<ClientSide>) {
    node.metrics.sessions_refused.inc();
    tracing::info!(%session, reason = refusal.reason, "connection refused");
    node.recorder.note(Event::SessionRefused { session, source, reason: refusal.reason.into() });
    let (Some(mut told), Some(mut side)) = (refusal.told, side) else { return };
    told.detail = Some(format!("Session {session}."));
    let mut message = Vec::new();
    say::report(&mut message, Severity::Fatal, &told);
    speak(&mut side, node, &message);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), side.leg().close()).await;
}

/// Says something of Sluice's own before there is a session.
pub(super) fn speak(side: &mut ClientSide, node: &Node, message: &[u8]) {
    let mut outbox = Outbox::new(blind(node));
    if outbox.own(message).is_ok() {
        side.send(Released::untaped(outbox.finish()));
    }
}

/// A lens that shows nothing: for what Sluice says before it knows who listens.
fn blind(node: &Node) -> Arc<masking::Lens> {
    let active = node.revisions.current();
    let settings =
        masking::Settings { classes: &active.classification.classes, on_unmaskable: masking::OnUnmaskable::Null };
    masking::Lens::new(&node.mask_keys, settings, &mut |_| model::decision::Reveal::Masked(None))
}

/// Authenticates the client, connects it to its target, and makes the session.
async fn log_in(
    node: &Arc<Node>,
    id: SessionId,
    source: IpAddr,
    mut applicant: Applicant,
) -> Result<(Box<Session>, crate::sessions::Entered), Failed> {
    match admit(node, id, source, &mut applicant).await {
        Ok(admitted) => Ok(begin(node, id, source, applicant, admitted)),
        Err(refusal) => Err((refusal, Some(applicant.side))),
    }
}

/// Everything that a session needs to begin.
struct Admitted {
    subject: Subject,
    place: Place,
    active: Arc<Active>,
    policies: Arc<policy::SubjectPolicies>,
    lens: Arc<masking::Lens>,
    catalog: Arc<super::catalogs::Snapshot>,
    connected: Connected,
    opened: ledger::Receipt,
    tape: SessionTape,
    signals: Arc<Signals>,
    cancel: CancelKey,
    among_its_subjects: crate::sessions::Admitted<SubjectKey>,
}

async fn admit(
    node: &Arc<Node>,
    id: SessionId,
    source: IpAddr,
    applicant: &mut Applicant,
) -> Result<Admitted, Refusal> {
    let active = node.revisions.current();
    let server = active.route(&applicant.wanted.database).and_then(Server::of);
    // What has no target is verified all the same: whether there is one is not to be told from the answer or its time.
    let at = server.as_ref().map_or("", |server| server.name());
    let subject = credential::identify(node, applicant, at).await?;
    let server = server.ok_or_else(|| Refusal::generic("no target has this database"))?;
    let wanted = &applicant.wanted;
    let policies = active.policies_for(&subject);
    let mut place = Place {
        model: Arc::new(server.config.target.clone()),
        server,
        database: Arc::clone(&wanted.database),
        cancel: Arc::default(),
    };
    may_connect(&policies, &place, &subject, source, &wanted.settings)?;
    let among_its_subjects = one_of_its_places(node, &subject.key)?;
    let opened = record_opening(node, id, source, &subject, &place, wanted, active.id).await?;
    let catalog = node.catalogs.current(node, &place).await.map_err(|error| Refusal::target(error.to_string()))?;
    let lens = super::revise::lens(node, &active, &policies, &place, &catalog, &subject, source);
    let mut settings = wanted.settings.clone();
    settings.extend(Wall::opened(&policies, &place).setting());
    let connected = roles::connect(node, &place, id, &settings).await;
    let mut connected = connected.map_err(|error| Refusal::target(error.to_string()))?;
    place.cancel = Arc::new(std::mem::take(&mut connected.cancel));
    let tape = tape(node, id, &place.server.config).await?;
    let cancel = cancel_key(wanted.version).map_err(|error| Refusal::silent(error.to_string()))?;
    let signals = Arc::default();
    Ok(Admitted {
        subject,
        place,
        active,
        policies,
        lens,
        catalog,
        connected,
        opened,
        tape,
        signals,
        cancel,
        among_its_subjects,
    })
}

/// A place among the sessions of the subject: whoever is let in may still not take every session there is.
fn one_of_its_places(node: &Node, subject: &SubjectKey) -> Result<crate::sessions::Admitted<SubjectKey>, Refusal> {
    let most = node.config.limits.max_sessions_per_subject;
    node.sessions.admit_subject(subject, most).ok_or_else(|| {
        let hint = "End a session, or wait until one ends; your operator can raise limits.max_sessions_per_subject.";
        let message = format!("you have {most} sessions already, which is the most that one subject may have");
        Refusal::tell(format!("{subject} has {most} sessions already"), "53300", &message, hint)
    })
}

fn cancel_key(version: Version) -> Result<CancelKey, clock::NoRandomness> {
    let process = i32::from_be_bytes(clock::random::<4>()?) & i32::MAX;
    let secret =
        if version >= Version::V3_2 { clock::random::<32>()?.to_vec() } else { clock::random::<4>()?.to_vec() };
    Ok(CancelKey { process_id: process.max(1), secret })
}

/// Begins the tape.
async fn tape(node: &Arc<Node>, id: SessionId, target: &TargetConfig) -> Result<SessionTape, Refusal> {
    let failed = |error: String| {
        let hint = "Try again; if it lasts, tell your operator.";
        Refusal::tell(error, "58030", "the session cannot be recorded", hint)
    };
    SessionTape::begin(node, id, target).await.map_err(failed)
}

/// Whether the subject may open a session here, with these settings.
fn may_connect(
    policies: &policy::SubjectPolicies,
    place: &Place,
    subject: &Subject,
    source: IpAddr,
    wanted: &[(String, String)],
) -> Result<(), Refusal> {
    let mut effects = Vec::new();
    for (name, value) in wanted {
        let pinned = settings::is_pinned_value(name, value);
        let class = if pinned { SettingClass::Benign } else { settings::classify(name) };
        effects.push(Effect::new(Verb::Set, Object::Setting(name.to_ascii_lowercase().into(), class)));
        if settings::pinned(name).is_some() && !pinned {
            let message = format!("{name} is pinned by Sluice");
            return Err(Refusal::tell(message.clone(), "0A000", &message, "Leave the setting out."));
        }
    }
    let connect = [Effect::new(Verb::Connect, Object::Database)];
    if let Err((missing, message)) = permits(policies, place, subject, source, &connect) {
        let groups = subject.groups.join(", ");
        return Err(Refusal::generic(format!("{} of [{groups}] may not {missing}: {message}", subject.key)));
    }
    if effects.is_empty() {
        return Ok(());
    }
    let lifts = |(name, value): &(String, String)| settings::lifts_read_only(name, Some(value));
    if wanted.iter().any(lifts) && Wall::opened(policies, place).wanted {
        return Err(Refusal::tell(wall::MESSAGE, "42501", wall::MESSAGE, wall::HINT));
    }
    permits(policies, place, subject, source, &effects).map_err(|(missing, message)| {
        let told = format!("{message}: {missing}");
        Refusal::tell(
            format!("{} may not {missing}", subject.key),
            "42501",
            &told,
            "Leave the setting out of the connection.",
        )
    })
}

/// Whether policy permits these effects to a session that is about to open; if not, what is missing and why.
fn permits(
    policies: &policy::SubjectPolicies,
    place: &Place,
    subject: &Subject,
    source: IpAddr,
    effects: &[Effect],
) -> Result<(), (String, String)> {
    let context = policy::Context::at_the_start(subject, source, clock::now());
    let verdict = place.bench(policies, &model::class::Labels::default()).opening(effects, &context);
    if verdict.outcome() == model::decision::Outcome::Allow {
        return Ok(());
    }
    Err(match verdict.denial() {
        Some(denial) => (denial.missing.to_string(), denial.message.to_string()),
        None => ("connect".to_owned(), "a connection cannot wait for an approval".to_owned()),
    })
}

async fn record_opening(
    node: &Node,
    session: SessionId,
    source: IpAddr,
    subject: &Subject,
    place: &Place,
    wanted: &Wanted,
    revision: model::id::RevisionId,
) -> Result<ledger::Receipt, Refusal> {
    let event = Event::SessionOpened {
        session,
        subject: subject.clone(),
        target: Arc::clone(&place.model.name),
        database: Arc::clone(&place.database),
        source,
        application: Arc::clone(&wanted.application),
        revision,
    };
    let failed = |why: NotRecorded| match why {
        NotRecorded::Unwritable => {
            let hint = "Try again; if it lasts, tell your operator.";
            Refusal::tell(why.to_string(), "58030", "the session cannot be recorded", hint)
        }
        NotRecorded::TooLong => {
            let hint = "Let your issuer put fewer groups into the token.";
            Refusal::tell(
                "the token's groups are too long for an entry of the journal",
                "54000",
                "the token names more than can be recorded",
                hint,
            )
        }
    };
    let receipts = node.recorder.record(vec![entry(event)], Level::Process).await.map_err(failed)?;
    receipts.into_iter().next().ok_or_else(|| failed(NotRecorded::Unwritable))
}

/// Tells the client that it is in, and hands over to the session.
fn begin(
    node: &Arc<Node>,
    id: SessionId,
    source: IpAddr,
    applicant: Applicant,
    admitted: Admitted,
) -> (Box<Session>, crate::sessions::Entered) {
    let Admitted {
        subject,
        place,
        active,
        policies,
        lens,
        catalog,
        connected,
        opened,
        tape,
        signals,
        cancel,
        among_its_subjects,
    } = admitted;
    let opened_at = clock::now();
    let live = LiveSession {
        session: id,
        subject: subject.key.clone(),
        on_behalf_of: subject.on_behalf_of.clone(),
        target: Arc::clone(&place.model.name),
        database: Arc::clone(&place.database),
        source,
        opened_at,
        binding: subject.binding,
        certificate: applicant.proven().certificate,
        awaits_observer: Vec::new(),
    };
    signals.live_by(subject.token_id.clone());
    let entered = node.sessions.enter(live, Arc::clone(&signals), Some(cancel.clone()), among_its_subjects);
    node.metrics.sessions.inc();
    node.metrics.sessions_opened.inc();
    tracing::info!(session = %id, subject = %subject.key, target = %place.model.name, "session opened");
    let mut side = applicant.side;
    greet(&mut side, &lens, &connected, &cancel, applicant.wanted.wants_id.then_some(id));
    let limits = session_limits(node);
    let wall = Wall::opened(&policies, &place);
    let Renewal { subject, svid } = Renewal::new(subject, applicant.certificate.as_ref());
    let session = Session {
        node: Arc::clone(node),
        caller: Caller {
            session: id,
            ends_at: crate::sessions::ends_at(node, &subject),
            subject,
            certificate: applicant.certificate,
            svid,
            source,
            opened_at,
            reason: None,
            user: None,
            local_user: None,
        },
        place,
        signals,
        epoch: Epoch { revision: active.id, catalog: 1, state: 1 },
        active,
        policies,
        outbox: Outbox::new(Arc::clone(&lens)),
        lens,
        shared: Arc::clone(&catalog),
        catalog,
        overlay: false,
        overlay_at: std::time::Instant::now(),
        followed: None,
        wall,
        state_changed: true,
        catalog_changed: false,
        transaction_changed: false,
        memo: Memo::default(),
        names: Names::default(),
        runs: std::collections::BTreeMap::new(),
        last_request: 0,
        pending_request: None,
        unsettled: 0,
        in_pipeline: false,
        awaiting_sync: false,
        transaction_hides: false,
        stall: None,
        waiting: None,
        script: None,
        own: None,
        own_unreadable: false,
        copy_starting: None,
        held: None,
        held_request: None,
        estimate: None,
        pipeline: Pipeline::new(connected.status),
        staged: Vec::new(),
        entries: Vec::new(),
        level: Level::Process,
        opened,
        receipts: std::collections::BTreeMap::new(),
        tape,
        client: side,
        target: connected.side,
        credential: connected.held,
        limits,
        cancelled: false,
        cut: false,
        accounted: None,
        draining: None,
        last_activity: Instant::now(),
        given: Given::Nothing,
        timer: Box::pin(tokio::time::sleep(node.config.sessions.drain)),
    };
    (Box::new(session), entered)
}

fn session_limits(node: &Node) -> Limits {
    let configured = &node.config.limits;
    let bytes = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    Limits {
        statement: bytes(configured.max_statement),
        parameters: bytes(configured.max_message),
        copy_in: bytes(configured.max_message),
        row: bytes(configured.max_message),
        ..Limits::default()
    }
}

/// AuthenticationOk, the settings that the target reports, the session's id for whoever asked, our own cancel key, and
/// ReadyForQuery.
fn greet(
    side: &mut ClientSide,
    lens: &Arc<masking::Lens>,
    connected: &Connected,
    cancel: &CancelKey,
    told: Option<SessionId>,
) {
    let mut outbox = Outbox::new(Arc::clone(lens));
    let mut message = Vec::new();
    let _ = Backend::Authentication(Authentication::Ok).encode(&mut message);
    let _ = outbox.own(&message);
    for (name, value) in &connected.parameters {
        outbox.parameter_status(name.as_bytes(), value.as_bytes());
    }
    message.clear();
    if let Some(id) = told {
        super::renewal::report(&mut message, SESSION_PARAMETER, &id.to_string());
    }
    let key = wire::postgres::backend::BackendKeyData {
        process: u32::from_be_bytes(cancel.process_id.to_be_bytes()),
        key: Part::from(cancel.secret.as_slice()),
    };
    let _ = Backend::BackendKeyData(key).encode(&mut message);
    say::ready(&mut message, TransactionStatus::Idle);
    let _ = outbox.own(&message);
    side.send(Released::untaped(outbox.finish()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// A session waits in its task for as long as it lives: what the steps before it need has to be elsewhere.
    #[test]
    fn the_task_of_a_session_is_small() {
        let (task, session) = (size(serve), size_of::<Session>());
        assert!(task <= 2048 && session <= 3072, "the task takes {task} bytes, the session {session}");
    }
}
