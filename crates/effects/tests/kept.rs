//! No place in the grammar where an expression can stand is passed over: whatever is put in the place of any word of any
//! golden statement, or behind it, is seen, or the statement is not understood.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ops::Range;

use effects::postgres::{NameUse, Statement};
use model::effect::{ColumnName, Object, Verb};
use model::lineage::{Origin, Output};

/// Something that must be seen wherever it stands.
struct Probe {
    expression: &'static str,
    /// What a tree's printed form has that has it as an expression, not as a name or in a string.
    parsed: &'static str,
    /// The function or table that it comes to.
    object: &'static str,
    /// The words after which it can follow another word.
    behind: &'static [&'static str],
}

const PROBES: [Probe; 4] = [
    Probe {
        expression: "query_to_xml('q', true, true, '')::text",
        parsed: "funcname: [String(String { sval: Some(\"query_to_xml\")",
        object: "query_to_xml",
        behind: &["DEFAULT", "CHECK", "GENERATED ALWAYS AS", "WHERE", "WHEN", "USING", ",", "||"],
    },
    Probe {
        expression: "('a' ~=~ 'b')",
        parsed: "name: [String(String { sval: Some(\"~=~\")",
        object: "same",
        behind: &[],
    },
    Probe { expression: "(SELECT value FROM app.secrets)", parsed: "SubLink", object: "secrets", behind: &[] },
    Probe { expression: "'1'::card_no", parsed: "sval: Some(\"card_no\")", object: "luhn", behind: &[] },
];

/// The words, constants and quoted names of a text.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut quote = None;
    for (at, symbol) in text.char_indices() {
        let end = at + symbol.len_utf8();
        match quote {
            Some(open) => {
                words.last_mut().unwrap().end = end;
                quote = (symbol != open).then_some(open);
            }
            None if matches!(symbol, '\'' | '"') => {
                words.push(at..end);
                quote = Some(symbol);
            }
            None if symbol.is_alphanumeric() || matches!(symbol, '_' | '.' | '$') => match words.last_mut() {
                Some(word) if word.end == at => word.end = end,
                _ => words.push(at..end),
            },
            None => {}
        }
    }
    words
}

/// Whether a column of the table is used where it decides, written elsewhere, or shown in an answer as what it is.
fn is_followed(statement: &Statement, table: &str) -> bool {
    let ours = |column: &ColumnName| &*column.table.name == table;
    let used = statement.effects.iter().any(|effect| {
        matches!(&effect.object, Object::Column(column, _) if ours(column))
            && matches!(effect.verb, Verb::Filter | Verb::Join | Verb::Lookup | Verb::Declassify)
    });
    let shown = match &statement.output {
        Output::Rows(columns) => columns.iter().any(|column| comes_from(&column.origin, &ours)),
        Output::Unknown => true,
        Output::None => false,
    };
    let copied = statement.copy.as_ref().and_then(|copy| copy.columns.as_ref());
    let copied = copied.is_some_and(|columns| columns.iter().any(|(_, origin)| comes_from(origin, &ours)));
    let later = match &statement.names {
        Some(NameUse::Prepare { inner, .. } | NameUse::Declare { inner, .. }) => is_followed(inner, table),
        _ => false,
    };
    // Whoever reads a view, or a table with a rule ON SELECT, gets what its definition shows.
    let is_view = statement.facts.kind.contains("VIEW") || &*statement.facts.kind == "CREATE RULE";
    used || shown || copied || later || is_view || statement.facts.opaque.is_some()
}

/// Where a value is looked at for its being there alone, or not at all: the grammar takes an expression there that the
/// server refuses, or of which it takes no more than its type.
fn is_no_use(text: &str) -> bool {
    let hole = text.find("((SELECT value FROM app.secrets))");
    let before = hole.map(|at| text[..at].trim_end().to_lowercase()).unwrap_or_default();
    let last = before.rsplit(|symbol: char| !(symbol.is_alphanumeric() || symbol == '_')).next().unwrap_or_default();
    let counted = before
        .strip_suffix('(')
        .is_some_and(|before| ["count", "grouping", "pg_typeof"].iter().any(|name| before.ends_with(name)));
    // A FROM item of which no column is taken, a list of which nothing is taken, and what stands in for a type modifier.
    counted
        || matches!(last, "from" | "regclass" | "sametable" | "text")
        || text.contains("EXISTS (SELECT (")
        || text.contains(").f2")
        // A subquery's column that nobody takes.
        || text.contains(") s) FROM (SELECT number")
        || text.contains(" AS number) VALUES (100) RETURNING")
        || text.contains(" AS p) a, orders TABLESAMPLE")
        || text.contains(" AS a) o GROUP BY o")
}

fn comes_from(origin: &Origin, ours: &dyn Fn(&ColumnName) -> bool) -> bool {
    match origin {
        Origin::Constant => false,
        Origin::Unknown => true,
        Origin::Column(column) => ours(column),
        Origin::Derived(columns) => columns.iter().any(ours),
        Origin::Members(_, members) => members.iter().any(|member| comes_from(&member.origin, ours)),
    }
}

fn is_seen(statement: &Statement, object: &str) -> bool {
    if object == "secrets" {
        return is_followed(statement, object);
    }
    let seen = |name: &str| name == object;
    statement.facts.opaque.is_some()
        || statement.mentions.tables.iter().any(|table| seen(&table.name))
        || statement.effects.iter().any(|effect| match &effect.object {
            Object::Function(name, _) | Object::Table(name, _) => seen(&name.name),
            _ => false,
        })
}

/// What has the probe in it as an expression, of all that can be made of a text.
fn variants<'a>(text: &'a str, probe: &'a Probe) -> impl Iterator<Item = String> + 'a {
    words(text).into_iter().flat_map(move |word| {
        let replaced = format!("{}({}){}", &text[..word.start], probe.expression, &text[word.end..]);
        let behind = probe
            .behind
            .iter()
            .map(move |before| format!("{} {before} ({}){}", &text[..word.end], probe.expression, &text[word.end..]));
        std::iter::once(replaced).chain(behind)
    })
}

/// The tree's printed form. The library cannot print a publication of all tables of a schema: then, as far as it comes.
fn printed(text: &str) -> Option<String> {
    use std::fmt::Write;
    let tree = pg_raw_parse::parse(text).ok()?;
    let mut out = String::new();
    for raw in tree.iter() {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write!(out, "{:?}", raw.stmt())));
    }
    Some(out)
}

#[test]
fn no_place_for_an_expression_is_passed_over() {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(common::folder("golden")).unwrap() {
        texts.extend(common::statements(&std::fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    let (mut tried, mut passed_over) = (0, Vec::new());
    // What `printed` is about is no failure.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for text in &texts {
        // What a function does is not known whatever is in it.
        let is_function = |text: &str| text.contains(" FUNCTION ") || text.contains(" PROCEDURE ");
        if text.len() > 2000 || text.to_uppercase().starts_with("CREATE") && is_function(&text.to_uppercase()) {
            continue;
        }
        for probe in &PROBES {
            for variant in variants(text, probe) {
                if !printed(&variant).is_some_and(|tree| tree.contains(probe.parsed)) {
                    continue;
                }
                tried += 1;
                let found = common::run_in(&variant, common::newer_catalog());
                if !found.iter().any(|statement| is_seen(statement, probe.object)) && !is_no_use(&variant) {
                    passed_over.push(variant);
                }
            }
        }
    }
    std::panic::set_hook(hook);
    println!("{tried} statements with something in them that must be seen");
    assert!(tried > 2000, "{tried}");
    assert!(passed_over.is_empty(), "{} of {tried}:\n{}", passed_over.len(), passed_over.join("\n"));
}
