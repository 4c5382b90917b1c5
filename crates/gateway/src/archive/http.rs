//! What carries the requests of `object_store`: Sluice's own HTTP and TLS, so that there is one of each (docs/adr/0011).

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
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
        let mut response = HttpResponse::new(answer.body.ok_or(FetchError::Body)?.into());
        // Some servers (rclone) answer a range with 200, and say that it is one. What it holds is compared in any case.
        let is_range = parts.headers.contains_key(RANGE) && answer.headers.contains_key(CONTENT_RANGE);
        let is_mislabelled = is_range && answer.status == StatusCode::OK;
        *response.status_mut() = if is_mislabelled { StatusCode::PARTIAL_CONTENT } else { answer.status };
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
