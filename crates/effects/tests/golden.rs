//! Statements with their effects and lineage, reviewed line by line. `GOLDEN=write cargo test -p effects --test golden`
//! writes them anew; the difference is then reviewed like code.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use effects::postgres::Catalog;

/// In a golden file a line `> …` is (a line of) a statement, a line `# …` is a remark, and what follows is the result.
fn render(file: &str, catalog: &'static Catalog) -> String {
    let mut out = String::new();
    let mut statement = String::new();
    let flush = |statement: &mut String, out: &mut String| {
        if statement.is_empty() {
            return;
        }
        for found in common::run_in(statement, catalog) {
            out.push_str(&common::show(statement, &found));
        }
        out.push('\n');
        statement.clear();
    };
    for line in file.lines() {
        if let Some(text) = line.strip_prefix("> ") {
            if !statement.is_empty() {
                statement.push('\n');
            }
            statement.push_str(text);
            out.push_str(line);
            out.push('\n');
        } else {
            flush(&mut statement, &mut out);
            if line.starts_with('#') {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    flush(&mut statement, &mut out);
    out
}

#[test]
fn statements_do_what_the_golden_files_say() {
    let mut statements = 0;
    for entry in std::fs::read_dir(common::folder("golden")).unwrap() {
        let path = entry.unwrap().path();
        let expected = std::fs::read_to_string(&path).unwrap();
        let newer = path.to_string_lossy().contains("version_18");
        let found = render(&expected, if newer { common::newer_catalog() } else { common::catalog() });
        statements += found.lines().filter(|line| line.starts_with("> ")).count();
        if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&path, found).unwrap();
        } else if found != expected {
            let line = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
            panic!("{} is out of date at {line:?}", path.display());
        }
    }
    assert!(statements >= 400, "{statements}");
}
