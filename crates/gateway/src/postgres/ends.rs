//! How requests end: what has changed, what the journal is told, and what becomes of messages that nobody answers.

use std::collections::HashSet;
use std::sync::Arc;

use effects::postgres::Statement;
use model::event::Event;
use wire::postgres::backend::{Backend, TransactionStatus};
use wire::postgres::pipeline::Sent;

use super::session::{Owed, Relay, Session};

impl Session {
    /// A statement of a request is complete: what it changes has changed.
    pub(super) fn statement_done(&mut self, run: Option<u64>) {
        let Some(run) = run.and_then(|run| self.runs.get_mut(&run)) else { return };
        let (analysed, at) = (Arc::clone(&run.analysed), run.at);
        run.at += 1;
        run.plan = None;
        let Some(statement) = analysed.statements.get(at) else { return };
        self.changed_by(statement);
        if let Some(change) = &statement.names {
            self.names.confirmed(change, &analysed, at);
        }
        if statement.is_opaque() {
            self.names.forget_sql();
        }
    }

    pub(super) fn changed_by(&mut self, statement: &Statement) {
        let changes = statement.changes;
        // What the transaction changed is over with it, or lasts in another way.
        let undone = self.transaction_changed && statement.ends_transaction();
        self.state_changed |= changes.state || undone;
        self.catalog_changed |= changes.catalog || changes.temporary || undone;
        // A new temporary schema changes the search path.
        self.state_changed |= changes.temporary;
        self.transaction_changed |= changes.state || changes.local || changes.catalog || changes.temporary;
    }

    /// The target waits for the next request.
    pub(super) fn ready(&mut self, status: TransactionStatus) {
        if status != TransactionStatus::Idle {
            self.end_what_has_no_name();
            return;
        }
        self.caller.local_user = None;
        self.transaction_hides = false;
        if std::mem::take(&mut self.transaction_changed) {
            self.state_changed = true;
            self.catalog_changed = true;
        }
        // With more in the pipeline, what is bound by now may belong to the next transaction.
        if self.pipeline.is_empty() && self.staged.is_empty() {
            self.names.transaction_ended();
            let numbers: Vec<u64> = self.runs.keys().copied().collect();
            numbers.into_iter().for_each(|number| self.end_run(number));
        }
    }

    /// In a long transaction, portals whose names are gone are gone as well: a Query drops the unnamed one.
    fn end_what_has_no_name(&mut self) {
        // Looked at when there are many, so that each costs little.
        if self.runs.len() <= 64 + 2 * self.pipeline.len() || !self.staged.is_empty() {
            return;
        }
        let owed = self.pipeline.iter_mut().filter_map(|(_, owed)| match owed {
            Owed::Relay(relay) => relay.run,
            Owed::Refused(_) | Owed::Replaced(_) | Owed::Own | Owed::OwnDescribe(_) => None,
        });
        let kept: HashSet<u64> = owed.chain(self.names.requests()).collect();
        let gone: Vec<u64> = self.runs.keys().copied().filter(|number| !kept.contains(number)).collect();
        gone.into_iter().for_each(|number| self.end_run(number));
    }

    /// The last reply to the message that ran a request has come.
    pub(super) fn run_finished(&mut self, number: u64, sent: Sent, message: &Backend<'_>) {
        if let Some(run) = self.runs.get(&number) {
            // What it touched may still come up when the transaction ends: deferred constraints.
            let open = sent == Sent::Execute || self.pipeline.status() != TransactionStatus::Idle;
            self.transaction_hides |= run.judged.hides && open;
        }
        let suspended = matches!(message, Backend::PortalSuspended);
        self.settled(number);
        if !suspended {
            self.end_run(number);
        } else if let Some(run) = self.runs.get_mut(&number) {
            // The portal goes on with the next Execute.
            run.executed = sent == Sent::Execute;
        }
    }

    pub(super) fn settled(&mut self, number: u64) {
        if self.copy_starting == Some(number) {
            self.copy_starting = None;
        }
        if let Some(run) = self.runs.get_mut(&number)
            && std::mem::take(&mut run.unsettled)
        {
            self.unsettled = self.unsettled.saturating_sub(1);
            if run.error.is_some() {
                // It failed on the way: what of it took effect is not known.
                self.state_changed |= run.analysed.statements.iter().any(|statement| statement.changes.state);
            }
        }
    }

    /// Notes in the journal how a request ended.
    pub(super) fn end_run(&mut self, number: u64) {
        self.settled(number);
        if self.accounted == Some(number) {
            self.settle_account();
            self.accounted = None;
        }
        let Some(run) = self.runs.remove(&number) else { return };
        self.receipts.remove(&number);
        self.cut = self.cut && self.runs.values().any(|run| run.cut.is_some());
        let millis = u64::try_from(run.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let error = run.error.or_else(|| (!run.executed).then(|| "not run".into()));
        self.node.recorder.note(Event::Completed { request: run.id, disclosure: run.disclosure, error, millis });
        if let Some(approval) = run.approval {
            let (state, request) = (Arc::clone(&self.node.state), run.id);
            tokio::task::block_in_place(|| {
                if let Err(error) = state.completed(approval, request) {
                    tracing::error!(%error, %approval, "the use of an approval cannot be completed");
                }
            });
        }
    }

    /// Ends every request: the session is over. What was sent and not answered has an unknown end, so it is not
    /// reported complete.
    pub(super) fn end_all_runs(&mut self) {
        let numbers: Vec<u64> = self.runs.keys().copied().collect();
        for number in numbers {
            let unanswered = self.runs.get(&number).is_some_and(|run| run.executed && run.error.is_none());
            if !unanswered {
                self.end_run(number);
            }
        }
    }

    /// An entry that will never be answered.
    pub(super) fn forget(&mut self, owed: Owed) {
        match owed {
            Owed::Relay(relay) => self.dropped(relay),
            Owed::Own => self.own_dropped(),
            Owed::Refused(_) | Owed::Replaced(_) | Owed::OwnDescribe(..) => {}
        }
    }

    /// The target did what a message said.
    pub(super) fn answered(&mut self, relay: &Relay) {
        if let Some(change) = &relay.change {
            self.names.answered(change).into_iter().for_each(|gone| self.end_run(gone));
        }
        self.unsettled = self.unsettled.saturating_sub(usize::from(relay.settles));
    }

    /// A message that the target skipped or refused: what it did to names is undone, and what it was to run did not run.
    pub(super) fn dropped(&mut self, relay: Relay) {
        self.unsettled = self.unsettled.saturating_sub(usize::from(relay.settles));
        if let Some(change) = relay.change {
            self.names.undo(&change);
            // A Bind that was skipped made no portal, so its request is over.
            if let Some(run) = relay.run {
                self.end_run(run);
            }
        } else if let (Some(run), true) = (relay.run, relay.ends) {
            if let Some(run) = self.runs.get_mut(&run) {
                run.executed = false;
            }
            self.end_run(run);
        }
    }
}
