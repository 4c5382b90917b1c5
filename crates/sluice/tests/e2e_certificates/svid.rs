//! X.509-SVIDs of a trust domain whose bundle is a file.

use std::fs;

use anyhow::{Context, Result};
use model::event::Event;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyUsagePurpose};
use testkit::demo::site::Site;
use testkit::issuer::Grant;
use testkit::process::http_get;
use testkit::scripted::startup;
use testkit::spiffe::clients::{LOADER, Shown, psql, rows, trusting};
use testkit::spiffe::{Authority, ended, ends_in, uri};
use testkit::tls::Certificate;
use testkit::wait::eventually_blocking;
use tokio_postgres::{Client, Connection, Socket};

use crate::support::certificates::{assert_not_let_in, presenting};
use crate::support::oracle::Watched;
use crate::support::raw::{V3_0, encrypted_by};
use crate::support::tls::{Encrypted, MakeRustls};
use crate::support::{LIMIT, prepare, record};

/// A Sluice that believes this bundle of `prod.acme`.
fn site(database: &str, bundle: &str) -> Result<Watched<Site>> {
    let mut site = Watched::new(prepare(database, trusting("bundle_file = \"prod.pem\""))?)?;
    fs::write(site.home().join("prod.pem"), bundle)?;
    site.start()?;
    Ok(site)
}

fn shown(site: &Site, name: &str, certificate: &Certificate) -> Shown {
    Shown::certificate(site.home(), name, certificate).unwrap()
}

async fn connect(site: &Site, svid: &Certificate) -> Result<(Client, Connection<Socket, Encrypted<Socket>>)> {
    let address = site.process()?.address("postgres")?;
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").hostaddr(address.ip()).port(address.port()).user("anybody");
    config.dbname(site.database()).ssl_mode(tokio_postgres::config::SslMode::Require);
    Ok(config.connect(MakeRustls(presenting(&site.ca(), svid)?)).await?)
}

#[test]
fn a_workload_gets_in_with_its_svid_and_no_password() -> Result<()> {
    let root = Authority::generate("prod.acme")?;
    let site = site("svid", root.certificate_pem())?;
    let svid = shown(&site, "svid", &root.svid(LOADER, |_| ())?);
    assert_eq!(rows(&site, &svid, "SELECT count(*) > 0 FROM orders")?, "t");
    let opened = record::wait_for(&site, "its session", |event| matches!(event, Event::SessionOpened { .. }))?;
    let Event::SessionOpened { subject, .. } = opened else { panic!("{opened:?}") };
    assert_eq!(subject.key.to_string(), format!("prod|{LOADER}"));
    assert_eq!(subject.groups, [std::sync::Arc::from("prod|etl")]);
    assert_eq!(subject.binding, model::subject::Binding::Mtls);
    assert!(subject.token_id.is_some_and(|id| id.starts_with("x509-sha256:")));
    // A password that nobody asked for is not sent, so it changes nothing.
    assert_eq!(rows(&site, &svid.with_token("not a token"), "SELECT 1")?, "1");
    // Another workload of the trust domain is somebody else, without the group.
    let other = shown(&site, "other", &root.svid("spiffe://prod.acme/ns/web/sa/front", |_| ())?);
    assert_not_let_in(&site, &other);
    // An intermediate authority comes along with the certificate.
    let middle = root.below("intermediate")?;
    assert_eq!(rows(&site, &shown(&site, "middle", &middle.svid(LOADER, |_| ())?), "SELECT 1")?, "1");
    Ok(())
}

#[test]
fn a_driver_gets_in_with_its_svid() -> Result<()> {
    let root = Authority::generate("prod.acme")?;
    let site = site("svid_driver", root.certificate_pem())?;
    let svid = root.svid(LOADER, |_| ())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = connect(&site, &svid).await?;
        let driving = tokio::spawn(connection);
        let row = client.query_one("SELECT count(*) FROM orders WHERE id < $1", &[&10_i64]).await?;
        assert_eq!(row.get::<_, i64>(0), 9);
        drop(client);
        tokio::time::timeout(LIMIT, driving).await??.map_err(anyhow::Error::from)
    })
}

/// Each is right but for one thing, and names nobody: a token is asked for, and the journal has the reason.
#[test]
fn an_svid_that_is_wrong_in_one_thing_lets_nobody_in() -> Result<()> {
    type Change = fn(&mut CertificateParams);
    let (root, impostor) = (Authority::generate("prod.acme")?, Authority::generate("prod.acme")?);
    let site = site("svid_wrong", root.certificate_pem())?;
    let wrong: [(&str, &Authority, &str, Change, &str); 7] = [
        ("expired", &root, LOADER, ended, "CertExpired"),
        ("other-domain", &root, "spiffe://other.acme/ns/etl/sa/loader", |_| (), "not configured for certificates"),
        ("two-names", &root, LOADER, |one| one.subject_alt_names.push(uri("spiffe://prod.acme/x").unwrap()), "2 URI"),
        ("ca", &root, LOADER, |one| one.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "authority's"),
        ("usage", &root, LOADER, |one| one.key_usages = vec![KeyUsagePurpose::KeyEncipherment], "key usage"),
        ("foreign-bundle", &impostor, LOADER, |_| (), "no authority of trust domain `prod.acme`"),
        ("no-workload", &root, "spiffe://prod.acme", |_| (), "not a workload's SPIFFE id"),
    ];
    for (name, authority, id, change, reason) in wrong {
        let svid = shown(&site, name, &authority.svid(id, change)?);
        assert_not_let_in(&site, &svid);
        assert_not_let_in(&site, &svid.with_token("not a token"));
        record::wait_for(
            &site,
            name,
            |event| matches!(event, Event::SessionRefused { reason: told, .. } if told.contains(reason)),
        )?;
    }
    Ok(())
}

#[test]
fn a_session_ends_with_its_svid() -> Result<()> {
    let root = Authority::generate("prod.acme")?;
    let site = site("svid_ends", root.certificate_pem())?;
    let svid = root.svid(LOADER, |params| ends_in(params, 4))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = connect(&site, &svid).await?;
        let driving = tokio::spawn(connection);
        let open = client.batch_execute("BEGIN; SELECT count(*) FROM orders").await;
        let ended = tokio::time::timeout(LIMIT, driving).await??.unwrap_err();
        assert_eq!(ended.code(), Some(&tokio_postgres::error::SqlState::ADMIN_SHUTDOWN), "{ended:?} {open:?}");
        anyhow::Ok(())
    })?;
    assert_not_let_in(&site, &shown(&site, "short", &svid));
    Ok(())
}

#[test]
fn a_bundle_file_is_followed_and_its_last_good_form_stays() -> Result<()> {
    let (first, second) = (Authority::generate("one")?, Authority::generate("two")?);
    let site = site("svid_rotates", first.certificate_pem())?;
    let (old, new) = (first.svid(LOADER, |_| ())?, second.svid(LOADER, |_| ())?);
    let (old, new) = (shown(&site, "old", &old), shown(&site, "new", &new));
    let gets_in = |svid: &Shown| Ok::<_, anyhow::Error>(psql(&site, svid, "SELECT 1")?.status.success());
    assert!(gets_in(&old)? && !gets_in(&new)?);
    let write = |text: &str| fs::write(site.home().join("prod.pem"), text);
    write(&format!("{}{}", first.certificate_pem(), second.certificate_pem()))?;
    eventually_blocking(LIMIT, "the new authority", || Ok(gets_in(&new)?.then_some(())))?;
    assert!(gets_in(&old)?);
    write(second.certificate_pem())?;
    eventually_blocking(LIMIT, "the old authority to go", || Ok((!gets_in(&old)?).then_some(())))?;
    write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")?;
    eventually_blocking(LIMIT, "the broken file to be seen", || {
        Ok(site.log().contains("the last good one stays").then_some(()))
    })?;
    assert!(gets_in(&new)? && !gets_in(&old)?);
    Ok(())
}

/// Whoever is not vouched for any more has no session either: another authority, and a trust domain that is gone.
#[test]
fn a_session_ends_when_nobody_vouches_for_its_svid_any_more() -> Result<()> {
    let (first, second) = (Authority::generate("one")?, Authority::generate("two")?);
    let site = site("svid_withdrawn", first.certificate_pem())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ends = |svid: &Certificate, withdraw: &dyn Fn() -> Result<()>| {
        runtime.block_on(async {
            let (client, connection) = connect(&site, svid).await?;
            let driving = tokio::spawn(connection);
            client.simple_query("SELECT 1").await?;
            withdraw()?;
            let ended = tokio::time::timeout(LIMIT, driving).await??.unwrap_err();
            assert_eq!(ended.code(), Some(&tokio_postgres::error::SqlState::ADMIN_SHUTDOWN), "{ended:?}");
            anyhow::Ok(())
        })
    };
    ends(&first.svid(LOADER, |_| ())?, &|| Ok(fs::write(site.home().join("prod.pem"), second.certificate_pem())?))?;
    let svid = second.svid(LOADER, |_| ())?;
    ends(&svid, &|| {
        let text = fs::read_to_string(site.config())?;
        let (rest, _) = text.split_once("[[trust_domain]]").unwrap();
        Ok(fs::write(site.config(), rest)?)
    })?;
    assert_not_let_in(&site, &shown(&site, "gone", &svid));
    Ok(())
}

/// Renews sessions from beside them by an SVID alone; returns what was renewed.
async fn renew(site: &Site, svid: &Certificate, sessions: &str) -> Result<String> {
    let mut peer = encrypted_by(site, presenting(&site.ca(), svid)?).await?;
    let parameters = [("user", "anybody"), ("database", site.database()), ("_pq_.sluice_renew", sessions)];
    peer.send(&startup(V3_0, &parameters)).await?;
    let told = peer.read_until(b'S').await?;
    Ok(String::from_utf8_lossy(&told.last().context("no answer")?.body).into_owned())
}

/// A session that was renewed lives by the newer SVID: what vouched for the older one may go, what vouches for the newer
/// one may not.
#[test]
fn a_renewed_session_ends_when_nobody_vouches_for_its_newer_svid_any_more() -> Result<()> {
    let (first, second) = (Authority::generate("one")?, Authority::generate("two")?);
    let both = format!("{}{}", first.certificate_pem(), second.certificate_pem());
    let site = site("svid_renewed", &both)?;
    let (old, new) = (first.svid(LOADER, |_| ())?, second.svid(LOADER, |_| ())?);
    let is_let_in = |svid: &Certificate, name| -> Result<bool> {
        Ok(psql(&site, &shown(&site, name, svid), "SELECT 1")?.status.success())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = connect(&site, &old).await?;
        let driving = tokio::spawn(connection);
        client.simple_query("SELECT 1").await?;
        let opened = record::wait_for(&site, "its session", |event| matches!(event, Event::SessionOpened { .. }))?;
        let Event::SessionOpened { session, .. } = opened else { panic!("{opened:?}") };
        let told = renew(&site, &new, &session.to_string()).await?;
        assert_eq!(told, format!("sluice.renewed\0{session}\0"));
        record::wait_for(&site, "the renewal", |event| matches!(event, Event::SessionRenewed { .. }))?;
        fs::write(site.home().join("prod.pem"), second.certificate_pem())?;
        eventually_blocking(LIMIT, "the old authority to go", || Ok((!is_let_in(&old, "old")?).then_some(())))?;
        client.simple_query("SELECT 1").await?;
        fs::write(site.home().join("prod.pem"), first.certificate_pem())?;
        let ended = tokio::time::timeout(LIMIT, driving).await??.unwrap_err();
        assert_eq!(ended.code(), Some(&tokio_postgres::error::SqlState::ADMIN_SHUTDOWN), "{ended:?}");
        anyhow::Ok(())
    })
}

/// An SVID says who the caller is, unless the client asks to be known by a token that may be bound to it.
#[test]
fn a_client_with_an_svid_may_ask_to_be_known_by_a_token() -> Result<()> {
    let root = Authority::generate("prod.acme")?;
    let site = site("svid_token", root.certificate_pem())?;
    let token = site.issuer().issue(Grant::new("somebody").groups(["cleared"]))?;
    let both = shown(&site, "svid", &root.svid(LOADER, |_| ())?).with_token(&token);
    let who = |shown: &Shown| -> Result<String> {
        let before = record::events(&site)?.len();
        rows(&site, shown, "SELECT 1")?;
        let subject = |event: &Event| match event {
            Event::SessionOpened { subject, .. } => Some(subject.key.to_string()),
            _ => None,
        };
        eventually_blocking(LIMIT, "the session", || {
            Ok(record::events(&site)?.get(before..).unwrap().iter().find_map(subject))
        })
    };
    assert_eq!(who(&both)?, format!("prod|{LOADER}"));
    assert_eq!(who(&both.clone().with_options("-c sluice.auth=password"))?, "demo|somebody");
    let asked = both.with_options("-c sluice.auth=password").with_token("not a token");
    assert_not_let_in(&site, &asked);
    let output = psql(&site, &asked.with_options("-c sluice.auth=maybe"), "SELECT 1")?;
    assert!(output.stderr.contains("sluice.auth is"), "{}", output.stderr);
    Ok(())
}

/// A JWT-SVID by the keys of a SPIFFE bundle document.
#[test]
fn a_jwt_svid_is_a_token_by_the_keys_of_its_trust_domains_bundle() -> Result<()> {
    let (ours, theirs) = (testkit::issuer::Issuer::start()?, testkit::issuer::Issuer::start()?);
    let keys = http_get(ours.address(), "/jwks")?.1.replace("\"kty\"", "\"use\":\"jwt-svid\",\"kty\"");
    let keys = keys.replace("\"use\":\"sig\",", "").replace(",\"use\":\"sig\"", "");
    let site = site("svid_jwt", &keys)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let sign = |issuer: &testkit::issuer::Issuer, id: &str, audience: &str| {
        let header = serde_json::json!({ "typ": "JWT", "alg": "ES256", "kid": issuer.key_id()? });
        let claims = serde_json::json!({ "sub": id, "aud": [audience], "iat": now, "exp": now + 300 });
        issuer.sign(&header.to_string(), &claims.to_string())
    };
    let with = |token: String| Shown::default().with_token(token);
    assert_eq!(rows(&site, &with(sign(&ours, LOADER, "sluice")?), "SELECT count(*) > 0 FROM orders")?, "t");
    for token in [
        sign(&theirs, LOADER, "sluice")?,
        sign(&ours, LOADER, "sluice2")?,
        sign(&ours, "spiffe://other.acme/ns/etl/sa/loader", "sluice")?,
        sign(&ours, "spiffe://prod.acme", "sluice")?,
    ] {
        assert_not_let_in(&site, &with(token));
    }
    Ok(())
}
