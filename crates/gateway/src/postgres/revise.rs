//! What a new revision, or new groups, change for a live session (RULES.md 13).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use effects::postgres::Statement;
use masking::Lens;
use model::class::{Labels, Marking, Transform};
use model::decision::Outcome;
use model::effect::ColumnName;
use model::subject::Subject;
use policy::SubjectPolicies;
use tokio::time::Instant;

use super::analysed::Memo;
use super::catalogs::Snapshot;
use super::end::End;
use super::refusal::Refusal;
use super::server::Server;
use super::session::{Owed, Place, Relay, Session};
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
    let context = policy::Context::at_the_start(subject, source, crate::clock::now());
    let bench = place.bench(policies, &labels);
    bench.lens(&node.mask_keys, &active.classification, place.server.postgres.on_unmaskable, &context)
}

/// What masks were made by before a revision.
struct Before {
    labels: Arc<Labels>,
    lens: Arc<Lens>,
}

/// Whether the mask that a policy names now hides more than the one that it named. Against the class's own, which none
/// named, it is taken to.
fn is_stricter(now: &Option<Transform>, was: &Option<Transform>) -> bool {
    match (now, was) {
        (Some(now), Some(was)) => now.strictness() > was.strictness(),
        (now, was) => now != was,
    }
}

/// Whether a column that was public is not any more: its text is searched from now on.
fn closes(statements: &[Statement], before: &Labels, now: &Labels) -> bool {
    let is_touched = |column: &ColumnName| {
        let touches = |statement: &Statement| {
            statement.mentions.anything || statement.mentions.tables.iter().any(|table| *table == column.table)
        };
        statements.iter().any(touches)
    };
    let public = before.columns.iter().filter(|(_, marking)| **marking == Marking::Public).map(|(column, _)| column);
    public.into_iter().any(|column| *now.marking(column) != Marking::Public && is_touched(column))
}

impl Session {
    /// What is classified, as this session sees its database.
    pub(super) fn labels(&self) -> Arc<Labels> {
        self.catalog.labels(&self.active, &self.place.model.name)
    }

    /// Takes up a revision: everything is judged anew from the next message on, and what runs is cut if the revision
    /// denies it or masks more of it.
    pub(super) fn take_revision(&mut self) -> Result<(), End> {
        if self.node.revisions.is_in_force(self.active.id) {
            return Ok(());
        }
        let active = self.node.revisions.current();
        let before = &self.place.server.config;
        let is_same = |server: &Server| server.config.host == before.host && server.config.port == before.port;
        let server = active.targets.get(&self.place.model.name).and_then(Server::of);
        let Some(server) = server.filter(is_same) else {
            return Err(End::Administrator("the target is no longer configured"));
        };
        self.place.model = Arc::new(server.config.target.clone());
        self.place.server = server;
        self.adopt(active);
        Ok(())
    }

    /// Judges by this revision, and by the subject's present groups, from now on.
    pub(super) fn adopt(&mut self, active: Arc<Active>) {
        let before = Before { labels: self.labels(), lens: Arc::clone(&self.lens) };
        self.active = active;
        self.policies = self.active.policies_for(&self.caller.subject);
        self.wall.wanted = !self.policies.may_write(&self.place.model.name, &self.place.database);
        let (subject, source) = (&self.caller.subject, self.caller.source);
        self.lens = lens(&self.node, &self.active, &self.policies, &self.place, &self.catalog, subject, source);
        self.outbox.set_lens(Arc::clone(&self.lens));
        self.epoch.revision = self.active.id;
        self.epoch.state += 1;
        self.memo = Memo::default();
        self.retry_held();
        self.cut_what_may_not_go_on(&before);
    }

    fn cut_what_may_not_go_on(&mut self, before: &Before) {
        let cut = self.runs.keys().copied().filter(|number| self.must_be_cut(*number, before));
        let cut: BTreeSet<u64> = cut.collect();
        for number in &cut {
            if let Some(run) = self.runs.get_mut(number) {
                run.cut.get_or_insert_with(Instant::now);
            }
        }
        self.cut |= !cut.is_empty();
        let staged = self.staged.iter().filter_map(|staged| staged.sent.as_ref()).map(|(_, owed)| owed);
        let sent = self.pipeline.iter_mut().map(|(_, owed)| &*owed);
        let runs =
            |owed: &Owed| matches!(owed, Owed::Relay(Relay { run: Some(run), ends: true, .. }) if cut.contains(run));
        if sent.chain(staged).any(runs) {
            self.cancel_at_target();
        }
    }

    /// Whether what was sent to run is denied now, or its rows would be masked more.
    fn must_be_cut(&self, number: u64, before: &Before) -> bool {
        let Some(run) = self.runs.get(&number).filter(|run| run.executed) else { return false };
        let judged = self.judged_by(&run.analysed, None, run.judged.estimated_rows);
        let asks_more = judged.verdict.outcome() == Outcome::Ask && run.approval.is_none();
        let masks = run.plan.is_some() || run.copy.is_some();
        let masks_more = || {
            self.masks_more(number)
                || self.lens.hides_more_than(&before.lens)
                || closes(&run.analysed.statements, &before.labels, &self.labels())
        };
        judged.verdict.outcome() == Outcome::Deny || asks_more || (masks && masks_more())
    }

    /// Whether the classes that the request touches may be seen less than when it was forwarded. The plan in hand was
    /// made then; a request that touches nothing hidden either way goes on.
    fn masks_more(&self, number: u64) -> bool {
        let Some(run) = self.runs.get(&number) else { return false };
        let now = self.judged_by(&run.analysed, None, run.judged.estimated_rows);
        let was = &run.judged;
        let is_stricter = |(classified, mask)| was.hidden.get(classified).is_none_or(|was| is_stricter(mask, was));
        (now.hides && !was.hides) || now.hidden.iter().any(is_stricter)
    }

    /// Decides a bound portal again if a revision came in since: the reason to refuse it, if there is one.
    pub(super) fn reconsider(&self, number: u64) -> Option<Refusal> {
        let run = self.runs.get(&number)?;
        if run.cut.is_some() {
            return Some(Refusal::Cut);
        }
        if run.analysed.epoch.revision == self.active.id || run.revision == self.active.id {
            return None;
        }
        let judged = self.judged_by(&run.analysed, None, run.judged.estimated_rows);
        let allowed = judged.verdict.outcome() == Outcome::Allow
            || (judged.verdict.outcome() == Outcome::Ask
                && run.approval.is_some()
                && judged.verdict.needs() == run.judged.verdict.needs());
        (!allowed || self.masks_more(number)).then_some(Refusal::Cut)
    }
}
