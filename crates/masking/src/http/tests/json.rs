//! JSON, by place and by content.

use super::*;

#[test]
fn what_content_shows_in_strings_keys_and_numbers_is_masked_and_the_rest_stands() {
    let case = Case::all();
    for (body, expected) in [
        (r#"{"a": "paid with 4111 1111 1111 1111, thanks"}"#, r#"{"a": "paid with [card_number], thanks"}"#),
        (r#" [ 4111111111111111 , 12.50, -0.1e-7,true ] "#, r#" [ null , 12.50, -0.1e-7,true ] "#),
        (r#"{"4111111111111111": {"4111111111111111":1}}"#, r#"{"[card_number]": {"[card_number]":1}}"#),
        (r#"{"ssn": 219099999, "id": 219099999}"#, r#"{"ssn": null, "id": 219099999}"#),
        (r#"{"ssn": {"value": ["219099999"]}}"#, r#"{"ssn": {"value": ["[us_ssn]"]}}"#),
        (r#"{"n": 4.111111111111111e15, "m": 4111111111111111.0}"#, r#"{"n": null, "m": null}"#),
        (
            "[0.4111111111111111, 4111.111111111111, 4.2399999999999996e-42]",
            "[0.4111111111111111, 4111.111111111111, 4.2399999999999996e-42]",
        ),
        (r#"["a@b.example \u00e9\/\n", "é\ud83d\ude00"]"#, r#"["[email] \u00e9\/\n", "é\ud83d\ude00"]"#),
        (r#""4111111111111111""#, r#""[card_number]""#),
        ("4111111111111111", "null"),
        ("", ""),
        (" \n", " \n"),
    ] {
        assert_eq!(case.text(JSON, body), expected);
    }
}

/// FINDINGS: escapes are looked through.
#[test]
fn escapes_hide_nothing_and_stay_where_nothing_is_hidden() {
    let escaped: String = CARD.bytes().map(|digit| format!("\\u{digit:04x}")).collect();
    let body = format!(r#"{{"note": "a\u0020b\t{escaped} \u00fc", "{escaped}": "\ud83d \ude00 {escaped}"}}"#);
    let got = Case::all().whole(JSON, &body).unwrap();
    let expected = r#"{"note": "a\u0020b\t[card_number] \u00fc", "[card_number]": "\ud83d \ude00 [card_number]"}"#;
    assert_eq!(got.text(), expected);
    assert_eq!(got.counts("card_number"), masked(3));
}

#[test]
fn a_place_is_masked_whatever_is_there() {
    let case = Case::hiding(&["secret"]).rule("$.customer.pin", "secret");
    for (body, expected) in [
        (
            r#"{"customer": {"pin": "0", "name": "x"}, "pin": "1"}"#,
            r#"{"customer": {"pin": "[secret]", "name": "x"}, "pin": "1"}"#,
        ),
        (r#"{"customer": {"pin": 17}}"#, r#"{"customer": {"pin": null}}"#),
        (r#"{"customer": {"pin": true}}"#, r#"{"customer": {"pin": null}}"#),
        (r#"{"customer": {"pin": null}}"#, r#"{"customer": {"pin": null}}"#),
        (r#"{"customer": {"pin": ""}}"#, r#"{"customer": {"pin": "[secret]"}}"#),
        (
            r#"{"customer": {"pin": {"a": ["b", 1, {}], "c": false}}}"#,
            r#"{"customer": {"pin": {"a": ["[secret]", null, {}], "c": null}}}"#,
        ),
        // Both of two members with one name, and a name that is written in another way.
        (
            r#"{"customer": {"pin": "1", "pin": "2", "p\u0069n": "3"}}"#,
            r#"{"customer": {"pin": "[secret]", "pin": "[secret]", "p\u0069n": "[secret]"}}"#,
        ),
        (r#"{"customer": [{"pin": "1"}]}"#, r#"{"customer": [{"pin": "1"}]}"#),
    ] {
        assert_eq!(case.text(JSON, body), expected);
    }
    let got = case.whole(JSON, r#"{"customer": {"pin": {"a": ["b", 1, null, {}], "c": false}}}"#).unwrap();
    assert_eq!(got.counts("secret"), masked(3));
}

#[test]
fn any_key_any_index_and_any_depth_are_followed() {
    let case = Case::hiding(&["secret", "person_name"])
        .rule("$.list[*].token", "secret")
        .rule("$..deep.*", "secret")
        .rule("$..name", "person_name");
    let body = r#"{"list":[{"token":"a"},[{"token":"b"}],{"token":["c"]}],"deep":{"x":1,"y":{"z":"d"}},"q":[{"deep":{"v":"e"}},{"name":"f"}],"name":"g"}"#;
    let expected = r#"{"list":[{"token":"[secret]"},[{"token":"b"}],{"token":["[secret]"]}],"deep":{"x":null,"y":{"z":"[secret]"}},"q":[{"deep":{"v":"[secret]"}},{"name":"[person_name]"}],"name":"[person_name]"}"#;
    assert_eq!(case.text(JSON, body), expected);
    let root = Case::hiding(&["secret"]).rule("$", "secret");
    assert_eq!(root.text(JSON, r#"["a", {"b": 1}]"#), r#"["[secret]", {"b": null}]"#);
    assert_eq!(root.text(JSON, "17"), "null");
}

#[test]
fn the_strictest_mask_of_all_the_rules_counts() {
    let mut case = Case::hiding(&["card_number"]).rule("$.a", "card_number").rule("$..a", "email");
    case.transform = Transform::Partial { keep_last: 4 };
    let got = case.whole(JSON, format!(r#"{{"a": "{CARD}", "b": {{"a": "x@y.example"}}}}"#)).unwrap();
    assert_eq!(got.text(), r#"{"a": "************1111", "b": {"a": "x@y.example"}}"#);
    assert_eq!(got.counts("card_number"), masked(1));
    // It carries both classes, and the one that may be seen was not seen.
    assert_eq!(got.counts("email"), Counts { clear: 1, masked: 1 });
}

#[test]
fn each_transform_makes_what_it_makes_elsewhere() {
    let body = format!(r#"{{"c": "{CARD}", "n": {CARD}, "t": true}}"#);
    let by = |transform| {
        let case = Case::hiding(&["card_number"]).rule("$.*", "card_number").by(transform);
        case.text(JSON, &body)
    };
    assert_eq!(by(Transform::Null), r#"{"c": null, "n": null, "t": null}"#);
    assert_eq!(by(Transform::Redact), r#"{"c": "[card_number]", "n": null, "t": null}"#);
    assert_eq!(by(Transform::Partial { keep_last: 4 }), r#"{"c": "************1111", "n": null, "t": null}"#);
    let token: serde_json::Value = serde_json::from_str(&by(Transform::Token)).unwrap();
    assert!(token["c"].as_str().unwrap().starts_with("tok_"));
    let shape: serde_json::Value = serde_json::from_str(&by(Transform::FormatPreserving)).unwrap();
    let digits = shape["n"].as_u64().unwrap().to_string();
    assert!(digits.len() == CARD.len() && digits != CARD);
    assert_eq!(shape["c"].as_str(), Some(digits.as_str()));
    assert!(shape["t"].is_null());
}

#[test]
fn what_has_no_mask_of_its_type_is_null_or_zero_or_refused() {
    let mut case = Case::hiding(&["secret"]).rule("$.a", "secret");
    case.on_unmaskable = OnUnmaskable::TypeDefault;
    assert_eq!(case.text(JSON, r#"{"a": [1, true, "x", null]}"#), r#"{"a": [0, false, "[secret]", null]}"#);
    case.on_unmaskable = OnUnmaskable::Refuse;
    assert_eq!(case.refusal(JSON, r#"{"a": 1}"#), Unmaskable::Value);
    assert_eq!(case.text(JSON, r#"{"a": null, "b": 1}"#), r#"{"a": null, "b": 1}"#);
}

#[test]
fn what_may_be_seen_is_counted_once() {
    let case = Case::nothing().rule("$..card", "card_number");
    let body = format!(r#"{{"card": "{CARD}", "note": "{OTHER_CARD}", "list": [{{"card": {CARD}}}]}}"#);
    let got = case.whole(JSON, &body).unwrap();
    assert_eq!(got.text(), body);
    assert_eq!(got.counts("card_number"), clear(3));
    // Another class in a value of a class that may be seen is hidden all the same.
    let case = Case::hiding(&["email"]).rule("$.card", "card_number");
    let got = case.whole(JSON, format!(r#"{{"card": "{CARD} of a@b.example"}}"#)).unwrap();
    assert_eq!(got.text(), format!(r#"{{"card": "{CARD} of [email]"}}"#));
    assert_eq!((got.counts("card_number"), got.counts("email")), (clear(1), masked(1)));
}

#[test]
fn several_values_follow_one_another() {
    let case = Case::hiding(&["secret"]).rule("$.k", "secret");
    let got = case.whole("application/x-ndjson", "{\"k\":\"a\"}\n{\"k\":1}\r\n\n17\n\"x\" {}").unwrap();
    assert_eq!(got.text(), "{\"k\":\"[secret]\"}\n{\"k\":null}\r\n\n17\n\"x\" {}");
    assert_eq!(got.disclosure.rows, 5);
    let sequence = "\u{1e}{\"k\":\"a\"}\n\u{1e}{\"k\":\"b\"}\n";
    let masked = "\u{1e}{\"k\":\"[secret]\"}\n\u{1e}{\"k\":\"[secret]\"}\n";
    assert_eq!(case.text("application/json-seq", sequence), masked);
    assert_eq!(case.refusal(JSON, sequence), Unmaskable::Malformed);
}

#[test]
fn a_line_goes_out_when_it_is_whole() {
    let plan = Case::all().rule("$.pin", "secret").plan();
    let mut body = Body::new(&[b"application/x-ndjson"], &[], &plan).unwrap();
    let line = b"{\"pin\": \"1234\", \"note\": \"call 4111\"}\n";
    assert_eq!(body.push(line).unwrap().bytes(), b"{\"pin\": \"[secret]\", \"note\": \"call 4111\"}\n");
    // And in front of it all that is known.
    assert_eq!(body.push(b"{\"pin\": \"12").unwrap().bytes(), b"{\"pin\": ");
    assert_eq!(body.push(b"34\", \"note\": \"to 41").unwrap().bytes(), b"\"[secret]\", \"note\": \"to ");
}

#[test]
fn what_is_not_json_is_refused_and_so_is_all_that_follows() {
    let case = Case::all();
    for body in [
        "{\"a\": 1,}",
        "{a: 1}",
        "{'a': 1}",
        "[1 2]",
        "[1,]",
        "[,1]",
        "{\"a\" 1}",
        "{\"a\":}",
        "{\"a\": 1",
        "[",
        "]",
        "{]",
        "[}",
        "\"a",
        "\"a\nb\"",
        "\"\\x\"",
        "\"\\u12\"",
        "01",
        "1.",
        "NaN",
        "Infinity",
        "-",
        "tru",
        "nulll",
        "{} x",
        "1\"a\"",
        "{}{}",
        "/* */ 1",
        "\u{feff}\u{feff}1",
        "\u{1e}1",
        "\u{a0}1",
        "<html>",
        "{\"a\": undefined}",
    ] {
        assert_eq!(case.refusal(JSON, body), Unmaskable::Malformed, "{body}");
    }
    for body in [&b"\"\xff\""[..], b"\"41\xc3\"", b"\xff\xfe\"\0a\0\"\0", b"\0\"\0a\0\"", b"\"\xed\xa0\x80\""] {
        assert_eq!(case.refusal(JSON, body), Unmaskable::Malformed, "{}", body.escape_ascii());
    }
    let plan = case.plan();
    let mut body = Body::new(&[JSON.as_bytes()], &[], &plan).unwrap();
    assert_eq!(body.push(b"{\"a\": \"b\", ").unwrap().bytes(), b"{\"a\": \"b\", ");
    for bytes in [&b"{"[..], b"\"c\": 1}", b""] {
        assert_eq!(body.push(bytes).unwrap_err(), Unmaskable::Malformed);
    }
    assert!(body.tick().bytes().is_empty());
    assert_eq!(body.end().unwrap_err(), Unmaskable::Malformed);
}

#[test]
fn a_mark_of_the_order_of_bytes_stays_in_front() {
    let body = format!("\u{feff} {{\"a\": \"{CARD}\"}}");
    assert_eq!(Case::all().text(JSON, body), "\u{feff} {\"a\": \"[card_number]\"}");
}

/// RX-06: depth has a bound, and costs no stack.
#[test]
fn rx_06_what_is_nested_deeper_than_is_read_is_refused() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let case = Case::all().rule("$..a", "secret");
    assert_eq!(case.text(JSON, nested(128)), nested(128));
    assert_eq!(case.pieces(JSON, [nested(129).as_bytes()]).unwrap_err(), Unmaskable::TooDeep);
    assert_eq!(case.pieces(JSON, ["[".repeat(1_000_000).as_bytes()]).unwrap_err(), Unmaskable::TooDeep);
}

#[test]
fn what_is_longer_than_is_held_is_masked_as_it_comes() {
    let long = "lorem ipsum ".repeat(100_000);
    let plan = Case::all().rule("$.pin", "secret").rule("$.card", "card_number").plan();
    let mut body = Body::new(&[JSON.as_bytes()], &[], &plan).unwrap();
    let mut got = Got::default();
    let text = format!(r#"{{"note": "{long}{CARD} {long}", "pin": "{long}"}}"#);
    let mut ahead = 0usize;
    for piece in text.as_bytes().chunks(1000) {
        ahead += piece.len();
        got.add(body.push(piece).unwrap());
        // All but a little is out as long as nothing is masked.
        assert!(ahead > long.len() || ahead - got.bytes.len() < 300);
    }
    got.add(body.end().unwrap());
    assert_eq!(got.text(), format!(r#"{{"note": "{long}[card_number] {long}", "pin": "[secret]"}}"#));
    // What has to be known whole to be masked is redacted.
    let case = Case::hiding(&["secret"]).rule("$", "secret").by(Transform::Partial { keep_last: 4 });
    assert_eq!(case.text(JSON, format!("\"{}\"", "x".repeat(4096))), format!("\"{}xxxx\"", "*".repeat(4092)));
    assert_eq!(case.text(JSON, format!("\"{}\"", "x".repeat(4097))), "\"[secret]\"");
    assert_eq!(Case::all().refusal(JSON, "1".repeat(5000)), Unmaskable::TooLong);
    assert_eq!(Case::all().text(JSON, "1".repeat(4096)), "1".repeat(4096));
}

#[test]
fn a_key_that_is_longer_than_is_read_may_be_any() {
    let case = Case::hiding(&["secret"]).rule("$.pin.x", "secret");
    let long = "k".repeat(2000);
    let body = format!(r#"{{"{long}": {{"x": "a", "y": "b"}}}}"#);
    assert_eq!(case.text(JSON, body), format!(r#"{{"{long}": {{"x": "[secret]", "y": "b"}}}}"#));
}

#[test]
fn keys_that_are_masked_still_lead_to_their_places() {
    let case = Case::all().rule("$.*.pin", "secret");
    let body = format!(r#"{{"{CARD}": {{"pin": "1"}}, "a@b.example\u0041": {{"p\u0069n": "2"}}}}"#);
    let expected = r#"{"[card_number]": {"pin": "[secret]"}, "[email]": {"p\u0069n": "[secret]"}}"#;
    assert_eq!(case.text(JSON, body), expected);
}

#[test]
fn a_private_key_goes_whole_and_a_long_token_too() {
    let key = format!("-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n", "A".repeat(3000));
    let body = format!(r#"{{"k": "x {key} y", "t": "eyJhbGciOiJIUzI1NiJ9.{}.{}"}}"#, "a".repeat(500), "b".repeat(43));
    assert_eq!(Case::all().text(JSON, body), r#"{"k": "x [secret]\n y", "t": "[secret]"}"#);
}
