//! What goes out: text, masks, and on a terminal the sequences that stand between its characters.

use std::collections::VecDeque;

use crate::mask::Mask;
use crate::stream::{Paint, Shown, stars};

/// Stands in the text of a terminal for a sequence that ends a run. Nothing else there is an escape.
pub(super) const MOVE: u8 = 0x1b;

/// Gathers what goes out.
#[derive(Default)]
pub(super) struct Painter {
    pub(super) out: Vec<u8>,
    scratch: String,
    terminal: bool,
    /// How many bytes of text went out, ever.
    painted: u64,
    /// Sequences that are to come: where in the text, and how many of `bytes`.
    sequences: VecDeque<Sequence>,
    bytes: VecDeque<u8>,
    /// Whether anything was masked since the stack was wiped.
    pub(super) has_masked: bool,
}

struct Sequence {
    /// Before which byte of the text.
    at: u64,
    length: usize,
    /// Whether that byte is a [`MOVE`] that stands for it.
    moves: bool,
}

impl Painter {
    /// For a terminal: what is masked is stars, as wide as it was.
    pub(super) fn terminal() -> Self {
        Self { terminal: true, ..Self::default() }
    }

    /// How many bytes of sequences wait.
    pub(super) fn holds(&self) -> usize {
        self.bytes.len()
    }

    /// Gives back the room of what is empty.
    pub(super) fn rest(&mut self) {
        (self.out, self.scratch) = (Vec::new(), String::new());
        self.sequences.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// Adds a sequence before the byte `at` of the text.
    pub(super) fn sequence(&mut self, at: u64, bytes: &[u8], moves: bool) {
        self.bytes.extend(bytes);
        self.sequences.push_back(Sequence { at, length: bytes.len(), moves });
    }

    /// Lets go of the sequences that no text stands before any more.
    pub(super) fn settle(&mut self) {
        while let Some(sequence) = self.sequences.pop_front_if(|next| next.at <= self.painted && !next.moves) {
            self.out.extend(self.bytes.drain(..sequence.length));
        }
    }

    /// Paints text with the sequences that stand in it.
    fn between(&mut self, mut text: &[u8], paint: &mut dyn FnMut(&[u8], &mut Vec<u8>)) {
        if !self.terminal {
            return paint(text, &mut self.out);
        }
        while !text.is_empty() {
            let ahead = self.sequences.front().map(|next| next.at.saturating_sub(self.painted));
            let ahead = ahead.and_then(|ahead| usize::try_from(ahead).ok()).unwrap_or(usize::MAX);
            let (before, behind) = text.split_at(ahead.min(text.len()));
            paint(before, &mut self.out);
            self.painted = self.painted.saturating_add(u64::try_from(before.len()).unwrap_or(u64::MAX));
            text = behind;
            if text.is_empty() {
                break;
            }
            let Some(sequence) = self.sequences.pop_front() else { break };
            self.out.extend(self.bytes.drain(..sequence.length));
            if sequence.moves {
                text = text.get(1..).unwrap_or_default();
                self.painted = self.painted.saturating_add(1);
            }
        }
    }
}

impl Paint for Painter {
    fn plain(&mut self, text: &[u8]) {
        self.between(text, &mut |text, out| out.extend_from_slice(text));
    }

    fn stars(&mut self, text: &[u8]) {
        self.between(text, &mut |text, out| stars(text, out));
    }

    fn masked(&mut self, mask: &Mask, value: &[u8]) {
        if self.terminal {
            return self.stars(value);
        }
        if !mask.bytes(value, &mut self.scratch, &mut self.out) {
            self.out.extend_from_slice(mask.label().as_bytes());
        }
        self.has_masked = true;
    }

    fn redacted(&mut self, mask: &Mask, value: &[u8]) {
        if self.terminal {
            return self.stars(value);
        }
        self.out.extend_from_slice(mask.label().as_bytes());
    }

    fn goes_on(&self) -> Shown {
        if self.terminal { Shown::Stars } else { Shown::Nothing }
    }

    /// Only where there is no terminal, so that nothing stands in the text.
    fn nothing(&mut self, _text: &[u8]) {}
}
