//! One session: its state, and the turn that everything happens in.
//!
//! A turn takes what the client sent as far as it can be taken, journals what was decided, forwards it, and waits until
//! either side, the clock or an operator has something new. Whatever has to wait (state to be read again, an approval)
//! *stalls* the client's next message: it is looked at again in the next turn, and the target's answers go on.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ledger::{Level, Receipt};
use masking::Lens;
use masking::postgres::Outbox;
use model::class::Labels;
use model::event::{Entry, Event};
use model::id::{ApprovalId, Digest, RequestId, SessionId};
use model::subject::{Subject, SubjectKey};
use model::target::Target;
use model::time::Timestamp;
use policy::{OwnStatement, Permit, ProtocolAct, SubjectPolicies};
use std::net::IpAddr;
use tokio::sync::broadcast;
use tokio::time::{Instant, Sleep};
use wire::postgres::backend::TransactionStatus;
use wire::postgres::frame::Limits;
use wire::postgres::pipeline::{Pipeline, Push, Sent};

use super::analysed::{Epoch, Memo};
use super::catalogs::Snapshot;
use super::end::End;
use super::follow::Followed;
use super::names::{Change, Names};
use super::own::OwnRead;
use super::refusal::{Refusal, Told};
use super::run::Run;
use super::say;
use super::script::Script;
use super::tape::SessionTape;
use super::wall::Wall;
use crate::clock;
use crate::gate::{ClientSide, HIGH_WATER, Moved, TargetSide};
use crate::judging::Bench;
use crate::node::Node;
use crate::recorder::NotRecorded;
use crate::revision::Active;
use crate::sessions::{PassingOn, Signal, Signals};

/// The shortest time that the end of a tape may take.
const TAPE_END: Duration = Duration::from_secs(1);

/// Who is at the other end.
pub(super) struct Caller {
    pub(super) session: SessionId,
    pub(super) subject: Subject,
    pub(super) source: IpAddr,
    pub(super) opened_at: Timestamp,
    /// Why, in the caller's words (`SET sluice.reason`).
    pub(super) reason: Option<Arc<str>>,
    /// On whose behalf the statements of this transaction are (`SET LOCAL sluice.user_token`), verified.
    pub(super) user: Option<SubjectKey>,
}

/// Where the session leads.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) target: Arc<store::config::TargetConfig>,
    pub(super) model: Arc<Target>,
    pub(super) database: Arc<str>,
    /// The target's own key for cancelling what this session runs.
    pub(super) cancel: Arc<super::upstream::CancelAddress>,
}

impl Place {
    /// Where a subject's questions about this place are decided.
    pub(super) fn bench<'a>(&'a self, policies: &'a SubjectPolicies, labels: &'a Labels) -> Bench<'a> {
        Bench { policies, target: &self.model, database: &self.database, labels }
    }
}

/// What the target owes an answer to, and whose answer it is.
pub(super) enum Owed {
    /// Part of a request: its answer is masked and passed on.
    Relay(Relay),
    /// A refused message, replaced by one that fails: its error is replaced by ours.
    Refused(Box<Told>),
    /// A message that Sluice carried out itself, replaced by an empty statement.
    Replaced(&'static str),
    /// One of Sluice's own statements: its answer stays here.
    Own,
    /// A Describe that Sluice added: its answer stays here.
    OwnDescribe(ShapeCell),
}

/// A relayed message.
#[derive(Default)]
pub(super) struct Relay {
    /// The request that it is part of, if one.
    pub(super) run: Option<u64>,
    /// Whether its end is the end of the request.
    pub(super) ends: bool,
    /// What it did to names.
    pub(super) change: Option<Change>,
    /// Whether the client did not send it, so that only what a simple Query also answers is passed on.
    pub(super) quiet: bool,
    /// Whether the next text has to wait for its answer: a Sync whose transaction may have changed what text means.
    pub(super) settles: bool,
    /// The statement or portal whose description the answer is.
    pub(super) describes: Option<ShapeCell>,
}

/// Where a description goes when it comes.
pub(super) type ShapeCell = Arc<OnceLock<Arc<super::shape::Shape>>>;

/// Something for the target, with what has to be proved before it goes.
pub(super) struct Staged {
    pub(super) permit: Permit,
    /// The index in `entries` of the entry whose receipt it goes with; `None` goes with the session's own or the run's.
    pub(super) entry: Option<usize>,
    pub(super) sent: Option<(Sent, Owed)>,
    pub(super) bytes: Bytes,
    /// What it is replaced with if it cannot be recorded.
    pub(super) substitute: Substitute,
}

/// What goes to the target in place of a message that may not go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Substitute {
    /// A Query that fails.
    Query,
    /// A Parse that fails: the rest of the pipeline is skipped.
    Parse,
    /// It goes all the same: it runs nothing by itself.
    Itself,
}

/// Why the client's next message waits.
pub(super) enum Stall {
    /// For what was forwarded to be answered, since it may change what the next text means.
    Settle,
    /// For an answer to Sluice's own statement.
    Own,
    /// For a human.
    Hold(Hold),
}

/// A request that waits for a human.
pub(super) struct Hold {
    pub(super) approval: ApprovalId,
    pub(super) until: Instant,
    pub(super) changes: broadcast::Receiver<ApprovalId>,
}

/// Whether a message was taken or has to wait.
pub(super) enum Flow {
    Done,
    Stalled(Stall),
}

/// A live session.
pub(super) struct Session {
    pub(super) node: Arc<Node>,
    pub(super) caller: Caller,
    pub(super) place: Place,
    pub(super) signals: Arc<Signals>,
    pub(super) active: Arc<Active>,
    pub(super) policies: Arc<SubjectPolicies>,
    pub(super) lens: Arc<Lens>,
    pub(super) catalog: Arc<Snapshot>,
    pub(super) overlay: bool,
    /// When it was read.
    pub(super) overlay_at: std::time::Instant,
    /// The shared catalog when the session's own reading of it began.
    pub(super) shared: Arc<Snapshot>,
    pub(super) followed: Option<Followed>,
    pub(super) wall: Wall,
    pub(super) state_changed: bool,
    pub(super) catalog_changed: bool,
    pub(super) transaction_changed: bool,
    pub(super) epoch: Epoch,
    pub(super) memo: Memo,
    pub(super) names: Names,
    pub(super) runs: HashMap<u64, Run>,
    pub(super) last_request: u64,
    /// The number of the request that is stalled: it keeps it when it is looked at again.
    pub(super) pending_request: Option<u64>,
    /// Whether `caller.user` ends with the transaction (SET LOCAL).
    pub(super) user_is_local: bool,
    /// How many requests are under way that may change what the next text means.
    pub(super) unsettled: usize,
    /// Whether an Execute was sent since the last Sync: the pipeline is a transaction of its own.
    pub(super) in_pipeline: bool,
    /// Whether the client sent extended-protocol messages that no Sync has ended yet.
    pub(super) awaiting_sync: bool,
    /// Whether anything in the open transaction touched what the subject may not see.
    pub(super) transaction_hides: bool,
    pub(super) stall: Option<Stall>,
    pub(super) waiting: Option<Bytes>,
    /// A text that is run statement by statement, as far as it has not been.
    pub(super) script: Option<Script>,
    pub(super) own: Option<OwnRead>,
    /// Whether the last read failed at rest: the message that waited for it is refused.
    pub(super) own_unreadable: bool,
    /// The request that is a COPY FROM STDIN which was sent and has neither begun nor failed.
    pub(super) copy_starting: Option<u64>,
    /// The approval that a held request waits for, and until when.
    pub(super) held: Option<(ApprovalId, Instant)>,
    pub(super) held_request: Option<RequestId>,
    /// What the target estimated for the request in hand, once it was asked.
    pub(super) estimate: Option<Option<u64>>,
    pub(super) pipeline: Pipeline<Owed>,
    pub(super) staged: Vec<Staged>,
    pub(super) entries: Vec<Entry>,
    pub(super) level: Level,
    pub(super) opened: Receipt,
    pub(super) receipts: HashMap<u64, Receipt>,
    pub(super) outbox: Outbox,
    pub(super) tape: SessionTape,
    pub(super) client: ClientSide,
    pub(super) target: TargetSide,
    pub(super) limits: Limits,
    pub(super) cancelled: bool,
    /// Whether any of the requests is cut.
    pub(super) cut: bool,
    /// The request that the outbox counts for.
    pub(super) accounted: Option<u64>,
    pub(super) draining: Option<Instant>,
    pub(super) last_activity: Instant,
    /// Goes off no later than the next deadline; too early is put right when it does.
    pub(super) timer: Pin<Box<Sleep>>,
}

/// What ended a wait.
enum Woken {
    Room,
    Client(Moved),
    Target(Moved),
    Signals,
    Approval,
    Deadline,
}

impl Session {
    /// Runs the session to its end and says why it ended.
    pub(super) async fn run(mut self) -> End {
        let end = match self.turns().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.close(&end).await;
        end
    }

    async fn turns(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let has_more = self.serve_client().await?;
            self.commit().await?;
            self.release()?;
            if self.draining.is_some() && self.is_at_rest() {
                return Err(End::Administrator("Sluice is stopping"));
            }
            if !has_more || self.target.leg().backlog() >= HIGH_WATER {
                self.wait_and_act(has_more).await?;
            }
        }
    }

    /// Takes the client's messages as far as they can be taken. Says whether there may be more that only waits for room
    /// on the way to the target.
    async fn serve_client(&mut self) -> Result<bool, End> {
        if self.is_stalled() {
            return Ok(false);
        }
        while self.target.leg().backlog() < HIGH_WATER && self.staged.len() < 1024 {
            let message = match self.waiting.take() {
                Some(message) => message,
                None => match self.next_message()? {
                    Some(message) => message,
                    None => return Ok(false),
                },
            };
            match self.client_message(&message).await? {
                Flow::Done => {
                    self.pending_request = None;
                    self.estimate = None;
                    self.wall.lowered = false;
                }
                Flow::Stalled(stall) => {
                    self.stall = Some(stall);
                    self.waiting = Some(message);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn next_message(&mut self) -> Result<Option<Bytes>, End> {
        use wire::postgres::frame::{Phase, frontend};
        let inbox: &mut BytesMut = &mut self.client.leg().inbox;
        let header = frontend(inbox, Phase::Ready, &self.limits)
            .map_err(|error| End::Violation { sqlstate: error.sqlstate(), message: error.to_string() })?;
        match header {
            Some(header) if inbox.len() >= header.length() => Ok(Some(inbox.split_to(header.length()).freeze())),
            Some(_) | None => Ok(None),
        }
    }

    /// Whether the client's next message still has to wait.
    fn is_stalled(&mut self) -> bool {
        let over = match &self.stall {
            None => true,
            Some(Stall::Settle) => self.unsettled == 0,
            Some(Stall::Own) => self.own.is_none(),
            // Looked at again whenever something changed: the request itself asks where its approval stands.
            Some(Stall::Hold(_)) => false,
        };
        if over {
            self.stall = None;
        }
        !over
    }

    /// The request id of the message in hand; the same one when it is looked at again after a stall.
    pub(super) fn request(&mut self) -> RequestId {
        let number = *self.pending_request.get_or_insert_with(|| self.last_request + 1);
        self.last_request = self.last_request.max(number);
        self.caller.session.request(number)
    }

    /// Journals what was decided in this turn, then forwards what was permitted.
    async fn commit(&mut self) -> Result<(), End> {
        if self.staged.is_empty() && self.entries.is_empty() {
            return Ok(());
        }
        let level = std::mem::replace(&mut self.level, Level::Process);
        let entries = std::mem::take(&mut self.entries);
        let introduced = super::record::introduced(&entries);
        let mut receipts = Vec::new();
        let mut recorded = Ok(());
        if !entries.is_empty() {
            match self.node.recorder.record(entries, level).await {
                Ok(all) => receipts = all.into_iter().map(Some).collect(),
                Err(error) => recorded = Err(error),
            }
        }
        match recorded {
            Ok(()) => self.node.recorder.introduced(introduced),
            // Whatever was decided here has no entry of its own.
            Err(NotRecorded::TooLong) => {
                self.node.recorder.gap(self.caller.session, "a decision was too long to record")
            }
            Err(NotRecorded::Unwritable) => {}
        }
        for staged in std::mem::take(&mut self.staged) {
            let receipt = staged.entry.and_then(|index| receipts.get_mut(index).and_then(Option::take));
            if let Some(receipt) = receipt {
                self.receipts.insert(staged.permit.request().number, receipt);
            }
            self.forward(staged, recorded)?;
        }
        Ok(())
    }

    /// Forwards one message, or what stands in for it if it could not be recorded.
    fn forward(&mut self, staged: Staged, recorded: Result<(), NotRecorded>) -> Result<(), End> {
        let Staged { permit, sent, bytes, substitute, .. } = staged;
        if let (Err(why), true) = (recorded, substitute != Substitute::Itself) {
            let told = Refusal::from(why).tell(permit.request());
            if let Some((_, Owed::Relay(relay))) = sent {
                self.dropped(relay);
            }
            let (sent, bytes) = say::failing(substitute);
            let permit = Permit::own(OwnStatement::Refused, self.caller.session.request(0));
            return self.send(permit, Some((sent, Owed::Refused(Box::new(told)))), &bytes);
        }
        self.send(permit, sent, &bytes)
    }

    fn send(&mut self, permit: Permit, sent: Option<(Sent, Owed)>, bytes: &[u8]) -> Result<(), End> {
        if let Some((sent, owed)) = sent {
            match self.pipeline.push(sent, owed) {
                Push::Forward => {}
                Push::Ignored(owed) => {
                    self.forget(owed);
                    return Ok(());
                }
                Push::Refused(_) => {
                    let message = "message is not allowed during COPY".to_owned();
                    return Err(End::Violation { sqlstate: "08P01", message });
                }
            }
        }
        let number = permit.request().number;
        let receipt = self.receipts.get(&number).unwrap_or(&self.opened);
        self.target.send(permit, receipt, bytes).map_err(|error| {
            tracing::error!(session = %self.caller.session, %error, "a message was held back");
            End::Internal("proofs do not fit")
        })
    }

    /// Stages a message that carries nothing of the caller's.
    pub(super) fn stage_protocol(&mut self, act: ProtocolAct, sent: Option<(Sent, Owed)>, bytes: Bytes) {
        let permit = Permit::protocol(act, self.caller.session.request(0));
        self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Itself });
    }

    /// Stages what stands in for a refused message, and journals nothing: the decision was journaled by the caller.
    pub(super) fn stage_refusal(&mut self, substitute: Substitute, told: Told) {
        let permit = Permit::own(OwnStatement::Refused, self.caller.session.request(0));
        let (sent, bytes) = say::failing(substitute);
        let sent = Some((sent, Owed::Refused(Box::new(told))));
        self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Itself });
    }

    /// Hands what was masked to the tape, and then to the client.
    pub(super) fn release(&mut self) -> Result<(), End> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        self.settle_account();
        let masked = self.outbox.finish();
        let (tape, slow) = (&mut self.tape, !self.node.recorder.is_quick());
        let released = match crate::threads::may_block(slow, || tape.answer(masked)) {
            Ok(released) => released,
            Err(reason) => {
                self.node.recorder.gap(self.caller.session, reason);
                return Err(End::Withheld("the answer cannot be recorded"));
            }
        };
        let (buffer, _) = self.client.send(released);
        self.outbox.recycle(buffer);
        Ok(())
    }

    /// Waits for either side, the clock, a human or an operator, and acts on it.
    async fn wait_and_act(&mut self, for_room: bool) -> Result<(), End> {
        match self.wait(for_room).await? {
            Woken::Room => {}
            Woken::Client(Moved::Read) => self.last_activity = Instant::now(),
            Woken::Client(Moved::Closed) => return Err(End::Client("the client closed the connection")),
            Woken::Target(Moved::Read) => {
                self.last_activity = Instant::now();
                self.serve_target()?;
            }
            Woken::Target(Moved::Closed) => {
                self.serve_target()?;
                return Err(End::Target("the target closed the connection"));
            }
            Woken::Signals => self.act_on_signals().await?,
            Woken::Approval => self.retry_held(),
            Woken::Deadline => self.act_on_deadline()?,
        }
        Ok(())
    }

    async fn wait(&mut self, for_room: bool) -> Result<Woken, End> {
        let deadline = self.deadline();
        if deadline < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(deadline);
        }
        let holding = matches!(self.stall, Some(Stall::Hold(_)));
        // While a message is stalled, the socket is read on only as far as to notice that the client went away. Otherwise
        // what is in the inbox is a part of one message, whose length was checked: the rest of it has to come in.
        let waits = self.stall.is_some() || self.waiting.is_some();
        let has_room = !waits || self.client.leg().inbox.len() < HIGH_WATER;
        if holding && !has_room {
            // A client that is not read any more could go away unnoticed, and its request be approved all the same.
            let message = "more was sent behind a request that waits for approval than can be kept".to_owned();
            return Err(End::Violation { sqlstate: "53400", message });
        }
        let signals = Arc::clone(&self.signals);
        let (client, target, timer) = (self.client.leg(), self.target.leg(), self.timer.as_mut());
        let io = poll_fn(|cx| {
            loop {
                // One side is read while there is room on the other.
                let read_client = has_room && target.backlog() < HIGH_WATER;
                let read_target = client.backlog() < HIGH_WATER;
                // Both are always polled, so that both write what waits.
                let from_target = target.poll_io(cx, read_target);
                let from_client = client.poll_io(cx, read_client);
                return match (from_target, from_client) {
                    (Poll::Ready(Ok(moved)), _) => Poll::Ready(Ok(Woken::Target(moved))),
                    (Poll::Ready(Err(_)), _) => Poll::Ready(Err(End::Target("the connection to the target broke"))),
                    (Poll::Pending, Poll::Ready(Ok(moved))) => Poll::Ready(Ok(Woken::Client(moved))),
                    (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(Err(End::Client("the connection broke"))),
                    (Poll::Pending, Poll::Pending) if for_room && target.backlog() < HIGH_WATER => {
                        Poll::Ready(Ok(Woken::Room))
                    }
                    // What was written made room: nobody else would wake this.
                    (Poll::Pending, Poll::Pending) if !read_target && client.backlog() < HIGH_WATER => continue,
                    (Poll::Pending, Poll::Pending) if !read_client && has_room && target.backlog() < HIGH_WATER => {
                        continue;
                    }
                    (Poll::Pending, Poll::Pending) => Poll::Pending,
                };
            }
        });
        let approval = async {
            match &mut self.stall {
                Some(Stall::Hold(hold)) if holding => hold.changed().await,
                _ => std::future::pending().await,
            }
        };
        // In this order, as the two sides might never stop talking.
        tokio::select! {
            biased;
            () = signals.raised() => Ok(Woken::Signals),
            () = timer => Ok(Woken::Deadline),
            () = approval => Ok(Woken::Approval),
            woken = io => woken,
        }
    }

    /// The next moment at which something has to happen by itself.
    fn deadline(&self) -> Instant {
        let expiry = self.caller.subject.expires_at.plus_millis(millis(self.node.config.sessions.grace));
        let mut next = Instant::now() + Duration::from_millis(expiry.millis_since(clock::now()));
        if let Some(idle) = self.node.config.limits.idle_timeout {
            next = next.min(self.last_activity + idle);
        }
        if let Some(Stall::Hold(hold)) = &self.stall {
            next = next.min(hold.until);
        }
        self.draining.map_or(next, |draining| next.min(draining))
    }

    fn act_on_deadline(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let expiry = self.caller.subject.expires_at.plus_millis(millis(self.node.config.sessions.grace));
        if clock::now() >= expiry {
            return Err(End::Expired);
        }
        if self.draining.is_some_and(|until| now >= until) {
            return Err(End::Administrator("Sluice is stopping"));
        }
        if self.node.config.limits.idle_timeout.is_some_and(|idle| now >= self.last_activity + idle) {
            return Err(End::Idle);
        }
        self.retry_held();
        Ok(())
    }

    /// Lets a held request look at its approval again.
    pub(super) fn retry_held(&mut self) {
        if let Some(Stall::Hold(_)) = &self.stall {
            self.stall = None;
        }
    }

    async fn act_on_signals(&mut self) -> Result<(), End> {
        let raised = self.signals.take();
        if raised(Signal::Kill) {
            return Err(End::Administrator("the session was ended by an administrator"));
        }
        if raised(Signal::Renew)
            && let Some(subject) = self.signals.take_renewal()
        {
            self.renew(subject)?;
        }
        if raised(Signal::Revision) {
            self.take_revision().await?;
        }
        if raised(Signal::Cancel) {
            self.cancel();
        }
        if raised(Signal::Drain) {
            self.draining = Some(Instant::now() + self.node.config.sessions.drain);
        }
        Ok(())
    }

    /// Whether nothing runs and no transaction is open, apart from the message in hand.
    pub(super) fn is_at_rest_but_for_text(&self) -> bool {
        let idle = self.pipeline.status() == TransactionStatus::Idle;
        idle && self.pipeline.is_empty() && self.staged.is_empty() && !self.awaiting_sync_before()
    }

    /// Whether the client's open pipeline has more in it than the message in hand.
    fn awaiting_sync_before(&self) -> bool {
        self.in_pipeline
    }

    /// Whether nothing runs and no transaction is open.
    pub(super) fn is_at_rest(&self) -> bool {
        self.pipeline.is_empty()
            && self.pipeline.status() == TransactionStatus::Idle
            && self.staged.is_empty()
            && self.waiting.is_none()
    }

    /// Takes up a renewed credential of the same caller.
    pub(super) fn renew(&mut self, subject: Subject) -> Result<(), End> {
        if !self.caller.subject.is_same_caller(&subject) {
            return Err(End::Internal("a credential of somebody else was handed in"));
        }
        let regrouped = self.caller.subject.groups != subject.groups;
        let expires_at = subject.expires_at;
        self.caller.subject = subject;
        self.node.recorder.note(Event::SessionRenewed { session: self.caller.session, expires_at });
        if regrouped {
            self.adopt(Arc::clone(&self.active));
        }
        Ok(())
    }

    /// The client asked to cancel: a held request is withdrawn, a running one is cancelled at the target.
    fn cancel(&mut self) {
        let waiting = self.signals.take_cancels();
        if matches!(self.stall, Some(Stall::Hold(_))) {
            self.cancelled = true;
            self.retry_held();
        } else if !self.pipeline.is_empty() {
            self.cancel_at_target_for(waiting);
        }
    }

    /// Asks the target to cancel what runs, on a connection of its own.
    pub(super) fn cancel_at_target(&self) {
        self.cancel_at_target_for(Vec::new());
    }

    /// Likewise, and tells those who wait for it when it is done.
    fn cancel_at_target_for(&self, waiting: Vec<PassingOn>) {
        let (node, place, session) = (Arc::clone(&self.node), self.place.clone(), self.caller.session);
        self.node.tasks.spawn(async move {
            super::upstream::cancel(&node, &place, session).await;
            drop(waiting);
        });
    }

    /// Tells the client why, if there is a way, and closes both sides.
    async fn close(&mut self, end: &End) {
        let withdrawn = "the session ended";
        self.withdraw_holds(withdrawn);
        if !self.pipeline.is_empty() {
            self.cancel_at_target();
        }
        let dropped: Vec<Owed> = self.pipeline.close().map(|(_, owed)| owed).collect();
        dropped.into_iter().for_each(|owed| self.forget(owed));
        self.end_all_runs();
        if let Some(told) = end.told(self.caller.session) {
            let mut message = Vec::new();
            say::report(&mut message, wire::postgres::encode::Severity::Fatal, &told);
            if self.outbox.own(&message).is_ok() {
                let _ = self.release();
            }
        }
        let goodbye = Permit::protocol(ProtocolAct::Terminate, self.caller.session.request(0));
        if !matches!(end, End::Target(_)) {
            let _ = self.target.send(goodbye, &self.opened, &say::terminate());
        }
        let both = async {
            tokio::join!(self.client.leg().close(), self.target.leg().close());
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), both).await;
        if matches!(end, End::Violation { .. }) {
            let _ = tokio::time::timeout(Duration::from_secs(1), self.client.leg().linger()).await;
        }
        let tape = self.finish_tape().await;
        if tape.is_some() {
            self.pack_tape();
        }
        let reason = end.reason().into();
        self.node.recorder.note(Event::SessionClosed { session: self.caller.session, reason, tape });
    }
}

impl Session {
    /// Ends the tape and syncs it. A disk that fails or does not answer leaves a tape that is read as truncated, and
    /// the journal says so.
    async fn finish_tape(&mut self) -> Option<(Digest, u64)> {
        let tape = self.tape.end()?;
        let finish = self.node.tasks.spawn_blocking(move || tape.finish(clock::now()));
        let finished = tokio::time::timeout(self.node.config.journal.wait_deadline.max(TAPE_END), finish).await;
        if let Ok(Ok(Ok(finished))) = finished {
            return Some(finished);
        }
        self.node.recorder.gap(self.caller.session, "the tape could not be finished");
        None
    }

    /// Rewrites the finished tape to a fraction of its size; its digest stays the same.
    fn pack_tape(&self) {
        let (dir, session) = (self.node.layout().tapes(), self.caller.session);
        let (disk, keys) = (Arc::clone(self.node.disk()), Arc::clone(&self.node.tape_keys));
        self.node.tasks.spawn_blocking(move || {
            if let Err(error) = ledger::tape::compress(disk.as_ref(), &dir, session, Some(&keys)) {
                tracing::warn!(%session, %error, "a tape stays uncompressed");
            }
        });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Hold {
    /// Waits until this approval changed. Cancel safe.
    async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok(approval) if approval != self.approval => {}
                // Lagging, it may have been told of: look again.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
