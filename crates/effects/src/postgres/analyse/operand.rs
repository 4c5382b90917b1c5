//! What is known of an operand before anything runs: its type, and its text where it is a constant of the statement.

use std::ops::RangeBounds;
use std::sync::Arc;

use model::lineage::Container;
use pg_raw_parse::{ConstValue, Node};

use super::json::constant_text;
use super::types::oid;
use super::value::{Kind, Part, Value};
use super::walk::Walk;
use crate::postgres::catalog::Relation;

pub(super) const BYTEA: u32 = 17;
pub(super) const NAME: u32 = 19;
pub(super) const INT2: u32 = 21;
pub(super) const FLOATS: [u32; 2] = [700, 701];
pub(super) const BPCHAR: u32 = 1042;
/// date, timestamp, timestamptz.
pub(super) const DATES: [u32; 3] = [1082, 1114, 1184];

/// Other types with an order and an output function that never fail: "char", oid, money, the network addresses, the
/// times, bit strings, regtype, uuid.
const OTHERS: [u32; 14] = [18, 26, 650, 774, 790, 829, 869, 1083, 1186, 1266, 1560, 1562, 2206, 2950];

/// How long a number in the text may be so that a computation with it is never too large.
const SHORT: usize = 30;

/// An operand, and what stands for it in the text; `Node::None` if it is nowhere by itself.
#[derive(Clone, Copy)]
pub(super) struct Operand<'v, 'n> {
    pub(super) value: &'v Value,
    pub(super) node: Node<'n>,
}

impl<'v, 'n> Operand<'v, 'n> {
    pub(super) const fn new(value: &'v Value, node: Node<'n>) -> Self {
        Self { value, node }
    }

    /// One that the text does not show.
    pub(super) const fn hidden(value: &'v Value) -> Self {
        Self { value, node: Node::None }
    }

    /// Each value with the node that it is of; those that have none are hidden.
    pub(super) fn each(values: &'v [Value], nodes: impl IntoIterator<Item = Node<'n>>) -> Vec<Self> {
        let nodes = nodes.into_iter().chain(std::iter::repeat(Node::None));
        values.iter().zip(nodes).map(|(value, node)| Self { value, node }).collect()
    }

    /// A constant without a type of its own: it is what it is used as before anything runs, or it never runs.
    pub(super) const fn is_untyped(self) -> bool {
        self.value.ty == 0 && self.value.literal
    }

    /// A constant or parameter as it stands.
    const fn is_given(self) -> bool {
        self.value.literal || matches!(self.node, Node::A_Const(_) | Node::ParamRef(_))
    }

    /// A constant that is computed, and could be large.
    pub(super) fn is_computed_constant(self) -> bool {
        self.value.is_constant() && !self.is_given() && constant_text(self.node).is_none()
    }

    pub(super) fn text(self) -> Option<Arc<str>> {
        constant_text(self.node)
    }

    pub(super) fn integer(self) -> Option<i32> {
        let Node::A_Const(constant) = self.node else { return None };
        match constant.val() {
            Some(ConstValue::Integer(number)) if !constant.isnull => Some(number),
            _ => None,
        }
    }

    pub(super) fn is_integer_in(self, range: impl RangeBounds<i32>) -> bool {
        self.integer().is_some_and(|number| range.contains(&number))
    }

    pub(super) fn is_short_number(self) -> bool {
        let Node::A_Const(constant) = self.node else { return false };
        match constant.val() {
            Some(ConstValue::Integer(_)) => !constant.isnull,
            Some(ConstValue::Float(text)) => text.len() <= SHORT && !text.contains(['e', 'E']),
            _ => false,
        }
    }
}

pub(super) const fn is_text(ty: u32) -> bool {
    matches!(ty, oid::TEXT | oid::VARCHAR | BPCHAR)
}

pub(super) const fn is_integer(ty: u32) -> bool {
    matches!(ty, INT2 | oid::INT4 | oid::INT8)
}

pub(super) const fn is_exact(ty: u32) -> bool {
    is_integer(ty) || ty == oid::NUMERIC
}

impl Walk<'_> {
    pub(super) fn has_text(&self, operand: Operand<'_, '_>) -> bool {
        !self.collates && (operand.is_untyped() || is_text(self.base_type(operand.value.ty)))
    }

    pub(super) fn has_type(&self, operand: Operand<'_, '_>, is: impl Fn(u32) -> bool) -> bool {
        is(self.base_type(operand.value.ty))
    }

    /// Whether it is certainly of one of the server's own types that are neither arrays nor rows.
    pub(super) fn has_scalar(&self, operand: Operand<'_, '_>) -> bool {
        operand.is_untyped() || self.is_scalar(operand.value.ty)
    }

    fn is_scalar(&self, ty: u32) -> bool {
        let ty = self.base_type(ty);
        self.is_ordered(ty) || is_text(ty) || matches!(ty, oid::JSON | oid::JSONB)
    }

    /// A type that is not built of others, with an order that never fails.
    pub(super) fn is_ordered(&self, ty: u32) -> bool {
        // Where two collations meet, texts cannot be compared.
        let known = is_text(ty) && !self.collates
            || is_exact(ty)
            || DATES.contains(&ty)
            || FLOATS.contains(&ty)
            || OTHERS.contains(&ty);
        let is_enum = || self.catalog.type_by_oid(ty).is_some_and(|ty| ty.kind == b'e');
        known || matches!(ty, oid::BOOL | BYTEA | NAME) || is_enum()
    }

    /// Whether its text, and its JSON, can always be made. The JSON that a `json` holds need not be a `jsonb`.
    pub(super) fn is_printable(&self, operand: Operand<'_, '_>, as_jsonb: bool) -> bool {
        operand.is_untyped() || self.prints(operand.value, as_jsonb)
    }

    fn prints(&self, value: &Value, as_jsonb: bool) -> bool {
        let all = |parts: &[Part]| parts.iter().all(|part| self.prints(&part.value, as_jsonb));
        match &value.kind {
            Kind::Members(Container::Row, parts) => all(parts),
            Kind::Members(Container::ArrayOf, parts) if value.ty == 0 => all(parts),
            Kind::Members(Container::ArrayOf, _) => self.prints_type(value.ty, as_jsonb, 0),
            Kind::Members(..) => !as_jsonb || value.ty == oid::JSONB,
            _ => self.prints_type(value.ty, as_jsonb, 0),
        }
    }

    fn prints_type(&self, ty: u32, as_jsonb: bool, depth: usize) -> bool {
        let ty = self.element_of(ty).unwrap_or(ty);
        if self.is_scalar(ty) {
            return !(as_jsonb && self.base_type(ty) == oid::JSON);
        }
        let fields = |relation: &Relation| {
            relation.columns.iter().all(|column| self.prints_type(column.ty, as_jsonb, depth + 1))
        };
        depth < 16 && self.composite(ty).is_some_and(fields)
    }

    /// The one type that these become, 0 if it is not certain (`select_common_type`, parse_coerce.c).
    pub(super) fn common_type(&self, operands: &[Operand<'_, '_>]) -> u32 {
        let mut typed = operands.iter().filter(|operand| !operand.is_untyped()).map(|operand| operand.value.ty);
        let Some(first) = typed.next() else { return oid::TEXT };
        match typed.all(|ty| ty == first) {
            true if operands.iter().any(|operand| operand.is_untyped()) => self.base_type(first),
            true => first,
            false => 0,
        }
    }

    /// The type of an array of these, 0 if it is not certain.
    pub(super) fn array_type(&self, elements: &[Operand<'_, '_>]) -> u32 {
        self.catalog.type_by_oid(self.common_type(elements)).map_or(0, |ty| ty.array)
    }

    /// The type of an array's elements; `None` for what is certainly no array, or not known.
    pub(super) fn element_of(&self, ty: u32) -> Option<u32> {
        let ty = self.catalog.type_by_oid(self.base_type(ty))?;
        (ty.element != 0 && ty.oid != NAME).then_some(ty.element)
    }

    /// Whether two values of the type can always be compared. No two of `json` ever are.
    fn compares(&self, ty: u32) -> bool {
        let ordered = |ty: u32| self.is_ordered(self.base_type(ty));
        let element = || self.element_of(ty).is_some_and(ordered);
        let row = || self.composite(ty).is_some_and(|row| row.columns.iter().all(|column| ordered(column.ty)));
        ordered(ty) || matches!(ty, oid::JSON | oid::JSONB) || element() || row()
    }

    /// The same of two rows that are written out, field by field.
    fn are_rows_alike(&self, left: Operand<'_, '_>, right: Operand<'_, '_>) -> bool {
        let (Node::RowExpr(left_row), Node::RowExpr(right_row)) = (left.node, right.node) else { return false };
        let (Kind::Members(_, one), Kind::Members(_, other)) = (&left.value.kind, &right.value.kind) else {
            return false;
        };
        // `t.*` is several.
        let whole = one.len() == left_row.args().len() && other.len() == right_row.args().len();
        whole
            && one.len() == other.len()
            && one.iter().zip(left_row.args()).zip(other.iter().zip(right_row.args())).all(|((a, left), (b, right))| {
                self.are_alike(Operand::new(&a.value, left), Operand::new(&b.value, right))
            })
    }

    /// Whether the two can become one type, whatever they are.
    pub(super) fn become_one(&self, left: Operand<'_, '_>, right: Operand<'_, '_>) -> bool {
        let [one, other] = [left, right].map(|operand| operand.value.ty);
        let is_date = |ty: u32| DATES.contains(&self.base_type(ty));
        let both_text = is_text(self.base_type(one)) && is_text(self.base_type(other));
        one != 0 && one == other || both_text || !(is_date(one) && is_date(other)) && self.are_alike(left, right)
    }

    /// Whether the two can be compared, whatever they are.
    pub(super) fn are_alike(&self, left: Operand<'_, '_>, right: Operand<'_, '_>) -> bool {
        let [one, other] = [left, right].map(|operand| self.base_type(operand.value.ty));
        let known = |ty: u32| self.compares(ty);
        match (left.is_untyped(), right.is_untyped()) {
            (true, true) => true,
            (true, false) => known(other),
            (false, true) => known(one),
            (false, false) => {
                let both = |is: &dyn Fn(u32) -> bool| is(one) && is(other);
                one == other && known(one)
                    || self.are_rows_alike(left, right)
                    || both(&is_text) && !self.collates
                    || both(&is_exact)
                    || both(&|ty| DATES.contains(&ty))
                    || both(&|ty| is_integer(ty) || FLOATS.contains(&ty))
            }
        }
    }
}
