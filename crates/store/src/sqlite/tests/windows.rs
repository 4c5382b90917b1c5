//! Windows: AP-14.

use model::effect::{ColumnName, Effect, Object, TableKind, TableName, Verb};

use super::*;
use crate::window::{Scope, Terms, WindowRequest, WindowUse};

const HOUR: u64 = 60 * MINUTE;

fn payments() -> TableName {
    TableName::new("public", "payments")
}

fn window(max_uses: Option<u32>) -> WindowRequest {
    WindowRequest {
        request: session(9).request(1),
        subject: key("svc|order-service"),
        on_behalf_of: vec![],
        target: "payments".into(),
        database: "payments".into(),
        terms: Terms {
            scope: Scope { verbs: vec![Verb::Delete], tables: vec![payments()], session: None },
            until: T.plus_millis(HOUR),
            max_uses,
        },
        needs: vec![need("prod-delete", &["dba"], 1)],
        reason: Some(String::from("clean-up")),
        revision: RevisionId(1),
        asked_at: T,
    }
}

struct Call {
    subject: SubjectKey,
    on_behalf_of: Vec<SubjectKey>,
    target: &'static str,
    database: &'static str,
    effects: Vec<Effect>,
    needs: Vec<Need>,
    request: RequestId,
    now: Timestamp,
}

fn call(number: u64) -> Call {
    let id = ColumnName::new(payments(), "id");
    Call {
        subject: key("svc|order-service"),
        on_behalf_of: vec![],
        target: "payments",
        database: "payments",
        effects: vec![
            Effect::new(Verb::Delete, Object::Table(payments(), TableKind::Table)),
            Effect::new(Verb::Lookup, Object::Column(id, TableKind::Table)),
        ],
        needs: vec![need("prod-delete", &["dba"], 1)],
        request: session(1).request(number),
        now: T.plus_millis(number),
    }
}

fn used(state: &Sqlite, call: &Call) -> bool {
    let usage = WindowUse {
        subject: &call.subject,
        on_behalf_of: &call.on_behalf_of,
        target: call.target,
        database: call.database,
        effects: &call.effects,
        needs: &call.needs,
        digest: Digest([3; 32]),
        session: call.request.session,
        request: call.request,
        now: call.now,
    };
    let proof = state.consume_window(&usage).unwrap();
    proof.is_some_and(|proof| proof.digest() == usage.digest && proof.request() == call.request)
}

fn granted(state: &Sqlite, window: &WindowRequest) -> ApprovalId {
    let id = ApprovalId::from_bits(1);
    assert!(state.request_window(window, id, &Limits::default()).unwrap().is_new);
    assert!(!used(state, &call(1)), "before it is agreed to");
    assert_eq!(state.answer(id, &yes("corp|bob", &["dba"]), &[], T).unwrap(), Status::Approved);
    id
}

#[test]
fn ap_14_a_window_covers_its_scope_many_times() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = granted(&state, &window(None));
    assert!((1..=5).all(|number| used(&state, &call(number))));
    assert!(!used(&state, &call(5)), "the same request twice");
    assert_eq!(state.approval(id).unwrap().unwrap().uses.len(), 5);
    assert_eq!(state.unresolved().unwrap().len(), 5);
    assert!(!used(&state, &Call { now: T.plus_millis(HOUR), ..call(6) }), "after its end");
    assert!(state.withdraw(id, "done", T).unwrap());
    assert!(!used(&state, &call(6)), "after it was withdrawn");
}

#[test]
fn ap_14_nothing_creeps_out_of_its_scope() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    granted(&state, &window(None));
    let orders = TableName::new("public", "orders");
    let and = |effect: Effect| [call(1).effects, vec![effect]].concat();
    let on = |verb, table: &TableName| Effect::new(verb, Object::Table(table.clone(), TableKind::Table));
    let outside = [
        ("another subject", Call { subject: key("svc|other"), ..call(1) }),
        ("the same id at another issuer", Call { subject: key("idp2|order-service"), ..call(1) }),
        ("on somebody's behalf", Call { on_behalf_of: vec![key("corp|alice")], ..call(1) }),
        ("another target", Call { target: "crm", ..call(1) }),
        ("another database", Call { database: "crm", ..call(1) }),
        ("another verb", Call { effects: and(on(Verb::Truncate, &payments())), ..call(1) }),
        ("another table", Call { effects: and(on(Verb::Delete, &orders)), ..call(1) }),
        ("a read of another table", Call { effects: and(on(Verb::Select, &orders)), ..call(1) }),
        ("opaque", Call { effects: and(Effect::new(Verb::Opaque, Object::Database)), ..call(1) }),
        ("no effects", Call { effects: vec![], ..call(1) }),
        ("another policy", Call { needs: vec![need("unbounded", &["dba"], 1)], ..call(1) }),
        ("one policy more", Call { needs: [call(1).needs, vec![need("unbounded", &["dba"], 1)]].concat(), ..call(1) }),
        ("no policy", Call { needs: vec![], ..call(1) }),
    ];
    for (what, call) in outside {
        assert!(!used(&state, &call), "{what}");
    }
    assert!(used(&state, &call(1)));
}

#[test]
fn ap_14_a_window_is_used_so_often_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = granted(&state, &window(Some(3)));
    let spent = std::thread::scope(|scope| {
        let state = &state;
        let racers: Vec<_> = (1..=20).map(|number| scope.spawn(move || used(state, &call(number)))).collect();
        racers.into_iter().map(|racer| usize::from(racer.join().unwrap())).sum::<usize>()
    });
    assert_eq!(spent, 3);
    assert_eq!(status(&state, id), Status::Consumed);
}

#[test]
fn ap_14_a_window_may_be_one_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let mut window = window(None);
    window.terms.scope.session = Some(session(1));
    granted(&state, &window);
    assert!(!used(&state, &Call { request: session(2).request(1), ..call(1) }));
    assert!(used(&state, &call(1)));
}

#[test]
fn ap_12_a_restored_window_keeps_its_count() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = granted(&state, &window(Some(2)));
    let spent =
        |number| crate::approval::Spent { approval: id, request: session(1).request(number), at: T, completed: true };
    state.mark_consumed(&[spent(1)]).unwrap();
    assert!(!used(&state, &call(1)), "the journal knows this request");
    assert_eq!(status(&state, id), Status::Approved);
    state.mark_consumed(&[spent(1), spent(2)]).unwrap();
    assert_eq!(status(&state, id), Status::Consumed);
    assert!(!used(&state, &call(3)));
}

#[test]
fn the_same_window_is_asked_for_once() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let ask = |window: &WindowRequest, bits| {
        state.request_window(window, ApprovalId::from_bits(bits), &Limits::default()).unwrap().is_new
    };
    assert!(ask(&window(None), 1));
    assert!(!ask(&WindowRequest { request: session(3).request(4), ..window(None) }, 2));
    let mut wider = window(None);
    wider.terms.scope.tables.clear();
    assert!(ask(&wider, 3));
}
