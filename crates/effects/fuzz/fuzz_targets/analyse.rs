//! Any text: no panic, at least one effect, and literals that lie inside the text.
#![no_main]

use effects::postgres::{Catalog, NoPrepared, Session, analyse, comment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let catalog = Catalog::default();
    let session = Session {
        catalog: &catalog,
        search_path: &["pg_catalog".into(), "public".into()],
        user: "fuzz",
        standard_conforming_strings: text.len() % 2 == 0,
        prepared: &NoPrepared,
        parameter_types: &[],
    };
    let (text, _) = comment::split(text);
    for statement in analyse(text, &session) {
        assert!(!statement.effects.is_empty());
        for literal in &statement.literals {
            assert!(text.get(literal.start..literal.end).is_some());
        }
    }
});
