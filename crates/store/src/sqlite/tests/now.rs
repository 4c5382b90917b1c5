//! What was read of a class as it is now: columns that were classified only after the fact.

use std::collections::{BTreeMap, BTreeSet};

use model::class::DataClass;
use model::classification::{Classification, ColumnRule};
use model::decision::Outcome;
use model::disclosure::{Counts, Disclosure};
use model::effect::{ColumnName, Effect, Facts, FunctionClass, Object, Route, RouteKind, TableKind, TableName, Verb};
use model::event::{Entry, Event};
use model::lineage::{Container, Member, Origin, Output, OutputColumn};
use rusqlite::OpenFlags;

use super::*;
use crate::Index;
use crate::audit::{DisclosedNow, Now, Search};

fn column(name: &str) -> ColumnName {
    let (table, name) = name.split_once('.').unwrap();
    ColumnName::new(TableName::new("public", table), name)
}

fn rows(origins: Vec<Origin>) -> Output {
    Output::Rows(origins.into_iter().map(|origin| OutputColumn { name: "it".into(), origin }).collect())
}

fn of(name: &str) -> Origin {
    Origin::Column(column(name))
}

fn statement(id: u8, (target, database): (&str, &str), effects: Vec<Effect>, output: Output) -> Event {
    Event::Statement {
        id: Digest([id; 32]),
        target: target.into(),
        database: database.into(),
        text: format!("SELECT {id}"),
        effects,
        facts: Facts::default(),
        output,
    }
}

fn reads(table: &str) -> Effect {
    Effect::new(Verb::Select, Object::Table(TableName::new("public", table), TableKind::Table))
}

fn decided(request: RequestId, statement: u8, outcome: Outcome) -> Event {
    Event::Decided {
        request,
        statements: vec![Digest([statement; 32])],
        values: vec![],
        outcome,
        policies: vec!["reads".into()],
        revision: RevisionId(1),
        approval: None,
        denial: None,
        on_behalf_of: None,
        traceparent: None,
    }
}

fn ended(request: RequestId, rows: u64, columns: &[(&str, u64, u64)]) -> Event {
    let counts = |clear, masked| Counts { clear, masked };
    let columns = columns.iter().map(|(name, clear, masked)| (column(name), counts(*clear, *masked))).collect();
    let disclosure = Disclosure { rows, bytes: 9, classes: BTreeMap::new(), columns };
    Event::Completed { request, disclosure, error: None, millis: 1 }
}

/// `nick` of `people` is classified by nobody then.
fn journal() -> Vec<(u64, Entry)> {
    let main = ("payments", "main");
    let (ann, bob, far, near) = (session(1), session(2), session(3), session(4));
    let derived = Origin::Derived(BTreeSet::from([column("people.nick"), column("people.id")]));
    let gathered = Origin::Members(Container::JsonArrayOf, vec![Member { key: None, origin: of("people.nick") }]);
    let opaque =
        Effect::new(Verb::Execute, Object::Function(TableName::new("public", "anything"), FunctionClass::DynamicSql));
    let events = vec![
        opened(1, "svc|ann", ("payments", "main")),
        opened(2, "svc|bob", ("payments", "main")),
        opened(3, "svc|far", ("crm", "main")),
        opened(4, "svc|near", ("payments", "other")),
        // 1: twice in each row; 2: part of another value; 3: all in one; 4: something else; 5: nobody can say of what.
        statement(1, main, vec![reads("people")], rows(vec![of("people.id"), of("people.nick"), derived])),
        statement(3, main, vec![reads("people")], rows(vec![gathered])),
        statement(4, main, vec![reads("people")], rows(vec![of("people.id")])),
        statement(5, main, vec![reads("people")], rows(vec![Origin::Unknown])),
        statement(6, main, vec![opaque], Output::Unknown),
        statement(7, ("crm", "main"), vec![reads("people")], rows(vec![of("people.nick")])),
        statement(8, ("payments", "other"), vec![reads("people")], rows(vec![of("people.nick")])),
        statement(9, main, vec![reads("orders")], rows(vec![Origin::Unknown])),
        decided(ann.request(1), 1, Outcome::Allow),
        ended(ann.request(1), 5, &[]),
        decided(ann.request(2), 1, Outcome::Allow),
        ended(ann.request(2), 0, &[]),
        decided(ann.request(3), 1, Outcome::Deny),
        decided(ann.request(4), 4, Outcome::Allow),
        ended(ann.request(4), 100, &[]),
        decided(ann.request(5), 9, Outcome::Allow),
        ended(ann.request(5), 100, &[]),
        // Later it was classified, as something else than now.
        decided(bob.request(1), 1, Outcome::Allow),
        ended(bob.request(1), 7, &[("people.nick", 2, 3)]),
        decided(bob.request(2), 3, Outcome::Allow),
        ended(bob.request(2), 1, &[]),
        decided(bob.request(3), 5, Outcome::Allow),
        ended(bob.request(3), 1, &[]),
        decided(bob.request(4), 6, Outcome::Allow),
        ended(bob.request(4), 1, &[]),
        // Its end is not known.
        decided(bob.request(5), 1, Outcome::Allow),
        decided(far.request(1), 7, Outcome::Allow),
        ended(far.request(1), 50, &[("people.nick", 1, 2)]),
        decided(near.request(1), 8, Outcome::Allow),
        ended(near.request(1), 60, &[]),
    ];
    entries(events)
}

/// A statement of this kind that is said to answer with nothing.
fn silent(id: u8, kind: &str, effects: Vec<Effect>) -> Event {
    let mut event = statement(id, ("payments", "main"), effects, Output::None);
    if let Event::Statement { facts, .. } = &mut event {
        facts.kind = kind.into();
    }
    event
}

fn entries(events: Vec<Event>) -> Vec<(u64, Entry)> {
    (0..).zip(events).map(|(at, event)| (at, Entry { at: T.plus_millis(at), event })).collect()
}

fn now(target: &str, database: &str, name: &str) -> Now {
    let (table, column) = name.split_once('.').unwrap();
    let class = DataClass::new("nickname");
    let rule = ColumnRule {
        target: target.into(),
        database: database.into(),
        schema: "public".into(),
        table: table.into(),
        column: column.into(),
        classes: BTreeSet::from([class.clone()]),
    };
    Now {
        class,
        classification: Arc::new(Classification {
            classes: BTreeMap::new(),
            rules: vec![rule],
            ..Classification::default()
        }),
    }
}

fn reported(records: &Index, now: &Now) -> Vec<(String, DisclosedNow)> {
    let lines = records.report_now(now, None).unwrap();
    lines.into_iter().map(|line| (line.subject.unwrap().id.to_string(), line.disclosed)).collect()
}

const fn given([clear, clear_at_most, masked, requests, unknown]: [u64; 5]) -> DisclosedNow {
    DisclosedNow { clear, clear_at_most, masked, requests, unknown }
}

#[test]
fn a_column_that_is_classified_later_is_found_with_what_was_given_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    state.index(&journal()).unwrap();
    let records = state.records();
    let here = now("payments", "main", "people.nick");
    // By the class of then nothing is found but what has no end.
    assert!(state.report(&here.class, T).unwrap().iter().all(|line| line.disclosed.clear == 0));
    // Ann had five rows with two values each. Bob's were counted once, and then: one gathered, one unproved, one of a
    // function that may read anything, one without an end.
    let expected = [("ann".to_owned(), given([0, 10, 0, 1, 0])), ("bob".to_owned(), given([2, 2, 3, 1, 4]))];
    assert_eq!(reported(records, &here), expected);
    // The same name elsewhere is another column.
    assert_eq!(reported(records, &now("crm", "*", "people.nick")), [("far".to_owned(), given([1, 1, 2, 1, 0]))]);
    assert_eq!(reported(records, &now("*", "other", "*.*")), [("near".to_owned(), given([0, 60, 0, 1, 0]))]);
    // A column that no answer named may be in what is unproved alone.
    assert_eq!(reported(records, &now("payments", "main", "people.ssn")), [("bob".to_owned(), given([0, 0, 0, 0, 2]))]);
    assert_eq!(reported(records, &now("nowhere", "*", "people.nick")), []);
}

#[test]
fn the_requests_behind_it_are_found_and_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    state.index(&journal()).unwrap();
    let (records, here) = (state.records(), now("payments", "main", "people.nick"));
    let found = |search: Search| {
        let found = records.search(&Search { now: Some(here.clone()), ..search }).unwrap();
        let line = |request: crate::audit::FoundRequest| (request.request, request.now.unwrap());
        found.into_iter().map(line).collect::<Vec<_>>()
    };
    let all = found(Search::default());
    let numbers: Vec<_> = all.iter().map(|(request, _)| *request).collect();
    let bob = session(2);
    let expected = [5, 4, 3, 2, 1].map(|number| bob.request(number));
    assert_eq!(numbers, [&expected[..], &[session(1).request(1)]].concat());
    let total = |lines: &[(RequestId, crate::audit::GivenNow)]| {
        lines.iter().fold(DisclosedNow::default(), |mut sum, (_, given)| {
            sum.clear += given.clear;
            sum.clear_at_most += given.clear_at_most;
            sum.masked += given.masked;
            sum.requests += u64::from(given.clear_at_most > 0 || given.masked > 0);
            sum.unknown += u64::from(given.unknown);
            sum
        })
    };
    let everybody = records.disclosed_now(&here, &Search::default()).unwrap();
    assert_eq!(total(&all), everybody);
    assert_eq!(everybody, given([2, 12, 3, 2, 4]));
    assert!(all.iter().all(|(_, given)| given.columns.iter().all(|column| column == "public.people.nick")));
    // Narrowed by something else too.
    let of_bob = Search { subject: Some(String::from("svc|bob")), ..Search::default() };
    assert_eq!(records.disclosed_now(&here, &of_bob).unwrap(), total(&found(of_bob)));
    let late = Search { since: Some(T.plus_millis(22)), until: Some(T.plus_millis(27)), ..Search::default() };
    assert_eq!(records.disclosed_now(&here, &late).unwrap(), total(&found(late)));
    let lines = records.report_now(&here, Some(T.plus_millis(22))).unwrap();
    assert_eq!(lines.iter().map(|line| line.disclosed.unknown).sum::<u64>(), 4);
}

/// Beside `email`, which was counted, an answer held something that nobody can say of what it is made.
#[test]
fn what_is_unproved_stays_unknown_where_another_column_of_the_class_was_counted() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let (ann, bob) = (session(1), session(2));
    let both = rows(vec![of("people.email"), Origin::Unknown]);
    state
        .index(&entries(vec![
            opened(1, "svc|ann", ("payments", "main")),
            opened(2, "svc|bob", ("payments", "main")),
            statement(1, ("payments", "main"), vec![reads("people")], both),
            decided(ann.request(1), 1, Outcome::Allow),
            ended(ann.request(1), 3, &[("people.email", 3, 0)]),
            decided(bob.request(1), 1, Outcome::Allow),
            ended(bob.request(1), 0, &[]),
        ]))
        .unwrap();
    let here = now("payments", "main", "people.*");
    assert_eq!(reported(state.records(), &here), [("ann".to_owned(), given([3, 3, 0, 1, 1]))]);
    let search = Search { now: Some(here.clone()), ..Search::default() };
    let found = state.records().search(&search).unwrap();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    let shown = one.now.clone().unwrap();
    assert_eq!((shown.clear, shown.clear_at_most, shown.unknown), (3, 3, true));
    assert_eq!(state.records().disclosed_now(&here, &Search::default()).unwrap(), given([3, 3, 0, 1, 1]));
}

/// What a target said in it was seen by nobody.
#[test]
fn what_passed_a_tunnel_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let ann = session(1);
    let route = Route {
        kind: RouteKind::Undocumented,
        method: "CONNECT".into(),
        host: "raw.example".into(),
        path: "/".into(),
        template: Arc::default(),
        operation: Arc::default(),
        parameters: Vec::new(),
        query: Vec::new(),
    };
    let tunnel = Effect::new(Verb::Tunnel, Object::Route(Arc::new(route)));
    state
        .index(&entries(vec![
            opened(1, "svc|ann", ("payments", "main")),
            statement(1, ("payments", "main"), vec![tunnel], Output::Unknown),
            decided(ann.request(1), 1, Outcome::Allow),
            ended(ann.request(1), 1, &[]),
            // The target said nothing.
            decided(ann.request(2), 1, Outcome::Allow),
            ended(ann.request(2), 0, &[]),
        ]))
        .unwrap();
    let here = now("payments", "main", "people.nick");
    assert_eq!(reported(state.records(), &here), [("ann".to_owned(), given([0, 0, 0, 0, 1]))]);
}

/// Older entries say of a COPY to the client that it answers with nothing.
#[test]
fn what_a_copy_of_an_older_entry_sent_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let ann = session(1);
    let add = || Effect::new(Verb::Insert, Object::Table(TableName::new("public", "people"), TableKind::Table));
    let mut events = vec![
        opened(1, "svc|ann", ("payments", "main")),
        silent(1, "COPY", vec![reads("people")]),
        silent(2, "EXECUTE", vec![reads("people")]),
        // Neither sends anything.
        silent(3, "COPY", vec![add()]),
        silent(4, "INSERT", vec![reads("people"), add()]),
    ];
    for number in 1..=4 {
        let request = ann.request(number);
        events.push(decided(request, u8::try_from(number).unwrap(), Outcome::Allow));
        events.push(ended(request, 5, &[]));
    }
    state.index(&entries(events)).unwrap();
    let here = now("payments", "main", "people.nick");
    assert_eq!(reported(state.records(), &here), [("ann".to_owned(), given([0, 0, 0, 0, 2]))]);
    let found = state.records().search(&Search { now: Some(here), ..Search::default() }).unwrap();
    assert_eq!(found.iter().map(|one| one.request).collect::<Vec<_>>(), [ann.request(2), ann.request(1)]);
}

/// Also where it is too many to be listed: then each row is looked at, of requests and of runs.
#[test]
fn both_ways_to_find_them_agree() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let mut entries = journal();
    let next = u64::try_from(entries.len()).unwrap();
    let traced = |request| {
        let mut decided = decided(request, 1, Outcome::Allow);
        if let Event::Decided { traceparent, .. } = &mut decided {
            *traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
        }
        decided
    };
    let many = (0..21_000).flat_map(|number| {
        let (own, shared) = (session(1).request(100 + number), session(100 + number).request(1));
        let shares = [decided(shared, 1, Outcome::Allow), ended(shared, 1, &[])];
        [traced(own), ended(own, 1, &[])].into_iter().chain(shares)
    });
    entries.extend((next..).zip(many).map(|(at, event)| (at, Entry { at: T, event })));
    state.index(&entries).unwrap();
    let rows = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        state.records().connection().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert!(rows("requests") > 20_000 && rows("runs") > 20_000);
    let here = now("payments", "main", "people.nick");
    let all = Search { limit: 60_000, ..Search::default() };
    let found = state.records().search(&Search { now: Some(here.clone()), ..all.clone() }).unwrap();
    assert_eq!(found.len(), 42_000 + 6);
    assert_eq!(state.records().disclosed_now(&here, &Search::default()).unwrap().clear_at_most, 84_000 + 12);
    // Of the journal's own, four ran this statement.
    let found = state.records().search(&Search { statement: Some(Digest([1; 32])), ..all }).unwrap();
    assert_eq!(found.len(), 42_000 + 5);
}

#[test]
fn an_index_is_read_beside_the_one_who_feeds_it_and_only_in_its_own_form() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Index::open(directory.path()).is_err());
    let state = Sqlite::open(directory.path()).unwrap();
    let index = Index::open(directory.path()).unwrap();
    assert_eq!(index.position().unwrap(), None);
    state.index(&journal()).unwrap();
    assert_eq!(index.position().unwrap(), state.indexed_to().unwrap());
    assert_eq!(index.search(&Search::default()).unwrap(), state.search(&Search::default()).unwrap());
    let requests = index.search(&Search::default()).unwrap().len();
    index.connection().execute("DELETE FROM requests", []).unwrap_err();
    drop((state, index));
    // A copy that may only be read: SQLite cannot share its log there, and there is none once who feeds it has closed it.
    drop(Sqlite::open(directory.path()).unwrap());
    let log = directory.path().join("index.db-wal");
    std::os::unix::fs::symlink("/nowhere/index.db-wal", &log).unwrap();
    let plain =
        Connection::open_with_flags(directory.path().join("index.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    plain.query_row("SELECT count(*) FROM requests", [], |row| row.get::<_, i64>(0)).unwrap_err();
    assert_eq!(Index::open(directory.path()).unwrap().search(&Search::default()).unwrap().len(), requests);
    // Where somebody shares the log, what is in the file alone is not what there is.
    let shared = directory.path().join("index.db-shm");
    std::fs::write(&shared, [0; 32 * 1024]).unwrap();
    assert!(matches!(Index::open(directory.path()), Err(Error::Database(_))));
    std::fs::remove_file(shared).unwrap();
    std::fs::remove_file(log).unwrap();
    let connection = Connection::open(directory.path().join("index.db")).unwrap();
    connection.execute("DELETE FROM migrations WHERE number = 5", []).unwrap();
    assert!(matches!(Index::open(directory.path()), Err(Error::OlderSchema { found: 4, known: 5, .. })));
}
