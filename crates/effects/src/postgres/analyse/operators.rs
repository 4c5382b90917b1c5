//! Operators: which can run, and what their results are.

use model::effect::FunctionClass;
use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;

use super::operand::Operand;
use super::types::oid;
use super::value::Value;
use super::walk::Walk;
use crate::postgres::Missing;

/// Operators whose result is boolean for all types that the server ships.
const COMPARISONS: [&str; 10] = ["=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*"];

impl Walk<'_> {
    /// An operator by its possibly qualified name; its result's type if that is certain.
    /// `None` if a user's operator may be the one that runs: its result may come from anywhere.
    pub(super) fn operator(&mut self, name: &NodeList, left: Option<&Value>, right: Option<&Value>) -> Option<u32> {
        let parts: Vec<&str> = name.iter().filter_map(Node::as_str).collect();
        match parts.as_slice() {
            [name] => self.operator_named(None, name, left, right),
            [schema, name] => self.operator_named(Some(schema), name, left, right),
            _ => {
                self.opaque("it names an operator in a way that is not understood");
                None
            }
        }
    }

    /// ORDER BY … USING an operator.
    pub(super) fn operator_used(&mut self, name: &NodeList) {
        if !name.is_empty() {
            self.operator(name, None, None);
        }
    }

    pub(super) fn operator_named(
        &mut self,
        schema: Option<&str>,
        name: &str,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<u32> {
        let ty = |value: Option<&Value>| value.map_or(0, |value| value.ty);
        let values = [left, right];
        let (left, right) = (ty(left), ty(right));
        let catalog = self.catalog;
        let mut users = false;
        for operator in catalog.operators(name).take_while(|operator| operator.user) {
            let in_scope = match schema {
                Some(schema) => &*operator.schema == schema,
                None => self.path().any(|schema| *schema == *operator.schema),
            };
            if in_scope && self.accepts(left, operator.left) && self.accepts(right, operator.right) {
                users = true;
                self.executes(operator.function.clone(), FunctionClass::Unknown);
            }
        }
        if users {
            self.anything = true;
            return None;
        }
        if schema.is_some_and(|schema| schema != "pg_catalog") {
            self.opaque(Missing::Operator.reason());
            return None;
        }
        if COMPARISONS.contains(&name) {
            self.casts_of_operands(name, values);
            return Some(oid::BOOL);
        }
        self.casts_of_operands(name, values);
        Some(0)
    }

    /// Users' casts that turn an operand into what a built-in operator of this name takes.
    fn casts_of_operands(&mut self, name: &str, operands: [Option<&Value>; 2]) {
        let catalog = self.catalog;
        if !catalog.has_user_casts() {
            return;
        }
        for operator in catalog.operators(name).filter(|operator| !operator.user) {
            for (value, wanted) in operands.into_iter().zip([operator.left, operator.right]) {
                if let Some(value) = value.filter(|_| wanted != 0) {
                    self.user_casts(value, wanted);
                }
            }
        }
    }

    /// The type of a built-in operator's result, 0 if it is not certain. Text is `text` to operators, and a constant without
    /// a type goes with what has one.
    pub(super) fn result_of_operator(&self, name: &str, left: Option<Operand<'_, '_>>, right: Operand<'_, '_>) -> u32 {
        let given = |operand: Operand<'_, '_>| match operand.value.ty {
            oid::VARCHAR => oid::TEXT,
            ty => ty,
        };
        let operands = [left, Some(right)];
        let known = |operand: &Option<Operand<'_, '_>>| operand.is_none_or(|one| one.is_untyped() || one.value.ty != 0);
        let typed = operands.iter().flatten().any(|operand| operand.value.ty != 0);
        if !typed || !operands.iter().all(known) {
            return 0;
        }
        let is = |operand: Option<Operand<'_, '_>>, wanted: u32| match operand {
            None => wanted == 0,
            Some(operand) if operand.is_untyped() => wanted != 0,
            Some(operand) => given(operand) == wanted,
        };
        let fitting =
            self.catalog.operators(name).filter(|one| !one.user && is(left, one.left) && is(Some(right), one.right));
        let mut results = fitting.map(|operator| operator.result);
        let first = results.next().unwrap_or(0);
        if results.all(|result| result == first) { first } else { 0 }
    }
}
