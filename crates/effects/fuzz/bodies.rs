//! What is tried with any text, for the fuzz target and for the test that runs the same over its seeds
//! (`tests/fuzz_bodies.rs`).

use std::sync::OnceLock;

use effects::postgres::{Catalog, NoPrepared, Session, analyse, comment, saved};

/// The tables that the golden statements are about.
fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let rows = include_str!("../tests/fixture/user.tsv");
    CATALOG.get_or_init(|| saved::read(&format!("{}\n{rows}", saved::HEADER)).unwrap())
}

/// Any text: no panic, each statement has an effect and lies in the text, and so do its constants, in their order. To be
/// analysed twice changes nothing.
pub fn analyse_text(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let session = Session {
        catalog: catalog(),
        search_path: &["pg_catalog".into(), "public".into()],
        user: "fuzz",
        standard_conforming_strings: text.len() % 2 == 0,
        prepared: &NoPrepared,
        parameter_types: &[],
    };
    let (text, _) = comment::split(text);
    let statements = analyse(text, &session);
    for statement in &statements {
        assert!(!statement.effects.is_empty());
        assert!(text.get(statement.range.clone()).is_some());
        let mut end = 0;
        for literal in &statement.literals {
            assert!(end <= literal.start && text.get(literal.start..literal.end).is_some());
            end = literal.end;
        }
    }
    assert_eq!(analyse(text, &session), statements);
}
