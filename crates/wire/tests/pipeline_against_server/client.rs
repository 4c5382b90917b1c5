//! A client that sends through the model and checks every reply against it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wire::postgres::backend::{Backend, field};
use wire::postgres::encode;
use wire::postgres::frame::{self, FrontendTag, Limits, Phase};
use wire::postgres::pipeline::{Pipeline, Push, Reply, Sent, Step};
use wire::postgres::startup::Version;

/// What became of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finished {
    Answered,
    Dropped,
    Ignored,
}

pub(crate) struct Client {
    stream: UnixStream,
    phase: Phase,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    pipeline: Pipeline<usize>,
    pushed: usize,
    finished: BTreeMap<usize, Finished>,
}

impl Client {
    pub(crate) fn connect(socket: PathBuf) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(client) = Self::log_in(&socket) {
                return client;
            }
            assert!(Instant::now() < deadline, "the server accepts nobody");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `None` while the server is starting up.
    fn log_in(socket: &PathBuf) -> Option<Self> {
        let stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self {
            stream,
            phase: Phase::Authentication,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            pipeline: Pipeline::default(),
            pushed: 0,
            finished: BTreeMap::new(),
        };
        let parameters = [("user", "postgres"), ("database", "postgres")];
        encode::startup(&mut client.outgoing, Version::V3_0, parameters).unwrap();
        client.write();
        loop {
            let (reply, _) = client.read()?;
            match reply.tag() {
                frame::BackendTag::ReadyForQuery => break,
                frame::BackendTag::ErrorResponse => return None,
                _ => (),
            }
        }
        client.phase = Phase::Ready;
        client.query(
            "CREATE TEMPORARY TABLE numbers (n int);
             CREATE TEMPORARY TABLE deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO deferred VALUES (1); LISTEN c",
        );
        client.settle();
        Some(client)
    }

    /// The number that the next entry will have.
    pub(crate) fn next(&self) -> usize {
        self.pushed
    }

    pub(crate) fn pipeline(&self) -> &Pipeline<usize> {
        &self.pipeline
    }

    pub(crate) fn is_copying_in(&self) -> bool {
        self.pipeline.is_copying_in()
    }

    pub(crate) fn finished(&self, number: usize) -> Option<Finished> {
        self.finished.get(&number).copied()
    }

    pub(crate) fn query(&mut self, text: &str) {
        self.send(Sent::Query, |out| encode::query(out, text).unwrap());
    }

    pub(crate) fn parse(&mut self, text: &str) {
        self.send(Sent::Parse, |out| encode::parse(out, b"", text.as_bytes(), &[]).unwrap());
    }

    pub(crate) fn bind(&mut self, statement: &str) {
        let parts = encode::BindParts { statement: statement.as_bytes(), ..Default::default() };
        self.send(Sent::Bind, |out| encode::bind(out, &parts).unwrap());
    }

    pub(crate) fn describe(&mut self, sent: Sent) {
        let body: &[u8] = if sent == Sent::DescribePortal { b"P\0" } else { b"S\0" };
        self.send(sent, |out| raw(out, FrontendTag::Describe, body));
    }

    pub(crate) fn execute(&mut self, max_rows: i32) {
        let body = [&[0][..], &max_rows.to_be_bytes()].concat();
        self.send(Sent::Execute, |out| raw(out, FrontendTag::Execute, &body));
    }

    pub(crate) fn close(&mut self, portal: bool) {
        let body: &[u8] = if portal { b"P\0" } else { b"S\0" };
        self.send(Sent::Close, |out| raw(out, FrontendTag::Close, body));
    }

    /// Calls a function of one int4 with the binary argument 7.
    pub(crate) fn call(&mut self, function: u32) {
        let mut body = function.to_be_bytes().to_vec();
        body.extend([0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 0, 1]);
        self.send(Sent::FunctionCall, |out| raw(out, FrontendTag::FunctionCall, &body));
    }

    pub(crate) fn copy_fail(&mut self) {
        self.send(Sent::CopyFail, |out| raw(out, FrontendTag::CopyFail, b"enough\0"));
    }

    /// A message without a body.
    pub(crate) fn simple(&mut self, sent: Sent) {
        self.send(sent, |out| raw(out, sent.tag(), b""));
    }

    pub(crate) fn copy_data(&mut self, data: &str) {
        raw(&mut self.outgoing, FrontendTag::CopyData, data.as_bytes());
    }

    pub(crate) fn flush(&mut self) {
        raw(&mut self.outgoing, FrontendTag::Flush, b"");
    }

    /// In COPY data a server ends the connection over any other message: the model says so instead.
    pub(crate) fn refused_while_copying(&mut self) {
        if self.pipeline.is_copying_in() {
            assert_eq!(self.pipeline.push(Sent::Query, 0), Push::Refused(0));
            assert_eq!(self.pipeline.push(Sent::Bind, 0), Push::Refused(0));
        }
    }

    fn send(&mut self, sent: Sent, write: impl FnOnce(&mut Vec<u8>)) {
        let number = self.pushed;
        self.pushed += 1;
        match self.pipeline.push(sent, number) {
            Push::Forward => write(&mut self.outgoing),
            Push::Ignored(number) => self.account(number, Finished::Ignored),
            Push::Refused(_) => panic!("{sent:?} was refused"),
        }
    }

    /// Reads every reply that is owed, or up to the point where the server waits for COPY data.
    pub(crate) fn settle(&mut self) {
        if !self.pipeline.is_empty() && !self.is_copying_in() {
            self.flush();
        }
        self.write();
        while !self.pipeline.is_empty() && !self.is_copying_in() {
            let (reply, content) = self.read().expect("the server closed the connection");
            self.receive(reply, &content);
        }
    }

    pub(crate) fn read_to_close(&mut self) {
        self.write();
        while let Some((reply, content)) = self.read() {
            self.receive(reply, &content);
        }
    }

    /// Says goodbye; nothing may come any more but an asynchronous message, and every entry is accounted for.
    pub(crate) fn terminate(mut self) {
        raw(&mut self.outgoing, FrontendTag::Terminate, b"");
        self.write();
        while let Some((reply, content)) = self.read() {
            self.receive(reply, &content);
        }
        assert_eq!(self.finished.len(), self.pushed);
    }

    fn receive(&mut self, reply: Reply, content: &str) {
        let mut done = Vec::new();
        let owner = match self.pipeline.receive(reply).unwrap_or_else(|violation| panic!("{violation}")) {
            Step::Asynchronous => None,
            Step::Continues { sent, entry } => Some((sent, *entry)),
            Step::Finishes { sent, entry, dropped } => {
                done.push((entry, Finished::Answered));
                done.extend(dropped.map(|(_, entry)| (entry, Finished::Dropped)));
                Some((sent, entry))
            }
            Step::Closes { dropped } => {
                done.extend(dropped.map(|(_, entry)| (entry, Finished::Dropped)));
                None
            }
        };
        // An Execute shows the number of the Parse before it; the others show their own.
        if let Some((Sent::Query | Sent::Parse, number)) = owner
            && content.contains("entry-")
        {
            assert!(content.contains(&format!("entry-{number}-")), "`{content}` came to entry {number}");
        }
        done.into_iter().for_each(|(number, fate)| self.account(number, fate));
    }

    fn account(&mut self, number: usize, fate: Finished) {
        assert_eq!(self.finished.insert(number, fate), None, "entry {number} was accounted for twice");
    }

    fn write(&mut self) {
        // A server that ended the connection has said why in what is still to be read.
        let _ = self.stream.write_all(&self.outgoing);
        self.outgoing.clear();
    }

    /// The next message and the texts in it; `None` when the connection is closed.
    fn read(&mut self) -> Option<(Reply, String)> {
        loop {
            let header = frame::backend(&self.incoming, self.phase, &Limits::default()).unwrap();
            if let Some(frame) = header.and_then(|header| header.frame(&self.incoming)) {
                let message = Backend::parse(&frame).unwrap();
                let mut again = Vec::new();
                message.encode(&mut again).unwrap();
                assert_eq!(again, frame.bytes, "re-encoded as it came");
                let (reply, content, length) = (Reply::from(&message), content(&message), frame.bytes.len());
                self.incoming.drain(..length);
                return Some((reply, content));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.incoming.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}: the server owes {:?}", self.pipeline),
            }
        }
    }
}

fn content(message: &Backend<'_>) -> String {
    match message {
        Backend::ErrorResponse(report) => {
            String::from_utf8_lossy(report.get(field::MESSAGE).unwrap_or_default().bytes()).into_owned()
        }
        Backend::DataRow(values) => values.iter().flatten().map(String::from_utf8_lossy).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

fn raw(out: &mut Vec<u8>, tag: FrontendTag, body: &[u8]) {
    out.push(tag.byte());
    out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
}
