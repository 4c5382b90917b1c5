//! Masking of what an SSH target answers: streams of bytes, where nothing says where a value begins.
//!
//! A [`Stream`] masks one direction of one channel. Only the content net ([`crate::detect`]) can be used on it, so it masks
//! what shows by its own form what it is. **It makes accidental exposure rarer; it is no control against exfiltration.**
//! Whoever can run a program at the target can print a value in base64, in hexadecimal, backwards, or a digit to a line, and
//! no search for forms finds that. What is to be kept from a subject is kept by what the subject may run and read (lists
//! of commands that may be run), and not by this.
//!
//! # What is held back
//!
//! A value may come in pieces, so the end of what came is held back as long as more bytes may make it a match: digits
//! with their separators (and, of seven digits or more, the 30 bytes behind them, where a word may say what they are), the
//! beginning of an IBAN, token or key, an address or what may be the local part of one. All else goes out at once. What
//! goes out does not depend on how the stream was cut, as long as there is no [`Stream::tick`].
//!
//! At most 255 bytes of text are held back. What is longer is decided by its first 256 bytes, and for hiding it:
//! * a token or key of 256 bytes or more is redacted to its end, whatever the transform of its class;
//! * what may be a JWT and has no `.` in its first 256 bytes is taken for one;
//! * a local part is at most 160 bytes long; what is in front of that is not part of the address. A domain that is not over
//!   256 bytes behind the beginning of its local part is taken for one, and redacted to its end;
//! * a private key is redacted from its first line on, to its last line or the end of the stream, but not further than
//!   64 KiB.
//!
//! # When the stream is silent
//!
//! A prompt may end in what could be the beginning of a value, and nothing follows until somebody has answered it. So
//! [`Stream::tick`] lets go of what is held back. What would be a match if nothing followed becomes stars, and so does what
//! may become one, but for its first characters. These are all that ticks show of a value, also if each byte comes alone
//! and is followed by a tick, as the echo of typed text is:
//!
//! | value | shown by ticks at most |
//! |---|---|
//! | card number | its first 6 digits, which are those of the issuer |
//! | social security number with dashes, or with a word that says so before it | its first 3 digits (and the dash) |
//! | telephone number with `+`, or with a word that says so before it | its first 6 digits |
//! | IBAN | its first 4 characters, the country and the check digits |
//! | token or key | its published prefix |
//! | private key | its first line, in part |
//! | e-mail address | all that came before its last label had two letters: nothing else tells it from other words |
//! | number that only a word *behind* it gives a meaning | all of it |
//!
//! The rest of such a value becomes stars when it comes, but for blanks; in text, of a private key and of what is longer than
//! is held back, nothing comes. In what is not a value after all some characters may have become
//! stars. The gateway calls it when nothing came for a few milliseconds, and may at once after the echo of a key.
//!
//! # Terminals
//!
//! On a terminal every mask is a star for each column, whatever the transform, so that the layout stays. Colours, modes,
//! titles and other sequences that do not move the cursor may stand in the middle of a value. What moves the cursor ends
//! it, and so do line ends, carriage returns and backspaces: a number that a program wraps by itself, or paints in parts,
//! is not found. (A terminal that wraps a long line at its edge gets no line end in it, so that one is.) The texts of
//! titles and other strings (OSC, DCS, SOS, PM, APC) are searched too, each by itself. A sequence waits until it is over,
//! also through ticks, as the terminal shows nothing of it earlier. One of more than 4 KiB does not go out at all.
//! Sequences that stand in what is held back are held back with it: at most 1 KiB between two characters.
//!
//! # What is no text
//!
//! An archive or an image would be damaged by a mask, and random bytes hold what looks like an address once in a few dozen
//! megabytes. So of a stream that is not a terminal's nothing is masked any more from its first NUL on, which compressed,
//! encrypted and executable files have within their first kilobytes and text has not. What is found from there on counts as
//! seen in clear, so that the record tells.
//!
//! # Costs
//!
//! Time is linear in the bytes. A stream keeps a window of 32 KiB and what is held back, and no more than that however much
//! comes.
//!
//! ```
//! use masking::ssh::Stream;
//! # use masking::{Keys, Lens, OnUnmaskable, Settings};
//! # use model::class::{DataClass, Transform};
//! # use model::decision::Reveal;
//! # let classes = [(DataClass::new("card_number"), Transform::Partial { keep_last: 4 })].into();
//! # let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
//! # let lens = Lens::new(&Keys::derive(&[7; 32]), settings, &mut |_| Reveal::Masked(None));
//! let mut stream = Stream::text(lens);
//! assert_eq!(stream.push(b"paid with 4111 1111 ").bytes(), b"paid with ");
//! assert_eq!(stream.push(b"1111 1111, thanks").bytes(), b"***************1111, ");
//! assert_eq!(stream.finish().bytes(), b"thanks");
//! ```

mod packets;
mod paint;
mod terminal;

#[cfg(test)]
mod tests;

pub use crate::masked::own;
pub use packets::{BEFORE, BEHIND, Packets};

use std::sync::Arc;

use self::paint::Painter;
use self::terminal::{Parser, Parts};
use crate::keys::wipe_stack;
use crate::lens::Lens;
use crate::masked::Masked;
use crate::stream::{Account, Window};

/// How much is looked at together.
const PIECE: usize = 32 * 1024;

/// One direction of one channel, from the target to the caller.
pub struct Stream {
    lens: Arc<Lens>,
    kind: Kind,
    account: Account,
    painter: Painter,
}

enum Kind {
    Text(Window),
    /// What began as text and is none.
    Binary(Window),
    Terminal(Box<Parser>, Window),
    Opaque,
}

impl Stream {
    /// What a program writes, and the text of files.
    pub fn text(lens: Arc<Lens>) -> Self {
        Self::new(lens, Kind::Text(Window::default()), Painter::default())
    }

    /// What a program writes to a terminal.
    pub fn terminal(lens: Arc<Lens>) -> Self {
        Self::new(lens, Kind::Terminal(Box::default(), Window::default()), Painter::terminal())
    }

    /// What carries files or protocols of its own, which no byte may be changed in: nothing is searched, and of what goes out
    /// only the bytes are counted. Whether the subject may have such a stream is for policy to say.
    pub fn opaque(lens: Arc<Lens>) -> Self {
        Self::new(lens, Kind::Opaque, Painter::default())
    }

    fn new(lens: Arc<Lens>, kind: Kind, painter: Painter) -> Self {
        Self { lens, kind, account: Account::default(), painter }
    }

    /// Takes up the lens of a new revision, for what is not decided yet.
    pub fn set_lens(&mut self, lens: Arc<Lens>) {
        match &mut self.kind {
            Kind::Text(window) | Kind::Terminal(_, window) => {
                window.set_lens(&lens);
                self.lens = lens;
            }
            Kind::Binary(_) => self.lens = lens.through(),
            Kind::Opaque => self.lens = lens,
        }
    }

    /// Takes up what the target sent, and gives what may go out.
    pub fn push(&mut self, bytes: &[u8]) -> Masked {
        let nul = matches!(self.kind, Kind::Text(_)).then(|| memchr::memchr(0, bytes)).flatten();
        let (text, binary) = bytes.split_at_checked(nul.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        text.chunks(PIECE).for_each(|piece| self.take_up(piece, false));
        if nul.is_some() {
            self.become_binary();
            binary.chunks(PIECE).for_each(|piece| self.take_up(piece, false));
        }
        self.gathered()
    }

    /// Nothing is masked from here on. What was held back is decided first, as if the stream ended.
    fn become_binary(&mut self) {
        self.take_up(&[], true);
        self.lens = self.lens.through();
        self.kind = Kind::Binary(Window::default());
    }

    /// Gives what was held back, as stars where it may not be seen. For when nothing came for a few milliseconds: see
    /// "When the stream is silent" in [`crate::ssh`].
    pub fn tick(&mut self) -> Masked {
        if let Kind::Text(window) | Kind::Binary(window) | Kind::Terminal(_, window) = &mut self.kind {
            window.tick(&self.lens, &mut self.painter);
        }
        self.gathered()
    }

    /// Gives all that is left: the stream is over.
    pub fn finish(&mut self) -> Masked {
        self.take_up(&[], true);
        self.gathered()
    }

    /// How many bytes are held back.
    pub fn holds(&self) -> usize {
        match &self.kind {
            Kind::Text(window) | Kind::Binary(window) => window.holds(),
            Kind::Terminal(parser, window) => {
                window.holds().saturating_add(parser.holds()).saturating_add(self.painter.holds())
            }
            Kind::Opaque => 0,
        }
    }

    /// Takes a buffer back, so that what comes next needs no new one.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > self.painter.out.capacity() {
            buffer.clear();
            self.painter.out = buffer;
        }
    }

    /// Gives back the room of what is empty. For a channel that has gone quiet.
    pub fn rest(&mut self) {
        self.painter.rest();
        if let Kind::Text(window) | Kind::Binary(window) | Kind::Terminal(_, window) = &mut self.kind {
            window.text.shrink_to_fit();
        }
    }

    fn take_up(&mut self, bytes: &[u8], last: bool) {
        let Self { lens, kind, account, painter } = self;
        match kind {
            Kind::Opaque => painter.out.extend_from_slice(bytes),
            Kind::Text(window) | Kind::Binary(window) => {
                window.text.extend_from_slice(bytes);
                window.advance(lens, last, account, painter);
            }
            Kind::Terminal(parser, window) => {
                let mut mask = |text: &[u8]| string(lens, text, account);
                let mut parts = Parts { text: &mut window.text, painter, mask: &mut mask };
                parser.feed(bytes, &mut parts);
                if last {
                    parser.finish(&mut parts);
                }
                window.advance(lens, last, account, painter);
            }
        }
        painter.settle();
    }

    /// What may go out now.
    fn gathered(&mut self) -> Masked {
        self.painter.settle();
        if std::mem::take(&mut self.painter.has_masked) {
            wipe_stack();
        }
        let bytes = std::mem::take(&mut self.painter.out);
        let disclosure = self.account.take(&self.lens, bytes.len());
        Masked::new(bytes, disclosure)
    }
}

/// Masks the text in a sequence, by stars.
fn string(lens: &Lens, text: &[u8], account: &mut Account) -> Vec<u8> {
    let (mut window, mut painter) = (Window::default(), Painter::terminal());
    window.text.extend_from_slice(text);
    window.advance(lens, true, account, &mut painter);
    painter.out
}
