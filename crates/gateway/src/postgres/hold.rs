//! Asking a human: a hold, a ticket, a window (RULES.md 22-25).

use std::sync::Arc;

use effects::postgres::{Statement, TransactionStep};
use model::approval::{Asked, Consumed, Mode, Status};
use model::decision::Need;
use model::effect::{Effect, FunctionClass, Object, Verb};
use model::event::Event;
use model::id::{ApprovalId, Digest, RequestId};
use policy::{BoundTo, Parameter, approval_digest};
use store::approval::{AskError, Spending};
use store::window::WindowUse;
use tokio::time::Instant;
use wire::postgres::backend::TransactionStatus;
use wire::postgres::encode::Severity;
use wire::postgres::part::Format;

use super::analysed::{Analysed, Known};
use super::own::What;
use super::query::{Demand, Origin};
use super::refusal::{Refusal, Told};
use super::say;
use super::session::{Hold, Session, Stall};
use crate::clock;
use crate::recorder::entry;

/// What came of looking for an approval.
pub(super) enum Sought {
    /// One was spent on the request.
    Given(Consumed, Digest),
    /// There is none, and the request fails.
    Refused(Refusal),
    /// The connection waits.
    Waiting(Stall),
}

impl Session {
    /// Spends an approval on the request if there is one; asks for one otherwise.
    pub(super) fn seek(&mut self, demand: Demand<'_>, needs: &[Need]) -> Sought {
        if self.cancelled && self.held_request == Some(demand.request) {
            self.withdraw_holds("the requester cancelled");
            return self.hold_ended(Refusal::Cancelled);
        }
        let digest = self.digest(demand);
        match self.spend(demand, needs, digest) {
            Ok(Some(consumed)) => {
                self.held = None;
                self.held_request = None;
                self.node.metrics.approvals_consumed.inc();
                Sought::Given(consumed, digest)
            }
            Ok(None) => self.wait_for_answer(demand, needs, digest),
            Err(error) => {
                tracing::error!(%error, "the approval store cannot be used");
                Sought::Refused(Refusal::ApprovalsUnavailable)
            }
        }
    }

    fn spend(&self, demand: Demand<'_>, needs: &[Need], digest: Digest) -> Result<Option<Consumed>, store::Error> {
        let Demand { request, known, origin, .. } = demand;
        let (session, now) = (self.caller.session, clock::now());
        let state = &self.node.state;
        blocking(|| {
            let spent = state.consume(&Spending { digest, needs, session, request, now })?;
            if spent.is_some() {
                return Ok(spent);
            }
            let effects: Vec<_> =
                known.analysed.statements.iter().flat_map(|statement| statement.effects.iter().cloned()).collect();
            state.consume_window(&WindowUse {
                subject: &self.caller.subject.key,
                on_behalf_of: &self.chain(origin),
                target: &self.place.model.name,
                database: &self.place.database,
                effects: &effects,
                needs,
                digest,
                session,
                request,
                now,
            })
        })
    }

    /// A hold that was begun goes on or is over; otherwise one is begun, or a ticket is written.
    fn wait_for_answer(&mut self, demand: Demand<'_>, needs: &[Need], digest: Digest) -> Sought {
        let request = demand.request;
        if let Some((held, until)) = self.held.filter(|_| self.held_request == Some(request)) {
            return self.still_held(held, until);
        }
        let quiet = self.is_at_rest_but_for_text() && !self.awaiting_sync;
        if let Some(text) = self.estimable(demand.known).filter(|_| quiet) {
            self.start_own(What::Estimate(&text));
            return Sought::Waiting(Stall::Own);
        }
        let waits = self.may_wait();
        let asked = self.asked(demand, needs, digest, waits);
        let fresh = match clock::random_bits() {
            Ok(bits) => ApprovalId::from_bits(bits),
            Err(_) => return Sought::Refused(Refusal::ApprovalsUnavailable),
        };
        // Approvers see all of it, and so does the record, or nobody is asked.
        let question = entry(Event::ApprovalAsked { approval: fresh, asked: Box::new(asked.clone()) });
        if !ledger::fits(&question) {
            return Sought::Refused(Refusal::TooLongToRecord);
        }
        let limits = self.node.approval_limits();
        let asked_for = match blocking(|| self.node.state.ask(&asked, fresh, &limits)) {
            Ok(asked_for) => asked_for,
            Err(AskError::TooManyOfSubject { .. } | AskError::TooMany(_)) => {
                return Sought::Refused(Refusal::TooManyPending);
            }
            Err(error) => {
                tracing::error!(%error, "an approval cannot be asked for");
                return Sought::Refused(Refusal::ApprovalsUnavailable);
            }
        };
        let approval = asked_for.id;
        // State has changed: what it is now is kept for the journal, whatever becomes of the request's own entries.
        self.node.recorder.note_outdated(&asked_for);
        if asked_for.is_new {
            self.node.metrics.approvals_asked.inc();
            self.node.recorder.note(Event::ApprovalAsked { approval, asked: Box::new(asked) });
        }
        if asked_for.mode != Mode::Hold || !waits {
            let groups = groups(needs);
            return Sought::Refused(Refusal::Ticket(approval, groups.into()));
        }
        let until = Instant::now() + self.node.config.approvals.hold_max;
        self.held = Some((approval, until));
        self.held_request = Some(request);
        self.tell_waiting(request, approval, needs);
        Sought::Waiting(self.hold(approval, until))
    }

    /// The statement, if the target can be asked what it expects of it and was not yet: one statement, where nothing of a
    /// pipeline has been run and a question that fails costs no more than the statement would. Planning runs what says that
    /// it is immutable (constants are folded), so that a statement which calls anything but safe functions is not asked
    /// about.
    pub(super) fn estimable(&self, known: &Known) -> Option<String> {
        let [statement] = known.analysed.statements.as_slice() else { return None };
        let plannable = matches!(&*statement.facts.kind, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE")
            && statement.parameters.is_empty();
        let quiet = self.script.is_none() && !self.in_pipeline && !self.cannot_read();
        let only_computes = |effect: &Effect| {
            effect.verb != Verb::Execute || matches!(effect.object, Object::Function(_, FunctionClass::Safe))
        };
        let harmless = !statement.is_opaque() && statement.effects.iter().all(only_computes);
        let asks = self.estimate.is_none() && plannable && quiet && harmless;
        let text = asks.then(|| known.analysed.text.get(statement.range.clone())).flatten()?;
        Some(text.trim().trim_end_matches(';').to_owned())
    }

    /// Whether no portal waits for a Sync that would end it.
    pub(super) fn is_unbound(&self) -> bool {
        !self.awaiting_sync || self.runs.is_empty()
    }

    fn hold(&self, approval: ApprovalId, until: Instant) -> Stall {
        Stall::Hold(Hold { approval, until, changes: self.node.state.subscribe() })
    }

    /// Looks where a held request's approval stands.
    fn still_held(&mut self, held: ApprovalId, until: Instant) -> Sought {
        // Subscribed before the look, so that nothing is missed in between.
        let stall = self.hold(held, until);
        let stands = blocking(|| self.node.state.approval(held));
        let status = match stands {
            Ok(Some(approval)) => approval.status,
            Ok(None) | Err(_) => return self.hold_ended(Refusal::ApprovalsUnavailable),
        };
        match status {
            Status::Denied => self.hold_ended(Refusal::ApprovalDenied(held)),
            Status::Withdrawn | Status::Expired | Status::Consumed => self.hold_ended(Refusal::HoldOver(held)),
            Status::Pending | Status::Approved if Instant::now() >= until => {
                match blocking(|| self.node.state.make_ticket(held)) {
                    Ok(true) => self.node.recorder.note(Event::HoldBecameTicket { approval: held }),
                    Ok(false) => {}
                    Err(error) => tracing::error!(%error, "a hold cannot become a ticket"),
                }
                self.hold_ended(Refusal::HoldOver(held))
            }
            Status::Pending | Status::Approved => Sought::Waiting(stall),
        }
    }

    fn hold_ended(&mut self, refusal: Refusal) -> Sought {
        self.held = None;
        self.held_request = None;
        self.cancelled = false;
        Sought::Refused(refusal)
    }

    /// A connection may wait only where nothing else waits for it: outside a transaction, with nothing pipelined.
    fn may_wait(&self) -> bool {
        self.pipeline.status() == TransactionStatus::Idle
            && !self.is_beginning()
            && !self.in_pipeline
            && !self.node.config.approvals.hold_max.is_zero()
    }

    /// Whether a transaction begins with what is under way: nobody may wait in it.
    fn is_beginning(&self) -> bool {
        let begins = |statement: &Statement| statement.transaction == Some(TransactionStep::Begin);
        self.runs.values().any(|run| run.executed && run.analysed.statements.iter().any(begins))
    }

    fn asked(&self, demand: Demand<'_>, needs: &[Need], digest: Digest, waits: bool) -> Asked {
        let Demand { request, known, bound, origin } = demand;
        let now = clock::now();
        let ttl = known.judged.verdict.approval_ttl().min(self.node.config.approvals.ticket_ttl);
        let values = self.shown_values(&known.analysed, bound);
        Asked {
            request,
            subject: self.caller.subject.key.clone(),
            on_behalf_of: self.chain(origin),
            target: Arc::clone(&self.place.model.name),
            database: Arc::clone(&self.place.database),
            statement: self.whole_text(&known.analysed),
            parameters: values.iter().map(|value| crate::session_tape::shown_text(value).into_owned()).collect(),
            effects: known
                .analysed
                .statements
                .iter()
                .flat_map(|statement| statement.effects.iter().map(ToString::to_string))
                .collect(),
            estimated_rows: self.estimate.flatten(),
            reason: self.caller.reason.as_deref().map(str::to_owned),
            needs: needs.to_vec(),
            digest,
            mode: if waits { Mode::Hold } else { Mode::Ticket },
            revision: self.active.id,
            asked_at: now,
            expires_at: now.plus_millis(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The text as the approver may see it, with what the names stand for that it goes by.
    fn whole_text(&self, analysed: &Analysed) -> String {
        let named = analysed.named.iter().flatten().map(|named| self.masked_text(named));
        std::iter::once(self.masked_text(analysed)).chain(named).collect::<Vec<_>>().join("\n")
    }

    /// The delegation behind a request: its own user with everybody behind that one, then the session's chain.
    fn chain(&self, origin: &Origin) -> Vec<model::subject::SubjectKey> {
        let own = self.user_of(origin).into_iter().flat_map(|user| user.identities());
        own.chain(&self.caller.subject.on_behalf_of).cloned().collect()
    }

    fn digest(&self, demand: Demand<'_>) -> Digest {
        let Demand { known, bound, origin, .. } = demand;
        let chain = self.chain(origin);
        // A text that goes by names is only as much as what they stand for.
        let named = known.analysed.named.iter().flatten().map(|named| &*named.text);
        let statements: Vec<&str> = std::iter::once(&*known.analysed.text).chain(named).collect();
        let parameters: Vec<Parameter<'_>> = bound
            .values
            .iter()
            .enumerate()
            .map(|(index, value)| Parameter {
                type_oid: bound.types.get(index).copied().unwrap_or(0),
                format: if bound.formats.of(index) == Format::Binary { 1 } else { 0 },
                value,
            })
            .collect();
        let parts = self.followed.as_ref().map(super::follow::Followed::parts);
        approval_digest(&BoundTo {
            subject: &self.caller.subject.key,
            on_behalf_of: &chain,
            target: &self.place.model.name,
            database: &self.place.database,
            statements: &statements,
            parameters: &parameters,
            state: parts.as_ref().map_or(&[], |parts| parts.as_slice()),
        })
    }

    /// Tells the client that it waits, for whom, and how to give up.
    fn tell_waiting(&mut self, request: RequestId, approval: ApprovalId, needs: &[Need]) {
        let told = Told {
            sqlstate: "00000",
            message: format!("waiting for approval {approval} by {}", groups(needs)),
            detail: Some(format!("Request {request}.")),
            hint: Some(format!("An approver runs: sluice approvals show {approval}")),
        };
        let mut message = Vec::new();
        say::report(&mut message, Severity::Notice, &told);
        if self.outbox.own(&message).is_err() {
            tracing::error!(%request, "a notice could not be composed");
        }
    }

    /// Ends every hold of this session.
    pub(super) fn withdraw_holds(&mut self, reason: &str) {
        if self.held.take().is_none() {
            return;
        }
        let session = self.caller.session;
        match blocking(|| self.node.state.withdraw_session(session, reason, clock::now())) {
            Ok(ended) => ended.into_iter().for_each(|approval| {
                let status = Status::Withdrawn;
                self.node.recorder.note(Event::ApprovalEnded { approval, status, reason: reason.into() });
            }),
            Err(error) => tracing::error!(%error, "holds cannot be withdrawn"),
        }
    }
}

/// Who has to agree, for people.
fn groups(needs: &[Need]) -> String {
    let each = needs.iter().map(|need| {
        let groups = need.groups.iter().map(|group| &**group).collect::<Vec<_>>().join(" or ");
        if need.quorum > 1 { format!("{} of {groups}", need.quorum) } else { groups }
    });
    each.collect::<Vec<_>>().join(" and ")
}

/// Runs a short blocking call of the store on this thread, letting the runtime move other tasks away first.
fn blocking<T>(call: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(call)
}
