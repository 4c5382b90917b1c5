//! One subject among many, and the policies of all of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, anyhow};
use effects::postgres::Statement;
use model::class::{DataClass, Labels, Transform};
use model::decision::Outcome;
use model::id::SessionId;
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::target::{Durability, Target};
use model::time::Timestamp;
use policy::{BASELINE, Context, Decision, PolicySet, Question, Recording, SubjectPolicies, Verdict};

use crate::analysis;

/// How many teams the subject is in: as many policies of its own concern it, however many there are.
const TEAMS: usize = 5;

/// A revision of the baseline and of one policy for each team, and a statement to be judged under it.
pub struct Revision {
    policies: PolicySet,
    subject: Subject,
    target: Target,
    labels: Labels,
    statements: Vec<Statement>,
}

impl Revision {
    /// With this many policies beside the baseline, about one of [`analysis::STATEMENTS`].
    ///
    /// # Errors
    /// If a policy is not valid, or the statement is not permitted.
    pub fn new(policies: usize, text: &str) -> Result<Self> {
        let revision = Self {
            policies: load(&files(policies))?,
            subject: subject(),
            target: Target { name: "bank".into(), protocol: "postgres".into(), labels: BTreeMap::new() },
            labels: Labels::default(),
            statements: analysis::read(&analysis::catalog()?, text),
        };
        let verdict = revision.judge(&revision.slice());
        match verdict.first().map(Verdict::outcome) {
            Some(Outcome::Allow) => Ok(revision),
            _ => Err(anyhow!("not what was to be measured: {verdict:?}")),
        }
    }

    /// What is done when a session opens, or a revision comes into force.
    pub fn slice(&self) -> SubjectPolicies {
        self.policies.for_subject(&self.subject)
    }

    /// What is done for a text that was not seen before.
    pub fn judge(&self, policies: &SubjectPolicies) -> Vec<Verdict> {
        let context = Context {
            now: Timestamp(1_795_406_400_000),
            source: IpAddr::V4(Ipv4Addr::new(10, 20, 1, 2)),
            binding: Binding::Bearer,
            session_age: 10,
            on_behalf_of: None,
            reason: None,
            estimated_rows: None,
            observers: &[],
        };
        let judge = |statement: &Statement| {
            let question = Question {
                target: &self.target,
                database: "bank",
                effects: &statement.effects,
                facts: &statement.facts,
                labels: &self.labels,
                context: &context,
            };
            policy::judge(policies, &question)
        };
        self.statements.iter().map(judge).collect()
    }
}

/// What is done with a verdict that is remembered.
pub fn decide(verdict: &Verdict) -> Decision {
    let recording = Recording { durability: Durability::Process, shows: false };
    policy::decide(verdict, SessionId::from_bits(1).request(1), None, recording)
}

/// Validates what [`files`] wrote.
///
/// # Errors
/// If a policy is not valid.
pub fn load(files: &[(String, String)]) -> Result<PolicySet> {
    let classes: BTreeMap<DataClass, Transform> = BTreeMap::new();
    let loaded = PolicySet::load(files, &classes);
    loaded.map_err(|errors| anyhow!("{}", errors.iter().map(|error| format!("{error}\n")).collect::<String>()))
}

/// The baseline, and a file of one policy for each team, which may read a table of its own.
pub fn files(policies: usize) -> Vec<(String, String)> {
    let mut text = String::new();
    for team in 0..policies {
        let table = match team {
            0 => "pgbench_accounts".to_owned(),
            1 => "orders".to_owned(),
            2 => "customers".to_owned(),
            3 => "payments".to_owned(),
            4 => "items".to_owned(),
            team => format!("table_{team}"),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "@id(\"team-{team}\") permit (principal in Group::\"corp|team-{team}\", action in Action::\"read\", \
             resource in Table::\"bank/bank/public/{table}\");"
        );
    }
    vec![("baseline.cedar".to_owned(), BASELINE.to_owned()), ("teams.cedar".to_owned(), text)]
}

fn subject() -> Subject {
    Subject {
        key: SubjectKey { issuer: "corp".into(), id: "order-service".into() },
        kind: SubjectKind::Service,
        groups: (0..TEAMS).map(|team| format!("corp|team-{team}").as_str().into()).collect(),
        on_behalf_of: vec![],
        expires_at: Timestamp(2_000_000_000_000),
        binding: Binding::Bearer,
        token_id: None,
        credential: model::subject::Credential::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_permitted() {
        for (size, text) in analysis::STATEMENTS {
            let revision = Revision::new(10, text).unwrap();
            let verdict = revision.judge(&revision.slice()).remove(0);
            assert!(verdict.policies().iter().any(|policy| policy.starts_with("team-")), "{size}");
        }
    }
}
