//! What is asked on a channel, as it is decided, and recorded on the tape.

use std::sync::Arc;

use effects::ssh::Request;
use model::disclosure::Disclosure;
use model::id::RequestId;
use policy::Verdict;

use super::refusal::Refusal;
use super::session::{Session, Standing};
use crate::deciding::{self, Go, Matter, Waits};

/// A request as it is decided.
#[derive(Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) request: RequestId,
    /// On which channel.
    pub(super) channel: u32,
    /// What it would do.
    pub(super) asked: &'a Request,
    /// All of it, byte for byte: what an approval is bound to.
    pub(super) exact: &'a [&'a str],
    /// What gives its text its meaning: the terminal, then the environment in order.
    pub(super) state: &'a [(&'a str, &'a str)],
}

impl<'a> Demand<'a> {
    fn matter(self, reason: Option<&'a str>) -> Matter<'a> {
        let Self { request, asked, exact, state, .. } = self;
        Matter {
            request,
            effects: &asked.effects,
            told: &asked.effects,
            facts: &asked.facts,
            statement: &asked.statement,
            values: &asked.values,
            shown: &asked.shown,
            exact,
            state,
            beside: &[],
            reason,
            traceparent: None,
            shows: false,
        }
    }
}

impl Session {
    /// Decides a request, asking nobody: what needs an approval is a ticket. Everything of it is in the journal when this
    /// returns.
    pub(super) async fn decide(&self, demand: Demand<'_>) -> Result<Go, Refusal> {
        let reason = self.reason();
        let decided = deciding::decide(self, demand.matter(reason.as_deref())).await;
        self.is_decided(demand);
        Ok(decided?)
    }

    /// The same, but a request that needs an approval, or somebody who observes it, waits for that.
    pub(super) async fn decide_patiently(
        &self,
        demand: Demand<'_>,
        waits: &mut (impl Waits + Send),
    ) -> Result<Go, Refusal> {
        let reason = self.reason();
        let decided = deciding::decide_patiently(self, demand.matter(reason.as_deref()), waits).await;
        self.is_decided(demand);
        Ok(decided?)
    }

    /// What policy says of it now.
    pub(super) fn judge(&self, standing: &Standing, demand: Demand<'_>) -> Verdict {
        let reason = self.reason();
        deciding::judge(self, standing, demand.matter(reason.as_deref()))
    }

    /// Journals how a request ended.
    pub(super) fn complete(&self, go: &Go, disclosure: Disclosure, error: Option<Arc<str>>) {
        deciding::complete(&self.node, go, disclosure, error);
    }

    fn is_decided(&self, demand: Demand<'_>) {
        self.tape().request_on(demand.channel, demand.request, &demand.asked.shown, &[]);
    }
}
