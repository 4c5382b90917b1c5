//! Which members of an answer carry which classes, by the schemas of an OpenAPI document.
//!
//! A schema says it itself: `x-sluice-class: card_number`, or a list of classes. What stands behind `$ref`, in `allOf`,
//! `oneOf`, `anyOf` and the like, in members and elements, is followed; whether a condition holds is not looked at, so more
//! may carry a class than does, and never less.

use std::collections::BTreeSet;

use model::class::DataClass;
use model::http::{FieldPath, FieldRule, Segment};
use serde_json::Value;

use super::api::ApiError;
use super::openapi::Document;

/// The member by which a schema says it.
const CLASS: &str = "x-sluice-class";

/// How many schemas are looked at for one operation: a document whose schemas multiply is refused.
const MOST_SCHEMAS: usize = 20_000;

/// What is found.
pub(super) struct Walk<'d> {
    document: &'d Document,
    rules: Vec<FieldRule>,
    /// The references that are being followed, and whether each came up again within itself.
    open: Vec<(String, bool)>,
    left: usize,
    error: Option<ApiError>,
}

impl<'d> Walk<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self { document, rules: Vec::new(), open: Vec::new(), left: MOST_SCHEMAS, error: None }
    }

    /// Every rule once.
    pub(super) fn finish(self) -> Result<Vec<FieldRule>, ApiError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.rules.into_iter().collect::<BTreeSet<_>>().into_iter().collect()),
        }
    }

    /// Follows a schema at `at` of the document, whose values stand at `path`.
    pub(super) fn schema(&mut self, schema: &Value, at: &str, path: &[Segment]) {
        let Some(members) = schema.as_object() else { return };
        match self.left.checked_sub(1) {
            Some(left) if self.error.is_none() => self.left = left,
            Some(_) => return,
            None => return self.fail(at, "its schemas are too many to be followed"),
        }
        if path.len() >= FieldPath::MOST_SEGMENTS {
            return self.fail(at, "its schemas are nested too deep");
        }
        self.class(members.get(CLASS), at, path);
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            self.follow(reference, at, path);
        }
        for (keyword, value) in members {
            self.keyword(keyword, value, at, path);
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, at: &str, path: &[Segment]) {
        let at = format!("{at}/{keyword}");
        match keyword {
            "properties" | "dependentSchemas" => {
                for (name, schema) in value.as_object().into_iter().flatten() {
                    let step = (keyword == "properties").then(|| Segment::Key(name.as_str().into()));
                    self.schema(schema, &format!("{at}/{name}"), &with(path, step));
                }
            }
            "patternProperties" => {
                for schema in value.as_object().into_iter().flat_map(|all| all.values()) {
                    self.schema(schema, &at, &with(path, Some(Segment::AnyKey)));
                }
            }
            "additionalProperties" | "unevaluatedProperties" => {
                self.schema(value, &at, &with(path, Some(Segment::AnyKey)));
            }
            "items" | "prefixItems" | "contains" | "unevaluatedItems" | "additionalItems" => {
                let path = with(path, Some(Segment::AnyIndex));
                match value {
                    Value::Array(all) => all.iter().for_each(|schema| self.schema(schema, &at, &path)),
                    schema => self.schema(schema, &at, &path),
                }
            }
            "allOf" | "oneOf" | "anyOf" => {
                value.as_array().into_iter().flatten().for_each(|schema| self.schema(schema, &at, path));
            }
            "if" | "then" | "else" => self.schema(value, &at, path),
            "discriminator" => self.discriminator(value, &at, path),
            _ => {}
        }
    }

    /// Other schemas that the value may have. A name alone is one of the components.
    fn discriminator(&mut self, value: &Value, at: &str, path: &[Segment]) {
        let mapping = value.get("mapping").and_then(Value::as_object);
        for target in mapping.into_iter().flat_map(|mapping| mapping.values()).filter_map(Value::as_str) {
            let is_name = !target.contains(['/', '#']);
            let reference = if is_name { format!("#/components/schemas/{target}") } else { target.to_owned() };
            self.follow(&reference, at, path);
        }
    }

    fn follow(&mut self, reference: &str, at: &str, path: &[Segment]) {
        if let Some((_, again)) = self.open.iter_mut().find(|(open, _)| open == reference) {
            *again = true;
            return;
        }
        let document = self.document;
        let Some(schema) = document.resolve(reference) else {
            return self.fail(at, &format!("there is no {reference} in the document"));
        };
        self.open.push((reference.to_owned(), false));
        let first = self.rules.len();
        self.schema(schema, reference, path);
        // Within itself it stands at any depth, and so does what it holds.
        if let Some((_, true)) = self.open.pop() {
            let found: Vec<FieldRule> = self.rules.get(first..).unwrap_or_default().to_vec();
            self.rules.extend(found.into_iter().map(|rule| at_any_depth(rule, path.len())));
        }
    }

    fn class(&mut self, value: Option<&Value>, at: &str, path: &[Segment]) {
        let names: Option<Vec<&str>> = match value {
            None => return,
            Some(Value::String(name)) => Some(vec![name]),
            Some(Value::Array(all)) => all.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        match names.filter(|names| !names.is_empty() && names.iter().all(|name| !name.is_empty())) {
            Some(names) => {
                let classes = names.into_iter().map(DataClass::new).collect();
                self.rules.push(FieldRule {
                    path: FieldPath { segments: path.to_vec() },
                    classes,
                    form: model::http::FieldForm::Plain,
                });
            }
            None => self.fail(at, "x-sluice-class is the name of a class, or a list of names"),
        }
    }

    fn fail(&mut self, at: &str, problem: &str) {
        self.error.get_or_insert_with(|| ApiError::new(at, problem));
    }
}

fn with(path: &[Segment], step: Option<Segment>) -> Vec<Segment> {
    path.iter().cloned().chain(step).collect()
}

/// The rule for what stands anywhere below its first `length` steps.
fn at_any_depth(rule: FieldRule, length: usize) -> FieldRule {
    let mut segments = rule.path.segments;
    let at = length.min(segments.len());
    // One more step than a path may have takes the one behind away, which finds no less.
    if segments.get(at) != Some(&Segment::AnyDepth) {
        segments.insert(at, Segment::AnyDepth);
    }
    if segments.len() > FieldPath::MOST_SEGMENTS {
        drop(segments.drain(..at));
        segments.truncate(FieldPath::MOST_SEGMENTS);
    }
    FieldRule { path: FieldPath { segments }, classes: rule.classes, form: rule.form }
}
