//! `classification.toml`: the classes, how each is masked, and which columns and members of answers carry them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use model::class::{DataClass, Transform};
use model::classification::{Classification, ColumnRule, RouteRule};
use model::http::{FieldPath, FieldRule};

use super::{ConfigError, Document, Section};

/// Reads `text` as the `classification.toml` at `file`. The built-in classes are always there; a `[classes.…]` table
/// adds a class or changes how a built-in one is masked.
///
/// # Errors
/// Every mistake in it.
pub fn parse_classification(text: &str, file: &Path) -> Result<Classification, Vec<ConfigError>> {
    Document::new(file, text).read(|root| {
        let classes = classes(root.table("classes"));
        let rules = root.tables("column").into_iter().filter_map(|section| rule(section, &classes)).collect();
        let fields = root.tables("field").into_iter().filter_map(|section| field(section, &classes)).collect();
        Classification { classes, rules, fields }
    })
}

/// How each built-in class is masked unless the file says otherwise: what people need to recognise a value stays, what
/// they join by becomes a token, and the rest is hidden whole.
fn built_in() -> BTreeMap<DataClass, Transform> {
    let transform = |class: &str| match class {
        "card_number" | "iban" | "phone" => Transform::Partial { keep_last: 4 },
        "email" | "ip_address" => Transform::Token,
        "card_cvv" | "date_of_birth" => Transform::Null,
        _ => Transform::Redact,
    };
    DataClass::BUILT_IN.into_iter().map(|class| (DataClass::new(class), transform(class))).collect()
}

fn classes(section: Section<'_, '_>) -> BTreeMap<DataClass, Transform> {
    let mut classes = built_in();
    for (name, setting) in section.take_all() {
        if !is_class_name(&name) {
            setting.report("it is no name for a class", "use a-z, 0-9 and _, at most 63 of them");
        }
        if let Some(class) = setting.section() {
            let transform = transform(class);
            classes.extend(transform.map(|transform| (DataClass::new(name), transform)));
        }
    }
    classes
}

fn is_class_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=63).contains(&name.len()) && name.bytes().all(is_plain)
}

fn transform(section: Section<'_, '_>) -> Option<Transform> {
    let words = [
        ("null", Transform::Null),
        ("redact", Transform::Redact),
        ("token", Transform::Token),
        ("partial", Transform::Partial { keep_last: 4 }),
        ("format_preserving", Transform::FormatPreserving),
    ];
    let names: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let find = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, transform)| transform.clone());
    let mask = section.parsed("mask", &names.join(", "), find);
    let mask = section.required("mask", mask, "write mask = \"redact\"");
    let keep_last = section.number("keep_last", 0..=32).and_then(|number| u8::try_from(number).ok());
    let transform = match (mask, keep_last) {
        (Some(Transform::Partial { .. }), Some(keep_last)) => Some(Transform::Partial { keep_last }),
        (Some(_), Some(_)) => {
            section.report("keep_last", "it belongs to mask = \"partial\" alone", "remove it, or write that mask");
            None
        }
        (mask, None) => mask,
        (None, Some(_)) => None,
    };
    section.finish();
    transform
}

fn rule(section: Section<'_, '_>, known: &BTreeMap<DataClass, Transform>) -> Option<ColumnRule> {
    let expected = "\"schema.table.column\" or \"target/database/schema.table.column\", in which * stands for anything";
    let pattern = section.parsed("match", expected, pattern);
    let pattern = section.required("match", pattern, &format!("write {expected}"));
    let classes = section.texts("classes");
    let is_public = section.flag("public");
    check_classes(&section, classes.iter().flatten(), known);
    let classes: Option<BTreeSet<DataClass>> = match (classes, is_public) {
        (Some(classes), None) if !classes.is_empty() => Some(classes.into_iter().map(DataClass::new).collect()),
        (None, Some(true)) => Some(BTreeSet::new()),
        _ => {
            section.report("", "it says neither or both", "write classes = [\"email\"], or public = true");
            None
        }
    };
    section.finish();
    let [target, database, schema, table, column] = pattern?;
    Some(ColumnRule { target, database, schema, table, column, classes: classes? })
}

/// Reports every class that there is not.
fn check_classes<'c>(
    section: &Section<'_, '_>,
    classes: impl Iterator<Item = &'c String>,
    known: &BTreeMap<DataClass, Transform>,
) {
    for class in classes.filter(|class| !known.contains_key(class.as_str())) {
        let names: Vec<&str> = known.keys().map(DataClass::as_str).collect();
        let advice = format!("add [classes.{class}], or write one of {}", names.join(", "));
        section.report("classes", &format!("there is no class {class:?}"), &advice);
    }
}

/// What stands at a path in the answers of HTTP routes.
fn field(section: Section<'_, '_>, known: &BTreeMap<DataClass, Transform>) -> Option<RouteRule> {
    let expected = "\"GET /v1/customers/{id}\" or \"target/GET /v1/customers/{id}\", in which * stands for anything";
    let route = section.parsed("route", expected, route);
    let route = section.required("route", route, &format!("write {expected}"));
    let expected = "a path such as \"$.customers[*].email\" or \"$..ssn\"";
    let path = section.parsed("path", expected, |text| FieldPath::parse(text).ok());
    let path = section.required("path", path, &format!("write {expected}"));
    let classes = section.texts("classes");
    let classes = section.required("classes", classes, "write classes = [\"email\"]");
    if classes.as_ref().is_some_and(Vec::is_empty) {
        section.report("classes", "it has no class in it", "write classes = [\"email\"]");
    }
    check_classes(&section, classes.iter().flatten(), known);
    section.finish();
    let ((target, route), classes) = (route?, classes?.into_iter().map(DataClass::new).collect());
    Some(RouteRule { target, route, field: FieldRule { path: path?, classes, form: model::http::FieldForm::Plain } })
}

/// Target and route: a `/` in front of the method ends a target's name.
fn route(text: &str) -> Option<(Arc<str>, Arc<str>)> {
    let (before, _) = text.split_once(' ').unwrap_or((text, ""));
    let (target, route) = match before.find('/').and_then(|at| text.split_at_checked(at)) {
        Some((target, route)) => (target, route.strip_prefix('/')?),
        None => ("*", text),
    };
    let is_route = route == "*" || route.split_once(' ').is_some_and(|(_, template)| template.starts_with(['/', '*']));
    (is_route && !target.is_empty()).then(|| (target.into(), route.into()))
}

/// Target, database, schema, table and column.
fn pattern(text: &str) -> Option<[Arc<str>; 5]> {
    let mut path = text.split('/');
    let (target, database, name) = match (path.next()?, path.next(), path.next(), path.next()) {
        (name, None, ..) => ("*", "*", name),
        (target, Some(database), Some(name), None) => (target, database, name),
        _ => return None,
    };
    let mut parts = name.split('.');
    let (Some(schema), Some(table), Some(column), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let all = [target, database, schema, table, column];
    all.iter().all(|part| !part.is_empty()).then(|| all.map(Into::into))
}
