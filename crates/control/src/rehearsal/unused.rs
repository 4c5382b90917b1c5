//! Permits that decided nothing: what the journal says that was used, and the policies without the rest.
//!
//! A permit was used if the journal names it, if it lets in a session that was opened or asked something, or if it lets
//! something be seen that a request named or was given. What the journal cannot tell of (the admin API, tokens, being told
//! what a refusal lacks, what lets values be seen for a reason or while somebody observes) is never called unused.
//!
//! That nothing would go otherwise without them is for [`super::Replay`] to say, of the same requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use gateway::revision::Checked;
use model::disclosure::Disclosure;
use model::event::{Entry, Event};
use model::id::{Digest, RequestId, SessionId};
use model::subject::{Subject, SubjectKey};
use model::time::Timestamp;
use policy::{PermitScope, SubjectPolicies, policy_texts};
use serde::Serialize;

use super::replay::context;
use super::side::{Recorded, Side, Statements};

/// Actions of which the journal does not always say by which policy they were allowed, beside those of the admin API. Settings
/// that a client brings when it connects are decided with the session, and are not in its entry.
const NOT_TOLD: [&str; 4] = ["know", "exchange", "delegate", "set"];

/// What lets values be seen. The journal does not say by which policy: it is asked anew, as far as the journal tells what
/// a request was.
const REVEAL: &str = "reveal";

/// The most requests of one session of which it is remembered on whose behalf they are.
const MOST_USERS: usize = 1_024;

/// A permit and what is known of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Permit {
    /// Its `@id`.
    pub id: Arc<str>,
    /// The principal of its scope.
    pub principal: String,
    /// How many requests and sessions it decided, as far as is known.
    pub count: u64,
    /// The last of them.
    pub last: Option<Timestamp>,
}

/// Which permits were used, and which not.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Unused {
    /// Since when requests are looked at.
    pub since: Timestamp,
    /// The journal's first entry, if that is later: nothing is known before it.
    pub known_since: Option<Timestamp>,
    /// Requests that were looked at.
    pub requests: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// How often the journal has a gap: what happened then is not known.
    pub gaps: u64,
    /// Requests of which statements were forgotten, as there are too many: what they let be seen is not known.
    pub unexplained: u64,
    /// Those that decided nothing.
    pub unused: Vec<Permit>,
    /// Those that did.
    pub used: Vec<Permit>,
    /// Those of which the journal cannot tell.
    pub not_told: Vec<Permit>,
}

/// A session of the journal.
struct Seat {
    subject: Subject,
    target: Arc<str>,
    database: Arc<str>,
    source: IpAddr,
    opened_at: Timestamp,
    policies: Option<SubjectPolicies>,
    /// What was looked at in it already.
    looked: BTreeSet<(Vec<Digest>, Option<SubjectKey>)>,
    /// On whose behalf its open requests are that named their own user.
    users: HashMap<RequestId, SubjectKey>,
}

/// The journal as far as it was read.
pub struct Usage<'a> {
    since: Timestamp,
    checked: &'a Checked,
    side: Side<'a>,
    statements: Statements,
    seats: HashMap<SessionId, Seat>,
    used: BTreeMap<Arc<str>, (u64, Timestamp)>,
    first: Option<Timestamp>,
    requests: u64,
    sessions: u64,
    gaps: u64,
    unexplained: u64,
}

impl<'a> Usage<'a> {
    /// Nothing yet; what happened from `since` on counts.
    pub fn new(since: Timestamp, checked: &'a Checked, side: Side<'a>) -> Self {
        Self {
            since,
            checked,
            side,
            statements: Statements::default(),
            seats: HashMap::new(),
            used: BTreeMap::new(),
            first: None,
            requests: 0,
            sessions: 0,
            gaps: 0,
            unexplained: 0,
        }
    }

    /// Takes one entry.
    pub fn take(&mut self, entry: Entry) {
        let Entry { at, event } = entry;
        self.first.get_or_insert(at);
        let counts = at >= self.since;
        match event {
            Event::Statement { id, text, effects, facts, output, .. } => {
                self.statements.take(id, Recorded { text, effects, facts, output });
            }
            Event::SessionOpened { session, subject, target, database, source, .. } => {
                let (policies, looked, users) = (None, BTreeSet::new(), HashMap::new());
                let seat = Seat { subject, target, database, source, opened_at: at, policies, looked, users };
                self.seats.insert(session, seat);
                if counts {
                    self.sessions = self.sessions.saturating_add(1);
                    self.let_in(session, at);
                }
            }
            Event::SessionClosed { session, .. } => drop(self.seats.remove(&session)),
            Event::Decided { request, statements, policies, on_behalf_of, .. } if counts => {
                self.requests = self.requests.saturating_add(1);
                policies.iter().for_each(|id| self.uses(id, at));
                self.decided(request, statements, on_behalf_of, at);
            }
            // It did not run, and would not have been prepared without them.
            Event::Prepared { request, statements, policies, .. } if counts => {
                policies.iter().for_each(|id| self.uses(id, at));
                self.decided(request, statements, None, at);
            }
            Event::Completed { request, disclosure, .. } if counts => self.gave(request, &disclosure, at),
            Event::Gap { .. } if counts => self.gaps = self.gaps.saturating_add(1),
            _ => {}
        }
    }

    fn uses(&mut self, id: &Arc<str>, at: Timestamp) {
        let (count, last) = self.used.entry(Arc::clone(id)).or_insert((0, at));
        (*count, *last) = (count.saturating_add(1), (*last).max(at));
    }

    fn use_all(&mut self, ids: impl IntoIterator<Item = Arc<str>>, at: Timestamp) {
        ids.into_iter().for_each(|id| self.uses(&id, at));
    }

    /// What lets a session be opened.
    fn let_in(&mut self, session: SessionId, at: Timestamp) {
        let Some(seat) = self.seats.get_mut(&session) else { return };
        let policies = seat.policies.get_or_insert_with(|| self.side.slice(&seat.subject));
        let context = context(&seat.subject, seat.source, seat.opened_at, 0, None);
        let said = self.side.connect(policies, (&seat.target, &seat.database), &context);
        self.use_all(said.policies.into_iter().map(Arc::from), at);
    }

    /// What lets a request be made, and what it named be seen.
    fn decided(&mut self, request: RequestId, statements: Vec<Digest>, user: Option<SubjectKey>, at: Timestamp) {
        let Some(seat) = self.seats.get_mut(&request.session) else { return };
        if let Some(user) = &user {
            if seat.users.len() >= MOST_USERS {
                // Most of them were refused, and are never completed.
                seat.users.clear();
            }
            seat.users.insert(request, user.clone());
        }
        let asked = (statements, user);
        if seat.looked.contains(&asked) {
            return;
        }
        let recorded: Vec<&Recorded> = asked.0.iter().filter_map(|id| self.statements.get(id)).collect();
        let is_explained = recorded.len() == asked.0.len();
        self.unexplained = self.unexplained.saturating_add(u64::from(!is_explained));
        let policies = seat.policies.get_or_insert_with(|| self.side.slice(&seat.subject));
        let age = at.millis_since(seat.opened_at) / 1000;
        let context = context(&seat.subject, seat.source, at, age, asked.1.as_ref());
        let seen = self.side.reveals(policies, (&seat.target, &seat.database), &recorded, &context);
        if is_explained {
            seat.looked.insert(asked);
        }
        self.use_all(seen, at);
        // It went on living by what had let it in, whenever that was.
        self.let_in(request.session, at);
    }

    /// What let values be seen that were given in clear.
    fn gave(&mut self, request: RequestId, disclosure: &Disclosure, at: Timestamp) {
        let Some(seat) = self.seats.get_mut(&request.session) else { return };
        let user = seat.users.remove(&request);
        let classes = disclosure.classes.iter().filter(|(_, counts)| counts.clear > 0).map(|(class, _)| class.clone());
        let columns =
            disclosure.columns.iter().filter(|(_, counts)| counts.clear > 0).map(|(column, _)| column.clone());
        let (classes, columns): (Vec<_>, Vec<_>) = (classes.collect(), columns.collect());
        if classes.is_empty() && columns.is_empty() {
            return;
        }
        let policies = seat.policies.get_or_insert_with(|| self.side.slice(&seat.subject));
        let age = at.millis_since(seat.opened_at) / 1000;
        let context = context(&seat.subject, seat.source, at, age, user.as_ref());
        let seen = self.side.revealed(policies, (&seat.target, &seat.database), &classes, &columns, &context);
        self.use_all(seen, at);
    }

    /// What was found.
    pub fn found(&self) -> Unused {
        let mut found = Unused {
            since: self.since,
            known_since: self.first.filter(|first| *first > self.since),
            requests: self.requests,
            sessions: self.sessions,
            gaps: self.gaps,
            unexplained: self.unexplained,
            ..Unused::default()
        };
        let is_known = self.unexplained == 0;
        let may_be_missed = |permit: &PermitScope| {
            let reveals = permit.actions.iter().any(|action| **action == *REVEAL);
            reveals && (permit.of_circumstances || !is_known)
        };
        for permit in self.checked.policies().permits() {
            let used = self.used.get(&permit.id);
            let cannot_be_told = |action: &Arc<str>| action.starts_with("admin:") || NOT_TOLD.contains(&&**action);
            let into = match used {
                Some(_) => &mut found.used,
                None if permit.actions.iter().any(cannot_be_told) || may_be_missed(&permit) => &mut found.not_told,
                None => &mut found.unused,
            };
            let (count, last) = used.map_or((0, None), |(count, last)| (*count, Some(*last)));
            into.push(Permit { id: permit.id, principal: permit.principal, count, last });
        }
        found
    }
}

/// The files without these policies, by their names: only those that change. All else in them stays as it was, byte by byte;
/// of a line that held nothing but the end of a policy nothing stays.
pub fn without(files: &[(String, String)], ids: &BTreeSet<Arc<str>>) -> BTreeMap<String, String> {
    let mut texts: Vec<String> = files.iter().map(|(_, text)| text.clone()).collect();
    let mut changed = BTreeSet::new();
    // From the end, so that what is before stays where it is.
    for policy in policy_texts(files.iter().map(|(_, text)| text.as_str())).into_iter().rev() {
        if !policy.permits || !ids.contains(&policy.id) {
            continue;
        }
        let Some(text) = texts.get_mut(policy.file) else { continue };
        let starts_line =
            text.get(..policy.range.start).is_some_and(|before| before.is_empty() || before.ends_with('\n'));
        let rest = text.get(policy.range.end..).unwrap_or_default();
        let ends_line = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'));
        let end = match ends_line {
            Some(after) if starts_line => text.len().saturating_sub(after.len()),
            _ => policy.range.end,
        };
        text.replace_range(policy.range.start..end, "");
        changed.insert(policy.file);
    }
    let all = files.iter().zip(texts).enumerate();
    all.filter(|(at, _)| changed.contains(at)).map(|(_, ((name, _), text))| (name.clone(), text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_else_stays_as_it_was() {
        let text = "// a file\n\n// about one\n@id(\"one\")\npermit (principal, action, resource);\n\n\
            @id(\"two\") permit (principal, action, resource); // kept\r\n@id(\"three\")\r\nforbid (principal, action, resource);\n";
        let files = [("a.cedar".to_owned(), text.to_owned()), ("b.cedar".to_owned(), "// nothing\n".to_owned())];
        let ids = |ids: &[&str]| ids.iter().map(|id| Arc::from(*id)).collect::<BTreeSet<_>>();
        let found = without(&files, &ids(&["one", "two", "three", "four"]));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found["a.cedar"],
            "// a file\n\n// about one\n\n // kept\r\n@id(\"three\")\r\nforbid (principal, action, resource);\n",
            "a forbid is never dropped"
        );
        assert!(without(&files, &ids(&[])).is_empty());
    }
}
