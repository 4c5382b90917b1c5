use super::*;

fn of(media: &str, body: &[u8]) -> Result<Vec<String>, &'static str> {
    let media = Media::parse(media).unwrap();
    let (media, body) = (Some(&media), Body::Whole(body));
    overridden(&Call { method: "POST", host: "h", path: "/", query: &[], media, body, coding: None, upgrade: false })
}

const FORM: &str = "application/x-www-form-urlencoded";
const PARTS: &str = "multipart/form-data; boundary=b";

fn part(head: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

#[test]
fn ht_04_a_form_asks_for_a_method_by_each_spelling_of_its_name() {
    for body in [
        "_method=DELETE",
        "a=1&_method=DELETE&b=2",
        "a=1;_method=DELETE",
        "%5Fmeth%6fd=%44ELETE",
        "+_method=DELETE",
        ".METHOD=DELETE",
        "_method=DELETE&_method=DELETE",
        "_method%00x=DELETE",
    ] {
        assert_eq!(of(FORM, body.as_bytes()), Ok(vec!["DELETE".to_owned()]), "{body}");
    }
    for body in ["", "method=DELETE", "a=1&b", "payment_method=card", "_methods=DELETE", "a=the method"] {
        assert_eq!(of(FORM, body.as_bytes()), Ok(vec![]), "{body}");
    }
    assert_eq!(of(FORM, b"[_method]=DELETE"), Ok(vec!["DELETE".to_owned()]));
    let many = format!("{}_method=DELETE", "_method=POST&".repeat(9));
    assert_eq!(of(FORM, many.as_bytes()), Ok(vec!["DELETE".to_owned(), "POST".to_owned()]));
    assert_eq!(of(FORM, b"_method=PUT&_method=DELETE"), Ok(vec!["DELETE".to_owned(), "PUT".to_owned()]));
}

#[test]
fn ht_04_a_part_asks_for_a_method() {
    let file = part("name=\"file\"; filename=\"method\"", "\u{0}\r\nmethod=PUT");
    for name in ["name=\"_method\"", "name=_METHOD", "name=\"%5Fmethod\""] {
        let body = format!("{file}{}--b--\r\n", part(name, "DELETE"));
        assert_eq!(of(PARTS, body.as_bytes()), Ok(vec!["DELETE".to_owned()]), "{name}");
    }
    assert_eq!(of(PARTS, format!("{file}--b--").as_bytes()), Ok(vec![]));
}

#[test]
fn a_form_that_readers_differ_about_is_not_understood() {
    let asks = format!("{}--b--", part("name=_method", "DELETE"));
    let inner = part("name=_method", "DELETE").replace("--b", "--c");
    for (media, body) in [
        (PARTS, &asks.replace("\r\n--b--", "\n--b\r\n\r\n--b--")),
        (PARTS, &asks.replace("form-data; name", "form-data; filename")),
        (PARTS, &asks.replace("name=", "name=a; name=")),
        (PARTS, &asks.replace("name=_method", "name=_method\r\nContent-Transfer-Encoding: base64")),
        (PARTS, &asks.replace("name=_method", "name='_method'")),
        (PARTS, &asks.replace("name=_method", "name=a; x=\"; name=_method\"")),
        (PARTS, &asks[..asks.len() - 2].to_owned()),
        ("multipart/form-data", &asks),
        ("multipart/form-data; xboundary=c; boundary=b", &format!("{}--b--", part("name=a", &inner))),
        ("application/x-www-form-urlencoded; charset=utf-16", &asks),
        (FORM, &"a=_method".to_owned()),
        (FORM, &"_method[]=DELETE".to_owned()),
        ("application/json", &"{\"_method\":\"DELETE\"}".to_owned()),
        ("application/json", &"{\"\\u005fmethod\":\"DELETE\"}".to_owned()),
    ] {
        assert!(of(media, body.as_bytes()).is_err(), "{media} {body:?}");
    }
    assert_eq!(of(PARTS, asks.as_bytes()), Ok(vec!["DELETE".to_owned()]));
    // Whatever of it they take otherwise, none of them finds a method.
    assert_eq!(of(PARTS, b"--b\n\nx\n--b--"), Ok(vec![]));
}

#[test]
fn what_a_form_asks_for_is_bounded() {
    let many = |count: usize| (0..count).map(|at| format!("_method=M{at}")).collect::<Vec<_>>().join("&");
    assert_eq!(of(FORM, many(8).as_bytes()).map(|found| found.len()), Ok(8));
    assert!(of(FORM, many(9).as_bytes()).is_err());
    assert!(of(FORM, format!("_method={}", "A".repeat(33)).as_bytes()).is_err());
}

#[test]
fn what_is_no_form_is_not_looked_into() {
    assert_eq!(of("text/csv", b"_method=DELETE"), Ok(vec![]));
    assert_eq!(of("application/json", b"{\"method\":\"DELETE\"}"), Ok(vec![]));
    let call = |method, body| Call {
        method,
        host: "h",
        path: "/",
        query: &[],
        media: None,
        body,
        coding: None,
        upgrade: false,
    };
    assert_eq!(overridden(&call("POST", Body::None)), Ok(vec![]));
    assert_eq!(overridden(&call("PUT", Body::Unread)), Ok(vec![]));
    assert!(overridden(&call("POST", Body::Unread)).is_err(), "some servers take it for a form");
}
