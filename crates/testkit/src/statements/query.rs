//! Queries: WITH, SELECT, set operations, VALUES.

use super::choices::Choices;
use super::expr::Sql;
use super::schema::{Column, Type, relations};

/// How deep expressions and subqueries nest.
pub(super) const DEPTH: usize = 3;

/// Every type that a column of a subquery may have.
pub(super) const TYPES: [Type; 9] =
    [Type::Text, Type::Int, Type::Text, Type::Int, Type::Json, Type::Bool, Type::Num, Type::Texts, Type::Date];

/// Writes one statement.
pub(super) struct Generator<'c> {
    pub(super) choices: &'c mut Choices,
    pub(super) relations: Vec<(&'static str, Vec<Column>)>,
    /// The WITH queries in scope.
    pub(super) with: Vec<(String, Vec<Column>)>,
    names: usize,
    /// Conditions keep to columns that are not sensitive.
    pub(super) careful: bool,
    /// No sensitive column may be used, here.
    pub(super) hidden: bool,
    /// How much may still be written: what keeps a statement short.
    pub(super) budget: usize,
}

/// A query and its columns.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) columns: Vec<Column>,
}

/// The FROM items that an expression may take columns from.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) items: Vec<Item>,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) alias: String,
    pub(super) columns: Vec<Column>,
}

impl Scope {
    pub(super) fn columns(&self, ty: Type, secret: bool) -> Vec<(&Item, &Column)> {
        let all = self.items.iter().flat_map(|item| item.columns.iter().map(move |column| (item, column)));
        all.filter(|(_, column)| column.ty == ty && (secret || !column.secret)).collect()
    }

    pub(super) fn with(&self, other: &Self) -> Self {
        Self { items: other.items.iter().chain(&self.items).cloned().collect() }
    }
}

impl<'c> Generator<'c> {
    pub(super) fn new(choices: &'c mut Choices) -> Self {
        let careful = !choices.chance(10);
        Self { choices, relations: relations(), with: Vec::new(), names: 0, careful, hidden: false, budget: 60 }
    }

    pub(super) fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    pub(super) fn types(&mut self, most: usize) -> Vec<Type> {
        let count = 1 + self.choices.below(most);
        (0..count).map(|_| self.any_type()).collect()
    }

    pub(super) fn any_type(&mut self) -> Type {
        let at = self.choices.below(TYPES.len());
        TYPES.get(at).copied().unwrap_or(Type::Text)
    }

    /// A whole query, with its WITH.
    pub(super) fn query(&mut self) -> Query {
        let mut with = String::new();
        if self.choices.chance(30) {
            with = self.with_clause();
        }
        let query = match self.choices.below(10) {
            0..=6 => {
                let types = self.types(4);
                self.select(&Scope::default(), &types, DEPTH)
            }
            7 => self.stars(),
            8 => self.grouped(&Scope::default(), None, DEPTH),
            _ => {
                let types = self.types(3);
                self.set_operation(&Scope::default(), &types, DEPTH)
            }
        };
        Query { text: format!("{with}{}", query.text), columns: query.columns }
    }

    pub(super) fn with_clause(&mut self) -> String {
        let mut parts = Vec::new();
        let recursive = self.choices.chance(40);
        for _ in 0..=self.choices.below(2) {
            let name = self.name("w");
            let (text, columns) = if recursive && self.choices.chance(70) {
                self.recursive(&name)
            } else {
                let types = self.types(3);
                let query = self.select_or_more(&Scope::default(), &types, DEPTH - 1);
                let hint = self.choices.pick(&["", "MATERIALIZED ", "NOT MATERIALIZED "], "");
                (format!("{name} AS {hint}({})", query.text), query.columns)
            };
            parts.push(text);
            self.with.push((name, columns));
        }
        format!("WITH {}{} ", if recursive { "RECURSIVE " } else { "" }, parts.join(", "))
    }

    /// A recursive query that counts to three; its other columns change on the way, and may trade places.
    fn recursive(&mut self, name: &str) -> (String, Vec<Column>) {
        let mut types = vec![Type::Int];
        types.extend(self.types(2));
        let rest: Vec<Type> = types.iter().skip(1).copied().collect();
        let seed = self.select(&Scope::default(), &rest, 1);
        let mut columns = vec![Column { name: "n".into(), ty: Type::Int, secret: false }];
        columns.extend(seed.columns.iter().enumerate().map(|(at, column)| Column {
            name: format!("r{at}"),
            ty: column.ty,
            secret: true,
        }));
        let listed: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let names: Vec<&str> = seed.columns.iter().map(|column| column.name.as_str()).collect();
        let mut scope = Scope { items: vec![Item { alias: name.to_owned(), columns: columns.clone() }] };
        let mut from = name.to_owned();
        if self.choices.chance(40) {
            let (text, item) = self.relation();
            let on = self.on_ids(&item);
            from = format!("{name} JOIN {text} ON {on}");
            scope.items.push(item);
        }
        let mut step = vec![format!("{name}.n + 1")];
        for ty in types.iter().skip(1) {
            let value = self.exactly(&scope, *ty, 1);
            step.push(value.text);
        }
        let union = self.choices.pick(&["UNION ALL", "UNION"], "UNION ALL");
        let union = if types.contains(&Type::Json) { "UNION ALL" } else { union };
        let text = format!(
            "{name}({}) AS (SELECT 1, {} FROM ({}) q {union} SELECT {} FROM {from} WHERE {name}.n < 3)",
            listed.join(", "),
            names.iter().map(|name| format!("q.{name}")).collect::<Vec<_>>().join(", "),
            seed.text,
            step.join(", "),
        );
        (text, columns)
    }

    /// Compares a public number of an item with a small one.
    pub(super) fn on_ids(&mut self, item: &Item) -> String {
        let numbers: Vec<&Column> = item.columns.iter().filter(|c| c.ty == Type::Int && !c.secret).collect();
        let at = self.choices.below(numbers.len());
        numbers.get(at).map_or_else(|| "true".into(), |column| format!("{}.{} < 4", item.alias, column.name))
    }

    /// Any query with columns of these types.
    pub(super) fn select_or_more(&mut self, outer: &Scope, types: &[Type], depth: usize) -> Query {
        match self.choices.below(8) {
            0..=5 => self.select(outer, types, depth),
            6 => self.set_operation(outer, types, depth),
            _ => self.grouped(outer, Some(types), depth),
        }
    }

    /// A SELECT; its columns are named.
    pub(super) fn select(&mut self, outer: &Scope, types: &[Type], depth: usize) -> Query {
        self.budget = self.budget.saturating_sub(1);
        let (from, inner) = self.from(outer, depth);
        let scope = outer.with(&inner);
        let mut columns = Vec::new();
        let mut targets = Vec::new();
        for ty in types {
            let windows = self.choices.chance(12);
            let many = depth == DEPTH && self.choices.chance(4);
            let value = if many {
                self.many(&scope, *ty)
            } else if windows {
                self.window(&scope, *ty)
            } else {
                self.expr(&scope, *ty, depth)
            };
            let name = self.name("c");
            targets.push(format!("{} AS {name}", value.text));
            columns.push(Column { name, ty: *ty, secret: value.secret });
        }
        let mut text = String::from("SELECT ");
        if self.choices.chance(8) {
            text.push_str(&self.distinct(&columns));
        }
        text.push_str(&targets.join(", "));
        text.push_str(&from);
        if self.choices.chance(45) {
            let condition = self.condition(&scope, depth.min(2));
            text.push_str(&format!(" WHERE {condition}"));
        }
        let plain = !text.starts_with("SELECT DISTINCT");
        text.push_str(&self.tail(&columns, &inner, plain));
        Query { text, columns }
    }

    fn distinct(&mut self, columns: &[Column]) -> String {
        let usable = columns.iter().all(|column| !(self.careful && column.secret));
        if usable { "DISTINCT ".into() } else { String::new() }
    }

    /// ORDER BY, LIMIT, OFFSET, FOR UPDATE.
    fn tail(&mut self, columns: &[Column], inner: &Scope, plain: bool) -> String {
        let mut text = String::new();
        if self.choices.chance(30) {
            let order = self.order(columns, inner, plain);
            text.push_str(&format!(" ORDER BY {order}"));
        }
        match self.choices.below(12) {
            9 => text.push_str(" LIMIT 3"),
            10 => text.push_str(" OFFSET 1 ROW FETCH FIRST 2 ROWS ONLY"),
            11 if text.contains("ORDER BY 1") => text.push_str(" FETCH FIRST 2 ROWS WITH TIES"),
            _ => {}
        }
        text
    }

    fn order(&mut self, columns: &[Column], inner: &Scope, plain: bool) -> String {
        let allowed: Vec<usize> =
            columns.iter().enumerate().filter(|(_, c)| !(self.careful && c.secret)).map(|(at, _)| at).collect();
        let way = self.choices.pick(&["", " DESC", " NULLS FIRST"], "");
        let at = self.choices.below(allowed.len() + 1);
        match allowed.get(at).and_then(|at| columns.get(*at).map(|column| (*at, column))) {
            Some((at, column)) if orderable(column.ty) => {
                if self.choices.chance(50) {
                    format!("{}{way}", at + 1)
                } else {
                    format!("{}{way}", column.name)
                }
            }
            _ if plain && !inner.items.is_empty() => {
                let value = self.tested(inner, Type::Int, 1);
                format!("({}) + 0{way}", value.text)
            }
            _ => "1".into(),
        }
    }

    /// Whole rows: `*`, `t.*`, a row as JSON.
    fn stars(&mut self) -> Query {
        let (from, scope) = self.from(&Scope::default(), DEPTH - 1);
        let Some(item) = scope.items.first() else { return self.select(&Scope::default(), &[Type::Int], 1) };
        let alias = item.alias.clone();
        let target = match self.choices.below(10) {
            0 => "*".to_owned(),
            1 => format!("{alias}.*"),
            2 => alias,
            3 => format!("row_to_json({alias})"),
            4 => format!("({alias}).*"),
            5 => format!("to_jsonb({alias}) -> 'name'"),
            6 => format!("json_agg({alias})"),
            7 => format!("ROW({alias}.*)"),
            8 => format!("array_agg({alias})"),
            _ => format!("{alias}::text"),
        };
        let condition =
            if self.choices.chance(40) { format!(" WHERE {}", self.condition(&scope, 1)) } else { String::new() };
        Query { text: format!("SELECT {target}{from}{condition}"), columns: Vec::new() }
    }

    pub(super) fn set_operation(&mut self, outer: &Scope, types: &[Type], depth: usize) -> Query {
        let inner = depth.saturating_sub(1);
        let left = self.select(outer, types, inner);
        let right = if self.choices.chance(25) { self.values(types) } else { self.select(outer, types, inner) };
        let secret = left.columns.iter().chain(&right.columns).any(|column| column.secret);
        let hashed = types.iter().all(|ty| *ty != Type::Pair);
        let word = if (self.careful && secret) || !hashed {
            "UNION ALL"
        } else {
            self.choices.pick(&["UNION ALL", "UNION", "EXCEPT", "INTERSECT", "EXCEPT ALL"], "UNION ALL")
        };
        let columns = left.columns.iter().zip(&right.columns);
        let columns = columns.map(|(a, b)| Column { secret: a.secret || b.secret, ..a.clone() }).collect();
        Query { text: format!("({}) {word} ({})", left.text, right.text), columns }
    }

    pub(super) fn values(&mut self, types: &[Type]) -> Query {
        let mut rows = Vec::new();
        for _ in 0..=self.choices.below(2) {
            let row: Vec<String> = types.iter().map(|ty| self.literal(*ty)).collect();
            rows.push(format!("({})", row.join(", ")));
        }
        let columns = types.iter().enumerate();
        let columns = columns.map(|(at, ty)| Column { name: format!("column{}", at + 1), ty: *ty, secret: false });
        Query { text: format!("VALUES {}", rows.join(", ")), columns: columns.collect() }
    }

    /// A SELECT with GROUP BY.
    pub(super) fn grouped(&mut self, outer: &Scope, types: Option<&[Type]>, depth: usize) -> Query {
        self.budget = self.budget.saturating_sub(1);
        let (from, inner) = self.from(outer, depth.saturating_sub(1));
        let keys: Vec<Sql> = (0..self.choices.below(3)).map(|_| self.key(&inner)).collect();
        let types = types.map_or_else(|| self.types(3), <[Type]>::to_vec);
        let mut columns = Vec::new();
        let mut targets = Vec::new();
        for ty in types {
            let value = match keys.first() {
                Some(key) if ty == Type::Text && self.choices.chance(30) => {
                    Sql { text: format!("({})::text", key.text), secret: key.secret }
                }
                _ => self.aggregate(&inner, ty, depth.min(2)),
            };
            let name = self.name("c");
            targets.push(format!("{} AS {name}", value.text));
            columns.push(Column { name, ty, secret: value.secret });
        }
        let mut text = format!("SELECT {}{from}", targets.join(", "));
        if self.choices.chance(30) {
            text.push_str(&format!(" WHERE {}", self.condition(&inner, 1)));
        }
        if !keys.is_empty() {
            let listed: Vec<&str> = keys.iter().map(|key| key.text.as_str()).collect();
            let listed = listed.join(", ");
            let form = self.choices.below(5);
            text.push_str(&match form {
                0 | 1 => format!(" GROUP BY {listed}"),
                2 => format!(" GROUP BY GROUPING SETS (({listed}), ())"),
                3 => format!(" GROUP BY ROLLUP ({listed})"),
                _ => format!(" GROUP BY CUBE ({listed})"),
            });
        }
        if self.choices.chance(20) {
            let careful = self.careful;
            let value = self.aggregate_over(&inner, Type::Int, 1, !careful);
            text.push_str(&format!(" HAVING {} > 0", value.text));
        }
        Query { text, columns }
    }

    fn key(&mut self, scope: &Scope) -> Sql {
        let ty = if self.choices.chance(40) { Type::Text } else { Type::Int };
        let columns = scope.columns(ty, !self.careful);
        let at = self.choices.below(columns.len());
        match columns.get(at) {
            Some((item, column)) => Sql { text: format!("{}.{}", item.alias, column.name), secret: column.secret },
            None => Sql { text: "(1 + 1)".into(), secret: false },
        }
    }
}

pub(super) fn orderable(ty: Type) -> bool {
    !matches!(ty, Type::Pair)
}
