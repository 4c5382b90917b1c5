//! What class a column may carry: from its name, its type and what its values look like.
//!
//! A value is looked at and forgotten: what is kept of it is that one more was seen, and of what form it was.

mod names;
mod shapes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::class::{DataClass, Marking};

use crate::detect::{self, Detector, Hints};
use shapes::Shape;

/// A column, as far as its target tells.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// The relation's name.
    pub table: &'a str,
    /// Its own.
    pub name: &'a str,
    /// The base type's name, as PostgreSQL has it: `text`, `int8`, `_text`.
    pub type_name: &'a str,
    /// What its owner says of it.
    pub comment: &'a str,
}

/// How sure a proposal is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Worth a look.
    Low,
    /// Name, type or values say so, and nothing against it.
    Medium,
    /// The values themselves show it.
    High,
}

/// A class that a column may carry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Which.
    pub class: DataClass,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why, in words; never a value.
    pub because: Vec<String>,
}

/// What the values of a column looked like: counts, and no value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Looks {
    /// How many values were looked at.
    values: u64,
    /// How many were of this class and nothing else.
    whole: BTreeMap<&'static str, u64>,
    /// How many had one of this class among other text.
    within: BTreeMap<&'static str, u64>,
    /// How many had this form.
    shapes: BTreeMap<Shape, u64>,
}

/// So many values have to be looked at before they speak against a name.
const ENOUGH: u64 = 5;

/// So many before they speak without one.
const MANY: u64 = 10;

impl Looks {
    /// Looks at one value of the column.
    pub fn take(&mut self, column: &Column<'_>, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        self.values = self.values.saturating_add(1);
        let (mut whole, mut within) = (Vec::new(), Vec::new());
        detect::scan(value.as_bytes(), Hints::of(column.name), &mut |found| {
            let class = found.detector.class();
            let all = found.start == 0 && found.end == value.len();
            if all { &mut whole } else { &mut within }.push(class);
        });
        within.sort_unstable();
        within.dedup();
        whole.into_iter().for_each(|class| count(&mut self.whole, class));
        within.into_iter().for_each(|class| count(&mut self.within, class));
        for shape in Shape::ALL.into_iter().filter(|shape| shape.fits(value)) {
            count(&mut self.shapes, shape);
        }
    }

    /// How many values were looked at.
    pub const fn values(&self) -> u64 {
        self.values
    }

    /// How many of them were of this class, alone or among other text, as far as a detector or a form tells.
    pub fn hits(&self, class: &str) -> u64 {
        let counted = |of: &BTreeMap<&'static str, u64>| of.get(class).copied().unwrap_or(0);
        match Shape::of(class) {
            Some(shape) => self.shaped(shape),
            None => counted(&self.whole).saturating_add(counted(&self.within)),
        }
    }

    fn shaped(&self, shape: Shape) -> u64 {
        self.shapes.get(&shape).copied().unwrap_or(0)
    }

    /// In percent of the values; 0 if there are none.
    fn percent(&self, count: u64) -> u64 {
        count.saturating_mul(100).checked_div(self.values).unwrap_or(0)
    }

    fn whole(&self, class: &str) -> u64 {
        self.whole.get(class).copied().unwrap_or(0)
    }
}

fn count<K: Ord>(of: &mut BTreeMap<K, u64>, what: K) {
    let counted = of.entry(what).or_default();
    *counted = counted.saturating_add(1);
}

/// Whether a class has a detector, so that values can speak against it.
fn is_detected(class: &str) -> bool {
    Detector::ALL.iter().any(|detector| detector.class() == class)
}

/// What the column may carry, the surest first; empty if nothing speaks for any class.
pub fn propose(column: &Column<'_>, looks: &Looks) -> Vec<Proposal> {
    let mut found: Vec<Proposal> = by_content(column, looks).into_iter().collect();
    if let Some(named) = by_name(column, looks)
        && found.iter().all(|proposal| proposal.class != named.class)
    {
        found.push(named);
    }
    found.sort_by_key(|proposal| std::cmp::Reverse(proposal.confidence));
    // Values that show one class speak against what only the name says.
    if found.first().is_some_and(|first| first.confidence == Confidence::High) {
        found.retain(|proposal| proposal.confidence == Confidence::High);
    }
    found
}

/// The class that the values themselves show.
fn by_content(column: &Column<'_>, looks: &Looks) -> Option<Proposal> {
    let (class, whole) = looks.whole.iter().max_by_key(|(_, count)| **count)?;
    let named = names::class_of(column).is_some_and(|(named, _)| named == *class);
    let enough = looks.values >= if named { ENOUGH } else { MANY };
    let percent = looks.percent(*whole);
    // One in ten numbers of a card's length ends in the right digit by chance.
    let by_chance = if *class == "card_number" && !named { 40 } else { 20 };
    let confidence = match percent {
        80.. if enough => Confidence::High,
        80.. => Confidence::Medium,
        30.. if percent >= by_chance && enough => Confidence::Medium,
        20.. if named => Confidence::Medium,
        20.. if percent >= by_chance && enough => Confidence::Low,
        _ => return None,
    };
    let mut because = vec![format!("{whole} of {} values have the form of {class}", looks.values)];
    if named {
        because.push(format!("its name says {class}"));
    }
    Some(Proposal { class: DataClass::new(*class), confidence, because })
}

/// The class that its name says, weighed by its type and its values.
fn by_name(column: &Column<'_>, looks: &Looks) -> Option<Proposal> {
    let (class, sureness) = names::class_of(column)?;
    if !names::type_can_hold(class, column.type_name) {
        return None;
    }
    let mut because = vec![match sureness {
        Confidence::High | Confidence::Medium => format!("its name says {class}"),
        Confidence::Low => format!("its name, table or comment may speak of {class}"),
    }];
    let (hits, values) = (looks.hits(class), looks.values);
    let confidence = if values < ENOUGH {
        because.push(format!("{values} values were looked at"));
        sureness.min(Confidence::Medium)
    } else if let Some(shape) = Shape::of(class) {
        because.push(format!("{hits} of {values} values {}", shape.words()));
        match looks.percent(hits) {
            90.. => shape.sureness().min(raised(sureness)),
            50.. => Confidence::Medium.min(sureness),
            _ => Confidence::Low,
        }
    } else if is_detected(class) && hits == 0 && class != "secret" {
        because.push(format!("none of {values} values has its form"));
        Confidence::Low
    } else {
        // What no form shows, such as a password.
        because.push(format!("{hits} of {values} values have its form"));
        sureness.min(Confidence::Medium)
    };
    Some(Proposal { class: DataClass::new(class), confidence, because })
}

/// What a name alone says counts for more with values that fit.
const fn raised(sureness: Confidence) -> Confidence {
    match sureness {
        Confidence::Low => Confidence::Medium,
        Confidence::Medium | Confidence::High => Confidence::High,
    }
}

/// What the values say against what is classified already; never a value.
pub fn contradicts(marking: &Marking, column: &Column<'_>, looks: &Looks) -> Option<String> {
    if *marking == Marking::Unmarked {
        return None;
    }
    let carried: Vec<&str> = marking.classes().map(DataClass::as_str).collect();
    let shown = by_content(column, looks).filter(|shown| shown.confidence >= Confidence::Medium);
    if let Some(shown) = shown.filter(|shown| !carried.contains(&shown.class.as_str())) {
        let because = shown.because.first().cloned().unwrap_or_default();
        return Some(match marking {
            Marking::Public => format!("it is public, and {because}"),
            _ => format!("it is classified as {}, and {because}", carried.join(", ")),
        });
    }
    let absent = |class: &&&str| is_detected(class) && **class != "secret" && looks.hits(class) == 0;
    let absent = carried.iter().find(absent).filter(|_| looks.values >= MANY)?;
    Some(format!("it is classified as {absent}, and none of {} values has its form", looks.values))
}

/// What other text of the column holds here and there, which the content net masks by itself.
pub fn in_text(looks: &Looks) -> Vec<(&'static str, u64)> {
    let alone = |class: &str| looks.percent(looks.whole(class)) < 20;
    looks.within.iter().filter(|(class, _)| alone(class)).map(|(class, count)| (*class, *count)).collect()
}
