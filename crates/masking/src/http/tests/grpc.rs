//! gRPC whose messages are described.

use std::sync::Arc;

use model::http::protobuf::{Field, MessageRef, Schema, Wire, fields as fields_of, push_bytes, push_varint};
use proptest::prelude::*;

use super::*;

fn message(parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|(number, bytes)| push_bytes(*number, bytes, &mut out));
    out
}

fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(u64::from(number) << 3, &mut out);
    push_varint(value, &mut out);
    out
}

fn described(name: &str, number: u64, is_list: bool, kind: u64, type_name: &str) -> Vec<u8> {
    let numbers = [varint(3, number), varint(4, if is_list { 3 } else { 1 }), varint(5, kind)].concat();
    [message(&[(1, name.as_bytes()), (6, type_name.as_bytes())]), numbers].concat()
}

/// A customer: id 1 (int64), name 2, card 3 (a message with number 1), cards 4 (a list of them), notes 5 (a map), blob 6
/// (bytes), numbers 7 (packed int64), weight 8 (double), any 9, longs 10 (packed fixed64).
fn customer() -> MessageRef {
    let field = |name, number, kind| described(name, number, false, kind, "");
    let entry =
        message(&[(1, b"NotesEntry"), (2, &field("key", 1, 9)), (2, &field("value", 2, 9)), (7, &varint(7, 1))]);
    let card = message(&[(1, b"Card"), (2, &field("number", 1, 9))]);
    let customer = message(&[
        (1, b"Customer"),
        (2, &field("id", 1, 3)),
        (2, &field("name", 2, 9)),
        (2, &described("card", 3, false, 11, ".shop.Customer.Card")),
        (2, &described("cards", 4, true, 11, ".shop.Customer.Card")),
        (2, &described("notes", 5, true, 11, ".shop.Customer.NotesEntry")),
        (2, &field("blob", 6, 12)),
        (2, &described("numbers", 7, true, 3, "")),
        (2, &field("weight", 8, 1)),
        (2, &described("any", 9, false, 11, ".google.protobuf.Any")),
        (2, &described("longs", 10, true, 6, "")),
        (3, &card),
        (3, &entry),
    ]);
    let any = message(&[(1, b"Any"), (2, &field("type_url", 1, 9)), (2, &field("value", 2, 12))]);
    let method = message(&[(1, b"Get"), (2, b".shop.Customer"), (3, b".shop.Customer")]);
    let service = message(&[(1, b"Customers"), (2, &method)]);
    let shop = message(&[(2, b"shop"), (4, &customer), (6, &service)]);
    let schema = Schema::read(&message(&[(1, &message(&[(2, b"google.protobuf"), (4, &any)])), (1, &shop)])).unwrap();
    Arc::new(schema).output("shop.Customers", "Get").unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// What comes out of a body in pieces of this length.
fn masked(case: &Case, body: &[u8], piece: usize) -> Result<(Vec<u8>, Disclosure), Unmaskable> {
    let plan = case.plan().of_messages(Some(customer()));
    let mut reader = Body::new(&[b"application/grpc"], &[], &plan)?;
    let (mut out, mut disclosure) = (Vec::new(), Disclosure::default());
    let mut take = |masked: Masked| {
        out.extend_from_slice(masked.bytes());
        disclosure.add(&masked.into_parts().1);
    };
    for piece in body.chunks(piece) {
        take(reader.push(piece)?);
    }
    take(reader.end()?);
    Ok((out, disclosure))
}

/// The one message of a body.
fn only(body: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let (prefix, message) = body.split_at(5);
    assert_eq!(prefix, &framed(message)[..5], "the length is right");
    let text = |field: Field<'_>| match field.value {
        Wire::Bytes(bytes) => bytes.to_vec(),
        Wire::Varint(number) => number.to_string().into_bytes(),
        Wire::Eight(bytes) => bytes.to_vec(),
        Wire::Four(bytes) => bytes.to_vec(),
    };
    fields_of(message).map(|field| field.map(|field| (field.number, text(field))).unwrap()).collect()
}

fn example() -> Vec<u8> {
    let card = message(&[(1, CARD.as_bytes())]);
    let note = message(&[(1, b"paid"), (2, format!("with {CARD}").as_bytes())]);
    let mut packed = Vec::new();
    [7, 4_111_111_111_111_111].into_iter().for_each(|number| push_varint(number, &mut packed));
    [
        varint(1, 9_223_372_036_854_775_807),
        message(&[(2, b"Ada"), (3, &card), (4, &card), (5, &note), (6, b"\xff\x00"), (7, &packed)]),
        [&[8 << 3 | 1][..], &1.5_f64.to_le_bytes()].concat(),
        message(&[(77, CARD.as_bytes())]),
    ]
    .concat()
}

#[test]
fn texts_are_masked_numbers_stay_and_lengths_are_right() {
    let case = Case::all().rule("$.name", "person_name");
    let case = Case { hidden: [case.hidden.as_slice(), &["person_name"]].concat(), ..case };
    let (out, disclosure) = masked(&case, &framed(&example()), 1000).unwrap();
    let fields = only(&out);
    let numbers: Vec<u32> = fields.iter().map(|(number, _)| *number).collect();
    // A packed list in which a number shows what it is goes, and so does what is not described.
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 8]);
    assert_eq!(fields[0].1, b"9223372036854775807");
    assert_ne!(fields[1].1, b"Ada");
    assert_eq!((&fields[5].1[..], &fields[6].1[..]), (&b"\xff\x00"[..], &1.5_f64.to_le_bytes()[..]));
    assert!(memchr::memmem::find(&out, CARD.as_bytes()).is_none());
    assert!(memchr::memmem::find(&fields[4].1, b"paid").is_some());
    assert_eq!(disclosure.classes["person_name"], Counts { clear: 0, masked: 1 });
    assert_eq!((disclosure.classes["card_number"].masked, disclosure.rows), (4, 1));
}

#[test]
fn places_are_those_of_the_json() {
    for (path, gone) in [
        ("$.id", &[1][..]),
        ("$.card", &[]),
        ("$.numbers[*]", &[7]),
        ("$.weight", &[8]),
        ("$.blob", &[6]),
        ("$.*", &[1, 6, 7, 8]),
    ] {
        let case = Case::hiding(&["secret"]).rule(path, "secret");
        let (out, _) = masked(&case, &framed(&example()), 1000).unwrap();
        let kept: Vec<u32> = only(&out).iter().map(|(number, _)| *number).collect();
        let expected: Vec<u32> = (1..=8).filter(|number| !gone.contains(number)).collect();
        assert_eq!(kept, expected, "{path}");
    }
    for (path, number) in [("$.cards[*].number", 4), ("$.card.number", 3), ("$.notes.paid", 5), ("$.notes.*", 5)] {
        let case = Case::hiding(&["secret"]).rule(path, "secret");
        let fields = only(&masked(&case, &framed(&example()), 1000).unwrap().0);
        for (at, value) in fields.iter().filter(|(at, _)| (3..=5).contains(at)) {
            let shown = memchr::memmem::find(value, CARD.as_bytes()).is_some();
            assert_eq!(shown, *at != number, "{path} {at}");
        }
    }
}

#[test]
fn who_sees_everything_gets_what_came_and_it_is_counted() {
    let case = Case::nothing().rule("$.name", "person_name");
    let body = framed(&example());
    let (out, disclosure) = masked(&case, &body, 7).unwrap();
    assert_eq!(out, body);
    assert_eq!(disclosure.classes["person_name"], Counts { clear: 1, masked: 0 });
}

#[test]
fn what_cannot_be_read_is_refused() {
    let case = Case::all();
    let refused = |body: &[u8]| masked(&case, body, 1000).map(drop);
    let any = message(&[(9, &message(&[(1, b"type.googleapis.com/x"), (2, b"\x08\x01")]))]);
    assert_eq!(refused(&framed(&any)), Err(Unmaskable::MediaType));
    assert_eq!(refused(&framed(b"\x0a\x05abc")), Err(Unmaskable::Malformed));
    assert_eq!(refused(&framed(&varint(2, 1))), Err(Unmaskable::Malformed), "a number where a text is");
    assert_eq!(refused(b"\x00\x00\x00\x00\x05abc"), Err(Unmaskable::Malformed), "it is not whole");
    assert_eq!(refused(b"\x02\x00\x00\x00\x00"), Err(Unmaskable::Malformed));
    assert_eq!(refused(b"\x00\xff\xff\xff\xff"), Err(Unmaskable::TooLong));
    assert_eq!(refused(b"\x01\x00\x00\x00\x03abc"), Err(Unmaskable::Coding));
    assert_eq!(refused(b"\x01\x00\x00\x00\x03\x1f\x8bx"), Err(Unmaskable::Damaged));
    let plain = case.plan();
    assert!(Body::new(&[b"application/grpc"], &[], &plain).is_err(), "without a description");
    let described = case.plan().of_messages(Some(customer()));
    assert!(Body::new(&[b"application/grpc-web"], &[], &described).is_err());
}

#[test]
fn packed_numbers_of_a_fixed_length_are_looked_at_one_by_one() {
    let case = Case::all();
    let longs = |numbers: &[u64]| {
        let packed: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        only(&masked(&case, &framed(&message(&[(10, &packed)])), 1000).unwrap().0).len()
    };
    assert_eq!(longs(&[7, 8, 9]), 1);
    assert_eq!(longs(&[7, 4_111_111_111_111_111, 9]), 0);
    let packed = 4_111_111_111_111_111_u64.to_le_bytes();
    let refused = masked(&case, &framed(&message(&[(8, &packed)])), 1000).map(drop);
    assert_eq!(refused, Err(Unmaskable::Malformed), "packed, though there is one of it");
}

#[test]
fn a_compressed_message_goes_out_as_it_is_meant() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&example()).unwrap();
    let zipped = gzip.finish().unwrap();
    let body = [&[1][..], &u32::try_from(zipped.len()).unwrap().to_be_bytes(), &zipped].concat();
    assert_eq!(masked(&Case::all(), &body, 3).unwrap().0, masked(&Case::all(), &framed(&example()), 9).unwrap().0);
}

proptest! {
    #[test]
    fn any_bytes_are_masked_the_same_in_pieces_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..64), piece in 1_usize..9,
    ) {
        let body = [framed(&example()), bytes].concat();
        prop_assert_eq!(masked(&Case::all(), &body, piece).ok(), masked(&Case::all(), &body, 1000).ok());
    }
}
