//! Asking, spending, ending: AP-01, AP-02, AP-06, AP-09, AP-11, AP-12, AP-13.

use std::sync::Barrier;
use std::time::Duration;

use super::*;
use crate::approval::{AskError, Filter, Spent};

#[test]
fn ap_01_it_is_spent_only_on_what_was_asked() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    approved(&state, &question, 1);
    let request = session(2).request(1);
    let other_digest = Spending { digest: Digest([2; 32]), ..spending(&question, request) };
    assert!(state.consume(&other_digest).unwrap().is_none());
    // The same policy with another text, another group, a greater quorum, or one policy more.
    let base = need("prod-delete", &["dba"], 1);
    let changed = [
        vec![Need { policy_digest: Digest([8; 32]), ..base.clone() }],
        vec![need("prod-delete", &["sre"], 1)],
        vec![need("prod-delete", &["dba"], 2)],
        vec![base.clone(), need("unbounded", &["dba"], 1)],
        vec![],
    ];
    for needs in &changed {
        assert!(state.consume(&Spending { needs, ..spending(&question, request) }).unwrap().is_none(), "{needs:?}");
    }
    let proof = state.consume(&spending(&question, request)).unwrap().unwrap();
    assert_eq!(
        (proof.approval(), proof.digest(), proof.request()),
        (ApprovalId::from_bits(1), question.digest, request)
    );
    assert_eq!(proof.answers(), [yes("corp|bob", &["dba"])]);
}

/// Has a hundred threads spend at once and returns how many could.
fn race(states: &[Sqlite], question: &Asked) -> usize {
    let start = Barrier::new(100);
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..100u64)
            .map(|number| {
                let (start, state) = (&start, &states[usize::try_from(number).unwrap() % states.len()]);
                scope.spawn(move || {
                    start.wait();
                    state.consume(&spending(question, session(number).request(1))).unwrap().is_some()
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).filter(|spent| *spent).count()
    })
}

#[test]
fn ap_02_replay_serial_and_after_restart() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    let id = approved(&state, &question, 1);
    drop(state);
    let state = Sqlite::open(directory.path()).unwrap();
    assert!(state.consume(&spending(&question, session(1).request(2))).unwrap().is_some());
    assert!(state.consume(&spending(&question, session(1).request(2))).unwrap().is_none());
    drop(state);
    let state = Sqlite::open(directory.path()).unwrap();
    assert!(state.consume(&spending(&question, session(1).request(3))).unwrap().is_none());
    assert_eq!(status(&state, id), Status::Consumed);
    assert_eq!(state.approval(id).unwrap().unwrap().uses.len(), 1);
}

#[test]
fn ap_02_replay_concurrent_hundred() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    approved(&state, &question, 1);
    assert_eq!(race(&[state], &question), 1);
}

#[test]
fn ap_02_replay_concurrent_on_another_node() {
    let directory = tempfile::tempdir().unwrap();
    let nodes: Vec<_> = (0..4).map(|_| Sqlite::open(directory.path()).unwrap()).collect();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    approved(&nodes[0], &question, 1);
    assert_eq!(race(&nodes, &question), 1);
}

#[test]
fn ap_02_the_database_itself_refuses_a_second_use() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    approved(&state, &question, 1);
    state.consume(&spending(&question, session(1).request(2))).unwrap().unwrap();
    // Whatever set it back to approved, it stays spent.
    state.write(|tx| tx.execute("UPDATE approvals SET status = 'approved'", [])).unwrap();
    assert!(state.consume(&spending(&question, session(1).request(3))).is_err());
}

#[test]
fn ap_06_it_ends_at_its_end_and_not_later() {
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    for (late, spent) in [(0, true), (15 * MINUTE - 1, true), (15 * MINUTE, false), (15 * MINUTE + 1, false)] {
        let directory = tempfile::tempdir().unwrap();
        let state = Sqlite::open(directory.path()).unwrap();
        approved(&state, &question, 1);
        let at = Spending { now: T.plus_millis(late), ..spending(&question, session(1).request(2)) };
        assert_eq!(state.consume(&at).unwrap().is_some(), spent, "{late} ms after");
    }
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = ApprovalId::from_bits(1);
    state.ask(&question, id, &Limits::default()).unwrap();
    let late = T.plus_millis(15 * MINUTE);
    let error = state.answer(id, &yes("corp|bob", &["dba"]), &[], late).unwrap_err();
    assert!(matches!(error, AnswerError::Expired));
    assert_eq!(state.expire(T.plus_millis(1)).unwrap(), []);
    assert_eq!(state.expire(late).unwrap(), [id]);
    assert_eq!(state.expire(late).unwrap(), []);
    assert_eq!(status(&state, id), Status::Expired);
    // A clock that goes back does not bring it to life.
    assert!(matches!(state.answer(id, &yes("corp|bob", &["dba"]), &[], T), Err(AnswerError::NotOpen(Status::Expired))));
}

#[test]
fn ap_06_a_clock_that_is_set_back_extends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let ends = T.plus_millis(30);
    let question = Asked { expires_at: ends, ..asked(Mode::Ticket, 1, session(1).request(1)) };
    let id = approved(&state, &question, 1);
    std::thread::sleep(Duration::from_millis(40));
    let request = session(1).request(2);
    for now in [T, Timestamp(0), Timestamp(T.0 - 3_600_000)] {
        assert!(state.consume(&Spending { now, ..spending(&question, request) }).unwrap().is_none());
    }
    assert_eq!(state.expire(T).unwrap(), [id]);
}

#[test]
fn ap_09_who_left_gets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let held = asked(Mode::Hold, 1, session(1).request(1));
    let ticket = asked(Mode::Ticket, 2, session(1).request(2));
    let (hold_id, ticket_id) = (approved(&state, &held, 1), approved(&state, &ticket, 2));
    assert_eq!(state.withdraw_session(session(1), "disconnected", T).unwrap(), [hold_id]);
    assert!(state.consume(&spending(&held, session(1).request(3))).unwrap().is_none());
    let error = state.answer(hold_id, &yes("corp|carol", &["dba"]), &[], T).unwrap_err();
    assert!(matches!(error, AnswerError::NotOpen(Status::Withdrawn)));
    assert!(state.withdraw(ticket_id, "cancelled", T).unwrap());
    assert!(!state.withdraw(ticket_id, "cancelled", T).unwrap());
    assert!(state.consume(&spending(&ticket, session(1).request(3))).unwrap().is_none());
}

#[test]
fn a_hold_is_its_sessions_until_it_becomes_a_ticket() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let held = asked(Mode::Hold, 1, session(1).request(1));
    let id = approved(&state, &held, 1);
    assert!(state.consume(&spending(&held, session(2).request(1))).unwrap().is_none());
    assert!(state.make_ticket(id).unwrap());
    assert!(!state.make_ticket(id).unwrap());
    assert_eq!(state.withdraw_session(session(1), "disconnected", T).unwrap(), []);
    assert_eq!(state.approval(id).unwrap().unwrap().asked.mode, Mode::Ticket);
    assert!(state.consume(&spending(&held, session(2).request(1))).unwrap().is_some());
}

#[test]
fn ap_11_what_was_spent_and_did_not_end_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    let id = approved(&state, &question, 1);
    let request = session(1).request(2);
    state.consume(&spending(&question, request)).unwrap().unwrap();
    drop(state);
    let state = Sqlite::open(directory.path()).unwrap();
    assert_eq!(state.unresolved().unwrap(), [(id, request)]);
    state.completed(id, request).unwrap();
    assert_eq!(state.unresolved().unwrap(), []);
    assert!(state.consume(&spending(&question, request)).unwrap().is_none());
}

#[test]
fn ap_12_yesterdays_backup_revives_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let backup = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    let id = approved(&state, &question, 1);
    let copy = backup.path().join("state.db");
    state.write(|tx| Ok::<_, Error>(tx.query_row("SELECT 1", [], |_| Ok(()))?)).unwrap();
    Connection::open(directory.path().join("state.db"))
        .unwrap()
        .execute("VACUUM INTO ?", [copy.to_str().unwrap()])
        .unwrap();
    state.consume(&spending(&question, session(1).request(2))).unwrap().unwrap();
    drop(state);

    let restored = Sqlite::open(backup.path()).unwrap();
    assert_eq!(status(&restored, id), Status::Approved);
    let lost = ApprovalId::from_bits(77); // asked and spent after the backup was made
    let spent = |approval, completed| Spent { approval, request: session(1).request(2), at: T, completed };
    restored.mark_consumed(&[spent(id, true), spent(lost, false)]).unwrap();
    restored.mark_consumed(&[spent(id, true), spent(lost, false)]).unwrap();
    assert_eq!(status(&restored, id), Status::Consumed);
    assert!(restored.consume(&spending(&question, session(1).request(3))).unwrap().is_none());
    assert_eq!(restored.unresolved().unwrap(), [(lost, session(1).request(2))]);
}

#[test]
fn ap_12_state_that_cannot_be_reached_approves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    state.state.lock().unwrap().busy_timeout(Duration::from_millis(10)).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    approved(&state, &question, 1);
    let other = Connection::open(directory.path().join("state.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(state.consume(&spending(&question, session(1).request(2))).is_err());
    let id = ApprovalId::from_bits(1);
    assert!(matches!(state.answer(id, &no("corp|bob", &["dba"]), &[], T), Err(AnswerError::State(_))));
    other.execute_batch("ROLLBACK").unwrap();
    // A row that does not say what was agreed to is no agreement.
    other.execute("UPDATE answers SET answer = '{}'", []).unwrap();
    assert!(matches!(state.consume(&spending(&question, session(1).request(2))), Err(Error::Corrupt(_))));
    other.execute("DELETE FROM answers", []).unwrap();
    assert!(matches!(state.consume(&spending(&question, session(1).request(2))), Err(Error::Corrupt(_))));
}

#[test]
fn ap_13_a_flood_reaches_its_limits() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let limits = Limits { pending_per_subject: 3, hourly_per_subject: 5, pending_total: 4 };
    let ask = |number: u8, subject: &str| {
        let question = asked(Mode::Ticket, number, session(1).request(u64::from(number)));
        state.ask(&Asked { subject: key(subject), ..question }, ApprovalId::from_bits(u64::from(number)), &limits)
    };
    (1..=3).for_each(|number| assert!(ask(number, "svc|a").unwrap().is_new));
    assert!(matches!(ask(4, "svc|a"), Err(AskError::TooManyOfSubject { limit: 3, .. })));
    assert!(ask(5, "svc|b").unwrap().is_new);
    assert!(matches!(ask(6, "svc|b"), Err(AskError::TooMany(4))));
    // Asking and leaving again and again does not get around it.
    for number in 7..=8 {
        assert!(state.withdraw(ApprovalId::from_bits(if number == 7 { 1 } else { 7 }), "left", T).unwrap());
        assert!(ask(number, "svc|a").unwrap().is_new);
    }
    assert!(state.withdraw(ApprovalId::from_bits(8), "left", T).unwrap());
    assert!(matches!(ask(9, "svc|a"), Err(AskError::TooManyOfSubject { limit: 5, .. })));
}

#[test]
fn ap_13_a_retry_does_not_ask_again() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let first = asked(Mode::Ticket, 1, session(1).request(1));
    let id = ApprovalId::from_bits(1);
    let mut changes = state.subscribe();
    state.ask(&first, id, &Limits::default()).unwrap();
    for (number, mode) in [(2, Mode::Ticket), (3, Mode::Hold)] {
        let retry = asked(mode, 1, session(number).request(1));
        let found = state.ask(&retry, ApprovalId::from_bits(number), &Limits::default()).unwrap();
        assert_eq!((found.id, found.mode, found.status, found.is_new), (id, Mode::Ticket, Status::Pending, false));
    }
    state.answer(id, &yes("corp|bob", &["dba"]), &[], T).unwrap();
    let found = state.ask(&first, ApprovalId::from_bits(4), &Limits::default()).unwrap();
    assert_eq!((found.id, found.status), (id, Status::Approved));
    assert_eq!([changes.try_recv().unwrap(), changes.try_recv().unwrap()], [id, id]);
    assert!(changes.try_recv().is_err());
    // Somebody else's, another session's hold, and a new question after the first was spent are new.
    let other = Asked { subject: key("svc|other"), ..first.clone() };
    assert!(state.ask(&other, ApprovalId::from_bits(5), &Limits::default()).unwrap().is_new);
    state.consume(&spending(&first, session(1).request(2))).unwrap().unwrap();
    assert!(state.ask(&first, ApprovalId::from_bits(6), &Limits::default()).unwrap().is_new);
}

#[test]
fn holds_of_two_sessions_are_two_questions() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    for number in 1..=2 {
        let hold = asked(Mode::Hold, 1, session(number).request(1));
        assert!(state.ask(&hold, ApprovalId::from_bits(number), &Limits::default()).unwrap().is_new);
        assert!(!state.ask(&hold, ApprovalId::from_bits(9), &Limits::default()).unwrap().is_new);
    }
}

#[test]
fn a_question_that_policy_no_longer_puts_is_withdrawn() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let first = asked(Mode::Ticket, 1, session(1).request(1));
    let old = approved(&state, &first, 1);
    let stricter = Asked { needs: vec![need("prod-delete", &["dba"], 2)], ..first };
    assert!(state.ask(&stricter, ApprovalId::from_bits(2), &Limits::default()).unwrap().is_new);
    assert_eq!(status(&state, old), Status::Withdrawn);
}

#[test]
fn what_nobody_could_answer_is_not_asked() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    let id = ApprovalId::from_bits(1);
    for wrong in [
        Asked { needs: vec![], ..question.clone() },
        Asked { expires_at: T, ..question.clone() },
        Asked { mode: Mode::Window, ..question.clone() },
    ] {
        assert!(matches!(state.ask(&wrong, id, &Limits::default()), Err(AskError::Invalid(_))));
    }
}

#[test]
fn lists_are_filtered() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let first = asked(Mode::Ticket, 1, session(1).request(1));
    let id = approved(&state, &first, 1);
    let later = Asked {
        subject: key("svc|other"),
        target: "crm".into(),
        asked_at: T.plus_millis(5),
        ..asked(Mode::Ticket, 2, session(2).request(1))
    };
    state.ask(&later, ApprovalId::from_bits(2), &Limits::default()).unwrap();
    let ids =
        |filter: Filter| state.approvals(&filter).unwrap().iter().map(|found| found.id.bits()).collect::<Vec<_>>();
    assert_eq!(ids(Filter::default()), [2, 1]);
    assert_eq!(ids(Filter { status: Some(Status::Approved), ..Filter::default() }), [1]);
    assert_eq!(ids(Filter { subject: Some(key("svc|other")), ..Filter::default() }), [2]);
    assert_eq!(ids(Filter { target: Some("payments".into()), ..Filter::default() }), [1]);
    assert_eq!(ids(Filter { since: Some(T.plus_millis(1)), ..Filter::default() }), [2]);
    assert_eq!(ids(Filter { limit: 1, ..Filter::default() }), [2]);
    let whole = state.approval(id).unwrap().unwrap();
    assert_eq!((whole.asked, whole.answers), (first, vec![yes("corp|bob", &["dba"])]));
}
