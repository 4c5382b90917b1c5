//! What a write does beside the rows that it names: children and partitions, checks, triggers, and the rows that refer.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::effect::Verb;

use super::value::Col;
use super::walk::Walk;
use super::write::Written;
use crate::postgres::catalog::Relation;
use crate::postgres::catalog::items::Action;

impl<'a> Walk<'a> {
    /// The tables whose rows are written where a relation is: itself, those under a view, and all their children.
    pub(super) fn written_tables(&mut self, relation: &'a Relation) -> Vec<&'a Relation> {
        let mut oids = vec![relation.oid];
        if relation.view.is_some() {
            oids.extend(self.view_shape(relation).under.iter().copied());
        }
        let mut seen = BTreeSet::new();
        let mut tables = Vec::new();
        while let Some(oid) = oids.pop() {
            if let Some(table) = self.catalog.relation_by_oid(oid).filter(|_| seen.insert(oid)) {
                oids.extend(table.children.iter().copied());
                tables.push(table);
            }
        }
        tables
    }

    /// A row that comes into another partition is deleted there and inserted here.
    pub(super) fn may_move(&mut self, relation: &'a Relation, written: &Written) {
        let moves = self.written_tables(relation).into_iter().any(|table| {
            let is_key = |number: &i16| {
                *number == 0 || table.name != relation.name || written.iter().any(|(one, _)| one == number)
            };
            table.partition_key.iter().any(is_key)
        });
        if moves {
            for table in self.written_tables(relation) {
                self.run_hooks(table, 'd');
                self.run_hooks(table, 'i');
            }
        }
    }

    /// Whether any value of one column can be written to another one, and nothing is worked out of it there.
    pub(super) fn takes_any(&mut self, source: Col, target: Col) -> bool {
        let of = |walk: &Self, col: Col| {
            let column = walk.catalog.relation_by_oid(col.0)?.column(col.1)?;
            Some((column.ty, column.modifier, Arc::clone(&column.name)))
        };
        let (Some((from, length, _)), Some((to, most, name))) = (of(self, source), of(self, target)) else {
            return false;
        };
        if from != to || most.is_some() && most != length {
            return false;
        }
        let Some(relation) = self.catalog.relation_by_oid(target.0) else { return false };
        let bases = self.under(target).into_iter().filter_map(|col| Some(of(self, col)?.2));
        let names: BTreeSet<Arc<str>> = bases.chain([name]).collect();
        self.written_tables(relation).into_iter().all(|table| {
            let is_it =
                |number: &i16| *number == 0 || table.column(*number).is_some_and(|column| names.contains(&column.name));
            !table.checks.iter().flatten().chain(&table.partition_key).any(is_it)
                && !table.columns.iter().flat_map(|column| &column.sources).any(is_it)
        })
    }

    /// What foreign keys do to the rows that refer to those that are written.
    pub(super) fn cascades(&mut self, relation: &'a Relation, event: char) {
        let mut written = vec![(relation, event)];
        while let Some((relation, event)) = written.pop() {
            for table in self.written_tables(relation) {
                for reference in &table.referenced_by {
                    let action = if event == 'd' { reference.on_delete } else { reference.on_update };
                    let (verb, event) = match action {
                        Action::Nothing => continue,
                        Action::Cascade if event == 'd' => (Verb::Delete, 'd'),
                        Action::Cascade | Action::Set => (Verb::Update, 'u'),
                    };
                    let Some(child) = self.catalog.relation_by_oid(reference.from) else { continue };
                    if self.cascaded.insert((child.oid, event)) {
                        self.mentions(child);
                        self.on_table(verb, child);
                        self.all_hooks(child, event, 0);
                        written.push((child, event));
                    }
                }
            }
        }
    }

    /// An update succeeds or fails by what a check says of the new values and of those that stay.
    pub(super) fn checked(&mut self, relation: &'a Relation, written: &Written) {
        let tables = self.written_tables(relation);
        let mut names = BTreeSet::new();
        for (number, _) in written {
            let bases: Vec<Col> =
                std::iter::once((relation.oid, *number)).chain(self.under((relation.oid, *number))).collect();
            names.extend(bases.into_iter().filter_map(|col| Some(self.column_object(col)?.0.name)));
        }
        for table in tables {
            let is_written = |number: &i16| table.column(*number).is_some_and(|column| names.contains(&column.name));
            for check in table.checks.iter().filter(|check| check.iter().any(is_written)) {
                let others: Vec<i16> = check.iter().copied().filter(|number| !is_written(number)).collect();
                let others = self.columns_numbered(table, &others);
                self.filters(&others);
                written.iter().for_each(|(_, value)| self.filters(value));
            }
        }
    }

    /// The hooks of a relation and of its partitions and children.
    pub(super) fn all_hooks(&mut self, relation: &'a Relation, event: char, depth: usize) {
        self.run_hooks(relation, event);
        if event == 'i' {
            // A column that is left out gets a value too, its default or NULL.
            relation.columns.iter().for_each(|column| self.writes_type(column.ty));
        }
        if depth < 32 {
            for child in relation.children.iter().filter_map(|oid| self.catalog.relation_by_oid(*oid)) {
                self.all_hooks(child, event, depth + 1);
            }
        }
    }
}
