//! Frames of SPDY as a side sends them.

use wire::spdy::{self, Frame};
use wire::websocket::{self, Message, Side};

use super::super::Wrong;

/// What a side says, out of messages of WebSocket or not.
pub(super) struct Inlet {
    pub(super) messages: Option<websocket::Reader>,
    pub(super) frames: spdy::Reader,
}

pub(super) enum Heard {
    Frame(Frame),
    Ping(Vec<u8>),
    Close,
}

impl Inlet {
    pub(super) fn new(side: Side, is_within: bool, most: usize) -> Self {
        let messages = is_within.then(|| websocket::Reader::new(side, most.max(spdy::MOST_OF_A_FRAME)));
        Self { messages, frames: spdy::Reader::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        match &mut self.messages {
            Some(messages) => messages.push(bytes),
            None => self.frames.push(bytes),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Heard>, Wrong> {
        loop {
            if let Some(frame) = self.frames.frame()? {
                return Ok(Some(Heard::Frame(frame)));
            }
            let Some(messages) = &mut self.messages else { return Ok(None) };
            match messages.message()? {
                None => return Ok(None),
                Some(Message::Binary(bytes)) => self.frames.push(&bytes),
                Some(Message::Text(text)) => self.frames.push(text.as_bytes()),
                Some(Message::Ping(content)) => return Ok(Some(Heard::Ping(content))),
                Some(Message::Pong(_)) => {}
                Some(Message::Close(_)) => return Ok(Some(Heard::Close)),
            }
        }
    }
}
