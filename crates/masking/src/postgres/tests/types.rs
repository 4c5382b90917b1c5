//! Every built-in type, in both formats, under every choice for what has no mask.

use postgres_protocol::types as decode;

use super::*;

/// (oid, a value in text, the same in binary).
fn samples() -> Vec<(u32, &'static str, Vec<u8>)> {
    let text = |oid: u32, value: &'static str| (oid, value, value.as_bytes().to_vec());
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    vec![
        text(25, CARD),
        text(1043, CARD),
        text(1042, CARD),
        text(19, CARD),
        text(142, "<a>4111</a>"),
        text(114, r#"{"a":1}"#),
        (3802, r#"{"a": 1}"#, b"\x01{\"a\": 1}".to_vec()),
        text(18, "x"),
        (16, "t", vec![1]),
        (21, "41", vec![0, 41]),
        (23, "41", vec![0, 0, 0, 41]),
        (26, "41", vec![0, 0, 0, 41]),
        (20, "41", vec![0, 0, 0, 0, 0, 0, 0, 41]),
        (700, "41.5", 41.5f32.to_be_bytes().to_vec()),
        (701, "41.5", 41.5f64.to_be_bytes().to_vec()),
        (1700, "41", vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 41]),
        (790, "$41.00", 4100i64.to_be_bytes().to_vec()),
        (17, "\\x4111", vec![0x41, 0x11]),
        (1082, "2001-02-03", 399i32.to_be_bytes().to_vec()),
        (1083, "04:11:11", 15_071_000_000i64.to_be_bytes().to_vec()),
        (1266, "04:11:11+02", vec![1; 12]),
        (1114, "2001-02-03 04:11:11", 41i64.to_be_bytes().to_vec()),
        (1184, "2001-02-03 04:11:11+00", 41i64.to_be_bytes().to_vec()),
        (1186, "41 days", vec![1; 16]),
        (2950, "41111111-1111-1111-1111-111111111111", vec![0x41; 16]),
        (869, "41.1.1.1", vec![2, 32, 0, 4, 41, 1, 1, 1]),
        (650, "41.1.1.0/24", vec![2, 24, 1, 4, 41, 1, 1, 0]),
        (829, "41:11:11:11:11:11", vec![0x41; 6]),
        (774, "41:11:11:11:11:11:11:11", vec![0x41; 8]),
        (1560, "101", vec![0, 0, 0, 3, 0xa0]),
        (1562, "101", vec![0, 0, 0, 3, 0xa0]),
        (1007, "{41,11}", words(&[1, 0, 23, 2, 1, 4, 41, 4, 11])),
        (1231, "{41}", words(&[1, 0, 1700, 1, 1, 0])),
        (2249, "(41,x)", words(&[1, 23, 4, 41])),
        (3904, "[41,42)", vec![2, 0, 0, 0, 4, 0, 0, 0, 41, 0, 0, 0, 4, 0, 0, 0, 42]),
        (4451, "{[41,42)}", words(&[1, 1])),
        (600, "(41,11)", vec![1; 16]),
        (987_654, "label-41111111", b"label-41111111".to_vec()),
    ]
}

const TRANSFORMS: [Transform; 5] = [
    Transform::Null,
    Transform::Redact,
    Transform::Token,
    Transform::Partial { keep_last: 4 },
    Transform::FormatPreserving,
];

#[test]
fn no_type_lets_a_hidden_value_through() {
    for (oid, text, binary) in samples() {
        for transform in TRANSFORMS {
            for otherwise in [OnUnmaskable::Null, OnUnmaskable::TypeDefault, OnUnmaskable::Refuse] {
                let bench = bench(&[("card_number", transform.clone())], otherwise);
                for (is_binary, value) in [(false, text.as_bytes()), (true, binary.as_slice())] {
                    for origin in [card(), derived(&["card"]), Origin::Unknown] {
                        match bench.one(origin, oid, is_binary, value) {
                            Ok(Some(shown)) => {
                                assert_ne!(shown, value, "{oid} {transform:?} {is_binary}");
                                assert_reads(oid, is_binary, &shown);
                            }
                            Ok(None) => {}
                            Err(error) => {
                                assert_eq!((error, otherwise), (MaskError::Unmaskable, OnUnmaskable::Refuse));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn null_is_what_is_left_unless_there_is_a_mask_or_a_zero() {
    let nulls = hiding_cards(Transform::Redact);
    let zeros = bench(&[("card_number", Transform::Redact)], OnUnmaskable::TypeDefault);
    for (oid, text, binary) in samples() {
        let has_mask = matches!(oid, 19 | 25 | 114 | 142 | 1042 | 1043 | 3802);
        let has_zero = !matches!(oid, 2249 | 600 | 987_654);
        for (is_binary, value) in [(false, text.as_bytes()), (true, binary.as_slice())] {
            assert_eq!(nulls.one(card(), oid, is_binary, value).unwrap().is_some(), has_mask, "{oid}");
            assert_eq!(zeros.one(card(), oid, is_binary, value).unwrap().is_some(), has_mask || has_zero, "{oid}");
        }
    }
}

/// A client of its own making can read the value.
fn assert_reads(oid: u32, binary: bool, value: &[u8]) {
    if !binary {
        let text = std::str::from_utf8(value).unwrap();
        match oid {
            114 | 3802 => drop(serde_json::from_str::<serde_json::Value>(text).unwrap()),
            20 | 21 | 23 => drop(text.parse::<i64>().unwrap()),
            _ => {}
        }
        return;
    }
    match oid {
        16 => drop(decode::bool_from_sql(value).unwrap()),
        18 => drop(decode::char_from_sql(value).unwrap()),
        20 => drop(decode::int8_from_sql(value).unwrap()),
        21 => drop(decode::int2_from_sql(value).unwrap()),
        23 => drop(decode::int4_from_sql(value).unwrap()),
        26 => drop(decode::oid_from_sql(value).unwrap()),
        700 => drop(decode::float4_from_sql(value).unwrap()),
        701 => drop(decode::float8_from_sql(value).unwrap()),
        1082 => drop(decode::date_from_sql(value).unwrap()),
        1083 => drop(decode::time_from_sql(value).unwrap()),
        1114 | 1184 => drop(decode::timestamp_from_sql(value).unwrap()),
        2950 => drop(decode::uuid_from_sql(value).unwrap()),
        869 | 650 => drop(decode::inet_from_sql(value).unwrap()),
        829 => drop(decode::macaddr_from_sql(value).unwrap()),
        1560 | 1562 => drop(decode::varbit_from_sql(value).unwrap()),
        1007 | 1231 => drop(decode::array_from_sql(value).unwrap()),
        3904 => drop(decode::range_from_sql(value).unwrap()),
        1700 | 790 => assert_eq!(value.len(), 8),
        1266 => assert_eq!(value.len(), 12),
        1186 => assert_eq!(value.len(), 16),
        3802 => drop(serde_json::from_slice::<serde_json::Value>(value.strip_prefix(&[1]).unwrap()).unwrap()),
        114 => drop(serde_json::from_slice::<serde_json::Value>(value).unwrap()),
        _ => {}
    }
}
