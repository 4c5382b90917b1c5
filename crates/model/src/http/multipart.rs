//! Bodies of several parts (RFC 2046, section 5.1; RFC 7578), as far as all readers agree on them.
//!
//! Readers differ in which breaks of lines they take, in what they make of a backslash in a name, and in what they do with a part
//! that has two names. What some of them would read otherwise is [`Malformed`] here.

pub use splitter::{Piece, Splitter};

use super::Media;
use super::media::{BLANK, is_token, parameters};

mod splitter;

/// A body, or the head of a part, is not of a form that all readers take alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a body of several parts that could be read in more than one way")]
pub struct Malformed;

/// The longest boundary, in bytes.
const LONGEST_BOUNDARY: usize = 70;

/// The end of a line.
const BREAK: &[u8] = b"\r\n";

/// What is between parts: two dashes and the boundary.
///
/// # Errors
/// [`Malformed`]: there is no boundary, or one that may not be, or something else that some take for it.
pub fn delimiter(media: &Media) -> Result<String, Malformed> {
    let boundary = media.parameter("boundary").ok_or(Malformed)?;
    let is_like = |text: &str| text.to_ascii_lowercase().contains("boundary");
    if media.parameters().any(|(name, value)| name != "boundary" && (is_like(name) || is_like(value))) {
        return Err(Malformed);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_boundary = (1..=LONGEST_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(is_plain);
    if is_boundary && !boundary.ends_with(' ') { Ok(format!("--{boundary}")) } else { Err(Malformed) }
}

/// One part of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'a> {
    /// The lines of its head, without the empty one.
    pub head: &'a [u8],
    /// What is in it.
    pub content: &'a [u8],
}

/// The parts of a whole body.
///
/// # Errors
/// [`Malformed`]: also where something stands in front of the first or behind the last, or the delimiter in a part.
pub fn parts<'a>(body: &'a [u8], delimiter: &str) -> Result<Vec<Part<'a>>, Malformed> {
    let delimiter = delimiter.as_bytes();
    let body = body.strip_prefix(BREAK).unwrap_or(body);
    let mut rest = body.strip_prefix(delimiter).ok_or(Malformed)?;
    let mut parts = Vec::new();
    loop {
        match rest.strip_prefix(BREAK) {
            Some(behind) => rest = behind,
            None if matches!(rest, b"--" | b"--\r\n") => return Ok(parts),
            None => return Err(Malformed),
        }
        let end = find(rest, delimiter).ok_or(Malformed)?;
        let (part, behind) = rest.split_at_checked(end).ok_or(Malformed)?;
        parts.push(part_of(part.strip_suffix(BREAK).ok_or(Malformed)?)?);
        rest = behind.get(delimiter.len()..).ok_or(Malformed)?;
    }
}

/// A part with its head in front, which is over with the first empty line.
fn part_of(part: &[u8]) -> Result<Part<'_>, Malformed> {
    if let Some(content) = part.strip_prefix(BREAK) {
        return Ok(Part { head: &[], content });
    }
    let end = find(part, b"\r\n\r\n").ok_or(Malformed)?;
    let (head, content) = part.split_at_checked(end).ok_or(Malformed)?;
    Ok(Part { head, content: content.get(4..).ok_or(Malformed)? })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// What the head of a part says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartHead {
    /// The name of a form's field.
    pub name: Option<Box<str>>,
    /// What its content says that it is.
    pub media: Option<Media>,
}

impl PartHead {
    /// Reads the lines of a head.
    ///
    /// # Errors
    /// [`Malformed`]: also where the content is in a coding of its own.
    pub fn read(head: &[u8]) -> Result<Self, Malformed> {
        let head = std::str::from_utf8(head).map_err(|_| Malformed)?;
        let (mut read, mut disposed) = (Self::default(), false);
        for line in head.split("\r\n").filter(|_| !head.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(Malformed)?;
            let value = value.trim_matches(BLANK);
            if !is_token(name) || value.contains(char::is_control) {
                return Err(Malformed);
            }
            match name.to_ascii_lowercase().as_str() {
                "content-disposition" if !disposed => (read.name, disposed) = (disposition(value)?, true),
                "content-type" if read.media.is_none() => {
                    read.media = Some(Media::parse(value).map_err(|_| Malformed)?);
                }
                "content-disposition" | "content-type" => return Err(Malformed),
                "content-transfer-encoding" if !is_plain_coding(value) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(read)
    }
}

/// The name that a `Content-Disposition` gives (RFC 7578, section 4.2).
fn disposition(value: &str) -> Result<Option<Box<str>>, Malformed> {
    // Some take it for the beginning of an escape, and some for itself.
    if value.contains('\\') {
        return Err(Malformed);
    }
    let (kind, rest) = value.split_once(';').map_or((value, None), |(kind, rest)| (kind, Some(rest)));
    let parameters = parameters(rest).ok_or(Malformed)?;
    // `name*` is not to be written, and is read by some in place of the other.
    if !is_token(kind.trim_matches(BLANK)) || parameters.iter().any(|(name, _)| name.starts_with("name*")) {
        return Err(Malformed);
    }
    let is_form = kind.trim_matches(BLANK).eq_ignore_ascii_case("form-data");
    if is_form && parameters.iter().any(|(name, value)| !is_of_a_form(name, value)) {
        return Err(Malformed);
    }
    Ok(parameters.into_iter().find_map(|(name, value)| (*name == *"name").then_some(value)))
}

/// Whether a parameter is one that all readers of forms take alike: some look for `name=` anywhere, and some take apostrophes for
/// quotes.
fn is_of_a_form(name: &str, value: &str) -> bool {
    let is_named = matches!(name, "name" | "filename" | "filename*");
    is_named && !value.to_ascii_lowercase().contains("name=") && !(name == "name" && value.starts_with('\''))
}

fn is_plain_coding(value: &str) -> bool {
    ["7bit", "8bit", "binary"].iter().any(|coding| coding.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Likewise, in pieces of so many bytes.
    fn split(body: &str, size: usize) -> Result<Vec<(String, String)>, Malformed> {
        let (mut splitter, mut parts) = (Splitter::new("--b"), Vec::<(String, String)>::new());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for piece in body.as_bytes().chunks(size) {
            splitter.push(piece, &mut |piece| {
                match (piece, parts.last_mut()) {
                    (Piece::Head(head), _) => parts.push((text(head), String::new())),
                    (Piece::Content(content), Some((_, last))) => last.push_str(&text(content)),
                    (Piece::Content(_), None) => panic!("content of no part"),
                    (Piece::Written(_) | Piece::End, _) => {}
                }
                Ok::<(), Malformed>(())
            })?;
        }
        splitter.end().map(|()| parts)
    }

    fn contents(body: &str) -> Result<Vec<(&str, &str)>, Malformed> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let parts = parts(body.as_bytes(), "--b")?;
        Ok(parts.into_iter().map(|part| (text(part.head), text(part.content))).collect())
    }

    #[test]
    fn a_boundary_is_bounded() {
        let of =
            |boundary: &str| delimiter(&Media::parse(&format!("multipart/form-data; boundary={boundary}")).unwrap());
        assert_eq!(of("----WebKitFormBoundaryx"), Ok("------WebKitFormBoundaryx".to_owned()));
        assert_eq!(of("\"a b:c\""), Ok("--a b:c".to_owned()));
        assert!(of(&"b".repeat(70)).is_ok());
        for wrong in ["\"\"", "\"a \"", "\"a\u{e9}\"", "\"a;b\"", &"b".repeat(71)] {
            assert_eq!(of(wrong), Err(Malformed), "{wrong}");
        }
        for other in ["", "; xboundary=a; boundary=b", "; boundary=b; a=\"boundary=c\""] {
            assert_eq!(
                delimiter(&Media::parse(&format!("multipart/form-data{other}")).unwrap()),
                Err(Malformed),
                "{other}"
            );
        }
    }

    #[test]
    fn parts_are_what_is_between_delimiters() {
        for (body, expected) in [
            ("--b--", vec![]),
            ("--b\r\na: 1\r\nc: 2\r\n\r\nx\r\n--b--\r\n", vec![("a: 1\r\nc: 2", "x")]),
            ("\r\n--b\r\n\r\nx\r\n\r\n--b\r\nd: 3\r\n\r\n\r\n--b--", vec![("", "x\r\n"), ("d: 3", "")]),
        ] {
            assert_eq!(contents(body), Ok(expected), "{body:?}");
        }
    }

    #[test]
    fn what_readers_differ_about_is_none() {
        for body in [
            "",
            "x",
            "--b",
            "--c--",
            "--b\n\nx\n--b--",
            "--b\r\n\r\nx\n--b--",
            "--b\r\n\r\nx--b--",
            "--b\r\n\r\nx\r\n--b",
            "--b\r\n\r\nx\r\n--bc\r\n\r\ny\r\n--b--",
            "--b\r\na: 1\r\nx\r\n--b--",
            "before\r\n--b--",
            "--b--behind",
            "--b--\r\n--b\r\n\r\nx\r\n--b--",
            "--b \r\n\r\nx\r\n--b--",
        ] {
            assert_eq!(contents(body), Err(Malformed), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn in_pieces_it_is_the_same(
            body in "(--b)?(\r\n|\n|--b|--|a: 1|\r\n\r\n|\r\n--b\r\n|x){0,12}(\r\n--b--)?",
            size in 1_usize..9,
        ) {
            let owned = |parts: Vec<(&str, &str)>| {
                parts.into_iter().map(|(head, content)| (head.to_owned(), content.to_owned())).collect::<Vec<_>>()
            };
            let whole = contents(&body).map(owned);
            prop_assert_eq!(split(&body, size), whole.clone());
            prop_assert_eq!(split(&body, body.len().max(1)), whole);
        }
    }

    #[test]
    fn a_head_has_one_name() {
        let read = |head: &str| PartHead::read(head.as_bytes()).map(|head| head.name);
        for (head, expected) in [
            ("", None),
            ("Content-Type: text/plain", None),
            ("Content-Disposition: form-data; name=\"a b\"; filename=\"c;d\"", Some("a b")),
            ("content-disposition:form-data;name=a\r\nX: y\r\nContent-Transfer-Encoding: Binary", Some("a")),
            ("Content-Disposition: form-data; filename*=UTF-8''x; name=\"a\"", Some("a")),
        ] {
            assert_eq!(read(head), Ok(expected.map(Into::into)), "{head:?}");
        }
        for head in [
            "Content-Disposition: form-data; name=a; name=b",
            "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
            "Content-Disposition: form-data; name=\"a\\\"; filename=\"b\"",
            "Content-Disposition: form-data; name*=UTF-8''a",
            "Content-Disposition: form-data; name='a'",
            "Content-Disposition: form-data; name=\"a\"; x=\"; name=b\"",
            "Content-Disposition: form-data; name=\"a\"; filename=\"; name=b\"",
            "Content-Disposition: form-data; name=\"a",
            "Content-Disposition: form-data\r\n ; name=a",
            "Content-Disposition: form-data; name=a\nX: y",
            "Content-Type: text/plain\r\nContent-Type: text/html",
            "Content-Transfer-Encoding: base64",
            "no colon",
            "A : b",
        ] {
            assert_eq!(read(head), Err(Malformed), "{head:?}");
        }
        assert_eq!(PartHead::read(b"A: \xff"), Err(Malformed));
    }
}
