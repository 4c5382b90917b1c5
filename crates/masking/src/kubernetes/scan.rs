//! Where in the JSON of an answer its items are. What is not JSON is found by those who read it afterwards.

use crate::http::Unmaskable;

use super::Shape;

/// How deep it may be nested.
const DEEPEST: usize = 128;

/// The longest key that is looked at, in bytes.
const LONGEST_KEY: usize = 256;

/// What becomes of a byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It is around the items.
    Passes,
    /// It is between them.
    Skipped,
    /// Behind it the items begin.
    Opens,
    /// It is part of one.
    Held,
    /// It is the last of one.
    Ends,
}

/// Reads byte by byte.
pub(super) struct Scan {
    shape: Shape,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the next string of the outermost object is a key.
    awaits_key: bool,
    in_key: bool,
    key: Vec<u8>,
    /// Whether it is in the array that has the items.
    in_items: bool,
}

impl Scan {
    pub(super) const fn new(shape: Shape) -> Self {
        Self {
            shape,
            depth: 0,
            in_string: false,
            escaped: false,
            awaits_key: false,
            in_key: false,
            key: Vec::new(),
            in_items: false,
        }
    }

    /// Whether it is in no value.
    pub(super) const fn is_outside(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    pub(super) fn step(&mut self, byte: u8) -> Result<Step, Unmaskable> {
        // At how many levels an item stands.
        let around = match self.shape {
            Shape::List => 2,
            Shape::Watch => 0,
        };
        let is_item = match self.shape {
            Shape::List => self.in_items,
            Shape::Watch => true,
        };
        let was_within = is_item && self.depth > around;
        if self.in_string {
            self.string(byte);
            return Ok(if was_within { Step::Held } else { Step::Passes });
        }
        if is_item && self.depth == around {
            return self.between(byte);
        }
        let opens = self.structure(byte)?;
        match (was_within, opens) {
            (true, _) if self.depth == around => Ok(Step::Ends),
            (true, _) => Ok(Step::Held),
            (false, true) => Ok(Step::Opens),
            (false, false) => Ok(Step::Passes),
        }
    }

    /// Between two items, or at the end of them.
    fn between(&mut self, byte: u8) -> Result<Step, Unmaskable> {
        match (byte, self.shape) {
            (b'{', _) => {
                self.depth = self.depth.saturating_add(1);
                Ok(Step::Held)
            }
            (b']', Shape::List) => {
                self.in_items = false;
                self.depth = self.depth.saturating_sub(1);
                Ok(Step::Passes)
            }
            (b' ' | b'\t' | b'\n' | b'\r', _) | (b',', Shape::List) => Ok(Step::Skipped),
            _ => Err(Unmaskable::Malformed),
        }
    }

    /// A byte of a string.
    fn string(&mut self, byte: u8) {
        if self.in_key && (byte != b'"' || self.escaped) && self.key.len() < LONGEST_KEY {
            self.key.push(byte);
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                if std::mem::take(&mut self.in_key) {
                    self.awaits_key = false;
                }
            }
            _ => {}
        }
    }

    /// A byte outside of strings; says whether the items begin behind it.
    fn structure(&mut self, byte: u8) -> Result<bool, Unmaskable> {
        match byte {
            b'"' => {
                self.in_string = true;
                self.in_key = self.awaits_key && self.depth == 1;
                if self.in_key {
                    self.key.clear();
                }
            }
            b'{' | b'[' => {
                let opens = self.shape == Shape::List && byte == b'[' && self.depth == 1 && self.is_of_items();
                if self.depth >= DEEPEST {
                    return Err(Unmaskable::TooDeep);
                }
                self.awaits_key |= byte == b'{' && self.depth == 0;
                self.depth = self.depth.saturating_add(1);
                self.in_items |= opens;
                return Ok(opens);
            }
            b'}' | b']' => self.depth = self.depth.checked_sub(1).ok_or(Unmaskable::Malformed)?,
            b',' if self.depth == 1 => self.awaits_key = true,
            _ => {}
        }
        Ok(false)
    }

    /// Whether the member that comes has the items: some readers compare names without case.
    fn is_of_items(&self) -> bool {
        let quoted = [b"\"", self.key.as_slice(), b"\""].concat();
        let Ok(key) = serde_json::from_slice::<String>(&quoted) else { return false };
        key.eq_ignore_ascii_case("items") || key.eq_ignore_ascii_case("rows")
    }
}
