//! Changing the key of a journal: the change is an entry of the journal itself, signed by both keys.
//!
//! ```text
//! sluice/key-rotation/v1            what both sign
//! sluice                            the journal's name
//! 1234                              how many entries there are before this one: its index
//! qoXJ…=                            the root over them, base64
//! sluice+…                          the old key
//! sluice+…                          the new key
//! ```
//!
//! Checkpoints of trees without that entry are by the old key, those of trees with it by the new one. The entry is always
//! the first of its segment, and segment and entry appear at once. So the keys of a journal are found without reading it,
//! and there is no moment at which it is not clear which one is in force.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::event::Event;
use model::id::Digest;

use crate::disk::Disk;
use crate::frame;
use crate::merkle::Hash;
use crate::note::{Checkpoint, Note, NoteError, SigningKey, VerifyingKey};
use crate::segment::{self, Scan, Step};

mod files;

pub use files::{KeyFile, KeyFileError, Rotated};

fn message(old: &VerifyingKey, new: &VerifyingKey, size: u64, root: &Hash) -> String {
    let (name, root) = (new.name(), STANDARD.encode(root));
    format!("sluice/key-rotation/v1\n{name}\n{size}\n{root}\n{old}\n{new}\n")
}

/// The event that puts `new` in the place of `old` after `size` entries.
pub(crate) fn event(old: &SigningKey, new: &SigningKey, size: u64, root: Hash) -> Event {
    let text = message(old.public(), new.public(), size, &root);
    let by = |key: &SigningKey| STANDARD.encode(key.sign_text(&text)).into();
    Event::KeyRotated {
        old: old.public().to_string().into(),
        new: new.public().to_string().into(),
        size,
        root: Digest(root),
        by_old: by(old),
        by_new: by(new),
    }
}

/// The old and the new key of such an event, if it stands where it says and both signed it.
fn keys_of(event: &Event, index: u64, before: &Hash) -> Result<(VerifyingKey, VerifyingKey), &'static str> {
    let Event::KeyRotated { old, new, size, root, by_old, by_new } = event else {
        return Err("it is another event");
    };
    let key = |text: &str| text.parse::<VerifyingKey>().ok().filter(|key| key.to_string() == text);
    let (old, new) = key(old).zip(key(new)).ok_or("it names no keys")?;
    if old.name() != new.name() || old == new {
        return Err("its keys are not two of one journal");
    }
    if *size != index || root.0 != *before {
        return Err("it was made for another place");
    }
    let text = message(&old, &new, *size, before);
    let is_by = |key: &VerifyingKey, signature: &str| {
        STANDARD.decode(signature).is_ok_and(|signature| key.verifies(&text, &signature))
    };
    match (is_by(&old, by_old), is_by(&new, by_new)) {
        (true, true) => Ok((old, new)),
        (false, _) => Err("the old key did not sign it"),
        (true, false) => Err("the new key did not sign it"),
    }
}

/// The keys of a journal, from its first to the one in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    first: VerifyingKey,
    /// Where each change stands, and the key that was new.
    changes: Vec<(u64, VerifyingKey)>,
}

/// The keys that entries tell of, in their order.
#[derive(Debug, Default)]
pub(crate) struct Learned(Option<Keys>);

impl Learned {
    /// Takes note of a change of the key: the entry's index, and the root over the entries before it.
    pub(crate) fn learn(&mut self, event: &Event, index: u64, before: &Hash) -> Result<(), String> {
        let changed = keys_of(event, index, before).and_then(|(old, new)| match &self.0 {
            Some(keys) if *keys.current() != old => Err("its old key was not in force"),
            _ => Ok((old, new)),
        });
        let (old, new) = changed.map_err(|why| format!("the key was not changed: {why}"))?;
        self.0.get_or_insert_with(|| Keys::single(old)).changes.push((index, new));
        Ok(())
    }

    /// All of them, if this key is among them; else it alone.
    pub(crate) fn known_by(self, key: &VerifyingKey) -> Keys {
        self.0.filter(|keys| keys.has(key)).unwrap_or_else(|| Keys::single(key.clone()))
    }
}

/// A change of the key that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    pub(crate) index: u64,
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) what: String,
}

impl Keys {
    pub(crate) const fn single(key: VerifyingKey) -> Self {
        Self { first: key, changes: Vec::new() }
    }

    /// The keys of the journal in `dir`, of which one is known: whichever it is, the others follow from it, back and forth.
    /// Where the journal knows nothing of that key, it is the only one.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn of(disk: &dyn Disk, dir: &Path, known: &VerifyingKey) -> io::Result<Self> {
        Self::read(disk, dir, known).map(|(keys, _)| keys)
    }

    /// As [`Keys::of`], with the first change that does not hold; keys after it are not known.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path, known: &VerifyingKey) -> io::Result<(Self, Option<Broken>)> {
        let firsts = match segment::list(disk, dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            result => result?,
        };
        let (mut learned, mut broken) = (Learned::default(), None);
        for first in firsts {
            let Some((event, before, offset)) = begins_with_change(disk, dir, first)? else { continue };
            if let Err(what) = learned.learn(&event, first, &before) {
                broken = Some(Broken { index: first, file: segment::file_name(first), offset, what });
                break;
            }
        }
        Ok((learned.known_by(known), broken))
    }

    fn has(&self, key: &VerifyingKey) -> bool {
        self.first == *key || self.changes.iter().any(|(_, new)| new == key)
    }

    /// The key in force.
    pub fn current(&self) -> &VerifyingKey {
        self.changes.last().map_or(&self.first, |(_, key)| key)
    }

    /// The key that signs trees of this size.
    pub fn of_size(&self, size: u64) -> &VerifyingKey {
        let changed = self.changes.iter().rfind(|(index, _)| *index < size);
        changed.map_or(&self.first, |(_, key)| key)
    }

    /// The key before the one in force, if there was one.
    pub(crate) fn previous(&self) -> Option<&VerifyingKey> {
        let before = self.changes.len().checked_sub(1)?;
        Some(self.changes.get(..before)?.last().map_or(&self.first, |(_, key)| key))
    }

    /// Verifies a checkpoint by the key that was in force for its size.
    ///
    /// # Errors
    /// If it is not one, or not by that key.
    pub fn open(&self, note: &[u8]) -> Result<Checkpoint, NoteError> {
        let size = Note::parse(note)?.head()?.size;
        Checkpoint::open(note, self.of_size(size))
    }
}

/// The change of the key that a segment begins with, the root before it, and where it is. What is damaged there is found
/// by whoever reads the segment.
fn begins_with_change(disk: &dyn Disk, dir: &Path, first: u64) -> io::Result<Option<(Event, Hash, u64)>> {
    let Some((header, mut scan)) = Scan::open(disk, &segment::path(dir, first))? else { return Ok(None) };
    let Step::Frame { payload, offset, .. } = scan.next()? else { return Ok(None) };
    let event = frame::decode(payload).map(|entry| entry.event);
    Ok(event.ok().filter(is_change).map(|event| (event, header.edge.root(), offset)))
}

/// Whether an event changes the key.
pub(crate) const fn is_change(event: &Event) -> bool {
    matches!(event, Event::KeyRotated { .. })
}

#[cfg(test)]
mod tests;
