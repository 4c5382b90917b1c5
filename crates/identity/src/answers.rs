//! What issuers said of opaque tokens, and when to ask again, as a state machine without clock or socket: the gateway
//! does what it says.
//!
//! The bounds, all documented promises:
//! * an answer counts for [`AnswersTiming::max_age`] and not a moment longer; that a token is refused, for
//!   [`AnswersTiming::refused_age`];
//! * one question about a token is under way at a time: whoever else has the token waits for it;
//! * whatever callers send, at most [`AnswersTiming::rate`] questions are asked in a second, and [`MAX_UNDER_WAY`] are
//!   under way;
//! * at most [`MAX_ANSWERS`] answers are kept, and no token: they go by its digest.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::time::Timestamp;

use crate::{IdentityError, Introspected, TokenDigest};

/// The most answers that are kept.
const MAX_ANSWERS: usize = 10_000;
/// The most questions that are under way.
const MAX_UNDER_WAY: usize = 64;

/// The bounds of [`Answers`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswersTiming {
    /// How long a token is believed that was active, in milliseconds. Default: 30 s.
    pub max_age: u64,
    /// How long one is refused that was not, or that could not be asked about, in milliseconds. Default: 5 s.
    pub refused_age: u64,
    /// The most questions in a second. Default: 50.
    pub rate: u32,
}

impl Default for AnswersTiming {
    fn default() -> Self {
        Self { max_age: 30_000, refused_age: 5_000, rate: 50 }
    }
}

/// What to do about a token.
#[derive(Clone, PartialEq, Debug)]
pub enum Answered {
    /// This is what its issuer says, or why it is refused.
    Known(Result<Arc<Introspected>, IdentityError>),
    /// Ask, then call [`Answers::answered`] whatever became of it.
    Ask,
    /// Somebody is asking: wait for them, then look again.
    Await,
    /// Too much is asked already: refuse.
    Busy,
}

struct Answer {
    answer: Result<Arc<Introspected>, IdentityError>,
    asked_at: Timestamp,
}

impl Answer {
    /// An answer from the future, after the clock was set back, does not count.
    fn counts(&self, timing: &AnswersTiming, now: Timestamp) -> bool {
        let age = if self.answer.is_ok() { timing.max_age } else { timing.refused_age };
        self.asked_at <= now && now.millis_since(self.asked_at) < age
    }
}

/// The answers of one issuer.
pub struct Answers {
    timing: AnswersTiming,
    answers: HashMap<TokenDigest, Answer>,
    under_way: HashSet<TokenDigest>,
    /// The second that `asked` counts.
    second: u64,
    asked: u32,
}

impl Answers {
    /// None yet.
    pub fn new(timing: AnswersTiming) -> Self {
        Self { timing, answers: HashMap::new(), under_way: HashSet::new(), second: 0, asked: 0 }
    }

    /// What is known of a token. [`Answered::Ask`] is counted as a question.
    pub fn look(&mut self, token: TokenDigest, now: Timestamp) -> Answered {
        match self.answers.get(&token).filter(|answer| answer.counts(&self.timing, now)) {
            Some(known) => Answered::Known(known.answer.clone()),
            None => self.ask(token, now),
        }
    }

    /// Whether to ask again about a token, known or not: that of a live session. Not counted: who asks again has bounds of
    /// its own, and strangers' tokens must not keep it from asking. A `true` is a question under way.
    pub fn ask_again(&mut self, token: TokenDigest) -> bool {
        self.under_way.insert(token)
    }

    /// What became of a question that was sent at `asked_at`.
    pub fn answered(
        &mut self,
        token: TokenDigest,
        answer: Result<Introspected, IdentityError>,
        asked_at: Timestamp,
    ) -> Result<Arc<Introspected>, IdentityError> {
        self.under_way.remove(&token);
        let answer = answer.map(Arc::new);
        if self.answers.len() >= MAX_ANSWERS && !self.answers.contains_key(&token) {
            self.make_room(asked_at);
        }
        self.answers.insert(token, Answer { answer: answer.clone(), asked_at });
        answer
    }

    /// A question was given up before it was answered.
    pub fn given_up(&mut self, token: TokenDigest) {
        self.under_way.remove(&token);
    }

    fn ask(&mut self, token: TokenDigest, now: Timestamp) -> Answered {
        if self.under_way.contains(&token) {
            return Answered::Await;
        }
        if self.second != now.seconds() {
            (self.second, self.asked) = (now.seconds(), 0);
        }
        if self.under_way.len() >= MAX_UNDER_WAY || self.asked >= self.timing.rate {
            return Answered::Busy;
        }
        self.asked = self.asked.saturating_add(1);
        self.under_way.insert(token);
        Answered::Ask
    }

    /// What does not count any more goes; if all counts, the oldest.
    fn make_room(&mut self, now: Timestamp) {
        let timing = self.timing;
        self.answers.retain(|_, answer| answer.counts(&timing, now));
        if self.answers.len() >= MAX_ANSWERS
            && let Some(oldest) = self.answers.iter().min_by_key(|(_, answer)| answer.asked_at).map(|(token, _)| *token)
        {
            self.answers.remove(&oldest);
        }
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Answers({}, {} under way)", self.answers.len(), self.under_way.len())
    }
}

#[cfg(test)]
mod tests;
