//! What a sink remembers of earlier entries, so that one event tells who did what.
//!
//! Bounded, and filled from what the sink reads. What came before it began is asked of the index.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use model::effect::Effect;
use model::event::Event;
use model::id::{Digest, RequestId, SessionId};
use model::subject::SubjectKey;
use serde::Serialize;
use store::State;
use store::audit::{FoundStatement, Search, SessionSearch};

/// How many bytes of statements are remembered.
const STATEMENTS: usize = 8 * 1024 * 1024;

/// How many sessions, and how many requests that have not ended.
const SESSIONS: usize = 8_192;
const REQUESTS: usize = 8_192;

/// Who is behind a session, and where it leads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Who {
    pub(super) subject: SubjectKey,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) on_behalf_of: Vec<SubjectKey>,
    pub(super) target: Arc<str>,
    pub(super) database: Arc<str>,
    pub(super) source: IpAddr,
}

/// What a request runs.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) statements: Vec<Digest>,
    pub(super) traceparent: Option<Arc<str>>,
}

/// What a sink remembers.
pub(super) struct Known {
    sessions: Bounded<SessionId, Arc<Who>>,
    statements: Bounded<Digest, Arc<FoundStatement>>,
    requests: Bounded<RequestId, Arc<Ran>>,
    state: Arc<dyn State>,
}

impl Known {
    pub(super) fn new(state: Arc<dyn State>) -> Self {
        let (sessions, statements) = (Bounded::new(SESSIONS), Bounded::new(STATEMENTS));
        Self { sessions, statements, requests: Bounded::new(REQUESTS), state }
    }

    /// Remembers what later entries refer to.
    pub(super) fn learn(&mut self, event: &Event) {
        match event {
            Event::SessionOpened { session, subject, target, database, source, .. } => {
                let who = Who {
                    subject: subject.key.clone(),
                    on_behalf_of: subject.on_behalf_of.clone(),
                    target: Arc::clone(target),
                    database: Arc::clone(database),
                    source: *source,
                };
                self.sessions.keep(*session, Arc::new(who), 1);
            }
            Event::Statement { id, text, effects, .. } => {
                let effects = effects.iter().map(Effect::to_string).collect();
                self.keep(FoundStatement { id: *id, text: Some(text.clone()), effects });
            }
            Event::Decided { request, statements, traceparent, .. } => {
                let ran = Ran { statements: statements.clone(), traceparent: traceparent.clone() };
                self.requests.keep(*request, Arc::new(ran), 1);
            }
            _ => {}
        }
    }

    fn keep(&mut self, statement: FoundStatement) -> Arc<FoundStatement> {
        let effects: usize = statement.effects.iter().map(String::len).sum();
        let weight = statement.text.as_ref().map_or(0, String::len).saturating_add(effects).saturating_add(64);
        let statement = Arc::new(statement);
        self.statements.keep(statement.id, Arc::clone(&statement), weight);
        statement
    }

    /// Who is behind a session, if anybody knows.
    pub(super) fn who(&mut self, session: SessionId) -> Option<Arc<Who>> {
        if let Some(who) = self.sessions.get(&session) {
            return Some(Arc::clone(who));
        }
        let search = SessionSearch { session: Some(session), limit: 1, ..SessionSearch::default() };
        let found = self.state.sessions(&search).ok()?.pop()?;
        let who = Arc::new(Who {
            subject: found.subject,
            on_behalf_of: found.on_behalf_of,
            target: found.target.into(),
            database: found.database.into(),
            source: found.source,
        });
        self.sessions.keep(session, Arc::clone(&who), 1);
        Some(who)
    }

    /// What a request runs, if it was decided not long ago.
    pub(super) fn ran(&self, request: RequestId) -> Option<Arc<Ran>> {
        self.requests.get(&request).cloned()
    }

    /// A statement; its digest alone where nobody knows more.
    pub(super) fn statement(&mut self, id: Digest) -> Arc<FoundStatement> {
        if let Some(statement) = self.statements.get(&id) {
            return Arc::clone(statement);
        }
        let search = Search { statement: Some(id), limit: 1, ..Search::default() };
        let found = self.state.search(&search).unwrap_or_default();
        let statements = found.into_iter().flat_map(|request| request.statements);
        match statements.into_iter().find(|statement| statement.id == id && statement.text.is_some()) {
            Some(statement) => self.keep(statement),
            None => Arc::new(FoundStatement { id, text: None, effects: Vec::new() }),
        }
    }
}

/// A map that forgets what it has had the longest when it grows too heavy.
struct Bounded<K, V> {
    most: usize,
    weight: usize,
    values: HashMap<K, (V, usize)>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    fn new(most: usize) -> Self {
        Self { most, weight: 0, values: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|(value, _)| value)
    }

    fn keep(&mut self, key: K, value: V, weight: usize) {
        match self.values.insert(key, (value, weight)) {
            Some((_, before)) => self.weight = self.weight.saturating_sub(before),
            None => self.order.push_back(key),
        }
        self.weight = self.weight.saturating_add(weight);
        while self.weight > self.most {
            let Some(oldest) = self.order.pop_front() else { return };
            let gone = self.values.remove(&oldest).map_or(0, |(_, weight)| weight);
            self.weight = self.weight.saturating_sub(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_by_weight() {
        let mut kept = Bounded::new(10);
        for key in 0..100 {
            kept.keep(key, key, 3);
            kept.keep(key, key, 4);
        }
        assert_eq!((kept.get(&97), kept.get(&98), kept.get(&99)), (None, Some(&98), Some(&99)));
        assert_eq!((kept.weight, kept.values.len(), kept.order.len()), (8, 2, 2));
        kept.keep(100, 0, 11);
        assert_eq!((kept.weight, kept.values.len(), kept.order.len()), (0, 0, 0));
    }
}
