//! What policies say of interfaces: operations, GraphQL, JSON-RPC and MCP; what they say of answers' schemas.

use anyhow::Result;
use model::effect::{Object, Verb};
use model::event::Event;

use crate::ground::{CALLER, Ground, Tuning};
use crate::support::record;

const DOCUMENT: &str = r##"{
  "openapi": "3.1.0",
  "info": { "title": "shop", "version": "1" },
  "paths": {
    "/v1/customers/{id}": {
      "get": {
        "operationId": "getCustomer",
        "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
        "responses": { "200": { "description": "one", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Customer" } } } } }
      }
    }
  },
  "components": { "schemas": { "Customer": { "type": "object", "properties": {
    "id": { "type": "integer" },
    "balance": { "type": "integer", "x-sluice-class": "secret" }
  } } } }
}"##;

const POLICIES: &str = r#"
@id("readers-connect")
permit (principal in Group::"readers", action == Action::"connect", resource in Target::"shop");
@id("readers-read-customers")
permit (principal in Group::"readers", action == Action::"http:get", resource is HttpRoute)
when { resource.operation == "getCustomer" && resource.parameters.hasTag("id") && resource.parameters.getTag("id") != "13" };
@id("readers-query")
permit (principal in Group::"readers", action == Action::"graphql:query", resource is GraphqlField)
when { resource.path == "me" || resource.path == "me.name" };
@id("readers-rpc")
permit (principal in Group::"readers", action == Action::"rpc:call", resource is RpcMethod)
when { resource.name == "read" };
@id("nobody-reads-the-vault")
forbid (principal, action == Action::"rpc:call", resource is RpcMethod)
when { resource has arguments && resource.arguments.hasTag("0") && resource.arguments.getTag("0").contains("vault") }
unless { principal in Group::"owners" };
@id("readers-tools")
permit (principal in Group::"readers", action == Action::"mcp:tool", resource is McpTool)
when { resource.name == "search" && resource.arguments.hasTag("query") };
"#;

fn ground() -> Result<Ground> {
    let target =
        "openapi = \"shop.json\"\ngraphql = [\"/graphql\"]\njson_rpc = [\"/rpc\"]\nmcp = [\"/mcp\"]\n".to_owned();
    let apis = vec![("apis/shop.json", DOCUMENT.to_owned())];
    Ground::tuned(Tuning { target, apis, policies: POLICIES.to_owned(), ..Tuning::default() })
}

#[test]
fn policies_speak_of_operations_and_their_parameters() -> Result<()> {
    let ground = ground()?;
    let readers = &["readers"];
    let answer = ground.ask(readers, "/v1/customers/7?expand=card", &[])?;
    assert_eq!(answer.status, 200, "{answer:?}");
    // By the document's schema: the number is hidden, and all is JSON still.
    assert!(!answer.body.contains("12345678901234567890"), "{answer:?}");
    assert_eq!(answer.json()["id"], 7);
    ground.ask(readers, "/v1/customers/13", &[])?.problem(403);
    ground.ask(readers, "/v1/customers/7", &["-X", "POST"])?.problem(403);
    ground.ask(readers, "/v1/other", &[])?.problem(403);
    let statement = record::wait_for(
        &ground.site,
        "the statement",
        |event| matches!(event, Event::Statement { text, .. } if text.starts_with("GET /v1/customers/{id} (id=$1) ?expand=$2")),
    )?;
    let Event::Statement { effects, .. } = statement else { panic!() };
    assert!(matches!(&effects[0].object, Object::Route(route) if &*route.operation == "getCustomer"), "{effects:?}");
    Ok(())
}

#[test]
fn each_field_method_and_tool_is_a_permission() -> Result<()> {
    let ground = ground()?;
    let readers = &["readers"];
    let post = |path: &str, body: &str| {
        ground.ask(readers, path, &["-X", "POST", "-H", "Content-Type: application/json", "-d", body])
    };
    let call = |method: &str, parameters: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{parameters}}}")
    };
    for (path, body, status) in [
        ("/graphql", "{\"query\":\"{ me { name } }\"}".to_owned(), 200),
        ("/graphql", "{\"query\":\"{ x: me { name } }\"}".to_owned(), 200),
        ("/graphql", "{\"query\":\"{ me { name email } }\"}".to_owned(), 403),
        ("/graphql", "{\"query\":\"mutation { pay }\"}".to_owned(), 403),
        ("/graphql", "{\"query\":\"{ __schema { types { name } } }\"}".to_owned(), 403),
        ("/graphql", "{\"query\":\"{ me {\"}".to_owned(), 403),
        ("/rpc", call("read", "[]"), 200),
        ("/rpc", call("read", "[\"shelf\"]"), 200),
        ("/rpc", call("read", "[\"vault\"]"), 403),
        ("/rpc", call("read", "\"vault\""), 403),
        ("/rpc", format!("[{},{}]", call("read", "[\"shelf\"]"), call("read", "[\"vault\"]")), 403),
        ("/rpc", call("write", "[]"), 403),
        ("/rpc", format!("[{},{}]", call("read", "[]"), call("write", "[]")), 403),
        ("/mcp", call("tools/call", "{\"name\":\"search\",\"arguments\":{\"query\":\"x\"}}"), 200),
        ("/mcp", call("tools/call", "{\"name\":\"search\",\"arguments\":{\"query\":\"x\",\"Query\":\"y\"}}"), 403),
        ("/mcp", call("tools/call", "{\"name\":\"delete\",\"arguments\":{}}"), 403),
    ] {
        assert_eq!(post(path, &body)?.status, status, "{path}: {body}");
    }
    let bodies: Vec<_> = ground.api.reached()?.into_iter().map(|one| one.path).collect();
    assert_eq!(bodies, ["/graphql", "/graphql", "/rpc", "/rpc", "/mcp"]);
    let seen = record::events(&ground.site)?;
    let is_field = |event: &Event| matches!(event, Event::Statement { effects, .. } if effects.iter().any(|effect| effect.verb == Verb::GraphqlQuery));
    assert!(seen.iter().any(is_field));
    Ok(())
}

/// HT-04: a form asks for another method in its body.
#[test]
fn ht_04_a_method_in_a_form_is_decided_on_as_well() -> Result<()> {
    let target = "form_method_override = true\n".to_owned();
    let policies = "@id(\"callers-do\") permit(principal in Group::\"callers\", action in Action::\"write\", \
                    resource in Target::\"shop\"); @id(\"no-delete\") forbid(principal, action == \
                    Action::\"http:delete\", resource is HttpRoute);";
    let ground = Ground::tuned(Tuning { target, policies: policies.to_owned(), ..Tuning::default() })?;
    let file = ground.folder.path().join("file");
    std::fs::write(&file, vec![0_u8; 300 << 10])?;
    let upload = format!("file=@{}", file.display());
    for (arguments, status) in [
        (&["-d", "name=Ada"][..], 200),
        (&["-d", "name=Ada&_method=DELETE"], 403),
        (&["-d", "%5fmethod=delete"], 403),
        (&["-F", "name=Ada", "-F", &upload], 200),
        (&["-F", &upload, "-F", "_method=DELETE"], 403),
        (&["-H", "Content-Type:", "-d", "_method=DELETE"], 403),
        (&["-H", "Content-Type: application/json", "-d", "{\"_method\":\"DELETE\"}"], 403),
        (&["-H", "Content-Type: application/json", "-d", "{\"name\":\"Ada\"}"], 200),
    ] {
        assert_eq!(ground.ask(CALLER, "/echo", arguments)?.status, status, "{arguments:?}");
    }
    assert_eq!(ground.api.reached()?.len(), 3);
    Ok(())
}

#[test]
fn a_body_that_is_looked_into_is_bounded() -> Result<()> {
    let ground = ground()?;
    let body = ground.folder.path().join("body");
    std::fs::write(&body, vec![b' '; 2 << 20])?;
    let data = format!("@{}", body.display());
    // Not every client of HTTP/2 takes an answer that comes before the end of what it sends.
    let json = ["--http1.1", "-H", "Content-Type: application/json", "--data-binary", &data];
    let told = ground.ask(CALLER, "/rpc", &json)?.problem(413);
    assert!(told.contains("looked into"), "{told}");
    assert_eq!(ground.api.reached()?, []);
    // What nobody looks into may be larger.
    assert_eq!(ground.ask(CALLER, "/echo", &["-H", "Content-Type: text/plain", "--data-binary", &data])?.status, 200);
    assert_eq!(ground.api.reached()?[0].bytes, 2 << 20);
    Ok(())
}
