//! Tokens that only their issuer can read: it is asked about them (RFC 7662), and asked again while sessions live by them.
//!
//! A token goes to one issuer alone: the one whose `token_prefix` it begins with, or the only one without. What is known
//! goes by the token's digest. The token itself is kept, as a secret, only while a session may live by it, as it is what
//! the issuer wants to be asked with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use identity::{Answered, Answers, AnswersTiming, Check, IdentityError, Inspection, Introspected, Issuer, Proven};
use identity::{TokenDigest, is_opaque};
use model::secret::Secret;
use model::subject::Subject;
use model::time::Timestamp;
use store::config::IntrospectionConfig;
use store::credential::CredentialError;
use tokio::sync::Notify;

use self::ask::Endpoint;
use crate::clock;

mod again;
mod ask;

/// How the secret of Sluice's client at an issuer is read.
pub type Secrets = Arc<dyn Fn() -> Result<Secret<String>, CredentialError> + Send + Sync>;

/// How long a login waits for somebody else's question about the same token.
const AWAIT: Duration = Duration::from_secs(5);
/// How often it looks again after having waited.
const TRIES: usize = 3;
/// The most tokens that sessions may live by.
const MAX_HELD: usize = 10_000;

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
    /// Since when no session lives by it.
    unused_since: Timestamp,
}

impl Introspector {
    pub(crate) fn new(issuer: Arc<Issuer>, config: IntrospectionConfig, secret: Secrets) -> Self {
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

    /// Whether it is the one to ask about a token.
    pub(crate) fn is_asked_about(&self, token: &str) -> bool {
        is_opaque(token, self.config.token_prefix.as_deref())
    }

    /// Whether it is asked only about tokens that begin in a certain way: it comes before the one that is asked about
    /// all.
    pub(crate) const fn has_prefix(&self) -> bool {
        self.config.token_prefix.is_some()
    }

    /// Says who the caller is, by what the issuer says.
    pub(crate) async fn verify(&self, token: &str, proven: &Proven) -> Result<Subject, IdentityError> {
        let digest = TokenDigest::of(token);
        let answer = self.answer(token, digest).await?;
        let subject = answer.verify(&self.issuer, digest, proven, clock::now())?;
        self.hold(token, digest, proven, &subject, answer.asked_at())?;
        Ok(subject)
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
            known.unused_since = now;
            return Ok(());
        }
        if held.len() >= MAX_HELD {
            return Err(self.not_asked("too many tokens are in use"));
        }
        let (token, subject) = (Secret::new(token.to_owned()), subject.clone());
        let asked_at = confirmed_at;
        held.insert(digest, Held { token, proven: *proven, subject, confirmed_at, asked_at, unused_since: now });
        Ok(())
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
