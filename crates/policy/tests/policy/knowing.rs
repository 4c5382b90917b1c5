//! Who is told what a refusal lacks.

use model::decision::Outcome;
use model::effect::Verb;
use policy::Verdict;

use crate::common::*;

const KNOW: &str = r#"@id("know") permit(principal in Group::"apps", action == Action::"know",
    resource in Namespace::"payments/shop/public");"#;
const READ: &str = r#"@id("read") permit(principal, action in Action::"read", resource);"#;

fn refused(texts: &[&str], verb: Verb, name: &str) -> Verdict {
    let policies = load(texts).unwrap_or_else(|errors| panic!("{}", show(&errors)));
    let policies = policies.for_subject(&service("app", &["apps"]));
    let verdict = judged(&policies, &target("payments", "prod"), &[on_table(Verb::Select, name), on_table(verb, name)]);
    assert_eq!(verdict.outcome(), Outcome::Deny);
    verdict
}

#[test]
fn what_is_missing_is_told_only_where_a_policy_permits_it() {
    let lacks = |texts: &[&str], name: &str| refused(texts, Verb::Update, name).lacks().map(ToString::to_string);
    assert_eq!(lacks(&[READ], "orders"), None);
    assert_eq!(lacks(&[READ, KNOW], "orders").as_deref(), Some("update on shop.public.orders"));
    assert_eq!(lacks(&[READ, KNOW], "hidden.ledger"), None, "it is another schema's");
    let any = r#"@id("any") permit(principal, action in Action::"any", resource in Namespace::"payments/shop/other");"#;
    assert_eq!(lacks(&[READ, any], "orders"), None, "`any` has no `know` in it");
    // Neither an effect that is allowed nor a forbid's text is told by it.
    assert_eq!(refused(&[READ, KNOW], Verb::Update, "orders").denial().unwrap().policies.len(), 0);
}

#[test]
fn a_failing_policy_on_knowing_tells_nothing() {
    let overflow = r#"@id("overflow") forbid(principal, action == Action::"know", resource)
        when { context.session.ageSeconds + 9223372036854775807 > 0 } unless { context.now < datetime("2000-01-01") };"#;
    let verdict = refused(&[READ, KNOW, overflow], Verb::Update, "orders");
    assert_eq!(verdict.lacks(), None);
}

#[test]
fn of_several_statements_the_first_refusal_is_told() {
    let first = refused(&[READ, KNOW], Verb::Update, "orders");
    let second = refused(&[READ, KNOW], Verb::Delete, "hidden.ledger");
    let told = |verdicts: Vec<Verdict>| Verdict::of_all(verdicts).lacks().map(ToString::to_string);
    assert_eq!(told(vec![first.clone(), second.clone()]).as_deref(), Some("update on shop.public.orders"));
    assert_eq!(told(vec![second, first]), None);
}
