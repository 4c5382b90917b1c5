//! Ways around the policy in PostgreSQL's own language and protocol (PG-).

use anyhow::{Context, Result};
use testkit::demo::site::{ORDER_SERVICE, Site};

use crate::support::oracle::Watched;
use crate::support::raw::{Raw, bind, close, encrypted, execute, parse, started, sync};
use crate::support::{assert_refused, postgres, psql, rows, run, shared, sqlstates};

fn order_service() -> Result<(Watched<&'static Site>, String)> {
    let site = shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    Ok((site, token))
}

/// Fails if the server executed anything with this in its text.
fn assert_not_executed(marker: &str) -> Result<()> {
    let log = postgres()?.statement_log()?;
    let executed: Vec<&str> = log.iter().map(|entry| &*entry.text).filter(|text| text.contains(marker)).collect();
    assert!(executed.is_empty(), "the server executed {executed:?}");
    Ok(())
}

fn assert_all_refused(site: &Site, token: &str, statements: &[&str]) {
    for sql in statements {
        assert_refused(site, token, sql, "42501");
    }
}

#[test]
fn pg_01_several_statements_in_one_message_are_all_or_nothing() -> Result<()> {
    let (site, token) = &order_service()?;
    assert_refused(site, token, "SELECT 7101; DELETE FROM orders WHERE id = 7101", "42501");
    assert_refused(site, token, "DROP TABLE refunds; SELECT 7101", "42501");
    assert_not_executed("7101")
}

#[test]
fn pg_02_comments_quotes_and_escapes_hide_nothing() -> Result<()> {
    let (site, token) = &order_service()?;
    assert_all_refused(
        site,
        token,
        &[
            "DELETE /* /* nested */ */ FROM orders WHERE id = 7102",
            "delete\nfrom--\n\"orders\" where id = 7102",
            r#"DELETE FROM U&"ord\0065rs" WHERE id = 7102"#,
            "SELECT $a$;$a$, 7102; DELETE FROM public.orders WHERE id = 7102",
        ],
    );
    assert_not_executed("7102")
}

#[test]
fn pg_03_standard_conforming_strings_stay_on() -> Result<()> {
    let (site, token) = &order_service()?;
    for sql in [
        "SET standard_conforming_strings = off",
        "SET SESSION standard_conforming_strings TO 'off'",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "ALTER ROLE CURRENT_USER SET standard_conforming_strings = off",
        "BEGIN; SET LOCAL standard_conforming_strings = off; COMMIT",
    ] {
        assert!(!sqlstates(&run(site, token, sql)?).is_empty(), "{sql}");
    }
    let ssn = postgres()?.sql(site.database(), "SELECT ssn FROM customers WHERE id = 1")?;
    let script =
        "SET standard_conforming_strings = off;\nSELECT 'x\\'' , (SELECT ssn FROM customers WHERE id = 1) --';\n;";
    let output = psql(site, token, &["-f", "-"], script)?;
    assert!(!output.stdout.contains(&ssn), "{}", output.stdout);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_03_nor_can_they_be_turned_off_at_the_start() -> Result<()> {
    let (site, token) = &order_service()?;
    for parameters in [
        [("options", "-c standard_conforming_strings=off")],
        [("options", "--standard-conforming-strings=off")],
        [("standard_conforming_strings", "off")],
        [("client_encoding", "SJIS")],
    ] {
        let refused = Raw::login_with(site, token, crate::support::raw::V3_0, &parameters).await;
        assert!(refused.is_err(), "{parameters:?} was accepted");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_06_a_name_prepared_anew_is_judged_anew() -> Result<()> {
    let (site, token) = &order_service()?;
    let mut client = Raw::login(site, token).await?;
    let answer = client
        .exchange(&[
            parse("a", "SELECT 7106"),
            bind("", "a", &[], 0),
            close(b'S', "a"),
            parse("a", "DELETE FROM orders WHERE id = 7106"),
            bind("", "a", &[], 0),
            execute("", 0),
            sync(),
        ])
        .await?;
    assert_eq!(answer.errors(), ["42501"], "{}", answer.shape());
    // The unnamed statement, used again for something else.
    let answer = client
        .exchange(&[parse("", "SELECT 1"), sync(), parse("", "DELETE FROM orders WHERE id = 7106"), sync()])
        .await?;
    assert!(answer.errors().is_empty());
    assert_eq!(client.answer().await?.errors(), ["42501"]);
    let answer = client.exchange(&[bind("", "", &[], 0), execute("", 0), sync()]).await?;
    assert!(!answer.errors().is_empty(), "{answer:?}");
    // What SQL prepared, by message and by EXECUTE.
    let answer = client.simple("PREPARE b AS DELETE FROM orders WHERE id = 7106").await?;
    let executed = client.simple("EXECUTE b").await?;
    let bound = client.exchange(&[bind("", "b", &[], 0), execute("", 0), sync()]).await?;
    assert!(!answer.errors().is_empty() || (!executed.errors().is_empty() && !bound.errors().is_empty()));
    let orders = postgres()?.sql(site.database(), "SELECT count(*) FROM orders WHERE id = 1")?;
    assert_eq!(orders, "1");
    Ok(())
}

#[test]
fn pg_07_opaque_execution_is_refused() -> Result<()> {
    let (site, token) = &order_service()?;
    assert_all_refused(
        site,
        token,
        &[
            "DO $$ BEGIN PERFORM 7107; END $$",
            "DO LANGUAGE plpgsql $$ BEGIN EXECUTE format('DELETE FROM %I', 'orders'); END $$",
            "SELECT query_to_xml('SELECT number, 7107 FROM cards', true, false, '')",
            "SELECT table_to_xml('cards', true, false, '')",
            "SELECT database_to_xml(true, false, '')",
            "SELECT * FROM ts_stat('SELECT to_tsvector(ssn) FROM customers')",
            "SELECT cursor_to_xml('c', 1, true, false, '')",
        ],
    );
    assert_not_executed("7107")
}

#[test]
fn pg_08_writes_in_disguise_are_writes() -> Result<()> {
    let (site, token) = &order_service()?;
    assert_all_refused(
        site,
        token,
        &[
            "EXPLAIN ANALYZE DELETE FROM orders WHERE id = 1",
            "EXPLAIN (ANALYZE true, FORMAT json) DELETE FROM orders WHERE id = 1",
            "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT * FROM gone",
            "WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b), c AS (DELETE FROM orders RETURNING 1) SELECT 1",
            "SELECT id INTO stolen FROM orders",
            "CREATE TABLE stolen AS SELECT id FROM orders",
            "COPY (DELETE FROM orders WHERE id = 1 RETURNING id) TO STDOUT",
            "MERGE INTO orders USING (SELECT 1 AS id) s ON orders.id = s.id WHEN MATCHED THEN DELETE",
            "PREPARE gone AS DELETE FROM orders WHERE id = 1",
            "SELECT 1; DELETE FROM orders WHERE id = 1",
            "TRUNCATE orders CASCADE",
            "COPY orders TO PROGRAM 'cat'",
            "COPY orders TO '/tmp/orders'",
        ],
    );
    assert_eq!(postgres()?.sql(site.database(), "SELECT count(*) FROM orders WHERE id = 1")?, "1");
    Ok(())
}

#[test]
fn pg_09_functions_with_side_effects_are_refused() -> Result<()> {
    let (site, token) = &order_service()?;
    assert_all_refused(
        site,
        token,
        &[
            "SELECT pg_terminate_backend(7109)",
            "SELECT pg_cancel_backend(7109)",
            "SELECT lo_import('/etc/passwd')",
            "SELECT lo_export(7109, '/tmp/x')",
            "SELECT lo_from_bytea(7109, 'x')",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT * FROM pg_ls_dir('/')",
            "SELECT setval('orders_id_seq', 7109)",
            "SELECT pg_notify('channel', '7109')",
            "SELECT pg_reload_conf()",
            "SELECT pg_sleep(7109)",
            "SELECT pg_advisory_lock(7109)",
            "SELECT pg_switch_wal()",
            "SELECT pg_stat_reset()",
        ],
    );
    assert_not_executed("7109")
}

#[test]
fn pg_11_the_role_cannot_be_changed_and_resets_lose_nothing() -> Result<()> {
    let (site, token) = &order_service()?;
    for sql in [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT set_config('role', 'postgres', false)",
        "ALTER ROLE CURRENT_USER SET search_path = pg_temp",
        "ALTER DATABASE shared SET search_path = pg_temp",
        "SET search_path = pg_temp, public",
    ] {
        assert_eq!(sqlstates(&run(site, token, sql)?), ["42501"], "{sql}");
    }
    let number = postgres()?.sql(site.database(), "SELECT number FROM cards WHERE id = 1")?;
    let script = "RESET ALL;\nDISCARD ALL;\nSELECT number FROM cards WHERE id = 1;\n";
    let output = psql(site, token, &["-f", "-"], script)?;
    assert!(output.stdout.contains("****") && !output.stdout.contains(&number), "{}{}", output.stdout, output.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_12_temporary_names_shadow_nothing() -> Result<()> {
    let (site, token) = &order_service()?;
    let number = postgres()?.sql(site.database(), "SELECT number FROM cards WHERE id = 1")?;
    let mut client = Raw::login(site, token).await?;
    for sql in [
        "CREATE TEMP TABLE copied AS SELECT number FROM cards WHERE id = 1",
        "SELECT * FROM copied",
        "CREATE TEMP TABLE customers (id int, number text)",
        "INSERT INTO customers SELECT id, number FROM cards WHERE id = 1",
        "SELECT number FROM customers",
        "CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT number FROM public.cards WHERE id = 1 $$",
        "SELECT pg_temp.lower('x')",
        "CREATE TEMP VIEW seen AS SELECT number AS harmless FROM public.cards WHERE id = 1",
        "SELECT harmless FROM seen",
    ] {
        let answer = client.simple(&format!("{sql};")).await.with_context(|| sql.to_owned())?;
        assert!(testkit::canary::leak(&answer.bytes(), &number).is_none(), "{sql}: {answer:?}");
    }
    // What it may: a temporary table of its own.
    for sql in ["CREATE TEMP TABLE own (id int)", "INSERT INTO own VALUES (7112)"] {
        let answer = client.simple(&format!("{sql};")).await.with_context(|| sql.to_owned())?;
        assert!(answer.errors().is_empty(), "{sql}: {answer:?}");
    }
    assert_eq!(client.simple("SELECT id FROM own").await?.column(), ["7112"]);
    Ok(())
}

#[test]
fn pg_12_as_a_script_of_psql() -> Result<()> {
    let (site, token) = &order_service()?;
    let script = "CREATE TEMP TABLE own (id int);\nINSERT INTO own VALUES (7112);\nSELECT id FROM own;\n";
    let output = psql(site, token, &["-f", "-"], script)?;
    assert_eq!(output.stdout.trim(), "7112", "{}", output.stderr);
    let script = "CREATE TEMP TABLE copied AS SELECT number FROM cards WHERE id = 1;\nSELECT * FROM copied;\n";
    let output = psql(site, token, &["-f", "-"], script)?;
    assert!(output.stderr.contains("42501"), "{}", output.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_13_start_up_parameters_are_an_allow_list() -> Result<()> {
    let (site, token) = &order_service()?;
    for parameters in [
        [("replication", "true")],
        [("replication", "database")],
        [("options", "-c session_preload_libraries=x")],
        [("options", "-c log_statement=none")],
        [("session_authorization", "postgres")],
        [("no_such_setting", "1")],
    ] {
        let refused = Raw::login_with(site, token, crate::support::raw::V3_0, &parameters).await;
        assert!(refused.is_err(), "{parameters:?} was accepted");
    }
    // Unknown protocol options are negotiated away, as a server does.
    let mut peer = started(site, crate::support::raw::V3_0, &[("_pq_.unknown", "1")]).await?;
    assert_eq!(peer.read_message().await?.tag, b'v');
    let mut client = Raw::login_with(site, token, crate::support::raw::V3_0, &[("application_name", "fine")]).await?;
    assert_eq!(client.simple("SHOW application_name").await?.column(), ["fine"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_14_a_guessed_cancel_key_cancels_nothing() -> Result<()> {
    let (site, token) = &order_service()?;
    let mut waiting = Raw::login(site, token).await?;
    waiting.send(&[testkit::scripted::query("DELETE FROM payments WHERE id = 71")]).await?;
    assert_eq!(waiting.peer.read_message().await?.tag, b'N', "it waits for approval");
    let key = waiting.cancel_key()?;
    let mut wrong = key.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for _ in 0..20 {
        cancel(site, &wrong).await?;
    }
    assert!(waiting.peer.is_silent_for(std::time::Duration::from_millis(300)).await, "a stranger cancelled it");
    // Another session's key is another session's.
    let other = Raw::login(site, token).await?;
    cancel(site, &other.cancel_key()?).await?;
    assert!(waiting.peer.is_silent_for(std::time::Duration::from_millis(300)).await, "another session cancelled it");
    cancel(site, &key).await?;
    assert_eq!(waiting.answer().await?.errors(), ["57014"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_14_protocol_3_2_has_longer_keys() -> Result<()> {
    let (site, token) = &order_service()?;
    let mut waiting = Raw::login_with(site, token, crate::support::raw::V3_2, &[]).await?;
    let key = waiting.cancel_key()?;
    assert!(key.len() > 8, "{} bytes", key.len());
    waiting.send(&[testkit::scripted::query("DELETE FROM payments WHERE id = 72")]).await?;
    assert_eq!(waiting.peer.read_message().await?.tag, b'N', "it waits for approval");
    cancel(site, &key).await?;
    assert_eq!(waiting.answer().await?.errors(), ["57014"]);
    Ok(())
}

/// A CancelRequest, inside TLS as every connection.
async fn cancel(site: &Site, key: &[u8]) -> Result<()> {
    let answer = asked_to_cancel(site, key).await?.read_to_close().await?;
    assert!(answer.is_empty());
    Ok(())
}

/// Its connection, which ends when it was passed on.
pub(super) async fn asked_to_cancel(site: &Site, key: &[u8]) -> Result<testkit::scripted::Peer> {
    let mut peer = encrypted(site).await?;
    let length = u32::try_from(8 + key.len())?.to_be_bytes();
    peer.send(&[length.as_slice(), &80_877_102_u32.to_be_bytes(), key].concat()).await?;
    Ok(peer)
}

#[test]
fn pg_17_statistics_and_other_sessions_are_not_to_be_seen() -> Result<()> {
    let (site, token) = &order_service()?;
    assert_all_refused(
        site,
        token,
        &[
            "SELECT * FROM pg_stats",
            "SELECT histogram_bounds FROM pg_catalog.pg_stats WHERE tablename = 'customers'",
            "SELECT stavalues1 FROM pg_statistic",
            "SELECT query FROM pg_stat_activity",
            "SELECT rolpassword FROM pg_authid",
            "SELECT * FROM pg_shadow",
            "SELECT * FROM pg_user_mappings",
            "SELECT query FROM pg_stat_get_activity(NULL)",
        ],
    );
    assert_eq!(rows(site, token, "SELECT relname FROM pg_class WHERE relname = 'cards'")?, "cards");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_21_parameters_are_seen_and_bound() -> Result<()> {
    let (site, token) = &order_service()?;
    let mut client = Raw::login(site, token).await?;
    let number = postgres()?.sql(site.database(), "SELECT number FROM cards WHERE id = 1")?;
    for (sql, parameter) in [
        ("SELECT id FROM cards WHERE number = $1", number.as_str()),
        ("SELECT id FROM cards WHERE number LIKE $1", "4%"),
        ("SELECT id FROM cards WHERE number = ANY ($1::text[])", "{4111111111111111}"),
        ("SELECT id FROM customers ORDER BY ssn LIMIT $1", "1"),
    ] {
        let answer = client.exchange(&[parse("", sql), bind("", "", &[parameter], 0), execute("", 0), sync()]).await?;
        assert_eq!(answer.errors(), ["42501"], "{sql}");
    }
    let sql = "SELECT number FROM cards LIMIT $1";
    let answer = client.exchange(&[parse("", sql), bind("", "", &["1"], 0), execute("", 0), sync()]).await?;
    assert!(answer.column()[0].starts_with("****"), "{answer:?}");
    Ok(())
}
