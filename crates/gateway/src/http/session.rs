//! A session: one caller at one target on one connection, and what its requests share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::event::Event;
use model::id::{Digest, RequestId, SessionId};
use model::subject::Subject;
use model::target::Target;
use model::time::Timestamp;
use store::config::{HttpTarget, KubernetesTarget, TargetConfig};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credential::Proofs;
use super::interface::Interface;
use crate::clock;
use crate::deciding::{self, Decides, Seat};
use crate::node::Node;
use crate::revision::Active;
use crate::session_tape::SessionTape;
use crate::sessions::{Entered, Renewal, Signal, Signals, ends_at, expiry};
use crate::tls::ClientCertificate;

/// Where a session leads.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) target: Arc<TargetConfig>,
    pub(super) http: Arc<HttpTarget>,
    pub(super) model: Arc<Target>,
    pub(super) api: Arc<Interface>,
    /// What the target is told that it is called: what policy and record have as the database of a target.
    pub(super) authority: Arc<str>,
}

impl deciding::Place for Place {
    fn target(&self) -> &Arc<TargetConfig> {
        &self.target
    }

    fn model(&self) -> &Arc<Target> {
        &self.model
    }

    fn database(&self) -> &Arc<str> {
        &self.authority
    }
}

impl Place {
    /// What there is of Kubernetes, if it is an API server.
    pub(super) fn kubernetes(&self) -> Option<&KubernetesTarget> {
        self.http.kubernetes.as_ref()
    }
}

/// What a session is judged by at a moment.
pub(super) type Standing = deciding::Standing<Place>;

/// The changes of what a session is judged by.
pub(super) type Changes = watch::Receiver<Arc<Standing>>;

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed the connection, or went away.
    Client,
    /// The credential expired.
    Expired,
    /// The caller is not believed any more: the true reason.
    Revoked(String),
    /// An administrator, a revision or the process ended it.
    Administrator(&'static str),
    /// Nothing was asked for too long.
    Idle,
    /// What was to be shown could not be recorded.
    Withheld(&'static str),
    /// A credential of somebody else was handed in.
    Internal(&'static str),
}

impl End {
    /// The reason for the journal.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Client => "the client closed the connection",
            Self::Expired => "the credential expired",
            Self::Revoked(reason) => reason,
            Self::Administrator(reason) | Self::Withheld(reason) | Self::Internal(reason) => reason,
            Self::Idle => "nothing happened for too long",
        }
    }

    /// Whether the connection goes with it, unless it is others' too.
    const fn takes_connection(&self) -> bool {
        !matches!(self, Self::Expired | Self::Idle)
    }
}

/// What a session begins with.
pub(super) struct Begun {
    pub(super) node: Arc<Node>,
    pub(super) id: SessionId,
    pub(super) source: IpAddr,
    pub(super) standing: Standing,
    pub(super) tape: SessionTape,
    pub(super) signals: Arc<Signals>,
    pub(super) entered: Entered,
    /// The certificate, where it is what says who the caller is.
    pub(super) svid: Option<ClientCertificate>,
    /// The digest of the credential.
    pub(super) credential: Digest,
    pub(super) idle_timeout: Duration,
}

/// How the caller proves who it is at the moment.
struct Caller {
    credential: Digest,
    ends_at: Instant,
    svid: Option<ClientCertificate>,
}

/// How much is under way.
struct Activity {
    running: usize,
    /// When the last of it ended.
    ended: Instant,
    /// Nothing more begins.
    is_closed: bool,
}

/// One session. Its requests are tasks, and share it.
pub(super) struct Session {
    pub(super) node: Arc<Node>,
    pub(super) id: SessionId,
    pub(super) source: IpAddr,
    pub(super) opened_at: Timestamp,
    /// What Sluice proves itself to the target with.
    pub(super) proofs: Proofs,
    /// Cancelled when nothing of it may go on.
    pub(super) over: CancellationToken,
    signals: Arc<Signals>,
    entered: Mutex<Option<Entered>>,
    standing: watch::Sender<Arc<Standing>>,
    /// Held by whoever works out another one, so that none is lost.
    adopting: Mutex<()>,
    caller: Mutex<Caller>,
    tape: Mutex<SessionTape>,
    requests: AtomicU64,
    exchanges: AtomicU32,
    activity: Mutex<Activity>,
    /// Told when a request is over.
    settled: Notify,
    idle_timeout: Duration,
    end: Mutex<Option<End>>,
}

/// A request of a session that is under way.
pub(super) struct Running(Arc<Session>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut activity = locked(&self.0.activity);
        activity.running = activity.running.saturating_sub(1);
        activity.ended = Instant::now();
        self.0.settled.notify_one();
    }
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
    /// One that begins.
    pub(super) fn new(begun: Begun) -> Arc<Self> {
        let Begun { node, id, source, standing, tape, signals, entered, svid, credential, idle_timeout } = begun;
        let caller = Caller { credential, ends_at: ends_at(&node, &standing.subject), svid };
        Arc::new(Self {
            node,
            id,
            source,
            opened_at: clock::now(),
            proofs: Proofs::default(),
            over: CancellationToken::new(),
            signals,
            entered: Mutex::new(Some(entered)),
            standing: watch::Sender::new(Arc::new(standing)),
            adopting: Mutex::new(()),
            caller: Mutex::new(caller),
            tape: Mutex::new(tape),
            requests: AtomicU64::new(1),
            exchanges: AtomicU32::new(1),
            activity: Mutex::new(Activity { running: 0, ended: Instant::now(), is_closed: false }),
            settled: Notify::new(),
            idle_timeout,
            end: Mutex::default(),
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

    /// The number of the next exchange, for the tape.
    pub(super) fn next_exchange(&self) -> u32 {
        self.exchanges.fetch_add(1, Ordering::Relaxed)
    }

    /// The tape, for as long as something is put on it.
    pub(super) fn tape(&self) -> MutexGuard<'_, SessionTape> {
        locked(&self.tape)
    }

    /// Whether it lives by this very credential.
    pub(super) fn lives_by(&self, credential: Digest) -> bool {
        locked(&self.caller).credential == credential
    }

    /// Begins a request, unless the session ends.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Running> {
        let mut activity = locked(&self.activity);
        if activity.is_closed || self.is_over() {
            return None;
        }
        activity.running = activity.running.saturating_add(1);
        Some(Running(Arc::clone(self)))
    }

    /// Ends it, unless it ended already.
    pub(super) fn end(&self, end: End) {
        locked(&self.end).get_or_insert(end);
        locked(&self.activity).is_closed = true;
        self.over.cancel();
    }

    /// Why it ended.
    pub(super) fn ended(&self) -> End {
        locked(&self.end).clone().unwrap_or(End::Client)
    }

    /// Whether nothing of it may go on.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Looks after it until it ends, and closes it then. Says whether its connection should go with it.
    pub(super) async fn watch(&self) -> bool {
        // What was revoked, or came into force, since the caller was verified and before this session could be told.
        if let Err(end) = self.stand().and_then(|()| self.take_revision()) {
            self.end(end);
        }
        while !self.is_over() {
            let acted = tokio::select! {
                biased;
                () = self.over.cancelled() => break,
                () = self.signals.raised() => self.act_on_signals(),
                () = tokio::time::sleep_until(self.deadline()) => self.act_on_deadline(),
            };
            if let Err(end) = acted {
                self.end(end);
            }
        }
        self.close().await
    }

    async fn close(&self) -> bool {
        let end = self.ended();
        // Each of them ends with it.
        while locked(&self.activity).running > 0 {
            self.settled.notified().await;
        }
        let mut tape = self.tape().take();
        let tape = tape.finish(&self.node).await;
        tracing::info!(session = %self.id, reason = end.reason(), "session closed");
        self.node.recorder.note(Event::SessionClosed { session: self.id, reason: end.reason().into(), tape });
        self.node.metrics.sessions.dec();
        locked(&self.entered).take();
        end.takes_connection()
    }

    fn deadline(&self) -> Instant {
        let mut next = locked(&self.caller).ends_at.min(ends_at(&self.node, &self.standing.borrow().subject));
        next = next.min(self.idle_at().unwrap_or_else(|| Instant::now() + self.idle_timeout));
        self.tape().due_at().map_or(next, |due| next.min(due))
    }

    /// When nothing was asked for too long; `None` while something runs.
    fn idle_at(&self) -> Option<Instant> {
        let activity = locked(&self.activity);
        (activity.running == 0).then(|| activity.ended + self.idle_timeout)
    }

    fn act_on_deadline(&self) -> Result<(), End> {
        let now = Instant::now();
        if now >= locked(&self.caller).ends_at || clock::now() >= expiry(&self.node, &self.stood().subject) {
            return Err(End::Expired);
        }
        let mut activity = locked(&self.activity);
        if activity.running == 0 && activity.ended + self.idle_timeout <= now {
            activity.is_closed = true;
            return Err(End::Idle);
        }
        drop(activity);
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
        Ok(())
    }

    /// Takes up a credential of the same caller that was handed in.
    fn renew(&self, renewal: Renewal) -> Result<(), End> {
        if !self.stood().subject.may_be_renewed_by(&renewal.subject) {
            return Err(End::Internal("a credential of somebody else was handed in"));
        }
        let credential = renewal.subject.credential.digest.unwrap_or_default();
        self.live_by(renewal.subject, credential, renewal.svid)
    }

    /// Lives by another credential of the same caller from now on.
    pub(super) fn live_by(
        &self,
        subject: Subject,
        credential: Digest,
        svid: Option<ClientCertificate>,
    ) -> Result<(), End> {
        let _adopting = locked(&self.adopting);
        let standing = self.stood();
        self.signals.live_by(subject.token_id.clone());
        *locked(&self.caller) = Caller { credential, ends_at: ends_at(&self.node, &subject), svid };
        // It may have been revoked while it lay in the mailbox.
        let subject = self.believed(&subject)?;
        self.node.recorder.note(Event::SessionRenewed { session: self.id, expires_at: subject.expires_at });
        self.adopt(Arc::clone(&standing.active), standing.place.clone(), subject);
        Ok(())
    }

    /// The subject as it is believed now.
    fn believed(&self, subject: &Subject) -> Result<Subject, End> {
        let svid = locked(&self.caller).svid.clone();
        let believed = match &svid {
            // Somebody has to vouch for the certificate still.
            Some(certificate) => self.node.issuers.recognise(certificate),
            None => self.node.issuers.standing(subject),
        };
        let believed = believed.map_err(|error| End::Revoked(error.to_string()))?;
        if subject.may_be_renewed_by(&believed) {
            Ok(believed)
        } else {
            Err(End::Revoked("the certificate names another subject now".to_owned()))
        }
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
        let was = &standing.place.target;
        let place = super::asking::place_of(&active, &was.target.name);
        let is_same = |place: &Place| place.target.host == was.host && place.target.port == was.port;
        let place = place.filter(is_same).ok_or(End::Administrator("the target is no longer configured"))?;
        let subject = self.believed(&standing.subject)?;
        self.adopt(active, place, subject);
        Ok(())
    }

    fn adopt(&self, active: Arc<Active>, place: Place, subject: Subject) {
        self.standing.send_replace(Arc::new(Standing::new(&self.node, active, place, subject, self.source)));
    }
}
