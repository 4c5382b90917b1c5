use model::http::protobuf::{push_bytes, push_varint};

use super::*;

fn message(parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|(number, bytes)| push_bytes(*number, bytes, &mut out));
    out
}

fn varint_of(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(u64::from(number) << 3, &mut out);
    push_varint(value, &mut out);
    out
}

fn field(name: &str, number: u64, label: u64, kind: u64, type_name: &str) -> Vec<u8> {
    let numbers = [varint_of(3, number), varint_of(4, label), varint_of(5, kind)].concat();
    [message(&[(1, name.as_bytes()), (6, type_name.as_bytes())]), numbers].concat()
}

/// A refund, whose fields are of each kind.
fn schema() -> (Schema, usize) {
    let one = |name, number, kind| field(name, number, 1, kind, "");
    let entry = message(&[(1, b"NotesEntry"), (2, &one("key", 1, 9)), (2, &one("value", 2, 5)), (7, &varint_of(7, 1))]);
    let value = |name: &str, number| [message(&[(1, name.as_bytes())]), varint_of(2, number)].concat();
    let why = message(&[(1, b"Why"), (2, &value("UNKNOWN", 0)), (2, &value("FRAUD", 1)), (2, &value("SPAM", 1))]);
    let choice = |name, number| [one(name, number, 9), varint_of(9, 0)].concat();
    let refund = message(&[
        (1, b"Refund"),
        (2, &one("id", 1, 3)),
        (2, &one("note", 2, 9)),
        (2, &field("part", 3, 1, 11, ".shop.Refund")),
        (2, &field("parts", 4, 3, 11, ".shop.Refund")),
        (2, &field("notes", 5, 3, 11, ".shop.Refund.NotesEntry")),
        (2, &one("blob", 6, 12)),
        (2, &field("amounts", 7, 3, 5, "")),
        (2, &one("weight", 8, 1)),
        (2, &field("why", 9, 1, 14, ".shop.Why")),
        (2, &choice("card", 10)),
        (2, &choice("iban", 11)),
        (2, &one("password", 12, 9)),
        (2, &one("sure", 13, 8)),
        (2, &one("delta", 14, 17)),
        (2, &one("small", 15, 13)),
        (2, &field("any", 16, 1, 11, ".google.protobuf.Any")),
        (3, &entry),
    ]);
    let any = message(&[(1, b"Any"), (2, &one("type_url", 1, 9)), (2, &one("value", 2, 12))]);
    let shop = message(&[(2, b"shop"), (4, &refund), (5, &why)]);
    let set = message(&[(1, &message(&[(2, b"google.protobuf"), (4, &any)])), (1, &shop)]);
    let schema = Schema::read(&set).unwrap();
    let refund = schema.named("shop.Refund").unwrap();
    (schema, refund)
}

fn read(bytes: &[u8]) -> Result<String, &'static str> {
    let (schema, refund) = schema();
    let found = arguments(&schema, refund, bytes)?;
    Ok(found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn each_kind_of_field_is_told() {
    for (bytes, expected) in [
        (vec![], ""),
        (varint_of(1, 7), "id=7"),
        (varint_of(1, u64::MAX), "id=-1"),
        (message(&[(2, "ä b".as_bytes())]), "note=ä b"),
        (message(&[(3, &varint_of(1, 7))]), "part.id=7"),
        (message(&[(3, b"")]), "part={}"),
        (message(&[(4, &varint_of(1, 7)), (4, &varint_of(1, 8))]), "parts.id=7 parts.id=8"),
        (message(&[(5, &[message(&[(1, b"a.b")]), varint_of(2, 3)].concat()), (5, b"")]), "notes.a%2Eb=3 notes.=0"),
        (message(&[(6, b"\x00\xff")]), "blob=base64:AP8="),
        (message(&[(6, b"4111 1111 1111 1111")]), "blob=4111 1111 1111 1111"),
        (message(&[(6, b"base64:AP8=")]), "blob=[11 bytes]"),
        (message(&[(6, &[0; 1025])]), "blob=[1025 bytes]"),
        (message(&[(7, b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")]), "amounts=1 amounts=-1"),
        ([varint_of(7, 1), varint_of(7, u64::from(u32::MAX))].concat(), "amounts=1 amounts=-1"),
        (b"\x41\x00\x00\x00\x00\x00\x00\xf8\x3f".to_vec(), "weight=1.5"),
        (varint_of(9, 1), "why=FRAUD"),
        (message(&[(10, b"x")]), "card=x"),
        (message(&[(12, b"C4NARY")]), "password=[secret]"),
        (varint_of(13, 1), "sure=true"),
        (varint_of(14, 3), "delta=-2"),
        (varint_of(15, u64::from(u32::MAX)), "small=4294967295"),
        (message(&[(16, b"")]), "any={}"),
    ] {
        assert_eq!(read(&bytes).as_deref(), Ok(expected), "{bytes:?}");
    }
}

#[test]
fn what_readers_differ_about_is_not_understood() {
    let twice = |bytes: Vec<u8>| [bytes.clone(), bytes].concat();
    let entry = message(&[(5, &message(&[(1, b"a")]))]);
    for (bytes, why) in [
        (b"\x08".to_vec(), MALFORMED),
        (message(&[(1, b"7")]), MALFORMED),
        (varint_of(2, 7), MALFORMED),
        (message(&[(2, b"\xff")]), MALFORMED),
        (varint_of(7, u64::from(u32::MAX) + 1), MALFORMED),
        (varint_of(9, 5), MALFORMED),
        (varint_of(13, 2), MALFORMED),
        (varint_of(15, u64::MAX), MALFORMED),
        (message(&[(7, b"\x80")]), MALFORMED),
        (b"\x0b\x0c".to_vec(), MALFORMED),
        (varint_of(99, 1), "a field that is not described"),
        (message(&[(3, &varint_of(99, 1))]), "a field that is not described"),
        (message(&[(5, &varint_of(3, 1))]), "a field that is not described"),
        (twice(varint_of(1, 7)), "more than one of what there can be one of"),
        (twice(message(&[(3, b"")])), "more than one of what there can be one of"),
        (twice(entry), "more than one of what there can be one of"),
        (message(&[(5, &message(&[(1, b"a"), (1, b"b")]))]), "more than one of what there can be one of"),
        (message(&[(10, b"x"), (11, b"y")]), "more than one of what there can be one of"),
        (message(&[(16, &message(&[(1, b"x")]))]), "a message that holds one of any type"),
    ] {
        assert_eq!(read(&bytes), Err(why), "{bytes:?}");
    }
}

#[test]
fn what_is_looked_at_is_bounded() {
    let nested = |depth: usize| (0..depth).fold(varint_of(1, 7), |inner, _| message(&[(3, &inner)]));
    assert!(read(&nested(32)).is_ok());
    assert_eq!(read(&nested(33)), Err("a message that is nested too deep"));
    assert!(read(&message(&[(7, &[1; 500])])).is_ok());
    let too_much = Err("a message that holds more than is looked at");
    assert_eq!(read(&message(&[(7, &[1; 501])])), too_much);
    assert_eq!(read(&message(&[(2, &[b'a'; 25 * 1024])])), too_much);
}
