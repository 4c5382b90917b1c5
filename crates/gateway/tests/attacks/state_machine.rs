//! Messages in an order that nobody expects.

use super::*;

#[test]
fn sm_01_bytes_behind_the_request_for_encryption_close_the_connection() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut peer = Peer::connect(world().address).await.unwrap();
        peer.send(&[ssl_request(), query("SELECT 1")].concat()).await.unwrap();
        let answer = peer.read_to_close().await.unwrap();
        assert!(answer.is_empty() || answer == b"S", "{answer:?}");
        for bytes in [
            startup(196_608, &[("user", "app")]),
            [ssl_request(), ssl_request()].concat(),
            vec![0, 0, 0, 0],
            vec![0xff; 8],
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ] {
            let mut peer = Peer::connect(world().address).await.unwrap();
            peer.send(&bytes).await.unwrap();
            let answer = peer.read_to_close().await.unwrap();
            assert!(answer.len() < 400, "{bytes:?}: {answer:?}");
        }
    });
}

#[test]
fn sm_06_queries_errors_and_syncs_in_any_order_stay_in_step() {
    let mut client = reader();
    let ok = |n: u32| [parse("", &format!("SELECT {n}")), bind("", "", false), execute("", 0)].concat();
    let answers = client.exchange(
        &[
            ok(1),
            sync(),
            parse("", "DROP TABLE orders"),
            ok(2),
            query("SELECT 3"),
            sync(),
            sync(),
            query("SELECT 4"),
            ok(5),
            query("SELECT 6"),
            sync(),
            query("DROP TABLE orders"),
            query("SELECT 7"),
            ok(8),
            sync(),
        ],
        9,
    );
    let seen: Vec<String> =
        rows(&answers).into_iter().map(|row| String::from_utf8(row[0].clone().unwrap()).unwrap()).collect();
    assert_eq!(seen, ["1", "4", "5", "6", "7", "8"], "{}", said(&answers));
}

#[test]
fn sm_08_what_follows_a_copy_in_is_kept_apart() {
    let mut client = Client::login(&world().token("writer", &["apps", "readers", "writers"]));
    let data = |line: &str| message(b'd', line.as_bytes());
    let done = message(b'c', &[]);
    let copy = "COPY refunds (id, payment_id, amount) FROM STDIN";
    let line = "900001\t1\t1.00\n";
    let simple = client.exchange(
        &[query(copy), data(line), data("900002\t1\t1.00\n"), done.clone(), query("SELECT 1"), query("SELECT 2")],
        3,
    );
    assert!(said(&simple).contains("COPY 2"), "{}", said(&simple));
    assert_eq!(rows(&simple).len(), 2);
    // Sync before the data, as some drivers do; then a COPY that is refused, with its data behind it.
    let begun = [parse("", copy), bind("", "", false), execute("", 0), sync()].concat();
    let answers = client
        .exchange(&[query("SELECT 0"), begun, data("900003\t1\t1.00\n"), done.clone(), sync(), query("SELECT 3")], 3);
    assert!(said(&answers).contains("COPY 1"), "{}", said(&answers));
    assert_eq!(rows(&answers).len(), 2, "{}", said(&answers));
    let refused = [query("COPY cards FROM PROGRAM 'id'"), data(line), done.clone(), query("SELECT 4")];
    let answers = client.exchange(&refused, 2);
    assert_eq!(rows(&answers).len(), 1, "{}", said(&answers));
    let fails = [query(copy), data("x\n"), data(line), message(b'f', &text("no")), done, query("SELECT 5")];
    let answers = client.exchange(&fails, 2);
    assert_eq!(rows(&answers).len(), 1, "{}", said(&answers));
    world().server.sql("payments", "DELETE FROM refunds WHERE id > 900000").unwrap();
}

#[test]
fn sm_06_a_script_that_fails_halfway_leaves_the_session_usable() {
    let mut client = Client::login(&world().token("migrator", &["apps", "readers", "migrations"]));
    for script in [
        "CREATE TEMP TABLE s1 (x int); SELECT 1 / 0; SELECT x FROM s1",
        "CREATE TEMP TABLE s1 (x int); SELECT 1 / (x - x) FROM (VALUES (1)) v(x); SELECT x FROM s1; SELECT 9",
        "CREATE TABLE orders (x int); SELECT x FROM s1",
        "CREATE TEMP TABLE s1 (x int); ALTER SYSTEM RESET ALL; SELECT x FROM s1",
        "CREATE TEMP TABLE s1 (x int); SELECT x FROM nowhere; SELECT x FROM s1",
    ] {
        let answers = client.exchange(&[query(script), query("SELECT 'next'")], 2);
        let values = rows(&answers).concat();
        assert_eq!(values, [Some(b"next".to_vec())], "{script}: {}", said(&answers));
    }
    let answers = client.exchange(
        &[
            query("BEGIN"),
            query("SELECT 1 / 0"),
            query("SELECT 1"),
            query("SET search_path = public"),
            query("ROLLBACK"),
            query("SELECT 'out'"),
        ],
        6,
    );
    assert_eq!(rows(&answers).concat(), [Some(b"out".to_vec())], "{}", said(&answers));
    let answers = client.exchange(
        &[
            query("BEGIN"),
            query("CREATE TEMP TABLE s2 (x int)"),
            query("SELECT 1 / 0"),
            query("SELECT x FROM s2"),
            query("ROLLBACK"),
            query("SELECT 'out'"),
        ],
        6,
    );
    assert_eq!(rows(&answers).concat(), [Some(b"out".to_vec())], "{}", said(&answers));
    let pipeline = [
        parse("", "CREATE TEMP TABLE s3 (x int)"),
        bind("", "", false),
        execute("", 0),
        parse("", "SELECT 1 / 0"),
        bind("", "", false),
        execute("", 0),
        parse("", "SELECT x FROM s3"),
        bind("", "", false),
        execute("", 0),
        sync(),
        query("SELECT 'out'"),
    ];
    let answers = client.exchange(&pipeline, 2);
    assert_eq!(rows(&answers).concat(), [Some(b"out".to_vec())], "{}", said(&answers));
}
