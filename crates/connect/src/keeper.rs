//! Keeps a token fresh.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::issuer::IssuerError;
use crate::source::Source;
use crate::token::Token;

/// How soon a source is asked again at the earliest, whatever it says of its tokens.
const SOONEST: Duration = Duration::from_secs(1);

/// What is known at a moment.
#[derive(Clone)]
pub struct Current {
    /// The newest token; it may be over.
    pub token: Arc<Token>,
    /// How many tokens there have been.
    pub number: u64,
    /// Why the last attempt to get one failed, while it has not succeeded again.
    pub failing: Option<Arc<str>>,
}

/// A source, and the newest token from it.
pub struct Keeper {
    source: Source,
    current: watch::Sender<Current>,
}

impl Keeper {
    /// Gets the first token. What is transient is tried again until `patience` is over.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn start(source: Source, patience: Duration) -> Result<Self, IssuerError> {
        let mut backoff = Backoff::default();
        let deadline = tokio::time::Instant::now() + patience;
        let token = loop {
            let error = match source.token(SystemTime::now()).await {
                Ok(token) => break token,
                Err(error) => error,
            };
            let delay = backoff.next_delay();
            if !error.is_transient() || tokio::time::Instant::now() + delay >= deadline {
                return Err(error);
            }
            tracing::warn!(%error, "no token yet; trying again");
            tokio::time::sleep(delay).await;
        };
        let current = Current { token: Arc::new(token), number: 1, failing: None };
        Ok(Self { source, current: watch::Sender::new(current) })
    }

    /// The newest token, and each that comes.
    pub fn watch(&self) -> watch::Receiver<Current> {
        self.current.subscribe()
    }

    /// Renews until `stop`. A source that fails is tried again with growing delays; the old token serves meanwhile.
    pub async fn run(&self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let wait = self.wait(&mut backoff);
            let waited = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = waited => {}
                () = stop.cancelled() => return,
            }
            match self.source.token(SystemTime::now()).await {
                Ok(token) => {
                    backoff.reset();
                    self.succeeded(token);
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn wait(&self, backoff: &mut Backoff) -> Option<Duration> {
        let (now, current) = (SystemTime::now(), self.current.borrow());
        if current.failing.is_some() {
            return Some(backoff.next_delay());
        }
        let next = self.source.next_at(&current.token, now)?;
        Some(next.duration_since(now).unwrap_or_default().max(SOONEST))
    }

    fn succeeded(&self, token: Token) {
        self.current.send_if_modified(|current| {
            if current.failing.take().is_some() {
                tracing::info!(source = self.source.name(), "there are tokens again");
            }
            // A file that has not changed is no news.
            let is_new = current.token.expose() != token.expose();
            if is_new {
                current.token = Arc::new(token);
                current.number = current.number.saturating_add(1);
            }
            is_new
        });
    }

    fn failed(&self, error: &IssuerError) {
        tracing::warn!(source = self.source.name(), %error, "no new token; the old one serves while it lasts");
        self.current.send_modify(|current| current.failing = Some(error.to_string().into()));
    }
}
