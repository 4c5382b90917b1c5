//! How a session begins: whether its subject may have it, and that it is recorded.

use std::net::IpAddr;
use std::sync::Arc;

use ledger::{Level, Receipt};
use model::class::Labels;
use model::decision::Outcome;
use model::effect::{Effect, Object, Verb};
use model::event::Event;
use model::id::{Digest, SessionId};
use policy::Context;

use super::{Place, Standing};
use crate::clock;
use crate::node::Node;
use crate::recorder::{NotRecorded, entry};
use crate::sessions::LiveSession;

impl<P: Place> Standing<P> {
    /// Whether the subject may open a session here, as `object`.
    ///
    /// # Errors
    /// The true reason why not, for the journal.
    pub(crate) fn may_connect(&self, object: Object, source: IpAddr) -> Result<(), String> {
        let (labels, context) = (Labels::default(), Context::at_the_start(&self.subject, source, clock::now()));
        let verdict = self.bench(&labels).opening(&[Effect::new(Verb::Connect, object)], &context);
        if verdict.outcome() == Outcome::Allow {
            return Ok(());
        }
        let why = verdict.denial().map_or_else(
            || "a connection cannot wait for an approval".to_owned(),
            |denial| format!("{}: {}", denial.missing, denial.message),
        );
        Err(format!("{} of [{}] may not {why}", self.subject.key, self.subject.groups.join(", ")))
    }

    /// Records that a session begins, of a client that calls itself this.
    ///
    /// # Errors
    /// If it cannot be recorded: then it does not begin.
    pub(crate) async fn record_opening(
        &self,
        node: &Node,
        session: SessionId,
        source: IpAddr,
        application: &str,
    ) -> Result<Receipt, NotRecorded> {
        let event = Event::SessionOpened {
            session,
            subject: self.subject.clone(),
            target: Arc::clone(&self.place.model().name),
            database: Arc::clone(self.place.database()),
            source,
            application: application.into(),
            revision: self.active.id,
        };
        let receipts = node.recorder.record(vec![entry(event)], Level::Process).await?;
        receipts.into_iter().next().ok_or(NotRecorded::Unwritable)
    }

    /// How a session that begins now is listed, with the certificate of its connection.
    pub(crate) fn live(&self, session: SessionId, source: IpAddr, certificate: Option<Digest>) -> LiveSession {
        LiveSession {
            session,
            subject: self.subject.key.clone(),
            on_behalf_of: self.subject.on_behalf_of.clone(),
            target: Arc::clone(&self.place.model().name),
            database: Arc::clone(self.place.database()),
            source,
            opened_at: clock::now(),
            binding: self.subject.binding,
            certificate,
            awaits_observer: Vec::new(),
        }
    }
}
