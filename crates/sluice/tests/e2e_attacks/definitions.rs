//! What a definition keeps and runs later, where nobody sees it, and what it tells of the rows that are there.

use anyhow::Result;
use testkit::canary::{Canary, assert_absent};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};

use crate::support::oracle::Watched;
use crate::support::raw::Raw;
use crate::support::{assert_refused, database, postgres, rows, run, shared, site, sqlstates, token};

/// Changes the schema and writes, but sees nothing that is classified.
const MIGRATORS: &str = r#"
@id("migrators")
permit (
  principal in Group::"migrators",
  action in [Action::"connect", Action::"read", Action::"write", Action::"ddl"],
  resource
);
"#;

#[test]
fn pg_07_what_a_definition_keeps_is_judged_when_it_is_kept() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let stolen = "query_to_xml('SELECT ssn FROM customers', true, true, '')";
    for sql in [
        format!("CREATE TEMP TABLE kept (id int, x xml DEFAULT {stolen})"),
        format!("CREATE TEMP TABLE kept (id int, x text CHECK (x <> {stolen}::text))"),
        format!("CREATE TEMP TABLE kept (id int, CHECK (id > length({stolen}::text)))"),
        format!("CREATE TEMP TABLE kept (id int, x text GENERATED ALWAYS AS ({stolen}::text) STORED)"),
        format!("CREATE TEMP TABLE kept (x text) PARTITION BY LIST (({stolen}::text))"),
        format!("CREATE TEMP TABLE kept (x text, EXCLUDE USING btree (({stolen}::text) WITH =))"),
        format!("CREATE TEMP TABLE kept (x text); ALTER TABLE kept ALTER x SET DEFAULT {stolen}::text"),
        format!("CREATE TEMP TABLE kept (x text); ALTER TABLE kept ADD y xml DEFAULT {stolen}"),
        format!("CREATE TEMP TABLE kept (x text); CREATE INDEX ON kept (({stolen}::text))"),
        format!("CREATE TEMP TABLE kept (x text); ALTER TABLE kept ALTER x TYPE xml USING {stolen}"),
        format!("CREATE TEMP VIEW kept AS SELECT {stolen} AS x"),
        format!("CREATE TEMP TABLE kept AS SELECT {stolen} AS x"),
    ] {
        assert_refused(site, &token, &sql, "42501");
    }
    // A bound is worked out at once, and shown by the catalog.
    let script = format!(
        "CREATE TEMP TABLE parts (x text) PARTITION BY LIST (x);
         CREATE TEMP TABLE part PARTITION OF parts FOR VALUES IN (({stolen}::text));"
    );
    assert_eq!(sqlstates(&run(site, &token, &script)?), ["42501"]);
    // What everybody writes.
    let fine = "CREATE TEMP TABLE kept (id int DEFAULT 7 CHECK (id > 0), at timestamptz DEFAULT now(),
                twice int GENERATED ALWAYS AS (id * 2) STORED, UNIQUE (id));
                INSERT INTO kept DEFAULT VALUES; SELECT twice FROM kept";
    assert_eq!(rows(site, &token, fine)?, "14");
    Ok(())
}

/// A site whose classified columns are canaries, with a generated column and a domain that hold them too.
fn stage() -> Result<(Watched<Site>, Canary, String)> {
    let canary = Canary::random()?;
    database("definitions")?;
    let Canary { card, ssn, email, .. } = &canary;
    postgres()?.sql(
        "definitions",
        &format!(
            "UPDATE customers SET email = '{email}', ssn = '{ssn}' WHERE id = 1;
             UPDATE cards SET number = '{card}' WHERE id = 1;
             SET ROLE sluice_app;
             CREATE DOMAIN social AS text;
             ALTER TABLE customers ALTER ssn TYPE social;
             ALTER TABLE customers ADD folded text GENERATED ALWAYS AS ('<' || ssn || '>') STORED;
             CREATE TABLE places (region text) PARTITION BY LIST (region)"
        ),
    )?;
    let mut tuning = Tuning::default();
    tuning.policies.push(("50-migrators.cedar".into(), MIGRATORS.into()));
    let site = prepare_outside_production(tuning)?;
    let token = token(&site, "migrator", &["migrators"])?;
    Ok((site, canary, token))
}

/// In production the demo's policies forbid changes of the schema.
fn prepare_outside_production(tuning: Tuning) -> Result<Watched<Site>> {
    let mut site = Watched::new(crate::support::prepare("definitions", tuning)?)?;
    let targets = site.revision_file("targets.toml");
    let text = std::fs::read_to_string(&targets)?;
    std::fs::write(&targets, text.replace("\"prod\"", "\"test\""))?;
    site.start()?;
    Ok(site)
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_16_a_definition_is_no_oracle() -> Result<()> {
    let (site, canary, token) = stage()?;
    let Canary { card, ssn, .. } = &canary;
    for sql in [
        "CREATE UNIQUE INDEX ON customers (ssn)",
        &format!("CREATE UNIQUE INDEX ON customers ((ssn = '{ssn}'))"),
        &format!("CREATE INDEX ON customers (id) WHERE ssn = '{ssn}'"),
        "ALTER TABLE customers ADD UNIQUE (ssn)",
        "ALTER TABLE customers ADD EXCLUDE USING btree (ssn WITH =)",
        &format!("ALTER TABLE customers ADD CHECK (ssn <> '{ssn}')"),
        &format!("ALTER TABLE customers ADD CHECK (ssn <> '{ssn}') NOT VALID"),
        "ALTER TABLE customers ALTER ssn TYPE varchar(5)",
        "ALTER TABLE customers ALTER ssn TYPE bigint USING replace(ssn, '-', '')::bigint",
        "ALTER TABLE customers ADD copy text GENERATED ALWAYS AS (ssn) STORED",
        &format!("ALTER DOMAIN social ADD CHECK (VALUE <> '{ssn}')"),
        &format!("ALTER DOMAIN social ADD CHECK (VALUE <> '{ssn}') NOT VALID"),
        "ALTER DOMAIN social SET NOT NULL",
        "ALTER DOMAIN social VALIDATE CONSTRAINT nothing",
        "CREATE TABLE guesses (n text REFERENCES cards (number))",
        &format!("ALTER TABLE orders ADD guess text DEFAULT '{card}' REFERENCES cards (number)"),
        "CREATE STATISTICS s ON (lower(ssn)), (lower(email)) FROM customers",
        "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW WHEN (old.ssn LIKE '1%') \
         EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE POLICY p ON customers USING (ssn LIKE '1%')",
        "CREATE RULE r AS ON UPDATE TO customers WHERE old.ssn LIKE '1%' DO INSTEAD NOTHING",
        "CREATE TABLE guesses AS SELECT ssn AS n FROM customers",
    ] {
        assert_refused(&site, &token, sql, "42501");
    }
    // What tells nothing of them is theirs to make.
    for sql in [
        "CREATE INDEX ON customers (ssn)",
        "CREATE UNIQUE INDEX ON orders (id, note)",
        "CREATE TABLE own (id bigint PRIMARY KEY, customer bigint REFERENCES customers, n int CHECK (n > 0))",
        "ALTER TABLE own ADD at timestamptz DEFAULT now(), ADD CHECK (at > '2020-01-01'), ALTER n TYPE bigint",
        "CREATE TABLE here PARTITION OF places FOR VALUES IN ('here')",
        "ALTER DOMAIN social SET DEFAULT ''",
        "DROP TABLE own, here",
    ] {
        assert_eq!(sqlstates(&run(&site, &token, sql)?), [""; 0], "{sql}");
    }
    // A generated column is what it is computed from.
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    for sql in [
        "SELECT folded FROM customers WHERE id = 1",
        "SELECT * FROM customers WHERE id = 1",
        "SELECT lower(folded) FROM customers WHERE id = 1",
        "COPY (SELECT folded FROM customers WHERE id = 1) TO STDOUT",
        "SELECT row_to_json(c) FROM customers c WHERE id = 1",
        "UPDATE customers SET name = name WHERE id = 1 RETURNING folded",
    ] {
        let answer = client.simple(sql).await?;
        assert_eq!(answer.errors(), [""; 0], "{sql}");
        assert_absent(&answer.bytes(), &canary);
    }
    assert_refused(&site, &token, &format!("SELECT id FROM customers WHERE folded = '<{ssn}>'"), "42501");
    let keeper = crate::support::token(&site, "cleared", crate::support::CLEARED.groups)?;
    assert_eq!(rows(&site, &keeper, "SELECT folded FROM customers WHERE id = 1")?, format!("<{ssn}>"));
    Ok(())
}

/// A function that runs queries of its own looks up their operators in the session's search path.
#[test]
fn pg_12_an_operator_before_pg_catalog_runs_nothing() -> Result<()> {
    let site = site("operators", Tuning::default())?;
    postgres()?.sql(
        "operators",
        "CREATE SCHEMA shadow AUTHORIZATION sluice_app; SET ROLE sluice_app; SET search_path = shadow;
         CREATE TABLE seen (at timestamptz DEFAULT now());
         CREATE FUNCTION equal(oid, oid) RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO shadow.seen DEFAULT VALUES; RETURN true; END $$;
         CREATE OPERATOR = (leftarg = oid, rightarg = oid, function = equal)",
    )?;
    let token = site.token(&ORDER_SERVICE)?;
    for sql in [
        "SELECT pg_get_viewdef('public.customer_cards'::regclass)",
        "SELECT definition FROM pg_views WHERE viewname = 'customer_cards'",
        "SELECT view_definition FROM information_schema.views WHERE table_name = 'customer_cards'",
    ] {
        let script = format!("SET search_path = shadow, pg_catalog; {sql}");
        let output = run(&site, &token, &script)?;
        assert!(!sqlstates(&output).is_empty(), "{sql}: {}", output.stdout);
    }
    assert_eq!(postgres()?.sql("operators", "SELECT count(*) FROM shadow.seen")?, "0");
    let usual = "SELECT definition <> '' FROM pg_views WHERE viewname = 'customer_cards'";
    assert_eq!(rows(&site, &token, usual)?, "t");
    Ok(())
}
