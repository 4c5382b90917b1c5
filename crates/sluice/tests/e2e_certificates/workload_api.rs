//! Bundles and SVIDs of a SPIFFE Workload API, by other people's code.

use std::fs;

use anyhow::Result;
use serde_json::json;
use testkit::demo::site::Site;
use testkit::process::http_get;
use testkit::spiffe::clients::{Shown, psql, trusting};
use testkit::spiffe::{Authority, Fetched, WorkloadApi};
use testkit::wait::eventually_blocking;

use crate::support::oracle::Watched;
use crate::support::{LIMIT, prepare};

const FEDERATED: &str = "\n[[trust_domain]]\nname = \"other.acme\"\nalias = \"other\"\naudience = \"sluice\"\n";
const OTHER_POLICY: &str = r#"
@id("other-connects")
permit (principal == Service::"other|spiffe://other.acme/job", action == Action::"connect", resource in Target::"payments");
"#;

fn site(database: &str, api: &WorkloadApi) -> Result<Watched<Site>> {
    let socket = format!("workload_api = \"{}\"\n", api.socket().display());
    let mut tuning = trusting(&format!("{socket}{FEDERATED}{socket}"));
    tuning.policies.push(("46-other.cedar".into(), OTHER_POLICY.into()));
    let mut site = Watched::new(prepare(database, tuning)?)?;
    site.start()?;
    Ok(site)
}

fn by_certificate(fetched: &Fetched) -> Shown {
    Shown { certificate: Some((fetched.certificate.clone(), fetched.key.clone())), ..Shown::default() }
}

fn by_token(token: &str) -> Shown {
    Shown::default().with_token(token)
}

fn gets_in(site: &Site, shown: &Shown) -> Result<bool> {
    Ok(psql(site, shown, "SELECT 1")?.status.success())
}

fn wait(site: &Site, shown: &Shown, is_in: bool, what: &str) -> Result<()> {
    eventually_blocking(LIMIT, what, || Ok((gets_in(site, shown)? == is_in).then_some(())))
}

#[test]
fn svids_of_a_workload_api_are_believed_and_its_rotation_is_followed() -> Result<()> {
    let mut api = WorkloadApi::start()?;
    let site = site("workload_api", &api)?;
    let first = api.fetch("first", "sluice")?;
    wait(&site, &by_certificate(&first), true, "the first X.509-SVID")?;
    wait(&site, &by_token(&first.token), true, "the first JWT-SVID")?;
    assert!(!gets_in(&site, &by_token(&api.fetch("elsewhere", "another audience")?.token))?);
    // The second authority is published beside the first, and then alone.
    api.publish(2, &[1], &json!({}))?;
    let second = api.fetch("second", "sluice")?;
    wait(&site, &by_certificate(&second), true, "the second X.509-SVID")?;
    wait(&site, &by_token(&second.token), true, "the second JWT-SVID")?;
    assert!(gets_in(&site, &by_certificate(&first))? && gets_in(&site, &by_token(&first.token))?);
    api.publish(2, &[], &json!({}))?;
    wait(&site, &by_certificate(&first), false, "the first X.509-SVID to be refused")?;
    wait(&site, &by_token(&first.token), false, "the first JWT-SVID to be refused")?;
    assert!(gets_in(&site, &by_certificate(&second))? && gets_in(&site, &by_token(&second.token))?);
    // While nobody answers at the socket, what was published last holds.
    api.end();
    eventually_blocking(LIMIT, "the end to be seen", || Ok(site.log().contains("out of reach").then_some(())))?;
    assert!(gets_in(&site, &by_certificate(&second))? && gets_in(&site, &by_token(&second.token))?);
    // It begins again with authorities of its own, and is found by itself.
    api.publish(3, &[], &json!({}))?;
    api.begin()?;
    wait(&site, &by_certificate(&api.fetch("third", "sluice")?), true, "the third X.509-SVID")?;
    assert!(!gets_in(&site, &by_certificate(&second))?);
    Ok(())
}

#[test]
fn a_federated_trust_domain_is_believed_for_as_long_as_it_is_federated() -> Result<()> {
    let api = WorkloadApi::start()?;
    let (other, signer) = (Authority::generate("other.acme")?, testkit::issuer::Issuer::start()?);
    fs::write(api.directory().join("other.pem"), other.certificate_pem())?;
    let keys = http_get(signer.address(), "/jwks")?.1.replace("\"use\":\"sig\",", "").replace(",\"use\":\"sig\"", "");
    fs::write(api.directory().join("other.jwks"), keys)?;
    let site = site("federated", &api)?;
    let job = other.svid("spiffe://other.acme/job", |_| ())?;
    let job = Shown::certificate(site.home(), "job", &job)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let header = json!({ "alg": "ES256", "kid": signer.key_id()? });
    let claims = json!({ "sub": "spiffe://other.acme/job", "aud": "sluice", "iat": now, "exp": now + 300 });
    let token = by_token(&signer.sign(&header.to_string(), &claims.to_string())?);
    wait(&site, &by_certificate(&api.fetch("own", "sluice")?), true, "the own trust domain")?;
    assert!(!gets_in(&site, &job)? && !gets_in(&site, &token)?);
    api.publish(1, &[], &json!({ "other.acme": ["other.pem", "other.jwks"] }))?;
    wait(&site, &job, true, "the federated X.509-SVID")?;
    wait(&site, &token, true, "the federated JWT-SVID")?;
    // It speaks for nobody of the other trust domain.
    let forged = other.svid("spiffe://prod.acme/ns/etl/sa/loader", |_| ())?;
    assert!(!gets_in(&site, &Shown::certificate(site.home(), "forged", &forged)?)?);
    api.publish(1, &[], &json!({}))?;
    wait(&site, &job, false, "the end of the federation")?;
    wait(&site, &token, false, "the end of the federation for tokens")?;
    Ok(())
}
