use super::*;

fn constants(text: &str) -> Vec<&str> {
    Lexer::new(text).filter(|token| token.kind == Kind::Constant).map(|token| &text[token.range]).collect()
}

#[test]
fn constants_are_found_where_the_server_finds_them() {
    for (text, expected) in [
        ("select 'a''b', 1.5e-3 , .5, 0x1F, 1_000", vec!["'a''b'", "1.5e-3", ".5", "0x1F", "1_000"]),
        (r"select E'a\'b', 'c\'", vec![r"E'a\'b'", r"'c\'"]),
        ("select 'a'\n  'b' 'c'", vec!["'a'\n  'b'", "'c'"]),
        ("select $$it's$$, $x$ $$ $x$, a$1, $1", vec!["$$it's$$", "$x$ $$ $x$"]),
        ("select U&'d\\0061t', u&\"a'b\", b'01', X'1F', n'x'", vec!["U&'d\\0061t'", "b'01'", "X'1F'", "n'x'"]),
        ("select 1 -- '2'\n, /* '3' /* '4' */ '5' */ '6'", vec!["1", "'6'"]),
        ("select x[1..2], t1.c2, \"a''1\"", vec!["1", "2"]),
        ("select 1--2\n", vec!["1"]),
    ] {
        assert_eq!(constants(text), expected, "{text}");
    }
}

#[test]
fn a_name_beyond_ascii_is_told_from_a_text() {
    for (text, expected) in [
        ("select 'é', $$é$$ -- é", false),
        ("select é", true),
        ("select \"é\"", true),
        ("select U&\"d!00e9\" UESCAPE '!'", true),
        ("select U&'\\00e9', \"a\", a & b", false),
    ] {
        assert_eq!(has_foreign_name(text), expected, "{text}");
    }
}

#[test]
fn what_has_no_end_is_broken() {
    for text in ["select 'a", "select /* /* */", "select $x$ $y$", "select \"a", r"select E'\'"] {
        let mut lexer = Lexer::new(text);
        while lexer.next().is_some() {}
        assert!(lexer.broken, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn tokens_cover_the_text(text in "[a-zé$0-9'\"\\\\/*. \n();-]{0,60}") {
        let mut end = 0;
        for token in Lexer::new(&text) {
            assert_eq!(token.range.start, end);
            assert!(token.range.end > end);
            end = token.range.end;
        }
        assert_eq!(end, text.len());
    }
}
