//! Whatever the plan: a value that may not be seen leaves in no form that can be read back (oracle O3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

const KEYS: [&str; 3] = ["a", "b", "c"];

fn origins() -> impl Strategy<Value = Origin> {
    let leaf = prop_oneof![
        Just(card()),
        Just(derived(&["card", "id"])),
        Just(derived(&["card", "email", "ssn"])),
        Just(Origin::Unknown),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let kinds = prop_oneof![
            Just(Container::JsonObject),
            Just(Container::JsonArray),
            Just(Container::JsonArrayOf),
            Just(Container::ArrayOf),
            Just(Container::Row),
        ];
        (kinds, prop::collection::vec(inner, 1..3)).prop_map(|(kind, parts)| {
            let keyed = kind == Container::JsonObject;
            let named = parts.into_iter().zip(KEYS);
            container(kind, named.map(|(origin, key)| member(if keyed { key } else { "" }, origin)).collect())
        })
    })
}

/// The secret inside what a target may send: fitting its lineage or not.
fn wrap(shape: usize, secret: &str) -> String {
    match shape {
        0 => secret.to_owned(),
        1 => format!(r#"{{"a":"{secret}"}}"#),
        2 => format!(r#"{{"a":"{secret}","b":["{secret}"]}}"#),
        3 => format!(r#"["{secret}",{{"a":"{secret}","z":"{secret}"}}]"#),
        4 => format!("{{{secret},\"{secret}\"}}"),
        5 => format!("({secret},\"{secret}\")"),
        6 => format!("({secret}"),
        _ => format!("[1:1]={{{{{secret}}}}}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_hidden_value_never_leaves(
        origin in origins(),
        secret in "[A-Za-z0-9]{12,20}",
        shape in 0..8usize,
        oid in prop::sample::select(vec![25u32, 114, 3802, 142, 1009, 199, 2249, 17, 20, 987_654, 1015]),
        binary: bool,
        transform in prop::sample::select(vec![Transform::Null, Transform::Redact, Transform::Token, Transform::FormatPreserving]),
        with_default: bool,
    ) {
        let otherwise = if with_default { OnUnmaskable::TypeDefault } else { OnUnmaskable::Null };
        let bench = bench(&[("card_number", transform)], otherwise);
        let mut value = wrap(shape, &secret).into_bytes();
        if oid == 3802 && binary {
            value.insert(0, 1);
        }
        let shown = bench.one(origin, oid, binary, &value).unwrap().unwrap_or_default();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for form in [secret.clone(), STANDARD.encode(&secret), hex, secret.chars().rev().collect()] {
            prop_assert!(!shown.contains(&form), "{shown}");
        }
    }

    #[test]
    fn any_bytes_are_masked_or_refused_and_never_panic(
        origin in origins(),
        oid in prop::sample::select(vec![25u32, 114, 3802, 1009, 2249, 1016, 20, 987_654]),
        binary: bool,
        value: Vec<u8>,
    ) {
        let bench = hiding_cards(Transform::Redact);
        let _ = bench.one(origin, oid, binary, &value);
        let _ = bench.one(Origin::Column(column("notes")), oid, binary, &value);
    }

    #[test]
    fn what_may_be_seen_arrives_byte_for_byte(
        values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..30)), 5),
        hidden in prop::collection::vec(any::<bool>(), 5),
    ) {
        let bench = hiding_cards(Transform::Redact);
        let origins = hidden.iter().map(|hidden| if *hidden { card() } else { Origin::Column(column("id")) });
        let columns: Vec<Described> = hidden.iter().map(|_| described(TEXT, false)).collect();
        let plan = bench.plan(&rows(origins.collect()), &columns);
        let (shown, disclosure) = bench.deliver(&plan, &values).unwrap();
        let mut masked = 0;
        for ((value, shown), hidden) in values.iter().zip(&shown).zip(&hidden) {
            match (value, hidden) {
                (Some(_), true) => {
                    masked += 1;
                    prop_assert_eq!(shown.as_deref(), Some(b"[card_number]".as_slice()));
                }
                _ => prop_assert_eq!(shown, value),
            }
        }
        prop_assert_eq!(disclosure.classes.get("card_number").map_or(0, |counts| counts.masked), masked);
    }
}
