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
/// Where forbids with `@require_observer` stand in the way as well, it is denied until somebody observes, and
/// [`Verdict::awaits`] says who.
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
                awaits: vec![],
                lacks,
                writes: writes(question),
                validity: trial.record.validity,
            }
        }
    }
}

/// A forbid that an observer would lift, and of which groups.
type Observed<'a> = (&'a Rule, &'a [Arc<str>]);

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
    /// The forbids that an observer would lift, and the first effect that needs one.
    unobserved: Vec<Observed<'a>>,
    unseen: Option<Arc<str>>,
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
    /// The groups of those who observe it.
    observers: &'a [Arc<str>],
}

/// What is supposed of a request while it is asked what would change the answer.
#[derive(Clone, Copy, Default)]
struct Supposed<'s> {
    /// An approval by members of these groups, so many of them.
    approval: Option<(&'s [Arc<str>], u8)>,
    /// Observers of these groups, beside those there are.
    observers: &'s [Arc<str>],
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
        let resource = self.place.uid(&ask.resource);
        let about = self.place.entities(&ask.resource);
        let Some(entities) = about.and_then(|about| self.court().entities(KNOW, about)) else { return false };
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
        let (mut ruling, mut set) = (case.rule(&slice.all, Supposed::default()), &slice.all);
        let mut waived = vec![];
        if let (Ruling::Deny(forbids), Some(binding)) = (&ruling, &slice.binding) {
            waived = self.waivable(forbids);
            (ruling, set) = (case.rule(binding, Supposed::default()), binding);
        }
        let mut unobserved = vec![];
        let asking = match ruling {
            Ruling::Allow(permits) => {
                let permits = ids(&permits);
                if let Some(key) = key.filter(|_| waived.is_empty()) {
                    self.policies.allowed.remember(key, &permits);
                }
                self.record.permits.extend(permits);
                vec![]
            }
            Ruling::Deny(forbids) => {
                let (observers, forbids) = case.observers(set, forbids);
                let supposed: Vec<Arc<str>> = groups_of(&observers);
                unobserved = observers;
                case.approvals(set, &forbids, &supposed).map_err(|reasons| denial(&reasons, ask))?
            }
            Ruling::Broken => return Err(broken(ask)),
        };
        if !asking.is_empty() {
            self.record.missing.get_or_insert_with(|| ask.effect.to_string().into());
        }
        self.record.asking.extend(asking);
        if !unobserved.is_empty() {
            self.record.unseen.get_or_insert_with(|| ask.effect.to_string().into());
        }
        self.record.unobserved.extend(unobserved);
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
        let resource = self.place.uid(&ask.resource);
        let entities = self.court().entities(action, self.place.entities(&ask.resource)?)?;
        let mut context = reveal::see_context(self.court(), &self.place);
        if ask.verb != Verb::Connect {
            let mask = ask.values.as_ref().map_or("none", |of| reveal::mask_name(self.policies, of, reveal));
            let mask = RestrictedExpression::new_entity_uid(uid(&self.place.types.mask, mask));
            context.push(field("revealed", RestrictedExpression::new_bool(*reveal == Reveal::Clear)));
            context.push(field("mask", mask));
            context.push(field("statement", self.statement()));
        }
        let observers = self.question.context.observers;
        Some(Case { court: self.court(), action, resource, entities, context, observers })
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
    fn rule(&self, set: &PolicySet, supposed: Supposed<'_>) -> Ruling<'a> {
        let mut context = self.context.clone();
        // What connects has a context without either.
        let observers: Vec<_> = self.observers.iter().chain(supposed.observers).collect();
        if !observers.is_empty() && self.action != Verb::Connect.as_str() {
            context.push(field("observers", texts(observers)));
        }
        context.extend(supposed.approval.map(|(groups, people)| field("approval", approval(groups, people))));
        self.court.rule(set, self.action, &self.resource, context, &self.entities)
    }

    /// The forbids that observers would lift, if there are any, with whose; and the forbids that would then be left.
    fn observers(&self, set: &PolicySet, forbids: Vec<&'a Rule>) -> (Vec<Observed<'a>>, Vec<&'a Rule>) {
        let needed: Vec<_> = forbids.iter().filter_map(|rule| Some((*rule, rule.observers.as_deref()?))).collect();
        if needed.is_empty() {
            return (needed, forbids);
        }
        let observers = groups_of(&needed);
        match self.rule(set, Supposed { observers: &observers, approval: None }) {
            Ruling::Allow(_) => (needed, Vec::new()),
            Ruling::Deny(left) => (needed, left),
            Ruling::Broken => (Vec::new(), forbids),
        }
    }

    /// What an approval would have to cover, with these observers; or the forbids that no approval lifts, none if nothing
    /// permits the request.
    fn approvals(
        &self,
        set: &PolicySet,
        forbids: &[&'a Rule],
        observers: &[Arc<str>],
    ) -> Result<Vec<(&'a Rule, &'a Approval)>, Vec<&'a Rule>> {
        if forbids.is_empty() && !observers.is_empty() {
            return self.is_permitted(set, observers).map(|()| Vec::new());
        }
        let needs: Vec<_> = forbids.iter().filter_map(|rule| Some((*rule, rule.approval.as_ref()?))).collect();
        if needs.is_empty() || needs.len() < forbids.len() {
            return Err(forbids.iter().copied().filter(|rule| rule.approval.is_none()).collect());
        }
        let everybody: Vec<Arc<str>> = needs.iter().flat_map(|(_, approval)| approval.groups.iter().cloned()).collect();
        let quorum = needs.iter().map(|(_, approval)| approval.quorum).max().unwrap_or(1);
        match self.rule(set, Supposed { approval: Some((&everybody, quorum)), observers }) {
            Ruling::Allow(_) => {}
            Ruling::Deny(still) => return Err(still),
            Ruling::Broken => return Err(forbids.to_vec()),
        }
        let is_lifted = |rule: &Rule, approval: &Approval| self.is_lifted_by_each(set, rule, approval, observers);
        match needs.iter().find(|(rule, approval)| !is_lifted(rule, approval)) {
            Some((rule, _)) => Err(vec![rule]),
            None => Ok(needs),
        }
    }

    /// Whether it is permitted with these observers and nothing else.
    fn is_permitted(&self, set: &PolicySet, observers: &[Arc<str>]) -> Result<(), Vec<&'a Rule>> {
        match self.rule(set, Supposed { observers, approval: None }) {
            Ruling::Allow(_) => Ok(()),
            Ruling::Deny(still) => Err(still),
            Ruling::Broken => Err(Vec::new()),
        }
    }

    /// Any one of the groups is enough, so each alone has to lift the forbid.
    fn is_lifted_by_each(&self, set: &PolicySet, rule: &Rule, approval: &Approval, observers: &[Arc<str>]) -> bool {
        approval.groups.iter().all(|group| {
            let approval = Some((std::slice::from_ref(group), approval.quorum));
            match self.rule(set, Supposed { approval, observers }) {
                Ruling::Allow(_) => true,
                Ruling::Deny(others) => others.iter().all(|other| other.id != rule.id),
                Ruling::Broken => false,
            }
        })
    }
}

impl Record<'_> {
    fn verdict(self, policies: &SubjectPolicies, question: &Question<'_>) -> Verdict {
        let waived: BTreeSet<Need> = self.waived.iter().map(|rule| rule.waived()).collect();
        let (waived, writes) = (waived.into_iter().collect(), writes(question));
        if let Some(effect) = self.unseen {
            return unobserved(&self.unobserved, effect, writes, self.validity);
        }
        if self.asking.is_empty() {
            let policies = self.permits.into_iter().collect();
            let (awaits, validity) = (vec![], self.validity);
            return Verdict { answer: Answered::Allow, policies, waived, awaits, lacks: None, writes, validity };
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
        let (awaits, validity) = (vec![], self.validity);
        Verdict { answer, policies: asking, waived, awaits, lacks: None, writes, validity }
    }
}

/// It is denied for as long as nobody observes it.
fn unobserved(rules: &[Observed<'_>], effect: Arc<str>, writes: bool, validity: Validity) -> Verdict {
    let awaits: BTreeSet<Need> = rules.iter().map(|(rule, groups)| rule.observer(groups)).collect();
    let policies: Vec<Arc<str>> = awaits.iter().map(|need| need.policy.clone()).collect();
    let spoken = rules.iter().find_map(|(rule, _)| rule.message.clone());
    let message = spoken.unwrap_or_else(|| {
        let each: BTreeSet<String> = rules.iter().map(|(_, groups)| groups.join(" or ")).collect();
        let groups = each.into_iter().collect::<Vec<_>>().join(", and one of ");
        format!("it runs only while somebody of {groups} observes it").into()
    });
    let answer = Answered::Deny(Denial { policies: policies.clone(), message, missing: effect });
    let (waived, awaits) = (vec![], awaits.into_iter().collect());
    Verdict { answer, policies, waived, awaits, lacks: None, writes, validity }
}

/// All groups of these, in order.
fn groups_of(observers: &[Observed<'_>]) -> Vec<Arc<str>> {
    let all: BTreeSet<Arc<str>> = observers.iter().flat_map(|(_, groups)| groups.iter().cloned()).collect();
    all.into_iter().collect()
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
fn approval(groups: &[Arc<str>], people: u8) -> RestrictedExpression {
    record([("groups", texts(groups)), ("count", long(people.into()))])
}

fn texts<'t>(texts: impl IntoIterator<Item = &'t Arc<str>>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(|text| RestrictedExpression::new_string(text.to_string())))
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
        Resource::Login => format!("login {database}"),
        Resource::Command(command) => format!("command {}", command.program),
        Resource::File(path) => format!("file {path}"),
        Resource::Endpoint(endpoint) => format!("{endpoint}"),
        Resource::Route(route) => format!("{} {}", route.method, route.path),
        Resource::GraphqlField(field) => format!("field {field}"),
        Resource::GrpcMethod(method, _) => format!("method {method}"),
        Resource::RpcMethod(method, _) => format!("method {method}"),
        Resource::Mcp(item) => format!("{} {}", item.kind.as_str(), item.name),
        Resource::Kubernetes(resource) => resource.to_string(),
        Resource::KubernetesPath(path) => format!("path {}", path.path),
        Resource::KubernetesCommand(command) => format!("command {}", command.command.program),
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
