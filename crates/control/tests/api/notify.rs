//! Telling approvers, by each kind of channel, against servers that check what comes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::approval::{Answer, Asked, Mode, Status};
use model::decision::Need;
use model::event::Event;
use model::id::{ApprovalId, Digest, RevisionId, SessionId};
use model::subject::SubjectKey;
use store::approval::Limits;
use tempfile::TempDir;

use crate::world::World;

mod email;
mod hook;
mod slack;
mod teams;

/// How long anything may take that a test waits for.
const LIMIT: Duration = Duration::from_secs(20);

/// A question of `sluice|order-service` to `sluice|dba`.
fn asked(number: u64, statement: &str) -> Asked {
    let now = gateway::clock::now();
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Asked {
        request: SessionId::from_bits(9).request(number),
        subject: SubjectKey { issuer: "sluice".into(), id: "order-service".into() },
        on_behalf_of: vec![SubjectKey { issuer: "sluice".into(), id: "carol".into() }],
        target: "payments".into(),
        database: "payments".into(),
        statement: statement.into(),
        parameters: vec![],
        effects: vec!["delete table public.payments".into()],
        estimated_rows: Some(1),
        reason: Some("clean up".into()),
        needs: vec![Need {
            policy: "delete-needs-dba".into(),
            policy_digest: Digest([7; 32]),
            groups: vec!["sluice|dba".into()],
            quorum: 1,
        }],
        digest: Digest(digest),
        mode: Mode::Ticket,
        revision: RevisionId(1),
        asked_at: now,
        expires_at: now.plus_millis(60_000),
    }
}

impl World {
    /// Asks, as the gateway does: in state, and in the journal.
    fn put(&self, asked: Asked) -> ApprovalId {
        let id = ApprovalId::from_bits(u64::from_be_bytes(asked.digest.0[..8].try_into().unwrap()));
        let limits = Limits { pending_per_subject: 20_000, hourly_per_subject: 20_000, pending_total: 20_000 };
        self.node.state.ask(&asked, id, &limits).unwrap();
        self.node.recorder.note(Event::ApprovalAsked { approval: id, asked: Box::new(asked) });
        id
    }

    /// Takes a question back, as its requester does.
    fn take_back(&self, id: ApprovalId) {
        assert!(self.node.state.withdraw(id, "gone", gateway::clock::now()).unwrap());
        let reason = "gone".into();
        self.node.recorder.note(Event::ApprovalEnded { approval: id, status: Status::Withdrawn, reason });
    }

    /// What the journal has of answers to it.
    fn answers_to(&self, id: ApprovalId) -> Vec<Answer> {
        let answers = self.journal().into_iter().filter_map(|event| match event {
            Event::ApprovalAnswered { approval, answer } if approval == id => Some(answer),
            _ => None,
        });
        answers.collect()
    }
}

/// A file with a secret in it, as private as it has to be.
fn secret(dir: &TempDir, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    shown(&path)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Waits until this is true.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    testkit::wait::eventually(LIMIT, what, || std::future::ready(is_so().then_some(()))).await.unwrap();
}

fn dir() -> Arc<TempDir> {
    Arc::new(TempDir::new().unwrap())
}
