//! From one place where something may begin to the next, block by block.

use fearless_simd::{Level, Simd, dispatch};

use super::block::{BLOCK, Block};
use super::{Hints, Match, bounded, email, iban, numbers, secrets};

/// The shortest that is found: an address such as `a@b.cd`.
const SHORTEST: usize = 6;

/// As [`super::scan`], with the widest vectors that the processor has.
pub(super) fn scan(text: &[u8], hints: Hints, found: &mut dyn FnMut(Match)) {
    if text.len() >= SHORTEST {
        scan_at(Level::new(), text, hints, found);
    }
}

/// Likewise, with these vectors.
#[inline]
pub(super) fn scan_at(level: Level, text: &[u8], hints: Hints, found: &mut dyn FnMut(Match)) {
    let mut found = |matched: Match| {
        found(matched);
        matched.end
    };
    let mut scanner = Scanner { text, hints, bounded: false, from: 0, floor: 0, start: 0, found: &mut found };
    dispatch!(level, simd => scanner.run(simd));
}

/// As [`super::scan_bounded`].
pub(super) fn scan_bounded(
    text: &[u8],
    from: usize,
    floor: usize,
    hints: Hints,
    found: &mut dyn FnMut(Match) -> usize,
) {
    if text.len().saturating_sub(from) > 0 && text.len() >= SHORTEST {
        let mut scanner = Scanner { text, hints, bounded: true, from, floor, start: 0, found };
        dispatch!(Level::new(), simd => scanner.run(simd));
    }
}

struct Scanner<'t, 'f> {
    text: &'t [u8],
    hints: Hints,
    /// Whether what has no bound is decided by its first bytes.
    bounded: bool,
    /// Nothing begins, and no address has its `@`, before it.
    from: usize,
    /// Nothing before it may be part of a match any more.
    floor: usize,
    /// Where the block in hand begins.
    start: usize,
    /// Takes a match and says where it ends.
    found: &'f mut dyn FnMut(Match) -> usize,
}

impl Scanner<'_, '_> {
    /// Every block is looked at when the next one is known too, for much begins in one and ends in the other.
    #[inline(always)]
    fn run<S: Simd>(&mut self, simd: S) {
        let (mut here, behind) = match self.text.split_first_chunk() {
            Some((first, behind)) => (Block::read(simd, first), behind),
            None => (Block::short(simd, self.text), [].as_slice()),
        };
        let (whole, rest) = behind.as_chunks();
        let mut whole = whole.iter();
        let mut rest = self.text.last_chunk().map(|bytes| (bytes, rest.len())).filter(|(_, length)| *length > 0);
        let (mut before, mut more) = (Block::default(), true);
        while more {
            let next = match (whole.next(), rest) {
                (Some(bytes), _) => Block::read(simd, bytes),
                (None, Some((bytes, length))) => {
                    rest = None;
                    Block::rest(simd, bytes, length)
                }
                (None, None) => {
                    more = false;
                    Block::default()
                }
            };
            self.block(&before, &here, &next);
            (before, here) = (here, next);
            self.start = self.start.saturating_add(BLOCK);
        }
    }

    /// Looks at every place of a block where something may begin.
    #[inline(always)]
    fn block(&mut self, before: &Block, here: &Block, next: &Block) {
        let mut starts = self.above(here.starts(before, next));
        while starts != 0 {
            let bit = starts.trailing_zeros();
            starts &= starts - 1;
            if let Some(matched) = self.candidate(bit, here, next) {
                self.floor = (self.found)(matched);
                self.from = self.floor;
                starts = self.above(starts);
            }
        }
    }

    /// Without what lies before the first place, and with that place itself where a match ended there: behind one anything
    /// may begin, also in the middle of a word.
    #[inline(always)]
    fn above(&self, starts: u64) -> u64 {
        match self.from.checked_sub(self.start) {
            Some(bit) if self.from > 0 => {
                let from = u32::try_from(bit).ok().and_then(|bit| 1u64.checked_shl(bit)).unwrap_or(0);
                let behind = if self.from == self.floor { from } else { 0 };
                (starts | behind) & from.wrapping_neg()
            }
            _ => starts,
        }
    }

    /// What begins (or, for an address, has its `@`) at this byte.
    #[inline(always)]
    fn candidate(&self, bit: u32, here: &Block, next: &Block) -> Option<Match> {
        let (text, floor) = (self.text, self.floor);
        let at = self.start.checked_add(usize::try_from(bit).ok()?)?;
        match text.get(at)? {
            b'0'..=b'9' => numbers::find(text, floor, here.number(next, bit, at)?, self.hints),
            b'+' => numbers::international(text, floor, at),
            b'@' if self.bounded => bounded::address(text, floor, at),
            b'@' => email::find(text, floor, at),
            b'-' if self.bounded => bounded::private_key(text, at),
            b'-' => secrets::private_key(text, at),
            b'A'..=b'Z' | b'a'..=b'z' if self.bounded => bounded::secret(text, at).or_else(|| iban::find(text, at)),
            b'A'..=b'Z' | b'a'..=b'z' => secrets::find(text, at).or_else(|| iban::find(text, at)),
            _ => None,
        }
    }
}
