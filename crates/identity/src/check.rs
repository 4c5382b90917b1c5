//! The checks of a credential in their order, made visible for whoever has to find out which one it fails.

use model::subject::Subject;
use model::time::Timestamp;
use serde_json::Value;

use crate::error::IdentityError;
use crate::issuers::Issuers;
use crate::proven::Proven;
use crate::token;
use crate::verify::step_by_step;

/// One of the checks that a credential has to pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Check {
    /// It is of a form that can be read.
    Form,
    /// Its issuer is configured.
    Issuer,
    /// The issuer has the key that it names, for the algorithm that it names.
    Key,
    /// The signature is that key's.
    Signature,
    /// The issuer says that it is active: an opaque token's in place of key and signature.
    Active,
    /// It is an access token, as the issuer's profile has them.
    Kind,
    /// It is for Sluice.
    Audience,
    /// It has begun, has not ended, and lives no longer than the issuer's tokens may.
    Times,
    /// The caller proved the key that it is bound to, if it is.
    Binding,
    /// Its subject and actors have names that cannot be mistaken.
    Names,
    /// Its groups are known.
    Groups,
}

impl Check {
    /// Those of a signed token, in order.
    pub const OF_SIGNED: [Self; 10] = [
        Self::Form,
        Self::Issuer,
        Self::Key,
        Self::Signature,
        Self::Kind,
        Self::Audience,
        Self::Times,
        Self::Binding,
        Self::Names,
        Self::Groups,
    ];

    /// Those of an opaque token, in order.
    pub const OF_OPAQUE: [Self; 9] = [
        Self::Form,
        Self::Issuer,
        Self::Active,
        Self::Kind,
        Self::Audience,
        Self::Times,
        Self::Binding,
        Self::Names,
        Self::Groups,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Active => "active",
            Self::Kind => "kind",
            Self::Audience => "audience",
            Self::Times => "times",
            Self::Binding => "binding",
            Self::Names => "names",
            Self::Groups => "groups",
        }
    }
}

/// How a check went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was passed.
    Passed,
    /// It is the one that was not.
    Failed,
    /// One before it was not passed.
    NotReached,
}

/// What became of a credential, check by check.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Every check, in order.
    pub checks: Vec<(Check, Outcome)>,
    /// The header as the token has it, if it can be read. Nothing of it is believed unless every check is passed.
    pub header: Option<Value>,
    /// The claims, likewise: of the token, or of the issuer's answer about it.
    pub claims: Option<Value>,
    /// The subject, or the true reason for the refusal.
    pub result: Result<Subject, IdentityError>,
}

impl Inspection {
    /// Of a credential that passed the first `passed` of `checks`.
    pub fn of(checks: &[Check], passed: usize, result: Result<Subject, IdentityError>) -> Self {
        let outcome = |number: usize| match number.cmp(&passed) {
            std::cmp::Ordering::Less => Outcome::Passed,
            std::cmp::Ordering::Equal => Outcome::Failed,
            std::cmp::Ordering::Greater => Outcome::NotReached,
        };
        let checks = checks.iter().enumerate().map(|(number, check)| (*check, outcome(number))).collect();
        Self { checks, header: None, claims: None, result }
    }
}

/// [`crate::verify`], and how each check went.
pub fn inspect(token: &str, issuers: &Issuers, proven: &Proven, now: Timestamp) -> Inspection {
    let mut passed = 0_usize;
    let result = step_by_step(token, issuers, proven, None, now, &mut |_| passed = passed.saturating_add(1));
    let (header, claims) = token::shown(token).unzip();
    Inspection { header, claims, ..Inspection::of(&Check::OF_SIGNED, passed, result) }
}

#[cfg(test)]
mod tests;
