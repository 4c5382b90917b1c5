//! What the token endpoint issues, at the real program: passwords and tokens for one target, and tokens bound to keys that no
//! client of PostgreSQL can prove.

use std::time::Duration;

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::{Value, json};
use testkit::command::{Output, psql_with_input};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::issuer::Grant;

use crate::support::raw::Raw;
use crate::support::{admin, record, rows, run, shared, site, token as granted};

const PASSWORD: &str = "urn:sluice:token-type:database-password";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What the endpoint gives for a token of `order-service` at a target.
fn issued(site: &Site, token: &str, kind: &str, target: &str) -> Result<(u16, Value)> {
    admin::exchange(site, token, &[("requested_token_type", kind), ("audience", target)])
}

fn credential(site: &Site, token: &str, kind: &str, target: &str) -> Result<String> {
    let (status, answer) = issued(site, token, kind, target)?;
    let credential = answer.get("access_token").and_then(Value::as_str);
    Ok(credential.with_context(|| format!("{status}: {answer}"))?.to_owned())
}

/// A Sluice with a second target, `orders`, where the same services may connect.
fn two_targets(database: &str) -> Result<crate::support::oracle::Watched<Site>> {
    let connect = "@id(\"orders-connect\")\npermit (principal in Group::\"payments-apps\", action == Action::\"connect\", \
                   resource in Target::\"orders\");";
    let policies = vec![("50-orders.cedar".to_owned(), connect.to_owned())];
    let target = "\n[orders]\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\ndatabases = [\"orders\"]\ntls = \"off\"\n\
                  credential = { user = \"nobody\", password = { env = \"NOT_USED\" } }\n";
    site(database, Tuning { policies, target: target.to_owned(), ..Tuning::default() })
}

fn refused_because(site: &Site, reason: &str) -> Result<()> {
    let is_it = |event: &Event| matches!(event, Event::SessionRefused { reason: why, .. } if why.contains(reason));
    record::wait_for(site, reason, is_it).map(|_| ())
}

/// psql to a database of one's choice.
fn select_at(site: &Site, database: &str, password: &str) -> Result<Output> {
    let address = site.process()?.address("postgres")?;
    let (host, port, ca) = (address.ip().to_string(), address.port().to_string(), site.ca().display().to_string());
    let environment = [
        ("PGHOST", host.as_str()),
        ("PGPORT", &port),
        ("PGUSER", "anybody"),
        ("PGDATABASE", database),
        ("PGPASSWORD", password),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", &ca),
    ];
    psql_with_input(&["-A", "-t", "-q", "-c", "SELECT 1"], &environment, b"")
}

#[test]
fn a_password_opens_its_own_target_alone_and_survives_a_restart() -> Result<()> {
    let mut site = two_targets("token_passwords")?;
    let token = site.token(&ORDER_SERVICE)?;
    let password = credential(&site, &token, PASSWORD, "payments")?;
    assert_eq!(rows(&site, &password, "SELECT 1")?, "1");
    let elsewhere = select_at(&site, "orders", &password)?;
    let unknown = select_at(&site, "no_such_database", &password)?;
    let (prefix, random) = password.split_at(7);
    let wrong = format!("{prefix}{}", random.chars().rev().collect::<String>());
    let wrong = select_at(&site, site.database(), &wrong)?;
    let told = |output: &Output| output.stderr.split("Session").next().unwrap_or_default().to_owned();
    assert!(told(&elsewhere).contains("the connection is not allowed"), "{}", elsewhere.stderr);
    assert_eq!((told(&unknown), told(&wrong)), (told(&elsewhere), told(&elsewhere)), "one answer for all");
    refused_because(&site, "it is for another target")?;
    refused_because(&site, "it is unknown")?;
    // A token for one target, likewise.
    let at_orders = credential(&site, &token, ACCESS_TOKEN, "orders")?;
    assert!(run(&site, &at_orders, "SELECT 1")?.stderr.contains("the connection is not allowed"));
    refused_because(&site, "the token is for another audience")?;
    let at_payments = credential(&site, &token, ACCESS_TOKEN, "payments")?;
    assert_eq!(rows(&site, &at_payments, "SELECT 1")?, "1");
    site.stop()?;
    site.start()?;
    assert_eq!(rows(&site, &password, "SELECT 1")?, "1", "after a restart");
    assert!(!site.log().contains(&password), "it is in the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_ends_and_so_does_its_session() -> Result<()> {
    let site = shared()?;
    let short = site.issuer().issue(ORDER_SERVICE.grant().lifetime(Duration::from_secs(8)))?;
    let password = credential(&site, &short, PASSWORD, "payments")?;
    let mut client = Raw::login(&site, &password).await?;
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);
    assert_eq!(client.end().await?.as_deref(), Some("57P01"));
    assert!(run(&site, &password, "SELECT 1")?.stderr.contains("the connection is not allowed"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_renewed_with_what_is_for_its_target_alone() -> Result<()> {
    let site = two_targets("token_renewal")?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut client = Raw::login(&site, &credential(&site, &token, ACCESS_TOKEN, "payments")?).await?;
    let set = async |client: &mut Raw, token: &str| client.simple(&format!("SET sluice.token = '{token}'")).await;
    let elsewhere = set(&mut client, &credential(&site, &token, ACCESS_TOKEN, "orders")?).await?;
    assert_eq!(elsewhere.errors().len(), 1, "{elsewhere:?}");
    refused_because(&site, "renewal: the token is for another audience")?;
    for renewed in [
        credential(&site, &token, ACCESS_TOKEN, "payments")?,
        credential(&site, &token, PASSWORD, "payments")?,
        token.clone(),
    ] {
        assert!(set(&mut client, &renewed).await?.errors().is_empty());
    }
    // The other way in, with a token that is good at this target alone.
    let (_, live) = admin::call(&site, &granted(&site, "op", &["sluice-admin"])?, "GET", "/v1/sessions", None)?;
    let session = live[0]["session"].as_str().context("a live session")?;
    let path = format!("/v1/sessions/{session}/token");
    for (target, status) in [("payments", 200), ("orders", 401)] {
        let renewed = credential(&site, &token, ACCESS_TOKEN, target)?;
        assert_eq!(admin::call(&site, &renewed, "POST", &path, Some(&json!({})))?.0, status, "{target}");
    }
    Ok(())
}

#[test]
fn id_19_a_token_that_needs_a_proof_is_refused_where_there_can_be_none() -> Result<()> {
    let site = shared()?;
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let grant = Grant::new("order-service").groups(["payments-apps"]).claim("cnf", json!({ "jkt": thumbprint }));
    let bound = site.issuer().issue(grant)?;
    let refused = run(&site, &bound, "SELECT 1")?;
    assert!(refused.stderr.contains("the connection is not allowed"), "{}", refused.stderr);
    refused_because(&site, "the token is bound to another key: there is no DPoP proof")?;
    // Nor does it become one that needs none.
    for kind in [PASSWORD, ACCESS_TOKEN] {
        assert_eq!(issued(&site, &bound, kind, "payments")?.0, 400);
    }
    Ok(())
}

#[test]
fn the_command_line_exchanges_a_token() -> Result<()> {
    let site = shared()?;
    site.hand_out("exchange", ORDER_SERVICE.grant())?;
    let sluice = |arguments: &[&str]| {
        let mut command = std::process::Command::new(site.binary());
        let file = site.token_file("exchange");
        command.args(["token", "exchange", "--config"]).arg(site.config()).arg("--token-file").arg(file);
        testkit::command::run(
            {
                command.args(arguments);
                command
            },
            b"",
        )
    };
    let password = sluice(&["--target", "payments", "--password"])?.success()?;
    assert_eq!(rows(&site, password.trim(), "SELECT 1")?, "1");
    let token = sluice(&["--target", "payments"])?.success()?;
    assert_eq!(rows(&site, token.trim(), "SELECT 1")?, "1");
    let answer: Value = serde_json::from_str(&sluice(&["--json"])?.success()?)?;
    assert_eq!(answer["token_type"], "Bearer");
    let refused = sluice(&["--target", "no-such-target"])?;
    assert!(refused.stderr.contains("no such target"), "{}", refused.stderr);
    assert!(sluice(&["--password"])?.stderr.contains("--target"));
    Ok(())
}

/// With a client of others (oauth4webapi), so that our own code is not the only judge of what a standard says.
#[test]
fn an_independent_client_discovers_exchanges_and_proves() -> Result<()> {
    if testkit::drivers::Toolchain::Node.is_left_out() {
        return Ok(());
    }
    let mut site = site("token_client", Tuning::default())?;
    // Its own URL is known once it listens.
    site.keep_ports()?;
    let issuer = format!("http://{}", site.process()?.address("admin")?);
    site.stop()?;
    let text = std::fs::read_to_string(site.config())?;
    std::fs::write(site.config(), format!("{text}\n[tokens]\nissuer = \"{issuer}\"\nmax_lifetime = \"2m\"\n"))?;
    site.start()?;
    let mut command = std::process::Command::new("node");
    command.arg("oauth_client.mjs").current_dir(testkit::command::workspace_root().join("tests/node"));
    command.env("SLUICE_ISSUER", &issuer).env("SLUICE_TOKEN", site.token(&ORDER_SERVICE)?);
    let found: Value = serde_json::from_str(&testkit::command::run(command, b"")?.success()?)?;
    assert_eq!((&found["discovery"]["issuer"], &found["same"]), (&json!(issuer), &json!(true)));
    assert_eq!(found["bearer"]["who"]["subject"], json!({"issuer": "demo", "id": "order-service"}));
    let claims = &found["claims"];
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(issuer), &json!("demo|order-service")));
    let lifetime = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(exp, iat)| exp - iat);
    assert!(lifetime.is_some_and(|lifetime| lifetime <= 120), "{claims}");
    assert_eq!(found["nonce_was_asked_for"], true);
    for algorithm in ["ES256", "Ed25519", "RS256"] {
        let bound = &found["bound"][algorithm];
        assert_eq!((&bound["token_type"], &bound["exchanged"]), (&json!("dpop"), &json!("dpop")), "{bound}");
        assert_eq!((&bound["who"]["binding"], &bound["again"]["binding"]), (&json!("dpop"), &json!("dpop")), "{bound}");
        assert_eq!((&bound["without"]["refused"], &bound["stolen"]["refused"]), (&json!(401), &json!(401)), "{bound}");
    }
    assert_eq!(found["password"], json!({"token_type": "n_a", "length": 43}));
    assert_eq!(found["refused"], json!({"error": "invalid_target", "status": 400}));
    Ok(())
}
