//! Leaving out the policies that cannot match changes no answer.

use model::decision::Outcome;
use model::effect::{Effect, Verb};
use model::subject::SubjectKind;
use policy::SubjectPolicies;
use proptest::prelude::*;

use crate::common::*;

const GROUPS: [&str; 4] = ["readers", "writers", "admins", "pci-cleared"];

/// The scope of a policy, and the same as a condition: then nothing can be left out before it is evaluated.
#[derive(Clone, Debug)]
struct Rule {
    forbid: bool,
    principal: &'static str,
    actions: &'static str,
    columns_only: bool,
}

impl Rule {
    fn effect(&self) -> &'static str {
        if self.forbid { "forbid" } else { "permit" }
    }

    fn when(&self) -> &'static str {
        if self.columns_only { "resource is Column && resource.name == \"total\"" } else { "true" }
    }

    fn sliced(&self, id: usize) -> String {
        let (effect, when) = (self.effect(), self.when());
        let Self { principal, actions, .. } = self;
        format!("@id(\"p{id}\") {effect}(principal {principal}, action in [{actions}], resource) when {{ {when} }};")
    }

    fn unsliced(&self, id: usize) -> String {
        let (effect, when) = (self.effect(), self.when());
        let principal =
            if self.principal.is_empty() { "true".to_owned() } else { format!("principal {}", self.principal) };
        let actions = self.actions;
        format!(
            "@id(\"p{id}\") {effect}(principal, action in Action::\"any\", resource) \
             when {{ {principal} && action in [{actions}] && {when} }};"
        )
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    let principal = prop::sample::select(vec![
        "",
        "is User",
        "is Service",
        "in Group::\"readers\"",
        "in Group::\"writers\"",
        "is Service in Group::\"admins\"",
        "== Service::\"corp|app\"",
        "in User::\"corp|app\"",
    ]);
    let actions = prop::sample::select(vec![
        "Action::\"select\"",
        "Action::\"read\"",
        "Action::\"write\"",
        "Action::\"update\", Action::\"filter\"",
        "Action::\"any\"",
    ]);
    (prop::bool::weighted(0.3), principal, actions, any::<bool>())
        .prop_map(|(forbid, principal, actions, columns_only)| Rule { forbid, principal, actions, columns_only })
}

fn effects() -> Vec<Effect> {
    vec![
        on_table(Verb::Select, "orders"),
        on_column(Verb::Select, "orders.total"),
        on_column(Verb::Select, "orders.id"),
        on_column(Verb::Filter, "cards.number"),
        on_column(Verb::Update, "orders.total"),
        on_table(Verb::Delete, "orders"),
    ]
}

fn answers(policies: &SubjectPolicies) -> Vec<(Outcome, Vec<String>)> {
    let target = target("payments", "prod");
    effects()
        .iter()
        .map(|effect| {
            let verdict = judged(policies, &target, std::slice::from_ref(effect));
            (verdict.outcome(), verdict.policies().iter().map(ToString::to_string).collect())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sliced_equals_unsliced(
        rules in prop::collection::vec(rule(), 0..8),
        groups in prop::sample::subsequence(GROUPS.to_vec(), 0..=4),
        person in any::<bool>(),
        id in prop::sample::select(vec!["app", "other"]),
    ) {
        let kind = if person { SubjectKind::User } else { SubjectKind::Service };
        let subject = subject(kind, id, &groups);
        let texts = |write: fn(&Rule, usize) -> String| -> String {
            rules.iter().enumerate().map(|(index, rule)| write(rule, index)).collect()
        };
        let sliced = load(&[&texts(Rule::sliced)]);
        let unsliced = load(&[&texts(Rule::unsliced)]);
        // A condition that can never hold is refused as such: then there is nothing to compare.
        if let (Ok(sliced), Ok(unsliced)) = (sliced, unsliced) {
            prop_assert_eq!(answers(&sliced.for_subject(&subject)), answers(&unsliced.for_subject(&subject)));
        }
    }

    /// Many columns together get the answer that each of them gets alone, also where they are asked about once.
    #[test]
    fn together_is_all_of_each(
        rules in prop::collection::vec(rule(), 1..8),
        chosen in prop::sample::subsequence(effects(), 1..=6),
    ) {
        let texts: String = rules.iter().enumerate().map(|(index, rule)| rule.sliced(index)).collect();
        if let Ok(set) = load(&[&texts]) {
            let policies = set.for_subject(&service("app", &["readers"]));
            let target = target("payments", "prod");
            let outcome = |effects: &[Effect]| judged(&policies, &target, effects).outcome();
            let each = chosen.iter().all(|effect| outcome(std::slice::from_ref(effect)) == Outcome::Allow);
            prop_assert_eq!(outcome(&chosen) == Outcome::Allow, each);
        }
    }
}

#[test]
fn whoever_may_write_somewhere_is_told_from_whoever_only_reads() {
    let permit =
        |scope: &str| format!("@id(\"p\") permit (principal in Group::\"g\", {scope}) when {{ context has reason }};");
    let may_write = |texts: &[&str], groups: &[&str]| {
        let policies = load(texts).unwrap_or_else(|errors| panic!("{}", show(&errors)));
        policies.for_subject(&service("app", groups)).may_write("shop", "orders")
    };
    assert!(!may_write(&[policy::BASELINE], &["g"]));
    for (scope, expected) in [
        ("action in Action::\"read\", resource", false),
        ("action == Action::\"reveal\", resource", false),
        ("action, resource", true),
        ("action in Action::\"write\", resource is Table", true),
        ("action == Action::\"execute\", resource in FunctionClass::\"unknown\"", true),
        ("action == Action::\"opaque\", resource == Database::\"shop/orders\"", true),
        ("action == Action::\"opaque\", resource == Database::\"shop/others\"", false),
        ("action == Action::\"ddl\", resource in Target::\"shop\"", true),
        ("action == Action::\"ddl\", resource in Target::\"shopping\"", false),
        ("action == Action::\"insert\", resource in Namespace::\"shop/orders/public\"", true),
        ("action == Action::\"insert\", resource in Namespace::\"shop/orders_2/public\"", false),
        ("action == Action::\"insert\", resource == Table::\"shop/orders/public/t\"", true),
        ("action == Action::\"insert\", resource in DataClass::\"email\"", true),
    ] {
        let text = permit(scope);
        assert_eq!(may_write(&[policy::BASELINE, &text], &["g"]), expected, "{scope}");
        assert!(!may_write(&[policy::BASELINE, &text], &["h"]), "{scope}");
        assert!(!may_write(&[policy::BASELINE, &format!("@read_only {text}")], &["g"]), "{scope}");
    }
    let asked = "@id(\"f\") @require_approval(\"dba\") forbid (principal, action == Action::\"delete\", resource) \
                 unless { context has approval && context.approval.groups.contains(\"dba\") };";
    let text = permit("action == Action::\"delete\", resource");
    assert!(may_write(&[policy::BASELINE, &text, asked], &["g"]), "an approval may permit it");
    assert!(!may_write(&[policy::BASELINE, asked], &["g"]));
}
