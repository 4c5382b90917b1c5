//! What a new revision, or new groups, change for a live session (RULES.md 13).

use std::net::IpAddr;
use std::sync::Arc;

use masking::Lens;
use model::class::Labels;
use model::decision::Outcome;
use model::subject::Subject;
use policy::SubjectPolicies;

use super::analysed::Memo;
use super::catalogs::Snapshot;
use super::end::End;
use super::refusal::Refusal;
use super::session::{Place, Session};
use crate::node::Node;
use crate::revision::Active;

/// What a subject may see at a target, under a revision.
pub(super) fn lens(
    node: &Node,
    active: &Active,
    policies: &SubjectPolicies,
    place: &Place,
    catalog: &Snapshot,
    subject: &Subject,
    source: IpAddr,
) -> Arc<Lens> {
    let labels = catalog.labels(active, &place.model.name);
    let context = super::lens::at_the_start(subject, source);
    let bench = place.bench(policies, &labels);
    bench.lens(&node.mask_keys, &active.classification, place.target.on_unmaskable, &context)
}

impl Session {
    /// What is classified, as this session sees its database.
    pub(super) fn labels(&self) -> Arc<Labels> {
        self.catalog.labels(&self.active, &self.place.model.name)
    }

    /// Takes up a revision: everything is judged anew from the next message on, and what runs is cut if the revision
    /// denies it or masks more of it.
    pub(super) async fn take_revision(&mut self) -> Result<(), End> {
        let active = self.node.revisions.current();
        if active.id == self.active.id {
            return Ok(());
        }
        let target = active.targets.get(&self.place.model.name).cloned();
        let Some(target) =
            target.filter(|target| target.host == self.place.target.host && target.port == self.place.target.port)
        else {
            return Err(End::Administrator("the target is no longer configured"));
        };
        self.place.model = Arc::new(target.target.clone());
        self.place.target = target;
        self.adopt(active);
        self.cut_what_may_not_go_on();
        Ok(())
    }

    /// Judges by this revision, and by the subject's present groups, from now on.
    pub(super) fn adopt(&mut self, active: Arc<Active>) {
        self.active = active;
        self.policies = Arc::new(self.active.policies.for_subject(&self.caller.subject));
        let (subject, source) = (&self.caller.subject, self.caller.source);
        self.lens = lens(&self.node, &self.active, &self.policies, &self.place, &self.catalog, subject, source);
        self.outbox.set_lens(Arc::clone(&self.lens));
        self.epoch.revision = self.active.id;
        self.epoch.state += 1;
        self.memo = Memo::default();
        self.retry_held();
    }

    fn cut_what_may_not_go_on(&mut self) {
        let numbers: Vec<u64> = self.runs.iter().filter(|(_, run)| run.executed).map(|(number, _)| *number).collect();
        let cut = numbers.into_iter().any(|number| self.must_be_cut(number));
        if cut {
            self.cut = true;
            self.cancel_at_target();
        }
    }

    /// Whether what runs is denied now, or its rows would be masked more.
    fn must_be_cut(&self, number: u64) -> bool {
        let Some(run) = self.runs.get(&number) else { return false };
        let judged = self.judged(&run.analysed, None);
        let asks_more = judged.verdict.outcome() == Outcome::Ask && run.approval.is_none();
        let masks = run.plan.is_some() || run.copy.is_some();
        judged.verdict.outcome() == Outcome::Deny || asks_more || (masks && self.masks_more(number))
    }

    /// Whether the classes that the request touches may be seen less than when it was forwarded. The plan in hand was
    /// made then; a request that touches nothing hidden either way goes on.
    fn masks_more(&self, number: u64) -> bool {
        let Some(run) = self.runs.get(&number) else { return false };
        let now = self.judged(&run.analysed, None);
        let was = &run.judged;
        (now.hides && !was.hides) || now.hidden.iter().any(|class| !was.hidden.contains(class))
    }

    /// Decides a bound portal again if a revision came in since: the reason to refuse it, if there is one.
    pub(super) fn reconsider(&self, number: u64) -> Option<Refusal> {
        let run = self.runs.get(&number)?;
        if run.analysed.epoch.revision == self.active.id || run.revision == self.active.id {
            return None;
        }
        let judged = self.judged(&run.analysed, None);
        let allowed = judged.verdict.outcome() == Outcome::Allow
            || (judged.verdict.outcome() == Outcome::Ask
                && run.approval.is_some()
                && judged.verdict.needs() == run.judged.verdict.needs());
        (!allowed || self.masks_more(number)).then_some(Refusal::Cut)
    }
}
