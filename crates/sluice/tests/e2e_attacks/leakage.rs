//! Secrets where they must not be (LK-).

use anyhow::Result;
use testkit::canary::leak;
use testkit::demo::site::{ORDER_SERVICE, Tuning};
use testkit::issuer::Grant;

use crate::support::raw::Raw;
use crate::support::{CLEARED, database, postgres, psql, run, site};

#[tokio::test(flavor = "multi_thread")]
async fn lk_01_no_token_password_or_key_is_logged_at_any_level() -> Result<()> {
    let tuning = Tuning { sluice_toml: "[log]\nlevel = \"trace\"\n".into(), ..Tuning::default() };
    let site = site("leakage", tuning)?;
    let good = site.token(&ORDER_SERVICE)?;
    let expired = site.issuer().issue(Grant::new("x").lifetime(std::time::Duration::ZERO))?;
    let elsewhere = site.issuer().issue(Grant::new("x").audience("elsewhere"))?;
    let (renewed, broken) = (site.token(&ORDER_SERVICE)?, format!("{good}x"));
    for token in [&good, &expired, &elsewhere, &broken, &"hunter2-canary-password".to_owned()] {
        let _ = run(&site, token, "SELECT 1")?;
    }
    let mut client = Raw::login(&site, &good).await?;
    client.simple(&format!("SET sluice.token = '{renewed}'")).await?;
    client.simple("SET sluice.token = 'hunter2-canary-token'").await?;
    client.simple("ALTER ROLE x PASSWORD 'hunter2-canary-role'").await?;
    crate::support::admin::call(&site, &good, "GET", "/v1/whoami", None)?;
    let log = site.log();
    assert!(log.len() > 1_000, "nothing was logged: {log}");
    let password = database("leakage")?.login.password;
    let key = std::fs::read_to_string(site.data().join("keys/token.key"))?;
    let secrets = [&good, &expired, &elsewhere, &broken, &renewed, &password, key.trim(), "hunter2-canary"];
    for (number, secret) in secrets.iter().enumerate() {
        // A token's payload without its signature says who, and opens nothing: the signature is what must not be there.
        let secret = secret.rsplit_once('.').map_or(*secret, |(_, signature)| signature);
        let found = leak(log.as_bytes(), secret);
        assert!(found.is_none(), "secret {number} is in the log: {found:?}");
    }
    // Nor does the journal or a tape have them.
    for (name, bytes) in files_under(&site.data())? {
        let own_key = name.contains("/keys/");
        for secret in secrets.iter().filter(|_| !own_key) {
            let secret = secret.rsplit_once('.').map_or(*secret, |(_, signature)| signature);
            assert!(leak(&bytes, secret).is_none(), "a secret is in {name}");
        }
    }
    Ok(())
}

/// Every file below a directory, with its path.
pub(crate) fn files_under(directory: &std::path::Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_under(&path)?);
        } else {
            files.push((path.display().to_string(), std::fs::read(&path)?));
        }
    }
    Ok(files)
}

#[test]
fn lk_03_what_callers_are_told_names_nothing_of_the_inside() -> Result<()> {
    let site = &crate::support::shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let stranger = crate::support::token(site, "stranger", &["nobody"])?;
    let mut told = String::new();
    for (token, sql) in [
        (&token, "DELETE FROM orders WHERE id = 1"),
        (&token, "DROP TABLE orders"),
        (&token, "DO $$ BEGIN END $$"),
        (&token, "SELECT nonsense FROM"),
        (&token, "SELECT * FROM no_such_table"),
        (&token, "SELECT * FROM pg_authid"),
        (&stranger, "SELECT 1"),
        (&"no-token".to_owned(), "SELECT 1"),
    ] {
        let output = run(site, token, sql)?;
        assert!(!output.status.success(), "{sql}");
        told += &output.stderr;
    }
    let login = &database("shared")?.login;
    let port = postgres()?.port().to_string();
    for inside in [login.user.as_str(), &login.password, &port, "forbid", "principal", "stack", ".rs:", "panicked"] {
        assert!(!told.contains(inside), "{inside:?} is in {told}");
    }
    // Whoever may not connect and whoever is nobody are told the same.
    let message =
        |token: &str| anyhow::Ok(run(site, token, "SELECT 1")?.stderr.lines().next().unwrap_or_default().to_owned());
    let of = |text: String| text.split_once("FATAL").map(|(_, rest)| rest.to_owned());
    assert_eq!(of(message(&stranger)?), of(message("no-token")?));
    Ok(())
}

#[test]
fn lk_12_the_targets_own_user_is_not_shown() -> Result<()> {
    let site = &crate::support::shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let denied = psql(site, &token, &["-c", "SELECT rolpassword FROM pg_authid"], "")?;
    assert!(!denied.stderr.contains("sluice_app"), "{}", denied.stderr);
    // The target's own refusal, of something that Sluice lets through.
    postgres()?.sql("shared", "CREATE TABLE others AS SELECT 1 AS id; REVOKE ALL ON others FROM PUBLIC")?;
    let refused = run(site, &site.token(&CLEARED)?, "SELECT * FROM others")?;
    assert!(!refused.stderr.contains("sluice_app"), "{}", refused.stderr);
    Ok(())
}
