//! Where values of classes stand in the answer to a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::class::DataClass;
use model::classification::{Classification, RouteRule};
use model::http::protobuf::MessageRef;
use model::http::{FieldForm, FieldPath, FieldRule, Segment};

/// The answer's route, and what is known of what it holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    pub(super) method: Arc<str>,
    /// The template, or the path where there is none.
    pub(super) place: Arc<str>,
    /// By the schemas of the API's description.
    pub(super) fields: Arc<[FieldRule]>,
    /// What a GraphQL operation selects; `None` where it is none.
    pub(super) selected: Option<BTreeSet<Selected>>,
    /// Whether it may be a list of answers, as the request was one of calls.
    pub(super) is_batch: bool,
    /// What the messages of its gRPC are, if that is known.
    pub(super) message: Option<MessageRef>,
    /// Whether the request was not understood, so that any name may stand for any other.
    pub(super) is_opaque: bool,
}

/// A field that is selected, with all around it from the operation's root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Selected {
    /// By the schema's names.
    pub(super) schema: Vec<Arc<str>>,
    /// By the names that the answer has: aliases.
    pub(super) response: Vec<Arc<str>>,
}

impl Answer {
    pub(crate) fn new(method: &Arc<str>, place: &Arc<str>, fields: Arc<[FieldRule]>) -> Self {
        Self { method: Arc::clone(method), place: Arc::clone(place), fields, ..Self::default() }
    }

    /// What the messages of its gRPC are, if that is known.
    pub const fn message(&self) -> Option<&MessageRef> {
        self.message.as_ref()
    }

    /// All that stands in an answer of this target: by the API's description and by the classification. One that is said
    /// twice is there once.
    ///
    /// Of GraphQL, a path of the classification goes by the schema's names from `$.data` on, and is carried over to the names
    /// that this request gave them, at any depth, as lists are not known from the request. Where a request was not
    /// understood, all of the answer carries every class that a rule of the route has.
    pub fn rules(&self, target: &str, classification: &Classification) -> Vec<FieldRule> {
        let covers = |rule: &&RouteRule| rule.covers(target, &self.method, &self.place);
        let declared = classification.fields.iter().filter(covers).map(|rule| &rule.field);
        let mut out: BTreeSet<FieldRule> = BTreeSet::new();
        match &self.selected {
            _ if self.is_opaque => {
                let all = self.fields.iter().chain(declared);
                let classes: BTreeSet<DataClass> = all.flat_map(|rule| rule.classes.iter().cloned()).collect();
                out.extend((!classes.is_empty()).then(|| FieldRule {
                    path: FieldPath::default(),
                    classes,
                    form: FieldForm::Plain,
                }));
            }
            Some(selected) => {
                for rule in self.fields.iter().chain(declared) {
                    let fitting = selected.iter().filter(|field| fits(&rule.path.segments, &field.schema));
                    out.extend(fitting.map(|field| renamed(field, rule)));
                }
            }
            None => {
                for rule in self.fields.iter().chain(declared) {
                    out.extend(self.is_batch.then(|| of_each(rule)));
                    out.insert(rule.clone());
                }
            }
        }
        out.into_iter().collect()
    }
}

/// The rule for each answer of a list of them.
fn of_each(rule: &FieldRule) -> FieldRule {
    let mut segments = rule.path.segments.clone();
    if segments.len() < FieldPath::MOST_SEGMENTS {
        segments.insert(0, Segment::AnyIndex);
    } else if let Some(first) = segments.first_mut() {
        // Without its first name it finds no less.
        *first = Segment::AnyDepth;
    }
    FieldRule { path: FieldPath { segments }, classes: rule.classes.clone(), form: rule.form }
}

/// Whether a path leads to this field, `data` being the first name. Lists are no step of their own here.
fn fits(path: &[Segment], schema: &[Arc<str>]) -> bool {
    match path.strip_prefix(&[Segment::Key("data".into())]) {
        Some(rest) => leads(rest, schema),
        // A path that begins otherwise may lead into `data` all the same.
        None => match path.split_first() {
            Some((Segment::AnyKey, rest)) => leads(rest, schema),
            Some((Segment::AnyIndex, rest)) => fits(rest, schema),
            Some((Segment::AnyDepth, rest)) => leads(path, schema) || fits(rest, schema),
            Some((Segment::Key(_), _)) | None => false,
        },
    }
}

fn leads(path: &[Segment], names: &[Arc<str>]) -> bool {
    match (path.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((Segment::AnyIndex, rest)), _) => leads(rest, names),
        (Some((Segment::AnyDepth, rest)), Some((_, deeper))) => leads(rest, names) || leads(path, deeper),
        (Some((Segment::AnyDepth, rest)), None) => leads(rest, names),
        (Some((Segment::AnyKey, rest)), Some((_, deeper))) => leads(rest, deeper),
        (Some((Segment::Key(key), rest)), Some((name, deeper))) => **key == **name && leads(rest, deeper),
        (Some((Segment::AnyKey | Segment::Key(_), _)), None) | (None, Some(_)) => false,
    }
}

/// The rule by the names of the answer. It may be part of a batch, and comes in parts where it is deferred.
fn renamed(field: &Selected, rule: &FieldRule) -> FieldRule {
    let steps = field.response.iter().flat_map(|name| [Segment::AnyDepth, Segment::Key((**name).into())]);
    let mut segments: Vec<Segment> = steps.collect();
    // A deep field is found by its last names alone, which finds no less.
    let most = FieldPath::MOST_SEGMENTS;
    let surplus = segments.len().saturating_sub(most);
    drop(segments.drain(..surplus.next_multiple_of(2)));
    FieldRule { path: FieldPath { segments }, classes: rule.classes.clone(), form: rule.form }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str) -> FieldRule {
        let classes = [DataClass::new("email")].into();
        FieldRule { path: FieldPath::parse(path).unwrap(), classes, form: FieldForm::Plain }
    }

    fn classification(route: &str, paths: &[&str]) -> Classification {
        let fields =
            paths.iter().map(|path| RouteRule { target: "shop".into(), route: route.into(), field: rule(path) });
        Classification { fields: fields.collect(), ..Classification::default() }
    }

    fn paths(rules: &[FieldRule]) -> Vec<String> {
        rules.iter().map(|rule| rule.path.to_string()).collect()
    }

    #[test]
    fn the_description_and_the_classification_add_up() {
        let answer = Answer::new(&"GET".into(), &"/v1/customers".into(), [rule("$[*].email")].into());
        let classification = classification("GET /v1/*", &["$[*].email", "$..mail"]);
        assert_eq!(paths(&answer.rules("shop", &classification)), ["$[*].email", "$..mail"]);
        assert_eq!(paths(&answer.rules("other", &classification)), ["$[*].email"]);
        let opaque = Answer { is_opaque: true, ..answer };
        assert_eq!(paths(&opaque.rules("shop", &classification)), ["$"]);
        let nothing = Answer { is_opaque: true, ..Answer::default() };
        assert_eq!(nothing.rules("shop", &classification), []);
    }

    #[test]
    fn each_answer_of_a_list_holds_what_one_does() {
        let answer = Answer { is_batch: true, ..Answer::new(&"POST".into(), &"/rpc".into(), [].into()) };
        let classification = classification("POST /rpc", &["$.result.email"]);
        assert_eq!(paths(&answer.rules("shop", &classification)), ["$.result.email", "$[*].result.email"]);
        let long = FieldRule { path: FieldPath { segments: vec![Segment::AnyIndex; 32] }, ..rule("$") };
        assert_eq!(of_each(&long).path.to_string(), format!("$..{}", "[*]".repeat(31)));
    }

    #[test]
    fn fields_are_found_by_the_names_that_the_answer_has() {
        let names = |text: &str| text.split('.').map(Into::into).collect();
        let selected = |schema, response| Selected { schema: names(schema), response: names(response) };
        let fields =
            [selected("customers.email", "c.address"), selected("customers.id", "c.email"), selected("me", "me")];
        let answer =
            Answer { selected: Some(fields.into()), ..Answer::new(&"POST".into(), &"/graphql".into(), [].into()) };
        let found = |path: &str| paths(&answer.rules("shop", &classification("*", &[path])));
        for path in [
            "$.data.customers.email",
            "$.data.customers[*].email",
            "$..email",
            "$.*.customers.email",
            "$[*].data.customers.email",
            "$.data..email",
        ] {
            assert_eq!(found(path), ["$..c..address"], "{path}");
        }
        assert_eq!(found("$.data.*.*"), ["$..c..address", "$..c..email"]);
        for path in ["$.customers.email", "$.data.email", "$.data.customers.email.x", "$.errors", "$"] {
            assert_eq!(found(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn a_deep_field_is_found_by_its_last_names() {
        let deep: Vec<Arc<str>> = (0..40).map(|number| format!("f{number}").into()).collect();
        let field = Selected { schema: deep.clone(), response: deep };
        let path = renamed(&field, &rule("$")).path;
        assert_eq!(path.segments.len(), FieldPath::MOST_SEGMENTS);
        assert!(path.to_string().starts_with("$..f24..f25") && path.to_string().ends_with("..f39"));
    }
}
