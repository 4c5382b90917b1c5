//! What the index over the journal can be asked, and what it answers.
//!
//! The index is a copy for searching. It says what the journal said when it was fed; proof is the journal's own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::class::DataClass;
use model::classification::Classification;
use model::decision::{Denial, Outcome};
use model::disclosure::Counts;
use model::effect::{ColumnName, Verb};
use model::event::{Event, Shown};
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use model::subject::{SubjectKey, SubjectKind};
use model::time::Timestamp;
use serde::Serialize;

/// Which requests to find. Every field that is given narrows the search; the default finds the newest hundred.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Search {
    /// Decided at this moment or later.
    pub since: Option<Timestamp>,
    /// Decided before this moment.
    pub until: Option<Timestamp>,
    /// By this subject: `alias|id`, or an id alone for any issuer's.
    pub subject: Option<String>,
    /// On behalf of this subject, named likewise, for the session or for the request.
    pub on_behalf_of: Option<String>,
    /// At this target.
    pub target: Option<String>,
    /// Touching this relation: `schema.name`, or a name alone in any schema.
    pub table: Option<String>,
    /// Touching any of these columns, whatever they were classified as then. The columns that carry a class *now* go
    /// here to answer for what was not classified at the time.
    pub columns: Vec<ColumnName>,
    /// With this verb among the effects; together with `table`, in the same effect.
    pub verb: Option<Verb>,
    /// Decided so, at the end or on the way: `Ask` finds what was asked about even if it was allowed then.
    pub outcome: Option<Outcome>,
    /// Decided by the policy with this `@id`.
    pub policy: Option<String>,
    /// Having delivered a value of this class, in clear or masked, or being unknown to have (see [`Completion`]).
    pub class: Option<DataClass>,
    /// Having delivered, or perhaps, a value of what carries a class now, whatever was classified then.
    pub now: Option<Now>,
    /// Running this statement.
    pub statement: Option<Digest>,
    /// Belonging to this trace: the 32 hexadecimal digits of its id (W3C Trace Context).
    pub trace: Option<String>,
    /// Running a statement whose text has this in it, without regard to the case of ASCII letters.
    pub text: Option<String>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// This request.
    pub request: Option<RequestId>,
    /// Spending this approval.
    pub approval: Option<ApprovalId>,
    /// Of a session whose connection used the secret with this reference.
    pub secret: Option<String>,
    /// Only allowed requests whose end is not known.
    pub unknown_only: bool,
    /// At most so many; 0 stands for 100.
    pub limit: u32,
}

/// A class as a classification has it, which may be another one than was in force when requests ran.
#[derive(Clone, PartialEq, Debug)]
pub struct Now {
    /// The class.
    pub class: DataClass,
    /// Which columns carry it.
    pub classification: Arc<Classification>,
}

/// One request as the journal tells it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FoundRequest {
    /// The position in the journal of the entry that first decided it.
    pub position: u64,
    /// When it was first decided.
    pub at: Timestamp,
    /// The request.
    pub request: RequestId,
    /// Who; `None` if the journal lacks the session's opening.
    pub subject: Option<SubjectKey>,
    /// On whose behalf: the request's own user first, then the session's chain.
    pub on_behalf_of: Vec<SubjectKey>,
    /// Where.
    pub target: Option<String>,
    /// In which database.
    pub database: Option<String>,
    /// The last decision.
    pub outcome: Outcome,
    /// Whether a human was asked on the way.
    pub was_asked: bool,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// Why it was refused.
    pub denial: Option<Denial>,
    /// The revision of the last decision.
    pub revision: RevisionId,
    /// The approval spent on it.
    pub approval: Option<ApprovalId>,
    /// What it runs.
    pub statements: Vec<FoundStatement>,
    /// Constants and parameters, as the record may show them.
    pub values: Vec<Shown>,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// How it ended; see [`FoundRequest::is_unknown`] where it is absent.
    pub completion: Option<Completion>,
    /// What it gave of the class as it is now, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<GivenNow>,
}

impl FoundRequest {
    /// Whether it may have run and nobody knows what it delivered: not the same as nothing (RULES.md 30).
    pub fn is_unknown(&self) -> bool {
        self.outcome == Outcome::Allow && self.completion.is_none()
    }
}

/// A statement of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FoundStatement {
    /// Its id.
    pub id: Digest,
    /// Its text with constants replaced; `None` if the journal lacks the entry.
    pub text: Option<String>,
    /// Its effects, one line each.
    pub effects: Vec<String>,
}

/// How a request ended.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Completion {
    /// When.
    pub at: Timestamp,
    /// Rows delivered.
    pub rows: u64,
    /// Bytes delivered.
    pub bytes: u64,
    /// Milliseconds from forwarding to the end.
    pub millis: u64,
    /// The SQLSTATE or status if it failed.
    pub error: Option<String>,
    /// Values delivered, per class.
    pub classes: BTreeMap<DataClass, Counts>,
    /// Values delivered, per column that was classified then.
    #[serde(serialize_with = "columns_as_text")]
    pub columns: BTreeMap<ColumnName, Counts>,
}

fn columns_as_text<S: serde::Serializer>(
    columns: &BTreeMap<ColumnName, Counts>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(columns.iter().map(|(column, counts)| (column.to_string(), counts)))
}

/// Whether values of a class were read: *in clear N, masked M, unknown K*.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Disclosed {
    /// Values delivered in clear.
    pub clear: u64,
    /// Values delivered masked.
    pub masked: u64,
    /// Requests that delivered any.
    pub requests: u64,
    /// Allowed requests without a known end: each may have delivered some. Requests that run at the moment are among
    /// them.
    pub unknown: u64,
}

/// Whether values were read of what carries a class *now*.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DisclosedNow {
    /// Values delivered in clear that were counted, as their column was classified then too.
    pub clear: u64,
    /// These, and as many as the rows can have held of columns that were not.
    pub clear_at_most: u64,
    /// Values delivered masked.
    pub masked: u64,
    /// Requests that delivered any, or may have by their rows.
    pub requests: u64,
    /// Requests that may have delivered some: their end is not known, or not what their answer was made of.
    pub unknown: u64,
}

impl DisclosedNow {
    /// Adds what others gave; saturates.
    pub(crate) const fn add(&mut self, more: Self) {
        self.clear = self.clear.saturating_add(more.clear);
        self.clear_at_most = self.clear_at_most.saturating_add(more.clear_at_most);
        self.masked = self.masked.saturating_add(more.masked);
        self.requests = self.requests.saturating_add(more.requests);
        self.unknown = self.unknown.saturating_add(more.unknown);
    }
}

/// What one request gave of what carries a class *now*.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct GivenNow {
    /// Of which columns.
    pub columns: Vec<String>,
    /// As in [`DisclosedNow`].
    pub clear: u64,
    /// As in [`DisclosedNow`].
    pub clear_at_most: u64,
    /// As in [`DisclosedNow`].
    pub masked: u64,
    /// Whether there may be more that nobody can count.
    pub unknown: bool,
}

/// What one subject read of what carries a class *now*.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClassReportNow {
    /// Who; `None` for requests whose session's opening the journal lacks.
    pub subject: Option<SubjectKey>,
    /// How much.
    #[serde(flatten)]
    pub disclosed: DisclosedNow,
}

/// What one subject read of a class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClassReport {
    /// Who; `None` for requests whose session's opening the journal lacks.
    pub subject: Option<SubjectKey>,
    /// How much.
    #[serde(flatten)]
    pub disclosed: Disclosed,
}

/// Which subjects to find: those who opened sessions, in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SubjectSearch {
    /// Having this in their name, `alias|id`, without regard to the case of ASCII letters.
    pub text: Option<String>,
    /// Behind this one.
    pub after: Option<SubjectKey>,
    /// At most so many; 0 stands for 100.
    pub limit: u32,
}

/// A subject as it was when it last opened a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FoundSubject {
    /// Who.
    pub subject: SubjectKey,
    /// A service or a user; `None` if the index does not have it, see [`FoundSubject::groups`].
    pub kind: Option<SubjectKind>,
    /// The groups that it was in; `None` if the index was fed before it kept them: it has to be made anew.
    pub groups: Option<Vec<Arc<str>>>,
    /// When it last opened a session.
    pub seen_at: Timestamp,
}

/// Which sessions to find.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionSearch {
    /// This one.
    pub session: Option<SessionId>,
    /// Open at this moment or later.
    pub since: Option<Timestamp>,
    /// Opened before this moment.
    pub until: Option<Timestamp>,
    /// By this subject: `alias|id`, or an id alone for any issuer's.
    pub subject: Option<String>,
    /// At this target.
    pub target: Option<String>,
    /// Only those whose end the journal lacks.
    pub open_only: bool,
    /// At most so many; 0 stands for 100.
    pub limit: u32,
}

/// One session as the journal tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FoundSession {
    /// The session.
    pub session: SessionId,
    /// Who.
    pub subject: SubjectKey,
    /// The delegation behind it, the nearest first.
    pub on_behalf_of: Vec<SubjectKey>,
    /// Where.
    pub target: String,
    /// In which database.
    pub database: String,
    /// From where.
    pub source: IpAddr,
    /// The client's own name for itself: not verified.
    pub application: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When its credential ends, as last renewed.
    pub expires_at: Timestamp,
    /// Requests decided so far.
    pub requests: u64,
    /// How it ended; `None` while it runs or if its end was never written.
    pub closed: Option<Closed>,
}

/// The end of a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// The digest and length in bytes of its tape.
    pub tape: Option<(Digest, u64)>,
}

/// An event that is neither a session's nor a request's ordinary course.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FoundEvent {
    /// The entry's position in the journal.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// The journal's entry.
    pub event: Arc<Event>,
}
