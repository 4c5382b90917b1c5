//! The search by blocks finds what the search byte by byte finds, wherever the borders of the blocks are.

use std::path::Path;

use fearless_simd::Level;
use proptest::prelude::*;

use super::super::{cursor, iban, scanner, secrets};
use super::*;

type Search<'a> = &'a dyn Fn(&mut dyn FnMut(Match));

fn all(search: Search<'_>) -> Vec<Match> {
    let mut all = Vec::new();
    search(&mut |found| all.push(found));
    all
}

/// Every width of vectors that the processor has.
fn levels() -> Vec<Level> {
    let best = Level::new();
    #[cfg(target_arch = "x86_64")]
    let lower = [
        best.as_sse2().map(Level::Sse2),
        best.as_sse4_2().map(Level::Sse4_2),
        best.as_avx2().map(Level::Avx2),
        best.as_avx512().map(Level::Avx512),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let lower = [None; 0];
    lower.into_iter().flatten().chain([best]).collect()
}

pub(super) fn assert_as_simple(text: &[u8], hints: Hints) {
    let simple = all(&|found| cursor::scan(text, hints, found));
    assert_eq!(all(&|found| scan(text, hints, &mut |matched| found(matched))), simple, "{}", text.escape_ascii());
    for level in levels() {
        let by_blocks = all(&|found| scanner::scan_at(level, text, hints, found));
        assert_eq!(by_blocks, simple, "{level:?}: {}", text.escape_ascii());
    }
}

/// At every place of a block, and cut off at every place near the end of one.
fn assert_anywhere(text: &[u8], filler: u8, hints: Hints) {
    for before in 0..64 {
        let moved = [&vec![filler; before], text].concat();
        assert_as_simple(&moved, hints);
        assert_as_simple(moved.get(..128).unwrap_or(&moved), hints);
        assert_as_simple(moved.get(..64).unwrap_or(&moved), hints);
    }
}

/// Digits with every separator, words, and (parts of) all that is looked for.
const SPELLINGS: &str = "([0-9]{1,9}|[ -]|[.(/)]|\u{a0}|[a-zA-Z]{1,4}|[0-9a-f]{1,8}|4111 1111|1111-1111|4111111111111111|3782.822463.10005\
    |078-05-|1120|219099999|DE89|3704|NO9386011117947|@|a@b.co|é@ä.de|\\+4|\\+14155552671|tel|ssn|_|x|-----|-----BEGIN |PRIVATE KEY-----|-----END |é|\n){0,14}";

proptest! {
    #[test]
    fn blocks_find_what_the_simple_search_finds(text in SPELLINGS, ssn: bool, phone: bool, before in 0usize..64) {
        let text = [" ".repeat(before).as_bytes(), text.as_bytes()].concat();
        assert_as_simple(&text, Hints { ssn, phone });
    }

    #[test]
    fn so_they_do_in_any_bytes(text in prop::collection::vec(any::<u8>(), 0..200), ssn: bool, phone: bool) {
        assert_as_simple(&text, Hints { ssn, phone });
    }

    /// A second search has to find at its edges what a first one left.
    #[test]
    fn so_they_do_in_pieces(text in SPELLINGS, at in 0usize..200) {
        let (before, after) = text.as_bytes().split_at(at.min(text.len()));
        assert_as_simple(before, Hints::default());
        assert_as_simple(after, Hints::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_border_of_a_block_hides_anything(text in SPELLINGS, filler in prop::sample::select(b" \n-.1aZ@x".to_vec())) {
        assert_anywhere(text.as_bytes(), filler, Hints::default());
    }
}

#[test]
fn every_credential_is_found_at_every_place() {
    for prefix in secrets::prefixes() {
        // Assembled here, so that no scanner takes this file for a leak.
        for tail in ["ABCDEFGH23456723", &"aB3".repeat(14)] {
            let text = [" ", prefix, tail, " "].concat();
            assert_anywhere(text.as_bytes(), b'.', Hints::default());
        }
        let longest = [prefix, &"A".repeat(40)].concat();
        let exact = [prefix, &"A".repeat(16)].concat();
        assert!(found(&longest).len() + found(&exact).len() > 0, "{prefix}");
    }
}

#[test]
fn every_country_is_found_in_the_list() {
    assert!(iban::countries().is_sorted());
}

/// The mutations of a few seeds, as a fuzzer makes them.
#[test]
fn mutated_texts_hold_the_same_for_both() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/detect");
    testkit::mutation::over_seeds(&seeds, 6000, |text| assert_as_simple(text, Hints::default()));
}
