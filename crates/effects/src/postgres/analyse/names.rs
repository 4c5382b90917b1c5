//! The names of output columns that have none by AS.

use std::sync::Arc;

use pg_raw_parse::nodes::ResTarget;
use pg_raw_parse::{ConstValue, Node, raw};

use super::walk::Walk;

impl Walk<'_> {
    /// The name of a column without AS.
    pub(super) fn name_of(&mut self, node: Node<'_>) -> Arc<str> {
        let version = self.catalog.version();
        match named_by_star(node, 0) {
            NamedBy::Itself => column_name(node, version),
            NamedBy::Star(query) => {
                let outputs = self.subquery(query);
                match outputs.columns.into_iter().next().filter(|_| !outputs.wild) {
                    Some((name, _)) => name,
                    None => self.has_no_name(),
                }
            }
            NamedBy::StarInside => self.has_no_name(),
        }
    }

    fn has_no_name(&mut self) -> Arc<str> {
        self.opaque("it has a column whose name is not known");
        "?column?".into()
    }
}

/// Where the name of an output column without AS comes from.
enum NamedBy<'n> {
    Itself,
    /// The first column of this query, which begins with a star.
    Star(Node<'n>),
    /// Of a query inside another one.
    StarInside,
}

fn named_by_star(node: Node<'_>, depth: usize) -> NamedBy<'_> {
    if depth > super::super::MAX_DEPTH {
        return NamedBy::Itself;
    }
    match node {
        Node::A_Indirection(indirection) if indirection.indirection().iter().all(|step| step.as_str().is_none()) => {
            named_by_star(indirection.arg(), depth + 1)
        }
        Node::TypeCast(cast) => named_by_star(cast.arg(), depth + 1),
        Node::CollateClause(collate) => named_by_star(collate.arg(), depth + 1),
        Node::CaseExpr(case) => named_by_star(case.defresult(), depth + 1),
        Node::SubLink(link) if link.sub_link_type == raw::SubLinkType::EXPR_SUBLINK => {
            let Some(target) = first_target(link.subselect()) else { return NamedBy::Itself };
            if is_star(target.val()) {
                return NamedBy::Star(link.subselect());
            }
            match target.name().map_or_else(|| named_by_star(target.val(), depth + 1), |_| NamedBy::Itself) {
                NamedBy::Itself => NamedBy::Itself,
                NamedBy::Star(_) | NamedBy::StarInside => NamedBy::StarInside,
            }
        }
        _ => NamedBy::Itself,
    }
}

/// The first target of a query's first arm.
fn first_target(query: Node<'_>) -> Option<&ResTarget> {
    let Node::SelectStmt(mut select) = query else { return None };
    while let Some(left) = select.larg() {
        select = left;
    }
    select.target_list().iter().next()
}

pub(super) fn is_star(node: Node<'_>) -> bool {
    match node {
        Node::ColumnRef(column) => matches!(column.fields().iter().next_back(), Some(Node::A_Star(_))),
        Node::A_Indirection(indirection) => {
            matches!(indirection.indirection().iter().next_back(), Some(Node::A_Star(_)))
        }
        _ => false,
    }
}

/// The name that the server gives an output column without AS (`FigureColname`, parse_target.c).
pub(super) fn column_name(node: Node<'_>, server: u32) -> Arc<str> {
    figure_name(node, server, 0).map_or_else(|| "?column?".into(), |(name, _)| name.into())
}

/// A name and whether it is a strong one, which the name of a type or of CASE does not replace.
fn figure_name(node: Node<'_>, server: u32, depth: usize) -> Option<(&str, bool)> {
    if depth > super::super::MAX_DEPTH {
        return None;
    }
    match node {
        Node::ColumnRef(column) => column.fields().iter().filter_map(Node::as_str).next_back().map(|name| (name, true)),
        Node::A_Indirection(indirection) => {
            let steps = indirection.indirection();
            if steps.iter().any(|step| step.as_str().is_some()) {
                return steps.iter().filter_map(Node::as_str).next_back().map(|name| (name, true));
            }
            figure_name(indirection.arg(), server, depth + 1)
        }
        Node::FuncCall(call) => call.funcname().iter().filter_map(Node::as_str).next_back().map(|name| (name, true)),
        Node::A_Expr(expr) if expr.kind == raw::A_Expr_Kind::AEXPR_NULLIF => Some(("nullif", true)),
        Node::TypeCast(cast) => match figure_name(cast.arg(), server, depth + 1) {
            Some((name, true)) => Some((name, true)),
            weak => {
                let ty = cast.type_name().and_then(|ty| ty.names().iter().filter_map(|name| name.sval()).next_back());
                ty.map(|name| (name, false)).or(weak)
            }
        },
        // Before version 15 the grammar made a constant of type bool of it.
        Node::A_Const(constant) if server < 150_000 && matches!(constant.val(), Some(ConstValue::Boolean(_))) => {
            Some(("bool", false))
        }
        Node::CollateClause(collate) => figure_name(collate.arg(), server, depth + 1),
        Node::CaseExpr(case) => match figure_name(case.defresult(), server, depth + 1) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case", false)),
        },
        Node::SubLink(link) => match link.sub_link_type {
            raw::SubLinkType::EXISTS_SUBLINK => Some(("exists", true)),
            raw::SubLinkType::ARRAY_SUBLINK => Some(("array", true)),
            raw::SubLinkType::EXPR_SUBLINK => {
                let mut select = match link.subselect() {
                    Node::SelectStmt(select) => select,
                    _ => return None,
                };
                while let Some(left) = select.larg() {
                    select = left;
                }
                let Some(target) = select.target_list().iter().next() else {
                    // VALUES.
                    return Some(("column1", true));
                };
                // Its own column has a name by then, whatever it is called after.
                let name = target.name().or_else(|| Some(figure_name(target.val(), server, depth + 1)?.0));
                Some((name.unwrap_or("?column?"), true))
            }
            _ => None,
        },
        other => fixed_name(other).map(|name| (name, true)),
    }
}

fn fixed_name(node: Node<'_>) -> Option<&'static str> {
    Some(match node {
        Node::GroupingFunc(_) => "grouping",
        Node::MergeSupportFunc(_) => "merge_action",
        Node::A_ArrayExpr(_) => "array",
        Node::RowExpr(_) => "row",
        Node::CoalesceExpr(_) => "coalesce",
        Node::MinMaxExpr(expr) if expr.op == raw::MinMaxOp::IS_GREATEST => "greatest",
        Node::MinMaxExpr(_) => "least",
        Node::SQLValueFunction(function) => match function.op {
            0 => "current_date",
            1 | 2 => "current_time",
            3 | 4 => "current_timestamp",
            5 | 6 => "localtime",
            7 | 8 => "localtimestamp",
            9 => "current_role",
            10 => "current_user",
            11 => "user",
            12 => "session_user",
            13 => "current_catalog",
            _ => "current_schema",
        },
        Node::XmlExpr(xml) => match xml.op {
            raw::XmlExprOp::IS_XMLCONCAT => "xmlconcat",
            raw::XmlExprOp::IS_XMLELEMENT => "xmlelement",
            raw::XmlExprOp::IS_XMLFOREST => "xmlforest",
            raw::XmlExprOp::IS_XMLPARSE => "xmlparse",
            raw::XmlExprOp::IS_XMLPI => "xmlpi",
            raw::XmlExprOp::IS_XMLROOT => "xmlroot",
            _ => return None,
        },
        Node::XmlSerialize(_) => "xmlserialize",
        Node::JsonParseExpr(_) => "json",
        Node::JsonScalarExpr(_) => "json_scalar",
        Node::JsonSerializeExpr(_) => "json_serialize",
        Node::JsonObjectConstructor(_) => "json_object",
        Node::JsonArrayConstructor(_) | Node::JsonArrayQueryConstructor(_) => "json_array",
        Node::JsonObjectAgg(_) => "json_objectagg",
        Node::JsonArrayAgg(_) => "json_arrayagg",
        Node::JsonFuncExpr(function) => match function.op {
            raw::JsonExprOp::JSON_EXISTS_OP => "json_exists",
            raw::JsonExprOp::JSON_QUERY_OP => "json_query",
            _ => "json_value",
        },
        _ => return None,
    })
}
