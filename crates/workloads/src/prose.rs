//! Text to search for what should not be in it.

use masking::detect::{Hints, scan};
use masking::ssh::Stream;

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

/// Lines with colours as `ls` and `grep` write them, without any.
pub fn painted(length: usize) -> String {
    PLAIN.replace("order", "\x1b[01;31m\x1b[Korder\x1b[m\x1b[K").repeat(length.div_ceil(PLAIN.len()))
}

/// Puts text through a stream, in pieces as a channel's packets bring it; returns how many bytes come out.
pub fn stream(stream: &mut Stream, text: &str) -> usize {
    /// The most that OpenSSH sends in a packet.
    const PACKET: usize = 32 * 1024;
    let mut length = 0usize;
    for piece in text.as_bytes().chunks(PACKET) {
        let (bytes, _) = stream.push(piece).into_parts();
        length = length.saturating_add(bytes.len());
        stream.recycle(bytes);
    }
    length
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

    #[test]
    fn streams_let_all_of_the_lines_out() {
        let lens = crate::rows::lens(crate::rows::Shape::TEXT);
        for text in [without_hits(64 * 1024), painted(64 * 1024)] {
            assert_eq!(stream(&mut Stream::text(lens.clone()), &text), text.len());
            assert_eq!(stream(&mut Stream::terminal(lens.clone()), &text), text.len());
        }
        assert!(stream(&mut Stream::text(lens), &with_hits(64 * 1024)) > 0);
    }
}
