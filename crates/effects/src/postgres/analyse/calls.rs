//! Function calls: which functions can run, and what becomes of their arguments.

use std::sync::Arc;

use model::effect::{FunctionClass, Object, SettingClass, TableName, Verb};
use model::lineage::{Container, LiteralRole};
use pg_raw_parse::Node;
use pg_raw_parse::nodes::FuncCall;

use super::arguments::{Arguments, grown_size, makes_json};
use super::json::{constant_text, json_array, json_array_of, object_of};
use super::operand::Operand;
use super::total::Json;
use super::types::oid;
use super::value::{Kind, Outputs, Value};
use super::walk::Walk;
use crate::postgres::Missing;
use crate::postgres::catalog::{Routine, Type};
use crate::postgres::{functions, secrets, settings};

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
        let many = routines.iter().any(|routine| routine.returns_set);
        let value = match column {
            Some(column) if routines.is_empty() && self.type_called(&names).is_none() => column,
            Some(column) => {
                let called = self.call_routines(written, &names, values, &routines, start);
                Value::computed([&called, &column], 0)
            }
            None => self.call_routines(written, &names, values, &routines, start),
        };
        Value { many: value.many || many, ..value }
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
        if is_encryption(name) || (name == "set_config" && names_a_secret(written)) {
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
        let all = Value::computed(&values, ty);
        let many = all.many || class == FunctionClass::Sequence || functions::varies(name);
        let all = Value { size, many, ..all };
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
                Value { many: true, ..Value::constant(ty) }
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
        let Node::FuncCall(call) = call else { return self.columns_of_value(name, value) };
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
            [] => self.columns_of_value(name, Value { ty: value.ty, ..part }),
            [shape] => Outputs { columns: shape.iter().map(|n| (Arc::clone(n), part.clone())).collect(), wild: false },
            _ => Outputs { columns: vec![(Arc::clone(name), part)], wild: true },
        }
    }

    /// A value in FROM that is no function's, such as a cast: its fields where it is composite, and else one column.
    fn columns_of_value(&self, name: &Arc<str>, value: Value) -> Outputs {
        let ty = self.catalog.type_by_oid(self.base_type(value.ty));
        if let Some(relation) = self.composite(value.ty) {
            let part = if value.is_unknown() { value } else { Value::computed([&value], 0) };
            let columns = relation.columns.iter().map(|column| (Arc::clone(&column.name), part.clone()));
            return Outputs { columns: columns.collect(), wild: false };
        }
        // A pseudo-type or one that is not certain may be composite.
        let wild = ty.is_none_or(|ty| ty.kind == b'p');
        Outputs { columns: vec![(Arc::clone(name), value)], wild }
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
}

/// The result's type, if all that can run agree and it is an ordinary type.
fn result_type(routines: &[&Routine]) -> u32 {
    let Some(first) = routines.first() else { return 0 };
    let certain = routines.iter().all(|routine| routine.result == first.result && !routine.user);
    // Pseudo-types are resolved from the arguments; 2200 to 5100 is where they are, and they are never claimed.
    let pseudo = matches!(first.result, 2249 | 2276..=2283 | 2776 | 3500 | 3831 | 4537 | 4538 | 5077..=5080);
    if certain && !pseudo { first.result } else { 0 }
}

/// Keys and passwords among arguments: pgcrypto and dblink, and hashes, which passwords are compared by.
fn is_encryption(name: &str) -> bool {
    let is_one = ["pgp_", "dblink", "encrypt", "decrypt"].iter().any(|prefix| name.starts_with(prefix));
    is_one || matches!(name, "crypt" | "hmac" | "digest" | "md5" | "sha224" | "sha256" | "sha384" | "sha512")
}

/// Whether the setting that a call is about is a secret, as far as can be told: `set_config('app.password', …)`.
fn names_a_secret(written: Arguments<'_>) -> bool {
    constant_text(written.node(0)).is_none_or(|setting| secrets::is_named_so(&setting))
}

fn build_object(written: Arguments<'_>, values: Vec<Value>) -> Value {
    let mut items = Vec::new();
    let mut values = values.into_iter().enumerate();
    while let (Some((at, key)), Some((_, value))) = (values.next(), values.next()) {
        items.push((constant_text(written.node(at)), key, value));
    }
    object_of(items)
}
