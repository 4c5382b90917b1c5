//! The first question, and the second.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Entities, EntityUid, PolicySet, RestrictedExpression};
use model::decision::{Denial, Need, Reveal};
use model::effect::Verb;
use model::subject::SubjectKey;

use crate::allowed::Key;
use crate::ask::{self, Ask};
use crate::court::{Court, Fields, Ruling, field, ids, long, record};
use crate::entities::{Place, Resource};
use crate::question::{Question, Validity};
use crate::reveal;
use crate::rule::{Approval, Rule};
use crate::subject::SubjectPolicies;
use crate::verdict::{Answered, DEFAULT_APPROVAL_TTL, Verdict};
use crate::vocabulary::uid;

/// The action of being told what a refusal lacks.
const KNOW: &str = "know";

/// Whether the subject may do what the question says, and whether a human's approval would change the answer.
///
/// Every effect is one Cedar request, and all of them have to be allowed. A question without effects is denied. Where
/// only forbids with `@require_approval` stand in the way, the request is asked again with their groups' approval
/// supposed: if that would allow it, and each group's approval alone lifts its forbid, the answer is to ask.
/// `context.revealed` and `context.mask` are found by asking about `reveal` first, as Cedar cannot ask about another
/// action inside a policy.
pub fn judge(policies: &SubjectPolicies, question: &Question<'_>) -> Verdict {
    let asks = ask::of_question(policies, question);
    let place = Place {
        types: &policies.shared.types,
        target: question.target,
        database: question.database,
        labels: question.labels,
    };
    let (court, seen, record) = (OnceCell::new(), HashMap::new(), Record::default());
    let mut trial = Trial { policies, court, place, question: *question, seen, record };
    match trial.hear(&asks) {
        Ok(()) => trial.record.verdict(policies, question),
        Err((denial, ask)) => {
            let lacks = ask.filter(|ask| trial.may_know(ask)).map(|ask| lacking(ask, question.database));
            Verdict {
                policies: denial.policies.clone(),
                answer: Answered::Deny(denial),
                waived: vec![],
                lacks,
                writes: writes(question),
                validity: trial.record.validity,
            }
        }
    }
}

/// One question being judged.
struct Trial<'a> {
    policies: &'a SubjectPolicies,
    /// Opened only for what was not asked before.
    court: OnceCell<Court<'a>>,
    place: Place<'a>,
    question: Question<'a>,
    /// How the caller sees the values of a resource, as far as it was asked.
    seen: HashMap<Resource<'a>, Reveal>,
    record: Record<'a>,
}

/// What was found so far.
#[derive(Default)]
struct Record<'a> {
    permits: BTreeSet<Arc<str>>,
    /// The forbids that an approval would lift.
    asking: Vec<(&'a Rule, &'a Approval)>,
    /// The first effect that needs an approval.
    missing: Option<Arc<str>>,
    waived: Vec<&'a Rule>,
    validity: Validity,
}

/// One Cedar request, ready to be asked with and without an approval.
struct Case<'c, 'a> {
    court: &'c Court<'a>,
    action: &'static str,
    resource: EntityUid,
    entities: Entities,
    context: Fields,
}

impl<'a> Trial<'a> {
    /// Why it is refused, and for which effect.
    fn hear<'k>(&mut self, asks: &'k [Ask<'a>]) -> Result<(), (Denial, Option<&'k Ask<'a>>)> {
        if asks.is_empty() {
            let denial = Denial {
                policies: vec![],
                message: "the request has no effect that a policy could permit".into(),
                missing: "an effect".into(),
            };
            return Err((denial, None));
        }
        asks.iter().try_for_each(|ask| self.hear_one(ask).map_err(|denial| (denial, Some(ask))))
    }

    fn court(&self) -> &Court<'a> {
        self.court.get_or_init(|| Court::new(self.policies, self.question.context, Some(&self.place)))
    }

    /// Whether the caller may be told that it lacks this. What fails to be answered is a no.
    fn may_know(&mut self, ask: &Ask<'a>) -> bool {
        let Some(slice) = self.policies.slice_for(KNOW) else { return false };
        self.record.validity = self.record.validity.and(slice.reads.validity);
        let Some(entity) = self.place.entity(&ask.resource) else { return false };
        let resource = entity.uid();
        let Some(entities) = self.court().entities(KNOW, entity) else { return false };
        let context = reveal::see_context(self.court(), &self.place);
        matches!(self.court().rule(&slice.all, KNOW, &resource, context, &entities), Ruling::Allow(_))
    }

    fn hear_one(&mut self, ask: &Ask<'a>) -> Result<(), Denial> {
        let Some(slice) = self.policies.slice_for(ask.verb.as_str()) else {
            return Err(denial(&[], ask));
        };
        self.record.validity = self.record.validity.and(slice.reads.validity);
        let key = Key::of(self.policies, slice, &self.place, &self.question, ask);
        if let Some(permits) = key.as_ref().and_then(|key| self.policies.allowed.get(key)) {
            self.record.permits.extend(permits.iter().cloned());
            return Ok(());
        }
        let reveal = if slice.reads.revealed { self.reveal(ask) } else { Reveal::Clear };
        let case = self.case(ask, &reveal).ok_or_else(|| broken(ask))?;
        let (mut ruling, mut set) = (case.rule(&slice.all, None), &slice.all);
        let mut waived = vec![];
        if let (Ruling::Deny(forbids), Some(binding)) = (&ruling, &slice.binding) {
            waived = self.waivable(forbids);
            (ruling, set) = (case.rule(binding, None), binding);
        }
        let asking = match ruling {
            Ruling::Allow(permits) => {
                let permits = ids(&permits);
                if let Some(key) = key.filter(|_| waived.is_empty()) {
                    self.policies.allowed.remember(key, &permits);
                }
                self.record.permits.extend(permits);
                vec![]
            }
            Ruling::Deny(forbids) => case.approvals(set, &forbids).map_err(|reasons| denial(&reasons, ask))?,
            Ruling::Broken => return Err(broken(ask)),
        };
        if !asking.is_empty() {
            self.record.missing.get_or_insert_with(|| ask.effect.to_string().into());
        }
        self.record.asking.extend(asking);
        self.record.waived.extend(waived);
        Ok(())
    }

    /// The forbids that do not bind this subject.
    fn waivable(&self, forbids: &[&'a Rule]) -> Vec<&'a Rule> {
        forbids.iter().copied().filter(|rule| self.policies.is_waived(rule)).collect()
    }

    /// How the caller sees the values that the request is about.
    fn reveal(&mut self, ask: &Ask<'a>) -> Reveal {
        let Some(values) = &ask.values else {
            return Reveal::Clear;
        };
        if let Some(slice) = self.policies.slice_for("reveal") {
            self.record.validity = self.record.validity.and(slice.reads.validity);
        }
        if let Some(known) = self.seen.get(values) {
            return known.clone();
        }
        let answer = reveal::ask(self.court(), &self.place, values);
        self.seen.insert(values.clone(), answer.clone());
        answer
    }

    /// `None` if the request cannot be put to Cedar.
    fn case(&self, ask: &Ask<'a>, reveal: &Reveal) -> Option<Case<'_, 'a>> {
        let action = ask.verb.as_str();
        let entity = self.place.entity(&ask.resource)?;
        let resource = entity.uid();
        let entities = self.court().entities(action, entity)?;
        let mut context = reveal::see_context(self.court(), &self.place);
        if ask.verb != Verb::Connect {
            let mask = ask.values.as_ref().map_or("none", |of| reveal::mask_name(self.policies, of, reveal));
            let mask = RestrictedExpression::new_entity_uid(uid(&self.place.types.mask, mask));
            context.push(field("revealed", RestrictedExpression::new_bool(*reveal == Reveal::Clear)));
            context.push(field("mask", mask));
            context.push(field("statement", self.statement()));
        }
        Some(Case { court: self.court(), action, resource, entities, context })
    }

    fn statement(&self) -> RestrictedExpression {
        let facts = self.question.facts;
        let estimate = self.question.context.estimated_rows.map(|rows| ("estimatedRows", long(rows)));
        let known = [
            ("kind", RestrictedExpression::new_string(facts.kind.to_string())),
            ("bounded", RestrictedExpression::new_bool(facts.bounded)),
            ("multi", RestrictedExpression::new_bool(facts.multi)),
        ];
        record(known.into_iter().chain(estimate))
    }
}

impl<'a> Case<'_, 'a> {
    fn rule(&self, set: &PolicySet, supposed: Option<RestrictedExpression>) -> Ruling<'a> {
        let mut context = self.context.clone();
        context.extend(supposed.map(|approval| field("approval", approval)));
        self.court.rule(set, self.action, &self.resource, context, &self.entities)
    }

    /// What an approval would have to cover; or the forbids that no approval lifts, none if nothing permits the request.
    fn approvals(&self, set: &PolicySet, forbids: &[&'a Rule]) -> Result<Vec<(&'a Rule, &'a Approval)>, Vec<&'a Rule>> {
        let needs: Vec<_> = forbids.iter().filter_map(|rule| Some((*rule, rule.approval.as_ref()?))).collect();
        if needs.is_empty() || needs.len() < forbids.len() {
            return Err(forbids.iter().copied().filter(|rule| rule.approval.is_none()).collect());
        }
        let everybody = needs.iter().flat_map(|(_, approval)| &approval.groups);
        let quorum = needs.iter().map(|(_, approval)| approval.quorum).max().unwrap_or(1);
        match self.rule(set, Some(supposed(everybody, quorum))) {
            Ruling::Allow(_) => {}
            Ruling::Deny(still) => return Err(still),
            Ruling::Broken => return Err(forbids.to_vec()),
        }
        match needs.iter().find(|(rule, approval)| !self.is_lifted_by_each(set, rule, approval)) {
            Some((rule, _)) => Err(vec![rule]),
            None => Ok(needs),
        }
    }

    /// Any one of the groups is enough, so each alone has to lift the forbid.
    fn is_lifted_by_each(&self, set: &PolicySet, rule: &Rule, approval: &Approval) -> bool {
        approval.groups.iter().all(|group| match self.rule(set, Some(supposed([group], approval.quorum))) {
            Ruling::Allow(_) => true,
            Ruling::Deny(others) => others.iter().all(|other| other.id != rule.id),
            Ruling::Broken => false,
        })
    }
}

impl Record<'_> {
    fn verdict(self, policies: &SubjectPolicies, question: &Question<'_>) -> Verdict {
        let waived: BTreeSet<Need> = self.waived.iter().map(|rule| rule.waived()).collect();
        let (waived, writes) = (waived.into_iter().collect(), writes(question));
        if self.asking.is_empty() {
            let policies = self.permits.into_iter().collect();
            return Verdict { answer: Answered::Allow, policies, waived, lacks: None, writes, validity: self.validity };
        }
        let needs: BTreeSet<Need> = self.asking.iter().map(|(rule, approval)| rule.need(approval)).collect();
        let ttls = self.asking.iter().map(|(_, approval)| approval.ttl);
        let asking = needs.iter().map(|need| need.policy.clone()).collect();
        let answer = Answered::Ask {
            needs: needs.into_iter().collect(),
            ttl: ttls.min().unwrap_or(DEFAULT_APPROVAL_TTL),
            requesters: requesters(policies, question),
            missing: self.missing.unwrap_or_else(|| "an approval".into()),
        };
        Verdict { answer, policies: asking, waived, lacks: None, writes, validity: self.validity }
    }
}

/// Whether anything at the target may change.
fn writes(question: &Question<'_>) -> bool {
    question.effects.iter().any(|effect| effect.verb.writes())
}

/// Everybody who stands behind the request.
fn requesters(policies: &SubjectPolicies, question: &Question<'_>) -> Vec<SubjectKey> {
    policies.identities.iter().chain(question.context.on_behalf_of).cloned().collect()
}

/// `context.approval` as if members of these groups had agreed.
fn supposed<'g>(groups: impl IntoIterator<Item = &'g Arc<str>>, people: u8) -> RestrictedExpression {
    let groups = groups.into_iter().map(|group| RestrictedExpression::new_string(group.to_string()));
    record([("groups", RestrictedExpression::new_set(groups)), ("count", long(people.into()))])
}

/// The refusal of one effect by these forbids; nothing permits it if there are none.
fn denial(forbids: &[&Rule], ask: &Ask<'_>) -> Denial {
    refusal(forbids, ask.effect.to_string().into())
}

/// A refusal in the words of the first forbid that has a `@message`.
pub(crate) fn refusal(forbids: &[&Rule], missing: Arc<str>) -> Denial {
    let spoken = forbids.iter().find_map(|rule| rule.message.clone());
    let message = match (spoken, forbids.first()) {
        (Some(message), _) => message,
        (None, Some(rule)) => format!("policy {} forbids it", rule.id).into(),
        (None, None) => "no policy permits it".into(),
    };
    Denial { policies: ids(forbids), message, missing }
}

/// `update on payments.public.orders`: the verb that was asked about and the object in the words of the caller's own
/// protocol, never the target's name.
fn lacking(ask: &Ask<'_>, database: &str) -> Arc<str> {
    let verb = ask.verb;
    let object = match &ask.resource {
        Resource::Target => "the server".to_owned(),
        Resource::Database => database.to_owned(),
        Resource::Namespace(name) => format!("{database}.{name}"),
        Resource::Table(name, _) => format!("{database}.{name}"),
        Resource::Column(name, _) => format!("{database}.{name}"),
        Resource::Function(name, _) => format!("{database}.{name}()"),
        Resource::Setting(name, _) => format!("setting {name}"),
        Resource::Channel(name) => format!("channel {name}"),
        Resource::Class(class) => format!("class {class}"),
    };
    format!("{verb} on {object}").into()
}

fn broken(ask: &Ask<'_>) -> Denial {
    Denial {
        policies: vec![],
        message: "policy could not be evaluated for this request".into(),
        missing: ask.effect.to_string().into(),
    }
}
