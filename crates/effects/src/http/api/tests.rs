//! Which routes an API has.

use super::*;
use crate::http::Body;

fn api(patterns: &[&str]) -> Result<Api, Vec<String>> {
    let declared: Vec<Declared<'_>> =
        patterns.iter().map(|pattern| Declared { pattern, operation: None, speaks: Speaks::Http }).collect();
    Api::new(None, &declared).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn route(api: &Api, method: &str, path: &str) -> String {
    let call =
        Call { method, host: "h", path, query: &[], media: None, body: Body::None, coding: None, upgrade: false };
    let request = api.analyse(&call).unwrap();
    let Object::Route(route) = &request.effects[0].object else { panic!("{:?}", request.effects) };
    format!("{} {}", route.kind.as_str(), route.template).trim_end().to_owned()
}

#[test]
fn the_concrete_comes_before_what_is_templated() {
    let api = api(&["GET /users/{id}", "DELETE /users/{id}", "GET /users/me", "* /{all*}", "GET /{any}/me"]).unwrap();
    for (method, path, expected) in [
        ("GET", "/users/7", "documented /users/{id}"),
        ("GET", "/users/me", "documented /users/me"),
        // A server may take it for another user, so nobody's policy on other users lets it through.
        ("DELETE", "/users/me", "other_method /users/me"),
        ("PATCH", "/users/7", "other_method /users/{id}"),
        ("HEAD", "/users/7", "documented /users/{id}"),
        ("GET", "/a/me", "documented /{any}/me"),
        ("BREW", "/a/b/c", "documented /{all*}"),
        ("GET", "/users/7/x", "documented /{all*}"),
    ] {
        assert_eq!(route(&api, method, path), expected, "{method} {path}");
    }
    assert_eq!(route(&Api::default(), "GET", "/a"), "undocumented");
}

#[test]
fn mistakes_are_told_together() {
    let errors = api(&["GET", "get /a", " /a", "GET a", "GET /a/{b", "GET /x/{a}", "GET /x/{b}", "GET /c", "GET /c"]);
    let errors = errors.unwrap_err();
    assert_eq!(errors.len(), 7, "{errors:#?}");
    assert!(errors.contains(&"GET /x/{b}: /x/{a} fits the same paths".to_owned()), "{errors:#?}");
    assert!(errors.contains(&"GET /c: it is declared twice".to_owned()), "{errors:#?}");
}

const DOCUMENT: &str = r#"{"openapi":"3.1.0","paths":{
    "/graphql":{"post":{"operationId":"ask","responses":{"200":{"content":{"application/json":{"schema":
        {"properties":{"data":{"properties":{"mail":{"x-sluice-class":"email"}}}}}}}}}}},
    "/a":{"get":{},"put":{"x-sluice-speaks":"json-rpc"}}}}"#;

#[test]
fn what_is_declared_adds_to_the_document() {
    let speaks = Speaks::Graphql;
    let declared = [Declared { pattern: "POST /graphql", operation: None, speaks }];
    let api = Api::new(Some(DOCUMENT), &declared).unwrap();
    assert_eq!(api.find("POST", "/graphql").operation.unwrap().speaks, Speaks::Graphql);
    assert_eq!(&*api.find("POST", "/graphql").operation.unwrap().name, "ask");
    assert_eq!(api.classes(), [DataClass::new("email")].into());
    let looks_into = |method, path| api.looks_into(method, path, None);
    assert!(looks_into("POST", "/graphql") && !looks_into("PUT", "/a") && !looks_into("GET", "/a"));
    let any = [Declared { pattern: "* /graphql", operation: Some("any"), speaks }];
    let api = Api::new(Some(DOCUMENT), &any).unwrap();
    assert_eq!(api.find("POST", "/graphql").operation.unwrap().speaks, Speaks::Http);
    let other = api.find("GET", "/graphql").operation.unwrap();
    assert_eq!((&*other.name, other.speaks, other.fields.len()), ("any", Speaks::Graphql, 1));
}

#[test]
fn mistakes_of_the_document_are_told_with_their_place() {
    for (document, expected) in [
        (
            r#"{"openapi":"3.1.0","paths":{"/a/{x}":{"get":{}},"/a/{y}":{"get":{}}}}"#,
            "#/paths/~1a~1{y}/get: /a/{x} fits",
        ),
        (r#"{"openapi":"3.1.0","paths":{"/a b":{"get":{}}}}"#, "#/paths/~1a b/get: a template has a character"),
        (
            r#"{"openapi":"3.1.0","servers":[{"url":"/v1"}],"paths":{"/v1/a":{"servers":[{"url":"/"}],"get":{}},"/a":{"get":{}}}}"#,
            "another one has the same method and paths",
        ),
        ("{", "#: it is no JSON"),
    ] {
        let errors = Api::new(Some(document), &[]).unwrap_err();
        assert!(errors.iter().any(|error| error.to_string().contains(expected)), "{document}: {errors:?}");
    }
}
