//! The end of a session: what it still owes is withdrawn, both sides are told, and the tape is finished.

use std::time::Duration;

use model::event::Event;
use policy::{Permit, ProtocolAct};

use super::end::End;
use super::say;
use super::session::{Owed, Session};

impl Session {
    /// Tells the client why, if there is a way, and closes both sides.
    pub(super) async fn close(&mut self, end: &End) {
        let withdrawn = "the session ended";
        self.withdraw_holds(withdrawn);
        if !self.pipeline.is_empty() {
            self.cancel_at_target();
        }
        let dropped: Vec<Owed> = self.pipeline.close().map(|(_, owed)| owed).collect();
        dropped.into_iter().for_each(|owed| self.forget(owed));
        self.end_all_runs();
        if let Some(told) = end.told(self.caller.session) {
            let mut message = Vec::new();
            say::report(&mut message, wire::postgres::encode::Severity::Fatal, &told);
            if self.outbox.own(&message).is_ok() {
                let _ = self.release();
            }
        }
        let goodbye = Permit::protocol(ProtocolAct::Terminate, self.caller.session.request(0));
        if !matches!(end, End::Target(_)) {
            let _ = self.target.send(goodbye, &self.opened, &say::terminate());
        }
        let both = async {
            tokio::join!(self.client.leg().close(), self.target.leg().close());
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), both).await;
        if matches!(end, End::Violation { .. }) {
            let _ = tokio::time::timeout(Duration::from_secs(1), self.client.leg().linger()).await;
        }
        let tape = self.tape.finish(&self.node).await;
        let reason = end.reason().into();
        self.node.recorder.note(Event::SessionClosed { session: self.caller.session, reason, tape });
    }
}
