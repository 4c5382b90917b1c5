//! One session: its state, and the turn that everything happens in.
//!
//! A turn takes what the client sent as far as it can be taken, journals what was decided, forwards it, and waits until
//! either side, the clock or an operator has something new. Whatever has to wait (state to be read again, an approval)
//! *stalls* the client's next message: it is looked at again in the next turn, and the target's answers go on.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use ledger::{Level, Receipt};
use masking::Lens;
use masking::postgres::Outbox;
use model::class::Labels;
use model::event::Entry;
use model::id::{ApprovalId, RequestId, SessionId};
use model::subject::Subject;
use model::target::Target;
use model::time::Timestamp;
use policy::SubjectPolicies;
use std::net::IpAddr;
use tokio::sync::broadcast;
use tokio::time::{Instant, Sleep};
use wire::postgres::backend::TransactionStatus;
use wire::postgres::frame::Limits;
use wire::postgres::pipeline::Pipeline;

use super::analysed::{Analysed, Epoch, Memo};
use super::catalogs::Snapshot;
use super::end::End;
use super::follow::Followed;
use super::names::{Change, Names};
use super::own::OwnRead;
use super::refusal::Told;
use super::rest::Given;
use super::run::Run;
use super::script::Script;
use super::server::Server;
use super::staging::Staged;
use super::wall::Wall;
use crate::gate::{ClientSide, HIGH_WATER, TargetSide};
use crate::judging::Bench;
use crate::node::Node;
use crate::revision::Active;
use crate::session_tape::SessionTape;
use crate::sessions::Signals;
use crate::tls::ClientCertificate;

/// Who is at the other end.
pub(super) struct Caller {
    pub(super) session: SessionId,
    pub(super) subject: Subject,
    /// What the connection proved in its handshake: what every token that comes on it may be bound to.
    pub(super) certificate: Option<ClientCertificate>,
    /// The certificate that says who the caller is, where one does: the connection's, or one that the session was renewed
    /// with since.
    pub(super) svid: Option<ClientCertificate>,
    /// When its credential ends, by a clock that nobody can set.
    pub(super) ends_at: Instant,
    pub(super) source: IpAddr,
    pub(super) opened_at: Timestamp,
    /// Why, in the caller's words (`SET sluice.reason`).
    pub(super) reason: Option<Arc<str>>,
    /// On whose behalf its statements are (`SET sluice.user_token`), verified: a credential that may end or be revoked
    /// before the session.
    pub(super) user: Option<Arc<Subject>>,
    /// On whose behalf those of the open transaction are instead (`SET LOCAL sluice.user_token`).
    pub(super) local_user: Option<Arc<Subject>>,
}

impl Caller {
    /// On whose behalf a statement is that names nobody itself.
    pub(super) fn user(&self) -> Option<&Arc<Subject>> {
        self.local_user.as_ref().or(self.user.as_ref())
    }
}

/// Where the session leads.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) server: Server,
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
    /// The text that it prepares, of which an error may quote a secret.
    pub(super) parses: Option<Arc<Analysed>>,
    /// The statement or portal whose description the answer is.
    pub(super) describes: Option<ShapeCell>,
}

/// Where a description goes when it comes.
pub(super) type ShapeCell = Arc<OnceLock<Arc<super::shape::Shape>>>;

/// Why the client's next message waits.
pub(super) enum Stall {
    /// For what was forwarded to be answered, since it may change what the next text means.
    Settle,
    /// For everything to be answered that was forwarded: what is set for a transaction is not set in the one before it.
    Answered,
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
    pub(super) runs: BTreeMap<u64, Run>,
    pub(super) last_request: u64,
    /// The number of the request that is stalled: it keeps it when it is looked at again.
    pub(super) pending_request: Option<u64>,
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
    pub(super) receipts: BTreeMap<u64, Receipt>,
    pub(super) outbox: Outbox,
    pub(super) tape: SessionTape,
    pub(super) client: ClientSide,
    pub(super) target: TargetSide,
    /// What the connection to the target has for as long as it lives.
    pub(super) credential: super::upstream::Held,
    pub(super) limits: Limits,
    pub(super) cancelled: bool,
    /// Whether any of the requests is cut.
    pub(super) cut: bool,
    /// The request that the outbox counts for.
    pub(super) accounted: Option<u64>,
    pub(super) draining: Option<Instant>,
    pub(super) last_activity: Instant,
    /// What was given back since then.
    pub(super) given: Given,
    /// Goes off no later than the next deadline; too early is put right when it does.
    pub(super) timer: Pin<Box<Sleep>>,
}

impl Session {
    /// Runs the session to its end and says why it ended.
    pub(super) async fn run(mut self: Box<Self>) -> End {
        self.node.running.begins(self.caller.session);
        let end = match self.turns().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        Box::pin(self.close(&end)).await;
        end
    }

    async fn turns(&mut self) -> Result<std::convert::Infallible, End> {
        // What was revoked since the login was verified, before this session could be told.
        self.stand()?;
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
            if !self.node.revisions.is_in_force(self.active.id) {
                if !(self.staged.is_empty() && self.entries.is_empty()) {
                    // What was decided before it goes its way first.
                    self.waiting = Some(message);
                    return Ok(true);
                }
                self.take_revision()?;
            }
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

    /// Whether nothing is under way.
    pub(super) fn is_answered(&self) -> bool {
        self.pipeline.is_empty() && self.staged.is_empty()
    }

    /// Whether the client's next message still has to wait.
    fn is_stalled(&mut self) -> bool {
        let over = match &self.stall {
            None => true,
            Some(Stall::Settle) => self.unsettled == 0,
            Some(Stall::Answered) => self.is_answered() || self.pipeline.is_skipping(),
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
}
