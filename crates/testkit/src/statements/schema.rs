//! The database that generated statements are about: tables and views, and rows that differ in one sensitive column.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::postgres::{Plain, Postgres};

/// The type of an expression, as far as the generator tells types apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum Type {
    Int,
    Text,
    Num,
    Bool,
    Date,
    Json,
    Texts,
    Ints,
    Pair,
}

/// A column of a table, a view or a subquery.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether the generator knows it to depend on a sensitive column. Only ever used to make statements that use such
    /// columns in conditions less frequent, never to judge one.
    pub secret: bool,
}

/// A relation: its name and columns (`name type`, `name type!` for a sensitive one).
const RELATIONS: &[(&str, &str)] = &[
    (
        "staff",
        "id int,name text,dept int,ssn text!,salary int!,pay num!,vitals json!,codes texts!,born date!,badge pair!,\
         vetted bool!,tags texts,info json,active bool,score num",
    ),
    ("depts", "id int,title text,floor int,pin int!"),
    ("orders", "id int,staff int,amount num,note text,day date,lines ints,doc json"),
    ("vault", "id int,secret text!,owner int"),
    ("notes", "id int,body text,n int,extra json,tags texts,mark pair"),
    ("base", "id int,key text!,label text"),
    ("child", "id int,key text!,label text,extra int"),
    ("logs", "id int,day date,key text!"),
    ("staff_v", "id int,name text,code text!,salary int!,dept int"),
    ("nested_v", "id int,shout text!,title text,rich bool!"),
    ("plain_v", "id int,name text,tags texts"),
    ("dept_v", "dept int,n int,top int!,all_ssn text!"),
];

/// How many of [`RELATIONS`] are tables that statements may write to.
pub(super) const WRITABLE: usize = 6;

/// The sensitive columns of tables, with where their values begin in the rows of `rows`.
pub const SENSITIVE: [&str; 12] = [
    "staff.ssn",
    "staff.salary",
    "staff.pay",
    "staff.vitals",
    "staff.codes",
    "staff.born",
    "staff.badge",
    "staff.vetted",
    "depts.pin",
    "vault.secret",
    "base.key",
    "logs.key",
];

/// All relations and their columns.
pub fn relations() -> Vec<(&'static str, Vec<Column>)> {
    let column = |text: &str| {
        let (name, ty) = text.split_once(' ').unwrap_or((text, "text"));
        Column { name: name.to_owned(), ty: type_of(ty.trim_end_matches('!')), secret: ty.ends_with('!') }
    };
    RELATIONS.iter().map(|(name, columns)| (*name, columns.split(',').map(column).collect())).collect()
}

fn type_of(name: &str) -> Type {
    match name {
        "int" => Type::Int,
        "num" => Type::Num,
        "bool" => Type::Bool,
        "date" => Type::Date,
        "json" => Type::Json,
        "texts" => Type::Texts,
        "ints" => Type::Ints,
        "pair" => Type::Pair,
        _ => Type::Text,
    }
}

/// A column of the database whose values are others, by its place in [`SENSITIVE`], or [`ALL`] of them; `None` for the
/// database that all others are compared with.
pub type Variant = Option<usize>;

/// The variant in which every sensitive column has other values.
pub const ALL: usize = SENSITIVE.len();

/// The name of a variant's database.
pub fn database(variant: Variant) -> String {
    variant.map_or_else(|| "lab".into(), |at| format!("lab_{at}"))
}

/// Creates the database of a variant with its rows. No statistics are ever gathered, so that plans, and with them the
/// order of rows, are the same in all variants.
pub fn load(server: &Postgres, variant: Variant) -> Result<Plain> {
    let name = database(variant);
    server.create_database(&name, None)?;
    let mut plain = Plain::connect(server, &name)?;
    fill(&mut plain, variant).with_context(|| format!("while filling {name}"))?;
    Ok(plain)
}

fn fill(plain: &mut Plain, variant: Variant) -> Result<()> {
    plain.rows(include_str!("schema.sql"))?;
    plain.rows(&rows(variant))?;
    Ok(())
}

/// The rows, as INSERT statements.
pub(super) fn rows(variant: Variant) -> String {
    let other = |at: usize| variant.is_some_and(|column| column == at || column == ALL);
    let mut out = String::new();
    for id in 1..=9usize {
        // Other order, other duplicates, other lengths; NULL in the same places.
        let s = |at: usize| if other(at) { (id * 7 + 3) % 10 + 11 } else { id / 2 + 1 };
        let (ssn, salary, pay, born) = (s(0) * 1111, s(1) * 17, s(2) * 3, s(5));
        let vitals = match s(3) {
            s if s % 3 == 0 => format!(r#"{{"a": {s}, "b": "x{s}", "c": [{s}, 2]}}"#),
            s => format!(r#"{{"a": {s}, "b": "y{s}", "d": {{"e": {s}}}}}"#),
        };
        let codes = vec![format!("'c{}'", s(4)); s(4) % 4].join(",");
        let vetted = s(7) % 2 == 0;
        let nothing = id == 9;
        let _ = writeln!(
            out,
            "INSERT INTO staff VALUES ({id}, 'n{id}', {}, '{ssn}', {salary}, {pay}.5, '{vitals}', ARRAY[{codes}]::text[], \
             date '1990-01-01' + {born}, ROW({}, 'w{}'), {vetted}, ARRAY['t{id}','u'], \
             '{{\"a\": {id}, \"b\": \"i{id}\", \"c\": [{id}, 5]}}', {}, {id}.25);",
            id % 4,
            s(6),
            s(6),
            id % 3 != 0,
        );
        if nothing {
            out.push_str(
                "UPDATE staff SET ssn = NULL, salary = NULL, pay = NULL, vitals = NULL, codes = NULL, born = NULL, \
                 badge = NULL, vetted = NULL WHERE id = 9;\n",
            );
        }
        if id <= 4 {
            let pin = if other(8) { id * 5 % 7 + 20 } else { id / 2 };
            let _ = writeln!(out, "INSERT INTO depts VALUES ({}, 'd{id}', {}, {pin});", id - 1, id % 2);
            let secret = if other(9) { format!("v{}", 9 - id) } else { format!("secret{}", id / 2) };
            let _ = writeln!(out, "INSERT INTO vault VALUES ({id}, '{secret}', {id});");
        }
        let key = |at: usize| if other(at) { format!("z{}", (id * 3) % 7) } else { format!("k{}", id / 3) };
        let (table, extra) = if id % 2 == 0 { ("child", format!(", {id}")) } else { ("base", String::new()) };
        let _ = writeln!(out, "INSERT INTO {table} VALUES ({id}, '{}', 'l{id}'{extra});", key(10));
        let _ = writeln!(out, "INSERT INTO logs VALUES ({id}, date '202{}-03-0{id}', '{}');", 5 + id % 2, key(11));
        let _ = writeln!(
            out,
            "INSERT INTO orders VALUES ({id}, {}, {id}0.5, 'o{id}', date '2026-02-0{id}', ARRAY[{id},2], '{{\"a\": {id}}}');",
            id % 5 + 1,
        );
        if id <= 3 {
            let _ = writeln!(
                out,
                "INSERT INTO notes VALUES ({id}, 'b{id}', {id}, '{{\"k\": {id}}}', ARRAY['g'], ROW({id}, 'm'));"
            );
        }
    }
    out
}
