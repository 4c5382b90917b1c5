//! Connections to ports of a pod: two streams of SPDY for each, which say what port they are for. Each is a request of its own,
//! which is decided before the target hears of it.

mod inlet;
mod open;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use effects::http::Request;
use effects::kubernetes::at_port;
use ledger::tape::Lane;
use masking::ssh::Stream as Masking;
use model::disclosure::Disclosure;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use wire::spdy::{self, Frame, reset};
use wire::websocket::{Close, Message, Side, code};

use self::inlet::{Heard, Inlet};
use self::open::{Belongs, Connection, Ending, Open, Stream};
use super::super::idle::Idle;
use super::super::session::{Changes, End, Session};
use super::super::socket::{Over, Socket, send, send_message};
use super::super::understand::{Asking, matter};
use super::{Speaks, Wrong};
use crate::deciding::{self, Go, decide, judge};
use crate::gate::{Bare, ClientStream, Control, Reads, TargetStream, Wrap};
use crate::measure::Measure;

/// How much is read at a time.
const AT_A_TIME: usize = 32 * 1024;

/// How long a side may take for the last that it is told.
const CLOSING: Duration = Duration::from_secs(5);

/// How many connections may be open at a time.
const MOST: usize = 256;

/// How many answers to the caller wait.
const WAITING: usize = 64;

/// How much is kept of what the target says failed.
const MOST_OF_AN_ERROR: usize = 16 * 1024;

struct Stage<'a> {
    socket: &'a Socket<'a>,
    asked: &'a Asking,
    is_within: bool,
    open: Mutex<Open>,
    idle: Idle,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Relays connections until one side is over. Returns why, if it is not that.
pub(in super::super) async fn serve(
    socket: &Socket<'_>,
    asked: &Asking,
    speaks: Speaks,
    (caller_reads, mut caller): (Reads, ClientStream),
    (target_reads, mut target): (Reads, TargetStream),
    watching: impl Future<Output = ()>,
    disclosure: &mut Disclosure,
) -> Option<Arc<str>> {
    let is_within = speaks == Speaks::Spdy { is_within: true };
    let stage = Stage { socket, asked, is_within, open: Mutex::default(), idle: Idle::default() };
    let (back, waiting) = mpsc::channel(WAITING);
    let (forth, answers) = mpsc::channel(WAITING);
    let changes = socket.session.changes();
    let over = {
        let inward = stage.inward(caller_reads, &mut target, back, answers);
        let outward = stage.outward(target_reads, &mut caller, (waiting, forth), disclosure);
        tokio::pin!(inward, outward, watching);
        tokio::select! {
            biased;
            () = socket.session.over.cancelled() => Over::Gone,
            () = &mut watching => Over::Cut,
            () = stage.denied(changes) => Over::Cut,
            over = &mut outward => over,
            over = &mut inward => over,
            () = stage.idle.lasts(socket.limits.idle) => Over::Idle,
        }
    };
    if let Over::NotRecorded(reason) = over {
        socket.session.end(End::Withheld(reason));
    }
    let (code, _) = socket.words(&over);
    let left = std::mem::take(&mut locked(&stage.open).connections);
    let why: Option<Arc<str>> = (over != Over::Closed).then(|| socket.reason(&over));
    left.into_values().for_each(|connection| complete(socket.session, connection, why.clone()));
    let last = locked(&stage.open).last;
    let telling = async {
        let _ = caller.say(Bare::Frame { frame: Control::GoAway { last, status: 0 }, is_within }).await;
        if is_within {
            let _ = caller.say(Bare::Close(code)).await;
        }
        caller.close().await;
    };
    let leaving = async {
        if is_within {
            let _ = send_message(&mut target, socket.go, &Message::Close(Some(Close::new(code::NORMAL, "")))).await;
        }
        target.close().await;
    };
    let _ = tokio::time::timeout(CLOSING, async { tokio::join!(telling, leaving) }).await;
    // Who has no more to say goes away, and so does what it asked of the target.
    why.filter(|_| !matches!(over, Over::CallerGone | Over::TargetGone))
}

/// Notes how a connection ended.
fn complete(session: &Session, connection: Connection, error: Option<Arc<str>>) {
    let Connection { go, number, sent, got, disclosure, error: said, .. } = connection;
    let error = error.or_else(|| (!said.is_empty()).then(|| Arc::from("the target could not connect")));
    session.tape().line_on(number, Lane::End, &Ending { input: sent.finish(), output: got.finish() });
    deciding::complete(&session.node, &go, disclosure, error);
}

impl Stage<'_> {
    async fn inward(
        &self,
        mut reads: Reads,
        target: &mut TargetStream,
        back: mpsc::Sender<Bare>,
        mut forth: mpsc::Receiver<Message>,
    ) -> Over {
        let mut inlet = Inlet::new(Side::Client, self.is_within, self.socket.limits.message);
        let mut writer = spdy::Writer::default();
        let mut piece = BytesMut::with_capacity(AT_A_TIME);
        loop {
            let frame = match inlet.next() {
                Ok(Some(Heard::Frame(frame))) => frame,
                Ok(Some(Heard::Ping(content))) => {
                    let _ = back.try_send(Bare::Pong(content));
                    continue;
                }
                Ok(Some(Heard::Close)) => return Over::Closed,
                Ok(None) => {
                    piece.clear();
                    let answer = tokio::select! {
                        biased;
                        Some(answer) = forth.recv() => Some(answer),
                        read = reads.read_buf(&mut piece) => match read {
                            Ok(0) | Err(_) => return Over::CallerGone,
                            Ok(_) => None,
                        },
                    };
                    match answer {
                        Some(answer) => {
                            if let Err(over) = send_message(target, self.socket.go, &answer).await {
                                return over;
                            }
                        }
                        None => {
                            self.idle.is_over();
                            inlet.push(&piece);
                        }
                    }
                    continue;
                }
                Err(wrong) => return Over::Wrong(true, wrong),
            };
            let go = match self.came(&frame, &back).await {
                Ok(Some(go)) => go,
                Ok(None) => continue,
                Err(over) => return over,
            };
            let mut bytes = Vec::new();
            writer.write(&mut bytes, &frame);
            let go = go.as_deref().unwrap_or(self.socket.go);
            if let Err(over) = self.to_target(target, go, bytes).await {
                return over;
            }
        }
    }

    /// Takes a frame of the caller's; by which request it goes on, if it does. That of the stream itself is `None`.
    async fn came(&self, frame: &Frame, back: &mpsc::Sender<Bare>) -> Result<Option<Option<Arc<Go>>>, Over> {
        let wrong = |wrong| Over::Wrong(true, wrong);
        match frame {
            Frame::Open { stream, fields, is_last } => self.opened(*stream, fields, *is_last, back).await,
            Frame::Data { stream, is_last, content } => {
                let mut open = locked(&self.open);
                if open.refused_streams.contains(stream) {
                    return Ok(None);
                }
                let known = open.streams.get_mut(stream).ok_or(wrong(Wrong::Channel))?;
                if known.has_ended {
                    return Err(wrong(Wrong::AfterEnd));
                }
                if known.is_error && !content.is_empty() {
                    return Err(wrong(Wrong::Channel));
                }
                known.has_ended = *is_last;
                let of = known.of.clone();
                let connection = open.connections.get_mut(&of).ok_or(wrong(Wrong::Channel))?;
                connection.sent.add(content);
                let go = Arc::clone(&connection.go);
                let done = open.over(*stream);
                drop(open);
                if let Some(connection) = done {
                    complete(self.socket.session, connection, None);
                }
                Ok(Some(Some(go)))
            }
            Frame::Reset { stream, .. } => {
                let mut open = locked(&self.open);
                if let Some(known) = open.streams.get_mut(stream) {
                    (known.has_ended, known.is_over) = (true, true);
                }
                let done = open.over(*stream);
                drop(open);
                if let Some(connection) = done {
                    complete(self.socket.session, connection, Some("the caller gave it up".into()));
                }
                Ok(Some(None))
            }
            Frame::Ping(_) | Frame::GoAway { .. } => Ok(Some(None)),
            Frame::Ignored => Ok(None),
            Frame::Reply { .. } | Frame::Fields { .. } => Err(wrong(Wrong::Open)),
        }
    }

    /// A stream of a connection is opened: the first of them is decided for both.
    async fn opened(
        &self,
        stream: u32,
        fields: &[spdy::Field],
        is_last: bool,
        back: &mpsc::Sender<Bare>,
    ) -> Result<Option<Option<Arc<Go>>>, Over> {
        let wrong = Over::Wrong(true, Wrong::Open);
        let field = |wanted: &str| fields.iter().find(|(name, _)| **name == *wanted).map(|(_, value)| value);
        let (Some(kind), Some(port), Some(id), 3) =
            (field("streamtype"), field("port"), field("requestid"), fields.len())
        else {
            return Err(wrong);
        };
        let is_error = match &**kind {
            "error" => true,
            "data" => false,
            _ => return Err(wrong),
        };
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or(Over::Wrong(true, Wrong::Open))?;
        match self.belongs(stream, id)? {
            Belongs::Refused => {
                self.refuse(stream, back).await;
                return Ok(None);
            }
            Belongs::Known => {}
            Belongs::New => {
                if !self.connect(stream, id, port).await? {
                    self.refuse(stream, back).await;
                    return Ok(None);
                }
            }
        }
        self.joined(stream, id, port, is_error, is_last).map(|go| Some(Some(go)))
    }

    /// To what a stream belongs that is opened.
    fn belongs(&self, stream: u32, id: &str) -> Result<Belongs, Over> {
        let mut open = locked(&self.open);
        if stream.is_multiple_of(2) || stream <= open.last {
            return Err(Over::Wrong(true, Wrong::Open));
        }
        open.last = stream;
        if open.refused.remove(id) {
            open.refused_streams.insert(stream);
            return Ok(Belongs::Refused);
        }
        if open.connections.len() >= MOST || open.refused.len() >= MOST || open.refused_streams.len() >= 4 * MOST {
            return Err(Over::TooMuch);
        }
        Ok(if open.connections.contains_key(id) { Belongs::Known } else { Belongs::New })
    }

    /// Decides a connection by its first stream; whether it may be.
    async fn connect(&self, stream: u32, id: &str, port: u16) -> Result<bool, Over> {
        let asked = at_port(&self.asked.request, port);
        let Some(go) = self.decided(&asked, port).await else {
            let mut open = locked(&self.open);
            open.refused.insert(id.into());
            open.refused_streams.insert(stream);
            return Ok(false);
        };
        let number = self.socket.session.next_exchange();
        self.socket.session.tape().request_on(number, go.permit.request(), &asked.shown, &[]);
        let connection = Connection {
            go: Arc::new(go),
            asked,
            port,
            number,
            sent: Measure::default(),
            got: Measure::default(),
            disclosure: Disclosure::default(),
            error: Vec::new(),
            open: 0,
            has_data: false,
            has_error: false,
        };
        locked(&self.open).connections.insert(id.into(), connection);
        // What changed while it was decided was looked at without it.
        if self.is_denied() { Err(Over::Cut) } else { Ok(true) }
    }

    /// Adds a stream to its connection.
    fn joined(&self, stream: u32, id: &str, port: u16, is_error: bool, is_last: bool) -> Result<Arc<Go>, Over> {
        let wrong = Over::Wrong(true, Wrong::Open);
        let mut open = locked(&self.open);
        let Some(connection) = open.connections.get_mut(id) else { return Err(wrong) };
        let is_same = connection.port == port;
        let is_twice = if is_error { connection.has_error } else { connection.has_data };
        if !is_same || is_twice {
            return Err(wrong);
        }
        connection.open = connection.open.saturating_add(1);
        if is_error {
            connection.has_error = true
        } else {
            connection.has_data = true
        }
        let go = Arc::clone(&connection.go);
        let opened = Stream { of: id.into(), is_error, has_ended: is_last, is_taken: false, is_over: false };
        open.streams.insert(stream, opened);
        Ok(go)
    }

    async fn decided(&self, asked: &Request, port: u16) -> Option<Go> {
        let (session, port) = (self.socket.session, port.to_string());
        let exact = [&*asked.facts.kind, asked.statement.as_ref(), &port];
        let request = session.next_request();
        decide(&**session, matter(request, asked, &exact)).await.ok()
    }

    async fn refuse(&self, stream: u32, back: &mpsc::Sender<Bare>) {
        let frame = Control::Reset { stream, status: reset::REFUSED_STREAM };
        // Whoever takes nothing is not told.
        let _ = back.send(Bare::Frame { frame, is_within: self.is_within }).await;
    }

    async fn to_target(&self, target: &mut TargetStream, go: &Go, bytes: Vec<u8>) -> Result<(), Over> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.is_within {
            return send_message(target, go, &Message::Binary(bytes)).await;
        }
        send(target, go, &bytes).await
    }

    async fn outward(
        &self,
        mut reads: Reads,
        caller: &mut ClientStream,
        (mut back, forth): (mpsc::Receiver<Bare>, mpsc::Sender<Message>),
        disclosure: &mut Disclosure,
    ) -> Over {
        let mut inlet = Inlet::new(Side::Server, self.is_within, self.socket.limits.message);
        let mut has_back = true;
        let mut piece = BytesMut::with_capacity(AT_A_TIME);
        loop {
            loop {
                let frame = match inlet.next() {
                    Ok(Some(Heard::Frame(frame))) => frame,
                    Ok(Some(Heard::Ping(content))) => {
                        let _ = forth.try_send(Message::Pong(content));
                        continue;
                    }
                    Ok(Some(Heard::Close)) => return Over::Closed,
                    Ok(None) => break,
                    Err(wrong) => return Over::Wrong(false, wrong),
                };
                if let Err(over) = self.show(frame, caller, disclosure).await {
                    return over;
                }
            }
            piece.clear();
            tokio::select! {
                biased;
                bare = back.recv(), if has_back => match bare {
                    Some(bare) => if caller.say(bare).await.is_err() { return Over::CallerGone },
                    None => has_back = false,
                },
                read = reads.read_buf(&mut piece) => match read {
                    Ok(0) | Err(_) => return Over::TargetGone,
                    Ok(_) => {
                        self.idle.is_over();
                        inlet.push(&piece);
                    }
                },
            }
        }
    }

    /// Ends when one of the connections would not be let any more, whatever the two ways wait for.
    async fn denied(&self, mut changes: Changes) {
        while changes.changed().await.is_ok() && !self.is_denied() {}
    }

    /// Whether one of the connections would not be let now.
    fn is_denied(&self) -> bool {
        let (session, standing) = (self.socket.session, self.socket.session.standing());
        locked(&self.open).connections.values().any(|connection| {
            let request = connection.go.permit.request();
            let asked = &connection.asked;
            judge(&**session, &standing, matter(request, asked, &[])).denial().is_some()
        })
    }

    async fn show(&self, frame: Frame, caller: &mut ClientStream, disclosure: &mut Disclosure) -> Result<(), Over> {
        let wrong = |wrong| Over::Wrong(false, wrong);
        let gone = |_| Over::CallerGone;
        let bare = |frame| Bare::Frame { frame, is_within: self.is_within };
        match frame {
            Frame::Reply { stream, is_last, .. } => {
                {
                    let mut open = locked(&self.open);
                    let known = open.streams.get_mut(&stream).filter(|known| !known.is_taken);
                    let known = known.ok_or(wrong(Wrong::Open))?;
                    (known.is_taken, known.is_over) = (true, is_last);
                }
                caller.say(bare(Control::Reply { stream, is_last })).await.map_err(gone)
            }
            Frame::Data { stream, is_last, content } => {
                let masked = {
                    let mut open = locked(&self.open);
                    // What the caller has given up may still be answered.
                    let Some(known) = open.streams.get_mut(&stream) else { return Ok(()) };
                    if known.is_over {
                        return Err(wrong(Wrong::AfterEnd));
                    }
                    known.is_over = is_last;
                    let (of, is_error) = (known.of.clone(), known.is_error);
                    let connection = open.connections.get_mut(&of).ok_or(wrong(Wrong::Channel))?;
                    let lens = Arc::clone(&self.socket.session.standing().lens);
                    if is_error {
                        connection.error.extend_from_slice(&content);
                        if connection.error.len() > MOST_OF_AN_ERROR {
                            return Err(wrong(Wrong::TooMuch));
                        }
                        // It is shown whole, so that nothing in it is split.
                        let mut text = Masking::text(lens);
                        let error: &[u8] = if is_last { &connection.error } else { &[] };
                        let (first, rest) = (text.push(error), text.finish());
                        vec![first, rest]
                    } else {
                        connection.got.add(&content);
                        vec![Masking::opaque(lens).push(&content)]
                    }
                };
                for masked in masked {
                    if masked.bytes().is_empty() {
                        continue;
                    }
                    let released = self.socket.session.tape().leave_out(masked).map_err(Over::NotRecorded)?;
                    let wrap = Wrap::Stream { number: stream, is_last: false, is_within: self.is_within };
                    let disclosed = caller.send(released, wrap).await.map_err(gone)?;
                    self.disclosed(stream, &disclosed, disclosure);
                }
                if is_last {
                    caller.say(bare(Control::Last(stream))).await.map_err(gone)?;
                }
                let done = locked(&self.open).over(stream);
                if let Some(connection) = done {
                    complete(self.socket.session, connection, None);
                }
                Ok(())
            }
            Frame::Reset { stream, status } => {
                let done = {
                    let mut open = locked(&self.open);
                    let Some(known) = open.streams.get_mut(&stream) else { return Ok(()) };
                    (known.has_ended, known.is_over) = (true, true);
                    open.over(stream)
                };
                if let Some(connection) = done {
                    complete(self.socket.session, connection, Some("the target gave it up".into()));
                }
                caller.say(bare(Control::Reset { stream, status })).await.map_err(gone)
            }
            Frame::Ping(id) => caller.say(bare(Control::Ping(id))).await.map_err(gone),
            Frame::GoAway { last, status } => caller.say(bare(Control::GoAway { last, status })).await.map_err(gone),
            Frame::Ignored => Ok(()),
            Frame::Open { .. } | Frame::Fields { .. } => Err(wrong(Wrong::Open)),
        }
    }

    /// Counts what was shown, of the connection that it came on.
    fn disclosed(&self, stream: u32, disclosed: &Disclosure, all: &mut Disclosure) {
        let mut open = locked(&self.open);
        let of = open.streams.get(&stream).map(|stream| stream.of.clone());
        match of.and_then(|of| open.connections.get_mut(&of)) {
            Some(connection) => connection.disclosure.add(disclosed),
            None => all.add(disclosed),
        }
    }
}
