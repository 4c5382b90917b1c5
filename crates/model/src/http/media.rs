//! What a body says that it is (RFC 9110, section 8.3).

use std::fmt;

/// A media type with its parameters, as `Content-Type` has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Media {
    /// Type and subtype in lower case, such as `application/problem+json`.
    essence: Box<str>,
    /// The parameters in their order, names in lower case.
    parameters: Parameters,
}

/// Names in lower case, and their values.
pub(super) type Parameters = Vec<(Box<str>, Box<str>)>;

/// How what is in a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Syntax {
    /// One JSON text.
    Json,
    /// A JSON text on each line.
    JsonLines,
    /// JSON texts, each behind a record separator (RFC 7464).
    JsonSequence,
    /// Server-sent events.
    EventStream,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/…`.
    Multipart,
    /// XML, and HTML.
    Xml,
    /// Other text.
    Text,
    /// gRPC, in any of its codings.
    Grpc,
    /// Not known to be text.
    Other,
}

/// A value of `Content-Type` is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MediaError {
    /// It is not `type/subtype`.
    #[error("a media type is type/subtype")]
    Essence,
    /// A parameter that is not `name=value`, or a name twice: two readers would take two different values.
    #[error("a parameter of the media type is malformed, or occurs twice")]
    Parameter,
}

impl Media {
    /// Reads the value of a `Content-Type`.
    ///
    /// # Errors
    /// [`MediaError`].
    pub fn parse(value: &str) -> Result<Self, MediaError> {
        let (essence, rest) = value.split_once(';').map_or((value, None), |(essence, rest)| (essence, Some(rest)));
        let essence = essence.trim_matches(BLANK).to_ascii_lowercase();
        let is_essence = essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
        if !is_essence {
            return Err(MediaError::Essence);
        }
        let parameters = parameters(rest).ok_or(MediaError::Parameter)?;
        Ok(Self { essence: essence.into(), parameters })
    }

    /// Type and subtype, in lower case.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// Its parameters in their order, names in lower case.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }

    /// Whether text in it is UTF-8, or of a part of UTF-8; where it does not say, it is.
    pub fn is_utf8(&self) -> bool {
        let is_utf8 = |name: &str| ["utf-8", "utf8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(name));
        self.parameter("charset").is_none_or(is_utf8)
    }

    /// How what is in it is written.
    pub fn syntax(&self) -> Syntax {
        let (kind, subtype) = self.essence.split_once('/').unwrap_or_default();
        let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
        match (kind, subtype, suffix) {
            (_, "json", _) | (_, _, Some("json")) => Syntax::Json,
            (_, "x-ndjson" | "ndjson" | "jsonl" | "x-jsonlines" | "json-lines" | "stream+json", _) => Syntax::JsonLines,
            (_, "json-seq", _) | (_, _, Some("json-seq")) => Syntax::JsonSequence,
            ("text", "event-stream", _) => Syntax::EventStream,
            ("text", "csv", _) => Syntax::Csv,
            ("application", "x-www-form-urlencoded", _) => Syntax::Form,
            ("multipart", ..) => Syntax::Multipart,
            (_, "xml" | "html", _) | (_, _, Some("xml")) => Syntax::Xml,
            ("application", "grpc", _) => Syntax::Grpc,
            ("application", name, _) if name.starts_with("grpc+") || name.starts_with("grpc-web") => Syntax::Grpc,
            ("text", ..) | ("application", "javascript" | "yaml" | "x-yaml" | "graphql", _) => Syntax::Text,
            _ => Syntax::Other,
        }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.essence)?;
        self.parameters.iter().try_for_each(|(name, value)| match is_token(value) {
            true => write!(out, ";{name}={value}"),
            false => write!(out, ";{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        })
    }
}

/// What may stand around the parts of a value (RFC 9110, section 5.6.3).
pub(super) const BLANK: [char; 2] = [' ', '\t'];

/// What stands behind the first `;` of a value, if it has one; nothing if that is malformed, or has a name twice.
pub(super) fn parameters(mut rest: Option<&str>) -> Option<Parameters> {
    let mut parameters = Parameters::new();
    while let Some(text) = rest {
        let (parameter, left) = parameter(text)?;
        if let Some((name, value)) = parameter {
            if parameters.iter().any(|(known, _)| **known == *name) {
                return None;
            }
            parameters.push((name.into(), value.into()));
        }
        rest = left;
    }
    Some(parameters)
}

/// RFC 9110, section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A name, in lower case, and its value.
type Parameter = (String, String);

/// The first parameter, if there is any, and what is behind its `;`.
fn parameter(text: &str) -> Option<(Option<Parameter>, Option<&str>)> {
    let text = text.trim_start_matches(BLANK);
    if text.is_empty() || text.starts_with(';') {
        return Some((None, text.strip_prefix(';')));
    }
    let (name, value) = text.split_once('=')?;
    let (value, rest) = match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let (value, rest) = value.split_at_checked(value.find(';').unwrap_or(value.len()))?;
            let value = value.trim_end_matches(BLANK);
            (is_token(value).then(|| value.to_owned())?, rest)
        }
    };
    let rest = rest.trim_start_matches(BLANK);
    let left = if rest.is_empty() { None } else { Some(rest.strip_prefix(';')?) };
    is_token(name).then(|| (Some((name.to_ascii_lowercase(), value)), left))
}

/// A quoted string without its quotes, and what is behind it (RFC 9110, section 5.6.4).
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            plain => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_are_read_with_their_parameters() {
        for (value, expected) in [
            ("application/json", "application/json"),
            ("Application/JSON ; Charset=UTF-8", "application/json;charset=UTF-8"),
            ("text/html;charset=\"utf-8\";", "text/html;charset=utf-8"),
            (r#"multipart/form-data; boundary="a \"b; c""#, r#"multipart/form-data;boundary="a \"b; c""#),
            ("text/plain;;a=1", "text/plain;a=1"),
        ] {
            assert_eq!(Media::parse(value).unwrap().to_string(), expected, "{value}");
        }
        for value in ["", "json", "a/", "/b", "a b/c", "a/b/c", "text/plain, text/html"] {
            assert_eq!(Media::parse(value), Err(MediaError::Essence), "{value:?}");
        }
        for value in [
            "a/b;x",
            "a/b;x=",
            "a/b;=1",
            "a/b; x =1",
            "a/b;x=\"1",
            "a/b;x=\"1\"2",
            "a/b;x=1 2",
            "a/b;charset=utf-8;Charset=utf-16",
        ] {
            assert_eq!(Media::parse(value), Err(MediaError::Parameter), "{value:?}");
        }
    }

    #[test]
    fn the_syntax_follows_from_the_type() {
        for (essence, expected) in [
            ("application/json", Syntax::Json),
            ("application/vnd.api+json", Syntax::Json),
            ("application/x-ndjson", Syntax::JsonLines),
            ("application/json-seq", Syntax::JsonSequence),
            ("text/event-stream", Syntax::EventStream),
            ("text/csv", Syntax::Csv),
            ("application/x-www-form-urlencoded", Syntax::Form),
            ("multipart/mixed", Syntax::Multipart),
            ("text/html", Syntax::Xml),
            ("application/soap+xml", Syntax::Xml),
            ("text/plain", Syntax::Text),
            ("application/grpc", Syntax::Grpc),
            ("application/grpc+proto", Syntax::Grpc),
            ("application/grpc-web-text", Syntax::Grpc),
            ("application/octet-stream", Syntax::Other),
            ("image/png", Syntax::Other),
        ] {
            assert_eq!(Media::parse(essence).unwrap().syntax(), expected, "{essence}");
        }
    }

    #[test]
    fn another_charset_is_said() {
        for (value, expected) in [
            ("text/plain", true),
            ("text/plain;charset=UTF-8", true),
            ("text/plain;charset=us-ascii", true),
            ("text/plain;charset=utf-16", false),
            ("text/plain;charset=latin1", false),
        ] {
            assert_eq!(Media::parse(value).unwrap().is_utf8(), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_alike(value in "[ -~]{0,3}[a/;= \"\\\\]{0,12}[ -~]{0,8}") {
            if let Ok(media) = Media::parse(&value) {
                prop_assert_eq!(Media::parse(&media.to_string()), Ok(media));
            }
        }

        #[test]
        fn a_boundary_survives_its_quotes(boundary in "[ -~]{1,20}") {
            let quoted = boundary.replace('\\', "\\\\").replace('"', "\\\"");
            let media = Media::parse(&format!("multipart/mixed; boundary=\"{quoted}\"")).unwrap();
            prop_assert_eq!(media.parameter("boundary"), Some(boundary.as_str()));
        }
    }
}
