//! Text to search for what should not be in it.

use masking::detect::{Hints, scan};

/// A line that looks like an application's, with an address, a card number and a social security number in it.
const TELLING: &str = "2026-03-14 09:26:53 INFO order 10245 of customer 88412 was shipped to Harbour Street 12; \
    contact anna.berg@example.com, paid with 4111 1111 1111 1111, reference 078-05-1120, total 249.90 EUR, \
    state delivered and confirmed.\n";

/// The same without any of them.
const PLAIN: &str = "2026-03-14 09:26:53 INFO order 10245 of customer 88412 was shipped to Harbour Street 12; \
    contact by the web form, paid on delivery to the driver, reference A-7781-C, total 249.90 EUR, \
    state delivered and confirmed.\n";

/// About `length` bytes, three finds in each line.
pub fn with_hits(length: usize) -> String {
    TELLING.repeat(length.div_ceil(TELLING.len()))
}

/// About `length` bytes without any.
pub fn without_hits(length: usize) -> String {
    PLAIN.repeat(length.div_ceil(PLAIN.len()))
}

/// How much is found.
pub fn search(text: &str) -> usize {
    let mut found = 0usize;
    scan(text.as_bytes(), Hints::default(), &mut |_| found = found.saturating_add(1));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_three_finds_or_none() {
        assert_eq!(search(&with_hits(10 * TELLING.len())), 30);
        assert_eq!(search(&without_hits(64 * 1024)), 0);
    }
}
