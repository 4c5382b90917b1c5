//! Values between escape sequences.

use super::*;

fn shown(text: &str) -> String {
    let whole = pieces(Stream::terminal(all_hidden()), [text.as_bytes()]);
    let single = pieces(Stream::terminal(all_hidden()), text.as_bytes().chunks(1));
    assert_eq!(whole, single, "{text:?}");
    whole.text()
}

#[test]
fn colours_in_the_middle_of_a_value_hide_nothing() {
    let stars = "*".repeat(12);
    for still in [
        "\x1b[31m",
        "\x1b[K",
        "\x1b[01;31m\x1b[K",
        "\x1b[?25l",
        "\x1b(B",
        "\0",
        "\x07",
        "\x1b]0;title\x07",
        "\x1b]8;;\x1b\\",
    ] {
        assert_eq!(shown(&format!("pay 4111{still}111111111111 now")), format!("pay ****{still}{stars} now"));
    }
    assert_eq!(shown("\x1b[1mjane\x1b[0m@\x1b[2mexample.com\x1b[0m."), "\x1b[1m****\x1b[0m*\x1b[2m***********\x1b[0m.");
}

#[test]
fn what_moves_the_cursor_ends_a_run() {
    for moving in ["\x1b[5C", "\x1b[2;3H", "\r", "\x08", "\n", "\x1b7", "\x1b[31\rm", "\x1bM", "\x1b[5"] {
        let text = format!("4111{moving}111111111111");
        assert_eq!(shown(&text), text);
    }
    // One behind it is found.
    assert_eq!(shown(&format!("\x1b[H{CARD}")), format!("\x1b[H{}", "*".repeat(16)));
}

#[test]
fn titles_and_other_strings_are_masked_inside() {
    let stars = "*".repeat(16);
    assert_eq!(shown(&format!("\x1b]0;pay {CARD}\x07$ ")), format!("\x1b]0;pay {stars}\x07$ "));
    assert_eq!(shown(&format!("\x1bPq{CARD}\x1b\\$ ")), format!("\x1bPq{stars}\x1b\\$ "));
    assert_eq!(shown(&format!("\x1b_{CARD}")), format!("\x1b_{stars}"));
    let got = pieces(Stream::terminal(all_hidden()), [format!("\x1b]0;{CARD}\x07").as_bytes()]);
    assert_eq!(got.counts("card_number").masked, 1);
}

#[test]
fn nothing_of_a_sequence_that_is_too_long_goes_out() {
    let payload = format!("{CARD} ").repeat(300);
    assert_eq!(shown(&format!("a\x1b]52;c;{payload}\x07b")), "ab");
    assert_eq!(shown(&format!("a\x1b[{}mb", "1;".repeat(3000))), "ab");
    let fits = "x ".repeat(2000);
    assert_eq!(shown(&format!("a\x1b]0;{fits}\x07b")), format!("a\x1b]0;{fits}\x07b"));
}

#[test]
fn many_sequences_between_two_characters_part_them() {
    let text = format!("4111{}111111111111", "\x1b[m".repeat(400));
    assert_eq!(shown(&text), text);
    let text = format!("4111{}111111111111", "\x1b[m".repeat(300));
    assert_eq!(shown(&text).replace('*', ""), "\x1b[m".repeat(300));
}

#[test]
fn masks_are_as_wide_as_what_they_hide() {
    assert_eq!(shown("<josé@例え.co>"), format!("<{}>", "*".repeat(5 + 4 + 3)));
    let lens = hiding(&["card_number"], Transform::Partial { keep_last: 4 });
    let got = pieces(Stream::terminal(lens), [CARD.as_bytes()]);
    assert_eq!(got.text(), "*".repeat(16));
}

#[test]
fn an_unfinished_sequence_waits_and_ends_with_the_stream() {
    let mut stream = Stream::terminal(all_hidden());
    assert_eq!(stream.push(b"a b\x1b[3").bytes(), b"a ");
    assert_eq!(stream.tick().bytes(), b"b");
    assert_eq!(stream.holds(), 3);
    assert_eq!(stream.push(b"1mc ").bytes(), b"\x1b[31mc ");
    assert_eq!(stream.push(b"\x1b[3").bytes(), b"");
    assert_eq!(stream.finish().bytes(), b"\x1b[3");
}
