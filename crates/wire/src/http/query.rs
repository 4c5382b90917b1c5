//! A query as pairs of names and values, and its one canonical form.
//!
//! Servers differ in what separates pairs (`;` was once one), in whether `+` is a space, and in which of several pairs of one
//! name counts. So the target gets the pairs that were read, each written in one way: `&` alone separates, a space is `%20`,
//! and the order stays.

use model::error::ErrorKind;

use super::percent;

/// The longest query, in bytes.
pub const MOST_OF_A_QUERY: usize = 8192;

/// How many pairs a query may have.
pub const MOST_PAIRS: usize = 256;

/// A name and its value, decoded. A name without `=` has none.
pub type Pair = (Box<str>, Option<Box<str>>);

/// The pairs of a query, in their order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Query(Vec<Pair>);

/// A query cannot be read. It is not repeated here: secrets are put into queries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// Longer than [`MOST_OF_A_QUERY`].
    #[error("a query of {0} bytes exceeds the {MOST_OF_A_QUERY} that are allowed")]
    TooLong(usize),
    /// More pairs than [`MOST_PAIRS`].
    #[error("the query has more than {MOST_PAIRS} pairs")]
    TooMany,
    /// A `%` without two hexadecimal digits behind it.
    #[error("a % in the query is no escape")]
    Escape,
    /// What it stands for is not UTF-8.
    #[error("the query is not UTF-8")]
    NotUtf8,
    /// A NUL, encoded or not: some servers end a value there.
    #[error("the query has a NUL in it")]
    Nul,
    /// A `#`: not part of a query.
    #[error("the query has a # in it")]
    Fragment,
}

impl QueryError {
    /// Whose doing it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLong(_) | Self::TooMany => ErrorKind::Limit,
            _ => ErrorKind::Client,
        }
    }
}

impl Query {
    /// Reads what stands behind the `?`. Empty pairs are left out.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn parse(raw: &str) -> Result<Self, QueryError> {
        if raw.len() > MOST_OF_A_QUERY {
            return Err(QueryError::TooLong(raw.len()));
        }
        let mut pairs = Vec::new();
        for part in raw.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
            pairs.push((decoded(name)?, value.map(decoded).transpose()?));
            if pairs.len() > MOST_PAIRS {
                return Err(QueryError::TooMany);
            }
        }
        let query = Self(pairs);
        match query.to_string().len() {
            length if length > MOST_OF_A_QUERY => Err(QueryError::TooLong(length)),
            _ => Ok(query),
        }
    }

    /// The pairs in their order.
    pub fn pairs(&self) -> &[Pair] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As the target gets it, without the `?`.
impl std::fmt::Display for Query {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "&" };
            write!(out, "{separator}{}", encoded(name))?;
            if let Some(value) = value {
                write!(out, "={}", encoded(value))?;
            }
        }
        Ok(())
    }
}

fn decoded(text: &str) -> Result<Box<str>, QueryError> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        out.push(match byte {
            b'+' => b' ',
            b'#' => return Err(QueryError::Fragment),
            b'%' => {
                rest = behind.get(2..).unwrap_or_default();
                percent::escaped(behind).ok_or(QueryError::Escape)?
            }
            _ => byte,
        });
    }
    match String::from_utf8(out) {
        Ok(text) if text.contains('\0') => Err(QueryError::Nul),
        Ok(text) => Ok(text.into()),
        Err(_) => Err(QueryError::NotUtf8),
    }
}

/// What is no separator to anybody stands for itself, so that usual queries stay readable.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match percent::is_unreserved(byte)
            || matches!(byte, b'$' | b',' | b':' | b'/' | b'@' | b'!' | b'(' | b')' | b'*')
        {
            true => out.push(char::from(byte)),
            false => percent::push(&mut out, byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(raw: &str) -> Result<String, QueryError> {
        Query::parse(raw).map(|query| query.to_string())
    }

    #[test]
    fn pairs_are_read_in_order() {
        let query = Query::parse("b=1&a=&a&b=%32+x&c=d=e").unwrap();
        let pairs: Vec<(&str, Option<&str>)> =
            query.pairs().iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        let expected = [("b", Some("1")), ("a", Some("")), ("a", None), ("b", Some("2 x")), ("c", Some("d=e"))];
        assert_eq!(pairs, expected);
        assert!(!query.is_empty() && Query::default().is_empty());
    }

    #[test]
    fn a_query_has_one_spelling() {
        for (raw, expected) in [
            ("", ""),
            ("&&a=1&", "a=1"),
            ("a=1;b=2", "a=1%3Bb%3D2"),
            ("a+b=c+d", "a%20b=c%20d"),
            ("a%26b=%3d%2b%23", "a%26b=%3D%2B%23"),
            ("q=%7e%41\u{e9}", "q=~A%C3%A9"),
            ("ids[]=1&ids%5b%5d=2", "ids%5B%5D=1&ids%5B%5D=2"),
            ("$filter=a%20eq%20(1,2)", "$filter=a%20eq%20(1,2)"),
            ("=x&==", "=x&=%3D"),
            ("t=12:00/13@x!*", "t=12:00/13@x!*"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (raw, error) in [
            ("a=%", QueryError::Escape),
            ("a=%4", QueryError::Escape),
            ("a%gg", QueryError::Escape),
            ("a=%ff", QueryError::NotUtf8),
            ("a=%c0%80", QueryError::NotUtf8),
            ("a=%00b", QueryError::Nul),
            ("a=b#c", QueryError::Fragment),
        ] {
            assert_eq!(canonical(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn lengths_are_exact() {
        assert!(canonical(&"a".repeat(MOST_OF_A_QUERY)).is_ok());
        assert_eq!(canonical(&"a".repeat(MOST_OF_A_QUERY + 1)), Err(QueryError::TooLong(8193)));
        assert_eq!(canonical(&"|".repeat(3000)), Err(QueryError::TooLong(9000)));
        assert!(canonical(&"a&".repeat(MOST_PAIRS)).is_ok());
        let error = canonical(&"a&".repeat(MOST_PAIRS + 1)).unwrap_err();
        assert_eq!((error, error.kind()), (QueryError::TooMany, ErrorKind::Limit));
        assert_eq!(QueryError::Nul.kind(), ErrorKind::Client);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_alike(
            pairs in proptest::collection::vec(("\\PC{0,6}", proptest::option::of("\\PC{0,6}")), 0..6),
        ) {
            // A pair without anything is none.
            let pairs = pairs.into_iter().filter(|(name, value)| !name.is_empty() || value.is_some());
            let query = Query(pairs.map(|(name, value)| (name.into(), value.map(Into::into))).collect());
            prop_assert_eq!(Query::parse(&query.to_string()), Ok(query));
        }

        #[test]
        fn any_text_is_a_query_or_none(raw in "[a&=;+%0-9é#]{0,20}") {
            if let Ok(query) = Query::parse(&raw) {
                prop_assert_eq!(Query::parse(&query.to_string()), Ok(query));
            }
        }
    }
}
