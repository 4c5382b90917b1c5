use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What is kept of an answer that comes in pieces of so many bytes: all but what is in the namespace `prod`.
fn kept(shape: Shape, text: &str, piece: usize) -> Result<String, Unmaskable> {
    let (mut items, mut out) = (Items::new(shape), Vec::new());
    for part in text.as_bytes().chunks(piece.max(1)) {
        out.extend(items.push(part, &mut |item| item.namespace != "prod")?);
    }
    items.end()?;
    Ok(String::from_utf8(out).unwrap())
}

fn object(namespace: &str, name: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": namespace, "x": "},]\"\\"}, "items": [{"a": 1}]})
}

#[test]
fn items_of_a_list_are_left_out() {
    let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "5"}, "items": [
        object("prod", "a"), object("dev", "b"), object("prod", "c"), object("dev", "d"), object("prod", "e"),
    ]});
    for piece in [1, 7, 100_000] {
        let kept: Value = serde_json::from_str(&kept(Shape::List, &list.to_string(), piece).unwrap()).unwrap();
        assert_eq!(kept["items"], json!([object("dev", "b"), object("dev", "d")]));
        assert_eq!((&kept["kind"], &kept["metadata"]), (&list["kind"], &list["metadata"]));
    }
}

#[test]
fn rows_of_a_table_are_left_out() {
    let row = |namespace: &str| json!({"cells": ["a", {"items": []}], "object": object(namespace, "a")});
    let table = json!({"kind": "Table", "columnDefinitions": [{"name": "Name"}], "rows": [row("dev"), row("prod")]});
    let kept: Value = serde_json::from_str(&kept(Shape::List, &table.to_string(), 3).unwrap()).unwrap();
    assert_eq!(kept["rows"], json!([row("dev")]));
    assert_eq!(kept["columnDefinitions"], table["columnDefinitions"]);
}

#[test]
fn events_of_a_watch_are_left_out() {
    let event = |kind: &str, object: Value| json!({"type": kind, "object": object}).to_string();
    let row = |namespace: &str| json!({"cells": ["a"], "object": object(namespace, "a")});
    let events = [
        event("ADDED", object("dev", "a")),
        event("ADDED", object("prod", "b")),
        event("DELETED", object("prod", "a")),
        event("BOOKMARK", json!({"kind": "Pod", "metadata": {"resourceVersion": "7"}})),
        event("MODIFIED", json!({"kind": "Table", "rows": [row("dev")]})),
        event("MODIFIED", json!({"kind": "Table", "rows": [row("prod")]})),
        event("ADDED", json!({"kind": "Table", "rows": [row("dev"), row("prod")]})),
    ];
    let expected = [&events[0], &events[3], &events[4]].map(|event| format!("{event}\n")).concat();
    for piece in [1, 50, 100_000] {
        assert_eq!(kept(Shape::Watch, &events.join("\n"), piece).unwrap(), expected);
        assert_eq!(kept(Shape::Watch, &events.concat(), piece).unwrap(), expected);
    }
}

/// However the member that has them is written, and whatever has no name, or two.
#[test]
fn nothing_is_kept_of_which_it_is_not_known_what_it_is() {
    let prod = object("prod", "a").to_string();
    for text in [
        format!(r#"{{"\u0069tems":[{prod}]}}"#),
        format!(r#"{{"Items":[{prod}]}}"#),
        format!(r#"{{"items":[],"items":[{prod}]}}"#),
        format!(r#"{{"kind":"a","rows":[{{"cells":[],"object":{prod}}}]}}"#),
        r#"{"items":[{"metadata":{"namespace":"dev"}}]}"#.to_owned(),
        r#"{"items":[{"spec":1}]}"#.to_owned(),
        r#"{"items":[{"metadata":{"name":"a","namespace":"dev"},"metadata":{"name":"a","namespace":"prod"}}]}"#
            .to_owned(),
        r#"{"rows":[{"cells":["prod"],"object":null}]}"#.to_owned(),
        r#"{"rows":[{"cells":["prod"],"metadata":{"name":"a","namespace":"dev"}}]}"#.to_owned(),
    ] {
        let kept = kept(Shape::List, &text, 5).unwrap();
        assert!(kept.ends_with("[]}"), "{text}: {kept}");
    }
    for text in [r#"{"items":["a"]}"#, r#"{"items":[1]}"#, r#"{"items":[[{}]]}"#, r#"{"items":[{}"#, "{\"a\":\"", "}"] {
        assert!(kept(Shape::List, text, 5).is_err(), "{text}");
    }
    for text in ["[]", "1", r#"{"type":"ADDED""#] {
        assert!(kept(Shape::Watch, text, 5).is_err(), "{text}");
    }
    assert_eq!(
        kept(Shape::List, r#"{"kind":"Status","items":null,"code":403}"#, 5).unwrap(),
        r#"{"kind":"Status","items":null,"code":403}"#
    );
}

#[test]
fn an_item_has_an_end() {
    let long = format!(r#"{{"items":[{{"metadata":{{"name":"{}"}}}}]}}"#, "a".repeat(MOST_OF_AN_ITEM));
    assert_eq!(kept(Shape::List, &long, 100_000), Err(Unmaskable::TooLong));
    let deep = "[".repeat(1000);
    assert_eq!(kept(Shape::List, &deep, 10), Err(Unmaskable::TooDeep));
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        namespaces in proptest::collection::vec("prod|dev|[\\\\\"{}\\[\\]a,:]{0,4}", 0..6),
        pieces in 1_usize..40,
    ) {
        let objects: Vec<Value> = namespaces.iter().map(|namespace| object(namespace, "a")).collect();
        let list = json!({"a": ["items", {"items": "]"}], "items": objects, "z": 1}).to_string();
        let whole = kept(Shape::List, &list, usize::MAX).unwrap();
        prop_assert_eq!(&whole, &kept(Shape::List, &list, pieces).unwrap());
        let expected: Vec<&Value> = objects.iter().filter(|one| one["metadata"]["namespace"] != "prod").collect();
        let read: Value = serde_json::from_str(&whole).unwrap();
        prop_assert_eq!(read["items"].as_array().unwrap().iter().collect::<Vec<_>>(), expected);
    }
}
