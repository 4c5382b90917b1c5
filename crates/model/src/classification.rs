//! The classification of a revision (`classification.toml`), as it was meant: which columns carry which class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::class::{DataClass, Marking, Transform};
use crate::effect::{ColumnName, TableName};
use crate::http::FieldRule;

/// Every class of a revision and the rules that mark columns.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Classification {
    /// The classes and how each is masked by default.
    pub classes: BTreeMap<DataClass, Transform>,
    /// The rules, in any order: every matching rule's classes are carried; `public` counts only where no class is.
    pub rules: Vec<ColumnRule>,
    /// The rules for the answers of HTTP APIs, in any order: every matching rule counts.
    #[serde(default)]
    pub fields: Vec<RouteRule>,
}

/// Marks what stands at a path in the answers of the routes that match both patterns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouteRule {
    /// The target's name.
    pub target: Arc<str>,
    /// The method and the template of a route, such as `GET /v1/customers/{id}`; where the API has no template for it, the
    /// method and the path.
    pub route: Arc<str>,
    /// Where, and what.
    pub field: FieldRule,
}

impl RouteRule {
    /// Whether the rule is about answers of this route.
    pub fn covers(&self, target: &str, method: &str, template: &str) -> bool {
        matches(&self.target, target) && matches(&self.route, &format!("{method} {template}"))
    }
}

/// Marks the columns that match all five patterns. A pattern is a name in which `*` stands for any run of characters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ColumnRule {
    /// The target's name.
    pub target: Arc<str>,
    /// The database's name.
    pub database: Arc<str>,
    /// The schema's name.
    pub schema: Arc<str>,
    /// The relation's name.
    pub table: Arc<str>,
    /// The column's name.
    pub column: Arc<str>,
    /// The classes that matching columns carry; empty means that they are public.
    pub classes: BTreeSet<DataClass>,
}

impl Classification {
    /// What the rules say of one column.
    pub fn marking(&self, target: &str, database: &str, column: &ColumnName) -> Marking {
        let mut public = false;
        let mut classes = BTreeSet::new();
        for rule in self.rules.iter().filter(|rule| rule.covers(target, database, column)) {
            public |= rule.classes.is_empty();
            classes.extend(rule.classes.iter().cloned());
        }
        match (classes.is_empty(), public) {
            (false, _) => Marking::Classes(classes),
            (true, true) => Marking::Public,
            (true, false) => Marking::Unmarked,
        }
    }
}

impl Classification {
    /// Whether some column there may carry the class, of the relation if one is given.
    pub fn may_mark(&self, target: &str, database: &str, table: Option<&TableName>, class: &DataClass) -> bool {
        let of_table = |rule: &ColumnRule, table: &TableName| {
            matches(&rule.schema, &table.schema) && matches(&rule.table, &table.name)
        };
        self.rules.iter().any(|rule| {
            rule.classes.contains(class)
                && matches(&rule.target, target)
                && matches(&rule.database, database)
                && table.is_none_or(|table| of_table(rule, table))
        })
    }
}

impl ColumnRule {
    fn covers(&self, target: &str, database: &str, column: &ColumnName) -> bool {
        matches(&self.target, target)
            && matches(&self.database, database)
            && matches(&self.schema, &column.table.schema)
            && matches(&self.table, &column.table.name)
            && matches(&self.column, &column.name)
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any run of characters. Linear in practice: each `*` only ever
/// moves forward.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut remaining) = name.strip_prefix(head) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return remaining.len() >= part.len() && remaining.ends_with(part);
        }
        match remaining.find(part).and_then(|at| remaining.get(at + part.len()..)) {
            Some(after) => remaining = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::FieldPath;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "ssn", true),
            ("ssn", "ssn", true),
            ("ssn", "ssn2", false),
            ("*_ssn", "us_ssn", true),
            ("card*", "card_number", true),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxbxx", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn classes_win_over_public_and_add_up() {
        let rule = |column: &str, classes: &[&str]| ColumnRule {
            target: "*".into(),
            database: "*".into(),
            schema: "public".into(),
            table: "*".into(),
            column: column.into(),
            classes: classes.iter().map(|class| DataClass::new(*class)).collect(),
        };
        let classification = Classification {
            classes: BTreeMap::new(),
            rules: vec![rule("*", &[]), rule("number", &["card_number"]), rule("num*", &["secret"])],
            fields: vec![],
        };
        let column = |name: &str| ColumnName::new(TableName::new("public", "cards"), name);
        assert_eq!(classification.marking("t", "d", &column("id")), Marking::Public);
        let marking = classification.marking("t", "d", &column("number"));
        assert_eq!(marking.classes().map(DataClass::as_str).collect::<Vec<_>>(), ["card_number", "secret"]);
        let elsewhere = ColumnName::new(TableName::new("other", "cards"), "id");
        assert_eq!(classification.marking("t", "d", &elsewhere), Marking::Unmarked);
    }

    #[test]
    fn fields_are_marked_by_target_and_route() {
        let field = FieldRule {
            path: FieldPath::default(),
            classes: BTreeSet::from([DataClass::new("email")]),
            form: crate::http::FieldForm::Plain,
        };
        let rule =
            |target: &str, route: &str| RouteRule { target: target.into(), route: route.into(), field: field.clone() };
        assert!(rule("*", "*").covers("billing", "GET", "/v1/customers/{id}"));
        assert!(rule("bill*", "GET /v1/customers/*").covers("billing", "GET", "/v1/customers/{id}"));
        assert!(!rule("billing", "GET /v1/customers").covers("billing", "GET", "/v1/customers/{id}"));
        assert!(!rule("billing", "GET *").covers("billing", "POST", "/v1/customers"));
        assert!(!rule("shop", "*").covers("billing", "GET", "/"));
    }
}
