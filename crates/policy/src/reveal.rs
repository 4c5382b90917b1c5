//! The third question: may they see it?

use std::collections::BTreeSet;
use std::sync::Arc;

use model::class::{DataClass, Labels, Transform};
use model::decision::Reveal;
use model::effect::{ColumnName, TableName};
use model::target::Target;

use crate::court::{Court, Fields, Ruling, field, ids};
use crate::entities::{Place, Resource};
use crate::question::{Context, Validity};
use crate::rule::Rule;
use crate::subject::SubjectPolicies;

const REVEAL: &str = "reveal";

/// What is to be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RevealQuestion<'a> {
    /// A value of this column, as a value of this class. A column's other classes count too.
    Column(&'a ColumnName, &'a DataClass),
    /// A value of this class that was found by its content, in no known column.
    Class(&'a DataClass),
}

/// Whether the subject may see such values in clear, and how they are masked otherwise: by the strictest `@mask` of the
/// forbids that decide, or by the class's default if none has one. What no policy permits is masked; what policy fails
/// to answer is NULL.
///
/// A break-glass group does not change what may be seen.
pub fn reveal(
    policies: &SubjectPolicies,
    target: &Target,
    database: &str,
    question: RevealQuestion<'_>,
    labels: &Labels,
    context: &Context<'_>,
) -> Reveal {
    let resource = question.resource(labels);
    let place = Place { types: &policies.shared.types, target, database, labels };
    let Some(key) = CacheKey::of(policies, &place, &resource) else {
        return ask(&Court::new(policies, context, Some(&place)), &place, &resource);
    };
    // A poisoned lock only means that a reader of the cache panicked: then nothing is remembered.
    if let Ok(known) = policies.reveals.lock()
        && let Some(known) = known.get(&key)
    {
        return known.clone();
    }
    let answer = ask(&Court::new(policies, context, Some(&place)), &place, &resource);
    if let Ok(mut known) = policies.reveals.lock()
        && known.len() < MAX_CACHED
    {
        known.insert(key, answer.clone());
    }
    answer
}

impl SubjectPolicies {
    /// What any answer of [`reveal`] depends on, besides the session and what is asked about.
    pub fn reveal_validity(&self) -> Validity {
        self.slice_for(REVEAL).map_or_else(Validity::default, |slice| slice.reads.validity)
    }

    /// Whether any answer of [`reveal`] depends on the session: where it comes from, how it is bound, who observes it.
    pub fn reveal_reads_session(&self) -> bool {
        self.slice_for(REVEAL).is_some_and(|slice| slice.reads.session)
    }
}

/// The `@id`s of the policies that decide what [`reveal`] answers, for an explanation; empty where no policy permits it.
pub fn reveal_policies(
    policies: &SubjectPolicies,
    target: &Target,
    database: &str,
    question: RevealQuestion<'_>,
    labels: &Labels,
    context: &Context<'_>,
) -> Vec<Arc<str>> {
    let place = Place { types: &policies.shared.types, target, database, labels };
    let court = Court::new(policies, context, Some(&place));
    let mut found = BTreeSet::new();
    for resource in one_class_each(&question.resource(labels)) {
        match rule_one(&court, &place, &resource) {
            Some(Ruling::Allow(rules) | Ruling::Deny(rules)) => found.extend(ids(&rules)),
            Some(Ruling::Broken) | None => {}
        }
    }
    found.into_iter().collect()
}

impl<'a> RevealQuestion<'a> {
    fn resource(self, labels: &'a Labels) -> Resource<'a> {
        match self {
            Self::Class(class) => Resource::Class(class),
            Self::Column(column, class) => {
                let mut classes: BTreeSet<&DataClass> = labels.marking(column).classes().collect();
                classes.insert(class);
                Resource::Column(column, classes.into_iter().collect())
            }
        }
    }
}

/// How many answers are remembered per subject: more than the classified tables of a large database.
const MAX_CACHED: usize = 4096;

/// What an answer depends on, where it depends on nothing else: no policy of the slice tells columns of one table and
/// classes apart, or reads the circumstances. What a table inherits from is of the catalog, and may be otherwise for another
/// session, or later.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CacheKey {
    target: Arc<str>,
    database: Arc<str>,
    table: Option<TableName>,
    inherits: Vec<TableName>,
    classes: Vec<DataClass>,
}

impl CacheKey {
    fn of(policies: &SubjectPolicies, place: &Place<'_>, resource: &Resource<'_>) -> Option<Self> {
        let reads = policies.slice_for(REVEAL)?.reads;
        if reads.columns || reads.session || reads.validity != Validity::default() {
            return None;
        }
        let (table, inherits) = match resource {
            Resource::Column(column, _) => {
                let inherits = place.labels.ancestors(&column.table).into_iter().cloned().collect();
                (Some(column.table.clone()), inherits)
            }
            _ => (None, Vec::new()),
        };
        let classes = resource.classes().iter().copied().cloned().collect();
        Some(Self { target: place.target.name.clone(), database: place.database.into(), table, inherits, classes })
    }
}

/// Asks about a column or a class. A column of several classes is asked about once for each, as if it had no other: a
/// permit for one of them does not show the others, and the strictest mask counts.
pub(crate) fn ask(court: &Court<'_>, place: &Place<'_>, resource: &Resource<'_>) -> Reveal {
    let each = one_class_each(resource);
    if let [one] = each.as_slice() {
        return ask_one(court, place, one);
    }
    let default = |resource: &Resource<'_>| {
        let class = resource.classes().first().and_then(|class| court.policies.shared.classes.get(*class));
        class.cloned().unwrap_or(Transform::Null)
    };
    let masks = each.iter().filter_map(|one| match ask_one(court, place, one) {
        Reveal::Clear => None,
        Reveal::Masked(mask) => Some(mask.unwrap_or_else(|| default(one))),
    });
    masks.max_by_key(Transform::strictness).map_or(Reveal::Clear, |mask| Reveal::Masked(Some(mask)))
}

/// What is asked about a resource: a column of several classes as many columns of one.
fn one_class_each<'a>(resource: &Resource<'a>) -> Vec<Resource<'a>> {
    match resource {
        Resource::Column(column, classes) if classes.len() > 1 => {
            classes.iter().map(|class| Resource::Column(column, vec![class])).collect()
        }
        resource => vec![resource.clone()],
    }
}

fn ask_one(court: &Court<'_>, place: &Place<'_>, resource: &Resource<'_>) -> Reveal {
    match rule_one(court, place, resource) {
        None => Reveal::Masked(None),
        Some(Ruling::Allow(_)) => Reveal::Clear,
        Some(Ruling::Deny(forbids)) => Reveal::Masked(strictest(&forbids)),
        Some(Ruling::Broken) => Reveal::Masked(Some(Transform::Null)),
    }
}

/// `None` if no policy can have anything to say.
fn rule_one<'a>(court: &Court<'a>, place: &Place<'_>, resource: &Resource<'_>) -> Option<Ruling<'a>> {
    let policies = court.policies;
    let known = |class: &&DataClass| policies.shared.classes.contains_key(*class);
    let slice = policies.slice_for(REVEAL)?;
    // No policy can name a class that this revision does not have.
    if !resource.classes().iter().all(known) {
        return None;
    }
    let entities = place.entities(resource).and_then(|about| court.entities(REVEAL, about));
    let Some(entities) = entities else { return Some(Ruling::Broken) };
    Some(court.rule(&slice.all, REVEAL, &place.uid(resource), see_context(court, place), &entities))
}

/// The context of actions that look at nothing but the circumstances.
pub(crate) fn see_context(court: &Court<'_>, place: &Place<'_>) -> Fields {
    let mut out = court.circumstances();
    out.push(field("target", cedar_policy::RestrictedExpression::new_entity_uid(place.uid(&Resource::Target))));
    out
}

/// What the values look like to the caller, as `context.mask` names it.
pub(crate) fn mask_name(policies: &SubjectPolicies, resource: &Resource<'_>, reveal: &Reveal) -> &'static str {
    let defaults = || {
        let transforms = resource.classes().iter().map(|class| policies.shared.classes.get(*class));
        transforms
            .map(|known| known.unwrap_or(&Transform::Null))
            .max_by_key(|transform| transform.strictness())
            .cloned()
    };
    let transform = match reveal {
        Reveal::Clear => return "none",
        Reveal::Masked(Some(transform)) => Some(transform.clone()),
        Reveal::Masked(None) => defaults(),
    };
    match transform {
        Some(Transform::Partial { .. }) => "partial",
        Some(Transform::FormatPreserving) => "format_preserving",
        Some(Transform::Token) => "token",
        Some(Transform::Redact) => "redact",
        Some(Transform::Null) | None => "null",
    }
}

fn strictest(forbids: &[&Rule]) -> Option<Transform> {
    forbids.iter().filter_map(|rule| rule.mask.as_ref()).max_by_key(|transform| transform.strictness()).cloned()
}
