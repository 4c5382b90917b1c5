//! What is read, what is not, and that it does not matter how the bytes came.

use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn read(side: Side, bytes: &[u8], piece: usize) -> (Vec<Message>, Option<Violation>) {
    let (mut reader, mut all) = (Reader::new(side, 100_000), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        loop {
            match reader.message() {
                Ok(Some(message)) => all.push(message),
                Ok(None) => break,
                Err(violation) => return (all, Some(violation)),
            }
        }
    }
    (all, None)
}

fn violation(side: Side, bytes: &[u8]) -> Option<Violation> {
    read(side, bytes, bytes.len()).1
}

/// The examples of RFC 6455, section 5.7.
#[test]
fn the_examples_of_the_standard_are_read() {
    let hello = || Message::Text("Hello".into());
    for (side, bytes, said) in [
        (Side::Server, b"\x81\x05Hello".as_slice(), hello()),
        (Side::Client, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", hello()),
        (Side::Server, b"\x01\x03Hel\x80\x02lo", hello()),
        (Side::Server, b"\x89\x05Hello", Message::Ping(b"Hello".to_vec())),
        (Side::Client, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", Message::Pong(b"Hello".to_vec())),
        (Side::Server, &[&[0x82, 0x7e, 1, 0], [7; 256].as_slice()].concat(), Message::Binary(vec![7; 256])),
        (
            Side::Server,
            &[&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], [7; 65_536].as_slice()].concat(),
            Message::Binary(vec![7; 65_536]),
        ),
    ] {
        assert_eq!(read(side, bytes, bytes.len()), (vec![said], None));
    }
}

#[test]
fn sm_18_what_breaks_the_protocol_is_not_read() {
    use Violation::{AfterClose, Control, Fragment, Length, Mask, NotText, Opcode, Reserved, TooLong};
    for (bytes, expected) in [
        (b"\xc1\x00".as_slice(), Reserved),
        (b"\xa1\x00", Reserved),
        (b"\x91\x00", Reserved),
        (b"\x83\x00", Opcode),
        (b"\x8b\x00", Opcode),
        (b"\x81\x80\x00\x00\x00\x00", Mask),
        (b"\x09\x00", Control),
        (b"\x89\x7e\x00\x7e", Control),
        (b"\x88\x7f", Control),
        (b"\x80\x00", Fragment),
        (b"\x01\x00\x01\x00", Fragment),
        (b"\x01\x00\x82\x00", Fragment),
        (b"\x82\x7e\x00\x7d", Length),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Length),
        (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", Length),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x86\xa1", TooLong),
        (b"\x81\x02\xc3\x28", NotText),
        (b"\x88\x04\x03\xe8\xc3\x28", NotText),
        (b"\x88\x01\x03", Violation::Close),
        (b"\x88\x02\x03\xed", Violation::Close),
        (b"\x88\x02\x00\x00", Violation::Close),
        (b"\x88\x00\x81\x00", AfterClose),
        (b"\x88\x00\x88\x00", AfterClose),
    ] {
        assert_eq!(violation(Side::Server, bytes), Some(expected), "{bytes:x?}");
    }
    assert_eq!(violation(Side::Client, b"\x81\x00"), Some(Mask));
}

#[test]
fn pieces_together_are_no_longer_than_one_may_be() {
    let mut reader = Reader::new(Side::Server, 10);
    reader.push(b"\x01\x06abcdef\x89\x03abc\x00\x04ghij");
    assert_eq!(reader.message(), Ok(Some(Message::Ping(b"abc".to_vec()))));
    assert_eq!(reader.message(), Ok(None));
    reader.push(b"\x80\x01");
    assert_eq!(reader.message(), Err(Violation::TooLong));
    reader.push(b"\x81\x00");
    assert_eq!(reader.message(), Err(Violation::TooLong));
}

#[test]
fn a_reason_is_cut_between_two_characters() {
    let close = Close::new(code::POLICY, &"ü".repeat(100));
    assert_eq!(close.reason.len(), 122);
    let mut bytes = Vec::new();
    write(&mut bytes, &Message::Close(Some(close.clone())), None);
    assert_eq!(read(Side::Server, &bytes, 3), (vec![Message::Close(Some(close))], None));
}

#[test]
fn a_handshake_has_one_key_its_version_and_names() {
    let key: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";
    let read = |keys: &[&[u8]], versions: &[&[u8]], protocols: &[&[u8]]| Handshake::parse(keys, versions, protocols);
    let good =
        read(&[key], &[b"13"], &[b"v5.channel.k8s.io, v4.channel.k8s.io", b"SPDY/3.1+portforward.k8s.io"]).unwrap();
    assert_eq!(good.protocols.len(), 3);
    assert!(good.lets(None) && good.lets(Some("v4.channel.k8s.io")) && !good.lets(Some("v3.channel.k8s.io")));
    let (short, loose): (&[u8], &[u8]) = (b"c2hvcnQ=", b"dGhlIHNhbXBsZSBub25jZR==");
    for keys in [[].as_slice(), &[key, key], &[short], &[loose]] {
        assert_eq!(read(keys, &[b"13"], &[]), Err(HandshakeError::Key));
    }
    let wrong: &[u8] = b"8";
    for versions in [[].as_slice(), &[wrong]] {
        assert_eq!(read(&[key], versions, &[]), Err(HandshakeError::Version));
    }
    let (gap, twice, blank): (&[u8], &[u8], &[u8]) = (b"a,,b", b"a, a", b"a b");
    for protocols in [gap, twice, blank] {
        assert_eq!(read(&[key], &[b"13"], &[protocols]), Err(HandshakeError::Protocol));
    }
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let one = prop_oneof![
        ".{0,40}".prop_map(Message::Text),
        bytes(400).prop_map(Message::Binary),
        bytes(126).prop_map(Message::Ping),
        bytes(126).prop_map(Message::Pong),
    ];
    let close = prop::option::of((3000_u16..5000, ".{0,20}").prop_map(|(code, reason)| Close { code, reason }));
    (prop::collection::vec(one, 0..8), close).prop_map(|(mut all, close)| {
        all.push(Message::Close(close));
        all
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_comes(all in messages(), masked: bool, piece in 1_usize..20) {
        let (side, mask) = if masked { (Side::Client, Some(MASK)) } else { (Side::Server, None) };
        let mut bytes = Vec::new();
        all.iter().for_each(|message| write(&mut bytes, message, mask));
        prop_assert_eq!(read(side, &bytes, bytes.len()), (all.clone(), None));
        prop_assert_eq!(read(side, &bytes, 1), (all.clone(), None));
        prop_assert_eq!(read(side, &bytes, piece), (all, None));
    }

    #[test]
    fn any_bytes_are_read_the_same_however_they_come(bytes in prop::collection::vec(any::<u8>(), 0..200), masked: bool) {
        let side = if masked { Side::Client } else { Side::Server };
        prop_assert_eq!(read(side, &bytes, 1), read(side, &bytes, bytes.len()));
    }
}
