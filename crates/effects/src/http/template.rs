//! Templates of paths, such as `/v1/customers/{id}` (OpenAPI 3.1, section 4.8.8.1).

use std::cmp::Ordering;
use std::sync::Arc;

use model::effect::Named;

/// One piece of a name in a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(Box<str>),
    /// One or more characters of the name.
    Parameter(Arc<str>),
}

/// One name of a path: pieces, of which no two parameters stand side by side.
type Segment = Vec<Piece>;

/// A template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    text: Arc<str>,
    segments: Vec<Segment>,
    /// What takes the rest of the path, names and `/` alike.
    rest: Option<Arc<str>>,
}

/// How many names a template may have; no path has more.
const MOST_SEGMENTS: usize = 100;

impl Template {
    /// Reads a template; `{name*}` at its end stands for all that follows.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let below = text.strip_prefix('/').ok_or("a template begins with /")?;
        let mut parts: Vec<&str> = below.split('/').collect();
        let rest = parts.last().and_then(|last| last.strip_prefix('{')?.strip_suffix("*}"));
        if rest.is_some() {
            parts.pop();
        }
        if parts.len() > MOST_SEGMENTS {
            return Err("a template has at most 100 parts");
        }
        let last = parts.len().saturating_sub(1);
        let mut segments = Vec::with_capacity(parts.len());
        for (at, part) in parts.into_iter().enumerate() {
            match part {
                "" if at < last || rest.is_some() => return Err("a part of a template is empty"),
                "." | ".." => return Err("a template has no . and .. in it"),
                _ => segments.push(segment(part)?),
            }
        }
        let template = Self { text: text.into(), segments, rest: rest.map(parameter).transpose()? };
        let mut names: Vec<&Arc<str>> = template.names().collect();
        names.sort_unstable();
        match names.windows(2).any(|pair| pair.first() == pair.get(1)) {
            true => Err("a template has each name once"),
            false => Ok(template),
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let pieces = self.segments.iter().flatten().filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name),
            Piece::Literal(_) => None,
        });
        pieces.chain(&self.rest)
    }

    /// What stands for the names, decoded, if the canonical path fits.
    pub(super) fn matches(&self, path: &str) -> Option<Vec<Named>> {
        let mut parts = path.strip_prefix('/')?.splitn(self.segments.len().saturating_add(1), '/');
        let mut found = Vec::new();
        for segment in &self.segments {
            fits(segment, parts.next()?, &mut found)?;
        }
        match (&self.rest, parts.next()) {
            (None, None) => {}
            (Some(name), Some(rest)) => found.push((Arc::clone(name), decoded(rest).into())),
            (None, Some(_)) | (Some(_), None) => return None,
        }
        Some(found)
    }

    /// Which of two comes first where both fit: at the first name that differs, the more concrete (OpenAPI 3.1, section
    /// 4.8.8.2).
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        let by_names = self.segments.iter().zip(&other.segments).map(|(one, other)| rank(one).cmp(&rank(other)));
        let first = by_names.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        first
            .then_with(|| self.rest.is_some().cmp(&other.rest.is_some()))
            .then_with(|| other.segments.len().cmp(&self.segments.len()))
    }

    /// Whether the two fit exactly the same paths.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let plain = |template: &Self| -> Vec<Vec<Option<Box<str>>>> {
            let piece = |piece: &Piece| match piece {
                Piece::Literal(text) => Some(text.clone()),
                Piece::Parameter(_) => None,
            };
            template.segments.iter().map(|segment| segment.iter().map(piece).collect()).collect()
        };
        self.rest.is_some() == other.rest.is_some() && plain(self) == plain(other)
    }
}

/// A literal before one with a parameter in it, and the more literal it is the sooner.
fn rank(segment: &Segment) -> (usize, usize) {
    let (mut parameters, mut literal) = (0_usize, 0_usize);
    for piece in segment {
        match piece {
            Piece::Literal(text) => literal = literal.saturating_add(text.len()),
            Piece::Parameter(_) => parameters = parameters.saturating_add(1),
        }
    }
    match parameters {
        0 => (0, 0),
        _ => (1, usize::MAX.saturating_sub(literal)),
    }
}

fn segment(part: &str) -> Result<Segment, &'static str> {
    let (mut pieces, mut rest) = (Segment::new(), part);
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('{') {
            let (name, behind) = behind.split_once('}').ok_or("a { in a template has no }")?;
            if matches!(pieces.last(), Some(Piece::Parameter(_))) {
                return Err("two names of a template stand side by side");
            }
            pieces.push(Piece::Parameter(parameter(name)?));
            rest = behind;
        } else {
            let (text, behind) = rest.split_at_checked(rest.find('{').unwrap_or(rest.len())).unwrap_or((rest, ""));
            pieces.push(Piece::Literal(literal(text)?.into()));
            rest = behind;
        }
    }
    Ok(pieces)
}

fn parameter(name: &str) -> Result<Arc<str>, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    match !name.is_empty() && name.len() <= 100 && name.bytes().all(is_name) {
        true => Ok(name.into()),
        false => Err("a name in a template has only letters, digits, _ - and . in it"),
    }
}

/// Only what stands for itself in a canonical path: then the template's text is compared as it is.
fn literal(text: &str) -> Result<&str, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    match text.bytes().all(is_plain) {
        true => Ok(text),
        false => Err("a template has a character in it that no path has by itself"),
    }
}

/// Whether the whole name fits; each parameter takes as little as it can, the last one what is left.
fn fits(segment: &Segment, name: &str, found: &mut Vec<Named>) -> Option<()> {
    let mut rest = name;
    let mut pieces = segment.iter().peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Literal(text) => rest = rest.strip_prefix(&**text)?,
            Piece::Parameter(parameter) => {
                let end = match pieces.peek() {
                    None => rest.len(),
                    Some(Piece::Literal(text)) => {
                        let is_last = pieces.clone().nth(1).is_none();
                        let first = rest.chars().next()?.len_utf8();
                        let behind = rest.get(first..)?;
                        let at = if is_last { behind.strip_suffix(&**text)?.len() } else { behind.find(&**text)? };
                        at.saturating_add(first)
                    }
                    Some(Piece::Parameter(_)) => return None,
                };
                let (value, behind) = rest.split_at_checked(end)?;
                if value.is_empty() {
                    return None;
                }
                found.push((Arc::clone(parameter), decoded(value).into()));
                rest = behind;
            }
        }
    }
    rest.is_empty().then_some(())
}

/// A part of a canonical path as the text that it stands for: every escape in it is one of UTF-8.
fn decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
