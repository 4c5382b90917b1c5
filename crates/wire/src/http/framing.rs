//! Shapes of a request that two readers may end at two places (SM-13, SM-14).
//!
//! What the HTTP library does with a request of HTTP/1.1 before it is seen here: it refuses a `Transfer-Encoding` that does
//! not end in `chunked` or came by HTTP/1.0, `Content-Length`s that differ or are no digits, names with a space in front of
//! their colon, folded lines and NULs. It takes a `Transfer-Encoding` before a `Content-Length`, drops the latter, and ends
//! the connection behind the request. Here is refused what it still lets through. As every head is written anew, nothing of
//! this is left to the target to read; it is refused because no client sends it by accident.

use model::error::ErrorKind;

/// The version that a request came by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// HTTP/1.0: no `Transfer-Encoding`.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 and later: frames say where a body ends, and fields about the connection are malformed.
    Framed,
}

/// A request is not framed as every reader would read it. The connection ends behind the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FramingError {
    /// `Transfer-Encoding` and `Content-Length` (RFC 9112, section 6.3).
    #[error("the request has both Transfer-Encoding and Content-Length")]
    Both,
    /// More than one `Content-Length`, though they be equal.
    #[error("the request has more than one Content-Length")]
    SeveralLengths,
    /// It is anything but digits, or more than a length can be.
    #[error("the request's Content-Length is no number")]
    Length,
    /// A `Transfer-Encoding` that is not `chunked`, once.
    #[error("the request's Transfer-Encoding is not chunked")]
    Coding,
    /// A field about the connection in HTTP/2 (RFC 9113, section 8.2.2).
    #[error("the request has a field that HTTP/2 does not allow")]
    Connection,
    /// An `Expect` other than `100-continue` (RFC 9110, section 10.1.1).
    #[error("the request expects what is not known")]
    Expectation,
}

impl FramingError {
    /// Always the client's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Client
    }

    /// What it is answered with.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Expectation => 417,
            Self::Both | Self::SeveralLengths | Self::Length | Self::Coding | Self::Connection => 400,
        }
    }
}

/// Judges the fields of a request's head.
///
/// # Errors
/// [`FramingError`].
pub fn judge<'a>(version: Version, fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<(), FramingError> {
    let (mut lengths, mut codings) = (0_usize, 0_usize);
    for (name, value) in fields {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                lengths = lengths.saturating_add(1);
                judge_length(value)?;
            }
            "transfer-encoding" => {
                codings = codings.saturating_add(1);
                judge_coding(version, value)?;
            }
            "connection" | "proxy-connection" | "keep-alive" | "upgrade" | "http2-settings"
                if version == Version::Framed =>
            {
                return Err(FramingError::Connection);
            }
            "te" if version == Version::Framed && !value.eq_ignore_ascii_case(b"trailers") => {
                return Err(FramingError::Connection);
            }
            "expect" if !value.eq_ignore_ascii_case(b"100-continue") => return Err(FramingError::Expectation),
            _ => {}
        }
    }
    match (codings, lengths) {
        (2.., _) => Err(FramingError::Coding),
        (1, 1..) => Err(FramingError::Both),
        (_, 2..) => Err(FramingError::SeveralLengths),
        (0 | 1, 0 | 1) => Ok(()),
    }
}

fn judge_length(value: &[u8]) -> Result<(), FramingError> {
    let text = std::str::from_utf8(value).map_err(|_| FramingError::Length)?;
    if text.contains(',') {
        return Err(FramingError::SeveralLengths);
    }
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    if is_number { Ok(()) } else { Err(FramingError::Length) }
}

fn judge_coding(version: Version, value: &[u8]) -> Result<(), FramingError> {
    match version {
        Version::Framed => Err(FramingError::Connection),
        Version::Http11 if value.eq_ignore_ascii_case(b"chunked") => Ok(()),
        Version::Http10 | Version::Http11 => Err(FramingError::Coding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(version: Version, fields: &[(&str, &str)]) -> Result<(), FramingError> {
        judge(version, fields.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn sm_13_a_body_ends_at_one_place() {
        use FramingError::{Both, Coding, Expectation, Length, SeveralLengths};
        let (chunked, five) = (("Transfer-Encoding", "chunked"), ("Content-Length", "5"));
        assert_eq!(judged(Version::Http11, &[("Host", "a"), five, ("Expect", "100-Continue")]), Ok(()));
        assert_eq!(judged(Version::Http11, &[chunked, ("TE", "gzip"), ("Connection", "te")]), Ok(()));
        assert_eq!(judged(Version::Http11, &[("transfer-encoding", "Chunked")]), Ok(()));
        assert_eq!(judged(Version::Http10, &[five]), Ok(()));
        for (fields, error) in [
            (&[chunked, five][..], Both),
            (&[five, chunked], Both),
            (&[five, five], SeveralLengths),
            (&[five, ("content-length", "6")], SeveralLengths),
            (&[("content-length", "5, 5")], SeveralLengths),
            (&[("content-length", "+5")], Length),
            (&[("content-length", "-5")], Length),
            (&[("content-length", "0x5")], Length),
            (&[("content-length", "")], Length),
            (&[("content-length", "5 ")], Length),
            (&[("content-length", "18446744073709551616")], Length),
            (&[chunked, chunked], Coding),
            (&[("transfer-encoding", "gzip, chunked")], Coding),
            (&[("transfer-encoding", "chunked, identity")], Coding),
            (&[("transfer-encoding", "xchunked")], Coding),
            (&[("transfer-encoding", "\u{b}chunked")], Coding),
            (&[("transfer-encoding", "")], Coding),
            (&[("expect", "202-accepted")], Expectation),
        ] {
            assert_eq!(judged(Version::Http11, fields), Err(error), "{fields:?}");
        }
        assert_eq!(judged(Version::Http10, &[chunked]), Err(Coding));
        assert_eq!((Expectation.status(), Both.status(), Both.kind()), (417, 400, ErrorKind::Client));
    }

    #[test]
    fn sm_14_http_2_has_no_fields_about_a_connection() {
        assert_eq!(judged(Version::Framed, &[("te", "trailers"), ("content-length", "5")]), Ok(()));
        for field in [
            ("connection", "close"),
            ("keep-alive", "5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
        ] {
            assert_eq!(judged(Version::Framed, &[field]), Err(FramingError::Connection), "{field:?}");
        }
        assert_eq!(judged(Version::Framed, &[("content-length", "5,5")]), Err(FramingError::SeveralLengths));
    }
}
