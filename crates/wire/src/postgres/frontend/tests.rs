use super::*;
use crate::postgres::encode::{self, BindParts};
use proptest::prelude::*;

/// Parses a body; whatever is accepted has to be encoded again as it came.
fn parse(tag: FrontendTag, body: &[u8]) -> Result<Frontend<'_>, MessageError> {
    let message = Frontend::parse(&Frame { tag, body, bytes: &[] })?;
    let mut again = Vec::new();
    message.encode(&mut again).unwrap();
    assert_eq!((again[0], &again[5..]), (tag.byte(), body));
    assert_eq!(again[1..5], u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    Ok(message)
}

/// Whether the last field takes whatever is left.
fn is_open(tag: FrontendTag) -> bool {
    matches!(tag, FrontendTag::CopyData | FrontendTag::Password)
}

fn body_of(message: &[u8]) -> &[u8] {
    &message[5..]
}

#[test]
fn a_query_ends_at_its_only_nul() {
    // E4: the server refuses these, so truncating at the NUL would show another statement than it runs.
    assert_eq!(parse(FrontendTag::Query, b"select 1\0; drop table t\0"), Err(MessageError::Trailing(15)));
    assert_eq!(parse(FrontendTag::Query, b"select 1\0 "), Err(MessageError::Trailing(1)));
    assert_eq!(parse(FrontendTag::Query, b"select 1"), Err(MessageError::Truncated));
    assert_eq!(parse(FrontendTag::Query, b""), Err(MessageError::Truncated));
    assert!(parse(FrontendTag::Query, b"\0").is_ok());
    let Ok(Frontend::Query(text)) = parse(FrontendTag::Query, b"\xff\0") else { panic!() };
    assert_eq!(text.utf8(), Err(MessageError::NotUtf8));
    assert_eq!(MessageError::NotUtf8.sqlstate(), "22021");
}

#[test]
fn malformed_bodies_are_refused() {
    use FrontendTag as Tag;
    let bind = |rest: &[u8]| [b"\0\0", rest].concat();
    for (tag, body, error) in [
        (Tag::Bind, bind(&[0, 1, 0, 2, 0, 0, 0, 0]), MessageError::Format(2)),
        (
            Tag::Bind,
            bind(&[0, 2, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255]),
            MessageError::FormatCount { formats: 2, values: 1 },
        ),
        (Tag::Bind, bind(&[0, 0, 0, 1, 255, 255, 255, 254]), MessageError::ValueLength(-2)),
        (Tag::Bind, bind(&[0, 0, 0, 1, 0, 0, 0, 5, 1]), MessageError::Truncated),
        (Tag::Bind, bind(&[0, 0, 255, 255, 0, 0]), MessageError::Truncated),
        (Tag::Bind, bind(&[0, 0, 0, 0, 0, 0, 9]), MessageError::Trailing(1)),
        (Tag::Describe, b"X\0".to_vec(), MessageError::Code { field: "object kind", value: 88 }),
        (Tag::Close, b"S".to_vec(), MessageError::Truncated),
        (Tag::Execute, b"\0\0\0\0".to_vec(), MessageError::Truncated),
        (Tag::Parse, b"\0select\0\0\x01\0\0\0".to_vec(), MessageError::Truncated),
        (Tag::Parse, b"\0select\0".to_vec(), MessageError::Truncated),
        (Tag::Sync, b"x".to_vec(), MessageError::Trailing(1)),
        (Tag::CopyFail, b"why".to_vec(), MessageError::Truncated),
    ] {
        assert_eq!(parse(tag, &body), Err(error), "{tag:?} {body:?}");
    }
}

#[test]
fn passwords_are_one_string() {
    let read = |body: &'static [u8]| password(Bytes::new(body)).map(Bytes::get);
    assert_eq!(read(b"secret\0"), Ok(&b"secret"[..]));
    assert_eq!(read(b"secret"), Err(MessageError::Truncated));
    assert_eq!(read(b"secret\0more\0"), Err(MessageError::Trailing(5)));
    let mut out = Vec::new();
    encode::sasl_initial_response(&mut out, "SCRAM-SHA-256", Some(b"n,,n=,r=x")).unwrap();
    let initial = SaslInitial::parse(Bytes::new(body_of(&out))).unwrap();
    assert_eq!(initial.mechanism.bytes(), b"SCRAM-SHA-256");
    assert_eq!(initial.data.map(Bytes::get), Some(&b"n,,n=,r=x"[..]));
}

#[test]
fn nothing_secret_is_shown() {
    let message = parse(FrontendTag::Password, b"hunter2\0").map(|message| format!("{message:?}")).unwrap();
    assert_eq!(message, "Password(Bytes(8 bytes))");
    let message = parse(FrontendTag::Query, b"select 'hunter2'\0").map(|message| format!("{message:?}")).unwrap();
    assert!(!message.contains("hunter2"));
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 0..6)
}

fn formats(values: usize) -> impl Strategy<Value = Vec<Format>> {
    let format = || prop::sample::select(vec![Format::Text, Format::Binary]);
    prop_oneof![Just(vec![]), prop::collection::vec(format(), 1), prop::collection::vec(format(), values)]
}

fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..5)
}

proptest! {
    #[test]
    fn bind_survives(
        (parameters, codes) in values().prop_flat_map(|values| { let count = values.len(); (Just(values), formats(count)) }),
        results in formats(3), portal in name(), statement in name(), extra: u8,
    ) {
        let borrowed: Vec<Option<&[u8]>> = parameters.iter().map(Option::as_deref).collect();
        let parts = BindParts {
            portal: &portal, statement: &statement, formats: &codes, parameters: &borrowed, result_formats: &results,
        };
        let mut out = Vec::new();
        encode::bind(&mut out, &parts).unwrap();
        let Ok(Frontend::Bind(bind)) = parse(FrontendTag::Bind, body_of(&out)) else { panic!() };
        prop_assert_eq!((bind.portal.bytes(), bind.statement.bytes()), (&portal[..], &statement[..]));
        prop_assert_eq!(bind.parameters.iter().collect::<Vec<_>>(), borrowed);
        prop_assert_eq!(bind.formats.iter().collect::<Vec<_>>(), codes.clone());
        prop_assert_eq!(bind.result_formats.iter().collect::<Vec<_>>(), results);
        for index in 0..parameters.len() {
            let expected = if codes.len() == 1 { codes[0] } else { codes.get(index).copied().unwrap_or_default() };
            prop_assert_eq!(bind.formats.of(index), expected);
        }
        for end in 0..body_of(&out).len() {
            prop_assert!(parse(FrontendTag::Bind, &body_of(&out)[..end]).is_err());
        }
        out.push(extra);
        prop_assert_eq!(parse(FrontendTag::Bind, body_of(&out)), Err(MessageError::Trailing(1)));
    }

    #[test]
    fn parse_survives(statement in name(), text in name(), types in prop::collection::vec(any::<u32>(), 0..5)) {
        let mut out = Vec::new();
        encode::parse(&mut out, &statement, &text, &types).unwrap();
        let Ok(Frontend::Parse(parsed)) = parse(FrontendTag::Parse, body_of(&out)) else { panic!() };
        prop_assert_eq!((parsed.statement.bytes(), parsed.text.bytes()), (&statement[..], &text[..]));
        prop_assert_eq!(parsed.types.iter().collect::<Vec<_>>(), types);
    }

    #[test]
    fn the_others_survive(name in name(), number: i32, portal: bool, arguments in values(), data in prop::collection::vec(any::<u8>(), 0..20)) {
        let kind = if portal { b'P' } else { b'S' };
        let text = [&name[..], b"\0"].concat();
        let mut call = number.to_be_bytes().to_vec();
        call.extend([0, 0, 0, u8::try_from(arguments.len()).unwrap()]);
        for argument in &arguments {
            call.extend(argument.as_ref().map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap()).to_be_bytes());
            call.extend(argument.iter().flatten());
        }
        call.extend([0, 1]);
        use FrontendTag as Tag;
        for (tag, body) in [
            (Tag::Close, [&[kind][..], &text].concat()),
            (Tag::Describe, [&[kind][..], &text].concat()),
            (Tag::Execute, [&text[..], &number.to_be_bytes()].concat()),
            (Tag::FunctionCall, call),
            (Tag::Query, text.clone()),
            (Tag::CopyFail, text.clone()),
            (Tag::CopyData, data.clone()),
            (Tag::Password, data.clone()),
            (Tag::CopyDone, vec![]), (Tag::Flush, vec![]), (Tag::Sync, vec![]), (Tag::Terminate, vec![]),
        ] {
            let message = parse(tag, &body).unwrap();
            prop_assert_eq!(message.tag(), tag);
            for end in (0..body.len()).filter(|_| !is_open(tag)) {
                prop_assert!(parse(tag, &body[..end]).is_err());
            }
            prop_assert_eq!(parse(tag, &[&body[..], b"\0"].concat()).is_ok(), is_open(tag));
        }
    }

    #[test]
    fn whatever_is_accepted_is_accounted_for(
        tag in prop::sample::select(FrontendTag::ALL),
        body in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..40),
    ) {
        let _ = parse(tag, &body);
    }
}
