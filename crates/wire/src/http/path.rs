//! The one canonical form of a path (HT-03).
//!
//! Servers differ in what they take for the same path: whether `%2e%2e` is a step up, `\` a separator, `;x` a part of a
//! name, whether an escape is decoded twice. Here a path either gets the one spelling that all of them read alike, or it is
//! refused. What is decided on is what is forwarded.

use model::error::ErrorKind;

use super::percent;

/// The longest path, in bytes: what most servers take.
pub const MOST_OF_A_PATH: usize = 4096;

/// How many names a path may have: each is an entity for policies.
pub const MOST_SEGMENTS: usize = 100;

/// What a target needs of what is refused otherwise, because servers disagree on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tolerance {
    /// `%2F` within a name stays what it is. Only for a target that does not take it for a `/`.
    pub encoded_slash: bool,
    /// `;` within a name stays what it is. Only for a target that does not cut names off there.
    pub semicolon: bool,
}

/// A path in its canonical form.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Path(Box<str>);

/// A path has no form that every server reads alike. It is not repeated here: secrets are put into paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path does not begin with /")]
    Relative,
    /// Longer than [`MOST_OF_A_PATH`].
    #[error("a path of {0} bytes exceeds the {MOST_OF_A_PATH} that are allowed")]
    TooLong(usize),
    /// More names than [`MOST_SEGMENTS`].
    #[error("the path has more than {MOST_SEGMENTS} parts")]
    TooDeep,
    /// A `%` without two hexadecimal digits behind it.
    #[error("a % in the path is no escape")]
    Escape,
    /// `%25` in front of two hexadecimal digits: a server that decodes twice would read another path.
    #[error("the path is escaped twice")]
    EscapedTwice,
    /// What it stands for is not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A control character, encoded or not.
    #[error("the path has a control character in it")]
    Control,
    /// A `\`, encoded or not: some servers take it for `/`.
    #[error("the path has a \\ in it")]
    Backslash,
    /// An encoded `/`.
    #[error("the path has an encoded / in it")]
    EncodedSlash,
    /// A `;`: some servers cut the name off there.
    #[error("the path has a ; in it")]
    Semicolon,
    /// `.` or `..` that servers disagree on: in front of a `;`, or beside an encoded `/`.
    #[error("the path has a part that some servers would take for . or ..")]
    HiddenDots,
    /// `..` out of the root.
    #[error("the path leads out of its root")]
    AboveRoot,
    /// A `#` or `?`: not part of a path.
    #[error("the path has a {0} in it")]
    Delimiter(char),
}

impl PathError {
    /// Whose doing it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLong(_) | Self::TooDeep => ErrorKind::Limit,
            _ => ErrorKind::Client,
        }
    }
}

impl Path {
    /// The canonical form of a path as it came, without its query. An empty one is `/` (RFC 9110, section 4.2.3).
    ///
    /// - Escapes of characters that mean nothing in a path are decoded, others are in upper case; what may not stand there
    ///   by itself (a space, `"`, `{`, letters beyond ASCII) is escaped.
    /// - `.` and `..` are carried out, however they are encoded; several `/` are one.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(raw: &str, tolerance: Tolerance) -> Result<Self, PathError> {
        if raw.is_empty() {
            return Ok(Self("/".into()));
        }
        if raw.len() > MOST_OF_A_PATH {
            return Err(PathError::TooLong(raw.len()));
        }
        let below = raw.strip_prefix('/').ok_or(PathError::Relative)?;
        let mut names: Vec<String> = Vec::new();
        let mut is_directory = below.is_empty();
        for part in below.split('/') {
            let name = segment(part, tolerance)?;
            is_directory = matches!(name.as_str(), "" | "." | "..");
            match name.as_str() {
                "" | "." => {}
                ".." => drop(names.pop().ok_or(PathError::AboveRoot)?),
                _ => names.push(name),
            }
            if names.len() > MOST_SEGMENTS {
                return Err(PathError::TooDeep);
            }
        }
        Ok(Self(joined(&names, is_directory)?))
    }

    /// The path, beginning with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names in it, each as it is written. A `/` at the end is an empty name behind it.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// Escapes may have made it longer than it was.
fn joined(names: &[String], is_directory: bool) -> Result<Box<str>, PathError> {
    let mut out = String::new();
    for name in names {
        out.push('/');
        out.push_str(name);
    }
    if is_directory || out.is_empty() {
        out.push('/');
    }
    match out.len() {
        length if length > MOST_OF_A_PATH => Err(PathError::TooLong(length)),
        _ => Ok(out.into()),
    }
}

/// One name in its canonical form.
fn segment(part: &str, tolerance: Tolerance) -> Result<String, PathError> {
    let (mut out, mut decoded) = (String::with_capacity(part.len()), Vec::with_capacity(part.len()));
    let mut rest = part.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let is_escape = byte == b'%';
        let byte = if is_escape { percent::escaped(rest).ok_or(PathError::Escape)? } else { byte };
        if is_escape {
            rest = rest.get(2..).unwrap_or_default();
        }
        judge(byte, is_escape, rest, tolerance)?;
        decoded.push(byte);
        match stands_for_itself(byte) || (byte == b';' && !is_escape) {
            true => out.push(char::from(byte)),
            false => percent::push(&mut out, byte),
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)?;
    if hides_dots(&decoded) {
        return Err(PathError::HiddenDots);
    }
    // Those beyond ASCII, which are two bytes.
    match decoded.chars().any(|character| character.is_control()) {
        true => Err(PathError::Control),
        false => Ok(out),
    }
}

/// Whether a byte, which stood there by itself or as an escape, may be in a name.
fn judge(byte: u8, is_escape: bool, behind: &[u8], tolerance: Tolerance) -> Result<(), PathError> {
    match byte {
        0..=31 | 127 => Err(PathError::Control),
        b'\\' => Err(PathError::Backslash),
        b'/' if !tolerance.encoded_slash => Err(PathError::EncodedSlash),
        b';' if !is_escape && !tolerance.semicolon => Err(PathError::Semicolon),
        b'%' if is_an_escape_again(behind) => Err(PathError::EscapedTwice),
        b'#' | b'?' if !is_escape => Err(PathError::Delimiter(char::from(byte))),
        _ => Ok(()),
    }
}

/// Whether what stands behind a `%25` makes it an escape once it is decoded: `%252e`, and `%25%32%65` as well.
fn is_an_escape_again(behind: &[u8]) -> bool {
    let digit = |bytes: &[u8]| match bytes.split_first() {
        Some((b'%', rest)) => Some((percent::escaped(rest)?, 3)),
        Some((byte, _)) => Some((*byte, 1)),
        None => None,
    };
    let both = digit(behind).and_then(|(high, length)| Some((high, digit(behind.get(length..)?)?.0)));
    both.is_some_and(|(high, low)| high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// What a name may hold without another meaning (RFC 3986, section 3.3), but for `;`.
const fn stands_for_itself(byte: u8) -> bool {
    percent::is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

/// Whether a server that cuts names off at `;`, or takes an encoded `/` for one, would see `.` or `..` here. A name that is
/// nothing else does not hide them.
fn hides_dots(name: &str) -> bool {
    let parts = name.split('/').map(|part| part.split(';').next().unwrap_or_default());
    let is_dots = |part: &str| matches!(part, "." | "..");
    !is_dots(name) && (parts.clone().any(is_dots) || (name.contains('/') && parts.into_iter().any(str::is_empty)))
}

#[cfg(test)]
mod tests;
