//! Which facts a policy reads: what an answer depends on, and which questions have the same answer.

use cedar_policy::{Policy, pst};

use crate::question::Validity;

/// What a policy, or any policy of a set, reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reads {
    /// Facts that change within a session.
    pub(crate) validity: Validity,
    /// Facts of the session: source, binding, who observes it.
    pub(crate) session: bool,
    /// Whether, or how, a column's values are masked.
    pub(crate) revealed: bool,
    /// Which column it is, beyond its table and its classes.
    pub(crate) columns: bool,
    /// What kind of statement it is, and whether something bounds it.
    pub(crate) statement: bool,
    /// What the resource is, beyond the scope.
    pub(crate) resource: bool,
}

impl Reads {
    const EVERYTHING: Self = Self {
        validity: Validity { timed: true, reason: true, on_behalf_of: true, estimated_rows: true },
        session: true,
        revealed: true,
        columns: true,
        statement: true,
        resource: true,
    };

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            validity: self.validity.and(other.validity),
            session: self.session | other.session,
            revealed: self.revealed | other.revealed,
            columns: self.columns | other.columns,
            statement: self.statement | other.statement,
            resource: self.resource | other.resource,
        }
    }

    /// Reads the policy's text. What is not understood reads everything.
    pub(crate) fn of(policy: &Policy) -> Self {
        let Ok(parsed) = policy.to_pst() else {
            return Self::EVERYTHING;
        };
        let mut reads = Self::default();
        reads.columns |= policy.entity_literals().iter().any(|literal| literal.type_name().basename() == "Column");
        for clause in parsed.body().clauses() {
            match clause {
                pst::Clause::When(condition) | pst::Clause::Unless(condition) => reads.expression(condition),
            }
        }
        reads
    }

    fn expression(&mut self, expression: &pst::Expr) {
        if let Some(path) = context_path(expression) {
            return self.context(&path);
        }
        self.resource |= matches!(expression, pst::Expr::Var(pst::Var::Resource));
        for part in parts(expression) {
            match part {
                Part::Expression(part) => self.expression(part),
                // Only columns of one table and classes differ in nothing but their `name`.
                Part::Attribute(name) => self.columns |= name == "name",
                Part::Unknown => *self = Self::EVERYTHING,
            }
        }
    }

    fn context(&mut self, path: &[&str]) {
        match path {
            ["now", ..] | ["session"] | ["session", "ageSeconds", ..] => self.validity.timed = true,
            ["session", "binding" | "source", ..] | ["sourceIp", ..] => {}
            ["reason", ..] => self.validity.reason = true,
            ["onBehalfOf", ..] => self.validity.on_behalf_of = true,
            ["statement"] | ["statement", "estimatedRows", ..] => self.validity.estimated_rows = true,
            ["revealed" | "mask", ..] => self.revealed = true,
            ["statement", "kind" | "bounded" | "multi", ..] | ["target" | "approval" | "observers", ..] => {}
            _ => *self = Self::EVERYTHING,
        }
        self.statement |= matches!(path, ["statement"] | ["statement", "kind" | "bounded" | "multi", ..]);
        self.session |= matches!(path, ["session" | "sourceIp" | "observers", ..]);
    }
}

/// `["a", "b"]` for `context.a.b` and `context.a has b`.
pub(super) fn context_path(expression: &pst::Expr) -> Option<Vec<&str>> {
    match expression {
        pst::Expr::Var(pst::Var::Context) => Some(vec![]),
        pst::Expr::GetAttr { expr, attr } => {
            let mut path = context_path(expr)?;
            path.push(attr);
            Some(path)
        }
        pst::Expr::HasAttr { expr, attrs } => {
            let mut path = context_path(expr)?;
            path.extend(attrs.iter().map(|attr| attr.as_str()));
            Some(path)
        }
        _ => None,
    }
}

/// What an expression is made of.
pub(super) enum Part<'a> {
    Expression(&'a pst::Expr),
    Attribute(&'a str),
    /// A form that a later Cedar has.
    Unknown,
}

pub(super) fn parts(expression: &pst::Expr) -> Vec<Part<'_>> {
    use Part::{Attribute, Expression};
    match expression {
        pst::Expr::Literal(_) | pst::Expr::Var(_) => vec![],
        pst::Expr::UnaryOp { expr, .. } | pst::Expr::Like { expr, .. } => vec![Expression(expr)],
        pst::Expr::BinaryOp { left, right, .. } => vec![Expression(left), Expression(right)],
        pst::Expr::GetAttr { expr, attr } => vec![Expression(expr), Attribute(attr)],
        pst::Expr::HasAttr { expr, attrs } => {
            let names = attrs.iter().map(|attr| Attribute(attr));
            std::iter::once(Expression(expr)).chain(names).collect()
        }
        pst::Expr::Is { expr, in_expr, .. } => {
            std::iter::once(Expression(expr)).chain(in_expr.as_deref().map(Expression)).collect()
        }
        pst::Expr::IfThenElse { cond, then_expr, else_expr } => {
            vec![Expression(cond), Expression(then_expr), Expression(else_expr)]
        }
        pst::Expr::Set(items) => items.iter().map(|item| Expression(item)).collect(),
        pst::Expr::Record(fields) => fields.values().map(|field| Expression(field)).collect(),
        _ => vec![Part::Unknown],
    }
}
