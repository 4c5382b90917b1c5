//! Three statements and a database to read them against.

use std::fmt::Write;

use anyhow::{Context, Result};
use effects::postgres::{Catalog, NoPrepared, Session, Statement, analyse, saved};

/// What pgbench sends: 57 bytes.
pub const LOOKUP: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 471123;";

/// A join as an object-relational mapper writes it: 264 bytes.
pub const JOIN: &str = "SELECT orders.id, orders.total, orders.created_at, customers.id AS customer_id, \
    customers.name FROM orders INNER JOIN customers ON customers.id = orders.customer_id WHERE orders.total > 100 AND \
    customers.id = 4711 ORDER BY orders.created_at DESC, orders.id LIMIT 5";

/// A report with common table expressions and windows: 1119 bytes.
pub const REPORT: &str = "WITH paid AS (
  SELECT o.customer_id, o.id AS order_id, o.total, p.amount, p.status, date_trunc('month', o.created_at) AS month
  FROM orders o JOIN payments p ON p.order_id = o.id
  WHERE p.amount > 10 AND o.created_at >= '2026-01-01' AND o.created_at < '2027-01-01'
), monthly AS (
  SELECT customer_id, month, count(*) AS orders, sum(amount) AS revenue, avg(total) AS mean_total
  FROM paid GROUP BY customer_id, month HAVING sum(amount) > 100
), ranked AS (
  SELECT m.customer_id, m.month, m.orders, m.revenue, m.mean_total,
    row_number() OVER (PARTITION BY m.month ORDER BY m.revenue DESC) AS place,
    sum(m.revenue) OVER (PARTITION BY m.customer_id ORDER BY m.month) AS so_far
  FROM monthly m
)
SELECT c.id, c.name, r.month, r.orders, round(r.revenue, 2) AS revenue, r.place, r.so_far,
  CASE WHEN r.place <= 10 THEN 'top' WHEN r.place <= 100 THEN 'good' ELSE 'other' END AS tier,
  r.mean_total
FROM ranked r JOIN customers c ON c.id = r.customer_id
WHERE r.place <= 500 AND EXISTS (SELECT 1 FROM items i JOIN orders o ON o.id = i.order_id WHERE o.customer_id = c.id)
ORDER BY r.month, r.place LIMIT 1000";

/// The three of them, with the sizes that they are known by.
pub const STATEMENTS: [(&str, &str); 3] = [("57 B", LOOKUP), ("264 B", JOIN), ("1.1 KB", REPORT)];

/// The tables that the tests of `effects` are about, as a server described them.
const FIXTURE: &str = include_str!("../../effects/tests/fixture/user.tsv");

/// Above the object identifiers of the fixture.
const FIRST_OID: usize = 100_000;

/// PostgreSQL 15 with the tables of the statements.
///
/// # Errors
/// If the rows are none of a catalog.
pub fn catalog() -> Result<Catalog> {
    catalog_with(&[])
}

/// The same with these tables besides, each by its number of columns: `wide_0` and so on, whose columns are `c0` and so
/// on.
///
/// # Errors
/// If the rows are none of a catalog.
pub fn catalog_with(tables: &[usize]) -> Result<Catalog> {
    let mut text = format!("{}\n{FIXTURE}", saved::HEADER);
    table(&mut text, FIRST_OID, "pgbench_accounts", &["aid", "bid", "abalance"]);
    for (at, columns) in tables.iter().enumerate() {
        let names: Vec<String> = (0..*columns).map(|column| format!("c{column}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        table(&mut text, FIRST_OID + 1 + at, &format!("wide_{at}"), &names);
    }
    saved::read(&text).context("the catalog")
}

/// The rows of one table of integers. Writing to a String does not fail.
fn table(rows: &mut String, oid: usize, name: &str, columns: &[&str]) {
    let _ = writeln!(rows, "user relations\t{oid}\tpublic\t{name}\tr\tp\t0\tfalse");
    for (column, number) in columns.iter().zip(1..) {
        let _ = writeln!(rows, "user columns\t{oid}\t{number}\t{column}\t23\t");
    }
}

/// The text that reads every column of `wide_0`.
pub fn wide_text(columns: usize) -> String {
    let names: Vec<String> = (0..columns).map(|column| format!("w.c{column}")).collect();
    format!("SELECT {} FROM wide_0 w WHERE w.c0 = 4711", names.join(", "))
}

/// What a text would do, found anew.
pub fn read(catalog: &Catalog, text: &str) -> Vec<Statement> {
    let session = Session {
        catalog,
        search_path: catalog.search_path(),
        user: "app",
        standard_conforming_strings: true,
        prepared: &NoPrepared,
        parameter_types: &[],
    };
    analyse(text, &session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_understood_and_as_long_as_it_is_said_to_be() {
        let catalog = catalog_with(&[100]).unwrap();
        let wide = wide_text(100);
        for (text, length) in [(LOOKUP, 57), (JOIN, 264), (REPORT, 1119), (wide.as_str(), wide.len())] {
            let statements = read(&catalog, text);
            assert_eq!((statements.len(), text.len()), (1, length));
            assert_eq!(statements[0].facts.opaque, None, "{text}");
            assert!(statements[0].effects.len() > 1, "{text}");
        }
    }
}
