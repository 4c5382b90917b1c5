//! What a scan asks the server.

use masking::suggest;

use crate::postgres::roles::identifier;

/// Nothing is written, nothing waits for long, and a relation with row security refuses rather than run its policies.
pub(super) const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; \
    SET LOCAL statement_timeout = '3s'; SET LOCAL lock_timeout = '500ms'; SET LOCAL row_security = off; \
    SET LOCAL work_mem = '4MB'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off";
pub(super) const END: &str = "ROLLBACK";

/// How much of a value is looked at, in characters, and how large one may be at the server.
const LONGEST: usize = 512;
const LARGEST: usize = 64 * 1024;

/// How many bytes of values one sample may bring at most.
const MOST_BYTES: usize = 2 << 20;

/// From how many pages on a relation is sampled by pages, and by how many: each has at least one row, as a rule.
const MANY_PAGES: i64 = 500;

/// The types of which values are looked at: the server's own, which run nothing else.
const SAMPLED: [&str; 18] = [
    "text", "varchar", "bpchar", "name", "citext", "json", "jsonb", "xml", "int2", "int4", "int8", "numeric", "date",
    "inet", "cidr", "_text", "_varchar", "_bpchar",
];

/// The kind of a partitioned table that has a foreign partition, at whatever depth: who reads it reads elsewhere.
const FAR: &str = "far";

/// A relation and what is known of it.
#[derive(Debug)]
pub(super) struct Relation {
    oid: String,
    pub(super) schema: String,
    pub(super) name: String,
    kind: String,
    has_row_security: bool,
    pages: i64,
    pub(super) columns: Vec<Column>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_name: String,
    comment: String,
    pub(super) is_sampled: bool,
}

impl Column {
    /// As its name and type are judged.
    pub(super) fn named<'a>(&'a self, relation: &'a Relation) -> suggest::Column<'a> {
        suggest::Column { table: &relation.name, name: &self.name, type_name: &self.type_name, comment: &self.comment }
    }
}

impl Relation {
    /// Why no value of it is asked for.
    pub(super) fn unfit(&self) -> Option<&'static str> {
        if self.kind == "f" {
            return Some("it is a foreign table");
        }
        if self.kind == FAR {
            return Some("a partition of it is a foreign table");
        }
        if self.has_row_security {
            return Some("it has row security, whose policies a scan does not run");
        }
        self.columns.iter().all(|column| !column.is_sampled).then_some("no column of it has values that are looked at")
    }
}

/// Every column of every relation with rows of its own, the owner's words cut.
pub(super) fn columns(most: usize) -> String {
    format!(
        "WITH RECURSIVE far AS ( \
           SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits i \
           JOIN pg_catalog.pg_class f ON f.oid = i.inhrelid WHERE f.relkind = 'f' \
           UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN far ON far.oid = i.inhrelid) \
         SELECT c.oid, n.nspname, c.relname, \
           CASE WHEN c.relkind = 'p' AND c.oid IN (SELECT far.oid FROM far) THEN '{FAR}' \
             ELSE c.relkind::pg_catalog.text END, c.relrowsecurity, c.relpages, a.attname, \
           COALESCE(b.typname, t.typname), pg_catalog.left(pg_catalog.col_description(c.oid, a.attnum), 200), \
           COALESCE(b.typtype, t.typtype) = 'b' AND a.attgenerated IN ('', 's') \
             AND (COALESCE(bn.nspname, tn.nspname) = 'pg_catalog' OR COALESCE(b.typname, t.typname) = 'citext') \
             AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace \
         LEFT JOIN pg_catalog.pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype \
         LEFT JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace \
         WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't' \
           AND a.attnum > 0 AND NOT a.attisdropped \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' \
         ORDER BY n.nspname, c.relname, c.oid, a.attnum LIMIT {most}"
    )
}

/// Takes a row of [`columns`]; `None` if it is none.
pub(super) fn take(relations: &mut Vec<Relation>, row: &[Option<&str>]) -> Option<()> {
    let [oid, schema, table, kind, row_security, pages, name, type_name, comment, may_sample] = row else {
        return None;
    };
    let type_name = (*type_name)?.to_owned();
    let column = Column {
        name: (*name)?.to_owned(),
        is_sampled: *may_sample == Some("t") && SAMPLED.contains(&type_name.as_str()),
        type_name,
        comment: comment.unwrap_or_default().to_owned(),
    };
    match relations.last_mut().filter(|last| Some(last.oid.as_str()) == *oid) {
        Some(last) => last.columns.push(column),
        None => relations.push(Relation {
            oid: (*oid)?.to_owned(),
            schema: (*schema)?.to_owned(),
            name: (*table)?.to_owned(),
            kind: (*kind)?.to_owned(),
            has_row_security: *row_security != Some("f"),
            pages: (*pages)?.parse().ok()?,
            columns: vec![column],
        }),
    }
    Some(())
}

/// What to ask for in turn, until one brings a row: some pages of a large relation, or the first rows.
pub(super) fn samples(relation: &Relation, rows: u32) -> Vec<String> {
    let sampled: Vec<&Column> = relation.columns.iter().filter(|column| column.is_sampled).collect();
    let most = MOST_BYTES / (LONGEST * sampled.len().max(1));
    let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(most).max(10);
    let value = |column: &&Column| {
        let name = identifier(&column.name);
        format!(
            "CASE WHEN pg_catalog.pg_column_size({name}) <= {LARGEST} \
             THEN pg_catalog.left({name}::pg_catalog.text, {LONGEST}) END"
        )
    };
    let values: Vec<String> = sampled.iter().map(value).collect();
    let only = if relation.kind == "r" { "ONLY " } else { "" };
    let from = format!("{only}{}.{}", identifier(&relation.schema), identifier(&relation.name));
    let ask = |how: &str| format!("SELECT {} FROM {from}{how} LIMIT {rows}", values.join(", "));
    let mut asked = Vec::new();
    if relation.pages > MANY_PAGES {
        let wanted = i64::try_from(rows).unwrap_or(MANY_PAGES).min(MANY_PAGES);
        // In thousandths of a percent, as the share of pages is no whole number.
        let share = (wanted.saturating_mul(100_000) / relation.pages).max(1);
        asked.push(ask(&format!(" TABLESAMPLE SYSTEM ({}.{:03})", share / 1000, share % 1000)));
    }
    asked.push(ask(""));
    asked
}

/// What a refusal of the server means to whoever asked for a scan.
pub(super) fn refused(sqlstate: &str) -> &'static str {
    match sqlstate {
        "42501" => "the credential may not read it",
        "57014" => "the server gave up: it took too long",
        "55P03" => "it is locked",
        "42P01" | "42703" => "it was changed meanwhile",
        _ => "the server refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(table: &'a str, column: &'a str, type_name: &'a str, pages: &'a str) -> [Option<&'a str>; 10] {
        let (table, column) = (Some(table), Some(column));
        [Some("1"), Some("public"), table, Some("r"), Some("f"), Some(pages), column, Some(type_name), None, Some("t")]
    }

    #[test]
    fn a_name_of_any_kind_stays_a_name() {
        let mut relations = Vec::new();
        take(&mut relations, &row("a\"; DROP TABLE b; --", "c\" FROM d; --", "text", "1")).unwrap();
        let asked = samples(&relations[0], 200);
        assert_eq!(asked.len(), 1);
        assert!(asked[0].contains(r#"FROM ONLY "public"."a""; DROP TABLE b; --" LIMIT 200"#), "{asked:?}");
        assert!(asked[0].contains(r#"pg_column_size("c"" FROM d; --")"#), "{asked:?}");
    }

    #[test]
    fn a_large_relation_is_sampled_by_pages_first() {
        let mut relations = Vec::new();
        take(&mut relations, &row("t", "a", "text", "1000000")).unwrap();
        let asked = samples(&relations[0], 200);
        assert!(asked[0].contains("TABLESAMPLE SYSTEM (0.020) LIMIT 200") && !asked[1].contains("TABLESAMPLE"));
    }

    #[test]
    fn many_columns_bring_fewer_rows() {
        let mut relations = Vec::new();
        for at in 0..1000 {
            take(&mut relations, &row("t", &format!("c{at}"), "text", "1")).unwrap();
        }
        assert!(samples(&relations[0], 200)[0].ends_with("LIMIT 10"));
        assert!(take(&mut relations, &[]).is_none());
    }
}
