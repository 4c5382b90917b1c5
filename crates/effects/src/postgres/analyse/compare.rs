//! Conditions: which of the three uses of a column they are (RULES.md 7).

use model::effect::Verb;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{A_Expr, SubLink};
use pg_raw_parse::{Node, raw};

use super::operand::Operand;
use super::types::oid;
use super::value::Value;
use super::walk::Walk;

impl Walk<'_> {
    /// A condition: AND and OR taken apart; `lookup` and `join` where it is a bare comparison, `filter` for all else.
    pub(super) fn condition(&mut self, node: Node<'_>) {
        self.deeper(|walk| walk.condition_here(node), || ());
    }

    fn condition_here(&mut self, node: Node<'_>) {
        match node {
            Node::None => {}
            Node::BoolExpr(expr) if expr.boolop != raw::BoolExprType::NOT_EXPR => {
                for argument in expr.args() {
                    self.condition(argument);
                }
            }
            Node::A_Expr(expr) if is_equality(expr) => self.equality(expr),
            Node::SubLink(link) if is_in(link) => self.in_subquery(link),
            node => {
                let value = self.expr(node);
                self.filters(&value);
            }
        }
    }

    fn equality(&mut self, expr: &A_Expr) {
        // `(a, b) = (1, 2)` and `(a, b) IN ((1, 2), …)` are comparisons of their parts.
        if let Node::RowExpr(left) = expr.lexpr() {
            let rows: Vec<Node<'_>> = match expr.rexpr() {
                Node::NodeList(list) => list.iter().collect(),
                other => vec![other],
            };
            if rows.iter().all(|row| matches!(row, Node::RowExpr(row) if row.args().len() == left.args().len())) {
                for row in rows {
                    if let Node::RowExpr(row) = row {
                        self.equal_rows(left.args(), row.args());
                    }
                }
                return;
            }
        }
        let start = self.roles.len();
        let left = self.expr(expr.lexpr());
        let literals = [start, self.roles.len()];
        let values = match expr.rexpr() {
            Node::NodeList(list) => list.iter().map(|item| self.compared(&left, literals, item)).collect(),
            other => vec![self.compared(&left, literals, other)],
        };
        let any = matches!(expr.kind, raw::A_Expr_Kind::AEXPR_OP_ANY);
        for value in &values {
            self.operator(expr.name(), Some(&left), (!any).then_some(value));
            self.literal_meets(&[Operand::hidden(&left), Operand::hidden(value)]);
            self.use_equal(&left, value);
        }
    }

    /// The right side of a comparison, with the roles of the constants on both; `literals` is where the left's are.
    fn compared(&mut self, left: &Value, literals: [usize; 2], right: Node<'_>) -> Value {
        let start = self.roles.len();
        let value = self.expr(right);
        self.share_roles(left, &value, literals, start);
        value
    }

    fn equal_rows(&mut self, left: &NodeList, right: &NodeList) {
        for (left, right) in left.into_iter().zip(right) {
            let start = self.roles.len();
            let left = self.expr(left);
            let literals = [start, self.roles.len()];
            let right = self.compared(&left, literals, right);
            self.compare_equal(&left, &right);
        }
    }

    /// `left = right` of the default operator.
    pub(super) fn compare_equal(&mut self, left: &Value, right: &Value) {
        self.operator_named(None, "=", Some(left), Some(right));
        self.literal_meets(&[Operand::hidden(left), Operand::hidden(right)]);
        self.use_equal(left, right);
    }

    fn use_equal(&mut self, left: &Value, right: &Value) {
        match (left.bare(), right.bare()) {
            (Some(one), Some(other)) => self.joins(one, other),
            // With many values at once it would be a search.
            (Some(_), None) if right.is_one_constant() => self.used(left, Verb::Lookup),
            (None, Some(_)) if left.is_one_constant() => self.used(right, Verb::Lookup),
            _ => {
                self.filters(left);
                self.filters(right);
            }
        }
    }

    fn in_subquery(&mut self, link: &SubLink) {
        let outputs = self.subquery(link.subselect());
        let tested = match link.testexpr() {
            Node::RowExpr(row) => self.exprs(row.args()),
            other => vec![self.expr(other)],
        };
        if outputs.wild || outputs.columns.len() != tested.len() {
            let all = Value::computed(tested.iter().chain([&outputs.all()]), oid::BOOL);
            self.filters(&all);
            return;
        }
        for (left, (_, right)) in tested.iter().zip(&outputs.columns) {
            self.compare_equal(left, right);
        }
    }
}

/// `=`, IN, `= ANY`, IS NOT DISTINCT FROM.
fn is_equality(expr: &A_Expr) -> bool {
    match expr.kind {
        raw::A_Expr_Kind::AEXPR_OP | raw::A_Expr_Kind::AEXPR_IN | raw::A_Expr_Kind::AEXPR_OP_ANY => {
            !matches!(expr.lexpr(), Node::None) && is_equals(expr.name())
        }
        raw::A_Expr_Kind::AEXPR_NOT_DISTINCT => true,
        _ => false,
    }
}

fn is_in(link: &SubLink) -> bool {
    link.sub_link_type == raw::SubLinkType::ANY_SUBLINK && (link.oper_name().is_empty() || is_equals(link.oper_name()))
}

fn is_equals(name: &NodeList) -> bool {
    let mut parts = name.iter().filter_map(Node::as_str);
    matches!((parts.next(), parts.next(), parts.next()), (Some("="), None, _) | (Some("pg_catalog"), Some("="), None))
}
