//! Statements and rows that are kept under a name: PREPARE and EXECUTE, cursors and FETCH.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::effect::{ColumnName, Verb};
use model::lineage::{Member, Origin, Output, OutputColumn};
use pg_raw_parse::Node;
use pg_raw_parse::nodes::{DeclareCursorStmt, ExecuteStmt, FetchStmt, PrepareStmt};

use super::Body;
use super::value::Givens;
use super::walk::{Spot, Walk};
use crate::postgres::{Flow, NameUse, Statement};

impl Walk<'_> {
    /// A statement inside this one, with the same text and the same literals.
    pub(super) fn inner(&mut self, node: Node<'_>) -> Arc<Statement> {
        super::inner_statement(self, node, self.session.parameter_types)
    }

    /// Everything that an inner statement does, this one does.
    pub(super) fn adopt(&mut self, inner: &Statement) {
        self.effects.extend(inner.effects.iter().filter(|effect| effect.verb != Verb::Opaque).cloned());
        self.flows.extend(inner.flows.iter().cloned());
        for literal in &inner.literals {
            self.roles.push((Spot::Constant(literal.start), literal.role.clone()));
        }
        if inner.facts.opaque.is_some() {
            self.opaque("it contains a statement that is not fully understood");
        }
        self.bounded &= inner.facts.bounded;
        self.changes.state |= inner.changes.state;
        self.changes.local |= inner.changes.local;
        self.changes.catalog |= inner.changes.catalog;
        self.changes.temporary |= inner.changes.temporary;
        self.changes.read_write |= inner.changes.read_write;
        self.adopt_mentions(inner);
    }

    pub(super) fn adopt_mentions(&mut self, inner: &Statement) {
        self.anything |= inner.mentions.anything;
        for table in &inner.mentions.tables {
            if let Some(relation) = self.catalog.relation_named(&table.schema, &table.name) {
                self.mentions(relation);
            } else {
                self.anything = true;
            }
        }
    }

    pub(super) fn prepare(&mut self, prepare: &PrepareStmt) -> Body {
        let types: Vec<u32> = prepare.argtypes().iter().map(|ty| self.uses_type(ty)).collect();
        let inner = super::inner_statement(self, prepare.query(), &types);
        self.adopt(&inner);
        let name = prepare.name().unwrap_or_default().into();
        let parameters = inner.parameters.clone();
        Body { names: Some(NameUse::Prepare { name, inner }), parameters, ..Body::of("PREPARE") }
    }

    pub(super) fn execute(&mut self, execute: &ExecuteStmt) -> Body {
        let name: Arc<str> = execute.name().unwrap_or_default().into();
        let inner = self.session.prepared.statement(&name);
        let mut arguments = Vec::new();
        for (at, argument) in execute.params().into_iter().enumerate() {
            let start = self.roles.len();
            let value = self.expr(argument);
            if !value.is_constant() {
                self.opaque("a value of its EXECUTE is no constant");
            }
            self.deliver(&value);
            arguments.push(value.givens());
            if let Some(role) = inner.as_ref().and_then(|inner| inner.parameters.get(at)) {
                self.role_of_all(start, role);
            }
        }
        let mut body = Body::of("EXECUTE");
        match &inner {
            Some(inner) => {
                self.adopt_named(inner);
                self.hand_over(inner, &arguments);
                body.output = Some(inner.output.clone());
                body.own = inner.own.clone();
                body.copy = inner.copy.clone();
                body.transaction = inner.transaction.clone();
            }
            None => {
                self.opaque("it executes a prepared statement that is not known");
            }
        }
        body.names = Some(NameUse::Execute { name, inner });
        body
    }

    /// As [`Self::adopt`], for a statement of another text, whose constants were looked at when it came.
    fn adopt_named(&mut self, inner: &Statement) {
        let (roles, flows) = (self.roles.len(), self.flows.len());
        self.adopt(inner);
        self.roles.truncate(roles);
        self.flows.truncate(flows);
    }

    /// The arguments of EXECUTE get into what the statement's parameters get into.
    fn hand_over(&mut self, inner: &Statement, arguments: &[Givens]) {
        for flow in &inner.flows {
            let handed = flow.given.parameters.iter().filter_map(|at| arguments.get(*at));
            let mut given = Givens::NONE;
            handed.for_each(|argument| given.add(argument));
            // EXECUTE takes no parameters of its own but those that stand in its arguments.
            let most = self.session.parameter_types.len();
            let given = self.resolved(&given, most);
            self.flows.push(Flow { column: flow.column.clone(), given });
        }
    }

    pub(super) fn declare(&mut self, declare: &DeclareCursorStmt) -> Body {
        // parsenodes.h: CURSOR_OPT_BINARY, CURSOR_OPT_HOLD.
        let (binary, hold) = (declare.options & 0x0001 != 0, declare.options & 0x0020 != 0);
        let inner = self.inner(declare.query());
        self.adopt(&inner);
        // Its rows come later, when a view may be gone or be another one.
        let output = self.lasting(&inner.output, &Self::under_view);
        let inner = Arc::new(Statement { output, ..Statement::clone(&inner) });
        let name = declare.portalname().unwrap_or_default().into();
        let parameters = inner.parameters.clone();
        Body { names: Some(NameUse::Declare { name, inner, binary, hold }), parameters, ..Body::of("DECLARE CURSOR") }
    }

    pub(super) fn fetch(&mut self, fetch: &FetchStmt) -> Body {
        let name: Arc<str> = fetch.portalname().unwrap_or_default().into();
        let kind = if fetch.ismove { "MOVE" } else { "FETCH" };
        let mut body = Body::of(kind);
        match self.session.prepared.cursor(&name) {
            Some(inner) => {
                self.adopt_named(&inner);
                // A portal of the protocol: what its views were then is not known any more.
                let any = Origin::Derived(self.all_columns(&inner));
                let output = self.lasting(&inner.output, &|_, _| any.clone());
                body.output = (!fetch.ismove).then_some(output);
            }
            None => {
                self.opaque("it fetches from a cursor that is not known");
            }
        }
        body.names = Some(NameUse::Fetch(name));
        body
    }

    /// An output that says the same whatever becomes of views: `of_view` says where a column comes from that is one of a
    /// view, or of nothing that is there.
    fn lasting(&mut self, output: &Output, of_view: &dyn Fn(&mut Self, &ColumnName) -> Origin) -> Output {
        let Output::Rows(columns) = output else { return output.clone() };
        let lasting = |column: &OutputColumn| {
            let origin = self.lasting_origin(&column.origin, of_view);
            OutputColumn { origin, ..column.clone() }
        };
        Output::Rows(columns.iter().map(lasting).collect())
    }

    fn lasting_origin(&mut self, origin: &Origin, of_view: &dyn Fn(&mut Self, &ColumnName) -> Origin) -> Origin {
        match origin {
            Origin::Column(name) => {
                let relation = self.catalog.relation_named(&name.table.schema, &name.table.name);
                if relation.is_some_and(|relation| relation.view.is_none()) {
                    origin.clone()
                } else {
                    of_view(self, name)
                }
            }
            Origin::Members(container, members) => {
                let lasting = |member: &Member| {
                    let origin = self.lasting_origin(&member.origin, of_view);
                    Member { origin, ..member.clone() }
                };
                Origin::Members(*container, members.iter().map(lasting).collect())
            }
            Origin::Constant | Origin::Derived(_) | Origin::Unknown => origin.clone(),
        }
    }

    /// Every column of the tables that a statement was about.
    fn all_columns(&self, statement: &Statement) -> BTreeSet<ColumnName> {
        let tables = statement.mentions.tables.iter();
        let tables = tables.filter_map(|table| self.catalog.relation_named(&table.schema, &table.name));
        tables.flat_map(|table| table.columns.iter().map(|column| table.full_name(column))).collect()
    }

    /// The columns under a view's, and itself.
    fn under_view(&mut self, name: &ColumnName) -> Origin {
        let relation = self.catalog.relation_named(&name.table.schema, &name.table.name);
        let col = relation.and_then(|relation| Some((relation.oid, relation.column_named(&name.name)?.number)));
        col.map_or(Origin::Unknown, |col| Origin::Derived(self.names(&[col])))
    }
}
