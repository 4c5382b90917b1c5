//! A decision, with all of it in the journal before anything goes on.

use std::sync::Arc;
use std::time::Instant;

use ledger::Level;
use model::approval::Consumed;
use model::decision::{Denial, Need, Outcome};
use model::disclosure::Disclosure;
use model::effect::Verb;
use model::event::{Entry, Event};
use model::id::{ApprovalId, Digest};
use model::lineage::Output;
use policy::{Approved, Decision, Permit, Verdict};

use super::asking::{ask_for_ticket, digest, spend};
use super::{Decides, Go, Matter, Place, Refused, Standing, judge};
use crate::explained::{fit, statement_id, within_an_entry};
use crate::node::Node;
use crate::recorder::entry;
use crate::threads::may_block;

/// Decides a request, asking nobody: what needs an approval is a ticket. Everything of it is in the journal when this returns.
///
/// # Errors
/// Why it does not go on.
pub(crate) async fn decide<S: Decides>(session: &S, matter: Matter<'_>) -> Result<Go, Refused> {
    let standing = session.standing();
    decide_as(&Judged { session, standing: &standing, matter, verdict: &judge(session, &standing, matter) }).await
}

/// Likewise, where it is judged already.
///
/// # Errors
/// As [`decide`].
pub(super) async fn decide_as<S: Decides>(judged: &Judged<'_, S>) -> Result<Go, Refused> {
    let Judged { session, standing, matter, verdict } = *judged;
    if session.seat().over.is_cancelled() {
        return Err(judged.refused(Refused::Gone).await);
    }
    match policy::decide(verdict, matter.request, None, standing.recording(matter)) {
        Decision::Allow(permit) => judged.permitted(permit, None).await,
        Decision::Deny(denial) => Err(judged.denied(denial).await),
        Decision::Ask(needs) => match spend(session, standing, matter, &needs) {
            Ok(Some(consumed)) => judged.approved(&needs, &consumed).await,
            Ok(None) => Err(judged.refused(ask_for_ticket(judged, &needs)).await),
            Err(refused) => Err(judged.refused(refused).await),
        },
    }
}

/// Refuses a request for what no policy is asked about.
pub(crate) async fn refuse<S: Decides>(
    session: &S,
    standing: &Standing<S::Place>,
    matter: Matter<'_>,
    verdict: &Verdict,
    refused: Refused,
) -> Refused {
    Judged { session, standing, matter, verdict }.refused(refused).await
}

/// Journals how a request ended that went on.
pub(crate) fn complete(node: &Node, go: &Go, disclosure: Disclosure, error: Option<Arc<str>>) {
    let (request, millis) = (go.request(), u64::try_from(go.began.elapsed().as_millis()).unwrap_or(u64::MAX));
    node.metrics.disclosed(&disclosure);
    node.recorder.note(Event::Completed { request, disclosure, error, millis });
    if let Some(approval) = go.approval {
        let done = may_block(true, || node.state.completed(approval, request));
        if let Err(error) = done {
            tracing::error!(%error, %request, "that an approved request ended cannot be noted");
        }
    }
}

/// A request, and what policy says of it.
pub(super) struct Judged<'a, S: Decides> {
    pub(super) session: &'a S,
    pub(super) standing: &'a Standing<S::Place>,
    pub(super) matter: Matter<'a>,
    pub(super) verdict: &'a Verdict,
}

impl<S: Decides> Judged<'_, S> {
    /// Decides it with an approval that was spent on it.
    pub(super) async fn approved(&self, needs: &[Need], consumed: &Consumed) -> Result<Go, Refused> {
        self.session.seat().node.metrics.approvals_consumed.inc();
        let approved = Approved { consumed, asked: needs, digest: digest(self.standing, self.matter) };
        let recording = self.standing.recording(self.matter);
        match policy::decide(self.verdict, self.matter.request, Some(approved), recording) {
            Decision::Allow(permit) => self.permitted(permit, Some(consumed.approval())).await,
            Decision::Deny(denial) => Err(self.denied(denial).await),
            Decision::Ask(_) => Err(self.refused(Refused::ApprovalsUnavailable).await),
        }
    }

    pub(super) async fn permitted(&self, permit: Permit, approval: Option<ApprovalId>) -> Result<Go, Refused> {
        let (node, request) = (self.session.seat().node, self.matter.request);
        let statement = self.statement();
        let mut entries = self.introduced(statement);
        let is_new = !entries.is_empty();
        if !self.verdict.waived().is_empty() {
            let (subject, waived) = (self.standing.subject.key.clone(), self.verdict.waived().to_vec());
            tracing::warn!(%request, %subject, "break-glass");
            entries.push(entry(Event::BreakGlass { request, subject, waived }));
        }
        entries.extend(approval.map(|approval| entry(Event::ApprovalConsumed { approval, request })));
        entries.push(self.decided(statement, Outcome::Allow, None, approval));
        let receipts = node.recorder.record(entries, permit.level()).await?;
        if is_new {
            node.recorder.introduced([statement]);
        }
        node.metrics.decided(Outcome::Allow);
        let receipt = receipts.into_iter().next_back().ok_or(Refused::NotRecorded)?;
        Ok(Go { permit, receipt, approval, began: Instant::now() })
    }

    pub(super) async fn denied(&self, denial: Denial) -> Refused {
        self.refused(Refused::Denied(denial, self.verdict.lacks().cloned())).await
    }

    /// Journals that it was refused, and why.
    pub(super) async fn refused(&self, refused: Refused) -> Refused {
        let is_asked = matches!(refused, Refused::Ticket(..) | Refused::HoldOver(_));
        let outcome = if is_asked { Outcome::Ask } else { Outcome::Deny };
        let denial = match &refused {
            Refused::Denied(denial, _) => Some(denial.clone()),
            _ => None,
        };
        let node = self.session.seat().node;
        let statement = self.statement();
        let mut entries = self.introduced(statement);
        entries.push(self.decided(statement, outcome, denial, None));
        node.metrics.decided(outcome);
        // What is refused is not done, whether or not that can be recorded.
        match node.recorder.record(entries, Level::Process).await {
            Ok(_) => refused,
            Err(why) => why.into(),
        }
    }

    /// The entry that explains what is asked, unless the journal has it.
    fn introduced(&self, id: Digest) -> Vec<Entry> {
        let (place, matter) = (&self.standing.place, self.matter);
        if self.session.seat().node.recorder.knows(&id) {
            return Vec::new();
        }
        let event = Event::Statement {
            id,
            target: Arc::clone(&place.model().name),
            database: Arc::clone(place.database()),
            text: matter.statement.to_owned(),
            effects: matter.told.to_vec(),
            facts: matter.facts.clone(),
            output: self.output(),
        };
        vec![entry(fit(event))]
    }

    /// What is answered in a tunnel nobody sees. Of all else values are counted as they go out.
    fn output(&self) -> Output {
        let is_tunnel = self.matter.told.iter().any(|effect| effect.verb == Verb::Tunnel);
        if is_tunnel { Output::Unknown } else { Output::None }
    }

    fn statement(&self) -> Digest {
        let (place, matter) = (&self.standing.place, self.matter);
        let place = (&*place.model().name, &**place.database());
        statement_id(place, matter.statement, matter.told, matter.facts, &self.output())
    }

    fn decided(
        &self,
        statement: Digest,
        outcome: Outcome,
        denial: Option<Denial>,
        approval: Option<ApprovalId>,
    ) -> Entry {
        entry(Event::Decided {
            request: self.matter.request,
            statements: vec![statement],
            values: within_an_entry(self.matter.values.to_vec()),
            outcome,
            policies: self.verdict.policies().to_vec(),
            revision: self.standing.active.id,
            approval,
            denial,
            on_behalf_of: None,
            traceparent: self.matter.traceparent.map(Into::into),
        })
    }
}
