//! The model of what a target owes, checked against a real PostgreSQL server: random interleavings of simple and extended
//! messages, failing ones, COPY, Flush and double Syncs. Every reply has to be one that the model allows, has to belong to
//! the entry that its content names, and in the end nothing may be owed and nothing may be left to read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pipeline_against_server {
    pub(crate) mod client;
    pub(crate) mod server;
}

use pipeline_against_server::client::{Client, Finished};
use pipeline_against_server::server::Server;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wire::postgres::pipeline::Sent;

/// One thing that a client does. The number that is embedded in statements is the entry's own.
#[derive(Clone, Copy, Debug)]
enum Action {
    Query(Statement),
    Parse(Statement),
    Bind {
        good: bool,
    },
    DescribeStatement,
    DescribePortal,
    Execute {
        max_rows: i32,
    },
    Close {
        portal: bool,
    },
    Sync,
    Flush,
    FunctionCall {
        good: bool,
    },
    /// Parse, Bind, Execute of the statement, without Sync.
    Extended(Statement),
    /// Query of COPYs; the data follows only when the server asks for it.
    CopyIn {
        copies: u8,
        end: CopyEnd,
        sync_within: bool,
    },
    /// Bind, Execute, Sync, data, CopyDone, Sync in one burst.
    EagerCopyIn {
        extended: bool,
        end: CopyEnd,
    },
    /// The ends of COPY data without a COPY.
    StrayCopyEnd,
    /// Reads all replies that are owed.
    Settle,
}

#[derive(Clone, Copy, Debug)]
enum Statement {
    Select,
    Rows,
    Two,
    Empty,
    SyntaxError,
    RuntimeError,
    LateError,
    Begin,
    Commit,
    Rollback,
    Notice,
    Notify,
    Set,
    Deferred,
    CopyOut,
}

#[derive(Clone, Copy, Debug)]
enum CopyEnd {
    Done,
    Fail,
    BadData,
}

impl Statement {
    fn text(self, number: usize, extended: bool) -> String {
        match self {
            Self::Select => format!("SELECT 'entry-{number}-'"),
            Self::Rows => "SELECT generate_series(1, 3)".into(),
            Self::Two if extended => "VALUES (1), (2)".into(),
            Self::Two => format!("SELECT 'entry-{number}-'; SELECT 'entry-{number}-'"),
            Self::Empty => " ; ".into(),
            Self::SyntaxError => format!("SELEC 'entry-{number}-'"),
            Self::RuntimeError => "SELECT 1/0".into(),
            Self::LateError => "SELECT 1/(2 - g) FROM generate_series(1, 3) g".into(),
            Self::Begin => "BEGIN".into(),
            Self::Commit => "COMMIT".into(),
            Self::Rollback => "ROLLBACK".into(),
            Self::Notice => "DO $$ BEGIN RAISE NOTICE 'hello'; END $$".into(),
            Self::Notify => "NOTIFY c, 'x'".into(),
            Self::Set => format!("SET application_name = 'a{number}'"),
            Self::Deferred => "INSERT INTO deferred VALUES (1)".into(),
            Self::CopyOut => "COPY (SELECT generate_series(1, 3)) TO STDOUT".into(),
        }
    }
}

fn statement() -> impl Strategy<Value = Statement> {
    use Statement::*;
    prop::sample::select(vec![
        Select,
        Select,
        Rows,
        Two,
        Empty,
        SyntaxError,
        RuntimeError,
        LateError,
        Begin,
        Commit,
        Rollback,
        Notice,
        Notify,
        Set,
        Deferred,
        CopyOut,
    ])
}

fn action() -> impl Strategy<Value = Action> {
    let end = || prop::sample::select(vec![CopyEnd::Done, CopyEnd::Fail, CopyEnd::BadData]);
    prop_oneof![
        3 => statement().prop_map(Action::Query),
        2 => statement().prop_map(Action::Parse),
        2 => any::<bool>().prop_map(|good| Action::Bind { good }),
        1 => Just(Action::DescribeStatement),
        1 => Just(Action::DescribePortal),
        2 => (0..3i32).prop_map(|max_rows| Action::Execute { max_rows }),
        1 => any::<bool>().prop_map(|portal| Action::Close { portal }),
        4 => Just(Action::Sync),
        1 => Just(Action::Flush),
        1 => any::<bool>().prop_map(|good| Action::FunctionCall { good }),
        5 => statement().prop_map(Action::Extended),
        1 => (1..3u8, end(), any::<bool>())
            .prop_map(|(copies, end, sync_within)| Action::CopyIn { copies, end, sync_within }),
        1 => (any::<bool>(), end()).prop_map(|(extended, end)| Action::EagerCopyIn { extended, end }),
        1 => Just(Action::StrayCopyEnd),
        2 => Just(Action::Settle),
    ]
}

fn act(client: &mut Client, action: Action) {
    match action {
        Action::Query(statement) => client.query(&statement.text(client.next(), false)),
        Action::Parse(statement) => client.parse(&statement.text(client.next(), true)),
        Action::Bind { good } => client.bind(if good { "" } else { "missing" }),
        Action::DescribeStatement => client.describe(Sent::DescribeStatement),
        Action::DescribePortal => client.describe(Sent::DescribePortal),
        Action::Execute { max_rows } => client.execute(max_rows),
        Action::Close { portal } => client.close(portal),
        Action::Sync => client.simple(Sent::Sync),
        Action::Flush => client.flush(),
        Action::FunctionCall { good } => client.call(if good { 1397 } else { 1 }),
        Action::Extended(statement) => {
            client.parse(&statement.text(client.next(), true));
            client.bind("");
            client.execute(0);
        }
        Action::CopyIn { copies, end, sync_within } => copy_in(client, copies, end, sync_within),
        Action::EagerCopyIn { extended, end } => eager_copy_in(client, extended, end),
        Action::StrayCopyEnd => client.simple(Sent::CopyDone),
        Action::Settle => client.settle(),
    }
}

fn copy_in(client: &mut Client, copies: u8, end: CopyEnd, sync_within: bool) {
    let text = vec!["COPY numbers FROM STDIN"; usize::from(copies)].join("; ");
    client.query(&text);
    client.settle();
    while client.is_copying_in() {
        client.copy_data("1\n");
        if sync_within {
            client.simple(Sent::Sync);
            client.refused_while_copying();
        }
        end_copy(client, end);
        client.settle();
    }
}

fn eager_copy_in(client: &mut Client, extended: bool, end: CopyEnd) {
    if extended {
        client.parse("COPY numbers FROM STDIN");
        client.bind("");
        client.execute(0);
        client.simple(Sent::Sync);
    } else {
        client.query("COPY numbers FROM STDIN");
    }
    client.copy_data("1\n");
    end_copy(client, end);
    client.simple(Sent::Sync);
}

fn end_copy(client: &mut Client, end: CopyEnd) {
    match end {
        CopyEnd::Done => client.simple(Sent::CopyDone),
        CopyEnd::Fail => client.copy_fail(),
        CopyEnd::BadData => {
            client.copy_data("not a number\n");
            client.simple(Sent::CopyDone);
        }
    }
}

/// A COPY that an Execute began again, since its statement was still there: the server waits for its data, and would end
/// the connection over anything else.
fn leave_copy(client: &mut Client) {
    while client.is_copying_in() {
        client.simple(Sent::CopyDone);
        client.simple(Sent::Sync);
        client.settle();
    }
}

/// Brings the session to a known state, and proves that request and reply are still paired.
fn finish(mut client: Client) {
    client.simple(Sent::Sync);
    client.settle();
    leave_copy(&mut client);
    client.query("ROLLBACK");
    client.settle();
    let number = client.next();
    client.query(&format!("SELECT 'entry-{number}-'"));
    client.settle();
    assert!(!client.pipeline().is_skipping() && client.pipeline().is_empty());
    assert_eq!(client.finished(number), Some(Finished::Answered));
    client.terminate();
}

#[test]
fn the_model_predicts_what_a_server_answers() {
    let server = Server::start();
    // The same scripts in every run: a new one is for fuzzing to find.
    let config = Config { cases: 120, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let script = prop::collection::vec(action(), 1..40);
    let outcome = runner.run(&script, |script| {
        let mut client = Client::connect(server.socket());
        for action in script {
            leave_copy(&mut client);
            act(&mut client, action);
        }
        finish(client);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_fatal_error_drops_everything_that_waits() {
    let server = Server::start();
    let mut client = Client::connect(server.socket());
    let first = client.next();
    client.query("SELECT pg_terminate_backend(pg_backend_pid())");
    client.query("SELECT 1");
    client.read_to_close();
    assert_eq!(client.finished(first), Some(Finished::Dropped));
    assert_eq!(client.finished(first + 1), Some(Finished::Dropped));
}

#[test]
fn errors_skip_to_sync_and_name_what_they_skip() {
    let server = Server::start();
    let mut client = Client::connect(server.socket());
    let first = client.next();
    client.parse("SELEC");
    client.bind("");
    client.query("SELECT 'skipped, though it is a Query'");
    client.simple(Sent::Sync);
    client.simple(Sent::Sync);
    client.settle();
    let fates: Vec<_> = (first..first + 5).map(|number| client.finished(number)).collect();
    let [answered, dropped] = [Some(Finished::Answered), Some(Finished::Dropped)];
    assert_eq!(fates, [answered, dropped, dropped, answered, answered]);
    finish(client);
}
