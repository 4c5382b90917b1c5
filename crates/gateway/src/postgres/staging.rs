//! What goes out in a turn, each with what has to be proved before it does: messages to the target behind their receipts,
//! masked answers to the client behind the tape.

use bytes::Bytes;
use ledger::Level;
use policy::{OwnStatement, Permit, ProtocolAct};
use wire::postgres::pipeline::{Push, Sent};

use super::end::End;
use super::refusal::{Refusal, Told};
use super::say;
use super::session::{Owed, Session};
use crate::recorder::NotRecorded;

/// Something for the target, with what has to be proved before it goes.
pub(super) struct Staged {
    pub(super) permit: Permit,
    /// The index in `entries` of the entry whose receipt it goes with; `None` goes with the session's own or the run's.
    pub(super) entry: Option<usize>,
    pub(super) sent: Option<(Sent, Owed)>,
    pub(super) bytes: Bytes,
    /// What it is replaced with if it cannot be recorded.
    pub(super) substitute: Substitute,
}

/// What goes to the target in place of a message that may not go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Substitute {
    /// A Query that fails.
    Query,
    /// A Parse that fails: the rest of the pipeline is skipped.
    Parse,
    /// It goes all the same: it runs nothing by itself.
    Itself,
    /// What stands in for the client's message that waits for this read of Sluice's own.
    Waiting,
}

impl Session {
    /// Journals what was decided in this turn, then forwards what was permitted.
    pub(super) async fn commit(&mut self) -> Result<(), End> {
        if self.staged.is_empty() && self.entries.is_empty() {
            return Ok(());
        }
        let level = std::mem::replace(&mut self.level, Level::Process);
        let entries = std::mem::take(&mut self.entries);
        let introduced = crate::explained::introduced(&entries);
        let mut receipts = Vec::new();
        let mut recorded = Ok(());
        if !entries.is_empty() {
            match self.node.recorder.record(entries, level).await {
                Ok(all) => receipts = all.into_iter().map(Some).collect(),
                Err(error) => recorded = Err(error),
            }
        }
        match recorded {
            Ok(()) => self.node.recorder.introduced(introduced),
            // Whatever was decided here has no entry of its own.
            Err(NotRecorded::TooLong) => {
                self.node.recorder.gap(self.caller.session, "a decision was too long to record");
            }
            Err(NotRecorded::Unwritable) => {}
        }
        for staged in std::mem::take(&mut self.staged) {
            let receipt = staged.entry.and_then(|index| receipts.get_mut(index).and_then(Option::take));
            if let Some(receipt) = receipt {
                self.receipts.insert(staged.permit.request().number, receipt);
            }
            self.forward(staged, recorded)?;
        }
        Ok(())
    }

    /// Forwards one message, or what stands in for it if it could not be recorded.
    fn forward(&mut self, staged: Staged, recorded: Result<(), NotRecorded>) -> Result<(), End> {
        let Staged { permit, sent, bytes, substitute, .. } = staged;
        if let (Err(why), Substitute::Waiting) = (recorded, substitute) {
            return self.drop_own(why);
        }
        if let (Err(why), true) = (recorded, substitute != Substitute::Itself) {
            let told = Refusal::from(why).tell(permit.request());
            if let Some((_, Owed::Relay(relay))) = sent {
                self.dropped(relay);
            }
            let (sent, bytes) = say::failing(substitute);
            let permit = Permit::own(OwnStatement::Refused, self.caller.session.request(0));
            return self.send(permit, Some((sent, Owed::Refused(Box::new(told)))), &bytes);
        }
        self.send(permit, sent, &bytes)
    }

    /// Drops a read that could not be recorded, and refuses what waits for it: the first of its messages does, and the
    /// others are gone with it.
    fn drop_own(&mut self, why: NotRecorded) -> Result<(), End> {
        if self.own.take().is_none() {
            return Ok(());
        }
        let told = Refusal::from(why).tell(self.request());
        let (sent, bytes) = say::failing(self.refuse_waiting());
        let permit = Permit::own(OwnStatement::Refused, self.caller.session.request(0));
        self.send(permit, Some((sent, Owed::Refused(Box::new(told)))), &bytes)
    }

    fn send(&mut self, permit: Permit, sent: Option<(Sent, Owed)>, bytes: &[u8]) -> Result<(), End> {
        if let Some((sent, owed)) = sent {
            match self.pipeline.push(sent, owed) {
                Push::Forward => {}
                Push::Ignored(owed) => {
                    self.forget(owed);
                    return Ok(());
                }
                Push::Refused(_) => {
                    let message = "message is not allowed during COPY".to_owned();
                    return Err(End::Violation { sqlstate: "08P01", message });
                }
            }
        }
        let number = permit.request().number;
        let receipt = self.receipts.get(&number).unwrap_or(&self.opened);
        self.target.send(permit, receipt, bytes).map_err(|error| {
            tracing::error!(session = %self.caller.session, %error, "a message was held back");
            End::Internal("proofs do not fit")
        })
    }

    /// Stages a message that carries nothing of the caller's.
    pub(super) fn stage_protocol(&mut self, act: ProtocolAct, sent: Option<(Sent, Owed)>, bytes: Bytes) {
        let permit = Permit::protocol(act, self.caller.session.request(0));
        self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Itself });
    }

    /// Stages what stands in for a refused message, and journals nothing: the decision was journaled by the caller.
    pub(super) fn stage_refusal(&mut self, substitute: Substitute, told: Told) {
        let permit = Permit::own(OwnStatement::Refused, self.caller.session.request(0));
        let (sent, bytes) = say::failing(substitute);
        let sent = Some((sent, Owed::Refused(Box::new(told))));
        self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Itself });
    }

    /// Hands what was masked to the tape, and then to the client.
    pub(super) fn release(&mut self) -> Result<(), End> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        self.settle_account();
        let masked = self.outbox.finish();
        self.rotate_tape(false);
        let (tape, slow) = (&mut self.tape, !self.node.recorder.is_quick());
        let released = match crate::threads::may_block(slow, || tape.answer(masked)) {
            Ok(released) => released,
            Err(reason) => {
                self.node.recorder.gap(self.caller.session, reason);
                return Err(End::Withheld("the answer cannot be recorded"));
            }
        };
        let (buffer, _) = self.client.send(released);
        self.outbox.recycle(buffer);
        Ok(())
    }
}
