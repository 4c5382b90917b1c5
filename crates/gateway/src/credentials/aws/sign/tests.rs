use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use serde_json::Value;

use super::*;

/// What botocore, AWS's own library, signs with these keys at this time (tests/python/aws_signatures.py).
const BOTOCORE: &str = include_str!("botocore.json");

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap()
}

fn keys(all: &Value, one: &Value) -> Keys {
    let session_token = one.get("session_token").and_then(Value::as_str).map(|token| Secret::new(token.to_owned()));
    Keys { id: text(all, "key").to_owned(), secret: Secret::new(text(all, "secret").to_owned()), session_token }
}

fn all() -> (Value, SystemTime) {
    let all: Value = serde_json::from_str(BOTOCORE).unwrap();
    let at = UNIX_EPOCH + Duration::from_secs(all["at"].as_u64().unwrap());
    (all, at)
}

/// The place and the parameters, whatever their order.
fn parts(token: &str) -> (&str, BTreeSet<&str>) {
    let (place, query) = token.split_once('?').unwrap();
    (place, query.split('&').collect())
}

#[test]
fn a_token_of_rds_is_what_botocore_makes() {
    let (all, at) = all();
    for one in all["rds"].as_array().unwrap() {
        let (region, place, user) = (text(one, "region"), text(one, "place"), text(one, "user"));
        let token = rds_token(&keys(&all, one), region, place, user, Duration::from_secs(900), at).unwrap();
        assert_eq!(parts(&token), parts(text(one, "token")));
        assert!(!token.starts_with("https://") && token.len() == text(one, "token").len());
    }
}

#[test]
fn a_signed_request_is_what_botocore_makes() {
    let (all, at) = all();
    let given = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "secretsmanager.GetSecretValue")];
    for one in all["secrets"].as_array().unwrap() {
        let (region, url, body) = (text(one, "region"), text(one, "url"), text(one, "body"));
        let signed = headers(&keys(&all, one), region, "secretsmanager", url, &given, body, at).unwrap();
        let signed: BTreeMap<_, _> = signed.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        assert_eq!(signed["authorization"], text(&one["signed"], "Authorization"));
        assert_eq!(signed["x-amz-date"], text(&one["signed"], "X-Amz-Date"));
        assert_eq!(signed.get("x-amz-security-token").map(|token| &***token), one["session_token"].as_str());
    }
}
