//! Values that masks hide, on every way out, and masks on their way in.

use super::*;

#[test]
fn mk_01_binary_copy_goes_through_the_content_net() {
    world()
        .server
        .sql(
            "payments",
            "CREATE TABLE memos (id int, body text); INSERT INTO memos VALUES (1, 'card 4111111111111111 ok')",
        )
        .unwrap();
    world().server.sql("payments", "GRANT SELECT ON memos TO PUBLIC").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let mut client = reader();
    for sql in [
        "COPY memos TO STDOUT",
        "COPY memos TO STDOUT (FORMAT binary)",
        "COPY (SELECT body, id FROM memos) TO STDOUT (FORMAT binary)",
        "SELECT body FROM memos",
    ] {
        let answers = client.query(sql);
        assert!(!said(&answers).contains("4111111111111111"), "{sql}: {}", said(&answers));
    }
    let answers = client.query("COPY customers TO STDOUT (FORMAT binary)");
    assert!(!shows_ssn(&answers));
    world().server.sql("payments", "DROP TABLE memos").unwrap();
}

#[test]
fn mk_03_every_way_of_asking_for_rows_is_masked() {
    let mut client = reader();
    for binary in [false, true] {
        for sql in [
            SECRET,
            "SELECT ssn FROM customers LIMIT 3",
            "SELECT c FROM customers c LIMIT 3",
            "SELECT to_jsonb(c) FROM customers c LIMIT 3",
            "SELECT array_agg(ssn) FROM customers",
        ] {
            client.exchange(&[parse("", sql), describe(b'S', ""), sync()], 1);
            for messages in [
                vec![bind("", "", binary), execute("", 0), sync()],
                vec![bind("", "", binary), describe(b'P', ""), execute("", 1), execute("", 1), sync()],
                vec![bind("", "", binary), execute("", 1), bind("", "", !binary), execute("", 0), sync()],
                vec![bind("p", "", binary), execute("p", 0), close(b'P', "p"), sync()],
            ] {
                let answers = client.exchange(&messages, 1);
                assert!(!rows(&answers).is_empty(), "{sql}: {}", said(&answers));
                assert!(!shows_ssn(&answers), "{sql}: {}", said(&answers));
            }
        }
    }
}

#[test]
fn mk_04_errors_of_a_later_commit_are_scrubbed_in_a_pipeline() {
    world()
        .server
        .sql(
            "payments",
            "CREATE TABLE dues (ssn text, UNIQUE (ssn) DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON dues TO PUBLIC",
        )
        .unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let mut client = Client::login(&world().token("writer", &["apps", "readers", "writers"]));
    let answers = client.exchange(
        &[
            query("SELECT pg_sleep(0.2)"),
            query("SELECT count(*) FROM orders a, orders b, orders c WHERE a.id < 40"),
            query("BEGIN"),
            query("INSERT INTO dues VALUES ('123-45-6789'), ('123-45-6789')"),
            query("COMMIT"),
        ],
        5,
    );
    assert!(said(&answers).contains("23505"), "{}", said(&answers));
    assert!(!said(&answers).contains("123-45-6789"), "{}", said(&answers));
    world().server.sql("payments", "DROP TABLE dues").unwrap();
}

#[test]
fn mk_02_a_reason_shows_only_while_it_is_given() {
    let mut client = Client::login(&world().token("reasoner", &["apps", "readers", "reasoners"]));
    // No content gives a CVV away, so this is the column's own mask, which is NULL.
    let shows = |client: &mut Client| {
        let answers = client.query("SELECT cvv FROM cards ORDER BY id LIMIT 1");
        let values = rows(&answers).concat();
        assert_eq!(values.len(), 1, "{}", said(&answers));
        values[0].is_some()
    };
    assert!(!shows(&mut client));
    client.query("SET sluice.reason = 'ticket 7'");
    assert!(shows(&mut client));
    client.query("RESET sluice.reason");
    assert!(!shows(&mut client));
}

#[test]
fn mk_05_what_the_target_says_beside_rows_is_scrubbed() {
    let mut client = reader();
    for sql in [
        "SELECT ssn::int FROM customers LIMIT 1",
        "SELECT ssn::regclass FROM customers LIMIT 1",
        "SELECT set_config('application_name', ssn, false) FROM customers LIMIT 1",
        "SELECT pg_notify('c', ssn) FROM customers LIMIT 1",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT ssn, ssn || 'x' FROM customers ORDER BY ssn",
        "SELECT query_to_xml('SELECT ssn FROM customers', true, true, '')",
        "SELECT table_to_xml('customers', true, true, '')",
        "SELECT histogram_bounds FROM pg_stats WHERE attname = 'ssn'",
        "SELECT most_common_vals FROM pg_stats WHERE tablename = 'customers'",
        "BEGIN; DECLARE b BINARY CURSOR FOR SELECT ssn FROM customers; FETCH 2 FROM b; COMMIT",
        "SELECT (SELECT c FROM customers c LIMIT 1)::text",
        "SELECT row_to_json(c)::text FROM customers c LIMIT 2",
        "SELECT string_agg(c::text, ';') FROM customers c",
        "SELECT json_agg(c) FROM customers c",
        "SELECT c.* FROM ROWS FROM (unnest(ARRAY(SELECT ssn FROM customers))) c",
        "SELECT name AS ssn, ssn AS name FROM customers LIMIT 2",
        "SELECT name FROM customers UNION SELECT ssn FROM customers",
        "SELECT xmlelement(name x, ssn) FROM customers LIMIT 1",
        "SELECT encode(ssn::bytea, 'escape') FROM customers LIMIT 1",
        "SELECT xmlagg(xmlforest(c.ssn)) FROM customers c",
        "SELECT json_object_agg(ssn, 1) FROM customers",
        "SELECT * FROM json_to_recordset((SELECT json_agg(c) FROM customers c)) AS r(ssn text)",
        "WITH RECURSIVE r(v, n) AS (SELECT ssn, 1 FROM customers UNION ALL SELECT v, n + 1 FROM r WHERE n < 2) SELECT v FROM r",
        "TABLE customers",
        "COPY (SELECT ssn || '' FROM customers) TO STDOUT",
        "COPY customers (ssn) TO STDOUT (FORMAT csv, HEADER)",
        "COPY customers TO STDOUT (DELIMITER 's')",
        "MERGE INTO orders USING customers ON false WHEN MATCHED THEN DO NOTHING",
    ] {
        client.send(&[query(sql)]);
        let answers = client.answers(1);
        assert!(!shows_ssn(&answers), "{sql}: {}", said(&answers));
        client.query("ROLLBACK");
    }
}

#[test]
fn mk_06_errors_are_scrubbed_where_one_column_of_a_class_is_hidden() {
    let mut client = Client::login(&world().token("supporter", &["apps", "readers", "supporters"]));
    let answers = client.query("SELECT email FROM customers LIMIT 1");
    assert!(said(&answers).contains('@'), "{}", said(&answers));
    for sql in ["SELECT ssn FROM customers", "SELECT ssn::int FROM customers", "SELECT ssn::regclass FROM customers"] {
        let answers = client.query(sql);
        assert!(!shows_ssn(&answers), "{sql}: {}", said(&answers));
    }
}

/// RULES.md 10: whichever way a mask takes into a column of its class, it is refused, and nothing of it stays.
#[test]
fn a_mask_never_becomes_data_whichever_way_it_takes() {
    let mut client =
        Client::login(&world().token("mask-writer", &["apps", "readers", "migrations", "writers", "cleared"]));
    let mut refused = |sql: &str| {
        let answers = said(&client.exchange(&[query(sql)], 1));
        let told = "a masked value would be written to public.cards.";
        assert!(answers.contains("42501") && answers.contains(told), "{sql}: {answers}");
    };
    for mask in [
        "'************1111'",
        "E'\\x2a***********1111'",
        "$$************1111$$",
        "$m$[card_number]$m$",
        "U&'\\002a***********1111'",
        "U&'!002a***********1111' UESCAPE '!'",
        "'************'\n'1111'",
    ] {
        refused(&format!("UPDATE cards SET number = {mask} WHERE id = 1"));
        refused(&format!("INSERT INTO cards (id, customer_id, number, cvv) VALUES (80001, 1, {mask}, '1')"));
    }
    for sql in [
        "UPDATE cards SET number = (SELECT '************1111') WHERE id = 1",
        "UPDATE cards SET number = '************1111'::text::varchar WHERE id = 1",
        "UPDATE cards SET number = COALESCE('************1111', number) WHERE id = 1",
        "UPDATE cards SET number = CASE WHEN id = 1 THEN '************1111' ELSE number END WHERE id = 1",
        "UPDATE cards SET number = '************' || right(number, 4) WHERE id = 1",
        "UPDATE cards SET number = lower('************1111') WHERE id = 1",
        "UPDATE cards SET (number, cvv) = (SELECT '************1111', '1') WHERE id = 1",
        "UPDATE cards SET number = v.n FROM (VALUES (1, '************1111')) AS v (i, n) WHERE id = v.i",
        "INSERT INTO cards (id, customer_id, number, cvv) SELECT 80001, 1, '************1111', '1'",
        "INSERT INTO cards (id, customer_id, number, cvv) SELECT 80001, 1, unnest(ARRAY['4', '************1111']), '1'",
        "INSERT INTO cards (id, customer_id, number, cvv) SELECT 80001, 1, unnest('{4,************1111}'::text[]), '1'",
        "WITH v AS (VALUES ('4'), ('************1111')) INSERT INTO cards (id, customer_id, number, cvv) \
         SELECT 80001, 1, v.column1, '1' FROM v",
        "WITH RECURSIVE v (a, b, c) AS (SELECT '1', '2', '************1111' UNION ALL SELECT b, c, a FROM v) \
         INSERT INTO cards (id, customer_id, number, cvv) SELECT 80001, 1, v.a, '1' FROM v LIMIT 3",
        "INSERT INTO cards (id, customer_id, number, cvv) VALUES (1, 1, '4', '************1111') \
         ON CONFLICT (id) DO UPDATE SET number = excluded.cvv",
        "INSERT INTO cards (id, customer_id, number, cvv) VALUES (1, 1, '4', '1') \
         ON CONFLICT (id) DO UPDATE SET number = '************1111'",
        "MERGE INTO cards c USING (SELECT 1 AS i, '************1111' AS n) s ON c.id = s.i \
         WHEN MATCHED THEN UPDATE SET number = s.n",
        "MERGE INTO cards c USING (SELECT 80001 AS i) s ON c.id = s.i \
         WHEN NOT MATCHED THEN INSERT (id, customer_id, number, cvv) VALUES (s.i, 1, '************1111', '1')",
        "PREPARE masked AS UPDATE cards SET number = '************1111' WHERE id = 1",
        "EXPLAIN UPDATE cards SET number = '************1111' WHERE id = 1",
    ] {
        refused(sql);
    }
    let bound = |sql: &str, value: &str| {
        let parameters =
            [&1i16.to_be_bytes()[..], &i32::try_from(value.len()).unwrap().to_be_bytes(), value.as_bytes()];
        let bind = [&text("")[..], &text(""), &0i16.to_be_bytes(), &parameters.concat(), &0i16.to_be_bytes()].concat();
        [parse("", sql), message(b'B', &bind), execute("", 0), sync()].concat()
    };
    for (sql, value) in [
        ("UPDATE cards SET number = (SELECT $1) WHERE id = 1", "************1111"),
        ("UPDATE cards SET number = COALESCE($1, number) WHERE id = 1", "************1111"),
        ("INSERT INTO cards (id, customer_id, number, cvv) SELECT 80001, 1, $1, '1'", "************1111"),
        (
            "INSERT INTO cards (id, customer_id, number, cvv) SELECT 80001, 1, unnest($1::text[]), '1'",
            "{4,[card_number]}",
        ),
    ] {
        let answers = said(&client.exchange(&[bound(sql, value)], 1));
        assert!(answers.contains("42501") && answers.contains("public.cards.number"), "{sql}: {answers}");
    }
    client.exchange(&[query("PREPARE plain AS UPDATE cards SET number = $1 WHERE id = 1")], 1);
    let answers = said(&client.exchange(&[query("EXECUTE plain('************1111')")], 1));
    assert!(answers.contains("public.cards.number"), "{answers}");
    // What is not written there is no mask, and neither is what only chooses rows.
    for sql in [
        "UPDATE cards SET cvv = cvv WHERE number = '************1111'",
        "UPDATE cards SET number = CASE WHEN cvv = '****' THEN '4111111111111111' ELSE number END WHERE id = -1",
        "UPDATE cards SET number = $$4111111111111111$$ WHERE id = -1",
    ] {
        let answers = said(&client.exchange(&[query(sql)], 1));
        assert!(answers.contains("UPDATE"), "{sql}: {answers}");
    }
    let masked = "SELECT count(*) FROM cards WHERE number LIKE '%*%' OR id = 80001";
    assert_eq!(world().server.sql("payments", masked).unwrap().trim(), "0");
}

#[test]
fn a_mask_that_comes_by_copy_ends_it_and_no_row_stays() {
    let mut client = Client::login(&world().token("copier", &["apps", "readers", "migrations", "writers", "cleared"]));
    let data = |bytes: &[u8]| message(b'd', bytes);
    let done = || message(b'c', &[]);
    let columns = "COPY cards (id, number, customer_id, cvv, expires) FROM STDIN";
    let mut binary = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02".to_vec();
    for (column, value) in [(0, 90001i32.to_be_bytes().to_vec()), (1, b"[card_number]".to_vec())] {
        assert!(column < 2);
        binary.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
        binary.extend_from_slice(&value);
    }
    let rows_of = |text: &[u8]| [b"90001\t4111111111111111\t1\t1\t2030-01-01\n", text].concat();
    let streams: [(String, Vec<u8>); 5] = [
        (columns.to_owned(), rows_of(b"90002\t************1111\t1\t1\t2030-01-01\n90003\t4\t1\t1\t2030-01-01\n")),
        (columns.to_owned(), rows_of(b"90002\t\\x2a\\52**********1111\t1\t1\t2030-01-01")),
        (
            format!("{columns} (FORMAT csv, HEADER)"),
            b"id,number,customer_id,cvv,expires\r\n90001,\"****\"\"**\",1,1,2030-01-01\r\n".to_vec(),
        ),
        ("COPY cards (cvv, number) FROM STDIN (FORMAT csv, DELIMITER ';')".to_owned(), b"1;[card_number]".to_vec()),
        ("COPY cards (id, number) FROM STDIN (FORMAT binary)".to_owned(), binary),
    ];
    for (sql, stream) in &streams {
        for pieces in [vec![data(stream)], stream.chunks(1).map(data).collect()] {
            let simple = [vec![query(sql)], pieces.clone(), vec![done(), query("SELECT 1")]].concat();
            let answers = client.exchange(&simple, 2);
            let told = said(&answers);
            assert!(told.contains("42501") && told.contains("public.cards.number"), "{sql}: {told}");
            assert!(told.contains("Request "), "{sql}: {told}");
            assert_eq!(rows(&answers).len(), 1, "{sql}: {told}");
            let begun = [parse("", sql), bind("", "", false), execute("", 0)].concat();
            let extended = [vec![begun], pieces, vec![done(), sync(), query("SELECT 1")]].concat();
            let answers = client.exchange(&extended, 2);
            assert!(said(&answers).contains("public.cards.number"), "{sql}: {}", said(&answers));
            assert_eq!(rows(&answers).len(), 1, "{sql}: {}", said(&answers));
        }
    }
    let clear = [query(columns), data(b"90001\t4111111111111111\t1\t1\t2030-01-01\n"), done()];
    let answers = said(&client.exchange(&clear, 1));
    assert!(answers.contains("COPY 1"), "{answers}");
    let removed = world().server.sql("payments", "DELETE FROM cards WHERE id > 90000 RETURNING id").unwrap();
    assert!(removed.contains("90001") && !removed.contains("90002"), "{removed}");
}
