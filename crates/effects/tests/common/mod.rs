//! What the tests share: the catalog of `fixture/schema.sql`, read once from a real server, and a way to print statements.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use effects::postgres::{Catalog, PartBuilder, Prepared, Session, Statement, analyse, queries, saved};
use model::lineage::{LiteralRole, Origin, Output};

pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The catalog of a database.
pub fn catalog_of(plain: &mut testkit::postgres::Plain) -> Catalog {
    let mut part = |queries: &[queries::Query]| {
        let mut builder = PartBuilder::default();
        for query in queries {
            let answers = plain.run(&query.text()).unwrap();
            assert_eq!(answers.error, None);
            for row in &answers.done[0].rows {
                let cells = row.iter().map(|cell| cell.as_deref().map(|cell| std::str::from_utf8(cell).unwrap()));
                builder.row(query, &cells.collect::<Vec<_>>()).unwrap();
            }
        }
        builder.finish()
    };
    Catalog::new(Arc::new(part(queries::SYSTEM)), part(&queries::user_with_views()))
}

/// The statements of a golden file: lines that begin with `> `, those that follow each other together.
pub fn statements(file: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut inside = false;
    for line in file.lines() {
        match line.strip_prefix("> ") {
            Some(text) if inside => all.last_mut().unwrap().push_str(&format!("\n{text}")),
            Some(text) => all.push(text.to_owned()),
            None => {}
        }
        inside = line.starts_with("> ");
    }
    all
}

/// Rows of all queries as text: `query TAB column TAB column…`, as COPY writes them.
pub fn part(queries: &[queries::Query], text: &str) -> effects::postgres::Part {
    saved::part(queries, text).unwrap()
}

/// What PostgreSQL 15 ships, which the library ships too.
pub fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("shipped/postgres-15.tsv")
}

pub fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        let system = part(queries::SYSTEM, &read(shipped()));
        Catalog::new(Arc::new(system), part(&queries::user_with_views(), &read(folder("fixture").join("user.tsv"))))
    })
}

/// The same catalog on a server of version 18.
pub fn newer_catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let read = |name: &str| std::fs::read_to_string(folder("fixture").join(name)).unwrap();
        let user = read("user.tsv");
        let newer = user.replacen("database\tpayments\t15", "database\tpayments\t18", 1);
        assert_ne!(user, newer);
        Catalog::new(
            Arc::new(part(queries::SYSTEM, &std::fs::read_to_string(shipped()).unwrap())),
            part(&queries::user_with_views(), &newer),
        )
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
    run_in(text, catalog())
}

pub fn run_in(text: &str, catalog: &'static Catalog) -> Vec<Statement> {
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
