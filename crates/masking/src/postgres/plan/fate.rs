//! A plan in words, for people who ask what would become of an answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::class::{DataClass, Transform};
use model::effect::ColumnName;

use super::{Leaf, Part, Plan, Treatment};

/// What becomes of a column, and what it may hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fate {
    /// What becomes of its values.
    pub treated: Treated,
    /// The classes that they may carry.
    pub classes: BTreeSet<DataClass>,
    /// The classified columns that they may come from.
    pub columns: BTreeSet<ColumnName>,
}

/// What becomes of values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Treated {
    /// They are shown as they are.
    Clear,
    /// They are shown but for what their content gives away.
    Searched,
    /// They are masked as this class, so.
    Masked(DataClass, Transform),
    /// Each of their members has a fate of its own, by its key where it has one.
    Members(Vec<(Option<Arc<str>>, Fate)>),
}

impl Plan {
    /// What becomes of each column, in order.
    pub fn fates(&self) -> Vec<Fate> {
        self.0.columns.iter().map(|column| self.fate(&column.part)).collect()
    }

    fn fate(&self, part: &Part) -> Fate {
        match part {
            Part::Leaf(leaf) => {
                let treated = match &leaf.treatment {
                    Treatment::Pass => Treated::Clear,
                    Treatment::Search(_) => Treated::Searched,
                    Treatment::Mask(mask) => Treated::Masked(mask.class.clone(), mask.transform.clone()),
                };
                self.may_hold(leaf, treated)
            }
            Part::Members(members) => {
                let each = members.members.iter().map(|(key, part)| (key.clone(), self.fate(part)));
                self.may_hold(&members.whole, Treated::Members(each.collect()))
            }
        }
    }

    fn may_hold(&self, leaf: &Leaf, treated: Treated) -> Fate {
        let tally = leaf.tally.and_then(|tally| self.0.tallies.get(tally));
        let (classes, columns) = tally.map(|tally| (tally.classes.clone(), tally.columns.clone())).unwrap_or_default();
        Fate { treated, classes, columns }
    }
}
