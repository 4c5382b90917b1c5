//! Expressions of a wanted type.

use super::query::{Generator, Scope};
use super::schema::Type;

/// An expression, and whether the generator knows it to depend on a sensitive column.
#[derive(Clone, Debug)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) secret: bool,
}

impl Sql {
    fn public(text: impl Into<String>) -> Self {
        Self { text: text.into(), secret: false }
    }
}

impl Generator<'_> {
    pub(super) fn literal(&mut self, ty: Type) -> String {
        let small = self.choices.below(6);
        match ty {
            Type::Int => small.to_string(),
            Type::Text => self.choices.pick(&["'1'", "'n1'", "''", "'W%'", "'2222'"], "'1'").to_owned(),
            Type::Num => format!("{small}.5"),
            Type::Bool => self.choices.pick(&["true", "false", "NULL::boolean"], "true").to_owned(),
            Type::Date => format!("date '2026-01-1{small}'"),
            Type::Json => format!("'{{\"a\": {small}, \"b\": \"x\"}}'::jsonb"),
            Type::Texts => format!("ARRAY['t1', 'g{small}']"),
            Type::Ints => format!("ARRAY[{small}, 2]"),
            Type::Pair => format!("ROW({small}, 'w')::pair"),
        }
    }

    /// An expression that rows may depend on: of columns that are not sensitive, where the statement is careful.
    pub(super) fn tested(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        let before = self.hidden;
        self.hidden |= self.careful;
        let value = self.expr(scope, ty, depth);
        self.hidden = before;
        value
    }

    pub(super) fn condition(&mut self, scope: &Scope, depth: usize) -> String {
        if self.choices.chance(15) {
            return self.bare_comparison(scope);
        }
        self.tested(scope, Type::Bool, depth).text
    }

    /// A look-up or a join of bare columns, sensitive ones too.
    fn bare_comparison(&mut self, scope: &Scope) -> String {
        let ty = if self.choices.chance(50) { Type::Text } else { Type::Int };
        let columns = scope.columns(ty, !self.careful || self.choices.chance(20));
        let mut side = || {
            let at = self.choices.below(columns.len());
            columns.get(at).map(|(item, column)| format!("{}.{}", item.alias, column.name))
        };
        let (left, right) = (side(), side());
        let literal = self.literal(ty);
        let left = left.unwrap_or_else(|| literal.clone());
        match self.choices.below(4) {
            0 => format!("{left} = {literal}"),
            1 => format!("{left} IN ({literal}, {literal})"),
            2 => format!("{left} = ANY (ARRAY[{literal}])"),
            _ => format!("{left} = {}", right.unwrap_or(literal)),
        }
    }

    /// The value with exactly this type, where the server insists.
    pub(super) fn exactly(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        let value = self.expr(scope, ty, depth);
        Sql { text: format!("({})::{}", value.text, type_name(ty)), ..value }
    }

    fn leaf(&mut self, scope: &Scope, ty: Type) -> Sql {
        let mut columns = scope.columns(ty, !self.hidden);
        if columns.iter().any(|(_, column)| column.secret) && self.choices.chance(80) {
            // Few columns are secret, and it is those that the oracles are about.
            columns.retain(|(_, column)| column.secret);
        }
        let at = self.choices.below(columns.len() + 1);
        match columns.get(at) {
            Some((item, column)) => Sql { text: format!("{}.{}", item.alias, column.name), secret: column.secret },
            None => Sql::public(self.literal(ty)),
        }
    }

    /// An expression of a type.
    pub(super) fn expr(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        if depth == 0 || self.budget == 0 || !self.choices.chance(65) {
            return self.leaf(scope, ty);
        }
        self.budget = self.budget.saturating_sub(1);
        let general = self.choices.below(100);
        match general {
            70..=76 => return self.case(scope, ty, depth - 1),
            77..=81 => return self.two(scope, [ty, ty], depth, |a, b| format!("coalesce({a}, {b})")),
            82..=84 if super::query::orderable(ty) => {
                return self.two(scope, [ty, ty], depth, |a, b| format!("nullif({a}, {b})"));
            }
            85..=90 => return self.scalar(scope, ty, depth - 1),
            91..=92 if !matches!(ty, Type::Bool | Type::Json | Type::Pair) => {
                let word = self.choices.pick(&["greatest", "least"], "greatest").to_owned();
                return self.two(scope, [ty, ty], depth, move |a, b| format!("{word}({a}, {b})"));
            }
            93..=95 => return self.member(scope, ty, depth - 1),
            _ => {}
        }
        match ty {
            Type::Int => self.int(scope, depth),
            Type::Text => self.text(scope, depth),
            Type::Num => self.num(scope, depth),
            Type::Bool => self.boolean(scope, depth),
            Type::Date => self.date(scope, depth),
            Type::Json => self.json(scope, depth),
            Type::Texts => self.texts(scope, depth),
            Type::Ints => self.two(scope, [Type::Int, Type::Int], depth, |a, b| format!("ARRAY[{a}, {b}]")),
            Type::Pair => self.two(scope, [Type::Int, Type::Text], depth, |a, b| format!("ROW({a}, {b})::pair")),
        }
    }

    fn one(&mut self, scope: &Scope, ty: Type, depth: usize, form: impl FnOnce(&str) -> String) -> Sql {
        let value = self.expr(scope, ty, depth - 1);
        Sql { text: form(&value.text), ..value }
    }

    fn two(&mut self, scope: &Scope, types: [Type; 2], depth: usize, form: impl FnOnce(&str, &str) -> String) -> Sql {
        let [one, other] = types.map(|ty| self.expr(scope, ty, depth - 1));
        Sql { text: form(&one.text, &other.text), secret: one.secret || other.secret }
    }

    fn case(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        // What a condition chooses is not computed from it alone: it is asked about like a WHERE.
        let (test, subject) = if self.choices.chance(70) {
            (self.tested(scope, Type::Bool, depth), String::new())
        } else {
            let subject = self.tested(scope, Type::Int, depth);
            let test = self.tested(scope, Type::Int, 0);
            (Sql { secret: test.secret || subject.secret, ..test }, subject.text)
        };
        let (then, otherwise) = (self.expr(scope, ty, depth), self.expr(scope, ty, depth));
        Sql {
            text: format!("CASE {subject} WHEN {} THEN {} ELSE {} END", test.text, then.text, otherwise.text),
            secret: test.secret || then.secret || otherwise.secret,
        }
    }

    /// A scalar subquery, correlated with the query around it.
    fn scalar(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        let (from, inner) = self.from(scope, depth.min(1));
        let both = scope.with(&inner);
        if self.choices.chance(50) {
            let value = self.aggregate(&inner, ty, 1);
            return Sql { text: format!("(SELECT {}{from})", value.text), ..value };
        }
        let value = self.expr(&both, ty, depth);
        let condition = self.condition(&both, 1);
        Sql { text: format!("(SELECT {}{from} WHERE {condition} LIMIT 1)", value.text), ..value }
    }

    /// A part of a composite value.
    fn member(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        match ty {
            Type::Int => self.one(scope, Type::Pair, depth + 1, |a| format!("({a}).num")),
            Type::Text => match self.choices.below(3) {
                0 => self.one(scope, Type::Pair, depth + 1, |a| format!("({a}).word")),
                1 => self.one(scope, Type::Texts, depth + 1, |a| format!("({a})[1]")),
                _ => self.whole_row(scope, |row| format!("{row}::text")),
            },
            Type::Json => match self.choices.below(3) {
                0 => self.whole_row(scope, |row| format!("to_jsonb({row})")),
                1 => self.whole_row(scope, |row| format!("row_to_json({row})::jsonb")),
                _ => self.one(scope, Type::Pair, depth + 1, |a| format!("to_jsonb({a})")),
            },
            Type::Texts => self.one(scope, Type::Texts, depth + 1, |a| format!("({a})[1:2]")),
            _ => self.leaf(scope, ty),
        }
    }

    fn whole_row(&mut self, scope: &Scope, form: impl FnOnce(&str) -> String) -> Sql {
        let fits = |hidden: bool, item: &super::query::Item| !hidden || item.columns.iter().all(|c| !c.secret);
        let items: Vec<_> = scope.items.iter().filter(|item| fits(self.hidden, item)).collect();
        let at = self.choices.below(items.len());
        match items.get(at) {
            Some(item) => Sql { text: form(&item.alias), secret: item.columns.iter().any(|column| column.secret) },
            None => Sql::public(form("ROW(1, 'x')")),
        }
    }

    fn int(&mut self, scope: &Scope, depth: usize) -> Sql {
        use Type::{Date, Int, Json, Num, Pair, Text, Texts};
        match self.choices.below(14) {
            0 => self.two(scope, [Int, Int], depth, |a, b| format!("({a} + {b})")),
            1 => self.two(scope, [Int, Int], depth, |a, b| format!("({a} - {b})")),
            2 => self.one(scope, Text, depth, |a| format!("length({a})")),
            3 => self.one(scope, Int, depth, |a| format!("abs({a})")),
            4 => self.one(scope, Int, depth, |a| format!("({a} % 3)")),
            5 => self.one(scope, Texts, depth, |a| format!("cardinality({a})")),
            6 => self.one(scope, Date, depth, |a| format!("extract(day FROM {a})::int")),
            7 => self.one(scope, Text, depth, |a| format!("position('1' IN {a})")),
            8 => self.one(scope, Num, depth, |a| format!("floor({a})::int")),
            9 => self.two(scope, [Int, Int], depth, |a, b| format!("({a} / ({b} - 5))")),
            10 => self.one(scope, Json, depth, |a| format!("length({a} #>> '{{a}}')")),
            11 => self.one(scope, Pair, depth, |a| format!("num_nulls({a})")),
            12 => self.one(scope, Text, depth, |a| format!("ascii({a})")),
            _ => self.one(scope, Text, depth, |a| format!("octet_length({a})")),
        }
    }

    fn num(&mut self, scope: &Scope, depth: usize) -> Sql {
        use Type::{Int, Num, Text};
        match self.choices.below(6) {
            0 => self.two(scope, [Num, Int], depth, |a, b| format!("({a} * {b})")),
            1 => self.two(scope, [Num, Num], depth, |a, b| format!("({a} + {b})")),
            2 => self.one(scope, Num, depth, |a| format!("round({a}, 1)")),
            3 => self.one(scope, Int, depth, |a| format!("({a})::numeric")),
            4 => self.one(scope, Num, depth, |a| format!("(- {a})")),
            _ => self.one(scope, Text, depth, |a| format!("length({a})::numeric")),
        }
    }

    fn date(&mut self, scope: &Scope, depth: usize) -> Sql {
        use Type::{Date, Int};
        match self.choices.below(3) {
            0 => self.two(scope, [Date, Int], depth, |a, b| format!("({a} + ({b} % 50))")),
            1 => self.one(scope, Date, depth, |a| format!("date_trunc('month', {a})::date")),
            _ => self.one(scope, Date, depth, |a| format!("({a} - interval '1 day')::date")),
        }
    }

    fn any_text(&mut self, scope: &Scope, depth: usize, form: impl FnOnce(&str) -> String) -> Sql {
        let ty = self.any_type();
        self.one(scope, ty, depth, form)
    }

    fn text(&mut self, scope: &Scope, depth: usize) -> Sql {
        use Type::{Date, Int, Json, Num, Pair, Text, Texts};
        match self.choices.below(28) {
            0 => self.one(scope, Text, depth, |a| format!("lower({a})")),
            1 => self.two(scope, [Text, Text], depth, |a, b| format!("({a} || {b})")),
            2 => self.any_text(scope, depth, |a| format!("({a})::text")),
            3 => self.one(scope, Text, depth, |a| format!("substr({a}, 1, 2)")),
            4 => self.one(scope, Text, depth, |a| format!("left({a}, 3)")),
            5 => self.two(scope, [Text, Int], depth, |a, b| format!("concat({a}, '-', {b})")),
            6 => self.one(scope, Text, depth, |a| format!("reverse({a})")),
            7 => self.one(scope, Text, depth, |a| format!("md5({a})")),
            8 => self.one(scope, Json, depth, |a| format!("({a} ->> 'b')")),
            9 => self.one(scope, Json, depth, |a| format!("({a} #>> '{{c,0}}')")),
            10 => self.two(scope, [Text, Text], depth, |a, b| format!("format('%s/%s', {a}, {b})")),
            11 => self.one(scope, Texts, depth, |a| format!("array_to_string({a}, ',')")),
            12 => self.one(scope, Text, depth, |a| format!("replace({a}, '1', '2')")),
            13 => self.one(scope, Num, depth, |a| format!("to_char({a}, '999.9')")),
            14 => self.one(scope, Text, depth, |a| format!("split_part({a}, '1', 1)")),
            15 => self.one(scope, Text, depth, |a| format!("(regexp_match({a}, '(.)'))[1]")),
            16 => self.any_text(scope, depth, |a| format!("pg_typeof({a})::text")),
            17 => self.one(scope, Text, depth, |a| format!("encode(convert_to({a}, 'UTF8'), 'hex')")),
            18 => self.one(scope, Text, depth, |a| format!("overlay({a} PLACING 'x' FROM 1)")),
            19 => self.one(scope, Text, depth, |a| format!("cast({a} AS varchar(3))")),
            20 => self.one(scope, Text, depth, |a| format!("xmlelement(name e, {a})::text")),
            21 => self.two(scope, [Int, Text], depth, |a, b| format!("ROW({a}, {b})::text")),
            22 => self.one(scope, Text, depth, |a| format!("trim(both '1' FROM {a})")),
            23 => self.one(scope, Text, depth, |a| format!("({a} COLLATE \"C\")")),
            24 => self.one(scope, Pair, depth, |a| format!("({a}).word")),
            25 => self.one(scope, Date, depth, |a| format!("to_char({a}, 'YYYY')")),
            26 => self.one(scope, Json, depth, |a| format!("jsonb_path_query_first({a}, '$.b') #>> '{{}}'")),
            _ => self.two(scope, [Text, Text], depth, |a, b| format!("concat_ws(':', {a}, {b})")),
        }
    }

    fn boolean(&mut self, scope: &Scope, depth: usize) -> Sql {
        use Type::{Bool, Date, Int, Json, Num, Pair, Text, Texts};
        match self.choices.below(22) {
            0 => self.two(scope, [Int, Int], depth, |a, b| format!("({a} = {b})")),
            1 => self.two(scope, [Int, Int], depth, |a, b| format!("({a} < {b})")),
            2 => self.two(scope, [Text, Text], depth, |a, b| format!("({a} >= {b})")),
            3 => self.two(scope, [Bool, Bool], depth, |a, b| format!("({a} AND {b})")),
            4 => self.two(scope, [Bool, Bool], depth, |a, b| format!("({a} OR {b})")),
            5 => self.one(scope, Bool, depth, |a| format!("(NOT {a})")),
            6 => self.any_text(scope, depth, |a| format!("({a} IS NOT NULL)")),
            7 => self.one(scope, Text, depth, |a| format!("({a} LIKE '%1%')")),
            8 => self.two(scope, [Int, Int], depth, |a, b| format!("({a} IN (1, 2, {b}))")),
            9 => self.two(scope, [Num, Num], depth, |a, b| format!("({a} BETWEEN 1 AND {b})")),
            10 => self.two(scope, [Text, Texts], depth, |a, b| format!("({a} = ANY ({b}))")),
            11 => self.two(scope, [Texts, Texts], depth, |a, b| format!("({a} && {b})")),
            12 => self.one(scope, Json, depth, |a| format!("({a} ? 'b')")),
            13 => self.two(scope, [Json, Json], depth, |a, b| format!("({a} @> {b})")),
            14 => self.two(scope, [Text, Text], depth, |a, b| format!("({a} IS DISTINCT FROM {b})")),
            15 => self.one(scope, Bool, depth, |a| format!("({a} IS TRUE)")),
            16 => self.two(scope, [Date, Date], depth, |a, b| format!("({a} > {b})")),
            17 => self.exists(scope, depth - 1),
            18 => self.in_query(scope, depth - 1),
            19 => self.two(scope, [Pair, Pair], depth, |a, b| format!("({a} = {b})")),
            20 => self.two(scope, [Int, Text], depth, |a, b| format!("(({a}, {b}) = (1, 'n1'))")),
            _ => self.one(scope, Text, depth, |a| format!("({a} ~ '^[0-2]')")),
        }
    }

    fn exists(&mut self, scope: &Scope, depth: usize) -> Sql {
        let (from, inner) = self.from(scope, depth.min(1));
        let both = scope.with(&inner);
        let condition = self.condition(&both, depth);
        Sql::public(format!("EXISTS (SELECT 1{from} WHERE {condition})"))
    }

    fn in_query(&mut self, scope: &Scope, depth: usize) -> Sql {
        let tested = self.expr(scope, Type::Int, depth);
        let query = self.select(scope, &[Type::Int], depth.min(1));
        let secret = tested.secret || query.columns.iter().any(|column| column.secret);
        let word = self.choices.pick(&["IN", "NOT IN", "< ALL", "= ANY"], "IN");
        Sql { text: format!("({} {word} ({}))", tested.text, query.text), secret }
    }

    fn json(&mut self, scope: &Scope, depth: usize) -> Sql {
        use Type::{Int, Json, Text, Texts};
        match self.choices.below(13) {
            0 => self.any_text(scope, depth, |a| format!("to_jsonb({a})")),
            1 => self.two(scope, [Text, Int], depth, |a, b| format!("jsonb_build_object('k', {a}, 'n', {b})")),
            2 => self.two(scope, [Text, Json], depth, |a, b| format!("jsonb_build_array({a}, {b})")),
            3 => self.one(scope, Json, depth, |a| format!("({a} -> 'a')")),
            4 => self.two(scope, [Json, Json], depth, |a, b| format!("({a} || {b})")),
            5 => self.one(scope, Json, depth, |a| format!("jsonb_strip_nulls({a})")),
            6 => self.one(scope, Json, depth, |a| format!("({a} #> '{{c,0}}')")),
            7 => self.one(scope, Json, depth, |a| format!("({a})['b']")),
            8 => self.one(scope, Texts, depth, |a| format!("to_jsonb({a})")),
            9 => self.two(scope, [Text, Text], depth, |a, b| format!("jsonb_object(ARRAY['p', 'q'], ARRAY[{a}, {b}])")),
            10 => self.one(scope, Json, depth, |a| format!("jsonb_path_query_first({a}, '$.a')")),
            11 => {
                self.two(scope, [Text, Int], depth, |a, b| format!("json_build_object(concat('k', {a}), {b})::jsonb"))
            }
            _ => self.one(scope, Json, depth, |a| format!("jsonb_path_query_array({a}, '$.*')")),
        }
    }

    fn texts(&mut self, scope: &Scope, depth: usize) -> Sql {
        use Type::{Text, Texts};
        match self.choices.below(5) {
            0 => self.two(scope, [Text, Text], depth, |a, b| format!("ARRAY[{a}, {b}]")),
            1 => self.two(scope, [Texts, Text], depth, |a, b| format!("array_append({a}, {b})")),
            2 => self.one(scope, Text, depth, |a| format!("string_to_array({a}, '1')")),
            3 => self.two(scope, [Texts, Texts], depth, |a, b| format!("({a} || {b})")),
            _ => {
                let query = self.select(scope, &[Text], depth.saturating_sub(2));
                let secret = query.columns.iter().any(|column| column.secret);
                Sql { text: format!("ARRAY({})", query.text), secret }
            }
        }
    }
}

pub(super) const fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Int => "int",
        Type::Text => "text",
        Type::Num => "numeric",
        Type::Bool => "boolean",
        Type::Date => "date",
        Type::Json => "jsonb",
        Type::Texts => "text[]",
        Type::Ints => "int[]",
        Type::Pair => "pair",
    }
}
