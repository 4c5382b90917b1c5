//! Bytes to messages.

use bytes::{Buf, BytesMut};

use super::writer::Opcode;
use super::{Close, MOST_OF_A_CONTROL, Message, Side, Violation, is_code};

/// Reads what one side says. What came and makes no whole frame yet is kept: at most one frame, beside the pieces of one
/// message.
pub struct Reader {
    side: Side,
    most: usize,
    inbox: BytesMut,
    /// The message whose pieces come, and what came of it.
    open: Option<(Opcode, Vec<u8>)>,
    is_closed: bool,
    failed: Option<Violation>,
}

/// The head of a frame.
struct Head {
    is_last: bool,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    /// Where its content begins.
    at: usize,
    length: usize,
}

impl Reader {
    /// Reads this side, whose messages are at most so long.
    pub fn new(side: Side, most: usize) -> Self {
        Self { side, most, inbox: BytesMut::new(), open: None, is_closed: false, failed: None }
    }

    /// Takes up what came. Whoever calls takes out [`Reader::message`] after each time until there is none.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.inbox.extend_from_slice(bytes);
        }
    }

    /// Whether a part of a message or frame has come, or one of a handshake's own behind a close.
    pub fn is_within(&self) -> bool {
        !self.inbox.is_empty() || self.open.is_some()
    }

    /// The next message, if it is whole. Once there was a violation there is always the same.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn message(&mut self) -> Result<Option<Message>, Violation> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.next().inspect_err(|violation| {
            self.failed = Some(*violation);
            (self.inbox, self.open) = (BytesMut::new(), None);
        })
    }

    fn next(&mut self) -> Result<Option<Message>, Violation> {
        loop {
            if self.is_closed {
                return if self.inbox.is_empty() { Ok(None) } else { Err(Violation::AfterClose) };
            }
            let Some(head) = self.head()? else { return Ok(None) };
            let whole = head.at.checked_add(head.length).ok_or(Violation::Length)?;
            if self.inbox.len() < whole {
                return Ok(None);
            }
            self.inbox.advance(head.at);
            let mut content = self.inbox.split_to(head.length).to_vec();
            if self.inbox.is_empty() {
                self.inbox = BytesMut::new();
            }
            if let Some(mask) = head.mask {
                content.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            }
            if let Some(message) = self.take(&head, content)? {
                return Ok(Some(message));
            }
        }
    }

    /// The head in front of what waits, if it is whole; judged as far as it came.
    fn head(&self) -> Result<Option<Head>, Violation> {
        let Some(first) = self.inbox.first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::Reserved);
        }
        let (is_last, opcode) = (first & 0x80 != 0, Opcode::from_code(first & 0x0f).ok_or(Violation::Opcode)?);
        if opcode.is_control() && !is_last {
            return Err(Violation::Control);
        }
        match (opcode, &self.open) {
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::Fragment),
            _ => {}
        }
        let Some(second) = self.inbox.get(1) else { return Ok(None) };
        let is_masked = second & 0x80 != 0;
        if is_masked != (self.side == Side::Client) {
            return Err(Violation::Mask);
        }
        let short = usize::from(second & 0x7f);
        if opcode.is_control() && short > MOST_OF_A_CONTROL {
            return Err(Violation::Control);
        }
        let Some((length, behind)) = self.length(short)? else { return Ok(None) };
        let so_far = self.open.as_ref().map_or(0, |(_, pieces)| pieces.len());
        if !opcode.is_control() && length > self.most.saturating_sub(so_far) {
            return Err(Violation::TooLong);
        }
        if !is_masked {
            return Ok(Some(Head { is_last, opcode, mask: None, at: behind, length }));
        }
        let Some(mask) = self.inbox.get(behind..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
        Ok(Some(Head { is_last, opcode, mask: Some(*mask), at: behind.saturating_add(4), length }))
    }

    /// The length that is meant, and where what follows it is.
    fn length(&self, short: usize) -> Result<Option<(usize, usize)>, Violation> {
        let behind = self.inbox.get(2..).unwrap_or_default();
        match short {
            126 => {
                let Some(bytes) = behind.first_chunk::<2>() else { return Ok(None) };
                let length = u16::from_be_bytes(*bytes);
                if length < 126 { Err(Violation::Length) } else { Ok(Some((usize::from(length), 4))) }
            }
            127 => {
                let Some(bytes) = behind.first_chunk::<8>() else { return Ok(None) };
                let length = u64::from_be_bytes(*bytes);
                if length <= u64::from(u16::MAX) || length > u64::MAX / 2 {
                    return Err(Violation::Length);
                }
                Ok(Some((usize::try_from(length).map_err(|_| Violation::TooLong)?, 10)))
            }
            short => Ok(Some((short, 2))),
        }
    }

    fn take(&mut self, head: &Head, content: Vec<u8>) -> Result<Option<Message>, Violation> {
        let whole = match (head.opcode, self.open.take()) {
            (Opcode::Ping, open) => {
                self.open = open;
                return Ok(Some(Message::Ping(content)));
            }
            (Opcode::Pong, open) => {
                self.open = open;
                return Ok(Some(Message::Pong(content)));
            }
            (Opcode::Close, _) => {
                self.is_closed = true;
                return close(&content).map(Some);
            }
            (Opcode::Continuation, Some((opcode, mut pieces))) => {
                pieces.extend_from_slice(&content);
                (opcode, pieces)
            }
            (opcode, _) => (opcode, content),
        };
        match whole {
            open if !head.is_last => {
                self.open = Some(open);
                Ok(None)
            }
            (Opcode::Text, bytes) => {
                String::from_utf8(bytes).map(|text| Some(Message::Text(text))).map_err(|_| Violation::NotText)
            }
            (_, bytes) => Ok(Some(Message::Binary(bytes))),
        }
    }
}

fn close(content: &[u8]) -> Result<Message, Violation> {
    let Some((code, reason)) = content.split_first_chunk::<2>() else {
        return if content.is_empty() { Ok(Message::Close(None)) } else { Err(Violation::Close) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_code(code) {
        return Err(Violation::Close);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::NotText)?;
    Ok(Message::Close(Some(Close { code, reason: reason.to_owned() })))
}
