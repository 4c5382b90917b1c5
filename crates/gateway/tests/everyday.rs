//! What an application does on day one, through a whole gateway in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::sync::OnceLock;
use std::time::Duration;

use testkit::wait::eventually_blocking;
use world::World;

/// One world for all tests of this program.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::start(2_000))
}

/// Runs a script in one psql session and returns what it printed on both outputs.
fn script(token: &str, sql: &str) -> String {
    let output = world().psql_with(token, &["-X", "-A", "-t", "-v", "VERBOSITY=verbose", "-f", "-"], sql);
    format!("{}{}", output.stdout, output.stderr)
}

#[test]
fn a_reader_sees_rows_with_what_is_classified_masked() {
    let token = world().reader();
    assert_eq!(world().rows(&token, "SELECT 1").trim(), "1");
    let direct = world().server.sql("payments", "SELECT count(*) FROM orders").unwrap();
    assert_eq!(world().rows(&token, "SELECT count(*) FROM orders").trim(), direct.trim());
    for sql in [
        "SELECT number FROM cards ORDER BY id LIMIT 3",
        "SELECT number AS n FROM cards ORDER BY id LIMIT 3",
        "WITH c AS (SELECT * FROM cards) SELECT number FROM c ORDER BY id LIMIT 3",
        "SELECT card FROM customer_cards LIMIT 3",
    ] {
        let cards = world().rows(&token, sql);
        assert_eq!(cards.lines().count(), 3, "{sql}: {cards}");
        for card in cards.lines() {
            assert!(card.starts_with("**********") && card.len() >= 15, "{sql}: {card}");
        }
    }
    for sql in ["SELECT lower(email) FROM customers LIMIT 1", "SELECT substr(ssn, 1, 3) FROM customers LIMIT 1"] {
        let shown = world().rows(&token, sql);
        assert!(shown.starts_with('['), "{sql}: {shown}");
    }
    let copied = world().rows(&token, "COPY cards TO STDOUT");
    let direct = world().server.sql("payments", "SELECT number FROM cards").unwrap();
    for number in direct.lines() {
        assert!(!copied.contains(number), "{number} was copied out");
    }
}

/// After two seconds a session gives back its buffers.
#[test]
fn a_session_that_was_quiet_for_long_goes_on_where_it_was() {
    let text = "BEGIN;\nSELECT number FROM cards ORDER BY id LIMIT 1;\n\\! sleep 3\n\
        SELECT number FROM cards ORDER BY id LIMIT 1;\nSELECT repeat('x', 100000);\n\\! sleep 3\nCOMMIT;\n";
    let said = script(&world().reader(), text);
    let lines: Vec<&str> = said.lines().filter(|line| !matches!(*line, "BEGIN" | "COMMIT")).collect();
    let [first, second, long] = lines.as_slice() else { panic!("{said:.400}") };
    assert!(first == second && first.starts_with("****"), "{first}, then {second}");
    assert!(long.len() == 100_000 && said.ends_with("COMMIT\n"), "{said:.400}");
}

#[test]
fn a_denial_names_the_policy_and_the_request_and_the_connection_lives_on() {
    let token = world().reader();
    for sql in [
        "DROP TABLE orders",
        "DO $$ BEGIN PERFORM 1; END $$",
        "DELETE FROM orders WHERE id = 1",
        "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT * FROM gone",
        "EXPLAIN ANALYZE DELETE FROM orders WHERE id = 1",
    ] {
        let said = script(&token, &format!("{sql};\nSELECT 'still here';\n"));
        assert!(said.contains("42501"), "{sql}: {said}");
        assert!(said.contains("Request "), "{sql}: {said}");
        assert!(said.contains("still here"), "{sql}: {said}");
    }
}

#[test]
fn a_denial_in_a_transaction_leaves_nothing_behind() {
    let token = world().token("cashier", &["apps", "readers", "cashiers"]);
    let before = world().server.sql("payments", "SELECT count(*) FROM orders").unwrap();
    let said = script(
        &token,
        "BEGIN;\nINSERT INTO orders (id, customer_id, total, note, created_at) SELECT 999999, 1, 5, 'x', now();\n\
         DELETE FROM customers;\nSELECT 1;\nCOMMIT;\nSELECT 'alive';\n",
    );
    assert!(said.contains("42501") && said.contains("25P02") && said.contains("alive"), "{said}");
    assert_eq!(world().server.sql("payments", "SELECT count(*) FROM orders").unwrap(), before);
}

#[test]
fn psql_meta_commands_work() {
    let token = world().reader();
    for command in ["\\d", "\\dt", "\\d orders", "\\l", "\\dn", "\\df", "\\conninfo", "\\dv"] {
        let said = script(&token, &format!("{command}\n"));
        assert!(!said.contains("ERROR"), "{command}: {said}");
    }
}

#[test]
fn settings_and_prepared_statements_and_cursors() {
    let token = world().reader();
    let said = script(
        &token,
        "SET application_name = 'x';\nSHOW application_name;\nSET datestyle = 'ISO, DMY';\n\
         PREPARE p(int) AS SELECT number FROM cards WHERE id = $1;\nEXECUTE p(1);\nEXECUTE p(1);\nDEALLOCATE p;\n\
         BEGIN;\nDECLARE c CURSOR FOR SELECT number FROM cards ORDER BY id;\nFETCH 2 FROM c;\nCLOSE c;\nCOMMIT;\n\
         SELECT 'end';\n",
    );
    assert!(!said.contains("ERROR"), "{said}");
    assert!(said.matches("***").count() >= 4, "{said}");
    assert!(said.contains("end"), "{said}");
}

#[test]
fn temporary_tables_and_own_ddl_are_seen_at_once() {
    let token = world().token("migrator", &["apps", "readers", "migrations", "cleared"]);
    let said = script(
        &token,
        "BEGIN;\nCREATE TABLE added (id int primary key, v text);\nINSERT INTO added VALUES (1, 'a');\n\
         SELECT v FROM added;\nROLLBACK;\nSELECT v FROM added;\nCREATE TEMP TABLE mine (x int);\n\
         INSERT INTO mine VALUES (7);\nSELECT x FROM mine;\nDROP TABLE mine;\nSELECT 'end';\n",
    );
    assert!(said.contains("\na\n") && said.contains("\n7\n") && said.contains("end"), "{said}");
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
}

#[test]
fn a_multi_statement_text_is_decided_as_a_whole() {
    let token = world().reader();
    let output = world().psql(&token, &["-X", "-A", "-t", "-c", "SELECT 1; DROP TABLE orders"]);
    assert!(output.stderr.contains("not"), "{}", output.stderr);
    assert!(!output.stdout.contains('1'), "{}", output.stdout);
}

#[test]
fn a_migration_in_one_text_runs_statement_by_statement_in_one_transaction() {
    let token = world().token("migrator", &["apps", "readers", "migrations", "cleared"]);
    let run = |sql: &str| {
        let output = world().psql(&token, &["-X", "-A", "-t", "-v", "VERBOSITY=verbose", "-c", sql]);
        format!("{}{}", output.stdout, output.stderr)
    };
    let said = run("CREATE SCHEMA shop; SET search_path = shop; CREATE TABLE items (id int, name text); \
                    INSERT INTO items VALUES (1, 'a'), (2, 'b'); SELECT count(*) FROM items");
    assert!(said.contains("CREATE TABLE\n") && said.contains("INSERT 0 2\n2\n"), "{said}");
    assert_eq!(run("SELECT name FROM shop.items WHERE id = 2"), "b\n");
    let failed =
        run("CREATE TABLE half (id int); INSERT INTO half VALUES (1); SELECT 1 / 0; INSERT INTO half VALUES (2)");
    assert!(failed.contains("22012") && !failed.contains("INSERT 0 1\nINSERT 0 1"), "{failed}");
    assert!(run("SELECT * FROM half").contains("42P01"));
    let refused = world().psql(
        &world().token("cashier", &["apps", "readers", "cashiers"]),
        &[
            "-X",
            "-v",
            "VERBOSITY=verbose",
            "-c",
            "CREATE TEMP TABLE t (id int); INSERT INTO t VALUES (1); DELETE FROM customers; SELECT 1",
        ],
    );
    assert!(refused.stderr.contains("42501"), "{refused:?}");
}

/// While a transaction with objects of its own is open, somebody else changes the database: the session reads again once,
/// and goes on.
#[test]
fn a_change_by_others_while_own_objects_are_open_is_read_once() {
    let token = world().token("migrator", &["apps", "readers", "migrations", "cleared"]);
    let marker = world().dir.path().join("changed");
    let script = format!(
        "BEGIN;\nCREATE TABLE mine_alone (id int);\nSELECT count(*) FROM mine_alone;\n\
         \\! while [ ! -e {0} ]; do sleep 0.05; done\nSELECT 'seen', count(*) FROM by_others;\n\
         INSERT INTO mine_alone VALUES (1);\nSELECT 'own', count(*) FROM mine_alone;\nROLLBACK;\n",
        marker.display()
    );
    let output = std::thread::scope(|scope| {
        let session = scope.spawn(|| world().psql_with(&token, &["-X", "-A", "-t", "-f", "-"], &script));
        world().server.sql("payments", "CREATE TABLE by_others (id int); GRANT ALL ON by_others TO PUBLIC").unwrap();
        let is_known = || Ok(world().psql(&token, &["-X", "-c", "TABLE by_others"]).status.success().then_some(()));
        eventually_blocking(Duration::from_secs(20), "the change to be known", is_known).unwrap();
        std::fs::write(&marker, "").unwrap();
        session.join().unwrap()
    });
    assert!(output.stdout.contains("seen|0") && output.stdout.contains("own|1"), "{output:?}");
}

/// A session that reads its own objects in an open transaction locks nothing that is others': whoever waits for such a lock
/// would wait for the application, and Sluice's own reader with it.
#[test]
fn reading_own_objects_locks_no_view_of_others() {
    let token = world().token("migrator", &["apps", "readers", "migrations", "cleared"]);
    let locks = "SELECT 'locked', c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                 WHERE l.pid = pg_backend_pid() AND c.oid >= 16384";
    let said = script(
        &token,
        &format!(
            "BEGIN;\nCREATE TABLE held (id int);\nCREATE VIEW held_view AS SELECT id FROM held;\n\
             SELECT count(*) FROM held_view;\n{locks};\nROLLBACK;\n"
        ),
    );
    assert!(said.contains("locked|held\n") && said.contains("locked|held_view\n"), "{said}");
    assert!(!said.contains("customer_cards") && !said.contains("ERROR"), "{said}");
}

/// Nothing can be read in a failed transaction, so that what others changed meanwhile is read when it is over.
#[test]
fn a_failed_transaction_ends_though_others_changed_the_database() {
    let token = world().token("migrator", &["apps", "readers", "migrations", "cleared"]);
    let marker = world().dir.path().join("changed while failed");
    let script = format!(
        "\\set VERBOSITY verbose\nBEGIN;\nCREATE TABLE mine_failed (id int);\nSELECT count(*) FROM mine_failed;\nSELECT 1 / 0;\n\
         \\! while [ ! -e '{0}' ]; do sleep 0.05; done\nSELECT 2;\n;\n\\gdesc\nROLLBACK;\nBEGIN;\nSELECT 'goes on', count(*) FROM by_another;\n\
         ROLLBACK;\n",
        marker.display()
    );
    let output = std::thread::scope(|scope| {
        let session = scope.spawn(|| world().psql_with(&token, &["-X", "-A", "-t", "-f", "-"], &script));
        world().server.sql("payments", "CREATE TABLE by_another (id int); GRANT ALL ON by_another TO PUBLIC").unwrap();
        let is_known = || Ok(world().psql(&token, &["-X", "-c", "TABLE by_another"]).status.success().then_some(()));
        eventually_blocking(Duration::from_secs(20), "the change to be known", is_known).unwrap();
        std::fs::write(&marker, "").unwrap();
        session.join().unwrap()
    });
    let aborted = "ERROR:  25P02: current transaction is aborted, commands ignored until end of transaction block\n";
    assert!(output.stderr.contains(aborted) && !output.stderr.contains("57P03"), "{output:?}");
    assert!(!output.stderr.contains("DETAIL") && output.stderr.matches("25P02").count() == 1, "{output:?}");
    assert!(output.stdout.contains("goes on|0"), "{output:?}");
}

/// What Sluice reads to follow a session must not be what the server takes for the transaction's first query.
#[test]
fn the_level_of_a_transaction_can_be_set_after_what_sluice_follows() {
    let token = world().token("migrator", &["apps", "readers", "migrations", "cleared"]);
    let said = script(
        &token,
        "BEGIN;\nSET LOCAL search_path = public;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n\
         SHOW transaction_isolation;\nSELECT count(*) >= 0 FROM orders;\nROLLBACK;\n",
    );
    assert!(said.contains("serializable\nt\n") && !said.contains("ERROR"), "{said}");
}

/// A text with COPY FROM STDIN cannot be run statement by statement: what comes next from the client is its data, though
/// what the COPY means is not known yet.
#[test]
fn a_text_that_copies_into_a_table_of_its_own_runs_as_a_whole() {
    let token = world().token("migrator", &["apps", "readers", "migrations", "cleared"]);
    let said = script(
        &token,
        "CREATE TABLE comics (s text) \\; INSERT INTO comics VALUES ('Calvin') \\; COPY comics FROM STDIN \\; \
         SELECT string_agg(s, '+' ORDER BY s) FROM comics \\; DROP TABLE comics;\nHobbes\nSusie\n\\.\nSELECT 'goes on';\n",
    );
    assert!(said.contains("Calvin+Hobbes+Susie\n") && said.contains("goes on"), "{said}");
}
