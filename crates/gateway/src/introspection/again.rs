//! Asking again about the tokens that sessions live by, so that a revocation at the issuer ends them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use identity::{IdentityError, TokenDigest};
use model::id::SessionId;
use model::subject::Subject;
use model::time::Timestamp;
use tokio::task::JoinSet;

use super::Introspector;
use crate::clock;
use crate::sessions::{Sessions, Signal};

/// Which sessions live by which credential, by the credential's id.
type Living = HashMap<Arc<str>, Vec<SessionId>>;

/// How many questions are under way at a time.
const AT_A_TIME: usize = 16;
/// How long after somebody relied on a token it is asked about, if no session lives by it: statements name users so.
const IN_USE: Duration = Duration::from_secs(60);
/// How long a token is kept that nobody relies on: longer than a login may take.
const UNUSED: Duration = Duration::from_secs(15 * 60);

/// What asking again brought.
enum Found {
    /// It is active, and stands for the same as before.
    Same,
    /// It is active, and says something else of the same caller.
    Changed(Box<Subject>),
    /// It does not count any more.
    Ended(IdentityError),
    /// The issuer did not answer.
    Unknown,
}

impl Introspector {
    /// Asks about what is due, once, and tells the sessions what has become of their tokens.
    pub(crate) async fn ask_again(self: &Arc<Self>, sessions: &Arc<Sessions>) {
        let living = sessions.living_by(&self.issuer.alias);
        let now = clock::now();
        self.end_unknown(&living, sessions);
        let mut asking = JoinSet::new();
        for (digest, lives) in self.due(&living, now) {
            if asking.len() >= AT_A_TIME {
                let _ = asking.join_next().await;
            }
            let (this, sessions) = (Arc::clone(self), Arc::clone(sessions));
            asking.spawn(async move {
                let found = this.look_again(digest).await;
                this.act(digest, found, &lives, &sessions);
            });
        }
        while asking.join_next().await.is_some() {}
    }

    /// The tokens that are to be asked about, and the sessions that live by each. What nobody uses any more is forgotten.
    fn due(&self, living: &Living, now: Timestamp) -> Vec<(TokenDigest, Vec<SessionId>)> {
        let mut held = self.held();
        let mut due = Vec::new();
        held.retain(|digest, token| {
            let lives = living.get(&*digest.token_id());
            if lives.is_some() {
                token.used_at = now;
            }
            let unused = now.millis_since(token.used_at);
            if unused < millis(IN_USE) && now.millis_since(token.asked_at) >= millis(self.config.max_age) {
                token.asked_at = now;
                due.push((*digest, lives.cloned().unwrap_or_default()));
            }
            unused < millis(UNUSED)
        });
        due
    }

    /// Tells sessions whose token is not known here: they were let in while it was found to have ended.
    fn end_unknown(&self, living: &Living, sessions: &Sessions) {
        let held: Vec<Arc<str>> = self.held().keys().map(TokenDigest::token_id).collect();
        for (token_id, lives) in living {
            if token_id.starts_with("sha256:") && !held.contains(token_id) {
                tell(lives, sessions);
            }
        }
    }

    async fn look_again(&self, digest: TokenDigest) -> Found {
        let Some((token, proven, before)) = self
            .held()
            .get(&digest)
            .map(|held| (model::secret::Secret::new(held.token.expose().clone()), held.proven, held.subject.clone()))
        else {
            return Found::Unknown;
        };
        if !self.answers().ask_again(digest) {
            return Found::Unknown;
        }
        match self.ask(token.expose(), digest).await {
            Err(IdentityError::NotAsked { .. } | IdentityError::Malformed { .. }) => Found::Unknown,
            Err(error) => Found::Ended(error),
            Ok(answer) => match self.verified(&answer, digest, &proven, before.credential.generation) {
                Ok(subject) if subject == before => Found::Same,
                Ok(subject) if subject.is_same_caller(&before) => Found::Changed(Box::new(subject)),
                Ok(_) => Found::Ended(IdentityError::Name("subject or actor")),
                Err(error) => Found::Ended(error),
            },
        }
    }

    fn act(&self, digest: TokenDigest, found: Found, lives: &[SessionId], sessions: &Sessions) {
        let now = clock::now();
        let mut held = self.held();
        let Some(token) = held.get_mut(&digest) else {
            drop(held);
            return tell(lives, sessions);
        };
        let reason = match found {
            Found::Same => {
                token.confirmed_at = token.asked_at;
                return;
            }
            Found::Changed(subject) => {
                token.confirmed_at = token.asked_at;
                token.subject = (*subject).clone();
                let renewed = lives.iter().filter_map(|session| sessions.find(*session));
                renewed.for_each(|(_, signals)| signals.renew((*subject).clone().into()));
                return;
            }
            Found::Ended(error) => error.to_string(),
            Found::Unknown => {
                let until = token.confirmed_at.plus_millis(millis(self.config.max_age + self.config.max_outage));
                if now < until {
                    return;
                }
                String::from("the issuer has not answered for too long")
            }
        };
        held.remove(&digest);
        drop(held);
        tracing::info!(issuer = %self.issuer.alias, token = %digest, %reason, "a token has ended, and its sessions with it");
        tell(lives, sessions);
    }
}

fn tell(lives: &[SessionId], sessions: &Sessions) {
    for session in lives {
        sessions.tell(*session, Signal::Trust);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
