//! Live sessions, and how they get each new token before the old one ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use model::id::SessionId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::House;
use super::gateway::GatewayError;
use crate::backoff::Backoff;
use crate::keeper::Current;

/// The sessions that live, each with the number of the token that it has.
#[derive(Default)]
pub struct Sessions {
    live: Mutex<HashMap<SessionId, u64>>,
    entered: Notify,
}

impl Sessions {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, u64>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a session that began with this token; it leaves when the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>, session: SessionId, token: u64) -> Entered {
        self.lock().insert(session, token);
        self.entered.notify_one();
        Entered { sessions: Arc::clone(self), session }
    }

    /// Those that have an older token.
    fn behind(&self, token: u64) -> Vec<SessionId> {
        self.lock().iter().filter(|(_, has)| **has < token).map(|(session, _)| *session).collect()
    }

    fn caught_up(&self, sessions: &[SessionId], token: u64) {
        let mut live = self.lock();
        sessions.iter().for_each(|session| {
            live.entry(*session).and_modify(|has| *has = token);
        });
    }
}

/// A session's place.
pub(super) struct Entered {
    sessions: Arc<Sessions>,
    session: SessionId,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.session);
    }
}

/// Renews until `stop`.
pub(super) async fn run(house: &House, stop: CancellationToken) {
    let mut tokens = house.keeper.watch();
    let mut backoff = Backoff::default();
    loop {
        let current = tokens.borrow_and_update().clone();
        let pause = match renew(house, &current).await {
            Ok(()) => {
                backoff.reset();
                None
            }
            Err(error) => {
                tracing::warn!(%error, "sessions cannot be renewed; trying again");
                Some(backoff.next_delay())
            }
        };
        let again = async {
            match pause {
                Some(delay) => tokio::time::sleep(delay).await,
                // A session may begin with the token of a moment ago.
                None => house.sessions.entered.notified().await,
            }
        };
        tokio::select! {
            () = again => {}
            changed = tokens.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

async fn renew(house: &House, current: &Current) -> Result<(), GatewayError> {
    let behind = house.sessions.behind(current.number);
    if behind.is_empty() || current.token.is_over(SystemTime::now()) {
        return Ok(());
    }
    let renewed = house.gateway.renew(&behind, &current.token).await?;
    // Whatever Sluice did not renew is no session of its any more: it ends by itself.
    house.sessions.caught_up(&behind, current.number);
    tracing::info!(sessions = renewed.len(), of = behind.len(), "sessions renewed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_behind_until_it_has_the_newest_token() {
        let sessions = Arc::new(Sessions::default());
        let (one, two) = (SessionId::from_bits(1), SessionId::from_bits(2));
        let entered = sessions.enter(one, 1);
        let _stays = sessions.enter(two, 2);
        assert_eq!(sessions.behind(1), []);
        assert_eq!(sessions.behind(2), [one]);
        sessions.caught_up(&[one, SessionId::from_bits(3)], 2);
        assert_eq!((sessions.behind(2).len(), sessions.count()), (0, 2));
        drop(entered);
        assert_eq!((sessions.behind(3), sessions.count()), (vec![two], 1));
    }
}
