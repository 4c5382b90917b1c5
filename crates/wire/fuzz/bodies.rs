//! What is tried with any bytes, for the fuzz targets and for the test that runs the same over the corpus
//! (`tests/fuzz_bodies.rs`).

use std::collections::VecDeque;

use wire::postgres::backend::Backend;
use wire::postgres::encode;
use wire::postgres::frame::{self, Limits, Phase};
use wire::postgres::frontend::{Frontend, SaslInitial, password};
use wire::postgres::pipeline::{Pipeline, Push, Reply, Sent, Step};
use wire::postgres::startup::{FirstPacket, Stage, decode};

/// First packets: no input panics, and what is accepted is encoded again as it came.
pub fn startup(input: &[u8]) {
    let Some((flags, bytes)) = input.split_first() else { return };
    let stage = Stage { encrypted: flags & 1 != 0, ssl_answered: flags & 2 != 0, gss_answered: flags & 4 != 0 };
    let Ok(Some((packet, consumed))) = decode(bytes, stage) else { return };
    let mut again = Vec::new();
    match packet {
        FirstPacket::Startup(startup) => encode::startup(&mut again, startup.version, startup.parameters).unwrap(),
        FirstPacket::Cancel(cancel) => encode::cancel_request(&mut again, cancel.process, cancel.key.get()).unwrap(),
        FirstPacket::SslRequest => encode::ssl_request(&mut again).unwrap(),
        FirstPacket::GssEncRequest | FirstPacket::TlsClientHello => return,
    }
    assert_eq!(again, &bytes[..consumed]);
}

/// A client's stream: no input panics, and what is accepted is encoded again as it came.
pub fn frontend(input: &[u8]) {
    let Some((phase, mut rest)) = input.split_first() else { return };
    let phase = if phase & 1 != 0 { Phase::Authentication } else { Phase::Ready };
    while let Ok(Some(header)) = frame::frontend(rest, phase, &Limits::default()) {
        let Some(frame) = header.frame(rest) else { return };
        if let Ok(message) = Frontend::parse(&frame) {
            let mut again = Vec::new();
            message.encode(&mut again).unwrap();
            assert_eq!(again, frame.bytes);
            match message {
                Frontend::Bind(bind) => {
                    assert_eq!(bind.parameters.iter().count(), usize::from(bind.parameters.count()));
                }
                Frontend::Password(body) => drop((password(body), SaslInitial::parse(body))),
                _ => (),
            }
        }
        rest = &rest[frame.bytes.len()..];
    }
}

const SENT: [Sent; 11] = [
    Sent::Query,
    Sent::Parse,
    Sent::Bind,
    Sent::DescribeStatement,
    Sent::DescribePortal,
    Sent::Execute,
    Sent::Close,
    Sent::Sync,
    Sent::FunctionCall,
    Sent::CopyDone,
    Sent::CopyFail,
];

/// A target's stream: no input panics, what is accepted is encoded again as it came, and the pipeline's queue only shrinks
/// by what it says. The first byte says how many of the next are messages that were sent before.
pub fn backend(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let Some((sent, mut rest)) = rest.split_at_checked(usize::from(*count & 15)) else { return };
    let mut pipeline = Pipeline::default();
    for choice in sent {
        let _ = pipeline.push(SENT[usize::from(*choice) % SENT.len()], ());
    }
    while let Ok(Some(header)) = frame::backend(rest, Phase::Ready, &Limits::default()) {
        let Some(frame) = header.frame(rest) else { return };
        if let Ok(message) = Backend::parse(&frame) {
            let mut again = Vec::new();
            message.encode(&mut again).unwrap();
            assert_eq!(again, frame.bytes);
            let before = pipeline.len();
            let gone = match pipeline.receive(Reply::from(&message)) {
                Err(_) => return,
                Ok(Step::Asynchronous | Step::Continues { .. }) => 0,
                Ok(Step::Finishes { dropped, .. }) => dropped.len() + 1,
                Ok(Step::Closes { dropped }) => dropped.len(),
            };
            assert_eq!(pipeline.len() + gone, before);
        }
        rest = &rest[frame.bytes.len()..];
    }
}

/// A session of a client and a server that keeps to its protocol, in any order that the network allows: each reply is
/// taken for an answer to the message that the server answers, and what an error skips is what the server skips.
pub fn session(input: &[u8]) {
    let (mut pipeline, mut server) = (Pipeline::default(), Server::default());
    let mut number = 0_usize;
    for choice in input {
        if choice & 1 == 0 {
            // Without COPY and FunctionCall, which have tests of their own.
            let sent = SENT[usize::from(choice >> 1) % 8];
            number += 1;
            match pipeline.push(sent, number) {
                Push::Forward => server.queue.push_back((sent, number)),
                Push::Ignored(_) => {}
                Push::Refused(_) => panic!("{sent:?} is refused outside COPY"),
            }
        } else {
            server.answer(choice >> 1, &mut pipeline);
        }
    }
    match pipeline.push(Sent::Sync, usize::MAX) {
        Push::Forward => server.queue.push_back((Sent::Sync, usize::MAX)),
        Push::Ignored(_) | Push::Refused(_) => panic!("a Sync is always forwarded"),
    }
    while !server.queue.is_empty() {
        server.answer(0, &mut pipeline);
    }
    assert!(pipeline.is_empty() && !pipeline.is_skipping());
}

/// A server: what has come and was not looked at, and whether it skips.
#[derive(Default)]
struct Server {
    queue: VecDeque<(Sent, usize)>,
    skipping: bool,
}

impl Server {
    /// Answers its next message, in the way that `choice` says.
    fn answer(&mut self, choice: u8, pipeline: &mut Pipeline<usize>) {
        let Some((sent, number)) = self.queue.pop_front() else { return };
        if self.skipping && sent != Sent::Sync {
            return;
        }
        self.skipping = false;
        let fails = choice & 1 != 0 && sent != Sent::Sync;
        let mut replies: Vec<&[u8]> = match sent {
            Sent::Query if choice & 2 != 0 => vec![ROWS, ROW, ROW],
            Sent::DescribeStatement if !fails => vec![PARAMETERS],
            Sent::Execute if choice & 2 != 0 => vec![ROW, ROW],
            _ => Vec::new(),
        };
        let last: &[u8] = match sent {
            _ if fails => ERROR,
            Sent::Query if choice & 2 == 0 && choice & 4 != 0 => EMPTY,
            Sent::Query => COMPLETE,
            Sent::Execute if choice & 2 != 0 && choice & 8 != 0 => SUSPENDED,
            Sent::Execute => COMPLETE,
            Sent::Parse => b"1\0\0\0\x04",
            Sent::Bind => b"2\0\0\0\x04",
            Sent::Close => b"3\0\0\0\x04",
            Sent::DescribeStatement | Sent::DescribePortal if choice & 2 != 0 => ROWS,
            Sent::DescribeStatement | Sent::DescribePortal => b"n\0\0\0\x04",
            _ => READY,
        };
        replies.push(last);
        if sent == Sent::Query {
            replies.push(READY);
        }
        self.skipping = fails && sent != Sent::Query;
        let count = replies.len();
        for (at, reply) in replies.into_iter().enumerate() {
            self.reply(reply, number, at + 1 == count, pipeline);
        }
    }

    fn reply(&mut self, bytes: &[u8], number: usize, is_last: bool, pipeline: &mut Pipeline<usize>) {
        let header = frame::backend(bytes, Phase::Ready, &Limits::default()).unwrap().unwrap();
        let frame = header.frame(bytes).unwrap();
        let message = Backend::parse(&frame).unwrap();
        match pipeline.receive(Reply::from(&message)).unwrap() {
            Step::Continues { entry, .. } => assert!(*entry == number && !is_last),
            Step::Finishes { entry, dropped, .. } => {
                assert!(entry == number && is_last);
                // What had come behind the error, up to the Sync: the server drops it too.
                let dropped: Vec<usize> = dropped.map(|(_, entry)| entry).collect();
                let behind = self.queue.iter().take_while(|(sent, _)| *sent != Sent::Sync).map(|(_, entry)| *entry);
                let expected: Vec<usize> = if self.skipping { behind.collect() } else { Vec::new() };
                assert_eq!(dropped, expected);
            }
            Step::Asynchronous | Step::Closes { .. } => panic!("{message:?} belongs to a message"),
        }
    }
}

const ROWS: &[u8] = b"T\0\0\0\x1a\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
const ROW: &[u8] = b"D\0\0\0\x0b\0\x01\0\0\0\x01y";
const PARAMETERS: &[u8] = b"t\0\0\0\x06\0\0";
const COMPLETE: &[u8] = b"C\0\0\0\x0dSELECT 1\0";
const EMPTY: &[u8] = b"I\0\0\0\x04";
const SUSPENDED: &[u8] = b"s\0\0\0\x04";
const READY: &[u8] = b"Z\0\0\0\x05I";
const ERROR: &[u8] = b"E\0\0\0\x1aSERROR\0VERROR\0C42601\0\0";
