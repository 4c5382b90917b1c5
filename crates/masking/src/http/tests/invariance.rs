//! What goes out does not depend on how the body was cut, is what came but for the masks, and holds no value.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::detect::{Hints, scan};

/// Cuts bytes at these places, each counted from the last.
fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut cut) = (bytes, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        cut.push(piece);
        rest = behind;
    }
    cut
}

fn assert_invariant(case: &Case, media: &str, body: &[u8], sizes: &[usize]) -> Result<Got, Unmaskable> {
    let whole = case.pieces(media, [body]);
    for got in [case.pieces(media, cut(body, sizes)), case.pieces(media, body.chunks(1))] {
        assert_eq!(got, whole, "{}", body.escape_ascii());
    }
    whole
}

/// Documents in which nothing is of interest, written in many ways; these are parts of strings.
fn plain(symbols: &str) -> impl Strategy<Value = String> + use<> {
    let scalar = prop_oneof![
        "-?(0|[1-9][0-9]{0,3})([.][0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "true|false|null",
        prop::string::string_regex(&format!(r#""({symbols}){{0,12}}""#)).unwrap(),
    ];
    scalar.prop_recursive(4, 40, 5, |inner| {
        let key = r#""([a-z_]|\\u00e9|\\n){0,6}""#;
        let list = (prop::collection::vec(inner.clone(), 0..5), blank())
            .prop_map(|(values, blank)| format!("[{blank}{}{blank}]", values.join(&format!("{blank},"))));
        let object = (prop::collection::vec((key, inner), 0..5), blank()).prop_map(|(members, blank)| {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{key}{blank}:{blank}{value}")).collect();
            format!("{{{blank}{}}}", members.join(&format!("{blank},{blank}")))
        });
        prop_oneof![list, object]
    })
}

const SYMBOLS: &str = r#"[a-z é😀/]|\\["\\/bfnrt]|\\u00[0-7][0-9a-f]|\\ud83d\\ude00"#;

/// With halves of characters, which serde_json does not read.
const WITH_HALVES: &str = r#"[a-z é😀/]|\\["\\/bfnrt]|\\ud83d\\ude00|\\ud83d|\\udc00"#;

fn blank() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", " ", "\n", "\r\n\t "])
}

/// A value that is random, so that none is there by chance, and its class.
fn canary() -> impl Strategy<Value = String> {
    let card = "411[0-9]{12}".prop_map(|start| {
        let last = (0..10).map(|digit| format!("{start}{digit}"));
        let valid = |card: &String| crate::detect::luhn(&card.bytes().map(|digit| digit - b'0').collect::<Vec<_>>());
        last.into_iter().find(valid).unwrap()
    });
    prop_oneof![
        card,
        "[1-5][1-9]{2}-[1-9]{2}-[1-9]{4}",
        "[+][1-9][0-9]{9,11}",
        "AKIA[A-Z2-7]{16}",
        "[a-z]{3,9}@[a-z]{3,9}[.]de"
    ]
}

/// The same text in JSON, in which some characters are escaped.
fn spelt(text: &str, escaped: &[bool]) -> String {
    let spell = |(symbol, escaped): (char, &bool)| match escaped {
        true => format!("\\u{:04X}", u32::from(symbol)),
        false => symbol.to_string(),
    };
    text.chars().zip(escaped.iter().cycle()).map(spell).collect()
}

/// Whether both are built alike: the same objects, arrays and elements, and a string, number or truth for each, or nothing.
fn is_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| is_alike(value, other)))
        }
        (Value::Number(_), Value::Number(_) | Value::Null) | (Value::Bool(_), Value::Bool(_) | Value::Null) => true,
        (Value::String(_), Value::String(_)) | (Value::Null, Value::Null) => true,
        _ => false,
    }
}

/// Every key and every string.
fn texts(value: &Value, take: &mut dyn FnMut(&str)) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| texts(value, take)),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            take(key);
            texts(value, take);
        }),
        Value::String(text) => take(text),
        _ => {}
    }
}

/// Every scalar of the members of this name.
fn scalars(value: &Value, name: &str, inside: bool, found: &mut Vec<Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| scalars(value, name, inside, found)),
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| scalars(value, name, inside || key == name, found));
        }
        scalar if inside => found.push(scalar.clone()),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_not_masked_is_the_same_to_the_byte(body in plain(WITH_HALVES), sizes in prop::collection::vec(1usize..30, 1..6)) {
        let case = Case::all().rule("$.none", "secret").rule("$..nor[*].this", "email");
        let got = assert_invariant(&case, JSON, body.as_bytes(), &sizes).unwrap();
        prop_assert_eq!(got.text(), body);
        prop_assert!(got.disclosure.classes.is_empty());
    }

    /// SM-19: pieces of JSON and of what is none, of values and of what is none.
    #[test]
    fn sm_19_bodies_are_the_same_in_any_pieces(
        body in r#"([{}\[\],:" \n]|\{"|":|","|[a-z]{1,4}|pin|"pin":|ssn|[0-9]{1,4}|4111111111111111|1111 |\\|\\"|\\u00|\\u0034|3[14]|a@b.co|AKIA|IOSFODNN7EXAMPLE|"ssn":"|"phone": "|219099999|4155552671|true|null|-|e|[.]|é|data: |\r|;|=|&|%40|%|[+]|&#52;){0,24}"#,
        sizes in prop::collection::vec(1usize..20, 1..6),
        place in any::<bool>(),
    ) {
        let case = if place { Case::all().rule("$..pin", "secret") } else { Case::all() };
        for media in [JSON, "application/json-seq", "text/event-stream", "text/csv", "text/plain", "text/html", "application/x-www-form-urlencoded"] {
            if case.plan().hides_by_place() && media.starts_with("text/") && media != "text/csv" && media != "text/event-stream" {
                continue;
            }
            let _ = assert_invariant(&case, media, body.as_bytes(), &sizes);
        }
    }

    #[test]
    fn sm_19_so_are_any_bytes(body in prop::collection::vec(any::<u8>(), 0..300), sizes in prop::collection::vec(1usize..60, 1..6)) {
        for media in [JSON, "text/event-stream", "text/csv", "text/plain", "text/html", "application/x-www-form-urlencoded", "image/png"] {
            let case = Case { opaque: Opaque::Through, ..Case::all() };
            let _ = assert_invariant(&case, media, &body, &sizes);
        }
    }

    /// Wherever a value stands and however it is written, nobody sees it, and what is around it is built as it was.
    #[test]
    fn no_value_is_left_and_the_document_is_built_as_it_was(
        value in canary(), before in "[a-z,;:]{0,9} ", after in " [a-z ,;:]{0,9}", around in plain(SYMBOLS),
        escaped in prop::collection::vec(any::<bool>(), 1..9), sizes in prop::collection::vec(1usize..30, 1..6),
        transform in prop::sample::select(vec![Transform::Redact, Transform::Null, Transform::Token, Transform::FormatPreserving]),
    ) {
        let text = spelt(&format!("{before}{value}{after}"), &escaped);
        let alone = spelt(&value, &escaped);
        let body = format!(r#"{{"note": "{text}", "rest": {around}, "{alone}": 1, "list": [["{alone}"]], "pin": [{around}, "{alone}"]}}"#);
        let case = Case::all().rule("$.pin", "secret").by(transform.clone());
        let got = assert_invariant(&case, JSON, body.as_bytes(), &sizes).unwrap();
        let (was, is): (Value, Value) = (serde_json::from_str(&body).unwrap(), serde_json::from_str(&got.text()).unwrap());
        let all = is.to_string();
        prop_assert!(!all.contains(&value), "{}", all);
        let mut found = 0;
        texts(&is, &mut |text| scan(text.as_bytes(), Hints::default(), &mut |_| found += 1));
        // What has the shape of a value may be found again.
        prop_assert!(found == 0 || transform == Transform::FormatPreserving, "{}", all);
        let nulls = transform == Transform::Null;
        for key in ["note", "rest", "list"] {
            prop_assert!(is_alike(&was[key], &is[key]) || nulls && is[key].is_null() || key == "list" && nulls, "{}", all);
        }
        let (mut hidden, mut were) = (Vec::new(), Vec::new());
        scalars(&is, "pin", false, &mut hidden);
        scalars(&was, "pin", false, &mut were);
        prop_assert_eq!(hidden.len(), were.len());
        for (now, then) in hidden.iter().zip(&were) {
            prop_assert!(now.is_null() || now.is_string() && (now != then || then == "") || now.is_number(), "{now} {then}");
        }
    }
}
