//! Masks that have to outlive what they were made for: ReadyForQuery, a cached plan, a suspended portal, a cursor, a new
//! revision in mid-stream (MK-28, RULES.md 13).

use anyhow::{Context, Result};
use testkit::canary::{Canary, assert_absent};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::scripted::{Message, query};

use crate::support::oracle::Watched;
use crate::support::raw::{Answer, Raw, bind, describe, execute, parse, sync};
use crate::support::{postgres, site, token};

/// How many rows a stream has: far more than all buffers between target and client hold.
const ENDLESS: &str = "generate_series(1, 400000)";

/// A site of its own, since its revision changes. Every customer, card and note is a canary.
struct Stage {
    site: Watched<Site>,
    canary: Canary,
}

impl Stage {
    fn new(database: &str, tuning: Tuning) -> Result<Self> {
        let canary = Canary::random()?;
        crate::support::database(database)?;
        let Canary { card, ssn, email, token } = &canary;
        // The note is a word that no detector knows: what hides it is its class alone.
        postgres()?.sql(
            database,
            &format!(
                "UPDATE customers SET email = '{email}', ssn = '{ssn}';
                 UPDATE cards SET number = '{card}';
                 UPDATE orders SET note = '{token}'"
            ),
        )?;
        Ok(Self { site: site(database, tuning)?, canary })
    }

    async fn client(&self) -> Result<Raw> {
        Raw::login(&self.site, &self.site.token(&ORDER_SERVICE)?).await
    }

    /// Puts further lines into the classification, and waits until they are in force.
    fn classify(&self, lines: &str) -> Result<()> {
        let path = self.site.revision_file("classification.toml");
        let text = std::fs::read_to_string(&path)? + lines;
        self.site.revise(|| Ok(std::fs::write(&path, text)?))?;
        Ok(())
    }

    fn assert_hidden(&self, answer: &Answer, rows: usize) {
        assert_absent(&answer.bytes(), &self.canary);
        assert_eq!(answer.rows().len(), rows, "{answer:?}");
    }
}

const NOTE_IS_SECRET: &str = "\n[[column]]\nmatch = \"public.orders.note\"\nclasses = [\"secret\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_masks_survive_ready_for_query_and_cached_plans() -> Result<()> {
    let stage = Stage::new("again", Tuning::default())?;
    for sql in [
        "SELECT ssn, email FROM customers WHERE id = $1",
        "SELECT lower(email) || ssn FROM customers WHERE id = $1",
        "SELECT row_to_json(c) FROM customers c WHERE id = $1",
        "SELECT array_agg(number) FROM cards WHERE id = $1",
    ] {
        for described in [false, true] {
            let mut client = stage.client().await?;
            client.exchange(&[parse("s", sql), sync()]).await?;
            if described {
                client.exchange(&[describe(b'S', "s"), sync()]).await?;
            }
            // From the sixth time on the server uses a generic plan.
            for time in 0..12 {
                let bound = bind("", "s", &["1"], time % 2);
                stage.assert_hidden(&client.exchange(&[bound, execute("", 0), sync()]).await?, 1);
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_masks_survive_suspended_portals_and_pipelines_without_describe() -> Result<()> {
    let stage = Stage::new("suspended", Tuning::default())?;
    let mut client = stage.client().await?;
    client.simple("BEGIN").await?;
    let sql = "SELECT ssn, email || '' FROM customers ORDER BY id";
    client.exchange(&[parse("s", sql), bind("p", "s", &[], 0), sync()]).await?;
    for _ in 0..4 {
        stage.assert_hidden(&client.exchange(&[execute("p", 2), sync()]).await?, 2);
        // Something else in between, in the clear and of another shape.
        assert_eq!(client.simple("SELECT 1, 2, 3").await?.rows().len(), 1);
    }
    client.simple("ROLLBACK").await?;
    let one = |portal: &str, format| [bind(portal, "s", &[], format), execute(portal, 1)].concat();
    let pipelined: Vec<Vec<u8>> = (0..40).map(|number| one("", number % 2)).chain([sync()]).collect();
    stage.assert_hidden(&client.exchange(&pipelined).await?, 40);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_masks_survive_sql_names_and_cursors() -> Result<()> {
    let stage = Stage::new("named", Tuning::default())?;
    let mut client = stage.client().await?;
    client.simple("PREPARE p AS SELECT ssn || '', email FROM customers WHERE id <= 2").await?;
    for _ in 0..8 {
        stage.assert_hidden(&client.simple("EXECUTE p").await?, 2);
        stage.assert_hidden(
            &client.exchange(&[parse("", "EXECUTE p"), bind("", "", &[], 1), execute("", 0), sync()]).await?,
            2,
        );
    }
    client.simple("BEGIN").await?;
    client
        .simple("DECLARE c SCROLL CURSOR FOR SELECT ssn || '', number FROM customers, cards WHERE cards.id = 1")
        .await?;
    client.simple("DECLARE b BINARY CURSOR WITH HOLD FOR SELECT ssn, lower(email) FROM customers").await?;
    for fetch in ["FETCH 2 FROM c", "FETCH BACKWARD 1 FROM c", "FETCH 2 FROM b"] {
        let rows = if fetch.contains("BACKWARD") { 1 } else { 2 };
        stage.assert_hidden(&client.simple(fetch).await?, rows);
        client.simple("MOVE 3 IN c").await?;
    }
    client.simple("COMMIT").await?;
    stage.assert_hidden(&client.simple("FETCH 2 FROM b").await?, 2);
    stage.assert_hidden(
        &client.exchange(&[parse("f", "FETCH 1 FROM b"), bind("", "f", &[], 0), execute("", 0), sync()]).await?,
        1,
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_a_revision_reaches_what_was_opened_before_it() -> Result<()> {
    let stage = Stage::new("revised", Tuning::default())?;
    let shown = |answer: &Answer| testkit::canary::leak(&answer.bytes(), &stage.canary.token).is_some();
    let mut client = stage.client().await?;
    let sql = "SELECT note, id FROM orders ORDER BY id";
    client.exchange(&[parse("s", sql), describe(b'S', "s"), sync()]).await?;
    client.simple(&format!("PREPARE q AS {sql}")).await?;
    client.simple("BEGIN").await?;
    client.exchange(&[bind("fresh", "s", &[], 0), bind("p", "s", &[], 0), execute("p", 1), sync()]).await?;
    client.simple(&format!("DECLARE c CURSOR FOR {sql}")).await?;
    client.simple(&format!("DECLARE h CURSOR WITH HOLD FOR {sql}")).await?;
    assert!(shown(&client.simple("FETCH 1 FROM c").await?), "nobody hid it yet");
    stage.classify(NOTE_IS_SECRET)?;
    // In one transaction, so nothing may fail before the last.
    for sql in ["FETCH 1 FROM c", "FETCH 1 FROM h", "EXECUTE q"] {
        let answer = client.simple(sql).await?;
        assert!(answer.errors().is_empty() && !shown(&answer), "{sql}: {answer:?}");
    }
    let bound = client.exchange(&[bind("", "s", &[], 0), execute("", 1), sync()]).await?;
    assert!(bound.errors().is_empty() && !shown(&bound), "{bound:?}");
    let resumed = client.exchange(&[execute("p", 1), sync()]).await?;
    assert!(!shown(&resumed), "{resumed:?}");
    assert_eq!(resumed.errors(), ["42501"]);
    let fresh = client.exchange(&[execute("fresh", 1), sync()]).await?;
    assert!(!shown(&fresh), "{fresh:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_a_stricter_mask_reaches_a_suspended_portal() -> Result<()> {
    let partial = "\n[classes.card_number]\nmask = \"partial\"\nkeep_last = 8\n";
    let stage = Stage::new("stricter", Tuning { classification: partial.into(), ..Tuning::default() })?;
    let ending = &stage.canary.card[stage.canary.card.len() - 8..];
    let mut client = stage.client().await?;
    client.simple("BEGIN").await?;
    let opened = client
        .exchange(&[parse("s", "SELECT number FROM cards"), bind("p", "s", &[], 0), execute("p", 1), sync()])
        .await?;
    assert!(opened.column()[0].ends_with(ending), "{opened:?}");
    let path = stage.site.revision_file("classification.toml");
    let text = std::fs::read_to_string(&path)?.replace("keep_last = 8", "keep_last = 2");
    stage.site.revise(|| Ok(std::fs::write(&path, text)?))?;
    let resumed = client.exchange(&[execute("p", 1), sync()]).await?;
    assert_eq!((resumed.errors(), resumed.rows().len()), (vec!["42501".to_owned()], 0), "{resumed:?}");
    client.simple("ROLLBACK").await?;
    let again = client.simple("SELECT number FROM cards LIMIT 1").await?.column();
    assert!(again[0].ends_with(&ending[6..]) && !again[0].ends_with(ending), "{again:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_what_is_public_no_more_is_searched_in_a_suspended_portal() -> Result<()> {
    let public = "\n[[column]]\nmatch = \"public.orders.note\"\npublic = true\n";
    let stage = Stage::new("unpublished", Tuning { classification: public.into(), ..Tuning::default() })?;
    postgres()?.sql("unpublished", &format!("UPDATE orders SET note = '{}'", stage.canary.card))?;
    let mut client = stage.client().await?;
    client.simple("BEGIN").await?;
    let open = [parse("s", "SELECT note FROM orders"), bind("p", "s", &[], 0), execute("p", 1), sync()];
    let opened = client.exchange(&open).await?;
    assert_eq!(opened.column(), std::slice::from_ref(&stage.canary.card));
    let path = stage.site.revision_file("classification.toml");
    let text = std::fs::read_to_string(&path)?.replace(public, "");
    stage.site.revise(|| Ok(std::fs::write(&path, text)?))?;
    let resumed = client.exchange(&[execute("p", 1), sync()]).await?;
    assert_absent(&resumed.bytes(), &stage.canary);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_fewer_groups_reach_a_suspended_portal() -> Result<()> {
    let stage = Stage::new("regrouped", Tuning::default())?;
    let all = token(&stage.site, "regrouped", &["cleared", "payments-apps"])?;
    let fewer = token(&stage.site, "regrouped", &["payments-apps"])?;
    let mut client = Raw::login(&stage.site, &all).await?;
    client.simple("BEGIN").await?;
    let open = [parse("s", "SELECT ssn FROM customers"), bind("p", "s", &[], 0), execute("p", 1), sync()];
    assert_eq!(client.exchange(&open).await?.column(), std::slice::from_ref(&stage.canary.ssn));
    let renewed = client.simple(&format!("SET sluice.token = '{fewer}'")).await?;
    assert!(renewed.errors().is_empty(), "{renewed:?}");
    let resumed = client.exchange(&[execute("p", 1), sync()]).await?;
    assert_absent(&resumed.bytes(), &stage.canary);
    assert_eq!(resumed.errors(), ["42501"]);
    Ok(())
}

/// Reads on until the answer ends; gives its last message but ReadyForQuery, and how many messages held the value.
async fn rest(client: &mut Raw, value: &str) -> Result<(Message, usize)> {
    let (mut last, mut held) = (None, 0);
    loop {
        let message = client.peer.read_message().await?;
        if message.tag == b'Z' {
            return Ok((last.context("an empty answer")?, held));
        }
        held += usize::from(testkit::canary::leak(&message.body, value).is_some());
        let ends = message.tag == b'E' && crate::support::raw::field(&message, b'V').as_deref() == Some("FATAL");
        last = Some(message);
        if ends {
            return Ok((last.context("an end")?, held));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_a_revision_cuts_rows_and_copies_in_mid_stream() -> Result<()> {
    for (database, sql) in [
        ("cut_rows", format!("SELECT note, repeat('-', 100) FROM orders, {ENDLESS}")),
        ("cut_copy", format!("COPY (SELECT note, repeat('-', 100) FROM orders, {ENDLESS}) TO STDOUT")),
        (
            "cut_binary",
            format!("COPY (SELECT note, repeat('-', 100) FROM orders, {ENDLESS}) TO STDOUT (FORMAT binary)"),
        ),
    ] {
        let stage = Stage::new(database, Tuning::default())?;
        let mut client = stage.client().await?;
        client.send(&[query(&sql)]).await?;
        let mut shown = false;
        for _ in 0..50 {
            let message = client.peer.read_message().await?;
            shown |= testkit::canary::leak(&message.body, &stage.canary.token).is_some();
        }
        assert!(shown, "{sql}: the stream began in clear");
        stage.classify(NOTE_IS_SECRET)?;
        let (last, _) = rest(&mut client, &stage.canary.token).await?;
        assert_eq!(crate::support::raw::field(&last, b'C').as_deref(), Some("42501"), "{sql}: {last:?}");
        // The session goes on, by the new revision.
        let after = client.simple("SELECT note FROM orders LIMIT 1").await?;
        stage.assert_hidden(&after, 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_a_revision_that_hides_nothing_of_it_lets_a_stream_go_on() -> Result<()> {
    let stage = Stage::new("goes_on", Tuning::default())?;
    let mut client = stage.client().await?;
    client.send(&[query("SELECT total, repeat('-', 100) FROM orders, generate_series(1, 200)")]).await?;
    for _ in 0..50 {
        client.peer.read_message().await?;
    }
    stage.classify(NOTE_IS_SECRET.replace("orders.note", "refunds.reason").as_str())?;
    let (last, _) = rest(&mut client, &stage.canary.token).await?;
    assert_eq!(last.tag, b'C', "{last:?}");
    Ok(())
}

/// Where the lineage proves nothing, a column is taken for what the target says it is: and that may have been said of
/// another table.
#[tokio::test(flavor = "multi_thread")]
async fn mk_29_a_description_from_under_another_search_path_proves_nothing() -> Result<()> {
    let policies = "@id(\"opaque-too\")
        permit (principal in Group::\"opaque-ones\",
            action in [Action::\"opaque\", Action::\"read\", Action::\"set\", Action::\"connect\"], resource);";
    let classification = "\n[[column]]\nmatch = \"behind.t.x\"\nclasses = [\"secret\"]\n";
    let tuning = Tuning {
        policies: vec![("50-opaque.cedar".into(), policies.into())],
        classification: classification.into(),
        ..Tuning::default()
    };
    crate::support::database("described")?;
    postgres()?.sql(
        "described",
        "SET ROLE sluice_app; CREATE SCHEMA before; CREATE SCHEMA behind; CREATE TABLE before.t (x text); \
         CREATE TABLE behind.t (x text); INSERT INTO before.t VALUES ('harmless')",
    )?;
    let stage = Stage::new("described", tuning)?;
    postgres()?.sql("described", &format!("INSERT INTO behind.t VALUES ('{}')", stage.canary.token))?;
    let mut client = Raw::login(&stage.site, &token(&stage.site, "opaque", &["opaque-ones"])?).await?;
    for sql in ["SET standard_conforming_strings = off", "SET search_path = before"] {
        assert!(client.simple(sql).await?.errors().is_empty(), "{sql}");
    }
    let prepared = client.exchange(&[parse("s", r"SELECT x, '\\' FROM t"), describe(b'S', "s"), sync()]).await?;
    assert!(prepared.errors().is_empty(), "{prepared:?}");
    assert_eq!(client.exchange(&[bind("", "s", &[], 0), execute("", 0), sync()]).await?.column(), ["harmless"]);
    client.simple("SET search_path = behind").await?;
    let answer = client.exchange(&[bind("", "s", &[], 0), execute("", 0), sync()]).await?;
    assert!(answer.errors().is_empty(), "{answer:?}");
    stage.assert_hidden(&answer, 1);
    Ok(())
}
