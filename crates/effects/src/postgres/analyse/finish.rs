//! From what the walk collected to a statement.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::effect::{Effect, Facts, FunctionClass, Object, Verb};
use model::lineage::{Literal, LiteralRole, Mentions, Output};

use super::Body;
use super::definition::role_of_hidden;
use super::value::Givens;
use super::walk::{Spot, Walk};
use crate::postgres::lexer::{Kind, Token};
use crate::postgres::secrets;
use crate::postgres::{Changes, Flow, Given, Statement};

const EVERYTHING: Changes = Changes { state: true, local: true, catalog: true, temporary: true, read_write: true };

/// A text of which nothing is known.
pub(super) fn opaque(text: &str, why: &str) -> Statement {
    Statement {
        range: 0..text.len(),
        normal: String::new(),
        effects: vec![Effect::new(Verb::Opaque, Object::Database)],
        facts: Facts { opaque: Some(why.into()), bounded: true, ..Facts::default() },
        output: Output::Unknown,
        mentions: Mentions { anything: true, ..Mentions::default() },
        literals: Vec::new(),
        flows: Vec::new(),
        parameters: Vec::new(),
        changes: EVERYTHING,
        names: None,
        transaction: None,
        own: None,
        copy: None,
    }
}

/// A text without statements.
pub(super) fn empty(text: &str) -> Statement {
    Statement {
        effects: vec![Effect::new(Verb::Transaction, Object::Database)],
        facts: Facts { bounded: true, ..Facts::default() },
        output: Output::None,
        mentions: Mentions::default(),
        changes: Changes::default(),
        ..opaque(text, "")
    }
}

impl Walk<'_> {
    pub(super) fn finish(mut self, body: Body) -> Statement {
        self.select_tables();
        self.judge_path();
        let (source, range) = match self.source.clone() {
            Some((source, range)) => (source, range),
            None => return opaque("", "it has no text"),
        };
        // A text may have many statements: none looks at the tokens of all.
        let first = source.tokens.partition_point(|token| token.range.start < range.start);
        let own = source.tokens.get(first..).unwrap_or_default();
        let count = own.iter().take_while(|token| token.range.end <= range.end).count();
        let own = secrets::with_bare_values(body.kind, own.get(..count).unwrap_or_default(), source.text);
        let tokens: Vec<&Token> = own.iter().map(AsRef::as_ref).collect();
        let parameters = self.parameter_roles(&tokens, source.text, body.parameters);
        let literals = self.literal_roles(&tokens, source.text, body.secret);
        let flows = self.flows_of(parameters.len());
        let normal = normal(&tokens, source.text, parameters.len());
        if self.effects.is_empty() && self.opaque.is_none() {
            self.opaque("it has no effect that is understood");
        }
        if self.opaque.is_some() {
            self.on_database(Verb::Opaque);
            self.anything = true;
            self.changes = EVERYTHING;
        }
        let output = match (self.opaque, body.output) {
            (Some(_), None | Some(_)) => Output::Unknown,
            (None, output) => output.unwrap_or_default(),
        };
        let mentions = self.mentioned();
        Statement {
            range,
            normal,
            effects: self.effects.into_iter().collect(),
            facts: Facts {
                kind: Arc::from(body.kind),
                bounded: self.bounded,
                multi: false,
                opaque: self.opaque.map(Arc::from),
            },
            output,
            mentions,
            literals,
            flows,
            parameters,
            changes: self.changes,
            names: body.names,
            transaction: body.transaction,
            own: body.own,
            copy: body.copy,
        }
    }

    /// A schema that is searched before `pg_catalog` may have an operator that runs anything.
    fn judge_path(&mut self) {
        let first = self.path().find(|schema| *schema != "pg_temp");
        if self.by_path && first != Some("pg_catalog") {
            self.executes(Self::builtin("pg_get_viewdef"), FunctionClass::DynamicSql);
        }
    }

    /// What of the statement itself may get into each column that it writes.
    fn flows_of(&mut self, parameters: usize) -> Vec<Flow> {
        let mut flows = std::mem::take(&mut self.flows);
        for (col, givens) in std::mem::take(&mut self.written) {
            let given = self.resolved(&givens, parameters);
            if given != Given::default() {
                let columns = self.names(&[col]).into_iter();
                flows.extend(columns.map(|column| Flow { column, given: given.clone() }));
            }
        }
        flows
    }

    /// The constants and parameters themselves.
    pub(super) fn resolved(&self, givens: &Givens, parameters: usize) -> Given {
        let mut given = Given::default();
        let mut spots = match givens {
            Givens::Any => {
                given.constants = self.constants.values().cloned().collect();
                given.parameters = (0..parameters).collect();
                return given;
            }
            Givens::These(spots) => spots.clone(),
        };
        // The rows of a recursive query may lead back to themselves.
        let mut seen = BTreeSet::new();
        while let Some(spot) = spots.pop() {
            if !seen.insert(spot) {
                continue;
            }
            match spot {
                Spot::Constant(at) => given.constants.extend(self.constants.get(&at).cloned()),
                Spot::Parameter(number) => given.parameters.extend(number.checked_sub(1)),
                Spot::Rows(at, column) => spots.extend(self.rows.get(&(at, column)).into_iter().flatten()),
            }
        }
        given
    }

    fn parameter_roles(&self, tokens: &[&Token], text: &str, inner: Vec<LiteralRole>) -> Vec<LiteralRole> {
        let parameters = tokens.iter().filter(|token| token.kind == Kind::Parameter);
        let numbers = parameters.filter_map(|token| parameter_number(token, text));
        let mut roles: Vec<Option<LiteralRole>> = vec![None; numbers.max().unwrap_or(0)];
        for (spot, role) in &self.roles {
            let Spot::Parameter(number) = spot else { continue };
            if let Some(slot) = number.checked_sub(1).and_then(|at| roles.get_mut(at)) {
                *slot = Some(both(slot.take(), named_so(role)));
            }
        }
        let roles = roles.into_iter().enumerate();
        let mut roles: Vec<LiteralRole> =
            roles.map(|(at, role)| role.or_else(|| inner.get(at).cloned()).unwrap_or(LiteralRole::Unknown)).collect();
        for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Parameter) {
            let number = parameter_number(token, text).filter(|_| secrets::is_secret_at(tokens, at, text));
            if let Some(role) = number.and_then(|number| roles.get_mut(number.checked_sub(1)?)) {
                *role = LiteralRole::Secret;
            }
        }
        roles
    }

    /// Every constant of the text with its role. Where the tree has a constant and the text has none, lexer and parser
    /// disagree and nothing is certain.
    fn literal_roles(&mut self, tokens: &[&Token], text: &str, secret: bool) -> Vec<Literal> {
        let mut literals: Vec<(Literal, bool)> = Vec::new();
        for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Constant) {
            let secret = secret || secrets::is_secret_at(tokens, at, text);
            let role = role_of_hidden(secret);
            literals.push((Literal { start: token.range.start, end: token.range.end, role }, secret));
        }
        let mut disagree = false;
        for (spot, role) in &self.roles {
            let Spot::Constant(at) = spot else { continue };
            match constant_at(tokens, text, *at) {
                Ok(Some(start)) => {
                    let found = literals.binary_search_by_key(&start, |(literal, _)| literal.start);
                    if let Some((literal, seen)) = found.ok().and_then(|at| literals.get_mut(at)) {
                        let before = seen.then(|| literal.role.clone());
                        literal.role = both(before, named_so(role));
                        *seen = true;
                    }
                }
                Ok(None) => {}
                Err(()) => disagree = true,
            }
        }
        if disagree {
            self.opaque("its constants are not where they were expected");
        }
        literals.into_iter().map(|(literal, _)| literal).collect()
    }
}

/// A column may be a secret's by its name alone.
fn named_so(role: &LiteralRole) -> &LiteralRole {
    match role {
        LiteralRole::Of(column) if secrets::is_named_so(&column.name) => &LiteralRole::Secret,
        other => other,
    }
}

/// The number of `$1`.
fn parameter_number(token: &Token, text: &str) -> Option<usize> {
    text.get(token.range.clone())?.strip_prefix('$')?.parse::<u16>().ok().map(usize::from)
}

/// What a constant is that is used as both.
fn both(one: Option<LiteralRole>, other: &LiteralRole) -> LiteralRole {
    match (one, other) {
        (None, role) => role.clone(),
        (Some(LiteralRole::Secret), _) | (_, LiteralRole::Secret) => LiteralRole::Secret,
        (Some(role), other) if role == *other => role,
        _ => LiteralRole::Unknown,
    }
}

/// Where the constant is that the tree has at `at`: there, or after a sign that the parser took into it. `None` if a
/// keyword stands there, as in `EXTRACT(year FROM …)`.
fn constant_at(tokens: &[&Token], text: &str, at: usize) -> Result<Option<usize>, ()> {
    let first = tokens.partition_point(|token| token.range.start < at);
    for (offset, token) in tokens.get(first..).unwrap_or_default().iter().enumerate() {
        if offset == 0 && token.range.start != at {
            return Err(());
        }
        match token.kind {
            Kind::Constant => return Ok(Some(token.range.start)),
            Kind::Word if offset == 0 => return Ok(None),
            // `- (- 1)` is a constant too, and stands at its first sign.
            Kind::Blank | Kind::Open if offset > 0 => {}
            Kind::Other if matches!(text.get(token.range.clone()), Some("-" | "+")) => {}
            _ => return Err(()),
        }
    }
    Err(())
}

/// The text with blanks folded, comments gone, and constants numbered after the parameters.
fn normal(tokens: &[&Token], text: &str, parameters: usize) -> String {
    use std::fmt::Write;
    let start = tokens.first().map_or(0, |token| token.range.start);
    let mut out = String::with_capacity(tokens.last().map_or(0, |token| token.range.end.saturating_sub(start)));
    let mut number = parameters;
    let mut gap = false;
    for token in tokens {
        match token.kind {
            Kind::Blank => gap = !out.is_empty(),
            kind => {
                if std::mem::take(&mut gap) {
                    out.push(' ');
                }
                if kind == Kind::Constant {
                    number += 1;
                    // `interval'1 day'`: a number behind a word would be part of it.
                    if out.ends_with(|before: char| {
                        before.is_ascii_alphanumeric() || matches!(before, '_' | '$') || !before.is_ascii()
                    }) {
                        out.push(' ');
                    }
                    // Writing to a String cannot fail.
                    let _ = write!(out, "${number}");
                } else {
                    out.push_str(text.get(token.range.clone()).unwrap_or_default());
                }
            }
        }
    }
    out
}
