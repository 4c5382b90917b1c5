//! What a channel to people has told and has yet to tell, durably.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gateway::node::Node;
use gateway::sinks::{Position, PositionError};
use model::id::ApprovalId;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How many approvals a channel has in mind at a time; of more it only counts how many there were.
const MOST_OPEN: usize = 10_000;

/// After how many attempts nobody is told any more how something ended.
const MOST_TRIES: u32 = 10;

/// What is kept of a channel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// How far it has read the journal.
    pub(super) position: Position,
    /// Approvals of which it has something to tell, now or later.
    pub(super) open: BTreeMap<ApprovalId, Open>,
    /// When the present period began.
    pub(super) period: Timestamp,
    /// How many messages went out in it.
    pub(super) told: usize,
    /// How many approvals were more than it could have in mind, for the next digest.
    pub(super) beyond: u64,
}

/// One approval.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Open {
    /// When somebody is to be told, if nobody has answered by then.
    pub(super) due: Timestamp,
    pub(super) how: How,
    /// Whether something happened that its message does not show.
    pub(super) is_changed: bool,
    /// How often that could not be told. Those that fail come after all others.
    #[serde(skip)]
    pub(super) tries: u32,
}

/// How far one approval is told of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum How {
    /// Not yet.
    Waits,
    /// Together with others, when the period is over.
    Held,
    /// By the message of this reference.
    Sent(String),
}

impl Kept {
    /// What is in this file; `None` if there is no file.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, PositionError> {
        match std::fs::read(path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(kept) => Ok(Some(kept)),
                Err(_) => Err(PositionError::Damaged(path.to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PositionError::File { path: path.to_owned(), source }),
        }
    }

    /// Where it is kept of the channel of this name.
    pub(super) fn path(node: &Node, name: &str) -> PathBuf {
        node.layout().notify().join(format!("{name}.json"))
    }

    /// Replaces the file.
    pub(super) fn store(&self, path: &Path) -> io::Result<()> {
        gateway::sinks::replace(path, &serde_json::to_vec(self)?)
    }

    /// Somebody asks.
    pub(super) fn asked(&mut self, id: ApprovalId, due: Timestamp) {
        if self.open.len() >= MOST_OPEN {
            self.beyond = self.beyond.saturating_add(1);
        } else {
            self.open.insert(id, Open { due, how: How::Waits, is_changed: false, tries: 0 });
        }
    }

    /// Something happened to it.
    pub(super) fn changed(&mut self, id: ApprovalId) {
        if let Some(open) = self.open.get_mut(&id) {
            open.is_changed = true;
        }
    }

    /// Whether this is the message that was sent about it. A message without a name is none.
    pub(super) fn is_sent(&self, id: ApprovalId, message: &str) -> bool {
        let how = self.open.get(&id).map(|open| &open.how);
        matches!(how, Some(How::Sent(reference)) if !message.is_empty() && reference == message)
    }

    /// A message that does not show what happened, and its approval.
    pub(super) fn to_follow(&self) -> Option<(ApprovalId, String)> {
        let sent = self.open.iter().filter_map(|(id, open)| match &open.how {
            How::Sent(reference) if open.is_changed => Some((open.tries, *id, reference)),
            _ => None,
        });
        sent.min().map(|(_, id, reference)| (id, reference.clone()))
    }

    /// Of whom somebody is to be told next.
    pub(super) fn to_tell(&self, now: Timestamp) -> Option<ApprovalId> {
        let due = self.open.iter().filter(|(_, open)| open.how == How::Waits && open.due <= now);
        due.map(|(id, open)| (open.tries, open.due, *id)).min().map(|(_, _, id)| id)
    }

    /// Leaves all that is due to the next digest.
    pub(super) fn hold(&mut self, now: Timestamp) {
        for open in self.open.values_mut().filter(|open| open.how == How::Waits && open.due <= now) {
            open.how = How::Held;
        }
    }

    /// What the next digest stands for.
    pub(super) fn held(&self) -> Vec<ApprovalId> {
        self.open.iter().filter(|(_, open)| open.how == How::Held).map(|(id, _)| *id).collect()
    }

    /// How much there is to tell now, or when the period is over.
    pub(super) fn waiting(&self, now: Timestamp) -> u64 {
        let waits = |open: &&Open| match open.how {
            How::Waits => open.due <= now,
            How::Held => true,
            How::Sent(_) => open.is_changed,
        };
        u64::try_from(self.open.values().filter(waits).count()).unwrap_or(u64::MAX)
    }

    /// Somebody could not be told of it. How it ended is not told for ever: then it is forgotten.
    pub(super) fn failed(&mut self, id: ApprovalId) {
        let Some(open) = self.open.get_mut(&id) else { return };
        open.tries = open.tries.saturating_add(1);
        if open.tries >= MOST_TRIES && matches!(open.how, How::Sent(_)) {
            self.open.remove(&id);
        }
    }

    /// A message was sent.
    pub(super) fn counted(&mut self, now: Timestamp) {
        if self.told == 0 {
            self.period = now;
        }
        self.told = self.told.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_a_damaged_file_is_not_guessed_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        assert!(Kept::load(&path).unwrap().is_none());
        let mut kept = Kept::default();
        kept.asked(ApprovalId::from_bits(7), Timestamp(5));
        kept.asked(ApprovalId::from_bits(8), Timestamp(6));
        kept.open.get_mut(&ApprovalId::from_bits(8)).unwrap().how = How::Sent("C1 1.2".into());
        kept.changed(ApprovalId::from_bits(8));
        kept.store(&path).unwrap();
        let read = Kept::load(&path).unwrap().unwrap();
        assert_eq!(read.to_tell(Timestamp(5)), Some(ApprovalId::from_bits(7)));
        assert_eq!(read.to_follow(), Some((ApprovalId::from_bits(8), "C1 1.2".into())));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Kept::load(&path), Err(PositionError::Damaged(_))));
    }

    #[test]
    fn a_message_is_one_that_was_sent_about_this_approval() {
        let (mut kept, id) = (Kept::default(), ApprovalId::from_bits);
        (1..=4).for_each(|number| kept.asked(id(number), Timestamp(0)));
        for (number, reference) in [(1, "one"), (2, "two"), (3, "")] {
            kept.open.get_mut(&id(number)).unwrap().how = How::Sent(reference.into());
        }
        assert!(kept.is_sent(id(1), "one") && kept.is_sent(id(2), "two"));
        for (number, message) in [(1, "two"), (1, ""), (3, ""), (4, "one"), (4, ""), (5, "one")] {
            assert!(!kept.is_sent(id(number), message), "{number} {message}");
        }
    }

    #[test]
    fn what_is_in_mind_is_bounded_and_what_fails_comes_last() {
        let mut kept = Kept::default();
        (0..20_000).for_each(|number| kept.asked(ApprovalId::from_bits(number), Timestamp(number)));
        assert_eq!((kept.open.len(), kept.beyond), (MOST_OPEN, 10_000));
        assert_eq!(kept.to_tell(Timestamp(9)), Some(ApprovalId::from_bits(0)));
        kept.failed(ApprovalId::from_bits(0));
        assert_eq!(kept.to_tell(Timestamp(9)), Some(ApprovalId::from_bits(1)));
        kept.hold(Timestamp(9));
        assert_eq!((kept.held().len(), kept.to_tell(Timestamp(9))), (10, None));
        let sent = ApprovalId::from_bits(3);
        kept.open.get_mut(&sent).unwrap().how = How::Sent(String::new());
        kept.changed(sent);
        (0..MOST_TRIES).for_each(|_| kept.failed(sent));
        assert!(!kept.open.contains_key(&sent));
    }
}
