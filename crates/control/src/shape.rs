//! What the answers of the API look like, for its description and for whoever reads them.
//!
//! The answers are made from what `store`, `gateway` and `model` know; a test reads each of them as these, so that the two
//! cannot part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod policy;

pub use policy::*;

/// Who somebody is: the issuer's alias, and the issuer's id for them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectName {
    /// The alias.
    pub issuer: String,
    /// The id.
    pub id: String,
}

/// The caller, and what of the API it may use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Whoami {
    /// Who.
    pub subject: SubjectName,
    /// `service` or `user`.
    pub kind: String,
    /// Groups as policies name them.
    pub groups: Vec<String>,
    /// The delegation behind it, the nearest first.
    pub on_behalf_of: Vec<SubjectName>,
    /// When the credential ends.
    pub expires_at: u64,
    /// `bearer`, `mtls`, `dpop` or `ssh`.
    pub binding: String,
    /// The admin verbs, such as `admin:approve`.
    pub may: Vec<String>,
}

/// Somebody signed out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOut {
    /// True.
    pub signed_out: bool,
}

/// A target, as policies know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// `postgres`, `ssh` or `http`.
    pub protocol: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A target, and how it is reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReachedTargetView {
    /// Its name.
    pub name: String,
    /// `postgres`, `ssh` or `http`.
    pub protocol: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The host that it is at.
    pub host: String,
    /// The port.
    pub port: u16,
    /// By what Sluice proves itself there, such as `vault:payments`; never a part of it.
    pub credential: String,
    /// How connecting to it went since Sluice started.
    pub contact: ContactView,
}

/// How connecting to a target went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactView {
    /// The last connection.
    pub reached: Option<ReachedView>,
    /// The last failure.
    pub failed: Option<FailedView>,
    /// How many connections there were.
    pub connections: u64,
    /// How many failed.
    pub failures: u64,
}

/// A connection that came about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReachedView {
    /// When.
    pub at: u64,
    /// How long it took with its login, in milliseconds.
    pub millis: u64,
}

/// A connection that did not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedView {
    /// When.
    pub at: u64,
    /// Why.
    pub reason: String,
}

/// A revision that is not applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedView {
    /// The digest of its files.
    pub digest: String,
    /// The mistakes, each with file and line.
    pub errors: Vec<String>,
}

/// The revision in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevisionView {
    /// Its number.
    pub revision: u64,
    /// The digest of all its files.
    pub digest: String,
    /// Its targets.
    pub targets: Vec<TargetView>,
    /// The names of its data classes.
    pub classes: Vec<String>,
    /// The last one that was refused, if none was applied since.
    pub refused: Option<RefusedView>,
}

/// Something that was found at a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingView {
    /// `note`, `warning` or `serious`.
    pub severity: String,
    /// What was looked at.
    pub check: String,
    /// What there is.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

/// Ways past Sluice at a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DoctorView {
    /// The target.
    pub target: String,
    /// Its database.
    pub database: String,
    /// What was found, the gravest first.
    pub findings: Vec<FindingView>,
    /// What could not be looked at.
    pub unchecked: Vec<String>,
}

/// A class that a column may carry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposedView {
    /// The column as `schema.table.column`.
    pub column: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The class.
    pub class: String,
    /// `low`, `medium` or `high`.
    pub confidence: String,
    /// How many values were looked at.
    pub values: u64,
    /// How many of them have the form of the class.
    pub hits: u64,
    /// Why, in words.
    pub because: Vec<String>,
}

/// A column whose values speak against what it is classified as.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContradictionView {
    /// The column as `schema.table.column`.
    pub column: String,
    /// What is wrong, in words.
    pub what: String,
}

/// A relation of which no value was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsampledView {
    /// The relation as `schema.table`.
    pub relation: String,
    /// Why.
    pub why: String,
}

/// What a scan found: names and counts, and no value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanReportView {
    /// The target.
    pub target: String,
    /// The database.
    pub database: String,
    /// How many relations were looked at.
    pub relations: u64,
    /// How many columns.
    pub columns: u64,
    /// How many of them are classified already, or public.
    pub classified: u64,
    /// How many values were looked at.
    pub values: u64,
    /// Whether there are more columns than are looked at.
    pub cut: bool,
    /// What may be classified.
    pub proposals: Vec<ProposedView>,
    /// Where values speak against the classification.
    pub contradictions: Vec<ContradictionView>,
    /// What was judged by names and types alone.
    pub unsampled: Vec<UnsampledView>,
    /// The proposals as lines for `classification.toml`.
    pub fragment: String,
}

/// A scan of a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanView {
    /// Its id.
    pub id: String,
    /// The target.
    pub target: String,
    /// Its database.
    pub database: String,
    /// Who began it.
    pub by: SubjectName,
    /// When.
    pub began: u64,
    /// `running`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// How many relations there are; 0 until that is known.
    pub relations: u64,
    /// How many of them were looked at.
    pub done: u64,
    /// How many values were.
    pub values: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// What it found, once it is done.
    pub report: Option<ScanReportView>,
}

/// What a subject may do and see at a target, in short.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessSummaryView {
    /// The target.
    pub target: String,
    /// Whether a session may be opened somewhere in it: `allow`, `deny` or `depends`.
    pub connect: String,
    /// The verbs that are allowed for something.
    pub allow: Vec<String>,
    /// Those that a human is asked about for something.
    pub ask: Vec<String>,
    /// Those whose answer hangs on what is not known before somebody asks.
    pub depends: Vec<String>,
    /// The classes of which something is seen in clear.
    pub clear: Vec<String>,
    /// Whether not all objects were asked about.
    pub cut: bool,
}

/// A subject of the access map.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRowView {
    /// Who.
    pub subject: SubjectName,
    /// `service` or `user`; null if the index does not have it.
    pub kind: Option<String>,
    /// The groups that it was in when it last opened a session; null if the index does not have them: it has to be made anew.
    pub groups: Option<Vec<String>>,
    /// When it last opened a session.
    pub seen_at: u64,
    /// What it may do at each target; empty if its groups are not known.
    pub targets: Vec<AccessSummaryView>,
}

/// A part of the access map.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessMapView {
    /// The revision that was asked.
    pub revision: u64,
    /// The targets that were asked about.
    pub targets: Vec<TargetView>,
    /// The subjects.
    pub subjects: Vec<AccessRowView>,
    /// Whether there was time to ask about all targets of these subjects; what is missing is asked for one by one.
    pub is_complete: bool,
    /// What to ask for the subjects behind these; null if there are none.
    pub next: Option<String>,
}

/// What may be done with one object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessAnswerView {
    /// The verb.
    pub verb: String,
    /// To what, in words.
    pub object: String,
    /// As asked now: `allow`, `ask` or `deny`.
    pub outcome: String,
    /// What it is for a statement that nothing bounds, where that differs.
    pub unbounded: Option<String>,
    /// What the answer hangs on: `time`, `session`, `reason`, `on_behalf_of`, `estimated_rows`, `statement`, `object`.
    pub depends_on: Vec<String>,
    /// The policies that decide.
    pub policies: Vec<String>,
    /// The groups that would be asked, or that have to observe.
    pub asks: Vec<String>,
    /// What the caller would be told where it is refused.
    pub told: Option<String>,
    /// Permits whose scope fits and whose condition does not.
    pub near: Vec<String>,
}

/// What is seen of a class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessSeesView {
    /// The class.
    pub class: String,
    /// Of which column; null for what is found by its content, wherever it is.
    pub column: Option<String>,
    /// `clear`, or how it is masked.
    pub shown: String,
    /// What the answer hangs on.
    pub depends_on: Vec<String>,
    /// The policies that decide; none if nothing permits it.
    pub policies: Vec<String>,
}

/// What may be done and seen in a database, login or host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessPlaceView {
    /// Which.
    pub place: String,
    /// Whether a session may be opened.
    pub connect: AccessAnswerView,
    /// What may be done in it; empty if it may not be opened.
    pub may: Vec<AccessAnswerView>,
    /// What may be seen there; likewise.
    pub sees: Vec<AccessSeesView>,
    /// Where the objects are known from.
    pub known: String,
    /// Whether there are more objects than were asked about.
    pub cut: bool,
}

/// A permit, and what is known of its use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermitView {
    /// Its `@id`.
    pub id: String,
    /// The principal of its scope.
    pub principal: String,
    /// How many requests and sessions it decided, as far as is known.
    pub count: u64,
    /// The last of them.
    pub last: Option<u64>,
}

/// Permits that decided nothing, and what the policies without them would have done otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnusedFound {
    /// The journal's first entry, if that is later than what was asked: nothing is known before it.
    pub known_since: Option<u64>,
    /// How often the journal has a gap.
    pub gaps: u64,
    /// Those that decided nothing.
    pub unused: Vec<PermitView>,
    /// Those of which the journal cannot tell.
    pub not_told: Vec<PermitView>,
    /// Those that did.
    pub used: Vec<PermitView>,
    /// The files that change without the unused, as a proposal takes them.
    pub files: BTreeMap<String, String>,
    /// Requests that were tried.
    pub requests: u64,
    /// Sessions that were.
    pub sessions: u64,
    /// Requests that the journal does not explain.
    pub unexplained: u64,
    /// Requests that would go otherwise.
    pub changed_requests: u64,
    /// Sessions that would.
    pub changed_sessions: u64,
}

/// A search for permits that decided nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnusedView {
    /// Its id.
    pub id: String,
    /// `running`, `done`, `failed` or `cancelled`.
    pub status: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// Since when requests are looked at.
    pub since: u64,
    /// How many entries are to be read, each twice.
    pub entries: u64,
    /// How many were.
    pub read: u64,
    /// What was found, once it is done.
    pub found: Option<UnusedFound>,
}

/// A policy as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTextView {
    /// Its `@id`.
    pub id: String,
    /// Its file.
    pub file: String,
    /// The line on which it begins.
    pub line: u64,
    /// What it says.
    pub text: String,
}

/// A cell of the access map.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessCellView {
    /// The revision that was asked.
    pub revision: u64,
    /// Who.
    pub subject: SubjectName,
    /// `service` or `user`.
    pub kind: String,
    /// The groups.
    pub groups: Vec<String>,
    /// The target.
    pub target: String,
    /// What it speaks.
    pub protocol: String,
    /// Each database, login or host.
    pub places: Vec<AccessPlaceView>,
    /// Whether everything was asked in time.
    pub is_complete: bool,
    /// The policies that are named.
    pub policies: Vec<PolicyTextView>,
}

/// A file of policies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFileView {
    /// Its name.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// The policies in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoliciesView {
    /// The revision.
    pub revision: u64,
    /// Its files, in the order of their names.
    pub files: Vec<PolicyFileView>,
}

/// A signed tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointView {
    /// How many entries it covers.
    pub size: u64,
    /// Its root, in hexadecimal.
    pub root: String,
}

/// Where the journal's events are sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkView {
    /// Its name.
    pub name: String,
    /// Whether it goes on; if not it needs somebody.
    pub is_running: bool,
    /// Entries that it has yet to acknowledge.
    pub lag: i64,
}

/// A channel by which approvers are told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// `slack`, `teams`, `email` or `webhook`.
    pub kind: String,
    /// Whether it goes on; if not it needs somebody.
    pub is_running: bool,
    /// What it has yet to tell.
    pub waiting: i64,
    /// Messages that it took since the start.
    pub sent: u64,
    /// Attempts to send that failed since the start.
    pub failures: u64,
    /// Answers that came by it and were not taken since the start.
    pub answers_refused: u64,
}

/// What came of trying a channel out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// Which.
    pub channel: String,
    /// That it took the message.
    pub sent: bool,
}

/// Who cosigns checkpoints.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WitnessView {
    /// Its name.
    pub name: String,
    /// How many entries it has cosigned.
    pub size: i64,
    /// Whether it remembers another journal, or more of it.
    pub contradicts: bool,
}

/// How Sluice is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthView {
    /// Sluice's version.
    pub version: String,
    /// Whether it ends when its sessions have.
    pub is_draining: bool,
    /// Why requests cannot be recorded now, if so: `full`, `read_only`, `stalled` or `other`.
    pub journal_fault: Option<String>,
    /// How many entries the journal has.
    pub entries: u64,
    /// How many of them can be searched.
    pub indexed: u64,
    /// The latest checkpoint.
    pub checkpoint: Option<CheckpointView>,
    /// The public key of checkpoints, as `NAME+ID+KEY`.
    pub journal_key: String,
    /// Where events are sent.
    pub sinks: Vec<SinkView>,
    /// Who cosigns.
    pub witnesses: Vec<WitnessView>,
    /// By which approvers are told.
    pub channels: Vec<ChannelView>,
    /// Live sessions.
    pub sessions: u64,
}

/// What has to be agreed to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NeedView {
    /// The policy that asks.
    pub policy: String,
    /// A digest of its text.
    pub policy_digest: String,
    /// Any of these groups may answer.
    pub groups: Vec<String>,
    /// How many different people have to agree.
    pub quorum: u8,
}

/// What is asked, whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedView {
    /// The request that asked first.
    pub request: String,
    /// Who asks.
    pub subject: SubjectName,
    /// The delegation behind it.
    pub on_behalf_of: Vec<SubjectName>,
    /// Where.
    pub target: String,
    /// The target's database.
    pub database: String,
    /// The whole statement, classified literals masked.
    pub statement: String,
    /// Bound parameters as text, classified ones masked.
    pub parameters: Vec<String>,
    /// The statement's effects, one line each.
    pub effects: Vec<String>,
    /// The target's own estimate of the rows touched, where there is one.
    pub estimated_rows: Option<u64>,
    /// Why, in the requester's words.
    pub reason: Option<String>,
    /// What has to be agreed to.
    pub needs: Vec<NeedView>,
    /// What the answer is bound to.
    pub digest: String,
    /// `hold`, `ticket` or `window`.
    pub mode: String,
    /// The revision under which it was asked.
    pub revision: u64,
    /// When it was asked.
    pub asked_at: u64,
    /// When it ends, answered or not.
    pub expires_at: u64,
}

/// A table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TableView {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

/// What a window covers; an empty list covers everything of its kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeView {
    /// The verbs.
    pub verbs: Vec<String>,
    /// The only tables.
    pub tables: Vec<TableView>,
    /// The only session.
    pub session: Option<String>,
}

/// A window's own terms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermsView {
    /// What it covers.
    pub scope: ScopeView,
    /// When it ends.
    pub until: u64,
    /// How many requests it covers; any number unless given.
    pub max_uses: Option<u32>,
}

/// One person's answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenView {
    /// Who answered.
    pub approver: SubjectName,
    /// Their groups then.
    pub groups: Vec<String>,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: u64,
}

/// A request that an approval was spent on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UseView {
    /// The request.
    pub request: String,
    /// When.
    pub at: u64,
    /// Whether the request is known to have ended.
    pub completed: bool,
}

/// The end of an approval that was not used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndedView {
    /// When.
    pub at: u64,
    /// Why.
    pub reason: String,
}

/// How far one need is met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgressView {
    /// The policy that asks.
    pub policy: String,
    /// Who may answer.
    pub groups: Vec<String>,
    /// How many have to agree.
    pub quorum: u8,
    /// How many have.
    pub agreed: u64,
}

/// An approval, and how far it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalView {
    /// Its id, `apr-…`.
    pub id: String,
    /// `pending`, `approved`, `denied`, `withdrawn`, `expired` or `consumed`.
    pub status: String,
    /// What is asked.
    pub asked: AskedView,
    /// A window's own terms.
    pub window: Option<TermsView>,
    /// Every answer, in order.
    pub answers: Vec<GivenView>,
    /// What it was spent on, the newest first.
    pub uses: Vec<UseView>,
    /// When and why it ended unused.
    pub ended: Option<EndedView>,
    /// How far each need is met.
    pub progress: Vec<ProgressView>,
}

/// Where an approval stands now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Its id.
    pub id: String,
    /// As in [`ApprovalView`].
    pub status: String,
}

/// A window that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowAsked {
    /// Its id.
    pub id: String,
    /// As in [`ApprovalView`].
    pub status: String,
    /// Who has to agree.
    pub needs: Vec<NeedView>,
}

/// A live session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveView {
    /// The session.
    pub session: String,
    /// Who.
    pub subject: SubjectName,
    /// On whose behalf.
    pub on_behalf_of: Vec<SubjectName>,
    /// To which target.
    pub target: String,
    /// To which of its databases.
    pub database: String,
    /// From where.
    pub source: String,
    /// Since when.
    pub opened_at: u64,
    /// How its credential is tied to its connection.
    pub binding: String,
    /// The SHA-256 of the client certificate of its connection.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Of which groups somebody has to observe it before something in it runs, or goes on.
    #[serde(default)]
    pub awaits_observer: Vec<String>,
}

/// The end of a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedView {
    /// When.
    pub at: u64,
    /// Why.
    pub reason: String,
    /// The digest and length in bytes of its tape.
    #[schema(value_type = Option<Vec<Object>>)]
    pub tape: Option<(String, u64)>,
}

/// A session, as the journal tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRecord {
    /// The session.
    pub session: String,
    /// Who.
    pub subject: SubjectName,
    /// The delegation behind it.
    pub on_behalf_of: Vec<SubjectName>,
    /// Where.
    pub target: String,
    /// In which database.
    pub database: String,
    /// From where.
    pub source: String,
    /// The client's own name for itself: not verified.
    pub application: String,
    /// When it was opened.
    pub opened_at: u64,
    /// When its credential ends, as last renewed.
    pub expires_at: u64,
    /// Requests decided so far.
    pub requests: u64,
    /// How it ended; null while it runs or if its end was never written.
    pub closed: Option<ClosedView>,
}

/// One session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionView {
    /// If it lives.
    pub live: Option<LiveView>,
    /// What the journal tells of it.
    pub record: Option<SessionRecord>,
}

/// A session was told to end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Killed {
    /// The session.
    pub session: String,
    /// Whether it still lived.
    pub told: bool,
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DenialView {
    /// The policies that forbid it; empty when nothing permits it.
    pub policies: Vec<String>,
    /// What the caller was told.
    pub message: String,
    /// What the caller lacks.
    pub missing: String,
}

/// A statement of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementView {
    /// Its digest.
    pub id: String,
    /// Its text with constants replaced; null if the journal lacks the entry.
    pub text: Option<String>,
    /// Its effects, one line each.
    pub effects: Vec<String>,
}

/// How many values were delivered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountsView {
    /// As they are.
    pub clear: u64,
    /// Masked.
    pub masked: u64,
}

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletionView {
    /// When.
    pub at: u64,
    /// Rows delivered.
    pub rows: u64,
    /// Bytes delivered.
    pub bytes: u64,
    /// Milliseconds from forwarding to the end.
    pub millis: u64,
    /// The SQLSTATE or status if it failed.
    pub error: Option<String>,
    /// Values delivered, per class.
    pub classes: BTreeMap<String, CountsView>,
    /// Values delivered, per column that was classified then.
    pub columns: BTreeMap<String, CountsView>,
}

/// What a request gave of what carries a class now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenNowView {
    /// Of which columns.
    pub columns: Vec<String>,
    /// In clear, counted.
    pub clear: u64,
    /// In clear, counted or as many as the rows can have held.
    pub clear_at_most: u64,
    /// Masked.
    pub masked: u64,
    /// Whether there may be more that nobody can count.
    pub unknown: bool,
}

/// A request, as the journal tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestView {
    /// The position in the journal of the entry that first decided it.
    pub position: u64,
    /// When it was first decided.
    pub at: u64,
    /// The request.
    pub request: String,
    /// Who; null if the journal lacks the session's opening.
    pub subject: Option<SubjectName>,
    /// On whose behalf.
    pub on_behalf_of: Vec<SubjectName>,
    /// Where.
    pub target: Option<String>,
    /// In which database.
    pub database: Option<String>,
    /// `allow`, `deny` or `ask`: the last decision.
    pub outcome: String,
    /// Whether a human was asked on the way.
    pub was_asked: bool,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// Why it was refused.
    pub denial: Option<DenialView>,
    /// The revision of the last decision.
    pub revision: u64,
    /// The approval spent on it.
    pub approval: Option<String>,
    /// What it runs.
    pub statements: Vec<StatementView>,
    /// Constants and parameters, as the record may show them.
    #[schema(value_type = Vec<Object>)]
    pub values: Vec<serde_json::Value>,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// How it ended; where an allowed one has none, it may have delivered anything.
    pub completion: Option<CompletionView>,
    /// What it gave of the class as it is now, if that was asked.
    #[serde(default)]
    pub now: Option<GivenNowView>,
}

/// How many values of a class were delivered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisclosedView {
    /// In clear.
    pub clear: u64,
    /// With `now`: in clear, counted or as many as the rows can have held.
    #[serde(default)]
    pub clear_at_most: Option<u64>,
    /// Masked.
    pub masked: u64,
    /// Requests that delivered any.
    pub requests: u64,
    /// Allowed requests that may have delivered some, and nobody knows.
    pub unknown: u64,
}

/// What one subject was shown of a class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportLine {
    /// Who; null for requests whose session's opening the journal lacks.
    pub subject: Option<SubjectName>,
    /// In clear.
    pub clear: u64,
    /// With `now`: in clear, counted or as many as the rows can have held.
    #[serde(default)]
    pub clear_at_most: Option<u64>,
    /// Masked.
    pub masked: u64,
    /// Requests that delivered any.
    pub requests: u64,
    /// Allowed requests that may have delivered some, and nobody knows.
    pub unknown: u64,
}

/// An event that is no request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventView {
    /// The entry's position in the journal.
    pub position: u64,
    /// When.
    pub at: u64,
    /// The journal's entry: its kind, and what it says.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
}

/// A proof that an entry is in the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofView {
    /// The entry's position.
    pub entry: u64,
    /// The text of the proof, with the entry's bytes (c2sp.org/tlog-proof).
    pub proof: String,
    /// The public key of checkpoints, as `NAME+ID+KEY`: one that was kept elsewhere proves more.
    pub key: String,
    /// What the entry's bytes say.
    #[schema(value_type = Object)]
    pub content: serde_json::Value,
}
