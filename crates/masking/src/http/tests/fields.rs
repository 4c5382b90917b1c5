//! Fields of requests and answers.

use super::*;

fn head(case: &Case, change: Change, fields: &[(&str, &str)]) -> (Vec<(String, String)>, Disclosure) {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let head = Head::new(&case.plan(), change, fields);
    let shown = head.fields().map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
    (shown.collect(), head.disclosure().clone())
}

fn value(case: &Case, name: &str, value: &str) -> Option<String> {
    let (fields, _) = head(case, Change::Rewritten, &[(name, value)]);
    fields.into_iter().next().map(|(_, value)| value)
}

/// HT-08: what says something of the bytes as they were does not go with others.
#[test]
fn ht_08_what_speaks_of_the_bytes_goes_when_they_change() {
    let of_the_bytes = [
        ("Content-Length", "17"),
        ("content-encoding", "gzip"),
        ("Content-MD5", "x"),
        ("Digest", "x"),
        ("Repr-Digest", "x"),
        ("Content-Digest", "x"),
        ("Signature", "x"),
        ("Signature-Input", "x"),
        ("Accept-Ranges", "bytes"),
        ("X-Amz-Checksum-Crc32", "x"),
        ("x-goog-hash", "x"),
    ];
    let kept =
        [("Content-Type", "application/json"), ("Vary", "Accept"), ("Last-Modified", "Mon, 30 Nov 2026 09:00:00 GMT")];
    let all: Vec<(&str, &str)> = of_the_bytes.into_iter().chain(kept).collect();
    let owned = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(head(&Case::all(), Change::Rewritten, &all).0, owned(&kept));
    assert_eq!(head(&Case::nothing(), Change::Same, &all).0, owned(&all));
}

/// HT-08: an entity tag may be a digest of what is hidden.
#[test]
fn ht_08_an_entity_tag_is_weak_or_goes() {
    let by_place = Case::hiding(&["secret"]).rule("$.pin", "secret");
    assert_eq!(value(&by_place, "ETag", "\"x\""), None);
    assert_eq!(value(&Case::all(), "ETag", "\"x\"").as_deref(), Some("W/\"x\""));
    assert_eq!(value(&Case::all(), "ETag", "W/\"x\"").as_deref(), Some("W/\"x\""));
    assert_eq!(head(&Case::nothing(), Change::Same, &[("etag", "\"x\"")]).0[0].1, "\"x\"");
}

/// HT-08: nothing is asked for in parts, nor in codings that cannot be taken off.
#[test]
fn ht_08_a_request_asks_for_nothing_that_cannot_be_masked() {
    let (by_place, by_content) = (Case::hiding(&["secret"]).rule("$.pin", "secret").plan(), Case::all().plan());
    for plan in [&by_place, &by_content] {
        for name in ["Range", "if-range", "A-IM", "Want-Repr-Digest", "Want-Content-Digest"] {
            assert_eq!(asked(plan, true, name, b"bytes=0-9"), Asked::Drop, "{name}");
        }
        for (value, expected) in [
            ("gzip, br;q=0.5, dcb, ZSTD , *;q=0", "gzip, br;q=0.5, ZSTD"),
            ("compress", "identity"),
            ("", "identity"),
            ("identity;q=0, deflate", "deflate"),
        ] {
            let asked = asked(plan, true, "Accept-Encoding", value.as_bytes());
            assert_eq!(asked, Asked::Instead(expected.as_bytes().to_vec()), "{value}");
        }
        assert_eq!(asked(plan, true, "Accept", b"*/*"), Asked::Keep);
        assert_eq!(plan.admits(206), Err(Unmaskable::Partial));
        assert_eq!(plan.admits(226), Err(Unmaskable::Partial));
        assert_eq!(plan.admits(200), Ok(()));
    }
    for name in ["If-None-Match", "If-Match"] {
        assert_eq!(asked(&by_place, true, name, b"\"x\""), Asked::Drop);
        // What would otherwise be written over.
        assert_eq!(asked(&by_place, false, name, b"\"x\""), Asked::Keep);
        assert_eq!(asked(&by_content, true, name, b"\"x\""), Asked::Keep);
    }
    let nothing = Case::nothing().plan();
    assert_eq!(asked(&nothing, true, "Range", b"bytes=0-9"), Asked::Keep);
    assert_eq!(asked(&nothing, true, "Accept-Encoding", b"dcb"), Asked::Keep);
    assert_eq!(nothing.admits(206), Ok(()));
}

/// What one may see is not kept for others.
#[test]
fn shared_caches_keep_nothing_that_another_may_not_see() {
    let clear = Case::nothing().rule("$.pin", "secret");
    for (given, expected) in [
        ("public, max-age=60", "max-age=60, private"),
        ("S-MaxAge=5,no-cache=\"set-cookie, x\", private=\"a\"", "no-store"),
        ("no-store", "no-store, private"),
        ("", "private"),
    ] {
        assert_eq!(value(&Case::all(), "Cache-Control", given).as_deref(), Some(expected));
        assert_eq!(head(&clear, Change::Same, &[("cache-control", given)]).0[0].1, expected);
        assert_eq!(head(&Case::nothing(), Change::Same, &[("cache-control", given)]).0[0].1, given);
    }
    assert_eq!(value(&Case::all(), "CDN-Cache-Control", "max-age=9"), None);
    assert_eq!(value(&Case::all(), "Surrogate-Control", "max-age=9"), None);
}

#[test]
fn values_of_fields_are_searched_as_they_are_spelt() {
    let case = Case::all();
    for (name, given, expected) in [
        (
            "Location",
            "https://x.example/a?to=a%40b.example&card=4111+1111+1111+1111&q=%c3%a9",
            "https://x.example/a?to=%5Bemail%5D&card=%5Bcard_number%5D&q=%c3%a9",
        ),
        ("Set-Cookie", "s=4111111111111111; Path=/", "s=[card_number]; Path=/"),
        ("Set-Cookie", "s=4111%3111%3111111111; Path=/", "s=%5Bcard_number%5D; Path=/"),
        ("grpc-message", "no card %34111111111111111 (%C3%A9)", "no card %5Bcard_number%5D (%C3%A9)"),
        ("X-Note", "of a@b.example", "of [email]"),
        ("X-Phone", "4155552671", "[phone]"),
        ("X-Other", "4155552671", "4155552671"),
        ("Content-Disposition", "attachment; filename=\"a@b.example.csv\"", "attachment; filename=\"[email]\""),
    ] {
        assert_eq!(value(&case, name, given).as_deref(), Some(expected), "{name}");
    }
    let (fields, disclosure) = head(&case, Change::Same, &[("X", CARD), ("a", "b"), ("a", "c")]);
    assert_eq!(fields.len(), 3);
    assert_eq!(disclosure.classes["card_number"], masked(1));
    let (_, disclosure) = head(&Case::nothing(), Change::Same, &[("X", CARD)]);
    assert_eq!(disclosure.classes["card_number"], clear(1));
}

#[test]
fn what_is_in_a_name_or_in_base64_does_not_go_out() {
    assert_eq!(value(&Case::all(), &format!("x-{CARD}"), "1"), None);
    assert_eq!(value(&Case::all(), "grpc-status-details-bin", "CAUSBW"), None);
    let (fields, _) =
        head(&Case::nothing(), Change::Same, &[("grpc-status-details-bin", "x"), ("x-4111111111111111", "y")]);
    assert_eq!(fields.len(), 2);
}

#[test]
fn a_head_is_written_in_lines() {
    let plan = Case::all().plan();
    let head = Head::new(&plan, Change::Rewritten, [("Content-Type", &b"text/plain"[..]), ("x", CARD.as_bytes())]);
    let expected = b"Content-Type: text/plain\r\nx: [card_number]\r\n";
    assert_eq!(head.disclosure().bytes, u64::try_from(expected.len()).unwrap());
    assert_eq!(head.into_masked().bytes(), expected);
}

#[test]
fn a_plan_says_what_it_hides_and_whether_another_shows_more() {
    let rule = |case: Case| case.rule("$.pin", "secret");
    let (nothing, content, place) =
        (rule(Case::nothing()).plan(), Case::hiding(&["email"]).plan(), rule(Case::hiding(&["secret"])).plan());
    assert!(!nothing.hides() && nothing.delivers_clear() && !nothing.hides_by_place());
    assert!(content.hides() && !content.delivers_clear() && !content.hides_by_place());
    assert!(place.hides() && !place.delivers_clear() && place.hides_by_place());
    assert!(place.hides_more_than(&nothing) && !nothing.hides_more_than(&place) && !place.hides_more_than(&place));
    let partial = rule(Case::hiding(&["secret"]).by(Transform::Partial { keep_last: 4 })).plan();
    assert!(place.hides_more_than(&partial) && !partial.hides_more_than(&place));
    // Rules that changed may hide another place.
    assert!(Case::hiding(&["secret"]).rule("$.pan", "secret").plan().hides_more_than(&place));
}
