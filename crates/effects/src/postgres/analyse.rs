//! The walk from a parsed text to its statements.

mod arguments;
mod beside;
mod bounded;
mod calls;
mod compare;
mod constraint;
mod copy;
mod definition;
mod expr;
mod finish;
mod from;
mod json;
mod named;
mod names;
mod operand;
mod operators;
mod scope;
mod select;
mod table;
mod total;
mod types;
mod utility;
mod value;
mod view;
mod walk;
mod write;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::effect::{TableKind, Verb};
use model::lineage::{LiteralRole, Output, OutputColumn};
use pg_raw_parse::Node;
use pg_raw_parse::nodes::{IntoClause, RawStmt, SelectStmt};

pub(super) use view::shape_of;

use self::value::Outputs;
use self::walk::Walk;
use super::lexer;
use super::tree::{self, Source};
use super::{Copy, NameUse, Own, Session, Statement, TransactionStep};

/// Says what each statement of `text` would do. Never empty, never an error: what is not understood is opaque, and a
/// text without statements is one with the effect `transaction`.
pub fn analyse(text: &str, session: &Session<'_>) -> Vec<Statement> {
    if !session.standard_conforming_strings && text.contains('\\') {
        return vec![finish::opaque(text, "it has a backslash while standard_conforming_strings is off")];
    }
    if session.catalog.has_other_encoding() && lexer::has_foreign_name(text) {
        return vec![finish::opaque(text, "it has a name beyond ASCII in a database that is not in UTF8")];
    }
    // The library's accessors panic on a tree of a shape that its authors did not expect. The grammar does not build
    // one; if it ever did, that would be one more thing that is not understood.
    let statements = catch_unwind(AssertUnwindSafe(|| understand(text, session)));
    statements.unwrap_or_else(|_| vec![finish::opaque(text, "its tree has an unexpected shape")])
}

fn understand(text: &str, session: &Session<'_>) -> Vec<Statement> {
    let (source, tree) = match tree::parse(text) {
        Ok(parsed) => parsed,
        Err(why) => return vec![finish::opaque(text, why)],
    };
    let multi = tree.len() > 1;
    let mut statements: Vec<Statement> =
        tree.iter().map(|raw| statement(session, &source, range_of(raw, text), raw.stmt(), multi)).collect();
    if statements.is_empty() {
        statements.push(finish::empty(text));
    }
    statements
}

fn range_of(raw: &RawStmt, text: &str) -> Range<usize> {
    let start = usize::try_from(raw.stmt_location).unwrap_or(0).min(text.len());
    let length = usize::try_from(raw.stmt_len).unwrap_or(0);
    let end = if length == 0 { text.len() } else { start.saturating_add(length).min(text.len()) };
    start..end
}

fn statement(
    session: &Session<'_>,
    source: &Source<'_>,
    range: Range<usize>,
    node: Node<'_>,
    multi: bool,
) -> Statement {
    let mut walk = Walk::new(session, Some((source, range)));
    let body = walk.top(node);
    let mut statement = walk.finish(body);
    statement.facts.multi = multi;
    statement
}

/// What a statement is besides its effects.
struct Body {
    kind: &'static str,
    /// `None`: it answers without rows.
    output: Option<Output>,
    names: Option<NameUse>,
    transaction: Option<TransactionStep>,
    own: Option<Own>,
    copy: Option<Copy>,
    /// All of its constants may be passwords.
    secret: bool,
    /// The roles of an inner statement's parameters.
    parameters: Vec<LiteralRole>,
}

impl Body {
    const fn of(kind: &'static str) -> Self {
        Self {
            kind,
            output: None,
            names: None,
            transaction: None,
            own: None,
            copy: None,
            secret: false,
            parameters: Vec::new(),
        }
    }
}

impl Walk<'_> {
    fn top(&mut self, node: Node<'_>) -> Body {
        match node {
            Node::SelectStmt(select) => {
                let outputs = self.subquery(node);
                match into_of(select) {
                    Some(into) => {
                        self.creates_from(Some(into), &outputs, TableKind::Table);
                        Body::of("SELECT INTO")
                    }
                    None => self.rows("SELECT", outputs, true),
                }
            }
            Node::InsertStmt(insert) => {
                let outputs = self.subquery(node);
                self.rows("INSERT", outputs, insert.returning_clause().is_some())
            }
            Node::UpdateStmt(update) => {
                let outputs = self.subquery(node);
                self.rows("UPDATE", outputs, update.returning_clause().is_some())
            }
            Node::DeleteStmt(delete) => {
                let outputs = self.subquery(node);
                self.rows("DELETE", outputs, delete.returning_clause().is_some())
            }
            Node::MergeStmt(merge) => {
                let outputs = self.subquery(node);
                self.rows("MERGE", outputs, merge.returning_clause().is_some())
            }
            node => self.utility(node),
        }
    }

    /// Rows that leave.
    fn rows(&mut self, kind: &'static str, outputs: Outputs, any: bool) -> Body {
        if !any {
            return Body::of(kind);
        }
        if outputs.wild {
            self.deliver(&outputs.all());
            return Body { output: Some(Output::Unknown), ..Body::of(kind) };
        }
        let mut columns = Vec::with_capacity(outputs.columns.len());
        for (name, value) in outputs.columns {
            self.deliver(&value);
            columns.push(OutputColumn { name, origin: self.origin(&value) });
        }
        if kind == "SELECT" && self.mentions_nothing() {
            self.on_database(Verb::Evaluate);
        }
        Body { output: Some(Output::Rows(columns)), ..Body::of(kind) }
    }
}

/// SELECT … INTO, which stands in the first arm of a set operation.
fn into_of(select: &SelectStmt) -> Option<&IntoClause> {
    let mut select = select;
    loop {
        if let Some(into) = select.into_clause() {
            return Some(into);
        }
        select = select.larg()?;
    }
}

/// A statement inside another one's text.
fn inner_statement(walk: &Walk<'_>, node: Node<'_>, parameter_types: &[u32]) -> Arc<Statement> {
    let session = Session { parameter_types, ..*walk.session };
    let mut inner = Walk::new(&session, walk.source.clone());
    let body = inner.top(node);
    Arc::new(inner.finish(body))
}
