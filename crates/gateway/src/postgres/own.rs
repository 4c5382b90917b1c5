//! What Sluice reads on the session's own connection: the followed state, and the session's own objects.
//!
//! The reads are extended-protocol messages under a reserved name, so that they neither disturb the client's unnamed
//! statement nor end the transaction of its pipeline. At rest they end with a Sync of their own.

use std::sync::Arc;
use std::time::Instant;

use effects::postgres::{Catalog, PartBuilder, queries};
use ledger::Level;
use model::event::Event;
use policy::{OwnStatement, Permit, ProtocolAct};
use wire::postgres::backend::{Backend, TransactionStatus};
use wire::postgres::frame::FrontendTag;
use wire::postgres::frontend::ObjectKind;
use wire::postgres::pipeline::Sent;

use super::catalogs::Snapshot;
use super::follow::{Followed, READ_STATE};
use super::refusal::Refusal;
use super::say;
use super::session::{Owed, Session};
use super::staging::{Staged, Substitute};
use super::wall::{READ_ONLY, READ_WRITE, READ_WRITE_ONCE};
use crate::recorder::entry;

/// The most rows that one of Sluice's own reads may bring.
const MOST_ROWS: usize = 2_000_000;

/// A read in flight.
pub(super) struct OwnRead {
    what: Reading,
    /// Replies that are still to come.
    outstanding: usize,
    rows: usize,
    failed: bool,
}

enum Reading {
    State(Vec<Vec<Option<String>>>),
    /// The users' part of the catalog, and which of its queries is being answered.
    Objects(Box<PartBuilder>, usize),
    /// Nothing: transactions begin read-only from now on, or do not.
    ReadOnly(bool),
    /// Nothing: the open transaction may write from now on.
    ReadWriteOnce,
    /// The plan of a statement that a human is about to be asked for, as JSON.
    Plan(String),
}

/// What to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// How many rows the target expects this statement to touch.
    Estimate(&'a str),
    /// [`READ_STATE`].
    State,
    /// Nothing: the open transaction may write, if nothing was run in it yet.
    ReadWriteOnce,
    /// Nothing: whether transactions begin read-only is set. At rest alone.
    ReadOnly(bool),
    /// The catalog as this session sees it, its temporary and uncommitted objects included.
    Objects,
}

impl Session {
    /// Stages a read; the client's next message waits for it.
    pub(super) fn start_own(&mut self, what: What<'_>) {
        let (texts, name, reading) = match what {
            What::State => (vec![READ_STATE.to_owned()], OwnStatement::SessionState, Reading::State(Vec::new())),
            What::ReadOnly(on) => {
                let text = if on { READ_ONLY } else { READ_WRITE };
                (vec![text.to_owned()], OwnStatement::ReadOnly, Reading::ReadOnly(on))
            }
            What::ReadWriteOnce => (vec![READ_WRITE_ONCE.to_owned()], OwnStatement::ReadOnly, Reading::ReadWriteOnce),
            What::Objects => {
                let texts = queries::USER.iter().map(queries::Query::text).collect();
                (texts, OwnStatement::SessionObjects, Reading::Objects(Box::default(), 0))
            }
            What::Estimate(statement) => {
                let plan_of = format!("EXPLAIN (FORMAT JSON) {statement}");
                (vec![plan_of], OwnStatement::Explain, Reading::Plan(String::new()))
            }
        };
        self.entries.push(entry(Event::OwnStatement {
            session: Some(self.caller.session),
            target: Arc::clone(&self.place.model.name),
            database: Arc::clone(&self.place.database),
            name: name.as_str().into(),
        }));
        self.level = self.level.max(Level::Process);
        let (entry, before) = (self.entries.len().saturating_sub(1), self.staged.len());
        for text in texts {
            self.stage_own(name, Sent::Close, say::close(ObjectKind::Statement, say::OWN));
            self.stage_own(name, Sent::Parse, say::parse(say::OWN, &text, &[]));
            self.stage_own(name, Sent::Bind, say::bind(say::OWN, say::OWN));
            self.stage_own(name, Sent::Execute, say::execute(say::OWN));
            self.stage_own(name, Sent::Close, say::close(ObjectKind::Portal, say::OWN));
            self.stage_own(name, Sent::Close, say::close(ObjectKind::Statement, say::OWN));
        }
        let in_pipeline = self.awaiting_sync && !matches!(what, What::ReadOnly(_) | What::Estimate(_));
        if !in_pipeline {
            self.stage_own(name, Sent::Sync, say::sync());
        }
        let outstanding = self.staged.len() - before;
        if let Some(first) = self.staged.get_mut(before) {
            // All of them go with its receipt.
            first.entry = Some(entry);
        }
        if in_pipeline {
            self.stage_protocol(ProtocolAct::Flush, None, say::flush());
        }
        self.own = Some(OwnRead { what: reading, outstanding, rows: 0, failed: false });
    }

    fn stage_own(&mut self, name: OwnStatement, sent: Sent, bytes: bytes::Bytes) {
        let permit = Permit::own(name, self.caller.session.request(0));
        let sent = Some((sent, Owed::Own));
        self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Waiting });
    }

    /// Takes a reply to a read.
    pub(super) fn own_reply(&mut self, message: &Backend<'_>, finished: bool) {
        let Some(own) = &mut self.own else { return };
        match message {
            Backend::DataRow(values) => own.take_row(values.iter()),
            Backend::CommandComplete(_) => own.next_query(),
            Backend::ErrorResponse(_) => own.failed = true,
            _ => {}
        }
        if finished {
            own.outstanding = own.outstanding.saturating_sub(1);
        }
        if own.outstanding == 0 {
            self.own_finished();
        }
    }

    /// Replies to a read that will not come.
    pub(super) fn own_dropped(&mut self) {
        if let Some(own) = &mut self.own {
            own.failed = true;
            own.outstanding = own.outstanding.saturating_sub(1);
            if own.outstanding == 0 {
                self.own_finished();
            }
        }
    }

    fn own_finished(&mut self) {
        let Some(own) = self.own.take() else { return };
        let done = match own.what {
            Reading::Plan(plan) => {
                // No estimate is no reason not to ask.
                self.estimate = Some(estimated_rows(&plan).filter(|_| !own.failed));
                Some(())
            }
            Reading::ReadWriteOnce => {
                self.lowered_once(!own.failed);
                return;
            }
            _ if own.failed => None,
            Reading::State(rows) => self.take_state(&rows),
            Reading::ReadOnly(on) => {
                self.wall.stands = on;
                Some(())
            }
            Reading::Objects(part, _) => {
                self.take_objects(*part);
                Some(())
            }
        };
        if done.is_none() {
            self.own_failed();
        }
    }

    fn take_state(&mut self, rows: &[Vec<Option<String>>]) -> Option<()> {
        let mut followed = Followed::from_rows(rows).ok()?;
        if let Some(role) = &self.credential.role {
            followed.call_own(role.name());
        }
        self.state_changed = false;
        if self.wall.wanted {
            self.wall.stands = followed.read_only;
        }
        if self.followed.as_ref() != Some(&followed) {
            self.epoch.state += 1;
            self.followed = Some(followed);
        }
        Some(())
    }

    fn take_objects(&mut self, mut part: PartBuilder) {
        part.keep_views(&self.shared.catalog);
        part.keep_views(&self.catalog.catalog);
        let catalog = Catalog::new(self.catalog.catalog.system(), part.finish());
        self.catalog = Arc::new(Snapshot::of_session(Arc::new(catalog), self.shared.version.max(self.catalog.version)));
        self.overlay = true;
        self.overlay_at = Instant::now();
        self.catalog_changed = false;
        self.epoch.catalog += 1;
    }

    /// The read failed. At rest, the client's message is refused when it is looked at again; inside a pipeline the
    /// target now skips to the client's Sync, so the client is told at once.
    fn own_failed(&mut self) {
        self.followed = None;
        self.state_changed = true;
        self.own_unreadable = true;
        if self.pipeline.is_skipping() || self.awaiting_sync {
            let request = self.request();
            self.tell_error(&Refusal::CatalogUnavailable.tell(request));
            self.own_unreadable = false;
            // A script has yet to send its Sync.
            if self.script.is_none() {
                self.waiting = None;
                self.pending_request = None;
            }
        }
    }

    /// Gives up the message that waits for a read, and says what stands in for it.
    pub(super) fn refuse_waiting(&mut self) -> Substitute {
        self.pending_request = None;
        self.estimate = None;
        self.wall.lowered = false;
        if let Some(script) = &mut self.script {
            // It has yet to send its Sync.
            script.give_up();
            return Substitute::Parse;
        }
        let tag = self.waiting.take().and_then(|waiting| waiting.first().copied());
        match tag.and_then(FrontendTag::from_byte) {
            Some(FrontendTag::Query | FrontendTag::FunctionCall) => Substitute::Query,
            Some(_) | None => {
                self.awaiting_sync = true;
                Substitute::Parse
            }
        }
    }

    /// Whether the target is in a state in which nothing can be read.
    pub(super) fn cannot_read(&self) -> bool {
        self.pipeline.status() == TransactionStatus::Failed
    }
}

/// The rows that the plan's top node, or the node below a write, expects (EXPLAIN, "Plan Rows").
fn estimated_rows(plan: &str) -> Option<u64> {
    let plan: serde_json::Value = serde_json::from_str(plan).ok()?;
    let top = plan.get(0)?.get("Plan")?;
    let rows = |node: &serde_json::Value| node.get("Plan Rows").and_then(serde_json::Value::as_u64);
    let below = || top.get("Plans")?.get(0).and_then(rows);
    match top.get("Node Type").and_then(serde_json::Value::as_str) {
        Some("ModifyTable") => below(),
        Some(_) | None => rows(top),
    }
}

impl OwnRead {
    fn take_row<'v>(&mut self, values: impl Iterator<Item = Option<&'v [u8]>>) {
        self.rows += 1;
        if self.rows > MOST_ROWS {
            self.failed = true;
        }
        if self.failed {
            return;
        }
        let texts: Result<Vec<Option<&str>>, _> =
            values.map(|value| value.map(std::str::from_utf8).transpose()).collect();
        let Ok(row) = texts else {
            self.failed = true;
            return;
        };
        match &mut self.what {
            Reading::State(rows) => rows.push(row.iter().map(|value| value.map(str::to_owned)).collect()),
            Reading::ReadOnly(_) | Reading::ReadWriteOnce => {}
            Reading::Plan(plan) => plan.push_str(row.first().copied().flatten().unwrap_or_default()),
            Reading::Objects(part, at) => {
                let taken = queries::USER.get(*at).map(|query| part.row(query, &row));
                self.failed |= !matches!(taken, Some(Ok(())));
            }
        }
    }

    fn next_query(&mut self) {
        if let Reading::Objects(_, at) = &mut self.what {
            *at += 1;
        }
    }
}
