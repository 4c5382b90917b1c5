//! Whom the real program lets in: callers with tokens of issuers of other people's making, several at once.

use crate::support::oracle::Watched;
use crate::support::raw::Raw;
use crate::support::{LIMIT, rows, run, site};
use anyhow::{Context, Result};
use model::event::Event;
use serde_json::{Value, json};
use testkit::command::Output;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::openbao::OpenBao;
use testkit::openbao_issuer::Issuer;
use testkit::process::sluice;
use testkit::provider::{OPAQUE, Provider, part};
use testkit::wait::eventually_blocking;

/// The tables of a provider and of OpenBao beside that of the demo's issuer.
fn trusting(provider: Option<&Provider>, bao: Option<&Issuer<'_>>) -> Tuning {
    let mut sluice_toml = String::new();
    let mut environment = Vec::new();
    if let Some(provider) = provider {
        sluice_toml += &format!(
            "[[issuer]]\nalias = \"certified\"\nurl = \"{}\"\naudience = \"sluice\"\ngroups_claim = \"groups\"\n\
             bare_groups = [\"cleared\"]\nallow_http = true\n\
             [issuer.introspection]\nclient_id = \"sluice\"\nclient_secret = {{ env = \"ASKING\" }}\nmax_age = \"1s\"\n",
            provider.url()
        );
        environment.push(("ASKING".into(), provider.introspection_secret().into()));
    }
    if let Some(bao) = bao {
        sluice_toml += &format!(
            "[[issuer]]\nalias = \"bao\"\nurl = \"{}\"\naudience = \"sluice\"\nprofile = \"id-token\"\n\
             groups_claim = \"groups\"\nbare_groups = [\"cleared\"]\nallow_http = true\n",
            bao.url()
        );
    }
    Tuning { sluice_toml, environment, ..Tuning::default() }
}

/// A provider, unless `./dev` said that there is no Node here.
#[expect(clippy::print_stdout, reason = "nothing is left out silently")]
fn provider() -> Result<Option<Provider>> {
    let provider = Provider::start()?;
    if provider.is_none() {
        println!("left out: Node is missing");
    }
    Ok(provider)
}

/// Why logins were refused, as the journal has it.
fn refusals(site: &Site) -> Result<String> {
    let refused = crate::support::record::events(site)?.into_iter().filter_map(|event| match event {
        Event::SessionRefused { reason, .. } => Some(reason.to_string()),
        _ => None,
    });
    Ok(refused.collect::<Vec<_>>().join("\n"))
}

#[test]
fn three_issuers_at_once_let_their_own_in_while_keys_change() -> Result<()> {
    let Some(provider) = provider()? else { return Ok(()) };
    let server = OpenBao::start()?;
    let bao = Issuer::new(&server, &["cleared", "etl"])?;
    let site: Watched<Site> = site("identity", trusting(Some(&provider), Some(&bao)))?;
    const WHO: &str = "SELECT count(*) FROM cards WHERE id <= 3";
    let (first, job) = (provider.token("ES256")?, bao.token()?);
    for token in [&first, &provider.token_by_assertion("PS384")?, &job, &site.token(&ORDER_SERVICE)?] {
        // billing is in no group that may connect.
        let output = run(&site, token, WHO)?;
        let is_billing = part(token, 1)?["sub"] == "billing";
        assert_eq!(is_refused(&output), is_billing, "{}", output.stderr);
        assert_eq!(output.status.success(), !is_billing, "{}", output.stderr);
    }
    // OpenBao publishes its next key ahead, so that its tokens go on at once.
    bao.rotate_keys()?;
    let rotated = bao.token()?;
    assert_ne!(header(&job), header(&rotated), "another key signs");
    assert_eq!(rows(&site, &rotated, WHO)?, "3");
    assert_eq!(rows(&site, &job, WHO)?, "3");
    // The provider's new key is not known yet: it is looked for once a minute, whoever asks how often.
    provider.rotate_keys(true)?;
    let second = provider.token("ES256")?;
    for _ in 0..5 {
        assert!(is_refused(&run(&site, &second, WHO)?));
    }
    assert_eq!(rows(&site, &first, WHO)?, "3", "the key before is known and published");
    assert_eq!(provider.requests()?.jwks, 1);
    let told = refusals(&site)?;
    assert!(told.contains("issuer `certified` has no key `ES256-2`"), "{told}");
    // Keys of one are no other's.
    let mixed = provider.sign("RS256-1", &json!({"alg": "RS256", "kid": "RS256-1"}), &claims_of(&job), None)?;
    assert!(is_refused(&run(&site, &mixed, WHO)?));
    Ok(())
}

/// Whether a login was given the one answer of a refused identity.
fn is_refused(output: &Output) -> bool {
    !output.status.success() && output.stderr.contains("FATAL:  the connection is not allowed")
}

fn header(token: &str) -> Value {
    part(token, 0).unwrap()
}

fn claims_of(token: &str) -> Value {
    part(token, 1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_at_the_issuer_ends_the_sessions_of_a_token_that_only_it_can_read() -> Result<()> {
    let Some(provider) = provider()? else { return Ok(()) };
    let site: Watched<Site> = site("identity_opaque", trusting(Some(&provider), None))?;
    let (revoked, other) = (provider.token(OPAQUE)?, provider.token(OPAQUE)?);
    let mut ends = Raw::login(&site, &revoked).await?;
    let mut stays = Raw::login(&site, &other).await?;
    assert_eq!(ends.simple("SELECT 1").await?.column(), ["1"]);
    provider.revoke(&revoked)?;
    assert_eq!(ends.end().await?.as_deref(), Some("57P01"));
    assert_eq!(stays.simple("SELECT 1").await?.column(), ["1"]);
    assert!(is_refused(&run(&site, &revoked, "SELECT 1")?));
    // The user behind a statement, likewise.
    let user = provider.token(OPAQUE)?;
    assert!(stays.simple(&format!("SET sluice.user_token = '{user}'")).await?.errors().is_empty());
    assert_eq!(stays.simple("SELECT 2").await?.column(), ["2"]);
    provider.revoke(&user)?;
    eventually_blocking(LIMIT, "the user's token to be refused", || {
        Ok(is_refused(&run(&site, &user, "SELECT 1")?).then_some(()))
    })?;
    assert_eq!(stays.simple("SELECT 3").await?.errors(), ["28000"], "nobody acts for a user who is not believed");
    // Neither the journal nor the log has a token, or the secret that Sluice asks with.
    let told = format!("{}{:?}", site.log(), crate::support::record::events(&site)?);
    for secret in [&revoked, &other, &user, provider.introspection_secret()] {
        assert!(!told.contains(secret), "it is told");
    }
    assert!(told.contains("sha256:"), "the record names the token by its digest");
    Ok(())
}

fn inspect(site: &Site, token: &str, arguments: &[&str]) -> Result<Output> {
    let file = site.home().join("inspected.token");
    std::fs::write(&file, format!("{token}\n"))?;
    let config = site.config().display().to_string();
    let arguments = [&["token", "inspect"], arguments, &[file.to_str().context("a path")?]].concat();
    sluice(site.binary(), &arguments, &[("SLUICE_CONFIG", config.as_str()), ("ASKING", "not the secret")])
}

#[test]
fn an_operator_sees_which_check_a_token_fails_and_never_its_signature() -> Result<()> {
    let Some(provider) = provider()? else { return Ok(()) };
    let site: Watched<Site> = site("identity_inspect", trusting(Some(&provider), None))?;
    let good = provider.token("ES512")?;
    let shown = inspect(&site, &good, &[])?.success()?;
    for expected in ["passed   signature", "certified, profile rfc9068", "certified|order-service", "groups", "cleared"]
    {
        assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
    }
    let now = claims_of(&good)["iat"].as_u64().context("iat")?;
    let claims = json!({"iss": provider.url(), "aud": "other", "sub": "x\u{1b}[31m", "iat": now, "exp": now + 300});
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": "RS256-1"});
    let bad = provider.sign("RS256-1", &header, &claims, None)?;
    let refused = inspect(&site, &bad, &[])?;
    assert_eq!(refused.status.code(), Some(1));
    for expected in ["passed  kind", "FAILED  audience", "-       times", "not reached", "\\u{1b}[31m"] {
        assert!(refused.stdout.contains(expected), "{expected} is not in:\n{}", refused.stdout);
    }
    assert!(refused.stderr.contains("another audience"), "{}", refused.stderr);
    let printed: Value = serde_json::from_str(&inspect(&site, &bad, &["--json"])?.stdout)?;
    assert_eq!((&printed["accepted"], &printed["checks"][5]["outcome"]), (&json!(false), &json!("failed")));
    assert_eq!(printed["claims"]["aud"], "other");
    for token in [&good, &bad] {
        let signature = token.rsplit('.').next().context("a signature")?;
        let all = [inspect(&site, token, &[])?, inspect(&site, token, &["--json"])?];
        assert!(!all.iter().any(|output| format!("{output:?}").contains(signature)));
    }
    // An opaque token: the issuer is asked, here as a client that it does not know.
    let opaque = provider.token(OPAQUE)?;
    let refused = inspect(&site, &opaque, &[])?;
    assert!(refused.stdout.contains("FAILED  active"), "{}", refused.stdout);
    assert!(!format!("{refused:?}").contains(&opaque));
    // An issuer that is away: why its keys could not be had is said.
    drop(provider);
    let refused = inspect(&site, &good, &[])?;
    assert!(refused.stdout.contains("FAILED  key") && refused.stderr.contains("cannot connect"), "{refused:?}");
    Ok(())
}
