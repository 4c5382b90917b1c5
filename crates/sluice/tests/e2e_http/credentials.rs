//! As whom Sluice asks targets, and what it tells them of who asks: with servers that verify it.

use std::process::Command;

use anyhow::Result;
use model::event::Event;
use serde_json::{Value, json};
use testkit::api::{Options, Verifying};
use testkit::command::{run, workspace_root};
use testkit::provider::Provider;
use testkit::s3::rclone::{KEY, Rclone};
use testkit::tls::write_private;
use testkit::wait::eventually_blocking;

use crate::ground::{CALLER, CLEARED, Ground, Tuning};
use crate::support::{LIMIT, record};

#[test]
fn an_issuer_gives_sluice_one_token_which_the_target_verifies() -> Result<()> {
    let Some(mut provider) = Provider::start()? else { return Ok(()) };
    let (target, folder) = (Verifying::start()?, tempfile::tempdir()?);
    target.configure(&json!({
        "header": "Authorization", "jwks": format!("{}/jwks", provider.url()), "issuer": provider.url(),
        "audience": "sluice", "typ": "at+jwt",
    }))?;
    let secret = folder.path().join("secret");
    write_private(&secret, provider.client_secret().as_bytes())?;
    let credential = format!(
        "{{ oauth2 = {{ token_url = \"{}/token\", client_id = \"order-service\", client_secret = {{ file = \"{}\" }}, \
         scope = \"db\", resource = \"urn:jwt:ES256\" }} }}",
        provider.url(),
        secret.display()
    );
    let address = Some(target.address().to_string());
    let ground = Ground::tuned(Tuning { address, credential: Some(credential), ..Tuning::default() })?;
    let id = |subject: &str| -> Result<String> {
        let bearer = format!("Authorization: Bearer {}", ground.token(subject, CLEARED)?);
        let answer = ground.ask_as(Some(&bearer), "/v1/invoices", &[])?;
        assert_eq!(answer.status, 200, "{answer:?}");
        Ok(answer.json().pointer("/claims/jti").and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    let first = id("erin")?;
    assert!(!first.is_empty());
    assert_eq!((id("erin")?, id("frank")?), (first.clone(), first.clone()), "one token for all sessions");
    // It is asked for anew when the target does not believe it any more.
    target.configure(&json!({ "refuse": true }))?;
    let second = id("erin")?;
    assert_ne!(second, first);
    assert_eq!(id("frank")?, second);
    // Without one, nobody is told why but the journal.
    target.configure(&json!({ "refuse": true }))?;
    provider.stop()?;
    let told = ground.ask(CLEARED, "/v1/invoices", &[])?.problem(502);
    assert!(!told.contains("oauth") && !told.contains(&provider.url()), "{told}");
    record::wait_for(&ground.site, "the reason", |event| {
        matches!(event, Event::Completed { error: Some(error), .. }
            if error.starts_with("Sluice cannot prove itself: oauth2:") && error.contains("cannot connect"))
    })?;
    let used = |event: &Event| matches!(event, Event::SecretUsed { reference, .. } if reference.contains("oauth2:"));
    assert!(record::events(&ground.site)?.iter().any(used));
    Ok(())
}

#[test]
fn requests_to_aws_are_signed_as_a_real_server_of_s3_verifies() -> Result<()> {
    let (server, folder) = (Rclone::start()?, tempfile::tempdir()?);
    let secret = folder.path().join("secret");
    let ground = |key: &str| -> Result<Ground> {
        write_private(&secret, key.as_bytes())?;
        let account = format!(
            "[[aws]]\nname = \"store\"\nregion = \"us-east-1\"\naccess = {{ key_id = \"{}\", secret = {{ file = \"{}\" }} }}\n",
            KEY.0,
            secret.display()
        );
        let credential = Some("{ sigv4 = \"store\", service = \"s3\" }".to_owned());
        let address = Some(server.address().to_string());
        let target = "max_inspected_body = \"64KiB\"\n".to_owned();
        Ground::tuned(Tuning { address, credential, targets: account, target, ..Tuning::default() })
    };
    let signed = ground(KEY.1)?;
    for name in ["plain.txt", "a%20b(1)+c@d,e=f$g!.txt", "%C3%A4:%25.txt"] {
        let body = format!("content of {name}");
        let path = format!("/bucket/{name}");
        let arguments = ["-X", "PUT", "-H", "Content-Type: text/plain", "--data-binary", &body];
        let put = signed.ask(CLEARED, &path, &arguments)?;
        assert_eq!(put.status, 200, "{name}: {put:?}");
        let got = signed.ask(CLEARED, &path, &["-H", "X-Amz-Date: 20000101T000000Z", "-H", "X-Amz-Meta-A: b"])?;
        assert_eq!((got.status, &*got.body), (200, &*body), "{name}: {got:?}");
    }
    assert_eq!(std::fs::read_to_string(server.objects().join("ä:%.txt"))?, "content of %C3%A4:%25.txt");
    let listed = signed.ask(CLEARED, "/bucket?list-type=2&prefix=a%20b(&delimiter=/", &[])?;
    assert!(listed.status == 200 && listed.body.contains("g!.txt"), "{listed:?}");
    // The body is signed, as this is not inside TLS; and who signs is Sluice alone.
    let large = "x".repeat(70_000);
    let file = folder.path().join("large");
    std::fs::write(&file, large)?;
    let at = format!("@{}", file.display());
    signed.ask(CLEARED, "/bucket/large", &["--http1.1", "-X", "PUT", "--data-binary", &at])?.problem(413);
    signed.ask(CLEARED, "/bucket/plain.txt?X-Amz-Signature=00&X-Amz-Credential=x", &[])?.problem(400);
    drop(signed);
    let forged = ground("another secret")?;
    assert_eq!(forged.ask(CLEARED, "/bucket/plain.txt", &[])?.status, 403);
    Ok(())
}

#[test]
fn a_client_certificate_is_shown_and_read_again_when_it_changes() -> Result<()> {
    let api = Options { mutual: true, ..Options::default() };
    let ground = Ground::tuned(Tuning { api, ..Tuning::default() })?;
    assert_eq!(ground.ask(CALLER, "/echo", &[])?.status, 200);
    let shown = |at: usize| -> Result<Option<String>> { Ok(ground.api.reached()?[at].client.clone()) };
    assert_eq!(shown(0)?.as_deref(), Some("first-client"));
    std::fs::copy(ground.api.client("next.crt"), ground.api.client("client.crt"))?;
    std::fs::copy(ground.api.client("next.key"), ground.api.client("client.key"))?;
    eventually_blocking(LIMIT, "the other certificate", || {
        assert_eq!(ground.ask(CALLER, "/echo", &[])?.status, 200);
        let last = ground.api.reached()?.len() - 1;
        Ok((shown(last)?.as_deref() == Some("second-client")).then_some(()))
    })?;
    std::fs::remove_file(ground.api.client("client.key"))?;
    ground.ask(CALLER, "/echo", &[])?.problem(502);
    record::wait_for(
        &ground.site,
        "the reason",
        |event| matches!(event, Event::Completed { error: Some(error), .. } if error.contains("the client certificate")),
    )?;
    Ok(())
}

#[test]
fn ht_01_a_target_is_told_who_asks_by_sluice_alone() -> Result<()> {
    let target = Verifying::start()?;
    let ground = Ground::tuned(Tuning {
        address: Some(target.address().to_string()),
        target: "identity = { header = \"Sluice_Identity\", audience = \"shop-api\" }\n".to_owned(),
        ..Tuning::default()
    })?;
    let keys = format!("http://{}/.well-known/jwks.json", ground.site.process()?.address("admin")?);
    target.configure(&json!({
        "header": "Sluice_Identity", "jwks": keys, "issuer": "urn:sluice:tokens", "audience": "shop-api",
        "typ": "sluice-identity+jwt",
    }))?;
    let forged = ["-H", "Sluice-Identity: forged", "-H", "sluice_identity: forged", "-X", "PUT", "-d", "x"];
    let answer = ground.ask(CLEARED, "/v1/invoices/7?a=b", &forged)?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let claims = &told["claims"];
    assert_eq!((&claims["sub"], &claims["target"]), (&json!("demo|erin"), &json!("shop")), "{told}");
    assert_eq!((&claims["method"], &claims["path"]), (&json!("PUT"), &json!("/v1/invoices/7")));
    assert_eq!(claims["groups"], json!(CLEARED));
    assert_eq!(claims["jti"].as_str(), answer.field("sluice-request"));
    assert_eq!(claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(end, begin)| end - begin), Some(60));
    Ok(())
}

#[test]
fn id_19_a_bound_token_counts_with_a_proof_for_this_request_alone() -> Result<()> {
    let ground = Ground::new()?;
    let process = ground.site.process()?;
    let mut command = Command::new("node");
    command.arg("dpop_client.mjs").current_dir(workspace_root().join("tests/node"));
    command.env("SLUICE_ISSUER", format!("http://{}", process.address("admin")?));
    command.env("SLUICE_TOKEN", ground.token("erin", CLEARED)?);
    command.env("SLUICE_API", format!("https://localhost:{}", process.address("http")?.port()));
    command.env("NODE_EXTRA_CA_CERTS", ground.site.ca());
    let said: Value = serde_json::from_str(run(command, b"")?.success()?.trim())?;
    assert_eq!(said["nonce"], json!([401, true, true]), "{said}");
    assert_eq!((&said["good"], &said["post"], &said["client"]), (&json!(200), &json!(200), &json!(200)), "{said}");
    let passed = said["passed"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(
        !passed.is_empty() && !passed.contains(&json!("dpop")) && !passed.contains(&json!("authorization")),
        "{said}"
    );
    let wrong = said["wrong"].as_object().into_iter().flatten();
    assert_eq!(wrong.filter(|(_, status)| **status == json!(401)).count(), 12, "{said}");
    Ok(())
}
