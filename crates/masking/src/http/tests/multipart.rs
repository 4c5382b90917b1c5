//! Bodies of several parts.

use super::*;

const FORM: &str = "multipart/form-data; boundary=b";

fn form(parts: &[(&str, &str)]) -> String {
    let parts = parts
        .iter()
        .map(|(head, content)| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n"));
    format!("{}--b--", parts.collect::<String>())
}

#[test]
fn each_part_is_masked_as_what_it_says_that_it_is() {
    let case = Case::all();
    for (given, expected) in [
        (("name=a", "paid with 4111 1111 1111 1111"), ("name=a", "paid with [card_number]")),
        (("name=a; filename=\"a@b.example\"", "x"), ("name=a; filename=\"[email]\"", "x")),
        (
            ("name=a\r\nContent-Type: application/json\r\nContent-Length: 27", "{\"n\": 4111111111111111}"),
            ("name=a\r\nContent-Type: application/json", "{\"n\": null}"),
        ),
        (
            ("name=a\r\nContent-Type: text/plain", "4111111111111111\r\n-- \r\n"),
            ("name=a\r\nContent-Type: text/plain", "[card_number]\r\n-- \r\n"),
        ),
    ] {
        let (given, expected) = (form(&[given, ("name=z", "1")]), form(&[expected, ("name=z", "1")]));
        assert_eq!(case.text(FORM, &given), expected, "{given:?}");
    }
    assert_eq!(
        case.text("multipart/mixed; boundary=b", "--b\r\n\r\n4111111111111111\r\n--b--\r\n"),
        "--b\r\n\r\n[card_number]\r\n--b--"
    );
}

#[test]
fn a_field_is_masked_by_its_name() {
    let case = Case::all().rule("$.pin", "secret");
    let given = form(&[("name=pin", "1234"), ("name=\"user[pin]\"", "1234"), ("name=a", "1234")]);
    let expected = form(&[("name=pin", "[secret]"), ("name=\"user[pin]\"", "[secret]"), ("name=a", "1234")]);
    assert_eq!(case.text(FORM, &given), expected);
    let file = "name=pin\r\nContent-Type: image/png";
    assert_eq!(case.text(FORM, form(&[(file, "\u{0}1234")])), form(&[(file, "[secret]")]));
    // The places of other parts are not those of the body.
    let json = form(&[("name=a\r\nContent-Type: application/json", "{\"pin\": 1}")]);
    assert_eq!(case.refusal(FORM, json), Unmaskable::MediaType);
    assert_eq!(case.refusal("multipart/mixed; boundary=b", "--b\r\n\r\nx\r\n--b--"), Unmaskable::MediaType);
}

#[test]
fn what_cannot_be_masked_is_refused() {
    let (case, long) = (Case::all(), form(&[("name=a", &"x".repeat(1024 * 1024 + 1))]));
    for (media, body, why) in [
        (FORM, form(&[("name=a\r\nContent-Type: image/png", "x")]), Unmaskable::MediaType),
        (FORM, form(&[("name=a\r\nContent-Type: multipart/mixed; boundary=c", "--c--")]), Unmaskable::MediaType),
        (FORM, form(&[("name=a\r\nContent-Transfer-Encoding: base64", "eA==")]), Unmaskable::Malformed),
        (FORM, form(&[("name=a", "x\n--b\n")]), Unmaskable::Malformed),
        (FORM, form(&[("name=a", "x")]).replace("--b--", "--b"), Unmaskable::Malformed),
        (FORM, long, Unmaskable::TooLong),
        ("multipart/form-data", form(&[]), Unmaskable::MediaType),
        ("multipart/byteranges; boundary=b", form(&[]), Unmaskable::MediaType),
    ] {
        assert_eq!(case.refusal(media, &body), why, "{media} {:?}", &body[..body.len().min(100)]);
    }
    // Where nothing is hidden all of it goes out as it came.
    let odd = form(&[("name=a", "x\n--b\n")]);
    assert_eq!(Case::nothing().text(FORM, &odd), odd);
}
