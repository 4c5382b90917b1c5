use super::*;
use crate::ssh::sftp::extension::name;
use crate::ssh::sftp::frame::Framer;
use crate::ssh::sftp::response::StatusCode;
use crate::ssh::sftp::strategies;
use proptest::prelude::*;

fn framed(code: u8, body: &[u8]) -> Packet {
    let length = u32::try_from(body.len() + 1).unwrap();
    let mut framer = Framer::default();
    framer.push([&length.to_be_bytes()[..], &[code], body].concat().into());
    framer.packet().unwrap().unwrap()
}

/// Parses a packet; whatever is accepted has to be encoded again as it came.
fn parse(code: u8, body: &[u8]) -> Result<Request, PacketError> {
    let packet = framed(code, body);
    let request = Request::parse(&packet)?;
    let mut again = Vec::new();
    request.encode(&mut again).unwrap();
    assert_eq!(packet.bytes(), &again[..]);
    Ok(request)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// An id of 1 and the parts.
fn body(parts: &[&[u8]]) -> Vec<u8> {
    [&[0, 0, 0, 1][..], &parts.concat()].concat()
}

#[test]
fn malformed_packets_are_refused() {
    let path = string(b"/etc");
    let (nul, long) = (string(b"/etc\0.txt"), string(&[b'h'; 257]));
    let attributes = |flags: u32, rest: &[u8]| [&flags.to_be_bytes()[..], rest].concat();
    for (code, body, error) in [
        (4, vec![0, 0, 0], PacketError::Truncated),
        (4, body(&[]), PacketError::Truncated),
        (4, body(&[&[0, 0, 0, 5, 1]]), PacketError::Truncated),
        (4, body(&[&[255, 255, 255, 255, 1]]), PacketError::Truncated),
        (4, body(&[&string(b"h"), b"x"]), PacketError::Trailing(1)),
        (4, body(&[&long]), PacketError::HandleTooLong(257)),
        (13, body(&[&nul]), PacketError::EmbeddedNul("a path")),
        // OpenSSH takes a single NUL at the end for the end of the string.
        (13, body(&[&string(b"/etc\0")]), PacketError::EmbeddedNul("a path")),
        (18, body(&[&path, &nul]), PacketError::EmbeddedNul("a path")),
        (200, body(&[&string(b"limits@openssh.com\0")]), PacketError::EmbeddedNul("a text")),
        (3, body(&[&path, &[0, 0, 0, 0x41], &[0; 4]]), PacketError::Flags { field: "open flags", bits: 0x40 }),
        (9, body(&[&path, &attributes(0x10, &[])]), PacketError::Flags { field: "attribute flags", bits: 0x10 }),
        (9, body(&[&path, &attributes(1, &[0; 7])]), PacketError::Truncated),
        (9, body(&[&path, &attributes(0, b"x")]), PacketError::Trailing(1)),
        (9, body(&[&path, &attributes(1 << 31, &[255; 4])]), PacketError::Truncated),
        (
            9,
            body(&[
                &path,
                &attributes(1 << 31, &[0, 0, 0, 2]),
                &string(b"a"),
                &string(b"1"),
                &string(b"a"),
                &string(b"2"),
            ]),
            PacketError::Duplicate("an extended attribute"),
        ),
        (1, vec![0, 0, 0, 2], PacketError::Version(2)),
        (1, vec![0, 0, 0, 3, 0, 0, 0, 0], PacketError::Truncated),
        (200, body(&[&string(name::LIMITS.as_bytes()), b"x"]), PacketError::Trailing(1)),
        (
            200,
            body(&[&string(name::USERS_GROUPS_BY_ID.as_bytes()), &string(&[0; 5]), &string(b"")]),
            PacketError::Numbers(5),
        ),
    ] {
        assert_eq!(parse(code, &body), Err(error), "{code} {body:?}");
    }
}

#[test]
fn every_type_is_a_request_or_unsupported() {
    for code in 0..=u8::MAX {
        let parsed = parse(code, &[0, 0, 0, 9]);
        let known = matches!(code, 1 | 3..=20 | 200);
        assert_eq!(parsed == Err(PacketError::Type(code)), !known, "{code}");
    }
    assert_eq!(PacketError::Type(21).status(), StatusCode::OperationUnsupported);
    assert_eq!(PacketError::Truncated.status(), StatusCode::BadMessage);
    // A later version's LINK, which is answered by its id.
    assert_eq!(framed(21, &[0, 0, 0, 9]).id(), Some(9));
}

#[test]
fn an_unknown_extension_is_kept_whole() {
    let Ok(Request::Operation { operation: Operation::Extended(Extension::Unknown { name, data }), .. }) =
        parse(200, &body(&[&string(b"\xff@example.com"), b"\0\x01anything"]))
    else {
        panic!()
    };
    assert_eq!((&name.bytes()[..], &data.bytes()[..]), (&b"\xff@example.com"[..], &b"\0\x01anything"[..]));
}

#[test]
fn an_extension_may_be_announced_twice() {
    let announced = [string(b"x@example.com"), string(b"1"), string(b"x@example.com"), string(b"2")].concat();
    let Ok(Request::Init(hello)) = parse(1, &[&[0, 0, 0, 6][..], &announced].concat()) else { panic!() };
    assert_eq!(hello.version, 6);
    let versions: Vec<&[u8]> = hello.extensions.of("x@example.com").map(|data| &data.bytes()[..]).collect();
    assert_eq!(versions, [b"1", b"2"]);
    assert_eq!(hello.extensions.of("y@example.com").count(), 0);
}

#[test]
fn flags_say_what_an_open_may_do() {
    use OpenFlags as Flags;
    let none = Flags::default();
    // What OpenSSH opens with neither flag it opens for reading.
    assert!(none.reads() && !none.changes());
    assert!(Flags::READ.reads() && !Flags::READ.changes());
    assert!(!Flags::WRITE.reads() && Flags::WRITE.changes());
    assert!(Flags::READ.and(Flags::WRITE).reads() && Flags::READ.and(Flags::WRITE).changes());
    for flag in [Flags::APPEND, Flags::CREATE, Flags::TRUNCATE] {
        assert!(Flags::READ.and(flag).changes() && Flags::READ.and(flag).reads());
    }
    assert!(!Flags::READ.and(Flags::EXCLUSIVE).changes());
    assert_eq!(Flags::from_bits(0x3f).map(Flags::bits), Ok(0x3f));
}

#[test]
fn nothing_of_the_content_is_shown() {
    let shown = [
        parse(13, &body(&[&string(b"hunter2")])),
        parse(6, &body(&[&string(b"hunter2"), &[0; 8], &string(b"hunter2")])),
        parse(200, &body(&[&string(b"hunter2"), b"hunter2"])),
        parse(1, &[&[0, 0, 0, 3][..], &string(b"hunter2"), &string(b"hunter2")].concat()),
    ];
    assert!(!format!("{:?}", shown.map(Result::unwrap)).contains("hunter2"));
}

proptest! {
    #[test]
    fn requests_survive(request in strategies::request(), extra: u8) {
        let mut out = Vec::new();
        request.encode(&mut out).unwrap();
        let (code, body) = (out[4], out[5..].to_vec());
        prop_assert_eq!(&parse(code, &body), &Ok(request.clone()));
        // Only the lists at the end of INIT and the content of unknown extensions have no length of their own.
        let is_open = matches!(
            request,
            Request::Init(_) | Request::Operation { operation: Operation::Extended(Extension::Unknown { .. }), .. }
        );
        for end in (0..body.len()).filter(|_| !is_open) {
            prop_assert!(parse(code, &body[..end]).is_err());
        }
        let longer = [&body[..], &[extra]].concat();
        if !is_open {
            prop_assert_eq!(parse(code, &longer), Err(PacketError::Trailing(1)));
        }
    }

    #[test]
    fn whatever_is_accepted_is_accounted_for(
        code in prop_oneof![1u8..=20, Just(200)],
        body in prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => 1u8..8, 1 => any::<u8>()], 0..60),
    ) {
        let _ = parse(code, &body);
    }
}
