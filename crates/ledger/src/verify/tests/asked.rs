//! What other verifiers are given: many logs, damaged at random.

/// Appends a text or a content as those verifiers read them: its length in 4 bytes, and itself.
pub(crate) fn put(bytes: &[u8], given: &mut Vec<u8>) {
    put_number(bytes.len(), given);
    given.extend(bytes);
}

pub(crate) fn put_number(number: usize, given: &mut Vec<u8>) {
    given.extend(u32::try_from(number).unwrap().to_be_bytes());
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most.max(1)
    }

    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}
