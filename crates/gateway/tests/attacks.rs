//! Known attacks on the PostgreSQL path, by the numbers of the list they are from, through a whole gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "attacks/revised.rs"]
mod revised;
mod world;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use testkit::scripted::{Message, Peer, message, password, query, ssl_request, startup, text};
use testkit::wait::eventually_blocking;
use world::World;

/// One world for all tests of this program.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::start(200);
        world.rows(&world.reader(), "SELECT 1");
        world
    })
}

/// A client that says exactly what it is told to.
struct Client {
    runtime: tokio::runtime::Runtime,
    peer: Peer,
    key: Vec<u8>,
}

impl Client {
    fn login(token: &str) -> Self {
        Self::login_with(token, &[]).unwrap()
    }

    /// With more in its StartupMessage; what it was told if it was turned away.
    fn login_with(token: &str, parameters: &[(&str, &str)]) -> Result<Self, String> {
        let parameters = [&[("user", "app"), ("database", "payments")], parameters].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (peer, first, greeting) = runtime.block_on(async {
            let mut peer = Peer::connect(world().address).await.unwrap();
            peer.send(&ssl_request()).await.unwrap();
            assert_eq!(peer.read(1).await.unwrap(), b"S");
            let mut peer = peer.into_tls_client(tls(), "localhost").await.unwrap();
            peer.send(&startup(196_608, &parameters)).await.unwrap();
            peer.read_until(b'R').await.unwrap();
            peer.send(&password(token)).await.unwrap();
            let first = peer.read_message().await.unwrap();
            let greeting = if first.tag == b'E' { Vec::new() } else { peer.read_until(b'Z').await.unwrap() };
            (peer, first, greeting)
        });
        match greeting.iter().find(|message| message.tag == b'K') {
            Some(key) => Ok(Self { runtime, peer, key: key.body.clone() }),
            None => Err(said(&[first])),
        }
    }

    fn send(&mut self, messages: &[Vec<u8>]) {
        self.runtime.block_on(self.peer.send(&messages.concat())).unwrap();
    }

    /// Everything up to the `count`th ReadyForQuery.
    fn answers(&mut self, count: usize) -> Vec<Message> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.extend(self.runtime.block_on(self.peer.read_until(b'Z')).unwrap());
        }
        all
    }

    /// Sends these messages, which hold `syncs` Syncs or Queries, and reads all answers.
    fn exchange(&mut self, messages: &[Vec<u8>], syncs: usize) -> Vec<Message> {
        self.send(messages);
        self.answers(syncs)
    }

    fn query(&mut self, sql: &str) -> Vec<Message> {
        self.exchange(&[query(sql)], 1)
    }
}

fn tls() -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = world().node.layout().tls().join("ca.pem");
    for certificate in rustls::pki_types::CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[text(name), text(sql), vec![0, 0]].concat())
}

fn bind(portal: &str, statement: &str, binary: bool) -> Vec<u8> {
    let formats: &[u8] = if binary { &[0, 1, 0, 1] } else { &[0, 0] };
    message(b'B', &[text(portal), text(statement), vec![0, 0, 0, 0], formats.to_vec()].concat())
}

fn execute(portal: &str, rows: u32) -> Vec<u8> {
    message(b'E', &[text(portal), rows.to_be_bytes().to_vec()].concat())
}

fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind], text(name)].concat())
}

fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind], text(name)].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', &[])
}

/// The values of all rows.
fn rows(messages: &[Message]) -> Vec<Vec<Option<Vec<u8>>>> {
    let read = |message: &Message| {
        let (count, mut rest) = message.body.split_first_chunk::<2>().unwrap();
        let mut values = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            rest = after;
            values.push(usize::try_from(i32::from_be_bytes(*length)).ok().map(|length| {
                let (value, after) = rest.split_at(length);
                rest = after;
                value.to_vec()
            }));
        }
        values
    };
    messages.iter().filter(|message| message.tag == b'D').map(read).collect()
}

/// Every field of every error, and the tags of everything.
fn said(messages: &[Message]) -> String {
    let each = messages.iter().map(|message| {
        let tag = char::from(message.tag);
        format!("{tag}:{}", String::from_utf8_lossy(&message.body).replace('\0', " "))
    });
    each.collect::<Vec<_>>().join("\n")
}

/// Whether a social security number of the demo is anywhere in these messages.
fn shows_ssn(messages: &[Message]) -> bool {
    static ALL: OnceLock<Vec<String>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let rows = world().server.sql("payments", "SELECT ssn FROM customers").unwrap();
        rows.lines().map(str::to_owned).collect()
    });
    let bytes: Vec<u8> = messages.iter().flat_map(|message| message.body.clone()).collect();
    let text = String::from_utf8_lossy(&bytes);
    all.iter().any(|ssn| text.contains(ssn))
}

/// An expression on SSNs that no RowDescription tells of, and one of the same shape that holds nothing.
const SECRET: &str = "SELECT ssn || '' FROM customers ORDER BY id LIMIT 3";
const NOTHING: &str = "SELECT 'x' || '' FROM customers ORDER BY id LIMIT 3";

fn payments() -> String {
    world().server.sql("payments", "SELECT count(*) FROM payments").unwrap()
}

/// One that may delete payments, once a DBA agrees.
fn cashier(name: &str) -> Client {
    Client::login(&world().token(name, &["apps", "readers", "cashiers"]))
}

fn reader() -> Client {
    Client::login(&world().reader())
}

#[test]
fn pg_06_a_parse_that_fails_leaves_the_name_as_it_was() {
    let mut client = cashier("pg06a");
    let before = payments();
    client.exchange(&[parse("a", "DELETE FROM payments WHERE id = 11"), sync()], 1);
    client.exchange(&[parse("a", "SELECT 1"), sync()], 1);
    client.query("BEGIN");
    let answers = client.exchange(&[bind("", "a", false), execute("", 0), sync()], 1);
    client.query("COMMIT");
    assert!(said(&answers).contains("approval needed"), "{}", said(&answers));
    assert_eq!(payments(), before);
}

#[test]
fn pg_06_a_parse_that_is_skipped_leaves_the_name_as_it_was() {
    let mut client = reader();
    client.exchange(&[parse("a", SECRET), sync()], 1);
    // The first message fails, so the target skips the Close and the Parse; all of this is sent at once.
    let skipped = [parse("", "SELECT FROM nowhere"), close(b'S', "a"), parse("a", NOTHING), sync()].concat();
    let answers = client.exchange(&[skipped, bind("", "a", false), execute("", 0), sync()], 2);
    assert_eq!(rows(&answers).len(), 3, "{}", said(&answers));
    assert!(!shows_ssn(&answers), "{}", said(&answers));
    // The same with a Parse that fails by itself.
    let answers = client.exchange(&[parse("a", NOTHING), sync(), bind("", "a", false), execute("", 0), sync()], 2);
    assert_eq!(rows(&answers).len(), 3, "{}", said(&answers));
    assert!(!shows_ssn(&answers), "{}", said(&answers));
    // And a portal.
    client.exchange(&[parse("n", NOTHING), sync()], 1);
    client.query("BEGIN");
    client.exchange(&[bind("p", "a", false), sync()], 1);
    let answers = client.exchange(&[bind("p", "n", false), sync(), execute("p", 0), sync()], 2);
    assert!(!shows_ssn(&answers), "{}", said(&answers));
}

#[test]
fn pg_06_sql_and_the_protocol_share_their_names() {
    let mut client = reader();
    client.query("PREPARE a AS SELECT 'x' || '' FROM customers ORDER BY id LIMIT 3");
    client.exchange(&[close(b'S', "a"), parse("a", SECRET), sync()], 1);
    let answers = client.query("EXECUTE a");
    assert!(!shows_ssn(&answers), "{}", said(&answers));
    let mut client = cashier("pg06d");
    let before = payments();
    client.query("PREPARE a AS SELECT 1");
    client.exchange(&[close(b'S', "a"), parse("a", "DELETE FROM payments WHERE id = 14"), sync()], 1);
    client.query("BEGIN");
    let answers = client.query("EXECUTE a");
    client.query("COMMIT");
    assert!(said(&answers).contains("approval needed"), "{}", said(&answers));
    assert_eq!(payments(), before);
}

#[test]
fn pg_06_the_same_execute_of_another_statement() {
    let mut client = reader();
    for sql in [NOTHING, SECRET] {
        client.query(&format!("PREPARE a AS {sql}"));
        let answers = client.query("EXECUTE a");
        assert_eq!(rows(&answers).len(), 3, "{}", said(&answers));
        assert!(!shows_ssn(&answers), "{}", said(&answers));
        client.query("DEALLOCATE a");
    }
    client.query("BEGIN");
    for sql in [NOTHING, SECRET] {
        client.query(&format!("DECLARE c CURSOR FOR {sql}"));
        let answers = client.query("FETCH ALL FROM c");
        assert_eq!(rows(&answers).len(), 3, "{}", said(&answers));
        assert!(!shows_ssn(&answers), "{}", said(&answers));
        client.query("CLOSE c");
    }
}

#[test]
fn pg_06_a_portal_that_becomes_a_cursor() {
    let mut client = reader();
    client.exchange(&[parse("s", NOTHING), sync()], 1);
    client.query("BEGIN");
    client.exchange(&[bind("p", "s", false), describe(b'P', "p"), sync()], 1);
    let becomes = query(&format!("CLOSE p; DECLARE p CURSOR FOR {SECRET}"));
    let answers = client.exchange(&[becomes, execute("p", 0), sync()], 2);
    assert!(!shows_ssn(&answers), "{}", said(&answers));
    // In two messages, and with the cursor closed by the protocol.
    let mut client = reader();
    client.exchange(&[parse("s", SECRET), sync()], 1);
    client.query("BEGIN");
    client.query(&format!("DECLARE p CURSOR FOR {NOTHING}"));
    client.exchange(&[close(b'P', "p"), bind("p", "s", false), sync()], 1);
    let answers = client.query("FETCH ALL FROM p");
    assert!(!shows_ssn(&answers), "{}", said(&answers));
}

#[test]
fn pg_06_a_bound_execute_runs_what_its_name_stands_for_later() {
    let mut client = reader();
    client.query(&format!("PREPARE a AS {NOTHING}"));
    client.query("BEGIN");
    client.exchange(&[parse("s", "EXECUTE a"), bind("p", "s", false), sync()], 1);
    client.query("DEALLOCATE a");
    client.query(&format!("PREPARE a AS {SECRET}"));
    let answers = client.exchange(&[execute("p", 0), sync()], 1);
    assert!(!shows_ssn(&answers), "{}", said(&answers));
}

#[test]
fn pg_06_an_execute_by_the_protocols_name_of_what_changes_names() {
    let mut client = reader();
    client.query(&format!("PREPARE a AS {NOTHING}"));
    client.exchange(&[parse("d", "DEALLOCATE a"), sync()], 1);
    client.exchange(&[parse("e", &format!("PREPARE a AS {SECRET}")), sync()], 1);
    client.query("EXECUTE d");
    client.query("EXECUTE e");
    let answers = client.query("EXECUTE a");
    assert!(!shows_ssn(&answers), "{}", said(&answers));
    // One EXECUTE of another.
    let mut client = reader();
    client.query(&format!("PREPARE a AS {NOTHING}"));
    client.exchange(&[parse("s", "EXECUTE a"), sync()], 1);
    client.query("DEALLOCATE a");
    client.query(&format!("PREPARE a AS {SECRET}"));
    let answers = client.query("EXECUTE s");
    assert!(!shows_ssn(&answers), "{}", said(&answers));
}

#[test]
fn pg_06_a_view_that_changes_behind_a_prepared_statement() {
    world().server.sql("payments", "CREATE VIEW shown AS SELECT 'x'::text || '' AS v FROM customers").unwrap();
    world().server.sql("payments", "GRANT SELECT ON shown TO PUBLIC").unwrap();
    let mut client = reader();
    std::thread::sleep(Duration::from_millis(1100));
    client.query("PREPARE a AS SELECT v FROM shown LIMIT 3");
    assert_eq!(rows(&client.query("EXECUTE a")).len(), 3);
    world().server.sql("payments", "CREATE OR REPLACE VIEW shown AS SELECT ssn || '' AS v FROM customers").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let answers = client.query("EXECUTE a");
    assert!(!shows_ssn(&answers), "{}", said(&answers));
    world().server.sql("payments", "DROP VIEW shown").unwrap();
}

#[test]
fn pg_12_the_search_path_of_a_pipeline_ends_with_its_sync() {
    world().server.sql("payments", "CREATE SCHEMA hidden; CREATE TABLE hidden.notes (v text); INSERT INTO hidden.notes VALUES ('hid'); CREATE TABLE public.notes (v text); INSERT INTO public.notes VALUES ('pub')").unwrap();
    world()
        .server
        .sql("payments", "GRANT USAGE ON SCHEMA hidden TO PUBLIC; GRANT SELECT ON hidden.notes, public.notes TO PUBLIC")
        .unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    // May read `hidden` only, and set the search path.
    let mut client = Client::login(&world().token("pathfinder", &["apps", "pathfinders"]));
    let set = [parse("", "SET LOCAL search_path = hidden"), bind("", "", false), execute("", 0), sync()];
    let read = [parse("", "SELECT v FROM notes"), bind("", "", false), execute("", 0), sync()];
    let answers = client.exchange(&[set.concat(), read.concat()], 2);
    assert!(!rows(&answers).concat().contains(&Some(b"pub".to_vec())), "{}", said(&answers));
    let set = [parse("", "SET search_path = hidden"), bind("", "", false), execute("", 0)];
    let fail = [parse("", "SELECT 1 / v::int FROM hidden.notes"), bind("", "", false), execute("", 0), sync()];
    let answers = client.exchange(&[set.concat(), fail.concat(), read.concat()], 2);
    assert!(!rows(&answers).concat().contains(&Some(b"pub".to_vec())), "{}", said(&answers));
}

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
fn ap_01_an_approved_execute_is_bound_to_what_it_executes() {
    let mut client = cashier("ap01");
    let one = parse("a", "DELETE FROM payments WHERE id = 21");
    let more = parse("a", "DELETE FROM payments WHERE id > 21");
    client.exchange(&[one, sync()], 1);
    client.query("BEGIN");
    let asked = client.query("EXECUTE a");
    client.query("ROLLBACK");
    assert_eq!(approve("ap01"), 1, "{}", said(&asked));
    let before = payments();
    client.exchange(&[close(b'S', "a"), more, sync()], 1);
    client.query("BEGIN");
    let answers = client.query("EXECUTE a");
    client.query("COMMIT");
    assert!(said(&answers).contains("approval needed"), "{}", said(&answers));
    assert_eq!(payments(), before);
}

/// Approves everything that a subject waits for, and says how much that was.
fn approve(subject: &str) -> usize {
    use model::approval::{Answer, Status};
    use model::subject::SubjectKey;
    let key = |id: &str| SubjectKey { issuer: "corp".into(), id: id.into() };
    let filter =
        store::approval::Filter { status: Some(Status::Pending), subject: Some(key(subject)), ..Default::default() };
    let now = gateway::clock::now();
    let pending = world().node.state.approvals(&filter).unwrap();
    for approval in &pending {
        let answer = Answer { approver: key("dana"), groups: vec!["dba".into()], approve: true, reason: None, at: now };
        world().node.state.answer(approval.id, &answer, &[], now).unwrap();
    }
    pending.len()
}

fn cancel(client: &Client) {
    let body = [&80_877_102_u32.to_be_bytes()[..], &client.key].concat();
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut peer = Peer::connect(world().address).await.unwrap();
        peer.send(&[&length[..], &body].concat()).await.unwrap();
        peer.read_to_close().await.unwrap();
    });
}

#[test]
fn pg_14_a_cancel_withdraws_a_held_request_and_no_later_one() {
    let mut client = cashier("pg14");
    let delete = |id: u32| query(&format!("DELETE FROM payments WHERE id = {id}"));
    client.send(&[delete(31)]);
    testkit::wait::eventually_blocking(Duration::from_secs(10), "a question", || {
        Ok((pending("pg14") == 1).then_some(()))
    })
    .unwrap();
    cancel(&client);
    let answers = client.answers(1);
    assert!(said(&answers).contains("57014"), "{}", said(&answers));
    assert_eq!(pending("pg14"), 0);
    client.send(&[delete(32)]);
    testkit::wait::eventually_blocking(Duration::from_secs(10), "a question", || {
        Ok((pending("pg14") == 1).then_some(()))
    })
    .unwrap();
    approve("pg14");
    let answers = client.answers(1);
    assert!(said(&answers).contains("DELETE 1"), "{}", said(&answers));
    // A wrong key cancels nobody.
    let mut other = cashier("pg14b");
    other.key[7] ^= 1;
    other.send(&[query("SELECT pg_catalog.count(*) FROM generate_series(1, 2000000)")]);
    cancel(&other);
    assert!(!said(&other.answers(1)).contains("57014"));
}

fn pending(subject: &str) -> usize {
    let key = model::subject::SubjectKey { issuer: "corp".into(), id: subject.into() };
    let status = Some(model::approval::Status::Pending);
    let filter = store::approval::Filter { status, subject: Some(key), ..Default::default() };
    world().node.state.approvals(&filter).unwrap().len()
}

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
fn pg_13_startup_parameters_are_an_allow_list() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = world().reader();
    let answer = |parameter: (&str, &str)| {
        runtime.block_on(async {
            let mut peer = Peer::connect(world().address).await.unwrap();
            peer.send(&ssl_request()).await.unwrap();
            peer.read(1).await.unwrap();
            let mut peer = peer.into_tls_client(tls(), "localhost").await.unwrap();
            peer.send(&startup(196_608, &[("user", "app"), ("database", "payments"), parameter])).await.unwrap();
            let first = peer.read_message().await.unwrap();
            if first.tag == b'E' {
                return first;
            }
            peer.send(&password(&token)).await.unwrap();
            loop {
                let message = peer.read_message().await.unwrap();
                if matches!(message.tag, b'E' | b'Z') {
                    return message;
                }
            }
        })
    };
    for refused in [
        ("replication", "true"),
        ("replication", "database"),
        ("options", "-c search_path=hidden"),
        ("options", "-csession_preload_libraries=x"),
        ("options", "--standard_conforming_strings=off"),
        ("options", "-c standard_conforming_strings=off"),
        ("options", "-c\\ role=postgres"),
        ("role", "postgres"),
        ("client_encoding", "SJIS"),
        ("search_path", "hidden"),
        ("local_preload_libraries", "x"),
    ] {
        assert_eq!(answer(refused).tag, b'E', "{refused:?}");
    }
    for allowed in [("application_name", "x -c role=postgres"), ("options", "-c TimeZone=UTC"), ("DateStyle", "ISO")] {
        assert_eq!(answer(allowed).tag, b'Z', "{allowed:?}");
    }
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
