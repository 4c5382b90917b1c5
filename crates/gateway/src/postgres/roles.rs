//! A role of its own for each session (`ephemeral_role`): made before it, dropped after it.
//!
//! The credential of the target makes and drops them, on a connection of Sluice's own, each statement journaled first. Their
//! passwords exist in this process alone: the target is told the verifier (RFC 5803), so that not even its log has more. What
//! a killed process left behind is found by its name and by this journal's knowledge of the session, and dropped.
//!
//! What it must never do: drop a role that this Sluice did not make, or that a session still has.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::id::SessionId;
use model::secret::Secret;
use policy::OwnStatement;
use store::config::{EphemeralRole, OwnedObjects};
use tokio::sync::{Notify, OwnedMutexGuard};

use super::server::Server;
use super::session::Place;
use super::upstream::{self, ConnectError, Connected, OwnConnection, Whom};
use crate::node::Node;

mod statements;

pub(in crate::postgres) use statements::identifier;
mod sweep;

/// What an approval is bound to in place of the name of such a role, which is another one each time. Longer than any name of a
/// role.
pub(super) const OWN_ROLE: &str = "the role that Sluice made for this session, and that is dropped at its end";

/// How long making or dropping one may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often one that cannot be dropped is tried again at once: its server process may still be ending.
const ATTEMPTS: u32 = 6;

/// The wait after the first of them; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// How often leftovers are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// How long the last ones may take when Sluice stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// Logs a session in: as a role of its own where the target has that, else with the target's credential.
pub(super) async fn connect(
    node: &Node,
    place: &Place,
    session: SessionId,
    settings: &[(String, String)],
) -> Result<Connected, ConnectError> {
    let (server, database) = (&place.server, &*place.database);
    let Some(wanted) = &server.postgres.credential.ephemeral_role else {
        let receipt = upstream::record_use(node, server, session).await?;
        return upstream::connect(node, server, database, session, &receipt, Whom::Sluice, settings).await;
    };
    let making = node.roles.make(node, place, session, wanted);
    let (role, password) = tokio::time::timeout(DEADLINE, making).await.map_err(|_| ConnectError::Deadline)??;
    let receipt = upstream::record_role(node, server, session, &role).await?;
    let whom = Whom::Role(&role, &password);
    let mut connected = upstream::connect(node, server, database, session, &receipt, whom, settings).await?;
    connected.held.role = Some(role);
    Ok(connected)
}

/// A role that was made for one session; it is dropped when this is.
pub(super) struct MadeRole {
    name: Arc<str>,
    roles: Arc<Roles>,
    left: Option<Left>,
}

impl MadeRole {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Drop for MadeRole {
    fn drop(&mut self) {
        if let Some(left) = self.left.take() {
            self.roles.used().remove(&left.session);
            self.roles.locked().push(left);
            self.roles.news.notify_one();
        }
    }
}

/// A role that is to be dropped, and where.
#[derive(Clone)]
struct Left {
    session: SessionId,
    server: Server,
    database: Arc<str>,
}

/// A connection that roles are made and dropped on, and for which configuration.
type Kept = Option<(Server, OwnConnection)>;

/// A target and one of its databases.
type Where = (Arc<str>, Arc<str>);

/// Its place, taken by one at a time.
type Shared = Arc<tokio::sync::Mutex<Kept>>;

/// That connection in use.
struct Administration {
    place: OwnedMutexGuard<Kept>,
    server: Server,
    connection: OwnConnection,
}

impl Administration {
    /// All that was asked is answered: the next one may use it. Whoever stops in the middle leaves no half-read answer behind.
    fn put_back(self) {
        let Self { mut place, server, connection } = self;
        *place = Some((server, connection));
    }
}

/// The roles of all sessions.
#[derive(Default)]
pub(crate) struct Roles {
    administrations: Mutex<HashMap<Where, Shared>>,
    /// The sessions whose roles are used, or are being made.
    used: Mutex<HashSet<SessionId>>,
    left: Mutex<Vec<Left>>,
    news: Notify,
}

impl Roles {
    fn locked(&self) -> MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the role of this session is used, or waits to be dropped.
    fn is_held(&self, session: SessionId) -> bool {
        self.used().contains(&session) || self.locked().iter().any(|left| left.session == session)
    }

    async fn make(
        self: &Arc<Self>,
        node: &Node,
        place: &Place,
        session: SessionId,
        wanted: &EphemeralRole,
    ) -> Result<(MadeRole, Secret<String>), ConnectError> {
        let password = statements::password().map_err(|_| ConnectError::Internal("no randomness"))?;
        let name: Arc<str> = statements::name(session).into();
        let left = Left { session, server: place.server.clone(), database: Arc::clone(&place.database) };
        self.used().insert(session);
        // Whatever fails from here on, it is dropped: if it was not made, that does nothing.
        let role = MadeRole { name, roles: Arc::clone(self), left: Some(left) };
        let name = OwnStatement::CreateRole;
        let mut administration = self.administration(node, &place.server, &place.database, name).await?;
        let connection = &mut administration.connection;
        let until = statements::until(connection).await?;
        let text = statements::create(&role.name, &password, &until, wanted);
        run(connection, name, &text.map_err(|_| ConnectError::Internal("no randomness"))?).await?;
        administration.put_back();
        Ok((role, password))
    }

    /// The connection that roles of a target are administered on, once more if it still works. What is about to be done there
    /// is journaled.
    async fn administration(
        &self,
        node: &Node,
        server: &Server,
        database: &Arc<str>,
        name: OwnStatement,
    ) -> Result<Administration, ConnectError> {
        let key = (Arc::clone(server.name()), Arc::clone(database));
        let kept = {
            let mut all = self.administrations.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key).or_default())
        };
        let mut place = kept.lock_owned().await;
        if let Some((_, mut connection)) = place.take().filter(|(of, _)| of == server) {
            connection.record(node, name).await?;
            // It may have died since it was last used.
            if run(&mut connection, name, "SELECT 1").await.is_ok() {
                return Ok(Administration { place, server: server.clone(), connection });
            }
        }
        let connection = Box::pin(OwnConnection::open(node, server, database, name)).await?;
        Ok(Administration { place, server: server.clone(), connection })
    }

    /// Drops what sessions leave, and what a killed process left, for as long as it is polled.
    pub(crate) async fn run(&self, node: &Node) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.news.notified() => self.drop_left(node).await,
                _ = sweep.tick() => {
                    self.drop_left(node).await;
                    sweep::sweep(self, node).await;
                }
            }
        }
    }

    /// Drops what the last sessions left. What cannot be dropped in time is found at the next start.
    pub(crate) async fn finish(&self, node: &Node) {
        if tokio::time::timeout(GOODBYE, self.drop_left(node)).await.is_err() {
            tracing::warn!("roles of sessions are left at their targets; the next start drops them");
        }
    }

    async fn drop_left(&self, node: &Node) {
        let left = std::mem::take(&mut *self.locked());
        for role in left {
            let dropped = self.drop_patiently(node, &role).await;
            if let Err(error) = dropped {
                let (session, target) = (role.session, role.server.name());
                tracing::warn!(%session, %target, %error, "the role of a session is not dropped yet");
            }
        }
    }

    async fn drop_patiently(&self, node: &Node, role: &Left) -> Result<(), ConnectError> {
        let mut wait = FIRST_WAIT;
        for _ in 0..ATTEMPTS {
            let dropping = tokio::time::timeout(DEADLINE, self.drop_role(node, role));
            match dropping.await.unwrap_or(Err(ConnectError::Deadline))? {
                Dropped::Gone => return Ok(()),
                Dropped::StillUsed => tokio::time::sleep(wait).await,
            }
            wait = wait.saturating_mul(2);
        }
        Err(ConnectError::Internal("its server process does not end"))
    }

    async fn drop_role(&self, node: &Node, role: &Left) -> Result<Dropped, ConnectError> {
        let name = statements::name(role.session);
        let owned = match &role.server.postgres.credential.ephemeral_role {
            Some(EphemeralRole { owned, .. }) => owned.clone(),
            None => OwnedObjects::Drop,
        };
        let own = OwnStatement::DropRole;
        let mut administration = self.administration(node, &role.server, &role.database, own).await?;
        let connection = &mut administration.connection;
        let dropped = if statements::is_connected(connection, &name).await? {
            Dropped::StillUsed
        } else {
            if statements::exists(connection, &name).await? {
                for text in statements::removal(&name, &owned) {
                    run(connection, own, &text).await?;
                }
            }
            Dropped::Gone
        };
        administration.put_back();
        Ok(dropped)
    }
}

/// What became of a role that is to be dropped.
enum Dropped {
    Gone,
    /// A server process is still logged in as it.
    StillUsed,
}

async fn run(connection: &mut OwnConnection, name: OwnStatement, text: &str) -> Result<(), ConnectError> {
    connection.query(name, text, &mut |_| Ok(())).await
}
