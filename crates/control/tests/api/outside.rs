//! What reaches the listener from elsewhere: health, pages in browsers, and mistakes.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn health_metrics_and_readiness() {
    let world = World::start().await;
    assert_eq!(world.send("GET", "/healthz", &[], "").await.status, 200);
    assert_eq!(world.send("GET", "/readyz", &[], "").await.body, "ready\n");
    let metrics = world.send("GET", "/metrics", &[], "").await;
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.contains("sluice_journal_writable 1"), "{}", metrics.body);
    world.stopping.draining.cancel();
    let draining = world.send("GET", "/readyz", &[], "").await;
    assert_eq!((draining.status, draining.body.as_str()), (503, "draining\n"));
    assert_eq!(world.send("GET", "/healthz", &[], "").await.status, 200);
}

/// ID-32: a name that was rebound to this machine is not ours, and a page has no business here.
#[tokio::test]
async fn id_32_pages_in_browsers_are_turned_away() {
    let world = World::start().await;
    let port = world.address.port();
    let token = format!("Bearer {}", world.token("admin", &["read"]));
    for host in ["evil.example", "evil.example:80", "127.0.0.1:1", "localhost.evil.example", "", "[::1", "127.0.0.1@x"]
    {
        let reply = world.send("GET", "/v1/revision", &[("Host", host), ("Authorization", &token)], "").await;
        assert!(matches!(reply.status, 400 | 421), "{host}: {}", reply.status);
    }
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "localhost".into()]
    {
        let reply = world.send("GET", "/v1/revision", &[("Host", &host), ("Authorization", &token)], "").await;
        assert_eq!(reply.status, 200, "{host}");
    }
    let own = format!("http://{}", world.address);
    for origin in ["https://evil.example", "null", &own] {
        let reply = world.send("GET", "/v1/revision", &[("Origin", origin), ("Authorization", &token)], "").await;
        assert_eq!(reply.status, 421, "{origin}");
    }
    let twice = [("Host", "127.0.0.1"), ("Host", "evil.example"), ("Authorization", token.as_str())];
    assert!(matches!(world.send("GET", "/v1/revision", &twice, "").await.status, 400 | 421));
}

/// ID-32: tokens are taken from the header alone, and a form is no call.
#[tokio::test]
async fn id_32_no_token_in_the_url_and_no_forms() {
    let world = World::start().await;
    let token = world.token("admin", &["read", "approve"]);
    assert_eq!(world.send("GET", &format!("/v1/revision?token={token}"), &[], "").await.status, 401);
    let cookie = format!("token={token}");
    assert_eq!(world.send("GET", "/v1/revision", &[("Cookie", &cookie)], "").await.status, 401);
    let bearer = format!("Bearer {token}");
    let form = [("Authorization", bearer.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let reply = world.send("POST", "/v1/approvals/apr-0000000000001/answer", &form, "approve=true").await;
    assert_eq!(reply.status, 400, "{}", reply.body);
}

#[tokio::test]
async fn mistakes_are_told() {
    let world = World::start().await;
    let token = world.token("admin", &["audit", "approve", "sessions"]);
    for path in [
        "/v1/audit/search?subjet=order-service",
        "/v1/audit/search?since=yesterday",
        "/v1/audit/search?column=cards",
        "/v1/audit/search?limit=many",
        "/v1/audit/disclosed",
        "/v1/approvals?subject=order-service",
        "/v1/approvals/not-an-id",
        "/v1/sessions/%00",
    ] {
        let reply = world.get(path, &token).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.body);
        assert!(reply.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    assert_eq!(world.get("/v1/nothing", &token).await.status, 404);
    assert_eq!(world.send("DELETE", "/v1/sessions", &[], "").await.status, 405);
    let long = "x".repeat(70_000);
    let path = "/v1/approvals/apr-0000000000001/answer";
    assert_eq!(world.post(path, &token, &json!({ "approve": true, "reason": long })).await.status, 413);
    assert_eq!(world.post(path, &token, &json!({ "approve": true, "also": 1 })).await.status, 400);
    let reason = "x".repeat(2000);
    assert_eq!(world.post(path, &token, &json!({ "approve": true, "reason": reason })).await.status, 400);
    assert_eq!(world.post(path, &token, &json!({ "approve": true })).await.status, 404);
}

#[tokio::test]
async fn answers_stay_out_of_caches() {
    let world = World::start().await;
    let reply = world.get("/v1/whoami", &world.token("a", &[])).await;
    assert!(reply.head.contains("cache-control: no-store"), "{}", reply.head);
    assert!(reply.head.contains("x-content-type-options: nosniff"), "{}", reply.head);
}

#[tokio::test]
async fn the_index_is_searched() {
    let world = World::start().await;
    world.indexed().await;
    let token = world.token("auditor", &["audit"]);
    let events = world.get("/v1/audit/events?limit=5", &token).await.json();
    assert!(events.as_array().unwrap().iter().any(|event| event["event"]["started"].is_object()), "{events}");
    let disclosed = world.get("/v1/audit/disclosed?class=card_number&subject=order-service", &token).await.json();
    assert_eq!(disclosed, json!({ "clear": 0, "masked": 0, "requests": 0, "unknown": 0 }));
    assert_eq!(world.get("/v1/audit/search?table=public.cards&verb=select", &token).await.json(), json!([]));
    assert_eq!(world.get("/v1/audit/report?class=card_number", &token).await.json(), json!([]));
    assert_eq!(world.get("/v1/sessions/history?open_only=true", &token).await.json(), json!([]));
}
