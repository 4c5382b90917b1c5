//! Windows: a time-boxed grant that is asked for ahead. What it covers is data, shown to the approver and compared with
//! each request's effects; it is never read from text (AP-14).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use model::approval::{Asked, Mode};
use model::decision::Need;
use model::effect::{Effect, FunctionClass, Object, SettingClass, TableName, Verb};
use model::id::{Digest, RequestId, RevisionId, SessionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What requests a window covers. An empty list covers everything of its kind, and the approver is told so.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The verbs that may change something. Reading what the tables below hold goes with them.
    #[serde(default)]
    pub verbs: Vec<Verb>,
    /// The only relations that may be touched.
    #[serde(default)]
    pub tables: Vec<TableName>,
    /// The only session that may use it.
    #[serde(default)]
    pub session: Option<SessionId>,
}

impl Scope {
    /// Whether every effect is inside. No effects are inside nothing: an empty list is an analyser's mistake.
    pub fn covers(&self, effects: &[Effect]) -> bool {
        !effects.is_empty() && effects.iter().all(|effect| self.covers_effect(effect))
    }

    fn covers_effect(&self, effect: &Effect) -> bool {
        is_incidental(effect) || (self.covers_verb(effect.verb) && self.covers_object(effect))
    }

    fn covers_verb(&self, verb: Verb) -> bool {
        let changes =
            verb.writes() || matches!(verb, Verb::Set | Verb::Listen | Verb::Connect | Verb::Pty | Verb::Sftp);
        !changes || self.verbs.is_empty() || self.verbs.contains(&verb)
    }

    fn covers_object(&self, effect: &Effect) -> bool {
        if self.tables.is_empty() {
            return true;
        }
        let other = effect.with.as_ref().is_none_or(|column| self.tables.contains(&column.table));
        other && table_of(&effect.object).is_some_and(|table| self.tables.contains(table))
    }

    /// The scope for people, one line each.
    pub fn lines(&self) -> Vec<String> {
        let verbs = match self.verbs.as_slice() {
            [] => String::from("ANY change that policy asks about"),
            verbs => verbs.iter().map(|verb| verb.as_str()).collect::<Vec<_>>().join(", "),
        };
        let tables = match self.tables.as_slice() {
            [] => String::from("on ANY table"),
            tables => format!("only on {}", tables.iter().map(TableName::to_string).collect::<Vec<_>>().join(", ")),
        };
        let session = match self.session {
            None => String::from("from any session of the subject"),
            Some(session) => format!("only from session {session}"),
        };
        vec![verbs, tables, session]
    }
}

/// What computes or keeps house and touches nothing that a scope could name.
const fn is_incidental(effect: &Effect) -> bool {
    match (&effect.verb, &effect.object) {
        (Verb::Evaluate | Verb::Transaction, _)
        | (Verb::Execute, Object::Function(_, FunctionClass::Safe))
        | (Verb::Set, Object::Setting(_, SettingClass::Benign)) => true,
        (_, _) => false,
    }
}

const fn table_of(object: &Object) -> Option<&TableName> {
    match object {
        Object::Table(table, _) => Some(table),
        Object::Column(column, _) => Some(&column.table),
        Object::Target
        | Object::Database
        | Object::Namespace(_)
        | Object::Function(..)
        | Object::Setting(..)
        | Object::Channel(_)
        | Object::Login
        | Object::Command(_)
        | Object::File(_)
        | Object::Endpoint(_)
        | Object::Route(_)
        | Object::GraphqlField(_)
        | Object::GrpcMethod(_)
        | Object::RpcMethod(_)
        | Object::Mcp(_)
        | Object::KubernetesResource(_)
        | Object::KubernetesPath(_)
        | Object::KubernetesCommand(_)
        | Object::GrpcCall(_)
        | Object::RpcCall(_) => None,
    }
}

/// What a window grants besides what an [`Asked`] says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// What it covers.
    pub scope: Scope,
    /// When it ends, if it is agreed to.
    pub until: Timestamp,
    /// How many requests it covers; `None` for any number.
    pub max_uses: Option<u32>,
}

/// A question for a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowRequest {
    /// The request of the admin interface that asks, for the record.
    pub request: RequestId,
    /// Whose requests it is for.
    pub subject: SubjectKey,
    /// Under exactly this delegation.
    pub on_behalf_of: Vec<SubjectKey>,
    /// Where.
    pub target: Arc<str>,
    /// In exactly this database.
    pub database: Arc<str>,
    /// What it covers, how long and how often.
    pub terms: Terms,
    /// What of policy it satisfies.
    pub needs: Vec<Need>,
    /// Why, in the requester's words.
    pub reason: Option<String>,
    /// The revision under which it is asked.
    pub revision: RevisionId,
    /// When it is asked.
    pub asked_at: Timestamp,
}

impl WindowRequest {
    /// What the approver sees and the journal holds. It is written from the terms, never from the requester's text.
    pub fn asked(&self) -> Asked {
        let uses = match self.terms.max_uses {
            None => String::from("any number of times"),
            Some(uses) => format!("at most {uses} times"),
        };
        Asked {
            request: self.request,
            subject: self.subject.clone(),
            on_behalf_of: self.on_behalf_of.clone(),
            target: Arc::clone(&self.target),
            database: Arc::clone(&self.database),
            statement: format!("window until {}, {uses}", self.terms.until),
            parameters: Vec::new(),
            effects: self.terms.scope.lines(),
            estimated_rows: None,
            reason: self.reason.clone(),
            needs: self.needs.clone(),
            digest: self.digest(),
            mode: Mode::Window,
            revision: self.revision,
            asked_at: self.asked_at,
            expires_at: self.terms.until,
        }
    }

    /// Names what is asked: two questions for the same have the same digest.
    fn digest(&self) -> Digest {
        let parts = (&self.subject, &self.on_behalf_of, &self.target, &self.database, &self.terms);
        // The debug form quotes every text, so different parts never run into the same bytes.
        let text = format!("sluice window 1 {parts:?}");
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
        Digest(bytes)
    }
}

/// A request that a window might cover.
#[derive(Clone, Copy, Debug)]
pub struct WindowUse<'a> {
    /// Who makes it.
    pub subject: &'a SubjectKey,
    /// On whose behalf.
    pub on_behalf_of: &'a [SubjectKey],
    /// Where.
    pub target: &'a str,
    /// In which database.
    pub database: &'a str,
    /// Everything it would do.
    pub effects: &'a [Effect],
    /// What policy asks for: the window must have been agreed to for all of it, by content.
    pub needs: &'a [Need],
    /// The request's approval digest, which the proof carries.
    pub digest: Digest,
    /// The session that makes it.
    pub session: SessionId,
    /// The request.
    pub request: RequestId,
    /// Now.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests;
