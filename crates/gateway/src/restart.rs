//! What an earlier process left half done, settled before anything is forwarded.

use std::collections::{BTreeMap, HashMap};

use model::event::Event;
use model::id::{RequestId, SessionId};
use store::State;
use store::approval::Spent;

use crate::broken_off::{Tapes, Told};
use crate::clock;
use crate::postgres::goes_on;
use crate::recorder::Recorder;
use crate::unrecorded::Known;

/// Why what was left cannot be settled; then nothing may be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// State cannot be read or written.
    #[error(transparent)]
    State(#[from] store::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ledger::ReadError),
}

/// Why a session ended that the journal has no end of.
const KILLED: &str = "the process ended";

/// Settles everything.
///
/// # Errors
/// If state or the journal cannot be used.
pub(crate) fn settle(state: &dyn State, recorder: &Recorder, tapes: &Tapes) -> Result<(), SettleError> {
    let mut known = Known::default();
    let open = catch_up(state, recorder, &mut known)?;
    for gap in known.missing(state)? {
        tracing::warn!(?gap, "state and journal differ");
        recorder.note(gap);
    }
    for (session, told) in open {
        tracing::warn!(%session, "the process ended while this session was open");
        tapes.ends(session, KILLED, told).into_iter().for_each(|event| recorder.note(event));
    }
    Ok(report_unknown(state, recorder)?)
}

/// Tells state what the journal knows to be spent or ended, so that a restored backup of it revives no approval (AP-12).
/// Returns the sessions that the journal has no end of, each with what it has of its tape.
fn catch_up(
    state: &dyn State,
    recorder: &Recorder,
    known: &mut Known,
) -> Result<BTreeMap<SessionId, Told>, SettleError> {
    let mut open = BTreeMap::<SessionId, Told>::new();
    // By request: a window is spent on many, and each use counts.
    let mut spent = HashMap::<RequestId, Spent>::new();
    let mut ended = Vec::new();
    let mut reader = recorder.journal().reader(0);
    while let Some((_, entry)) = reader.next()? {
        known.learn(&entry.event);
        match entry.event {
            Event::ApprovalConsumed { approval, request } => {
                spent.insert(request, Spent { approval, request, at: entry.at, completed: false });
            }
            Event::Completed { request, .. } | Event::OutcomeUnknown { request, .. } => {
                if let Some(spent) = spent.get_mut(&request) {
                    spent.completed = true;
                }
            }
            Event::ApprovalEnded { approval, .. } => ended.push(approval),
            Event::SessionOpened { session, .. } => drop(open.insert(session, Told::default())),
            Event::TapePartEnded { session, part, .. } => {
                open.entry(session).and_modify(|told| *told = Told { parts: part.max(told.parts), has_tape: true });
            }
            Event::TapeRemoved { session, .. } => {
                open.entry(session).and_modify(|told| told.has_tape = false);
            }
            Event::TapeArchived { session, .. } => {
                open.entry(session).and_modify(|told| told.has_tape = true);
            }
            Event::SessionClosed { session, .. } => drop(open.remove(&session)),
            // What is refused is a login, of which nothing came, or a renewal, with which the session goes on.
            Event::SessionRefused { session, reason, .. } if !goes_on(&reason) => {
                open.remove(&session);
            }
            _ => {}
        }
    }
    let spent: Vec<Spent> = spent.into_values().collect();
    state.mark_consumed(&spent)?;
    for approval in ended {
        // Open again, it came back with a backup.
        state.withdraw(approval, "it had ended before the state was restored", clock::now())?;
    }
    Ok(open)
}

/// Approvals that were spent and whose requests never ended: nobody knows whether they ran. They are journaled so, and
/// never run again (AP-11).
fn report_unknown(state: &dyn State, recorder: &Recorder) -> Result<(), store::Error> {
    for (approval, request) in state.unresolved()? {
        tracing::warn!(%approval, %request, "outcome unknown: the process ended while this ran");
        recorder.note(Event::OutcomeUnknown { approval, request });
        state.completed(approval, request)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ledger::tape::KeyStore;
    use ledger::{Journal, Level, RealDisk, SigningKey};
    use model::approval::{Answer, Asked, Mode};
    use model::decision::Need;
    use model::event::Entry;
    use model::id::{ApprovalId, Digest, RevisionId};
    use model::secret::Secret;
    use model::subject::SubjectKey;
    use store::Sqlite;
    use store::approval::{Limits, Spending};

    use super::*;
    use crate::metrics::Metrics;
    use crate::recorder::entry;

    fn key(id: &str) -> SubjectKey {
        SubjectKey { issuer: "corp".into(), id: id.into() }
    }

    fn need() -> Need {
        let policy_digest = Digest::default();
        Need { policy: "ask".into(), policy_digest, groups: vec!["dba".into()], quorum: 1 }
    }

    fn asked(request: RequestId) -> Asked {
        let now = clock::now();
        Asked {
            request,
            subject: key("app"),
            on_behalf_of: Vec::new(),
            target: "payments".into(),
            database: "payments".into(),
            statement: "DELETE FROM payments WHERE id = 1".into(),
            parameters: Vec::new(),
            effects: Vec::new(),
            estimated_rows: None,
            reason: None,
            needs: vec![need()],
            digest: Digest([1; 32]),
            mode: Mode::Ticket,
            revision: RevisionId(1),
            asked_at: now,
            expires_at: now.plus_millis(600_000),
        }
    }

    /// State as yesterday's backup has it: the approval is given and not spent. The journal knows better.
    #[tokio::test]
    async fn ap_12_the_journal_ends_what_a_restored_state_has_open() {
        let dir = tempfile::tempdir().unwrap();
        let state = Sqlite::open(dir.path()).unwrap();
        let session = SessionId::from_bits(1);
        let (request, approval) = (session.request(1), ApprovalId::from_bits(7));
        state.ask(&asked(request), approval, &Limits::default()).unwrap();
        let now = clock::now();
        let yes = Answer { approver: key("dana"), groups: vec!["dba".into()], approve: true, reason: None, at: now };
        state.answer(approval, &yes, &[], now).unwrap();

        let journal_key = SigningKey::from_seed("test", &[1; 32]).unwrap();
        let journal = Journal::open(Arc::new(RealDisk), &dir.path().join("journal"), journal_key).unwrap().0;
        let second = Duration::from_secs(1);
        let recorder = Recorder::new(journal, second, second, Metrics::new().unwrap());
        let consumed = entry(Event::ApprovalConsumed { approval, request });
        let _receipts = recorder.record(vec![consumed], Level::Process).await.unwrap();

        let keys = KeyStore::new(&dir.path().join("keys"), &Secret::new([1; 32])).unwrap();
        let tapes = Tapes { disk: Arc::new(RealDisk), dir: dir.path().join("tapes"), keys: Arc::new(keys) };
        settle(&state, &recorder, &tapes).unwrap();
        let digest = Digest([1; 32]);
        let again = Spending { digest, needs: &[need()], session, request: session.request(2), now: clock::now() };
        assert!(state.consume(&again).unwrap().is_none());
        assert!(state.unresolved().unwrap().is_empty(), "its outcome is journaled as unknown");
        recorder.flush();
        let mut reader = recorder.journal().reader(0);
        let entries: Vec<Entry> = std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry).collect();
        assert!(entries.iter().any(|entry| entry.event == Event::OutcomeUnknown { approval, request }));
    }
    /// The process died between the change of state and its entry, or somebody wrote into the state.
    #[test]
    fn what_state_has_and_the_journal_has_not_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let state = Sqlite::open(dir.path()).unwrap();
        let request = SessionId::from_bits(1).request(1);
        let (known, unknown) = (ApprovalId::from_bits(7), ApprovalId::from_bits(8));
        let now = clock::now();
        let yes = Answer { approver: key("dana"), groups: vec!["dba".into()], approve: true, reason: None, at: now };
        let other = Asked { digest: Digest([2; 32]), ..asked(request) };
        for (asked, approval) in [(&asked(request), known), (&other, unknown)] {
            state.ask(asked, approval, &Limits::default()).unwrap();
            state.answer(approval, &yes, &[], now).unwrap();
        }
        assert!(state.withdraw(unknown, "never mind", now).unwrap());
        let journal_key = SigningKey::from_seed("test", &[1; 32]).unwrap();
        let journal = Journal::open(Arc::new(RealDisk), &dir.path().join("journal"), journal_key).unwrap().0;
        let second = Duration::from_secs(1);
        let recorder = Recorder::new(journal, second, second, Metrics::new().unwrap());
        recorder.note(Event::ApprovalAsked { approval: known, asked: Box::new(asked(request)) });
        recorder.note(Event::ApprovalAnswered { approval: known, answer: yes });
        recorder.flush();
        let keys = KeyStore::new(&dir.path().join("keys"), &Secret::new([1; 32])).unwrap();
        let tapes = Tapes { disk: Arc::new(RealDisk), dir: dir.path().join("tapes"), keys: Arc::new(keys) };
        for _ in 0..2 {
            settle(&state, &recorder, &tapes).unwrap();
            recorder.flush();
            let mut reader = recorder.journal().reader(0);
            let entries = std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event);
            let gaps: Vec<_> = entries.filter(|event| matches!(event, Event::Gap { .. })).collect();
            let said = |what: &str| {
                let what = format!("{unknown} {what}");
                gaps.iter().any(|gap| matches!(gap, Event::Gap { reason, .. } if reason.contains(&what)))
            };
            assert_eq!(gaps.len(), 3, "{gaps:?}");
            assert!(said("was asked for by corp|app") && said("was answered by corp|dana: yes"), "{gaps:?}");
            assert!(said("ended: never mind"), "{gaps:?}");
        }
    }
}
