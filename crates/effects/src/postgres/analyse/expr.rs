//! Expressions: where their values come from, and what they use on the way.

use std::sync::Arc;

use model::lineage::{Container, LiteralRole};
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{A_Expr, A_Indirection, CaseExpr, RowExpr, SubLink, XmlExpr};
use pg_raw_parse::{ConstValue, Node, raw};

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
            Node::SubLink(link) => self.sub_link(link),
            Node::CaseExpr(case) => self.case(case),
            Node::CoalesceExpr(coalesce) => {
                let values = self.in_order(coalesce.args().iter());
                any_of(&values)
            }
            Node::MinMaxExpr(expr) => {
                let values = self.exprs(expr.args());
                Value::computed(&values, 0)
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
                let element = Value::any_of(&values);
                array_of(element)
            }
            Node::RowExpr(row) => self.row(row),
            Node::CollateClause(collate) => {
                let value = self.expr(collate.arg());
                Value::computed([&value], value.ty)
            }
            Node::NamedArgExpr(named) => self.expr(named.arg()),
            Node::GroupingFunc(grouping) => {
                self.exprs(grouping.args());
                Value::constant(oid::INT4)
            }
            Node::MergeSupportFunc(_) => {
                self.since(170_000);
                Value::constant(0)
            }
            Node::SQLValueFunction(_) | Node::SetToDefault(_) | Node::CurrentOfExpr(_) => Value::constant(0),
            Node::XmlExpr(xml) => self.xml(xml),
            Node::XmlSerialize(xml) => {
                let value = self.expr(xml.expr());
                if let Some(ty) = xml.type_name() {
                    self.uses_type(ty);
                }
                Value::computed([&value], 0)
            }
            other => self.json_expr(other),
        }
    }

    fn constant(&mut self, constant: &pg_raw_parse::nodes::A_Const) -> Value {
        let Some(value) = constant.val().filter(|_| !constant.isnull) else { return Value::constant(0) };
        let ty = match value {
            ConstValue::Boolean(_) => return Value::constant(oid::BOOL),
            ConstValue::Integer(_) => oid::INT4,
            ConstValue::Float(text) if text.parse::<i64>().is_ok() => oid::INT8,
            ConstValue::Float(_) => oid::NUMERIC,
            ConstValue::BitString(_) => oid::BIT,
            _ => 0,
        };
        // One without a place is the grammar's own, such as the 1 of FETCH FIRST ROW ONLY.
        let Ok(at) = usize::try_from(constant.location) else { return Value::constant(ty) };
        self.roles.push((Spot::Constant(at), LiteralRole::Unknown));
        let text: Arc<str> = match value {
            ConstValue::Integer(number) => number.to_string().into(),
            ConstValue::Float(text) | ConstValue::String(text) => text.into(),
            _ => return Value::constant(ty),
        };
        self.constants.insert(at, text);
        Value::given(Spot::Constant(at), ty)
    }

    fn parameter(&mut self, number: i32) -> Value {
        let Ok(number) = usize::try_from(number) else { return self.opaque("it has a parameter without a number") };
        self.roles.push((Spot::Parameter(number), LiteralRole::Unknown));
        let types = self.session.parameter_types;
        let ty = number.checked_sub(1).and_then(|at| types.get(at)).copied().unwrap_or(0);
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
        let mut start = self.roles.len();
        let mut left = match leftmost {
            Node::None => None,
            node => Some(self.expr(node)),
        };
        for step in chain.into_iter().rev() {
            let middle = self.roles.len();
            let right = self.expr(step.rexpr());
            left = Some(self.apply(step.name(), left.as_ref(), &right, [start, middle]));
            start = middle;
        }
        left.unwrap_or_else(|| Value::constant(0))
    }

    /// One operator on its operands; `starts` is where the constants of each begin.
    fn apply(&mut self, operator: &NodeList, left: Option<&Value>, right: &Value, starts: [usize; 2]) -> Value {
        if let Some(left) = left {
            self.share_roles(left, right, starts, starts[1]);
        }
        let ty = self.operator(operator, left, Some(right));
        self.may_fail_at(last_name(operator), left, right);
        let value = Value::computed(left.into_iter().chain([right]), ty.unwrap_or(0));
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
        let left = self.expr(expr.lexpr());
        let middle = self.roles.len();
        let values = match expr.rexpr() {
            Node::NodeList(list) => self.exprs(list),
            other => vec![self.expr(other)],
        };
        let right = Value::computed(&values, 0);
        self.share_roles(&left, &right, [start, middle], middle);
        let is_boolean = expr.kind != raw::A_Expr_Kind::AEXPR_NULLIF;
        let pattern = matches!(
            expr.kind,
            raw::A_Expr_Kind::AEXPR_LIKE | raw::A_Expr_Kind::AEXPR_ILIKE | raw::A_Expr_Kind::AEXPR_SIMILAR
        );
        if pattern && !right.is_constant() {
            self.decide_failure([&left, &right]);
        }
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
        let mut users = false;
        if between {
            for name in ["<=", ">="] {
                for value in &values {
                    users |= self.operator_named(None, name, Some(&left), Some(value)).is_none();
                }
            }
        } else if known {
            let whole = matches!(expr.kind, raw::A_Expr_Kind::AEXPR_OP_ANY | raw::A_Expr_Kind::AEXPR_OP_ALL);
            for value in &values {
                // For ANY and ALL the operand is an element of the array, whose type is not known here.
                users |= self.operator(expr.name(), Some(&left), (!whole).then_some(value)).is_none();
                if whole {
                    self.may_fail_at(last_name(expr.name()), Some(&left), value);
                }
            }
        } else {
            return self.opaque("it has an operator that is not understood");
        }
        let value = Value::computed([&left, &right], if is_boolean { oid::BOOL } else { 0 });
        if users { Value::unknown(value.cols()) } else { value }
    }

    fn case(&mut self, case: &CaseExpr) -> Value {
        let subject = self.optional(case.arg());
        let has_subject = !matches!(case.arg(), Node::None);
        let mut conditions = vec![subject.clone()];
        let mut results = Vec::new();
        // The first condition always runs, and what comes after it for some values alone.
        let mut fallible = None;
        for when in case.args() {
            let Node::CaseWhen(when) = when else { return self.opaque("its CASE is not understood") };
            let start = self.roles.len();
            let mut condition = self.expr(when.expr());
            fallible.get_or_insert(self.fallible);
            if has_subject {
                self.share_roles(&subject, &condition, [start, start], start);
                if self.operator_named(None, "=", Some(&subject), Some(&condition)).is_none() {
                    condition = Value::unknown(condition.cols());
                }
            }
            conditions.push(condition);
            results.push(self.expr(when.result()));
        }
        results.push(self.optional(case.defresult()));
        if fallible.is_some_and(|before| before != self.fallible) {
            conditions.iter().for_each(|condition| self.filters(condition));
        }
        let result = any_of(&results);
        if conditions.iter().all(Value::is_constant) {
            return result;
        }
        // The conditions choose; what is chosen is in it.
        Value { given: result.givens(), ..Value::computed(conditions.iter().chain([&result]), result.ty) }
    }

    fn sub_link(&mut self, link: &SubLink) -> Value {
        let outputs = self.subquery(link.subselect());
        match link.sub_link_type {
            raw::SubLinkType::EXISTS_SUBLINK => Value::constant(oid::BOOL),
            // It fails if there are several rows.
            raw::SubLinkType::EXPR_SUBLINK => {
                self.fallible += 1;
                outputs.first()
            }
            raw::SubLinkType::MULTIEXPR_SUBLINK => outputs.all(),
            raw::SubLinkType::ARRAY_SUBLINK => array_of(outputs.first()),
            raw::SubLinkType::ANY_SUBLINK | raw::SubLinkType::ALL_SUBLINK => {
                let tested = self.expr(link.testexpr());
                let all = outputs.all();
                if link.oper_name().is_empty() {
                    self.operator_named(None, "=", Some(&tested), None);
                } else {
                    self.operator(link.oper_name(), Some(&tested), None);
                    self.may_fail_at(last_name(link.oper_name()), Some(&tested), &all);
                }
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
        if names.is_empty() { self.star() } else { self.qualified_star(&names) }
    }

    fn indirection(&mut self, indirection: &A_Indirection) -> Value {
        let value = self.expr(indirection.arg());
        self.indirect(value, indirection.indirection().iter())
    }

    /// `.field`, `[1]`, `[1:2]`.
    pub(super) fn indirect<'n>(&mut self, mut value: Value, steps: impl Iterator<Item = Node<'n>>) -> Value {
        for step in steps {
            value = match step {
                Node::String(name) => self.field_of(&value, name.sval().unwrap_or_default()),
                Node::A_Indices(indices) => {
                    let start = self.roles.len();
                    let bounds = [self.optional(indices.lidx()), self.optional(indices.uidx())];
                    if bounds.iter().all(Value::is_constant) {
                        self.role_of_all(start, &LiteralRole::Unknown);
                    }
                    Value::computed(bounds.iter().chain([&value]), 0)
                }
                _ => self.opaque("it takes a part of a value in a way that is not understood"),
            };
        }
        value
    }

    /// A field of a composite value, or a function of it.
    pub(super) fn field_of(&mut self, value: &Value, name: &str) -> Value {
        if let Kind::Members(Container::Row, parts) = &value.kind {
            if let Some(part) = parts.iter().find(|part| part.name.as_deref() == Some(name)) {
                return part.value.clone();
            }
        } else if self.composite(value.ty).is_none_or(|relation| relation.column_named(name).is_some()) {
            return Value::computed([value], 0);
        }
        self.call_on_row(name, value.clone())
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

/// A SQL array of elements with this origin.
pub(super) fn array_of(element: Value) -> Value {
    if element.is_constant() {
        return Value::computed([&element], 0);
    }
    Value::members(Container::ArrayOf, vec![Part { name: None, value: element }])
}
