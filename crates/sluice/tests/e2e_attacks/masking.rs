//! Ways to get a value out unmasked (MK-). Whatever a statement ends in, the canary is in nothing that came back.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use testkit::canary::{Canary, assert_absent};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::scripted::{message, text};

use crate::support::oracle::Watched;
use crate::support::raw::{Raw, bind, execute, parse, sync};
use crate::support::{postgres, psql, rows, run, sqlstates, started};

/// Callers may do everything, and see nothing that is classified; keepers see that too.
const CALLERS: &str = r#"
@id("callers")
permit (principal in Group::"callers", action, resource)
unless { action == Action::"reveal" };

@id("keepers")
permit (principal in Group::"keepers", action, resource);
"#;

struct Guarded {
    site: Watched<&'static Site>,
    canary: &'static Canary,
    token: &'static str,
}

/// A site of which one customer and one card are canaries.
fn guarded() -> Result<Guarded> {
    static GUARDED: OnceLock<Result<(Site, Canary, String), String>> = OnceLock::new();
    let prepared = GUARDED.get_or_init(|| prepare().map_err(|error| format!("{error:#}")));
    let (site, canary, token) = prepared.as_ref().map_err(|error| anyhow!("{error}"))?;
    Ok(Guarded { site: Watched::new(site)?, canary, token })
}

fn prepare() -> Result<(Site, Canary, String)> {
    let canary = Canary::random()?;
    let database = "masking";
    let prepared = crate::support::database(database)?;
    let Canary { card, ssn, email, token: secret } = &canary;
    postgres()?.sql(
        &prepared.database,
        &format!(
            "UPDATE customers SET email = '{email}', ssn = '{ssn}', phone = '{secret}' WHERE id = 1;
             UPDATE cards SET number = '{card}' WHERE id = 1;
             SET ROLE sluice_app;
             CREATE DOMAIN shout AS text CHECK (length(VALUE) < 100);
             CREATE VIEW seen AS SELECT id, ssn AS harmless, lower(email) AS other FROM customers;
             CREATE FUNCTION leaky(bigint) RETURNS text LANGUAGE sql STABLE
                 AS $$ SELECT ssn FROM customers WHERE id = $1 $$;
             CREATE FUNCTION all_of_them() RETURNS SETOF customers LANGUAGE sql STABLE
                 AS $$ SELECT * FROM customers $$;
             ANALYZE customers"
        ),
    )?;
    let mut tuning = Tuning::default();
    tuning.policies.push(("50-callers.cedar".into(), CALLERS.into()));
    let site = started(database, tuning)?;
    let token = site.token(&ORDER_SERVICE)?;
    Ok((site, canary, token))
}

/// Runs each statement in text and in binary, and looks for the canary in all that came back. At least so many have to
/// succeed: a test in which everything fails shows little.
fn assert_hidden(least: usize, statements: &[&str]) -> Result<()> {
    let Guarded { site, canary, token } = &guarded()?;
    let mut succeeded = 0;
    for sql in statements {
        let output = run(site, token, sql)?;
        assert_absent(output.stdout.as_bytes(), canary);
        assert_absent(output.stderr.as_bytes(), canary);
        for state in sqlstates(&output) {
            // Refused, or an error of the statement itself: never one of Sluice's own making.
            assert!(!state.starts_with("XX") && !state.starts_with("08"), "{sql}: {}", output.stderr);
        }
        succeeded += usize::from(output.status.success());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut client = Raw::login(site, token).await?;
        for sql in statements {
            let answer = client.exchange(&[parse("", sql), bind("", "", &[], 1), execute("", 0), sync()]).await?;
            assert_absent(&answer.bytes(), canary);
        }
        anyhow::Ok(())
    })?;
    assert!(succeeded >= least, "only {succeeded} of {} succeeded", statements.len());
    Ok(())
}

#[test]
fn mk_00_a_plain_column_is_masked_and_others_see_it() -> Result<()> {
    assert_hidden(
        4,
        &[
            "SELECT ssn FROM customers WHERE id = 1",
            "SELECT c.email AS x, c.ssn, c.phone FROM customers c WHERE id = 1",
            "SELECT * FROM (SELECT number AS n FROM cards WHERE id = 1) s",
            "WITH x AS MATERIALIZED (SELECT number FROM cards WHERE id = 1) TABLE x",
        ],
    )?;
    let Guarded { site, canary, .. } = &guarded()?;
    let cleared = site.token(&crate::support::CLEARED)?;
    assert_eq!(rows(site, &cleared, "SELECT ssn FROM customers WHERE id = 1")?, canary.ssn);
    Ok(())
}

#[test]
fn mk_01_functions_and_operators() -> Result<()> {
    assert_hidden(
        8,
        &[
            "SELECT lower(email), upper(ssn) FROM customers WHERE id = 1",
            "SELECT ssn || '' FROM customers WHERE id = 1",
            "SELECT concat_ws('-', ssn, email) FROM customers WHERE id = 1",
            "SELECT format('%s', ssn) FROM customers WHERE id = 1",
            "SELECT substr(ssn, 1, 6), substr(ssn, 7) FROM customers WHERE id = 1",
            "SELECT reverse(number), md5(number) FROM cards WHERE id = 1",
            "SELECT encode(ssn::bytea, 'base64'), encode(ssn::bytea, 'hex') FROM customers WHERE id = 1",
            "SELECT regexp_replace(ssn, '-', '', 'g'), translate(ssn, '-', '.') FROM customers WHERE id = 1",
            "SELECT quote_literal(email), replace(email, '@', ' at ') FROM customers WHERE id = 1",
            "SELECT trim(number), lpad(number, 30), repeat(number, 2) FROM cards WHERE id = 1",
            "SELECT convert_to(email, 'UTF16') FROM customers WHERE id = 1",
        ],
    )
}

/// A function before a column of its name, a column outside before one that is not there, a row's own names.
#[test]
fn mk_01_names_that_mean_something_else() -> Result<()> {
    assert_hidden(
        9,
        &[
            "SELECT row_to_json(k) FROM (SELECT 1 AS row_to_json, ssn FROM customers WHERE id = 1) k",
            "SELECT array_agg(k) FROM (SELECT 1 AS array_agg, ssn FROM customers WHERE id = 1) k",
            "SELECT (SELECT xmin FROM cards a JOIN cards b ON a.id = b.id LIMIT 1)
               FROM (SELECT ssn AS xmin FROM customers WHERE id = 1) k",
            "SELECT (SELECT tableoid FROM (SELECT 1) s) FROM (SELECT ssn AS tableoid FROM customers WHERE id = 1) k",
            "SELECT row_to_json(k) FROM customers AS k(name, email, ssn, id) WHERE k.name = 1",
            "SELECT (k).ssn, (x).ssn FROM (SELECT k, k AS x FROM customers AS k(a, email, ssn) WHERE k.a = 1) s",
            "SELECT json_agg(k) FROM customers AS k(a, ssn, b) WHERE k.a = 1",
            "SELECT (SELECT \"?column?\" FROM (SELECT (VALUES ('x'))) s)
               FROM (SELECT ssn AS \"?column?\" FROM customers WHERE id = 1) k",
            "SELECT (SELECT t FROM (SELECT (SELECT t.* FROM (SELECT 'x' AS a) t)) s)
               FROM (SELECT ssn AS t FROM customers WHERE id = 1) k",
            "SELECT (SELECT u FROM unnest(ARRAY['a'], ARRAY['b']) AS u LIMIT 1)
               FROM (SELECT ssn AS u FROM customers WHERE id = 1) k",
        ],
    )
}

/// A value that no detector knows, so that names alone decide.
#[test]
fn mk_01_names_that_the_server_looks_for_further_out() -> Result<()> {
    assert_hidden(
        8,
        &[
            "SELECT (SELECT a FROM coalesce(NULL::orders) AS a) FROM (SELECT phone AS a FROM customers WHERE id = 1) k",
            "SELECT (SELECT a FROM CAST(NULL AS orders) AS a) FROM (SELECT phone AS a FROM customers WHERE id = 1) k",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 2) SEARCH DEPTH FIRST BY n SET seq
             SELECT (SELECT seq::text FROM (SELECT * FROM r) s LIMIT 1)
               FROM (SELECT phone AS seq FROM customers WHERE id = 1) k",
            "SELECT (SELECT now.now FROM ROWS FROM (generate_series(1, 2), now()) LIMIT 1)
               FROM (SELECT phone AS now FROM customers WHERE id = 1) now",
            "SELECT x.phone FROM (customers c CROSS JOIN jsonb_populate_record(NULL::orders, '{}') j) AS x",
            "INSERT INTO refunds (payment_id, amount, reason) WITH customers AS (SELECT 'x' AS phone) VALUES (1, 1, 'x')
             RETURNING (SELECT phone FROM customers WHERE id = 1)",
            "SELECT row_to_json(c.*), c.*::text, md5(c.*::text) FROM customers c WHERE id = 1",
            "SELECT json_agg(c.*), count(c.*) FROM customers c WHERE id = 1",
            "SELECT (SELECT x FROM generate_series(1, 2) AS x LIMIT 1) FROM (SELECT phone AS x FROM customers) k",
        ],
    )
}

/// Where a class hangs on a name, whoever gives the name gives no class away.
#[test]
fn mk_12_a_new_name_takes_no_class_away() -> Result<()> {
    let Guarded { site, token, .. } = &guarded()?;
    for sql in [
        "CREATE TEMP TABLE t AS SELECT phone FROM customers",
        "CREATE TEMP TABLE t (phone text); INSERT INTO t SELECT phone FROM customers",
        "CREATE TEMP TABLE g (phone text); SELECT count(*) FROM customers c JOIN g ON c.phone = g.phone",
        "ALTER TABLE customers RENAME phone TO x",
        "ALTER TABLE customers RENAME TO x",
        "ALTER TABLE customers SET SCHEMA pg_catalog",
        "MERGE INTO refunds r USING (SELECT phone FROM customers WHERE id = 1) reason ON r.payment_id = -1
         WHEN NOT MATCHED THEN INSERT (payment_id, amount, reason) VALUES (1, 1, reason)",
    ] {
        let states = sqlstates(&run(site, token, sql)?);
        assert_eq!(states.last().map(String::as_str), Some("42501"), "{sql}: {states:?}");
    }
    Ok(())
}

#[test]
fn mk_02_casts() -> Result<()> {
    assert_hidden(
        5,
        &[
            "SELECT ssn::varchar(50) FROM customers WHERE id = 1",
            "SELECT ssn::shout FROM customers WHERE id = 1",
            "SELECT number::numeric FROM cards WHERE id = 1",
            "SELECT number::bigint, number::float8 FROM cards WHERE id = 1",
            "SELECT CAST(email AS char(60)) FROM customers WHERE id = 1",
            "SELECT email::name, email::bytea FROM customers WHERE id = 1",
            "SELECT email::name, ssn::varchar, number::text FROM customers JOIN cards ON customer_id = customers.id",
            "SELECT ssn::char(40), ARRAY[email]::text FROM customers WHERE id = 1",
            "SELECT row_to_json(c)::text, c::text::varchar FROM customers c WHERE id = 1",
        ],
    )
}

#[test]
fn mk_03_collations() -> Result<()> {
    assert_hidden(1, &["SELECT ssn COLLATE \"C\" FROM customers WHERE id = 1"])
}

#[test]
fn mk_04_conditionals() -> Result<()> {
    assert_hidden(
        3,
        &[
            "SELECT coalesce(ssn, 'x'), coalesce(NULL, email) FROM customers WHERE id = 1",
            "SELECT nullif(ssn, 'x') FROM customers WHERE id = 1",
            "SELECT CASE WHEN id = 1 THEN ssn ELSE 'x' END FROM customers WHERE id = 1",
            "SELECT greatest(ssn, ''), least(ssn, 'zzz') FROM customers WHERE id = 1",
        ],
    )
}

#[test]
fn mk_05_aggregates() -> Result<()> {
    assert_hidden(
        3,
        &[
            "SELECT max(ssn), min(ssn) FROM customers WHERE id = 1",
            "SELECT string_agg(ssn, ',') FROM customers WHERE id = 1",
            "SELECT array_agg(number) FROM cards WHERE id = 1",
            "SELECT json_agg(ssn), jsonb_agg(customers) FROM customers WHERE id = 1",
            "SELECT json_object_agg(id, email) FROM customers WHERE id = 1",
            "SELECT mode() WITHIN GROUP (ORDER BY ssn) FROM customers WHERE id = 1",
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY email) FROM customers WHERE id = 1",
            "SELECT sum(number::numeric) FROM cards WHERE id = 1",
        ],
    )
}

#[test]
fn mk_06_windows() -> Result<()> {
    assert_hidden(
        2,
        &[
            "SELECT first_value(ssn) OVER (ORDER BY id) FROM customers WHERE id <= 2",
            "SELECT lag(ssn) OVER (ORDER BY id), lead(ssn) OVER (ORDER BY id) FROM customers WHERE id <= 2",
            "SELECT max(number) OVER () FROM cards WHERE id = 1",
            "SELECT nth_value(email, 1) OVER w FROM customers WHERE id <= 2 WINDOW w AS (ORDER BY id)",
        ],
    )
}

#[test]
fn mk_07_set_operations() -> Result<()> {
    assert_hidden(
        3,
        &[
            "SELECT ssn FROM customers WHERE id = 1 UNION ALL SELECT 'x'",
            "SELECT 'x' UNION ALL SELECT ssn FROM customers WHERE id = 1",
            "SELECT ssn FROM customers WHERE id = 1 INTERSECT SELECT ssn FROM customers WHERE id = 1",
            "SELECT ssn FROM customers WHERE id = 1 EXCEPT SELECT 'x'",
            "WITH RECURSIVE r(v, n) AS (SELECT 'x'::text, 0 UNION ALL SELECT ssn, n + 1 FROM r, customers \
             WHERE customers.id = 1 AND n < 1) SELECT v FROM r",
        ],
    )
}

#[test]
fn mk_08_scalar_subqueries() -> Result<()> {
    assert_hidden(
        2,
        &[
            "SELECT (SELECT ssn FROM customers WHERE id = 1)",
            "SELECT 'x' || (SELECT number FROM cards WHERE id = 1)",
            "SELECT (SELECT (SELECT email FROM customers WHERE id = 1))",
        ],
    )
}

#[test]
fn mk_09_arrays_and_rows() -> Result<()> {
    assert_hidden(
        4,
        &[
            "SELECT ARRAY[ssn, email] FROM customers WHERE id = 1",
            "SELECT ARRAY(SELECT ssn FROM customers WHERE id = 1)",
            "SELECT ROW(id, ssn) FROM customers WHERE id = 1",
            "SELECT (ARRAY[number])[1] FROM cards WHERE id = 1",
            "SELECT array_to_string(ARRAY[ssn], '') FROM customers WHERE id = 1",
            "SELECT ARRAY[ARRAY[ssn], ARRAY[email]] FROM customers WHERE id = 1",
        ],
    )
}

#[test]
fn mk_10_whole_rows() -> Result<()> {
    assert_hidden(
        2,
        &[
            "SELECT c FROM customers c WHERE id = 1",
            "SELECT c::text FROM customers c WHERE id = 1",
            "SELECT (ROW(c.*)).* FROM customers c WHERE id = 1",
            "SELECT (c).ssn, (c).email FROM customers c WHERE id = 1",
            "SELECT count(c), max(c::text) FROM customers c WHERE id = 1",
        ],
    )
}

#[test]
fn mk_11_json_and_xml() -> Result<()> {
    assert_hidden(
        4,
        &[
            "SELECT row_to_json(c) FROM customers c WHERE id = 1",
            "SELECT to_jsonb(c), to_json(c.ssn) FROM customers c WHERE id = 1",
            "SELECT json_build_object('a', ssn, 'b', 1) FROM customers WHERE id = 1",
            "SELECT jsonb_build_array(ssn, email) FROM customers WHERE id = 1",
            "SELECT to_jsonb(c) -> 'ssn', to_jsonb(c) ->> 'email' FROM customers c WHERE id = 1",
            "SELECT jsonb_path_query(to_jsonb(c), '$.ssn') FROM customers c WHERE id = 1",
            "SELECT jsonb_pretty(to_jsonb(c)) FROM customers c WHERE id = 1",
            "SELECT json_object(ARRAY['k', ssn]) FROM customers WHERE id = 1",
            "SELECT xmlelement(name x, ssn) FROM customers WHERE id = 1",
            "SELECT xmlforest(ssn, email) FROM customers WHERE id = 1",
            "SELECT query_to_xml('SELECT ssn FROM customers', true, false, '')",
            "SELECT table_to_xml('customers', true, false, '')",
        ],
    )
}

#[test]
fn mk_12_sets_values_and_laterals() -> Result<()> {
    assert_hidden(
        3,
        &[
            "SELECT unnest(ARRAY[ssn, email]) FROM customers WHERE id = 1",
            "SELECT regexp_split_to_table(ssn, 'x') FROM customers WHERE id = 1",
            "SELECT string_to_table(number, 'x') FROM cards WHERE id = 1",
            "SELECT v.x FROM customers, LATERAL (VALUES (ssn), (email)) v(x) WHERE id = 1",
            "VALUES ((SELECT ssn FROM customers WHERE id = 1))",
            "SELECT l.x FROM customers c, LATERAL (SELECT c.ssn AS x) l WHERE c.id = 1",
            "SELECT r.x FROM json_to_recordset((SELECT json_agg(json_build_object('x', ssn)) FROM customers \
             WHERE id = 1)) AS r(x text)",
            "SELECT * FROM jsonb_each_text((SELECT to_jsonb(c) FROM customers c WHERE id = 1))",
            "SELECT * FROM jsonb_populate_record(NULL::refunds, (SELECT jsonb_build_object('reason', ssn) \
             FROM customers WHERE id = 1))",
        ],
    )
}

#[test]
fn mk_13_views_and_sql_functions() -> Result<()> {
    assert_hidden(
        3,
        &[
            "SELECT * FROM seen WHERE id = 1",
            "SELECT harmless || '' FROM seen WHERE id = 1",
            "SELECT * FROM customer_cards WHERE customer_id = 1",
            "SELECT leaky(1)",
            "SELECT * FROM all_of_them() WHERE id = 1",
            "SELECT ssn FROM (SELECT * FROM all_of_them()) s WHERE id = 1",
        ],
    )
}

#[test]
fn mk_14_copy() -> Result<()> {
    let Guarded { site, canary, token } = &guarded()?;
    for sql in [
        "COPY customers TO STDOUT",
        "COPY customers (id, ssn, email) TO STDOUT (FORMAT csv, HEADER)",
        "COPY (SELECT id, ssn, email, phone FROM customers WHERE id = 1) TO STDOUT (FORMAT binary)",
        "COPY (SELECT c FROM customers c WHERE id = 1) TO STDOUT",
        "COPY (SELECT lower(email) FROM customers WHERE id = 1) TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
        "COPY (SELECT number FROM cards WHERE id = 1) TO STDOUT (DELIMITER '4')",
    ] {
        let output = run(site, token, sql)?;
        assert_absent(output.stdout.as_bytes(), canary);
        assert_absent(output.stderr.as_bytes(), canary);
    }
    let copied = run(site, token, "COPY (SELECT ssn FROM customers WHERE id = 1) TO STDOUT")?.success()?;
    assert_eq!(copied.trim(), "[us_ssn]");
    Ok(())
}

#[test]
fn mk_14_errors_and_notices() -> Result<()> {
    let canary = guarded()?.canary;
    let duplicate = format!("INSERT INTO customers (id, name, email, ssn) VALUES (1, 'x', '{}', 'x')", "x@example.com");
    assert_hidden(
        0,
        &[
            "SELECT ssn::int FROM customers WHERE id = 1",
            "SELECT email::date FROM customers WHERE id = 1",
            "SELECT to_date(ssn, 'YYYY') FROM customers WHERE id = 1",
            "SELECT email::regclass FROM customers WHERE id = 1",
            "SELECT ssn::json FROM customers WHERE id = 1",
            "SELECT number::int FROM cards WHERE id = 1",
            "SELECT ('{' || email)::text[] FROM customers WHERE id = 1",
            "SELECT 1 / (length(ssn) - 11) FROM customers WHERE id = 1",
            "DO $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM customers WHERE id = 1); END $$",
            "DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = 'x', DETAIL = (SELECT email FROM customers WHERE id = 1); END $$",
            "INSERT INTO payments (order_id, card_id, amount, status) SELECT 1, 1, 1, ssn FROM customers WHERE id = 1",
            &duplicate,
        ],
    )?;
    // The values of the statement itself come back to whoever wrote them, and to nobody else.
    assert_ne!(canary.ssn, "");
    Ok(())
}

#[test]
fn mk_14_notifications_settings_and_large_objects() -> Result<()> {
    assert_hidden(
        0,
        &[
            "SELECT pg_notify('channel', ssn) FROM customers WHERE id = 1",
            "SELECT set_config('application_name', ssn, false) FROM customers WHERE id = 1",
            "SELECT set_config('sluice.note', email, false) FROM customers WHERE id = 1",
            "SELECT lo_from_bytea(0, ssn::bytea) FROM customers WHERE id = 1",
            "SELECT lo_put(1, 0, email::bytea) FROM customers WHERE id = 1",
        ],
    )
}

/// A FunctionCall with one argument in binary and a result as text.
fn call(function: &str, argument: &[u8]) -> Result<Vec<u8>> {
    let oid: u32 = postgres()?.sql("masking", &format!("SELECT '{function}'::regprocedure::oid"))?.parse()?;
    let length = u32::try_from(argument.len())?.to_be_bytes();
    Ok(message(b'F', &[&oid.to_be_bytes()[..], &[0, 1, 0, 1, 0, 1], &length, argument, &[0, 0]].concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_14_function_calls_are_decided_and_masked() -> Result<()> {
    let Guarded { site, canary, token } = &guarded()?;
    let leaky = call("leaky(bigint)", &1_u64.to_be_bytes())?;
    let mut client = Raw::login(site, token).await?;
    let answer = client.exchange(std::slice::from_ref(&leaky)).await?;
    assert_eq!((answer.errors(), answer.status()), (vec!["42501".to_owned()], Some('I')));
    assert_absent(&answer.bytes(), canary);
    // What the baseline permits to all, what does not exist, and what is no function to be called.
    let answer = client.exchange(&[call("reverse(text)", b"as text")?]).await?;
    assert_eq!(answer.shape(), "VZ");
    assert!(answer.bytes().windows(7).any(|bytes| bytes == b"txet sa"));
    let nothing = message(b'F', &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(client.exchange(&[nothing]).await?.errors(), ["42883"]);
    assert_eq!(client.exchange(&[call("count(\"any\")", b"1")?]).await?.errors(), ["42883"]);
    // In a transaction, a refusal fails it.
    assert_eq!(client.simple("BEGIN").await?.status(), Some('T'));
    assert_eq!(client.exchange(std::slice::from_ref(&leaky)).await?.status(), Some('E'));
    assert_eq!(client.exchange(&[call("reverse(text)", b"x")?]).await?.errors(), ["25P02"]);
    assert_eq!(client.simple("ROLLBACK").await?.status(), Some('I'));
    // Whoever may call it and not see what it returns.
    let mut caller = Raw::login(site, &crate::support::token(site, "caller", &["callers"])?).await?;
    let answer = caller.exchange(&[leaky]).await?;
    assert_eq!(answer.shape(), "VZ");
    assert_absent(&answer.bytes(), canary);
    // A parameter that is reported: application_name, at the start.
    assert!(client.greeting.iter().all(|message| message.tag != b'S' || !message.body.starts_with(&text("x"))));
    Ok(())
}

#[test]
fn mk_14_a_copy_that_is_not_understood_is_withheld_from_whoever_may_not_see_all_of_it() -> Result<()> {
    let Guarded { site, canary, .. } = &guarded()?;
    let opaque = "COPY customers TO STDOUT (ENCODING 'LATIN1')";
    let output = run(site, &crate::support::token(site, "caller", &["callers"])?, opaque)?;
    assert!(!output.status.success(), "{}", output.stdout);
    assert_absent(output.stdout.as_bytes(), canary);
    assert_absent(output.stderr.as_bytes(), canary);
    // Everything of it is there for whoever may see everything.
    let all = run(site, &crate::support::token(site, "keeper", &["keepers"])?, opaque)?.success()?;
    assert!(all.contains(&canary.ssn) && all.lines().count() > 100);
    Ok(())
}

#[test]
fn mk_16_predicates_are_no_oracle() -> Result<()> {
    let Guarded { site, token, .. } = &guarded()?;
    for sql in [
        "SELECT id FROM customers WHERE ssn LIKE '1%'",
        "SELECT id FROM customers WHERE ssn < '5'",
        "SELECT id FROM customers ORDER BY ssn",
        "SELECT count(*) FROM customers GROUP BY substr(ssn, 1, 1)",
        "SELECT id FROM customers WHERE ssn = '123-45-6789'",
        "SELECT id FROM cards WHERE number BETWEEN '4' AND '5'",
        "SELECT id FROM customers WHERE CASE WHEN ssn LIKE '1%' THEN 1 / 0 ELSE 1 END = 1",
        // Whether a statement fails, or how many rows a function makes, is an answer too.
        "SELECT CASE WHEN ssn LIKE '1%' THEN 1 / (id - id) END FROM customers",
        "SELECT 1 / (length(ssn) - 11) FROM customers",
        "SELECT replace(replace(ssn, '-', ''), '123456789', 'x')::bigint FROM customers",
        "SELECT (ssn = '123-45-6789') AND 1 / (id - id) > 0 FROM customers",
        "SELECT coalesce(nullif(ssn, '123-45-6789'), (1 / (id - id))::text) FROM customers",
        "SELECT generate_series(1, length(ssn)) FROM customers",
        "SELECT unnest(string_to_array(ssn, '1')) FROM customers",
    ] {
        assert_eq!(sqlstates(&run(site, token, sql)?), ["42501"], "{sql}");
    }
    Ok(())
}

/// What runs for some values alone must neither fail nor do anything that can be seen.
#[test]
fn mk_16_what_runs_for_some_values_is_no_oracle() -> Result<()> {
    let Guarded { site, token, .. } = &guarded()?;
    for then in [
        "regexp_match('a', '(')",
        "split_part('a', ',', 0)",
        "substring('a', 1, -1)",
        "date_trunc('no such', now())",
        "current_setting('no.such')",
        "to_jsonb(v.json)",
        "abs(v.number)",
        "v.text > 'a' COLLATE \"C\"",
        "v.large > 1.5::float8",
        "v.date::timestamp",
        "v.large * 10",
        "json_build_object(NULL, 1)",
        "ARRAY[ARRAY[1], string_to_array(v.list, ',')::int[]]",
        "format(v.list || '%', 1)",
        "'a' LIKE v.list || '\\'",
        "random()",
        "EXISTS (SELECT FROM orders LIMIT 1 FOR UPDATE)",
        "(SELECT 1 FROM orders LIMIT 1 FOR UPDATE)",
        "pg_notify('x', 'y')",
        "pg_advisory_lock(1)",
    ] {
        let values =
            "VALUES ('\"\\u0000\"'::json, -2147483648, 'a' COLLATE \"POSIX\", 9e131071, date '5874897-01-01', '1,2')";
        let sql = format!(
            "SELECT CASE WHEN ssn LIKE '1%' THEN ({then})::text END
               FROM customers, ({values}) AS v(json, number, text, large, date, list)"
        );
        assert_eq!(sqlstates(&run(site, token, &sql)?), ["42501"], "{sql}");
    }
    for sql in [
        "SELECT ssn LIKE '1%\\' FROM customers",
        "SELECT repeat(ssn, 100000000) FROM customers",
        "SELECT replace(ssn, '1', repeat('x', 600000000)) FROM customers",
        "SELECT ssn || repeat('x', 1073741800) FROM customers",
        "SELECT format('%' || ssn || 's', 1) FROM customers",
        "SELECT ARRAY[string_to_array(ssn, '1'), string_to_array(email, '1')] FROM customers",
        "SELECT ARRAY(SELECT string_to_array(ssn, '1') FROM customers)",
        "SELECT (1, '123-45-6789') < (SELECT 1, ssn FROM customers WHERE id = 1)",
        "SELECT id FROM orders WHERE (1, '123-45-6789') < (SELECT 1, ssn FROM customers WHERE id = 1)",
        "SELECT substr(ssn, 1, 1) AS o, count(*) FROM customers, (SELECT 1 AS a) o GROUP BY o",
        "SELECT CASE WHEN ssn LIKE '1%' THEN s.x END FROM customers, (SELECT current_setting('no.such') AS x) s",
        "SELECT CASE WHEN ssn LIKE '1%' THEN (-1)::bigint ELSE 1::bigint END FROM customers UNION ALL SELECT 1::oid",
        "SELECT repeat(repeat(repeat(substring(ssn FROM '^1.'), 1000), 1000), 1000) FROM customers",
        "SELECT ARRAY[(v.x)[1][1:position('1' IN ssn)]] FROM customers, (VALUES ('{{a,b,c}}'::text[])) v(x)",
        "SELECT ('/etc/hostname'::text).pg_read_file",
        "SELECT (0.1::float8).pg_sleep",
        "SELECT (1::bigint).pg_advisory_lock",
        "SELECT (CASE WHEN ssn LIKE '1%' THEN ARRAY[1] END)[v.x / v.x] FROM customers, (VALUES (0)) v(x)",
        "SELECT (ssn, 1 / v.x) < ('123-45-6789', 5) FROM customers, (VALUES (0), (1)) v(x)",
        "SELECT '123-45-6789' IN (ssn, (1 / v.x)::text) FROM customers, (VALUES (0), (1)) v(x)",
        "SELECT ssn BETWEEN '1' AND (1 / v.x)::text FROM customers, (VALUES (0), (1)) v(x)",
        "SELECT ssn < ANY (SELECT (1 / v.x)::text FROM (VALUES (1), (0)) v(x)) FROM customers",
        "SELECT c.id, g FROM cards c JOIN generate_series(0, 999) g ON c.cvv = lpad(g::text, 3, '0')",
        "SELECT (SELECT count(*) FROM (SELECT 100 AS p) a, orders TABLESAMPLE BERNOULLI (p))
           FROM (SELECT CASE WHEN ssn LIKE '1%' THEN 100 ELSE 0 END AS p FROM customers WHERE id = 1) k",
        "SELECT substr(ssn, 1, 1) AS z, count(*)
           FROM customers CROSS JOIN jsonb_populate_record(NULL::orders, '{}') j GROUP BY z",
    ] {
        assert_eq!(sqlstates(&run(site, token, sql)?), ["42501"], "{sql}");
    }
    Ok(())
}

/// Whether a derived value is NULL is not told apart from any other value of it.
#[test]
fn mk_16_a_null_is_no_oracle() -> Result<()> {
    let Guarded { site, token, canary } = &guarded()?;
    for form in ["nullif(ssn, 'GUESS')", "CASE WHEN ssn = 'GUESS' THEN 'yes' END", "substring(ssn FROM 'GUESS')"] {
        let asked = |guess: &str| {
            rows(site, token, &format!("SELECT {} FROM customers WHERE id = 1", form.replace("GUESS", guess)))
        };
        let right = asked(&canary.ssn)?;
        assert_eq!(right, asked("nothing of the kind")?, "{form}");
        assert!(!right.is_empty(), "{form} is masked, and shown to be");
    }
    Ok(())
}

#[test]
fn mk_17_plans_and_statistics_say_nothing() -> Result<()> {
    assert_hidden(
        0,
        &[
            "EXPLAIN (ANALYZE, VERBOSE) SELECT ssn FROM customers WHERE id = 1",
            "EXPLAIN VERBOSE SELECT 1 FROM customers WHERE email = 'x'",
            "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'customers'",
        ],
    )
}

#[test]
fn mk_21_swapped_names_are_masked_by_where_they_come_from() -> Result<()> {
    assert_hidden(
        3,
        &[
            "SELECT name AS ssn, ssn AS name FROM customers WHERE id = 1",
            "SELECT id AS number, number AS id FROM cards WHERE id = 1",
            "SELECT s.name FROM (SELECT ssn AS name FROM customers WHERE id = 1) s",
        ],
    )?;
    let Guarded { site, token, .. } = &guarded()?;
    let script = "SELECT name AS ssn, ssn AS name FROM customers WHERE id = 2;";
    let shown = psql(site, token, &["-f", "-"], script)?.success()?;
    assert!(shown.trim().ends_with("|[us_ssn]"), "{shown}");
    Ok(())
}

/// What a transaction made is gone with it: a name means what it meant before, also for what comes in the same text or the
/// same pipeline.
#[tokio::test(flavor = "multi_thread")]
async fn pg_12_the_end_of_a_transaction_takes_what_it_made_with_it() -> Result<()> {
    const ASKED: &str = "SELECT id FROM cards WHERE number LIKE '4%'";
    const MADE: &str = "CREATE TEMP TABLE cards (id bigint, number text)";
    let Guarded { site, token, .. } = &guarded()?;
    for text in [
        format!("{MADE}; ROLLBACK; {ASKED}"),
        format!("BEGIN; {MADE} ON COMMIT DROP; COMMIT; {ASKED}"),
        format!("BEGIN; SAVEPOINT s; {MADE}; ROLLBACK TO s; {ASKED}"),
        format!("BEGIN; {MADE}; PREPARE p AS {ASKED}; ROLLBACK; EXECUTE p"),
    ] {
        let output = run(site, token, &text)?;
        let states = sqlstates(&output);
        assert_eq!(states.last().map(String::as_str), Some("42501"), "{text}: {}{}", output.stdout, output.stderr);
    }
    for end in ["COMMIT", "ROLLBACK", "ROLLBACK TO s"] {
        let mut client = Raw::login(site, token).await?;
        let begin = format!("BEGIN; SAVEPOINT s; {MADE} ON COMMIT DROP");
        client.simple(&begin).await?;
        let answer = client.simple(&format!("{end}; {ASKED}")).await?;
        assert_eq!((answer.errors(), answer.rows().len()), (vec!["42501".to_owned()], 0), "{end}: {answer:?}");
        client.simple("ROLLBACK").await?;
        client.simple(&begin).await?;
        let step = |text: &str| [parse("", text), bind("", "", &[], 0), execute("", 0)];
        let pipeline = [step(end).as_slice(), &step(ASKED), &[sync()]].concat();
        let answer = client.exchange(&pipeline).await?;
        assert_eq!((answer.errors(), answer.rows().len()), (vec!["42501".to_owned()], 0), "{end}: {answer:?}");
        client.simple("ROLLBACK").await?;
        client.simple(&begin).await?;
        client.exchange(&[parse("q", ASKED), sync()]).await?;
        let pipeline = [step(end).as_slice(), &[bind("", "q", &[], 0), execute("", 0), sync()]].concat();
        let answer = client.exchange(&pipeline).await?;
        assert_eq!((answer.errors(), answer.rows().len()), (vec!["42501".to_owned()], 0), "{end}: {answer:?}");
    }
    Ok(())
}

/// A cursor shows what its view showed when it was opened, whatever has become of that.
#[tokio::test(flavor = "multi_thread")]
async fn mk_13_a_cursor_over_a_view_that_is_gone_is_masked() -> Result<()> {
    let Guarded { site, token, canary } = &guarded()?;
    for after in ["DROP VIEW tv", "CREATE OR REPLACE TEMP VIEW tv AS SELECT 1::bigint AS id, 'x'::text AS n"] {
        let mut client = Raw::login(site, token).await?;
        client.simple("BEGIN").await?;
        client.simple("CREATE TEMP VIEW tv AS SELECT id, phone AS n FROM customers").await?;
        client.simple("DECLARE c CURSOR FOR SELECT n FROM tv WHERE id = 1").await?;
        let portal = [parse("s", "SELECT n FROM tv WHERE id = 1"), bind("p", "s", &[], 0), sync()];
        client.exchange(&portal).await?;
        assert_eq!(client.simple(after).await?.errors(), Vec::<String>::new());
        for fetch in ["FETCH c", "FETCH ALL FROM p"] {
            let answer = client.simple(fetch).await?;
            assert_absent(&answer.bytes(), canary);
            assert_eq!(answer.rows().len(), 1, "{fetch}: {answer:?}");
        }
    }
    Ok(())
}
