//! Lists and watches of Kubernetes without what a caller may not get.
//!
//! [`Items`] takes the JSON of an answer up as it comes, before it is masked, and leaves items out: members of the `items` of a
//! list and of the `rows` of a table, and events of a watch. Which, whoever has it decides by the namespace and the name of each.
//! What is kept goes on to the byte. An item of which it cannot be told what it is called is left out.

mod scan;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::http::Unmaskable;
use scan::{Scan, Step};

/// The longest item, in bytes: more than an API server stores.
const MOST_OF_AN_ITEM: usize = 4 * 1024 * 1024;

/// How an answer is made up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A list or a table: one value.
    List,
    /// Events, one value after another.
    Watch,
}

/// What an item is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ItemName {
    /// Its namespace; empty where it is in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Leaves items out of one answer.
pub struct Items {
    scan: Scan,
    shape: Shape,
    /// The item that has begun.
    held: Vec<u8>,
    /// Whether an item of the array was kept.
    kept: bool,
    /// How many were left out.
    left_out: u64,
}

/// Whether an item stays.
pub type Keeps<'a> = dyn FnMut(&ItemName) -> bool + 'a;

impl Items {
    /// For one answer.
    pub fn new(shape: Shape) -> Self {
        Self { scan: Scan::new(shape), shape, held: Vec::new(), kept: false, left_out: 0 }
    }

    /// Takes up what came, and gives what is kept of it.
    ///
    /// # Errors
    /// If it is not what such an answer is, or an item is too long: nothing further may go out.
    pub fn push(&mut self, bytes: &[u8], keeps: &mut Keeps<'_>) -> Result<Vec<u8>, Unmaskable> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes.iter().copied() {
            match self.scan.step(byte)? {
                Step::Passes => out.push(byte),
                Step::Skipped => {}
                Step::Opens => {
                    out.push(byte);
                    self.kept = false;
                }
                Step::Held => self.hold(byte)?,
                Step::Ends => {
                    self.hold(byte)?;
                    self.item(keeps, &mut out);
                }
            }
        }
        Ok(out)
    }

    /// The answer is over.
    ///
    /// # Errors
    /// If it is not whole.
    pub fn end(&mut self) -> Result<(), Unmaskable> {
        if self.held.is_empty() && self.scan.is_outside() { Ok(()) } else { Err(Unmaskable::Malformed) }
    }

    /// How many items were left out so far.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn hold(&mut self, byte: u8) -> Result<(), Unmaskable> {
        if self.held.len() >= MOST_OF_AN_ITEM {
            return Err(Unmaskable::TooLong);
        }
        self.held.push(byte);
        Ok(())
    }

    fn item(&mut self, keeps: &mut Keeps<'_>, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        if !self.stays(&held, keeps) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        if self.shape == Shape::List && self.kept {
            out.push(b',');
        }
        out.extend_from_slice(&held);
        if self.shape == Shape::Watch {
            out.push(b'\n');
        }
        self.kept = true;
    }

    fn stays(&self, item: &[u8], keeps: &mut Keeps<'_>) -> bool {
        match self.shape {
            Shape::List => names_of(item).is_some_and(|name| keeps(&name)),
            Shape::Watch => {
                let Ok(event) = serde_json::from_slice::<Event>(item) else { return false };
                match (event.kind.as_str(), event.object) {
                    // What says how far the watch is, and why it ends.
                    ("BOOKMARK" | "ERROR", _) => true,
                    (_, Some(Object { rows: Some(rows), .. })) => {
                        let names: Option<Vec<ItemName>> = rows.into_iter().map(Object::name).collect();
                        names.is_some_and(|names| names.iter().all(keeps))
                    }
                    (_, Some(object)) => object.name().is_some_and(|name| keeps(&name)),
                    (_, None) => false,
                }
            }
        }
    }
}

/// What an object, or the row of a table, is called.
fn names_of(item: &[u8]) -> Option<ItemName> {
    serde_json::from_slice::<Object>(item).ok()?.name()
}

/// An event of a watch.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Option<Object>,
}

/// An object with its names; the row of a table has one in it.
#[derive(Deserialize)]
struct Object {
    metadata: Option<Metadata>,
    object: Option<Box<Object>>,
    rows: Option<Vec<Object>>,
    /// A row has its cells beside.
    cells: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
}

impl Object {
    fn name(self) -> Option<ItemName> {
        let metadata = match self.cells {
            Some(IgnoredAny) => self.object?.metadata,
            None => self.metadata,
        };
        let Metadata { name, namespace } = metadata?;
        Some(ItemName { namespace: namespace.unwrap_or_default(), name: name? })
    }
}

#[cfg(test)]
mod tests;
