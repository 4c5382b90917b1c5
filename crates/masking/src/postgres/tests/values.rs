use fallible_iterator::FallibleIterator;
use serde_json::{Value, json};

use super::*;

fn object(members: &[(&str, Origin)]) -> Origin {
    let members = members.iter().map(|(key, origin)| member(key, origin.clone())).collect();
    container(Container::JsonObject, members)
}

fn notes() -> Origin {
    Origin::Column(column("notes"))
}

#[test]
fn json_is_masked_member_by_member() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    let origin = object(&[("id", Origin::Column(column("id"))), ("card", card()), ("up", derived(&["card"]))]);
    let shown =
        bench.text(origin.clone(), JSON, &format!(r#"{{"id" : 10000000000000000001, "card": "{CARD}", "up":"41"}}"#));
    assert_eq!(shown.unwrap(), r#"{"id" : 10000000000000000001, "card": "************1111", "up":null}"#);
    let number = bench.text(origin.clone(), JSON, &format!(r#"{{"card":{CARD}}}"#));
    assert_eq!(number.unwrap(), r#"{"card":null}"#);
    let binary = [b"\x01".as_slice(), format!(r#"{{"card": "{CARD}"}}"#).as_bytes()].concat();
    let shown = bench.one(origin.clone(), 3802, true, &binary).unwrap().unwrap();
    assert_eq!(shown, b"\x01{\"card\": \"************1111\"}");
    let list = container(Container::JsonArrayOf, vec![member("", origin)]);
    let shown = bench.text(list, JSON, &format!(r#"[{{"id":1,"card":"{CARD}","up":"x"}},null]"#)).unwrap();
    let parsed: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(parsed, json!([{"id": 1, "card": "************1111", "up": null}, null]));
}

#[test]
fn whether_a_derived_value_is_null_does_not_show() {
    const JSONB: u32 = 3802;
    for setting in [OnUnmaskable::Null, OnUnmaskable::TypeDefault] {
        let bench = bench(&[("card_number", Transform::Partial { keep_last: 4 })], setting);
        let (int, date, texts, ints) = (23, 1082, 1009, 1007);
        let samples: [(u32, bool, &[u8]); 8] = [
            (TEXT, false, b"4111"),
            (int, false, b"7"),
            (int, true, b"\0\0\0\x07"),
            (date, false, b"2026-01-01"),
            (JSON, false, b"{\"a\":1}"),
            (JSONB, true, b"\x01[1]"),
            (texts, false, b"{a,b}"),
            (ints, false, b"{1,2}"),
        ];
        for (oid, binary, value) in samples {
            let plan = bench.plan(&rows(vec![derived(&["card"])]), &[described(oid, binary)]);
            let shown = |cell: Cell| bench.deliver(&plan, &[cell]).unwrap().0;
            assert_eq!(shown(Some(value.to_vec())), shown(None), "{oid} {binary} {setting:?}");
        }
    }
    // A column's own NULLs are no secret.
    let bench = hiding_cards(Transform::Redact);
    let plan = bench.plan(&rows(vec![card()]), &[described(TEXT, false)]);
    assert_eq!(bench.deliver(&plan, &[None]).unwrap().0, [None]);
}

#[test]
fn derived_parts_of_a_value_look_alike() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    let origin = object(&[("k", derived(&["card"]))]);
    for value in [r#"{"k":null}"#, r#"{"k":"a"}"#, r#"{"k":[1]}"#, r#"{"k":{"b":2}}"#, r#"{"k":true}"#] {
        assert_eq!(bench.text(origin.clone(), JSON, value).unwrap(), r#"{"k":null}"#);
    }
    let elements = container(Container::ArrayOf, vec![member("", derived(&["card"]))]);
    assert_eq!(bench.text(elements, 1009, "{a,NULL,b}").unwrap(), "{NULL,NULL,NULL}");
    let row = container(Container::Row, vec![member("", derived(&["card"])), member("", Origin::Constant)]);
    for value in ["(a,1)", "(,1)"] {
        assert_eq!(bench.text(row.clone(), 2249, value).unwrap(), "(,1)");
    }
}

#[test]
fn json_of_another_shape_is_masked_whole() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    let origin = object(&[("id", Origin::Column(column("id"))), ("card", card())]);
    for value in [
        format!(r#"{{"id":"{CARD}","other":1}}"#),
        format!(r#"["{CARD}"]"#),
        format!(r#""{CARD}""#),
        format!(r#"{{"id":1}} "{CARD}""#),
        format!(r#"{{"id":1,"id":[{{"x":"{CARD}"}}"#),
        "nonsense".to_owned(),
    ] {
        assert_eq!(bench.text(origin.clone(), JSON, &value).unwrap(), r#""[card_number]""#, "{value}");
    }
    let fixed = container(Container::JsonArray, vec![member("", card()), member("", Origin::Constant)]);
    assert_eq!(bench.text(fixed.clone(), JSON, r#"["x","y","z"]"#).unwrap(), r#""[card_number]""#);
    assert_eq!(bench.text(fixed, JSON, r#"["4111","y"]"#).unwrap(), r#"["[card_number]","y"]"#);
    // A text column cannot be what the lineage says.
    assert_eq!(bench.text(origin, TEXT, CARD).unwrap(), "[card_number]");
}

#[test]
fn content_is_found_behind_json_escapes_in_keys_and_in_numbers() {
    let bench = hiding_cards(Transform::Redact);
    let escaped: String = CARD.bytes().map(|digit| format!("\\u{digit:04x}")).collect();
    for (value, expected) in [
        (format!(r#"{{"a":"{escaped}"}}"#), json!({"a": "[card_number]"})),
        (format!(r#"{{"{CARD}":[1.50,true]}}"#), json!({"[card_number]": [1.50, true]})),
        (format!(r#"{{"n":{CARD},"m":1}}"#), json!({"n": null, "m": 1})),
        (format!(r#"["x \"{CARD}\" y\n"]"#), json!(["x \"[card_number]\" y\n"])),
    ] {
        let shown = bench.text(notes(), JSON, &value).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), expected);
    }
    let untouched = r#" {"a" : 1.0e5 , "b":"é\u00e9\ud800"} "#;
    assert_eq!(bench.text(notes(), JSON, untouched).unwrap(), untouched);
    let keyed = super::bench(&[("us_ssn", Transform::Redact)], OnUnmaskable::Null);
    let shown = keyed.text(notes(), JSON, r#"{"ssn":"219099999","other":"219099999"}"#).unwrap();
    assert_eq!(shown, r#"{"ssn":"[us_ssn]","other":"219099999"}"#);
}

#[test]
fn arrays_keep_their_shape() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    let text = format!(r#"{{{{{CARD},NULL}},{{"a \"b\" {CARD}",""}}}}"#);
    let searched = bench.text(notes(), 1009, &text).unwrap();
    assert_eq!(searched, r#"{{************1111,NULL},{"a \"b\" ************1111",""}}"#);
    let of = container(Container::ArrayOf, vec![member("", card())]);
    assert_eq!(bench.text(of.clone(), 1009, &format!("{{{CARD},NULL}}")).unwrap(), "{************1111,NULL}");
    assert_eq!(bench.text(of.clone(), 1016, &format!("{{{CARD},2}}")).unwrap(), "{NULL,NULL}");
    assert_eq!(bench.text(of.clone(), 1009, "{a,{b").unwrap(), "{[card_number]}");
    assert_eq!(bench.text(derived(&["card"]), 1009, "{4,1,1,1}").unwrap(), "{[card_number]}");
    let mut binary: Vec<u8> = [1u32, 0, 25, 2, 1].iter().flat_map(|word| word.to_be_bytes()).collect();
    for value in [CARD, "x"] {
        binary.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        binary.extend(value.as_bytes());
    }
    let shown = bench.one(of, 1009, true, &binary).unwrap().unwrap();
    let array = postgres_protocol::types::array_from_sql(&shown).unwrap();
    let mut values = array.values();
    let mut next = || values.next().unwrap().map(|value| value.map(<[u8]>::to_vec));
    let values = [next().unwrap(), next().unwrap()];
    assert_eq!(values, [Some(b"************1111".to_vec()), Some(b"[card_number]".to_vec())]);
}

#[test]
fn records_keep_their_shape() {
    let bench = hiding_cards(Transform::Redact);
    let row = container(Container::Row, vec![member("", card()), member("", notes())]);
    let text = format!(r#"({CARD},"a ""b"" \\ {CARD}")"#);
    assert_eq!(bench.text(row.clone(), 2249, &text).unwrap(), r#"(,"a ""b"" \\ [card_number]")"#);
    assert_eq!(bench.text(row.clone(), 2249, "(,)").unwrap(), "(,)");
    assert_eq!(bench.text(row.clone(), 2249, &format!("(a,b,{CARD})")), None);
    let mut binary = 2u32.to_be_bytes().to_vec();
    for value in [CARD, CARD] {
        binary.extend(25u32.to_be_bytes());
        binary.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        binary.extend(value.as_bytes());
    }
    let shown = bench.one(row, 2249, true, &binary).unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown).matches("[card_number]").count(), 2);
    assert_eq!(shown.len(), 4 + 2 * (8 + "[card_number]".len()));
}

#[test]
fn tokens_of_all_spellings_join_and_those_of_classes_do_not() {
    let bench = bench(&[("card_number", Transform::Token), ("email", Transform::Token)], OnUnmaskable::Null);
    let token = bench.text(card(), TEXT, CARD).unwrap();
    assert_eq!((token.len(), token.get(..4)), (34, Some("tok_")));
    assert_eq!(bench.text(card(), TEXT, "4111-1111-1111-1111").unwrap(), token);
    assert_eq!(bench.text(card(), 1042, "4111 1111 1111 1111 ").unwrap(), token);
    assert_ne!(bench.text(card(), TEXT, "5555555555554444").unwrap(), token);
    assert_ne!(bench.text(Origin::Column(column("email")), TEXT, CARD).unwrap(), token);
    assert!(bench.lens.is_mask(&token, &DataClass::new("card_number")));
}

#[test]
fn format_preserving_masks_keep_digits_and_separators_and_fail_luhn() {
    let bench = hiding_cards(Transform::FormatPreserving);
    let class = DataClass::new("card_number");
    for value in [CARD, "4111-1111-1111-1111", "5555 5555 5555 4444", "378282246310005"] {
        let shown = bench.text(card(), TEXT, value).unwrap();
        let shape = |text: &str| {
            text.chars().map(|symbol| if symbol.is_ascii_digit() { '9' } else { symbol }).collect::<String>()
        };
        assert_eq!(shape(&shown), shape(value));
        assert_ne!(shown, value);
        assert!(bench.lens.is_mask(&shown, &class) && !bench.lens.is_mask(value, &class));
        assert_eq!(bench.text(card(), TEXT, value).unwrap(), shown);
    }
    let number: i64 = CARD.parse().unwrap();
    let shown = bench.one(card(), 20, true, &number.to_be_bytes()).unwrap().unwrap();
    let shown = i64::from_be_bytes(shown.try_into().unwrap()).to_string();
    assert_eq!((shown.len(), Some(shown)), (16, bench.text(card(), 20, CARD)));
    assert_eq!(bench.text(card(), 23, "41111"), None);
    assert_eq!(bench.text(card(), TEXT, "41111").unwrap(), "[card_number]");
    assert_eq!(bench.text(card(), TEXT, "4111x1111").unwrap(), "[card_number]");
}

#[test]
fn format_preserving_masks_of_social_security_numbers_have_an_area_that_is_never_issued() {
    let bench = super::bench(&[("us_ssn", Transform::FormatPreserving)], OnUnmaskable::Null);
    for value in ["078-05-1120", "219099999"] {
        let shown = bench.text(Origin::Column(column("ssn")), TEXT, value).unwrap();
        assert!(shown.starts_with('9') && shown.len() == value.len(), "{shown}");
        assert!(bench.lens.is_mask(&shown, &DataClass::new("us_ssn")));
        assert!(!bench.lens.is_mask(value, &DataClass::new("us_ssn")));
    }
}

#[test]
fn partial_masks_count_characters_and_show_at_most_half() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    for (value, shown) in [
        (CARD, "************1111"),
        ("4111-1111-1111-1111", "***************1111"),
        ("4111111111111111   ", "************1111"),
        ("12345678", "****5678"),
        ("1234567", "[card_number]"),
        ("éééééééé", "****éééé"),
        ("", "[card_number]"),
    ] {
        assert_eq!(bench.text(card(), TEXT, value).unwrap(), shown);
    }
}

#[test]
fn masks_are_recognised_and_values_are_not() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    let class = DataClass::new("card_number");
    for mask in ["[card_number]", "\"[card_number]\"", "************1111", "****"] {
        assert!(bench.lens.is_mask(mask, &class), "{mask}");
    }
    for value in [CARD, "[email]", "*1111", "tok_short", "", "4111111111111112"] {
        assert!(!bench.lens.is_mask(value, &class), "{value}");
    }
}
