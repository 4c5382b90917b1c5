//! What becomes of leases: renewed while a session uses them, given back when none does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::config::TargetConfig;

use super::openbao::{Renewal, Server};
use super::pair::{Due, Pair};
use super::{Credentials, locked};
use crate::node::Node;

/// How often it is looked what is due.
const EVERY: Duration = Duration::from_millis(250);

/// How long after a failure a renewal is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long giving everything back may take when Sluice stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// Looks after the leases of every target, for as long as it is polled.
pub(crate) async fn run(node: &Node) {
    loop {
        tokio::time::sleep(EVERY).await;
        tend(&node.credentials, node).await;
    }
}

/// Gives back what sessions had, which have ended. What cannot be given back in time ends by itself.
pub(crate) async fn finish(node: &Node) {
    let leased = std::mem::take(&mut *locked(&node.credentials.leased));
    let returning = async {
        for pair in &leased {
            pair.close();
            give_back(pair, node).await;
        }
        for server in node.credentials.servers.all() {
            server.log_out().await;
        }
    };
    if tokio::time::timeout(GOODBYE, returning).await.is_err() {
        tracing::warn!("leases are left to end by themselves: their server does not answer in time");
    }
}

async fn tend(credentials: &Credentials, node: &Node) {
    let leased = locked(&credentials.leased).clone();
    if leased.is_empty() {
        return;
    }
    for server in credentials.servers.all() {
        server.renew_token().await;
    }
    forget_what_no_target_has(credentials, node);
    for pair in &leased {
        let over = match pair.due(Instant::now()) {
            Due::Nothing => false,
            Due::Renewal => renew(pair, node).await,
            Due::Return => {
                give_back(pair, node).await;
                true
            }
            Due::Over => true,
        };
        if over {
            locked(&credentials.leased).retain(|other| !Arc::ptr_eq(other, pair));
        }
    }
}

/// What no target of the revision in force names is for no login any more.
fn forget_what_no_target_has(credentials: &Credentials, node: &Node) {
    let active = node.revisions.current();
    locked(&credentials.sources).retain(|(target, user, source), known| {
        let is_it = |target: &TargetConfig| target.password() == Some(source) && target.logs_in_as(user.as_ref());
        let is_named = active.targets.get(target).is_some_and(|target| is_it(target));
        if !is_named && let Some(Ok(kept)) = locked(&known.last).as_ref().map(|last| &last.outcome) {
            kept.pair().iter().for_each(|pair| pair.close());
        }
        is_named
    });
}

/// Renews a lease; says whether there is nothing left to be done with it.
async fn renew(pair: &Pair, node: &Node) -> bool {
    let Some(lease) = &pair.lease else { return true };
    if !lease.is_renewable {
        pair.cannot_be_renewed();
        return false;
    }
    let asked = Instant::now();
    match lease.server.renew(node, &lease.id, lease.given).await {
        Ok(Renewal::For(held)) => {
            pair.renewed(asked, held);
            false
        }
        Ok(Renewal::Refused) => {
            tracing::info!(server = lease.server.name(), "a lease cannot be renewed: the next login takes another one");
            pair.cannot_be_renewed();
            false
        }
        Err(error) => {
            tracing::warn!(server = lease.server.name(), %error, "a lease is not renewed yet");
            pair.renew_again(Instant::now() + AGAIN);
            false
        }
    }
}

async fn give_back(pair: &Pair, node: &Node) {
    let Some(lease) = &pair.lease else { return };
    if let Err(error) = Server::revoke(&lease.server, node, &lease.id).await {
        tracing::warn!(server = lease.server.name(), %error, "a lease is left to end by itself");
    }
}
