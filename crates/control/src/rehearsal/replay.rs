//! The journal, entry by entry: who asked what, and what two revisions say of it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use model::event::{Entry, Event};
use model::id::{Digest, RequestId, SessionId};
use model::subject::{Subject, SubjectKey};
use model::time::Timestamp;
use policy::{Context, SubjectPolicies};

use super::side::{Recorded, Said, Side, Statements};

/// How many were looked at, and how many would go otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Requests that were looked at.
    pub requests: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Requests that would go otherwise.
    pub changed_requests: u64,
    /// Sessions that would.
    pub changed_sessions: u64,
    /// Requests that the journal does not explain.
    pub unexplained: u64,
    /// Requests and sessions that would go otherwise and are not listed: there are too many different ones.
    pub unlisted: u64,
}

/// Something that would go otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// How often.
    pub count: u64,
    /// For whom.
    pub subject: SubjectKey,
    /// Where.
    pub target: Arc<str>,
    /// `allow -> deny (policy)`, `number: partial -> clear`.
    pub what: String,
    /// The last request, or the last session.
    pub example: String,
    /// The statements.
    pub text: String,
}

/// The most different changes that are listed.
const MOST_CHANGES: usize = 10_000;
/// The most answers that one session is remembered for.
const MOST_SAID: usize = 1_024;

/// What tells changes apart.
type Key = (SubjectKey, Arc<str>, String, String);

/// A session of the journal.
struct Seat {
    subject: Subject,
    target: Arc<str>,
    database: Arc<str>,
    source: IpAddr,
    opened_at: Timestamp,
    /// The policies of both sides that can apply to the subject, once they are needed.
    slices: Option<[SubjectPolicies; 2]>,
    /// What was said of a request, where it would be said again.
    said: HashMap<(Vec<Digest>, Option<SubjectKey>), [Said; 2]>,
}

/// The journal as far as it was read.
pub struct Replay<'a> {
    since: Timestamp,
    sides: [Side<'a>; 2],
    statements: Statements,
    seats: HashMap<SessionId, Seat>,
    changes: BTreeMap<Key, Change>,
    /// How many were looked at so far.
    pub counts: Counts,
}

impl<'a> Replay<'a> {
    /// Nothing yet; requests from `since` on are compared.
    pub fn new(since: Timestamp, present: Side<'a>, candidate: Side<'a>) -> Self {
        Self {
            since,
            sides: [present, candidate],
            statements: Statements::default(),
            seats: HashMap::new(),
            changes: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// What would go otherwise, the most frequent first.
    pub fn changes(&self) -> Vec<&Change> {
        let mut changes: Vec<&Change> = self.changes.values().collect();
        changes.sort_by_key(|change| std::cmp::Reverse(change.count));
        changes
    }

    /// Takes one entry.
    pub fn take(&mut self, entry: Entry) {
        let Entry { at, event } = entry;
        match event {
            Event::Statement { id, text, effects, facts, output, .. } => {
                self.statements.take(id, Recorded { text, effects, facts, output });
            }
            Event::SessionOpened { session, subject, target, database, source, .. } => {
                let (slices, said) = (None, HashMap::new());
                let seat = Seat { subject, target, database, source, opened_at: at, slices, said };
                self.seats.insert(session, seat);
                if at >= self.since {
                    self.opened(session);
                }
            }
            Event::SessionClosed { session, .. } => drop(self.seats.remove(&session)),
            Event::Decided { request, statements, on_behalf_of, .. } if at >= self.since => {
                let is_explained = self.decided(at, request, statements, on_behalf_of).is_some();
                let unexplained = self.counts.unexplained;
                self.counts.unexplained = unexplained.saturating_add(u64::from(!is_explained));
            }
            _ => {}
        }
    }

    fn opened(&mut self, session: SessionId) {
        let Some(seat) = self.seats.get_mut(&session) else { return };
        self.counts.sessions = self.counts.sessions.saturating_add(1);
        let context = context(&seat.subject, seat.source, seat.opened_at, 0, None);
        let slices = seat.slices.get_or_insert_with(|| self.sides.each_ref().map(|side| side.slice(&seat.subject)));
        let [present, candidate] = &self.sides;
        let place = (&*seat.target, &*seat.database);
        let [first, second] = slices;
        let said = [present.connect(first, place, &context), candidate.connect(second, place, &context)];
        let changed = difference(&said);
        let (subject, target) = (seat.subject.key.clone(), Arc::clone(&seat.target));
        if !changed.is_empty() {
            self.counts.changed_sessions = self.counts.changed_sessions.saturating_add(1);
        }
        for what in changed {
            self.changed(&subject, &target, format!("connect: {what}"), &session.to_string(), "");
        }
    }

    /// `None` if the journal does not explain the request.
    fn decided(&mut self, at: Timestamp, request: RequestId, ids: Vec<Digest>, user: Option<SubjectKey>) -> Option<()> {
        let seat = self.seats.get_mut(&request.session)?;
        let statements: Vec<&Recorded> = ids.iter().map(|id| self.statements.get(id)).collect::<Option<_>>()?;
        self.counts.requests = self.counts.requests.saturating_add(1);
        let key = (ids, user);
        let said = match seat.said.get(&key) {
            Some(known) => known.clone(),
            None => {
                let slices =
                    seat.slices.get_or_insert_with(|| self.sides.each_ref().map(|side| side.slice(&seat.subject)));
                let age = at.millis_since(seat.opened_at) / 1000;
                let context = context(&seat.subject, seat.source, at, age, key.1.as_ref());
                let place = (&seat.target, &seat.database);
                let [present, candidate] = &mut self.sides;
                let [first, second] = slices;
                let said = [
                    present.request(first, place, &statements, &context),
                    candidate.request(second, place, &statements, &context),
                ];
                if said.iter().all(|said| said.holds) && seat.said.len() < MOST_SAID {
                    seat.said.insert(key, said.clone());
                }
                said
            }
        };
        let changed = difference(&said);
        let text: Vec<&str> = statements.iter().map(|statement| statement.text.as_str()).collect();
        let (subject, target, text) = (seat.subject.key.clone(), Arc::clone(&seat.target), text.join("; "));
        if !changed.is_empty() {
            self.counts.changed_requests = self.counts.changed_requests.saturating_add(1);
        }
        for what in changed {
            self.changed(&subject, &target, what, &request.to_string(), &text);
        }
        Some(())
    }

    fn changed(&mut self, subject: &SubjectKey, target: &Arc<str>, what: String, example: &str, text: &str) {
        let key = (subject.clone(), Arc::clone(target), what, text.to_owned());
        if self.changes.len() >= MOST_CHANGES && !self.changes.contains_key(&key) {
            self.counts.unlisted = self.counts.unlisted.saturating_add(1);
            return;
        }
        let change = self.changes.entry(key).or_insert_with_key(|(subject, target, what, text)| Change {
            count: 0,
            subject: subject.clone(),
            target: Arc::clone(target),
            what: what.clone(),
            example: String::new(),
            text: text.clone(),
        });
        change.count = change.count.saturating_add(1);
        example.clone_into(&mut change.example);
    }
}

pub(super) fn context<'c>(
    subject: &'c Subject,
    source: IpAddr,
    now: Timestamp,
    session_age: u64,
    user: Option<&'c SubjectKey>,
) -> Context<'c> {
    Context {
        now,
        source,
        binding: subject.binding,
        session_age,
        on_behalf_of: user.or(subject.on_behalf_of.first()),
        reason: None,
        estimated_rows: None,
        observers: &[],
    }
}

/// What the second says otherwise than the first: the decision, or else the masks one by one.
fn difference([present, candidate]: &[Said; 2]) -> Vec<String> {
    if present.decision != candidate.decision {
        let by = match candidate.policies.join(", ") {
            policies if policies.is_empty() => String::from("nothing permits it"),
            policies => policies,
        };
        return vec![format!("{} -> {} ({by})", present.decision, candidate.decision)];
    }
    let columns = present.masks.iter().flatten().zip(candidate.masks.iter().flatten());
    let differ = columns.filter(|((_, before), (_, after))| before != after);
    differ.map(|((name, before), (_, after))| format!("{name}: {before} -> {after}")).collect()
}
