//! INSERT, UPDATE, DELETE, MERGE, and tables made of queries.

use super::query::{Generator, Item, Scope};
use super::schema::{Column, Type, WRITABLE};

impl Generator<'_> {
    fn writable(&mut self) -> (String, Vec<Column>) {
        let at = self.choices.below(WRITABLE + 4);
        // The one without any sensitive column is the most interesting to write to.
        let notes = self.relations.iter().find(|(name, _)| *name == "notes");
        let found = self.relations.get(at).filter(|_| at < WRITABLE).or(notes);
        found.map(|(name, columns)| ((*name).to_owned(), columns.clone())).unwrap_or_default()
    }

    /// Some columns to write to, the key aside.
    fn targets(&mut self, columns: &[Column]) -> Vec<Column> {
        let rest: Vec<&Column> = columns.iter().filter(|column| column.name != "id").collect();
        let first = self.choices.below(rest.len());
        let count = 1 + self.choices.below(2);
        rest.into_iter().skip(first).take(count).cloned().collect()
    }

    pub(super) fn write(&mut self) -> String {
        let with = if self.choices.chance(20) { self.with_clause() } else { String::new() };
        match self.choices.below(9) {
            0..=2 => format!("{with}{}", self.insert()),
            3..=5 => format!("{with}{}", self.update()),
            6 => format!("{with}{}", self.delete()),
            7 => format!("{with}{}", self.merge()),
            _ => self.inside_with(),
        }
    }

    fn returning(&mut self, scope: &Scope) -> String {
        match self.choices.below(5) {
            0 => String::new(),
            1 => " RETURNING *".into(),
            _ => {
                let types = self.types(3);
                let values: Vec<String> =
                    types.into_iter().map(|ty| self.expr(scope, ty, 2)).map(|value| value.text).collect();
                format!(" RETURNING {}", values.join(", "))
            }
        }
    }

    fn insert(&mut self) -> String {
        let (table, columns) = self.writable();
        let targets = self.targets(&columns);
        let names: Vec<&str> = targets.iter().map(|column| column.name.as_str()).collect();
        let types: Vec<Type> = targets.iter().map(|column| column.ty).collect();
        let source = if self.choices.chance(75) {
            let query = self.select(&Scope::default(), &types, 2);
            let casts = query.columns.iter().map(|column| format!("q.{}", column.name)).collect::<Vec<_>>().join(", ");
            format!("SELECT (row_number() OVER ())::int + {{}}, {casts} FROM ({}) q", query.text)
        } else {
            let values: Vec<String> =
                types.iter().map(|ty| self.exactly(&Scope::default(), *ty, 2)).map(|value| value.text).collect();
            format!("VALUES ({{}}1, {})", values.join(", "))
        };
        let conflict = matches!(table.as_str(), "staff" | "orders" | "notes" | "depts") && self.choices.chance(30);
        let source = source.replacen("{}", if conflict { "1" } else { "100" }, 1);
        let scope = Scope { items: vec![Item { alias: "x".into(), columns }] };
        let mut text = format!("INSERT INTO {table} AS x (id, {}) {source}", names.join(", "));
        if conflict {
            let set: Vec<String> = targets.iter().map(|column| self.excluded(column, &scope)).collect();
            text.push_str(&format!(" ON CONFLICT (id) DO UPDATE SET {}", set.join(", ")));
        }
        text.push_str(&self.returning(&scope));
        text
    }

    fn excluded(&mut self, column: &Column, scope: &Scope) -> String {
        let own = self.expr(scope, column.ty, 1);
        format!("{0} = coalesce(excluded.{0}, {1})", column.name, own.text)
    }

    fn update(&mut self) -> String {
        let (table, columns) = self.writable();
        let targets = self.targets(&columns);
        let target = Item { alias: "x".into(), columns };
        let mut scope = Scope { items: vec![target] };
        let mut from = String::new();
        if self.choices.chance(40) {
            let (text, inner) = self.from(&Scope::default(), 1);
            from = text;
            scope = scope.with(&inner);
            scope.items.reverse();
        }
        let set: Vec<String> = targets
            .iter()
            .map(|column| {
                let value = self.expr(&scope, column.ty, 2);
                format!("{} = {}", column.name, value.text)
            })
            .collect();
        let condition = self.condition(&scope, 1);
        let returning = self.returning(&scope);
        format!("UPDATE {table} AS x SET {}{from} WHERE {condition}{returning}", set.join(", "))
    }

    fn delete(&mut self) -> String {
        let (table, columns) = self.writable();
        let mut scope = Scope { items: vec![Item { alias: "x".into(), columns }] };
        let mut using = String::new();
        if self.choices.chance(30) {
            let (text, item) = self.relation();
            using = format!(" USING {text}");
            scope.items.push(item);
        }
        let condition = self.condition(&scope, 1);
        let returning = self.returning(&scope);
        format!("DELETE FROM {table} AS x{using} WHERE {condition}{returning}")
    }

    fn merge(&mut self) -> String {
        let (table, columns) = self.writable();
        let targets = self.targets(&columns);
        let (source, item) = self.relation();
        let on = self.on_ids(&item);
        let both = Scope { items: vec![Item { alias: "x".into(), columns }, item.clone()] };
        let condition = self.condition(&both, 1);
        let set: Vec<String> =
            targets.iter().map(|column| format!("{} = {}", column.name, self.expr(&both, column.ty, 2).text)).collect();
        let source_only = Scope { items: vec![item] };
        let names: Vec<&str> = targets.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = targets.iter().map(|column| self.exactly(&source_only, column.ty, 1).text).collect();
        format!(
            "MERGE INTO {table} AS x USING {source} ON x.id = 1 AND {on} WHEN MATCHED AND {condition} THEN UPDATE SET {} \
             WHEN NOT MATCHED AND false THEN INSERT (id, {}) VALUES (900, {})",
            set.join(", "),
            names.join(", "),
            values.join(", "),
        )
    }

    /// A query over rows that a statement in its WITH returns.
    fn inside_with(&mut self) -> String {
        let (table, columns) = self.writable();
        let targets = self.targets(&columns);
        let scope = Scope { items: vec![Item { alias: "x".into(), columns }] };
        let types = self.types(2);
        let names: Vec<String> = (0..types.len()).map(|at| format!("v{at}")).collect();
        let mut returned = Vec::new();
        let mut found = Vec::new();
        for (ty, name) in types.iter().zip(&names) {
            let value = self.expr(&scope, *ty, 2);
            returned.push(format!("{} AS {name}", value.text));
            found.push(Column { name: name.clone(), ty: *ty, secret: value.secret });
        }
        let condition = self.condition(&scope, 1);
        let change = match self.choices.below(2) {
            0 => format!("DELETE FROM {table} AS x WHERE {condition}"),
            _ => {
                let set: Vec<String> = targets
                    .iter()
                    .map(|column| format!("{} = {}", column.name, self.expr(&scope, column.ty, 2).text))
                    .collect();
                format!("UPDATE {table} AS x SET {} WHERE {condition}", set.join(", "))
            }
        };
        self.with.push(("changed".into(), found));
        let outer = Scope {
            items: self
                .with
                .last()
                .map(|(alias, columns)| Item { alias: alias.clone(), columns: columns.clone() })
                .into_iter()
                .collect(),
        };
        let ty = self.any_type();
        let value = self.expr(&outer, ty, 2);
        format!("WITH changed AS ({change} RETURNING {}) SELECT {} FROM changed", returned.join(", "), value.text)
    }

    /// CREATE TABLE AS or SELECT INTO.
    pub(super) fn makes(&mut self) -> String {
        let types = self.types(3);
        let query = self.select(&Scope::default(), &types, 2);
        let word = self.choices.pick(&["TEMP ", "", "TEMP "], "TEMP ");
        format!("CREATE {word}TABLE made AS {}", query.text)
    }
}
