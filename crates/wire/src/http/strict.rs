//! What comes on a connection of HTTP/1.1, looked at before the library reads it (SM-13).
//!
//! The library takes more than the standard has: lines that end in LF alone, and a `Transfer-Encoding` beside a
//! `Content-Length`, which it then drops. Whoever stands in front of Sluice may read such a message otherwise. So each head
//! is held back until it is whole, and passed on if every reader takes it for the same; bodies are followed to their end, so
//! that the next head is found where the library finds it.

use super::framing::{self, FramingError};

/// The longest line of a chunk's size, in bytes: extensions that nobody uses are no reason to read more.
const MOST_OF_A_SIZE: usize = 256;
/// The most bytes of fields behind a body.
const MOST_OF_TRAILERS: usize = 16 * 1024;

/// A message that readers may read differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StrictError {
    /// A line does not end in CR LF, or has a CR in it (RFC 9112, section 2.2).
    #[error("a line of the request does not end in CR LF")]
    LineEnd,
    /// A control character.
    #[error("the request has a control character in it")]
    Control,
    /// The first line is not a method, a target and a version of HTTP/1, with one space between them.
    #[error("the request's first line is not method, target and version")]
    RequestLine,
    /// A line has no name of a field in front of its colon, or goes on with the one before (RFC 9112, section 5.2).
    #[error("a field of the request is not a name, a colon and a value")]
    Field,
    /// Where the body ends is said twice, or in no way that is known.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A chunk is not framed as RFC 9112, section 7.1, says.
    #[error("a chunk of the request's body is not framed as one")]
    Chunk,
    /// There are more, or longer, fields behind the body than are read.
    #[error("what stands behind the request's body is too long")]
    Trailers,
    /// More came behind a request to be connected, before its answer, than is held back.
    #[error("too much is said before the connection is there")]
    Early,
}

/// Where a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In front of a head, or in it.
    Head,
    /// In a body with so many bytes to come.
    Body(u64),
    /// In the line of a chunk's size.
    Size,
    /// In a chunk with so many bytes to come.
    Chunk(u64),
    /// Behind a chunk.
    ChunkEnd,
    /// In the fields behind a body, of which there were so many bytes.
    Trailers(usize),
    /// In a head that is too long: the library refuses it.
    TooLong,
    /// Behind a request to be connected: no head comes any more on the connection, whatever it is answered.
    Connecting,
    /// Something else than HTTP is spoken.
    Free,
    /// It was refused: nothing more passes.
    Refused,
}

/// Follows what one client sends.
#[derive(Debug)]
pub struct Strict {
    state: State,
    /// What is held back, and where its last line begins.
    held: Vec<u8>,
    line: usize,
    most_of_a_head: usize,
    /// Whether an empty line came in front of a head: one is let be (RFC 9112, section 2.2).
    had_empty_line: bool,
}

impl Strict {
    /// At the beginning of a connection. Of a longer head so many bytes pass, and nothing behind them: the library has to refuse
    /// it then.
    pub const fn new(most_of_a_head: usize) -> Self {
        Self { state: State::Head, held: Vec::new(), line: 0, most_of_a_head, had_empty_line: false }
    }

    /// Something else than HTTP is spoken from here on: all passes, unless it was refused.
    pub const fn free(&mut self) {
        if !matches!(self.state, State::Refused) {
            self.state = State::Free;
        }
    }

    /// Whether a head has begun to come, or a body has not ended.
    pub fn is_in_a_message(&self) -> bool {
        self.state != State::Head || !self.held.is_empty()
    }

    /// Whether what is wrong stands in a head, of which nothing was passed on.
    pub fn refused_head(&self) -> bool {
        self.state == State::Refused && self.held.is_empty() && self.line == 0
    }

    /// Takes what came, and adds to `out` what may be passed on.
    ///
    /// # Errors
    /// [`StrictError`]; then nothing more passes.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), StrictError> {
        while !bytes.is_empty() || (self.state == State::Free && !self.held.is_empty()) {
            let step = self.step(&mut bytes, out);
            if let Err(error) = step {
                let in_head = self.state == State::Head;
                (self.state, self.line) = (State::Refused, usize::from(!in_head));
                self.held = Vec::new();
                return Err(error);
            }
        }
        Ok(())
    }

    fn step(&mut self, bytes: &mut &[u8], out: &mut Vec<u8>) -> Result<(), StrictError> {
        match self.state {
            State::Head => {
                let is_whole = self.take_line(bytes);
                if self.held.len() > self.most_of_a_head {
                    // So much of it, without its end, is what the library refuses.
                    self.held.truncate(self.most_of_a_head);
                    self.pass(out);
                    self.state = State::TooLong;
                    return Ok(());
                }
                if is_whole { self.head_line(out) } else { Ok(()) }
            }
            State::Body(left) => {
                let left = pass_some(bytes, left, out);
                self.state = if left == 0 { State::Head } else { State::Body(left) };
                Ok(())
            }
            State::Size => {
                let is_whole = self.take_line(bytes);
                if self.held.len() > MOST_OF_A_SIZE {
                    return Err(StrictError::Chunk);
                }
                if is_whole {
                    let size = chunk_size(content(&self.held)?)?;
                    self.pass(out);
                    self.state = if size == 0 { State::Trailers(0) } else { State::Chunk(size) };
                }
                Ok(())
            }
            State::Chunk(left) => {
                let left = pass_some(bytes, left, out);
                self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                Ok(())
            }
            State::ChunkEnd => {
                let is_whole = self.take_line(bytes);
                if !b"\r\n".starts_with(&self.held) {
                    return Err(StrictError::Chunk);
                }
                if is_whole {
                    self.pass(out);
                    self.state = State::Size;
                }
                Ok(())
            }
            State::Trailers(so_far) => self.trailer(so_far, bytes, out),
            State::Connecting => {
                self.held.extend_from_slice(std::mem::take(bytes));
                if self.held.len() > self.most_of_a_head { Err(StrictError::Early) } else { Ok(()) }
            }
            State::Free => {
                self.pass(out);
                out.extend_from_slice(std::mem::take(bytes));
                Ok(())
            }
            State::TooLong | State::Refused => {
                *bytes = &[];
                Ok(())
            }
        }
    }

    /// Takes bytes up to the end of a line; whether it came.
    fn take_line(&mut self, bytes: &mut &[u8]) -> bool {
        let end = memchr::memchr(b'\n', bytes).map(|at| at.saturating_add(1));
        let (taken, rest) = bytes.split_at(end.unwrap_or(bytes.len()).min(bytes.len()));
        self.held.extend_from_slice(taken);
        *bytes = rest;
        end.is_some()
    }

    /// Passes on what was held back.
    fn pass(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        self.line = 0;
    }

    fn head_line(&mut self, out: &mut Vec<u8>) -> Result<(), StrictError> {
        let line = content(self.held.get(self.line..).unwrap_or_default())?;
        let is_first = self.line == 0;
        match (is_first, line.is_empty()) {
            (true, true) if !self.had_empty_line => {
                self.had_empty_line = true;
                self.held.clear();
                return Ok(());
            }
            (true, true) => return Err(StrictError::RequestLine),
            (true, false) => drop(request_line(line)?),
            (false, false) => drop(field(line)?),
            (false, true) => {
                self.state = framed(&self.held)?;
                self.had_empty_line = false;
                self.pass(out);
                return Ok(());
            }
        }
        self.line = self.held.len();
        Ok(())
    }

    fn trailer(&mut self, so_far: usize, bytes: &mut &[u8], out: &mut Vec<u8>) -> Result<(), StrictError> {
        let is_whole = self.take_line(bytes);
        let length = so_far.saturating_add(self.held.len());
        if length > MOST_OF_TRAILERS {
            return Err(StrictError::Trailers);
        }
        if is_whole {
            let line = content(&self.held)?;
            self.state = if line.is_empty() { State::Head } else { State::Trailers(length) };
            if !line.is_empty() {
                field(line)?;
            }
            self.pass(out);
        }
        Ok(())
    }
}

/// Passes on what there is of so many bytes; how many are still to come.
fn pass_some(bytes: &mut &[u8], left: u64, out: &mut Vec<u8>) -> u64 {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (some, rest) = bytes.split_at(here);
    out.extend_from_slice(some);
    *bytes = rest;
    left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX))
}

/// A line without its end.
fn content(line: &[u8]) -> Result<&[u8], StrictError> {
    let content = line.strip_suffix(b"\r\n").ok_or(StrictError::LineEnd)?;
    if content.contains(&b'\r') {
        return Err(StrictError::LineEnd);
    }
    let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    if content.iter().any(is_control) { Err(StrictError::Control) } else { Ok(content) }
}

/// The version that a request's first line names (RFC 9112, section 3).
fn request_line(line: &[u8]) -> Result<framing::Version, StrictError> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version, more) = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_method = method.is_some_and(|method| !method.is_empty() && method.iter().all(is_token));
    let is_target = target.is_some_and(|target| !target.is_empty() && target.iter().all(u8::is_ascii_graphic));
    match version {
        _ if !is_method || !is_target || more.is_some() => Err(StrictError::RequestLine),
        Some(b"HTTP/1.1") => Ok(framing::Version::Http11),
        Some(b"HTTP/1.0") => Ok(framing::Version::Http10),
        _ => Err(StrictError::RequestLine),
    }
}

/// A field's name and its value (RFC 9112, section 5).
fn field(line: &[u8]) -> Result<(&str, &[u8]), StrictError> {
    let colon = memchr::memchr(b':', line).ok_or(StrictError::Field)?;
    let (name, value) = line.split_at_checked(colon).ok_or(StrictError::Field)?;
    if name.is_empty() || !name.iter().all(is_token) {
        return Err(StrictError::Field);
    }
    let name = std::str::from_utf8(name).map_err(|_| StrictError::Field)?;
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = value.get(1..).unwrap_or_default();
    let begin = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(begin, |at| at.saturating_add(1));
    Ok((name, value.get(begin..end).unwrap_or_default()))
}

/// Whether a byte can stand in a name (RFC 9110, section 5.6.2).
const fn is_token(byte: &u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    ) || byte.is_ascii_alphanumeric()
}

/// Where the body of a head ends, each line of which was looked at.
fn framed(head: &[u8]) -> Result<State, StrictError> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let version = request_line(lines.next().unwrap_or_default())?;
    let fields = lines.filter(|line| !line.is_empty()).map(field).collect::<Result<Vec<_>, _>>()?;
    // What is expected says nothing about the frame, and is judged later.
    let about_frames = fields.iter().copied().filter(|(name, _)| !name.eq_ignore_ascii_case("expect"));
    framing::judge(version, about_frames)?;
    let of = |wanted: &str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
    if of("transfer-encoding").is_some() {
        return Ok(State::Size);
    }
    let length = of("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let without = if head.starts_with(b"CONNECT ") { State::Connecting } else { State::Head };
    Ok(length.filter(|length| *length > 0).map_or(without, State::Body))
}

/// The size of a chunk: hexadecimal digits, and perhaps extensions (RFC 9112, section 7.1).
fn chunk_size(line: &[u8]) -> Result<u64, StrictError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at_checked(digits).ok_or(StrictError::Chunk)?;
    if !(1..=16).contains(&digits) || !(extension.is_empty() || extension.starts_with(b";")) {
        return Err(StrictError::Chunk);
    }
    let size = std::str::from_utf8(size).map_err(|_| StrictError::Chunk)?;
    u64::from_str_radix(size, 16).map_err(|_| StrictError::Chunk)
}

#[cfg(test)]
mod tests;
