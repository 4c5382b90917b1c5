//! Function calls and operators: which functions can run, and what becomes of their arguments.

use std::sync::Arc;

use model::effect::{FunctionClass, Object, SettingClass, TableName, Verb};
use model::lineage::{Container, LiteralRole};
use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::FuncCall;

use super::json::{constant_text, json_array, json_array_of, object_of};
use super::operand::Operand;
use super::total::Json;
use super::types::oid;
use super::value::{Kind, LARGE, Outputs, Value};
use super::walk::Walk;
use crate::postgres::Missing;
use crate::postgres::catalog::{Routine, Type};
use crate::postgres::{functions, settings};

/// Operators whose result is boolean for all types that the server ships.
const COMPARISONS: [&str; 10] = ["=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*"];

impl<'a> Walk<'a> {
    /// A function call. What a value's column is told apart from is [`Self::call_on_row`].
    pub(super) fn call(&mut self, call: &FuncCall) -> Value {
        let start = self.roles.len();
        let mut values = self.exprs(call.args());
        let ordered = self.call_clauses(call);
        if call.agg_within_group {
            // What an ordered-set aggregate orders is its last arguments.
            values.extend(ordered);
        }
        let names: Vec<&str> = call.funcname().iter().filter_map(Node::as_str).collect();
        let plain = !(call.agg_star || call.agg_distinct || call.func_variadic || call.agg_within_group);
        let written = Arguments::of(call);
        let routines = self.candidates(&names, &values, written);
        // `number(c)` is `c.number` where c has such a column, and there is no such function or type.
        let column = if plain { self.column_named_as(&names, &values) } else { None };
        match column {
            Some(column) if routines.is_empty() && self.type_called(&names).is_none() => column,
            Some(column) => {
                let called = self.call_routines(written, &names, values, &routines, start);
                Value::computed([&called, &column], 0)
            }
            None => self.call_routines(written, &names, values, &routines, start),
        }
    }

    /// The column of a row that a call of one argument may mean (`ParseFuncOrColumn`, parse_func.c).
    fn column_named_as(&self, names: &[&str], values: &[Value]) -> Option<Value> {
        let ([name], [value]) = (names, values) else { return None };
        match &value.kind {
            Kind::Members(Container::Row, parts) if parts.iter().any(|part| part.name.is_none()) => {
                Some(Value::computed([value], 0))
            }
            Kind::Members(Container::Row, parts) => {
                let part = parts.iter().find(|part| part.name.as_deref() == Some(name))?;
                Some(part.value.clone())
            }
            _ => None,
        }
    }

    fn call_routines(
        &mut self,
        written: Arguments<'_>,
        names: &[&str],
        values: Vec<Value>,
        routines: &[&'a Routine],
        start: usize,
    ) -> Value {
        if routines.is_empty() {
            return self.no_function(names, &values);
        }
        if written.distinct {
            let all = Value::computed(&values, 0);
            self.filters(&all);
        }
        self.run_routines(routines);
        for routine in routines {
            for (wanted, value) in routine.arguments.iter().zip(&values) {
                self.user_casts(value, *wanted);
            }
        }
        self.literal_meets(&written.operands(&values));
        let name = names.last().copied().unwrap_or_default();
        if is_encryption(name) {
            self.role_of_all(start, &LiteralRole::Secret);
        }
        let ty = result_type(routines);
        if let Some(user) = self.result_of_users(routines, &values) {
            return user;
        }
        if routines.iter().any(|routine| routine.returns_set) {
            // How many rows it makes depends on its arguments.
            self.decide_failure(&values);
        }
        let class = routines.first().map_or(FunctionClass::Unknown, |routine| routine.class);
        self.special(written, name, class, values, ty)
    }

    /// `x.f` where x has no column f: the function f of x.
    pub(super) fn call_on_row(&mut self, name: &str, row: Value) -> Value {
        let values = vec![row];
        let routines = self.candidates(&[name], &values, Arguments::BARE);
        let start = self.roles.len();
        self.call_routines(Arguments::BARE, &[name], values, &routines, start)
    }

    /// No such function: a cast written as a call, or nothing that is known.
    fn no_function(&mut self, names: &[&str], values: &[Value]) -> Value {
        match self.type_called(names) {
            Some(ty) if values.len() == 1 => {
                self.type_functions(ty, 0);
                for value in values {
                    self.user_casts(value, ty.oid);
                    self.may_fail_as(Operand::hidden(value), ty.oid, false);
                }
                Value::computed(values, ty.oid)
            }
            _ => {
                let (schema, name) = match names {
                    [schema, name] => (*schema, *name),
                    _ => ("", names.last().copied().unwrap_or_default()),
                };
                self.executes(TableName::new(schema, name), FunctionClass::Unknown);
                self.opaque(Missing::Function.reason());
                Value::unknown(Value::computed(values, 0).cols())
            }
        }
    }

    fn type_called(&self, names: &[&str]) -> Option<&'a Type> {
        match names {
            [name] => self.path().find_map(|schema| self.catalog.type_named(schema, name)),
            [schema, name] => self.catalog.type_named(schema, name),
            _ => None,
        }
    }

    /// FILTER, ORDER BY and OVER; what it is ordered by.
    fn call_clauses(&mut self, call: &FuncCall) -> Vec<Value> {
        self.condition(call.agg_filter());
        let mut ordered = Vec::new();
        for sort in call.agg_order() {
            self.operator_used(sort.use_op());
            let value = self.expr(sort.node());
            self.filters(&value);
            ordered.push(value);
        }
        if let Some(window) = call.over() {
            self.window(window);
        }
        ordered
    }

    /// Every function that the server could choose.
    pub(super) fn candidates(&self, names: &[&str], values: &[Value], written: Arguments<'_>) -> Vec<&'a Routine> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [schema, name] => (Some(*schema), *name),
            [database, schema, name] if *database == self.catalog.database() => (Some(*schema), *name),
            _ => return Vec::new(),
        };
        let catalog = self.catalog;
        let in_scope = |routine: &Routine| match schema {
            Some(schema) => &*routine.name.schema == schema,
            None => self.path().any(|schema| *schema == *routine.name.schema),
        };
        let fits = |routine: &&Routine| in_scope(routine) && self.fits(routine, values, written);
        let mut fitting: Vec<&'a Routine> = catalog.routines(name).filter(fits).collect();
        // What takes just these types is chosen before what takes others.
        let exact = |routine: &Routine| routine.arguments.iter().copied().eq(values.iter().map(|value| value.ty));
        if !(written.variadic || written.named)
            && values.iter().all(|value| value.ty != 0)
            && fitting.iter().any(|routine| exact(routine))
        {
            fitting.retain(|routine| routine.variadic || routine.arguments.len() != values.len() || exact(routine));
        }
        fitting
    }

    fn fits(&self, routine: &Routine, values: &[Value], written: Arguments<'_>) -> bool {
        let wanted = routine.arguments.len();
        let enough = values.len() + routine.defaults >= wanted;
        let not_too_many = values.len() <= wanted;
        // An empty VARIADIC list leaves its argument out; ordered-set aggregates take theirs in two lists.
        let any_number = routine.variadic && values.len() + routine.defaults + 1 >= wanted;
        let any = routine.arguments.contains(&2276) && values.len() + 1 >= wanted;
        if !(enough && not_too_many || any_number || any) {
            return false;
        }
        // Which argument is which is not known where they are named.
        if routine.variadic || written.variadic || written.named {
            return true;
        }
        routine.arguments.iter().zip(values).all(|(wanted, value)| self.accepts(value.ty, *wanted))
    }

    fn run_routines(&mut self, routines: &[&'a Routine]) {
        for routine in routines {
            if routine.user || routine.class != FunctionClass::Safe {
                self.can_be_seen();
            }
            if !self.is_followed(routine) {
                self.executes(routine.name.clone(), routine.class);
            }
            self.by_path |= !routine.user && functions::looks_up_operators(&routine.name.name);
        }
    }

    /// Constant `set_config` and `pg_notify` have effects of their own instead.
    const fn is_followed(&self, routine: &Routine) -> bool {
        matches!(routine.class, FunctionClass::Config)
    }

    /// The result, if a user's function may be the one that runs: it may read anything.
    fn result_of_users(&mut self, routines: &[&'a Routine], values: &[Value]) -> Option<Value> {
        if !routines.iter().any(|routine| routine.user) {
            return None;
        }
        self.anything = true;
        Some(Value::unknown(Value::computed(values, 0).cols()))
    }

    /// `count(column)` says how many values there are, which the column's own NULLs show as well: it delivers nothing.
    /// What is counted of anything else depends on what it is computed from.
    fn counted(&mut self, value: &Value) -> Value {
        match &value.kind {
            Kind::Column(col) => self.on_column(Verb::Select, *col),
            // A row is there, whatever is in it.
            Kind::Members(Container::Row, parts) if parts.iter().all(|part| part.value.bare().is_some()) => {
                for col in value.cols() {
                    self.on_column(Verb::Select, col);
                }
            }
            _ => self.filters(value),
        }
        Value::constant(oid::INT8)
    }

    /// Built-in functions of which more is known than that they compute.
    fn special(
        &mut self,
        written: Arguments<'_>,
        name: &str,
        class: FunctionClass,
        mut values: Vec<Value>,
        ty: u32,
    ) -> Value {
        let size = grown_size(name, &written.operands(&values));
        let all = Value { size, ..Value::computed(&values, ty) };
        if class == FunctionClass::Safe && !matches!(name, "count" | "pg_typeof") {
            if makes_json(name) {
                values.iter().for_each(|value| self.casts_to_json(value, 0));
            }
            if written.variadic || written.named {
                self.decide_failure(&values);
            } else if let ("json_object_agg" | "jsonb_object_agg", [key, value]) = (name, values.as_slice()) {
                // A key must not be NULL.
                self.decide_failure([key]);
                let made = if name == "json_object_agg" { Json::Text } else { Json::Binary };
                self.must_print(std::slice::from_ref(value), made);
            } else {
                self.may_fail_in(name, &written.operands(&values));
            }
        }
        match (name, values.len()) {
            ("set_config", _) => return self.set_config(written, &values),
            ("pg_notify", _) => return self.pg_notify(written, &values),
            ("count", 1) => return self.counted(&values.remove(0)),
            ("count", _) => return self.counted(&all),
            ("pg_typeof", _) => return Value::constant(ty),
            ("json_build_object" | "jsonb_build_object", count) if count % 2 == 0 && !written.variadic => {
                return Value { ty, size, ..build_object(written, values) };
            }
            ("json_build_array" | "jsonb_build_array", _) if !written.variadic => {
                return Value { ty, size, ..json_array(values, false) };
            }
            ("row_to_json" | "to_json" | "to_jsonb", 1) => {
                let value = values.remove(0);
                let json = value.as_json();
                return if json.kind == value.kind { all } else { Value { ty, size, ..json } };
            }
            (
                "json_populate_record"
                | "json_populate_recordset"
                | "jsonb_populate_record"
                | "jsonb_populate_recordset",
                _,
            ) => {
                // Which of them is the record is not known where they are named.
                self.populates(values.first().filter(|_| !written.named));
            }
            ("json_agg" | "jsonb_agg", 1) => return Value { ty, size, ..json_array_of(&values.remove(0)) },
            ("array_agg", 1) => {
                let value = values.remove(0);
                let scalars = self.has_scalar(Operand::hidden(&value));
                let ty = if scalars { self.array_type(&[Operand::hidden(&value)]) } else { 0 };
                return Value { ty, size, ..self.array_of(value, scalars) };
            }
            _ => {}
        }
        match class {
            FunctionClass::Safe => all,
            FunctionClass::DynamicSql => Value::unknown(all.cols()),
            FunctionClass::Sequence if name != "setval" => {
                // Whether there is such a sequence.
                self.decide_failure(&values);
                Value::constant(ty)
            }
            _ => {
                // Values go to a place where nobody follows them, and what comes back may be from anywhere.
                self.declassifies(&all, None);
                match class {
                    FunctionClass::Sequence | FunctionClass::AdvisoryLock | FunctionClass::Sleep => all,
                    _ => {
                        self.anything = true;
                        Value::unknown(all.cols())
                    }
                }
            }
        }
    }

    /// A record of this value's type is made, with the checks of its domains.
    fn populates(&mut self, base: Option<&Value>) {
        match base.map_or(0, |value| value.ty) {
            0 => {
                self.opaque("it makes a record of a type that is not known");
            }
            ty => self.writes_type(ty),
        }
    }

    fn set_config(&mut self, written: Arguments<'_>, values: &[Value]) -> Value {
        let all = Value::computed(values, 0);
        self.declassifies(&all, None);
        let argument = |at: usize| if written.named { Node::None } else { written.node(at) };
        let Some(name) = constant_text(argument(0)) else {
            self.executes(Self::builtin("set_config"), FunctionClass::Config);
            self.changes.state = true;
            return all;
        };
        let value = constant_text(argument(1));
        let class = settings::classify_value(&name, value.as_deref());
        self.changes.read_write |= settings::lifts_read_only(&name, value.as_deref());
        self.sets(&name, class, !matches!(argument(2), Node::A_Const(_)) || values.len() != 3);
        self.changes.local |= class == SettingClass::Meaning;
        all
    }

    /// A setting is changed.
    pub(super) fn sets(&mut self, name: &str, class: SettingClass, local: bool) {
        if class == SettingClass::Meaning {
            self.changes.state = true;
            self.changes.local |= local;
        }
        self.effect(Verb::Set, Object::Setting(name.to_ascii_lowercase().into(), class));
    }

    fn pg_notify(&mut self, written: Arguments<'_>, values: &[Value]) -> Value {
        let channel = constant_text(written.node(0)).filter(|_| !written.named).unwrap_or_else(|| "*".into());
        self.effect(Verb::Notify, Object::Channel(channel));
        let all = Value::computed(values, 0);
        self.declassifies(&all, None);
        Value::constant(0)
    }

    /// Whether a function's one column may have the function's own name by its declaration: then no alias replaces it.
    pub(super) fn has_output_called(&self, call: Node<'_>, name: &str) -> bool {
        let Node::FuncCall(call) = call else { return false };
        let called = call.funcname().iter().filter_map(Node::as_str).next_back().unwrap_or_default();
        self.catalog.routines(called).any(|routine| matches!(routine.outputs.as_slice(), [(own, _)] if &**own == name))
    }

    /// A function in FROM: its columns.
    pub(super) fn function_columns(&mut self, call: Node<'_>, name: &Arc<str>) -> Outputs {
        if let Some(outputs) = self.unnest_all(call, name) {
            return outputs;
        }
        let (value, elements) = self.table_function(call);
        let used = Value::computed([&value], 0);
        self.filters(&used);
        let one = |value: Value| Outputs { columns: vec![(Arc::clone(name), value)], wild: false };
        let Node::FuncCall(call) = call else { return one(value) };
        let names: Vec<&str> = call.funcname().iter().filter_map(Node::as_str).collect();
        let catalog = self.catalog;
        let routines: Vec<&Routine> = catalog
            .routines(names.last().copied().unwrap_or_default())
            .filter(|routine| routine.kind == b'f' && self.fits_count(routine, call.args().len()))
            .collect();
        let part = if value.is_unknown() { Value::unknown(value.cols()) } else { used };
        if names.last() == Some(&"unnest") && elements {
            return one(part);
        }
        let mut shapes: Vec<Vec<Arc<str>>> = Vec::new();
        for routine in routines {
            let Some(shape) = self.columns_of_routine(routine) else {
                return Outputs { columns: vec![(Arc::clone(name), part)], wild: true };
            };
            let shape = if shape.is_empty() { vec![Arc::clone(name)] } else { shape };
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        match shapes.as_slice() {
            [] => one(part),
            [shape] => Outputs { columns: shape.iter().map(|n| (Arc::clone(n), part.clone())).collect(), wild: false },
            _ => Outputs { columns: vec![(Arc::clone(name), part)], wild: true },
        }
    }

    /// `unnest(a, b)` without a schema, which is syntax: always the built-in function, once for each array
    /// (`transformRangeFunction`, parse_clause.c).
    fn unnest_all(&mut self, call: Node<'_>, name: &Arc<str>) -> Option<Outputs> {
        let Node::FuncCall(call) = call else { return None };
        let is_unnest = call.funcname().len() == 1 && call.funcname().first().and_then(Node::as_str) == Some("unnest");
        if !is_unnest || call.args().len() < 2 {
            return None;
        }
        self.executes(Self::builtin("unnest"), FunctionClass::Safe);
        let arrays = self.exprs(call.args());
        let mut outputs = Outputs::default();
        for array in &arrays {
            self.filters(array);
            outputs.wild |= !self.holds_scalars(array);
            outputs.columns.push((Arc::clone(name), Value::computed([array], 0)));
        }
        Some(outputs)
    }

    /// Whether it is certainly an array of values that are not rows.
    fn holds_scalars(&self, array: &Value) -> bool {
        let element = match &array.kind {
            Kind::Members(Container::ArrayOf, parts) => parts.first().map_or(0, |part| part.value.ty),
            _ => self.catalog.type_by_oid(array.ty).map_or(0, |ty| ty.element),
        };
        let element = self.catalog.type_by_oid(self.base_type(element));
        element.is_some_and(|element| matches!(element.kind, b'b' | b'e'))
    }

    /// A function's value, and whether its one argument is certainly an array of values that are not rows.
    fn table_function(&mut self, node: Node<'_>) -> (Value, bool) {
        let value = self.expr(node);
        let Node::FuncCall(call) = node else { return (value, false) };
        // Looked at once more for its type alone; what it does is collected already.
        let argument = match call.args().first() {
            Some(argument) if call.args().len() == 1 => self.expr(argument),
            _ => return (value, false),
        };
        let scalars = self.holds_scalars(&argument);
        (value, scalars)
    }

    const fn fits_count(&self, routine: &Routine, count: usize) -> bool {
        routine.variadic || (count <= routine.arguments.len() && count + routine.defaults >= routine.arguments.len())
    }

    /// The names of a routine's columns; empty for one scalar column, `None` if they are not known.
    fn columns_of_routine(&self, routine: &Routine) -> Option<Vec<Arc<str>>> {
        match routine.outputs.as_slice() {
            [] => {}
            // One OUT parameter names the one column, unless its type is composite.
            [(name, ty)] if self.composite(*ty).is_none() => {
                return Some(if name.is_empty() { Vec::new() } else { vec![Arc::clone(name)] });
            }
            outputs if outputs.len() > 1 => return Some(outputs.iter().map(|(name, _)| Arc::clone(name)).collect()),
            _ => {}
        }
        if let Some(relation) = self.composite(routine.result) {
            return Some(relation.columns.iter().map(|column| Arc::clone(&column.name)).collect());
        }
        let result = self.catalog.type_by_oid(routine.result)?;
        // A record's columns come with the call; a polymorphic result may be composite, except an element or array.
        match result.kind {
            b'p' if !matches!(routine.result, 2278 | 2277) => None,
            _ => Some(Vec::new()),
        }
    }

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

/// The result's type, if all that can run agree and it is an ordinary type.
fn result_type(routines: &[&Routine]) -> u32 {
    let Some(first) = routines.first() else { return 0 };
    let certain = routines.iter().all(|routine| routine.result == first.result && !routine.user);
    // Pseudo-types are resolved from the arguments; 2200 to 5100 is where they are, and they are never claimed.
    let pseudo = matches!(first.result, 2249 | 2276..=2283 | 2776 | 3500 | 3831 | 4537 | 4538 | 5077..=5080);
    if certain && !pseudo { first.result } else { 0 }
}

/// Keys and passwords among arguments: pgcrypto and dblink.
fn is_encryption(name: &str) -> bool {
    name.starts_with("pgp_") || name.starts_with("dblink") || matches!(name, "encrypt" | "decrypt" | "crypt" | "hmac")
}

fn build_object(written: Arguments<'_>, values: Vec<Value>) -> Value {
    let mut items = Vec::new();
    let mut values = values.into_iter().enumerate();
    while let (Some((at, key)), Some((_, value))) = (values.next(), values.next()) {
        items.push((constant_text(written.node(at)), key, value));
    }
    object_of(items)
}

fn makes_json(name: &str) -> bool {
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
    variadic: bool,
    /// Whether any has a name.
    named: bool,
    distinct: bool,
}

impl<'n> Arguments<'n> {
    /// One that the text does not show as an argument.
    pub(super) const BARE: Self = Self { nodes: None, variadic: false, named: false, distinct: false };

    fn of(call: &'n FuncCall) -> Self {
        let named = call.args().iter().any(|node| matches!(node, Node::NamedArgExpr(_)));
        Self { nodes: Some(call.args()), variadic: call.func_variadic, named, distinct: call.agg_distinct }
    }

    fn node(self, at: usize) -> Node<'n> {
        self.nodes.and_then(|nodes| nodes.get(at)).unwrap_or(Node::None)
    }

    fn operands<'v>(self, values: &'v [Value]) -> Vec<Operand<'v, 'n>> {
        Operand::each(values, self.nodes.into_iter().flatten())
    }
}
