//! Who is signed in: kept here, so that signing out ends it for good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::clock::{self, NoRandomness};
use model::id::Digest;
use model::secret::Secret;
use model::subject::Subject;
use model::time::Timestamp;

use super::Console;

/// How many are kept in all, and of one subject. Who did nothing for the longest has to go first.
const MOST: usize = 10_000;
const MOST_OF_SUBJECT: usize = 20;

/// Who is signed in, by the digest of the word in their cookie: whoever reads memory finds no word.
pub(crate) struct Sessions {
    kept: Mutex<HashMap<Digest, Kept>>,
    idle: u64,
}

struct Kept {
    subject: Arc<Subject>,
    /// When somebody last did something.
    used_at: Timestamp,
}

impl Sessions {
    pub(crate) fn new(idle: Duration) -> Self {
        Self { kept: Mutex::default(), idle: u64::try_from(idle.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Lets somebody in; what they are known by from now on is in nobody's hands yet.
    pub(crate) fn open(&self, subject: Subject, now: Timestamp) -> Result<Secret<String>, NoRandomness> {
        let word = Secret::new(URL_SAFE_NO_PAD.encode(clock::random::<32>()?));
        let mut kept = self.kept();
        kept.retain(|_, one| one.is_good(now, self.idle));
        let of_subject = kept.values().filter(|one| one.subject.key == subject.key).count();
        if of_subject >= MOST_OF_SUBJECT {
            forget_oldest(&mut kept, |one| one.subject.key == subject.key);
        } else if kept.len() >= MOST {
            forget_oldest(&mut kept, |_| true);
        }
        kept.insert(key(word.expose()), Kept { subject: Arc::new(subject), used_at: now });
        Ok(word)
    }

    /// Who has this word. What a page does by itself keeps nobody signed in.
    pub(crate) fn find(&self, word: &str, now: Timestamp, is_user: bool) -> Option<Arc<Subject>> {
        let (key, mut kept) = (key(word), self.kept());
        let one = kept.get_mut(&key)?;
        if !one.is_good(now, self.idle) {
            kept.remove(&key);
            return None;
        }
        if is_user {
            one.used_at = now;
        }
        Some(Arc::clone(&one.subject))
    }

    /// Whether whoever this is known of is signed in still.
    fn has(&self, key: &Digest, now: Timestamp) -> bool {
        self.kept().get(key).is_some_and(|one| one.is_good(now, self.idle))
    }

    /// Ends it.
    pub(crate) fn close(&self, word: &str) {
        self.kept().remove(&key(word));
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That somebody is signed in, for as long as an answer to them lasts.
#[derive(Clone)]
pub(crate) struct SignedIn {
    console: Arc<Console>,
    key: Digest,
}

impl SignedIn {
    pub(super) fn by(console: &Arc<Console>, word: &str) -> Self {
        Self { console: Arc::clone(console), key: key(word) }
    }

    /// Whether they are still.
    pub(crate) fn lasts(&self) -> bool {
        self.console.sessions.has(&self.key, clock::now())
    }
}

impl Kept {
    fn is_good(&self, now: Timestamp, idle: u64) -> bool {
        now < self.subject.expires_at && now.millis_since(self.used_at) < idle
    }
}

fn forget_oldest(kept: &mut HashMap<Digest, Kept>, may_go: impl Fn(&Kept) -> bool) {
    let oldest = kept.iter().filter(|(_, one)| may_go(one)).min_by_key(|(_, one)| one.used_at).map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        kept.remove(&oldest);
    }
}

fn key(word: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest(&SHA256, word.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    Digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::subject::{Binding, Credential, SubjectKey, SubjectKind};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn subject(name: &str) -> Subject {
        Subject {
            key: SubjectKey { issuer: "corp".into(), id: name.into() },
            kind: SubjectKind::User,
            groups: Vec::new(),
            on_behalf_of: Vec::new(),
            expires_at: NOW.plus_millis(3_600_000),
            binding: Binding::Bearer,
            token_id: None,
            credential: Credential::default(),
        }
    }

    #[test]
    fn somebody_is_signed_in_until_their_token_ends_or_they_do_nothing() {
        let sessions = Sessions::new(Duration::from_secs(600));
        let word = sessions.open(subject("dana"), NOW).unwrap();
        let at = |minutes: u64| NOW.plus_millis(minutes * 60_000);
        assert_eq!(&*sessions.find(word.expose(), at(9), true).unwrap().key.id, "dana");
        // The page asks on and on; that does not count.
        assert!(sessions.find(word.expose(), at(18), false).is_some());
        assert!(sessions.find(word.expose(), at(20), false).is_none());
        let word = sessions.open(subject("dana"), at(55)).unwrap();
        assert!(sessions.find(word.expose(), at(59), true).is_some());
        assert!(sessions.find(word.expose(), at(60), true).is_none(), "no longer than the token");
        assert!(sessions.find("", NOW, true).is_none() && sessions.find("guess", NOW, true).is_none());
    }

    #[test]
    fn each_sign_in_has_a_word_of_its_own_and_is_ended_by_itself() {
        let sessions = Sessions::new(Duration::from_secs(600));
        let (one, other) = (sessions.open(subject("dana"), NOW).unwrap(), sessions.open(subject("dana"), NOW).unwrap());
        assert_ne!(one.expose(), other.expose());
        sessions.close(one.expose());
        assert!(sessions.find(one.expose(), NOW, true).is_none());
        assert!(sessions.find(other.expose(), NOW, true).is_some());
    }

    #[test]
    fn nobody_is_signed_in_without_bound() {
        let sessions = Sessions::new(Duration::from_secs(600));
        let first = sessions.open(subject("dana"), NOW).unwrap();
        let others = sessions.open(subject("omar"), NOW).unwrap();
        for minute in 1..=20 {
            let _ = sessions.open(subject("dana"), NOW.plus_millis(minute)).unwrap();
        }
        assert!(sessions.find(first.expose(), NOW, true).is_none());
        assert!(sessions.find(others.expose(), NOW, true).is_some());
        assert_eq!(sessions.kept().len(), 21);
    }
}
