//! A small HTTP client for the admin API: one request over one connection.

use std::future::Future;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use connect::tls::Trust;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use model::secret::Secret;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::failure::Failure;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take to begin, and each piece of it to come.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest answer that is held in memory.
const LONGEST: usize = 256 << 20;

/// Where the admin API is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    is_tls: bool,
    /// Without brackets.
    host: String,
    port: u16,
}

impl FromStr for Url {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::Usage(format!("{text} is no such URL: write http://127.0.0.1:7632 or https://HOST:PORT"));
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| wrong())?;
        let is_plain = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte));
        let is_tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        if host.is_empty() || !is_plain(host) {
            return Err(wrong());
        }
        let url = Self { is_tls, host: host.to_owned(), port };
        if !url.is_tls && !url.is_loopback() {
            return Err(Failure::Usage(String::from("a token does not travel in clear: use https://")));
        }
        Ok(url)
    }
}

impl Url {
    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The admin API of one Sluice, called as one subject.
pub(super) struct Client {
    url: Url,
    token: Secret<String>,
    ca_file: Option<PathBuf>,
}

impl Client {
    pub(super) const fn new(url: Url, token: Secret<String>, ca_file: Option<PathBuf>) -> Self {
        Self { url, token, ca_file }
    }

    /// Asks.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, &with_query(path, query), None)
    }

    /// Changes something.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body))
    }

    /// As whom it calls.
    pub(super) fn token(&self) -> &str {
        self.token.expose()
    }

    /// Sends a form, and no token but what is in it.
    pub(super) fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, Failure> {
        let fields: Vec<(&str, String)> = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let request = Request::builder().method(Method::POST).uri(path).header(HOST, self.url.authority());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(Full::new(query(&fields).into())).map_err(Failure::failed)?;
        run(async { read(self.deliver(request).await?).await })
    }

    /// Asks for something that may be long, and hands on each line as it comes.
    pub(super) fn lines(&self, path: &str, mut take: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        run(async {
            let mut body = self.send(Method::GET, path, None).await?.into_body();
            let mut pending = Vec::new();
            while let Some(frame) = timely(body.frame()).await? {
                let frame = frame.map_err(|error| Failure::Unreachable(format!("the answer broke off: {error}")))?;
                pending.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    take(String::from_utf8_lossy(&line).trim_end())?;
                }
            }
            if pending.is_empty() { Ok(()) } else { Err(Failure::Unreachable(String::from("the answer broke off"))) }
        })
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        run(async { read(self.send(method, path, body).await?).await })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, Failure> {
        self.deliver(self.request(method, path, body)?).await
    }

    async fn deliver(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let connected =
            tokio::time::timeout(CONNECT, TcpStream::connect((self.url.host.as_str(), self.url.port))).await;
        let tcp = match connected {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => return Err(self.unreachable(&error.to_string())),
            Err(_) => return Err(self.unreachable("no answer")),
        };
        let response = if self.url.is_tls {
            self.exchange(self.encrypt(tcp).await?, request).await?
        } else {
            self.exchange(tcp, request).await?
        };
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .map_err(|_| Failure::Usage(String::from("what was given as a token is none")))?;
        token.set_sensitive(true);
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(HOST, self.url.authority()).header(AUTHORIZATION, token);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        request.body(Full::new(bytes.into())).map_err(Failure::failed)
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let broken = |error: hyper::Error| self.unreachable(&error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends with the answer, or with the runtime of this one call.
        tokio::spawn(connection);
        timely(sender.send_request(request)).await?.map_err(broken)
    }

    async fn encrypt(&self, tcp: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(self.url.host.clone()).map_err(Failure::failed)?;
        let connector = TlsConnector::from(self.tls()?);
        match tokio::time::timeout(CONNECT, connector.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unreachable(&format!("{error}; name its CA with --ca-file"))),
            Err(_) => Err(self.unreachable("no answer")),
        }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        let trust = Trust { ca_file: self.ca_file.clone(), certificate: None };
        trust.client(&[b"http/1.1"]).map_err(Failure::failed)
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::Unreachable(format!("Sluice does not answer at {}: {why}", self.url.authority()))
    }
}

async fn read(response: Response<Incoming>) -> Result<Value, Failure> {
    let bytes = collect(response).await?;
    serde_json::from_slice(&bytes).map_err(|_| Failure::failed("what answers there is not Sluice's admin API"))
}

/// The reason of a refusal in the API's own words.
async fn refusal(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let detail = match collect(response).await {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes).ok(),
        Err(failure) => return failure,
    };
    let detail = detail.as_ref().and_then(|problem| problem.get("detail").or_else(|| problem.get("error_description")));
    let detail = detail.and_then(Value::as_str);
    Failure::failed(detail.map_or_else(|| status.to_string(), str::to_owned))
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let collected = timely(Limited::new(response.into_body(), LONGEST).collect()).await?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| Failure::Unreachable(error.to_string()))
}

async fn timely<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(ANSWER, work).await.map_err(|_| Failure::Unreachable(String::from("Sluice took too long")))
}

fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(work)
}

pub(super) fn with_query(path: &str, query: &[(&str, String)]) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", self::query(query)) }
}

/// The query of a URL.
pub(super) fn query(query: &[(&str, String)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

/// Percent-encoding of everything but the unreserved characters (RFC 3986, section 2.3).
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_travel_over_tls_or_not_at_all() {
        let url = |text: &str| text.parse::<Url>().map(|url| url.authority());
        assert_eq!(url("http://127.0.0.1:7632").unwrap(), "127.0.0.1:7632");
        assert_eq!(url("http://[::1]:7632/").unwrap(), "[::1]:7632");
        assert_eq!(url("https://sluice.corp:7632").unwrap(), "sluice.corp:7632");
        for wrong in
            ["http://sluice.corp:7632", "127.0.0.1:7632", "ftp://localhost:1", "https://a b:1", "https://x", ""]
        {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        let query = [("subject", String::from("corp|a b&c=ü"))];
        assert_eq!(with_query("/x", &query), "/x?subject=corp%7Ca%20b%26c%3D%C3%BC");
    }
}
