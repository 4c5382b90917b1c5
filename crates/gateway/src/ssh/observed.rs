//! What runs only while somebody observes it (`@require_observer`): it waits while nobody does.

use std::sync::Arc;

use tokio::time::Instant;

use super::channel::say;
use super::refusal::Refusal;
use super::relay::Relay;
use super::session::{Changes, Standing};
use crate::observers::{Awaiting, told};

/// What may be shown to the caller from here on: what changed is taken up. While nobody observes, nothing is shown, for as
/// long as a request is held.
pub(super) async fn observed(relay: &Relay, changes: &mut Changes) -> Result<Arc<Standing>, Refusal> {
    let until = Instant::now() + relay.session.node.config.approvals.hold_max;
    let mut waiting = None;
    loop {
        let standing = Arc::clone(&changes.borrow_and_update());
        let refusal = match relay.may_go_on(&standing) {
            Ok(()) => {
                if waiting.is_some() {
                    relay.tell("sluice: it goes on.").await;
                }
                return Ok(standing);
            }
            Err(refusal) => refusal,
        };
        let Refusal::Unobserved(whom) = &refusal else { return Err(refusal) };
        if Instant::now() >= until {
            return Err(refusal);
        }
        if waiting.is_none() {
            waiting = Some(Awaiting::begin(&relay.session.signals, whom));
            relay.tell(&told(relay.session.id, "paused: it waits for", whom)).await;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Err(Refusal::Gone) },
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// The caller's own way to the target, which does not wait for what is shown: whoever reads nothing could else write on
/// while nobody observes.
pub(super) struct Observed {
    changes: Changes,
}

impl Observed {
    pub(super) fn of(relay: &Relay) -> Self {
        let mut changes = relay.session.changes();
        changes.mark_changed();
        Self { changes }
    }

    /// Waits while nobody observes what needs it.
    ///
    /// # Errors
    /// Nothing more may be written: the other way says why.
    pub(super) async fn wait(&mut self, relay: &Relay) -> Result<(), Refusal> {
        while self.changes.has_changed().map_err(|_| Refusal::Gone)? {
            let standing = Arc::clone(&self.changes.borrow_and_update());
            match relay.may_go_on(&standing) {
                Ok(()) => return Ok(()),
                Err(Refusal::Unobserved(_)) => self.changes.changed().await.map_err(|_| Refusal::Gone)?,
                Err(refusal) => return Err(refusal),
            }
            self.changes.mark_changed();
        }
        Ok(())
    }
}

impl Relay {
    /// Tells the caller something of Sluice's own, which the tape has too.
    async fn tell(&self, line: &str) {
        let in_terminal = self.carries == effects::ssh::Carries::Terminal;
        say(&self.session, self.number, &self.client, line, in_terminal).await;
    }
}
