//! Why an assertion or a provider's metadata was refused.

use std::sync::Arc;

use model::error::ErrorKind;

use crate::IdentityError;

/// Why an assertion was refused. Its text is the true reason, for the journal; it never holds the assertion, or more than
/// an escaped excerpt of a name in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamlError {
    /// Longer than [`crate::saml::MAX_DOCUMENT`].
    #[error("the assertion is longer than {} bytes", crate::saml::MAX_DOCUMENT)]
    TooLong,
    /// Not in the encoding that it must have.
    #[error("the assertion is not {0}")]
    Encoding(&'static str),
    /// Not well-formed, too deep, or with a document type, an entity or a processing instruction.
    #[error("the XML is not accepted: {0}")]
    Xml(String),
    /// Well-formed, but not what SAML says an assertion is, or more than one.
    #[error("it is not one assertion: {0}")]
    Shape(&'static str),
    /// It, its name or an attribute is encrypted. What cannot be seen is not believed.
    #[error("a part of it is encrypted")]
    Encrypted,
    /// The issuer is nobody's whom Sluice trusts.
    #[error("the assertion's issuer {0} is not configured")]
    UnknownProvider(String),
    /// The provider's metadata is missing, too old, or past its `validUntil`.
    #[error("the metadata of provider `{provider}` is missing or too old")]
    MetadataTooOld {
        /// The provider's alias.
        provider: Arc<str>,
    },
    /// There is no signature where it must be, or it is not of the one form that is accepted.
    #[error("the signature has another form: {0}")]
    SignatureForm(&'static str),
    /// An algorithm that is weak, symmetric, or of no use here.
    #[error("the {what} {name} is not accepted")]
    Algorithm {
        /// `signature algorithm`, `digest`, `transform` or `canonicalisation`.
        what: &'static str,
        /// An excerpt of its name.
        name: String,
    },
    /// No key in the provider's metadata made the signature. Newer metadata may have one.
    #[error("the signature is by no key in the metadata of provider `{provider}`")]
    UnknownKey {
        /// The provider's alias.
        provider: Arc<str>,
    },
    /// No key that was given made the signature.
    #[error("the signature is wrong")]
    Signature,
    /// The assertion is not what was signed.
    #[error("the assertion is not what was signed: its digest is another")]
    Digest,
    /// A part that is needed is absent, or not of its form.
    #[error("{part} is {problem}")]
    Part {
        /// Which.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It demands something that Sluice does not know how to keep.
    #[error("it has a condition that is not understood")]
    Condition,
    /// It is for others.
    #[error("the assertion is for another audience")]
    Audience,
    /// No bearer confirmation is for this recipient, now.
    #[error("no subject confirmation holds here: {0}")]
    Confirmation(&'static str),
    /// It, or the session at the provider, is over.
    #[error("the assertion expired {0} s ago")]
    Expired(u64),
    /// It is not valid yet, or issued in the future.
    #[error("the assertion is not valid yet for {0} s")]
    NotYet(u64),
    /// A subject or group has a name that could be mistaken for another, or none.
    #[error("the {0} has no usable name: it is absent, too long, transient, or has characters that deceive")]
    Name(&'static str),
    /// The groups are too many, or given more than once.
    #[error("the groups are unknown: {0}")]
    Groups(&'static str),
    /// The subject, its provider or everything of it was revoked.
    #[error(transparent)]
    Revoked(#[from] IdentityError),
    /// It was used before. Nothing here can know: what remembers says so.
    #[error("the assertion was used before")]
    Replayed,
    /// What remembers which assertions were used cannot be asked, so none is accepted.
    #[error("it is not known whether the assertion was used before")]
    Memory,
}

impl SamlError {
    /// Whose doing it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLong => ErrorKind::Limit,
            Self::Revoked(error) => error.kind(),
            Self::MetadataTooOld { .. } | Self::Memory => ErrorKind::Internal,
            _ => ErrorKind::Client,
        }
    }

    /// What the caller is told, whatever the reason: it must not help to forge a better assertion.
    pub const fn client_message(&self) -> &'static str {
        "authentication failed: the identity was not accepted"
    }
}

/// Why a provider's metadata was refused. What is in use stays in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not the XML of one entity.
    #[error("the metadata is not usable: {0}")]
    Document(SamlError),
    /// Of another entity than the configured one.
    #[error("the metadata is of another entity, {0}")]
    Entity(String),
    /// Its `validUntil` has passed.
    #[error("the metadata was valid until {0}")]
    Expired(model::time::Timestamp),
    /// A certificate for signing is broken, or its key is too weak or of an unknown kind.
    #[error("a signing certificate of the metadata is unusable: {0}")]
    Certificate(&'static str),
    /// There is no certificate for signing.
    #[error("the metadata has no certificate for signing")]
    Empty,
}
