//! What is remembered of earlier questions changes no answer.

use std::net::{IpAddr, Ipv4Addr};

use model::class::Labels;
use model::decision::Outcome;
use model::effect::{Facts, Verb};
use model::subject::Binding;
use policy::{Context, Question, SubjectPolicies, judge};
use proptest::prelude::*;

use crate::common::*;
use crate::golden;

/// Conditions that a permit may have: each hangs on something else.
const CONDITIONS: [&str; 11] = [
    "true",
    "context.sourceIp.isInRange(ip(\"10.0.0.0/8\"))",
    "context.session.binding == Binding::\"mtls\"",
    "context has reason && context.reason like \"*1*\"",
    "context.session.ageSeconds < 100",
    "context has observers && context.observers.contains(\"sre\")",
    "context.statement.bounded",
    "context.statement.kind == \"SELECT\"",
    "context.revealed",
    "resource is Column && resource.name == \"total\"",
    "resource.hasTag(\"env\") && resource.getTag(\"env\") == \"dev\"",
];

/// A permit for a table and what inherits from it.
const ORDERS: &str = "@id(\"orders\") permit(principal, action in Action::\"read\", \
                      resource in Table::\"payments/shop/public/orders\");";

/// The circumstances and the place of a question, each the one or the other.
#[derive(Clone, Debug)]
struct Asked {
    effect: usize,
    is_dev: bool,
    is_near: bool,
    is_bound: bool,
    has_reason: bool,
    is_old: bool,
    is_observed: bool,
    is_bounded: bool,
    is_select: bool,
    inherits: bool,
}

/// Questions about a few effects: the same is asked again, of somewhere else.
fn asked() -> impl Strategy<Value = Vec<Asked>> {
    let reads = |effect: &model::effect::Effect| matches!(effect.verb, Verb::Select | Verb::Filter | Verb::Lookup);
    let reads: Vec<usize> =
        (0..).zip(golden::effects()).filter(|(_, effect)| reads(effect)).map(|(at, _)| at).collect();
    prop::sample::subsequence(reads, 1..=3).prop_flat_map(|few| prop::collection::vec(one_asked(few), 8..32))
}

fn one_asked(effects: Vec<usize>) -> impl Strategy<Value = Asked> {
    let circumstances = any::<(bool, bool, bool, bool, bool, bool, bool, bool, bool)>();
    (prop::sample::select(effects), circumstances).prop_map(|(effect, of)| Asked {
        effect,
        is_dev: of.0,
        is_near: of.1,
        is_bound: of.2,
        has_reason: of.3,
        is_old: of.4,
        is_bounded: of.5,
        is_select: of.6,
        inherits: of.7,
        is_observed: of.8,
    })
}

fn answer(policies: &SubjectPolicies, asked: &Asked) -> policy::Verdict {
    let observers = [std::sync::Arc::from("sre")];
    let context = Context {
        observers: if asked.is_observed { &observers } else { &[] },
        source: IpAddr::V4(Ipv4Addr::new(if asked.is_near { 10 } else { 192 }, 168, 1, 2)),
        binding: if asked.is_bound { Binding::Mtls } else { Binding::Bearer },
        session_age: if asked.is_old { 1000 } else { 10 },
        reason: asked.has_reason.then_some("OPS-1"),
        ..context()
    };
    let kind = if asked.is_select { "SELECT" } else { "TEST" };
    let facts = Facts { kind: kind.into(), bounded: asked.is_bounded, ..bounded() };
    let labels = if asked.inherits { labels() } else { Labels { parents: Default::default(), ..labels() } };
    let target = target("payments", if asked.is_dev { "dev" } else { "prod" });
    let effects = [golden::effects().remove(asked.effect)];
    let (effects, facts) = (&effects, &facts);
    let question = Question { target: &target, database: "shop", effects, facts, labels: &labels, context: &context };
    judge(policies, &question)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn an_answer_is_the_same_whatever_was_asked_before(
        permit in prop::sample::select(CONDITIONS.to_vec()),
        forbid in prop::sample::select(CONDITIONS.to_vec()),
        reveal in prop::sample::select(CONDITIONS.to_vec()).prop_filter("what can be asked about it", |condition| {
            !["statement", "revealed", "observers", "Tag"].iter().any(|other| condition.contains(other))
        }),
        all in asked(),
    ) {
        let texts = [
            format!("@id(\"all\") permit(principal, action in Action::\"read\", resource) when {{ {permit} }};"),
            ORDERS.to_owned(),
            format!("@id(\"but\") forbid(principal, action == Action::\"filter\", resource) when {{ {forbid} }};"),
            format!("@id(\"see\") permit(principal, action == Action::\"reveal\", resource) when {{ {reveal} }};"),
        ];
        let policies = load(&texts.each_ref().map(String::as_str)).unwrap_or_else(|errors| panic!("{}", show(&errors)));
        let subject = service("app", &[]);
        let remembering = policies.for_subject(&subject);
        for asked in all.iter().chain(&all) {
            prop_assert_eq!(answer(&remembering, asked), answer(&policies.for_subject(&subject), asked), "{:?}", asked);
        }
    }
}

/// What hangs on the circumstances is asked about each time.
#[test]
fn a_yes_of_one_place_is_none_of_another() {
    let policies = load(&["@id(\"near\") permit(principal, action == Action::\"select\", resource) \
         when { context.sourceIp.isInRange(ip(\"10.0.0.0/8\")) };"]);
    let policies = policies.unwrap().for_subject(&service("app", &[]));
    let effect = golden::effects().iter().position(|effect| *effect == on_table(Verb::Select, "orders")).unwrap();
    let near = Asked {
        effect,
        is_dev: false,
        is_near: true,
        is_bound: false,
        has_reason: false,
        is_old: false,
        is_observed: false,
        is_bounded: true,
        is_select: true,
        inherits: true,
    };
    assert_eq!(answer(&policies, &near).outcome(), Outcome::Allow);
    assert_eq!(answer(&policies, &Asked { is_near: false, ..near }).outcome(), Outcome::Deny);
}

/// Which table another one inherits from is not the same for ever.
#[test]
fn a_yes_to_what_inherits_ends_with_the_inheritance() {
    let policies = load(&[ORDERS]).unwrap().for_subject(&service("app", &[]));
    let (target, facts, context) = (target("payments", "dev"), bounded(), context());
    let orphaned = Labels { parents: Default::default(), ..labels() };
    for effect in [on_table(Verb::Select, "orders_2026"), on_column(Verb::Select, "orders_2026.total")] {
        for (labels, expected) in [(&labels(), Outcome::Allow), (&orphaned, Outcome::Deny), (&labels(), Outcome::Allow)]
        {
            let (effects, facts, context) = (std::slice::from_ref(&effect), &facts, &context);
            let question = Question { target: &target, database: "shop", effects, facts, labels, context };
            assert_eq!(judge(&policies, &question).outcome(), expected, "{effect}");
        }
    }
}
