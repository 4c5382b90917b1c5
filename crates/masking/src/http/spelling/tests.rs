//! Spellings, in pieces and back.

use super::*;
use proptest::prelude::*;

const ALL: [Spelling; 6] =
    [Spelling::Plain, Spelling::Json, Spelling::Form, Spelling::Percent, Spelling::Markup, Spelling::Quoted];

/// What is meant, and what it was spelt from; cut into pieces of this length.
fn read(spelling: Spelling, text: &[u8], piece: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = Reader::default();
    reader.begin(spelling);
    let (mut meant, mut raw) = (Vec::new(), Vec::new());
    let mut sink = |part: Spelt<'_>| {
        let (from, to) = match part {
            Spelt::Plain(plain) => (plain, plain),
            Spelt::As(from, to) => (from, to),
        };
        raw.extend_from_slice(from);
        meant.extend_from_slice(to);
    };
    for piece in text.chunks(piece) {
        reader.feed(piece, false, &mut sink).ok()?;
    }
    reader.feed(&[], true, &mut sink).ok()?;
    assert!(reader.pending.is_empty());
    Some((meant, raw))
}

#[test]
fn what_is_meant_is_read() {
    use Spelling::{Form, Json, Markup, Percent, Quoted};
    for (spelling, text, meant) in [
        (Json, r"\u0034\u0031a\n\/\\", Some("41a\n/\\")),
        (Json, r"\ud83d\ude00", Some("\u{1f600}")),
        (Json, r"\ud83d\u0034\ude00", Some("\u{fffd}4\u{fffd}")),
        (Json, r"\ud83d", Some("\u{fffd}")),
        (Json, r"\ud83dx", Some("\u{fffd}x")),
        (Json, r"\ud83d\n", Some("\u{fffd}\n")),
        (Json, r"\x", None),
        (Json, r"\u12", None),
        (Json, r"\u12g4", None),
        (Json, "\\", None),
        (Form, "a+b%34%3", Some("a b4%3")),
        (Percent, "a+b%34%zz%", Some("a+b4%zz%")),
        (Markup, "&#52;&#x31;&#49 1&commat;&amp;&nope;&", Some("411 1@&&nope;&")),
        (Markup, "&#0000000052;&#1114112;", Some("4\u{fffd}")),
        (Quoted, "a\"\"b", Some("a\"b")),
    ] {
        for piece in [1, 2, 3, 100] {
            let got = read(spelling, text.as_bytes(), piece);
            assert_eq!(got.as_ref().map(|(meant, _)| meant.as_slice()), meant.map(str::as_bytes), "{text} {piece}");
            assert!(got.is_none_or(|(_, raw)| raw == text.as_bytes()), "{text} {piece}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(text in "\\PC{0,20}[\"\\\\&<>%+\n]{0,4}\\PC{0,20}") {
        for spelling in ALL {
            let mut spelt = Vec::new();
            spelling.write(&text, &mut spelt);
            let (meant, _) = read(spelling, &spelt, 3).unwrap();
            prop_assert_eq!(meant.escape_ascii().to_string(), text.as_bytes().escape_ascii().to_string());
        }
    }

    #[test]
    fn pieces_make_no_difference(text in "([0-9a-f]|\\\\|u|u[0-9a-f]{4}|ud83d|ude00|&|#|x|;|[+]|%|\"|amp|\n){0,30}", piece in 1usize..8) {
        for spelling in ALL {
            let whole = read(spelling, text.as_bytes(), 1000);
            prop_assert_eq!(&read(spelling, text.as_bytes(), piece), &whole);
            prop_assert!(whole.is_none_or(|(_, raw)| raw == text.as_bytes()));
        }
    }
}
