//! What carries the requests of `object_store`: Sluice's own HTTP and TLS, so that there is one of each (docs/adr/0011).

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use hyper::body::Bytes;
use hyper::header::{CONTENT_RANGE, HOST, HeaderValue, RANGE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

use crate::fetch::{self, FetchError};

/// How an object storage is reached.
#[derive(Clone, Debug)]
pub(super) struct Carrier {
    pub(super) ca: Option<PathBuf>,
    /// The longest answer: a piece of an object, with room for what is said of it.
    pub(super) most: usize,
    /// For one request, from look-up to last byte.
    pub(super) deadline: Duration,
}

impl HttpConnector for Carrier {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Carrier {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match tokio::time::timeout(self.deadline, self.exchange(request)).await {
            Ok(answer) => answer.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error)),
            Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, FetchError::Deadline)),
        }
    }
}

impl Carrier {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let (parts, body) = request.into_parts();
        // The configuration lets plain HTTP through only to this machine, and so does the connection.
        let io = fetch::connect(&parts.uri, self.ca.as_deref(), true).await?;
        let invalid = || FetchError::Url(parts.uri.path().chars().take(200).collect());
        let path = parts.uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
        let authority = parts.uri.authority().ok_or_else(invalid)?.as_str();
        let mut sent = Request::builder().method(parts.method.clone()).uri(path).body(body).map_err(|_| invalid())?;
        *sent.headers_mut() = parts.headers.clone();
        sent.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(|_| invalid())?);
        let answer = fetch::send(TokioIo::new(io), sent, self.most).await?;
        let body = answer.body.ok_or(FetchError::Body)?;
        let (mut status, mut headers) = (answer.status, answer.headers);
        let told = headers.remove(CONTENT_RANGE);
        if let (Some(asked), Some(told), true) = (parts.headers.get(RANGE), &told, status.is_success()) {
            let is_part = is_part(told, asked, &body);
            if !is_part {
                return Err(FetchError::Body);
            }
            // Some servers (rclone) answer a range with 200, and say that it is one.
            status = StatusCode::PARTIAL_CONTENT;
            headers.insert(CONTENT_RANGE, told.clone());
        }
        let body = if status.is_success() { body } else { error_code(&body) };
        let mut response = HttpResponse::new(body.into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Whether an answer is what it says, and that is a beginning of what was asked for: `bytes 0-99/1000` of `bytes=0-199`
/// (RFC 9110, sections 14.2 and 14.4).
fn is_part(told: &HeaderValue, asked: &HeaderValue, body: &Bytes) -> bool {
    let bounds = |range: &str| {
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
    };
    let told = told.to_str().ok().and_then(|told| bounds(told.strip_prefix("bytes ")?.split_once('/')?.0));
    let asked = asked.to_str().ok().and_then(|asked| bounds(asked.strip_prefix("bytes=")?));
    let (Some((first, last)), Some(asked)) = (told, asked) else { return false };
    let length = last.checked_sub(first).and_then(|less| less.checked_add(1));
    first == asked.0 && last <= asked.1 && length == u64::try_from(body.len()).ok()
}

/// What is passed on of an error: its code. A server may say anything else, such as what it was sent.
fn error_code(body: &[u8]) -> Bytes {
    let said = String::from_utf8_lossy(body);
    let code = said.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let is_code = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    format!("<Error><Code>{}</Code></Error>", if is_code { code } else { "" }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rc_11_what_is_said_of_a_range_is_the_range() {
        let ten = Bytes::from_static(b"0123456789");
        let part = |told: &'static str| {
            is_part(&HeaderValue::from_static(told), &HeaderValue::from_static("bytes=20-39"), &ten)
        };
        assert!(part("bytes 20-29/100") && part("bytes 20-29/*"));
        for other in [
            "bytes 0-18446744073709551615/1",
            "bytes 20-18446744073709551615/1",
            "bytes 20-39/100",
            "bytes 21-30/100",
            "bytes 29-20/100",
            "bytes 35-44/100",
            "bytes 20-29",
            "bytes */100",
            "20-29/100",
            "",
        ] {
            assert!(!part(other), "{other}");
        }
    }

    #[test]
    fn rc_11_of_an_error_only_its_code_is_passed_on() {
        let of = |body: &str| String::from_utf8(error_code(body.as_bytes()).to_vec()).unwrap();
        let code = "<Error><Code>SlowDown</Code></Error>";
        assert_eq!(of("<?xml?><Error><Code>SlowDown</Code><Key>secret</Key></Error>"), code);
        let none = "<Error><Code></Code></Error>";
        assert!(["", "Authorization: x", "<Code>a b</Code>", "<Code>a"].into_iter().all(|body| of(body) == none));
    }
}
