//! Waiting for a human: for the answer to a question, within the caller's own patience, or for somebody who observes
//! (RULES.md 22-25).

use std::sync::Arc;
use std::time::Duration;

use model::approval::{Mode, Status};
use model::decision::Outcome;
use model::event::Event;
use model::id::ApprovalId;
use policy::{Decision, Verdict};
use tokio::time::Instant;

use super::asking::{ask, spend, withdraw};
use super::record::{Judged, decide_as};
use super::{Decides, Go, Matter, Refused, Standing, groups, judge};
use crate::node::Node;
use crate::observers::Awaiting;
use crate::threads::may_block;

/// Whom a request waits for.
pub(crate) trait Waits {
    /// For how long it waits at most.
    fn patience(&self) -> Duration;
    /// Tells the caller that it waits, and for whom, in one line.
    fn tell(&mut self, line: String) -> impl Future<Output = ()> + Send;
    /// Ends when the caller waits no longer. Cancel safe.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}

/// As [`decide`], but a request that needs an approval, or somebody who observes it, waits for that.
///
/// # Errors
/// Why it does not go on.
pub(crate) async fn decide_patiently<S: Decides>(
    session: &S,
    matter: Matter<'_>,
    waits: &mut impl Waits,
) -> Result<Go, Refused> {
    let patience = waits.patience().min(session.seat().node.config.approvals.hold_max);
    let (standing, verdict) = wait_for_observer(session, matter, waits, patience).await;
    let judged = Judged { session, standing: &standing, matter, verdict: &verdict };
    if verdict.outcome() != Outcome::Ask || patience.is_zero() || session.seat().over.is_cancelled() {
        return decide_as(&judged).await;
    }
    let needs = judged.verdict.needs().to_vec();
    let refused = match spend(session, &standing, matter, &needs) {
        Ok(Some(consumed)) => return judged.approved(&needs, &consumed).await,
        Ok(None) => match ask(&judged, &needs, Mode::Hold) {
            Ok((approval, Mode::Hold)) => {
                let whom = groups(&needs);
                let how = format!("An approver runs: sluice approvals show {approval}");
                waits.tell(format!("sluice: waiting for approval {approval} by {whom}. {how}")).await;
                return hold(session, matter, approval, waits, Instant::now() + patience).await;
            }
            Ok((approval, _)) => Refused::Ticket(approval, groups(&needs).into()),
            Err(refused) => refused,
        },
        Err(refused) => refused,
    };
    Err(judged.refused(refused).await)
}

/// Waits until somebody observes what needs it. Returns what is judged then, and by what.
async fn wait_for_observer<S: Decides>(
    session: &S,
    matter: Matter<'_>,
    waits: &mut impl Waits,
    patience: Duration,
) -> (Arc<Standing<S::Place>>, Verdict) {
    let until = Instant::now() + patience;
    let mut changes = session.seat().standings.subscribe();
    let mut waiting = None;
    loop {
        changes.mark_unchanged();
        let standing = session.standing();
        let verdict = judge(session, &standing, matter);
        if verdict.awaits().is_empty() || Instant::now() >= until {
            return (standing, verdict);
        }
        if waiting.is_none() {
            let whom = groups(verdict.awaits());
            waiting = Some(Awaiting::begin(session.seat().signals, &whom));
            waits.tell(crate::observers::told(session.seat().id, "waiting for", &whom)).await;
        }
        tokio::select! {
            biased;
            () = waits.gone() => return (standing, verdict),
            () = session.seat().over.cancelled() => return (standing, verdict),
            changed = changes.changed() => if changed.is_err() { return (standing, verdict) },
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// Waits for the answer, and decides again under what holds then.
async fn hold<S: Decides>(
    session: &S,
    matter: Matter<'_>,
    approval: ApprovalId,
    waits: &mut impl Waits,
    until: Instant,
) -> Result<Go, Refused> {
    let node = session.seat().node;
    let (mut answers, mut standings) = (node.state.subscribe(), session.seat().standings.subscribe());
    loop {
        standings.mark_unchanged();
        let standing = session.standing();
        let judged = Judged { session, standing: &standing, matter, verdict: &judge(session, &standing, matter) };
        if session.seat().over.is_cancelled() {
            withdraw(node, approval, "the session ended");
            return Err(judged.refused(Refused::Gone).await);
        }
        let refused = match policy::decide(judged.verdict, matter.request, None, standing.recording(matter)) {
            Decision::Allow(permit) => {
                withdraw(node, approval, "no approval is needed any more");
                return judged.permitted(permit, None).await;
            }
            // Whoever observes may come back before the answer does.
            Decision::Deny(_) if !judged.verdict.awaits().is_empty() => stands(node, approval, until),
            Decision::Deny(denial) => {
                withdraw(node, approval, "it is denied now");
                Some(Refused::Denied(denial, judged.verdict.lacks().cloned()))
            }
            Decision::Ask(needs) => match spend(session, &standing, matter, &needs) {
                Ok(Some(consumed)) => return judged.approved(&needs, &consumed).await,
                Ok(None) => stands(node, approval, until),
                Err(refused) => Some(refused),
            },
        };
        if let Some(refused) = refused {
            return Err(judged.refused(refused).await);
        }
        let gone = tokio::select! {
            biased;
            () = waits.gone() => "the requester went away",
            () = session.seat().over.cancelled() => "the session ended",
            // One that was missed is looked for all the same.
            _ = answers.recv() => continue,
            changed = standings.changed() => match changed {
                Ok(()) => continue,
                Err(_) => "the session ended",
            },
            () = tokio::time::sleep_until(until) => continue,
        };
        withdraw(node, approval, gone);
        return Err(judged.refused(Refused::Gone).await);
    }
}

/// Why it waits no longer, if so.
fn stands(node: &Node, held: ApprovalId, until: Instant) -> Option<Refused> {
    let status = match may_block(true, || node.state.approval(held)) {
        Ok(Some(approval)) => approval.status,
        Ok(None) | Err(_) => return Some(Refused::ApprovalsUnavailable),
    };
    match status {
        Status::Denied => Some(Refused::ApprovalDenied(held)),
        Status::Withdrawn | Status::Expired | Status::Consumed => Some(Refused::HoldOver(held)),
        Status::Pending | Status::Approved if Instant::now() >= until => {
            match may_block(true, || node.state.make_ticket(held)) {
                Ok(true) => node.recorder.note(Event::HoldBecameTicket { approval: held }),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "a hold cannot become a ticket"),
            }
            Some(Refused::HoldOver(held))
        }
        Status::Pending | Status::Approved => None,
    }
}
