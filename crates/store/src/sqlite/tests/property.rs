//! Whatever happens in whatever order: no approval is spent twice, before enough people agreed, or after its end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Ask { question: u8, session: u64, hold: bool },
    Answer { which: usize, person: usize, approve: bool },
    Spend { question: u8, session: u64 },
    Withdraw { which: usize },
    Leave { session: u64 },
    Unbind { which: usize },
    Wait { minutes: u64 },
    Expire,
    Restart,
}

const PEOPLE: [&str; 6] = ["corp|alice", "corp|bob", "idp2|bob", "corp|carol", "corp|dave", "svc|order-service"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..3, 1u64..3, any::<bool>()).prop_map(|(question, session, hold)| Step::Ask { question, session, hold }),
        8 => (0usize..6, 0usize..6, prop::bool::weighted(0.9))
            .prop_map(|(which, person, approve)| Step::Answer { which, person, approve }),
        6 => (1u8..3, 1u64..3).prop_map(|(question, session)| Step::Spend { question, session }),
        1 => (0usize..6).prop_map(|which| Step::Withdraw { which }),
        1 => (1u64..3).prop_map(|session| Step::Leave { session }),
        1 => (0usize..6).prop_map(|which| Step::Unbind { which }),
        1 => (1u64..10).prop_map(|minutes| Step::Wait { minutes }),
        1 => Just(Step::Expire),
        1 => Just(Step::Restart),
    ]
}

/// What the test itself knows, without looking into state.
#[derive(Default)]
struct Seen {
    ids: Vec<ApprovalId>,
    ends: BTreeMap<ApprovalId, Timestamp>,
    agreed: BTreeMap<ApprovalId, BTreeSet<&'static str>>,
    over: BTreeSet<ApprovalId>,
    requests: u64,
}

impl Seen {
    fn next(&mut self, session_bits: u64) -> RequestId {
        self.requests += 1;
        session(session_bits).request(self.requests)
    }

    fn id(&self, which: usize) -> Option<ApprovalId> {
        self.ids.get(which.checked_rem(self.ids.len())?).copied()
    }
}

fn bare(person: &'static str) -> &'static str {
    person.split_once('|').unwrap().1
}

fn question(digest: u8, request: RequestId, hold: bool, now: Timestamp) -> Asked {
    let mode = if hold { Mode::Hold } else { Mode::Ticket };
    let needs = vec![need("p", &["dba"], 2)];
    Asked { needs, asked_at: now, expires_at: now.plus_millis(15 * MINUTE), ..asked(mode, digest, request) }
}

fn take(state: &Sqlite, seen: &mut Seen, step: &Step, now: Timestamp) {
    match *step {
        Step::Ask { question: digest, session, hold } => {
            let (request, id) = (seen.next(session), ApprovalId::from_bits(seen.requests));
            let question = question(digest, request, hold, now);
            let limits = Limits { pending_per_subject: 99, hourly_per_subject: 99, pending_total: 99 };
            let found = state.ask(&question, id, &limits).unwrap();
            if found.is_new {
                seen.ids.push(id);
                seen.ends.insert(id, question.expires_at);
            }
            assert!(!seen.over.contains(&found.id), "a retry joined what had ended");
        }
        Step::Answer { which, person, approve } => {
            let Some(id) = seen.id(which) else { return };
            let answer = Answer { approve, ..yes(PEOPLE[person], &["dba"]) };
            match state.answer(id, &answer, &[], now) {
                Ok(_) if approve => assert!(seen.agreed.entry(id).or_default().insert(bare(PEOPLE[person]))),
                Ok(status) => {
                    assert_eq!(status, Status::Denied);
                    seen.over.insert(id);
                }
                Err(_) => {}
            }
        }
        Step::Spend { question: digest, session } => {
            let request = seen.next(session);
            let question = question(digest, request, false, now);
            let Some(proof) = state.consume(&Spending { now, ..spending(&question, request) }).unwrap() else { return };
            let id = proof.approval();
            assert!(seen.over.insert(id), "{id} was spent after it had ended");
            assert!(now < seen.ends[&id], "{id} was spent after its end");
            let people = &seen.agreed[&id];
            assert!(people.len() >= 2 && !people.contains("alice") && !people.contains("order-service"), "{people:?}");
        }
        Step::Withdraw { which } => {
            let Some(id) = seen.id(which) else { return };
            if state.withdraw(id, "w", now).unwrap() {
                assert!(seen.over.insert(id), "{id} ended twice");
            }
        }
        Step::Leave { session: bits } => {
            for id in state.withdraw_session(session(bits), "left", now).unwrap() {
                assert!(seen.over.insert(id), "{id} ended twice");
            }
        }
        Step::Unbind { which } => {
            let Some(id) = seen.id(which) else { return };
            let _ = state.make_ticket(id).unwrap();
        }
        Step::Expire => {
            for id in state.expire(now).unwrap() {
                assert!(now >= seen.ends[&id], "{id} expired early");
                assert!(seen.over.insert(id), "{id} ended twice");
            }
        }
        Step::Wait { .. } | Step::Restart => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ap_02_no_order_of_events_spends_twice(steps in proptest::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let mut state = Sqlite::open(directory.path()).unwrap();
        let (mut seen, mut now) = (Seen::default(), T);
        for step in &steps {
            match step {
                Step::Wait { minutes } => now = now.plus_millis(minutes * MINUTE),
                Step::Restart => {
                    drop(state);
                    state = Sqlite::open(directory.path()).unwrap();
                }
                _ => take(&state, &mut seen, step, now),
            }
        }
    }
}
