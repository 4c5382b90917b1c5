//! A program that runs in a container, or is attached to: what it is told, what it says on standard output and standard error,
//! each recorded apart and masked by its content, and how it ends.

mod outward;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use effects::ssh::Carries;
use hyper::StatusCode;
use ledger::tape::{Lane as TapeLane, Track};
use masking::http as masks;
use model::disclosure::Disclosure;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use wire::websocket::{Message, code};

use self::outward::Outward;
use super::super::idle::Idle;
use super::super::kubernetes::Status;
use super::super::session::End;
use super::super::socket::{Over, Socket, send, send_message};
use super::spdy::Streams;
use super::{Onward, Speaks, Wrong, channels, spdy};
use crate::gate::{Bare, ClientStream, Control, Gone, Reads, TargetStream, Wrap};
use crate::ssh::prompt::Prompt;

/// How much is read at a time.
const AT_A_TIME: usize = 32 * 1024;

/// How long a side may take for the last that it is told.
const CLOSING: Duration = Duration::from_secs(5);

/// The most columns and lines that a terminal has.
const MOST_OF_A_SIZE: u32 = 65_535;

/// How many answers to the caller wait.
const WAITING: usize = 16;

/// What the caller says.
pub(super) enum Said {
    /// Standard input.
    Input(Vec<u8>),
    /// It is over.
    InputEnds,
    /// The size of its terminal, as JSON.
    Size(Vec<u8>),
    /// All is over.
    Over,
    /// Nothing that is recorded.
    Else,
}

/// Something of the caller's, and what becomes of it.
pub(super) struct FromCaller {
    pub(super) said: Said,
    pub(super) onward: Onward,
    /// What it is answered with by Sluice itself.
    pub(super) back: Option<Bare>,
}

impl FromCaller {
    pub(super) const fn onward(said: Said, onward: Onward) -> Self {
        Self { said, onward, back: None }
    }
}

/// Something of the target's.
pub(super) enum FromTarget {
    /// Standard output, or the terminal.
    Output(Vec<u8>, Wrap),
    /// Standard error.
    Error(Vec<u8>, Wrap),
    /// How it ended, as JSON.
    Status(Vec<u8>, Wrap),
    /// Something without content.
    Say(Bare),
    /// Likewise; nothing that is held back may come behind it.
    Ends(Bare),
    /// It is answered by Sluice itself.
    Answer(Message),
    /// All is over.
    Over(Bare),
    /// Nothing.
    Nothing,
}

enum Caller {
    Channels(channels::Caller),
    Spdy(Box<spdy::Caller>),
}

impl Caller {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Channels(caller) => caller.push(bytes),
            Self::Spdy(caller) => caller.push(bytes),
        }
    }

    fn next(&mut self) -> Result<Option<FromCaller>, Wrong> {
        match self {
            Self::Channels(caller) => caller.next(),
            Self::Spdy(caller) => caller.next(),
        }
    }
}

enum Target {
    Channels(channels::Target),
    Spdy(Box<spdy::Target>),
}

impl Target {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Channels(target) => target.push(bytes),
            Self::Spdy(target) => target.push(bytes),
        }
    }

    fn next(&mut self) -> Result<Option<FromTarget>, Wrong> {
        match self {
            Self::Channels(target) => target.next(),
            Self::Spdy(target) => target.next(),
        }
    }
}

/// What both ways share.
struct Stage<'a> {
    socket: &'a Socket<'a>,
    number: u32,
    carries: Carries,
    prompt: Prompt,
    idle: Idle,
}

/// How a program ended, as the tape has it.
#[derive(Serialize)]
struct Ending {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u32>,
}

/// Relays until the program has ended, or one side has. Returns why, if it is not that it ended well.
pub(in super::super) async fn serve(
    socket: &Socket<'_>,
    (number, carries, speaks): (u32, Carries, Speaks),
    (caller_reads, mut caller): (Reads, ClientStream),
    (target_reads, mut target): (Reads, TargetStream),
    watching: impl Future<Output = ()>,
    disclosure: &mut Disclosure,
) -> Option<Arc<str>> {
    let streams = Streams::default();
    let most = socket.limits.message;
    let (from_caller, from_target) = match speaks {
        Speaks::Channels { closes } => {
            (Caller::Channels(channels::Caller::new(closes, most)), Target::Channels(channels::Target::new(most)))
        }
        Speaks::Spdy { .. } => (
            Caller::Spdy(Box::new(spdy::Caller::new(streams.clone()))),
            Target::Spdy(Box::new(spdy::Target::new(streams.clone()))),
        ),
    };
    let stage = Stage { socket, number, carries, prompt: Prompt::default(), idle: Idle::default() };
    let lens = Arc::clone(&socket.session.standing().lens);
    let mut outward = Outward::new(carries, &lens);
    let (back, waiting) = mpsc::channel(WAITING);
    let (forth, answers) = mpsc::channel(WAITING);
    let over = {
        let inward = stage.inward(from_caller, caller_reads, &mut target, back, answers);
        let outward = outward.run(&stage, (from_target, target_reads), &mut caller, waiting, forth);
        tokio::pin!(inward, outward, watching);
        let mut has_input = true;
        loop {
            tokio::select! {
                biased;
                // First, so that no flood keeps them out.
                () = socket.session.over.cancelled() => break Over::Gone,
                () = &mut watching => break Over::Cut,
                over = &mut outward => break over,
                over = &mut inward, if has_input => match over {
                    // What the program says last is still shown.
                    Over::Closed => has_input = false,
                    over => break over,
                },
                () = stage.idle.lasts(socket.limits.idle) => break Over::Idle,
            }
        }
    };
    disclosure.add(&outward.disclosure);
    stage.end(&over, speaks, &streams, &mut caller, &mut target, outward.has_status).await;
    let ending = Ending { exit_status: outward.exit_status };
    socket.session.tape().line_on(number, TapeLane::End, &ending);
    match (&over, outward.has_status) {
        (Over::Closed | Over::CallerGone | Over::TargetGone, true) => match outward.exit_status {
            Some(0) => None,
            Some(status) => Some(format!("exit status {status}").into()),
            None => Some("the target could not run it".into()),
        },
        (Over::Closed, false) => None,
        (over, _) => Some(socket.reason(over)),
    }
}

impl Stage<'_> {
    async fn inward(
        &self,
        mut caller: Caller,
        mut reads: Reads,
        target: &mut TargetStream,
        back: mpsc::Sender<Bare>,
        mut forth: mpsc::Receiver<Message>,
    ) -> Over {
        let mut piece = BytesMut::with_capacity(AT_A_TIME);
        loop {
            let came = match caller.next() {
                Ok(Some(came)) => came,
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
                            if let Err(over) = self.to_target(target, Onward::Message(answer)).await {
                                return over;
                            }
                        }
                        None => {
                            caller.push(&piece);
                            self.idle.is_over();
                        }
                    }
                    continue;
                }
                Err(wrong) => return Over::Wrong(true, wrong),
            };
            let is_over = matches!(came.said, Said::Over);
            if let Err(over) = self.note(came.said) {
                return over;
            }
            // Of more than wait the caller hears no more of, as of pings.
            came.back.map(|bare| back.try_send(bare));
            if let Err(over) = self.to_target(target, came.onward).await {
                return over;
            }
            if is_over {
                return Over::Closed;
            }
        }
    }

    /// Puts on the tape what the caller says.
    fn note(&self, said: Said) -> Result<(), Over> {
        let session = self.socket.session;
        match said {
            Said::Input(bytes) => {
                self.socket.carried.add(&bytes);
                // Of files the tape has the digest.
                if self.carries == Carries::Files {
                    return Ok(());
                }
                if let Some(shown) = self.prompt.typed(&bytes) {
                    let track = Track { channel: self.number, lane: TapeLane::Input };
                    self.socket.taped.typed(track, &shown).map_err(Over::NotRecorded)?;
                }
                Ok(())
            }
            Said::Size(json) => {
                let (columns, rows) = size(&json).ok_or(Over::Wrong(true, Wrong::Size))?;
                if self.carries != Carries::Terminal {
                    return Ok(());
                }
                let text = format!("{columns}x{rows}");
                let track = Track { channel: self.number, lane: TapeLane::Size };
                session.tape().note_on(track, text.as_bytes()).map_err(Over::NotRecorded)
            }
            Said::InputEnds | Said::Over | Said::Else => Ok(()),
        }
    }

    async fn to_target(&self, target: &mut TargetStream, onward: Onward) -> Result<(), Over> {
        let go = self.socket.go;
        match onward {
            Onward::Nothing => Ok(()),
            Onward::Bytes(bytes) if bytes.is_empty() => Ok(()),
            Onward::Bytes(bytes) => send(target, go, &bytes).await,
            Onward::Message(message) => send_message(target, go, &message).await,
        }
    }

    /// Tells both sides that it is over, and the caller why, unless the program has told it how it ended.
    async fn end(
        &self,
        over: &Over,
        speaks: Speaks,
        streams: &Streams,
        caller: &mut ClientStream,
        target: &mut TargetStream,
        has_status: bool,
    ) {
        if let Over::NotRecorded(reason) = over {
            self.socket.session.end(End::Withheld(reason));
        }
        let (code, words) = self.socket.words(over);
        let is_told = has_status || *over == Over::Closed || matches!(over, Over::CallerGone);
        let telling = async {
            if !is_told {
                let _ = self.tell(words, speaks, streams, caller).await;
            }
            let bare = match speaks {
                // Whoever is told by a `Status` takes another code for the failure of the stream that it came by.
                Speaks::Channels { .. } => Bare::Close(if is_told { code } else { code::NORMAL }),
                Speaks::Spdy { is_within } => {
                    Bare::Frame { frame: Control::GoAway { last: streams.last(), status: 0 }, is_within }
                }
            };
            if *over != Over::Closed && *over != Over::CallerGone {
                let _ = caller.say(bare).await;
            }
            caller.close().await;
        };
        let _ = tokio::time::timeout(CLOSING, telling).await;
        let leaving = async {
            let onward = match speaks {
                Speaks::Channels { .. } => {
                    let close = wire::websocket::Close::new(code::GOING_AWAY, "");
                    Onward::Message(Message::Close(Some(close)))
                }
                Speaks::Spdy { .. } => Onward::Nothing,
            };
            if *over != Over::Closed {
                let _ = self.to_target(target, onward).await;
            }
            target.close().await;
        };
        let _ = tokio::time::timeout(CLOSING, leaving).await;
    }

    /// Tells the caller why, as the API server tells how a program ended.
    async fn tell(
        &self,
        words: &str,
        speaks: Speaks,
        streams: &Streams,
        caller: &mut ClientStream,
    ) -> Result<(), Gone> {
        let instance = format!("request:{}", self.socket.go.permit.request());
        let status = Status::new(StatusCode::FORBIDDEN, words, &instance, None, None);
        let Ok(json) = serde_json::to_string(&status) else { return Ok(()) };
        let masked = masks::own(&json);
        let wrap = match speaks {
            Speaks::Channels { .. } => Wrap::Channel(channels::STATUS),
            Speaks::Spdy { is_within } => match streams.status() {
                Some(number) => Wrap::Stream { number, is_last: true, is_within },
                None => return Ok(()),
            },
        };
        let track = Track { channel: self.number, lane: TapeLane::Error };
        let released = self.socket.session.tape().answer_on(track, masked);
        match released {
            Ok(released) => caller.send(released, wrap).await.map(drop),
            Err(_) => Ok(()),
        }
    }
}

/// The size that the caller's terminal is said to have.
fn size(json: &[u8]) -> Option<(u32, u32)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Size {
        width: u32,
        height: u32,
    }
    // Several may come at a time, each behind the other: the last is how it is.
    let mut last = None;
    for size in serde_json::Deserializer::from_slice(json).into_iter::<Size>() {
        last = Some(size.ok()?);
    }
    let Size { width, height } = last?;
    (width <= MOST_OF_A_SIZE && height <= MOST_OF_A_SIZE).then_some((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k8_12_a_size_is_two_numbers_that_a_terminal_can_have() {
        assert_eq!(size(br#"{"Width":80,"Height":24}"#), Some((80, 24)));
        assert_eq!(size(b"{\"Width\":80,\"Height\":24}\n{\"Width\":81,\"Height\":24}\n"), Some((81, 24)));
        for wrong in ["", "{}", "{\"Width\":-1,\"Height\":24}", "{\"Width\":70000,\"Height\":1}", "{\"Width\":1", "x"] {
            assert_eq!(size(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
