//! The end of a session that did not come to its own: its process was killed, or its task panicked. The journal says that
//! it ended, and what was on its tape then, so that nothing can be cut off that tape unnoticed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ledger::Disk;
use ledger::tape::{EndedPart, KeyStore, Part, Spot, TapeReadError, TapeReader};
use model::event::Event;
use model::id::{Digest, SessionId};
use tokio::task::Id;

/// Where tapes are, and what opens them.
pub(crate) struct Tapes {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) keys: Arc<KeyStore>,
}

/// What the journal has of the tape of a session that it has no end of.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Told {
    /// The last of its parts that ended.
    pub(crate) parts: u32,
    /// Whether there was one: a part of it ended, or is in the archive.
    pub(crate) has_tape: bool,
}

impl Tapes {
    /// That a session ended, for the journal, and before that the parts of its tape that ended, from the one after those it
    /// was told of; also that its tape cannot be read, if that is so. Blocks: the tape is read.
    pub(crate) fn ends(&self, session: SessionId, reason: &str, told: Told) -> Vec<Event> {
        let mut events = Vec::new();
        let tape = self.what_is_left(session, told.has_tape, |ended| {
            let EndedPart { part, digest, length } = ended;
            if part.number() > told.parts {
                events.push(Event::TapePartEnded { session, part: part.number(), digest, length });
            }
        });
        let tape = tape.unwrap_or_else(|error| {
            tracing::error!(%session, %error, "the tape of a session that broke off cannot be read");
            let reason = format!("the tape of a session that broke off: {error}").into();
            events.push(Event::Gap { session: Some(session), reason });
            None
        });
        events.push(Event::SessionClosed { session, reason: reason.into(), tape });
        events
    }

    /// Digest and length of the whole records on a tape; `None` if there is none, or it was not begun. A tape that there was,
    /// or of which there is something else than its beginning, is not none.
    fn what_is_left(
        &self,
        session: SessionId,
        has_tape: bool,
        tell: impl FnMut(EndedPart),
    ) -> Result<Option<(Digest, u64)>, TapeReadError> {
        let start = Spot { part: Part::FIRST, offset: 0 };
        match TapeReader::open(self.disk.as_ref(), &self.dir, session, Some(&self.keys)) {
            Ok(mut tape) => tape.digests(tell).map(|(digest, _)| Some(digest)),
            Err(TapeReadError::Truncated(at)) if at == start => Ok(None),
            Err(TapeReadError::Disk(error))
                if error.kind() == std::io::ErrorKind::NotFound
                    && !has_tape
                    && !ledger::tape::exists(self.disk.as_ref(), &self.dir, session)? =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whose tasks run: who finds that a task panicked knows by it which session that was.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<Id, SessionId>>);

impl Running {
    /// This task is a session's from now on.
    pub(crate) fn begins(&self, session: SessionId) {
        if let Some(task) = tokio::task::try_id() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task, session);
        }
    }

    /// The session of a task, which is over.
    pub(crate) fn over(&self, task: Id) -> Option<SessionId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&task)
    }
}
