//! What the answers of a statement are made of, whatever was classified when it ran.

use std::collections::{BTreeMap, BTreeSet};

use model::effect::{ColumnName, Effect, Facts, FunctionClass, Object, TableName, Verb};
use model::lineage::{Container, Origin, Output};
use rusqlite::params;

use super::super::codec::count;
use super::Feeder;
use crate::Error;

/// What one row may hold.
#[derive(Default)]
struct Makeup<'a> {
    /// How many values of each column; `None` if that is not bounded by the number of rows.
    columns: BTreeMap<&'a ColumnName, Option<u64>>,
    /// Whether some of it may come from anywhere.
    is_unproved: bool,
}

impl<'a> Makeup<'a> {
    fn of(output: &'a Output) -> Self {
        let mut makeup = Self::default();
        match output {
            Output::None => {}
            Output::Rows(columns) => columns.iter().for_each(|column| makeup.add(&column.origin, true)),
            Output::Unknown => makeup.is_unproved = true,
        }
        makeup
    }

    fn add(&mut self, origin: &'a Origin, counted: bool) {
        match origin {
            Origin::Constant => {}
            Origin::Column(column) => self.hold(column, counted),
            Origin::Derived(columns) => columns.iter().for_each(|column| self.hold(column, counted)),
            Origin::Members(container, members) => {
                let fixed = !matches!(container, Container::JsonArrayOf | Container::ArrayOf);
                members.iter().for_each(|member| self.add(&member.origin, counted && fixed));
            }
            Origin::Unknown => self.is_unproved = true,
        }
    }

    fn hold(&mut self, column: &'a ColumnName, counted: bool) {
        let places = self.columns.entry(column).or_insert(Some(0));
        *places = places.filter(|_| counted).map(|places| places.saturating_add(1));
    }
}

/// The relations that a statement names; and whether it may read others too.
fn sources<'a>(effects: &'a [Effect], facts: &Facts) -> (BTreeSet<&'a TableName>, bool) {
    let mut named = BTreeSet::new();
    let mut anything = facts.opaque.is_some();
    for effect in effects {
        match &effect.object {
            Object::Table(table, _) => drop(named.insert(table)),
            Object::Column(column, _) => drop(named.insert(&column.table)),
            Object::Function(_, class) => anything |= *class != FunctionClass::Safe,
            _ => anything |= effect.verb == Verb::Opaque,
        }
        named.extend(effect.with.iter().map(|column| &column.table));
    }
    let anything = anything || named.is_empty();
    (named, anything)
}

/// Whether a statement that is said to answer with nothing may have been a COPY to the client: older entries do not say what
/// one sends.
fn may_copy_out(effects: &[Effect], facts: &Facts) -> bool {
    let reads = |effect: &Effect| matches!(effect.verb, Verb::Select | Verb::Evaluate | Verb::Execute);
    matches!(&*facts.kind, "COPY" | "EXECUTE") && effects.iter().any(reads)
}

impl Feeder<'_> {
    /// Takes what a statement answers with.
    pub(super) fn answers(
        &mut self,
        statement: i64,
        output: &Output,
        effects: &[Effect],
        facts: &Facts,
    ) -> Result<(), Error> {
        let makeup = Makeup::of(output);
        for (column, places) in makeup.columns {
            let sql = "INSERT OR REPLACE INTO answers (column_id, statement, places) VALUES (?, ?, ?)";
            let column = self.names.column(column)?;
            self.tx.prepare_cached(sql)?.execute(params![column, statement, places.map(count)])?;
        }
        let is_silent_copy = *output == Output::None && may_copy_out(effects, facts);
        if !makeup.is_unproved && !is_silent_copy {
            return Ok(());
        }
        let (named, anything) = sources(effects, facts);
        let mut relations = vec![0; usize::from(anything)];
        for table in named {
            relations.push(self.names.relation(table)?);
        }
        for relation in relations {
            let sql = "INSERT OR IGNORE INTO unproved (relation, statement) VALUES (?, ?)";
            self.tx.prepare_cached(sql)?.execute([relation, statement])?;
        }
        Ok(())
    }
}
