//! SQL/JSON constructors and functions.

use std::sync::Arc;

use model::lineage::Container;
use pg_raw_parse::nodes::{JsonAggConstructor, JsonBehavior, JsonKeyValue, JsonOutput, JsonValueExpr, TypeName};
use pg_raw_parse::{ConstValue, Node, raw};

use super::operand::Operand;
use super::total::Json;
use super::types::oid;
use super::value::{Kind, Part, Value};
use super::walk::Walk;

impl Walk<'_> {
    pub(super) fn json_expr(&mut self, node: Node<'_>) -> Value {
        match node {
            Node::JsonObjectConstructor(_)
            | Node::JsonArrayConstructor(_)
            | Node::JsonArrayQueryConstructor(_)
            | Node::JsonObjectAgg(_)
            | Node::JsonArrayAgg(_)
            | Node::JsonIsPredicate(_) => self.since(160_000),
            Node::JsonParseExpr(_) | Node::JsonScalarExpr(_) | Node::JsonSerializeExpr(_) | Node::JsonFuncExpr(_) => {
                self.since(170_000);
            }
            _ => {}
        }
        match node {
            Node::JsonValueExpr(value) => self.json_value(value),
            Node::JsonArgument(argument) => match argument.val() {
                Some(value) => self.json_value(value),
                None => Value::constant(0),
            },
            Node::JsonObjectConstructor(object) => {
                let made = self.json_output(object.output());
                let value = self.json_object(object.exprs().iter(), made);
                self.may_be_absent(std::slice::from_ref(&value), object.absent_on_null);
                value
            }
            Node::JsonArrayConstructor(array) => {
                let made = self.json_output(array.output());
                let values: Vec<Value> = array.exprs().iter().map(|item| self.json_value(item)).collect();
                self.must_print(&values, made);
                self.may_be_absent(&values, array.absent_on_null);
                // ABSENT ON NULL, the default, leaves NULLs out: then positions say nothing.
                json_array(values, array.absent_on_null)
            }
            Node::JsonArrayQueryConstructor(array) => {
                let made = self.json_output(array.output());
                let element = self.subquery(array.query()).first().settled();
                self.must_print(std::slice::from_ref(&element), made);
                self.may_be_absent(std::slice::from_ref(&element), true);
                json_array_of(&element)
            }
            Node::JsonObjectAgg(agg) => {
                let mut values = Vec::new();
                if let Some(pair) = agg.arg() {
                    let key = self.expr(pair.key());
                    self.decide_failure([&key]);
                    values.push(key);
                    values.extend(pair.value().map(|value| self.json_value(value)));
                }
                let made = self.json_agg(agg.constructor());
                self.must_print(&values, made);
                Value::computed(&values, 0)
            }
            Node::JsonArrayAgg(agg) => {
                let value = agg.arg().map_or_else(|| Value::constant(0), |value| self.json_value(value));
                let made = self.json_agg(agg.constructor());
                self.must_print(std::slice::from_ref(&value), made);
                self.may_be_absent(std::slice::from_ref(&value), agg.absent_on_null);
                json_array_of(&value)
            }
            Node::JsonParseExpr(parse) => {
                self.json_output(parse.output());
                let value = parse.expr().map_or_else(|| Value::constant(0), |value| self.expr(value.raw_expr()));
                self.decide_failure([&value]);
                Value::computed([&value], 0)
            }
            Node::JsonScalarExpr(scalar) => {
                let made = self.json_output(scalar.output());
                let value = self.expr(scalar.expr());
                self.must_print(std::slice::from_ref(&value), made);
                Value::computed([&value], 0)
            }
            Node::JsonSerializeExpr(serialize) => {
                let made = self.json_output(serialize.output());
                let value = serialize.expr().map_or_else(|| Value::constant(0), |value| self.json_value(value));
                let json = self.has_type(Operand::hidden(&value), |ty| matches!(ty, oid::JSON | oid::JSONB));
                self.must_print(std::slice::from_ref(&value), if json { made } else { Json::Other });
                Value::computed([&value], 0)
            }
            Node::JsonIsPredicate(test) => {
                let value = self.expr(test.expr());
                if !self.has_text(Operand::new(&value, test.expr())) {
                    self.decide_failure([&value]);
                }
                Value::computed([&value], oid::BOOL)
            }
            Node::JsonFuncExpr(function) => {
                self.json_output(function.output());
                let mut values = vec![self.optional(function.pathspec())];
                values.extend(function.context_item().map(|item| self.json_value(item)));
                values.extend(self.exprs(function.passing()));
                values.extend(self.json_behavior(function.on_empty()));
                values.extend(self.json_behavior(function.on_error()));
                let all = Value::computed(&values, 0);
                self.decide_failure([&all]);
                all
            }
            _ => self.opaque("it has an expression that is not understood"),
        }
    }

    pub(super) fn json_behavior(&mut self, behavior: Option<&JsonBehavior>) -> Option<Value> {
        Some(self.optional(behavior?.expr()))
    }

    /// What is left out where it is NULL shows whether it is; a bare column's NULLs are no secret.
    fn may_be_absent(&mut self, values: &[Value], absent_on_null: bool) {
        for value in values.iter().filter(|value| absent_on_null && value.bare().is_none()) {
            match &value.kind {
                Kind::Members(_, parts) => parts.iter().for_each(|part| {
                    if part.value.bare().is_none() {
                        self.filters(&part.value);
                    }
                }),
                _ => self.filters(value),
            }
        }
    }

    /// `x FORMAT JSON` has to be JSON already.
    fn json_value(&mut self, value: &JsonValueExpr) -> Value {
        let inner = self.expr(value.raw_expr());
        if value.format().is_some_and(|format| format.format_type != raw::JsonFormatType::JS_FORMAT_DEFAULT) {
            self.decide_failure([&inner]);
        }
        inner
    }

    fn json_output(&mut self, output: Option<&JsonOutput>) -> Json {
        let Some(name) = output.and_then(JsonOutput::type_name) else { return Json::Text };
        match self.uses_type(name) {
            oid::JSONB => Json::Binary,
            oid::JSON | oid::TEXT => Json::Text,
            _ => Json::Other,
        }
    }

    fn json_agg(&mut self, constructor: Option<&JsonAggConstructor>) -> Json {
        let Some(constructor) = constructor else { return Json::Text };
        let made = self.json_output(constructor.output());
        self.condition(constructor.agg_filter());
        for item in constructor.agg_order() {
            match item {
                Node::SortBy(sort) => {
                    let value = self.expr(sort.node());
                    self.filters(&value);
                }
                _ => {
                    self.opaque("it has an order that is not understood");
                }
            }
        }
        if let Some(window) = constructor.over() {
            self.window(window);
        }
        made
    }

    fn json_object<'n>(&mut self, pairs: impl Iterator<Item = &'n JsonKeyValue>, made: Json) -> Value {
        let mut items = Vec::new();
        for pair in pairs {
            let key = constant_text(pair.key());
            let key_value = self.expr(pair.key());
            // A key that is NULL, or there twice, is an error.
            self.decide_failure([&key_value]);
            let value = pair.value().map_or_else(|| Value::constant(0), |value| self.json_value(value));
            self.must_print(std::slice::from_ref(&value), made);
            items.push((key, key_value, value));
        }
        object_of(items)
    }
}

/// A JSON object: member by member if every key is a constant, else computed from all of it.
pub(super) fn object_of(items: Vec<(Option<Arc<str>>, Value, Value)>) -> Value {
    if items.iter().any(|(key, ..)| key.is_none()) {
        return Value::computed(items.iter().flat_map(|(_, key, value)| [key, value]), 0);
    }
    let parts = items.into_iter().map(|(name, _, value)| Part { name, value: value.as_json() });
    Value::members(Container::JsonObject, parts.collect())
}

/// A JSON array of these values; if some may be left out, of any of them at any place.
pub(super) fn json_array(values: Vec<Value>, absent_on_null: bool) -> Value {
    if absent_on_null {
        return json_array_of(&Value::any_of(&values));
    }
    let parts = values.into_iter().map(|value| Part { name: None, value: value.as_json() });
    Value::members(Container::JsonArray, parts.collect())
}

pub(super) fn json_array_of(element: &Value) -> Value {
    if element.is_constant() {
        return Value::computed([element], 0);
    }
    Value::members(Container::JsonArrayOf, vec![Part { name: None, value: element.as_json() }])
}

/// The text of a string constant, a cast on it or not.
pub(super) fn constant_text(node: Node<'_>) -> Option<Arc<str>> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::String(text) if !constant.isnull => Some(text.into()),
            _ => None,
        },
        Node::TypeCast(cast) => match cast.type_name()?.names().iter().next_back()?.sval()? {
            "text" | "varchar" if cast.type_name().is_some_and(is_plain) => constant_text_of_const(cast.arg()),
            _ => None,
        },
        _ => None,
    }
}

fn is_plain(ty: &TypeName) -> bool {
    ty.typmods().is_empty() && ty.array_bounds().is_empty()
}

fn constant_text_of_const(node: Node<'_>) -> Option<Arc<str>> {
    if matches!(node, Node::A_Const(_)) { constant_text(node) } else { None }
}
