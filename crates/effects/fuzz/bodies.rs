//! What is tried with any text, for the fuzz target and for the test that runs the same over its seeds
//! (`tests/fuzz_bodies.rs`).

use std::sync::OnceLock;

use effects::http::{Api, Body, Call, Declared, Speaks};
use effects::kubernetes;
use effects::postgres::{Catalog, NoPrepared, Session, analyse, comment, saved};
use model::http::protobuf::{Schema, push_bytes};

/// The tables that the golden statements are about.
fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let rows = include_str!("../tests/fixture/user.tsv");
    CATALOG.get_or_init(|| saved::read(&format!("{}\n{rows}", saved::HEADER)).unwrap())
}

/// Any text: no panic, each statement has an effect and lies in the text, and so do its constants, in their order. To be
/// analysed twice changes nothing.
pub fn analyse_text(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let session = Session {
        catalog: catalog(),
        search_path: &["pg_catalog".into(), "public".into()],
        user: "fuzz",
        standard_conforming_strings: text.len() % 2 == 0,
        prepared: &NoPrepared,
        parameter_types: &[],
    };
    let (text, _) = comment::split(text);
    let statements = analyse(text, &session);
    for statement in &statements {
        assert!(!statement.effects.is_empty());
        assert!(text.get(statement.range.clone()).is_some());
        let mut end = 0;
        for literal in &statement.literals {
            assert!(end <= literal.start && text.get(literal.start..literal.end).is_some());
            end = literal.end;
        }
    }
    assert_eq!(analyse(text, &session), statements);
}

/// Any bytes as a line of SSH: something is always done, and what is not understood is said to be.
pub fn exec_line(data: &[u8]) {
    for interactive in [false, true] {
        let Ok(request) = effects::ssh::exec(data, interactive) else { continue };
        assert!(!request.effects.is_empty());
        let is_opaque = request.effects.iter().any(|effect| effect.verb.as_str() == "opaque");
        assert_eq!(is_opaque, request.facts.opaque.is_some());
    }
}

/// Routes that speak each protocol.
fn api() -> &'static Api {
    static API: OnceLock<Api> = OnceLock::new();
    let declared = |pattern, speaks| Declared { pattern, operation: None, speaks };
    let routes = [
        declared("* /graphql", Speaks::Graphql),
        declared("* /rpc", Speaks::JsonRpc),
        declared("* /mcp", Speaks::Mcp),
        declared("* /{service}/{method}", Speaks::Grpc),
    ];
    API.get_or_init(|| Api::new(None, &routes).unwrap().with_messages(Some(messages())).with_form_methods(true))
}

/// One method, `shop.Shop/Get`, whose message has a number, a text, itself, and a list of numbers.
fn messages() -> Schema {
    let message = |parts: &[(u32, &[u8])]| {
        let mut out = Vec::new();
        parts.iter().for_each(|(number, bytes)| push_bytes(*number, bytes, &mut out));
        out
    };
    let field = |name: &[u8], number: u8, label: u8, kind: u8| {
        [message(&[(1, name), (6, b".shop.Wanted")]), vec![0x18, number, 0x20, label, 0x28, kind]].concat()
    };
    let fields = [field(b"id", 1, 1, 3), field(b"text", 2, 1, 9), field(b"inner", 3, 1, 11), field(b"all", 4, 3, 5)];
    let parts: Vec<(u32, &[u8])> = fields.iter().map(|field| (2, &field[..])).collect();
    let wanted = [message(&[(1, b"Wanted")]), message(&parts)].concat();
    let method = message(&[(1, b"Get"), (2, b".shop.Wanted"), (3, b".shop.Wanted")]);
    let service = message(&[(1, b"Shop"), (2, &method)]);
    Schema::read(&message(&[(1, &message(&[(2, b"shop"), (4, &wanted), (6, &service)]))])).unwrap()
}

/// A path, a line break and a body: something is always done, what is not understood is said to be, and it is the same the
/// second time.
pub fn http_body(data: &[u8]) {
    let Some(at) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (path, body) = (String::from_utf8_lossy(&data[..at]), &data[at + 1..]);
    for (essence, method) in [
        ("application/json", "POST"),
        ("application/graphql", "POST"),
        ("application/grpc", "POST"),
        ("application/x-www-form-urlencoded", "POST"),
        ("multipart/form-data; boundary=b", "POST"),
        ("application/json", "PUT"),
    ] {
        let media = model::http::Media::parse(essence).unwrap();
        let (media, body) = (Some(&media), Body::Whole(body));
        let call =
            Call { method, host: "api.example", path: &path, query: &[], media, body, coding: None, upgrade: false };
        let Ok(request) = api().analyse(&call) else { continue };
        assert!(!request.effects.is_empty());
        let is_opaque = request.effects.iter().any(|effect| effect.verb.as_str() == "opaque");
        assert_eq!(is_opaque, request.facts.opaque.is_some());
        let size: usize = request.effects.iter().map(|effect| effect.to_string().len()).sum();
        assert!(size < 65_000 + 8 * path.len());
        assert_eq!(api().analyse(&call).as_ref(), Ok(&request));
    }
}

/// A request line, a media type and a body, each on a line: something is always done, what is not understood is said to be, what
/// the API server takes for a stream is one, and it is the same the second time.
pub fn kubernetes_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let (method, target) = lines.next().unwrap_or_default().split_once(' ').unwrap_or_default();
    let media = lines.next().and_then(|media| model::http::Media::parse(media).ok());
    let body = lines.next().map_or(Body::Unread, |body| Body::Whole(body.as_bytes()));
    let (path, given) = target.split_once('?').unwrap_or((target, ""));
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (name.into(), Some(value.replace("%20", " ").into())),
        None => (pair.into(), None),
    };
    let query: Vec<_> = given.split('&').map(pair).collect();
    for upgrade in [false, true] {
        let call = Call { method, host: "k", path, query: &query, media: media.as_ref(), body, coding: None, upgrade };
        let request = kubernetes::Api.analyse(&call);
        let verbs: Vec<&str> = request.effects.iter().map(|effect| effect.verb.as_str()).collect();
        let info = kubernetes::RequestInfo::of(method, path, &query);
        match info.filter(|info| info.is_resource).map(|info| info.subresource) {
            Some(part) if part == "exec" => assert_eq!(verbs.first(), Some(&"kubernetes:exec")),
            Some(part) if part == "attach" => assert_eq!(verbs.first(), Some(&"kubernetes:attach")),
            Some(_) | None => assert!(!verbs.is_empty()),
        }
        assert_eq!(verbs.contains(&"opaque"), request.facts.opaque.is_some());
        assert_eq!(kubernetes::Api.analyse(&call), request);
    }
}
