//! One of the two revisions that are compared: what it says of a journaled request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use effects::postgres::{Catalog, labels};
use gateway::judging::Bench;
use gateway::revision::Checked;
use masking::RevealAsk;
use masking::postgres::Fate;
use model::class::{DataClass, Labels, Marking};
use model::effect::{ColumnName, Effect, Facts, FunctionClass, Object};
use model::id::Digest;
use model::lineage::{Mentions, Origin, Output};
use model::subject::Subject;
use policy::{Context, SubjectPolicies, Verdict};

use super::{hearing, words};

/// A statement entry of the journal.
pub(super) struct Recorded {
    pub(super) text: String,
    pub(super) effects: Vec<Effect>,
    pub(super) facts: Facts,
    pub(super) output: Output,
}

/// The most statements that are remembered, and about how many bytes of them.
const MOST_STATEMENTS: usize = 200_000;
const MOST_BYTES: usize = 256 << 20;

/// About what an effect, or a column of an answer, takes beside its statement's text.
const OF_ONE: usize = 512;

/// The statements of the journal. Where they are too many all are forgotten: what runs one of them is explained no more.
#[derive(Default)]
pub(super) struct Statements {
    known: HashMap<Digest, Recorded>,
    bytes: usize,
}

impl Statements {
    pub(super) fn take(&mut self, id: Digest, recorded: Recorded) {
        if self.known.contains_key(&id) {
            return;
        }
        let columns = match &recorded.output {
            Output::Rows(columns) => columns.len(),
            Output::None | Output::Unknown => 0,
        };
        let parts = recorded.effects.len().saturating_add(columns).saturating_add(1);
        let size = recorded.text.len().saturating_add(parts.saturating_mul(OF_ONE));
        if self.known.len() >= MOST_STATEMENTS || self.bytes.saturating_add(size) > MOST_BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(size);
        self.known.insert(id, recorded);
    }

    pub(super) fn get(&self, id: &Digest) -> Option<&Recorded> {
        self.known.get(id)
    }
}

/// What a revision says of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Said {
    /// `allow`, `ask dba`, `deny`.
    pub(super) decision: String,
    pub(super) policies: Vec<String>,
    /// How each column of each statement's answer is shown; not compared where it is denied.
    pub(super) masks: Vec<Vec<(Arc<str>, String)>>,
    /// Whether it is said again of the same request in the same session.
    pub(super) holds: bool,
}

/// One of the two revisions.
pub struct Side<'a> {
    checked: &'a Checked,
    catalogs: &'a BTreeMap<String, Catalog>,
    /// By target and database, where there is a catalog of it.
    labels: HashMap<(Arc<str>, Arc<str>), Labels>,
}

impl<'a> Side<'a> {
    /// A revision, with what targets' saved catalogs say.
    pub fn new(checked: &'a Checked, catalogs: &'a BTreeMap<String, Catalog>) -> Self {
        Self { checked, catalogs, labels: HashMap::new() }
    }

    /// The policies that can apply to a subject.
    pub(super) fn slice(&self, subject: &Subject) -> SubjectPolicies {
        self.checked.policies().for_subject(subject)
    }

    /// What it says of a session that is opened.
    pub(super) fn connect(&self, policies: &SubjectPolicies, place: (&str, &str), context: &Context<'_>) -> Said {
        let labels = Labels::default();
        let Some(target) = self.checked.target(place.0) else { return gone() };
        let bench = Bench { policies, target: &target.target, database: place.1, labels: &labels };
        said(&bench.connect(context), Vec::new())
    }

    /// What it says of a request.
    pub(super) fn request(
        &mut self,
        policies: &SubjectPolicies,
        (target, database): (&Arc<str>, &Arc<str>),
        statements: &[&Recorded],
        context: &Context<'_>,
    ) -> Said {
        let checked = self.checked;
        let Some(config) = checked.target(target) else { return gone() };
        let own;
        let known = self.known_labels(target, database);
        let labels = match known {
            Some(labels) => labels,
            None => {
                own = named_labels(checked, target, database, statements);
                &own
            }
        };
        let bench = Bench { policies, target: &config.target, database, labels };
        let verdict = bench.verdict(statements.iter().map(|one| (one.effects.as_slice(), &one.facts)), context);
        // What is said of masks is about columns, which only PostgreSQL has.
        let Some(postgres) = config.postgres() else { return said(&verdict, Vec::new()) };
        let lens = hearing::lens(&bench, checked.classification(), postgres.on_unmaskable, context);
        let masks = statements.iter().map(|one| {
            let answer = (&one.output, &mentions(one));
            match hearing::fates(&bench, &lens, answer, |_| TEXT, context) {
                Some(columns) => columns.into_iter().map(|(name, fate)| (name, words::fate(&fate))).collect(),
                None => unknown(&bench, &lens, answer.1, context),
            }
        });
        let masks = if verdict.denial().is_some() { Vec::new() } else { masks.collect() };
        said(&verdict, masks)
    }

    /// The policies that let be seen what statements name, or may have in their answers.
    pub(super) fn reveals(
        &mut self,
        policies: &SubjectPolicies,
        (target, database): (&Arc<str>, &Arc<str>),
        statements: &[&Recorded],
        context: &Context<'_>,
    ) -> BTreeSet<Arc<str>> {
        let checked = self.checked;
        let mut labels = named_labels(checked, target, database, statements);
        if let Some(known) = self.known_labels(target, database) {
            labels = known.clone();
        }
        let columns: Vec<ColumnName> = labels.classified.values().flatten().cloned().collect();
        let is_open = |one: &&Recorded| one.output == Output::Unknown || mentions(one).anything;
        let any = statements.iter().any(is_open);
        let classes: Vec<DataClass> =
            if any { checked.classification().classes.keys().cloned().collect() } else { Vec::new() };
        self.revealed(policies, (target, database), &classes, &columns, context)
    }

    /// The policies that let these classes and columns be seen.
    pub(super) fn revealed(
        &mut self,
        policies: &SubjectPolicies,
        (target, database): (&Arc<str>, &Arc<str>),
        classes: &[DataClass],
        columns: &[ColumnName],
        context: &Context<'_>,
    ) -> BTreeSet<Arc<str>> {
        let checked = self.checked;
        let Some(config) = checked.target(target) else { return BTreeSet::new() };
        let mut labels = self.known_labels(target, database).cloned().unwrap_or_default();
        for column in columns {
            let marking = checked.classification().marking(target, database, column);
            labels.columns.entry(column.clone()).or_insert(marking);
        }
        let bench = Bench { policies, target: &config.target, database, labels: &labels };
        let of_columns = columns.iter().flat_map(|column| {
            let classes = labels.marking(column).classes();
            classes.flat_map(move |class| bench.reveal_policies(context, RevealAsk::Column(column, class)))
        });
        let of_classes = classes.iter().flat_map(|class| bench.reveal_policies(context, RevealAsk::Class(class)));
        of_columns.chain(of_classes).collect()
    }

    fn known_labels(&mut self, target: &Arc<str>, database: &Arc<str>) -> Option<&Labels> {
        let catalog = self.catalogs.get(&**target).filter(|catalog| catalog.database() == &**database)?;
        let key = (Arc::clone(target), Arc::clone(database));
        let classification = self.checked.classification();
        Some(self.labels.entry(key).or_insert_with(|| labels(catalog, target, classification)))
    }
}

/// PostgreSQL's oid of `text`: the journal has no types, and a text may hold any class.
const TEXT: u32 = 25;

/// An answer whose shape is not known: one column that may come from anywhere.
fn unknown(
    bench: &Bench<'_>,
    lens: &Arc<masking::Lens>,
    mentions: &Mentions,
    context: &Context<'_>,
) -> Vec<(Arc<str>, String)> {
    let described = masking::postgres::Described {
        name: "(any column)".into(),
        source: None,
        whole_row_of: None,
        type_oid: TEXT,
        binary: false,
    };
    let plan = bench.plan(lens, (&Output::Unknown, mentions), std::slice::from_ref(&described), context);
    plan.fates().iter().map(|fate: &Fate| (Arc::clone(&described.name), words::fate(fate))).collect()
}

fn said(verdict: &Verdict, masks: Vec<Vec<(Arc<str>, String)>>) -> Said {
    let observers = words::observers(verdict);
    let decision = match words::groups(verdict) {
        _ if !observers.is_empty() => format!("allow while observed by {}", observers.join(" or ")),
        groups if groups.is_empty() => words::outcome(verdict.outcome()).to_owned(),
        groups => format!("{} {}", words::outcome(verdict.outcome()), groups.join(", ")),
    };
    let validity = verdict.validity();
    Said { decision, policies: words::policies(verdict), masks, holds: !validity.timed }
}

/// A target that the revision does not have can be reached by nobody.
fn gone() -> Said {
    Said {
        decision: String::from("deny"),
        policies: vec![String::from("(no such target)")],
        masks: vec![],
        holds: true,
    }
}

/// What the classification says of the columns that the statements name. What only a catalog knows, such as what a view
/// or a partition shares with its tables, is not in it.
fn named_labels(checked: &Checked, target: &str, database: &str, statements: &[&Recorded]) -> Labels {
    let mut labels = Labels::default();
    let mut columns = BTreeSet::new();
    for statement in statements {
        for effect in &statement.effects {
            if let Object::Column(column, _) = &effect.object {
                columns.insert(column);
            }
            columns.extend(&effect.with);
        }
        if let Output::Rows(outputs) = &statement.output {
            outputs.iter().for_each(|output| origins(&output.origin, &mut columns));
        }
    }
    for column in columns {
        let marking = checked.classification().marking(target, database, column);
        if matches!(marking, Marking::Classes(_)) {
            labels.classified.entry(column.table.clone()).or_default().insert(column.clone());
        }
        labels.columns.insert(column.clone(), marking);
    }
    labels
}

fn origins<'o>(origin: &'o Origin, columns: &mut BTreeSet<&'o ColumnName>) {
    match origin {
        Origin::Column(column) => drop(columns.insert(column)),
        Origin::Derived(all) => columns.extend(all),
        Origin::Members(_, members) => members.iter().for_each(|member| origins(&member.origin, columns)),
        Origin::Constant | Origin::Unknown => {}
    }
}

/// What an unknown origin stands for, as far as the journal tells: the relations among the effects, and anything where
/// the statement was opaque or called what may run statements of its own.
fn mentions(statement: &Recorded) -> Mentions {
    let mut mentions = Mentions { anything: statement.facts.opaque.is_some(), ..Mentions::default() };
    for effect in &statement.effects {
        match &effect.object {
            Object::Table(table, _) => drop(mentions.tables.insert(table.clone())),
            Object::Column(column, _) => drop(mentions.tables.insert(column.table.clone())),
            Object::Function(_, FunctionClass::DynamicSql | FunctionClass::Unknown) => mentions.anything = true,
            _ => {}
        }
    }
    mentions
}
