//! Sixty-four bytes at once: which of them are what, and where something may begin.

use fearless_simd::prelude::*;
use fearless_simd::{Simd, u8x16, u8x32, u8x64};

use super::numbers::Number;

/// How many bytes are looked at together: as many as there are bits in a `u64`.
pub(super) const BLOCK: usize = 64;

/// What the bytes of a block are: one bit for each, the first in the lowest.
#[derive(Clone, Copy, Default)]
pub(super) struct Block {
    digits: u64,
    letters: u64,
    capitals: u64,
    /// Digits, and what may stand between the digits of a telephone number.
    dialled: u64,
    /// `-`, `.` and `_`: one of them is in every prefix of a secret without capitals and digits, but for `xoxe`.
    joints: u64,
    /// `@`, `+`, and the `x` of `xoxe`.
    signs: u64,
    /// The first byte of a no-break space.
    no_break: u64,
}

impl Block {
    /// Looks at a whole block.
    #[inline(always)]
    pub(super) fn read<S: Simd>(simd: S, bytes: &[u8; BLOCK]) -> Self {
        Self::of(u8x64::simd_from(simd, *bytes))
    }

    /// A text that is shorter than a block, by its first and its last bytes, which may overlap. Less than four are none.
    #[inline(always)]
    pub(super) fn short<S: Simd>(simd: S, text: &[u8]) -> Self {
        if let Some((first, last, apart)) = both_ends::<32>(text) {
            let (first, last) = (u8x32::simd_from(simd, first), u8x32::simd_from(simd, last));
            return Self::of(first).and(
                Self::of(last),
                #[inline(always)]
                |first, last| first | last << apart,
            );
        }
        if let Some((first, last, apart)) = both_ends::<16>(text) {
            let (first, last) = (u8x16::simd_from(simd, first), u8x16::simd_from(simd, last));
            return Self::of(first).and(
                Self::of(last),
                #[inline(always)]
                |first, last| first | last << apart,
            );
        }
        let (both, apart) = if let Some((first, last, apart)) = both_ends::<8>(text) {
            (u128::from(u64::from_le_bytes(first)) | u128::from(u64::from_le_bytes(last)) << 64, apart)
        } else if let Some((first, last, apart)) = both_ends::<4>(text) {
            (u128::from(u32::from_le_bytes(first)) | u128::from(u32::from_le_bytes(last)) << 64, apart)
        } else {
            return Self::default();
        };
        let both = Self::of(u8x16::simd_from(simd, both.to_le_bytes()));
        both.and(
            both,
            #[inline(always)]
            |first, last| first & 0xff | last >> 8 << apart,
        )
    }

    /// The rest of a text behind its last whole block, by its last bytes.
    #[inline(always)]
    pub(super) fn rest<S: Simd>(simd: S, bytes: &[u8; BLOCK], length: usize) -> Self {
        let before = u32::try_from(BLOCK - length).unwrap_or(0);
        let all = Self::read(simd, bytes);
        all.and(
            all,
            #[inline(always)]
            |bits, _| bits >> before,
        )
    }

    /// Its bits, each together with those of another one.
    #[inline(always)]
    fn and(self, other: Self, both: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            digits: both(self.digits, other.digits),
            letters: both(self.letters, other.letters),
            capitals: both(self.capitals, other.capitals),
            dialled: both(self.dialled, other.dialled),
            joints: both(self.joints, other.joints),
            signs: both(self.signs, other.signs),
            no_break: both(self.no_break, other.no_break),
        }
    }

    /// Compares all the bytes with all that is looked for.
    #[inline(always)]
    fn of<S: Simd, V: SimdInt<S, Element = u8>>(bytes: V) -> Self {
        let capitals = range(bytes, b'A', b'Z');
        // Dash, dot, slash and the digits stand in a row.
        let dialled = range(bytes, b'-', b'9') | range(bytes, b'(', b')') | bytes.simd_eq(b' ');
        let joints = range(bytes, b'-', b'.') | bytes.simd_eq(b'_');
        let signs = bytes.simd_eq(b'@') | bytes.simd_eq(b'+') | bytes.simd_eq(b'x');
        Self {
            digits: range(bytes, b'0', b'9').to_bitmask(),
            letters: (capitals | range(bytes, b'a', b'z')).to_bitmask(),
            capitals: capitals.to_bitmask(),
            dialled: dialled.to_bitmask(),
            joints: joints.to_bitmask(),
            signs: signs.to_bitmask(),
            no_break: bytes.simd_eq(0xc2).to_bitmask(),
        }
    }

    /// Where something may begin, or an address have its `@`: everywhere it does, and at few places more.
    #[inline(always)]
    pub(super) fn starts(&self, before: &Self, next: &Self) -> u64 {
        let inside_word = (self.digits | self.letters) << 1 | (before.digits | before.letters) >> 63;
        let words = self.letters & !inside_word;
        let signs = self.signs & !(self.letters & inside_word);
        self.numbers(before, next) | words & self.named(next) | signs | self.dashes(next)
    }

    /// Runs of digits with six bytes behind the first that may all be of one number; all of them where there is a no-break
    /// space.
    #[inline(always)]
    fn numbers(&self, before: &Self, next: &Self) -> u64 {
        let numbers = self.digits & !(self.digits << 1 | before.digits >> 63);
        if self.no_break | next.no_break != 0 {
            return numbers;
        }
        let dialled = |ahead| from(self.dialled, next.dialled, ahead);
        numbers & dialled(1) & dialled(2) & dialled(3) & dialled(4) & dialled(5) & dialled(6)
    }

    /// Where the letters of an IBAN or of a secret's prefix may stand, if a word begins there.
    #[inline(always)]
    fn named(&self, next: &Self) -> u64 {
        let joint = |ahead| from(self.joints, next.joints, ahead);
        let digit = |ahead| from(self.digits, next.digits, ahead);
        let numbered = from(self.letters, next.letters, 1) & digit(2) & digit(3);
        let capitals = self.capitals & from(self.capitals, next.capitals, 1) | from(self.capitals, next.capitals, 2);
        numbered | capitals | joint(2) | joint(3) | joint(4) | joint(5) | joint(6)
    }

    /// Five dashes (or what is taken for them) and a letter.
    #[inline(always)]
    fn dashes(&self, next: &Self) -> u64 {
        let joint = |ahead| from(self.joints, next.joints, ahead);
        self.joints & joint(1) & joint(2) & joint(3) & joint(4) & from(self.letters, next.letters, 5)
    }

    /// The number that begins at this byte, if it can be one of interest: none has fewer than seven digits, whatever stands
    /// between them. A no-break space is the one separator that is not counted over.
    #[inline(always)]
    pub(super) fn number(&self, next: &Self, bit: u32, at: usize) -> Option<Number> {
        /// Fifteen digits with at most two separators between each.
        const LONGEST: u64 = (1 << 45) - 1;
        let digits = from(self.digits, next.digits, bit);
        let separators = from(self.dialled, next.dialled, bit) & !digits;
        let third = separators & separators << 1 & separators << 2;
        let ends = !(digits | separators) | third;
        let dialled = digits & LONGEST & (ends & ends.wrapping_neg()).wrapping_sub(1);
        let (count, length) = (dialled.count_ones(), 64 - dialled.leading_zeros());
        let long = count >= 7 || from(self.no_break, next.no_break, bit) & 1 << length != 0;
        long.then_some(Number { at, digits, dialled: (count, length) })
    }
}

/// The first and the last bytes of a text, and how far they are apart.
#[inline(always)]
fn both_ends<const N: usize>(text: &[u8]) -> Option<([u8; N], [u8; N], u32)> {
    let apart = u32::try_from(text.len().checked_sub(N)?).ok()?;
    Some((*text.first_chunk()?, *text.last_chunk()?, apart))
}

/// The bits from this one on, with those of the next block behind them.
#[inline(always)]
const fn from(here: u64, next: u64, at: u32) -> u64 {
    here >> at | next << 1 << (63 - at)
}

#[inline(always)]
fn range<S: Simd, V: SimdInt<S, Element = u8>>(bytes: V, first: u8, last: u8) -> V::Mask {
    (bytes - first).simd_lt(last - first + 1)
}
