//! Policies and groups beyond measure (RX-07): at the bound a decision is made, beyond it they are refused when loaded.

use model::decision::Outcome;
use model::effect::Verb;
use std::fmt::Write;

use crate::common::*;

/// The most groups of a token (`identity::MAX_GROUPS`).
const GROUPS: usize = 1000;

/// How many brackets in each other, and how many operators, a policy may have (`load/measure.rs`).
const BRACKETS: usize = 32;
const OPERATORS: usize = 400;
const IFS: usize = 8;

/// Every way to nest something in a condition, so deep.
fn nested(brackets: usize, operators: usize, ifs: usize) -> Vec<(&'static str, String)> {
    let around =
        |open: &str, core: &str, close: &str| format!("{}{core}{}", open.repeat(brackets), close.repeat(brackets));
    vec![
        ("parentheses", around("(", "true", ")")),
        ("sets", format!("{} == []", around("[", "1", "]"))),
        ("records", format!("{} == {{}}", around("{a: ", "1", "}"))),
        ("calls in calls", around("[1].contains(", "1", ")")),
        ("not", format!("{}true", "!".repeat(operators))),
        ("minus", format!("1 == {}1", "- ".repeat(operators))),
        ("if", format!("{}true{}", "if true then ".repeat(ifs), " else true".repeat(ifs))),
        ("and", format!("true{}", " && true".repeat(operators / 2))),
        ("or", format!("false{}", " || true".repeat(operators / 2))),
        ("attributes", format!("context{}", ".a".repeat(operators))),
        ("sums", format!("1 == 1{}", " + 1".repeat(operators))),
        ("calls", format!("[1]{}", ".contains(1)".repeat(operators))),
        ("has", format!("context has a{}", ".a".repeat(operators))),
        ("conditions", format!("true }}{} when {{ true", " when { true }".repeat(operators))),
    ]
}

fn with(condition: &str) -> String {
    format!("@id(\"deep\") permit(principal, action == Action::\"select\", resource) when {{ {condition} }};")
}

/// Before, a stack overflowed, and a revision with such a file ended the process with every session.
#[test]
fn rx_07_policies_nested_without_end_are_refused_before_anything_recurses() {
    for (what, condition) in nested(100_000, 100_000, 100_000) {
        let errors = load(&[&with(&condition)]).expect_err(what);
        assert!(show(&errors).contains("too intricate"), "{what}: {}", show(&errors));
    }
}

/// On the stack of a test, in a debug build: less than what the program has.
#[test]
fn rx_07_at_the_bound_every_policy_is_read_and_decides() {
    for (what, condition) in nested(BRACKETS - 1, OPERATORS - 8, IFS) {
        match load(&[&with(&condition)]) {
            // Not all of them make sense; none is too much.
            Err(errors) => assert!(!show(&errors).contains("too intricate"), "{what}: {}", show(&errors)),
            Ok(set) => {
                let verdict = judged(
                    &set.for_subject(&service("app", &[])),
                    &target("shop", "prod"),
                    &[on_table(Verb::Select, "orders")],
                );
                assert!(matches!(verdict.outcome(), Outcome::Allow | Outcome::Deny), "{what}");
            }
        }
    }
}

/// What stands in texts and comments nests nothing, lists are flat, and each policy is measured by itself.
#[test]
fn rx_07_long_policies_are_not_deep_ones() {
    let elements = (0..2000).map(|at| format!("Group::\"g{at}\"")).collect::<Vec<_>>().join(", ");
    let quoted = "((((.&&".repeat(1000);
    let one = format!(
        "// {quoted}\n@id(\"one\") @message(\"{quoted}\\\"\") forbid(principal, action == Action::\"select\", resource) \
         when {{ principal in [{elements}] }};\n"
    );
    let many: String = (0..1000)
        .map(|at| format!("@id(\"p{at}\") permit(principal, action == Action::\"select\", resource);\n"))
        .collect();
    load(&[&one, &many]).unwrap_or_else(|errors| panic!("{}", show(&errors)));
}

/// A subject in as many groups as a token can have, and a policy for each of them and for as many others.
#[test]
fn rx_07_a_subject_in_a_thousand_groups_is_decided() {
    let mut text = String::new();
    for at in 0..2 * GROUPS {
        let action = if at == GROUPS - 1 { "delete" } else { "select" };
        let (scope, when) = (format!("principal in Group::\"g{at}\""), "when { resource is Table }");
        writeln!(text, "@id(\"p{at}\") permit({scope}, action == Action::\"{action}\", resource) {when};").unwrap();
    }
    let set = load(&[&text]).unwrap_or_else(|errors| panic!("{}", show(&errors)));
    let groups: Vec<String> = (0..GROUPS).map(|at| format!("g{at}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let policies = set.for_subject(&service("app", &groups));
    let outcome = |verb| judged(&policies, &target("shop", "prod"), &[on_table(verb, "orders")]).outcome();
    // By one policy of a thousand, and by none of them.
    assert_eq!((outcome(Verb::Delete), outcome(Verb::Update)), (Outcome::Allow, Outcome::Deny));
    let stranger = set.for_subject(&service("app", &["another"]));
    assert_eq!(
        judged(&stranger, &target("shop", "prod"), &[on_table(Verb::Delete, "orders")]).outcome(),
        Outcome::Deny
    );
}
