//! The databases: one, and for each sensitive column one that differs in that column alone.

use std::collections::{BTreeSet, HashMap};

use effects::postgres::{Catalog, NoPrepared, Session, Statement, analyse, labels};
use model::class::{DataClass, Labels, Transform};
use model::classification::{Classification, ColumnRule};
use model::effect::ColumnName;
use testkit::postgres::{Options, Plain, Postgres};
use testkit::statements::{self, SENSITIVE};

use crate::common::catalog_of;

pub(crate) struct Lab {
    pub base: Plain,
    pub variants: Vec<Plain>,
    pub catalog: Catalog,
    pub labels: Labels,
    /// The columns of all relations by their oid and number.
    pub columns: HashMap<(u32, i16), String>,
    /// How large the tables are, in each database.
    pub(crate) size: String,
    /// What to ask for the rows of all tables, one line for each column.
    pub contents: String,
    #[allow(dead_code, reason = "the server ends with it")]
    server: Postgres,
}

/// What makes a statement end as it would anywhere, in the order that it would anywhere.
const SETTINGS: &str = "SET statement_timeout = '2s'; SET jit = off; SET max_parallel_workers_per_gather = 0;
    SET client_min_messages = error; SET TimeZone = 'UTC'";

const SIZE: &str = "SELECT sum(pg_relation_size(oid)) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";

const VACUUM: &str = "VACUUM staff, depts, orders, notes, vault, base, child, logs_25, logs_26";

/// Clears away what rolled back writes left, so that tables are as large everywhere as they were, and plans the same.
pub(crate) fn sweep(plain: &mut Plain, size: &str) {
    if plain.rows(SIZE).unwrap()[0][0] != size {
        assert_eq!(plain.run(VACUUM).unwrap().error, None);
        assert_eq!(plain.rows(SIZE).unwrap()[0][0], size);
    }
}

impl Lab {
    /// Clears all of it away in all databases, so that they differ in what they hold alone.
    pub(crate) fn level(&mut self) {
        for plain in self.variants.iter_mut().chain([&mut self.base]) {
            assert_eq!(plain.run(VACUUM).unwrap().error, None);
        }
    }

    pub(crate) fn open() -> Self {
        let settings = vec![("autovacuum".to_owned(), "off".to_owned())];
        let server = Postgres::start(Options { settings }).unwrap();
        let mut base = statements::load(&server, None).unwrap();
        let mut variants: Vec<Plain> =
            (0..SENSITIVE.len()).map(|at| statements::load(&server, Some(at)).unwrap()).collect();
        for plain in variants.iter_mut().chain([&mut base]) {
            assert_eq!(plain.run(SETTINGS).unwrap().error, None);
        }
        let catalog = catalog_of(&mut base);
        let labels = labels(&catalog, "lab", &classification());
        let columns = base
            .rows(
                "SELECT c.oid, a.attnum, n.nspname || '.' || c.relname || '.' || a.attname FROM pg_attribute a
                 JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE a.attnum > 0 AND NOT a.attisdropped",
            )
            .unwrap();
        let columns = columns.iter().map(|row| ((row[0].parse().unwrap(), row[1].parse().unwrap()), row[2].clone()));
        let columns = columns.collect();
        let contents = base
            .rows(
                "SELECT string_agg(format('SELECT %L, string_agg(%I::text, ''|'' ORDER BY id, %I::text) FROM ONLY %I',
                   'public.' || c.relname || '.' || a.attname, a.attname, a.attname, c.relname), ' UNION ALL ')
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                 WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0",
            )
            .unwrap();
        let contents = contents[0][0].clone();
        let sizes = variants.iter_mut().chain([&mut base]).map(|plain| {
            assert_eq!(plain.run("VACUUM FULL").unwrap().error, None);
            plain.rows(SIZE).unwrap()[0][0].clone()
        });
        let sizes: BTreeSet<String> = sizes.collect();
        assert_eq!(sizes.len(), 1, "{sizes:?}");
        let size = sizes.into_iter().next().unwrap();
        Self { base, variants, catalog, labels, columns, size, contents, server }
    }

    pub(crate) fn analyse(&self, text: &str) -> Statement {
        let session = Session {
            catalog: &self.catalog,
            search_path: self.catalog.search_path(),
            user: "postgres",
            standard_conforming_strings: true,
            prepared: &NoPrepared,
            parameter_types: &[],
        };
        let mut statements = analyse(text, &session);
        assert_eq!(statements.len(), 1, "{text}");
        statements.remove(0)
    }

    /// Whether `name` is this column, or the same one of a child or partition.
    pub(crate) fn is_same(&self, column: &ColumnName, name: &str) -> bool {
        let parents = self.labels.parents.iter().filter(|(_, parents)| parents.contains(&column.table));
        let tables = parents.map(|(child, _)| child).chain([&column.table]);
        tables.into_iter().any(|table| ColumnName::new(table.clone(), column.name.clone()).to_string() == name)
    }

    pub(crate) fn classes(&self, column: &ColumnName) -> BTreeSet<DataClass> {
        self.labels.marking(column).classes().cloned().collect()
    }
}

/// The class of a sensitive column, by its place in [`SENSITIVE`].
pub(crate) fn class_of(at: usize) -> DataClass {
    DataClass::new(format!("s{at}"))
}

/// Each sensitive column has a class of its own.
fn classification() -> Classification {
    let rule = |(at, column): (usize, &&str)| {
        let (table, column) = column.split_once('.').unwrap();
        ColumnRule {
            target: "lab".into(),
            database: "*".into(),
            schema: "public".into(),
            table: table.into(),
            column: column.into(),
            classes: [class_of(at)].into(),
        }
    };
    let classes = (0..SENSITIVE.len()).map(|at| (class_of(at), Transform::Null)).collect();
    Classification { classes, rules: SENSITIVE.iter().enumerate().map(rule).collect(), ..Classification::default() }
}
