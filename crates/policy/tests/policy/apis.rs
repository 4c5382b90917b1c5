//! Routes, fields, methods and tools of HTTP APIs.

use std::sync::Arc;

use model::decision::Outcome;
use model::effect::{
    Effect, GraphqlField, GraphqlKind, GrpcCall, GrpcMethod, McpItem, McpKind, Named, Object, Route, RouteKind,
    RpcCall, RpcMethod, Verb,
};
use policy::PolicySet;

use crate::common::*;
use crate::golden::api_effects;

fn set(texts: &[&str]) -> PolicySet {
    load(texts).unwrap_or_else(|errors| panic!("{}", show(&errors)))
}

fn outcome(policies: &PolicySet, verb: Verb, object: Object) -> Outcome {
    outcome_at(policies, "billing", verb, object)
}

fn outcome_at(policies: &PolicySet, name: &str, verb: Verb, object: Object) -> Outcome {
    let subject = policies.for_subject(&service("checkout", &["shops"]));
    judged(&subject, &target(name, "prod"), &[Effect::new(verb, object)]).outcome()
}

fn named(pairs: &[(&str, &str)]) -> Vec<Named> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn get(path: &str, parameters: &[(&str, &str)], query: &[(&str, &str)]) -> Object {
    Object::Route(Arc::new(Route {
        kind: RouteKind::Documented,
        method: "GET".into(),
        host: "api.example".into(),
        path: path.into(),
        template: "/v1/tenants/{tenant}/orders".into(),
        operation: "listOrders".into(),
        parameters: named(parameters),
        query: named(query),
    }))
}

fn field(kind: GraphqlKind, path: &[&str]) -> Object {
    let path = path.iter().map(|name| (*name).into()).collect();
    Object::GraphqlField(Arc::new(GraphqlField { route: "/graphql".into(), kind, operation: "Q".into(), path }))
}

fn grpc(service: &str, method: &str) -> Object {
    let route = format!("/{service}/{method}").into();
    Object::GrpcMethod(Arc::new(GrpcMethod { route, service: service.into(), method: method.into() }))
}

fn grpc_with(method: &str, arguments: &[(&str, &str)]) -> Object {
    let Object::GrpcMethod(method) = grpc("shop.v1.Orders", method) else { panic!() };
    Object::GrpcCall(Arc::new(GrpcCall { method: GrpcMethod::clone(&method), arguments: named(arguments) }))
}

fn rpc_with(method: &str, arguments: &[(&str, &str)]) -> Object {
    let method = RpcMethod { route: "/rpc".into(), method: method.into() };
    Object::RpcCall(Arc::new(RpcCall { method, arguments: named(arguments) }))
}

fn rpc(method: &str) -> Object {
    Object::RpcMethod(Arc::new(RpcMethod { route: "/mcp".into(), method: method.into() }))
}

fn item(kind: McpKind, name: &str, arguments: &[(&str, &str)]) -> Object {
    let item = McpItem { route: "/mcp".into(), kind, name: name.into(), arguments: named(arguments) };
    Object::Mcp(Arc::new(item))
}

/// Checks which of the conditions let a permit on this action hold for the object: one policy for each.
fn check(verb: Verb, object: &Object, conditions: &[(&str, bool)]) {
    let policies = conditions.iter().enumerate().map(|(at, (condition, _))| {
        format!(r#"@id("{at}") permit(principal, action == Action::"{verb}", resource) when {{ {condition} }};"#)
    });
    let policies = set(&[&policies.collect::<Vec<_>>().join("\n")]);
    let subject = policies.for_subject(&service("checkout", &["shops"]));
    let verdict = judged(&subject, &target("billing", "prod"), &[Effect::new(verb, object.clone())]);
    for (at, (condition, expected)) in conditions.iter().enumerate() {
        let holds = verdict.policies().iter().any(|id| **id == *at.to_string());
        assert_eq!(holds, *expected, "{condition}");
    }
}

/// Each action is permitted by its own name and forbidden by it, and nothing is without a permit.
#[test]
fn every_action_can_be_permitted_and_forbidden() {
    let (nothing, baseline) = (set(&[]), set(&[policy::BASELINE]));
    let all = |effect: &str, resource: &str| -> String {
        let one = |Effect { verb, .. }: &Effect| {
            format!(
                r#"@id("{effect}:{verb}") {effect}(principal, action == Action::"{verb}", resource in {resource});"#
            )
        };
        api_effects().iter().map(one).collect()
    };
    let permits = all("permit", r#"Target::"billing""#);
    let (permitted, forbidden) = (set(&[&permits]), set(&[&permits, &all("forbid", r#"HttpPath::"billing""#)]));
    for Effect { verb, object, .. } in api_effects() {
        assert_eq!(outcome(&nothing, verb, object.clone()), Outcome::Deny, "{verb}");
        assert_eq!(outcome(&baseline, verb, object.clone()), Outcome::Deny, "{verb}");
        assert_eq!(outcome_at(&permitted, "other", verb, object.clone()), Outcome::Deny, "{verb}");
        for (policies, outcome, by) in [(&permitted, Outcome::Allow, "permit"), (&forbidden, Outcome::Deny, "forbid")] {
            let subject = policies.for_subject(&service("checkout", &[]));
            let verdict = judged(&subject, &target("billing", "prod"), &[Effect::new(verb, object.clone())]);
            assert_eq!(verdict.outcome(), outcome, "{verb}");
            assert_eq!(verdict.policies().iter().map(|id| &**id).collect::<Vec<_>>(), [format!("{by}:{verb}")]);
        }
    }
}

#[test]
fn the_groups_hold_what_they_say() {
    use Verb::*;
    let group = |name: &str| set(&[&format!(r#"@id("p") permit(principal, action in Action::"{name}", resource);"#)]);
    let reads = [Get, Head, Options, GraphqlQuery, GraphqlSubscribe, McpResource, McpPrompt];
    let writes = [Post, Put, Patch, DeleteRoute, GraphqlMutate];
    let changes = [Trace, Tunnel, OtherMethod, Upgrade];
    let (read, write, change, any) = (group("read"), group("write"), group("change"), group("any"));
    for Effect { verb, object, .. } in api_effects() {
        let is_in = |set: &PolicySet| outcome(set, verb, object.clone()) == Outcome::Allow;
        assert_eq!(is_in(&read), reads.contains(&verb), "{verb}");
        assert_eq!(is_in(&write), writes.contains(&verb), "{verb}");
        assert_eq!(is_in(&change), changes.contains(&verb), "{verb}");
        assert!(is_in(&any), "{verb}");
    }
}

#[test]
fn policies_see_all_of_a_route() {
    let route = get("/v1/tenants/checkout/orders", &[("tenant", "checkout")], &[("limit", "10"), ("limit", "20")]);
    let conditions = [
        ("resource.kind == RouteKind::\"documented\"", true),
        ("resource.kind == RouteKind::\"undocumented\"", false),
        ("resource.method == \"GET\" && resource.host == \"api.example\"", true),
        ("resource.path like \"/v1/tenants/*\"", true),
        ("resource.template == \"/v1/tenants/{tenant}/orders\"", true),
        ("resource.operation == \"listOrders\"", true),
        ("resource == HttpRoute::\"billing/GET/v1/tenants/{tenant}/orders\"", true),
        ("resource == HttpRoute::\"billing/GET/v1/tenants/checkout/orders\"", false),
        ("resource in HttpPath::\"billing/v1/tenants/checkout\"", true),
        ("resource in HttpPath::\"billing/v1/tenants/checkout/orders\"", true),
        ("resource in HttpPath::\"billing/v1/tenants/check\"", false),
        ("resource in HttpPath::\"billing\"", true),
        ("resource.parameters.hasTag(\"tenant\") && resource.parameters.getTag(\"tenant\") == \"checkout\"", true),
        ("resource.parameters.hasTag(\"other\")", false),
        ("resource.query.hasTag(\"limit\") && resource.query.getTag(\"limit\").contains(\"20\")", true),
        ("resource.query.hasTag(\"limit\") && resource.query.getTag(\"limit\") == [\"10\"]", false),
        (
            "resource.query.hasTag(\"limit\") && [\"10\", \"20\", \"30\"].containsAll(resource.query.getTag(\"limit\"))",
            true,
        ),
        ("resource.hasTag(\"env\") && resource.getTag(\"env\") == \"prod\"", true),
    ];
    check(Verb::Get, &route, &conditions);
}

/// A caller may have what is its own: what stands in the path is compared with who asks.
#[test]
fn a_path_parameter_is_compared_with_the_caller() {
    let own = "principal is Service && resource.parameters.hasTag(\"tenant\") && \
               resource.parameters.getTag(\"tenant\") == principal.id";
    let of = |tenant: &str| get(&format!("/v1/tenants/{tenant}/orders"), &[("tenant", tenant)], &[]);
    check(Verb::Get, &of("checkout"), &[(own, true)]);
    check(Verb::Get, &of("other"), &[(own, false)]);
    check(Verb::Get, &get("/v1/orders", &[], &[]), &[(own, false)]);
}

/// HT-03: no spelling but the canonical one reaches a policy.
#[test]
fn ht_03_a_path_cannot_be_left_by_another_spelling() {
    let all = set(&[r#"@id("p") permit(principal, action in Action::"any", resource in Target::"billing");"#]);
    let below =
        set(&[r#"@id("p") permit(principal, action == Action::"http:get", resource in HttpPath::"billing/v1");"#]);
    for path in ["/v1", "/v1/", "/v1/a%20b"] {
        assert_eq!(outcome(&below, Verb::Get, get(path, &[], &[])), Outcome::Allow, "{path}");
    }
    for path in ["/", "/v10/a", "/v2/v1", "/v1%2Fa", "/V1/a"] {
        assert_eq!(outcome(&below, Verb::Get, get(path, &[], &[])), Outcome::Deny, "{path}");
        assert_eq!(outcome(&all, Verb::Get, get(path, &[], &[])), Outcome::Allow, "{path}");
    }
    for path in ["", "v1/a", "//v1", "/v1//a", "/v1/../admin", "/v1/./a", "/v1/..", "/v1/é", "/v1/a b", "/v1/a\\b", "*"]
    {
        assert_eq!(outcome(&all, Verb::Get, get(path, &[], &[])), Outcome::Deny, "{path}");
    }
    let grpc =
        Object::GrpcMethod(Arc::new(GrpcMethod { route: "/a/../b".into(), service: "a".into(), method: "b".into() }));
    assert_eq!(outcome(&all, Verb::GrpcCall, grpc), Outcome::Deny);
    assert_eq!(outcome(&all, Verb::GraphqlQuery, field(GraphqlKind::Query, &[])), Outcome::Deny);
    let twice = get("/v1/a", &[("id", "1"), ("id", "2")], &[]);
    assert_eq!(outcome(&all, Verb::Get, twice), Outcome::Deny);
}

#[test]
fn fields_are_in_the_fields_around_them() {
    let email = field(GraphqlKind::Query, &["customer", "contact", "email"]);
    let conditions = [
        ("resource in GraphqlField::\"billing/query/customer\"", true),
        ("resource in GraphqlField::\"billing/query/customer/contact/email\"", true),
        ("resource == GraphqlField::\"billing/query/customer/contact/email\"", true),
        ("resource in GraphqlField::\"billing/query/contact\"", false),
        ("resource in GraphqlField::\"billing/mutation/customer\"", false),
        ("resource in HttpPath::\"billing/graphql\"", true),
        ("resource.path == \"customer.contact.email\" && resource.name == \"email\"", true),
        ("resource.kind == GraphqlKind::\"query\" && resource.operation == \"Q\"", true),
    ];
    check(Verb::GraphqlQuery, &email, &conditions);
    let named = field(GraphqlKind::Query, &["customer/contact"]);
    check(Verb::GraphqlQuery, &named, &[("resource in GraphqlField::\"billing/query/customer\"", false)]);
}

#[test]
fn methods_and_tools_are_permitted_by_name() {
    let orders = [
        ("resource == GrpcMethod::\"billing/shop.v1.Orders/Get\"", true),
        ("resource in GrpcService::\"billing/shop.v1.Orders\"", true),
        ("resource in GrpcService::\"billing/shop.v1\"", false),
        ("[\"Get\", \"List\"].contains(resource.name) && resource.service like \"shop.*\"", true),
        ("resource in HttpPath::\"billing/shop.v1.Orders\"", true),
    ];
    check(Verb::GrpcCall, &grpc("shop.v1.Orders", "Get"), &orders);
    let list = [
        ("resource.name like \"tools/*\"", true),
        ("resource == RpcMethod::\"billing/tools%2Flist\"", true),
        ("resource == RpcMethod::\"billing/tools/list\"", false),
    ];
    check(Verb::RpcCall, &rpc("tools/list"), &list);
    check(Verb::RpcCall, &rpc(""), &[("resource.name == \"\"", true)]);
    let resource = item(McpKind::Resource, "file:///srv/a", &[]);
    check(Verb::McpResource, &resource, &[("resource.uri like \"file:///srv/*\"", true)]);
    let (tool, prompt) = ("resource == McpTool::\"billing/summary\"", "resource == McpPrompt::\"billing/summary\"");
    check(Verb::McpPrompt, &item(McpKind::Prompt, "summary", &[]), &[(prompt, true)]);
    check(Verb::McpTool, &item(McpKind::Tool, "summary", &[]), &[(tool, true)]);
}

#[test]
fn arguments_are_sets_of_what_was_given() {
    let tool = item(McpKind::Tool, "read", &[("path", "/srv/a"), ("path", "/etc/shadow"), ("options.follow", "true")]);
    let conditions = [
        ("resource.arguments.hasTag(\"path\") && resource.arguments.getTag(\"path\") == [\"/srv/a\"]", false),
        ("resource.arguments.hasTag(\"path\") && resource.arguments.getTag(\"path\").contains(\"/etc/shadow\")", true),
        ("resource.arguments.hasTag(\"options.follow\")", true),
        ("resource.arguments.hasTag(\"mode\")", false),
    ];
    check(Verb::McpTool, &tool, &conditions);
}

/// Of a message that nobody looked into there are no arguments, which is not the same as a message that holds nothing.
#[test]
fn arguments_of_calls_are_those_of_tools() {
    let has = "resource has arguments && resource.arguments.hasTag(\"amount\")";
    let is_small = "resource has arguments && resource.arguments.hasTag(\"amount\") && \
                    [\"1\", \"2\"].containsAll(resource.arguments.getTag(\"amount\"))";
    let small = grpc_with("Refund", &[("amount", "1")]);
    let conditions = [
        ("resource has arguments", true),
        (has, true),
        (is_small, true),
        ("resource == GrpcMethod::\"billing/shop.v1.Orders/Refund\"", true),
        ("resource in GrpcService::\"billing/shop.v1.Orders\"", true),
    ];
    check(Verb::GrpcCall, &small, &conditions);
    let large = grpc_with("Refund", &[("amount", "1"), ("amount", "1000")]);
    check(Verb::GrpcCall, &large, &[(has, true), (is_small, false)]);
    check(Verb::GrpcCall, &grpc_with("Refund", &[]), &[("resource has arguments", true), (has, false)]);
    let unknown = grpc("shop.v1.Orders", "Refund");
    check(Verb::GrpcCall, &unknown, &[("resource has arguments", false), (has, false), (is_small, false)]);
    let first =
        "resource has arguments && resource.arguments.hasTag(\"0\") && resource.arguments.getTag(\"0\") == [\"7\"]";
    check(Verb::RpcCall, &rpc_with("refund", &[("0", "7")]), &[(first, true), ("resource.name == \"refund\"", true)]);
    check(Verb::RpcCall, &rpc_with("refund", &[]), &[("resource has arguments", true), (first, false)]);
    let conditions = [("resource has arguments", false), (first, false), ("resource.name == \"refund\"", true)];
    check(Verb::RpcCall, &rpc("refund"), &conditions);
}

/// An answer is remembered for what was asked alone: another value, host or tool does not get it.
#[test]
fn an_answer_about_one_request_is_not_one_about_another() {
    let policies = set(&[
        r#"@id("p") permit(principal, action == Action::"http:get", resource is HttpRoute) when {
            resource.parameters.hasTag("tenant") && resource.parameters.getTag("tenant") == "a" &&
            !resource.query.hasTag("all") };"#,
        r#"@id("q") permit(principal, action == Action::"mcp:tool", resource is McpTool) when {
            resource.arguments.hasTag("x") && resource.arguments.getTag("x") == ["1"] };"#,
        r#"@id("r") permit(principal, action == Action::"graphql:query", resource is GraphqlField) when {
            resource.operation == "Q" && resource.path == "a.b" };"#,
        r#"@id("s") permit(principal, action == Action::"grpc:call", resource is GrpcMethod) when {
            resource has arguments && !resource.arguments.hasTag("x") };"#,
        r#"@id("t") permit(principal, action == Action::"rpc:call", resource is RpcMethod) when {
            resource has arguments && !resource.arguments.hasTag("x") };"#,
    ]);
    let subject = policies.for_subject(&service("checkout", &[]));
    let answer = |verb, object: Object| {
        judged(&subject, &target("billing", "prod"), &[Effect::new(verb, object)]).outcome() == Outcome::Allow
    };
    let long = "b".repeat(2000);
    for _ in 0..2 {
        assert!(answer(Verb::Get, get("/v1", &[("tenant", "a")], &[("x", "1")])));
        assert!(!answer(Verb::Get, get("/v1", &[("tenant", "b")], &[("x", "1")])));
        assert!(!answer(Verb::Get, get("/v1", &[("tenant", "a")], &[("x", "1"), ("all", "")])));
        assert!(answer(Verb::Get, get("/v1", &[("tenant", "a")], &[("x", &long)])));
        assert!(!answer(Verb::Get, get("/v1", &[("tenant", &long)], &[])));
        assert!(answer(Verb::McpTool, item(McpKind::Tool, "t", &[("x", "1")])));
        assert!(!answer(Verb::McpTool, item(McpKind::Tool, "t", &[("x", "1"), ("x", "2")])));
        assert!(answer(Verb::GraphqlQuery, field(GraphqlKind::Query, &["a", "b"])));
        assert!(!answer(Verb::GraphqlQuery, field(GraphqlKind::Query, &["a.b", "c"])));
        assert!(answer(Verb::GrpcCall, grpc_with("Get", &[])));
        assert!(!answer(Verb::GrpcCall, grpc("shop.v1.Orders", "Get")));
        assert!(!answer(Verb::GrpcCall, grpc_with("Get", &[("x", "1")])));
        assert!(answer(Verb::RpcCall, rpc_with("a", &[("y", "1")])));
        let Object::RpcCall(call) = rpc_with("a", &[]) else { panic!() };
        assert!(!answer(Verb::RpcCall, Object::RpcMethod(Arc::new(call.method.clone()))));
        assert!(answer(Verb::RpcCall, Object::RpcCall(call)));
        assert!(!answer(Verb::RpcCall, rpc_with("a", &[("x", "1")])));
    }
}

/// A request is refused whole where one of its effects is.
#[test]
fn ht_04_every_effect_of_a_request_is_asked_about() {
    let policies =
        set(&[r#"@id("p") permit(principal, action == Action::"http:post", resource in HttpPath::"billing");"#]);
    let subject = policies.for_subject(&service("checkout", &[]));
    let both = [Verb::Post, Verb::DeleteRoute].map(|verb| Effect::new(verb, get("/v1/a", &[], &[])));
    assert_eq!(judged(&subject, &target("billing", "prod"), &both).outcome(), Outcome::Deny);
    assert_eq!(judged(&subject, &target("billing", "prod"), &both[..1]).outcome(), Outcome::Allow);
}
