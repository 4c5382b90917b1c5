//! Effects to Cedar requests: what exactly is asked for each of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use model::class::{DataClass, Labels, Transform};
use model::effect::{ColumnName, Effect, Object, TableName, Verb};

use crate::entities::Resource;
use crate::question::Question;
use crate::subject::SubjectPolicies;

/// The revision's classes.
type Classes = BTreeMap<DataClass, Transform>;

/// One Cedar request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) verb: Verb,
    pub(crate) resource: Resource<'a>,
    /// Whose values are meant where `context.revealed` is asked about; nothing classified if `None`.
    pub(crate) values: Option<Resource<'a>>,
    /// The effect that asks, for the refusal.
    pub(crate) effect: &'a Effect,
}

/// What is asked about an effect.
///
/// - `join` is `join` on both columns if they carry the same classes, and `filter` on both otherwise.
/// - `declassify` is asked for each class of the source that the destination does not carry, on that class. Nothing is
///   asked if there is none. A source that is no column or table may hold any class.
/// - Everything else is asked as it is.
fn asks<'a>(effect: &'a Effect, labels: &'a Labels, classes: &'a Classes) -> Vec<Ask<'a>> {
    let ask = |verb, resource: Resource<'a>| {
        let values = (!resource.classes().is_empty()).then(|| resource.clone());
        Ask { verb, resource, values, effect }
    };
    match (effect.verb, &effect.object, &effect.with) {
        (Verb::Join, Object::Column(left, _), Some(right)) => {
            let sides = [Resource::column(left, labels), Resource::column(right, labels)];
            let same = sides.iter().all(|side| side.classes() == Resource::column(left, labels).classes());
            let verb = if same { Verb::Join } else { Verb::Filter };
            sides.into_iter().map(|side| ask(verb, side)).collect()
        }
        (Verb::Join, object, _) => vec![ask(Verb::Filter, Resource::of(object, labels))],
        (Verb::Declassify, object, to) => {
            let lost = lost_classes(object, to.as_ref(), labels, classes);
            let values = match object {
                Object::Column(column, _) => Some(Resource::column(column, labels)),
                _ => None,
            };
            lost.into_iter()
                .map(|class| Ask {
                    values: values.clone().or(Some(Resource::Class(class))),
                    ..ask(Verb::Declassify, Resource::Class(class))
                })
                .collect()
        }
        (verb, object, _) => vec![ask(verb, Resource::of(object, labels))],
    }
}

/// The classes of what is read that the place it is written to does not carry.
fn lost_classes<'a>(
    from: &'a Object,
    to: Option<&ColumnName>,
    labels: &'a Labels,
    classes: &'a Classes,
) -> BTreeSet<&'a DataClass> {
    let carried: BTreeSet<&DataClass> = match from {
        Object::Column(column, _) => labels.marking(column).classes().collect(),
        Object::Table(table, _) => {
            let columns = labels.classified.get(table).into_iter().flatten();
            columns.flat_map(|column| labels.marking(column).classes()).collect()
        }
        _ => classes.keys().collect(),
    };
    let kept: BTreeSet<&DataClass> = to.map(|column| labels.marking(column).classes().collect()).unwrap_or_default();
    carried.difference(&kept).copied().collect()
}

/// What makes two requests have the same answer.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    One(Verb, Resource<'a>, Option<Resource<'a>>),
    /// Any column of this table with these classes.
    Columns(Verb, &'a TableName, Vec<&'a DataClass>),
}

/// All that a question asks, each request once, in the order of the effects. Columns that no policy of the slice can
/// tell apart are asked about once.
pub(crate) fn of_question<'a>(policies: &'a SubjectPolicies, question: &Question<'a>) -> Vec<Ask<'a>> {
    let classes = &policies.shared.classes;
    let mut seen = HashSet::new();
    let asked = question.effects.iter().flat_map(|effect| asks(effect, question.labels, classes));
    asked.filter(|ask| seen.insert(key(policies, ask))).collect()
}

fn key<'a>(policies: &SubjectPolicies, ask: &Ask<'a>) -> Key<'a> {
    match &ask.resource {
        Resource::Column(column, classes) if !tells_columns_apart(policies, ask.verb) => {
            Key::Columns(ask.verb, &column.table, classes.clone())
        }
        resource => Key::One(ask.verb, resource.clone(), ask.values.clone()),
    }
}

/// Whether an answer may be another one for another column of the same table and classes.
pub(crate) fn tells_columns_apart(policies: &SubjectPolicies, verb: Verb) -> bool {
    let names_columns = |action| policies.slice_for(action).is_some_and(|slice| slice.reads.columns);
    let revealed = policies.slice_for(verb.as_str()).is_some_and(|slice| slice.reads.revealed);
    names_columns(verb.as_str()) || (revealed && names_columns("reveal"))
}
