use super::*;
use crate::postgres::encode;
use crate::postgres::startup::Version;
use proptest::prelude::*;

/// Parses a body; whatever is accepted has to be encoded again as it came.
fn parse(tag: BackendTag, body: &[u8]) -> Result<Backend<'_>, MessageError> {
    let message = Backend::parse(&Frame { tag, body, bytes: &[] })?;
    let mut again = Vec::new();
    message.encode(&mut again).unwrap();
    assert_eq!((again[0], &again[5..]), (tag.byte(), body));
    Ok(message)
}

fn body_of(message: &[u8]) -> &[u8] {
    &message[5..]
}

#[test]
fn authentication_requests_are_told_apart() {
    use Authentication as Auth;
    let read = |body: &'static [u8]| match parse(BackendTag::Authentication, body) {
        Ok(Backend::Authentication(request)) => Ok(request),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(read(b"\0\0\0\0"), Ok(Auth::Ok));
    assert_eq!(read(b"\0\0\0\x03"), Ok(Auth::CleartextPassword));
    assert_eq!(read(b"\0\0\0\x05salt"), Ok(Auth::Md5Password(*b"salt")));
    assert_eq!(read(b"\0\0\0\x05sal"), Err(MessageError::Truncated));
    assert_eq!(read(b"\0\0\0\0x"), Err(MessageError::Trailing(1)));
    assert_eq!(read(b"\0\0\0\x0a\0"), Err(MessageError::Truncated));
    assert_eq!(read(b"\0\0\0\x0aSCRAM-SHA-256\0"), Err(MessageError::Truncated));
    assert_eq!(read(b"\0\0\0\x0aSCRAM-SHA-256\0\0\0"), Err(MessageError::Trailing(1)));
    for code in [1u8, 2, 4, 6, 7, 8, 9, 13] {
        let body = [0, 0, 0, code];
        let refused = parse(BackendTag::Authentication, &body);
        assert_eq!(refused, Err(MessageError::UnsupportedAuthentication(i32::from(code))));
    }
    let mut out = Vec::new();
    encode::authentication_sasl(&mut out, &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]).unwrap();
    let Ok(Backend::Authentication(Auth::Sasl(offered))) = parse(BackendTag::Authentication, body_of(&out)) else {
        panic!()
    };
    let names: Vec<_> = offered.iter().map(|name| name.utf8().unwrap()).collect();
    assert_eq!(names, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
}

#[test]
fn malformed_bodies_are_refused() {
    use BackendTag as Tag;
    for (tag, body, error) in [
        (Tag::ReadyForQuery, &b"X"[..], MessageError::Code { field: "transaction status", value: 88 }),
        (Tag::ReadyForQuery, b"", MessageError::Truncated),
        (Tag::DataRow, &[0, 1, 0, 0, 0, 2, 1], MessageError::Truncated),
        (Tag::DataRow, &[0, 1, 128, 0, 0, 0], MessageError::ValueLength(i32::MIN)),
        (Tag::DataRow, &[0, 0, 0], MessageError::Trailing(1)),
        (Tag::RowDescription, b"\0\x01x\0", MessageError::Truncated),
        (Tag::ErrorResponse, b"", MessageError::Truncated),
        (Tag::ErrorResponse, b"Mx\0", MessageError::Truncated),
        (Tag::ErrorResponse, b"Mx\0\0\0", MessageError::Trailing(1)),
        (Tag::CommandComplete, b"SELECT 1\0x", MessageError::Trailing(1)),
        (Tag::CopyInResponse, b"\x02\0\0", MessageError::Format(2)),
        (Tag::BackendKeyData, b"\0\0\0\x01abc", MessageError::Truncated),
        (Tag::ParseComplete, b"x", MessageError::Trailing(1)),
        (Tag::NegotiateProtocolVersion, b"\0\x03\0\0\xff\xff\xff\xff", MessageError::Truncated),
    ] {
        assert_eq!(parse(tag, body), Err(error), "{tag:?} {body:?}");
    }
    let long = [0; 4 + 257];
    assert_eq!(parse(Tag::BackendKeyData, &long), Err(MessageError::Trailing(1)));
    assert!(parse(Tag::BackendKeyData, &long[1..]).is_ok());
}

#[test]
fn severity_is_read_untranslated() {
    for (body, fatal) in [
        (&b"SERROR\0VERROR\0\0"[..], false),
        (b"SFATAL\0\0", true),
        (b"SFATALER FEHLER\0VFATAL\0\0", true),
        (b"SPANIC\0VPANIC\0\0", true),
        (b"\0", false),
    ] {
        let Ok(Backend::ErrorResponse(report)) = parse(BackendTag::ErrorResponse, body) else { panic!() };
        assert_eq!(report.is_fatal(), fatal);
    }
}

#[test]
fn negotiation_names_what_is_unknown() {
    let mut out = Vec::new();
    encode::negotiate_version(&mut out, Version::V3_2, ["_pq_.a", "_pq_.b"].into_iter()).unwrap();
    let Ok(Backend::NegotiateProtocolVersion(told)) = parse(BackendTag::NegotiateProtocolVersion, body_of(&out)) else {
        panic!()
    };
    assert_eq!(told.version, Version::V3_2);
    let names: Vec<_> = told.unknown_options().map(|name| name.utf8().unwrap()).collect();
    assert_eq!(names, ["_pq_.a", "_pq_.b"]);
}

proptest! {
    #[test]
    fn rows_survive(values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..6)) {
        let borrowed: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
        let mut out = Vec::new();
        encode::data_row(&mut out, borrowed.iter().copied()).unwrap();
        let Ok(Backend::DataRow(row)) = parse(BackendTag::DataRow, body_of(&out)) else { panic!() };
        prop_assert_eq!(row.iter().len(), borrowed.len());
        prop_assert_eq!(row.iter().collect::<Vec<_>>(), borrowed);
        for end in 0..body_of(&out).len() {
            prop_assert!(parse(BackendTag::DataRow, &body_of(&out)[..end]).is_err());
        }
    }

    #[test]
    fn descriptions_survive(
        columns in prop::collection::vec(("[^\\x00]{0,9}", any::<(u32, i16, u32, i16, i32, bool)>()), 0..6),
    ) {
        let fields: Vec<Field<'_>> = columns.iter().map(|(name, (table, column, type_oid, type_size, type_modifier, binary))| Field {
            name: Text::new(name.as_bytes()),
            table: *table,
            column: *column,
            type_oid: *type_oid,
            type_size: *type_size,
            type_modifier: *type_modifier,
            format: if *binary { Format::Binary } else { Format::Text },
        }).collect();
        let mut out = Vec::new();
        encode::row_description(&mut out, fields.iter().copied()).unwrap();
        let Ok(Backend::RowDescription(description)) = parse(BackendTag::RowDescription, body_of(&out)) else { panic!() };
        prop_assert_eq!(description.iter().collect::<Vec<_>>(), fields);
    }

    #[test]
    fn reports_survive(fields in prop::collection::vec((1u8..=255, prop::collection::vec(1u8..=255, 0..9)), 0..6), error: bool) {
        let mut out = Vec::new();
        encode::report_fields(&mut out, error, fields.iter().map(|(code, text)| (*code, &text[..]))).unwrap();
        let tag = if error { BackendTag::ErrorResponse } else { BackendTag::NoticeResponse };
        let (Ok(Backend::ErrorResponse(report)) | Ok(Backend::NoticeResponse(report))) = parse(tag, body_of(&out)) else {
            panic!()
        };
        let read: Vec<_> = report.iter().map(|(code, text)| (code, text.bytes().to_vec())).collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn the_others_survive(
        number: u32, one in prop::collection::vec(1u8..=255, 0..9), two in prop::collection::vec(1u8..=255, 0..9),
        data in prop::collection::vec(any::<u8>(), 4..20), types in prop::collection::vec(any::<u32>(), 0..5),
        status in prop::sample::select(&b"ITE"[..]),
    ) {
        use BackendTag as Tag;
        let (text, more) = ([&one[..], b"\0"].concat(), [&two[..], b"\0"].concat());
        let pair = [&text[..], &more].concat();
        let oids: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
        let copy = vec![1, 0, 2, 0, 1, 0, 0];
        for (tag, body) in [
            (Tag::BackendKeyData, [&number.to_be_bytes()[..], &data].concat()),
            (Tag::CommandComplete, text.clone()),
            (Tag::CopyData, data.clone()),
            (Tag::CopyInResponse, copy.clone()), (Tag::CopyOutResponse, copy.clone()), (Tag::CopyBothResponse, copy),
            (Tag::FunctionCallResponse, [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], &data].concat()),
            (Tag::FunctionCallResponse, vec![255; 4]),
            (Tag::NotificationResponse, [&number.to_be_bytes()[..], &pair].concat()),
            (Tag::ParameterDescription, [&[0, u8::try_from(types.len()).unwrap()][..], &oids].concat()),
            (Tag::ParameterStatus, pair),
            (Tag::ReadyForQuery, vec![status]),
            (Tag::BindComplete, vec![]), (Tag::CloseComplete, vec![]), (Tag::CopyDone, vec![]),
            (Tag::EmptyQueryResponse, vec![]), (Tag::NoData, vec![]), (Tag::ParseComplete, vec![]),
            (Tag::PortalSuspended, vec![]),
        ] {
            prop_assert_eq!(parse(tag, &body).map(|message| message.tag()), Ok(tag));
            let open = matches!(tag, Tag::CopyData | Tag::BackendKeyData);
            prop_assert_eq!(parse(tag, &[&body[..], b"\0"].concat()).is_ok(), open);
        }
    }

    #[test]
    fn whatever_is_accepted_is_accounted_for(
        tag in prop::sample::select(BackendTag::ALL),
        body in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..40),
    ) {
        let _ = parse(tag, &body);
    }
}
