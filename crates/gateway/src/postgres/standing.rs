//! Whether the identities behind a session are still believed, while it lives.

use std::sync::Arc;

use identity::{IdentityError, Proven};
use model::effect::Verb;
use model::subject::Subject;

use super::analysed::Known;
use super::end::End;
use super::query::Origin;
use super::refusal::Refusal;
use super::session::{Caller, Session};
use crate::clock;
use crate::sessions::{Renewal, Signal, ends_at};
use crate::tls::ClientCertificate;

/// Why what was held on behalf of a user is withdrawn.
pub(super) const UNBELIEVED_USER: &str = "the user is not believed any more";

impl Caller {
    /// What a token may be bound to that comes on this connection.
    pub(super) fn proven(&self) -> Proven {
        ClientCertificate::proven(self.certificate.as_ref())
    }
}

impl Session {
    /// Verifies a token that comes on this connection.
    pub(super) async fn verify(&self, token: &str) -> Result<Subject, IdentityError> {
        let issuers = &self.node.issuers;
        self.unless_it_ends(Box::pin(issuers.verify_for(token, &self.caller.proven(), &self.place.model.name))).await
    }

    /// Verifies what a client gives as its password: a token, or a short-lived password.
    pub(super) async fn verify_credential(&self, credential: &str) -> Result<Subject, IdentityError> {
        let issuers = &self.node.issuers;
        self.unless_it_ends(Box::pin(issuers.log_in(credential, &self.caller.proven(), &self.place.model.name))).await
    }

    /// While an issuer's keys are fetched the session looks at nothing else, so that it gives up when it has to end: what it
    /// runs at the target must not go on for as long as an issuer takes. What verifies is seldom, large, and so in a box.
    async fn unless_it_ends(
        &self,
        verifying: impl Future<Output = Result<Subject, IdentityError>>,
    ) -> Result<Subject, IdentityError> {
        tokio::select! {
            biased;
            verified = verifying => verified,
            error = self.has_to_end() => Err(error),
        }
    }

    /// Waits until the session has to end, and leaves it to the next turn to do so. Cancel safe.
    async fn has_to_end(&self) -> IdentityError {
        let ended = || IdentityError::Revoked("the session ends".into());
        loop {
            if self.signals.is_raised(Signal::Kill) {
                return ended();
            }
            if self.signals.is_raised(Signal::Trust)
                && let Err(error) = self.node.issuers.standing(&self.caller.subject)
            {
                return error;
            }
            tokio::select! {
                () = self.signals.raised_again() => {}
                () = tokio::time::sleep_until(self.caller.ends_at) => return ended(),
            }
        }
    }

    /// Takes a credential for the session's own.
    pub(super) fn hold_by(&mut self, renewal: Renewal) {
        self.caller.ends_at = ends_at(&self.node, &renewal.subject);
        self.caller.subject = renewal.subject;
        self.caller.svid = renewal.svid;
    }

    /// A credential of the caller as it is believed now, or the end of the session.
    pub(super) fn as_believed(&self, subject: &Subject, svid: Option<&ClientCertificate>) -> Result<Subject, End> {
        let believed = match svid {
            // Somebody has to vouch for the certificate still.
            Some(certificate) => self.node.issuers.recognise(certificate),
            None => self.node.issuers.standing(subject),
        };
        let believed = believed.map_err(|error| End::Revoked(error.to_string()))?;
        // A trust domain can be given another name while the session lives.
        if !self.caller.subject.may_be_renewed_by(&believed) {
            return Err(End::Revoked("the certificate names another subject now".to_owned()));
        }
        Ok(believed)
    }

    /// Looks whether the caller is still believed, and in which groups. Groups that were lost decide anew, as a revision
    /// does: what runs is cut if it is denied now, or more of it is masked. There is no grace.
    pub(super) fn stand(&mut self) -> Result<(), End> {
        let standing = self.as_believed(&self.caller.subject, self.caller.svid.as_ref())?;
        if standing.groups != self.caller.subject.groups {
            self.caller.subject = standing;
            self.adopt(Arc::clone(&self.active));
        }
        Ok(())
    }

    /// Why a request is refused that names a user whose credential has ended or was revoked. To go on without the user
    /// would be to run it as somebody else; only the end of a transaction is nobody's.
    pub(super) fn user_does_not_stand(&self, known: &Known, origin: &Origin) -> Option<Refusal> {
        let user = self.user_of(origin)?;
        let reason = if clock::now() >= user.expires_at {
            "the user's token has expired".to_owned()
        } else {
            self.node.issuers.standing(user).err()?.to_string()
        };
        let mut effects = known.analysed.statements.iter().flat_map(|statement| &statement.effects);
        if effects.all(|effect| effect.verb == Verb::Transaction) {
            return None;
        }
        Some(self.user_refused(&reason))
    }
}
