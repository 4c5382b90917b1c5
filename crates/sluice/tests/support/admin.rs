//! The admin API, over plain HTTP as `sluice` itself speaks it on loopback.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::demo::site::Site;
use testkit::http;
use testkit::wait::eventually_blocking;

use super::LIMIT;

/// A call: the status, and the JSON answer (null if it is none).
pub fn call(site: &Site, token: &str, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let bearer = format!("Bearer {token}");
    send(site, method, path, &[("Authorization", &bearer), ("Content-Type", "application/json")], &body)
}

/// A call that nobody is named in, with a body of another type.
pub fn post_as(site: &Site, path: &str, content_type: &str, body: &str) -> Result<(u16, Value)> {
    send(site, "POST", path, &[("Content-Type", content_type)], body)
}

fn send(site: &Site, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, Value)> {
    let (status, body) = http::call(site.process()?.address("admin")?, method, path, headers, body)?;
    Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

/// Answers an approval; returns the status.
pub fn answer(site: &Site, token: &str, approval: &str, approve: bool) -> Result<u16> {
    let path = format!("/v1/approvals/{approval}/answer");
    Ok(call(site, token, "POST", &path, Some(&json!({ "approve": approve })))?.0)
}

/// Where an approval stands: `pending`, `approved`, ….
pub fn status(site: &Site, token: &str, approval: &str) -> Result<String> {
    let (_, found) = call(site, token, "GET", &format!("/v1/approvals/{approval}"), None)?;
    let status = found.get("status").or_else(|| found.get("approval")?.get("status"));
    Ok(status.and_then(Value::as_str).with_context(|| format!("no status in {found}"))?.to_owned())
}

/// Waits until an approval stands so.
pub fn wait_for_status(site: &Site, token: &str, approval: &str, wanted: &str) -> Result<()> {
    eventually_blocking(LIMIT, &format!("{approval} to be {wanted}"), || {
        Ok((status(site, token, approval)? == wanted).then_some(()))
    })
}

/// Exchanges a token at the token endpoint: the status, and the answer.
pub fn exchange(site: &Site, token: &str, more: &[(&str, &str)]) -> Result<(u16, Value)> {
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
    let fields = [("grant_type", grant), ("subject_token", token), ("subject_token_type", kind)];
    let fields: Vec<String> = fields.iter().chain(more).map(|(name, value)| format!("{name}={value}")).collect();
    // None of the values has a character that a form would have to escape.
    post_as(site, "/token", "application/x-www-form-urlencoded", &fields.join("&"))
}
