//! Whether a condition can bound an UPDATE or DELETE (RULES.md 15).

use pg_raw_parse::nodes::{A_Expr, BoolExpr};
use pg_raw_parse::{Node, raw};

/// Whether the condition can leave rows out. None, a constant, `a = a`, `a IS NOT NULL` and an OR with one of those
/// cannot; what is more intricate is taken at its word.
pub(super) fn is_bounded(condition: Node<'_>) -> bool {
    bounded(condition, 0)
}

fn bounded(condition: Node<'_>, depth: usize) -> bool {
    if depth > super::super::MAX_DEPTH {
        return false;
    }
    match condition {
        Node::None | Node::A_Const(_) | Node::NullTest(_) | Node::ParamRef(_) => false,
        Node::TypeCast(cast) => bounded(cast.arg(), depth + 1),
        Node::BoolExpr(expr) => bounded_bool(expr, depth),
        Node::A_Expr(expr) => bounded_expr(expr, depth),
        // Two rows compared, a subquery, a function, a boolean column.
        other => names_a_column(other, depth),
    }
}

fn bounded_bool(expr: &BoolExpr, depth: usize) -> bool {
    let mut arguments = expr.args().iter().map(|argument| bounded(argument, depth + 1));
    match expr.boolop {
        raw::BoolExprType::AND_EXPR => arguments.any(|bounded| bounded),
        raw::BoolExprType::OR_EXPR => arguments.all(|bounded| bounded),
        _ => expr.args().iter().all(|argument| names_a_column(argument, depth + 1) && bounded(argument, depth + 1)),
    }
}

fn bounded_expr(expr: &A_Expr, depth: usize) -> bool {
    let (left, right) = (expr.lexpr(), expr.rexpr());
    if same_column(left, right) {
        return false;
    }
    // `a LIKE '%'` leaves only NULLs out.
    if let Node::A_Const(constant) = right
        && let Some(pg_raw_parse::ConstValue::String(text)) = constant.val()
        && !text.is_empty()
        && text.bytes().all(|byte| byte == b'%')
    {
        return false;
    }
    names_a_column(left, depth) || names_a_column(right, depth)
}

fn same_column(left: Node<'_>, right: Node<'_>) -> bool {
    let (Node::ColumnRef(left), Node::ColumnRef(right)) = (left, right) else { return false };
    let last = |column: &pg_raw_parse::nodes::ColumnRef| {
        column.fields().iter().next_back().and_then(|field| field.as_str().map(str::to_owned))
    };
    let same = last(left) == last(right);
    // `a.id = b.id` of two tables is a join; without both qualifiers it may be one column.
    same && (left.fields().len() == 1
        || right.fields().len() == 1
        || left.fields().iter().map(|f| f.as_str()).eq(right.fields().iter().map(|f| f.as_str())))
}

/// Whether a column or a query is anywhere in it. Only plain wrappers are looked into; anything else counts as one.
fn names_a_column(node: Node<'_>, depth: usize) -> bool {
    if depth > super::super::MAX_DEPTH {
        return false;
    }
    match node {
        Node::None | Node::A_Const(_) | Node::ParamRef(_) | Node::SQLValueFunction(_) => false,
        Node::TypeCast(cast) => names_a_column(cast.arg(), depth + 1),
        Node::A_Expr(expr) => names_a_column(expr.lexpr(), depth + 1) || names_a_column(expr.rexpr(), depth + 1),
        Node::BoolExpr(expr) => expr.args().iter().any(|argument| names_a_column(argument, depth + 1)),
        Node::NodeList(list) => list.iter().any(|item| names_a_column(item, depth + 1)),
        Node::RowExpr(row) => row.args().iter().any(|item| names_a_column(item, depth + 1)),
        Node::FuncCall(call) => call.args().iter().any(|argument| names_a_column(argument, depth + 1)),
        Node::CoalesceExpr(expr) => expr.args().iter().any(|argument| names_a_column(argument, depth + 1)),
        _ => true,
    }
}
