//! What runs only while somebody observes it.

use std::sync::Arc;

use model::decision::Outcome;
use model::effect::{Effect, Object, Verb};
use policy::{Context, PolicySet, Verdict};

use crate::common::*;

const PERMIT: &str = r#"@id("permit") permit(principal, action, resource in Target::"web1");"#;
const GUIDES: &str = r#"@id("guides") @require_observer("guides,sre")
    forbid(principal, action in [Action::"ssh:shell", Action::"ssh:exec"], resource)
    unless { context has observers && context.observers.containsAny(["sre", "guides"]) };"#;
const OTHERS: &str = r#"@id("others") @require_observer("others") @message("call the others first")
    forbid(principal, action == Action::"ssh:shell", resource)
    unless { context has observers && context.observers.contains("others") };"#;
const ASK: &str = r#"@id("ask") @require_approval("ops") forbid(principal, action == Action::"ssh:shell", resource)
    unless { context has approval && context.approval.groups.contains("ops") };"#;
const NEVER: &str = r#"@id("never") forbid(principal, action == Action::"ssh:shell", resource);"#;

fn set(texts: &[&str]) -> PolicySet {
    load(texts).unwrap_or_else(|errors| panic!("{}", show(&errors)))
}

/// The answer to a shell while somebody of these groups observes.
fn shell(texts: &[&str], observers: &[&str]) -> Verdict {
    asked(texts, observers, &[Effect::new(Verb::Shell, Object::Login)])
}

fn asked(texts: &[&str], observers: &[&str], effects: &[Effect]) -> Verdict {
    let policies = set(texts);
    let observers: Vec<Arc<str>> = observers.iter().map(|group| Arc::from(*group)).collect();
    let context = Context { observers: &observers, ..context() };
    let subject = policies.for_subject(&service("apprentice", &[]));
    judged_with(&subject, &target("web1", "prod"), effects, &bounded(), &context)
}

/// Whom it waits for.
fn awaits(verdict: &Verdict) -> Vec<String> {
    verdict.awaits().iter().map(|need| need.groups.join(" ")).collect()
}

#[test]
fn it_is_denied_until_somebody_observes_and_says_who() {
    let alone = shell(&[PERMIT, GUIDES], &[]);
    assert_eq!((alone.outcome(), awaits(&alone)), (Outcome::Deny, vec!["guides sre".to_owned()]));
    let denial = alone.denial().unwrap();
    assert_eq!(&*denial.message, "it runs only while somebody of guides or sre observes it");
    assert_eq!(denial.policies, ["guides".into()]);
    let stranger = shell(&[PERMIT, GUIDES], &["dba"]);
    assert_eq!((stranger.outcome(), awaits(&stranger).len()), (Outcome::Deny, 1));
    for group in ["guides", "sre"] {
        let observed = shell(&[PERMIT, GUIDES], &["dba", group]);
        assert_eq!((observed.outcome(), observed.awaits()), (Outcome::Allow, &[][..]));
    }
}

#[test]
fn each_policy_wants_its_own_observer() {
    let all = &[PERMIT, GUIDES, OTHERS];
    assert_eq!(awaits(&shell(all, &[])), ["guides sre", "others"]);
    let one = shell(all, &["sre"]);
    assert_eq!((one.outcome(), awaits(&one)), (Outcome::Deny, vec!["others".to_owned()]));
    assert_eq!(&*one.denial().unwrap().message, "call the others first");
    assert_eq!(shell(all, &["sre", "others"]).outcome(), Outcome::Allow);
}

#[test]
fn an_observer_permits_nothing_and_lifts_no_other_forbid() {
    for (texts, observers) in [
        (&[GUIDES][..], &[][..]),
        (&[GUIDES], &["sre"]),
        (&[PERMIT, GUIDES, NEVER], &[]),
        (&[PERMIT, GUIDES, NEVER], &["sre"]),
    ] {
        let verdict = shell(texts, observers);
        assert_eq!((verdict.outcome(), verdict.awaits()), (Outcome::Deny, &[][..]), "{texts:?} {observers:?}");
    }
}

#[test]
fn an_approval_is_asked_for_once_somebody_observes() {
    let both = &[PERMIT, GUIDES, ASK];
    let alone = shell(both, &[]);
    assert_eq!((alone.outcome(), awaits(&alone)), (Outcome::Deny, vec!["guides sre".to_owned()]));
    let observed = shell(both, &["guides"]);
    assert_eq!((observed.outcome(), observed.awaits()), (Outcome::Ask, &[][..]));
    assert_eq!(observed.needs().len(), 1);
    assert_eq!(&*observed.needs()[0].policy, "ask");
}

/// One command of a line may be observed and another one is not allowed whoever observes.
#[test]
fn nobody_is_waited_for_where_it_would_be_denied_all_the_same() {
    let line = [command("ls", &[]), command("halt", &[])].map(|command| Effect::new(Verb::Exec, command));
    let halt = r#"@id("halt") forbid(principal, action == Action::"ssh:exec", resource is Command)
        when { resource.name == "halt" };"#;
    for observers in [&[][..], &["sre"]] {
        let verdict = asked(&[PERMIT, GUIDES, halt], observers, &line);
        assert_eq!((verdict.outcome(), verdict.awaits()), (Outcome::Deny, &[][..]));
    }
    assert_eq!(asked(&[PERMIT, GUIDES], &["sre"], &line).outcome(), Outcome::Allow);
}

/// What was allowed while somebody observed is not remembered for when nobody does.
#[test]
fn what_was_observed_once_is_asked_again() {
    let policies = set(&[PERMIT, GUIDES]);
    let subject = policies.for_subject(&service("apprentice", &[]));
    let observers = [Arc::from("sre")];
    let effects = [Effect::new(Verb::Shell, Object::Login)];
    let answer = |observers| {
        let context = Context { observers, ..context() };
        judged_with(&subject, &target("web1", "prod"), &effects, &bounded(), &context).outcome()
    };
    for _ in 0..2 {
        assert_eq!(answer(&observers), Outcome::Allow);
        assert_eq!(answer(&[]), Outcome::Deny);
    }
}
