//! Whether what is said of one statement is true.

use std::collections::BTreeSet;

use effects::postgres::Statement;
use model::class::DataClass;
use model::effect::{ColumnName, Object, Verb};
use model::lineage::{Origin, Output};
use testkit::postgres::{Answer, Answers, Plain};
use testkit::statements::{Generated, Kind, SENSITIVE};

use super::lab::{Lab, class_of, sweep};
use super::plan;

/// On how many variants each statement runs.
const VARIANTS: usize = 3;

#[derive(Default, Debug)]
pub(crate) struct Outcome {
    /// The server found that it makes no sense.
    pub refused: bool,
    /// It ended in an error while it ran.
    pub failed: bool,
    pub error: String,
    pub opaque: bool,
    pub used: u64,
    pub compared: u64,
    pub columns: u64,
    pub changed: u64,
    pub planned: bool,
    pub viewed: bool,
}

/// What a statement left behind: its answer, and the rows of all tables if it may have changed them.
struct Run {
    answers: Answers,
    contents: Vec<Vec<String>>,
    made: Vec<Vec<String>>,
}

fn run(plain: &mut Plain, [contents, size]: [&str; 2], statement: &Generated) -> Run {
    if matches!(statement.kind, Kind::Query | Kind::Copy) {
        return Run { answers: plain.run(&statement.text).unwrap(), contents: Vec::new(), made: Vec::new() };
    }
    assert_eq!(plain.run("BEGIN").unwrap().error, None);
    let answers = plain.run(&statement.text).unwrap();
    let (mut after, mut made) = (Vec::new(), Vec::new());
    if answers.error.is_none() {
        after = plain.rows(contents).unwrap();
        if statement.kind == Kind::Makes {
            made = plain.rows("SELECT made::text FROM made").unwrap();
        }
    }
    assert_eq!(plain.run("ROLLBACK").unwrap().error, None);
    sweep(plain, size);
    Run { answers, contents: after, made }
}

/// What is said of a statement, in classes.
struct Said<'a> {
    statement: &'a Statement,
    uses: BTreeSet<DataClass>,
    /// Where each column of the answer comes from; `None` if that is unknown.
    columns: Option<Vec<Option<BTreeSet<DataClass>>>>,
}

impl<'a> Said<'a> {
    fn of(lab: &Lab, statement: &'a Statement) -> Self {
        let uses = statement.effects.iter().filter(|e| matches!(e.verb, Verb::Lookup | Verb::Join | Verb::Filter));
        let uses = uses.filter_map(|effect| column(&effect.object)).flat_map(|column| lab.classes(column)).collect();
        let origins: Option<Vec<&Origin>> = match (&statement.output, &statement.copy) {
            (_, Some(copy)) => copy.columns.as_ref().map(|columns| columns.iter().map(|(_, from)| from).collect()),
            (Output::Rows(columns), _) => Some(columns.iter().map(|column| &column.origin).collect()),
            (Output::None, _) => Some(Vec::new()),
            (Output::Unknown, _) => None,
        };
        let columns = origins.map(|origins| origins.into_iter().map(|origin| classes_of(lab, origin)).collect());
        Self { statement, uses, columns }
    }

    fn declassifies(&self, lab: &Lab, class: &DataClass, to: Option<&str>) -> bool {
        self.statement.effects.iter().any(|effect| {
            effect.verb == Verb::Declassify
                && column(&effect.object).is_none_or(|from| lab.classes(from).contains(class))
                && (effect.with.is_none()
                    || to.is_none() && effect.with.as_ref().is_some_and(|to| &*to.table.name == "made")
                    || effect.with.as_ref().is_some_and(|with| to.is_some_and(|to| lab.is_same(with, to))))
        })
    }
}

fn column(object: &Object) -> Option<&ColumnName> {
    match object {
        Object::Column(name, _) => Some(name),
        _ => None,
    }
}

fn classes_of(lab: &Lab, origin: &Origin) -> Option<BTreeSet<DataClass>> {
    match origin {
        Origin::Constant => Some(BTreeSet::new()),
        Origin::Unknown => None,
        Origin::Column(column) => Some(lab.classes(column)),
        Origin::Derived(columns) => Some(columns.iter().flat_map(|column| lab.classes(column)).collect()),
        Origin::Members(_, members) => {
            let all: Option<Vec<_>> = members.iter().map(|member| classes_of(lab, &member.origin)).collect();
            Some(all?.into_iter().flatten().collect())
        }
    }
}

/// Judges a statement; the error says what is not true.
pub(crate) fn judge(lab: &mut Lab, generated: &Generated, number: u64) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let (contents, size) = (lab.contents.clone(), lab.size.clone());
    let base = run(&mut lab.base, [&contents, &size], generated);
    if let Some((state, message)) = &base.answers.error {
        outcome.error = format!("{state} {message}");
        // Classes 42 and 0A: what does not make sense. XX000 and 54: the server's own limits.
        outcome.refused = ["42", "0A", "54", "XX", "57"].iter().any(|class| state.starts_with(class));
        outcome.failed = !outcome.refused;
        if outcome.refused {
            return Ok(outcome);
        }
    }
    let statement = lab.analyse(&generated.text);
    if statement.is_opaque() {
        outcome.opaque = true;
        if std::env::var_os("SLUICE_SHOW").is_some() {
            println!("opaque: {:?}\n  {}", statement.facts.opaque, generated.text);
        }
        return Ok(outcome);
    }
    let said = Said::of(lab, &statement);
    for at in chosen(generated, number) {
        let variant = run(&mut lab.variants[at], [&contents, &size], generated);
        compare(lab, &said, at, [&base, &variant], &mut outcome)?;
    }
    if base.answers.error.is_none() {
        provenance(lab, &statement, base.answers.done.last())?;
    }
    if generated.kind != Kind::Copy && generated.kind != Kind::Makes {
        outcome.planned = plan(lab, &said, generated)?;
    }
    if generated.kind == Kind::Query {
        outcome.viewed = view(lab, &statement, generated)?;
    }
    Ok(outcome)
}

/// The sensitive columns that the statement's text can have to do with, those that it names first.
fn chosen(generated: &Generated, number: u64) -> Vec<usize> {
    let text = &generated.text;
    let has = |word: &str| text.contains(word);
    let touches = |table: &str| match table {
        "staff" => has("staff") || has("nested_v") || has("dept_v"),
        "base" => has("base ") || has("child "),
        table => has(&format!("{table} ")),
    };
    let all = SENSITIVE.iter().enumerate().map(|(at, column)| (at, column.split_once('.').unwrap()));
    let (mut named, rest): (Vec<_>, Vec<_>) =
        all.filter(|(_, (table, _))| touches(table)).partition(|(_, (_, column))| has(&format!(".{column}")));
    let shift = |list: &mut Vec<_>| {
        let by = number as usize % list.len().max(1);
        list.rotate_left(by);
    };
    shift(&mut named);
    let mut rest = rest;
    shift(&mut rest);
    named.into_iter().chain(rest).take(VARIANTS).map(|(at, _)| at).collect()
}

/// Compares what happened in both databases with what was said.
fn compare(lab: &Lab, said: &Said<'_>, at: usize, runs: [&Run; 2], outcome: &mut Outcome) -> Result<(), String> {
    let class = class_of(at);
    let name = SENSITIVE[at];
    if said.uses.contains(&class) {
        outcome.used += 1;
        return Ok(());
    }
    outcome.compared += 1;
    let [base, other] = runs;
    let errors = [base, other].map(|run| run.answers.error.as_ref());
    if errors[0].map(|(state, _)| state) != errors[1].map(|(state, _)| state) {
        return Err(format!("{name} decides whether it fails: {errors:?}"));
    }
    let empty = Answer::default();
    let [one, two] = [base, other].map(|run| run.answers.done.last().unwrap_or(&empty));
    if one.rows.len() != two.rows.len() || one.tag != two.tag {
        return Err(format!("{name} decides how many rows there are: {} or {}", one.tag, two.tag));
    }
    answer(said, &class, name, [one, two], outcome)?;
    for (before, after) in base.contents.iter().zip(&other.contents) {
        let (column, kept) = (before[0].as_str(), lab.labels.columns.iter());
        let carries =
            kept.filter(|(known, _)| known.to_string() == column).any(|(_, m)| m.classes().any(|c| *c == class));
        if before != after && !carries && !said.declassifies(lab, &class, Some(column)) {
            return Err(format!("{name} is written to {column}"));
        }
    }
    if base.made != other.made && !said.declassifies(lab, &class, None) {
        return Err(format!("{name} is written to the new table"));
    }
    Ok(())
}

/// The columns of the answer.
fn answer(
    said: &Said<'_>,
    class: &DataClass,
    name: &str,
    [one, two]: [&Answer; 2],
    outcome: &mut Outcome,
) -> Result<(), String> {
    let is_copy = said.statement.copy.is_some();
    let cells = |row: &[Option<Vec<u8>>]| -> Vec<Option<Vec<u8>>> {
        match row {
            [Some(line)] if is_copy => line.split(|byte| *byte == b'\t').map(|cell| Some(cell.to_vec())).collect(),
            row => row.to_vec(),
        }
    };
    let mut differ = BTreeSet::new();
    let mut width = 0;
    for (left, right) in one.rows.iter().zip(&two.rows) {
        let (left, right) = (cells(left), cells(right));
        width = width.max(left.len());
        if left.len() != right.len() {
            return Err(format!("{name} decides how many columns there are"));
        }
        differ.extend((0..left.len()).filter(|at| left[*at] != right[*at]));
    }
    outcome.columns += width as u64;
    outcome.changed += differ.len() as u64;
    let Some(columns) = &said.columns else { return Ok(()) };
    for at in differ {
        match columns.get(at) {
            Some(Some(classes)) if !classes.contains(class) => {
                return Err(format!("column {} of the answer comes from {name}", at + 1));
            }
            Some(_) => {}
            None => return Err(format!("there is no column {} in what is said", at + 1)),
        }
    }
    Ok(())
}

/// The server's own names for the columns of the answer.
fn provenance(lab: &Lab, statement: &Statement, answer: Option<&Answer>) -> Result<(), String> {
    let (Output::Rows(columns), Some(answer), None) = (&statement.output, answer, &statement.copy) else {
        return Ok(());
    };
    let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
    let theirs: Vec<&str> = answer.fields.iter().map(|field| field.name.as_str()).collect();
    if names != theirs {
        return Err(format!("the columns are {theirs:?} and not {names:?}"));
    }
    for (field, column) in answer.fields.iter().zip(columns) {
        let Some(name) = lab.columns.get(&(field.table, field.column)) else { continue };
        let fits = match &column.origin {
            Origin::Column(column) => column.to_string() == *name,
            Origin::Derived(columns) => columns.iter().any(|column| column.to_string() == *name),
            Origin::Unknown => true,
            Origin::Constant | Origin::Members(..) => false,
        };
        if !fits {
            return Err(format!("the server says {name} of the column {}, and not {:?}", field.name, column.origin));
        }
    }
    Ok(())
}

/// EXPLAIN (VERBOSE): what the plan's outputs and conditions are made of.
fn plan(lab: &mut Lab, said: &Said<'_>, generated: &Generated) -> Result<bool, String> {
    let answers = lab.base.run(&format!("EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {}", generated.text)).unwrap();
    if answers.error.is_some() {
        return Ok(false);
    }
    let cell = answers.done[0].rows[0][0].clone().unwrap();
    let plan = plan::read(&cell);
    let classes = |lab: &Lab, names: &BTreeSet<String>| -> BTreeSet<DataClass> {
        let known = lab.labels.columns.iter().filter(|(column, _)| names.contains(&column.to_string()));
        known.flat_map(|(_, marking)| marking.classes().cloned()).collect()
    };
    let tested = classes(lab, &plan.conditions);
    if let Some(class) = tested.difference(&said.uses).next() {
        return Err(format!("the plan has a condition on {}, which is not said to be used", name_of(class)));
    }
    let uses = &said.uses;
    let Some(columns) = &said.columns else { return Ok(true) };
    if columns.is_empty() {
        return Ok(true);
    }
    for (at, output) in plan.outputs.iter().enumerate() {
        let shown = classes(lab, output);
        // What the plan adds to sort by is not in the answer.
        if let Some(Some(said)) = columns.get(at) {
            // What is counted or asked for NULL is used, and not shown.
            let said = said.union(uses).cloned().collect();
            if let Some(class) = shown.difference(&said).next() {
                return Err(format!("the plan's column {} is made of {}", at + 1, name_of(class)));
            }
        }
    }
    Ok(true)
}

fn name_of(class: &DataClass) -> &'static str {
    (0..SENSITIVE.len()).find(|at| class_of(*at) == *class).map_or("?", |at| SENSITIVE[at])
}

/// A temporary view: every relation that it depends on is mentioned; and every column is in the effects, if nothing of
/// the statement can be left out when it runs.
fn view(lab: &mut Lab, statement: &Statement, generated: &Generated) -> Result<bool, String> {
    let text = &generated.text;
    let made = lab.base.run(&format!("BEGIN; CREATE TEMP VIEW oracle AS {text}")).unwrap();
    let found = if made.error.is_none() {
        lab.base.rows(
            "SELECT n.nspname || '.' || c.relname, coalesce(a.attname, '')
             FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
             JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
             JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid AND a.attnum > 0
             WHERE r.ev_class = 'oracle'::regclass AND c.oid <> 'oracle'::regclass AND c.relkind <> 'c'",
        )
    } else {
        Ok(Vec::new())
    };
    assert_eq!(lab.base.run("ROLLBACK").unwrap().error, None);
    if made.error.is_some() {
        return Ok(false);
    }
    let relations: BTreeSet<String> = statement.mentions.tables.iter().map(ToString::to_string).collect();
    let effects: BTreeSet<String> =
        statement.effects.iter().filter_map(|effect| column(&effect.object)).map(ToString::to_string).collect();
    let whole = ["(SELECT", "WITH ", ").", "pg_typeof"].iter().all(|part| !text.contains(part));
    for row in found.unwrap() {
        let (relation, column) = (&row[0], &row[1]);
        if !relations.contains(relation) {
            return Err(format!("the server says that it reads {relation}"));
        }
        let name = format!("{relation}.{column}");
        if whole && !column.is_empty() && !effects.contains(&name) {
            return Err(format!("the server says that it reads {name}"));
        }
    }
    Ok(true)
}
