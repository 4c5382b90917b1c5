//! What is tried with any bytes, for the fuzz targets and for the test that runs the same over the corpus
//! (`tests/fuzz_bodies.rs`).

use std::collections::VecDeque;

use wire::http::fields::{self, ConnectionOptions};
use wire::http::framing::{self, Version};
use wire::http::strict::Strict;
use wire::http::{Authority, Media, Path, Query, Tolerance};
use wire::postgres::backend::Backend;
use wire::postgres::encode;
use wire::postgres::frame::{self, Limits, Phase};
use wire::postgres::frontend::{Frontend, SaslInitial, password};
use wire::postgres::pipeline::{Pipeline, Push, Reply, Sent, Step};
use wire::postgres::startup::{FirstPacket, Stage, decode};
use wire::spdy;
use wire::ssh::scp::{Follower, Record, Seen};
use wire::ssh::sftp::response::{Status, StatusCode};
use wire::ssh::sftp::{Answer, Expected, Framer, Packet, Request, Response};
use wire::websocket::{self, Message, Side};

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

/// A client's stream of SFTP, pushed in pieces of a length that the first byte says: no input panics, and what is accepted
/// is encoded again as it came.
pub fn sftp_requests(input: &[u8]) {
    sftp(input, |packet| {
        let request = Request::parse(packet).ok()?;
        if let Request::Operation { id, operation } = &request {
            assert_eq!((packet.id(), packet.code()), (Some(*id), operation.code()));
            // Nothing but a failure answers every request.
            let failure = Status { code: StatusCode::Failure, message: None };
            assert!(Answer::Status(failure).fits(operation.expects()));
        }
        let mut again = Vec::new();
        request.encode(&mut again).unwrap();
        Some(again)
    });
}

/// A target's stream of SFTP, in the same way.
pub fn sftp_responses(input: &[u8]) {
    sftp(input, |packet| {
        let response = Response::parse(packet).ok()?;
        if let Response::Answer { id, answer } = &response {
            assert_eq!((packet.id(), packet.code()), (Some(*id), answer.code()));
            for expected in [Expected::Statvfs, Expected::Limits, Expected::UsersGroups { users: 1, groups: 1 }] {
                let _ = answer.fits(expected);
            }
        }
        let mut again = Vec::new();
        response.encode(&mut again).unwrap();
        Some(again)
    });
}

/// Cuts a stream into packets, and compares each with what `again` makes of it.
fn sftp(input: &[u8], again: impl Fn(&Packet) -> Option<Vec<u8>>) {
    let Some((piece, rest)) = input.split_first() else { return };
    let mut framer = Framer::default();
    for piece in rest.chunks(usize::from(*piece).max(1)) {
        framer.push(piece.to_vec().into());
        loop {
            match framer.packet() {
                Err(_) => return,
                Ok(None) => break,
                Ok(Some(packet)) => assert!(again(&packet).is_none_or(|again| packet.bytes() == &again)),
            }
        }
    }
}

/// An scp that is followed, its records in pieces of a length that the first byte says: no input panics, and it is
/// understood the same in one piece.
pub fn scp(input: &[u8]) {
    let Some((piece, rest)) = input.split_first() else { return };
    let whole = followed(rest.chunks(rest.len().max(1)));
    assert_eq!(followed(rest.chunks(usize::from(*piece).max(1))), whole);
}

/// The records of a stream, the number of bytes of content, and whether it was understood to the end.
fn followed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Record>, usize, bool) {
    let (mut follower, mut records, mut content) = (Follower::default(), Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            let Ok((seen, rest)) = follower.next(piece) else { return (records, content, false) };
            assert!(rest.len() < piece.len() || matches!(seen, Seen::Record(Record::FileEnd { complete: false })));
            match seen {
                Seen::Record(record) => records.push(record),
                Seen::Content(bytes) => content += bytes.len(),
                Seen::Nothing => (),
            }
            piece = rest;
        }
    }
    (records, content, true)
}

/// Lines as a request's target and its fields' names and values: what is canonical is its own canonical form, and leads where
/// it says.
pub fn http_head(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let target = lines.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    for tolerance in [Tolerance::default(), Tolerance { encoded_slash: true, semicolon: true }] {
        if let Ok(path) = Path::parse(path, tolerance) {
            assert_eq!(Path::parse(path.as_str(), tolerance), Ok(path.clone()));
            assert!(path.segments().all(|name| name.is_ascii() && !matches!(name, "." | "..")));
        }
    }
    if let Ok(query) = Query::parse(query) {
        assert_eq!(Query::parse(&query.to_string()), Ok(query));
    }
    let pairs: Vec<(&str, &[u8])> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim().as_bytes())).collect();
    for (name, value) in &pairs {
        let normal = fields::normal(name.trim());
        assert_eq!(fields::normal(&normal), normal);
        if fields::trailer_passes(name) {
            assert_eq!(fields::request_fate(name), fields::Fate::Passes);
        }
        if let Ok(authority) = Authority::parse(value, 443) {
            assert_eq!(Authority::parse(authority.to_string().as_bytes(), 1), Ok(authority));
        }
        if let Some(media) = std::str::from_utf8(value).ok().and_then(|value| Media::parse(value).ok()) {
            assert_eq!(Media::parse(&media.to_string()), Ok(media));
        }
        let _ = ConnectionOptions::parse([*value]);
    }
    for version in [Version::Http10, Version::Http11, Version::Framed] {
        let _ = framing::judge(version, pairs.iter().copied());
    }
}

/// What a client sends by HTTP/1.1, the first byte saying in which pieces: the same passes wherever it is cut, what passes is
/// what came, and nothing does behind what was refused.
pub fn http_stream(input: &[u8]) {
    let [cut, bytes @ ..] = input else { return };
    let read = |piece: usize| {
        let (mut strict, mut out) = (Strict::new(256), Vec::new());
        let error = bytes.chunks(piece).find_map(|piece| strict.push(piece, &mut out).err());
        if error.is_some() {
            let passed = out.len();
            strict.push(b"GET / HTTP/1.1\r\n\r\n", &mut out).unwrap();
            assert_eq!(out.len(), passed);
        }
        (out, error)
    };
    let whole = read(bytes.len().max(1));
    for piece in [usize::from(*cut) + 1, 1] {
        assert_eq!(read(piece), whole);
    }
    assert!(whole.0.len() <= bytes.len());
}

/// A stream of WebSocket, in pieces of a length that the first byte says: no input panics, it is understood the same in one
/// piece, and what is written of it is read again.
pub fn websocket(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let (side, mask) = if first & 1 == 0 { (Side::Server, None) } else { (Side::Client, Some([1, 2, 3, 4])) };
    let all = messages(side, rest, rest.len());
    assert_eq!(messages(side, rest, usize::from(first >> 1)), all);
    let mut again = Vec::new();
    all.0.iter().for_each(|message| websocket::write(&mut again, message, mask));
    assert_eq!(messages(side, &again, again.len()), (all.0, None));
}

fn messages(side: Side, bytes: &[u8], piece: usize) -> (Vec<Message>, Option<websocket::Violation>) {
    let (mut reader, mut all) = (websocket::Reader::new(side, 4096), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        loop {
            match reader.message() {
                Ok(Some(message)) => all.push(message),
                Ok(None) => break,
                Err(violation) => return (all, Some(violation)),
            }
        }
    }
    (all, None)
}

/// A stream of SPDY, likewise.
pub fn spdy(input: &[u8]) {
    let Some((piece, rest)) = input.split_first() else { return };
    let all = spdy_frames(rest, rest.len());
    assert_eq!(spdy_frames(rest, usize::from(*piece)), all);
    let (mut writer, mut again) = (spdy::Writer::default(), Vec::new());
    let kept: Vec<spdy::Frame> = all.0.into_iter().filter(|frame| *frame != spdy::Frame::Ignored).collect();
    kept.iter().for_each(|frame| writer.write(&mut again, frame));
    assert_eq!(spdy_frames(&again, again.len()), (kept, None));
}

fn spdy_frames(bytes: &[u8], piece: usize) -> (Vec<spdy::Frame>, Option<spdy::Violation>) {
    let (mut reader, mut all) = (spdy::Reader::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        loop {
            match reader.frame() {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => break,
                Err(violation) => return (all, Some(violation)),
            }
        }
    }
    (all, None)
}
