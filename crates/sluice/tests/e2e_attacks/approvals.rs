//! Ways to get more out of an approval than was given (AP-), and a session that outlives its token (ID-14).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::demo::site::{DBA, ORDER_SERVICE, OTHER_DBA, Site, Tuning};
use testkit::issuer::Grant;
use testkit::scripted::query;
use testkit::wait::{eventually, eventually_blocking};
use tokio::sync::{Barrier, Semaphore};

use crate::support::admin::{answer, status, wait_for_status};
use crate::support::raw::{Answer, Raw, bind, execute, field, parse, sync};
use crate::support::{LIMIT, assert_refused, postgres, prepare, run, shared, site, sqlstates};

/// The approval that an error or a NOTICE names.
fn approval_in(answer: &Answer) -> Result<String> {
    let text: String = answer.0.iter().filter(|message| matches!(message.tag, b'E' | b'N')).map(named).collect();
    let id = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').find(|word| word.starts_with("apr-"));
    id.map(str::to_owned).with_context(|| format!("no approval in {answer:?}"))
}

fn named(message: &testkit::scripted::Message) -> String {
    [field(message, b'M'), field(message, b'D')].into_iter().flatten().collect::<Vec<_>>().join(" ") + " "
}

/// Asks inside a transaction, so that it becomes a ticket, and has it approved.
async fn ticket(client: &mut Raw, sql: &str) -> Result<String> {
    client.simple("BEGIN").await?;
    let refused = client.simple(sql).await?;
    assert_eq!(refused.errors(), ["42501"], "{refused:?}");
    client.simple("ROLLBACK").await?;
    approval_in(&refused)
}

async fn approved_ticket(site: &Site, client: &mut Raw, sql: &str) -> Result<String> {
    let approval = ticket(client, sql).await?;
    assert_eq!(answer(site, &site.token(&DBA)?, &approval, true)?, 200);
    Ok(approval)
}

/// Runs it in a transaction: the errors.
async fn retry(client: &mut Raw, sql: &str) -> Result<Vec<String>> {
    client.simple("BEGIN").await?;
    let errors = client.simple(sql).await?.errors();
    client.simple("COMMIT").await?;
    Ok(errors)
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_01_an_approval_is_for_exactly_what_was_shown() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    let approved = "DELETE FROM payments WHERE id = 201";
    approved_ticket(site, &mut client, approved).await?;
    for other in [
        "DELETE FROM payments WHERE id = 202",
        "DELETE FROM payments WHERE id = 201 OR id = 202",
        "DELETE FROM payments WHERE id = 201 RETURNING id",
        "DELETE FROM payments WHERE id = '201'",
    ] {
        assert_eq!(retry(&mut client, other).await?, ["42501"], "{other}");
    }
    // Followed state is a part of it: another time zone can mean other rows.
    client.simple("SET TimeZone = 'Asia/Tokyo'").await?;
    let in_other_state = retry(&mut client, approved).await?;
    client.simple("RESET TimeZone").await?;
    if in_other_state.is_empty() {
        assert_eq!(retry(&mut client, approved).await?, ["42501"], "it was used, so it is spent");
    } else {
        assert!(retry(&mut client, approved).await?.is_empty());
    }
    // Nobody else may use it.
    approved_ticket(site, &mut client, "DELETE FROM payments WHERE id = 203").await?;
    let mut omar = Raw::login(site, &site.token(&OTHER_DBA)?).await?;
    assert_eq!(retry(&mut omar, "DELETE FROM payments WHERE id = 203").await?, ["42501"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_01_parameters_are_bound() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    let delete =
        |id: &str| [parse("", "DELETE FROM payments WHERE id = $1"), bind("", "", &[id], 0), execute("", 0), sync()];
    client.simple("BEGIN").await?;
    let refused = client.exchange(&delete("211")).await?;
    client.simple("ROLLBACK").await?;
    assert_eq!(answer(site, &site.token(&DBA)?, &approval_in(&refused)?, true)?, 200);
    client.simple("BEGIN").await?;
    assert_eq!(client.exchange(&delete("212")).await?.errors(), ["42501"]);
    client.simple("ROLLBACK").await?;
    client.simple("BEGIN").await?;
    assert_eq!(client.exchange(&delete("211")).await?.tags(), ["DELETE 1"]);
    client.simple("COMMIT").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_02_a_hundred_retries_and_a_restart_use_it_once() -> Result<()> {
    let tuning = Tuning {
        sluice_toml: "[limits]\nmax_logins_per_source = 300\nlogin_timeout = \"60s\"\nconnect_timeout = \"60s\"\n"
            .into(),
        ..Tuning::default()
    };
    let mut site = site("approvals", tuning)?;
    let token = site.token(&ORDER_SERVICE)?;
    let sql = "DELETE FROM payments WHERE id = 221";
    let mut client = Raw::login(&site, &token).await?;
    approved_ticket(&site, &mut client, sql).await?;
    site.kill()?;
    site.start()?;

    let mut clients = tokio::task::JoinSet::new();
    let site = Arc::new(site);
    // Logged in a few at a time, so that a slow machine does; retried all at once.
    let (places, begin) = (Arc::new(Semaphore::new(8)), Arc::new(Barrier::new(100)));
    for _ in 0..100 {
        let (site, token) = (Arc::clone(&site), token.clone());
        let (places, begin) = (Arc::clone(&places), Arc::clone(&begin));
        clients.spawn(async move {
            let place = places.acquire().await?;
            let mut client = Raw::login(&site, &token).await?;
            drop(place);
            begin.wait().await;
            anyhow::Ok(retry(&mut client, sql).await?.is_empty())
        });
    }
    let mut succeeded = 0;
    while let Some(outcome) = clients.join_next().await {
        succeeded += usize::from(outcome??);
    }
    assert_eq!(succeeded, 1);
    let log = postgres()?.statement_log()?;
    assert_eq!(log.iter().filter(|entry| entry.database == "approvals" && entry.text == sql).count(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_03_nobody_approves_their_own() -> Result<()> {
    let site = &shared()?;
    let dba = site.token(&DBA)?;
    let mut client = Raw::login(site, &dba).await?;
    let approval = ticket(&mut client, "DELETE FROM payments WHERE id = 231").await?;
    assert_eq!(answer(site, &dba, &approval, true)?, 403);
    // Nor does whoever is behind the request.
    let grant =
        Grant::new("dana").claim("act", serde_json::json!({ "sub": "order-service", "groups": ["payments-apps"] }));
    let mut delegated = Raw::login(site, &site.issuer().issue(grant)?).await?;
    let approval = ticket(&mut delegated, "DELETE FROM payments WHERE id = 232").await?;
    assert_eq!(answer(site, &dba, &approval, true)?, 403);
    assert_eq!(answer(site, &site.token(&OTHER_DBA)?, &approval, true)?, 200);
    // Nor whoever is in no group that was asked.
    let other = crate::support::token(site, "mallory", &["payments-apps"])?;
    let approval = ticket(&mut client, "DELETE FROM payments WHERE id = 233").await?;
    assert_eq!(answer(site, &other, &approval, true)?, 403);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_08_what_comes_right_behind_is_decided_by_itself() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    let sql = "DELETE FROM payments WHERE id = 241";
    approved_ticket(site, &mut client, sql).await?;
    client.simple("BEGIN").await?;
    client
        .send(&[query(sql), query("DELETE FROM payments WHERE id = 242"), query("DELETE FROM orders WHERE id = 1")])
        .await?;
    assert_eq!(client.answer().await?.tags(), ["DELETE 1"]);
    assert_eq!(client.answer().await?.errors(), ["42501"]);
    assert!(!client.answer().await?.errors().is_empty());
    client.simple("ROLLBACK").await?;
    // In one message with it: another request, which nobody approved.
    let approval = ticket(&mut client, "DELETE FROM payments WHERE id = 243").await?;
    assert_eq!(answer(site, &site.token(&DBA)?, &approval, true)?, 200);
    let both = "DELETE FROM payments WHERE id = 243; DELETE FROM payments WHERE id = 244";
    assert_eq!(retry(&mut client, both).await?, ["42501"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_09_who_went_away_is_not_served_later() -> Result<()> {
    let site = &shared()?;
    let dba = site.token(&DBA)?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    client.send(&[query("DELETE FROM payments WHERE id = 251")]).await?;
    let notice = client.peer.read_message().await?;
    let approval = approval_in(&Answer(vec![notice]))?;
    assert_eq!(status(site, &dba, &approval)?, "pending");
    drop(client);
    wait_for_status(site, &dba, &approval, "withdrawn")?;
    assert_ne!(answer(site, &dba, &approval, true)?, 200);
    let left = postgres()?.sql(site.database(), "SELECT count(*) FROM payments WHERE id = 251")?;
    assert_eq!(left, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_09_past_the_hold_it_is_a_ticket() -> Result<()> {
    let site = site("holds", Tuning { sluice_toml: "[approvals]\nhold_max = \"1s\"\n".into(), ..Tuning::default() })?;
    let (token, dba) = (site.token(&ORDER_SERVICE)?, site.token(&DBA)?);
    let sql = "DELETE FROM payments WHERE id = 252";
    let output = run(&site, &token, sql)?;
    assert_eq!(sqlstates(&output), ["42501"], "{}", output.stderr);
    let id = output.stderr.split_whitespace().find(|word| word.starts_with("apr-")).context("no approval")?;
    assert_eq!(answer(&site, &dba, id, true)?, 200);
    assert!(run(&site, &token, sql)?.status.success());
    // Spent: asked anew.
    assert_eq!(sqlstates(&run(&site, &token, sql)?), ["42501"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_12_a_denial_is_final() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    client.send(&[query("DELETE FROM payments WHERE id = 261")]).await?;
    let approval = approval_in(&Answer(vec![client.peer.read_message().await?]))?;
    assert_eq!(answer(site, &site.token(&DBA)?, &approval, false)?, 200);
    assert_eq!(client.answer().await?.errors(), ["42501"]);
    assert_ne!(answer(site, &site.token(&OTHER_DBA)?, &approval, true)?, 200);
    Ok(())
}

/// The server folds a call of what says that it is immutable when it plans: EXPLAIN for the approver runs it.
#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_for_the_approver_runs_nothing() -> Result<()> {
    let calls = r#"@id("order-service-calls-it")
        permit (principal == Service::"demo|order-service", action == Action::"execute",
            resource in Function::"payments/folded/public/folded");"#;
    let tuning = Tuning { policies: vec![("50-calls.cedar".into(), calls.into())], ..Tuning::default() };
    let mut site = prepare("folded", tuning)?;
    postgres()?.sql(
        "folded",
        "CREATE SEQUENCE ran; GRANT ALL ON SEQUENCE ran TO public; \
         CREATE FUNCTION folded() RETURNS bigint IMMUTABLE LANGUAGE plpgsql \
         AS $$ BEGIN RETURN nextval('public.ran'); END $$",
    )?;
    site.start()?;
    let ran = || postgres()?.sql("folded", "SELECT is_called FROM ran");
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    client.send(&[query("DELETE FROM payments WHERE id = folded()")]).await?;
    let approval = approval_in(&Answer(vec![client.peer.read_message().await?]))?;
    assert_eq!(ran()?, "f", "it ran while it was asked about");
    assert_eq!(answer(&site, &site.token(&DBA)?, &approval, true)?, 200);
    assert!(client.answer().await?.errors().is_empty());
    assert_eq!(ran()?, "t");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_a_session_ends_with_its_token() -> Result<()> {
    let site = &shared()?;
    let short = ORDER_SERVICE.grant().lifetime(Duration::from_secs(4));
    let token = site.issuer().issue(short)?;
    let mut idle = Raw::login(site, &token).await?;
    let mut open = Raw::login(site, &token).await?;
    open.simple("BEGIN").await?;
    let inserted = open.simple("INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1, 'id_14')").await?;
    assert!(inserted.errors().is_empty(), "{inserted:?}");
    assert_eq!(idle.end().await?.as_deref(), Some("57P01"));
    assert_eq!(open.end().await?.as_deref(), Some("57P01"));
    eventually(LIMIT, "the transaction to be rolled back", async || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = 'shared'";
        (postgres().ok()?.sql("postgres", sql).ok()? == "0").then_some(())
    })
    .await?;
    assert_eq!(postgres()?.sql(site.database(), "SELECT count(*) FROM refunds WHERE reason = 'id_14'")?, "0");
    // An expired one opens nothing.
    assert!(Raw::login(site, &token).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_renewed_in_time_it_goes_on_and_a_strangers_token_does_not_help() -> Result<()> {
    let site = &shared()?;
    let begun = std::time::Instant::now();
    let token = site.issuer().issue(ORDER_SERVICE.grant().lifetime(Duration::from_secs(4)))?;
    let mut client = Raw::login(site, &token).await?;
    let stranger = site.token(&DBA)?;
    assert_eq!(client.simple(&format!("SET sluice.token = '{stranger}'")).await?.errors().len(), 1);
    let renewed = site.token(&ORDER_SERVICE)?;
    let answer = client.simple(&format!("SET sluice.token = '{renewed}'")).await?;
    assert_eq!(answer.tags(), ["SET"], "{answer:?}");
    eventually_blocking(LIMIT, "the first token's end", || Ok((begun.elapsed().as_secs() > 5).then_some(())))?;
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);
    // The server never saw it.
    let log = postgres()?.raw_log()?;
    assert!(testkit::canary::leak(&log, &renewed).is_none());
    assert_refused(site, &renewed, "DELETE FROM orders WHERE id = 1", "42501");
    Ok(())
}
