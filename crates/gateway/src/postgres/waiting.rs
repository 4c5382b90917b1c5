//! What a session waits for between two turns, and what it does about it: either side, the clock, a human, an operator.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use model::event::Event;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::end::End;
use super::session::{Hold, Session, Stall};
use crate::clock;
use crate::gate::{HIGH_WATER, Moved};
use crate::sessions::{PassingOn, Renewal, Signal, ends_at, expiry};

/// What ended a wait.
enum Woken {
    Room,
    Client(Moved),
    Target(Moved),
    Signals,
    Approval,
    Deadline,
}

impl Session {
    /// Waits for either side, the clock, a human or an operator, and acts on it.
    pub(super) async fn wait_and_act(&mut self, for_room: bool) -> Result<(), End> {
        match self.wait(for_room).await? {
            Woken::Room => {}
            Woken::Client(Moved::Read) => self.is_active(),
            Woken::Client(Moved::Closed) => return Err(End::Client("the client closed the connection")),
            Woken::Target(Moved::Read) => {
                self.is_active();
                self.serve_target()?;
            }
            Woken::Target(Moved::Closed) => {
                self.serve_target()?;
                return Err(End::Target("the target closed the connection"));
            }
            Woken::Signals => self.act_on_signals().await?,
            Woken::Approval => self.retry_held(),
            Woken::Deadline => self.act_on_deadline()?,
        }
        Ok(())
    }

    async fn wait(&mut self, for_room: bool) -> Result<Woken, End> {
        let deadline = self.deadline();
        if deadline < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(deadline);
        }
        let holding = matches!(self.stall, Some(Stall::Hold(_)));
        // While a message is stalled, the socket is read on only as far as to notice that the client went away. Otherwise
        // what is in the inbox is a part of one message, whose length was checked: the rest of it has to come in.
        let waits = self.stall.is_some() || self.waiting.is_some();
        let has_room = !waits || self.client.leg().inbox.len() < HIGH_WATER;
        if holding && !has_room {
            // A client that is not read any more could go away unnoticed, and its request be approved all the same.
            let message = "more was sent behind a request that waits for approval than can be kept".to_owned();
            return Err(End::Violation { sqlstate: "53400", message });
        }
        let signals = Arc::clone(&self.signals);
        let (client, target, timer) = (self.client.leg(), self.target.leg(), self.timer.as_mut());
        let io = poll_fn(|cx| {
            loop {
                // One side is read while there is room on the other.
                let read_client = has_room && target.backlog() < HIGH_WATER;
                let read_target = client.backlog() < HIGH_WATER;
                // Both are always polled, so that both write what waits.
                let from_target = target.poll_io(cx, read_target);
                let from_client = client.poll_io(cx, read_client);
                return match (from_target, from_client) {
                    (Poll::Ready(Ok(moved)), _) => Poll::Ready(Ok(Woken::Target(moved))),
                    (Poll::Ready(Err(_)), _) => Poll::Ready(Err(End::Target("the connection to the target broke"))),
                    (Poll::Pending, Poll::Ready(Ok(moved))) => Poll::Ready(Ok(Woken::Client(moved))),
                    (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(Err(End::Client("the connection broke"))),
                    (Poll::Pending, Poll::Pending) if for_room && target.backlog() < HIGH_WATER => {
                        Poll::Ready(Ok(Woken::Room))
                    }
                    // What was written made room: nobody else would wake this.
                    (Poll::Pending, Poll::Pending) if !read_target && client.backlog() < HIGH_WATER => continue,
                    (Poll::Pending, Poll::Pending) if !read_client && has_room && target.backlog() < HIGH_WATER => {
                        continue;
                    }
                    (Poll::Pending, Poll::Pending) => Poll::Pending,
                };
            }
        });
        let approval = async {
            match &mut self.stall {
                Some(Stall::Hold(hold)) if holding => hold.changed().await,
                _ => std::future::pending().await,
            }
        };
        // In this order, as the two sides might never stop talking.
        tokio::select! {
            biased;
            () = signals.raised() => Ok(Woken::Signals),
            () = timer => Ok(Woken::Deadline),
            () = approval => Ok(Woken::Approval),
            woken = io => woken,
        }
    }

    /// The next moment at which something has to happen by itself.
    fn deadline(&self) -> Instant {
        // By whichever clock it is over first.
        let mut next = ends_at(&self.node, &self.caller.subject).min(self.caller.ends_at);
        if let Some(idle) = self.node.config.limits.idle_timeout {
            next = next.min(self.last_activity + idle);
        }
        if let Some(Stall::Hold(hold)) = &self.stall {
            next = next.min(hold.until);
        }
        next = self.rests_at().map_or(next, |rests| next.min(rests));
        let part_due = self.tape.due_at().map_or(next, |due| next.min(due));
        self.draining.map_or(part_due, |draining| part_due.min(draining))
    }

    fn act_on_deadline(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.caller.ends_at || clock::now() >= expiry(&self.node, &self.caller.subject) {
            return Err(End::Expired);
        }
        if self.draining.is_some_and(|until| now >= until) {
            return Err(End::Administrator("Sluice is stopping"));
        }
        if self.node.config.limits.idle_timeout.is_some_and(|idle| now >= self.last_activity + idle) {
            return Err(End::Idle);
        }
        self.rest();
        self.rotate_tape(self.pipeline.is_empty() && self.waiting.is_none() && self.stall.is_none());
        self.retry_held();
        Ok(())
    }

    /// Lets a held request look at its approval again.
    pub(super) fn retry_held(&mut self) {
        if let Some(Stall::Hold(_)) = &self.stall {
            self.stall = None;
        }
    }

    async fn act_on_signals(&mut self) -> Result<(), End> {
        let raised = self.signals.take();
        if raised(Signal::Kill) {
            return Err(End::Administrator("the session was ended by an administrator"));
        }
        if raised(Signal::Renew)
            && let Some(renewal) = self.signals.take_renewal()
        {
            // The admin API looked at the session as it was when it opened.
            if self.caller.subject.may_be_renewed_by(&renewal.subject) {
                self.renew(renewal)?;
            } else {
                self.token_refused(super::own_settings::ANOTHERS);
            }
        }
        if raised(Signal::Trust) {
            self.stand()?;
            // What is held may be so on behalf of somebody who is not believed any more.
            self.retry_held();
        }
        if raised(Signal::Revision) {
            self.take_revision()?;
        }
        if raised(Signal::Cancel) {
            self.cancel();
        }
        if raised(Signal::Drain) {
            self.draining = Some(Instant::now() + self.node.config.sessions.drain);
        }
        Ok(())
    }

    /// Takes up a renewed credential of the same caller.
    pub(super) fn renew(&mut self, renewal: Renewal) -> Result<(), End> {
        if !self.caller.subject.may_be_renewed_by(&renewal.subject) {
            return Err(End::Internal("a credential of somebody else was handed in"));
        }
        // It may have been revoked while it lay in the mailbox.
        let subject = self.as_believed(&renewal.subject, renewal.svid.as_ref())?;
        let before = &self.caller.subject;
        let changed = before.groups != subject.groups || before.binding != subject.binding;
        let expires_at = subject.expires_at;
        self.signals.live_by(subject.token_id.clone());
        self.hold_by(Renewal { subject, ..renewal });
        self.node.recorder.note(Event::SessionRenewed { session: self.caller.session, expires_at });
        if changed {
            self.adopt(Arc::clone(&self.active));
        }
        Ok(())
    }

    /// The client asked to cancel: a held request is withdrawn, a running one is cancelled at the target.
    fn cancel(&mut self) {
        let waiting = self.signals.take_cancels();
        if matches!(self.stall, Some(Stall::Hold(_))) {
            self.cancelled = true;
            self.retry_held();
        } else if !self.pipeline.is_empty() {
            self.cancel_at_target_for(waiting);
        }
    }

    /// Asks the target to cancel what runs, on a connection of its own.
    pub(super) fn cancel_at_target(&self) {
        self.cancel_at_target_for(Vec::new());
    }

    /// Likewise, and tells those who wait for it when it is done.
    fn cancel_at_target_for(&self, waiting: Vec<PassingOn>) {
        let (node, place, session) = (Arc::clone(&self.node), self.place.clone(), self.caller.session);
        self.node.tasks.spawn(async move {
            super::upstream::cancel(&node, &place, session).await;
            drop(waiting);
        });
    }
}

impl Hold {
    /// Waits until this approval changed. Cancel safe.
    async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok(approval) if approval != self.approval => {}
                // Lagging, it may have been told of: look again.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
