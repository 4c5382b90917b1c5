//! One session: who is at the other end, where it leads, and what all of its channels share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ledger::Receipt;
use ledger::tape::Track;
use masking::Masked;
use model::event::Event;
use model::id::{Digest, RequestId, SessionId};
use model::subject::Subject;
use model::target::Target;
use model::time::Timestamp;
use russh::keys::PublicKey;
use store::config::{SshTarget, TargetConfig};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::channel::FromClient;
use super::end::End;
use super::flow::Queue;
use super::forward::Listeners;
use super::identify;
use super::server::Connection;
use super::target::Upstreams;
use crate::clock;
use crate::deciding::{self, Decides, Seat};
use crate::gate::Released;
use crate::node::Node;
use crate::revision::Active;
use crate::session_tape::SessionTape;
use crate::sessions::{Entered, Renewal, Signal, Signals, ends_at, expiry};

/// Where a session leads.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) target: Arc<TargetConfig>,
    pub(super) ssh: Arc<SshTarget>,
    pub(super) model: Arc<Target>,
    /// As whom at the target: what policy and record have as the database of a target.
    pub(super) login: Arc<str>,
}

impl deciding::Place for Place {
    fn target(&self) -> &Arc<TargetConfig> {
        &self.target
    }

    fn model(&self) -> &Arc<Target> {
        &self.model
    }

    fn database(&self) -> &Arc<str> {
        &self.login
    }
}

/// What a session is judged by at a moment.
pub(super) type Standing = deciding::Standing<Place>;

/// The changes of what a session is judged by.
pub(super) type Changes = watch::Receiver<Arc<Standing>>;

/// What a session began with.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// What an issuer, or Sluice itself, issued: it is asked whether that is believed.
    Issued,
    /// A registered key: it is looked up.
    Key(Box<PublicKey>),
}

/// One session. Its channels are tasks, and share it.
pub(super) struct Session {
    pub(super) node: Arc<Node>,
    pub(super) id: SessionId,
    pub(super) source: IpAddr,
    pub(super) opened_at: Timestamp,
    /// That it was opened is in the journal.
    pub(super) opened: Receipt,
    pub(super) signals: Arc<Signals>,
    pub(super) upstreams: Upstreams,
    pub(super) listeners: Listeners,
    credential: Credential,
    connection: Arc<Connection>,
    /// Queues of channels that Sluice opened at the client.
    opened_at_client: Mutex<Vec<Weak<Queue<FromClient>>>>,
    entered: Mutex<Option<Entered>>,
    standing: watch::Sender<Arc<Standing>>,
    /// Held by whoever works out another one, so that none is lost.
    adopting: Mutex<()>,
    caller: Mutex<Caller>,
    tape: Mutex<SessionTape>,
    requests: AtomicU64,
    channels: AtomicU64,
    /// Cancelled when it ends, whatever its channels do.
    pub(super) over: CancellationToken,
    end: Mutex<Option<End>>,
    active_at: AtomicU64,
    began: Instant,
}

struct Caller {
    ends_at: Instant,
    /// Why, in the caller's words (`SLUICE_REASON`).
    reason: Option<Arc<str>>,
    draining: Option<Instant>,
}

/// Everything that a session begins with.
pub(super) struct Begun {
    pub(super) connection: Arc<Connection>,
    pub(super) opened: Receipt,
    pub(super) standing: Standing,
    pub(super) tape: SessionTape,
    pub(super) signals: Arc<Signals>,
    pub(super) entered: Entered,
    pub(super) credential: Credential,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Decides for Session {
    type Place = Place;

    fn seat(&self) -> Seat<'_, Place> {
        Seat {
            node: &self.node,
            id: self.id,
            source: self.source,
            opened_at: self.opened_at,
            signals: &self.signals,
            over: &self.over,
            standings: &self.standing,
        }
    }

    fn follow(&self) {
        if let Err(end) = self.take_revision() {
            self.end(end);
        }
    }
}

impl Session {
    /// Begins it.
    pub(super) fn new(begun: Begun) -> Arc<Self> {
        let Begun { connection, opened, standing, tape, signals, entered, credential } = begun;
        let (node, id, source) = (Arc::clone(&connection.node), connection.id, connection.source);
        let caller = Caller { ends_at: ends_at(&node, &standing.subject), reason: None, draining: None };
        Arc::new(Self {
            node,
            id,
            source,
            opened_at: clock::now(),
            opened,
            signals,
            upstreams: Upstreams::default(),
            listeners: Listeners::default(),
            credential,
            connection,
            opened_at_client: Mutex::default(),
            entered: Mutex::new(Some(entered)),
            standing: watch::Sender::new(Arc::new(standing)),
            adopting: Mutex::new(()),
            caller: Mutex::new(caller),
            tape: Mutex::new(tape),
            requests: AtomicU64::new(1),
            channels: AtomicU64::new(1),
            over: CancellationToken::new(),
            end: Mutex::default(),
            active_at: AtomicU64::new(0),
            began: Instant::now(),
        })
    }

    /// What it is judged by now.
    pub(super) fn standing(&self) -> Arc<Standing> {
        Decides::standing(self)
    }

    fn stood(&self) -> Arc<Standing> {
        Arc::clone(&self.standing.borrow())
    }

    /// Tells of each change of that.
    pub(super) fn changes(&self) -> Changes {
        self.standing.subscribe()
    }

    /// The id of the next request.
    pub(super) fn next_request(&self) -> RequestId {
        self.id.request(self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// The number of the next channel, for the tape.
    pub(super) fn next_channel(&self) -> u32 {
        u32::try_from(self.channels.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// The tape, for as long as something is put on it.
    pub(super) fn tape(&self) -> MutexGuard<'_, SessionTape> {
        locked(&self.tape)
    }

    /// Records what the caller is to be shown on a channel.
    ///
    /// # Errors
    /// If it cannot be: then it must not be shown.
    pub(super) fn show(&self, track: Track, masked: Masked) -> Result<Released, &'static str> {
        let mut tape = self.tape();
        let showed = tape.shows_answers();
        let released = tape.answer_on(track, masked);
        if showed && !tape.shows_answers() {
            // Whoever watches sees no more of it.
            self.signals.raise(Signal::Observers);
        }
        released
    }

    /// The groups of those who see what the caller sees.
    fn observers(&self) -> Vec<Arc<str>> {
        if self.tape().shows_answers() { self.signals.observers.groups() } else { Vec::new() }
    }

    /// Why, in the caller's words.
    pub(super) fn reason(&self) -> Option<Arc<str>> {
        locked(&self.caller).reason.clone()
    }

    /// The caller says why.
    pub(super) fn give_reason(&self, reason: &str) {
        locked(&self.caller).reason = Some(reason.into());
    }

    /// Something passed.
    pub(super) fn is_active(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active_at.store(now, Ordering::Relaxed);
    }

    /// Has something done beside its channels, for as long as the connection lives.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.connection.spawn(task);
    }

    /// Has what waits of a channel that Sluice opened at the client count for the client's window.
    pub(super) fn watch_queue(&self, queue: &Arc<Queue<FromClient>>) {
        let mut queues = locked(&self.opened_at_client);
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(queue));
    }

    /// Whether one of them is congested.
    pub(super) fn is_congested(&self) -> bool {
        let queues = locked(&self.opened_at_client);
        queues.iter().filter_map(Weak::upgrade).any(|queue| queue.is_congested())
    }

    /// Ends the tape; its digest and length.
    pub(super) async fn finish_tape(&self) -> Option<(Digest, u64)> {
        let mut tape = self.tape().take();
        tape.finish(&self.node).await
    }

    /// Leaves the registry.
    pub(super) fn leave(&self) {
        locked(&self.entered).take();
        self.listeners.close();
    }

    /// Ends it, unless it ended already.
    pub(super) fn end(&self, end: End) {
        locked(&self.end).get_or_insert(end);
        self.over.cancel();
    }

    /// Why it ended.
    pub(super) fn ended(&self) -> End {
        locked(&self.end).clone().unwrap_or(End::Client("the client closed the connection"))
    }

    /// Why what ran for a caller that is not there any more ended, for the journal.
    pub(super) fn why_gone(&self) -> Arc<str> {
        if self.is_over() { self.ended().reason().into() } else { "the caller went away".into() }
    }

    /// Whether nothing of it may go on.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Looks after it until it ends: the clock, revocations, revisions, operators. Cancel safe.
    pub(super) async fn watch(&self) {
        // What was revoked, or came into force, since the login was verified and before this session could be told.
        if let Err(end) = self.stand().and_then(|()| self.take_revision()) {
            return self.end(end);
        }
        while !self.is_over() {
            let acted = tokio::select! {
                biased;
                () = self.over.cancelled() => return,
                () = self.signals.raised() => self.act_on_signals(),
                () = tokio::time::sleep_until(self.deadline()) => self.act_on_deadline(),
            };
            if let Err(end) = acted {
                self.end(end);
            }
        }
    }

    fn deadline(&self) -> Instant {
        let caller = locked(&self.caller);
        let mut next = ends_at(&self.node, &self.standing.borrow().subject).min(caller.ends_at);
        next = caller.draining.map_or(next, |draining| next.min(draining));
        drop(caller);
        next = self.idle_at().map_or(next, |idle| next.min(idle));
        self.tape().due_at().map_or(next, |due| next.min(due))
    }

    fn idle_at(&self) -> Option<Instant> {
        let active = std::time::Duration::from_millis(self.active_at.load(Ordering::Relaxed));
        self.node.config.limits.idle_timeout.map(|idle| self.began + active + idle)
    }

    fn act_on_deadline(&self) -> Result<(), End> {
        let now = Instant::now();
        let (ends_at, draining) = {
            let caller = locked(&self.caller);
            (caller.ends_at, caller.draining)
        };
        if now >= ends_at || clock::now() >= expiry(&self.node, &self.stood().subject) {
            return Err(End::Expired);
        }
        if draining.is_some_and(|until| now >= until) {
            return Err(End::Administrator("Sluice is stopping"));
        }
        if self.idle_at().is_some_and(|idle| now >= idle) {
            return Err(End::Idle);
        }
        self.tape().rotate(&self.node, false);
        Ok(())
    }

    fn act_on_signals(&self) -> Result<(), End> {
        let raised = self.signals.take();
        if raised(Signal::Kill) {
            return Err(End::Administrator("the session was ended by an administrator"));
        }
        if raised(Signal::Renew)
            && let Some(renewal) = self.signals.take_renewal()
        {
            self.renew(renewal)?;
        }
        if raised(Signal::Trust) {
            self.stand()?;
        }
        if raised(Signal::Revision) {
            self.take_revision()?;
        }
        if raised(Signal::Observers) {
            let _adopting = locked(&self.adopting);
            let standing = self.stood();
            self.adopt(Arc::clone(&standing.active), standing.place.clone(), standing.subject.clone());
        }
        if raised(Signal::Drain) {
            let until = Instant::now() + self.node.config.sessions.drain;
            locked(&self.caller).draining.get_or_insert(until);
        }
        Ok(())
    }

    /// Takes up a renewed credential of the same caller.
    fn renew(&self, renewal: Renewal) -> Result<(), End> {
        let _adopting = locked(&self.adopting);
        let standing = self.stood();
        if !standing.subject.may_be_renewed_by(&renewal.subject) {
            return Err(End::Internal("a credential of somebody else was handed in"));
        }
        // It may have been revoked while it lay in the mailbox.
        let subject = self.believed(&renewal.subject)?;
        self.signals.live_by(subject.token_id.clone());
        locked(&self.caller).ends_at = ends_at(&self.node, &subject);
        self.node.recorder.note(Event::SessionRenewed { session: self.id, expires_at: subject.expires_at });
        self.adopt(Arc::clone(&standing.active), standing.place.clone(), subject);
        Ok(())
    }

    /// The subject as it is believed now.
    fn believed(&self, subject: &Subject) -> Result<Subject, End> {
        let at = &self.stood().place.model.name;
        let believed = match &self.credential {
            Credential::Issued => self.node.issuers.standing(subject),
            Credential::Key(key) => {
                identify::still_registered(&self.node, &self.node.revisions.current(), key, at, subject)
            }
        };
        believed.map_err(|error| End::Revoked(error.to_string()))
    }

    /// Looks whether the caller is still believed, and in which groups.
    fn stand(&self) -> Result<(), End> {
        let _adopting = locked(&self.adopting);
        let standing = self.stood();
        let subject = self.believed(&standing.subject)?;
        if subject.groups != standing.subject.groups {
            self.adopt(Arc::clone(&standing.active), standing.place.clone(), subject);
        }
        Ok(())
    }

    /// Takes up a revision: everything is judged anew from now on.
    fn take_revision(&self) -> Result<(), End> {
        let _adopting = locked(&self.adopting);
        let (active, standing) = (self.node.revisions.current(), self.stood());
        if active.id == standing.active.id {
            return Ok(());
        }
        let place = super::target::place(&active, &standing.place.model.name, Some(&standing.place.login));
        let is_same = |place: &Place| {
            let (now, was) = (&place.target, &standing.place.target);
            now.host == was.host && now.port == was.port
        };
        let place = place.filter(is_same).ok_or(End::Administrator("the target is no longer configured"))?;
        // A key that is registered no more stands for nobody.
        let subject = self.believed(&standing.subject)?;
        self.adopt(active, place, subject);
        Ok(())
    }

    fn adopt(&self, active: Arc<Active>, place: Place, subject: Subject) {
        let standing = Standing::new(&self.node, active, place, subject, self.source);
        let observers = self.observers();
        self.standing.send_replace(Arc::new(Standing { observers, ..standing }));
    }
}
