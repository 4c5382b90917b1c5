//! What goes out does not depend on how the stream was cut.

use proptest::prelude::*;

use super::*;
use crate::detect::{Hints, scan};

/// Digits with every separator, words, and (parts of) all that is looked for.
const SPELLINGS: &str = "([0-9]{1,9}|[ -]|[.(/)]|\u{a0}|[a-zA-Z]{1,4}|4111 1111|1111-1111|4111111111111111|3782.822463.10005\
    |078-05-|1120|219099999|DE89|3704|0044 0532 0130 00|NO9386011117947|@|a@b.co|é@ä.de|[+]4|[+]14155552671|tel|ssn|social security\
    |_|x|eyJ|hvs[.]|aB3aB3aB3aB3aB3aB3aB3|-----|-----BEGIN |PRIVATE KEY-----|-----END |é|\n|[(]415[)] 555-2671|AKIA|IOSFODNN7EXAMPLE){0,24}";

/// The same with sequences.
const PAINTED: &str = "([0-9]{1,6}|[ -.]|4111|1111|078-05-|1120|DE89|a@|b.co|é|\x1b|\x1b\\[|[0-9;]{1,3}m|31m|5C|\x1b\\]0;|\x07|\r|\x08|\x1b\\[31m|\x1b\\[K\
    |\x1bP|\x1b\\\\|\0|\u{9b}|x){0,30}";

/// Cuts a text at these places, each counted from the last.
fn cut<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut cut) = (text, Vec::new());
    for size in sizes.iter().cycle().take(text.len() + 1) {
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        cut.push(piece);
        rest = behind;
    }
    cut.push(rest);
    cut
}

/// What the search of a whole text makes of it, up to where it is no text any more.
fn by_scan(text: &[u8], lens: &Lens) -> Vec<u8> {
    let (text, binary) = text.split_at(memchr::memchr(0, text).unwrap_or(text.len()));
    let (mut out, mut copied) = (Vec::new(), 0);
    scan(text, Hints::default(), &mut |found| {
        let (_, mask) = lens.content(found.detector).unwrap();
        if let Some(mask) = mask {
            out.extend_from_slice(&text[copied..found.start]);
            out.extend_from_slice(mask.label().as_bytes());
            copied = found.end;
        }
    });
    out.extend_from_slice(&text[copied..]);
    out.extend_from_slice(binary);
    out
}

fn assert_invariant(new: &dyn Fn() -> Stream, text: &[u8], sizes: &[usize]) -> Got {
    let whole = pieces(new(), [text]);
    for got in [pieces(new(), cut(text, sizes)), pieces(new(), text.chunks(1))] {
        assert_eq!(
            got.bytes.escape_ascii().to_string(),
            whole.bytes.escape_ascii().to_string(),
            "{}",
            text.escape_ascii()
        );
        assert_eq!(got.disclosure, whole.disclosure, "{}", text.escape_ascii());
    }
    whole
}

/// Which classes are hidden.
fn some() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(vec!["card_number", "iban", "us_ssn", "email", "phone", "secret"], 0..=6)
}

/// How a stream is made, and whether there is a silence behind each byte.
type Kind = (fn(Arc<Lens>) -> Stream, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn text_is_what_the_search_of_all_of_it_makes(text in SPELLINGS, sizes in prop::collection::vec(1usize..40, 1..6), hidden in some()) {
        let lens = hiding(&hidden, Transform::Redact);
        let text = text.as_bytes();
        let got = assert_invariant(&|| Stream::text(Arc::clone(&lens)), text, &sizes);
        prop_assert_eq!(got.bytes.escape_ascii().to_string(), by_scan(text, &lens).escape_ascii().to_string());
    }

    #[test]
    fn any_bytes_are(text in prop::collection::vec(any::<u8>(), 0..400), sizes in prop::collection::vec(1usize..90, 1..6)) {
        let got = assert_invariant(&|| Stream::text(all_hidden()), &text, &sizes);
        prop_assert_eq!(got.bytes, by_scan(&text, &all_hidden()));
    }

    #[test]
    fn terminals_get_the_same_in_any_pieces(text in PAINTED, sizes in prop::collection::vec(1usize..40, 1..6), hidden in some()) {
        let lens = hiding(&hidden, Transform::Redact);
        assert_invariant(&|| Stream::terminal(Arc::clone(&lens)), text.as_bytes(), &sizes);
    }

    #[test]
    fn so_they_do_in_any_bytes(text in prop::collection::vec(any::<u8>(), 0..400), sizes in prop::collection::vec(1usize..90, 1..6)) {
        assert_invariant(&|| Stream::terminal(all_hidden()), &text, &sizes);
    }

    #[test]
    fn a_terminal_without_values_gets_what_was_sent(text in "([a-z ]{1,9}|\x1b\\[31m|\x1b\\[2;3H|\x1b\\]0;a b\x07|\x1b7|\r|\n|\x1b|\x1b\\[|\x1bP|é){0,40}") {
        let got = pieces(Stream::terminal(all_hidden()), [text.as_bytes()]);
        prop_assert_eq!(got.text(), text);
    }

    /// Values that are random, so that none is shown by chance, each with what may be shown of it through silences.
    #[test]
    fn no_value_is_seen_in_any_pieces_or_silences(
        canary in canary(), before in "[a-z,;:\n]{0,9}[ \n]", after in "[ ,\n][a-z ,;:\n]{0,9}",
        sizes in prop::collection::vec(1usize..30, 1..6), silences in prop::collection::vec(any::<bool>(), 1..7),
    ) {
        let (value, most) = canary;
        let text = format!("{before}{value}{after}");
        let kinds: [Kind; 3] = [(Stream::text, false), (Stream::text, true), (Stream::terminal, true)];
        for (new, silent) in kinds {
            let mut stream = new(all_hidden());
            let mut got = Got::default();
            for (piece, silence) in cut(text.as_bytes(), &sizes).into_iter().zip(silences.iter().cycle()) {
                got.add(stream.push(piece));
                if silent && *silence {
                    got.add(stream.tick());
                }
            }
            got.add(stream.finish());
            let shown = got.text().strip_prefix(&*before).unwrap().strip_suffix(&*after).unwrap().to_owned();
            let clear = shown.bytes().zip(value.bytes()).take_while(|(shown, value)| shown == value).count();
            prop_assert!(clear <= if silent { most } else { 0 }, "{text:?}: {shown:?}");
            let rest = &shown[clear..];
            let hidden = rest.bytes().all(|byte| byte == b'*') || rest.starts_with('[') && clear == 0;
            prop_assert!(hidden, "{text:?}: {shown:?}");
        }
    }
}

/// A value and how much of it silences may show.
fn canary() -> impl Strategy<Value = (String, usize)> {
    let card = "411[0-9]{12}".prop_map(|start| {
        let last = (0..10).map(|digit| format!("{start}{digit}"));
        let valid = |card: &String| crate::detect::luhn(&card.bytes().map(|digit| digit - b'0').collect::<Vec<_>>());
        (last.into_iter().find(valid).unwrap(), 6)
    });
    let ssn = "[1-5][1-9]{2}-[1-9]{2}-[1-9]{4}".prop_map(|value| (value, 4));
    let phone = "[+][1-9][0-9]{9,11}".prop_map(|value| (value, 7));
    let key = "AKIA[A-Z2-7]{16}".prop_map(|value| (value, 4));
    let address = "[a-z]{3,9}@[a-z]{3,9}[.]de".prop_map(|value| (value.clone(), value.len() - 1));
    prop_oneof![card, ssn, phone, key, address]
}
