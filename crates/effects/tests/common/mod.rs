//! What the tests share: the catalog of `fixture/schema.sql`, read once from a real server, and a way to print statements.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use effects::postgres::{Catalog, PartBuilder, Prepared, Session, Statement, analyse, queries};
use model::lineage::{LiteralRole, Origin, Output};

pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Rows of all queries as text: `query TAB column TAB column…`, as COPY writes them.
pub fn part(queries: &[queries::Query], text: &str) -> effects::postgres::Part {
    let mut builder = PartBuilder::default();
    for line in text.lines() {
        let mut cells = line.split('\t');
        let name = cells.next().unwrap();
        let query = queries.iter().find(|query| query.name == name).unwrap();
        let cells: Vec<Option<String>> = cells.map(unescape).collect();
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        builder.row(query, &cells).unwrap();
    }
    builder.finish()
}

/// What is read of a database's users, the definitions of views included.
pub fn user_queries() -> Vec<queries::Query> {
    [queries::USER, &[queries::VIEWS]].concat()
}

fn unescape(cell: &str) -> Option<String> {
    if cell == "\\N" {
        return None;
    }
    Some(cell.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\"))
}

pub fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let read = |name: &str| std::fs::read_to_string(folder("fixture").join(name)).unwrap();
        let system = part(queries::SYSTEM, &read("system.tsv"));
        Catalog::new(Arc::new(system), part(&user_queries(), &read("user.tsv")))
    })
}

/// The prepared statement `by_number`, and the cursor `open_cards`.
pub struct Names {
    pub statement: Arc<Statement>,
    pub cursor: Arc<Statement>,
}

impl Prepared for Names {
    fn statement(&self, name: &str) -> Option<Arc<Statement>> {
        (name == "by_number").then(|| Arc::clone(&self.statement))
    }

    fn cursor(&self, name: &str) -> Option<Arc<Statement>> {
        (name == "open_cards").then(|| Arc::clone(&self.cursor))
    }
}

pub fn run(text: &str) -> Vec<Statement> {
    let catalog = catalog();
    static NAMES: OnceLock<Names> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let none = effects::postgres::NoPrepared;
        let one = |text: &str| Arc::new(analyse(text, &session(catalog, &none)).remove(0));
        Names {
            statement: one("SELECT id, number FROM cards WHERE number = $1"),
            cursor: one("SELECT number, expires FROM cards"),
        }
    });
    analyse(text, &session(catalog, names))
}

pub fn session<'a>(catalog: &'a Catalog, prepared: &'a dyn Prepared) -> Session<'a> {
    Session {
        catalog,
        search_path: catalog.search_path(),
        user: "app",
        standard_conforming_strings: true,
        prepared,
        parameter_types: &[],
    }
}

/// A statement as the golden files show it.
pub fn show(text: &str, statement: &Statement) -> String {
    let mut out = String::new();
    let facts = &statement.facts;
    let bounded = if facts.bounded { "" } else { " unbounded" };
    writeln!(out, "kind {}{bounded}", facts.kind).unwrap();
    if let Some(why) = &facts.opaque {
        writeln!(out, "opaque: {why}").unwrap();
    }
    for effect in &statement.effects {
        writeln!(out, "  {effect}").unwrap();
    }
    match &statement.output {
        Output::None => {}
        Output::Unknown => out.push_str("out unknown\n"),
        Output::Rows(columns) => {
            for column in columns {
                writeln!(out, "out {}: {}", column.name, origin(&column.origin)).unwrap();
            }
        }
    }
    let tables: Vec<String> = statement.mentions.tables.iter().map(ToString::to_string).collect();
    if statement.mentions.anything {
        out.push_str("mentions anything\n");
    } else if tables.len() > 1 {
        writeln!(out, "mentions {}", tables.join(", ")).unwrap();
    }
    for literal in &statement.literals {
        writeln!(out, "literal {} {}", &text[literal.start..literal.end], role(&literal.role)).unwrap();
    }
    for (at, parameter) in statement.parameters.iter().enumerate() {
        writeln!(out, "parameter ${} {}", at + 1, role(parameter)).unwrap();
    }
    let changes = statement.changes;
    if !statement.is_opaque() {
        for (set, name) in [
            (changes.state, "state"),
            (changes.local, "local"),
            (changes.catalog, "catalog"),
            (changes.temporary, "temporary"),
        ] {
            if set {
                writeln!(out, "changes {name}").unwrap();
            }
        }
    }
    if let Some(step) = &statement.transaction {
        writeln!(out, "transaction {step:?}").unwrap();
    }
    if let Some(own) = &statement.own {
        writeln!(out, "own {own:?}").unwrap();
    }
    if let Some(copy) = &statement.copy {
        let columns = copy.columns.as_ref().map(|columns| {
            let columns = columns.iter().map(|(name, from)| format!("{name}: {}", origin(from)));
            columns.collect::<Vec<_>>().join("; ")
        });
        writeln!(out, "copy {:?} {:?} [{}]", copy.direction, copy.format, columns.unwrap_or("?".into())).unwrap();
    }
    out
}

pub fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Constant => "constant".into(),
        Origin::Unknown => "unknown".into(),
        Origin::Column(column) => column.to_string(),
        Origin::Derived(columns) => {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            format!("derived({})", columns.join(", "))
        }
        Origin::Members(container, members) => {
            let members = members.iter().map(|member| match &member.key {
                Some(key) => format!("{key}: {}", self::origin(&member.origin)),
                None => self::origin(&member.origin),
            });
            format!("{container:?}[{}]", members.collect::<Vec<_>>().join("; "))
        }
    }
}

fn role(role: &LiteralRole) -> String {
    match role {
        LiteralRole::Of(column) => format!("of {column}"),
        LiteralRole::Secret => "secret".into(),
        LiteralRole::Plain => "plain".into(),
        LiteralRole::Unknown => "unknown".into(),
    }
}
