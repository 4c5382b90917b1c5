//! Tokens that only their issuer can read: it is asked about them (RFC 7662), and asked again while sessions live by them.
//!
//! A token goes to one issuer alone: the one whose `token_prefix` it begins with, or the only one without. What is known
//! goes by the token's digest. The token itself is kept, as a secret, only while a session may live by it, as it is what
//! the issuer wants to be asked with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use identity::{Answered, Answers, AnswersTiming, Check, IdentityError, Inspection, Introspected, Issuer, Proven};
use identity::{Revocable, TokenDigest, is_opaque};
use model::secret::Secret;
use model::subject::{Credential, Subject};
use model::time::Timestamp;
use store::config::IntrospectionConfig;
use store::credential::CredentialError;
use tokio::sync::Notify;

use self::ask::Endpoint;
use crate::clock;
use crate::issued;
use crate::sessions::Sessions;

mod again;
pub(crate) mod ask;

/// How the secret of Sluice's client at an issuer is read.
pub type Secrets = Arc<dyn Fn() -> Result<Secret<String>, CredentialError> + Send + Sync>;

/// How long a login waits for somebody else's question about the same token.
const AWAIT: Duration = Duration::from_secs(5);
/// How often it looks again after having waited.
const TRIES: usize = 3;
/// The most tokens that sessions may live by.
const MAX_HELD: usize = 10_000;

/// An issuer that is to be asked about tokens.
#[derive(Clone)]
pub struct Asked {
    /// Which.
    pub issuer: Arc<Issuer>,
    /// How.
    pub config: IntrospectionConfig,
    /// With which secret.
    pub secret: Secrets,
}

/// Those that are asked about tokens, the ones with a prefix first.
#[derive(Default)]
pub(crate) struct Introspectors(ArcSwap<Vec<Arc<Introspector>>>);

impl Introspectors {
    /// The one to ask about a token.
    pub(crate) fn about(&self, token: &str) -> Option<Arc<Introspector>> {
        // Sluice's own passwords are nobody else's to see, wherever somebody shows one.
        if issued::is_password(token) {
            return None;
        }
        self.0.load().iter().find(|introspector| introspector.is_asked_about(token)).cloned()
    }

    /// Whether a token begins as those of one of them do.
    pub(crate) fn have_prefix_of(&self, token: &str) -> bool {
        let begins = |prefix: &String| token.starts_with(&**prefix);
        self.0.load().iter().any(|introspector| introspector.config.token_prefix.as_ref().is_some_and(begins))
    }

    /// The aliases of those that would be asked otherwise.
    pub(crate) fn compare(&self, asked: &[Asked]) -> Vec<Arc<str>> {
        let now = self.0.load();
        let is_same = |asked: &Asked| now.iter().any(|introspector| introspector.is_as(asked));
        let stays = |alias: &Arc<str>| asked.iter().any(|asked| asked.issuer.alias == *alias);
        let other = asked.iter().filter(|asked| !is_same(asked)).map(|asked| Arc::clone(&asked.issuer.alias));
        other.chain(now.iter().map(|gone| Arc::clone(gone.alias())).filter(|alias| !stays(alias))).collect()
    }

    /// From now on these. One that is asked as before keeps what it knows.
    pub(crate) fn replace(&self, asked: Vec<Asked>) {
        let before = self.0.load_full();
        let kept = |asked: &Asked| before.iter().find(|introspector| introspector.is_as(asked)).cloned();
        let made = asked.into_iter().map(|asked| kept(&asked).unwrap_or_else(|| Arc::new(Introspector::new(asked))));
        let mut all: Vec<_> = made.collect();
        all.sort_by_key(|introspector| introspector.config.token_prefix.is_none());
        self.0.store(Arc::new(all));
    }

    /// Whether a subject that was verified by an opaque token still may rely on it.
    pub(crate) fn standing(&self, subject: &Subject) -> Result<(), IdentityError> {
        let Some(digest) = TokenDigest::of_subject(subject) else { return Ok(()) };
        let all = self.0.load();
        let asked = all.iter().find(|introspector| *introspector.alias() == subject.key.issuer);
        let stands = asked.is_some_and(|introspector| introspector.is_relied_on(digest));
        if stands { Ok(()) } else { Err(IdentityError::Inactive) }
    }

    /// Whoever was verified by an opaque token, as if it were shown again; `None` for other tokens.
    pub(crate) async fn again(&self, subject: &Subject) -> Result<Option<Subject>, IdentityError> {
        let Some(digest) = TokenDigest::of_subject(subject) else { return Ok(None) };
        let asked = self.0.load().iter().find(|asked| *asked.alias() == subject.key.issuer).cloned();
        let asked = asked.ok_or(IdentityError::Inactive)?;
        let held = asked.held().get(&digest).map(|held| (Secret::new(held.token.expose().clone()), held.proven));
        let (token, proven) = held.ok_or(IdentityError::Inactive)?;
        asked.verify(token.expose(), &proven, subject.credential.generation).await.map(Some)
    }

    /// Asks again about what sessions live by, once.
    pub(crate) async fn ask_again(&self, sessions: &Arc<Sessions>) {
        for introspector in self.0.load_full().iter() {
            introspector.ask_again(sessions).await;
        }
    }
}

/// An issuer that is asked about tokens.
pub(crate) struct Introspector {
    issuer: Arc<Issuer>,
    config: IntrospectionConfig,
    secret: Secrets,
    endpoint: Endpoint,
    answers: Mutex<Answers>,
    answered: Notify,
    held: Mutex<HashMap<TokenDigest, Held>>,
}

/// A token that a session may live by.
struct Held {
    token: Secret<String>,
    proven: Proven,
    subject: Subject,
    /// When the answer that it is believed by was asked for.
    confirmed_at: Timestamp,
    /// When the issuer was last asked about it, with whatever outcome.
    asked_at: Timestamp,
    /// When somebody last relied on it.
    used_at: Timestamp,
}

impl Introspector {
    fn new(asked: Asked) -> Self {
        let Asked { issuer, config, secret } = asked;
        let timing = AnswersTiming {
            max_age: u64::try_from(config.max_age.as_millis()).unwrap_or(u64::MAX),
            ..AnswersTiming::default()
        };
        let endpoint = Endpoint::new(&issuer, &config);
        Self {
            issuer,
            config,
            secret,
            endpoint,
            answers: Mutex::new(Answers::new(timing)),
            answered: Notify::new(),
            held: Mutex::default(),
        }
    }

    /// Whether it would be asked in the same way. Secrets are read for each question, so that a new one is no other way.
    fn is_as(&self, asked: &Asked) -> bool {
        *self.issuer == *asked.issuer && self.config == asked.config
    }

    pub(crate) fn alias(&self) -> &Arc<str> {
        &self.issuer.alias
    }

    /// Whether it is the one to ask about a token.
    fn is_asked_about(&self, token: &str) -> bool {
        is_opaque(token, self.config.token_prefix.as_deref())
    }

    /// Says who the caller is, by what the issuer says. `generation` is that of the issuer's configuration.
    pub(crate) async fn verify(&self, token: &str, proven: &Proven, generation: u64) -> Result<Subject, IdentityError> {
        let digest = TokenDigest::of(token);
        let answer = self.answer(token, digest).await?;
        let subject = self.verified(&answer, digest, proven, generation)?;
        self.hold(token, digest, proven, &subject, answer.asked_at())?;
        Ok(subject)
    }

    /// The subject of an answer, in this state of the issuer's configuration.
    fn verified(
        &self,
        answer: &Introspected,
        digest: TokenDigest,
        proven: &Proven,
        generation: u64,
    ) -> Result<Subject, IdentityError> {
        let subject = answer.verify(&self.issuer, digest, proven, clock::now())?;
        Ok(Subject { credential: Credential { generation, ..subject.credential }, ..subject })
    }

    /// What a revocation has to know of a token.
    pub(crate) async fn revocable(&self, token: &str) -> Result<Revocable, IdentityError> {
        let digest = TokenDigest::of(token);
        self.answer(token, digest).await?.revocable(&self.issuer, digest, clock::now())
    }

    /// [`Introspector::verify`], check by check.
    pub(crate) async fn inspect(&self, token: &str, proven: &Proven) -> Inspection {
        let digest = TokenDigest::of(token);
        match self.answer(token, digest).await {
            Ok(answer) => answer.inspect(&self.issuer, digest, proven, clock::now()),
            // It has the form, and is nobody else's.
            Err(error) => Inspection::of(&Check::OF_OPAQUE, 2, Err(error)),
        }
    }

    async fn answer(&self, token: &str, digest: TokenDigest) -> Result<Arc<Introspected>, IdentityError> {
        for _ in 0..TRIES {
            let waiting = self.answered.notified();
            let looked = self.answers().look(digest, clock::now());
            match looked {
                Answered::Known(answer) => return answer,
                Answered::Busy => return Err(self.not_asked("too many unknown tokens at a time")),
                // Seldom, and large: in a box, so that not every task has room for it.
                Answered::Ask => return Box::pin(self.ask(token, digest)).await,
                Answered::Await => {
                    let _ = tokio::time::timeout(AWAIT, waiting).await;
                }
            }
        }
        Err(self.not_asked("it did not answer in time"))
    }

    /// Cancel safe: a question that is given up is forgotten.
    async fn ask(&self, token: &str, digest: TokenDigest) -> Result<Arc<Introspected>, IdentityError> {
        let asking = Asking { introspector: self, digest };
        let asked_at = clock::now();
        let answer = self.endpoint.ask(self, token, asked_at).await;
        let answer = self.answers().answered(digest, answer, asked_at);
        if let Err(IdentityError::Inactive) = &answer {
            // Whoever relies on it does not stand any more.
            self.held().remove(&digest);
        }
        drop(asking);
        answer
    }

    fn hold(
        &self,
        token: &str,
        digest: TokenDigest,
        proven: &Proven,
        subject: &Subject,
        confirmed_at: Timestamp,
    ) -> Result<(), IdentityError> {
        let mut held = self.held();
        let now = clock::now();
        if let Some(known) = held.get_mut(&digest) {
            (known.used_at, known.subject) = (now, subject.clone());
            return Ok(());
        }
        if held.len() >= MAX_HELD {
            return Err(self.not_asked("too many tokens are in use"));
        }
        let (token, subject) = (Secret::new(token.to_owned()), subject.clone());
        let asked_at = confirmed_at;
        held.insert(digest, Held { token, proven: *proven, subject, confirmed_at, asked_at, used_at: now });
        Ok(())
    }

    /// Whether a token is one that was confirmed and has not ended since.
    fn is_relied_on(&self, digest: TokenDigest) -> bool {
        let mut held = self.held();
        let known = held.get_mut(&digest);
        known.map(|known| known.used_at = clock::now()).is_some()
    }

    fn not_asked(&self, reason: &'static str) -> IdentityError {
        IdentityError::NotAsked { issuer: Arc::clone(&self.issuer.alias), reason }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TokenDigest, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question under way, which ends whatever becomes of it.
struct Asking<'a> {
    introspector: &'a Introspector,
    digest: TokenDigest,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        // After `answered` this changes nothing: the question is over already.
        self.introspector.answers().given_up(self.digest);
        self.introspector.answered.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
