//! Channels of WebSocket (k8s.io/apimachinery, pkg/util/remotecommand: `StreamProtocolV5Name`): each message begins with the number
//! of a channel.

use wire::websocket::{Close, Message, Reader, Side};

use super::command::{FromCaller, FromTarget, Said};
use super::{Onward, Wrong};
use crate::gate::{Bare, Wrap};

const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const ERROR: u8 = 2;
/// How it ended: a `Status`.
pub(super) const STATUS: u8 = 3;
const SIZE: u8 = 4;
/// A channel is over (v5).
const CLOSE: u8 = 255;

/// What the caller says.
pub(super) struct Caller {
    reader: Reader,
    /// Whether a channel can be closed by itself.
    closes: bool,
    has_ended: bool,
}

impl Caller {
    pub(super) fn new(closes: bool, most: usize) -> Self {
        Self { reader: Reader::new(Side::Client, most), closes, has_ended: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<FromCaller>, Wrong> {
        let Some(message) = self.reader.message()? else { return Ok(None) };
        let bytes = match message {
            // A client that writes texts means the bytes (the Python client's does).
            Message::Text(text) => text.into_bytes(),
            Message::Binary(bytes) => bytes,
            Message::Ping(content) => {
                return Ok(Some(FromCaller {
                    said: Said::Else,
                    onward: Onward::Nothing,
                    back: Some(Bare::Pong(content)),
                }));
            }
            Message::Pong(_) => return Ok(Some(FromCaller::onward(Said::Else, Onward::Nothing))),
            close @ Message::Close(_) => return Ok(Some(FromCaller::onward(Said::Over, Onward::Message(close)))),
        };
        let said = self.said(&bytes)?;
        Ok(Some(FromCaller::onward(said, Onward::Message(Message::Binary(bytes)))))
    }

    fn said(&mut self, bytes: &[u8]) -> Result<Said, Wrong> {
        match bytes.split_first() {
            Some((&INPUT, _)) if self.has_ended => Err(Wrong::AfterEnd),
            Some((&INPUT, content)) => Ok(Said::Input(content.to_vec())),
            Some((&SIZE, content)) => Ok(Said::Size(content.to_vec())),
            Some((&CLOSE, [INPUT])) if self.closes && !self.has_ended => {
                self.has_ended = true;
                Ok(Said::InputEnds)
            }
            Some(_) | None => Err(Wrong::Channel),
        }
    }
}

/// What the target says.
pub(super) struct Target(Reader);

impl Target {
    pub(super) fn new(most: usize) -> Self {
        Self(Reader::new(Side::Server, most))
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<FromTarget>, Wrong> {
        let Some(message) = self.0.message()? else { return Ok(None) };
        let bytes = match message {
            Message::Text(text) => text.into_bytes(),
            Message::Binary(bytes) => bytes,
            Message::Ping(content) => return Ok(Some(FromTarget::Answer(Message::Pong(content)))),
            Message::Pong(_) => return Ok(Some(FromTarget::Nothing)),
            Message::Close(close) => {
                // Its reason is words of a target's, and what there is to tell was told on a channel.
                let code = close.map_or(wire::websocket::code::NORMAL, |Close { code, .. }| code);
                return Ok(Some(FromTarget::Over(Bare::Close(code))));
            }
        };
        let Some((channel, content)) = bytes.split_first() else { return Err(Wrong::Channel) };
        let (content, wrap) = (content.to_vec(), Wrap::Channel(*channel));
        match *channel {
            OUTPUT => Ok(Some(FromTarget::Output(content, wrap))),
            ERROR => Ok(Some(FromTarget::Error(content, wrap))),
            STATUS => Ok(Some(FromTarget::Status(content, wrap))),
            // By which some servers say that the stream is there.
            INPUT | SIZE if content.is_empty() => Ok(Some(FromTarget::Nothing)),
            _ => Err(Wrong::Channel),
        }
    }
}
