//! What a terminal shows of a stream of bytes: the text, and the sequences that stand in it (ECMA-48, and xterm's "Control
//! Sequences").
//!
//! A sequence that leaves the cursor where it is stands between two characters and does not part them: colours, erasing,
//! modes, titles, character sets, and the control characters that terminals ignore. Whatever else is a sequence may move
//! the cursor, so nothing is read across it; nor across line ends, backspaces and tabs, which are text here.

use super::paint::{MOVE, Painter};

/// The longest sequence that goes out. Of a longer one nothing does: a title with its text in it cannot be masked in part.
pub(super) const LONGEST: usize = 4096;

/// How many bytes of sequences may stand between two characters of one value. More part them: what is held back for a
/// value stays small.
const LONGEST_BETWEEN: usize = 1024;

const ESCAPE: u8 = 0x1b;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const BELL: u8 = 0x07;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Text,
    /// Behind an escape and what may stand between it and its last byte.
    Escape,
    /// Behind `ESC [`.
    Control,
    /// In a string: OSC, which a bell may end, or DCS, SOS, PM, APC.
    String { bell: bool },
}

/// Takes apart what a terminal gets.
#[derive(Default)]
pub(super) struct Parser {
    state: State,
    /// The sequence so far. More than [`LONGEST`] is not kept.
    sequence: Vec<u8>,
    overlong: bool,
    /// How many bytes of text there were, ever.
    text: u64,
    /// How many bytes of sequences there were since.
    between: usize,
}

/// Where the parts go: the text to be searched, the painter that puts the sequences back, and what masks a text in one.
pub(super) struct Parts<'a> {
    pub(super) text: &'a mut Vec<u8>,
    pub(super) painter: &'a mut Painter,
    pub(super) mask: &'a mut dyn FnMut(&[u8]) -> Vec<u8>,
}

impl Parser {
    /// How many bytes of a sequence are held back until it is over.
    pub(super) fn holds(&self) -> usize {
        self.sequence.len()
    }

    /// Takes up the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8], parts: &mut Parts<'_>) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.state != State::Text {
                if self.step(*first, parts) {
                    bytes = rest;
                }
                continue;
            }
            let length = plain_length(bytes);
            let (plain, behind) = bytes.split_at(length);
            if length > 0 {
                parts.text.extend_from_slice(plain);
                self.text = self.text.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
                self.between = 0;
            }
            bytes = behind;
            if let Some((special, rest)) = behind.split_first() {
                bytes = rest;
                self.keep(*special);
                match *special {
                    ESCAPE => self.state = State::Escape,
                    ignored => self.end(parts, !is_ignored(ignored)),
                }
            }
        }
    }

    /// Lets go of a sequence that the stream ended in.
    pub(super) fn finish(&mut self, parts: &mut Parts<'_>) {
        match self.state {
            State::Text => {}
            State::String { .. } => self.end_string(parts),
            State::Escape | State::Control => self.end(parts, true),
        }
        self.state = State::Text;
    }

    /// One byte of a sequence; false if it belongs to what follows.
    fn step(&mut self, byte: u8, parts: &mut Parts<'_>) -> bool {
        match (self.state, byte) {
            (State::String { .. }, ESCAPE) => {
                self.end_string(parts);
                self.state = State::Escape;
                self.keep(byte);
            }
            (State::String { bell }, CANCEL | SUBSTITUTE | BELL) if bell || byte != BELL => {
                let overlong = self.overlong;
                self.end_string(parts);
                // A bell that ends nothing would ring.
                if byte != BELL || !overlong {
                    self.keep(byte);
                    self.end(parts, byte != BELL);
                }
            }
            (State::String { .. }, _) => self.keep(byte),
            (_, ESCAPE) => {
                self.end(parts, true);
                self.state = State::Escape;
                self.keep(byte);
            }
            (_, CANCEL | SUBSTITUTE) => {
                self.keep(byte);
                self.end(parts, true);
            }
            // No sequence has one: a terminal gives it up and shows the character.
            (_, 0x80..) => {
                self.end(parts, true);
                return false;
            }
            (State::Escape, _) => self.escape(byte, parts),
            (State::Control | State::Text, _) => {
                self.keep(byte);
                if matches!(byte, 0x40..=0x7e) {
                    let still =
                        matches!(byte, b'm' | b'K' | b'J' | b'X' | b'h' | b'l' | b'n' | b'c' | b'q' | b't' | b'p');
                    let plain = !self.sequence.iter().skip(1).any(u8::is_ascii_control);
                    self.end(parts, !(still && plain));
                }
            }
        }
        true
    }

    /// A byte behind an escape.
    fn escape(&mut self, byte: u8, parts: &mut Parts<'_>) {
        self.keep(byte);
        let second = self.sequence.get(1).copied();
        let first = self.sequence.len() == 2;
        match byte {
            b'[' if first => self.state = State::Control,
            b']' if first => self.state = State::String { bell: true },
            b'P' | b'X' | b'^' | b'_' if first => self.state = State::String { bell: false },
            // Something stands between: what follows says which it is.
            0x20..=0x2f => {}
            // The terminal obeys it in the middle of a sequence.
            0..=0x1f | 0x7f => {}
            // The end of a string, keypads and locking shifts; behind `(` and its like a character set.
            b'\\' | b'=' | b'>' | b'n' | b'o' | b'|' | b'}' | b'~' if first => self.end(parts, false),
            _ if matches!(second, Some(b'(' | b')' | b'*' | b'+' | b'-' | b'.' | b'/' | b'%')) => {
                let plain = !self.sequence.iter().skip(1).any(u8::is_ascii_control);
                self.end(parts, !plain);
            }
            _ => self.end(parts, true),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.sequence.len() < LONGEST {
            self.sequence.push(byte);
        } else {
            self.overlong = true;
        }
    }

    /// A string is over: its text is masked.
    fn end_string(&mut self, parts: &mut Parts<'_>) {
        if !self.overlong {
            let masked = self.sequence.get(2..).map(|text| (parts.mask)(text)).unwrap_or_default();
            self.sequence.truncate(2);
            self.sequence.extend_from_slice(&masked);
        }
        self.end(parts, false);
    }

    /// A sequence is over.
    fn end(&mut self, parts: &mut Parts<'_>, moves: bool) {
        self.state = State::Text;
        if std::mem::take(&mut self.overlong) {
            self.sequence.clear();
        }
        self.between = self.between.saturating_add(self.sequence.len());
        let moves = moves || self.between > LONGEST_BETWEEN;
        parts.painter.sequence(self.text, &self.sequence, moves);
        if moves {
            parts.text.push(MOVE);
            self.text = self.text.saturating_add(1);
            self.between = 0;
        }
        self.sequence.clear();
    }
}

/// What a terminal takes and shows nothing of.
const fn is_ignored(byte: u8) -> bool {
    matches!(byte, 0 | 0x05 | BELL | 0x0e | 0x0f | 0x7f)
}

/// How many bytes are text. Looked at in pieces, so that vectors can be used.
fn plain_length(bytes: &[u8]) -> usize {
    const PIECE: usize = 64;
    let pieces = bytes.chunks_exact(PIECE);
    let whole = pieces.take_while(|piece| !piece.iter().fold(false, |any, byte| any | is_special(*byte))).count();
    let before = whole.saturating_mul(PIECE);
    let rest = bytes.get(before..).unwrap_or_default();
    before.saturating_add(rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len()))
}

/// Control characters but backspace, tab, line feed and carriage return.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 && !(byte >= 0x08 && byte <= 0x0a) && byte != 0x0d || byte == 0x7f
}
