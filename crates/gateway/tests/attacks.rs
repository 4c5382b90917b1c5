//! Known attacks on the PostgreSQL path, by the numbers of the list they are from, through a whole gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "attacks/masking.rs"]
mod masking;
#[path = "attacks/revised.rs"]
mod revised;
#[path = "attacks/state_machine.rs"]
mod state_machine;
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
