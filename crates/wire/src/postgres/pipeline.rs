//! Which of the messages that were forwarded a reply belongs to.
//!
//! A server answers in order, so a queue of what was sent says whose turn it is, as long as the queue forgets exactly what
//! the server skips: after an error in the extended protocol everything up to the next Sync (`postgres.c PostgresMain`,
//! `ignore_till_sync`), and in COPY FROM STDIN every Sync and Flush (`copyfromparse.c CopyGetData`). A reply that fits
//! nothing is a [`Violation`] and ends the connection to the target (SM-06, SM-07).
//!
//! # COPY FROM STDIN and Sync
//!
//! Some drivers send `Bind Execute Sync` before they know that the Execute is a COPY. If the COPY gets as far as reading,
//! it swallows that Sync; if it fails between CopyInResponse and its first read (a statement trigger, a view), the Sync is
//! answered. From outside the two look alike. This model takes the first for granted, and a surplus ReadyForQuery is then a
//! violation. To be exact in both cases, hold back what follows a COPY FROM STDIN until CopyInResponse or an error has
//! come: then [`Pipeline::push`] says that the Sync is ignored and need not be forwarded.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;

use super::backend::{Backend, TransactionStatus};
use super::error::Violation;
use super::frame::{BackendTag, FrontendTag};

/// A message that was forwarded and is, or may be, answered. Flush, CopyData and Terminate never are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sent {
    /// Query.
    Query,
    /// Parse.
    Parse,
    /// Bind.
    Bind,
    /// Describe of a statement.
    DescribeStatement,
    /// Describe of a portal.
    DescribePortal,
    /// Execute.
    Execute,
    /// Close.
    Close,
    /// Sync.
    Sync,
    /// FunctionCall.
    FunctionCall,
    /// CopyDone. Not answered itself; it tells which later Sync is answered again.
    CopyDone,
    /// CopyFail. Likewise.
    CopyFail,
}

impl Sent {
    /// The tag that it is sent with.
    pub const fn tag(self) -> FrontendTag {
        match self {
            Self::Query => FrontendTag::Query,
            Self::Parse => FrontendTag::Parse,
            Self::Bind => FrontendTag::Bind,
            Self::DescribeStatement | Self::DescribePortal => FrontendTag::Describe,
            Self::Execute => FrontendTag::Execute,
            Self::Close => FrontendTag::Close,
            Self::Sync => FrontendTag::Sync,
            Self::FunctionCall => FrontendTag::FunctionCall,
            Self::CopyDone => FrontendTag::CopyDone,
            Self::CopyFail => FrontendTag::CopyFail,
        }
    }

    /// Whether it ends the data of a COPY.
    const fn ends_copy(self) -> bool {
        matches!(self, Self::CopyDone | Self::CopyFail)
    }

    /// Whether an error in it is followed by ReadyForQuery, rather than by skipping to Sync.
    const fn readies(self) -> bool {
        matches!(self, Self::Query | Self::FunctionCall | Self::Sync)
    }
}

/// What is to be done with a message.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub enum Push<T> {
    /// Forward it; its entry waits for replies.
    Forward,
    /// Do not forward it: the target would read it and do nothing. It will not be answered.
    Ignored(T),
    /// The target reads COPY data and would end the connection over this message (08P01): refuse it.
    Refused(T),
}

/// What the pipeline has to know of a backend message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    tag: BackendTag,
    status: Option<TransactionStatus>,
    fatal: bool,
}

impl Reply {
    /// A DataRow that is streamed without being parsed.
    pub const DATA_ROW: Self = Self::plain(BackendTag::DataRow);
    /// A CopyData that is streamed without being parsed.
    pub const COPY_DATA: Self = Self::plain(BackendTag::CopyData);

    const fn plain(tag: BackendTag) -> Self {
        Self { tag, status: None, fatal: false }
    }

    /// Which message it is.
    pub const fn tag(&self) -> BackendTag {
        self.tag
    }
}

impl From<&Backend<'_>> for Reply {
    fn from(message: &Backend<'_>) -> Self {
        match message {
            Backend::ReadyForQuery(status) => Self { status: Some(*status), ..Self::plain(message.tag()) },
            Backend::ErrorResponse(report) => Self { fatal: report.is_fatal(), ..Self::plain(message.tag()) },
            other => Self::plain(other.tag()),
        }
    }
}

/// What a reply means for the entries that wait.
#[derive(Debug)]
pub enum Step<'p, T> {
    /// A notice, notification or parameter status: it belongs to no entry. (While an entry runs, it may well tell of it:
    /// see [`Pipeline::front`].)
    Asynchronous,
    /// It belongs to the oldest entry, to which more will come.
    Continues {
        /// What was sent.
        sent: Sent,
        /// Its entry.
        entry: &'p mut T,
    },
    /// It is the last that comes to the oldest entry: its completion, or its error.
    Finishes {
        /// What was sent.
        sent: Sent,
        /// Its entry.
        entry: T,
        /// What followed and will never be answered: skipped after an error, or ignored by COPY.
        dropped: Dropped<'p, T>,
    },
    /// The target ends the connection: nothing more will come.
    Closes {
        /// Everything that waited.
        dropped: Dropped<'p, T>,
    },
}

/// Entries that will never be answered, in order. They are gone whether or not this is iterated.
#[derive(Debug)]
pub struct Dropped<'p, T>(Drain<'p, Slot<T>>);

impl<T> Iterator for Dropped<'_, T> {
    type Item = (Sent, T);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|slot| (slot.sent, slot.entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> ExactSizeIterator for Dropped<'_, T> {}

#[derive(Debug)]
struct Slot<T> {
    sent: Sent,
    /// Never answered: the end of COPY data, or a Sync that COPY swallows.
    void: bool,
    entry: T,
}

/// How far the oldest entry is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Not at all.
    Start,
    /// Rows are coming.
    Rows,
    /// Describe of a statement: the parameters came.
    Described,
    /// COPY FROM STDIN; `ended` when the end of the data was sent.
    CopyIn { ended: bool },
    /// COPY TO STDOUT.
    CopyOut,
    /// All its data came.
    CopyOutDone,
    /// At least one statement of a Query, or the FunctionCall, is complete.
    Between,
    /// Only ReadyForQuery may come.
    AwaitReady,
}

enum Next {
    Stay(Progress),
    Finish,
}

/// The queue of what a target still owes. `T` is the caller's note about each message: whose it was, and what to do with
/// its replies.
#[derive(Debug)]
pub struct Pipeline<T> {
    slots: VecDeque<Slot<T>>,
    progress: Progress,
    /// How many ends of COPY data behind the oldest entry were read by its own COPYs: a Query can have several.
    ends_read: usize,
    /// The target skips to a Sync that was not sent yet.
    skipping: bool,
    closed: bool,
    status: TransactionStatus,
}

impl<T> Pipeline<T> {
    /// The pipeline of a connection whose first ReadyForQuery said `status`.
    pub const fn new(status: TransactionStatus) -> Self {
        Self { slots: VecDeque::new(), progress: Progress::Start, ends_read: 0, skipping: false, closed: false, status }
    }

    /// What the last ReadyForQuery said.
    pub const fn status(&self) -> TransactionStatus {
        self.status
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the target skips everything until a Sync that was not sent yet.
    pub const fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Whether the target waits for COPY data.
    pub const fn is_copying_in(&self) -> bool {
        matches!(self.progress, Progress::CopyIn { ended: false })
    }

    /// The entry whose turn it is.
    pub fn front(&self) -> Option<(Sent, &T)> {
        self.slots.front().map(|slot| (slot.sent, &slot.entry))
    }

    /// The entry whose turn it is, to change.
    pub fn front_mut(&mut self) -> Option<(Sent, &mut T)> {
        self.slots.front_mut().map(|slot| (slot.sent, &mut slot.entry))
    }

    /// Every entry in order, the oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Sent, &mut T)> {
        self.slots.iter_mut().map(|slot| (slot.sent, &mut slot.entry))
    }

    /// Gives up on everything: the connection is lost.
    pub fn close(&mut self) -> Dropped<'_, T> {
        self.closed = true;
        self.skipping = false;
        self.progress = Progress::Start;
        Dropped(self.slots.drain(..))
    }

    /// Gives back the room for entries if none waits.
    pub fn rest(&mut self) {
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
        }
    }

    /// Notes that a message is about to be forwarded, and says whether to.
    pub fn push(&mut self, sent: Sent, entry: T) -> Push<T> {
        if self.closed || (self.skipping && sent != Sent::Sync) {
            return Push::Ignored(entry);
        }
        self.skipping = false;
        if self.is_copying_in() {
            return self.push_into_copy(sent, entry);
        }
        if sent.ends_copy() && self.slots.is_empty() {
            // "Accept but ignore these messages, per protocol spec; we probably got here because a frontend is still
            // sending after receipt of a COPY failure" (postgres.c PostgresMain).
            return Push::Ignored(entry);
        }
        self.slots.push_back(Slot { sent, void: sent.ends_copy(), entry });
        Push::Forward
    }

    fn push_into_copy(&mut self, sent: Sent, entry: T) -> Push<T> {
        match sent {
            Sent::CopyDone | Sent::CopyFail => {
                self.progress = Progress::CopyIn { ended: true };
                self.ends_read = self.ends_read.saturating_add(1);
                self.slots.push_back(Slot { sent, void: true, entry });
                Push::Forward
            }
            Sent::Sync => Push::Ignored(entry),
            Sent::Query | Sent::Parse | Sent::Bind | Sent::DescribeStatement | Sent::DescribePortal => {
                Push::Refused(entry)
            }
            Sent::Execute | Sent::Close | Sent::FunctionCall => Push::Refused(entry),
        }
    }

    /// Says which entry a reply belongs to.
    ///
    /// # Errors
    /// [`Violation`] if the target may not send it now. The connection is of no more use: see [`Pipeline::close`].
    pub fn receive(&mut self, reply: Reply) -> Result<Step<'_, T>, Violation> {
        let tag = reply.tag;
        if self.closed {
            return Err(Violation::AfterFatal(tag));
        }
        match tag {
            BackendTag::NoticeResponse | BackendTag::NotificationResponse | BackendTag::ParameterStatus => {
                Ok(Step::Asynchronous)
            }
            BackendTag::Authentication | BackendTag::BackendKeyData | BackendTag::NegotiateProtocolVersion => {
                Err(Violation::AfterStartup(tag))
            }
            BackendTag::CopyBothResponse => Err(Violation::Replication),
            BackendTag::ErrorResponse if reply.fatal => Ok(Step::Closes { dropped: self.close() }),
            _ => self.answer(reply),
        }
    }

    /// A reply to the oldest entry.
    fn answer(&mut self, reply: Reply) -> Result<Step<'_, T>, Violation> {
        let tag = reply.tag;
        let Some(slot) = self.slots.front() else {
            return Err(Violation::Unsolicited(tag));
        };
        let sent = slot.sent;
        let next = match tag {
            BackendTag::ErrorResponse => after_error(sent, self.progress),
            _ => after(sent, self.progress, tag),
        };
        match next.ok_or(Violation::OutOfPlace { request: sent.tag(), reply: tag })? {
            Next::Stay(progress) => self.stay(progress).ok_or(Violation::Unsolicited(tag)),
            Next::Finish => {
                self.status = reply.status.unwrap_or(self.status);
                self.finish(tag).ok_or(Violation::Unsolicited(tag))
            }
        }
    }

    fn stay(&mut self, progress: Progress) -> Option<Step<'_, T>> {
        self.progress = match progress {
            Progress::CopyIn { .. } => Progress::CopyIn { ended: self.enter_copy() },
            other => other,
        };
        self.slots.front_mut().map(|slot| Step::Continues { sent: slot.sent, entry: &mut slot.entry })
    }

    /// COPY FROM STDIN begins to read what was sent behind it: up to the end of the data it swallows Syncs. Says whether
    /// that end was sent already.
    fn enter_copy(&mut self) -> bool {
        let mut earlier = self.ends_read;
        for slot in self.slots.iter_mut().skip(1) {
            match slot.sent {
                Sent::CopyDone | Sent::CopyFail if earlier > 0 => earlier = earlier.saturating_sub(1),
                Sent::CopyDone | Sent::CopyFail => {
                    self.ends_read = self.ends_read.saturating_add(1);
                    return true;
                }
                Sent::Sync if earlier == 0 => slot.void = true,
                Sent::Sync => (),
                // Unexpected in COPY data: the target is about to end the connection over it.
                _ => return false,
            }
        }
        false
    }

    fn finish(&mut self, tag: BackendTag) -> Option<Step<'_, T>> {
        let head = self.slots.pop_front()?;
        self.progress = Progress::Start;
        self.ends_read = 0;
        let dropped = if tag == BackendTag::ErrorResponse {
            let sync = self.slots.iter().position(|slot| slot.sent == Sent::Sync && !slot.void);
            self.skipping = sync.is_none();
            sync.unwrap_or(self.slots.len())
        } else {
            self.slots.iter().take_while(|slot| slot.void).count()
        };
        Some(Step::Finishes { sent: head.sent, entry: head.entry, dropped: Dropped(self.slots.drain(..dropped)) })
    }
}

impl<T> Default for Pipeline<T> {
    fn default() -> Self {
        Self::new(TransactionStatus::Idle)
    }
}

/// What an error that is not fatal does to the oldest entry; `None` if it may not come.
const fn after_error(sent: Sent, progress: Progress) -> Option<Next> {
    match (sent, progress) {
        (Sent::CopyDone | Sent::CopyFail, _) | (_, Progress::AwaitReady) => None,
        (sent, _) if sent.readies() => Some(Next::Stay(Progress::AwaitReady)),
        _ => Some(Next::Finish),
    }
}

/// What a reply other than an error does to the oldest entry; `None` if it may not come.
const fn after(sent: Sent, progress: Progress, reply: BackendTag) -> Option<Next> {
    match sent {
        Sent::Query => after_query(progress, reply),
        Sent::Execute => after_execute(progress, reply),
        Sent::DescribeStatement => match (progress, reply) {
            (Progress::Start, BackendTag::ParameterDescription) => Some(Next::Stay(Progress::Described)),
            (Progress::Described, BackendTag::RowDescription | BackendTag::NoData) => Some(Next::Finish),
            _ => None,
        },
        Sent::FunctionCall => match (progress, reply) {
            (Progress::Start, BackendTag::FunctionCallResponse) => Some(Next::Stay(Progress::Between)),
            (Progress::Between | Progress::AwaitReady, BackendTag::ReadyForQuery) => Some(Next::Finish),
            _ => None,
        },
        Sent::Parse => only(reply, BackendTag::ParseComplete),
        Sent::Bind => only(reply, BackendTag::BindComplete),
        Sent::Close => only(reply, BackendTag::CloseComplete),
        Sent::Sync => only(reply, BackendTag::ReadyForQuery),
        Sent::DescribePortal => match reply {
            BackendTag::RowDescription | BackendTag::NoData => Some(Next::Finish),
            _ => None,
        },
        Sent::CopyDone | Sent::CopyFail => None,
    }
}

const fn only(reply: BackendTag, expected: BackendTag) -> Option<Next> {
    if reply.byte() == expected.byte() { Some(Next::Finish) } else { None }
}

const fn after_query(progress: Progress, reply: BackendTag) -> Option<Next> {
    use BackendTag as Tag;
    let next = match (progress, reply) {
        (Progress::Start, Tag::EmptyQueryResponse) => Progress::AwaitReady,
        (Progress::Start | Progress::Between, Tag::RowDescription) => Progress::Rows,
        (Progress::Start | Progress::Between, Tag::CopyInResponse) => Progress::CopyIn { ended: false },
        (Progress::Start | Progress::Between, Tag::CopyOutResponse) => Progress::CopyOut,
        (Progress::Start | Progress::Between | Progress::Rows, Tag::CommandComplete) => Progress::Between,
        (Progress::CopyIn { ended: true } | Progress::CopyOutDone, Tag::CommandComplete) => Progress::Between,
        (Progress::Rows, Tag::DataRow) => Progress::Rows,
        (Progress::CopyOut, Tag::CopyData) => Progress::CopyOut,
        (Progress::CopyOut, Tag::CopyDone) => Progress::CopyOutDone,
        (Progress::Between | Progress::AwaitReady, Tag::ReadyForQuery) => return Some(Next::Finish),
        _ => return None,
    };
    Some(Next::Stay(next))
}

const fn after_execute(progress: Progress, reply: BackendTag) -> Option<Next> {
    use BackendTag as Tag;
    let next = match (progress, reply) {
        (Progress::Start | Progress::Rows, Tag::DataRow) => Progress::Rows,
        (Progress::Start, Tag::CopyInResponse) => Progress::CopyIn { ended: false },
        (Progress::Start, Tag::CopyOutResponse) => Progress::CopyOut,
        (Progress::CopyOut, Tag::CopyData) => Progress::CopyOut,
        (Progress::CopyOut, Tag::CopyDone) => Progress::CopyOutDone,
        (Progress::Start, Tag::EmptyQueryResponse) => return Some(Next::Finish),
        (Progress::Start | Progress::Rows, Tag::CommandComplete | Tag::PortalSuspended) => return Some(Next::Finish),
        (Progress::CopyIn { ended: true } | Progress::CopyOutDone, Tag::CommandComplete) => return Some(Next::Finish),
        _ => return None,
    };
    Some(Next::Stay(next))
}

#[cfg(test)]
mod tests;
