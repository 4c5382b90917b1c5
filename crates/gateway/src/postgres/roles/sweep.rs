//! Roles that a killed process left behind.

use std::sync::Arc;

use model::id::SessionId;
use policy::OwnStatement;
use store::audit::{FoundSession, SessionSearch};
use store::config::Databases;

use super::{DEADLINE, Left, Roles, statements};
use crate::node::Node;
use crate::postgres::server::Server;
use crate::postgres::upstream::ConnectError;

/// Roles with a name such as Sluice gives, that no server process is logged in as.
const UNUSED: &str = "SELECT rolname::pg_catalog.text FROM pg_catalog.pg_roles \
     WHERE rolname ~ '^sluice_[0-9a-z]{13}$' \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE usename = rolname)";

/// Drops what is left at every target that has roles for sessions.
pub(super) async fn sweep(roles: &Roles, node: &Node) {
    let active = node.revisions.current();
    let servers = active.targets.values().filter_map(Server::of);
    for server in servers.filter(|server| server.postgres.credential.ephemeral_role.is_some()) {
        let found = tokio::time::timeout(DEADLINE, leftovers(roles, node, &server)).await;
        match found.unwrap_or(Err(ConnectError::Deadline)) {
            Ok(left) => {
                for role in left {
                    tracing::info!(session = %role.session, target = %server.name(), "the role of an ended session is dropped");
                    if let Err(error) = roles.drop_role(node, &role).await {
                        tracing::warn!(session = %role.session, %error, "the role of an ended session is not dropped yet");
                    }
                }
            }
            Err(error) => tracing::warn!(target = %server.name(), %error, "leftover roles cannot be looked for"),
        }
    }
}

/// Roles of sessions that this journal knows to have been here, and that are over.
async fn leftovers(roles: &Roles, node: &Node, server: &Server) -> Result<Vec<Left>, ConnectError> {
    let Some(database) = somewhere(node, server).await else { return Ok(Vec::new()) };
    let name = OwnStatement::DropRole;
    let mut administration = roles.administration(node, server, &database, name).await?;
    let mut sessions: Vec<SessionId> = Vec::new();
    let mut take = |row: &[Option<&str>]| {
        sessions.extend(row.first().copied().flatten().and_then(statements::session));
        Ok(())
    };
    administration.connection.query(name, UNUSED, &mut take).await?;
    administration.put_back();
    let mut left = Vec::new();
    for session in sessions {
        if node.sessions.find(session).is_some() || node.roles.is_held(session) {
            continue;
        }
        // Another Sluice's is that one's to drop, and what is like one by its name alone is nobody's.
        if let Some(found) = known(node, session).await.filter(|found| *found.target == **server.name()) {
            left.push(Left { session, server: server.clone(), database: found.database.into() });
        }
    }
    Ok(left)
}

/// A database of the target to look from: roles are the same in all of them.
async fn somewhere(node: &Node, server: &Server) -> Option<Arc<str>> {
    match &server.postgres.databases {
        Databases::Only(names) => names.first().cloned(),
        // One that a session was in: without one, there is nothing left either.
        Databases::All => {
            let name = server.name().to_string();
            let search = SessionSearch { target: Some(name), limit: 1, ..SessionSearch::default() };
            found(node, search).await.map(|session| session.database.into())
        }
    }
}

async fn known(node: &Node, session: SessionId) -> Option<FoundSession> {
    found(node, SessionSearch { session: Some(session), limit: 1, ..SessionSearch::default() }).await
}

async fn found(node: &Node, search: SessionSearch) -> Option<FoundSession> {
    let state = Arc::clone(&node.state);
    let found = tokio::task::spawn_blocking(move || state.sessions(&search)).await.ok()?;
    found.ok()?.into_iter().next()
}
