//! Which computations can fail. Whether a statement ends in an error is part of its answer, so a value that decides it
//! is used by it: `1 / (salary - 1000)` asks whether a salary is 1000.
//!
//! Where a part of an expression runs only for some values of another (CASE, AND, OR, COALESCE), the other decides
//! whether it fails, and whether anything else of it can be seen from outside: a notification, a lock.
//!
//! What is in no list here may fail. A list's entry holds for operands whose types are certain, and for constants that
//! are in the text as they are: what is computed of constants can be of any size. Lack of memory is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pg_raw_parse::Node;

use super::arguments::grown_size;
use super::operand::{BYTEA, DATES, FLOATS, INT2, NAME, Operand, is_exact, is_integer, is_text};
use super::types::oid;
use super::value::{LARGE, Value};
use super::walk::Walk;
use crate::postgres::catalog::FIRST_USER_OID;

/// How many types may meet in one place.
const MOST_TYPES: usize = 16;

/// When a computation fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    Never,
    /// For values that lie outside everything that people store. Whoever stored such a one to see where it is computed
    /// with knows it already.
    Extreme,
    Any,
}

/// What a JSON constructor makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Json {
    Text,
    Binary,
    /// A type that not every JSON has a place in.
    Other,
}

/// Total for so many texts. Sorted.
const OF_TEXTS: &[(&str, &[usize])] = &[
    ("bit_length", &[1]),
    ("btrim", &[1, 2]),
    ("char_length", &[1]),
    ("character_length", &[1]),
    ("hashtext", &[1]),
    ("initcap", &[1]),
    ("length", &[1]),
    ("lower", &[1]),
    ("ltrim", &[1, 2]),
    ("md5", &[1]),
    ("octet_length", &[1]),
    ("position", &[2]),
    ("quote_ident", &[1]),
    ("quote_literal", &[1]),
    ("quote_nullable", &[1]),
    ("replace", &[3]),
    ("reverse", &[1]),
    ("rtrim", &[1, 2]),
    ("starts_with", &[2]),
    ("string_agg", &[2]),
    ("strpos", &[2]),
    ("translate", &[3]),
    ("upper", &[1]),
];

/// Those of them whose result can be much longer than their arguments.
const GROWING: &[&str] = &["quote_ident", "quote_literal", "quote_nullable", "replace", "string_agg"];

/// Total whatever their arguments are. Sorted.
const OF_ANYTHING: &[&str] = &[
    "cume_dist",
    "current_database",
    "dense_rank",
    "first_value",
    "last_value",
    "now",
    "num_nonnulls",
    "num_nulls",
    "percent_rank",
    "pg_column_size",
    "rank",
    "row_number",
];

/// Operators that compare.
const COMPARISONS: &[&str] = &["=", "<>", "<", ">", "<=", ">="];

/// Fields of every date and time. Sorted.
const FIELDS: &[&str] =
    &["century", "day", "decade", "dow", "doy", "epoch", "isodow", "isoyear", "month", "quarter", "week", "year"];

/// Fields of those with a time. Sorted.
const FIELDS_OF_TIME: &[&str] = &["hour", "microseconds", "milliseconds", "minute", "second"];

impl Walk<'_> {
    /// The arguments of a built-in function decide whether it fails, unless it never does.
    pub(super) fn may_fail_in(&mut self, name: &str, arguments: &[Operand<'_, '_>]) {
        let failure = self.failure_of_call(name, arguments);
        self.fails(failure, arguments);
    }

    /// The operands of a built-in operator, likewise.
    pub(super) fn may_fail_at(&mut self, name: &str, left: Option<Operand<'_, '_>>, right: Operand<'_, '_>) {
        let failure = self.failure_of_operator(name, left, right);
        self.literal_meets(&left.into_iter().chain([right]).collect::<Vec<_>>());
        let operands: Vec<Operand<'_, '_>> = left.into_iter().chain([right]).collect();
        self.fails(failure, &operands);
    }

    /// An operator on each element of an array.
    pub(super) fn may_fail_at_elements(&mut self, name: &str, left: Operand<'_, '_>, array: Operand<'_, '_>) {
        let element = self.element_of(array.value.ty).unwrap_or(0);
        let element = Value { ty: element, ..array.value.clone() };
        let node = if array.is_untyped() { array.node } else { Node::None };
        self.literal_meets(&[left, array]);
        let failure = self.failure_of_operator(name, Some(left), Operand::new(&element, node));
        self.fails(failure, &[left, array]);
    }

    /// A cast fails where the value has no place in the type.
    pub(super) fn may_fail_as(&mut self, operand: Operand<'_, '_>, ty: u32, modified: bool) {
        let failure = self.failure_of_cast(operand, ty, modified);
        self.fails(failure, &[operand]);
    }

    /// The values are compared with each other.
    pub(super) fn must_be_alike(&mut self, operands: &[Operand<'_, '_>]) {
        let Some((first, others)) = operands.split_first() else { return };
        let alike = others.iter().all(|other| self.are_alike(*first, *other));
        let alike = alike && self.each_two(operands, |walk, one, other| walk.are_alike(one, other));
        self.fails(if alike { Failure::Never } else { Failure::Any }, operands);
    }

    /// A constant without a type becomes what stands beside it, and its domains are checked.
    pub(super) fn literal_meets(&mut self, operands: &[Operand<'_, '_>]) {
        if !operands.iter().any(|operand| operand.is_untyped()) {
            return;
        }
        for ty in operands.iter().map(|operand| operand.value.ty).filter(|ty| *ty >= FIRST_USER_OID) {
            if self.catalog.type_by_oid(ty).is_some_and(|ty| ty.kind != b'd') {
                self.writes_type(ty);
            }
        }
    }

    fn casts_to_each_other(&mut self, operands: &[Operand<'_, '_>]) {
        if !self.catalog.has_user_casts() {
            return;
        }
        let types: BTreeSet<u32> = operands.iter().map(|operand| operand.value.ty).collect();
        for operand in operands {
            types.iter().for_each(|ty| self.user_casts(operand.value, *ty));
        }
    }

    /// The values become one type.
    pub(super) fn must_unify(&mut self, operands: &[Operand<'_, '_>]) {
        let typed: Vec<Operand<'_, '_>> = operands.iter().copied().filter(|operand| !operand.is_untyped()).collect();
        let Some((first, others)) = typed.split_first() else { return };
        let total = first.value.ty != 0 || others.is_empty() && operands.len() == 1;
        let total = total && others.iter().all(|other| self.become_one(*first, *other));
        let total = total && self.each_two(&typed, |walk, one, other| walk.become_one(one, other));
        self.casts_to_each_other(&typed);
        self.literal_meets(operands);
        self.fails(if total { Failure::Never } else { Failure::Any }, operands);
    }

    /// Whether it holds for each two types among them: the one that all become need not be the first's.
    fn each_two(
        &self,
        operands: &[Operand<'_, '_>],
        holds: impl Fn(&Self, Operand<'_, '_>, Operand<'_, '_>) -> bool,
    ) -> bool {
        let types: BTreeMap<u32, Operand<'_, '_>> = operands
            .iter()
            .filter(|operand| !operand.is_untyped())
            .map(|operand| (operand.value.ty, *operand))
            .collect();
        let types: Vec<Operand<'_, '_>> = types.into_values().collect();
        let pairs =
            types.iter().enumerate().flat_map(|(at, one)| types.iter().skip(at + 1).map(move |other| (one, other)));
        types.len() <= MOST_TYPES && pairs.into_iter().all(|(one, other)| holds(self, *one, *other))
    }

    /// Values become JSON, or what else a constructor returns.
    pub(super) fn must_print(&mut self, values: &[Value], made: Json) {
        values.iter().for_each(|value| self.casts_to_json(value, 0));
        let prints = |value: &Value| self.is_printable(Operand::hidden(value), made == Json::Binary);
        let total = made != Json::Other && values.iter().all(prints);
        if !total {
            self.decide_failure(values);
        }
    }

    fn fails(&mut self, failure: Failure, operands: &[Operand<'_, '_>]) {
        match failure {
            Failure::Never => {}
            Failure::Extreme => self.can_be_seen(),
            Failure::Any => self.decide_failure(operands.iter().map(|operand| operand.value)),
        }
    }

    fn failure_of_call(&self, name: &str, arguments: &[Operand<'_, '_>]) -> Failure {
        let of = |is: &dyn Fn(Operand<'_, '_>) -> bool| arguments.iter().all(|argument| is(*argument));
        let text = |at: usize| arguments.get(at).is_some_and(|argument| self.has_text(*argument));
        let constant = |at: usize| arguments.get(at).and_then(|argument| argument.text());
        let integer = |at: usize, least: i32, most: i32| {
            arguments.get(at).is_some_and(|argument| argument.is_integer_in(least..=most))
        };
        let small = !arguments.iter().any(|argument| argument.is_computed_constant());
        let never = |yes: bool| if yes { Failure::Never } else { Failure::Any };
        match (name, arguments) {
            _ if OF_ANYTHING.contains(&name) => Failure::Never,
            _ if grown_size(name, arguments) > LARGE => Failure::Any,
            _ if is_of_texts(name, arguments.len())
                && (small || !GROWING.contains(&name))
                && of(&|argument| self.has_text(argument)) =>
            {
                Failure::Never
            }
            ("length" | "octet_length" | "md5" | "sha224" | "sha256" | "sha384" | "sha512", [one]) => {
                never(self.has_type(*one, |ty| ty == BYTEA))
            }
            ("left" | "right", [_, _]) => never(text(0) && integer(1, -100_000, 100_000)),
            ("substr" | "substring", [_, _]) if integer(1, -100_000, 100_000) => never(text(0)),
            ("substring", [_, _]) => never(text(0) && constant(1).is_some_and(is_pattern)),
            ("substr" | "substring", [_, _, _]) => {
                never(text(0) && integer(1, -100_000, 100_000) && integer(2, 0, 100_000))
            }
            ("lpad" | "rpad", [_, _]) => never(text(0) && integer(1, 0, 1_000)),
            ("lpad" | "rpad", [_, _, _]) => never(text(0) && integer(1, 0, 1_000) && constant(2).is_some()),
            ("overlay", [_, _, _]) => never(text(0) && constant(1).is_some() && integer(2, 1, 100_000)),
            ("repeat", [_, _]) => never(text(0) && integer(1, 0, 1_000)),
            ("split_part", [_, _, _]) => never(text(0) && constant(1).is_some() && integer(2, 1, 100_000)),
            ("string_to_array", [_, _]) => never(text(0) && constant(1).is_some()),
            ("regexp_replace", [_, _, _]) => {
                never(text(0) && constant(1).is_some_and(is_pattern) && constant(2).is_some())
            }
            ("regexp_replace", [_, _, _, _]) => never(
                text(0)
                    && constant(1).is_some_and(is_pattern)
                    && constant(2).is_some()
                    && constant(3).is_some_and(|flags| matches!(&*flags, "g" | "i" | "gi" | "ig")),
            ),
            ("regexp_like" | "regexp_match" | "regexp_substr", [_, _]) => {
                never(text(0) && constant(1).is_some_and(is_pattern))
            }
            ("concat" | "concat_ws", _) => never(small && of(&|argument| self.is_printable(argument, false))),
            ("format", [_, values @ ..]) => never(
                small
                    && constant(0).is_some_and(|format| is_format(&format, values.len()))
                    && of(&|argument| self.is_printable(argument, false)),
            ),
            ("array_agg", [one]) => never(self.has_scalar(*one)),
            ("json_agg" | "to_json" | "row_to_json" | "array_to_json", [one]) => never(self.is_printable(*one, false)),
            ("jsonb_agg" | "to_jsonb", [one]) => never(self.is_printable(*one, true)),
            ("json_build_array", _) => never(of(&|argument| self.is_printable(argument, false))),
            ("jsonb_build_array", _) => never(of(&|argument| self.is_printable(argument, true))),
            ("json_build_object", _) => {
                never(are_keys(arguments) && of(&|argument| self.is_printable(argument, false)))
            }
            ("jsonb_build_object", _) => {
                never(are_keys(arguments) && of(&|argument| self.is_printable(argument, true)))
            }
            ("jsonb_typeof" | "jsonb_pretty" | "jsonb_strip_nulls", [one]) => {
                never(self.has_type(*one, |ty| ty == oid::JSONB))
            }
            ("jsonb_extract_path" | "jsonb_extract_path_text", [one, path @ ..]) => {
                never(self.has_type(*one, |ty| ty == oid::JSONB) && path.iter().all(|step| step.text().is_some()))
            }
            ("json_typeof", [one]) => never(self.has_type(*one, |ty| ty == oid::JSON)),
            ("array_length" | "array_upper" | "array_lower", [one, _]) => {
                never(self.element_of(one.value.ty).is_some() && integer(1, i32::MIN, i32::MAX))
            }
            ("array_dims" | "array_ndims" | "cardinality", [one]) => never(self.element_of(one.value.ty).is_some()),
            ("array_to_string", [one, _]) => never(
                self.element_of(one.value.ty).is_some() && self.is_printable(*one, false) && constant(1).is_some(),
            ),
            ("bool_and" | "bool_or" | "every", [one]) => never(self.has_type(*one, |ty| ty == oid::BOOL)),
            ("max" | "min", [one]) => never(self.has_type(*one, |ty| self.is_ordered(ty))),
            ("lag" | "lead", [_]) => Failure::Never,
            ("lag" | "lead", [_, _]) => never(integer(1, 0, 100_000)),
            ("lag" | "lead", [one, _, other]) => never(
                integer(1, 0, 100_000) && (other.is_untyped() || one.value.ty == other.value.ty && one.value.ty != 0),
            ),
            ("isfinite", [one]) => never(self.has_type(*one, |ty| DATES.contains(&ty))),
            _ => self.failure_of_number(name, arguments),
        }
    }

    /// Numbers can be too large, and dates too far away.
    fn failure_of_number(&self, name: &str, arguments: &[Operand<'_, '_>]) -> Failure {
        let has = |operand: &Operand<'_, '_>, is: &dyn Fn(u32) -> bool| self.has_type(*operand, is);
        let stored = |operand: &Operand<'_, '_>| operand.value.bare().is_some();
        let extreme = |yes: bool| if yes { Failure::Extreme } else { Failure::Any };
        match (name, arguments) {
            ("sum" | "avg", [one]) if has(one, &is_integer) => Failure::Never,
            ("sum" | "avg", [one]) => extreme(stored(one) && has(one, &is_exact)),
            ("abs" | "sign", [one]) if has(one, &|ty| ty == oid::NUMERIC) => Failure::Never,
            ("abs" | "ceil" | "ceiling" | "floor" | "round" | "sign" | "trunc", [one]) => {
                if has(one, &|ty| FLOATS.contains(&ty)) {
                    return Failure::Never;
                }
                extreme(stored(one) && has(one, &is_exact))
            }
            ("round" | "trunc", [one, places]) => {
                extreme(stored(one) && has(one, &|ty| ty == oid::NUMERIC) && places.is_integer_in(-30..=30))
            }
            ("date_part" | "extract" | "date_trunc", [field, one]) => {
                let field = field.text();
                let every = field.as_deref().is_some_and(|field| FIELDS.contains(&field));
                let some = field.as_deref().is_some_and(|field| FIELDS_OF_TIME.contains(&field));
                // `epoch`, `dow` and their like are nothing to truncate to.
                let place = name != "date_trunc"
                    || !matches!(field.as_deref(), Some("dow" | "doy" | "epoch" | "isodow" | "isoyear"));
                let fits = every && has(one, &|ty| DATES.contains(&ty)) || some && has(one, &|ty| is_timestamp(ty));
                extreme(stored(one) && fits && place)
            }
            ("to_char", [one, format]) => {
                let format = format.text().is_some_and(|format| is_date_format(&format));
                extreme(stored(one) && format && has(one, &|ty| DATES.contains(&ty)))
            }
            _ => Failure::Any,
        }
    }

    fn failure_of_operator(&self, name: &str, left: Option<Operand<'_, '_>>, right: Operand<'_, '_>) -> Failure {
        let never = |yes: bool| if yes { Failure::Never } else { Failure::Any };
        let numeric = |operand: Operand<'_, '_>| self.has_type(operand, |ty| ty == oid::NUMERIC);
        let Some(left) = left else { return never(name == "-" && numeric(right)) };
        match name {
            _ if COMPARISONS.contains(&name) => never(self.are_alike(left, right)),
            "~~" | "!~~" | "~~*" | "!~~*" => {
                let pattern = right.text().is_some_and(|pattern| !pattern.contains('\\'));
                never(self.has_text(left) && pattern)
            }
            "~" | "!~" | "~*" | "!~*" => never(self.has_text(left) && right.text().is_some_and(is_pattern)),
            "^@" => never(self.has_text(left) && self.has_text(right)),
            "||" => {
                let small = !left.is_computed_constant() && !right.is_computed_constant();
                let scalar = |operand| self.has_scalar(operand) && self.is_printable(operand, false);
                let text = |operand: Operand<'_, '_>| is_text(self.base_type(operand.value.ty));
                let size = left.value.size.saturating_add(right.value.size);
                never(small && size <= LARGE && scalar(left) && scalar(right) && (text(left) || text(right)))
            }
            "->" | "->>" => {
                let step = right.text().is_some() || right.is_integer_in(i32::MIN..=i32::MAX);
                never(self.has_type(left, |ty| ty == oid::JSONB) && step)
            }
            "@>" | "<@" | "?" | "?|" | "?&" | "#>" | "#>>" => {
                let jsonb = self.has_type(left, |ty| ty == oid::JSONB);
                never(jsonb && (right.is_untyped() || self.has_type(right, |ty| ty == oid::JSONB)))
            }
            "&&" => never(
                left.value.ty == right.value.ty
                    && self.are_alike(left, right)
                    && self.element_of(left.value.ty).is_some(),
            ),
            "/" | "%" if right.is_integer_in(1..=1_000) => match () {
                () if self.has_type(left, is_integer) => Failure::Never,
                () if left.value.bare().is_some() && numeric(left) => Failure::Extreme,
                () => Failure::Any,
            },
            "+" | "-" | "*" => {
                let with_short = |one: Operand<'_, '_>, other: Operand<'_, '_>| {
                    let whole = name != "*" && self.has_type(one, is_integer) && other.is_integer_in(-1_000..=1_000);
                    one.value.bare().is_some() && (numeric(one) && other.is_short_number() || whole)
                };
                // Dates are not subtracted: people store infinity.
                let short = with_short(left, right) || with_short(right, left);
                if short { Failure::Extreme } else { Failure::Any }
            }
            _ => Failure::Any,
        }
    }

    fn failure_of_cast(&self, operand: Operand<'_, '_>, ty: u32, modified: bool) -> Failure {
        let from = self.base_type(operand.value.ty);
        let never = |yes: bool| if yes { Failure::Never } else { Failure::Any };
        let exact = |ty: u32| match ty {
            INT2 => 1,
            oid::INT4 => 2,
            oid::INT8 => 3,
            oid::NUMERIC => 4,
            _ => 0,
        };
        // They are cut off where they are too long.
        if is_text(ty) || ty == NAME {
            return never(self.is_printable(operand, false));
        }
        if modified || ty == 0 {
            return Failure::Any;
        }
        if operand.is_untyped() {
            return never(self.is_ordered(ty) || matches!(ty, oid::JSON | oid::JSONB) || self.is_own_array(ty));
        }
        if DATES.contains(&from) && DATES.contains(&ty) && from != ty {
            return if operand.value.bare().is_some() { Failure::Extreme } else { Failure::Any };
        }
        let wider = exact(from) > 0 && exact(from) <= exact(ty);
        let float = is_integer(from) && FLOATS.contains(&ty);
        let to_json = ty == oid::JSON && matches!(from, oid::JSON | oid::JSONB);
        never(operand.value.ty == ty || from == ty || wider || float || to_json)
    }

    pub(super) fn is_own_array(&self, ty: u32) -> bool {
        let scalar = |ty: u32| self.base_type(ty) == ty && (self.is_ordered(ty) || is_text(ty));
        // A point has elements too, and is no array.
        let is_array_of = |element: u32| self.catalog.type_by_oid(element).is_some_and(|element| element.array == ty);
        self.base_type(ty) == ty && self.element_of(ty).is_some_and(|element| scalar(element) && is_array_of(element))
    }

    /// Something of what runs here can be seen from outside, an error or another effect.
    pub(super) const fn can_be_seen(&mut self) {
        self.visible += 1;
    }

    /// These values decide whether a computation fails.
    pub(super) fn decide_failure<'v>(&mut self, values: impl IntoIterator<Item = &'v Value>) {
        self.can_be_seen();
        for value in values {
            self.filters(value);
        }
    }

    /// Something ran for some of these values alone: if it can be seen, they decide it.
    pub(super) fn decides_since<'v>(&mut self, before: usize, values: impl IntoIterator<Item = &'v Value>) {
        if self.visible != before {
            values.into_iter().for_each(|value| self.filters(value));
        }
    }

    /// Expressions that run in this order, each for some values of those before it alone.
    pub(super) fn in_order<'n>(&mut self, nodes: impl Iterator<Item = Node<'n>>) -> Vec<Value> {
        let mut values = Vec::new();
        for node in nodes {
            let before = self.visible;
            let value = self.expr(node);
            if self.visible != before {
                for earlier in &values {
                    self.filters(earlier);
                }
            }
            values.push(value);
        }
        values
    }
}

const fn is_timestamp(ty: u32) -> bool {
    ty == DATES[1] || ty == DATES[2]
}

/// A regular expression that is certainly right: letters, digits, signs without a meaning, `.`, anchors, classes such as
/// `[0-9a-f]`, groups, and one quantifier behind a character or class.
#[expect(clippy::needless_pass_by_value, reason = "it is what an Option holds")]
fn is_pattern(pattern: Arc<str>) -> bool {
    let mut rest = pattern.chars();
    let (mut depth, mut quantifiable) = (0_u32, false);
    while let Some(c) = rest.next() {
        quantifiable = match c {
            '+' | '*' | '?' if quantifiable => false,
            '^' | '$' => false,
            '(' => {
                depth += 1;
                false
            }
            ')' if depth > 0 => {
                depth -= 1;
                false
            }
            '[' if is_class(&mut rest) => true,
            '.' => true,
            c if c.is_alphanumeric() || " _-@,:/%#!".contains(c) => true,
            _ => return false,
        };
    }
    depth == 0 && pattern.len() <= 100
}

/// The rest of a class of letters, digits and ranges of them.
fn is_class(rest: &mut std::str::Chars<'_>) -> bool {
    let mut last = None;
    let mut from = None;
    let mut any = false;
    for (at, c) in rest.by_ref().enumerate() {
        match c {
            ']' => return any && from.is_none(),
            '^' if at == 0 => {}
            '-' if last.is_some() => from = last.take(),
            c if c.is_ascii_alphanumeric() => {
                // The end of a range begins no other one.
                last = match from.take() {
                    Some(from) if from > c => return false,
                    Some(_) => None,
                    None => Some(c),
                };
                any = true;
            }
            _ => return false,
        }
    }
    false
}

fn is_of_texts(name: &str, count: usize) -> bool {
    OF_TEXTS.iter().any(|(text, counts)| *text == name && counts.contains(&count))
}

/// Keys and values by turns, where no key can be NULL.
fn are_keys(arguments: &[Operand<'_, '_>]) -> bool {
    let is_text = |key: &Operand<'_, '_>| key.text().is_some() && (key.is_untyped() || is_text(key.value.ty));
    arguments.len().is_multiple_of(2) && arguments.iter().step_by(2).all(is_text)
}

/// A format of `%s` alone, for as many values as there are.
fn is_format(format: &str, values: usize) -> bool {
    let mut wanted = 0;
    for part in format.replace("%%", "").split('%').skip(1) {
        if !part.starts_with('s') {
            return false;
        }
        wanted += 1;
    }
    wanted <= values
}

/// A format for dates of digits, words and their separators.
fn is_date_format(format: &str) -> bool {
    format.chars().all(|c| "YMDHIS24W-/:. ,_".contains(c))
}
