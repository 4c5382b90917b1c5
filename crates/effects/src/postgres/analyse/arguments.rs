//! The arguments of a function as they are written, and how long what becomes of them may be.

use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::FuncCall;

use super::operand::Operand;
use super::types::oid;
use super::value::{LARGE, Value};

pub(super) fn makes_json(name: &str) -> bool {
    name.starts_with("json") || name.starts_with("to_json") || matches!(name, "row_to_json" | "array_to_json")
}

/// How much longer than its arguments a function's result may be.
pub(super) fn grown_size(name: &str, arguments: &[Operand<'_, '_>]) -> u32 {
    let sizes = || arguments.iter().map(|argument| argument.value.size);
    let most = sizes().max().unwrap_or(1);
    let text = |at: usize| arguments.get(at).and_then(|argument| argument.text());
    let number = |at: usize| arguments.get(at).and_then(|argument| argument.integer());
    let count = |at: usize| number(at).and_then(|number| u32::try_from(number).ok());
    match name {
        "repeat" => count(1).map_or(u32::MAX, |times| most.saturating_mul(times.max(1))),
        "lpad" | "rpad" => count(1).map_or(u32::MAX, |length| most.max(length)),
        "replace" | "regexp_replace" => text(2).map_or(u32::MAX, |with| {
            most.saturating_mul(u32::try_from(with.len()).unwrap_or(u32::MAX).saturating_add(1))
        }),
        "concat" | "concat_ws" | "format" | "overlay" => sizes().fold(0, u32::saturating_add),
        // Of any number of rows or elements.
        "string_agg" | "array_agg" | "array_to_string" | "json_agg" | "jsonb_agg" => most.max(LARGE / 16),
        "quote_ident" | "quote_literal" | "quote_nullable" => most.saturating_mul(2),
        // What becomes a string is escaped.
        name if makes_json(name) => {
            let is_json = |value: &Value| matches!(value.ty, oid::JSON | oid::JSONB);
            let sizes =
                arguments.iter().map(|one| one.value.size.saturating_mul(if is_json(one.value) { 1 } else { 2 }));
            sizes.max().unwrap_or(1)
        }
        _ => most,
    }
}

/// How a function's arguments are written.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'n> {
    nodes: Option<&'n NodeList>,
    pub(super) variadic: bool,
    /// Whether any has a name.
    pub(super) named: bool,
    pub(super) distinct: bool,
}

impl<'n> Arguments<'n> {
    /// One that the text does not show as an argument.
    pub(super) const BARE: Self = Self { nodes: None, variadic: false, named: false, distinct: false };

    pub(super) fn of(call: &'n FuncCall) -> Self {
        let named = call.args().iter().any(|node| matches!(node, Node::NamedArgExpr(_)));
        Self { nodes: Some(call.args()), variadic: call.func_variadic, named, distinct: call.agg_distinct }
    }

    pub(super) fn node(self, at: usize) -> Node<'n> {
        self.nodes.and_then(|nodes| nodes.get(at)).unwrap_or(Node::None)
    }

    pub(super) fn operands<'v>(self, values: &'v [Value]) -> Vec<Operand<'v, 'n>> {
        Operand::each(values, self.nodes.into_iter().flatten())
    }
}
