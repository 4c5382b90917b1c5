//! gRPC whose messages are described, between a caller and a server of grpcio.

use anyhow::Result;
use model::effect::{Effect, Object};
use model::event::Event;
use serde_json::{Value, json};
use testkit::command::run;
use testkit::http_servers::{GrpcShop, grpc_shop};

use crate::ground::{CALLER, CLEARED, Ground, Tuning};
use crate::support::record;

const CARD: &str = "4111111111111111";

/// Who may call, and what nobody may.
const POLICIES: &str = "@id(\"callers-call\") permit(principal in Group::\"callers\", action == Action::\"grpc:call\", \
                        resource in Target::\"shop\"); @id(\"no-delete\") forbid(principal, action == Action::\"grpc:call\", resource is GrpcMethod) \
                        when { resource.name == \"Delete\" }; @id(\"nobody-asks-for-13\") forbid(principal, action == \
                        Action::\"grpc:call\", resource is GrpcMethod) when { resource has arguments && \
                        resource.arguments.hasTag(\"id\") && resource.arguments.getTag(\"id\").contains(\"13\") };";

/// A ground in front of a server, with what it says of its messages.
fn ground_of(shop: &GrpcShop, descriptors: Option<Vec<u8>>) -> Result<Ground> {
    let named = if descriptors.is_some() { "descriptors = \"shop.binpb\"\n" } else { "" };
    Ground::tuned(Tuning {
        address: Some(shop.address().to_string()),
        target: format!("version = \"http2\"\ngrpc = true\n{named}"),
        policies: POLICIES.to_owned(),
        files: descriptors.map(|set| ("apis/shop.binpb", set)).into_iter().collect(),
        ..Tuning::default()
    })
}

fn call(ground: &Ground, groups: &[&str]) -> Result<Value> {
    let port = ground.site.process()?.address("http")?.port().to_string();
    let (ca, token) = (ground.site.ca().display().to_string(), ground.token("erin", groups)?);
    Ok(serde_json::from_str(&run(grpc_shop(&["client", &port, &ca, &token])?, b"")?.success()?)?)
}

fn is_of_seven(effect: &Effect) -> bool {
    matches!(&effect.object, Object::GrpcCall(call) if effect.to_string().contains("Shop/Get id=7 text=") && call.arguments.len() == 2)
}

#[test]
fn messages_that_are_described_are_masked_and_are_messages_still() -> Result<()> {
    let shop = GrpcShop::start()?;
    let ground = ground_of(&shop, Some(shop.descriptors()?))?;
    let seen = call(&ground, CALLER)?;
    assert!(!seen.to_string().contains(CARD), "{seen}");
    for one in [&seen["get"], &seen["zipped"], &seen["list"][2]] {
        assert_eq!(one["cards"][0]["number"], "************1111", "{seen}");
        assert_eq!((&one["cards"][1]["number"], &one["cards"][0]["holder"]), (&json!("not a card"), &json!("Ada")));
        assert_eq!((&one["balance"], &one["weight"]), (&json!("9007199254740993"), &json!(1.5)), "numbers are numbers");
        assert!(one["notes"]["paid"].as_str().is_some_and(|note| note.starts_with("with ************1111")), "{one}");
    }
    assert_eq!(seen["list"].as_array().map(Vec::len), Some(3));
    assert_eq!(seen["talk"], json!(["1", "2"]));
    assert_eq!(seen["fail"], json!(["NOT_FOUND", "nobody has ************1111"]));
    assert_eq!(seen["delete"][0], "PERMISSION_DENIED");
    assert_eq!(
        (&seen["unlucky"][0], &seen["unlucky_zipped"][0]),
        (&json!("PERMISSION_DENIED"), &json!("PERMISSION_DENIED"))
    );
    // The record has what was asked with, and no card.
    let is_call = |event: &Event| matches!(event, Event::Statement { effects, .. } if effects.iter().any(is_of_seven));
    record::wait_for(&ground.site, "the call with its arguments", is_call)?;
    assert!(!format!("{:?}", record::events(&ground.site)?).contains(CARD));
    let clear = call(&ground, CLEARED)?;
    assert_eq!(clear["get"]["cards"][0]["number"], CARD, "{clear}");
    // Messages that nobody described are refused to whoever may not see everything.
    drop(ground);
    let ground = ground_of(&shop, None)?;
    let output = run(grpc_shop(&["client", "0", "x", "y"])?, b"")?;
    assert!(!output.status.success());
    let port = ground.site.process()?.address("http")?.port().to_string();
    let (ca, token) = (ground.site.ca().display().to_string(), ground.token("erin", CALLER)?);
    let output = run(grpc_shop(&["client", &port, &ca, &token])?, b"")?;
    assert!(!output.status.success() && !output.stdout.contains(CARD), "{output:?}");
    Ok(())
}
