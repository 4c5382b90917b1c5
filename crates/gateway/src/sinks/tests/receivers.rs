//! Receivers that do exactly what a test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use serde_json::Value;
use testkit::tls::Authority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a receiver answers.
pub(super) enum Answered {
    /// This.
    With { status: u16, headers: String, body: String },
    /// Nothing: the connection is closed.
    Cut,
    /// Nothing, ever.
    Never,
}

impl Answered {
    pub(super) fn status(status: u16) -> Self {
        Self::With { status, headers: String::new(), body: String::new() }
    }

    pub(super) fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::With { status, headers, body } => {
                Self::With { status, headers: format!("{headers}{name}: {value}\r\n"), body }
            }
            other => other,
        }
    }

    pub(super) fn body(self, body: &str) -> Self {
        match self {
            Self::With { status, headers, .. } => Self::With { status, headers, body: body.to_owned() },
            other => other,
        }
    }
}

/// One POST as it came.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    /// By their names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Posted {
    pub(super) fn events(&self) -> Vec<Value> {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Checks the signature as a receiver would.
    pub(super) fn assert_signed(&self, key: &str) {
        let (time, tag) = self.headers["sluice-signature"].split_once(",v1=").unwrap();
        let time = time.strip_prefix("t=").unwrap();
        let now = crate::clock::now().seconds();
        assert!(now.abs_diff(time.parse().unwrap()) < 300);
        let tag: Vec<u8> =
            (0..tag.len() / 2).map(|at| u8::from_str_radix(&tag[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        hmac::verify(&key, format!("{time}.{}", self.body).as_bytes(), &tag).unwrap();
    }
}

/// An HTTP server; it ends when it is dropped.
pub(super) struct Http {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Posted>>>,
    task: JoinHandle<()>,
}

impl Http {
    /// `answer` is asked with how many posts came before, and the post.
    pub(super) async fn start(answer: impl Fn(usize, &Posted) -> Answered + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let posts = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&posts), Arc::new(answer));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move { serve(stream, &kept, answer.as_ref()).await });
            }
        });
        Self { address, posts, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1/logs", self.address)
    }

    pub(super) fn posts(&self) -> Vec<Posted> {
        self.posts.lock().unwrap().clone()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Posted>>, answer: &(dyn Fn(usize, &Posted) -> Answered + Sync)) {
    let Some(post) = read_post(&mut stream).await else { return };
    let answered = {
        let mut kept = kept.lock().unwrap();
        let answered = answer(kept.len(), &post);
        kept.push(post);
        answered
    };
    match answered {
        Answered::With { status, headers, body } => {
            let length = body.len();
            let text = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Answered::Cut => {}
        Answered::Never => std::future::pending().await,
    }
}

async fn read_post(stream: &mut (impl AsyncRead + Unpin)) -> Option<Posted> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    assert!(head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{head}");
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Posted { headers, body: String::from_utf8(body).unwrap() })
}

/// A syslog receiver; it ends when it is dropped.
pub(super) struct Syslog {
    address: SocketAddr,
    messages: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Syslog {
    /// Reads each connection to its end, except for the first `breaks`, which it resets in the middle. Inside TLS with a
    /// certificate of `authority`.
    pub(super) async fn start(authority: Option<&Authority>, breaks: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = authority.map(acceptor);
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        let task = tokio::spawn(async move {
            for nth in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                if nth < breaks {
                    // Dropped with bytes that nobody read: the kernel sends a reset.
                    stream.readable().await.unwrap();
                    continue;
                }
                match &acceptor {
                    None => keep(&mut stream, &kept).await,
                    Some(acceptor) => {
                        if let Ok(mut stream) = acceptor.accept(stream).await {
                            keep(&mut stream, &kept).await;
                            let _ = stream.shutdown().await;
                        }
                    }
                }
            }
        });
        Self { address, messages, task }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(authority: &Authority) -> tokio_rustls::TlsAcceptor {
    let dir = tempfile::tempdir().unwrap();
    let files = authority.server(&["127.0.0.1"]).unwrap().write(dir.path(), "server").unwrap();
    let mut config = (*crate::tls::server(&files.certificate, &files.key).unwrap()).clone();
    config.alpn_protocols.clear();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// Reads frames by their counted octets until the sender closes.
async fn keep(stream: &mut (impl AsyncRead + Unpin), kept: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        let message = &rest[space + 1..space + 1 + length];
        kept.lock().unwrap().push(String::from_utf8(message.to_vec()).unwrap());
        rest = &rest[space + 1 + length..];
    }
}
