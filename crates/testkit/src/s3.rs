//! An object storage that speaks as much of S3 as Sluice does, and misbehaves as it is told. It believes every signature: a
//! real server checks those ([`rclone`]).

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

pub mod rclone;

/// What goes wrong with one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// 500, and nothing is done.
    Fails,
    /// 500 and a long answer that is none, and nothing is done.
    Rambles,
    /// 503 `SlowDown`, and nothing is done.
    Throttles,
    /// It is done, and the connection closed without a word.
    LosesReply,
    /// Another byte is stored than was sent.
    StoresWrong,
    /// Half of it is stored.
    StoresHalf,
    /// The connection is closed in the middle of the answer, or of what is sent.
    Breaks,
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Act {
    /// Stores an object.
    Put,
    /// Begins an upload of several parts.
    Begin,
    /// Stores a part.
    Part,
    /// Makes an object of parts.
    Complete,
    /// Gives an upload up.
    Abort,
    /// Asks whether an object is there.
    Head,
    /// Reads an object.
    Get,
    /// Removes an object.
    Delete,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// What goes wrong with the next requests of a kind; `None` goes well.
    planned: BTreeMap<Act, VecDeque<Option<Fault>>>,
    /// What goes wrong with all of them.
    always: Option<Fault>,
    asked: Vec<Act>,
    next: u32,
}

/// The server. It ends with the process.
#[derive(Clone)]
pub struct S3 {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl S3 {
    /// Starts it on a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let s3 = Self { address: listener.local_addr()?, state: Arc::default() };
        let serving = s3.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || serving.serve(&stream).ok());
            }
        });
        Ok(s3)
    }

    /// Lines for `sluice.toml`, with the secret in this file.
    pub fn configuration(&self, secret: &str, keep_local: &str) -> String {
        configuration(self.address, "id", secret, keep_local)
    }

    /// Plans what goes wrong with the next requests of a kind.
    pub fn plan(&self, act: Act, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.locked().planned.entry(act).or_default().extend(faults);
    }

    /// Has everything go wrong like this, until it is told otherwise.
    pub fn always(&self, fault: Option<Fault>) {
        self.locked().always = fault;
    }

    /// What is stored, by name.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.locked().objects.clone()
    }

    /// Puts an object in place, or takes it away.
    pub fn put(&self, name: &str, content: Option<Vec<u8>>) {
        let mut state = self.locked();
        match content {
            Some(content) => drop(state.objects.insert(name.to_owned(), content)),
            None => drop(state.objects.remove(name)),
        }
    }

    /// How many uploads were begun and neither completed nor given up.
    pub fn open_uploads(&self) -> usize {
        self.locked().uploads.len()
    }

    /// How many requests of a kind there were.
    pub fn count(&self, act: Act) -> usize {
        self.locked().asked.iter().filter(|asked| **asked == act).count()
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> Result<()> {
        let request = Request::read(stream)?;
        let act = request.act().context("a request that nobody makes")?;
        let fault = {
            let mut state = self.locked();
            state.asked.push(act);
            let planned = state.planned.get_mut(&act).and_then(VecDeque::pop_front).flatten();
            planned.or(state.always)
        };
        let answer = match fault {
            Some(Fault::Fails) => Answer::error(500, "InternalError"),
            Some(Fault::Rambles) => Answer::error(500, &"\u{1b}[2J<a>\n".repeat(50_000)),
            Some(Fault::Throttles) => Answer::error(503, "SlowDown"),
            Some(Fault::LosesReply) => {
                self.locked().act(act, &request, None);
                return Ok(());
            }
            Some(Fault::Breaks) if act != Act::Get => return Ok(()),
            other => self.locked().act(act, &request, other),
        };
        let mut bytes = answer.bytes(act);
        if fault == Some(Fault::Breaks) {
            bytes.truncate(bytes.len() / 2);
        }
        let mut stream = stream;
        Ok(stream.write_all(&bytes)?)
    }
}

/// Lines for `sluice.toml` for a server on this machine, with the secret in this file.
pub fn configuration(address: SocketAddr, key_id: &str, secret: &str, keep_local: &str) -> String {
    format!(
        "[archive]\nurl = \"s3://bucket/some/prefix\"\nendpoint = \"http://{address}\"\nallow_http = true\n\
         region = \"us-east-1\"\nkey_id = \"{key_id}\"\nsecret = {{ file = \"{secret}\" }}\nkeep_local = \"{keep_local}\"\n"
    )
}

impl State {
    fn act(&mut self, act: Act, request: &Request, fault: Option<Fault>) -> Answer {
        let name = request.name();
        let mut body = request.body.clone();
        match fault {
            Some(Fault::StoresWrong) => body.iter_mut().take(1).for_each(|byte| *byte ^= 1),
            Some(Fault::StoresHalf) => body.truncate(body.len() / 2),
            _ => {}
        }
        let upload = request.parameter("uploadId").unwrap_or_default();
        match act {
            Act::Put => {
                self.objects.insert(name, body);
                Answer::ok(Vec::new())
            }
            Act::Begin => {
                self.next += 1;
                let id = format!("upload{}", self.next);
                self.uploads.insert(id.clone(), BTreeMap::new());
                Answer::ok(format!("<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>{name}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>").into_bytes())
            }
            Act::Part => {
                let number = request.parameter("partNumber").and_then(|number| number.parse().ok()).unwrap_or_default();
                match self.uploads.get_mut(&upload) {
                    Some(parts) => drop(parts.insert(number, body)),
                    None => return Answer::error(404, "NoSuchUpload"),
                }
                Answer::ok(Vec::new())
            }
            Act::Complete => match self.uploads.remove(&upload) {
                Some(parts) => {
                    self.objects.insert(name, parts.into_values().flatten().collect());
                    Answer::ok(
                        b"<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>".to_vec(),
                    )
                }
                None => Answer::error(404, "NoSuchUpload"),
            },
            Act::Abort => {
                self.uploads.remove(&upload);
                Answer { status: 204, body: Vec::new(), range: None }
            }
            Act::Delete => {
                self.objects.remove(&name);
                Answer { status: 204, body: Vec::new(), range: None }
            }
            Act::Head | Act::Get => match self.objects.get(&name) {
                Some(content) => request.range_of(content),
                None => Answer::error(404, "NoSuchKey"),
            },
        }
    }
}

struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &TcpStream) -> Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, target) =
            (words.next().context("no method")?.to_owned(), words.next().context("no target")?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Self { method, target, headers, body })
    }

    fn name(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        path.strip_prefix("/bucket/").unwrap_or(path).to_owned()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    }

    fn act(&self) -> Option<Act> {
        let has = |name: &str| self.parameter(name).is_some();
        Some(match self.method.as_str() {
            "PUT" if has("uploadId") => Act::Part,
            "PUT" => Act::Put,
            "POST" if has("uploads") => Act::Begin,
            "POST" if has("uploadId") => Act::Complete,
            "DELETE" if has("uploadId") => Act::Abort,
            "DELETE" => Act::Delete,
            "HEAD" => Act::Head,
            "GET" => Act::Get,
            _ => return None,
        })
    }

    /// `bytes=FIRST-LAST` of an object, or all of it.
    fn range_of(&self, content: &[u8]) -> Answer {
        let range = self.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((first, last)) = range.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
        else {
            return Answer::ok(content.to_vec());
        };
        let (first, last): (usize, usize) = (first, last);
        let end = last.saturating_add(1).min(content.len());
        let body = content.get(first..end).unwrap_or_default().to_vec();
        Answer { status: 206, body, range: Some(format!("bytes {first}-{}/{}", end.saturating_sub(1), content.len())) }
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    range: Option<String>,
}

impl Answer {
    const fn ok(body: Vec<u8>) -> Self {
        Self { status: 200, body, range: None }
    }

    fn error(status: u16, code: &str) -> Self {
        Self { status, body: format!("<Error><Code>{code}</Code></Error>").into_bytes(), range: None }
    }

    fn bytes(&self, act: Act) -> Vec<u8> {
        let range = self.range.as_ref().map(|range| format!("Content-Range: {range}\r\n")).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {} Whatever\r\nContent-Length: {}\r\nETag: \"e\"\r\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\n{range}Connection: close\r\n\r\n",
            self.status,
            self.body.len()
        );
        let mut bytes = head.into_bytes();
        if act != Act::Head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}
