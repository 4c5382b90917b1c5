use std::io::Write;

use model::http::protobuf::push_bytes;

use super::super::api::{Api, Declared, Speaks};
use super::*;

#[test]
fn services_and_methods_are_the_last_names() {
    for (path, expected) in [
        ("/shop.v1.Orders/Get", Some(("shop.v1.Orders", "Get"))),
        ("/prefix/shop.v1.Orders/Get", Some(("shop.v1.Orders", "Get"))),
        ("/Orders/Get/", None),
        ("/Get", None),
        ("/shop.v1.Orders/Get%20", None),
        ("/shop%2FOrders/Get", None),
        ("/a/b.c", None),
        ("/", None),
    ] {
        assert_eq!(called(path), expected, "{path}");
    }
}

fn push(parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|(number, bytes)| push_bytes(*number, bytes, &mut out));
    out
}

/// Two methods that take a text, of which one may be given several.
fn schema() -> Schema {
    let text = [push(&[(1, b"text")]), b"\x18\x01\x20\x01\x28\x09".to_vec()].concat();
    let method = |name: &[u8]| push(&[(1, name), (2, b".shop.Wanted"), (3, b".shop.Wanted")]);
    let talk = [method(b"Talk"), b"\x28\x01".to_vec()].concat();
    let service = push(&[(1, b"Shop"), (2, &method(b"Get")), (2, &talk)]);
    let wanted = push(&[(1, b"Wanted"), (2, &text)]);
    Schema::read(&push(&[(1, &push(&[(2, b"shop"), (4, &wanted), (6, &service)]))])).unwrap()
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn zipped(message: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

/// The effects of a call, and why they are not all.
fn done(method: &str, media: &str, body: Body<'_>, coding: Option<&str>) -> (Vec<String>, Option<String>) {
    let (path, media) = (format!("/shop.Shop/{method}"), Media::parse(media).unwrap());
    let media = Some(&media);
    let call = Call { method: "POST", host: "h", path: &path, query: &[], media, body, coding, upgrade: false };
    let declared = Declared { pattern: "POST /{service}/{method}", operation: None, speaks: Speaks::Grpc };
    let api = Api::new(None, &[declared]).unwrap();
    let request = api.with_messages(Some(schema())).analyse(&call).unwrap();
    let effects = request.effects.iter().map(ToString::to_string).collect();
    (effects, request.facts.opaque.map(|why| why.to_string()))
}

const CALL: &str = "grpc:call method shop.Shop/Get";

#[test]
fn the_one_message_of_a_call_is_looked_into() {
    let message = push(&[(1, b"hi")]);
    let expected = (vec![format!("{CALL} text=hi")], None);
    let plain = framed(0, &message);
    assert_eq!(done("Get", "application/grpc", Body::Whole(&plain), None), expected);
    assert_eq!(done("Get", "application/grpc+proto", Body::Whole(&plain), Some("gzip")), expected);
    let small = framed(1, &zipped(&message));
    assert_eq!(done("Get", "application/grpc", Body::Whole(&small), Some("gzip")), expected);
    let empty = framed(0, b"");
    assert_eq!(done("Get", "application/grpc", Body::Whole(&empty), None), (vec![CALL.to_owned()], None));
}

#[test]
fn a_call_that_is_not_understood_is_a_call_all_the_same() {
    let message = push(&[(1, b"hi")]);
    let one = framed(0, &message);
    let (two, bomb) = ([one.clone(), one.clone()].concat(), framed(1, &zipped(&vec![0; LONGEST + 1])));
    let (small, behind) = (framed(1, &zipped(&message)), [zipped(&message), b"x".to_vec()].concat());
    let members = framed(1, &[zipped(&message), zipped(&message)].concat());
    let half = zipped(&message);
    for (media, body, coding) in [
        ("application/grpc", Body::None, None),
        ("application/grpc", Body::Unread, None),
        ("application/grpc", Body::Whole(b""), None),
        ("application/grpc", Body::Whole(&two), None),
        ("application/grpc", Body::Whole(&one[..one.len() - 1]), None),
        ("application/grpc", Body::Whole(&framed(2, &message)), None),
        ("application/grpc", Body::Whole(&small), None),
        ("application/grpc", Body::Whole(&small), Some("deflate")),
        ("application/grpc", Body::Whole(&framed(1, &message)), Some("gzip")),
        ("application/grpc", Body::Whole(&framed(1, &behind)), Some("gzip")),
        ("application/grpc", Body::Whole(&framed(1, &half[..half.len() - 1])), Some("gzip")),
        ("application/grpc", Body::Whole(&members), Some("gzip")),
        ("application/grpc", Body::Whole(&bomb), Some("gzip")),
        ("application/grpc", Body::Whole(&framed(0, b"\x0a")), None),
        ("application/grpc-web", Body::Whole(&one), None),
    ] {
        let (effects, why) = done("Get", media, body, coding);
        assert_eq!(effects, [CALL, "opaque target"], "{media} {body:?}");
        assert!(why.is_some());
    }
}

#[test]
fn a_method_that_a_described_service_does_not_have_is_not_understood() {
    let media = Some(Media::parse("application/grpc").unwrap());
    for (path, is_opaque) in [
        ("/shop.Shop/Get", true),
        ("/shop.Shop/Put", true),
        ("/shop.Shop/get", true),
        ("/SHOP.shop/Get", true),
        ("/shop.Shop/Talk", false),
        ("/shop.Shops/Put", false),
    ] {
        let (body, media) = (Body::Unread, media.as_ref());
        let call = Call { method: "POST", host: "h", path, query: &[], media, body, coding: None, upgrade: false };
        let declared = Declared { pattern: "POST /{service}/{method}", operation: None, speaks: Speaks::Grpc };
        let api = Api::new(None, &[declared]).unwrap().with_messages(Some(schema()));
        let effects = api.analyse(&call).unwrap().effects;
        assert_eq!(effects[0].verb, Verb::GrpcCall);
        assert_eq!(effects.contains(&Effect::new(Verb::Opaque, Object::Target)), is_opaque, "{path}");
    }
}

#[test]
fn of_several_messages_nothing_is_known() {
    let one = framed(0, &push(&[(1, b"hi")]));
    let expected = (vec!["grpc:call method shop.Shop/Talk".to_owned()], None);
    assert_eq!(done("Talk", "application/grpc", Body::Unread, None), expected);
    assert_eq!(done("Talk", "application/grpc", Body::Whole(&one), None), expected);
    let schema = Arc::new(schema());
    for (path, expected) in [("/shop.Shop/Get", true), ("/shop.Shop/Talk", false), ("/shop.Shop/Put", false)] {
        assert_eq!(looks_into(path, Some(&schema)), expected, "{path}");
        assert!(!looks_into(path, None));
    }
}
