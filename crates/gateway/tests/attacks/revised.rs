//! What a session may do when its policies change: the read-only wall, and what hangs on the target's own estimate.

use super::*;

/// One test at a time changes the revision.
static REVISING: Mutex<()> = Mutex::new(());

/// Puts one file of policies there, whole, and waits until the revision holds. Whoever takes it away does so by this too,
/// with nothing in it: a change that nobody waits for could be taken for the next one.
fn revise(file: &str, policies: &str) {
    let before = world().node.revisions.current().id;
    let (draft, place) = (world().dir.path().join(file), world().dir.path().join("revision/policies").join(file));
    std::fs::write(&draft, policies).unwrap();
    std::fs::rename(draft, place).unwrap();
    let changed = || Ok((world().node.revisions.current().id != before).then_some(()));
    eventually_blocking(Duration::from_secs(20), "the revision", changed).unwrap();
}

/// Puts it in force without waiting for anybody to be told: sessions are, after it holds.
fn revise_untold(file: &str, policies: &str) {
    let (node, before) = (&world().node, world().node.revisions.current().id);
    std::fs::write(world().dir.path().join("revision/policies").join(file), policies).unwrap();
    node.revisions.reload(node.state.as_ref(), &node.recorder, &node.metrics);
    assert_ne!(node.revisions.current().id, before);
}

const CALLS: &str = r#"
@id("walled-calls")
@read_only
permit (principal in Group::"walled", action == Action::"execute", resource == Function::"payments/payments/public/misjudged");
@id("walled-calls-too")
@read_only
permit (principal in Group::"walled", action == Action::"execute", resource == Function::"payments/payments/public/lifting");
"#;

const WRITES: &str = r#"
@id("walled-writes")
permit (principal in Group::"walled", action == Action::"insert", resource in Namespace::"payments/payments/public");
"#;

#[test]
fn pg_09_whoever_may_not_write_has_a_read_only_session() {
    let _alone = REVISING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let sql = |sql: &str| world().server.sql("payments", sql).unwrap();
    sql("CREATE FUNCTION misjudged() RETURNS int LANGUAGE sql AS \
         'INSERT INTO refunds (id, payment_id, amount) VALUES (800001, 1, 1) RETURNING 1'");
    sql("CREATE FUNCTION lifting() RETURNS text LANGUAGE sql AS \
         $$SELECT set_config('default_transaction_read_only', 'off', false)$$");
    sql("CREATE SEQUENCE ticks; GRANT USAGE ON SEQUENCE ticks TO PUBLIC");
    revise("walled.cedar", CALLS);
    let mut client = Client::login(&world().token("walled", &["apps", "readers", "walled"]));
    let mode = |client: &mut Client| {
        let answers = client.query("SHOW default_transaction_read_only");
        String::from_utf8(rows(&answers)[0][0].clone().unwrap()).unwrap()
    };
    let written = || sql("SELECT count(*) FROM refunds WHERE id = 800001").trim() != "0";
    let call = "SELECT misjudged()";
    let extended = || [parse("", call), bind("", "", false), execute("", 0), sync()].concat();
    assert_eq!(mode(&mut client), "on");
    // Nor at its start.
    let token = world().token("walled", &["apps", "readers", "walled"]);
    for parameter in [("options", "-c default_transaction_read_only=off"), ("default_transaction_read_only", "off")] {
        let told = Client::login_with(&token, &[parameter]).err().unwrap();
        assert!(told.contains("C42501") && told.contains("read-only"), "{parameter:?}: {told}");
    }
    // A call of what is not there yet, as far as the catalog in hand knows, is refused in other words.
    let called = || {
        let answers = said(&client.query(call));
        Ok((!answers.contains("42883")).then_some(answers))
    };
    let answers = eventually_blocking(Duration::from_secs(20), "the function", called).unwrap();
    assert!(answers.contains("C25006"), "{answers}");
    let answers = said(&client.exchange(&[extended()], 1));
    assert!(answers.contains("C25006") && !written(), "{answers}");
    // Whatever goes back to the start of the session keeps it, and what lifts it is refused or undone.
    for reset in ["RESET ALL", "DISCARD ALL", "RESET default_transaction_read_only", "SELECT lifting()", "SELECT 1"] {
        assert!(!said(&client.query(reset)).contains("E:"), "{reset}");
        assert!(said(&client.query(call)).contains("C25006"), "{reset}");
        assert!(!said(&client.query(reset)).contains("E:"), "{reset}");
        assert!(said(&client.exchange(&[extended()], 1)).contains("C25006"), "{reset}");
    }
    for lift in [
        "SET default_transaction_read_only = off",
        "SET SESSION default_transaction_read_only TO 'no'",
        "SET transaction_read_only = 0",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
        "BEGIN READ WRITE",
        "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "SELECT pg_catalog.set_config('transaction_read_only', $$off$$, true)",
    ] {
        let answers = said(&client.query(lift));
        assert!(answers.contains("C42501") && answers.contains("Request "), "{lift}: {answers}");
        let answers = said(&client.exchange(&[parse("", lift), bind("", "", false), execute("", 0), sync()], 1));
        assert!(answers.contains("C42501"), "{lift}: {answers}");
    }
    let begun = client.exchange(&[query("BEGIN"), query("SET TRANSACTION READ WRITE"), query("ROLLBACK")], 3);
    assert!(said(&begun).contains("C42501"), "{}", said(&begun));
    // What a pool says, and what only the session sees.
    for plain in [
        "BEGIN READ ONLY",
        "SELECT count(*) FROM orders",
        "COMMIT",
        "BEGIN",
        "SELECT 1",
        "ROLLBACK",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET default_transaction_read_only = on",
        "CREATE TEMP TABLE mine (x int)",
        "INSERT INTO mine VALUES (1)",
        "CREATE TEMP TABLE yours AS SELECT 1 AS y",
        "DROP TABLE mine, yours",
        "UNLISTEN *",
    ] {
        let answers = said(&client.query(plain));
        assert!(!answers.contains("E:"), "{plain}: {answers}");
    }
    assert!(said(&client.query(call)).contains("C25006"));
    // What it may do is told from what it does: the wall that was taken down for a table of its own is up again.
    let both = client.exchange(&[query("CREATE TEMP TABLE mine (x int)"), query(call), extended()], 3);
    assert_eq!(said(&both).matches("C25006").count(), 2, "{}", said(&both));
    assert!(!written());
    let both = client.exchange(&[query("SELECT nextval('ticks')"), query(call), extended()], 3);
    assert_eq!(said(&both).matches("C25006").count(), 2, "{}", said(&both));
    assert_eq!(rows(&both).len(), 1);
    let oid: u32 = sql("SELECT 'misjudged()'::regprocedure::oid").trim().parse().unwrap();
    let fast = message(b'F', &[&oid.to_be_bytes()[..], &[0; 6]].concat());
    let both = client.exchange(&[query("SELECT nextval('ticks')"), fast], 2);
    assert!(said(&both).contains("C25006") && !written(), "{}", said(&both));
    // In a transaction, such a table comes first, and what follows it there is the callers' own.
    let said_all = |client: &mut Client, texts: &[&str]| {
        let messages: Vec<_> = texts.iter().map(|text| query(text)).collect();
        said(&client.exchange(&messages, texts.len()))
    };
    let make = "CREATE TEMP TABLE own (x int) ON COMMIT DROP";
    let extended_make = || [parse("", make), bind("", "", false), execute("", 0), sync()].concat();
    let answers = said_all(&mut client, &["BEGIN", make, "INSERT INTO own VALUES (1)", "SELECT x FROM own", "COMMIT"]);
    assert!(!answers.contains("E:"), "{answers}");
    let answers = said(&client.exchange(&[query("BEGIN"), extended_make(), query("COMMIT"), extended()], 4));
    assert!(!answers.contains("C42") && answers.contains("COMMIT") && answers.contains("C25006"), "{answers}");
    let answers =
        said_all(&mut client, &["BEGIN", "SELECT 1", make, "ROLLBACK", "BEGIN", make, "COMMIT AND CHAIN", "ROLLBACK"]);
    assert!(answers.matches("C25006").count() == 1 && answers.contains("C42501"), "{answers}");
    let answers = said(&client.exchange(&[query("BEGIN"), query("SELECT 1"), extended_make(), query("ROLLBACK")], 4));
    assert!(answers.contains("C25006"), "{answers}");
    assert!(said_all(&mut client, &["SELECT 1", call]).contains("C25006") && !written());
    // The revision that lets it write takes the wall down, for good as long as it holds; the next puts it up again.
    revise("walled.cedar", &format!("{CALLS}{WRITES}"));
    for reset in ["SELECT 1", "RESET ALL", "DISCARD ALL"] {
        client.query(reset);
        assert_eq!(mode(&mut client), "off", "{reset}");
    }
    let inserted = said(&client.query("INSERT INTO refunds (id, payment_id, amount) VALUES (800002, 1, 1)"));
    assert!(inserted.contains("INSERT 0 1"), "{inserted}");
    revise("walled.cedar", CALLS);
    let answers = said(&client.exchange(&[extended()], 1));
    assert!(answers.contains("C25006") && !written(), "{answers}");
    assert_eq!(mode(&mut client), "on");
    // One that was opened without it gets it as well, and RESET does not take it off.
    let mut writer = Client::login(&world().token("writer-once", &["apps", "readers", "writers"]));
    assert_eq!(mode(&mut writer), "off");
    let inserted = said(&writer.query("INSERT INTO refunds (id, payment_id, amount) VALUES (800003, 1, 1)"));
    assert!(inserted.contains("INSERT 0 1"), "{inserted}");
    sql("DELETE FROM refunds WHERE id > 800000");
}

#[test]
fn pg_09_a_session_opened_to_write_gets_the_wall_when_a_revision_takes_that_away() {
    let _alone = REVISING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    revise("once.cedar", &WRITES.replace("walled", "once"));
    let mut client = Client::login(&world().token("once", &["apps", "readers", "once"]));
    let mut mode = |before: &str| {
        assert!(!said(&client.query(before)).contains("E:"), "{before}");
        let answers = client.query("SHOW default_transaction_read_only");
        String::from_utf8(rows(&answers)[0][0].clone().unwrap()).unwrap()
    };
    assert_eq!(mode("SELECT 1"), "off");
    revise("once.cedar", "");
    for reset in ["SELECT 1", "RESET ALL", "DISCARD ALL", "RESET default_transaction_read_only", "BEGIN; COMMIT"] {
        assert_eq!(mode(reset), "on", "{reset}");
    }
}

/// A revision holds from the next message on, whether the session was told of it by then or not.
#[test]
fn pg_09_no_message_is_judged_by_a_revision_that_is_over() {
    let _alone = REVISING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut client = Client::login(&world().token("hasty", &["apps", "readers", "hasty"]));
    let read = "SELECT count(*) FROM orders";
    let forbid = "@id(\"hasty\")\nforbid (principal in Group::\"hasty\", action, resource);";
    for _ in 0..3 {
        assert!(!said(&client.query(read)).contains("E:"));
        revise_untold("hasty.cedar", forbid);
        assert!(said(&client.query(read)).contains("C42501"));
        revise_untold("hasty.cedar", "");
    }
}

/// Nobody is asked for what would be refused in any case.
#[test]
fn pg_09_no_approver_is_asked_to_take_the_wall_down() {
    let _alone = REVISING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let asked = r#"
@id("settings-are-asked")
@require_approval("dba")
forbid (principal in Group::"asked", action == Action::"set", resource)
unless { context has approval && context.approval.groups.contains("dba") };
"#;
    revise("asked.cedar", asked);
    let mut client = Client::login(&world().token("asked", &["apps", "readers", "asked"]));
    // Inside a transaction nobody waits: one is told whom to ask.
    let texts = ["BEGIN", "SET statement_timeout = '7s'", "ROLLBACK"].map(query);
    let answers = said(&client.exchange(&texts, 3));
    assert!(answers.contains("approv"), "{answers}");
    for lift in ["SET default_transaction_read_only = off", "SELECT set_config('transaction_read_only', 'off', true)"] {
        let answers = said(&client.query(lift));
        assert!(answers.contains("C42501") && answers.contains("read-only"), "{lift}: {answers}");
        assert!(!answers.contains("approv"), "{lift}: {answers}");
    }
    revise("asked.cedar", "");
}

const ANYTHING_SMALL: &str = r#"
@id("anything-small")
permit (principal in Group::"few", action, resource)
when { context has statement && context.statement has estimatedRows && context.statement.estimatedRows < 20 };
"#;

/// RULES.md 15: policies decide by what the target expects, for each request anew.
#[test]
fn what_the_target_expects_decides_and_is_not_remembered() {
    let _alone = REVISING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let few = r#"
@id("few-rows")
permit (principal in Group::"few", action == Action::"update", resource in Namespace::"payments/payments/public")
when { context.statement has estimatedRows && context.statement.estimatedRows < 20 };
"#;
    let sql = |sql: &str| world().server.sql("payments", sql).unwrap();
    sql(
        "CREATE TABLE steps (id int PRIMARY KEY, done int); INSERT INTO steps SELECT i, 0 FROM generate_series(1, 500) i; \
         GRANT ALL ON steps TO PUBLIC",
    );
    sql("ANALYZE steps");
    revise("few.cedar", few);
    let mut client = Client::login(&world().token("few", &["apps", "readers", "few"]));
    let update = |most: u32| format!("UPDATE steps SET done = 1 WHERE id <= {most}");
    let bound = |sql: &str| [parse("", sql), bind("", "", false), execute("", 0), sync()].concat();
    let known = || {
        let answers = said(&client.query(&update(3)));
        Ok((!answers.contains("42P01")).then_some(answers))
    };
    let answers = eventually_blocking(Duration::from_secs(20), "the table", known).unwrap();
    assert!(answers.contains("UPDATE 3"), "{answers}");
    for (most, allowed) in [(400, false), (3, true), (450, false), (4, true), (400, false)] {
        let text = update(most);
        for messages in [vec![query(&text)], vec![bound(&text)]] {
            let answers = said(&client.exchange(&messages, 1));
            let (ran, refused) = (answers.contains(&format!("UPDATE {most}")), answers.contains("C42501"));
            assert_eq!((ran, refused), (allowed, !allowed), "{text}: {answers}");
        }
        let answers = said(&client.exchange(&[query("BEGIN"), query(&text), bound(&text), query("ROLLBACK")], 4));
        assert_eq!(answers.matches("UPDATE ").count(), if allowed { 2 } else { 0 }, "{answers}");
    }
    // Nor by what the target expects of another text: a call has no plan.
    revise("few.cedar", &format!("{few}{ANYTHING_SMALL}"));
    let oid: u32 = sql("CREATE FUNCTION ones() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'; \
                        SELECT 'ones()'::regprocedure::oid")
    .lines()
    .last()
    .and_then(|line| line.trim().parse().ok())
    .unwrap();
    let call = message(b'F', &[&oid.to_be_bytes()[..], &[0; 6]].concat());
    let called = || {
        let answers = said(&client.exchange(std::slice::from_ref(&call), 1));
        Ok((!answers.contains("42883")).then_some(answers))
    };
    let answers = eventually_blocking(Duration::from_secs(20), "the function", called).unwrap();
    assert!(answers.contains("C42501"), "{answers}");
    revise("few.cedar", few);
    // What cannot be asked about is not permitted by it: a function of the user's is never run to find out.
    sql("CREATE SEQUENCE runs; GRANT USAGE ON SEQUENCE runs TO PUBLIC; \
         CREATE FUNCTION counting() RETURNS int IMMUTABLE LANGUAGE sql AS $$SELECT nextval('runs')::int$$");
    let unknown = ["UPDATE steps SET done = 1 WHERE id = counting()", "UPDATE steps SET done = 1 WHERE id = $1"];
    let answers = said(&client.exchange(&[query(unknown[0]), parse("", unknown[1]), sync()], 2));
    assert!(!answers.contains("UPDATE") && answers.matches("E:").count() == 2, "{answers}");
    assert_eq!(sql("SELECT is_called FROM runs").trim(), "f");
    assert_eq!(sql("SELECT count(*) FROM steps WHERE done = 1").trim(), "4");
    sql("DROP TABLE steps; DROP FUNCTION counting; DROP FUNCTION ones; DROP SEQUENCE runs");
    revise("few.cedar", "");
}
