//! What a body is, by the fields that say so.

use super::coding::Coding;
use super::error::Unmaskable;

/// How a body is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Media {
    /// One JSON value, or several one after another.
    Json,
    /// JSON values, each behind a record separator (RFC 7464).
    JsonSequence,
    /// Server-sent events.
    Events,
    /// Rows of values, and whether the first names them.
    Table {
        /// Whether the first row is one of names.
        header: bool,
        /// What stands between values, if that is known.
        delimiter: Option<u8>,
    },
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Text with character references: XML and HTML.
    Markup,
    /// Other text.
    Text,
    /// Several parts, each with a head that says what it is.
    Multipart,
    /// What is not read.
    Opaque,
    /// Messages of gRPC in Protocol Buffers, which are read where they are described.
    Grpc,
    /// What is not read, and would not be what it is if a byte of it were changed: messages with lengths in them.
    Framed,
}

impl Media {
    /// Reads the values of all `Content-Type` fields.
    pub(super) fn read(fields: &[&[u8]]) -> Result<Option<Self>, Unmaskable> {
        let field = match fields {
            [] => return Ok(None),
            [one] => std::str::from_utf8(one).map_err(|_| Unmaskable::MediaType)?,
            _ => return Err(Unmaskable::MediaType),
        };
        let mut parts = Parts { rest: field };
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut charset, mut header) = (None, true);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"').to_ascii_lowercase();
            match name.trim().to_ascii_lowercase().as_str() {
                // Of two, a reader may believe either.
                "charset" if charset.as_ref().is_some_and(|other| *other != value) => return Err(Unmaskable::Charset),
                "charset" => charset = Some(value),
                "header" => header = value != "absent",
                _ => {}
            }
        }
        let media = Self::of(&kind, header);
        let read = !matches!(media, Self::Opaque | Self::Framed | Self::Grpc | Self::Multipart);
        if read && charset.is_some_and(|charset| !contains_ascii(&charset)) {
            return Err(Unmaskable::Charset);
        }
        Ok(Some(media))
    }

    fn of(kind: &str, header: bool) -> Self {
        let (class, name) = kind.split_once('/').unwrap_or((kind, ""));
        let suffix = name.rsplit_once('+').map(|(_, suffix)| suffix);
        match (class, name) {
            ("application", "json-seq") => Self::JsonSequence,
            _ if suffix == Some("json-seq") => Self::JsonSequence,
            (
                "application" | "text",
                "json" | "x-json" | "ndjson" | "x-ndjson" | "jsonl" | "jsonlines" | "json-lines",
            )
            | ("application" | "text", "x-jsonlines" | "stream+json" | "manifest+json" | "graphql-response+json") => {
                Self::Json
            }
            _ if matches!(suffix, Some("json" | "ndjson")) => Self::Json,
            ("text", "event-stream") => Self::Events,
            ("text" | "application", "csv" | "x-csv") => Self::Table { header, delimiter: None },
            ("text", "tab-separated-values") => Self::Table { header, delimiter: Some(b'\t') },
            ("application", "x-www-form-urlencoded") => Self::Form,
            ("text" | "application", "html" | "xml" | "xhtml+xml" | "xml-external-parsed-entity") => Self::Markup,
            _ if suffix == Some("xml") => Self::Markup,
            ("text", _) => Self::Text,
            ("application", "yaml" | "x-yaml" | "toml" | "javascript" | "x-javascript" | "ecmascript" | "sql") => {
                Self::Text
            }
            ("application", "graphql" | "jwt" | "x-sh" | "x-pem-file" | "pem-certificate-chain" | "problem") => {
                Self::Text
            }
            _ if matches!(suffix, Some("yaml" | "jwt")) => Self::Text,
            // Not parts of one whole (`byteranges`), nor such as follow one another without an end.
            ("multipart", "form-data" | "mixed" | "related" | "alternative") => Self::Multipart,
            ("application", "grpc" | "grpc+proto") => Self::Grpc,
            ("application", name) if is_framed(name) => Self::Framed,
            _ => Self::Opaque,
        }
    }
}

/// gRPC in all its forms, protocol buffers and the like.
fn is_framed(name: &str) -> bool {
    let base = name.split_once('+').map_or(name, |(base, _)| base);
    let is = |name: &str| {
        matches!(
            name,
            "grpc"
                | "grpc-web"
                | "grpc-web-text"
                | "protobuf"
                | "x-protobuf"
                | "proto"
                | "x-google-protobuf"
                | "vnd.google.protobuf"
                | "vnd.kubernetes.protobuf"
                | "cbor"
                | "msgpack"
                | "x-msgpack"
                | "vnd.msgpack"
                | "bson"
                | "avro"
                | "thrift"
        )
    };
    is(base)
        || name.rsplit_once('+').is_some_and(|(_, suffix)| matches!(suffix, "proto" | "protobuf" | "cbor" | "msgpack"))
}

/// Character sets in which the bytes of ASCII are its characters, and are in no other character.
fn contains_ascii(charset: &str) -> bool {
    matches!(charset, "utf-8" | "utf8" | "us-ascii" | "ascii" | "latin1" | "macintosh" | "koi8-r" | "koi8-u")
        || ["iso-8859-", "iso8859-", "windows-125", "cp125", "euc-"].iter().any(|prefix| charset.starts_with(prefix))
}

/// The parts of a field between semicolons that stand in no quotes.
struct Parts<'f> {
    rest: &'f str,
}

impl<'f> Iterator for Parts<'f> {
    type Item = &'f str;

    fn next(&mut self) -> Option<&'f str> {
        if self.rest.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = self.rest.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == b';' && !quoted
        });
        let (part, rest) = match end {
            Some(end) => (self.rest.get(..end)?, self.rest.get(end.checked_add(1)?..)?),
            None => (self.rest, ""),
        };
        self.rest = rest;
        Some(part.trim())
    }
}

/// The most codings that a body may have, one around the other.
const MOST_CODINGS: usize = 4;

/// Reads the values of all `Content-Encoding` fields, the outermost coding first.
pub(super) fn codings(fields: &[&[u8]], most: u64) -> Result<Vec<Coding>, Unmaskable> {
    let mut codings = Vec::new();
    for field in fields.iter().rev() {
        let field = std::str::from_utf8(field).map_err(|_| Unmaskable::Coding)?;
        for name in field.rsplit(',').map(|name| name.trim().to_ascii_lowercase()) {
            if !matches!(name.as_str(), "" | "identity") {
                codings.push(Coding::named(&name, most).ok_or(Unmaskable::Coding)?);
            }
        }
    }
    if codings.len() > MOST_CODINGS { Err(Unmaskable::Coding) } else { Ok(codings) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_as_they_are_meant() {
        let table = |header, delimiter| Media::Table { header, delimiter };
        for (field, expected) in [
            ("application/json", Media::Json),
            ("Application/JSON ; charset=\"UTF-8\"", Media::Json),
            ("application/problem+json", Media::Json),
            ("application/vnd.api+json; profile=\"a;charset=utf-16\"", Media::Json),
            ("application/x-ndjson", Media::Json),
            ("application/json-seq", Media::JsonSequence),
            ("application/geo+json-seq", Media::JsonSequence),
            ("text/event-stream", Media::Events),
            ("text/csv", table(true, None)),
            ("text/csv; header=absent", table(false, None)),
            ("text/tab-separated-values", table(true, Some(b'\t'))),
            ("application/x-www-form-urlencoded", Media::Form),
            ("image/svg+xml", Media::Markup),
            ("text/html; charset=iso-8859-1", Media::Markup),
            ("text/x-anything", Media::Text),
            ("image/png", Media::Opaque),
            ("application/octet-stream; charset=utf-16", Media::Opaque),
            ("multipart/form-data; boundary=x", Media::Multipart),
            ("multipart/byteranges; boundary=x", Media::Opaque),
            ("application/grpc+proto", Media::Grpc),
            ("application/grpc", Media::Grpc),
            ("application/grpc+json", Media::Json),
            ("application/grpc-web-text", Media::Framed),
            ("application/vnd.google.protobuf", Media::Framed),
            ("application/whatever+cbor", Media::Framed),
            ("", Media::Opaque),
        ] {
            assert_eq!(Media::read(&[field.as_bytes()]), Ok(Some(expected)), "{field}");
        }
        assert_eq!(Media::read(&[]), Ok(None));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not() {
        for field in ["text/plain; charset=utf-16", "application/json;charset=utf-32be", "text/csv; charset=shift_jis"]
        {
            assert_eq!(Media::read(&[field.as_bytes()]), Err(Unmaskable::Charset), "{field}");
        }
        let two = "text/plain; charset=utf-8; charset=utf-7";
        assert_eq!(Media::read(&[two.as_bytes()]), Err(Unmaskable::Charset));
        assert_eq!(Media::read(&[b"text/plain", b"application/json"]), Err(Unmaskable::MediaType));
        assert_eq!(Media::read(&[b"text/\xff"]), Err(Unmaskable::MediaType));
    }
}
