//! The user behind a statement: named by a comment, for a session or for a transaction, and what policy, the journal and
//! the target see of it.

use anyhow::{Context, Result};
use model::event::Event;
use testkit::canary::leak;
use testkit::demo::site::{Site, Tuning};
use testkit::issuer::Grant;
use testkit::scripted::query;

use crate::support::oracle::Watched;
use crate::support::raw::{Raw, bind, execute, parse, sync};
use crate::support::{self, CLEARED, postgres, record};

/// Refunds are read for jane alone, whoever else may read everything.
const POLICY: &str = r#"
@id("refunds-for-jane")
forbid (
  principal in Group::"cleared",
  action == Action::"select",
  resource in Table::"payments/@DATABASE@/public/refunds"
)
unless { context has onBehalfOf && context.onBehalfOf == User::"demo|jane" };
"#;

const REFUNDS: &str = "SELECT count(*) FROM refunds";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn site(database: &str) -> Result<Watched<Site>> {
    let policies = vec![("50-refunds.cedar".to_owned(), POLICY.to_owned())];
    support::site(database, Tuning { policies, ..Tuning::default() })
}

fn user(site: &Site, name: &str) -> Result<String> {
    site.issuer().issue(Grant::new(name).claim("account_type", "person"))
}

/// On whose behalf each request was decided, and in which trace.
fn users(site: &Site) -> Result<Vec<(Option<String>, Option<String>)>> {
    let decided = record::events(site)?.into_iter().filter_map(|event| match event {
        Event::Decided { on_behalf_of, traceparent, .. } => {
            Some((on_behalf_of.map(|user| user.id.to_string()), traceparent.map(|trace| trace.to_string())))
        }
        _ => None,
    });
    Ok(decided.collect())
}

fn last_user(site: &Site) -> Result<Option<String>> {
    Ok(users(site)?.pop().context("nothing was decided")?.0)
}

#[tokio::test]
async fn a_comment_names_the_user_of_its_statement_and_of_no_other() -> Result<()> {
    let site = site("users_comment")?;
    let mut client = Raw::login(&site, &site.token(&CLEARED)?).await?;
    let (jane, joe) = (user(&site, "jane")?, user(&site, "joe")?);
    let since = postgres()?.statement_log()?.len();
    let told = |token: &str| format!("{REFUNDS} /*traceparent='{TRACE}',user_token='{token}'*/");
    assert_eq!(client.simple(&told(&jane)).await?.column().len(), 1);
    assert_eq!(users(&site)?.pop().context("a decision")?, (Some("jane".into()), Some(TRACE.into())));
    assert_eq!(client.simple(&told(&joe)).await?.errors(), ["42501"]);
    assert_eq!(last_user(&site)?.as_deref(), Some("joe"));
    assert_eq!(client.simple(REFUNDS).await?.errors(), ["42501"]);
    assert_eq!(last_user(&site)?, None);
    // A prepared statement keeps its user.
    let messages = [parse("refunds", &told(&jane)), bind("", "refunds", &[], 0), execute("", 0), sync()];
    assert_eq!(client.exchange(&messages).await?.column().len(), 1);
    assert_eq!(last_user(&site)?.as_deref(), Some("jane"));
    let executed = format!("{:?}", &postgres()?.statement_log()?[since..]);
    for token in [&jane, &joe] {
        assert!(leak(executed.as_bytes(), token).is_none(), "the target was shown the user's token");
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_has_a_user_of_its_own_and_the_session_its_user_back_after_it() -> Result<()> {
    let site = site("users_local")?;
    let mut client = Raw::login(&site, &site.token(&CLEARED)?).await?;
    let (jane, joe) = (user(&site, "jane")?, user(&site, "joe")?);
    for sql in [format!("SET sluice.user_token = '{jane}'"), "BEGIN".into(), REFUNDS.into()] {
        assert!(client.simple(&sql).await?.errors().is_empty(), "{sql}");
    }
    assert_eq!(client.simple(&format!("SET LOCAL sluice.user_token = '{joe}'")).await?.tags(), ["SET"]);
    assert_eq!(client.simple(REFUNDS).await?.errors(), ["42501"]);
    assert_eq!(last_user(&site)?.as_deref(), Some("joe"));
    client.simple("ROLLBACK").await?;
    assert_eq!(client.simple(REFUNDS).await?.column().len(), 1);
    assert_eq!(last_user(&site)?.as_deref(), Some("jane"));
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_is_sent_ahead_has_its_user_from_its_beginning_to_its_end() -> Result<()> {
    let site = site("users_ahead")?;
    let mut client = Raw::login(&site, &site.token(&CLEARED)?).await?;
    let local = format!("SET LOCAL sluice.user_token = '{}'", user(&site, "jane")?);
    client.send(&["SELECT 1", "BEGIN", &local, REFUNDS, "COMMIT", REFUNDS].map(query)).await?;
    let mut errors = Vec::new();
    for _ in 0..6 {
        errors.push(client.answer().await?.errors());
    }
    assert_eq!(errors[..5], [(); 5].map(|()| Vec::<String>::new()), "{errors:?}");
    // After its end nobody is named any more.
    assert_eq!(errors[5], ["42501"]);
    assert_eq!(last_user(&site)?, None);
    // The same by the extended protocol, with a Sync behind each.
    let extended = ["SELECT 1", "BEGIN", &local, REFUNDS, "COMMIT", REFUNDS];
    let messages: Vec<Vec<u8>> =
        extended.iter().flat_map(|sql| [parse("", sql), bind("", "", &[], 0), execute("", 0), sync()]).collect();
    client.send(&messages).await?;
    for (index, sql) in extended.iter().enumerate() {
        let answer = client.answer().await?;
        assert_eq!(answer.errors().is_empty(), index < 5, "{sql}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_journal_says_why_the_user_of_a_statement_is_not_believed() -> Result<()> {
    let site = site("users_refused")?;
    let mut client = Raw::login(&site, &site.token(&CLEARED)?).await?;
    let strange = site.issuer().issue(Grant::new("jane").audience("another"))?;
    let refused = client.simple(&format!("SELECT 1 /*user_token='{strange}'*/")).await?;
    assert_eq!(refused.errors(), ["28000"]);
    record::wait_for(
        &site,
        "the reason",
        |event| matches!(event, Event::SessionRefused { reason, .. } if &**reason == "user of a statement: the token is for another audience"),
    )?;
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"], "the session goes on");
    Ok(())
}
