//! The target that a credential is to be good at alone.

use std::net::IpAddr;

use gateway::clock;
use model::class::Labels;
use model::decision::Outcome;
use model::effect::{Effect, Facts, Object, Verb};
use model::subject::Subject;
use policy::{Context, Question, SubjectPolicies};
use store::config::Databases;

use super::error::TokenError;
use super::form::Form;
use crate::app::App;

/// The one target that `audience`, or `resource` as a URN, names. More than one would make a credential that is good in
/// places which do not know of each other.
pub(super) fn named(form: &Form) -> Result<Option<String>, TokenError> {
    let resources = form.all("resource").map(|uri| uri.strip_prefix(identity::TARGET_AUDIENCE));
    let mut named: Option<&str> = None;
    for name in form.all("audience").map(Some).chain(resources) {
        let name = name.ok_or_else(TokenError::target)?;
        if named.is_some_and(|before| before != name) {
            return Err(TokenError::target());
        }
        named = Some(name);
    }
    Ok(named.map(str::to_owned))
}

/// Whether the subject may connect to it at all. A target that does not exist and one where it may not look the same.
pub(super) fn check(
    app: &App,
    target: &str,
    subject: &Subject,
    policies: &SubjectPolicies,
    source: IpAddr,
) -> Result<(), TokenError> {
    let active = app.node.revisions.current();
    let target = active.targets.get(target).ok_or_else(TokenError::target)?;
    let context = Context::at_the_start(subject, source, clock::now());
    let (effects, labels) = ([Effect::new(Verb::Connect, Object::Database)], Labels::default());
    let facts = Facts { bounded: true, ..Facts::default() };
    let may_connect = |database: &str| {
        let target = &target.target;
        let (effects, facts, labels, context) = (&effects, &facts, &labels, &context);
        let question = Question { target, database, effects, facts, labels, context };
        policy::judge(policies, &question).outcome() == Outcome::Allow
    };
    match &target.databases {
        Databases::Only(names) if names.iter().any(|name| may_connect(name)) => Ok(()),
        Databases::Only(_) => Err(TokenError::target()),
        // Its databases have no names here: each is asked about when somebody connects to it.
        Databases::All => Ok(()),
    }
}
