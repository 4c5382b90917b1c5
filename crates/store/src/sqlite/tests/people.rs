//! Who may answer: AP-03 and AP-04.

use super::*;

fn pending(state: &Sqlite, needs: Vec<Need>) -> ApprovalId {
    let id = ApprovalId::from_bits(1);
    let asked = Asked { needs, ..asked(Mode::Ticket, 1, session(1).request(1)) };
    state.ask(&asked, id, &Limits::default()).unwrap();
    id
}

#[test]
fn ap_03_nobody_answers_their_own_request() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = pending(&state, vec![need("p", &["dba"], 1)]);
    // Both identities of the delegation, through the same issuer, a second one, and in other case; all are in the
    // approvers' group by now, whether or not they were when they asked.
    for who in ["svc|order-service", "corp|alice", "other|alice", "other|order-service", "other|ALICE", "x| alice "] {
        for answer in [yes(who, &["dba"]), no(who, &["dba"])] {
            let error = state.answer(id, &answer, &[], T).unwrap_err();
            assert!(matches!(error, AnswerError::OwnRequest), "{who}: {error:?}");
        }
    }
    // Nor does somebody else in their name.
    let error = state.answer(id, &yes("svc|bot", &["dba"]), &[key("idp2|alice")], T).unwrap_err();
    assert!(matches!(error, AnswerError::OwnRequest));
    assert_eq!(status(&state, id), Status::Pending);
    assert!(state.approval(id).unwrap().unwrap().answers.is_empty());
}

#[test]
fn ap_03_only_groups_that_are_asked_may_answer() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = pending(&state, vec![need("p", &["dba", "sre"], 1)]);
    for groups in [&[][..], &["DBA"], &["dba "], &["corp|dba"], &["dbas"]] {
        for answer in [yes("corp|bob", groups), no("corp|bob", groups)] {
            let error = state.answer(id, &answer, &[], T).unwrap_err();
            assert!(matches!(error, AnswerError::NotAnApprover), "{groups:?}");
        }
    }
    assert_eq!(state.answer(id, &yes("corp|bob", &["x", "sre"]), &[], T).unwrap(), Status::Approved);
}

#[test]
fn ap_04_a_quorum_counts_people() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = pending(&state, vec![need("p", &["dba"], 2)]);
    assert_eq!(state.answer(id, &yes("corp|bob", &["dba"]), &[], T).unwrap(), Status::Pending);
    // Again, from a second device, through a second issuer, or through somebody who acts for the same person.
    for (who, behalf) in
        [("corp|bob", vec![]), ("idp2|bob", vec![]), ("idp2|Bob", vec![]), ("svc|bot", vec![key("corp|bob")])]
    {
        let error = state.answer(id, &yes(who, &["dba"]), &behalf, T).unwrap_err();
        assert!(matches!(error, AnswerError::AlreadyAnswered), "{who}: {error:?}");
    }
    assert_eq!(status(&state, id), Status::Pending);
    assert_eq!(state.answer(id, &yes("corp|carol", &["dba"]), &[], T).unwrap(), Status::Approved);
    let approval = state.approval(id).unwrap().unwrap();
    assert_eq!(approval.agreed().map(|(_, people)| people).collect::<Vec<_>>(), [2]);
}

#[test]
fn ap_04_every_need_is_met_by_its_own_groups() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let id = pending(&state, vec![need("p", &["dba"], 2), need("q", &["security"], 1)]);
    assert_eq!(state.answer(id, &yes("corp|bob", &["dba", "security"]), &[], T).unwrap(), Status::Pending);
    assert_eq!(state.answer(id, &yes("corp|carol", &["security"]), &[], T).unwrap(), Status::Pending);
    assert_eq!(state.answer(id, &yes("corp|dave", &["dba"]), &[], T).unwrap(), Status::Approved);
}

#[test]
fn ap_04_a_no_ends_it_even_after_a_yes() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let question = asked(Mode::Ticket, 1, session(1).request(1));
    let id = approved(&state, &question, 1);
    let error = state.answer(id, &yes("corp|carol", &["dba"]), &[], T).unwrap_err();
    assert!(matches!(error, AnswerError::NotOpen(Status::Approved)));
    assert_eq!(state.answer(id, &no("corp|bob", &["dba"]), &[], T).unwrap(), Status::Denied);
    assert!(state.consume(&spending(&question, session(1).request(2))).unwrap().is_none());
    let error = state.answer(id, &yes("corp|carol", &["dba"]), &[], T).unwrap_err();
    assert!(matches!(error, AnswerError::NotOpen(Status::Denied)));
    let ended = state.approval(id).unwrap().unwrap().ended.unwrap();
    assert_eq!(ended.reason, "not today");
}

#[test]
fn an_unknown_approval_is_not_answered() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let error = state.answer(ApprovalId::from_bits(9), &yes("corp|bob", &["dba"]), &[], T).unwrap_err();
    assert!(matches!(error, AnswerError::NotFound));
}
