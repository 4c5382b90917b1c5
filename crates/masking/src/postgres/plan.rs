//! What becomes of each column of a result.
//!
//! Where a value comes from is known from two sides. The statement's own lineage ([`Output`]) may prove that a column
//! cannot hold a class. The target's description (`RowDescription`) names the base column of a plain reference: it may
//! only *add* classes, for it is silent about every expression (ATTACKS.md, E1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::class::{DataClass, Labels, Marking};
use model::decision::Reveal;
use model::effect::{ColumnName, TableName};
use model::lineage::{Container, Member, Mentions, Origin, Output};

use super::types::Kind;
use crate::detect::Hints;
use crate::lens::{Lens, RevealAsk, Reveals};
use crate::mask::Mask;

mod fate;

pub use fate::{Fate, Treated};

/// A column as the target describes it (RowDescription; for COPY, the catalog and the statement's format).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Its label.
    pub name: Arc<str>,
    /// The column that the table oid and attribute number name, if that is a column of a *base table*: never of a view.
    pub source: Option<ColumnName>,
    /// The table whose whole rows these are: a table oid with attribute number 0.
    pub whole_row_of: Option<TableName>,
    /// The type's oid.
    pub type_oid: u32,
    /// Whether values come in the binary format.
    pub binary: bool,
}

/// What becomes of each column of one result. Cheap to clone.
#[derive(Clone)]
pub struct Plan(pub(crate) Arc<PlanParts>);

pub(crate) struct PlanParts {
    pub(crate) lens: Arc<Lens>,
    pub(crate) columns: Vec<Column>,
    /// What the counters of this plan stand for, by [`Leaf::tally`].
    pub(crate) tallies: Vec<Tally>,
    /// Whether every row may be copied whole, without being looked at.
    pub(crate) passes: bool,
}

/// What one counter counts for.
pub(crate) struct Tally {
    pub(crate) classes: BTreeSet<DataClass>,
    pub(crate) columns: BTreeSet<ColumnName>,
}

pub(crate) struct Column {
    pub(crate) kind: Kind,
    pub(crate) binary: bool,
    pub(crate) part: Part,
}

/// What becomes of a value or of a part of one.
pub(crate) enum Part {
    /// One treatment for all of it.
    Leaf(Leaf),
    /// Each member its own.
    Members(Members),
}

pub(crate) struct Leaf {
    pub(crate) treatment: Treatment,
    /// The counter of its values; absent if it carries no class.
    pub(crate) tally: Option<usize>,
    /// Masked, and computed from what it hides: whether it is NULL, or which type a JSON value has, would tell of it
    /// too (`nullif(ssn, '…')`), so that all of its values look alike.
    pub(crate) alike: bool,
}

pub(crate) enum Treatment {
    /// As it is.
    Pass,
    /// As it is but for what content shows.
    Search(Search),
    /// Masked.
    Mask(Mask),
}

/// How a text is searched.
#[derive(Clone)]
pub(crate) struct Search {
    pub(crate) hints: Hints,
    /// Classes that the column is known to carry in clear: finding them is no news.
    pub(crate) known: BTreeSet<DataClass>,
}

pub(crate) struct Members {
    pub(crate) container: Container,
    pub(crate) members: Vec<(Option<Arc<str>>, Part)>,
    /// What becomes of the whole value if it does not have the shape that was announced.
    pub(crate) whole: Leaf,
}

/// Says what becomes of each column of a result.
///
/// `output` and `mentions` are what the statement's analysis proved; `described` is what the target says, and its
/// number of columns counts: if the two disagree, nothing is proved. `reveal` is asked here, never per row, so a plan
/// is good for one revision and must be made anew when [`Lens`] is.
pub fn plan(
    lens: &Arc<Lens>,
    output: &Output,
    described: &[Described],
    mentions: &Mentions,
    labels: &Labels,
    reveal: &mut Reveals<'_>,
) -> Plan {
    let origins: Option<Vec<&Origin>> = match output {
        Output::Rows(columns) if columns.len() == described.len() => {
            Some(columns.iter().map(|column| &column.origin).collect())
        }
        Output::Rows(_) | Output::None | Output::Unknown => None,
    };
    let mut planner = Planner { lens, mentions, labels, reveal, tallies: Vec::new(), asked: BTreeMap::new() };
    let columns: Vec<Column> = described
        .iter()
        .enumerate()
        .map(|(at, described)| {
            let origin = origins.as_ref().and_then(|origins| origins.get(at).copied()).unwrap_or(&Origin::Unknown);
            planner.column(origin, described)
        })
        .collect();
    let tallies = planner.tallies;
    let passes = columns.iter().all(|column| column.part.passes()) && tallies.is_empty();
    Plan(Arc::new(PlanParts { lens: Arc::clone(lens), columns, tallies, passes }))
}

impl Plan {
    /// How many columns a row has.
    pub fn width(&self) -> usize {
        self.0.columns.len()
    }

    /// Whether any value of a class may be delivered in clear: such reads are journaled at level `power` before they
    /// are answered (RULES.md 26).
    pub fn delivers_clear(&self) -> bool {
        self.0.columns.iter().any(|column| column.part.delivers_clear())
    }
}

impl Part {
    fn passes(&self) -> bool {
        matches!(self, Self::Leaf(Leaf { treatment: Treatment::Pass, .. }))
    }

    fn delivers_clear(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.tally.is_some() && !matches!(leaf.treatment, Treatment::Mask(_)),
            Self::Members(members) => members.members.iter().any(|(_, part)| part.delivers_clear()),
        }
    }
}

/// Whether each part of such a value has one member that it can only belong to.
fn is_sound(container: Container, members: &[Member]) -> bool {
    match container {
        Container::JsonObject => {
            let keys: BTreeSet<&str> = members.iter().filter_map(|member| member.key.as_deref()).collect();
            keys.len() == members.len()
        }
        Container::JsonArrayOf | Container::ArrayOf => members.len() == 1,
        Container::JsonArray | Container::Row => true,
    }
}

/// The classes that a value may carry and the columns that it may come from.
#[derive(Default)]
struct Taint {
    /// Each class with the answers of policy: a class may be seen only if it may from everywhere it may come.
    classes: BTreeMap<DataClass, Vec<Reveal>>,
    columns: BTreeSet<ColumnName>,
}

struct Planner<'a, 'r> {
    lens: &'a Arc<Lens>,
    mentions: &'a Mentions,
    labels: &'a Labels,
    reveal: &'a mut Reveals<'r>,
    tallies: Vec<Tally>,
    asked: BTreeMap<(Option<ColumnName>, DataClass), Reveal>,
}

/// How much of the value of a classified column a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exact {
    /// It is the value: every transform is fit.
    Value,
    /// It may be anything computed from it: hidden whole.
    Derived,
}

impl Planner<'_, '_> {
    fn column(&mut self, origin: &Origin, described: &Described) -> Column {
        let kind = Kind::of(described.type_oid);
        let hints = Hints::of(&described.name);
        let part = match (origin, &described.source) {
            (Origin::Members(container, members), None) if self.rows_agree(members, described) => {
                self.members(*container, members, hints)
            }
            (origin, source) => self.whole(origin, source.as_ref(), described, kind, hints),
        };
        Column { kind, binary: described.binary, part }
    }

    /// A value with one treatment. Provenance stands in for a missing proof, for it names the very column; it adds to
    /// a proof, should the two differ.
    fn whole(
        &mut self,
        origin: &Origin,
        source: Option<&ColumnName>,
        described: &Described,
        kind: Kind,
        hints: Hints,
    ) -> Part {
        let mut taint = Taint::default();
        let exact = match (origin, source) {
            (Origin::Unknown, Some(source)) => {
                self.add_column(source, &mut taint);
                Exact::Value
            }
            (origin, source) => {
                self.add_origin(origin, &mut taint);
                source.into_iter().for_each(|source| self.add_column(source, &mut taint));
                match origin {
                    Origin::Column(column) if source.is_none_or(|source| source == column) => Exact::Value,
                    _ => Exact::Derived,
                }
            }
        };
        if let Some(table) = &described.whole_row_of {
            self.add_table(table, &mut taint);
        }
        let public = match (origin, source) {
            (Origin::Column(column), None) => self.is_public(column),
            (Origin::Column(column), Some(source)) => self.is_public(column) && self.is_public(source),
            (Origin::Unknown, Some(source)) => self.is_public(source),
            _ => false,
        };
        let searched = kind.is_searched() && !public;
        Part::Leaf(self.leaf(taint, exact, searched.then_some(hints)))
    }

    fn is_public(&self, column: &ColumnName) -> bool {
        *self.labels.marking(column) == Marking::Public
    }

    /// Whether a whole row of a table is spelled out member by member, with nothing classified left over.
    fn rows_agree(&self, members: &[Member], described: &Described) -> bool {
        let Some(table) = &described.whole_row_of else { return true };
        let named: BTreeSet<&ColumnName> = members
            .iter()
            .filter_map(|member| match &member.origin {
                Origin::Column(column) => Some(column),
                _ => None,
            })
            .collect();
        let classified = self.labels.classified.get(table).into_iter().flatten();
        classified.into_iter().all(|column| named.contains(column))
    }

    fn members(&mut self, container: Container, members: &[Member], hints: Hints) -> Part {
        let mut taint = Taint::default();
        members.iter().for_each(|member| self.add_origin(&member.origin, &mut taint));
        let whole = self.leaf(taint, Exact::Derived, Some(hints));
        if !is_sound(container, members) {
            return Part::Leaf(whole);
        }
        let parts = members.iter().map(|member| {
            let hints = member.key.as_deref().map_or(hints, Hints::of);
            (member.key.clone(), self.member(&member.origin, hints))
        });
        Part::Members(Members { container, members: parts.collect(), whole })
    }

    fn member(&mut self, origin: &Origin, hints: Hints) -> Part {
        if let Origin::Members(container, members) = origin {
            return self.members(*container, members, hints);
        }
        let mut taint = Taint::default();
        self.add_origin(origin, &mut taint);
        let (exact, public) = match origin {
            Origin::Column(column) => (Exact::Value, self.is_public(column)),
            _ => (Exact::Derived, false),
        };
        Part::Leaf(self.leaf(taint, exact, (!public).then_some(hints)))
    }

    fn add_origin(&mut self, origin: &Origin, taint: &mut Taint) {
        match origin {
            Origin::Constant => {}
            Origin::Column(column) => self.add_column(column, taint),
            Origin::Derived(columns) => columns.iter().for_each(|column| self.add_column(column, taint)),
            Origin::Members(_, members) => members.iter().for_each(|member| self.add_origin(&member.origin, taint)),
            Origin::Unknown => self.add_mentioned(taint),
        }
    }

    /// Every class of everything that the statement mentions, or every class there is.
    fn add_mentioned(&mut self, taint: &mut Taint) {
        let mentions = self.mentions;
        mentions.tables.iter().for_each(|table| self.add_table(table, taint));
        if mentions.anything {
            let lens = Arc::clone(self.lens);
            for class in lens.classes() {
                let answer = self.ask(None, class);
                taint.classes.entry(class.clone()).or_default().push(answer);
            }
        }
    }

    fn add_table(&mut self, table: &TableName, taint: &mut Taint) {
        let labels = self.labels;
        labels.classified.get(table).into_iter().flatten().for_each(|column| self.add_column(column, taint));
    }

    fn add_column(&mut self, column: &ColumnName, taint: &mut Taint) {
        let labels = self.labels;
        for class in labels.marking(column).classes() {
            let answer = self.ask(Some(column), class);
            taint.classes.entry(class.clone()).or_default().push(answer);
            taint.columns.insert(column.clone());
        }
    }

    fn ask(&mut self, column: Option<&ColumnName>, class: &DataClass) -> Reveal {
        let key = (column.cloned(), class.clone());
        if let Some(answer) = self.asked.get(&key) {
            return answer.clone();
        }
        let answer = (self.reveal)(match column {
            Some(column) => RevealAsk::Column(column, class),
            None => RevealAsk::Class(class),
        });
        self.asked.insert(key, answer.clone());
        answer
    }

    /// One class that may not be seen hides the value, by the strictest of its masks.
    fn leaf(&mut self, taint: Taint, exact: Exact, search: Option<Hints>) -> Leaf {
        let mask = self.strictest(&taint).map(|mask| if exact == Exact::Value { mask } else { mask.whole() });
        let treatment = match (mask, search) {
            (Some(mask), _) => Treatment::Mask(mask),
            (None, Some(hints)) => Treatment::Search(Search { hints, known: taint.classes.keys().cloned().collect() }),
            (None, None) => Treatment::Pass,
        };
        let tally = (!taint.classes.is_empty()).then(|| {
            let classes = taint.classes.into_keys().collect();
            self.tallies.push(Tally { classes, columns: taint.columns });
            self.tallies.len() - 1
        });
        let alike = exact == Exact::Derived && matches!(treatment, Treatment::Mask(_));
        Leaf { treatment, tally, alike }
    }

    fn strictest(&self, taint: &Taint) -> Option<Mask> {
        let hidden = taint.classes.iter().flat_map(|(class, answers)| {
            answers.iter().filter_map(move |answer| match answer {
                Reveal::Clear => None,
                Reveal::Masked(transform) => Some(self.lens.mask(class, transform.clone())),
            })
        });
        hidden.reduce(|kept, next| if next.transform.strictness() > kept.transform.strictness() { next } else { kept })
    }
}
