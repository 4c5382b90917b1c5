//! The token that Sluice has at a server: had by logging in, renewed while leases depend on it, given up at the end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::Method;
use model::secret::Secret;
use serde_json::{Value, json};
use store::config::OpenBaoAuth;

use super::{Server, ServerError, seconds, text};
use crate::credentials::locked;
use crate::node::Node;

/// A token, and for how long it holds.
pub(in crate::credentials) struct Token {
    secret: Secret<String>,
    life: Mutex<Life>,
}

#[derive(Clone, Copy)]
struct Life {
    /// For how long it was given; `None` when somebody else looks after it.
    given: Option<Duration>,
    end: Option<Instant>,
    renew_at: Option<Instant>,
}

impl Token {
    pub(super) const fn secret(&self) -> &Secret<String> {
        &self.secret
    }

    /// When it ends, and all that was taken with it, if that is known.
    pub(in crate::credentials) fn end(&self) -> Option<Instant> {
        locked(&self.life).end
    }

    /// Whether a login would be better: it ends soon, and nothing can be done about it.
    fn is_over(&self, now: Instant) -> bool {
        let life = *locked(&self.life);
        let (Some(given), Some(end)) = (life.given, life.end) else { return false };
        // What ends by itself leaves time to take leases with the next one.
        let margin = if life.renew_at.is_some() { given / 10 } else { given / 3 };
        end.saturating_duration_since(now) <= margin
    }

    fn is_due(&self, now: Instant) -> bool {
        locked(&self.life).renew_at.is_some_and(|at| at <= now)
    }
}

impl Life {
    fn new(asked: Instant, given: Duration, is_renewable: bool) -> Self {
        Self { given: Some(given), end: Some(asked + given), renew_at: is_renewable.then_some(asked + given / 2) }
    }
}

impl Server {
    /// A token that may be used now; another one than `spent`, which the server refused.
    pub(super) async fn token(&self, node: &Node, spent: Option<&Arc<Token>>) -> Result<Arc<Token>, ServerError> {
        if let OpenBaoAuth::Token(source) = &self.config.auth {
            let secret = self.proof(node, source).await?;
            let life = Life { given: None, end: None, renew_at: None };
            return Ok(Arc::new(Token { secret, life: Mutex::new(life) }));
        }
        let mut held = self.token.lock().await;
        let is_spent = |token: &Arc<Token>| spent.is_some_and(|spent| Arc::ptr_eq(spent, token));
        match &*held {
            Some(token) if !token.is_over(Instant::now()) && !is_spent(token) => Ok(Arc::clone(token)),
            _ => {
                let token = Arc::new(self.log_in(node).await?);
                *held = Some(Arc::clone(&token));
                Ok(token)
            }
        }
    }

    async fn log_in(&self, node: &Node) -> Result<Token, ServerError> {
        let (mount, said) = match &self.config.auth {
            OpenBaoAuth::Token(_) => return Err(ServerError::Answer("a token needs no login")),
            OpenBaoAuth::AppRole { mount, role_id, secret_id } => {
                let secret_id = self.proof(node, secret_id).await?;
                (mount, json!({ "role_id": role_id, "secret_id": secret_id.expose() }))
            }
            OpenBaoAuth::Jwt { mount, role, token } => {
                let token = self.proof(node, token).await?;
                (mount, json!({ "role": role, "jwt": token.expose() }))
            }
        };
        let asked = Instant::now();
        let answer = self.exchange(Method::POST, &format!("auth/{mount}/login"), None, Some(&said)).await?;
        let auth = answer.get("auth").ok_or(ServerError::Answer("no token"))?;
        let secret = text(auth.get("client_token")).ok_or(ServerError::Answer("no token"))?;
        let is_renewable = auth.get("renewable").and_then(Value::as_bool).unwrap_or(false);
        let life = match seconds(auth.get("lease_duration")) {
            Some(given) => Life::new(asked, given, is_renewable),
            None => Life { given: None, end: None, renew_at: None },
        };
        Ok(Token { secret: Secret::new(secret.to_owned()), life: Mutex::new(life) })
    }

    /// Renews the token if that is due. One that cannot be renewed is followed by a login before it ends.
    pub(in crate::credentials) async fn renew_token(&self) {
        let held = self.token.lock().await.clone();
        let Some(token) = held.filter(|token| token.is_due(Instant::now())) else { return };
        let asked = Instant::now();
        let renewed = self.ask(Method::POST, "auth/token/renew-self", &token, Some(&json!({}))).await;
        let auth = renewed.as_ref().ok().and_then(|answer| answer.get("auth"));
        let held = auth.and_then(|auth| seconds(auth.get("lease_duration")));
        let mut life = locked(&token.life);
        match (renewed.as_ref(), held, life.given) {
            (Ok(_), Some(held), Some(given)) => {
                let goes_on = held >= given / 2;
                *life =
                    Life { given: life.given, end: Some(asked + held), renew_at: goes_on.then_some(asked + held / 2) };
            }
            (Err(ServerError::Fetch(_) | ServerError::Sealed), ..) => {
                life.renew_at = Some(Instant::now() + Duration::from_secs(1));
            }
            _ => life.renew_at = None,
        }
        drop(life);
        if let Err(error) = renewed {
            tracing::warn!(server = self.name(), %error, "a token is not renewed");
        }
    }

    /// Gives up the token that Sluice logged in for, and with it whatever was taken with it and is left.
    pub(in crate::credentials) async fn log_out(&self) {
        let Some(token) = self.token.lock().await.take() else { return };
        if let Err(error) = self.ask(Method::POST, "auth/token/revoke-self", &token, Some(&json!({}))).await {
            tracing::warn!(server = self.name(), %error, "a token is left to end by itself");
        }
    }
}
