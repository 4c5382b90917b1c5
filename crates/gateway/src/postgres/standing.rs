//! Whether the identities behind a session are still believed, while it lives.

use std::sync::Arc;

use model::effect::Verb;

use super::analysed::Known;
use super::end::End;
use super::query::Origin;
use super::refusal::Refusal;
use super::session::Session;
use crate::clock;

impl Session {
    /// Looks whether the caller is still believed, and in which groups. Groups that were lost decide anew, as a revision
    /// does: what runs is cut if it is denied now, or more of it is masked. There is no grace.
    pub(super) fn stand(&mut self) -> Result<(), End> {
        let standing = self.node.issuers.standing(&self.caller.subject);
        let standing = standing.map_err(|error| End::Revoked(error.to_string()))?;
        if standing.groups != self.caller.subject.groups {
            self.caller.subject = standing;
            self.adopt(Arc::clone(&self.active));
        }
        Ok(())
    }

    /// Why a request is refused that names a user whose credential has ended or was revoked. To go on without the user
    /// would be to run it as somebody else; only the end of a transaction is nobody's.
    pub(super) fn user_does_not_stand(&self, known: &Known, origin: &Origin) -> Option<Refusal> {
        let vouched = match (&origin.user, &self.caller.user) {
            (Some(_), _) => &origin.vouched,
            (None, Some(_)) => &self.caller.vouched,
            (None, None) => return None,
        };
        let reason = match vouched {
            Some(user) if clock::now() >= user.expires_at => "the user's token has expired".to_owned(),
            Some(user) => self.node.issuers.standing(user).err()?.to_string(),
            None => "the user has no token".to_owned(),
        };
        let mut effects = known.analysed.statements.iter().flat_map(|statement| &statement.effects);
        if effects.all(|effect| effect.verb == Verb::Transaction) {
            return None;
        }
        Some(self.token_refused(&format!("user token: {reason}")))
    }
}
