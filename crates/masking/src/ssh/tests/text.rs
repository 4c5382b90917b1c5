//! Values in text.

use super::*;

#[test]
fn a_card_in_three_packets_is_masked() {
    let got = pieces(Stream::text(all_hidden()), [&b"paid with 4111 11"[..], b"11 1111", b" 1111, thanks"]);
    assert_eq!(got.text(), format!("paid with {MASK}, thanks"));
    assert_eq!(got.counts("card_number"), Counts { clear: 0, masked: 1 });
}

#[test]
fn whoever_may_see_it_sees_it_at_once_and_it_is_counted() {
    let mut stream = Stream::text(hiding(&[], Transform::Redact));
    let (mut got, mut out) = (Got::default(), Vec::new());
    for piece in [&b"paid 41111111"[..], b"11111111", b" by a@b.co"] {
        let masked = stream.push(piece);
        assert_eq!(masked.bytes(), piece);
        got.add(masked);
        out.extend_from_slice(piece);
    }
    assert_eq!(stream.holds(), 0);
    got.add(stream.finish());
    assert_eq!(got.bytes, out);
    assert_eq!(got.counts("card_number"), Counts { clear: 1, masked: 0 });
    assert_eq!(got.counts("email"), Counts { clear: 1, masked: 0 });
}

#[test]
fn transforms_are_those_of_the_class() {
    let mut stream = Stream::text(hiding(&["card_number"], Transform::Partial { keep_last: 4 }));
    assert_eq!(stream.push(format!("<{CARD}>a@b.co\n").as_bytes()).bytes(), b"<************1111>a@b.co\n");
    let got = pieces(Stream::text(hiding(&["card_number"], Transform::Null)), [CARD.as_bytes()]);
    assert_eq!(got.text(), MASK);
}

#[test]
fn every_class_is_found_in_single_bytes() {
    for (value, class) in [
        (CARD, "card_number"),
        ("DE89 3704 0044 0532 0130 00", "iban"),
        ("078-05-1120", "us_ssn"),
        ("jane.doe@example.com", "email"),
        ("+1 (415) 555-2671", "phone"),
        // Assembled here, so that no scanner takes this file for a leak.
        (&["AKIA", "IOSFODNN7EXAMPLE"].concat(), "secret"),
        (&["ghp", "_", &"aB3".repeat(12)].concat(), "secret"),
    ] {
        let text = format!("see {value}, there");
        let got = pieces(Stream::text(all_hidden()), text.as_bytes().chunks(1));
        assert_eq!(got.text(), format!("see [{class}], there"));
        assert_eq!(got.counts(class), Counts { clear: 0, masked: 1 });
    }
}

#[test]
fn words_near_a_number_count_on_both_sides_of_a_cut() {
    for text in ["SSN of the customer: 219099999.", "219 09 9999 (social security)", "phone: (415) 555-2671;"] {
        let got = pieces(Stream::text(all_hidden()), text.as_bytes().chunks(1));
        assert_eq!(got.text(), masked_text(text));
        assert!(got.text().contains("[us_ssn]") || got.text().contains("[phone]"), "{}", got.text());
    }
    assert_eq!(masked_text("219099999"), "219099999");
}

/// Assembled here, so that no scanner takes this file for a leak.
fn private_key(lines: usize) -> String {
    let [begin, end] = ["BEGIN", "END"].map(|word| format!("-----{word} OPENSSH PRIVATE KEY-----"));
    format!("{begin}\n{}{end}", format!("{}\n", "b3BlbnNzaC1rZXktdjE".repeat(3)).repeat(lines))
}

#[test]
fn a_private_key_is_masked_to_its_end_in_any_pieces() {
    let text = format!("$ cat key\n{}\n$ ls", private_key(40));
    for size in [1, 7, 100, text.len()] {
        let got = pieces(Stream::text(all_hidden()), text.as_bytes().chunks(size));
        assert_eq!(got.text(), "$ cat key\n[secret]\n$ ls", "{size}");
        assert_eq!(got.counts("secret"), Counts { clear: 0, masked: 1 });
    }
}

#[test]
fn a_private_key_is_not_held_back_and_one_cut_off_stays_hidden() {
    let text = private_key(40);
    let mut stream = Stream::text(all_hidden());
    let mut got = Got::default();
    for piece in text.as_bytes()[..1500].chunks(100) {
        got.add(stream.push(piece));
        assert!(stream.holds() < 100);
    }
    got.add(stream.finish());
    assert_eq!(got.text(), "[secret]");
    let got = pieces(Stream::terminal(all_hidden()), text.as_bytes().chunks(100));
    let stars = text.replace(|symbol: char| symbol != '\n', "*");
    assert_eq!(got.text(), stars);
}

#[test]
fn a_private_key_without_an_end_hides_no_more_than_64_kib() {
    let key = private_key(40);
    let text = format!("{}\n{}visible", &key[..60], "x\n".repeat(40_000));
    let got = pieces(Stream::text(all_hidden()), text.as_bytes().chunks(999));
    assert!(got.text().starts_with("[secret]") && got.text().ends_with("visible"));
    assert_eq!(text.len() - got.bytes.len(), detect::BEGIN.len() + crate::stream::LONGEST_KEY - "[secret]".len());
}

fn token(length: usize) -> String {
    let head = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.";
    format!("{head}{}", "dBjftJeZ4CVP".repeat(length / 12)).chars().take(length).collect()
}

#[test]
fn a_long_token_is_masked_as_it_streams() {
    let text = format!("token={};", token(2048));
    let mut stream = Stream::text(all_hidden());
    let mut got = Got::default();
    for piece in text.as_bytes().chunks(100) {
        got.add(stream.push(piece));
        assert!(stream.holds() < detect::HOLD);
    }
    got.add(stream.finish());
    assert_eq!(got.text(), "token=[secret];");
    assert_eq!(got, pieces(Stream::text(all_hidden()), [text.as_bytes()]));
    assert_eq!(got.counts("secret").masked, 1);
}

#[test]
fn values_at_the_bound_are_the_same_in_any_pieces() {
    for length in 240..270 {
        let local = "l".repeat(150);
        let domain = "d".repeat(length - 154);
        for text in [
            format!("a {} b", token(length)),
            format!("a eyJ{} b", "h".repeat(length - 3)),
            format!("a eyJ{}.x b", "h".repeat(length - 5)),
            format!("a {local}@{domain}.co b"),
            format!("a {local}@{domain}co_b"),
            format!("a {}@d.co b", "l".repeat(length)),
        ] {
            let whole = masked_text(&text);
            let got = pieces(Stream::text(all_hidden()), text.as_bytes().chunks(1));
            assert_eq!(got.text(), whole, "{text}");
        }
    }
}

#[test]
fn binary_data_passes() {
    let all: Vec<u8> = (0..=255u8).cycle().take(100_000).filter(|byte| *byte != b'@').collect();
    let text = [&all, CARD.as_bytes(), &all].concat();
    let before = format!("{CARD} ");
    let got = pieces(Stream::text(all_hidden()), [before.as_bytes()].into_iter().chain(text.chunks(1000)));
    // What is text is masked; from the first NUL on it is none, is passed, and counts as seen.
    assert_eq!(got.bytes, [format!("{MASK} ").as_bytes(), &text].concat());
    assert_eq!(got.counts("card_number"), Counts { clear: 1, masked: 1 });
    let got = pieces(Stream::opaque(all_hidden()), text.chunks(1000));
    assert_eq!(got.bytes, text);
    assert_eq!(got.disclosure.bytes, u64::try_from(text.len()).unwrap());
    assert!(got.disclosure.classes.is_empty());
}

#[test]
fn characters_stay_whole() {
    let mut stream = Stream::text(hiding(&["card_number"], Transform::Redact));
    assert_eq!(stream.push(b"!\xe2\x82").bytes(), b"!");
    assert_eq!(stream.tick().bytes(), b"");
    assert_eq!(stream.push(b"\xac").bytes(), "€".as_bytes());
    assert_eq!(stream.push(b"\xf0\x41 \xff\xfe \xe2").bytes(), b"\xf0\x41 \xff\xfe ");
    assert_eq!(stream.finish().bytes(), b"\xe2");
}

#[test]
fn a_lens_that_hides_more_hides_what_comes() {
    let text = token(2048);
    let mut stream = Stream::text(hiding(&[], Transform::Redact));
    assert_eq!(stream.push(&text.as_bytes()[..1000]).bytes(), &text.as_bytes()[..1000]);
    stream.set_lens(all_hidden());
    let rest = stream.push(&text.as_bytes()[1000..]);
    assert_eq!(rest.bytes(), "*".repeat(1048).as_bytes());
    assert_eq!(stream.push(format!(" {CARD};").as_bytes()).bytes(), format!(" {MASK};").as_bytes());
}

#[test]
fn words_of_sluice_are_counted_as_bytes() {
    let masked = own("sluice: held for approval\r\n");
    assert_eq!(masked.bytes(), b"sluice: held for approval\r\n");
    assert_eq!(masked.disclosure(), &Disclosure { bytes: 27, ..Disclosure::default() });
}

#[test]
fn hostile_streams_take_little_memory() {
    for pattern in [
        "1",
        "a@",
        "\x1b",
        "\x1b[",
        "\x1b[m1",
        "\x1b]",
        "eyJ.",
        "eyJ-",
        "1 ",
        "4111 ",
        "-",
        "-----BEGIN ",
        "DE89 ",
        "+1",
        "(1",
        "hvs.",
        "phone 1234567 ",
        "é",
        "-----BEGIN PRIVATE KEY-----\n",
    ] {
        let text = pattern.repeat((128 << 10) / pattern.len());
        for mut stream in [Stream::text(all_hidden()), Stream::terminal(all_hidden())] {
            for piece in text.as_bytes().chunks(16 * 1024) {
                let (bytes, _) = stream.push(piece).into_parts();
                stream.recycle(bytes);
                assert!(stream.holds() <= detect::HOLD * 1024 + crate::ssh::terminal::LONGEST, "{pattern:?}");
            }
            for byte in text.as_bytes()[..2_000].chunks(1) {
                stream.push(byte);
            }
        }
    }
}

#[test]
fn what_is_no_text_goes_out_as_it_is_and_what_is_in_it_counts_as_seen() {
    let archive = [b"\x1f\x8b\x08\0".as_slice(), CARD.as_bytes(), b" a@b.co \xc3\x28 ", &[0; 64]].concat();
    for size in [1, 3, archive.len()] {
        let got = pieces(Stream::text(all_hidden()), archive.chunks(size));
        assert_eq!(got.bytes, archive);
        assert_eq!(got.counts("card_number"), Counts { clear: 1, masked: 0 });
    }
}

#[test]
fn what_came_before_the_first_nul_is_masked_as_if_it_ended_there() {
    let text = [b"paid with ".as_slice(), CARD.as_bytes(), b"\0", CARD.as_bytes()].concat();
    for size in [1, 5, text.len()] {
        let got = pieces(Stream::text(all_hidden()), text.chunks(size));
        assert_eq!(got.bytes, [b"paid with ".as_slice(), MASK.as_bytes(), b"\0", CARD.as_bytes()].concat());
        assert_eq!(got.counts("card_number"), Counts { clear: 1, masked: 1 });
    }
}
