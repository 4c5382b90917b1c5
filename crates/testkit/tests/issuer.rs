//! The demo issuer: its tokens verify with an independent library, over HTTP as a verifier would do it.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use testkit::issuer::{Algorithm, Fault, Grant, Issuer, Requests};
use testkit::process::http_get;

/// Verifies a token against the key set as it is served, and returns its claims.
fn verified(issuer: &Issuer, token: &str) -> Result<Value> {
    let (_, body) = http_get(issuer.address(), "/jwks")?;
    let keys: JwkSet = serde_json::from_str(&body)?;
    let header = decode_header(token)?;
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = keys.find(&header.kid.context("no kid")?).context("the key is not published")?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["sluice"]);
    validation.set_issuer(&[issuer.url()]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    Ok(decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

#[test]
fn tokens_of_both_algorithms_verify() -> Result<()> {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let issuer = Issuer::start_with(algorithm)?;
        let grant = Grant::new("order-service").groups(["order-service", "shop"]).actors(["gateway", "alice"]);
        let claims = verified(&issuer, &issuer.issue(grant)?)?;
        assert_eq!(claims["sub"], "order-service");
        assert_eq!(claims["groups"], json!(["order-service", "shop"]));
        assert_eq!(claims["act"], json!({ "sub": "gateway", "act": { "sub": "alice" } }));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    }
    Ok(())
}

#[test]
fn claims_and_headers_can_be_anything() -> Result<()> {
    let issuer = Issuer::start()?;
    let token =
        issuer.issue(Grant::new("x").audience(json!(["a", "sluice"])).claim("jti", Value::Null).claim("n", 1))?;
    let claims = verified(&issuer, &token)?;
    assert!(claims.get("jti").is_none() && claims["n"] == 1);
    let header = format!(r#"{{"alg":"ES256","typ":"JWT","typ":"at+jwt","kid":"{}"}}"#, issuer.key_id()?);
    let raw = issuer.sign(&header, "not JSON")?;
    assert_eq!(raw.split('.').count(), 3);
    Ok(())
}

#[test]
fn rotation_keeps_or_withdraws_the_old_key() -> Result<()> {
    let issuer = Issuer::start()?;
    let old = issuer.issue(Grant::new("a"))?;
    issuer.rotate_keys(true)?;
    let new = issuer.issue(Grant::new("a"))?;
    assert!(verified(&issuer, &old).is_ok() && verified(&issuer, &new).is_ok());
    issuer.rotate_keys(false)?;
    assert!(verified(&issuer, &old).is_err() && verified(&issuer, &new).is_err());
    Ok(())
}

fn post(issuer: &Issuer, headers: &str, body: &str) -> Result<(u16, Value)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(issuer.address())?;
    let length = body.len();
    write!(
        stream,
        "POST /token HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    Ok((head.split(' ').nth(1).context("no status")?.parse()?, serde_json::from_str(body)?))
}

#[test]
fn the_token_endpoint_authenticates_clients_both_ways() -> Result<()> {
    let issuer = Issuer::start()?;
    let client = issuer.register("order-service", &["order-service"])?;
    let basic = format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{}:{}", client.id, client.secret)));
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", client.id, client.secret);
    for (headers, body) in [(basic.as_str(), "grant_type=client_credentials"), ("", form.as_str())] {
        let (status, answer) = post(&issuer, headers, body)?;
        assert_eq!((status, &answer["expires_in"]), (200, &json!(300)));
        let claims = verified(&issuer, answer["access_token"].as_str().unwrap())?;
        assert_eq!((&claims["sub"], &claims["groups"]), (&json!("order-service"), &json!(["order-service"])));
    }
    let wrong = "grant_type=client_credentials&client_id=order-service&client_secret=wrong";
    assert_eq!(post(&issuer, "", wrong)?, (401, json!({ "error": "invalid_client" })));
    assert_eq!(post(&issuer, &basic, "grant_type=password")?.0, 400);
    Ok(())
}

#[test]
fn it_fails_as_it_is_told_and_recovers() -> Result<()> {
    let issuer = Issuer::start()?;
    let discovery = || http_get(issuer.address(), "/.well-known/openid-configuration");
    let (status, body) = discovery()?;
    let document: Value = serde_json::from_str(&body)?;
    assert_eq!((status, document["jwks_uri"].as_str()), (200, Some(issuer.jwks_url().as_str())));
    assert_eq!(document["token_endpoint"].as_str(), Some(issuer.token_url().as_str()));

    issuer.fail(Fault::ServerError);
    assert_eq!(discovery()?.0, 500);
    issuer.fail(Fault::Down);
    assert!(discovery().is_err());
    issuer.fail(Fault::Garbage);
    assert!(serde_json::from_str::<Value>(&discovery()?.1).is_err());
    issuer.fail(Fault::Oversized);
    assert!(discovery()?.1.len() > 8_000_000);
    issuer.fail(Fault::Slow(Duration::from_millis(300)));
    let begin = std::time::Instant::now();
    assert_eq!(discovery()?.0, 200);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    issuer.fail(Fault::None);
    assert_eq!(issuer.requests(), Requests { discovery: 2, jwks: 0, token: 0 });
    Ok(())
}
