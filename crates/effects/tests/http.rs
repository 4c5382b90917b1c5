//! What requests to an HTTP API do, as a file to be reviewed, and what no request can do to the analyser.
//!
//! `UPDATE_GOLDEN=1 cargo test -p effects --test http` writes the file anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fmt::Write;
use std::sync::OnceLock;

use effects::http::{Api, Body, Call, Declared, MOST_OF_A_BODY, Request, Speaks, TooMuch};
use model::classification::{Classification, RouteRule};
use model::effect::{Effect, Object, Verb};
use model::event::Shown;
use model::http::{FieldPath, FieldRule, Media};
use proptest::prelude::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/requests.txt");

fn api() -> &'static Api {
    static API: OnceLock<Api> = OnceLock::new();
    API.get_or_init(|| {
        let declared = |pattern, speaks| Declared { pattern, operation: None, speaks };
        let routes = [
            declared("* /graphql", Speaks::Graphql),
            declared("POST /rpc", Speaks::JsonRpc),
            declared("* /mcp", Speaks::Mcp),
            declared("POST /{service}/{method}", Speaks::Grpc),
            declared("GET /static/{path*}", Speaks::Http),
            declared("GET /live", Speaks::Http),
        ];
        Api::new(Some(include_str!("http/api.yaml")), &routes).unwrap().with_form_methods(true)
    })
}

/// A request as a line of the file has it: method, path and query, and behind ` | ` a media type and a body.
fn analysed(line: &str) -> Result<Request, TooMuch> {
    let mut parts = line.splitn(3, " | ");
    let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
    let (method, upgrade) = method.strip_suffix('+').map_or((method, false), |method| (method, true));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.into(), Some(value.into())),
            None => (pair.into(), None),
        })
        .collect();
    let media = parts.next().map(|media| Media::parse(media).unwrap());
    let body = parts.next().map_or(Body::None, |body| Body::Whole(body.as_bytes()));
    let call =
        Call { method, host: "api.example", path, query: &query, media: media.as_ref(), body, coding: None, upgrade };
    api().analyse(&call)
}

/// What the file classifies besides what the API's description does.
fn classification() -> Classification {
    let rule = |route: &str, path: &str, class: &str| RouteRule {
        target: "*".into(),
        route: route.into(),
        field: FieldRule {
            path: FieldPath::parse(path).unwrap(),
            classes: [model::class::DataClass::new(class)].into(),
            form: model::http::FieldForm::Plain,
        },
    };
    let fields = vec![
        rule("POST /graphql", "$.data.customers[*].email", "email"),
        rule("GET /live", "$.token", "secret"),
        rule("POST /rpc", "$.result.email", "email"),
        rule("* /{service}/{method}", "$", "unclassified"),
    ];
    Classification { fields, ..Classification::default() }
}

fn described(line: &str) -> String {
    let mut out = format!("$ {line}\n");
    let request = match analysed(line) {
        Ok(request) => request,
        Err(error) => return format!("{out}    refused: {error}\n"),
    };
    writeln!(out, "    {}", request.statement).unwrap();
    for effect in &request.effects {
        writeln!(out, "    {effect}").unwrap();
    }
    if let Some(why) = &request.facts.opaque {
        writeln!(out, "    why: {why}").unwrap();
    }
    if request.facts.multi {
        writeln!(out, "    multi").unwrap();
    }
    for rule in request.answer.rules("billing", &classification()) {
        let classes: Vec<&str> = rule.classes.iter().map(|class| class.as_str()).collect();
        writeln!(out, "    answer {}: {}", rule.path, classes.join(" ")).unwrap();
    }
    out
}

fn lines(file: &str) -> Vec<&str> {
    file.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
}

#[test]
fn requests_do_what_was_reviewed() {
    let expected = std::fs::read_to_string(FILE).unwrap();
    let found: String = expected
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("    "))
        .map(|line| match line.strip_prefix("$ ") {
            Some(line) => described(line.trim_end_matches('\n')),
            None => line.to_owned(),
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(FILE, &found).unwrap();
    }
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {FILE}", number + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
    assert!(lines(&expected).len() >= 90, "{}", lines(&expected).len());
}

fn effects(request: &Request) -> Vec<String> {
    request.effects.iter().map(ToString::to_string).collect()
}

/// HT-04: a method in the query of a POST is done as well as the one that was sent, and has to be permitted as well.
#[test]
fn ht_04_an_overriding_parameter_is_another_effect() {
    let request = analysed("POST /v1/customers/7?_method=delete").unwrap();
    let route = |kind| format!("route {kind} api.example/v1/customers/7");
    let expected = [
        format!("http:post {} (other method)", route("POST")),
        format!("http:delete {} (/v1/customers/{{id}})", route("DELETE")),
    ];
    assert_eq!(effects(&request), expected);
    let get = analysed("GET /v1/customers/7?_method=delete").unwrap();
    assert_eq!(get.effects.len(), 1);
}

/// HT-05 is decided where a connection is held; what a caller asks for by it is an effect of its own.
#[test]
fn another_protocol_is_another_effect() {
    let request = analysed("GET+ /live").unwrap();
    let route = "route GET api.example/live (/live)";
    assert_eq!(effects(&request), [format!("http:get {route}"), format!("http:upgrade {route}")]);
    let graphql = analysed("GET+ /graphql").unwrap();
    assert!(graphql.effects.iter().any(|effect| effect.verb == Verb::Upgrade));
}

#[test]
fn a_body_is_read_where_it_says_what_is_done() {
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    for (method, path, media, expected) in [
        ("POST", "/graphql", json, true),
        ("GET", "/graphql", json, false),
        ("POST", "/rpc", json, true),
        ("PUT", "/rpc", json, false),
        ("POST", "/mcp", json, true),
        ("DELETE", "/mcp", json, false),
        ("POST", "/shop.v1.Orders/Get", "application/grpc", false),
        ("POST", "/v1/customers", json, true),
        ("POST", "/v1/customers", "text/plain", false),
        ("POST", "/v1/customers", form, true),
        ("POST", "/v1/customers", "multipart/form-data; boundary=b", true),
        ("PUT", "/v1/customers", form, false),
        ("POST", "/nowhere", json, true),
        ("POST", "/nowhere", form, true),
    ] {
        let media = Media::parse(media).unwrap();
        assert_eq!(api().looks_into(method, path, Some(&media)), expected, "{method} {path} {media}");
    }
    assert!(!Api::default().looks_into("POST", "/v1/customers", Some(&Media::parse(form).unwrap())));
}

#[test]
fn a_body_that_was_not_read_is_not_understood() {
    let json = Media::parse("application/json").unwrap();
    let long = vec![b' '; MOST_OF_A_BODY + 1];
    for path in ["/graphql", "/rpc", "/mcp"] {
        for body in [Body::Unread, Body::None, Body::Whole(&long)] {
            let media = Some(&json);
            let call = Call { method: "POST", host: "h", path, query: &[], media, body, coding: None, upgrade: false };
            let request = api().analyse(&call).unwrap();
            assert!(request.effects.contains(&Effect::new(Verb::Opaque, Object::Target)), "{path} {body:?}");
        }
    }
}

/// LK-04 for HTTP: no secret that its name gives away is in what the record holds.
#[test]
fn lk_04_http_secrets_are_masked() {
    for line in [
        "GET /v1/customers?api_key=C4NARY",
        "GET /nowhere?X-Amz-Signature=C4NARY&a=b",
        r#"GET /graphql?query={me(token:"C4NARY")}&variables={"password":"C4NARY"}"#,
        r#"POST /mcp | application/json | {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"login","arguments":{"user":"ann","password":"C4NARY","deep":{"api_key":["C4NARY","C4NARY"]}}}}"#,
        r#"POST /rpc | application/json | {"jsonrpc":"2.0","id":1,"method":"login","params":{"password":"C4NARY"}}"#,
        r#"POST /rpc | application/json | {"jsonrpc":"2.0","id":1,"method":"login","params":{"otp":4711}}"#,
        r#"POST /graphql | application/json | {"query":"mutation { login(password: \"C4NARY\", in: {pin: [\"C4NARY\"], user: \"ann\"}) { id } }"}"#,
        r#"POST /graphql | application/json | {"query":"query($a: S) { me(a: $a) }","variables":{"a":{"secret":"C4NARY"}}}"#,
    ] {
        let request = analysed(line).unwrap();
        let all = format!("{request:?}");
        assert!(!all.contains("C4NARY") && !all.contains("4711"), "{line}: {all}");
        assert!(request.shown.contains("[secret]"), "{line}: {}", request.shown);
    }
    let request = analysed("GET /v1/customers?api_key=C4NARY&page=2").unwrap();
    assert_eq!(request.statement, "GET /v1/customers ?api_key=$1&page=$2");
    assert_eq!(request.values, [Shown::Masked("secret".into()), Shown::Clear("2".into())]);
    assert_eq!(request.shown, "GET api.example/v1/customers?api_key=[secret]&page=2");
}

#[test]
fn more_than_is_looked_at_is_refused() {
    let graphql = |query: &str| {
        let body = format!("POST /graphql | application/json | {}", serde_json::json!({ "query": query }));
        analysed(&body).map(|request| request.effects.len())
    };
    let nested = |depth: usize| format!("{}{}", "{a".repeat(depth), "}".repeat(depth));
    assert_eq!(graphql(&nested(33)), Ok(33));
    assert_eq!(graphql(&nested(34)), Err(TooMuch::Depth(32)));
    assert_eq!(graphql(&nested(10_000)), Err(TooMuch::Depth(32)));
    let value = format!("{{ a(x: {}1{}) }}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(graphql(&value), Err(TooMuch::Depth(32)));
    assert_eq!(graphql("{...A} fragment A on Q {...A}"), Err(TooMuch::Depth(32)));
    let mut bomb = "{...F0}".to_owned();
    for number in 0..20 {
        write!(bomb, " fragment F{number} on Q {{...F{} ...F{}}}", number + 1, number + 1).unwrap();
    }
    bomb.push_str(" fragment F20 on Q {a}");
    assert_eq!(graphql(&bomb), Err(TooMuch::Fields(2000)));
    let aliases = |count: usize| format!("{{{}}}", (0..count).map(|at| format!(" a{at}: login")).collect::<String>());
    assert_eq!(graphql(&aliases(2000)), Ok(1));
    assert_eq!(graphql(&aliases(2001)), Err(TooMuch::Fields(2000)));
    let long = format!("{{{}}}", (0..1000).map(|at| format!(" {}{at}", "n".repeat(40))).collect::<String>());
    assert!(matches!(graphql(&long), Err(TooMuch::Fields(_))));
    let calls = |path: &str, count: usize| {
        let all = vec![r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#; count].join(",");
        analysed(&format!("POST {path} | application/json | [{all}]")).map(|request| request.effects.len())
    };
    assert_eq!((calls("/rpc", 50), calls("/rpc", 51)), (Ok(1), Err(TooMuch::Calls(50))));
    let arguments = format!(r#"{{"x":["{}"]}}"#, vec!["a"; 500].join("\",\""));
    let tool = format!(
        r#"POST /mcp | application/json | {{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#
    );
    let error = analysed(&tool).unwrap_err();
    assert_eq!((error, error.kind()), (TooMuch::Arguments(500, 24 * 1024), model::error::ErrorKind::Limit));
    let parameters = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":[{}]}}"#, vec!["1"; 251].join(","));
    let calls = format!("POST /rpc | application/json | [{parameters},{parameters}]");
    assert_eq!(analysed(&calls), Err(TooMuch::Arguments(500, 24 * 1024)), "of all calls together");
}

fn is_consistent(request: &Request) {
    assert!(!request.effects.is_empty());
    let is_opaque = request.effects.contains(&Effect::new(Verb::Opaque, Object::Target));
    assert_eq!(is_opaque, request.facts.opaque.is_some());
    // An entry of the journal has room for it.
    let size: usize = request.effects.iter().map(|effect| effect.to_string().len()).sum();
    assert!(size < 65_000, "{size}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_body_is_something(
        path in prop_oneof![Just("/graphql"), Just("/rpc"), Just("/mcp"), Just("/a.B/C"), Just("/v1/customers")],
        media in prop_oneof![
            Just("application/json"),
            Just("application/graphql"),
            Just("application/grpc"),
            Just("application/x-www-form-urlencoded"),
            Just("multipart/form-data; boundary=b"),
            Just("text/plain"),
        ],
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let media = Media::parse(media).unwrap();
        let (media, body) = (Some(&media), Body::Whole(&body));
        let call = Call { method: "POST", host: "h", path, query: &[], media, body, coding: None, upgrade: false };
        is_consistent(&api().analyse(&call).unwrap());
    }

    /// However a field is called in the answer, and in however many fragments it stands, it is the same effect.
    #[test]
    fn aliases_and_fragments_change_nothing(
        path in proptest::collection::vec("[a-c]{1,2}", 1..6),
        spelled in proptest::collection::vec((any::<bool>(), 0_u8..3), 6),
    ) {
        let (mut plain, mut odd, mut fragments) = (String::new(), String::new(), String::new());
        for (at, (name, (aliased, fragment))) in path.iter().zip(&spelled).enumerate() {
            plain.push_str(&format!("{{ {name} "));
            let name = if *aliased { format!("x{at}: {name}") } else { name.clone() };
            match fragment {
                0 => odd.push_str(&format!("{{ {name} ")),
                1 => odd.push_str(&format!("{{ ... on T {{ {name} ")),
                _ => odd.push_str(&format!("{{ ... @include(if: true) {{ {name} ")),
            }
        }
        for (_, (_, fragment)) in path.iter().zip(&spelled).rev() {
            plain.push('}');
            odd.push_str(if *fragment == 0 { "}" } else { "}}" });
        }
        // The whole of it once more behind a named fragment.
        fragments.push_str(&format!("query {{ ...All }} fragment All on Query {odd}"));
        let found = |document: &str| {
            let body = serde_json::json!({ "query": document });
            effects(&analysed(&format!("POST /graphql | application/json | {body}")).unwrap())
        };
        prop_assert_eq!(found(&plain), found(&odd));
        prop_assert_eq!(found(&plain), found(&fragments));
    }
}
