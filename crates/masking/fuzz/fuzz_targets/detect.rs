//! Texts: the search by blocks finds what the simple search finds. The same is tried with the seeds by
//! `src/detect/tests/equality.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use masking::detect::{Hints, cursor, scan};

fuzz_target!(|input: &[u8]| {
    let Some((hints, text)) = input.split_first() else { return };
    let hints = Hints { ssn: hints & 1 != 0, phone: hints & 2 != 0 };
    let (mut found, mut simple) = (Vec::new(), Vec::new());
    scan(text, hints, &mut |matched| found.push(matched));
    cursor::scan(text, hints, &mut |matched| simple.push(matched));
    assert_eq!(found, simple);
});
