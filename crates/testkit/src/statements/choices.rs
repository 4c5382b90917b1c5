//! The choices behind a generated statement: drawn from a seed, or replayed from a tape to make it smaller.

/// Where choices come from. Zero is always the simplest choice, so that a tape of zeros is the simplest statement.
#[derive(Clone, Debug)]
pub struct Choices {
    state: u64,
    tape: Vec<u32>,
    replayed: usize,
    fresh: bool,
}

impl Choices {
    /// Choices that depend on `seed` and `number` alone.
    pub fn of(seed: u64, number: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Self { state, tape: Vec::new(), replayed: 0, fresh: true }
    }

    /// The same choices again; after the last one, zeros.
    pub const fn again(tape: Vec<u32>) -> Self {
        Self { state: 0, tape, replayed: 0, fresh: false }
    }

    /// What was chosen so far.
    pub fn tape(&self) -> &[u32] {
        &self.tape
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        let drawn = if self.fresh {
            // The upper half of SplitMix64's output.
            let drawn = u32::try_from(self.next() >> 32).unwrap_or_default();
            self.tape.push(drawn);
            drawn
        } else {
            self.tape.get(self.replayed).copied().unwrap_or_default()
        };
        self.replayed += 1;
        let drawn = usize::try_from(drawn).unwrap_or_default();
        drawn.checked_rem(count).unwrap_or_default()
    }

    /// True in `percent` of all cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) > 99_usize.saturating_sub(percent)
    }

    /// One of several.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T], otherwise: &'a T) -> &'a T {
        let at = self.below(from.len());
        from.get(at).copied().unwrap_or(otherwise)
    }

    // SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The smallest tape that still fails, as far as leaving out and zeroing choices finds it within `attempts`.
pub fn smaller(tape: &[u32], mut attempts: usize, mut fails: impl FnMut(Choices) -> bool) -> Vec<u32> {
    let mut best = tape.to_vec();
    let mut width = best.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = best.clone();
        while at < best.len() && attempts > 0 {
            let end = (at + width).min(best.len());
            let without = [best.get(..at).unwrap_or_default(), best.get(end..).unwrap_or_default()].concat();
            let mut zeroed = best.clone();
            zeroed.get_mut(at..end).into_iter().flatten().for_each(|choice| *choice = 0);
            let found = [without, zeroed].into_iter().filter(|tape| *tape != best).find(|tape| {
                attempts = attempts.saturating_sub(1);
                fails(Choices::again(tape.clone()))
            });
            match found {
                Some(tape) => best = tape,
                None => at += width,
            }
            if best.get(at..).is_some_and(|rest| rest.iter().all(|choice| *choice == 0)) {
                best.truncate(at);
            }
        }
        if attempts == 0 || (width == 1 && best == before) {
            return best;
        }
        width = (width / 2).max(1);
    }
}
