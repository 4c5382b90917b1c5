//! What becomes of paths.

use proptest::prelude::*;

use super::*;

fn strict(raw: &str) -> Result<String, PathError> {
    Path::parse(raw, Tolerance::default()).map(|path| path.as_str().to_owned())
}

const TOLERANT: Tolerance = Tolerance { encoded_slash: true, semicolon: true };

fn tolerant(raw: &str) -> Result<String, PathError> {
    Path::parse(raw, TOLERANT).map(|path| path.as_str().to_owned())
}

#[test]
fn ht_03_a_path_has_one_spelling() {
    for (raw, canonical) in [
        ("", "/"),
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61%2Db%7e", "/a-b~"),
        ("/a%3ab/%40me", "/a:b/@me"),
        ("/a%20b/%c3%a9", "/a%20b/%C3%A9"),
        ("/a b/é/\"{x}|^`<>", "/a%20b/%C3%A9/%22%7Bx%7D%7C%5E%60%3C%3E"),
        ("/a%25", "/a%25"),
        ("/100%25/b", "/100%25/b"),
        ("/a%3fb%23c", "/a%3Fb%23c"),
        ("/a%3bb", "/a%3Bb"),
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/./a/./b/.", "/a/b/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/%2e%2e/b/%2E", "/b/"),
        ("/a/.%2e/b", "/b"),
        ("/a/..", "/"),
        ("/a/b//../c", "/a/c"),
        ("/...", "/..."),
        ("/.well-known/a", "/.well-known/a"),
        ("/A/a", "/A/a"),
        ("/a+b,c=d", "/a+b,c=d"),
    ] {
        assert_eq!(strict(raw).as_deref(), Ok(canonical), "{raw}");
        assert_eq!(strict(canonical).as_deref(), Ok(canonical), "{raw}");
    }
}

#[test]
fn ht_03_what_servers_read_differently_is_refused() {
    for (raw, error) in [
        ("a", PathError::Relative),
        ("*", PathError::Relative),
        ("http://h/a", PathError::Relative),
        ("/..", PathError::AboveRoot),
        ("/a/../../b", PathError::AboveRoot),
        ("/%2e%2e/b", PathError::AboveRoot),
        ("/a%2fb", PathError::EncodedSlash),
        ("/a/..%2f..%2fb", PathError::EncodedSlash),
        ("/a\\b", PathError::Backslash),
        ("/a%5cb", PathError::Backslash),
        ("/a;x=1/b", PathError::Semicolon),
        ("/a/..;/b", PathError::Semicolon),
        ("/a\0", PathError::Control),
        ("/a%00", PathError::Control),
        ("/a%0d%0ab", PathError::Control),
        ("/a%7f", PathError::Control),
        ("/a%c2%85", PathError::Control),
        ("/a%", PathError::Escape),
        ("/a%2", PathError::Escape),
        ("/a%zz", PathError::Escape),
        ("/a%u0041", PathError::Escape),
        ("/a%+2", PathError::Escape),
        ("/%252e%252e/b", PathError::EscapedTwice),
        ("/a%252fb", PathError::EscapedTwice),
        ("/a%25%32%65", PathError::EscapedTwice),
        ("/a%25%325", PathError::EscapedTwice),
        ("/a%252%65", PathError::EscapedTwice),
        ("/%2525", PathError::EscapedTwice),
        ("/%ff", PathError::NotUtf8),
        ("/%c0%ae%c0%ae/b", PathError::NotUtf8),
        ("/%c0%af", PathError::NotUtf8),
        ("/a#b", PathError::Delimiter('#')),
        ("/a?b", PathError::Delimiter('?')),
        ("/..%3b/b", PathError::HiddenDots),
        ("/.%3bx", PathError::HiddenDots),
    ] {
        assert_eq!(strict(raw), Err(error), "{raw}");
    }
}

#[test]
fn a_target_may_need_more() {
    for (raw, canonical) in [
        ("/group%2fproject", "/group%2Fproject"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/a%3Bv/b", "/a%3Bv/b"),
        ("/a%2fb..", "/a%2Fb.."),
    ] {
        assert_eq!(tolerant(raw).as_deref(), Ok(canonical), "{raw}");
    }
    for raw in
        ["/a%2f..%2fb", "/..%2fb", "/a/..;/b", "/..;x=1", "/.;", "/a%2f..;x", "/%2e%2e%2fb", "/a%2f%2fb", "/%2fb"]
    {
        assert_eq!(tolerant(raw), Err(PathError::HiddenDots), "{raw}");
    }
}

#[test]
fn lengths_are_exact() {
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert!(strict(&path(MOST_OF_A_PATH)).is_ok());
    assert_eq!(strict(&path(MOST_OF_A_PATH + 1)), Err(PathError::TooLong(4097)));
    assert_eq!(strict(&format!("/{}", " ".repeat(2000))), Err(PathError::TooLong(6001)));
    assert!(strict(&"/a".repeat(MOST_SEGMENTS)).is_ok());
    let deep = strict(&"/a".repeat(MOST_SEGMENTS + 1)).unwrap_err();
    assert_eq!((deep, deep.kind()), (PathError::TooDeep, ErrorKind::Limit));
    assert_eq!(PathError::Escape.kind(), ErrorKind::Client);
}

/// What a server does that decodes once, and then carries out `.` and `..`.
fn seen(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in path.split('/').skip(1) {
        let mut decoded = Vec::new();
        let mut rest = part.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            let escaped = if byte == b'%' { percent::escaped(behind) } else { None };
            rest = if escaped.is_some() { &behind[2..] } else { behind };
            decoded.push(escaped.unwrap_or(byte));
        }
        match String::from_utf8(decoded).unwrap().as_str() {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name.to_owned()),
        }
    }
    names
}

fn spellings() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("//"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%2E"),
        Just("%2f"),
        Just("%5c"),
        Just("%25"),
        Just("%"),
        Just(";"),
        Just("%3b"),
        Just("a"),
        Just("%61"),
        Just("%c3%a9"),
        Just("é"),
        Just("%ff"),
        Just(" "),
        Just("2e"),
        Just("%32"),
        Just("@"),
        Just("%40"),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_canonical_path_is_its_own(raw in spellings(), tolerance in any::<[bool; 2]>()) {
        let tolerance = Tolerance { encoded_slash: tolerance[0], semicolon: tolerance[1] };
        if let Ok(path) = Path::parse(&raw, tolerance) {
            prop_assert_eq!(Path::parse(path.as_str(), tolerance), Ok(path.clone()));
            prop_assert!(path.as_str().is_ascii());
            prop_assert!(path.segments().all(|name| !matches!(name, "." | "..")));
            prop_assert!(!path.as_str().contains("//"));
        }
    }

    #[test]
    fn a_server_sees_the_path_that_was_sent(raw in spellings()) {
        if let Ok(path) = strict(&raw) {
            prop_assert_eq!(seen(&path), seen(&raw));
        }
    }

    #[test]
    fn paths_that_a_server_takes_for_one_are_one(left in spellings(), right in spellings()) {
        if let (Ok(one), Ok(other)) = (strict(&left), strict(&right))
            && seen(&left) == seen(&right)
            && !left.contains("%3b")
            && !right.contains("%3b")
        {
            prop_assert_eq!(one.trim_end_matches('/'), other.trim_end_matches('/'));
        }
    }

    #[test]
    fn any_text_is_a_path_or_none(raw in any::<String>()) {
        let _ = (strict(&raw), tolerant(&format!("/{raw}")));
    }
}
