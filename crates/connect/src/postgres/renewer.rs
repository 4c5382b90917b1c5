//! Live sessions, and how they get each new token before the old one ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use model::id::SessionId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::House;
use super::gateway::GatewayError;
use crate::backoff::Backoff;
use crate::keeper::Current;

/// The sessions that live.
#[derive(Default)]
pub struct Sessions {
    live: Mutex<HashMap<SessionId, Live>>,
    entered: Notify,
}

struct Live {
    database: Arc<str>,
    /// The number of the token that it has.
    token: u64,
}

impl Sessions {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a session that began with this token; it leaves when the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>, session: SessionId, database: &str, token: u64) -> Entered {
        self.lock().insert(session, Live { database: database.into(), token });
        self.entered.notify_one();
        Entered { sessions: Arc::clone(self), session }
    }

    /// Those that have an older token, by their databases.
    fn behind(&self, token: u64) -> BTreeMap<Arc<str>, Vec<SessionId>> {
        let mut behind = BTreeMap::<_, Vec<SessionId>>::new();
        for (session, live) in self.lock().iter().filter(|(_, live)| live.token < token) {
            behind.entry(Arc::clone(&live.database)).or_default().push(*session);
        }
        behind
    }

    fn caught_up(&self, sessions: &[SessionId], token: u64) {
        let mut live = self.lock();
        sessions.iter().for_each(|session| {
            live.entry(*session).and_modify(|live| live.token = token);
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
    if current.token.is_over(SystemTime::now()) {
        return Ok(());
    }
    for (database, behind) in house.sessions.behind(current.number) {
        let renewed = house.gateway.renew(&database, &behind, &current.token).await?;
        // Whatever Sluice did not renew is no session of its any more: it ends by itself.
        house.sessions.caught_up(&behind, current.number);
        tracing::info!(%database, sessions = renewed.len(), of = behind.len(), "sessions renewed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_behind_until_it_has_the_newest_token() {
        let sessions = Arc::new(Sessions::default());
        let (one, two) = (SessionId::from_bits(1), SessionId::from_bits(2));
        let entered = sessions.enter(one, "payments", 1);
        let _stays = sessions.enter(two, "orders", 2);
        assert_eq!(sessions.behind(1), BTreeMap::new());
        assert_eq!(sessions.behind(2), BTreeMap::from([("payments".into(), vec![one])]));
        sessions.caught_up(&[one, SessionId::from_bits(3)], 2);
        assert_eq!((sessions.behind(2).len(), sessions.count()), (0, 2));
        drop(entered);
        assert_eq!(sessions.behind(3), BTreeMap::from([("orders".into(), vec![two])]));
        assert_eq!(sessions.count(), 1);
    }
}
