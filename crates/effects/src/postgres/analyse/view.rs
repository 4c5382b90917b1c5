//! What a view shows, worked out once per catalog from its definition.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::effect::{FunctionClass, Object};

use super::value::{Col, Kind, Outputs, Value};
use super::walk::Walk;
use crate::postgres::catalog::{Catalog, Definition, Relation, ViewColumn, ViewShape};
use crate::postgres::{NoPrepared, Session, tree};

/// How many views may lie on top of each other.
const MAX_VIEWS: usize = 32;

/// What a view shows; for labels.
pub(in crate::postgres) fn shape_of(catalog: &Catalog, relation: &Relation) -> Arc<ViewShape> {
    let session = session_of(catalog, catalog.search_path());
    Walk::new(&session, None).shape(relation)
}

fn session_of<'a>(catalog: &'a Catalog, search_path: &'a [Arc<str>]) -> Session<'a> {
    Session {
        catalog,
        search_path,
        user: "",
        standard_conforming_strings: true,
        prepared: &NoPrepared,
        parameter_types: &[],
    }
}

impl<'a> Walk<'a> {
    pub(super) fn view_shape(&mut self, relation: &'a Relation) -> Arc<ViewShape> {
        self.shape(relation)
    }

    fn shape(&self, relation: &Relation) -> Arc<ViewShape> {
        let Some(view) = &relation.view else { return Arc::default() };
        if let Some(shape) = view.shape.get() {
            return Arc::clone(shape);
        }
        if self.viewing.contains(&relation.oid) || self.viewing.len() >= MAX_VIEWS {
            // A view that contains itself: the server refuses to run it.
            return Arc::new(ViewShape { anything: true, ..ViewShape::default() });
        }
        let mut viewing = self.viewing.clone();
        viewing.push(relation.oid);
        let shape = Arc::new(work_out(self.catalog, relation, &view.definition, viewing));
        Arc::clone(view.shape.get_or_init(|| shape))
    }

    /// A column of the view's query, down to base columns.
    fn view_column(&mut self, value: &Value) -> ViewColumn {
        match &value.kind {
            Kind::Constant => ViewColumn::Constant,
            Kind::Unknown(_) => ViewColumn::Unknown,
            _ if value.is_unknown() => ViewColumn::Unknown,
            Kind::Column(col) => match self.base_of(*col) {
                Some(bases) => match bases.as_slice() {
                    [] => ViewColumn::Constant,
                    [base] => ViewColumn::Plain(base.0, base.1),
                    _ => ViewColumn::Derived(bases),
                },
                None => ViewColumn::Unknown,
            },
            Kind::Derived(_) | Kind::Members(..) => {
                let mut bases = BTreeSet::new();
                for col in value.cols() {
                    match self.base_of(col) {
                        Some(cols) => bases.extend(cols),
                        None => return ViewColumn::Unknown,
                    }
                }
                ViewColumn::Derived(bases.into_iter().collect())
            }
        }
    }

    /// The base columns of a column: itself, or what is under a view's. `None` if that is not known.
    fn base_of(&mut self, col: Col) -> Option<Vec<Col>> {
        let relation = self.catalog.relation_by_oid(col.0)?;
        if relation.view.is_none() {
            return Some(vec![col]);
        }
        let shape = self.view_shape(relation);
        if shape.columns.is_empty() || shape.anything {
            return None;
        }
        Some(self.under(col))
    }
}

fn work_out(catalog: &Catalog, relation: &Relation, definition: &Definition, viewing: Vec<u32>) -> ViewShape {
    let session = session_of(catalog, &definition.path);
    let mut walk = Walk::new(&session, None);
    walk.viewing = viewing;
    walk.collates = names_collation(&definition.text);
    let outputs = match tree::parse(&definition.text) {
        Ok((_, tree)) => match tree.iter().next() {
            Some(raw) if tree.len() == 1 => walk.subquery(raw.stmt()),
            _ => not_understood(&mut walk),
        },
        Err(_) => not_understood(&mut walk),
    };
    let understood = walk.opaque.is_none() && !outputs.wild && outputs.columns.len() == relation.columns.len();
    let columns = if understood {
        outputs.columns.iter().map(|(_, value)| walk.view_column(value)).collect()
    } else {
        Vec::new()
    };
    let seen = outputs.columns.iter().map(|(_, value)| value.seen).collect();
    let functions = walk.effects.iter().filter_map(|effect| match &effect.object {
        Object::Function(name, class) if *class != FunctionClass::Safe => Some((name.clone(), *class)),
        _ => None,
    });
    let functions = functions.collect();
    let under = walk.mentioned_oids().iter().copied().filter(|oid| *oid != relation.oid).collect();
    ViewShape { columns, seen, under, functions, by_path: walk.by_path, anything: !understood || walk.anything }
}

/// Whether a text may have a COLLATE clause.
pub(super) fn names_collation(text: &str) -> bool {
    text.as_bytes().windows(7).any(|word| word.eq_ignore_ascii_case(b"collate"))
}

fn not_understood(walk: &mut Walk<'_>) -> Outputs {
    walk.opaque("its definition is not understood");
    Outputs { columns: Vec::new(), wild: true }
}
