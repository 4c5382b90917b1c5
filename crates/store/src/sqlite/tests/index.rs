//! The index: what it finds, what it counts, and that it can be made again.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::class::DataClass;
use model::decision::{Denial, Outcome};
use model::disclosure::{Counts, Disclosure};
use model::effect::{ColumnName, Effect, Facts, Object, TableKind, TableName, Verb};
use model::event::{Entry, Event, Shown};
use model::lineage::Output;

use super::super::search::Rows;
use super::*;
use crate::audit::{Disclosed, Search, SessionSearch};

fn table(name: &str) -> TableName {
    TableName::new("public", name)
}

fn column(name: &str) -> ColumnName {
    let (relation, name) = name.split_once('.').unwrap();
    ColumnName::new(table(relation), name)
}

fn reads(name: &str) -> Effect {
    Effect::new(Verb::Select, Object::Column(column(name), TableKind::Table))
}

fn statement(id: u8, text: &str, effects: Vec<Effect>) -> Event {
    Event::Statement {
        id: Digest([id; 32]),
        target: "payments".into(),
        database: "main".into(),
        text: text.to_owned(),
        effects,
        facts: Facts::default(),
        output: Output::Unknown,
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn decided(request: RequestId, statement: u8, outcome: Outcome, policy: &str) -> Event {
    let denial = Denial { policies: vec![policy.into()], message: "no".into(), missing: "delete".into() };
    Event::Decided {
        request,
        statements: vec![Digest([statement; 32])],
        values: vec![Shown::Clear(String::from("7")), Shown::Masked("card_number".into())],
        outcome,
        policies: vec![policy.into()],
        revision: RevisionId(1),
        approval: None,
        denial: (outcome == Outcome::Deny).then_some(denial),
        on_behalf_of: None,
        traceparent: None,
    }
}

fn completed(request: RequestId, name: &str, clear: u64, masked: u64) -> Event {
    let counts = Counts { clear, masked };
    let classes = BTreeMap::from([(DataClass::new("card_number"), counts)]);
    let columns = BTreeMap::from([(column(name), counts)]);
    let disclosure = Disclosure { rows: clear + masked, bytes: 100, classes, columns };
    Event::Completed { request, disclosure, error: None, millis: 3 }
}

/// Two subjects at two targets; reads in clear, masked and without an end; a refusal; an approved delete; a statement
/// that nobody understood; somebody else's user in one request.
fn journal() -> Vec<(u64, Entry)> {
    let (one, two) = (session(1), session(2));
    let mut approved = decided(two.request(2), 3, Outcome::Allow, "prod-delete");
    if let Event::Decided { approval, .. } = &mut approved {
        *approval = Some(ApprovalId::from_bits(5));
    }
    let mut in_a_name = decided(one.request(4), 2, Outcome::Allow, "baseline");
    if let Event::Decided { on_behalf_of, traceparent, .. } = &mut in_a_name {
        *on_behalf_of = Some(key("corp|dora"));
        *traceparent = Some(format!("00-{TRACE}-00f067aa0ba902b7-01").into());
    }
    let events = vec![
        Event::Started { version: "0.1.0".into() },
        opened(1, "svc|order-service", ("payments", "main")),
        Event::SecretUsed { session: Some(one), target: "payments".into(), reference: "vault:payments".into() },
        statement(1, "SELECT number FROM cards WHERE id = $1", vec![reads("cards.number")]),
        decided(one.request(1), 1, Outcome::Allow, "baseline"),
        completed(one.request(1), "cards.number", 0, 3),
        opened_for(2, "svc|report", &["corp|alice", "corp|carol"], ("crm", "main")),
        decided(two.request(1), 1, Outcome::Allow, "pci"),
        completed(two.request(1), "cards.number", 2, 0),
        decided(one.request(2), 1, Outcome::Allow, "baseline"),
        statement(
            3,
            "DELETE FROM payments",
            vec![Effect::new(Verb::Delete, Object::Table(table("payments"), TableKind::Table))],
        ),
        decided(one.request(3), 3, Outcome::Deny, "no-delete"),
        statement(2, "SELECT total FROM orders", vec![reads("orders.total")]),
        in_a_name,
        completed(one.request(4), "orders.note", 1, 1),
        decided(two.request(2), 3, Outcome::Ask, "prod-delete"),
        Event::ApprovalAnswered { approval: ApprovalId::from_bits(5), answer: yes("corp|bob", &["dba"]) },
        approved,
        completed(two.request(2), "payments.card", 0, 0),
        statement(4, "DO $1", vec![Effect::new(Verb::Opaque, Object::Database)]),
        decided(two.request(3), 4, Outcome::Deny, "default"),
        Event::SessionRenewed { session: one, expires_at: T.plus_millis(10 * MINUTE) },
        Event::SessionClosed { session: two, reason: "left".into(), tape: Some((Digest([9; 32]), 77)) },
    ];
    (10u64..).zip(events).map(|(at, event)| (at, Entry { at: T.plus_millis(at), event })).collect()
}

fn indexed(directory: &Path) -> Sqlite {
    let state = Sqlite::open(directory).unwrap();
    state.index(&journal()).unwrap();
    state
}

#[test]
fn it_is_the_same_however_the_journal_is_cut_into_transactions() {
    let journal = journal();
    let everything = |cuts: &dyn Fn(usize) -> bool| {
        let directory = tempfile::tempdir().unwrap();
        let state = Sqlite::open(directory.path()).unwrap();
        let mut batch = Vec::new();
        for (place, entry) in journal.iter().enumerate() {
            batch.push(entry.clone());
            if cuts(place) {
                state.index(&std::mem::take(&mut batch)).unwrap();
            }
        }
        state.index(&batch).unwrap();
        let cards = DataClass::new("card_number");
        (
            state.search(&Search::default()).unwrap(),
            state.sessions(&SessionSearch::default()).unwrap(),
            state.report(&cards, Timestamp(0)).unwrap(),
            state.disclosed(&cards, &Search::default()).unwrap(),
        )
    };
    let at_once = everything(&|_| false);
    assert_eq!(everything(&|_| true), at_once, "one by one");
    for cut in 0..journal.len() {
        assert_eq!(everything(&|place| place == cut), at_once, "cut after {cut}");
    }
}

/// The requests that a search finds, as `session.number`.
fn found(state: &Sqlite, search: &Search) -> String {
    let mut text = String::new();
    for request in state.search(search).unwrap() {
        write!(text, "{}.{} ", request.request.session.bits(), request.request.number).unwrap();
    }
    text.trim_end().to_owned()
}

#[test]
fn searches_find_what_they_name() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    let all = Search::default();
    let text = |text: &str| Some(text.to_owned());
    let golden: Vec<(&str, Search, &str)> = vec![
        ("everything", all.clone(), "2.3 2.2 1.4 1.3 1.2 2.1 1.1"),
        ("limit", Search { limit: 2, ..all.clone() }, "2.3 2.2"),
        ("since", Search { since: Some(T.plus_millis(25)), ..all.clone() }, "2.3 2.2"),
        ("until", Search { until: Some(T.plus_millis(17)), ..all.clone() }, "1.1"),
        ("subject", Search { subject: text("svc|order-service"), ..all.clone() }, "1.4 1.3 1.2 1.1"),
        ("subject by id", Search { subject: text("report"), ..all.clone() }, "2.3 2.2 2.1"),
        ("subject of another issuer", Search { subject: text("corp|report"), ..all.clone() }, ""),
        ("session's user", Search { on_behalf_of: text("corp|carol"), ..all.clone() }, "2.3 2.2 2.1"),
        ("request's user", Search { on_behalf_of: text("dora"), ..all.clone() }, "1.4"),
        ("target", Search { target: text("payments"), ..all.clone() }, "1.4 1.3 1.2 1.1"),
        ("table, opaque with it", Search { table: text("cards"), ..all.clone() }, "2.3 1.2 2.1 1.1"),
        ("table in a schema", Search { table: text("public.orders"), ..all.clone() }, "2.3 1.4"),
        ("no such table", Search { table: text("private.orders"), ..all.clone() }, "2.3"),
        ("columns", Search { columns: vec![column("orders.total")], ..all.clone() }, "2.3 1.4"),
        ("verb", Search { verb: Some(Verb::Delete), ..all.clone() }, "2.2 1.3"),
        ("verb on a table", Search { verb: Some(Verb::Select), table: text("orders"), ..all.clone() }, "1.4"),
        ("refused", Search { outcome: Some(Outcome::Deny), ..all.clone() }, "2.3 1.3"),
        ("asked about, then allowed", Search { outcome: Some(Outcome::Ask), ..all.clone() }, "2.2"),
        ("policy", Search { policy: text("baseline"), ..all.clone() }, "1.4 1.2 1.1"),
        ("class", Search { class: Some(DataClass::new("card_number")), ..all.clone() }, "1.4 1.2 2.1 1.1"),
        ("a class never delivered", Search { class: Some(DataClass::new("iban")), ..all.clone() }, "1.2"),
        ("statement", Search { statement: Some(Digest([3; 32])), ..all.clone() }, "2.2 1.3"),
        ("text", Search { text: text("from CARDS"), ..all.clone() }, "1.2 2.1 1.1"),
        ("text is not a pattern", Search { text: text("SELECT%"), ..all.clone() }, ""),
        ("text is not SQL", Search { text: text("' OR '1'='1"), ..all.clone() }, ""),
        ("session", Search { session: Some(session(2)), ..all.clone() }, "2.3 2.2 2.1"),
        ("request", Search { request: Some(session(1).request(3)), ..all.clone() }, "1.3"),
        ("approval", Search { approval: Some(ApprovalId::from_bits(5)), ..all.clone() }, "2.2"),
        ("secret", Search { secret: text("vault:payments"), ..all.clone() }, "1.4 1.3 1.2 1.1"),
        ("unknown", Search { unknown_only: true, ..all.clone() }, "1.2"),
        ("together", Search { subject: text("report"), verb: Some(Verb::Delete), ..all }, "2.2"),
    ];
    for (what, search, expected) in golden {
        assert_eq!(found(&state, &search), expected, "{what}");
    }
}

#[test]
fn a_request_is_found_complete() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    let one = |request| state.search(&Search { request: Some(request), ..Search::default() }).unwrap().remove(0);
    let request = one(session(1).request(4));
    assert_eq!((request.position, request.at), (23, T.plus_millis(23)));
    assert_eq!((request.subject, request.on_behalf_of), (Some(key("svc|order-service")), vec![key("corp|dora")]));
    assert_eq!((request.target.as_deref(), request.database.as_deref()), (Some("payments"), Some("main")));
    assert_eq!(request.statements[0].text.as_deref(), Some("SELECT total FROM orders"));
    assert_eq!(request.statements[0].effects, ["select column public.orders.total"]);
    assert_eq!(request.values, [Shown::Clear(String::from("7")), Shown::Masked("card_number".into())]);
    let completion = request.completion.unwrap();
    assert_eq!((completion.rows, completion.bytes, completion.millis), (2, 100, 3));
    assert_eq!(completion.classes[&DataClass::new("card_number")], Counts { clear: 1, masked: 1 });
    assert_eq!(completion.columns[&column("orders.note")], Counts { clear: 1, masked: 1 });

    let refused = one(session(1).request(3));
    assert_eq!((refused.outcome, refused.is_unknown()), (Outcome::Deny, false));
    assert_eq!(refused.denial.unwrap().policies, ["no-delete".into()]);
    let asked = one(session(2).request(2));
    assert!(asked.was_asked);
    assert_eq!((asked.outcome, asked.at), (Outcome::Allow, T.plus_millis(25)));
    assert!(one(session(1).request(2)).is_unknown());
}

#[test]
fn did_a_subject_ever_read_a_card_number() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    let card = DataClass::new("card_number");
    let of = |subject: &str| Search { subject: Some(subject.to_owned()), ..Search::default() };
    let disclosed = |search| state.disclosed(&card, &search).unwrap();
    let order_service = Disclosed { clear: 1, masked: 4, requests: 2, unknown: 1 };
    let report = Disclosed { clear: 2, masked: 0, requests: 1, unknown: 0 };
    assert_eq!(disclosed(of("order-service")), order_service);
    assert_eq!(disclosed(of("svc|report")), report);
    assert_eq!(disclosed(of("nobody")), Disclosed::default());
    let early = Search { until: Some(T.plus_millis(18)), ..Search::default() };
    assert_eq!(disclosed(early), Disclosed { clear: 2, masked: 3, requests: 2, unknown: 0 });
    // Nothing was ever delivered of this class, but one request's end is not known: never 0.
    let iban = state.disclosed(&DataClass::new("iban"), &of("order-service")).unwrap();
    assert_eq!(iban, Disclosed { unknown: 1, ..Disclosed::default() });
    let rows = |class: &DataClass, since| {
        let rows = state.report(class, since).unwrap();
        rows.into_iter().map(|row| (row.subject.unwrap().to_string(), row.disclosed)).collect::<Vec<_>>()
    };
    let expected = [(String::from("svc|report"), report), (String::from("svc|order-service"), order_service)];
    assert_eq!(rows(&card, T), expected);
    assert_eq!(rows(&card, T.plus_millis(100)), []);
}

#[test]
fn sessions_and_other_events_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    let sessions = |search| state.sessions(&search).unwrap();
    let both = sessions(SessionSearch::default());
    assert_eq!(both.iter().map(|found| found.session.bits()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((both[0].requests, both[1].requests), (3, 4));
    assert_eq!(both[0].on_behalf_of, [key("corp|alice"), key("corp|carol")]);
    assert_eq!(both[0].closed.as_ref().unwrap().tape, Some((Digest([9; 32]), 77)));
    assert_eq!((both[1].expires_at, &both[1].closed), (T.plus_millis(10 * MINUTE), &None));
    let open = sessions(SessionSearch { open_only: true, ..SessionSearch::default() });
    assert_eq!(open, [both[1].clone()]);
    let of_report = SessionSearch { subject: Some(String::from("report")), ..SessionSearch::default() };
    assert_eq!(sessions(of_report), [both[0].clone()]);
    assert_eq!(sessions(SessionSearch { target: Some(String::from("nowhere")), ..SessionSearch::default() }), []);

    let events = |search| state.events(&search).unwrap();
    let positions = events(Search::default()).iter().map(|found| found.position).collect::<Vec<_>>();
    assert_eq!(positions, [31, 26, 12, 10]);
    let approval = events(Search { approval: Some(ApprovalId::from_bits(5)), ..Search::default() });
    assert!(matches!(*approval[0].event, Event::ApprovalAnswered { .. }));
    assert_eq!(events(Search { secret: Some(String::from("vault:payments")), ..Search::default() }).len(), 1);
    assert_eq!(events(Search { subject: Some(String::from("corp|bob")), ..Search::default() }).len(), 1);
}

/// Every row of every table of the index.
fn contents(state: &Sqlite) -> Vec<String> {
    let connection = state.records().connection();
    let mut rows = Vec::new();
    for name in super::super::index::TABLES {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| {
            (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column)).collect::<Result<Vec<_>, _>>()
        });
        rows.extend(read.unwrap().map(|row| format!("{name} {:?}", row.unwrap())));
    }
    rows.sort();
    rows
}

#[test]
fn every_table_is_emptied_by_a_rebuild() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'migrations' AND name NOT LIKE 'sqlite_%'";
    let mut tables: Vec<String> = {
        let connection = state.records().connection();
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut listed = super::super::index::TABLES.map(String::from).to_vec();
    tables.sort();
    listed.sort();
    assert_eq!(tables, listed);
    state.reindex().unwrap();
    assert_eq!(contents(&state), Vec::<String>::new());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    /// However the entries are cut into batches, repeated, or fed again from the start, the index is the same.
    #[test]
    fn a_rebuilt_index_equals_an_incremental_one(cuts in proptest::collection::vec(0usize..24, 0..8), restart: bool) {
        let directory = tempfile::tempdir().unwrap();
        let whole = indexed(directory.path());
        let other = tempfile::tempdir().unwrap();
        let mut state = Sqlite::open(other.path()).unwrap();
        let journal = journal();
        for cut in cuts {
            // Each batch begins before what is indexed already.
            state.index(&journal[..cut.min(journal.len())]).unwrap();
            if restart {
                drop(state);
                state = Sqlite::open(other.path()).unwrap();
            }
        }
        state.index(&journal).unwrap();
        assert_eq!(state.indexed_to().unwrap(), Some(32));
        assert_eq!(contents(&state), contents(&whole));
        state.reindex().unwrap();
        assert_eq!(state.indexed_to().unwrap(), None);
        state.index(&journal).unwrap();
        assert_eq!(contents(&state), contents(&whole));
    }
}

#[test]
fn entries_without_their_beginning_are_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    // The journal's first part is gone: an end without a decision, a decision without its session and statement.
    let lost = [
        completed(session(7).request(1), "cards.number", 4, 0),
        decided(session(7).request(2), 1, Outcome::Allow, "p"),
    ];
    let entries: Vec<_> = (1u64..).zip(lost.map(|event| Entry { at: T, event })).collect();
    state.index(&entries).unwrap();
    let card = DataClass::new("card_number");
    let expected = Disclosed { clear: 4, masked: 0, requests: 1, unknown: 1 };
    assert_eq!(state.disclosed(&card, &Search::default()).unwrap(), expected);
    let report = state.report(&card, T).unwrap();
    assert_eq!((&report[0].subject, report[0].disclosed), (&None, expected));
    assert_eq!(state.search(&Search::default()).unwrap()[0].statements[0].text, None);
}

#[test]
fn a_popular_and_a_rare_table_are_both_found() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    // Far more requests of one statement than are looked at through it, one of them by another statement.
    state
        .index_connection()
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
             INSERT INTO requests (id, at, session, number, subject, target, ruling, outcome, was_asked, revision, shown)
             SELECT 1000 + i, 1 + i, 3, i, 1, 1, (SELECT min(ruling) FROM ruling_statements WHERE statement = 1), 'allow', 0,
                    1, '[]' FROM n;",
        )
        .unwrap();
    let table = |name: &str| Search { table: Some(name.to_owned()), limit: 2, ..Search::default() };
    assert_eq!(found(&state, &table("cards")), "2.3 1.2");
    assert_eq!(found(&state, &table("orders")), "2.3 1.4");
    let late = Search { until: Some(Timestamp(20_000)), ..table("cards") };
    assert_eq!(found(&state, &late), "3.19998 3.19997");
}

#[test]
fn a_request_is_found_by_its_trace() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    let of = |trace: &str| Search { trace: Some(trace.to_owned()), ..Search::default() };
    assert_eq!(found(&state, &of(TRACE)), "1.4");
    assert_eq!(found(&state, &of("00f067aa0ba902b700f067aa0ba902b7")), "");
}

#[test]
fn searches_by_time_subject_and_target_use_an_index_and_need_no_sorting() {
    let directory = tempfile::tempdir().unwrap();
    let state = indexed(directory.path());
    let since = Search { since: Some(T), until: Some(T.plus_millis(99)), ..Search::default() };
    let subject = Search { subject: Some(String::from("order-service")), ..since.clone() };
    let target = Search { target: Some(String::from("payments")), ..since.clone() };
    for (search, index) in [
        (Search::default(), "requests_time"),
        (since, "requests_time"),
        (subject.clone(), "requests_subject"),
        (Search { since: None, until: None, ..subject.clone() }, "requests_subject"),
        (target, "requests_target"),
        (Search { target: Some(String::from("payments")), ..subject }, "requests_subject"),
        (Search { outcome: Some(Outcome::Deny), ..Search::default() }, "requests_denied"),
        (Search { outcome: Some(Outcome::Ask), ..Search::default() }, "requests_asked"),
        (Search { unknown_only: true, ..Search::default() }, "requests_unknown"),
        (Search { trace: Some(TRACE.into()), ..Search::default() }, "requests_trace"),
    ] {
        let of_runs = matches!(index, "requests_time" | "requests_subject" | "requests_target");
        for rows in [Rows::Requests, Rows::Runs].into_iter().take(if of_runs { 2 } else { 1 }) {
            let plan = state.records().plan(&search, rows);
            let step = plan.iter().find(|step| step.contains(" r ")).unwrap();
            assert!(step.contains(&index.replace("requests", &rows.to_string())), "{plan:#?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:#?}");
        }
    }
}
