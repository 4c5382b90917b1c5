//! A catalog as a text: the rows of [`queries`], one on a line, as COPY writes them. What reads it is what reads the rows
//! of a server, so that a saved catalog and a live one are the same thing.
//!
//! A text without rows of the server's own part stands on the part of PostgreSQL 15, which Sluice ships: so a text can be
//! small enough to be read and kept beside policies.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::queries::{self, Query};
use super::{Catalog, Part, PartBuilder};

/// The first line of a saved catalog.
pub const HEADER: &str = "# sluice catalog 1";

/// What PostgreSQL 15 ships.
const SHIPPED: &str = include_str!("../../../shipped/postgres-15.tsv");

/// A line that is not a row of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}; save the catalog anew")]
pub struct SavedError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// One row of `query`'s answer as a line, without its end.
pub fn line(query: &Query, row: &[Option<&str>]) -> String {
    let cells = row.iter().map(|cell| cell.map_or(Cow::Borrowed("\\N"), escaped));
    std::iter::once(Cow::Borrowed(query.name)).chain(cells).collect::<Vec<_>>().join("\t")
}

/// The catalog that a text holds.
///
/// # Errors
/// At the first line that is no row, or without the header or the database's row.
pub fn read(text: &str) -> Result<Catalog, SavedError> {
    let at = |line, problem: &str| SavedError { line, problem: problem.into() };
    if text.lines().next().map(str::trim_end) != Some(HEADER) {
        return Err(at(1, "this is no catalog that `sluice target catalog` saved"));
    }
    let has_system = rows(text).any(|(_, row)| row.starts_with("system "));
    let system = if has_system { Arc::new(part(queries::SYSTEM, text)?) } else { shipped()? };
    let catalog = Catalog::new(system, part(&queries::user_with_views(), text)?);
    if catalog.database().is_empty() {
        return Err(at(1, "it does not say which database it is of"));
    }
    Ok(catalog)
}

/// The part whose rows answer these queries; rows of the other queries are passed over.
///
/// # Errors
/// At the first line that is no row.
pub fn part(wanted: &[Query], text: &str) -> Result<Part, SavedError> {
    let mut builder = PartBuilder::default();
    for (line, row) in rows(text) {
        let at = |problem: String| SavedError { line, problem };
        let mut cells = row.split('\t');
        let name = cells.next().unwrap_or_default();
        let Some(query) = wanted.iter().find(|query| query.name == name) else {
            let is_known =
                queries::SYSTEM.iter().chain(queries::USER).chain([&queries::VIEWS]).any(|query| query.name == name);
            if is_known {
                continue;
            }
            return Err(at(format!("no catalog has rows of {name:?}")));
        };
        let cells: Vec<Option<Cow<'_, str>>> = cells.map(unescaped).collect();
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        builder.row(query, &cells).map_err(|error| at(error.to_string()))?;
    }
    Ok(builder.finish())
}

/// Every line with its number, but for comments and empty ones.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(row, line)| (line, row)).filter(|(_, row)| !row.is_empty() && !row.starts_with('#'))
}

/// Read once for the whole process.
fn shipped() -> Result<Arc<Part>, SavedError> {
    static PART: OnceLock<Result<Arc<Part>, SavedError>> = OnceLock::new();
    PART.get_or_init(|| part(queries::SYSTEM, SHIPPED).map(Arc::new)).clone()
}

fn escaped(cell: &str) -> Cow<'_, str> {
    if !cell.contains(['\\', '\t', '\n', '\r']) {
        return Cow::Borrowed(cell);
    }
    let mut out = String::with_capacity(cell.len());
    for character in cell.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            character => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// `None` is NULL.
fn unescaped(cell: &str) -> Option<Cow<'_, str>> {
    if cell == "\\N" {
        return None;
    }
    if !cell.contains('\\') {
        return Some(Cow::Borrowed(cell));
    }
    let mut out = String::with_capacity(cell.len());
    let mut characters = cell.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            (character, false) => out.push(character),
        }
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "# sluice catalog 1\ndatabase\tshop\t150000\npath\tpg_catalog\npath\tpublic\n\
        user relations\t20000\tpublic\todd\\tname\tr\tp\t20001\tfalse\nuser columns\t20000\t1\tid\t23\t\n";

    #[test]
    fn a_small_catalog_stands_on_the_shipped_part() {
        let catalog = read(SMALL).unwrap();
        assert_eq!(catalog.database(), "shop");
        assert!(catalog.relation_named("public", "odd\tname").is_some());
        assert!(catalog.relation_named("pg_catalog", "pg_class").is_some());
    }

    #[test]
    fn what_is_no_catalog_is_refused_with_its_line() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("CREATE TABLE x ()").starts_with("line 1: this is no catalog"));
        assert!(error("# sluice catalog 1\n").starts_with("line 1: it does not say which database"));
        assert!(error(&format!("{SMALL}tables\tx\n")).starts_with("line 7: no catalog has rows of \"tables\""));
        assert!(error(&format!("{SMALL}path\ta\tb\n")).starts_with("line 7: catalog query path: unexpected number"));
    }

    proptest::proptest! {
        #[test]
        fn rows_are_read_as_they_were_written(cells in proptest::collection::vec(proptest::option::of(".*"), 1..5)) {
            let row: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
            let written = line(&queries::DATABASE, &row);
            proptest::prop_assert_eq!(written.lines().count(), 1);
            let read: Vec<Option<String>> =
                written.split('\t').skip(1).map(|cell| unescaped(cell).map(Cow::into_owned)).collect();
            proptest::prop_assert_eq!(read, cells);
        }
    }
}
