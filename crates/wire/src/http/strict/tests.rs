use proptest::prelude::*;

use super::*;

/// What passes of all of it, and why no more does.
fn all(bytes: &[u8]) -> (Vec<u8>, Option<StrictError>) {
    let (mut strict, mut out) = (Strict::new(1024), Vec::new());
    let error = strict.push(bytes, &mut out).err();
    (out, error)
}

/// The same, byte by byte.
fn bytewise(bytes: &[u8]) -> (Vec<u8>, Option<StrictError>) {
    let (mut strict, mut out) = (Strict::new(1024), Vec::new());
    for byte in bytes {
        if let Err(error) = strict.push(&[*byte], &mut out) {
            return (out, Some(error));
        }
    }
    (out, None)
}

#[track_caller]
fn assert_passes(text: &str) {
    assert_eq!(all(text.as_bytes()), (text.as_bytes().to_vec(), None), "{text:?}");
    assert_eq!(bytewise(text.as_bytes()).0, text.as_bytes(), "{text:?}");
}

#[track_caller]
fn assert_refused(text: &str, passed: &str, error: StrictError) {
    let (out, found) = all(text.as_bytes());
    assert_eq!((String::from_utf8_lossy(&out).as_ref(), found), (passed, Some(error)), "{text:?}");
    assert_eq!(bytewise(text.as_bytes()), (out, found), "{text:?}");
}

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: a\r\nX:\t b c \r\nExpect: 100-continue\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding:  Chunked\t\r\n\r\n3\r\nabc\r\n1a;x=\"y\"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n!!\r\n0\r\nT: u\r\n\r\n";

#[test]
fn requests_pass_one_after_the_other_as_they_are() {
    let body = "POST / HTTP/1.1\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    assert_passes(&format!("{GET}{CHUNKED}{body}{GET}{CHUNKED}"));
    assert_passes("GET / HTTP/1.0\r\n\r\n");
    assert_passes("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    let (out, error) = all(b"\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!((&*out, error), (&b"GET / HTTP/1.1\r\n\r\n"[..], None), "an empty line in front is let be");
}

#[test]
fn nothing_of_a_head_passes_before_all_of_it_came() {
    let (mut strict, mut out) = (Strict::new(1024), Vec::new());
    let (last, most) = GET.as_bytes().split_last().unwrap();
    strict.push(most, &mut out).unwrap();
    assert!(out.is_empty() && strict.is_in_a_message());
    strict.push(&[*last], &mut out).unwrap();
    assert_eq!(out, GET.as_bytes());
    assert!(!strict.is_in_a_message());
}

#[test]
fn sm_13_a_head_that_readers_may_read_differently_does_not_pass() {
    use StrictError::{Control, Field, Framing, LineEnd, RequestLine};
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (head, error) in [
        (format!("POST / HTTP/1.1\r\nContent-Length: 4\r\n{chunked}\r\n"), Framing(FramingError::Both)),
        (format!("POST / HTTP/1.1\r\n{chunked}Content-Length: 4\r\n\r\n"), Framing(FramingError::Both)),
        (format!("POST / HTTP/1.1\r\nExpect: x\r\n{chunked}Content-Length: 4\r\n\r\n"), Framing(FramingError::Both)),
        (format!("POST / HTTP/1.1\r\n{chunked}{chunked}\r\n"), Framing(FramingError::Coding)),
        (format!("POST / HTTP/1.0\r\n{chunked}\r\n"), Framing(FramingError::Coding)),
        (
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n".into(),
            Framing(FramingError::SeveralLengths),
        ),
        ("POST / HTTP/1.1\r\nContent-Length: 4,4\r\n\r\n".into(), Framing(FramingError::SeveralLengths)),
        ("POST / HTTP/1.1\r\nContent-Length: +4\r\n\r\n".into(), Framing(FramingError::Length)),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n".into(), Framing(FramingError::Length)),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n".into(), Control),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n".into(), Framing(FramingError::Coding)),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n".into(), Framing(FramingError::Coding)),
        ("POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n".into(), Field),
        ("POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\n\r\n".into(), Field),
        ("POST / HTTP/1.1\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n".into(), Field),
        ("POST / HTTP/1.1\r\nTransfer\u{2011}Encoding: chunked\r\n\r\n".into(), Field),
        ("POST / HTTP/1.1\r\n: chunked\r\n\r\n".into(), Field),
        ("POST / HTTP/1.1\r\nno field\r\n\r\n".into(), Field),
        ("POST / HTTP/1.1\nHost: a\r\n\r\n".into(), LineEnd),
        ("POST / HTTP/1.1\r\nHost: a\nContent-Length: 4\r\n\r\n".into(), LineEnd),
        ("POST / HTTP/1.1\r\nHost: a\r\n\n".into(), LineEnd),
        ("POST / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n".into(), LineEnd),
        ("POST / HTTP/1.1\r\nHost: a\0b\r\n\r\n".into(), Control),
        ("POST /\x7f HTTP/1.1\r\n\r\n".into(), Control),
        ("POST  / HTTP/1.1\r\n\r\n".into(), RequestLine),
        ("POST / HTTP/1.1 \r\n\r\n".into(), RequestLine),
        ("POST / a HTTP/1.1\r\n\r\n".into(), RequestLine),
        ("POST\t/ HTTP/1.1\r\n\r\n".into(), RequestLine),
        ("POST / HTTP/1.2\r\n\r\n".into(), RequestLine),
        ("POST / http/1.1\r\n\r\n".into(), RequestLine),
        ("POST /\r\n\r\n".into(), RequestLine),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), RequestLine),
        ("P(ST / HTTP/1.1\r\n\r\n".into(), RequestLine),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n".into(), RequestLine),
    ] {
        assert_refused(&head, "", error);
        assert_refused(&format!("{CHUNKED}{head}{GET}"), CHUNKED, error);
    }
}

#[test]
fn sm_13_a_body_that_is_not_framed_as_one_breaks_off() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, passed, error) in [
        ("-1\r\n", "", StrictError::Chunk),
        ("0x3\r\nabc\r\n", "", StrictError::Chunk),
        (" 3\r\nabc\r\n", "", StrictError::Chunk),
        ("3 \r\nabc\r\n", "", StrictError::Chunk),
        ("\r\n", "", StrictError::Chunk),
        ("3\nabc\r\n", "", StrictError::LineEnd),
        ("10000000000000000\r\n", "", StrictError::Chunk),
        ("3\r\nabcd\r\n", "3\r\nabc", StrictError::Chunk),
        ("3\r\nabc\n0\r\n\r\n", "3\r\nabc", StrictError::Chunk),
        ("3;a\rb\r\nabc\r\n", "", StrictError::LineEnd),
        ("3;a\0b\r\nabc\r\n", "", StrictError::Control),
        ("0\r\nX: a\n\r\n", "0\r\n", StrictError::LineEnd),
        ("0\r\nX : a\r\n\r\n", "0\r\n", StrictError::Field),
        ("0\r\n\n", "0\r\n", StrictError::LineEnd),
    ] {
        assert_refused(&format!("{head}{body}"), &format!("{head}{passed}"), error);
    }
    let long = format!("{head}3;{}\r\nabc\r\n", "a".repeat(MOST_OF_A_SIZE));
    assert_eq!(all(long.as_bytes()).1, Some(StrictError::Chunk));
    let long = format!("{head}0\r\n{}\r\n", "X: aaaaaaaaaa\r\n".repeat(2000));
    assert_eq!(all(long.as_bytes()).1, Some(StrictError::Trailers));
}

#[test]
fn a_head_that_is_too_long_goes_on_to_whoever_refuses_it() {
    for rest in ["", "\r\n\r\n", "\n\0", "\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"] {
        let long = format!("GET / HTTP/1.1\r\nX: {}{rest}", "a".repeat(2000));
        assert_eq!(all(long.as_bytes()), (long.as_bytes()[..1024].to_vec(), None));
        assert_eq!(bytewise(long.as_bytes()), all(long.as_bytes()));
    }
    // The whole head is a byte too long.
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1025 - 16 - 3 - 4));
    assert_eq!((long.len(), all(long.as_bytes()).0.len()), (1025, 1024));
    assert_passes(&long.replacen('a', "", 1));
}

#[test]
fn nothing_passes_behind_what_was_refused_and_all_does_where_something_else_is_spoken() {
    let (mut strict, mut out) = (Strict::new(1024), Vec::new());
    strict.push(b"GET / HTTP/1.1\n", &mut out).unwrap_err();
    assert!(strict.refused_head());
    strict.push(GET.as_bytes(), &mut out).unwrap();
    assert!(out.is_empty());
    let (mut strict, mut out) = (Strict::new(1024), Vec::new());
    strict.push(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nGET", &mut out).unwrap();
    strict.push(b"x\n", &mut out).unwrap();
    let (mut strict, mut out) = (Strict::new(1024), Vec::new());
    strict.push(b"\x81\x05", &mut out).unwrap();
    strict.free();
    strict.push(b"\n\n\0", &mut out).unwrap();
    assert_eq!(out, b"\x81\x05\n\n\0");
}

#[test]
fn what_comes_behind_a_request_to_be_connected_waits_and_is_no_head() {
    const CONNECT: &[u8] = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
    for early in [b"\r\n\x16\x03\n\0".as_slice(), GET.as_bytes(), b""] {
        let (mut strict, mut out) = (Strict::new(1024), Vec::new());
        strict.push(&[CONNECT, early].concat(), &mut out).unwrap();
        assert_eq!(out, CONNECT);
        strict.free();
        strict.push(b"\nmore", &mut out).unwrap();
        assert_eq!(out, [CONNECT, early, b"\nmore"].concat());
    }
    let (mut strict, mut out) = (Strict::new(1024), Vec::new());
    let much = [CONNECT, &[b'x'; 1025]].concat();
    assert_eq!((strict.push(&much, &mut out), strict.refused_head()), (Err(StrictError::Early), false));
    strict.free();
    strict.push(b"more", &mut out).unwrap();
    assert_eq!(out, CONNECT);
    // One with a body is followed to its end: it is refused.
    assert_passes(&format!("CONNECT a:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc{GET}"));
}

proptest! {
    #[test]
    fn byte_by_byte_is_as_all_at_once(parts in prop::collection::vec(prop_oneof![
        Just("GET / HTTP/1.1\r\n"), Just("POST /a HTTP/1.0\r\n"), Just("Content-Length: 5\r\n"), Just("abcde"),
        Just("Transfer-Encoding: chunked\r\n"), Just("\r\n"), Just("\n"), Just("\r"), Just("5\r\n"), Just("0\r\n"),
        Just("X: y\r\n"), Just(" "), Just("\0"), Just("CONNECT a:1 HTTP/1.1\r\n"),
    ], 0..24)) {
        let text = parts.concat();
        let (at_once, one_by_one) = (all(text.as_bytes()), bytewise(text.as_bytes()));
        prop_assert_eq!(&at_once, &one_by_one);
        // What passes is what came, but for empty lines in front of heads.
        prop_assert!(at_once.0.len() <= text.len());
    }

    #[test]
    fn any_bytes_are_passed_on_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert_eq!(all(&bytes), bytewise(&bytes));
    }
}
