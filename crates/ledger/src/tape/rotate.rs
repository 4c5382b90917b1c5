//! A tape that goes on in its next part.

use std::io;
use std::sync::Arc;

use model::id::{Digest, SessionId};
use model::time::Timestamp;

use super::live::{Names, Shared};
use super::part::{Follows, Header, Part, later_dir};
use super::{Kind, Tape, TapeError, begin_record, digest_of};

/// What the journal says of a part that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedPart {
    /// Which.
    pub part: Part,
    /// Its digest, which covers those of all parts before it.
    pub digest: Digest,
    /// How long it is in clear, in bytes.
    pub length: u64,
}

/// A part that ended and does not survive a power cut yet.
#[must_use = "a part that ended is to be synced, and said in the journal"]
pub struct Ended {
    file: Arc<Shared>,
    session: SessionId,
    is: EndedPart,
}

impl Ended {
    /// Whose tape it is a part of.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Makes the part, and all before it, survive a power cut: now the journal may have its digest. Blocks.
    ///
    /// # Errors
    /// If the disk fails. The tape takes nothing more then, in its later parts either.
    pub fn sync(self) -> io::Result<EndedPart> {
        self.file.sync()?;
        Ok(self.is)
    }
}

impl Tape {
    /// Ends the present part and goes on in the next one; `is_fresh` if all that was asked by now is answered, so that the
    /// next part can be understood without this one. Nothing is synced: that is left to what is returned.
    ///
    /// # Errors
    /// As [`Tape::record`].
    pub fn rotate(&mut self, at: Timestamp, is_fresh: bool) -> Result<Ended, TapeError> {
        let no_more = || TapeError::Disk(io::Error::other("a tape has no more parts than this"));
        let next = self.header.part().next().ok_or_else(no_more)?;
        let start = begin_record(&mut self.buffer, Kind::Continued, None, at);
        self.end_record(start)?;
        self.write()?;
        let ended = EndedPart {
            part: self.header.part(),
            digest: digest_of(self.digest.clone()),
            length: self.length.saturating_sub(self.part_at),
        };
        let follows = Follows { part: next, is_fresh, before: ended.digest };
        let before = Arc::clone(&self.file);
        self.begin(Header { started: at, follows: Some(follows), ..self.header })
            .inspect_err(|_| self.failed = true)?;
        Ok(Ended { file: before, session: self.session(), is: ended })
    }

    /// The part that is written.
    pub fn part(&self) -> Part {
        self.header.part()
    }

    /// How long the present part is in clear, what waits to be written included.
    pub const fn part_length(&self) -> u64 {
        self.length.saturating_sub(self.part_at)
    }

    /// Whether anything was recorded in the present part.
    pub const fn is_part_begun(&self) -> bool {
        self.part_length() > self.part_header
    }

    /// Makes the file of a part and writes its header.
    fn begin(&mut self, header: Header) -> Result<(), TapeError> {
        let later = later_dir(&self.dir, header.session);
        self.disk.create_dir(&later)?;
        let names = Names {
            disk: Arc::clone(&self.disk),
            dirs: vec![self.dir.clone(), later],
            key: None,
            before: Some(Arc::clone(&self.file)),
        };
        let file = self.disk.create(&super::part::path(&self.dir, header.session, header.part()))?;
        self.key = self.key.take().map(|key| key.of(header.part()));
        self.file = Arc::new(Shared::after(&self.file, file, names));
        self.take_up(header)
    }
}
