//! What people did to approvals as state has it, held against the journal at the start.
//!
//! State is changed first, and the entry follows within milliseconds; a process that dies in between leaves a change without
//! one. It may as well be that somebody wrote into the state. Sluice cannot tell the two apart, so what is found becomes no
//! entry of its kind, as if it had been seen, but a gap that says what is there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use model::event::Event;
use model::id::ApprovalId;
use store::State;
use store::approval::{Approval, Filter};

/// What the journal has of approvals.
#[derive(Default)]
pub(crate) struct Known {
    asked: HashSet<ApprovalId>,
    ended: HashSet<ApprovalId>,
    /// Who answered what.
    answered: BTreeMap<ApprovalId, BTreeSet<String>>,
    /// What was said of state before.
    said: BTreeSet<String>,
}

impl Known {
    /// Remembers an entry of the journal.
    pub(crate) fn learn(&mut self, event: &Event) {
        match event {
            Event::ApprovalAsked { approval, .. } => drop(self.asked.insert(*approval)),
            Event::ApprovalEnded { approval, .. } => drop(self.ended.insert(*approval)),
            Event::ApprovalAnswered { approval, answer } => {
                self.answered.entry(*approval).or_default().insert(told(answer));
            }
            Event::Gap { session: None, reason } if reason.starts_with(BEGIN) => {
                self.said.insert(reason.to_string());
            }
            _ => {}
        }
    }

    /// A gap for everything that state has and the journal has not.
    ///
    /// # Errors
    /// If state cannot be read.
    pub(crate) fn missing(&self, state: &dyn State) -> Result<Vec<Event>, store::Error> {
        let all = state.approvals(&Filter { limit: u32::MAX, ..Filter::default() })?;
        let reasons = all.iter().flat_map(|approval| self.missing_of(approval));
        let new = reasons.filter(|reason| !self.said.contains(reason));
        Ok(new.map(|reason| Event::Gap { session: None, reason: reason.into() }).collect())
    }

    fn missing_of(&self, approval: &Approval) -> Vec<String> {
        let id = approval.id;
        let mut missing = Vec::new();
        if !self.asked.contains(&id) {
            missing.push(format!("{BEGIN} that {id} was asked for by {}", approval.asked.subject));
        }
        let answered = self.answered.get(&id);
        let unseen = approval.answers.iter().map(told).filter(|told| !answered.is_some_and(|all| all.contains(told)));
        missing.extend(unseen.map(|told| format!("{BEGIN} that {id} was answered by {told}")));
        if let Some(ended) = approval.ended.as_ref().filter(|_| !self.ended.contains(&id)) {
            missing.push(format!("{BEGIN} that {id} ended: {}", ended.reason));
        }
        missing
    }
}

/// With what each begins.
const BEGIN: &str = "the state has it, and the journal has not,";

fn told(answer: &model::approval::Answer) -> String {
    let said = if answer.approve { "yes" } else { "no" };
    format!("{}: {said}, at {}", answer.approver, answer.at)
}
