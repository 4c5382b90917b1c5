use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use store::config::{AwsAccess, AwsAccount, PasswordSource};

use super::*;

/// What botocore, AWS's own library, signs with these keys at this time (tests/python/aws_signatures.py).
const BOTOCORE: &str = include_str!("botocore.json");

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap()
}

fn keys(all: &Value, one: &Value) -> AwsKeys {
    let session_token = one.get("session_token").and_then(Value::as_str).map(|token| Secret::new(token.to_owned()));
    AwsKeys { id: text(all, "key").to_owned(), secret: Secret::new(text(all, "secret").to_owned()), session_token }
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

/// What AWS has published of one request: service, key's secret, method, URL, fields, body and signature.
struct Published {
    service: &'static str,
    request: (&'static str, &'static str),
    fields: &'static [(&'static str, &'static str)],
    body: &'static str,
    signature: &'static str,
}

/// Of the documentation of S3 ("Signature Calculations for the Authorization Header"), and of the test suite of the signature
/// (`aws4_testsuite`).
const PUBLISHED: [Published; 7] = [
    Published {
        service: "s3",
        request: ("GET", "https://examplebucket.s3.amazonaws.com/test.txt"),
        fields: &[("range", "bytes=0-9")],
        body: "",
        signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    },
    Published {
        service: "s3",
        request: ("PUT", "https://examplebucket.s3.amazonaws.com/test%24file.text"),
        fields: &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        body: "Welcome to Amazon S3.",
        signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    },
    Published {
        service: "s3",
        request: ("GET", "https://examplebucket.s3.amazonaws.com/?lifecycle"),
        fields: &[],
        body: "",
        signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    },
    Published {
        service: "s3",
        request: ("GET", "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"),
        fields: &[],
        body: "",
        signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    },
    Published {
        service: "service",
        request: ("GET", "https://example.amazonaws.com/"),
        fields: &[],
        body: "",
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Published {
        service: "service",
        request: ("GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1"),
        fields: &[],
        body: "",
        signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    },
    Published {
        service: "service",
        request: ("POST", "https://example.amazonaws.com/"),
        fields: &[("content-type", "application/x-www-form-urlencoded")],
        body: "Param1=value1",
        signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    },
];

#[test]
fn a_request_is_signed_as_aws_has_published() {
    for one in &PUBLISHED {
        let is_s3 = one.service == "s3";
        let (id, secret, at) = if is_s3 {
            ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 1_369_353_600)
        } else {
            ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 1_440_938_160)
        };
        let keys = AwsKeys { id: id.to_owned(), secret: Secret::new(secret.to_owned()), session_token: None };
        let account = AwsAccount {
            name: "a".into(),
            region: "us-east-1".to_owned(),
            access: AwsAccess::Container { url: String::new(), token: None },
            secrets_url: String::new(),
            sts_url: String::new(),
            timeout: Duration::from_secs(1),
        };
        let signing = AwsSigning {
            keys: PasswordSource::AwsKeys(Arc::new(account)),
            service: one.service.to_owned(),
            region: "us-east-1".to_owned(),
        };
        let host = one.request.1.split('/').nth(2).unwrap();
        let fields: Vec<_> = one.fields.iter().copied().chain([("host", host)]).collect();
        let read = AwsKeys::read(&keys.written()).unwrap();
        let payload = Payload::Whole(one.body.as_bytes());
        let now = UNIX_EPOCH + Duration::from_secs(at);
        let made = sign_request(&read, &signing, one.request, &fields, payload, now).unwrap();
        let (_, authorization) = made.iter().find(|(name, _)| name == "authorization").unwrap();
        let signature = authorization.expose().rsplit_once("Signature=").unwrap().1;
        assert_eq!(signature, one.signature, "{:?}: {}", one.request, authorization.expose());
        assert_eq!(made.iter().any(|(name, _)| name == "x-amz-content-sha256"), is_s3);
    }
}
