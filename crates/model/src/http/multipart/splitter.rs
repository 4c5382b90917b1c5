//! A body of several parts as it comes.

use super::{BREAK, Malformed};

/// The longest head of a part, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

/// What a body is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// A delimiter, with the breaks of lines around it, or the empty line behind a head.
    Written(&'a [u8]),
    /// The lines of a part's head, without the empty one.
    Head(&'a [u8]),
    /// Some of what is in the part.
    Content(&'a [u8]),
    /// The part is over.
    End,
}

/// Where a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Start,
    /// Behind a delimiter.
    Delimited,
    Head,
    Content,
    /// Behind the last delimiter.
    Over,
}

/// Takes a body apart; holds no more of it than a head or a delimiter.
pub struct Splitter {
    delimiter: Box<[u8]>,
    state: State,
    held: Vec<u8>,
}

/// What takes the pieces.
type Sink<'s, E> = &'s mut dyn FnMut(Piece<'_>) -> Result<(), E>;

/// What was found of what is held: so many bytes are done with, and it goes on so.
type Step = Option<(usize, State)>;

impl Splitter {
    /// For a body with this [`super::delimiter`].
    pub fn new(delimiter: &str) -> Self {
        Self { delimiter: delimiter.as_bytes().into(), state: State::Start, held: Vec::new() }
    }

    /// Takes up what came.
    ///
    /// # Errors
    /// [`Malformed`], and what the sink fails with.
    pub fn push<E: From<Malformed>>(&mut self, bytes: &[u8], sink: Sink<'_, E>) -> Result<(), E> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut rest = held.as_slice();
        while let Some((taken, state)) = self.step(rest, sink)? {
            rest = rest.get(taken..).unwrap_or_default();
            self.state = state;
        }
        let done = held.len().saturating_sub(rest.len());
        held.drain(..done);
        self.held = held;
        Ok(())
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`Malformed`]: it is not whole.
    pub fn end(&self) -> Result<(), Malformed> {
        let is_whole = self.state == State::Over && matches!(self.held.as_slice(), b"" | b"\r\n");
        if is_whole { Ok(()) } else { Err(Malformed) }
    }

    fn step<E: From<Malformed>>(&self, held: &[u8], sink: Sink<'_, E>) -> Result<Step, E> {
        match self.state {
            State::Start => self.start(held, sink),
            State::Delimited => delimited(held, sink),
            State::Head => self.head(held, sink),
            State::Content => self.content(held, sink),
            State::Over if BREAK.starts_with(held) => Ok(None),
            State::Over => Err(Malformed.into()),
        }
    }

    fn start<E: From<Malformed>>(&self, held: &[u8], sink: Sink<'_, E>) -> Result<Step, E> {
        let front = if held.starts_with(BREAK) { BREAK.len() } else { 0 };
        let wanted = front.saturating_add(self.delimiter.len());
        let behind = held.get(front..).unwrap_or_default();
        if behind.starts_with(&self.delimiter) {
            sink(Piece::Written(held.get(..wanted).unwrap_or_default()))?;
            return Ok(Some((wanted, State::Delimited)));
        }
        let may_become = self.delimiter.starts_with(behind) || (front == 0 && BREAK.starts_with(held));
        if may_become { Ok(None) } else { Err(Malformed.into()) }
    }

    fn head<E: From<Malformed>>(&self, held: &[u8], sink: Sink<'_, E>) -> Result<Step, E> {
        let (head, behind) = if held.starts_with(BREAK) {
            (0, BREAK.len())
        } else {
            match super::find(held, b"\r\n\r\n") {
                Some(end) => (end, end.saturating_add(4)),
                None if held.len() > LONGEST_HEAD => return Err(Malformed.into()),
                None => return Ok(None),
            }
        };
        let (head, written) = (held.get(..head).unwrap_or_default(), held.get(head..behind).unwrap_or_default());
        if head.len() > LONGEST_HEAD || super::find(head, &self.delimiter).is_some() {
            return Err(Malformed.into());
        }
        sink(Piece::Head(head))?;
        sink(Piece::Written(written))?;
        Ok(Some((behind, State::Content)))
    }

    fn content<E: From<Malformed>>(&self, held: &[u8], sink: Sink<'_, E>) -> Result<Step, E> {
        let Some(at) = super::find(held, &self.delimiter) else {
            // A delimiter may begin in what is left, with the break in front of it.
            let kept = self.delimiter.len().saturating_add(1);
            let Some(ready) = held.len().checked_sub(kept).filter(|ready| *ready > 0) else { return Ok(None) };
            sink(Piece::Content(held.get(..ready).unwrap_or_default()))?;
            return Ok(Some((ready, State::Content)));
        };
        let content = held.get(..at).and_then(|content| content.strip_suffix(BREAK)).ok_or(Malformed)?;
        let behind = at.saturating_add(self.delimiter.len());
        sink(Piece::Content(content))?;
        sink(Piece::End)?;
        sink(Piece::Written(held.get(content.len()..behind).unwrap_or_default()))?;
        Ok(Some((behind, State::Delimited)))
    }
}

fn delimited<E: From<Malformed>>(held: &[u8], sink: Sink<'_, E>) -> Result<Step, E> {
    match held.get(..2) {
        None => Ok(None),
        Some(BREAK) => sink(Piece::Written(BREAK)).map(|()| Some((2, State::Head))),
        // A break behind it, which may be there, is left out.
        Some(b"--") => sink(Piece::Written(b"--")).map(|()| Some((2, State::Over))),
        Some(_) => Err(Malformed.into()),
    }
}
