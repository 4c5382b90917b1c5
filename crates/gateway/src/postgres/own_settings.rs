//! What a client says to Sluice itself, in the target's own language: `SET sluice.…`.

use std::sync::Arc;

use effects::postgres::{Own, OwnSetting};
use model::event::Event;
use wire::postgres::pipeline::Sent;

use super::analysed::Known;
use super::end::End;
use super::refusal::Refusal;
use super::say;
use super::session::{Flow, Owed, Session, Stall};
use super::staging::{Staged, Substitute};

/// What the reason for a refused renewal begins with: the session goes on.
const RENEWAL: &str = "renewal: ";
/// What the reason for a refused user of a statement begins with: the session goes on.
const USER: &str = "user of a statement: ";

/// Why a credential that is right does not take the place of the session's.
pub(super) const ANOTHERS: &str = "the credential is another caller's, or not bound as the session's is";

/// Whether a session goes on after a `SessionRefused` of this reason.
pub(crate) fn goes_on(reason: &str) -> bool {
    [RENEWAL, USER].iter().any(|beginning| reason.starts_with(beginning))
}

impl Session {
    pub(super) async fn own_query(&mut self, own: &Own, known: &Known) -> Result<Flow, End> {
        if let Some(stall) = self.waits_for_its_transaction(own) {
            return Ok(Flow::Stalled(stall));
        }
        match self.carry_out(own).await {
            Ok(tag) => {
                self.introduce(&known.analysed);
                self.names.forget_unnamed();
                let sent = Some((Sent::Query, Owed::Replaced(tag)));
                let permit = policy::Permit::own(policy::OwnStatement::Empty, self.caller.session.request(0));
                let (entry, bytes) = (None, say::query(""));
                self.staged.push(Staged { permit, entry, sent, bytes, substitute: Substitute::Itself });
                Ok(Flow::Done)
            }
            Err(refusal) => Ok(self.refuse_unread(refusal, Substitute::Query)),
        }
    }

    /// Whether a setting is for the open transaction, and it is not known yet which one that is.
    pub(super) fn waits_for_its_transaction(&mut self, own: &Own) -> Option<Stall> {
        let is_local = matches!(own, Own::Set { setting: OwnSetting::UserToken, local: true, .. });
        (is_local && !self.is_answered()).then(|| {
            self.ask_for_replies();
            Stall::Answered
        })
    }

    /// Does what a `SET sluice.…` asks for; returns the command tag.
    pub(super) async fn carry_out(&mut self, own: &Own) -> Result<&'static str, Refusal> {
        match own {
            Own::Set { setting: OwnSetting::Token, value, .. } => {
                let subject = self.verify_renewal(value).await?;
                self.renew(subject.into()).map_err(|_| Refusal::TokenRefused)?;
                Ok("SET")
            }
            Own::Set { setting: OwnSetting::UserToken, value, local } => {
                let verified = self.verify(value).await;
                let subject = verified.map_err(|error| self.user_refused(&error.to_string()))?;
                self.caller.local_user = None;
                let user = if *local { &mut self.caller.local_user } else { &mut self.caller.user };
                *user = Some(Arc::new(subject));
                Ok("SET")
            }
            Own::Set { setting: OwnSetting::Reason, value, .. } => {
                self.caller.reason = Some(value.chars().take(500).collect::<String>().into());
                Ok("SET")
            }
            Own::Reset(OwnSetting::Token) => Err(Refusal::Unsupported("RESET sluice.token")),
            Own::Reset(OwnSetting::UserToken) => {
                self.caller.user = None;
                self.caller.local_user = None;
                Ok("RESET")
            }
            Own::Reset(OwnSetting::Reason) => {
                self.caller.reason = None;
                Ok("RESET")
            }
            Own::Show(_) => Err(Refusal::Unsupported("SHOW of Sluice's own settings")),
        }
    }

    pub(super) async fn verify_renewal(&self, token: &str) -> Result<model::subject::Subject, Refusal> {
        match self.verify_credential(token).await {
            Ok(subject) if self.caller.subject.may_be_renewed_by(&subject) => Ok(subject),
            Ok(_) => Err(self.token_refused(ANOTHERS)),
            Err(error) => Err(self.token_refused(&error.to_string())),
        }
    }

    pub(super) fn token_refused(&self, reason: &str) -> Refusal {
        self.refused_beside_login(format!("{RENEWAL}{reason}"))
    }

    /// The user of a statement is not believed: the true reason for the journal.
    pub(super) fn user_refused(&self, reason: &str) -> Refusal {
        self.refused_beside_login(format!("{USER}{reason}"))
    }

    fn refused_beside_login(&self, reason: String) -> Refusal {
        let (session, source) = (self.caller.session, self.caller.source);
        self.node.recorder.note(Event::SessionRefused { session, source, reason: reason.into() });
        Refusal::TokenRefused
    }
}
