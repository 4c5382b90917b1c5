//! What bodies of HTTP are, and where values stand in them.
//!
//! Where values of a class stand is said by the descriptions of an API and the rules of a classification: `effects` writes
//! [`FieldRule`]s, `masking` reads them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::class::DataClass;

pub use media::{Media, MediaError, Syntax};

mod media;
pub mod multipart;
pub mod protobuf;

/// One step from a JSON value to a part of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// The member of an object with this name, unescaped. It is matched exactly.
    Key(Box<str>),
    /// Every member of an object.
    AnyKey,
    /// Every element of an array.
    AnyIndex,
    /// The value itself and all that is in it, at any depth.
    AnyDepth,
}

/// The places that a path leads to. An empty path is the whole body.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct FieldPath {
    /// From the body inward.
    pub segments: Vec<Segment>,
}

/// Values at these places carry these classes: a scalar there is of the class, and of an object or array every scalar in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FieldRule {
    /// Where.
    pub path: FieldPath,
    /// What the values are; never empty.
    pub classes: BTreeSet<DataClass>,
    /// How they are written there.
    #[serde(default)]
    pub form: FieldForm,
}

/// How values are written in strings, so that what stands for one that is hidden can be read as such.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldForm {
    /// As they are.
    #[default]
    Plain,
    /// In base64 (RFC 4648, section 4), and so is what stands for them.
    Base64,
    /// As a document of its own, for which an empty one stands: `{}`.
    Document,
}

/// A path is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FieldPathError {
    /// It does not begin with `$`.
    #[error("a path begins with $, such as $.customer.email")]
    Root,
    /// A step that is none of `.name`, `.*`, `..`, `[*]` and `["name"]`.
    #[error("at byte {0}: a step is .name, .*, ..name, [*] or [\"name\"]")]
    Step(usize),
    /// More steps than [`FieldPath::MOST_SEGMENTS`].
    #[error("a path has at most {} steps", FieldPath::MOST_SEGMENTS)]
    TooLong,
}

impl FieldPath {
    /// How many steps a path may have: what matches it keeps a state for each.
    pub const MOST_SEGMENTS: usize = 32;

    /// Reads the part of JSONPath (RFC 9535) that has no condition and no number in it: `$.customers[*].card.number`,
    /// `$..ssn`, `$.*["first name"]`.
    ///
    /// # Errors
    /// [`FieldPathError`].
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        let mut rest = text.strip_prefix('$').ok_or(FieldPathError::Root)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let at = text.len().saturating_sub(rest.len());
            rest = step(rest, &mut segments).ok_or(FieldPathError::Step(at))?;
            if segments.len() > Self::MOST_SEGMENTS {
                return Err(FieldPathError::TooLong);
            }
        }
        Ok(Self { segments })
    }
}

/// Reads one step, and says what is left.
fn step<'a>(text: &'a str, segments: &mut Vec<Segment>) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix("..") {
        segments.push(Segment::AnyDepth);
        return match rest.starts_with('[') {
            true => Some(rest),
            false => name(rest, segments),
        };
    }
    if let Some(rest) = text.strip_prefix('.') {
        return name(rest, segments);
    }
    if let Some(rest) = text.strip_prefix("[*]") {
        segments.push(Segment::AnyIndex);
        return Some(rest);
    }
    let (key, rest) = quoted(text.strip_prefix("[\"")?)?;
    segments.push(Segment::Key(key.into()));
    rest.strip_prefix(']')
}

/// A name without quotes: all up to the next `.` or `[`.
fn name<'a>(text: &'a str, segments: &mut Vec<Segment>) -> Option<&'a str> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    match name {
        "" => return None,
        "*" => segments.push(Segment::AnyKey),
        name if name.contains(['"', ']', '*', '\\']) => return None,
        name => segments.push(Segment::Key(name.into())),
    }
    Some(rest)
}

/// Up to the quote that ends it; `\` stands in front of a quote or of itself.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut key, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next()? {
            '"' => return Some((key, characters.as_str())),
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\') => key.push(escaped),
                _ => return None,
            },
            plain => key.push(plain),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("$")?;
        let mut after_depth = false;
        for segment in &self.segments {
            match segment {
                Segment::AnyDepth => out.write_str("..")?,
                Segment::AnyIndex => out.write_str("[*]")?,
                Segment::AnyKey => out.write_str(if after_depth { "*" } else { ".*" })?,
                Segment::Key(key) if is_plain(key) => write!(out, "{}{key}", if after_depth { "" } else { "." })?,
                Segment::Key(key) => write!(out, "[\"{}\"]", key.replace('\\', "\\\\").replace('"', "\\\""))?,
            }
            after_depth = *segment == Segment::AnyDepth;
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && !key.contains(['.', '[', ']', '"', '\\', '*'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_read_and_written() {
        use Segment::{AnyDepth, AnyIndex, AnyKey, Key};
        for (text, segments) in [
            ("$", vec![]),
            ("$.a.b", vec![Key("a".into()), Key("b".into())]),
            ("$.a[*].b", vec![Key("a".into()), AnyIndex, Key("b".into())]),
            ("$..ssn", vec![AnyDepth, Key("ssn".into())]),
            ("$.*..*", vec![AnyKey, AnyDepth, AnyKey]),
            ("$..[*]", vec![AnyDepth, AnyIndex]),
            (r#"$["a.b"]["\"\\"]"#, vec![Key("a.b".into()), Key("\"\\".into())]),
        ] {
            let path = FieldPath { segments };
            assert_eq!(FieldPath::parse(text), Ok(path.clone()), "{text}");
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        assert_eq!(FieldPath::parse("a"), Err(FieldPathError::Root));
        for text in ["$a", "$.", "$..", "$[0]", "$[?@.a]", "$['a']", r#"$["a"#, r#"$["a\n"]"#, "$.a*", "$.a]", "$..*["]
        {
            assert!(matches!(FieldPath::parse(text), Err(FieldPathError::Step(_))), "{text}");
        }
        assert_eq!(FieldPath::parse(&format!("${}", "[*]".repeat(33))), Err(FieldPathError::TooLong));
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_was_written(
            keys in proptest::collection::vec(proptest::option::of("[a\"\\\\.*\\[\\]ü ]{0,4}"), 0..8),
        ) {
            let segments = keys.into_iter().map(|key| key.map_or(Segment::AnyIndex, |key| Segment::Key(key.into())));
            let path = FieldPath { segments: segments.collect() };
            prop_assert_eq!(FieldPath::parse(&path.to_string()), Ok(path));
        }
    }
}
