//! Bytes to frames.

use bytes::{Buf, BytesMut};

use super::fields::Unpacker;
use super::{Frame, MOST_OF_A_FRAME, Violation};

/// Bytes in front of a frame's content.
const HEAD: usize = 8;

/// Nothing follows from this side.
const FIN: u8 = 1;
/// The other side may say nothing: nobody opens such a stream.
const UNIDIRECTIONAL: u8 = 2;

/// Reads what one side says. What came and makes no whole frame yet is kept: at most one frame.
pub struct Reader {
    inbox: BytesMut,
    unpacker: Unpacker,
    failed: Option<Violation>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { inbox: BytesMut::new(), unpacker: Unpacker::new(), failed: None }
    }
}

/// What stands in front of a frame's content.
enum Head {
    Control { kind: u16, flags: u8 },
    Data { stream: u32, flags: u8 },
}

impl Reader {
    /// Takes up what came. Whoever calls takes out [`Reader::frame`] after each time until there is none.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.inbox.extend_from_slice(bytes);
        }
    }

    /// Whether a part of a frame has come.
    pub fn is_within(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// The next frame, if it is whole. Once there was a violation there is always the same.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn frame(&mut self) -> Result<Option<Frame>, Violation> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.next().inspect_err(|violation| {
            self.failed = Some(*violation);
            self.inbox = BytesMut::new();
        })
    }

    fn next(&mut self) -> Result<Option<Frame>, Violation> {
        let Some(head) = self.inbox.first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, d, flags, rest @ ..] = *head;
        let [e, f, g] = rest;
        let length = usize::try_from(u32::from_be_bytes([0, e, f, g])).map_err(|_| Violation::TooLong)?;
        let head = if a & 0x80 == 0 {
            Head::Data { stream: stream([a, b, c, d])?, flags }
        } else if [a & 0x7f, b] == [0, 3] {
            Head::Control { kind: u16::from_be_bytes([c, d]), flags }
        } else {
            return Err(Violation::Version);
        };
        if length > MOST_OF_A_FRAME {
            return Err(Violation::TooLong);
        }
        let whole = length.saturating_add(HEAD);
        if self.inbox.len() < whole {
            return Ok(None);
        }
        self.inbox.advance(HEAD);
        let content = self.inbox.split_to(length);
        if self.inbox.is_empty() {
            self.inbox = BytesMut::new();
        }
        match head {
            Head::Data { stream, flags } => {
                let is_last = last(flags, FIN)?;
                Ok(Some(Frame::Data { stream, is_last, content: content.to_vec() }))
            }
            Head::Control { kind, flags } => self.control(kind, flags, &content).map(Some),
        }
    }

    fn control(&mut self, kind: u16, flags: u8, content: &[u8]) -> Result<Frame, Violation> {
        match kind {
            1 => {
                let (head, fields) = content.split_first_chunk::<10>().ok_or(Violation::Length)?;
                let [a, b, c, d, ..] = *head;
                let stream = stream([a, b, c, d])?;
                if flags & UNIDIRECTIONAL != 0 {
                    return Err(Violation::Flags);
                }
                Ok(Frame::Open { stream, is_last: last(flags, FIN)?, fields: self.unpacker.read(fields)? })
            }
            2 | 8 => {
                let (number, fields) = content.split_first_chunk::<4>().ok_or(Violation::Length)?;
                let (stream, is_last) = (stream(*number)?, last(flags, FIN)?);
                let fields = self.unpacker.read(fields)?;
                Ok(if kind == 2 {
                    Frame::Reply { stream, is_last, fields }
                } else {
                    Frame::Fields { stream, is_last, fields }
                })
            }
            3 => {
                let (number, status) = pair(flags, content)?;
                Ok(Frame::Reset { stream: stream(number)?, status: u32::from_be_bytes(status) })
            }
            6 => {
                let id = <[u8; 4]>::try_from(content).map_err(|_| Violation::Length)?;
                last(flags, 0)?;
                Ok(Frame::Ping(u32::from_be_bytes(id)))
            }
            7 => {
                let (last, status) = pair(flags, content)?;
                let last = u32::from_be_bytes(last);
                if last > u32::MAX / 2 {
                    return Err(Violation::Stream);
                }
                Ok(Frame::GoAway { last, status: u32::from_be_bytes(status) })
            }
            4 | 9 => Ok(Frame::Ignored),
            _ => Err(Violation::Type),
        }
    }
}

fn stream(number: [u8; 4]) -> Result<u32, Violation> {
    let number = u32::from_be_bytes(number);
    if number == 0 || number > u32::MAX / 2 { Err(Violation::Stream) } else { Ok(number) }
}

/// Whether nothing follows, where no other flag than these may stand.
fn last(flags: u8, known: u8) -> Result<bool, Violation> {
    if flags & !known == 0 { Ok(flags & FIN != 0) } else { Err(Violation::Flags) }
}

fn pair(flags: u8, content: &[u8]) -> Result<([u8; 4], [u8; 4]), Violation> {
    last(flags, 0)?;
    let [a, b, c, d, e, f, g, h] = <[u8; 8]>::try_from(content).map_err(|_| Violation::Length)?;
    Ok(([a, b, c, d], [e, f, g, h]))
}
