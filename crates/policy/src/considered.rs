//! Which policies may decide a question, and on what that hangs: for showing what somebody may do before they do it.

use std::sync::Arc;

use cedar_policy::{Effect, Entities, EntityUid, Policy, ResourceConstraint};

use crate::ask::{self, Ask};
use crate::court::Court;
use crate::entities::{Place, Resource};
use crate::load::reads::Reads;
use crate::question::Question;
use crate::subject::SubjectPolicies;
use crate::vocabulary::path;

/// A policy whose scope fits a question. Whether it decides, its condition says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Considered {
    /// Its `@id`.
    pub id: Arc<str>,
    /// A permit, or a forbid.
    pub permits: bool,
    /// What its condition hangs on, beside who asks and what they ask about.
    pub hangs_on: Circumstances,
}

/// What an answer hangs on that is not known before somebody asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and any of them may go with any other")]
pub struct Circumstances {
    /// The time, or the session's age.
    pub time: bool,
    /// Where the caller is, how its credential is bound, or who observes.
    pub session: bool,
    /// Why, in the caller's words.
    pub reason: bool,
    /// On whose behalf.
    pub on_behalf_of: bool,
    /// How many rows the target expects.
    pub estimated_rows: bool,
    /// What kind of statement it is, or whether something bounds it.
    pub statement: bool,
    /// Which object of its kind it is about.
    pub object: bool,
}

impl Circumstances {
    /// What either hangs on.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            time: self.time | other.time,
            session: self.session | other.session,
            reason: self.reason | other.reason,
            on_behalf_of: self.on_behalf_of | other.on_behalf_of,
            estimated_rows: self.estimated_rows | other.estimated_rows,
            statement: self.statement | other.statement,
            object: self.object | other.object,
        }
    }

    /// Whether nothing is left open.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The policies whose scope fits the caller, the action and the resource of any part of the question. With `of_many`, the
/// objects of the question stand for every one of their kind at the target: policies that name another of them, or look at
/// which it is, count too, and hang on the object.
///
/// A question that cannot be put to Cedar has none.
pub fn considered(policies: &SubjectPolicies, question: &Question<'_>, of_many: bool) -> Vec<Considered> {
    let place = Place {
        types: &policies.shared.types,
        target: question.target,
        database: question.database,
        labels: question.labels,
    };
    let court = Court::new(policies, question.context, Some(&place));
    let asks = ask::of_question(policies, question);
    let mut found: Vec<Considered> =
        asks.iter().flat_map(|ask| of_one(policies, &court, &place, ask, of_many)).flatten().collect();
    found.sort_by(|left, right| left.id.cmp(&right.id));
    found.dedup();
    found
}

fn of_one(
    policies: &SubjectPolicies,
    court: &Court<'_>,
    place: &Place<'_>,
    ask: &Ask<'_>,
    of_many: bool,
) -> Option<Vec<Considered>> {
    let slice = policies.slice_for(ask.verb.as_str())?;
    let entities = court.entities(ask.verb.as_str(), place.entities(&ask.resource)?)?;
    let scope =
        Scope { resource: place.uid(&ask.resource), entities, below: of_many.then(|| below(place, &ask.resource)) };
    let fitting = slice.all.policies().filter_map(|policy| {
        let rule = policies.rule(policy.id())?;
        let fit = scope.fits(policy)?;
        let hangs_on = circumstances(rule.reads, of_many, fit == Fit::Another);
        Some(Considered { id: Arc::clone(&rule.id), permits: policy.effect() == Effect::Permit, hangs_on })
    });
    Some(fitting.collect())
}

/// What begins the id of everything of that kind there: of a host at the login, of all else at the target.
fn below(place: &Place<'_>, resource: &Resource<'_>) -> String {
    let is_of_host =
        matches!(resource, Resource::Login | Resource::Command(_) | Resource::File(_) | Resource::Endpoint(_));
    let login = is_of_host.then_some(place.database);
    let names: Vec<&str> = [&*place.target.name].into_iter().chain(login).collect();
    format!("{}/", path(&names))
}

fn circumstances(reads: Reads, of_many: bool, another: bool) -> Circumstances {
    Circumstances {
        time: reads.validity.timed,
        session: reads.session,
        reason: reads.validity.reason,
        on_behalf_of: reads.validity.on_behalf_of,
        estimated_rows: reads.validity.estimated_rows,
        statement: reads.statement,
        object: another || of_many && reads.resource,
    }
}

/// How the resource of a policy's scope fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fit {
    /// It has what was asked about in it.
    This,
    /// It names something else at the target that the question stands for too.
    Another,
}

struct Scope {
    resource: EntityUid,
    entities: Entities,
    /// Where the question stands for many.
    below: Option<String>,
}

impl Scope {
    fn fits(&self, policy: &Policy) -> Option<Fit> {
        let is = |kind: &cedar_policy::EntityTypeName| kind == self.resource.type_name();
        match policy.resource_constraint() {
            ResourceConstraint::Any => Some(Fit::This),
            ResourceConstraint::Is(kind) => is(&kind).then_some(Fit::This),
            ResourceConstraint::Eq(one) if one == self.resource => Some(Fit::This),
            ResourceConstraint::Eq(one) => self.names_another(&one),
            ResourceConstraint::In(one) => self.within(&one),
            ResourceConstraint::IsIn(kind, one) => is(&kind).then(|| self.within(&one)).flatten(),
        }
    }

    fn within(&self, one: &EntityUid) -> Option<Fit> {
        let within = *one == self.resource || self.entities.is_ancestor_of(one, &self.resource);
        if within { Some(Fit::This) } else { self.names_another(one) }
    }

    fn names_another(&self, one: &EntityUid) -> Option<Fit> {
        let below = self.below.as_ref()?;
        one.id().unescaped().starts_with(below).then_some(Fit::Another)
    }
}
