//! Asking a human for an approval, and spending one (RULES.md 22-25).

use std::sync::Arc;

use model::approval::{Asked, Consumed, Mode, Status};
use model::decision::Need;
use model::event::Event;
use model::id::{ApprovalId, Digest};
use policy::{BoundTo, approval_digest};
use store::approval::{AskError, Spending};
use store::window::WindowUse;

use super::record::Judged;
use super::{Decides, Matter, Place, Refused, Standing, groups};
use crate::clock;
use crate::node::Node;
use crate::recorder::entry;
use crate::threads::may_block;

/// What an approval of it is bound to.
pub(super) fn digest<P: Place>(standing: &Standing<P>, matter: Matter<'_>) -> Digest {
    approval_digest(&BoundTo {
        subject: &standing.subject.key,
        on_behalf_of: &standing.subject.on_behalf_of,
        target: &standing.place.model().name,
        database: standing.place.database(),
        statements: matter.exact,
        parameters: &[],
        state: matter.state,
    })
}

/// Spends an approval, or a window, on the request, if there is one.
pub(super) fn spend<S: Decides>(
    session: &S,
    standing: &Standing<S::Place>,
    matter: Matter<'_>,
    needs: &[Need],
) -> Result<Option<Consumed>, Refused> {
    let (digest, request, now) = (digest(standing, matter), matter.request, clock::now());
    let (state, session) = (&session.seat().node.state, session.seat().id);
    let spent = may_block(true, || {
        let spent = state.consume(&Spending { digest, needs, session, request, now })?;
        if spent.is_some() {
            return Ok(spent);
        }
        state.consume_window(&WindowUse {
            subject: &standing.subject.key,
            on_behalf_of: &standing.subject.on_behalf_of,
            target: &standing.place.model().name,
            database: standing.place.database(),
            effects: matter.effects,
            needs,
            digest,
            session,
            request,
            now,
        })
    });
    spent.map_err(|error: store::Error| {
        tracing::error!(%error, "the approval store cannot be used");
        Refused::ApprovalsUnavailable
    })
}

/// Asks for an approval that a later request may use.
pub(super) fn ask_for_ticket<S: Decides>(judged: &Judged<'_, S>, needs: &[Need]) -> Refused {
    match ask(judged, needs, Mode::Ticket) {
        Ok((approval, _)) => Refused::Ticket(approval, groups(needs).into()),
        Err(refused) => refused,
    }
}

/// Asks for an approval; how it was asked for, if it was before.
pub(super) fn ask<S: Decides>(
    judged: &Judged<'_, S>,
    needs: &[Need],
    mode: Mode,
) -> Result<(ApprovalId, Mode), Refused> {
    let node = judged.session.seat().node;
    let asked = asked(judged, needs, mode);
    let fresh = clock::random_bits().map(ApprovalId::from_bits).map_err(|_| Refused::ApprovalsUnavailable)?;
    // Approvers see all of it, and so does the record, or nobody is asked.
    let question = entry(Event::ApprovalAsked { approval: fresh, asked: Box::new(asked.clone()) });
    if !ledger::fits(&question) {
        return Err(Refused::TooLongToRecord);
    }
    let limits = node.approval_limits();
    let asked_for = may_block(true, || node.state.ask(&asked, fresh, &limits)).map_err(|error| match error {
        AskError::TooManyOfSubject { .. } | AskError::TooMany(_) => Refused::TooManyPending,
        error => {
            tracing::error!(%error, "an approval cannot be asked for");
            Refused::ApprovalsUnavailable
        }
    })?;
    let approval = asked_for.id;
    node.recorder.note_outdated(&asked_for);
    if asked_for.is_new {
        node.metrics.approvals_asked.inc();
        node.recorder.note(Event::ApprovalAsked { approval, asked: Box::new(asked) });
    }
    let mode = if mode == Mode::Hold { asked_for.mode } else { mode };
    Ok((approval, mode))
}

fn asked<S: Decides>(judged: &Judged<'_, S>, needs: &[Need], mode: Mode) -> Asked {
    let Judged { standing, matter, verdict, .. } = judged;
    let now = clock::now();
    let ttl = verdict.approval_ttl().min(judged.session.seat().node.config.approvals.ticket_ttl);
    let beside = matter.beside.iter().map(|text| (*text).to_owned());
    let state = matter.state.iter().map(|(name, value)| format!("{name}={value}"));
    Asked {
        request: matter.request,
        subject: standing.subject.key.clone(),
        on_behalf_of: standing.subject.on_behalf_of.clone(),
        target: Arc::clone(&standing.place.model().name),
        database: Arc::clone(standing.place.database()),
        statement: matter.shown.to_owned(),
        parameters: beside.chain(state).collect(),
        effects: matter.told.iter().map(ToString::to_string).collect(),
        estimated_rows: None,
        reason: matter.reason.map(str::to_owned),
        needs: needs.to_vec(),
        digest: digest(standing, *matter),
        mode,
        revision: standing.active.id,
        asked_at: now,
        expires_at: now.plus_millis(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// Takes a question back.
pub(super) fn withdraw(node: &Node, approval: ApprovalId, reason: &str) {
    match may_block(true, || node.state.withdraw(approval, reason, clock::now())) {
        Ok(true) => {
            let status = Status::Withdrawn;
            node.recorder.note(Event::ApprovalEnded { approval, status, reason: reason.into() });
        }
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "a hold cannot be withdrawn"),
    }
}
