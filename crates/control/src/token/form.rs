//! The form that a call to the token endpoint is.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};

use super::error::TokenError;

/// The most parameters that are read.
const MOST: usize = 64;

/// The parameters, in order. Unknown ones are passed over (RFC 6749, section 3.2).
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body; `None` is one that was too large to be read.
    pub(super) fn of(headers: &HeaderMap, body: Option<Bytes>) -> Result<Self, TokenError> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().map(str::trim).unwrap_or_default();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(TokenError::request("send the body as application/x-www-form-urlencoded"));
        }
        let body = body.ok_or_else(|| TokenError::request("the body is too large"))?;
        // What comes without a value counts as left out (RFC 6749, section 3.2).
        let all = form_urlencoded::parse(&body).into_owned().filter(|(_, value)| !value.is_empty());
        let all: Vec<_> = all.take(MOST + 1).collect();
        if all.len() > MOST {
            return Err(TokenError::request("there are too many parameters"));
        }
        Ok(Self(all))
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may be left out, and not be repeated.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, TokenError> {
        let mut all = self.0.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str());
        match (all.next(), all.next()) {
            (_, Some(_)) => Err(TokenError::request(format!("{name} is there twice"))),
            (only, None) => Ok(only),
        }
    }

    /// The value of a parameter that has to be there, once.
    pub(crate) fn required(&self, name: &str) -> Result<&str, TokenError> {
        self.one(name)?.ok_or_else(|| TokenError::request(format!("{name} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &'static str) -> Result<Form, TokenError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=UTF-8".parse().unwrap());
        Form::of(&headers, Some(Bytes::from_static(body.as_bytes())))
    }

    #[test]
    fn a_parameter_is_there_once_and_an_empty_one_is_not_there() {
        let form = form("a=1&b=&c=x%7Cy+z&d=1&d=2").unwrap();
        assert_eq!((form.required("a").unwrap(), form.required("c").unwrap()), ("1", "x|y z"));
        assert!(form.one("b").unwrap().is_none() && form.required("b").is_err() && form.one("d").is_err());
        assert_eq!(form.all("d").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let many: &'static str = "a=1&".repeat(MOST + 1).leak();
        assert!(form(many).is_err());
        assert!(Form::of(&HeaderMap::new(), Some(Bytes::new())).is_err());
        let mut json = HeaderMap::new();
        json.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        assert!(Form::of(&json, Some(Bytes::from_static(b"{}"))).is_err());
    }
}
