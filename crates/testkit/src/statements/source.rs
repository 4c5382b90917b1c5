//! FROM: relations, joins, subqueries, functions, VALUES.

use super::expr::Sql;
use super::query::{Generator, Item, Query, Scope};
use super::schema::{Column, Type};

impl Generator<'_> {
    /// A FROM clause and what it brings into scope; rarely none at all.
    pub(super) fn from(&mut self, outer: &Scope, depth: usize) -> (String, Scope) {
        let (mut text, item) = self.item(outer, &Scope::default(), depth);
        let mut scope = Scope { items: vec![item] };
        let joins = match self.choices.below(10) {
            0..=5 => 0,
            6..=8 => 1,
            _ => 2,
        };
        for left in (0..joins.min(self.budget)).rev() {
            self.budget = self.budget.saturating_sub(1);
            self.join(&mut text, &mut scope, outer, depth, left == 0);
        }
        (format!(" FROM {text}"), scope)
    }

    fn join(&mut self, text: &mut String, scope: &mut Scope, outer: &Scope, depth: usize, last: bool) {
        let form = self.choices.below(6);
        let lateral = matches!(form, 0 | 4);
        let siblings = if lateral { scope.clone() } else { Scope::default() };
        let (right, item) = self.item(outer, &siblings, depth);
        let link = self.link(scope, &item);
        let both = Scope { items: scope.items.iter().chain([&item]).cloned().collect() };
        match form {
            // What a later ON may refer to ends at a comma.
            0 if last => text.push_str(&format!(", {right}")),
            0 | 4 => text.push_str(&format!(" CROSS JOIN {right}")),
            1 => text.push_str(&format!(" JOIN {right} ON {}", link)),
            // A FULL JOIN needs a condition that sorts or hashes.
            3 if !["1 = ", " = 1"].iter().any(|one| link.starts_with(one) || link.ends_with(one)) => {
                text.push_str(&format!(" FULL JOIN {right} ON {}", link))
            }
            2 | 3 => text.push_str(&format!(" LEFT JOIN {right} ON {}", link)),
            _ => text.push_str(&format!(" RIGHT JOIN {right} ON {}", link)),
        }
        *scope = both;
    }

    /// `a.x = b.y` of two numbers.
    fn link(&mut self, left: &Scope, right: &Item) -> String {
        let secret = !self.careful;
        let right = Scope { items: vec![right.clone()] };
        let mut side = |scope: &Scope| {
            let columns = scope.columns(Type::Int, secret);
            let at = self.choices.below(columns.len());
            columns.get(at).map_or_else(|| "1".into(), |(item, column)| format!("{}.{}", item.alias, column.name))
        };
        let (left, right) = (side(left), side(&right));
        format!("{left} = {right}")
    }

    /// A table or view with an alias; sometimes with other names for its columns.
    pub(super) fn relation(&mut self) -> (String, Item) {
        let at = self.choices.below(self.relations.len() * 2);
        // Half of all relations are the one with the most sensitive columns.
        let (name, mut columns) = self.relations.get(at).or(self.relations.first()).cloned().unwrap_or_default();
        let alias = self.name("t");
        let only = if matches!(name, "base" | "logs") && self.choices.chance(10) { "ONLY " } else { "" };
        let mut renamed = String::new();
        if self.choices.chance(10)
            && let Some(first) = columns.first_mut()
        {
            first.name = "renamed".into();
            renamed = "(renamed)".into();
        }
        (format!("{only}{name} {alias}{renamed}"), Item { alias, columns })
    }

    fn item(&mut self, outer: &Scope, siblings: &Scope, depth: usize) -> (String, Item) {
        if depth == 0 || self.budget == 0 {
            return self.relation();
        }
        match self.choices.below(16) {
            0..=7 => self.relation(),
            8..=10 => self.subselect(outer, siblings, depth),
            11 => {
                let types = self.types(3);
                let values = self.values(&types);
                self.derived(values, "")
            }
            12..=13 => self.function(&outer.with(siblings), depth - 1),
            _ => self.with_reference(),
        }
    }

    fn subselect(&mut self, outer: &Scope, siblings: &Scope, depth: usize) -> (String, Item) {
        let lateral = !siblings.items.is_empty() && self.choices.chance(60);
        let types = self.types(3);
        let scope = if lateral { outer.with(siblings) } else { outer.clone() };
        let query = self.select_or_more(&scope, &types, depth - 1);
        self.derived(query, if lateral { "LATERAL " } else { "" })
    }

    fn derived(&mut self, query: Query, prefix: &str) -> (String, Item) {
        let alias = self.name("s");
        (format!("{prefix}({}) {alias}", query.text), Item { alias, columns: query.columns })
    }

    fn with_reference(&mut self) -> (String, Item) {
        let at = self.choices.below(self.with.len());
        let Some((name, columns)) = self.with.get(at).cloned() else { return self.relation() };
        let alias = self.name("a");
        (format!("{name} {alias}"), Item { alias, columns })
    }

    /// A function that makes rows, in a target list.
    pub(super) fn many(&mut self, scope: &Scope, ty: Type) -> Sql {
        match ty {
            Type::Text => {
                let array = self.expr(scope, Type::Texts, 1);
                Sql { text: format!("unnest({})", array.text), ..array }
            }
            Type::Int => {
                let last = self.expr(scope, Type::Int, 1);
                Sql { text: format!("generate_series(1, {} % 3)", last.text), ..last }
            }
            Type::Json => {
                let json = self.expr(scope, Type::Json, 1);
                Sql { text: format!("jsonb_path_query({}, 'lax $.c[*]')", json.text), ..json }
            }
            ty => self.expr(scope, ty, 1),
        }
    }

    /// A function in FROM. How many rows it makes depends on its arguments, so they are conditions.
    fn function(&mut self, scope: &Scope, depth: usize) -> (String, Item) {
        let alias = self.name("f");
        let column = |name: &str, ty, secret| Column { name: name.into(), ty, secret };
        let (call, columns) = match self.choices.below(10) {
            0 => ("generate_series(1, 3)".to_owned(), vec![column(&alias, Type::Int, false)]),
            1 => {
                let array = self.tested(scope, Type::Texts, depth);
                (format!("unnest({})", array.text), vec![column(&alias, Type::Text, array.secret)])
            }
            2 => {
                let array = self.tested(scope, Type::Texts, depth);
                // The ordinality is a bigint, which the generator has no type for.
                let columns = vec![column("u", Type::Text, array.secret)];
                return (format!("unnest({}) WITH ORDINALITY AS {alias}(u, o)", array.text), Item { alias, columns });
            }
            3 => {
                let json = self.tested(scope, Type::Json, depth);
                let columns = vec![column("key", Type::Text, json.secret), column("value", Type::Json, json.secret)];
                (format!("jsonb_each(CASE WHEN jsonb_typeof({0}) = 'object' THEN {0} END)", json.text), columns)
            }
            4 => {
                let json = self.tested(scope, Type::Json, depth);
                let text = format!("jsonb_path_query({}, 'lax $.c[*]') {alias}", json.text);
                return (text, Item { alias: alias.clone(), columns: vec![column(&alias, Type::Json, json.secret)] });
            }
            5 => {
                let json = self.tested(scope, Type::Json, depth);
                let columns = vec![column("a", Type::Text, json.secret), column("b", Type::Text, json.secret)];
                let json = format!("CASE WHEN jsonb_typeof({0}) = 'object' THEN {0} END", json.text);
                return (format!("jsonb_to_record({json}) AS {alias}(a text, b text)"), Item { alias, columns });
            }
            6 => {
                let text = self.tested(scope, Type::Text, depth);
                (format!("regexp_split_to_table({}, '1')", text.text), vec![column(&alias, Type::Text, text.secret)])
            }
            7 => {
                let json = self.tested(scope, Type::Json, depth);
                let columns = vec![column("num", Type::Int, json.secret), column("word", Type::Text, json.secret)];
                let json = format!("jsonb_build_object('word', {})", json.text);
                return (format!("jsonb_populate_record(NULL::pair, {json}) {alias}"), Item { alias, columns });
            }
            8 => {
                let (one, two) = (self.tested(scope, Type::Texts, depth), self.tested(scope, Type::Ints, depth));
                let columns = vec![column("x", Type::Text, one.secret), column("y", Type::Int, two.secret)];
                return (format!("unnest({}, {}) {alias}(x, y)", one.text, two.text), Item { alias, columns });
            }
            _ => {
                let text = self.tested(scope, Type::Text, depth);
                let columns = vec![column("v", Type::Text, text.secret)];
                let document = format!("xmlelement(name r, {})", text.text);
                let text = format!("XMLTABLE('/r' PASSING {document} COLUMNS v text PATH '.') {alias}");
                return (text, Item { alias, columns });
            }
        };
        (format!("{call} {alias}"), Item { alias, columns })
    }
}
