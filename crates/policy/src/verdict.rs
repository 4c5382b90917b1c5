//! What policy answers, and the decision made of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::approval::{Answer, Consumed};
use model::decision::{Denial, Need, Outcome};
use model::id::{Digest, RequestId};
use model::subject::SubjectKey;
use model::target::{Durability, Level};

use crate::permit::Permit;
use crate::question::Validity;

/// How long an approval may wait and be used when no deciding policy says otherwise.
pub const DEFAULT_APPROVAL_TTL: Duration = Duration::from_secs(15 * 60);

/// The answer to a [`crate::Question`]: pure, so that it may be kept as long as [`Verdict::validity`] says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub(crate) answer: Answered,
    pub(crate) policies: Vec<Arc<str>>,
    pub(crate) waived: Vec<Need>,
    /// Who would have to observe it, where nothing else stands in the way.
    pub(crate) awaits: Vec<Need>,
    /// What the caller may be told that it lacks.
    pub(crate) lacks: Option<Arc<str>>,
    /// Whether anything at the target may change.
    pub(crate) writes: bool,
    pub(crate) validity: Validity,
}

/// The three answers and what each carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answered {
    Allow,
    Ask { needs: Vec<Need>, ttl: Duration, requesters: Vec<SubjectKey>, missing: Arc<str> },
    Deny(Denial),
}

impl Verdict {
    /// The verdict on a request of several statements: all of it is allowed, asked about or denied together. The first
    /// denial counts; what any of them needs, the request needs.
    pub fn of_all(verdicts: Vec<Self>) -> Self {
        let mut verdicts = verdicts.into_iter();
        let Some(first) = verdicts.next() else {
            let denial =
                Denial { policies: Vec::new(), message: "there is nothing to decide".into(), missing: "".into() };
            let validity = Validity::default();
            let (policies, waived) = (Vec::new(), Vec::new());
            let awaits = Vec::new();
            return Self {
                answer: Answered::Deny(denial),
                policies,
                waived,
                awaits,
                lacks: None,
                writes: true,
                validity,
            };
        };
        verdicts.fold(first, Self::and)
    }

    fn and(self, other: Self) -> Self {
        let validity = self.validity.and(other.validity);
        let (lacks, awaits) = match self.answer {
            Answered::Deny(_) => (self.lacks, self.awaits),
            Answered::Allow | Answered::Ask { .. } => (other.lacks, other.awaits),
        };
        let (answer, policies) = match (self.answer, other.answer) {
            (Answered::Deny(denial), _) => (Answered::Deny(denial), self.policies),
            (_, Answered::Deny(denial)) => (Answered::Deny(denial), other.policies),
            (Answered::Allow, answer @ Answered::Ask { .. }) => (answer, other.policies),
            (answer @ Answered::Ask { .. }, Answered::Allow) => (answer, self.policies),
            (Answered::Allow, Answered::Allow) => (Answered::Allow, united(self.policies, other.policies)),
            (Answered::Ask { needs, ttl, requesters, missing }, Answered::Ask { needs: more, ttl: shorter, .. }) => {
                let (needs, ttl) = (united(needs, more), ttl.min(shorter));
                (Answered::Ask { needs, ttl, requesters, missing }, united(self.policies, other.policies))
            }
        };
        let (waived, writes) = (united(self.waived, other.waived), self.writes || other.writes);
        Self { answer, policies, waived, awaits, lacks, writes, validity }
    }

    /// Allow, deny or ask.
    pub const fn outcome(&self) -> Outcome {
        match self.answer {
            Answered::Allow => Outcome::Allow,
            Answered::Ask { .. } => Outcome::Ask,
            Answered::Deny(_) => Outcome::Deny,
        }
    }

    /// The `@id`s of the policies that decided: the permits of an Allow, the forbids of a Deny or an Ask. Sorted.
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// Why it is refused, if it is.
    pub const fn denial(&self) -> Option<&Denial> {
        match &self.answer {
            Answered::Deny(denial) => Some(denial),
            Answered::Allow | Answered::Ask { .. } => None,
        }
    }

    /// What the refused caller lacks, such as `update on payments.public.orders`, if a policy permits it to `know`.
    pub const fn lacks(&self) -> Option<&Arc<str>> {
        self.lacks.as_ref()
    }

    /// What humans have to agree to; sorted, and empty unless the outcome is Ask.
    pub fn needs(&self) -> &[Need] {
        match &self.answer {
            Answered::Ask { needs, .. } => needs,
            Answered::Allow | Answered::Deny(_) => &[],
        }
    }

    /// Who has to observe it live so that it is no longer denied: it is, and nothing but that stands in its way, or
    /// nothing but that and an approval. Sorted, and empty for every other answer.
    pub fn awaits(&self) -> &[Need] {
        &self.awaits
    }

    /// How long an approval of this may wait and be used: the shortest `@approval_ttl` of the policies that ask.
    pub const fn approval_ttl(&self) -> Duration {
        match self.answer {
            Answered::Ask { ttl, .. } => ttl,
            Answered::Allow | Answered::Deny(_) => DEFAULT_APPROVAL_TTL,
        }
    }

    /// The forbids that did not count because the caller is in one of their `@break_glass` groups. Where this is not
    /// empty, the request is journaled as break-glass before it is forwarded (RULES.md 25).
    pub fn waived(&self) -> &[Need] {
        &self.waived
    }

    /// What the answer depends on.
    pub const fn validity(&self) -> Validity {
        self.validity
    }
}

/// Both lists, sorted and without repetition.
fn united<T: Ord>(mut some: Vec<T>, more: Vec<T>) -> Vec<T> {
    some.extend(more);
    some.sort();
    some.dedup();
    some
}

/// An approval that was spent on a request, and what it has to fit.
#[derive(Clone, Copy, Debug)]
pub struct Approved<'a> {
    /// The proof from `store` that it was spent.
    pub consumed: &'a Consumed,
    /// The needs that were shown to the approvers.
    pub asked: &'a [Need],
    /// The digest of the request as it is now ([`crate::approval_digest`]).
    pub digest: Digest,
}

/// What a decision's place in the journal hangs on besides the verdict and the approval.
#[derive(Clone, Copy, Debug)]
pub struct Recording {
    /// What the target asks for.
    pub durability: Durability,
    /// Whether the answer may hold a class in clear.
    pub shows: bool,
}

impl Recording {
    /// The level of RULES.md 26: what writes, what was approved and what may show a class in clear survives a power cut.
    const fn level(self, verdict: &Verdict, is_approved: bool) -> Level {
        self.durability.level(is_approved || self.shows || verdict.writes)
    }
}

/// What happens to a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be sent, with this.
    Allow(Permit),
    /// Humans have to agree first.
    Ask(Vec<Need>),
    /// It is refused.
    Deny(Denial),
}

/// Decides one request by a verdict reached under the revision in force, and makes the permit if it is allowed. Nothing
/// else makes a permit for a request (RULES.md 33).
///
/// An approval counts only if it was spent on this very request, for this very content, while the same policies by
/// content ask for the same groups (RULES.md 22), and enough different people other than the requester agreed to each
/// need. An approval that does not fit is a denial, also where none was needed.
///
/// The permit says how safely the decision has to be recorded, and the gate holds whoever uses it to that.
pub fn decide(verdict: &Verdict, request: RequestId, approved: Option<Approved<'_>>, recording: Recording) -> Decision {
    let level = recording.level(verdict, approved.is_some());
    let misfit = approved.is_some_and(|approved| !approved.is_for(request));
    match (&verdict.answer, approved) {
        (Answered::Deny(denial), _) => Decision::Deny(denial.clone()),
        (Answered::Allow, _) if !misfit => Decision::Allow(Permit::for_request(request, level)),
        (Answered::Allow, _) => Decision::Deny(stale(verdict, "it")),
        (Answered::Ask { needs, .. }, None) => Decision::Ask(needs.clone()),
        (Answered::Ask { needs, requesters, missing, .. }, Some(approved)) => {
            if !misfit && approved.meets(needs, requesters) {
                Decision::Allow(Permit::for_request(request, level))
            } else {
                Decision::Deny(stale(verdict, missing))
            }
        }
    }
}

/// Whether a request's text may be parsed and described by the target, which runs nothing of it: where it may be run, or
/// may be once somebody approves. Running it is decided again, by [`decide`].
///
/// # Errors
/// Why not.
pub fn prepare(verdict: &Verdict, request: RequestId) -> Result<Permit, Denial> {
    match &verdict.answer {
        Answered::Allow | Answered::Ask { .. } => Ok(Permit::for_preparation(request)),
        Answered::Deny(denial) => Err(denial.clone()),
    }
}

impl Approved<'_> {
    fn is_for(&self, request: RequestId) -> bool {
        self.consumed.request() == request && self.consumed.digest() == self.digest
    }

    fn meets(&self, needs: &[Need], requesters: &[SubjectKey]) -> bool {
        let asked: BTreeSet<&Need> = self.asked.iter().collect();
        let now: BTreeSet<&Need> = needs.iter().collect();
        !now.is_empty() && asked == now && needs.iter().all(|need| is_met(need, self.consumed.answers(), requesters))
    }
}

/// A quorum counts people, never votes, and never the requester (AP-03, AP-04).
fn is_met(need: &Need, answers: &[Answer], requesters: &[SubjectKey]) -> bool {
    let people: BTreeSet<&SubjectKey> = answers
        .iter()
        .filter(|answer| answer.approve && answer.groups.iter().any(|group| need.groups.contains(group)))
        .map(|answer| &answer.approver)
        .filter(|approver| !requesters.contains(approver))
        .collect();
    people.len() >= usize::from(need.quorum.max(1))
}

fn stale(verdict: &Verdict, missing: &str) -> Denial {
    Denial {
        policies: verdict.policies.clone(),
        message: "the approval does not fit this request or the policies in force; ask again".into(),
        missing: missing.into(),
    }
}
