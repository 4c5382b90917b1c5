//! What operations are, and by which names their answers have what they select.

use super::*;
use document::read;

fn selected(document: &str) -> Vec<String> {
    let Ok(operation) = read(document, None) else { panic!("{document}") };
    let names = |path: &[Arc<str>]| path.join(".");
    operation.selected.iter().map(|field| format!("{} {}", names(&field.schema), names(&field.response))).collect()
}

#[test]
fn an_answer_has_what_is_selected_under_its_aliases() {
    assert_eq!(selected("{ a { b } }"), ["a a", "a.b a.b"]);
    assert_eq!(selected("{ x: a { y: b } a { b } }"), ["a a", "a x", "a.b a.b", "a.b x.y"]);
    assert_eq!(selected("{ ...F x: b } fragment F on Q { y: a ... { z: c } }"), ["a y", "b x", "c z"]);
    assert_eq!(
        selected("{ a { __typename t: __typename } }"),
        ["a a", "a.__typename a.__typename", "a.__typename a.t"]
    );
}

#[test]
fn what_is_shown_has_no_secret_in_it() {
    let shown = |document: &str| match read(document, None) {
        Ok(operation) => operation.shown,
        Err(_) => panic!("{document}"),
    };
    for (document, expected) in [
        ("{ a(password: \"C4NARY\") }", "{ a(password: [secret]) }"),
        ("{ a(password: $p, b: \"x\") }", "{ a(password: $p, b: \"x\") }"),
        ("{ a(in: {token: \"C4NARY\", x: 1}, pin: 4711) }", "{ a(in: {token: [secret], x: 1}, pin: [secret]) }"),
        ("{ a(secret: {token: \"C4NARY\"}) b(key: \"\"\"C4NARY\"\"\") }", "{ a(secret: [secret]) b(key: [secret]) }"),
        ("{ a @d(key: \"C4NARY\") } # end", "{ a @d(key: [secret]) } # end"),
    ] {
        // Whether white space behind a value belongs to it is the parser's to say.
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(plain(&shown(document)), plain(expected), "{document}");
    }
}

#[test]
fn the_kind_is_what_the_document_says() {
    for (document, expected) in [
        ("{ a }", GraphqlKind::Query),
        ("query { a }", GraphqlKind::Query),
        ("query mutation { a }", GraphqlKind::Query),
        ("mutation { a }", GraphqlKind::Mutation),
        ("# query\nmutation query { a }", GraphqlKind::Mutation),
        ("subscription S { a }", GraphqlKind::Subscription),
    ] {
        let Ok(operation) = read(document, None) else { panic!("{document}") };
        assert_eq!(operation.kind, expected, "{document}");
    }
}
