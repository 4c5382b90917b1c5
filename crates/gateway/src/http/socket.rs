//! A WebSocket: the messages of both sides, each read whole, recorded, masked for the caller, and written anew.
//!
//! Nothing else of a frame goes on: a caller's and a target's pieces are one frame each, a ping is asked again in Sluice's own
//! words and answered when its answer comes, and a close is a close. What breaks the protocol ends both sides.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use masking::http::{Plan, Unmaskable, message};
use masking::{Masked, http as masks};
use model::disclosure::Disclosure;
use tokio::io::AsyncReadExt;
use wire::websocket::{self, Close, Message, Opcode, Reader, Side, Violation, code};

use super::idle::Idle;
use super::session::{End, Session};
use super::streams::Wrong;
use super::taping::Taped;
use super::upload::Carried;
use crate::clock;
use crate::deciding::Go;
use crate::gate::{Bare, ClientStream, Gone, Reads, TargetStream, Wrap};

/// How much is read at a time.
const AT_A_TIME: usize = 32 * 1024;

/// How many pings of each side wait for their answer; of more the oldest never gets one (RFC 6455, section 5.5.3).
const MOST_PINGS: usize = 8;

/// How long a side may take to answer a close.
const CLOSING: Duration = Duration::from_secs(5);

/// What a socket is bounded by.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The longest message.
    pub(super) message: usize,
    /// How much a caller may say in all.
    pub(super) most: u64,
    /// How long a side may take what it is told.
    pub(super) silence: Duration,
    /// How long nobody may say anything.
    pub(super) idle: Duration,
}

/// What the two ways of a socket share.
pub(super) struct Socket<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) go: &'a Go,
    pub(super) taped: &'a Taped,
    pub(super) plan: &'a Plan,
    /// What the tape has of the caller's messages is masked by this.
    pub(super) noting: &'a Plan,
    pub(super) carried: &'a Carried,
    pub(super) limits: Limits,
}

/// Why a socket ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Over {
    /// Each side has said that it is over.
    Closed,
    /// The caller is not there any more.
    CallerGone,
    /// The target is not there any more.
    TargetGone,
    /// A side does not keep the protocol.
    Broken(Side, Violation),
    /// Likewise, of what Kubernetes streams; whether it is the caller.
    Wrong(bool, Wrong),
    /// The caller says more than it may in all.
    TooMuch,
    /// What the target says cannot be shown.
    Unmaskable(Unmaskable),
    /// It cannot be recorded.
    NotRecorded(&'static str),
    /// Nobody said anything for too long.
    Idle,
    /// A revision denies it, or shows less.
    Cut,
    /// The session ends.
    Gone,
    /// A defect of Sluice.
    Internal,
}

/// Pings of one side that the other has not answered: what they were asked with there, and what they said.
#[derive(Default)]
struct Pings {
    next: u32,
    waiting: VecDeque<(u32, Vec<u8>)>,
}

impl Pings {
    /// Takes one; the number that it is asked by.
    fn ask(&mut self, said: Vec<u8>) -> u32 {
        if self.waiting.len() >= MOST_PINGS {
            self.waiting.pop_front();
        }
        self.next = self.next.wrapping_add(1);
        self.waiting.push_back((self.next, said));
        self.next
    }

    /// What the answer has to say, if it is one; those before it have none any more.
    fn answered(&mut self, pong: &[u8]) -> Option<Vec<u8>> {
        let number = u32::from_be_bytes(pong.try_into().ok()?);
        let at = self.waiting.iter().position(|(asked, _)| *asked == number)?;
        self.waiting.drain(..=at).next_back().map(|(_, said)| said)
    }
}

/// What both ways tell each other.
#[derive(Default)]
struct Shared {
    idle: Idle,
    of_caller: Mutex<Pings>,
    of_target: Mutex<Pings>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a side was told.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Said {
    #[default]
    Some,
    /// That it is over, too.
    All,
}

impl Socket<'_> {
    /// Relays until both sides are over, or one has to be. Returns why, if it is not that.
    pub(super) async fn serve(
        &self,
        (caller_reads, mut caller): (Reads, ClientStream),
        (target_reads, mut target): (Reads, TargetStream),
        watching: impl Future<Output = ()>,
        disclosure: &mut Disclosure,
    ) -> Option<Arc<str>> {
        let shared = Shared::default();
        let (mut to_target, mut to_caller) = (Said::default(), Said::default());
        let over = {
            let inward = self.inward(&shared, caller_reads, &mut target, &mut to_target);
            let outward = self.outward(&shared, target_reads, &mut caller, &mut to_caller, disclosure);
            let ways = both(inward, outward);
            tokio::select! {
                biased;
                () = self.session.over.cancelled() => Over::Gone,
                () = watching => Over::Cut,
                over = ways => over,
                () = shared.idle.lasts(self.limits.idle) => Over::Idle,
            }
        };
        if let Over::NotRecorded(reason) = over {
            self.session.end(End::Withheld(reason));
        }
        let (code, words) = self.words(&over);
        if to_caller == Said::Some && over != Over::CallerGone {
            let told = tokio::time::timeout(CLOSING, self.tell(&mut caller, code, words)).await;
            disclosure.add(&told.ok().and_then(Result::ok).unwrap_or_default());
        }
        if to_target == Said::Some && over != Over::TargetGone {
            let _ = tokio::time::timeout(CLOSING, self.leave(&mut target)).await;
        }
        let _ = tokio::time::timeout(CLOSING, async { tokio::join!(caller.close(), target.close()) }).await;
        (over != Over::Closed).then(|| self.reason(&over))
    }

    /// Takes what the caller says to the target.
    async fn inward(&self, shared: &Shared, mut reads: Reads, target: &mut TargetStream, said: &mut Said) -> Over {
        let mut reader = Reader::new(Side::Client, self.limits.message);
        loop {
            let message = match self.next(shared, &mut reads, &mut reader).await {
                Ok(Some(message)) => message,
                Ok(None) => return Over::CallerGone,
                Err(violation) => return Over::Broken(Side::Client, violation),
            };
            let is_close = matches!(message, Message::Close(_));
            let passing = match message {
                Message::Ping(content) => Message::Ping(locked(&shared.of_caller).ask(content).to_be_bytes().to_vec()),
                Message::Pong(content) => match locked(&shared.of_target).answered(&content) {
                    Some(said) => Message::Pong(said),
                    None => continue,
                },
                message => match self.came(&message) {
                    Ok(()) => message,
                    Err(over) => return over,
                },
            };
            match self.to_target(target, &passing).await {
                Ok(()) if is_close => {
                    *said = Said::All;
                    return Over::Closed;
                }
                Ok(()) => {}
                Err(over) => return over,
            }
        }
    }

    /// Counts and notes a message of the caller's.
    fn came(&self, said: &Message) -> Result<(), Over> {
        let (opcode, bytes, masked) = match said {
            Message::Text(text) => (Opcode::Text, text.as_bytes(), message::text(text, self.noting).ok()),
            Message::Binary(bytes) => (Opcode::Binary, bytes.as_slice(), message::binary(bytes, self.noting).ok()),
            Message::Close(Some(close)) => {
                (Opcode::Close, close.reason.as_bytes(), message::text(&close.reason, self.noting).ok())
            }
            Message::Close(None) => (Opcode::Close, [].as_slice(), None),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        let noted = self.taped.message_came(opcode, bytes.len(), masked.as_ref().map(Masked::bytes));
        noted.map_err(Over::NotRecorded)?;
        if self.carried.add(bytes) > self.limits.most { Err(Over::TooMuch) } else { Ok(()) }
    }

    async fn to_target(&self, target: &mut TargetStream, message: &Message) -> Result<(), Over> {
        let sending = send_message(target, self.go, message);
        tokio::time::timeout(self.limits.silence, sending).await.unwrap_or(Err(Over::TargetGone))
    }

    /// Takes what the target says to the caller.
    async fn outward(
        &self,
        shared: &Shared,
        mut reads: Reads,
        caller: &mut ClientStream,
        said: &mut Said,
        disclosure: &mut Disclosure,
    ) -> Over {
        let mut reader = Reader::new(Side::Server, self.limits.message);
        loop {
            let message = match self.next(shared, &mut reads, &mut reader).await {
                Ok(Some(message)) => message,
                Ok(None) => return Over::TargetGone,
                Err(violation) => return Over::Broken(Side::Server, violation),
            };
            let is_close = matches!(message, Message::Close(_));
            let shown = self.to_caller(shared, caller, message);
            match tokio::time::timeout(self.limits.silence, shown).await {
                Ok(Ok(disclosed)) => {
                    disclosure.add(&disclosed);
                    if is_close {
                        *said = Said::All;
                        return Over::Closed;
                    }
                }
                Ok(Err(over)) => return over,
                Err(_) => return Over::CallerGone,
            }
        }
    }

    async fn to_caller(&self, shared: &Shared, caller: &mut ClientStream, said: Message) -> Result<Disclosure, Over> {
        let (opcode, wrap, masked) = match said {
            Message::Ping(content) => {
                let number = locked(&shared.of_target).ask(content);
                return said_bare(caller.say(Bare::Ping(number)).await);
            }
            Message::Pong(content) => {
                let Some(said) = locked(&shared.of_caller).answered(&content) else { return Ok(Disclosure::default()) };
                return said_bare(caller.say(Bare::Pong(said)).await);
            }
            Message::Close(None) => return said_bare(caller.say(Bare::Close(code::NORMAL)).await),
            Message::Close(Some(Close { code, reason })) => {
                (Opcode::Close, Wrap::Close(code), message::text(&reason, self.plan))
            }
            Message::Text(text) => (Opcode::Text, Wrap::Message(Opcode::Text), message::text(&text, self.plan)),
            Message::Binary(bytes) => {
                (Opcode::Binary, Wrap::Message(Opcode::Binary), message::binary(&bytes, self.plan))
            }
        };
        let masked = match (masked, wrap) {
            (Ok(masked), _) => masked,
            // The end is told without words that cannot be shown.
            (Err(_), Wrap::Close(code)) => return said_bare(caller.say(Bare::Close(code)).await),
            (Err(error), _) => return Err(Over::Unmaskable(error)),
        };
        let released = self.taped.message(opcode, masked).map_err(Over::NotRecorded)?;
        match caller.send(released, wrap).await {
            Ok(disclosed) => Ok(disclosed),
            Err(Gone::Gate(_)) => Err(Over::Internal),
            Err(Gone::Closed | Gone::NotOpened) => Err(Over::CallerGone),
        }
    }

    /// The next message of a side; `None` when the side is over.
    async fn next(
        &self,
        shared: &Shared,
        reads: &mut Reads,
        reader: &mut Reader,
    ) -> Result<Option<Message>, Violation> {
        loop {
            if let Some(message) = reader.message()? {
                return Ok(Some(message));
            }
            let mut piece = bytes::BytesMut::with_capacity(AT_A_TIME);
            match reads.read_buf(&mut piece).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => reader.push(&piece),
            }
            shared.idle.is_over();
        }
    }

    /// Tells the caller that it is over, and why.
    async fn tell(&self, caller: &mut ClientStream, code: u16, words: &'static str) -> Result<Disclosure, Over> {
        if words.is_empty() {
            return said_bare(caller.say(Bare::Close(code)).await);
        }
        let words = format!("{words} (request {})", self.go.permit.request());
        let released = self.taped.message(Opcode::Close, masks::own(&words)).map_err(Over::NotRecorded)?;
        caller.send(released, Wrap::Close(code)).await.map_err(|_| Over::CallerGone)
    }

    /// Tells the target that it is over.
    async fn leave(&self, target: &mut TargetStream) -> Result<(), Over> {
        self.to_target(target, &Message::Close(Some(Close::new(code::GOING_AWAY, "")))).await
    }

    /// What the caller is told.
    pub(super) fn words(&self, over: &Over) -> (u16, &'static str) {
        match over {
            Over::Closed => (code::NORMAL, ""),
            Over::Idle => (code::GOING_AWAY, "nothing was said for too long"),
            Over::CallerGone | Over::TargetGone => (code::GOING_AWAY, "the target is gone"),
            Over::Broken(Side::Client, violation) => (violation.code(), "the message is not understood"),
            Over::Broken(Side::Server, _) => (code::INTERNAL, "the target does not keep the protocol"),
            Over::Wrong(true, _) => (code::PROTOCOL, "the stream is not understood"),
            Over::Wrong(false, _) => (code::INTERNAL, "the target does not keep the protocol"),
            Over::TooMuch => (code::POLICY, "more was said than may be"),
            Over::Unmaskable(_) => (code::POLICY, "the target's message cannot be masked"),
            Over::NotRecorded(_) => (code::INTERNAL, "this cannot be recorded"),
            Over::Cut => (code::POLICY, "a new policy no longer allows it"),
            Over::Internal => (code::INTERNAL, "Sluice failed"),
            Over::Gone => match self.session.ended() {
                End::Administrator("Sluice is stopping") => (code::GOING_AWAY, "Sluice is stopping"),
                End::Expired => (code::POLICY, "the credential expired"),
                End::Client => (code::GOING_AWAY, "the connection ends"),
                _ => (code::POLICY, "the session was ended"),
            },
        }
    }

    /// For the journal.
    pub(super) fn reason(&self, over: &Over) -> Arc<str> {
        match over {
            Over::CallerGone => "the caller went away".into(),
            Over::TargetGone => "the target went away".into(),
            Over::Broken(Side::Client, violation) => format!("the caller: {violation}").into(),
            Over::Broken(Side::Server, violation) => format!("the target: {violation}").into(),
            Over::Wrong(true, wrong) => format!("the caller: {wrong}").into(),
            Over::Wrong(false, wrong) => format!("the target: {wrong}").into(),
            Over::Unmaskable(error) => error.client_message().into(),
            Over::Gone => self.session.ended().reason().into(),
            Over::NotRecorded(reason) => (*reason).into(),
            over => self.words(over).1.into(),
        }
    }
}

/// Sends bytes to a target, by the request that they belong to.
pub(super) async fn send(target: &mut TargetStream, go: &Go, bytes: &[u8]) -> Result<(), Over> {
    match target.send(go.goes_on(), &go.receipt, bytes).await {
        Ok(()) => Ok(()),
        Err(Gone::Gate(_)) => Err(Over::Internal),
        Err(Gone::Closed | Gone::NotOpened) => Err(Over::TargetGone),
    }
}

/// Sends a message to a target, likewise.
pub(super) async fn send_message(target: &mut TargetStream, go: &Go, message: &Message) -> Result<(), Over> {
    let mask = clock::random().map_err(|_| Over::Internal)?;
    let mut bytes = Vec::new();
    websocket::write(&mut bytes, message, Some(mask));
    send(target, go, &bytes).await
}

fn said_bare(said: Result<(), Gone>) -> Result<Disclosure, Over> {
    said.map(|()| Disclosure::default()).map_err(|_| Over::CallerGone)
}

/// Runs both ways until each is over. A side that was told of the other's end has a while to answer.
async fn both(inward: impl Future<Output = Over>, outward: impl Future<Output = Over>) -> Over {
    tokio::pin!(inward, outward);
    let (first, was_inward) = tokio::select! {
        biased;
        over = &mut outward => (over, false),
        over = &mut inward => (over, true),
    };
    if first != Over::Closed {
        return first;
    }
    let rest = async { if was_inward { outward.await } else { inward.await } };
    match tokio::time::timeout(CLOSING, rest).await {
        // It has ended without another word.
        Err(_) | Ok(Over::CallerGone | Over::TargetGone) => Over::Closed,
        Ok(over) => over,
    }
}
