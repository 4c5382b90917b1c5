//! Who is connected: the registry that listings, kills, cancels and revision changes go through.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::id::{Digest, SessionId};
use model::subject::{Binding, Subject, SubjectKey};
use model::time::Timestamp;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::clock;
use crate::node::Node;
use crate::observers::Observers;
use crate::tls::ClientCertificate;

/// How far ahead an end is looked for at most.
const FARTHEST: Duration = Duration::from_secs(365 * 86_400);

/// The end of a credential by the wall clock, with what grace the configuration gives.
pub(crate) fn expiry(node: &Node, subject: &Subject) -> Timestamp {
    let grace = u64::try_from(node.config.sessions.grace.as_millis()).unwrap_or(u64::MAX);
    subject.expires_at.plus_millis(grace)
}

/// The same moment by a clock that nobody can set: one that is set back prolongs no session.
pub(crate) fn ends_at(node: &Node, subject: &Subject) -> Instant {
    let left = Duration::from_millis(expiry(node, subject).millis_since(clock::now()));
    // What lies further ahead than the clock reaches is looked at again then.
    let now = Instant::now();
    now.checked_add(left).unwrap_or_else(|| now + FARTHEST)
}

/// What a session can be told. Each is a level, not an edge: telling it twice before it looked is telling it once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// A new revision is in force: decide again what runs.
    Revision,
    /// An administrator ends the session.
    Kill,
    /// The client asked to cancel what runs.
    Cancel,
    /// The process stops: end when idle, or at the drain deadline.
    Drain,
    /// A renewed credential waits in the mailbox.
    Renew,
    /// Whom Sluice believes has changed: look whether the caller still is believed.
    Trust,
    /// Somebody began to observe the session, or left: decide again what runs only while somebody does.
    Observers,
}

impl Signal {
    const fn bit(self) -> u32 {
        match self {
            Self::Revision => 1,
            Self::Kill => 2,
            Self::Cancel => 4,
            Self::Drain => 8,
            Self::Renew => 16,
            Self::Trust => 32,
            Self::Observers => 64,
        }
    }
}

/// A verified credential that a session is to live by from now on.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Who it says the caller is.
    pub(crate) subject: Subject,
    /// The certificate, where it is what says so: somebody has to vouch for it for as long as the session lives by it.
    pub(crate) svid: Option<ClientCertificate>,
}

impl Renewal {
    /// What was verified on a connection with this client certificate, which may be the credential or beside it.
    pub fn new(subject: Subject, certificate: Option<&ClientCertificate>) -> Self {
        let digest = subject.credential.digest;
        let svid = certificate.filter(|certificate| digest == Some(certificate.thumbprint())).cloned();
        Self { subject, svid }
    }
}

impl From<Subject> for Renewal {
    /// That of a token.
    fn from(subject: Subject) -> Self {
        Self { subject, svid: None }
    }
}

/// The mailbox of one session.
#[derive(Debug, Default)]
pub struct Signals {
    flags: AtomicU32,
    renewal: Mutex<Option<Renewal>>,
    cancels: Mutex<Vec<PassingOn>>,
    /// The id of the credential that the session lives by, if it has one.
    credential: Mutex<Option<Arc<str>>>,
    /// Who observes it.
    pub(crate) observers: Observers,
    notify: Notify,
}

/// Held while a cancel is passed on; dropped, it tells whoever asked for it.
pub(crate) type PassingOn = oneshot::Sender<()>;

impl Signals {
    /// Tells the session.
    pub fn raise(&self, signal: Signal) {
        self.flags.fetch_or(signal.bit(), Ordering::Release);
        self.notify.notify_one();
    }

    /// Waits until something was raised. Cancel safe.
    pub(crate) async fn raised(&self) {
        loop {
            if self.flags.load(Ordering::Acquire) != 0 {
                return;
            }
            self.notify.notified().await;
        }
    }

    /// Whether this was raised and not taken yet.
    pub(crate) fn is_raised(&self, signal: Signal) -> bool {
        self.flags.load(Ordering::Acquire) & signal.bit() != 0
    }

    /// Waits until something more is raised. Cancel safe.
    pub(crate) async fn raised_again(&self) {
        self.notify.notified().await;
    }

    /// Takes what was raised since the last look.
    pub(crate) fn take(&self) -> impl Fn(Signal) -> bool + use<> {
        let flags = self.flags.swap(0, Ordering::AcqRel);
        move |signal| flags & signal.bit() != 0
    }

    /// Leaves a renewed credential for the session.
    pub fn renew(&self, renewal: Renewal) {
        *self.renewal.lock().unwrap_or_else(PoisonError::into_inner) = Some(renewal);
        self.raise(Signal::Renew);
    }

    /// Says which credential the session lives by.
    pub(crate) fn live_by(&self, token_id: Option<Arc<str>>) {
        *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = token_id;
    }

    fn lives_by(&self) -> Option<Arc<str>> {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks to cancel what runs. What is returned ends when that was passed on to the target, or was not needed: a client
    /// that goes on before then could have its next statement cancelled.
    pub(crate) fn cancel(&self) -> oneshot::Receiver<()> {
        let (passing_on, passed_on) = oneshot::channel();
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner).push(passing_on);
        self.raise(Signal::Cancel);
        passed_on
    }

    /// Those who wait for a cancel.
    pub(crate) fn take_cancels(&self) -> Vec<PassingOn> {
        std::mem::take(&mut *self.cancels.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take_renewal(&self) -> Option<Renewal> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a listing shows of a live session.
#[derive(Clone, Debug, Serialize)]
pub struct LiveSession {
    /// The session.
    pub session: SessionId,
    /// Who.
    pub subject: SubjectKey,
    /// On whose behalf.
    pub on_behalf_of: Vec<SubjectKey>,
    /// To which target.
    pub target: Arc<str>,
    /// To which of its databases.
    pub database: Arc<str>,
    /// From where.
    pub source: IpAddr,
    /// Since when.
    pub opened_at: Timestamp,
    /// How its credential was tied to the connection when it opened.
    pub binding: Binding,
    /// The SHA-256 of the client certificate of its connection, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Digest>,
    /// Of which groups somebody has to observe it before something in it runs, or goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub awaits_observer: Vec<Arc<str>>,
}

/// A client's key for cancelling, ours and never the target's (protocol docs, "BackendKeyData").
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CancelKey {
    /// Shown to the client as the process id of its server.
    pub(crate) process_id: i32,
    /// 4 bytes for protocol 3.0, 32 for 3.2.
    pub(crate) secret: Vec<u8>,
}

impl Entry {
    fn live(&self) -> LiveSession {
        LiveSession { awaits_observer: self.signals.observers.awaited(), ..self.live.clone() }
    }
}

struct Entry {
    live: LiveSession,
    signals: Arc<Signals>,
    /// By which the client can have what runs cancelled from another connection, where its protocol has that.
    cancel: Option<CancelKey>,
}

/// Every live session of the process.
#[derive(Default)]
pub struct Sessions {
    entries: Mutex<HashMap<SessionId, Entry>>,
    connected: Places<IpAddr>,
    logging_in: Places<IpAddr>,
    of_subjects: Places<SubjectKey>,
}

/// How many places each source address, or each subject, has taken.
struct Places<Of>(Arc<Mutex<HashMap<Of, usize>>>);

impl<Of> Default for Places<Of> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<Of: Eq + Hash + Clone> Places<Of> {
    fn take(&self, whose: &Of, most: usize) -> Option<Admitted<Of>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.get(whose).copied().unwrap_or(0);
        if taken >= most {
            return None;
        }
        all.insert(whose.clone(), taken.saturating_add(1));
        Some(Admitted { places: Self(Arc::clone(&self.0)), whose: whose.clone() })
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Sessions({})", self.lock().len())
    }
}

impl Sessions {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every live session, the oldest first.
    pub fn list(&self) -> Vec<LiveSession> {
        let mut all: Vec<LiveSession> = self.lock().values().map(Entry::live).collect();
        all.sort_by_key(|session| (session.opened_at, session.session));
        all
    }

    /// How many sessions live.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Tells one session something; false if there is no such session.
    pub fn tell(&self, session: SessionId, signal: Signal) -> bool {
        let signals = self.lock().get(&session).map(|entry| Arc::clone(&entry.signals));
        signals.inspect(|signals| signals.raise(signal)).is_some()
    }

    /// The mailbox of one session and whose it is.
    pub fn find(&self, session: SessionId) -> Option<(LiveSession, Arc<Signals>)> {
        self.lock().get(&session).map(|entry| (entry.live(), Arc::clone(&entry.signals)))
    }

    /// The sessions that live by each credential of an issuer, by the credential's id.
    pub(crate) fn living_by(&self, issuer: &str) -> HashMap<Arc<str>, Vec<SessionId>> {
        let mut living: HashMap<Arc<str>, Vec<SessionId>> = HashMap::new();
        for (session, entry) in self.lock().iter().filter(|(_, entry)| *entry.live.subject.issuer == *issuer) {
            if let Some(token_id) = entry.signals.lives_by() {
                living.entry(token_id).or_default().push(*session);
            }
        }
        living
    }

    /// Tells every session something.
    pub fn tell_all(&self, signal: Signal) {
        self.lock().values().for_each(|entry| entry.signals.raise(signal));
    }

    /// Passes on a CancelRequest; a wrong key is ignored, as the server ignores it. What is returned ends when that is
    /// done.
    pub(crate) fn cancel(&self, key: &CancelKey) -> Option<oneshot::Receiver<()>> {
        let entries = self.lock();
        let is_meant = |cancel: &CancelKey| {
            cancel.process_id == key.process_id
                && aws_lc_rs::constant_time::verify_slices_are_equal(&cancel.secret, &key.secret).is_ok()
        };
        let owner = entries.values().find(|entry| entry.cancel.as_ref().is_some_and(is_meant));
        owner.map(|entry| entry.signals.cancel())
    }

    /// Enters a session in one of its subject's places; it leaves, and gives the place back, when the guard is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        live: LiveSession,
        signals: Arc<Signals>,
        cancel: Option<CancelKey>,
        place: Admitted<SubjectKey>,
    ) -> Entered {
        let session = live.session;
        self.lock().insert(session, Entry { live, signals, cancel });
        Entered { sessions: Arc::clone(self), session, _place: place }
    }

    /// Takes one of the places of an address for a connection; `None` when all are taken.
    pub(crate) fn admit(&self, source: IpAddr, most: usize) -> Option<Admitted<IpAddr>> {
        self.connected.take(&source, most)
    }

    /// Takes one of the places of an address for a connection that has not logged in; `None` when all are taken.
    pub(crate) fn admit_login(&self, source: IpAddr, most: usize) -> Option<Admitted<IpAddr>> {
        self.logging_in.take(&source, most)
    }

    /// Takes one of the places of a subject for a session that is about to open; `None` when all are taken.
    pub(crate) fn admit_subject(&self, subject: &SubjectKey, most: usize) -> Option<Admitted<SubjectKey>> {
        self.of_subjects.take(subject, most)
    }
}

/// A session's place in the registry.
pub(crate) struct Entered {
    sessions: Arc<Sessions>,
    session: SessionId,
    _place: Admitted<SubjectKey>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.session);
    }
}

/// One of the places of a source address, or of a subject.
pub(crate) struct Admitted<Of: Eq + Hash> {
    places: Places<Of>,
    whose: Of,
}

impl<Of: Eq + Hash> Drop for Admitted<Of> {
    fn drop(&mut self) {
        let mut all = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.whose) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                all.remove(&self.whose);
            }
        }
    }
}
