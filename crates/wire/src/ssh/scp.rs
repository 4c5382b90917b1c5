//! The records of the older copy protocol (`scp -f` and `scp -t`), as far as a recorder follows them.
//!
//! No document defines it; the reference is OpenSSH's scp.c, `source` and `sink`. Whoever sends files sends lines, and the
//! content of each file behind its line; whoever receives them answers with a zero byte each time. This follows the side
//! that sends, in whichever direction that is, and alters nothing. What it does not understand is not wrong: the receiver
//! decides that, and the record says that it was not understood from here on.

use std::fmt;

/// The longest line, its end not counted: OpenSSH's buffer (`sink`, scp.c) has 2,048 bytes.
pub const MAX_LINE: usize = 2047;

/// What the sender says.
#[derive(Clone, PartialEq, Eq)]
pub enum Record {
    /// `C`: a file begins; its content follows.
    File {
        /// Permissions.
        mode: u32,
        /// Length of the content, in bytes.
        size: u64,
        /// Its name, without a path.
        name: Vec<u8>,
    },
    /// A file's content has ended.
    FileEnd {
        /// Whether the sender had all of it; else what was sent is filled up.
        complete: bool,
    },
    /// `D`: a directory begins, and what follows is in it.
    Directory {
        /// Permissions.
        mode: u32,
        /// Its name, without a path.
        name: Vec<u8>,
    },
    /// `E`: the innermost directory ends.
    DirectoryEnd,
    /// `T`: of the file or directory that is named next, seconds since 1970.
    Times {
        /// Last change.
        modified: u64,
        /// Last access.
        accessed: u64,
    },
    /// Something was left out: a message for people, which may hold any bytes.
    Warning(Vec<u8>),
    /// The sender gave up: a message for people, which may hold any bytes.
    Fatal(Vec<u8>),
}

/// Names and messages are shown as lengths: content belongs in no log line.
impl fmt::Debug for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { mode, size, name } => write!(out, "File({mode:o}, {size} bytes, name of {})", name.len()),
            Self::FileEnd { complete } => write!(out, "FileEnd({complete})"),
            Self::Directory { mode, name } => write!(out, "Directory({mode:o}, name of {})", name.len()),
            Self::DirectoryEnd => write!(out, "DirectoryEnd"),
            Self::Times { modified, accessed } => write!(out, "Times({modified}, {accessed})"),
            Self::Warning(text) => write!(out, "Warning({} bytes)", text.len()),
            Self::Fatal(text) => write!(out, "Fatal({} bytes)", text.len()),
        }
    }
}

/// What some of the sender's bytes were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen<'a> {
    /// A record is complete.
    Record(Record),
    /// Content of the file that was named last.
    Content(&'a [u8]),
    /// Part of a line, or no record.
    Nothing,
}

/// The stream is not understood from here on: a recorder says so, and keeps the bytes as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotUnderstood {
    /// A line that is none of the records.
    #[error("a line of scp is none that is known")]
    Line,
    /// A line that does not end.
    #[error("a line of scp is longer than {MAX_LINE} bytes")]
    TooLong,
    /// A directory ends, and none has begun.
    #[error("a directory of scp ends that has not begun")]
    NoDirectory,
    /// More directories inside each other than there are paths for.
    #[error("directories of scp are too deep")]
    TooDeep,
}

/// The deepest directories that are followed: a path of Linux has 4,096 bytes, and each name one and a `/`.
const MAX_DEPTH: u32 = 2048;

/// Follows the side that sends files.
#[derive(Default)]
pub struct Follower {
    line: Vec<u8>,
    state: State,
    depth: u32,
    failed: Option<NotUnderstood>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Line,
    /// So many bytes of a file's content are still to come.
    Content(u64),
    /// The byte behind a file's content: 0 if all of it is the file's.
    Status,
}

impl Follower {
    /// Looks at what comes next, and returns what is left of it, to be looked at next. It takes at least one byte of what
    /// is not empty, but where it says that a file has ended early.
    ///
    /// # Errors
    /// [`NotUnderstood`], every time from then on.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(Seen<'a>, &'a [u8]), NotUnderstood> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let seen = match self.state {
            State::Line => self.line(bytes),
            State::Content(left) => Ok(self.content(left, bytes)),
            State::Status => self.status(bytes),
        };
        self.failed = seen.as_ref().err().copied();
        seen
    }

    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<(Seen<'a>, &'a [u8]), NotUnderstood> {
        // A sender acknowledges with a zero byte too, where it has asked for nothing.
        if self.line.is_empty() && bytes.first() == Some(&0) {
            return Ok((Seen::Nothing, bytes.get(1..).unwrap_or_default()));
        }
        let end = memchr::memchr(b'\n', bytes);
        let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        if self.line.len().saturating_add(part.len()) > MAX_LINE {
            return Err(NotUnderstood::TooLong);
        }
        self.line.extend_from_slice(part);
        if end.is_none() {
            return Ok((Seen::Nothing, rest));
        }
        let line = std::mem::take(&mut self.line);
        Ok((Seen::Record(self.record(&line)?), rest.get(1..).unwrap_or_default()))
    }

    fn content<'a>(&mut self, left: u64, bytes: &'a [u8]) -> (Seen<'a>, &'a [u8]) {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let (content, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
        let seen = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.state = match left.saturating_sub(seen) {
            0 => State::Status,
            left => State::Content(left),
        };
        (Seen::Content(content), rest)
    }

    /// What ends a file's content: a zero byte, or a warning in which the sender says what it could not read.
    fn status<'a>(&mut self, bytes: &'a [u8]) -> Result<(Seen<'a>, &'a [u8]), NotUnderstood> {
        let Some((first, rest)) = bytes.split_first() else {
            return Ok((Seen::Nothing, bytes));
        };
        self.state = State::Line;
        match first {
            0 => Ok((Seen::Record(Record::FileEnd { complete: true }), rest)),
            // The line itself is read next.
            1 | 2 => Ok((Seen::Record(Record::FileEnd { complete: false }), bytes)),
            _ => Err(NotUnderstood::Line),
        }
    }

    fn record(&mut self, line: &[u8]) -> Result<Record, NotUnderstood> {
        let (kind, rest) = line.split_first().ok_or(NotUnderstood::Line)?;
        let record = match kind {
            b'C' => file(rest),
            b'D' => directory(rest),
            b'E' => rest.is_empty().then_some(Record::DirectoryEnd),
            b'T' => times(rest),
            1 => Some(Record::Warning(rest.to_vec())),
            2 => Some(Record::Fatal(rest.to_vec())),
            _ => None,
        };
        let record = record.ok_or(NotUnderstood::Line)?;
        match &record {
            Record::File { size: 0, .. } => self.state = State::Status,
            Record::File { size, .. } => self.state = State::Content(*size),
            Record::Directory { .. } if self.depth >= MAX_DEPTH => return Err(NotUnderstood::TooDeep),
            Record::Directory { .. } => self.depth = self.depth.saturating_add(1),
            Record::DirectoryEnd => self.depth = self.depth.checked_sub(1).ok_or(NotUnderstood::NoDirectory)?,
            Record::FileEnd { .. } | Record::Times { .. } | Record::Warning(_) | Record::Fatal(_) => (),
        }
        Ok(record)
    }
}

/// `0644 12 name`.
fn file(rest: &[u8]) -> Option<Record> {
    let (mode, size, name) = entry(rest)?;
    Some(Record::File { mode, size, name })
}

/// `0755 0 name`; OpenSSH reads any number there and uses none.
fn directory(rest: &[u8]) -> Option<Record> {
    let (mode, _, name) = entry(rest)?;
    Some(Record::Directory { mode, name })
}

fn entry(rest: &[u8]) -> Option<(u32, u64, Vec<u8>)> {
    let (mode, rest) = rest.split_first_chunk::<4>()?;
    let is_octal = mode.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok().filter(|_| is_octal)?;
    let rest = rest.strip_prefix(b" ")?;
    let (size, name) = split(rest)?;
    // Receivers refuse these, as a sender could write beside what it was asked for.
    let is_plain = !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0);
    is_plain.then_some((mode, number(size)?, name.to_vec()))
}

/// `seconds 0 seconds 0`.
fn times(rest: &[u8]) -> Option<Record> {
    let (modified, rest) = split(rest)?;
    let (fraction, rest) = split(rest)?;
    let (accessed, last) = split(rest)?;
    // Microseconds, below a million.
    let is_fraction = |digits| number(digits).is_some_and(|fraction| fraction < 1_000_000);
    (is_fraction(fraction) && is_fraction(last))
        .then_some(Record::Times { modified: number(modified)?, accessed: number(accessed)? })
}

/// At the first space.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_at_checked(memchr::memchr(b' ', bytes)?)?;
    Some((first, rest.get(1..)?))
}

/// Decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let is_decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_decimal)?.parse().ok()
}

#[cfg(test)]
mod tests;
