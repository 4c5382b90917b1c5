//! What can be shown to the token endpoint: one module for each grant, which verifies it and says whom it stands for.

use std::net::IpAddr;

use identity::Confirmation;
use model::subject::Subject;
use ssh_key::PublicKey;

use super::error::TokenError;
use super::form::Form;
use crate::app::App;
use crate::proof::Shown;

mod exchange;
mod jwt_bearer;
mod saml2_bearer;

/// One call, as a grant sees it.
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a App,
    pub(crate) form: &'a Form,
    /// What the caller proved beside its credential.
    pub(crate) shown: Shown,
    pub(crate) source: IpAddr,
    /// The only target at which what is issued is to be good.
    pub(crate) target: Option<&'a str>,
}

/// What a grant found out. The subject's expiry is that of whatever was shown, the earliest.
pub(crate) struct Redeemed {
    /// Whom it stands for.
    pub(crate) subject: Subject,
    /// What it is bound to, and so what is issued has to be bound to.
    pub(crate) confirmation: Option<Confirmation>,
    /// Who wants to act for whom, which policy has to permit.
    pub(crate) delegation: Option<Delegation>,
    /// What is to be issued.
    pub(crate) wanted: Wanted,
}

/// Somebody who wants to act on somebody's behalf, both verified.
pub(crate) struct Delegation {
    pub(crate) actor: Subject,
    pub(crate) whom: Subject,
}

/// What can be issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// A JWT.
    AccessToken,
    /// A short text that stands for the subject at one target, as its password.
    DatabasePassword,
    /// A certificate of this SSH key.
    SshCertificate(Box<PublicKey>),
}

/// The grants that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Grant {
    /// RFC 8693.
    Exchange,
    /// RFC 7523, section 2.1.
    JwtBearer,
    /// RFC 7522, section 2.1.
    Saml2Bearer,
}

impl Grant {
    /// Every grant.
    pub(crate) const ALL: [Self; 3] = [Self::Exchange, Self::JwtBearer, Self::Saml2Bearer];

    /// Its `grant_type`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Exchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::Saml2Bearer => "urn:ietf:params:oauth:grant-type:saml2-bearer",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }

    pub(super) async fn redeem(self, asked: &Asked<'_>) -> Result<Redeemed, TokenError> {
        match self {
            Self::Exchange => exchange::redeem(asked).await,
            Self::JwtBearer => jwt_bearer::redeem(asked).await,
            Self::Saml2Bearer => saml2_bearer::redeem(asked).await,
        }
    }
}

impl Asked<'_> {
    /// Verifies a token as everywhere: one that is bound needs its proof, and one for a target alone is good for what
    /// is asked for that target.
    async fn verify(&self, token: &str) -> Option<Subject> {
        let issuers = &self.app.node.issuers;
        let verified = match self.target {
            Some(target) => issuers.verify_for(token, &self.shown.proven, target).await,
            None => issuers.verify(token, &self.shown.proven).await,
        };
        verified.map_err(|error| self.refused(&error.to_string())).ok()
    }

    /// What a credential of this subject is bound to. A bearer credential that is shown with a proof gets bound to its
    /// key (RFC 9449, section 5).
    fn confirmation(&self, subject: &Subject) -> Option<Confirmation> {
        let proven = &self.shown.proven;
        proven.confirmation(subject.binding).or_else(|| proven.proof_key.map(Confirmation::ProofKey))
    }

    /// Puts the true reason for a refusal into the journal.
    pub(crate) fn refused(&self, reason: &str) {
        super::refused(self.app, self.source, reason);
    }
}
