//! What the journal holds: one kind of entry for every kind of thing that matters.
//!
//! The journal stores events with `postcard`: variants and fields are identified by their order. So a variant is only
//! ever added at the end, and a variant's fields never change: what needs more fields becomes a new variant. A golden
//! file in `ledger` pins the encoding.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::approval::{Answer, Asked};
use crate::bypass::Finding;
use crate::decision::{Denial, Need, Outcome};
use crate::disclosure::Disclosure;
use crate::effect::{Effect, Facts};
use crate::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use crate::lineage::Output;
use crate::subject::{Subject, SubjectKey};
use crate::time::Timestamp;

/// An event and when it happened. The order of entries, not the clock, says what came first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Wall clock, UTC.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The process started.
    Started {
        /// Sluice's version.
        version: Arc<str>,
    },
    /// The process stopped by itself.
    Stopped,
    /// A session was authenticated and bound to a target.
    SessionOpened {
        /// The session.
        session: SessionId,
        /// Who.
        subject: Subject,
        /// To which target.
        target: Arc<str>,
        /// To which of its databases.
        database: Arc<str>,
        /// From where.
        source: IpAddr,
        /// The client's own name for itself, cut to 63 bytes.
        application: Arc<str>,
        /// The revision in force.
        revision: RevisionId,
    },
    /// A connection was turned away before it became a session.
    SessionRefused {
        /// The session id that the caller was told.
        session: SessionId,
        /// From where.
        source: IpAddr,
        /// The true reason; the caller got a generic one.
        reason: Arc<str>,
    },
    /// A session's credential was renewed.
    SessionRenewed {
        /// The session.
        session: SessionId,
        /// The new end of the credential.
        expires_at: Timestamp,
    },
    /// A session ended.
    SessionClosed {
        /// The session.
        session: SessionId,
        /// Why.
        reason: Arc<str>,
        /// The digest of its tape, and the tape's length in bytes; absent when nothing was taped. Of a tape of several parts
        /// it is the digest of the last, which covers those of all parts before it, and the length of all.
        tape: Option<(Digest, u64)>,
    },
    /// A normalised statement that later entries refer to by its id.
    Statement {
        /// A digest of target, database, text, effects and lineage.
        id: Digest,
        /// The target.
        target: Arc<str>,
        /// Its database.
        database: Arc<str>,
        /// The text with every constant replaced by `$n`.
        text: String,
        /// What it would do.
        effects: Vec<Effect>,
        /// Facts that policies may ask about.
        facts: Facts,
        /// Where its answer comes from.
        output: Output,
    },
    /// A request was decided. Written before anything of it reaches the target.
    Decided {
        /// The request.
        request: RequestId,
        /// What it runs, one id per statement.
        statements: Vec<Digest>,
        /// Constants and parameters in order, as the record may show them.
        values: Vec<Shown>,
        /// Allow, deny or ask.
        outcome: Outcome,
        /// The `@id`s of the policies that decided.
        policies: Vec<Arc<str>>,
        /// Under which revision.
        revision: RevisionId,
        /// The approval that was spent on it.
        approval: Option<ApprovalId>,
        /// Why it was refused.
        denial: Option<Denial>,
        /// On whose behalf, where the request named its own user.
        on_behalf_of: Option<SubjectKey>,
        /// The W3C trace context that came with it.
        traceparent: Option<Arc<str>>,
    },
    /// A request was answered to its end.
    Completed {
        /// The request.
        request: RequestId,
        /// What the answer gave away.
        disclosure: Disclosure,
        /// The SQLSTATE or status if it failed.
        error: Option<Arc<str>>,
        /// Milliseconds from forwarding to the end of the answer.
        millis: u64,
    },
    /// An approval was asked for.
    ApprovalAsked {
        /// The approval.
        approval: ApprovalId,
        /// All of what is asked.
        asked: Box<Asked>,
    },
    /// Somebody answered.
    ApprovalAnswered {
        /// The approval.
        approval: ApprovalId,
        /// Who, what and when.
        answer: Answer,
    },
    /// An approval was spent. Written before the request is forwarded.
    ApprovalConsumed {
        /// The approval.
        approval: ApprovalId,
        /// On which request.
        request: RequestId,
    },
    /// An approval ended unused.
    ApprovalEnded {
        /// The approval.
        approval: ApprovalId,
        /// Denied, withdrawn or expired.
        status: crate::approval::Status,
        /// Why.
        reason: Arc<str>,
    },
    /// An approval was spent but Sluice cannot tell whether the request ran: it stopped in between. Never retried.
    OutcomeUnknown {
        /// The approval.
        approval: ApprovalId,
        /// The request.
        request: RequestId,
    },
    /// A member of a break-glass group did what policy otherwise denies or asks about.
    BreakGlass {
        /// The request.
        request: RequestId,
        /// Who.
        subject: SubjectKey,
        /// What was waived.
        waived: Vec<Need>,
    },
    /// A new revision is in force.
    RevisionApplied {
        /// Its number.
        revision: RevisionId,
        /// The digest of all its files.
        digest: Digest,
    },
    /// A new revision was refused whole; the running one stays.
    RevisionRefused {
        /// The digest of all its files.
        digest: Digest,
        /// Every mistake, with file and line.
        errors: Vec<String>,
    },
    /// A target's credential was read to open a connection.
    SecretUsed {
        /// For which session; `None` for Sluice's own connections.
        session: Option<SessionId>,
        /// The target.
        target: Arc<str>,
        /// The reference, never the value.
        reference: Arc<str>,
    },
    /// Somebody used the admin interface to change something.
    AdminAction {
        /// Who.
        subject: SubjectKey,
        /// What, such as `session.kill`.
        action: Arc<str>,
        /// To what.
        object: Arc<str>,
        /// Allow or deny.
        outcome: Outcome,
    },
    /// Sluice ran a statement of its own at a target.
    OwnStatement {
        /// On which session's connection; `None` for Sluice's own.
        session: Option<SessionId>,
        /// The target.
        target: Arc<str>,
        /// Its database.
        database: Arc<str>,
        /// Which of its statements.
        name: Arc<str>,
    },
    /// Something was not recorded that should have been.
    Gap {
        /// Which session, if one.
        session: Option<SessionId>,
        /// What and why.
        reason: Arc<str>,
    },
    /// A text was permitted to be prepared: parsed and described by the target, which runs nothing of it. Running it is
    /// a request of its own.
    Prepared {
        /// The preparation.
        request: RequestId,
        /// What was prepared, one id per statement.
        statements: Vec<Digest>,
        /// The `@id`s of the policies that decided.
        policies: Vec<Arc<str>>,
        /// Under which revision.
        revision: RevisionId,
    },
    /// The key that signs the journal's checkpoints was changed. Trees with this entry are signed by the new one.
    KeyRotated {
        /// The public key before, as `NAME+ID+KEY`.
        old: Arc<str>,
        /// The public key from here on.
        new: Arc<str>,
        /// How many entries there are before this one.
        size: u64,
        /// The root of the tree over them.
        root: Digest,
        /// The old key's signature over all of that, in base64.
        by_old: Arc<str>,
        /// The new key's.
        by_new: Arc<str>,
    },
    /// A session's tape reached its cap: what the caller got from here on is not on it. Its requests still are.
    TapeCut {
        /// The session.
        session: SessionId,
        /// How long the tape was, in bytes.
        length: u64,
        /// Why.
        reason: Arc<str>,
    },
    /// A session's tape was removed for good, its key destroyed. Written before that is done.
    TapeRemoved {
        /// The session.
        session: SessionId,
        /// Why: its time was over, or what whoever removed it said.
        reason: Arc<str>,
        /// Who removed it; `None` when its time was over.
        by: Option<SubjectKey>,
    },
    /// A hold became a ticket: its connection waits no longer, and any session of the subject may spend it.
    HoldBecameTicket {
        /// The approval.
        approval: ApprovalId,
    },
    /// The wall clock was set, or the machine slept: since the entry before, the times of entries moved so much further than a
    /// clock that nobody can set.
    ClockMoved {
        /// Milliseconds; negative when it was set back.
        by: i64,
    },
    /// A part of a session's tape ended, and the session goes on in the next one. Written once the part is on the disk.
    TapePartEnded {
        /// The session.
        session: SessionId,
        /// Which part, counted from 1.
        part: u32,
        /// Its digest, which covers those of all parts before it.
        digest: Digest,
        /// How long it is, in bytes.
        length: u64,
    },
    /// The file of a part of a tape is in the archive: what is stored there was read back and is what was sent. Written before
    /// the local file may be removed.
    TapeArchived {
        /// The session.
        session: SessionId,
        /// Which part, counted from 1.
        part: u32,
        /// The object's name.
        object: Arc<str>,
        /// The SHA-256 of the object's bytes: of the sealed file, not of what is on the tape.
        digest: Digest,
        /// How many bytes there are.
        length: u64,
    },
    /// Sluice issued a credential for one that it accepted. Written before it is given out.
    TokenIssued {
        /// Whom it stands for, until when, how it is bound, and its own id.
        subject: Subject,
        /// Which kind: `access_token`, `database_password` or `ssh_certificate`.
        kind: Arc<str>,
        /// The only target at which it is good; `None` means wherever the subject may be.
        target: Option<Arc<str>>,
        /// The id of the credential that it was issued for (`jti`), where that has one.
        issued_for: Option<Arc<str>>,
        /// From where it was asked for.
        source: IpAddr,
    },
    /// A credential, or a proof, that was shown to the token endpoint was not accepted.
    TokenRefused {
        /// From where.
        source: IpAddr,
        /// The true reason; the caller got a generic one.
        reason: Arc<str>,
    },
    /// Somebody looked for ways past Sluice at a target (`sluice target doctor`).
    Bypass {
        /// The target.
        target: Arc<str>,
        /// The database that was looked at.
        database: Arc<str>,
        /// What was found, the gravest first; empty when nothing was.
        findings: Vec<Finding>,
    },
}

impl Event {
    /// What kinds of events there are, in the order of the enum: the words of [`Event::kind`].
    pub const KINDS: [&str; 32] = [
        "started",
        "stopped",
        "session_opened",
        "session_refused",
        "session_renewed",
        "session_closed",
        "statement",
        "decided",
        "completed",
        "approval_asked",
        "approval_answered",
        "approval_consumed",
        "approval_ended",
        "outcome_unknown",
        "break_glass",
        "revision_applied",
        "revision_refused",
        "secret_used",
        "admin_action",
        "own_statement",
        "gap",
        "prepared",
        "key_rotated",
        "tape_cut",
        "tape_removed",
        "hold_became_ticket",
        "clock_moved",
        "tape_part_ended",
        "tape_archived",
        "token_issued",
        "token_refused",
        "bypass",
    ];

    /// The word for its kind, as it stands in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Stopped => "stopped",
            Self::SessionOpened { .. } => "session_opened",
            Self::SessionRefused { .. } => "session_refused",
            Self::SessionRenewed { .. } => "session_renewed",
            Self::SessionClosed { .. } => "session_closed",
            Self::Statement { .. } => "statement",
            Self::Decided { .. } => "decided",
            Self::Completed { .. } => "completed",
            Self::ApprovalAsked { .. } => "approval_asked",
            Self::ApprovalAnswered { .. } => "approval_answered",
            Self::ApprovalConsumed { .. } => "approval_consumed",
            Self::ApprovalEnded { .. } => "approval_ended",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::BreakGlass { .. } => "break_glass",
            Self::RevisionApplied { .. } => "revision_applied",
            Self::RevisionRefused { .. } => "revision_refused",
            Self::SecretUsed { .. } => "secret_used",
            Self::AdminAction { .. } => "admin_action",
            Self::OwnStatement { .. } => "own_statement",
            Self::Gap { .. } => "gap",
            Self::Prepared { .. } => "prepared",
            Self::KeyRotated { .. } => "key_rotated",
            Self::TapeCut { .. } => "tape_cut",
            Self::TapeRemoved { .. } => "tape_removed",
            Self::HoldBecameTicket { .. } => "hold_became_ticket",
            Self::ClockMoved { .. } => "clock_moved",
            Self::TapePartEnded { .. } => "tape_part_ended",
            Self::TapeArchived { .. } => "tape_archived",
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenRefused { .. } => "token_refused",
            Self::Bypass { .. } => "bypass",
        }
    }

    /// The session that it belongs to, if it names one or a request of one.
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::SessionOpened { session, .. }
            | Self::SessionRefused { session, .. }
            | Self::SessionRenewed { session, .. }
            | Self::SessionClosed { session, .. }
            | Self::TapeCut { session, .. }
            | Self::TapeRemoved { session, .. }
            | Self::TapePartEnded { session, .. }
            | Self::TapeArchived { session, .. } => Some(*session),
            Self::SecretUsed { session, .. } | Self::OwnStatement { session, .. } | Self::Gap { session, .. } => {
                *session
            }
            Self::Decided { request, .. }
            | Self::Completed { request, .. }
            | Self::ApprovalConsumed { request, .. }
            | Self::OutcomeUnknown { request, .. }
            | Self::BreakGlass { request, .. }
            | Self::Prepared { request, .. } => Some(request.session),
            Self::ApprovalAsked { asked, .. } => Some(asked.request.session),
            Self::Started { .. }
            | Self::Stopped
            | Self::Statement { .. }
            | Self::ApprovalAnswered { .. }
            | Self::ApprovalEnded { .. }
            | Self::RevisionApplied { .. }
            | Self::RevisionRefused { .. }
            | Self::AdminAction { .. }
            | Self::KeyRotated { .. }
            | Self::HoldBecameTicket { .. }
            | Self::ClockMoved { .. }
            | Self::TokenIssued { .. }
            | Self::TokenRefused { .. }
            | Self::Bypass { .. } => None,
        }
    }
}

/// A constant or parameter as the record may show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// NULL.
    Null,
    /// In clear, as text, cut to 256 bytes.
    Clear(String),
    /// Masked, with the class or `secret` it was masked for.
    Masked(Arc<str>),
    /// Only its length in bytes: binary values, and values that may belong to a classified column.
    Length(u64),
}
