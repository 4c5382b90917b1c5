//! Putting another key in force.

use std::sync::atomic::Ordering;

use model::event::Entry;
use model::time::Timestamp;

use super::{Health, Journal, JournalError, start_segment};
use crate::frame;
use crate::note::SigningKey;
use crate::rotation;
use crate::segment::Header;

/// Why a journal did not take another key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// It is the same key, or has another name than the journal.
    #[error("the new key is not another key of this journal")]
    Key,
    /// It cannot be written. Whether the key was changed shows when the journal is opened again.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Journal {
    /// Puts another key in force: signs what there is with the old key, records the change, signed by both, and signs
    /// that with the new one. See `rotation.rs` for what is written.
    ///
    /// # Errors
    /// See [`RotateError`]. The journal is closed then; open it with the key that is in force.
    pub fn rotate(mut self, new: SigningKey, at: Timestamp) -> Result<Self, RotateError> {
        let (old, next) = (self.key.public(), new.public());
        if old == next || old.name() != next.name() {
            return Err(RotateError::Key);
        }
        self.checkpoint()?;
        self.change_key(&new, at)?;
        self.key = new;
        self.checkpoint()?;
        Ok(self)
    }

    /// Begins a segment with the change of the key: both are there at once, or neither.
    fn change_key(&self, new: &SigningKey, at: Timestamp) -> Result<(), JournalError> {
        let _turn = self.turn();
        let mut state = self.state();
        if state.health != Health::Well || state.synced.edge.size() != state.edge.size() {
            return Err(JournalError::Stalled);
        }
        let (size, root) = (state.edge.size(), state.edge.root());
        let entry = Entry { at, event: rotation::event(&self.key, new, size, root) };
        let mut frames = Vec::new();
        let leaf = frame::encode(&entry, size, &mut frames)?;
        // A segment without entries is replaced by one of the same name.
        let (previous_first, previous_length) = match state.header.edge.size() == size {
            true => (state.header.previous_first, state.header.previous_length),
            false => (state.header.edge.size(), state.length),
        };
        let header = Header { edge: state.edge.clone(), previous_first, previous_length };
        let (file, length) = start_segment(self.disk.as_ref(), &self.dir, &header, &frames)?;
        state.edge.push(leaf);
        state.begin(file, header, length);
        self.visible.store(state.edge.size(), Ordering::Release);
        Ok(())
    }
}
