//! Values of no bound, once it is decided that they are: how far they go on.

use crate::detect::{self, Detector, END, LABEL};
use crate::lens::Lens;

/// A private key that has not ended after so many bytes has none: a key of 16,384 bits takes 13 KiB in PEM.
pub(crate) const LONGEST_KEY: usize = 64 * 1024;

/// How the rest of a value is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shown {
    /// As it is.
    Clear,
    /// As stars.
    Stars,
    /// Not at all: what stands for it was written when it began.
    Nothing,
}

/// A value that goes on behind what was seen of it.
pub(super) struct Run {
    detector: Detector,
    pub(super) shown: Shown,
    kind: Kind,
}

enum Kind {
    Domain,
    /// A token or key that begins so.
    Token([u8; PREFIX]),
    Key(KeyEnd),
}

/// As long as the longest prefix of a token.
const PREFIX: usize = 16;

impl Run {
    /// What goes on behind a match that ends where the text does: a value of no bound, or the private key that was
    /// being read.
    pub(super) fn of(detector: Detector, value: &[u8], key: Option<Self>, shown: Shown) -> Option<Self> {
        let kind = match (detector, key) {
            (Detector::PrivateKey, Some(key)) => key.kind,
            (Detector::Email, _) => Kind::Domain,
            (Detector::Jwt | Detector::ServiceKey, _) => Kind::Token(*value.first_chunk()?),
            _ => return None,
        };
        Some(Self { detector, shown, kind })
    }

    /// A private key, behind the first dashes and `BEGIN`.
    pub(super) const fn key() -> Self {
        let end = KeyEnd { matched: 0, line: None, length: 0, never: false };
        Self { detector: Detector::PrivateKey, shown: Shown::Clear, kind: Kind::Key(end) }
    }

    /// Hides the rest if what showed the beginning does not show it any more.
    pub(super) fn set_lens(&mut self, lens: &Lens) {
        let hidden = lens.content(self.detector).is_some_and(|(_, mask)| mask.is_some());
        if hidden && self.shown == Shown::Clear {
            self.shown = Shown::Stars;
        }
    }

    /// How many of these bytes it takes; nothing if it takes all and goes on.
    pub(super) fn take(&mut self, rest: &[u8]) -> Option<usize> {
        match &mut self.kind {
            Kind::Domain => rest.iter().position(|byte| !detect::is_domain(*byte)),
            Kind::Token(prefix) => rest.iter().position(|byte| !detect::continues(prefix, *byte)),
            Kind::Key(end) => rest.iter().position(|byte| end.is_at(*byte)).map(|last| last.saturating_add(1)),
        }
    }
}

/// Looks for the last line of a private key, byte by byte.
struct KeyEnd {
    /// How many bytes of [`END`] were just seen.
    matched: usize,
    /// Behind it: how many bytes, and how many dashes just now.
    line: Option<(usize, usize)>,
    length: usize,
    /// Whether a last line was begun that has no end, so that nothing says where the key ends.
    never: bool,
}

impl KeyEnd {
    /// Whether this byte is the last one of the key.
    fn is_at(&mut self, byte: u8) -> bool {
        self.length = self.length.saturating_add(1);
        self.is_dashed(byte) || self.length >= LONGEST_KEY
    }

    fn is_dashed(&mut self, byte: u8) -> bool {
        match &mut self.line {
            _ if self.never => false,
            Some((length, dashes)) => {
                (*length, *dashes) = (*length + 1, if byte == b'-' { *dashes + 1 } else { 0 });
                self.never = *dashes < 5 && *length >= LABEL;
                *dashes >= 5
            }
            None => {
                self.matched = match (END.get(self.matched) == Some(&byte), byte) {
                    (true, _) => self.matched + 1,
                    // One dash more than five.
                    (false, b'-') if self.matched == 5 => 5,
                    (false, b'-') => 1,
                    (false, _) => 0,
                };
                self.line = (self.matched == END.len()).then_some((0, 0));
                false
            }
        }
    }
}
