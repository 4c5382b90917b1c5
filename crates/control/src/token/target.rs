//! The target that a credential is to be good at alone.

use std::net::IpAddr;

use gateway::clock;
use model::class::Labels;
use model::decision::Outcome;
use model::effect::{Effect, Facts, Object, Verb};
use model::subject::Subject;
use policy::{Context, Question, SubjectPolicies};
use store::config::{Databases, Speaks};

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
    let (facts, labels) = (Facts { bounded: true, ..Facts::default() }, Labels::default());
    let may_connect = |to: Object, database: &str| {
        let (effects, target) = (&[Effect::new(Verb::Connect, to)], &target.target);
        let (facts, labels, context) = (&facts, &labels, &context);
        let question = Question { target, database, effects, facts, labels, context };
        policy::judge(policies, &question).outcome() == Outcome::Allow
    };
    let may = match &target.speaks {
        Speaks::Postgres(postgres) => match &postgres.databases {
            Databases::Only(names) => names.iter().any(|name| may_connect(Object::Database, name)),
            // Its databases have no names here: each is asked about when somebody connects to it.
            Databases::All => true,
        },
        Speaks::Ssh(ssh) => ssh.logins.iter().any(|login| may_connect(Object::Login, login)),
        Speaks::Http(_) => may_connect(Object::Target, ""),
    };
    if may { Ok(()) } else { Err(TokenError::target()) }
}
