//! What EXPLAIN (VERBOSE, FORMAT JSON) says of columns.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

/// The columns, as `schema.table.column`, that a plan names.
#[derive(Default)]
pub(crate) struct Plan {
    /// In each column of what it answers with.
    pub outputs: Vec<BTreeSet<String>>,
    /// In its conditions, its keys and the arguments of functions that make rows.
    pub conditions: BTreeSet<String>,
}

const CONDITIONS: [&str; 12] = [
    "Filter",
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "One-Time Filter",
    "Sort Key",
    "Presorted Key",
    "Group Key",
    "Function Call",
    "Conflict Filter",
];

pub(crate) fn read(json: &[u8]) -> Plan {
    let value: Value = serde_json::from_slice(json).unwrap();
    let top = &value[0]["Plan"];
    let mut relations = HashMap::new();
    aliases(top, &mut relations);
    let mut plan = Plan::default();
    if let Some(outputs) = top["Output"].as_array() {
        plan.outputs = outputs.iter().map(|output| names(output.as_str().unwrap(), &relations)).collect();
    }
    conditions(top, &relations, &mut plan.conditions);
    plan
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

fn aliases(node: &Value, out: &mut HashMap<String, String>) {
    if let (Some(name), Some(schema), Some(alias)) =
        (node["Relation Name"].as_str(), node["Schema"].as_str(), node["Alias"].as_str())
    {
        out.insert(alias.to_owned(), format!("{schema}.{name}"));
    }
    children(node).for_each(|child| aliases(child, out));
}

fn conditions(node: &Value, relations: &HashMap<String, String>, out: &mut BTreeSet<String>) {
    for name in CONDITIONS {
        texts(&node[name], &mut |text| out.extend(names(text, relations)));
    }
    texts(&node["Grouping Sets"], &mut |text| out.extend(names(text, relations)));
    children(node).for_each(|child| conditions(child, relations, out));
}

fn texts(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, each)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, each)),
        _ => {}
    }
}

/// What a plan's text says without `count(alias.column)`: how many NULLs a column has is no secret.
fn without_counts(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("count(") {
        out.push_str(before);
        let end = after.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '*')));
        let bare = end.is_some_and(|end| after[end..].starts_with(')') && after[..end].contains('.'));
        rest = if bare { &after[end.unwrap()..] } else { after };
    }
    out.push_str(rest);
    out
}

/// Every `alias.column` in an expression, outside of strings.
fn names(text: &str, relations: &HashMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // A type is no value.
    if text.contains("pg_typeof(") {
        return found;
    }
    // What max() becomes looks for values that are not NULL.
    let text = without_counts(text).replace(" IS NOT NULL)", ".null)");
    for outside in text.split('\'').step_by(2) {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        for token in outside.split(|c| !word(c)) {
            if let Some((alias, column)) = token.split_once('.')
                && let Some(relation) = relations.get(alias)
                && !column.ends_with(".null")
            {
                found.insert(format!("{relation}.{column}"));
            }
        }
    }
    found
}
