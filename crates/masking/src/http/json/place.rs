//! Where in a document a reader is, and what becomes of a value there.

use std::collections::HashMap;
use std::sync::Arc;

use crate::detect::Hints;
use crate::http::error::Unmaskable;
use crate::http::path::Inward;
use crate::http::plan::{Plan, Treatment};

/// How much of a key is kept. One that is longer may be any that a rule names.
const LONGEST_KEY: usize = 1024;

/// So many answers are remembered for a document.
const MOST_TREATMENTS: usize = 64;

/// The objects and arrays that a reader is in.
pub(super) struct Place {
    plan: Plan,
    levels: Vec<Level>,
    /// For each level, the states of the object or of the elements of the array.
    states: Vec<u64>,
    /// The states of the value that comes.
    here: Vec<u64>,
    /// What becomes of it; nothing if no rule says.
    treatment: Option<Arc<Treatment>>,
    /// The key of the member that comes, as far as it is kept.
    key: Vec<u8>,
    key_is_long: bool,
    /// The keys on the way, one behind the other.
    keys: Vec<u8>,
    treatments: HashMap<Box<[u64]>, Option<Arc<Treatment>>>,
}

struct Level {
    is_object: bool,
    /// Where in `keys` the key ends that it was found by.
    key_end: usize,
    /// What becomes of each element of an array.
    element: Option<Arc<Treatment>>,
}

impl Place {
    pub(super) fn new(plan: &Plan) -> Self {
        let here = plan.0.paths.start().to_vec();
        let mut place = Self {
            plan: plan.clone(),
            levels: Vec::new(),
            states: Vec::new(),
            here,
            treatment: None,
            key: Vec::new(),
            key_is_long: false,
            keys: Vec::new(),
            treatments: HashMap::new(),
        };
        place.treat();
        place
    }

    /// Whether the reader is in an object, an array or neither.
    pub(super) fn in_object(&self) -> Option<bool> {
        self.levels.last().map(|level| level.is_object)
    }

    /// What becomes of the value that comes; nothing if no rule says.
    pub(super) const fn treatment(&self) -> Option<&Arc<Treatment>> {
        self.treatment.as_ref()
    }

    /// What the keys on the way to the value that comes say of it. Looked for only where there is something to say it of.
    pub(super) fn hints(&self) -> Hints {
        let (mut hints, mut start) = (Hints::default(), 0);
        for level in &self.levels {
            hints = hints.with(Hints::read(self.keys.get(start..level.key_end).unwrap_or_default()));
            start = level.key_end;
        }
        if self.in_object() == Some(true) { hints.with(Hints::read(&self.key)) } else { hints }
    }

    /// Goes into an object or array.
    pub(super) fn open(&mut self, is_object: bool) -> Result<(), Unmaskable> {
        if self.levels.len() >= self.plan.0.limits.depth {
            return Err(Unmaskable::TooDeep);
        }
        if self.in_object() == Some(true) {
            self.keys.extend_from_slice(&self.key);
        }
        let from = self.states.len();
        self.states.extend_from_slice(&self.here);
        if !is_object && !self.here.is_empty() {
            self.plan.0.paths.step(self.states.get(from..).unwrap_or_default(), Inward::Index, &mut self.here);
            self.treat();
            self.states.truncate(from);
            self.states.extend_from_slice(&self.here);
        }
        let element = if is_object { None } else { self.treatment.clone() };
        self.levels.push(Level { is_object, key_end: self.keys.len(), element });
        self.key.clear();
        Ok(())
    }

    /// Leaves an object or array.
    pub(super) fn close(&mut self, is_object: bool) -> Result<(), Unmaskable> {
        let level = self.levels.pop().filter(|level| level.is_object == is_object);
        self.keys.truncate(self.levels.last().map_or(0, |level| level.key_end));
        self.states.truncate(self.states.len().saturating_sub(self.here.len()));
        if self.levels.is_empty() {
            self.here.copy_from_slice(self.plan.0.paths.start());
            self.treat();
        }
        level.map(|_| ()).ok_or(Unmaskable::Malformed)
    }

    /// A comma in an array: another element comes.
    pub(super) fn next_element(&mut self) {
        if self.here.is_empty() {
            return;
        }
        let from = self.states.len().saturating_sub(self.here.len());
        self.here.copy_from_slice(self.states.get(from..).unwrap_or_default());
        self.treatment = self.levels.last().and_then(|level| level.element.clone());
    }

    /// A key begins.
    pub(super) fn begin_key(&mut self) {
        self.key.clear();
        self.key_is_long = false;
    }

    /// More of it.
    pub(super) fn add_to_key(&mut self, part: &[u8]) {
        let room = LONGEST_KEY.saturating_sub(self.key.len());
        self.key_is_long |= part.len() > room;
        self.key.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
    }

    /// It is over: the value of its member comes.
    pub(super) fn end_key(&mut self) {
        if self.here.is_empty() {
            return;
        }
        let from = self.states.len().saturating_sub(self.here.len());
        let key = if self.key_is_long { Inward::AnyKey } else { Inward::Key(&self.key) };
        self.plan.0.paths.step(self.states.get(from..).unwrap_or_default(), key, &mut self.here);
        self.treat();
    }

    /// Finds what becomes of the value that comes.
    fn treat(&mut self) {
        let paths = &self.plan.0.paths;
        if !paths.is_ended(&self.here) {
            self.treatment = None;
            return;
        }
        let ended = paths.only_ended(&self.here);
        if let Some(known) = self.treatments.get(&*ended) {
            self.treatment.clone_from(known);
            return;
        }
        self.treatment = self.plan.0.treatment(paths.ended(&ended));
        if self.treatments.len() >= MOST_TREATMENTS {
            self.treatments.clear();
        }
        self.treatments.insert(ended, self.treatment.clone());
    }
}
