//! Which computations can fail. Whether a statement ends in an error is part of its answer, so a value that decides it
//! is used by it: `1 / (salary - 1000)` asks whether a salary is 1000.
//!
//! Where a part of an expression runs only for some values of another (CASE, AND, OR, COALESCE), the other decides
//! whether it fails.
//!
//! What is in no list here may fail. A function that never does is *total*; one that never does while all arguments but
//! its first are constants is total *there*. Lack of memory is not looked at.

use pg_raw_parse::Node;

use super::types::oid;
use super::value::Value;
use super::walk::Walk;

/// Total whatever its arguments are. Sorted.
const TOTAL: &[&str] = &[
    "abs",
    "array_dims",
    "array_length",
    "array_lower",
    "array_ndims",
    "array_to_json",
    "array_to_string",
    "array_upper",
    "ascii",
    "avg",
    "bit_length",
    "bool_and",
    "bool_or",
    "btrim",
    "cardinality",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "concat",
    "concat_ws",
    "cume_dist",
    "current_setting",
    "dense_rank",
    "every",
    "first_value",
    "floor",
    "hashtext",
    "initcap",
    "isfinite",
    "json_agg",
    "json_extract_path",
    "json_extract_path_text",
    "jsonb_agg",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "jsonb_pretty",
    "jsonb_strip_nulls",
    "jsonb_typeof",
    "json_typeof",
    "last_value",
    "length",
    "lower",
    "ltrim",
    "max",
    "md5",
    "min",
    "num_nonnulls",
    "num_nulls",
    "octet_length",
    "percent_rank",
    "pg_column_size",
    "position",
    "quote_ident",
    "quote_literal",
    "quote_nullable",
    "rank",
    "replace",
    "reverse",
    "row_number",
    "row_to_json",
    "rtrim",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sign",
    "starts_with",
    "string_agg",
    "strpos",
    "sum",
    "to_json",
    "to_jsonb",
    "translate",
    "upper",
];

/// Total while all arguments but the first are constants. Sorted.
const TOTAL_THERE: &[&str] = &[
    "array_append",
    "lag",
    "lead",
    "left",
    "like_escape",
    "lpad",
    "nth_value",
    "overlay",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "regexp_substr",
    "repeat",
    "right",
    "round",
    "rpad",
    "similar_to_escape",
    "split_part",
    "string_to_array",
    "substr",
    "substring",
    "trunc",
];

/// Total while all arguments but the last are constants: what is formatted comes last. Sorted.
const TOTAL_LAST: &[&str] = &["date_part", "date_trunc", "extract", "format"];

/// Total while all arguments but the first are constants, for these types. A time zone may be missing, a number too
/// large, but a format never is.
const FORMATS: &str = "to_char";

/// Operators that never fail, whatever they compare.
const OPERATORS: &[&str] =
    &["=", "<>", "<", ">", "<=", ">=", "->", "->>", "#>", "#>>", "@>", "<@", "?", "?|", "?&", "&&", "^@"];

/// Operators that never fail while their right side is a constant: patterns.
const PATTERNS: &[&str] = &["~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*"];

const INT2: u32 = 21;
const FLOATS: [u32; 2] = [700, 701];
const DATES: [u32; 3] = [1082, 1114, 1184];
const BPCHAR: u32 = 1042;
const NAME: u32 = 19;

const fn is_text(ty: u32) -> bool {
    matches!(ty, oid::TEXT | oid::VARCHAR | BPCHAR)
}

const fn is_exact(ty: u32) -> bool {
    matches!(ty, INT2 | oid::INT4 | oid::INT8 | oid::NUMERIC)
}

impl Walk<'_> {
    /// The arguments of a built-in function decide whether it fails, unless it never does.
    pub(super) fn may_fail_in(&mut self, name: &str, values: &[Value]) {
        let constant = |values: &[Value]| values.iter().all(Value::is_constant);
        let listed = |list: &[&str]| list.contains(&name);
        let known = |value: &Value| value.ty != 0;
        if let ("json_object_agg" | "jsonb_object_agg", [key, _]) = (name, values) {
            return self.decide_failure([key]);
        }
        let first_alone = values.get(1..).is_none_or(constant);
        let total = match (name, values) {
            // A float can overflow, and values whose type is not known may be floats.
            ("sum" | "avg", [value]) => is_exact(value.ty),
            // Arrays must be alike.
            ("array_agg", [value]) => known(value) && !self.is_array(value.ty),
            (FORMATS, _) => first_alone,
            _ if listed(TOTAL) => true,
            _ if listed(TOTAL_THERE) => first_alone,
            _ if listed(TOTAL_LAST) => {
                values.split_last().is_none_or(|(_, rest)| constant(rest))
                    || name == "format" && values.first().is_some_and(Value::is_constant)
            }
            _ => false,
        };
        if !total {
            self.decide_failure(values);
        }
    }

    /// The operands of a built-in operator, likewise.
    pub(super) fn may_fail_at(&mut self, name: &str, left: Option<&Value>, right: &Value) {
        let types = [left.map_or(0, |left| left.ty), right.ty];
        let total = match name {
            _ if OPERATORS.contains(&name) => true,
            _ if PATTERNS.contains(&name) => right.is_constant(),
            "||" => types.into_iter().any(is_text),
            "+" | "-" | "*" => {
                let exact = types.into_iter().all(is_exact) && types.contains(&oid::NUMERIC);
                exact || (left.is_none() && right.ty == oid::NUMERIC) || (name == "-" && types == [DATES[0]; 2])
            }
            _ => false,
        };
        if !total {
            self.decide_failure(left.into_iter().chain([right]));
        }
    }

    /// A cast fails where the value has no place in the type.
    pub(super) fn may_fail_as(&mut self, value: &Value, ty: u32, modified: bool) {
        let from = value.ty;
        let exact = |ty: u32| match ty {
            INT2 => 1,
            oid::INT4 => 2,
            oid::INT8 => 3,
            oid::NUMERIC => 4,
            _ => 0,
        };
        // A name is cut off where it is too long.
        let to_text = is_text(ty) || ty == NAME;
        let same = from == ty && !modified;
        let wider = !modified && exact(from) > 0 && exact(from) <= exact(ty);
        let to_json = matches!(ty, oid::JSON | oid::JSONB) && matches!(from, oid::JSON | oid::JSONB);
        let dates = DATES.contains(&from) && DATES.contains(&ty);
        let float = exact(from) > 0 && exact(from) < 4 && FLOATS.contains(&ty);
        if !(to_text || same && ty != 0 || wider || to_json || dates || float) {
            self.decide_failure([value]);
        }
    }

    /// These values decide whether a computation fails.
    pub(super) fn decide_failure<'v>(&mut self, values: impl IntoIterator<Item = &'v Value>) {
        self.fallible += 1;
        for value in values {
            self.filters(value);
        }
    }

    /// Expressions that run in this order, each for some values of those before it alone.
    pub(super) fn in_order<'n>(&mut self, nodes: impl Iterator<Item = Node<'n>>) -> Vec<Value> {
        let mut values = Vec::new();
        for node in nodes {
            let before = self.fallible;
            let value = self.expr(node);
            if self.fallible != before {
                for earlier in &values {
                    self.filters(earlier);
                }
            }
            values.push(value);
        }
        values
    }

    fn is_array(&self, ty: u32) -> bool {
        self.catalog.type_by_oid(ty).is_none_or(|ty| ty.element != 0)
    }
}
