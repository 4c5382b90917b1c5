use super::*;
use crate::postgres::backend::{Backend, field};
use crate::postgres::frame::{self, BackendTag, Limits, Phase};
use crate::postgres::part::Format;
use crate::postgres::startup::Version;

#[test]
fn no_length_is_ever_wrapped() {
    // SM-04: the lengths are only claimed, never allocated.
    let limit = usize::try_from(MAX_LENGTH).unwrap();
    let word = usize::try_from(u32::MAX).unwrap();
    assert_eq!(length_word(limit, MAX_LENGTH), Ok(MAX_LENGTH.to_be_bytes()));
    for length in [limit + 1, (1 << 31) - 1, 1 << 31, word, word + 5, usize::MAX] {
        assert_eq!(length_word(length, MAX_LENGTH), Err(EncodeError::TooLarge(length)));
        assert_eq!(within_limit(length), Err(EncodeError::TooLarge(length)));
    }
}

#[test]
fn what_does_not_fit_leaves_the_buffer_as_it_was() {
    let mut out = b"before".to_vec();
    let values = vec![None; 65_536];
    assert_eq!(data_row(&mut out, values.iter().copied()), Err(EncodeError::TooMany(65_536)));
    assert_eq!(parse(&mut out, b"", b"", &vec![0; 65_536]), Err(EncodeError::TooMany(65_536)));
    let formats = vec![Format::Text; 65_536];
    let parts = BindParts { formats: &formats, ..BindParts::default() };
    assert_eq!(bind(&mut out, &parts), Err(EncodeError::TooMany(65_536)));
    assert_eq!(query(&mut out, "a\0b"), Err(EncodeError::EmbeddedNul));
    assert_eq!(password(&mut out, b"a\0b"), Err(EncodeError::EmbeddedNul));
    let long = "x".repeat(10_000);
    assert!(matches!(startup(&mut out, Version::V3_0, [("user", &long[..])]), Err(EncodeError::TooLarge(_))));
    assert_eq!(cancel_request(&mut out, 1, &[0; 257]), Err(EncodeError::TooLarge(257)));
    assert_eq!(report_fields(&mut out, true, [(0, &b"x"[..])]), Err(EncodeError::ReportCode));
    assert_eq!(out, b"before");
    assert_eq!(data_row(&mut out, values[1..].iter().copied()), Ok(()));
}

#[test]
fn a_report_reaches_its_reader_whatever_its_text() {
    let report = Report {
        severity: Severity::Fatal,
        sqlstate: "57P01",
        message: "the token\0 expired",
        detail: None,
        hint: Some("renew it"),
    };
    let mut out = Vec::new();
    report.encode(&mut out).unwrap();
    let header = frame::backend(&out, Phase::Ready, &Limits::default()).unwrap().unwrap();
    assert_eq!(header.tag, BackendTag::ErrorResponse);
    let Backend::ErrorResponse(fields) = Backend::parse(&header.frame(&out).unwrap()).unwrap() else {
        panic!("not an error");
    };
    assert!(fields.is_fatal());
    assert_eq!(fields.sqlstate().bytes(), b"57P01");
    assert_eq!(fields.get(field::MESSAGE).unwrap().utf8(), Ok("the token\u{fffd} expired"));
    assert_eq!(fields.get(field::HINT).unwrap().bytes(), b"renew it");
    assert_eq!(fields.get(field::DETAIL), None);
}
