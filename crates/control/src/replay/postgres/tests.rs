use ledger::tape::Kind;
use proptest::prelude::*;

use super::*;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], length.to_be_bytes().as_slice(), body].concat()
}

fn described(name: &str, type_oid: u32) -> Vec<u8> {
    let mut body = vec![0, 1];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0]);
    body.extend_from_slice(&type_oid.to_be_bytes());
    body.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    message(b'T', &body)
}

fn row(value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![0, 1];
    match value {
        Some(value) => {
            body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
            body.extend_from_slice(value);
        }
        None => body.extend_from_slice(&[0xff; 4]),
    }
    message(b'D', &body)
}

fn session() -> Vec<u8> {
    let error = b"SERROR\0VERROR\0C42501\0Mno policy permits it\0Hask for it\0\0";
    [
        described("card", 25),
        row(Some(b"************1234")),
        row(None),
        message(b'C', b"SELECT 2\0"),
        message(b'E', error),
        message(b'Z', b"I"),
    ]
    .concat()
}

fn expected() -> Vec<Event> {
    vec![
        Event::Columns { names: vec!["card".into()] },
        Event::Row { values: vec![Some("************1234".into())] },
        Event::Row { values: vec![None] },
        Event::Complete { tag: "SELECT 2".into() },
        Event::Error(Report {
            severity: "ERROR".into(),
            sqlstate: "42501".into(),
            message: "no policy permits it".into(),
            detail: None,
            hint: Some("ask for it".into()),
        }),
    ]
}

#[test]
fn shows_what_the_caller_saw() {
    assert_eq!(Decoder::default().feed(Kind::ToClient, &session()), expected());
}

#[test]
fn requests_are_lines() {
    let mut decoder = Decoder::default();
    let line = br#"{"request":"0000000000001.1","statement":"SELECT 1","values":["[email]"]}"#;
    let (first, second) = line.split_at(20);
    assert_eq!(decoder.feed(Kind::FromClient, first), []);
    let events = decoder.feed(Kind::FromClient, &[second, b"\nnonsense\n"].concat());
    let request = Event::Request {
        request: "0000000000001.1".into(),
        statement: "SELECT 1".into(),
        values: vec!["[email]".into()],
    };
    assert_eq!(events, [request, unreadable("a request", 9)]);
}

#[test]
fn columns_are_forgotten_with_their_statement() {
    let mut decoder = Decoder::default();
    decoder.feed(Kind::ToClient, &[described("a", 23), message(b'C', b"SELECT 0\0")].concat());
    // Another statement's rows, not described: a binary integer is not guessed at.
    let events = decoder.feed(Kind::ToClient, &row(Some(&[0, 0, 0, 7])));
    assert_eq!(events, [Event::Row { values: vec![Some("\\x00000007".into())] }]);
}

#[test]
fn what_is_too_long_is_passed_over_and_named() {
    let mut decoder = Decoder::default();
    let long = message(b'D', &vec![0; LONGEST]);
    let events: Vec<Event> = long.chunks(256 * 1024).flat_map(|part| decoder.feed(Kind::ToClient, part)).collect();
    assert_eq!(events, [unreadable("an answer too long to be shown", long.len())]);
    assert_eq!(decoder.feed(Kind::ToClient, &session()), expected());
    assert_eq!(decoder.finish(), None);
}

#[test]
fn a_torn_end_is_named() {
    let mut decoder = Decoder::default();
    let bytes = session();
    decoder.feed(Kind::ToClient, &bytes[..bytes.len() - 2]);
    assert_eq!(decoder.finish(), Some(unreadable("the end, which is cut off", 4)));
}

proptest! {
    #[test]
    fn bytes_at_a_time_are_all_at_once(cuts in proptest::collection::vec(1usize..40, 0..40)) {
        let (bytes, mut decoder, mut events, mut at) = (session(), Decoder::default(), Vec::new(), 0);
        for cut in cuts {
            let end = (at + cut).min(bytes.len());
            events.extend(decoder.feed(Kind::ToClient, &bytes[at..end]));
            at = end;
        }
        events.extend(decoder.feed(Kind::ToClient, &bytes[at..]));
        prop_assert_eq!(events, expected());
    }

    #[test]
    fn nothing_on_a_tape_makes_it_panic(
        records in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..20)
    ) {
        let mut decoder = Decoder::default();
        for (from_client, bytes) in records {
            decoder.feed(if from_client { Kind::FromClient } else { Kind::ToClient }, &bytes);
        }
        decoder.finish();
    }
}
