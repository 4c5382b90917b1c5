//! Decisions and masks in the words that case files, tables and JSON share.

use std::collections::BTreeSet;

use masking::postgres::{Fate, Treated};
use model::decision::Outcome;
use policy::Verdict;

/// `allow`, `deny`, `ask`.
pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::Ask => "ask",
    }
}

/// Every word that [`fate`] can say of a column that is treated as one.
pub const MASKS: [&str; 6] = ["clear", "null", "redact", "token", "partial", "format_preserving"];

/// What becomes of a column, in one word, or `members(key: word, …)`. What content alone hides counts as clear.
pub fn fate(fate: &Fate) -> String {
    match &fate.treated {
        Treated::Clear | Treated::Searched => String::from("clear"),
        Treated::Masked(_, transform) => String::from(transform.as_str()),
        Treated::Members(members) => {
            let words = members.iter().map(|(key, member)| match key {
                Some(key) => format!("{key}: {}", self::fate(member)),
                None => self::fate(member),
            });
            format!("members({})", words.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The groups that a verdict asks, sorted.
pub fn groups(verdict: &Verdict) -> Vec<String> {
    let groups = verdict.needs().iter().flat_map(|need| &need.groups);
    let mut groups: Vec<String> = groups.map(ToString::to_string).collect();
    groups.sort();
    groups.dedup();
    groups
}

/// The groups of which somebody has to observe it, sorted.
pub fn observers(verdict: &Verdict) -> Vec<String> {
    verdict
        .awaits()
        .iter()
        .flat_map(|need| &need.groups)
        .map(ToString::to_string)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The `@id`s of the policies that decided, the waived ones among them.
pub fn policies(verdict: &Verdict) -> Vec<String> {
    let waived = verdict.waived().iter().map(|need| need.policy.to_string());
    let mut ids: Vec<String> = verdict.policies().iter().map(ToString::to_string).chain(waived).collect();
    ids.sort();
    ids.dedup();
    ids
}
