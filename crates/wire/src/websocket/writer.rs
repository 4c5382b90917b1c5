//! Messages to bytes.

use super::{Close, Message};

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Opcode {
    /// More of a message.
    Continuation,
    /// A text.
    Text,
    /// Bytes.
    Binary,
    /// A close.
    Close,
    /// A question whether the other side is there.
    Ping,
    /// The answer to that.
    Pong,
}

impl Opcode {
    /// As it stands in a frame (section 5.2).
    pub const fn code(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Writes the head of a frame that is a whole message of `length` bytes, which follow; under this mask, if it is a client's.
pub fn begin(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode.code());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.push(masked | short),
        (_, Ok(medium)) => {
            out.push(masked | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(masked | 127);
            out.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    out.extend(mask.into_iter().flatten());
}

/// Writes a message as one frame; under this mask, if it is a client's. What is too long of a control frame is left out.
pub fn write(out: &mut Vec<u8>, message: &Message, mask: Option<[u8; 4]>) {
    let control = |bytes: &[u8]| bytes.get(..super::MOST_OF_A_CONTROL).unwrap_or(bytes).to_vec();
    match message {
        Message::Text(text) => frame(out, Opcode::Text, text.as_bytes(), mask),
        Message::Binary(bytes) => frame(out, Opcode::Binary, bytes, mask),
        Message::Ping(bytes) => frame(out, Opcode::Ping, &control(bytes), mask),
        Message::Pong(bytes) => frame(out, Opcode::Pong, &control(bytes), mask),
        Message::Close(None) => frame(out, Opcode::Close, &[], mask),
        Message::Close(Some(Close { code, reason })) => {
            let close = Close::new(*code, reason);
            frame(out, Opcode::Close, &[&code.to_be_bytes(), close.reason.as_bytes()].concat(), mask);
        }
    }
}

fn frame(out: &mut Vec<u8>, opcode: Opcode, content: &[u8], mask: Option<[u8; 4]>) {
    begin(out, opcode, content.len(), mask);
    match mask {
        None => out.extend_from_slice(content),
        Some(mask) => out.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask)),
    }
}
