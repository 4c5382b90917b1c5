//! Mistakes are found when policies are loaded, all at once, with their place.

use policy::{BASELINE, PolicySet};

use crate::common::*;

const PERMIT: &str = "permit(principal, action == Action::\"select\", resource);";
const FORBID: &str = "forbid(principal, action == Action::\"delete\", resource)";
const SHELL: &str = "forbid(principal, action == Action::\"ssh:shell\", resource)";

fn mistakes(text: &str) -> String {
    show(&load(&[text]).expect_err(text))
}

#[test]
fn the_shipped_files_are_valid_without_any_other() {
    load(&[BASELINE]).unwrap_or_else(|errors| panic!("{}", show(&errors)));
    let none = PolicySet::load(&[("baseline".to_owned(), String::new())], &Default::default());
    assert!(none.is_ok());
}

#[test]
fn no_forbid_of_the_baseline_is_without_an_unless() {
    let policies = BASELINE.split("@id(").filter(|policy| policy.contains("\nforbid ("));
    assert!(policies.clone().count() >= 3);
    policies.for_each(|policy| assert!(policy.contains(" unless {"), "{policy}"));
}

#[test]
fn each_mistake_is_named() {
    let lifted = "unless { context has approval && context.approval.groups.contains(\"dba\") };";
    let observed = "unless { context has observers && context.observers.contains(\"sre\") };";
    for (text, expected) in [
        (PERMIT.to_owned(), "the policy has no @id"),
        (format!("@id(\"\") {PERMIT}"), "the policy has no @id"),
        (format!("@id(\"a b\") {PERMIT}"), "cannot be shown safely"),
        (format!("@id(\"a\") {PERMIT} @id(\"a\") {PERMIT}"), "another policy has this @id"),
        (format!("@id(\"a\") @requires_approval(\"dba\") {PERMIT}"), "unknown annotation @requires_approval"),
        (format!("@id(\"a\") @require_approval(\"dba\") {PERMIT}"), "@require_approval on a permit"),
        (format!("@id(\"a\") @mask(\"null\") {PERMIT}"), "@mask on a permit"),
        (format!("@id(\"a\") @break_glass(\"x\") {PERMIT}"), "@break_glass on a permit"),
        (format!("@id(\"a\") @read_only {FORBID};"), "@read_only on a forbid"),
        (format!("@id(\"a\") @require_approval(\"dba\") {FORBID};"), "no approval lifts this forbid"),
        (format!("@id(\"a\") @require_approval(\"sre\") {FORBID} {lifted}"), "approval of other groups: dba"),
        (format!("@id(\"a\") @require_approval(\"dba,sre\") {FORBID} {lifted}"), "approval of other groups: dba"),
        (format!("@id(\"a\") @require_approval(\"\") {FORBID} {lifted}"), "names an empty group"),
        (
            format!("@id(\"a\") @require_approval(\"dba\") @approvals(\"0\") {FORBID} {lifted}"),
            "not a number of people",
        ),
        (
            format!("@id(\"a\") @require_approval(\"dba\") @approval_ttl(\"soon\") {FORBID} {lifted}"),
            "@approval_ttl is not a time",
        ),
        (format!("@id(\"a\") @approvals(\"2\") {FORBID};"), "@approvals without @require_approval"),
        (format!("@id(\"a\") @require_observer(\"sre\") {PERMIT}"), "@require_observer on a permit"),
        (format!("@id(\"a\") @require_observer(\"sre\") {FORBID};"), "`delete` does not wait for an observer"),
        (format!("@id(\"a\") @require_observer(\"sre\") {SHELL};"), "no observer lifts this forbid"),
        (format!("@id(\"a\") @require_observer(\"dba\") {SHELL} {observed}"), "an observer of other groups: sre"),
        (
            format!("@id(\"a\") @require_observer(\"sre\") @require_approval(\"sre\") {SHELL} {observed}"),
            "@require_observer beside @require_approval",
        ),
        (format!("@id(\"a\") @mask(\"null\") {FORBID};"), "@mask has no effect on these actions"),
        (
            "@id(\"a\") @mask(\"blur\") forbid(principal, action == Action::\"reveal\", resource is Column);".to_owned(),
            "unknown mask `blur`",
        ),
        (
            "@id(\"a\") @mask(\"partial\") @mask_args(\"first=4\") forbid(principal, action == Action::\"reveal\", \
             resource is Column);"
                .to_owned(),
            "keep_last=4",
        ),
        ("@id(\"a\") permit(principal == ?principal, action, resource);".to_owned(), "templates are not used"),
        ("@id(\"a\") permit(principal, action == Action::\"selct\", resource);".to_owned(), "selct"),
        (
            "@id(\"a\") forbid(principal, action == Action::\"reveal\", resource in DataClass::\"card_nmber\");".to_owned(),
            "card_nmber",
        ),
        ("@id(\"a\") permit(principal, action, resource) when { resource.nmae == \"x\" };".to_owned(), "nmae"),
        (
            "@id(\"a\") permit(principal, action == Action::\"select\", resource) when { resource.getTag(\"env\") == \"x\" };"
                .to_owned(),
            "tag",
        ),
        (
            "@id(\"a\") permit(principal, action == Action::\"select\", resource) when { context.approval.count > 1 };"
                .to_owned(),
            "approval",
        ),
        // An entity that is named in a policy is not there when a request is decided.
        (
            "@id(\"a\") permit(principal, action == Action::\"select\", resource) \
             when { Target::\"payments\".hasTag(\"env\") };"
                .to_owned(),
            "entity literals cannot be dereferenced",
        ),
        ("@id(\"a\") permit(principal, action, resource".to_owned(), "unexpected end of input"),
    ] {
        let found = mistakes(&text);
        assert!(found.contains(expected), "{text}\n  is refused with\n{found}");
    }
}

#[test]
fn an_approval_cannot_lift_what_is_not_asked_about() {
    for action in ["reveal", "connect", "admin:operate"] {
        let text = format!(
            "@id(\"a\") @require_approval(\"dba\") forbid(principal, action == Action::\"{action}\", resource) \
             unless {{ context has approval && context.approval.groups.contains(\"dba\") }};"
        );
        assert!(mistakes(&text).contains("does not wait for approvals"));
    }
}

#[test]
fn all_mistakes_are_reported_with_their_places() {
    let first = "// a comment\n@id(\"one\")\n@requires_approval(\"dba\")\npermit(principal, action, resource);\n";
    let second = "@id(\"one\")\npermit(principal, action == Action::\"selekt\", resource);\n";
    let third = "@id(\"three\")\npermit(principal, action);\n";
    let errors = load(&[first, second, third]).unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| (&*error.path, error.line, error.column)).collect();
    let found = show(&errors);
    assert!(places.contains(&("0.cedar", 3, 1)), "{found}");
    assert!(places.contains(&("1.cedar", 1, 1)), "{found}");
    assert!(places.contains(&("1.cedar", 2, 29)), "{found}");
    assert!(places.iter().any(|place| place.0 == "2.cedar" && place.1 == 2), "{found}");
    assert!(found.contains("did you mean"), "{found}");
}

#[test]
fn a_class_name_cannot_change_the_schema() {
    for name in ["", "a\"]; action x", "a b"] {
        let classes = [(model::class::DataClass::new(name), model::class::Transform::Null)].into();
        assert!(PolicySet::load(&[], &classes).is_err(), "{name}");
    }
}
