//! Mistakes that a valid policy can still hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Effect, PrincipalConstraint, ResourceConstraint, pst};

use super::PolicyError;
use super::files::Source;
use super::reads::{Part, context_path, parts};
use crate::rule::Rule;

/// Adds what is wrong with the policy to `errors`. `actions` are those that it can apply to.
pub(super) fn check(source: &Source<'_>, rule: &Rule, actions: &[Arc<str>], errors: &mut Vec<PolicyError>) {
    if locks_everybody_out(source, actions) {
        errors.push(source.error(
            "this forbids administration to everybody, so nobody could take it back",
            "add an `unless { … }`, or write `action in Action::\"any\"` to stop all traffic",
        ));
    }
    if source.policy.effect() == Effect::Permit {
        return;
    }
    if rule.mask.is_some() && !actions.iter().any(|action| &**action == "reveal") {
        errors.push(source.error_at(
            "mask",
            "@mask has no effect on these actions",
            "masks stand on a forbid of `action == Action::\"reveal\"`",
        ));
    }
    if let Some(approval) = &rule.approval {
        if let Some(action) = actions.iter().find(|action| cannot_wait(action)) {
            errors.push(source.error_at(
                "require_approval",
                &format!("`{action}` does not wait for approvals"),
                "name the actions that need one, or write `action in Action::\"any\"`",
            ));
        }
        check_lifted(source, &APPROVAL, &approval.groups, errors);
    }
    if let Some(groups) = &rule.observers {
        if let Some(action) = actions.iter().find(|action| !OBSERVED.contains(&&***action)) {
            errors.push(source.error_at(
                "require_observer",
                &format!("`{action}` does not wait for an observer"),
                "name the actions that do: Action::\"ssh:shell\", Action::\"ssh:exec\"",
            ));
        }
        check_lifted(source, &OBSERVERS, groups, errors);
    }
}

/// What can be observed while it runs.
const OBSERVED: [&str; 2] = ["ssh:shell", "ssh:exec"];

/// What lifts a forbid, as a policy says it.
struct Lifting {
    annotation: &'static str,
    /// Where in the context its groups are.
    path: &'static [&'static str],
    /// What the context has if it is there at all.
    has: &'static str,
    one: &'static str,
}

const APPROVAL: Lifting =
    Lifting { annotation: "require_approval", path: &["approval", "groups"], has: "approval", one: "approval" };

const OBSERVERS: Lifting =
    Lifting { annotation: "require_observer", path: &["observers"], has: "observers", one: "observer" };

/// Whether the forbid is lifted by just the groups that its annotation names.
fn check_lifted(source: &Source<'_>, lifting: &Lifting, groups: &[Arc<str>], errors: &mut Vec<PolicyError>) {
    let lifted = lifted_by(source, lifting);
    let asked: BTreeSet<&str> = groups.iter().map(|group| &**group).collect();
    if lifted.iter().map(String::as_str).collect::<BTreeSet<_>>() != asked {
        let (message, help) = (lifting.mismatch(&lifted), lifting.clause(&asked));
        errors.push(source.error_at(lifting.annotation, &message, &help));
    }
}

/// What may be seen, who gets in and what administrators do is decided at once.
fn cannot_wait(action: &str) -> bool {
    matches!(action, "reveal" | "connect") || action.starts_with("admin:")
}

fn locks_everybody_out(source: &Source<'_>, actions: &[Arc<str>]) -> bool {
    let policy = &source.policy;
    let covers_control = match policy.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => kind.basename() == "Control",
        ResourceConstraint::Eq(one) | ResourceConstraint::In(one) => one.type_name().basename() == "Control",
    };
    policy.effect() == Effect::Forbid
        && !policy.has_non_scope_constraint()
        && matches!(policy.principal_constraint(), PrincipalConstraint::Any)
        && actions.iter().any(|action| &**action == "admin:operate")
        && covers_control
}

/// The groups that the policy's `unless` compares with those of the context.
fn lifted_by(source: &Source<'_>, lifting: &Lifting) -> BTreeSet<String> {
    let mut groups = BTreeSet::new();
    if let Ok(policy) = source.policy.to_pst() {
        for clause in policy.body().clauses() {
            if let pst::Clause::Unless(condition) = clause {
                collect_groups(condition, lifting.path, &mut groups);
            }
        }
    }
    groups
}

fn collect_groups(expression: &pst::Expr, at: &[&str], groups: &mut BTreeSet<String>) {
    if let pst::Expr::BinaryOp { op: pst::BinaryOp::Contains | pst::BinaryOp::ContainsAny, left, right } = expression
        && context_path(left).is_some_and(|path| path == at)
    {
        return texts(right, groups);
    }
    for part in parts(expression) {
        if let Part::Expression(part) = part {
            collect_groups(part, at, groups);
        }
    }
}

fn texts(expression: &pst::Expr, out: &mut BTreeSet<String>) {
    match expression {
        pst::Expr::Literal(pst::Literal::String(text)) => {
            out.insert(text.to_string());
        }
        pst::Expr::Set(items) => items.iter().for_each(|item| texts(item, out)),
        _ => {}
    }
}

impl Lifting {
    fn mismatch(&self, lifted: &BTreeSet<String>) -> String {
        if lifted.is_empty() {
            format!("no {} lifts this forbid", self.one)
        } else {
            let groups: Vec<&str> = lifted.iter().map(String::as_str).collect();
            format!("this forbid is lifted by an {} of other groups: {}", self.one, groups.join(", "))
        }
    }

    fn clause(&self, groups: &BTreeSet<&str>) -> String {
        let quoted: Vec<String> = groups.iter().map(|group| format!("\"{group}\"")).collect();
        let test = match quoted.as_slice() {
            [one] => format!("contains({one})"),
            many => format!("containsAny([{}])", many.join(", ")),
        };
        format!("write `unless {{ context has {} && context.{}.{test} }}`", self.has, self.path.join("."))
    }
}
