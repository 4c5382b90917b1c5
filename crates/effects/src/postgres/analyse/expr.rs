//! Expressions: where their values come from, and what they use on the way.

use std::sync::Arc;

use model::lineage::{Container, LiteralRole};
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{A_Expr, A_Indices, A_Indirection, CaseExpr, RowExpr, SQLValueFunction, SubLink, XmlExpr};
use pg_raw_parse::{ConstValue, Node, raw};

use super::arguments::Arguments;
use super::operand::{DATES, NAME, Operand};
use super::types::oid;
use super::value::{Kind, Part, Value};
use super::walk::{Spot, Walk};

impl Walk<'_> {
    /// The value of an expression that may be absent.
    pub(super) fn optional(&mut self, node: Node<'_>) -> Value {
        match node {
            Node::None => Value::constant(0),
            node => self.expr(node),
        }
    }

    /// The value of an expression.
    pub(super) fn expr(&mut self, node: Node<'_>) -> Value {
        self.deeper(|walk| walk.expr_here(node), || Value::unknown(Vec::new()))
    }

    pub(super) fn exprs(&mut self, list: &NodeList) -> Vec<Value> {
        list.into_iter().map(|item| self.expr(item)).collect()
    }

    fn expr_here(&mut self, node: Node<'_>) -> Value {
        match node {
            Node::ColumnRef(column) => self.column_ref(column.fields()),
            Node::A_Const(constant) => self.constant(constant),
            Node::ParamRef(parameter) => self.parameter(parameter.number),
            Node::A_Expr(expr) => self.operation(expr),
            Node::BoolExpr(expr) => {
                let values = self.in_order(expr.args().iter());
                Value::computed(&values, oid::BOOL)
            }
            Node::FuncCall(call) => self.call(call),
            Node::TypeCast(cast) => self.type_cast(cast),
            Node::SubLink(link) => {
                // It may be another one in each row of the query around.
                let value = self.sub_link(link);
                Value { many: true, ..value }
            }
            Node::CaseExpr(case) => self.case(case),
            Node::CoalesceExpr(coalesce) => {
                let values = self.in_order(coalesce.args().iter());
                let operands = Operand::each(&values, coalesce.args());
                self.must_unify(&operands);
                let any = any_of(&values);
                Value { ty: self.common_type(&operands), literal: false, ..any }
            }
            Node::MinMaxExpr(expr) => {
                let values = self.exprs(expr.args());
                let operands = Operand::each(&values, expr.args());
                self.must_be_alike(&operands);
                // They become one type before they are compared.
                self.must_unify(&operands);
                Value::computed(&values, self.common_type(&operands))
            }
            Node::NullTest(test) => {
                let value = self.expr(test.arg());
                self.filters(&value);
                Value::constant(oid::BOOL)
            }
            Node::BooleanTest(test) => {
                let value = self.expr(test.arg());
                Value::computed([&value], oid::BOOL)
            }
            Node::A_Indirection(indirection) => self.indirection(indirection),
            Node::A_ArrayExpr(array) => {
                let values = self.exprs(array.elements());
                let operands = Operand::each(&values, array.elements());
                self.must_unify(&operands);
                let scalars = operands.iter().all(|operand| self.has_scalar(*operand));
                if !scalars {
                    // Arrays in an array must be of one size.
                    self.decide_failure(&values);
                }
                let ty = if scalars { self.array_type(&operands) } else { 0 };
                Value { ty, ..self.array_of(Value::any_of(&values), scalars) }
            }
            Node::RowExpr(row) => self.row(row),
            Node::CollateClause(collate) => {
                // Where two collations meet, nothing can be compared: its type is none that is known to be total.
                let value = self.expr(collate.arg());
                Value::computed([&value], 0)
            }
            Node::NamedArgExpr(named) => self.expr(named.arg()),
            Node::GroupingFunc(grouping) => {
                self.exprs(grouping.args());
                Value { many: true, ..Value::constant(oid::INT4) }
            }
            Node::MergeSupportFunc(_) => {
                self.since(170_000);
                Value::constant(0)
            }
            Node::SQLValueFunction(function) => Value::constant(type_of_function(function)),
            Node::SetToDefault(_) | Node::CurrentOfExpr(_) => Value::constant(0),
            Node::XmlExpr(xml) => self.xml(xml),
            Node::XmlSerialize(xml) => {
                let value = self.expr(xml.expr());
                if let Some(ty) = xml.type_name() {
                    self.uses_type(ty);
                }
                self.decide_failure([&value]);
                Value::computed([&value], 0)
            }
            other => self.json_expr(other),
        }
    }

    fn constant(&mut self, constant: &pg_raw_parse::nodes::A_Const) -> Value {
        let literal = |value: Value| Value { literal: true, ..value };
        let Some(value) = constant.val().filter(|_| !constant.isnull) else { return literal(Value::constant(0)) };
        let ty = match value {
            ConstValue::Boolean(_) => return Value::constant(oid::BOOL),
            ConstValue::Integer(_) => oid::INT4,
            ConstValue::Float(text) if text.parse::<i64>().is_ok() => oid::INT8,
            ConstValue::Float(_) => oid::NUMERIC,
            ConstValue::BitString(_) => oid::BIT,
            _ => 0,
        };
        // One without a place is the grammar's own, such as the 1 of FETCH FIRST ROW ONLY.
        let Ok(at) = usize::try_from(constant.location) else { return literal(Value::constant(ty)) };
        self.roles.push((Spot::Constant(at), LiteralRole::Unknown));
        let text: Arc<str> = match value {
            ConstValue::Integer(number) => number.to_string().into(),
            ConstValue::Float(text) | ConstValue::String(text) => text.into(),
            _ => return literal(Value::constant(ty)),
        };
        self.constants.insert(at, text);
        literal(Value::given(Spot::Constant(at), ty))
    }

    fn parameter(&mut self, number: i32) -> Value {
        let Ok(number) = usize::try_from(number) else { return self.opaque("it has a parameter without a number") };
        self.roles.push((Spot::Parameter(number), LiteralRole::Unknown));
        let types = self.session.parameter_types;
        // `unknown` leaves it to the server, as 0 does.
        let ty =
            number.checked_sub(1).and_then(|at| types.get(at)).copied().filter(|ty| *ty != oid::UNKNOWN).unwrap_or(0);
        Value::given(Spot::Parameter(number), ty)
    }

    /// An operator. `1 + 1 + 1 + …` leans to the left and is walked in a loop.
    fn operation(&mut self, expr: &A_Expr) -> Value {
        if expr.kind != raw::A_Expr_Kind::AEXPR_OP {
            return self.special_operation(expr);
        }
        let mut chain = vec![expr];
        let mut leftmost = expr.lexpr();
        while let Node::A_Expr(left) = leftmost {
            if left.kind != raw::A_Expr_Kind::AEXPR_OP {
                break;
            }
            chain.push(left);
            leftmost = left.lexpr();
        }
        let before = self.visible;
        let mut start = self.roles.len();
        let mut left = match leftmost {
            Node::None => None,
            node => Some(self.expr(node)),
        };
        for step in chain.into_iter().rev() {
            let middle = self.roles.len();
            let right = self.expr(step.rexpr());
            let operands = (left.as_ref().map(|left| Operand::new(left, leftmost)), Operand::new(&right, step.rexpr()));
            let value = self.apply(step.name(), operands.0, operands.1, [start, middle]);
            if matches!((leftmost, step.rexpr()), (Node::RowExpr(_), _) | (_, Node::RowExpr(_))) {
                // Rows are compared up to the fields that decide.
                self.decides_since(before, left.iter().chain([&right]));
            }
            left = Some(value);
            leftmost = Node::None;
            start = middle;
        }
        left.unwrap_or_else(|| Value::constant(0))
    }

    /// One operator on its operands; `starts` is where the constants of each begin.
    fn apply(
        &mut self,
        operator: &NodeList,
        left: Option<Operand<'_, '_>>,
        right: Operand<'_, '_>,
        starts: [usize; 2],
    ) -> Value {
        let values = (left.map(|left| left.value), right.value);
        if let Some(left) = values.0 {
            self.share_roles(left, values.1, starts, starts[1]);
        }
        let name = last_name(operator);
        let ty = self.operator(operator, values.0, Some(values.1));
        let ty = ty.map(|ty| if ty == 0 { self.result_of_operator(name, left, right) } else { ty });
        self.may_fail_at(name, left, right);
        let value = Value::computed(values.0.into_iter().chain([values.1]), ty.unwrap_or(0));
        let joined = values.0.filter(|_| name == "||").map(|left| joined_size(left, values.1));
        let value = Value { size: joined.unwrap_or(value.size), ..value };
        if ty.is_none() { Value::unknown(value.cols()) } else { value }
    }

    /// Constants beside a column belong to it: `a = 1`, `'x' || b`, `lower(c) LIKE 'y%'`.
    /// The left's constants are at `literals` of [`Self::roles`], the right's from `start`.
    pub(super) fn share_roles(&mut self, left: &Value, right: &Value, literals: [usize; 2], start: usize) {
        let [from, to] = literals;
        match (left.cols().as_slice(), right.cols().as_slice()) {
            ([col], []) if !left.is_unknown() => self.role(start, self.roles.len(), *col),
            ([], [col]) if !right.is_unknown() => self.role(from, to, *col),
            _ => {}
        }
    }

    /// IN, BETWEEN, LIKE, = ANY, IS DISTINCT FROM, NULLIF.
    fn special_operation(&mut self, expr: &A_Expr) -> Value {
        let start = self.roles.len();
        let rows = matches!((expr.lexpr(), expr.rexpr()), (Node::RowExpr(_), _) | (_, Node::RowExpr(_)));
        let mut before = self.visible;
        let left = self.expr(expr.lexpr());
        let middle = self.roles.len();
        let mut values = Vec::new();
        match expr.rexpr() {
            Node::NodeList(list) => {
                for item in list {
                    values.push(self.expr(item));
                    if values.len() == 1 && !rows {
                        before = self.visible;
                    }
                }
            }
            other => values.push(self.expr(other)),
        }
        let right = Value::computed(&values, 0);
        self.share_roles(&left, &right, [start, middle], middle);
        let is_boolean = expr.kind != raw::A_Expr_Kind::AEXPR_NULLIF;
        let known = matches!(
            expr.kind,
            raw::A_Expr_Kind::AEXPR_OP_ANY
                | raw::A_Expr_Kind::AEXPR_OP_ALL
                | raw::A_Expr_Kind::AEXPR_DISTINCT
                | raw::A_Expr_Kind::AEXPR_NOT_DISTINCT
                | raw::A_Expr_Kind::AEXPR_NULLIF
                | raw::A_Expr_Kind::AEXPR_IN
                | raw::A_Expr_Kind::AEXPR_LIKE
                | raw::A_Expr_Kind::AEXPR_ILIKE
                | raw::A_Expr_Kind::AEXPR_SIMILAR
        );
        let between = matches!(
            expr.kind,
            raw::A_Expr_Kind::AEXPR_BETWEEN
                | raw::A_Expr_Kind::AEXPR_NOT_BETWEEN
                | raw::A_Expr_Kind::AEXPR_BETWEEN_SYM
                | raw::A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM
        );
        let nodes = match expr.rexpr() {
            Node::NodeList(list) => list.iter().collect(),
            other => vec![other],
        };
        let tested = Operand::new(&left, expr.lexpr());
        let operands = Operand::each(&values, nodes);
        let mut users = false;
        if between {
            for name in ["<=", ">="] {
                for operand in &operands {
                    users |= self.operator_named(None, name, Some(&left), Some(operand.value)).is_none();
                    self.may_fail_at(name, Some(tested), *operand);
                }
            }
        } else if known {
            let whole = matches!(expr.kind, raw::A_Expr_Kind::AEXPR_OP_ANY | raw::A_Expr_Kind::AEXPR_OP_ALL);
            if expr.kind == raw::A_Expr_Kind::AEXPR_IN {
                let all: Vec<Operand<'_, '_>> = std::iter::once(tested).chain(operands.iter().copied()).collect();
                self.must_unify(&all);
            }
            for operand in &operands {
                // For ANY and ALL the operand is an element of the array.
                users |= self.operator(expr.name(), Some(&left), (!whole).then_some(operand.value)).is_none();
                if whole {
                    self.may_fail_at_elements(last_name(expr.name()), tested, *operand);
                } else {
                    self.may_fail_at(last_name(expr.name()), Some(tested), *operand);
                }
            }
        } else {
            return self.opaque("it has an operator that is not understood");
        }
        if rows || between || expr.kind == raw::A_Expr_Kind::AEXPR_IN {
            // The rest is not worked out once it is decided.
            self.decides_since(before, [&left, &right]);
        }
        let ty = match operands.as_slice() {
            _ if is_boolean => oid::BOOL,
            [other] if other.is_untyped() || other.value.ty == left.ty => match self.base_type(left.ty) {
                oid::VARCHAR => oid::TEXT,
                ty => ty,
            },
            _ => 0,
        };
        let value = Value::computed([&left, &right], ty);
        if users { Value::unknown(value.cols()) } else { value }
    }

    fn case(&mut self, case: &CaseExpr) -> Value {
        let subject = self.optional(case.arg());
        let has_subject = !matches!(case.arg(), Node::None);
        let mut conditions = vec![subject.clone()];
        let mut results = Vec::new();
        // The first condition always runs, and what comes after it for some values alone.
        let mut visible = None;
        let mut nodes = Vec::new();
        for when in case.args() {
            let Node::CaseWhen(when) = when else { return self.opaque("its CASE is not understood") };
            let start = self.roles.len();
            let mut condition = self.expr(when.expr());
            visible.get_or_insert(self.visible);
            if has_subject {
                self.share_roles(&subject, &condition, [start, start], start);
                if self.operator_named(None, "=", Some(&subject), Some(&condition)).is_none() {
                    condition = Value::unknown(condition.cols());
                }
                self.must_be_alike(&[Operand::new(&subject, case.arg()), Operand::new(&condition, when.expr())]);
            }
            conditions.push(condition);
            results.push(self.expr(when.result()));
            nodes.push(when.result());
        }
        if !matches!(case.defresult(), Node::None) {
            results.push(self.expr(case.defresult()));
            nodes.push(case.defresult());
        }
        let operands = Operand::each(&results, nodes);
        self.must_unify(&operands);
        let ty = self.common_type(&operands);
        if visible.is_some_and(|before| before != self.visible) {
            conditions.iter().for_each(|condition| self.filters(condition));
        }
        let result = Value { ty, literal: false, ..any_of(&results) };
        if conditions.iter().all(Value::is_constant) {
            return result;
        }
        // The conditions choose; what is chosen is in it.
        Value { given: result.givens(), ..Value::computed(conditions.iter().chain([&result]), result.ty) }
    }

    fn sub_link(&mut self, link: &SubLink) -> Value {
        let before = self.visible;
        let outputs = self.subquery(link.subselect());
        let visible = self.visible != before;
        // It may fail, lock rows, and is counted.
        self.can_be_seen();
        match link.sub_link_type {
            raw::SubLinkType::EXISTS_SUBLINK => Value::constant(oid::BOOL),
            // Only a row can be compared with several columns.
            raw::SubLinkType::EXPR_SUBLINK if outputs.columns.len() > 1 => Value::computed([&outputs.all()], 0),
            raw::SubLinkType::EXPR_SUBLINK => outputs.first().settled(),
            raw::SubLinkType::MULTIEXPR_SUBLINK => outputs.all(),
            raw::SubLinkType::ARRAY_SUBLINK => {
                let element = outputs.first().settled();
                let scalars = self.has_scalar(Operand::hidden(&element));
                if !scalars {
                    self.decide_failure([&element]);
                }
                self.array_of(element, scalars)
            }
            raw::SubLinkType::ANY_SUBLINK | raw::SubLinkType::ALL_SUBLINK => {
                let tested = self.expr(link.testexpr());
                let all = outputs.all();
                // It is worked out up to the row that decides.
                if visible {
                    self.filters(&tested);
                    self.filters(&all);
                }
                let mut name = "=";
                if link.oper_name().is_empty() {
                    self.operator_named(None, name, Some(&tested), None);
                } else {
                    self.operator(link.oper_name(), Some(&tested), None);
                    name = last_name(link.oper_name());
                }
                let right = if outputs.columns.len() > 1 { all.clone() } else { outputs.first().settled() };
                self.may_fail_at(name, Some(Operand::new(&tested, link.testexpr())), Operand::hidden(&right));
                Value::computed([&tested, &all], oid::BOOL)
            }
            _ => self.opaque("it has a subquery that is not understood"),
        }
    }

    fn row(&mut self, row: &RowExpr) -> Value {
        let mut parts = Vec::new();
        for argument in row.args() {
            match self.spread(argument) {
                Some(columns) => parts.extend(columns.into_iter().map(|(_, value)| value)),
                None => parts.push(self.expr(argument)),
            }
        }
        let parts = parts.into_iter().enumerate();
        let parts = parts.map(|(at, value)| Part { name: Some(format!("f{}", at + 1).into()), value });
        Value::members(Container::Row, parts.collect())
    }

    /// `t.*` inside ROW().
    fn spread(&mut self, node: Node<'_>) -> Option<Vec<(Arc<str>, Value)>> {
        let Node::ColumnRef(column) = node else { return None };
        let mut fields: Vec<Node<'_>> = column.fields().iter().collect();
        let Some(Node::A_Star(_)) = fields.pop() else { return None };
        let names: Vec<&str> = fields.iter().filter_map(|field| field.as_str()).collect();
        let columns = if names.is_empty() { self.star() } else { self.qualified_star(&names) };
        if columns.iter().flatten().any(|(_, value)| value.seen) {
            self.can_be_seen();
        }
        columns
    }

    fn indirection(&mut self, indirection: &A_Indirection) -> Value {
        let value = self.expr(indirection.arg());
        self.indirect(value, indirection.indirection().iter())
    }

    /// `.field`, `[1]`, `[1:2]`.
    pub(super) fn indirect<'n>(&mut self, mut value: Value, steps: impl Iterator<Item = Node<'n>>) -> Value {
        let mut steps = steps.peekable();
        while let Some(step) = steps.next() {
            value = match step {
                Node::String(name) => self.field_of(&value, name.sval().unwrap_or_default()),
                Node::A_Indices(indices) => {
                    let start = self.roles.len();
                    let before = self.visible;
                    let mut bounds = self.subscripts_of(indices);
                    let mut slice = indices.is_slice;
                    // Several in a row are one: a slice among them makes all of them slices.
                    while let Some(Node::A_Indices(more)) = steps.next_if(|step| matches!(step, Node::A_Indices(_))) {
                        bounds.extend(self.subscripts_of(more));
                        slice |= more.is_slice;
                    }
                    if bounds.iter().all(Value::is_constant) {
                        self.role_of_all(start, &LiteralRole::Unknown);
                    }
                    // They are not worked out where there is no array.
                    self.decides_since(before, [&value]);
                    if slice && !self.is_own_array(value.ty) {
                        // Arrays of a fixed length, such as a point, have no slices.
                        self.decide_failure([&value]);
                        bounds.iter().for_each(|bound| self.filters(bound));
                    }
                    Value::computed(bounds.iter().chain([&value]), self.type_of_part(value.ty, slice))
                }
                _ => self.opaque("it takes a part of a value in a way that is not understood"),
            };
        }
        value
    }

    fn subscripts_of(&mut self, indices: &A_Indices) -> Vec<Value> {
        let bounds = vec![self.optional(indices.lidx()), self.optional(indices.uidx())];
        for (bound, node) in bounds.iter().zip([indices.lidx(), indices.uidx()]) {
            self.subscript(Operand::new(bound, node));
        }
        bounds
    }

    /// The type of an element or a slice of an array, or of a part of a `jsonb`; 0 if it is not certain.
    fn type_of_part(&self, ty: u32, slice: bool) -> u32 {
        match self.element_of(ty) {
            Some(_) if slice => ty,
            Some(element) => element,
            None if self.base_type(ty) == oid::JSONB => oid::JSONB,
            None => 0,
        }
    }

    /// What is no whole number may be too large for one.
    fn subscript(&mut self, bound: Operand<'_, '_>) {
        let absent = matches!(bound.node, Node::None);
        if !(absent || bound.is_untyped() || self.has_type(bound, |ty| ty == oid::INT4)) {
            self.decide_failure([bound.value]);
        }
    }

    /// A field of a composite value, or a function of it: `(x).f` is `f(x)` where there is no such field, whatever x is.
    pub(super) fn field_of(&mut self, value: &Value, name: &str) -> Value {
        let nameless = match &value.kind {
            Kind::Members(Container::Row, parts) => {
                if let Some(part) = parts.iter().find(|part| part.name.as_deref() == Some(name)) {
                    return part.value.clone();
                }
                parts.iter().any(|part| part.name.is_none())
            }
            _ => {
                let relation = self.composite(value.ty);
                if let Some(column) = relation.and_then(|relation| relation.column_named(name)) {
                    return Value::computed([value], column.ty);
                }
                value.ty == 0
            }
        };
        if !nameless {
            return self.call_on_row(name, value.clone());
        }
        // It may have such a field.
        let field = Value::computed([value], 0);
        if self.candidates(&[name], std::slice::from_ref(value), Arguments::BARE).is_empty() {
            return field;
        }
        let called = self.call_on_row(name, value.clone());
        Value::computed([&field, &called], 0)
    }

    /// All fields of a composite value; `None` if they are not known.
    pub(super) fn fields_of(&mut self, value: &Value) -> Option<Vec<(Arc<str>, Value)>> {
        if let Kind::Members(Container::Row, parts) = &value.kind {
            let parts = parts.iter();
            return parts.map(|part| Some((part.name.clone()?, part.value.clone()))).collect();
        }
        let relation = self.composite(value.ty)?;
        let part = Value::computed([value], 0);
        Some(relation.columns.iter().map(|column| (Arc::clone(&column.name), part.clone())).collect())
    }

    /// A SQL array of elements with this origin. An array of arrays shows how large these are, whatever is masked.
    pub(super) fn array_of(&self, element: Value, scalars: bool) -> Value {
        if element.is_constant() || !(scalars || element.bare().is_some() || is_row(&element)) {
            return Value::computed([&element], 0);
        }
        Value::members(Container::ArrayOf, vec![Part { name: None, value: element }])
    }

    fn xml(&mut self, xml: &XmlExpr) -> Value {
        let mut values = Vec::new();
        for item in xml.named_args().iter().chain(xml.args()) {
            values.push(match item {
                Node::ResTarget(target) => self.expr(target.val()),
                Node::NodeList(list) => {
                    let values = self.exprs(list);
                    Value::computed(&values, 0)
                }
                other => self.expr(other),
            });
        }
        let all = Value::computed(&values, 0);
        // Not every text can be XML.
        self.decide_failure([&all]);
        all
    }
}

/// How long a text is that is put together from two.
const fn joined_size(left: &Value, right: &Value) -> u32 {
    left.size.saturating_add(if right.literal { 0 } else { right.size })
}

/// An operator's name without its schema.
fn last_name(name: &NodeList) -> &str {
    name.iter().filter_map(Node::as_str).next_back().unwrap_or_default()
}

/// One of several values. What `COALESCE(json_agg(…), '[]')` builds is still built of its parts.
pub(super) fn any_of(values: &[Value]) -> Value {
    let any = Value::any_of(values);
    // A choice between equal columns is one all the same, and no bare column.
    match any.bare() {
        Some(col) if values.len() > 1 => Value { given: any.given, ..Value::derived(vec![col], any.ty) },
        _ => any,
    }
}

const fn is_row(value: &Value) -> bool {
    matches!(value.kind, Kind::Members(Container::Row, _))
}

/// What a keyword such as CURRENT_DATE is of.
const fn type_of_function(function: &SQLValueFunction) -> u32 {
    use raw::SQLValueFunctionOp as Op;
    match function.op {
        Op::SVFOP_CURRENT_DATE => DATES[0],
        Op::SVFOP_CURRENT_TIMESTAMP => DATES[2],
        Op::SVFOP_LOCALTIMESTAMP => DATES[1],
        Op::SVFOP_CURRENT_ROLE
        | Op::SVFOP_CURRENT_USER
        | Op::SVFOP_USER
        | Op::SVFOP_SESSION_USER
        | Op::SVFOP_CURRENT_CATALOG
        | Op::SVFOP_CURRENT_SCHEMA => NAME,
        _ => 0,
    }
}
