//! Where Cedar is asked.

use std::sync::Arc;

use cedar_policy::{Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression, Schema};
use model::subject::{Binding, SubjectKind};

use crate::entities::{Place, Resource};
use crate::question::Context;
use crate::rule::Rule;
use crate::subject::{SubjectPolicies, identity, principal_uid};
use crate::vocabulary::uid;

/// What Cedar answered to one request.
#[derive(Debug)]
pub(crate) enum Ruling<'p> {
    /// These permits allow it.
    Allow(Vec<&'p Rule>),
    /// These forbids refuse it; if there are none, nothing permits it.
    Deny(Vec<&'p Rule>),
    /// A policy failed, or the request does not fit the schema: refused, whatever the others say (a policy that fails is
    /// skipped by Cedar, and a skipped forbid would let things through).
    Broken,
}

/// A record being built for Cedar.
pub(crate) type Fields = Vec<(String, RestrictedExpression)>;

/// One subject and the circumstances of what it asks.
pub(crate) struct Court<'a> {
    pub(crate) policies: &'a SubjectPolicies,
    circumstances: Fields,
    /// The caller, whom it acts for, and the target; `None` if they cannot be built.
    base: Option<Entities>,
}

impl<'a> Court<'a> {
    /// `place` is where it asks; the control plane is no such place.
    pub(crate) fn new(policies: &'a SubjectPolicies, context: &Context<'_>, place: Option<&Place<'_>>) -> Self {
        let types = &policies.shared.types;
        let actor = context.on_behalf_of.map(|key| (principal_uid(types, SubjectKind::User, key), key));
        let circumstances = circumstances(policies, context, actor.as_ref().map(|(uid, _)| uid));
        let actor = actor.filter(|(uid, _)| *uid != policies.principal).map(|(uid, key)| identity(&uid, key, []));
        let target = place.map(|place| place.entity(&Resource::Target));
        let all: Option<Vec<Entity>> =
            [Some(policies.principal_entity.clone()), actor, target].into_iter().flatten().collect();
        let base = all.and_then(|all| Entities::from_entities(all, checked(policies)).ok());
        Self { policies, circumstances, base }
    }

    /// What every request's context has.
    pub(crate) fn circumstances(&self) -> Fields {
        self.circumstances.clone()
    }

    /// The entities of requests about a resource, which is among `about`; `None` if they cannot be built.
    pub(crate) fn entities(&self, action: &str, about: Vec<Entity>) -> Option<Entities> {
        let action = self.policies.shared.actions.entity(action)?.clone();
        self.base.clone()?.add_entities(about.into_iter().chain([action]), checked(self.policies)).ok()
    }

    /// Asks Cedar. The request is validated against the schema first.
    pub(crate) fn rule(
        &self,
        set: &PolicySet,
        action: &str,
        resource: &EntityUid,
        context: Fields,
        entities: &Entities,
    ) -> Ruling<'a> {
        self.try_rule(set, action, resource, context, entities).unwrap_or(Ruling::Broken)
    }

    fn try_rule(
        &self,
        set: &PolicySet,
        action: &str,
        resource: &EntityUid,
        context: Fields,
        entities: &Entities,
    ) -> Option<Ruling<'a>> {
        let shared = &self.policies.shared;
        let action = shared.actions.entity(action)?.uid();
        let context = cedar_policy::Context::from_pairs(context).ok()?;
        let principal = self.policies.principal.clone();
        let request = Request::new(principal, action, resource.clone(), context, Some(&shared.schema)).ok()?;
        let response = shared.authorizer.is_authorized(&request, set, entities);
        let diagnostics = response.diagnostics();
        if diagnostics.errors().next().is_some() {
            return Some(Ruling::Broken);
        }
        let mut rules = diagnostics.reason().map(|id| self.policies.rule(id)).collect::<Option<Vec<_>>>()?;
        rules.sort_by(|left, right| left.id.cmp(&right.id));
        Some(match response.decision() {
            Decision::Allow => Ruling::Allow(rules),
            Decision::Deny => Ruling::Deny(rules),
        })
    }
}

/// The shape of entities follows from the types here; debug builds check it against the schema all the same.
fn checked(policies: &SubjectPolicies) -> Option<&Schema> {
    cfg!(debug_assertions).then_some(&policies.shared.schema)
}

fn circumstances(policies: &SubjectPolicies, context: &Context<'_>, actor: Option<&EntityUid>) -> Fields {
    // An IPv4 client on an IPv6 socket is the IPv4 address that policies name.
    let source = RestrictedExpression::new_ip(context.source.to_canonical().to_string());
    let binding = match context.binding {
        Binding::Bearer => "bearer",
        Binding::Mtls => "mtls",
        Binding::Dpop => "dpop",
        Binding::Ssh => "ssh",
    };
    let binding = uid(&policies.shared.types.binding, binding);
    let session = record([
        ("binding", RestrictedExpression::new_entity_uid(binding)),
        ("ageSeconds", long(context.session_age)),
        ("source", source.clone()),
    ]);
    let mut out = vec![
        field("sourceIp", source),
        field("now", RestrictedExpression::new_datetime(context.now.to_string())),
        field("session", session),
    ];
    out.extend(actor.map(|uid| field("onBehalfOf", RestrictedExpression::new_entity_uid(uid.clone()))));
    out.extend(context.reason.map(|reason| field("reason", RestrictedExpression::new_string(reason.to_owned()))));
    out
}

pub(crate) fn field(name: &str, value: RestrictedExpression) -> (String, RestrictedExpression) {
    (name.to_owned(), value)
}

/// A record of distinct names; a name given twice makes the request broken, as the field is then missing.
pub(crate) fn record(fields: impl IntoIterator<Item = (&'static str, RestrictedExpression)>) -> RestrictedExpression {
    let fields = fields.into_iter().map(|(name, value)| field(name, value));
    RestrictedExpression::new_record(fields).unwrap_or_else(|_| RestrictedExpression::new_bool(false))
}

/// A whole number; saturates.
pub(crate) fn long(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The ids of rules, for the record.
pub(crate) fn ids(rules: &[&Rule]) -> Vec<Arc<str>> {
    rules.iter().map(|rule| rule.id.clone()).collect()
}
