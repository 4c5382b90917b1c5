//! A request as the text that an approval is bound to (RULES.md 22).

use model::id::Digest;

use super::Pair;
use super::call::Call;

/// The fields that change what a request does, beside its body: an approval is bound to them.
pub const SELECTED: [&str; 12] = [
    "accept",
    "content-encoding",
    "content-language",
    "content-type",
    "destination",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "overwrite",
    "prefer",
    "range",
];

/// The statements that `policy`'s digest is made of: the request line, each selected field in the order of their names, and
/// the digest of the body, absent where there is none. The digest puts a length in front of each, so none can be taken for
/// two.
///
/// `fields` are the request's as they are forwarded, in their order.
pub fn canonical<'a>(
    call: &Call<'_>,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    body: Option<&Digest>,
) -> Vec<String> {
    let upgrade = if call.upgrade { " upgrade" } else { "" };
    let mut out = vec![format!("{} {}{upgrade}", call.method, call.host), call.path.to_owned(), pairs(call.query)];
    let mut selected: Vec<(String, String)> = fields
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.escape_ascii().to_string()))
        .filter(|(name, _)| SELECTED.contains(&name.as_str()))
        .collect();
    // Stable, so several values of one name stay in their order.
    selected.sort_by(|(one, _), (other, _)| one.cmp(other));
    out.extend(selected.into_iter().map(|(name, value)| format!("{name}: {value}")));
    out.extend(body.map(|digest| format!("body {digest}")));
    out
}

/// The pairs so that no two queries are one text: a sign that stands between them is escaped within them.
fn pairs(query: &[Pair]) -> String {
    let plain = |text: &str| text.replace('%', "%25").replace('&', "%26").replace('=', "%3D");
    let pair = |(name, value): &Pair| match value {
        Some(value) => format!("{}={}", plain(name), plain(value)),
        None => plain(name),
    };
    query.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Body;

    fn call<'a>(method: &'a str, path: &'a str, query: &'a [Pair]) -> Call<'a> {
        Call { method, host: "api.example", path, query, media: None, body: Body::None, coding: None, upgrade: false }
    }

    fn query(pairs: &[(&str, Option<&str>)]) -> Vec<Pair> {
        pairs.iter().map(|(name, value)| ((*name).into(), value.map(Into::into))).collect()
    }

    #[test]
    fn what_does_something_else_has_another_text() {
        let (one, other) = (Digest([1; 32]), Digest([2; 32]));
        let (a, b) = (query(&[("a", Some("1")), ("b", None)]), query(&[("a", Some("1&b"))]));
        let json = [("Content-Type", &b"application/json"[..])];
        let texts = [
            canonical(&call("POST", "/v1/refunds", &[]), [], None),
            canonical(&call("PUT", "/v1/refunds", &[]), [], None),
            canonical(&call("POST", "/v1/refund", &[]), [], None),
            canonical(&call("POST", "/v1/refunds", &a), [], None),
            canonical(&call("POST", "/v1/refunds", &b), [], None),
            canonical(&call("POST", "/v1/refunds", &query(&[("a", Some("")), ("b", None)])), [], None),
            canonical(&call("POST", "/v1/refunds", &query(&[("a", None), ("b", None)])), [], None),
            canonical(&Call { host: "api", ..call("POST", "/v1/refunds", &[]) }, [], None),
            canonical(&Call { upgrade: true, ..call("POST", "/v1/refunds", &[]) }, [], None),
            canonical(&call("POST", "/v1/refunds", &[]), json, None),
            canonical(&call("POST", "/v1/refunds", &[]), [], Some(&one)),
            canonical(&call("POST", "/v1/refunds", &[]), [], Some(&other)),
            canonical(&call("POST", "/v1/refunds", &[]), json, Some(&one)),
        ];
        for (at, text) in texts.iter().enumerate() {
            assert!(texts.iter().skip(at + 1).all(|other| other != text), "{text:?}");
        }
    }

    #[test]
    fn what_changes_nothing_is_not_in_it() {
        let call = call("GET", "/", &[]);
        let one = [("Accept", &b"a/b"[..]), ("User-Agent", b"x"), ("Range", b"bytes=0-"), ("accept", b"c/d")];
        let other = [("traceparent", &b"00-1"[..]), ("range", b"bytes=0-"), ("ACCEPT", b"a/b"), ("accept", b"c/d")];
        let expected = ["GET api.example", "/", "", "accept: a/b", "accept: c/d", "range: bytes=0-"];
        assert_eq!(canonical(&call, one, None), expected);
        assert_eq!(canonical(&call, other, None), expected);
        let swapped = [("accept", &b"c/d"[..]), ("accept", b"a/b"), ("range", b"bytes=0-")];
        assert_ne!(canonical(&call, swapped, None), expected);
    }
}
