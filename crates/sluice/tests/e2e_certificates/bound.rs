//! Tokens that are bound to a client certificate (RFC 8705), on every way that a token has into a session.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use testkit::demo::site::{Site, Tuning};
use testkit::issuer::Grant;
use testkit::spiffe::clients::{Shown, psql, rows};
use testkit::tls::{Authority, Certificate};

use crate::support::admin::call;
use crate::support::certificates::{assert_not_let_in, presenting};
use crate::support::record;
use crate::support::tls::MakeRustls;
use crate::support::{LIMIT, site, sqlstates};

/// The thumbprint as RFC 8705, section 3.1 has it.
fn thumbprint(certificate: &Certificate) -> String {
    let der = CertificateDer::from_pem_slice(certificate.certificate_pem.as_bytes()).unwrap();
    URL_SAFE_NO_PAD.encode(identity::thumbprint(&der).0)
}

fn bound_to(site: &Site, certificate: &Certificate) -> Result<String> {
    let confirmation = json!({ "x5t#S256": thumbprint(certificate) });
    site.issuer().issue(Grant::new("etl").groups(["cleared"]).claim("cnf", confirmation))
}

/// A certificate that nobody whom Sluice knows has signed.
fn certificate() -> Certificate {
    Authority::generate("nobody").unwrap().client("etl").unwrap()
}

#[test]
fn a_bound_token_counts_on_a_connection_with_its_certificate_alone() -> Result<()> {
    let site = site("bound", Tuning::default())?;
    let (mine, other) = (certificate(), certificate());
    let token = bound_to(&site, &mine)?;
    let shown = Shown::certificate(site.home(), "mine", &mine)?.with_token(&token);
    assert_eq!(rows(&site, &shown, "SELECT count(*) > 0 FROM orders")?, "t");
    let stolen = Shown::default().with_token(&token);
    assert_not_let_in(&site, &stolen);
    record::wait_for(
        &site,
        "the true reason",
        |event| matches!(event, model::event::Event::SessionRefused { reason, .. } if reason.contains("no client certificate")),
    )?;
    assert_not_let_in(&site, &Shown::certificate(site.home(), "other", &other)?.with_token(&token));
    // The certificate alone names nobody, and a bearer token goes with any certificate.
    assert_not_let_in(&site, &Shown::certificate(site.home(), "mine", &mine)?);
    let bearer = crate::support::token(&site, "etl", &["cleared"])?;
    assert_eq!(rows(&site, &shown.with_token(&bearer), "SELECT 1")?, "1");
    Ok(())
}

#[test]
fn a_bound_token_counts_in_a_running_session_by_what_its_connection_proved() -> Result<()> {
    let site = site("bound_later", Tuning::default())?;
    let (mine, other) = (certificate(), certificate());
    let (bound, foreign) = (bound_to(&site, &mine)?, bound_to(&site, &other)?);
    let with = Shown::certificate(site.home(), "mine", &mine)?.with_token(&bound);
    let without = Shown::default().with_token(crate::support::token(&site, "etl", &["cleared"])?);
    for (shown, token, is_taken) in
        [(&with, &bound, true), (&with, &foreign, false), (&without, &bound, false), (&without, &foreign, false)]
    {
        let url = token.replace('+', "%2B");
        for sql in [
            format!("SET sluice.token = '{token}'"),
            format!("SET sluice.user_token = '{token}'"),
            format!("SELECT 1 /*user_token='{url}'*/"),
        ] {
            let output = psql(&site, shown, &sql)?;
            let expected: &[&str] = if is_taken { &[] } else { &["28000"] };
            assert_eq!(sqlstates(&output), expected, "{}", output.stderr);
        }
    }
    Ok(())
}

#[test]
fn a_session_that_is_bound_is_not_renewed_by_a_bearer_token() -> Result<()> {
    let site = site("bound_stays", Tuning::default())?;
    let mine = certificate();
    let (bound, bearer) = (bound_to(&site, &mine)?, crate::support::token(&site, "etl", &["cleared"])?);
    let shown = Shown::certificate(site.home(), "mine", &mine)?.with_token(&bound);
    assert_eq!(sqlstates(&psql(&site, &shown, &format!("SET sluice.token = '{bearer}'"))?), ["28000"]);
    // Nor over the admin API, where, without TLS, a bound one proves nothing either.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = site.process()?.address("postgres")?;
        let mut config = tokio_postgres::Config::new();
        config.host("localhost").hostaddr(address.ip()).port(address.port()).user("anybody").password(&bound);
        config.dbname(site.database()).ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, connection) = config.connect(MakeRustls(presenting(&site.ca(), &mine)?)).await?;
        let driving = tokio::spawn(connection);
        assert_eq!(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1);
        let admin = site.token(&testkit::demo::site::AUDITOR)?;
        let (_, sessions) = call(&site, &admin, "GET", "/v1/sessions", None)?;
        let own = sessions.as_array().into_iter().flatten().find(|one| one["subject"]["id"] == "etl").cloned();
        let own = own.unwrap_or_else(|| panic!("{sessions}"));
        assert_eq!(own["binding"], "mtls");
        assert_eq!(own["certificate"].as_str().map(str::len), Some(64));
        let path = format!("/v1/sessions/{}/token", own["session"].as_str().unwrap());
        assert_eq!(call(&site, &bearer, "POST", &path, None)?.0, 409);
        assert_eq!(call(&site, &bound, "POST", &path, None)?.0, 401);
        assert_eq!(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1);
        drop(client);
        tokio::time::timeout(LIMIT, driving).await??.map_err(anyhow::Error::from)
    })
}

const NO_BEARER: &str = r#"
@id("no-bearer-tokens")
@message("bring a token that is bound to your certificate")
forbid (principal, action == Action::"connect", resource) unless { context.session.binding == Binding::"mtls" };
"#;

#[test]
fn a_policy_can_demand_that_tokens_are_bound() -> Result<()> {
    let policies = vec![("50-bound.cedar".into(), NO_BEARER.into())];
    let site = site("bound_only", Tuning { policies, ..Tuning::default() })?;
    let mine = certificate();
    let shown = Shown::certificate(site.home(), "mine", &mine)?;
    assert_eq!(rows(&site, &shown.clone().with_token(bound_to(&site, &mine)?), "SELECT 1")?, "1");
    let bearer = crate::support::token(&site, "etl", &["cleared"])?;
    // The certificate on the connection does not make a bearer token a bound one.
    assert_not_let_in(&site, &shown.with_token(bearer));
    record::wait_for(
        &site,
        "the true reason",
        |event| matches!(event, model::event::Event::SessionRefused { reason, .. } if reason.contains("may not connect")),
    )?;
    Ok(())
}
