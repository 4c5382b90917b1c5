//! What the API server's own audit log says of each request, beside what Sluice's record says of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Front, shown};
use crate::http;
use crate::issuer::Grant;

/// Compares both: each request that the API server got is in the record as one that was let, as the same user, and is there what
/// the API server took it for.
pub(super) fn compare(front: &Front) -> Result<()> {
    let recorded = recorded(front)?;
    let mut seen = BTreeSet::new();
    for line in front.cluster.audit()?.lines() {
        let event: Value = serde_json::from_str(line)?;
        // As whom it is asked is known behind that.
        if event["stage"] == "RequestReceived" || event["user"]["username"] != "sluice" {
            continue;
        }
        let id = event.pointer("/impersonatedUser/extra/sluice-request/0").and_then(Value::as_str);
        let id = id.with_context(|| format!("asked as Sluice itself: {event}"))?;
        let request = recorded.get(id).with_context(|| format!("not in the record: {event}"))?;
        ensure!(request["outcome"] == "allow", "let through: {request}");
        let user = event.pointer("/impersonatedUser/username").and_then(Value::as_str).unwrap_or_default();
        let subject = request["subject"]["id"].as_str();
        ensure!(user.strip_prefix("sluice:") == subject, "{user} is not {subject:?}");
        let effects = effects(request);
        ensure!(is_that(&event, &effects), "the API server saw {event}, Sluice {effects:?}");
        seen.insert(id.to_owned());
    }
    ensure!(seen.len() > 50, "only {} requests are in the audit log", seen.len());
    let lost = recorded.iter().filter(|(id, request)| request["outcome"] == "allow" && !seen.contains(*id));
    let lost: Vec<_> = lost.map(|(_, request)| effects(request)).filter(|effects| is_sent(effects)).collect();
    ensure!(lost.is_empty(), "let, and not in the audit log: {lost:?}");
    shown(&format!("{} requests are in the audit log as what the record has, as the same users", seen.len()));
    Ok(())
}

/// Every request of the record, by its id.
fn recorded(front: &Front) -> Result<BTreeMap<String, Value>> {
    let token = front.site.issuer().issue(Grant::new("root").groups(["sluice-admin"]))?;
    let (bearer, admin) = (format!("Bearer {token}"), front.site.process()?.address("admin")?);
    let fields = [("Authorization", &*bearer)];
    let (status, body) = http::call(admin, "GET", "/v1/audit/search?limit=10000", &fields, "")?;
    ensure!(status == 200, "{status}: {body}");
    let found: Vec<Value> = serde_json::from_str(&body)?;
    let named = found.into_iter().filter_map(|request| Some((request["request"].as_str()?.to_owned(), request)));
    Ok(named.collect())
}

fn effects(request: &Value) -> Vec<String> {
    let statements = request["statements"].as_array().into_iter().flatten();
    let effects = statements.flat_map(|statement| statement["effects"].as_array().into_iter().flatten());
    effects.filter_map(|effect| effect.as_str().map(str::to_owned)).collect()
}

/// Whether the first effect is what the API server took the request for.
fn is_that(event: &Value, effects: &[String]) -> bool {
    let Some((verb, on)) = effects.first().and_then(|first| first.split_once(' ')) else { return false };
    let text = |name: &str| event["objectRef"][name].as_str().unwrap_or_default();
    let asked = event["verb"].as_str().unwrap_or_default();
    let verb = verb.trim_start_matches("kubernetes:");
    if event["objectRef"].is_null() {
        let path = event["requestURI"].as_str().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        return matches!(verb, "discover" | "other") && on.split(' ').next_back() == Some(path);
    }
    let resource = [text("resource"), text("subresource")].join("/");
    let mut expected = resource.trim_end_matches('/').to_owned();
    if !text("apiGroup").is_empty() {
        expected.push('.');
        expected.push_str(text("apiGroup"));
    }
    let is_it = |rest: &str| rest.is_empty() || rest.starts_with([' ', ':']);
    let is_resource = on.strip_prefix(&*expected).is_some_and(is_it);
    // What is made has its name in the body, which the audit log knows.
    let is_named = asked == "create" || text("name").is_empty() || on.split([' ', ':']).nth(1) == Some(text("name"));
    let is_there = text("namespace").is_empty() || on.contains(&format!(" in {}", text("namespace")));
    is_resource && is_named && is_there && is_verb(asked, verb, text("subresource"))
}

/// Whether a verb of Sluice's is what the API server calls so, at this part of a resource.
fn is_verb(asked: &str, verb: &str, subresource: &str) -> bool {
    match subresource {
        "exec" | "attach" | "portforward" | "log" | "proxy" => verb == subresource,
        "eviction" => verb == "evict",
        "ephemeralcontainers" => verb == "debug",
        "binding" => verb == "schedule",
        "token" => verb == "token",
        _ => verb == asked,
    }
}

/// Whether it is a request that went to the API server, and not a connection within one.
fn is_sent(effects: &[String]) -> bool {
    !effects.iter().any(|effect| effect.starts_with("kubernetes:portforward") && effect.contains(" port "))
}
