//! Media types that are not JSON.

use super::*;

/// HT-08, FINDINGS 4.6: each event by itself, the lines of its data together.
#[test]
fn events_are_masked_one_by_one() {
    let case = Case::all().rule("$.pin", "secret");
    for (stream, expected) in [
        ("data: {\"pin\": \"1234\"}\n\n", "data: {\"pin\": \"[secret]\"}\n\n"),
        ("data: {\"a\": \"1234\"}\n\n", "data: {\"a\": \"1234\"}\n\n"),
        (
            "event: e\r\nid: 1\r\ndata:{\"pin\": \r\ndata:\"1234\"}\r\nretry: 5\r\n\r\n",
            "event: e\r\nid: 1\r\ndata: {\"pin\": \r\ndata: \"[secret]\"}\r\nretry: 5\r\n\r\n",
        ),
        (": 4111111111111111 is no event\n\n", ": [card_number] is no event\n\n"),
        ("data: [DONE]\n\n", "data: [DONE]\n\n"),
        ("data\n\n", "data\n\n"),
        ("data: paid with 4111\ndata: 1111 1111 1111\n\n", "data: paid with 4111\ndata: 1111 1111 1111\n\n"),
        ("data: paid with 4111 1111 1111 1111\n\n", "data: paid with [card_number]\n\n"),
        ("id: {\"pin\": \"1\"}\ndata: x\n\n", "id: {\"pin\": \"[secret]\"}\ndata: x\n\n"),
        ("a@b.example: x\n\n", "[email]: x\n\n"),
        ("data: {\"pin\": 1}", "data: {\"pin\": null}\n"),
        ("\u{feff}data: {\"pin\": \"1\"}\n\n", "\u{feff}data: {\"pin\": \"[secret]\"}\n\n"),
        (
            "data: {\"pin\": \"1\"}\r\rdata: {\"pin\": \"2\"}\n\r\n",
            "data: {\"pin\": \"[secret]\"}\r\rdata: {\"pin\": \"[secret]\"}\n\r\n",
        ),
        ("", ""),
    ] {
        assert_eq!(case.text("text/event-stream", stream), expected, "{stream:?}");
    }
}

#[test]
fn an_event_that_has_members_and_is_no_json_is_refused_where_places_are_hidden() {
    let broken = "data: {\"pin\": \"1234\"\n\n";
    assert_eq!(Case::all().rule("$.pin", "secret").refusal("text/event-stream", broken), Unmaskable::Malformed);
    assert_eq!(Case::all().text("text/event-stream", broken), broken);
    let other = "date: {pin: 1}\n\n";
    assert_eq!(Case::all().rule("$.pin", "secret").refusal("text/event-stream", other), Unmaskable::Malformed);
}

#[test]
fn an_event_goes_out_when_it_is_whole_and_no_earlier() {
    let plan = Case::all().rule("$.pin", "secret").plan();
    let mut body = Body::new(&[b"text/event-stream"], &[], &plan).unwrap();
    assert!(body.push(b"data: {\"pin\": \"12\"}\n").unwrap().bytes().is_empty());
    let masked = body.push(b"\ndata: x").unwrap();
    assert_eq!(masked.bytes(), b"data: {\"pin\": \"[secret]\"}\n\n");
    assert_eq!(masked.disclosure().rows, 1);
    let mut case = Case::all();
    case.limits.record = 100;
    assert_eq!(case.refusal("text/event-stream", format!("data: {}\n\n", "x".repeat(100))), Unmaskable::TooLong);
    assert_eq!(case.text("text/event-stream", format!("data: {}\n\n", "x".repeat(92))).len(), 100);
}

#[test]
fn columns_are_masked_by_their_names_and_all_else_by_content() {
    let case = Case::all().rule("$.customers[*].card_pin", "secret");
    let table = "id,Card Pin,note\r\n1,1234,plain\r\n2,\"12\"\"34\",\"to \"\"a@b.example\"\"\nor, 4111111111111111\"\n\n3,,\r\n";
    let got = case.whole("text/csv", table).unwrap();
    let expected =
        "id,Card Pin,note\r\n1,[secret],plain\r\n2,\"[secret]\",\"to \"\"[email]\"\"\nor, [card_number]\"\n\n3,,\r\n";
    assert_eq!(got.text(), expected);
    assert_eq!((got.counts("secret"), got.counts("email"), got.disclosure.rows), (masked(2), masked(1), 3));
    let table = "\u{feff}ssn;name\n219099999;219099999";
    assert_eq!(Case::all().text("text/csv", table), "\u{feff}ssn;name\n[us_ssn];219099999");
    let pins = Case::hiding(&["secret"]).rule("$.pin", "secret");
    assert_eq!(pins.text("text/tab-separated-values", "a\tpin\nx,y\t1\n"), "a\tpin\nx,y\t[secret]\n");
    assert_eq!(pins.by(Transform::Null).text("text/csv", "a|pin\nx|\"1\"\ny|2"), "a|pin\nx|\"\"\ny|");
    let shown = Case::nothing().rule("$.pin", "secret").whole("text/csv", "a,pin\nx,1\ny,\n").unwrap();
    assert_eq!(shown.counts("secret"), clear(1));
}

/// The values of columns go by where they stand, so that there must be no doubt about it.
#[test]
fn a_table_that_can_be_read_in_two_ways_is_refused_where_places_are_hidden() {
    let case = Case::all().rule("$.pin", "secret");
    for table in [
        "1,1234\n2,5678\n",
        "id,pin\n1,2,3\n",
        "id,pin\n1\n",
        "id,pin\n5\" x,1234\n",
        "id,pin\n\"a\"b,1234\n",
        "id,pin\n\"a,1234\n",
    ] {
        assert_eq!(case.refusal("text/csv", table), Unmaskable::Malformed, "{table:?}");
        assert_eq!(Case::all().text("text/csv", table), table);
    }
    assert_eq!(Case::all().rule("$.pin", "secret").refusal("text/csv;header=absent", "1,2\n"), Unmaskable::MediaType);
    assert_eq!(Case::all().text("text/csv;header=absent", "1,a@b.example\n"), "1,[email]\n");
    assert_eq!(case.refusal("text/csv", "id,pin\n\0,1\n"), Unmaskable::Charset);
}

#[test]
fn forms_are_masked_by_their_names_and_by_content() {
    let case = Case::all().rule("$.card.pin", "secret");
    for (form, expected) in [
        ("pin=1234&a=b", "pin=%5Bsecret%5D&a=b"),
        (
            "card%5Bpin%5D=1234&card.pin=5&card[pin][]=6",
            "card%5Bpin%5D=%5Bsecret%5D&card.pin=%5Bsecret%5D&card[pin][]=%5Bsecret%5D",
        ),
        ("a=4111+1111%201111+1111+%2b&b=x%C3%A9", "a=%5Bcard_number%5D+%2b&b=x%C3%A9"),
        ("ssn=219099999&id=219099999", "ssn=%5Bus_ssn%5D&id=219099999"),
        ("a%40b.example=1", "%5Bemail%5D=1"),
        ("pin=&pin&&=", "pin=&pin&&="),
    ] {
        assert_eq!(case.text("application/x-www-form-urlencoded", form), expected);
    }
}

#[test]
fn text_is_masked_by_content_and_markup_through_its_references() {
    let case = Case::all();
    for media in ["text/plain", "text/x-log; charset=latin1", "application/yaml", "application/jwt"] {
        assert_eq!(case.text(media, format!("to a@b.example with {CARD}.\n")), "to [email] with [card_number].\n");
    }
    let page = "<p title=\"&#97;&commat;b.example\">4111&nbsp;1111&#x20;1111 1111</p> &amp; &eacute;";
    assert_eq!(case.text("text/html", page), "<p title=\"[email]\">[card_number]</p> &amp; &eacute;");
    let got = Case::nothing().whole("text/plain", CARD).unwrap();
    assert_eq!((got.text().as_str(), got.counts("card_number")), (CARD, clear(1)));
}

/// UTF-16 has a NUL beside each character of ASCII, and no value would be found in it.
#[test]
fn text_with_a_nul_is_refused() {
    for media in ["text/plain", "text/html", "text/event-stream", "text/csv"] {
        let wide: Vec<u8> = CARD.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Case::all().refusal(media, &wide), Unmaskable::Charset, "{media}");
    }
    let refused = Body::new(&[b"text/plain; charset=utf-16le"], &[], &Case::all().plan());
    assert_eq!(refused.err(), Some(Unmaskable::Charset));
}

#[test]
fn what_is_held_back_of_a_text_goes_out_as_stars_when_nothing_comes() {
    let mut body = Body::new(&[b"text/plain"], &[], &Case::all().plan()).unwrap();
    assert_eq!(body.push(b"card 4111 1111 1111 1111").unwrap().bytes(), b"card ");
    assert_eq!(body.tick().bytes(), b"*******************");
    assert_eq!(body.push(b", thanks").unwrap().bytes(), b", ");
    assert_eq!(body.end().unwrap().bytes(), b"thanks");
}

/// What cannot be masked on a route that must be is refused, never passed.
#[test]
fn what_is_not_read_is_refused_where_it_would_have_to_be_masked() {
    let opaque =
        ["image/png", "application/octet-stream", "application/grpc", "multipart/byteranges; boundary=x", "a/b"];
    let by_place = || Case::hiding(&["secret"]).rule("$.pin", "secret");
    let new = |case: Case, media: &str| Body::new(&[media.as_bytes()], &[], &case.plan()).err();
    for media in opaque {
        assert_eq!(new(Case::all(), media), Some(Unmaskable::MediaType), "{media}");
        assert_eq!(new(by_place(), media), Some(Unmaskable::MediaType), "{media}");
        let through = Case { opaque: Opaque::Through, ..by_place() };
        assert_eq!(new(through, media), Some(Unmaskable::MediaType), "{media}");
        let bytes = format!("\u{1}{CARD}\0{CARD}");
        let through = Case { opaque: Opaque::Through, ..Case::all() };
        let got = through.whole(media, &bytes).unwrap();
        assert_eq!(got.text(), format!("\u{1}[card_number]\0{CARD}"));
        assert_eq!(got.counts("card_number"), Counts { clear: 1, masked: 1 });
        let got = Case::nothing().whole(media, &bytes).unwrap();
        assert_eq!((got.text(), got.counts("card_number")), (bytes, clear(2)));
    }
    for media in ["text/plain", "text/html", "application/xml"] {
        assert_eq!(new(by_place(), media), Some(Unmaskable::MediaType), "{media}");
    }
}

#[test]
fn a_body_that_nobody_names_is_json_where_places_are_hidden_and_text_elsewhere() {
    let whole = |case: Case, bytes: &str| {
        let mut body = Body::new(&[], &[], &case.plan())?;
        let mut got = Got::default();
        got.add(body.push(bytes.as_bytes())?);
        got.add(body.end()?);
        Ok(got.text())
    };
    let by_place = || Case::hiding(&["secret"]).rule("$.pin", "secret");
    assert_eq!(whole(by_place(), "{\"pin\": 1}"), Ok("{\"pin\": null}".to_owned()));
    assert_eq!(whole(by_place(), "pin 1"), Err(Unmaskable::Malformed));
    assert_eq!(whole(by_place(), ""), Ok(String::new()));
    assert_eq!(whole(Case::all(), "pin 1 a@b.example"), Ok("pin 1 [email]".to_owned()));
}

#[test]
fn where_nothing_is_hidden_bodies_go_as_they_came_and_are_counted_as_far_as_they_are_read() {
    let case = Case::nothing().rule("$.pin", "secret");
    let body = format!("{{\"pin\": 1, \"a\": \"{CARD}\"}}");
    let got = case.whole(JSON, &body).unwrap();
    assert_eq!((got.text(), got.counts("secret"), got.counts("card_number")), (body, clear(1), clear(1)));
    for (media, body) in [(JSON, "{\"a\": 1,}"), ("text/plain", "a\0b"), ("nonsense", "x"), ("text/csv", "\0")] {
        assert_eq!(case.pieces(media, [body.as_bytes()]).unwrap().text(), body);
    }
    let body = Body::new(&[b"x/y"], &[b"nonsense"], &case.plan()).unwrap();
    assert_eq!(body.change(), Change::Same);
    assert_eq!(Body::new(&[b"text/plain"], &[], &Case::all().plan()).unwrap().change(), Change::Rewritten);
}
