use super::*;
use crate::postgres::encode;
use proptest::prelude::*;

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
    bytes.extend(code.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn fresh(buffer: &[u8]) -> Result<Option<(FirstPacket<'_>, usize)>, StartupError> {
    decode(buffer, Stage::default())
}

#[test]
fn encryption_is_asked_for_once_and_alone() {
    let (ssl, gss) = (packet(SSL_REQUEST, b""), packet(GSSENC_REQUEST, b""));
    assert_eq!(fresh(&ssl), Ok(Some((FirstPacket::SslRequest, 8))));
    assert_eq!(fresh(&gss), Ok(Some((FirstPacket::GssEncRequest, 8))));
    // SM-01
    assert_eq!(fresh(&[&ssl[..], &[0]].concat()), Err(StartupError::DataBehindRequest));
    assert_eq!(fresh(&[&gss[..], &ssl[..]].concat()), Err(StartupError::DataBehindRequest));
    let after_ssl = Stage { ssl_answered: true, ..Stage::default() };
    let after_gss = Stage { gss_answered: true, ..Stage::default() };
    let inside = Stage { encrypted: true, ..Stage::default() };
    for (bytes, stage) in [(&ssl, after_ssl), (&gss, after_gss), (&ssl, inside), (&gss, inside)] {
        assert_eq!(decode(bytes, stage), Err(StartupError::Repeated));
    }
    assert_eq!(decode(&ssl, after_gss), Ok(Some((FirstPacket::SslRequest, 8))));
}

#[test]
fn direct_tls_is_recognised_from_its_first_byte_and_only_at_the_start() {
    assert_eq!(fresh(&[0x16]), Ok(Some((FirstPacket::TlsClientHello, 0))));
    for stage in [Stage { encrypted: true, ..Stage::default() }, Stage { ssl_answered: true, ..Stage::default() }] {
        assert_eq!(decode(&[0x16, 3, 1], stage), Err(StartupError::Foreign(Foreign::Tls)));
    }
}

#[test]
fn other_protocols_are_named() {
    for (bytes, foreign) in [
        (&b"GET / HTTP/1.1\r\n"[..], Foreign::Http),
        (b"PRI * HTTP/2.0", Foreign::Http),
        (b"SSH-2.0-OpenSSH", Foreign::Ssh),
        (b"PROXY TCP4 ", Foreign::Proxy),
        (b"\r\n\r\n\0\r\nQUIT\n", Foreign::Proxy),
    ] {
        assert_eq!(fresh(bytes), Err(StartupError::Foreign(foreign)));
        assert!(!StartupError::Foreign(foreign).may_answer());
    }
}

#[test]
fn lengths_are_judged_from_the_first_four_bytes() {
    for length in [0u32, 3, 4, 7, 10_005, 1 << 31, u32::MAX] {
        assert_eq!(fresh(&length.to_be_bytes()), Err(StartupError::Length(length)));
    }
    for length in [8u32, 10_004] {
        assert_eq!(fresh(&length.to_be_bytes()), Ok(None));
    }
}

#[test]
fn layouts_that_postgresql_refuses_are_refused() {
    let version = Version::V3_0.code();
    for body in [&b""[..], b"user", b"user\0", b"user\0a\0", b"user\0a\0\0x", b"\0\0", b"user\0a"] {
        assert_eq!(fresh(&packet(version, body)), Err(StartupError::Layout), "{body:?}");
    }
    assert_eq!(fresh(&packet(version, b"user\0a\0user\0b\0\0")), Err(StartupError::Duplicate));
    assert_eq!(fresh(&packet(version, b"user\0\xff\0\0")), Err(StartupError::NotUtf8));
    assert_eq!(fresh(&packet(SSL_REQUEST, b"x")), Err(StartupError::Layout));
    assert_eq!(fresh(&packet(2 << 16, b"\0")), Err(StartupError::Version { major: 2, minor: 0 }));
}

#[test]
fn cancel_keys_are_four_to_256_bytes() {
    for (length, accepted) in [(3, false), (4, true), (32, true), (256, true), (257, false)] {
        let key = vec![7; length];
        let bytes = packet(CANCEL_REQUEST, &[&9u32.to_be_bytes()[..], &key].concat());
        let decoded = fresh(&bytes);
        assert_eq!(decoded.is_ok(), accepted, "{length}");
        if let Ok(Some((FirstPacket::Cancel(cancel), _))) = decoded {
            assert_eq!((cancel.process, cancel.key.get()), (9, &key[..]));
            let mut again = Vec::new();
            encode::cancel_request(&mut again, 9, &key).unwrap();
            assert_eq!(again, bytes);
        }
    }
}

#[test]
fn versions_are_negotiated_down() {
    let ask = |minor: u32, options: &[u8]| {
        let bytes = packet((3 << 16) | minor, &[b"user\0a\0", options, b"\0"].concat());
        match fresh(&bytes) {
            Ok(Some((FirstPacket::Startup(startup), _))) => (startup.negotiated(), startup.needs_negotiation()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(0, b""), (Version::V3_0, false));
    assert_eq!(ask(1, b""), (Version::V3_0, true));
    assert_eq!(ask(2, b""), (Version::V3_2, false));
    assert_eq!(ask(9999, b""), (Version::V3_2, true));
    assert_eq!(ask(0, b"_pq_.x\0on\0"), (Version::V3_0, true));
}

proptest! {
    #[test]
    fn parameters_survive(parameters in prop::collection::btree_map("[^\\x00]{1,20}", "[^\\x00]{0,30}", 0..8), minor: u16) {
        let version = Version { major: 3, minor };
        let mut bytes = Vec::new();
        encode::startup(&mut bytes, version, parameters.iter().map(|(name, value)| (&name[..], &value[..]))).unwrap();
        let expected: Vec<_> = parameters.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        for end in 0..bytes.len() {
            prop_assert_eq!(fresh(&bytes[..end]), Ok(None));
        }
        let message = StartupMessage { version, parameters: expected };
        prop_assert_eq!(fresh(&bytes), Ok(Some((FirstPacket::Startup(message), bytes.len()))));
    }

    #[test]
    fn any_bytes_are_judged_the_same_in_pieces(bytes in prop::collection::vec(any::<u8>(), 0..64), length in 8u8..40) {
        let bytes = [&[0, 0, 0, length][..], &bytes].concat();
        let whole = fresh(&bytes);
        // Bytes behind an encryption request are an error only if they are seen together with it.
        if whole != Err(StartupError::DataBehindRequest) {
            let first = (0..=bytes.len()).map(|end| fresh(&bytes[..end])).find(|result| *result != Ok(None));
            prop_assert_eq!(first.unwrap_or(Ok(None)), whole);
        }
    }
}
