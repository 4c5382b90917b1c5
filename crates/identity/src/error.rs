//! Why an identity is refused: the true reason for the record, one answer for the caller.

use std::sync::Arc;

use model::error::ErrorKind;

use crate::svid::SvidError;

/// Why a token was refused. Its text is the true reason, for the journal; it never holds the token, a signature or more
/// than an escaped excerpt of what the token says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Longer than [`crate::MAX_TOKEN`].
    #[error("the token is longer than {} bytes", crate::MAX_TOKEN)]
    TooLong,
    /// Not a JWS in compact form (RFC 7515, section 3.1).
    #[error("the token is not a signed JWT of three parts")]
    NotCompact,
    /// A JWE. What it holds cannot be seen before it is opened, so none is.
    #[error("the token is encrypted")]
    Encrypted,
    /// A part is not canonical base64url, not JSON, not an object, or repeats a name.
    #[error("the token's {part} is malformed: {reason}")]
    Malformed {
        /// `header`, `claims` or `signature`, or the issuer's `answer` about an opaque one.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The header demands (`crit`) or does (`zip`, `b64`) what Sluice does not.
    #[error("the token's header has `{0}`")]
    Header(&'static str),
    /// `alg` is `none`, symmetric, unknown or absent.
    #[error("the token's algorithm {0} is not a signature that can be trusted")]
    Algorithm(String),
    /// `kid` is not a short text.
    #[error("the token's key id is not a text of 1 to 256 bytes")]
    KeyId,
    /// `iss` is absent, or is nobody's whom Sluice trusts.
    #[error("the token's issuer {0} is not configured")]
    UnknownIssuer(String),
    /// The issuer has no such key. The gateway asks [`crate::KeyCache::unknown_key`] whether to fetch.
    #[error("issuer `{issuer}` has no key {kid}")]
    UnknownKey {
        /// The issuer's alias.
        issuer: Arc<str>,
        /// An excerpt of `kid`.
        kid: String,
    },
    /// The issuer's keys could not be renewed for so long that they are no longer believed.
    #[error("the keys of issuer `{issuer}` are missing or too old")]
    KeysTooOld {
        /// The issuer's alias.
        issuer: Arc<str>,
    },
    /// The issuer says of an opaque token that it is not active: unknown to it, expired or revoked.
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// Nobody can be asked about an opaque token, or the issuer does not answer.
    #[error("issuer `{issuer}` cannot be asked about the token: {reason}")]
    NotAsked {
        /// The issuer's alias.
        issuer: Arc<str>,
        /// Why.
        reason: &'static str,
    },
    /// `alg` is not the one algorithm that the key is used with.
    #[error("the token is signed with {claimed}, but the key is for {pinned}")]
    KeyAlgorithm {
        /// What the header says.
        claimed: &'static str,
        /// What the key is for.
        pinned: &'static str,
    },
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// An ID token, a logout token, a proof, or another kind than the issuer's profile.
    #[error("the token is of another kind: {0}")]
    Kind(&'static str),
    /// A claim is absent, or not of its type.
    #[error("the claim `{claim}` is {problem}")]
    Claim {
        /// Which.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No `aud` is Sluice.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the token expired {0} s ago")]
    Expired(u64),
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet for {0} s")]
    NotYet(u64),
    /// `exp - iat` exceeds the issuer's `max_lifetime`, or is not above zero.
    #[error("the token lives {0} s, which is more than the issuer's max_lifetime or not above zero")]
    Lifetime(u64),
    /// A subject, actor or group has a name that could be mistaken for another, or none.
    #[error("the {0} has no usable name: it is absent, too long, or has characters that deceive")]
    Name(&'static str),
    /// The groups are elsewhere (overage), too many, or not a list of texts: unknown, which is not the same as none.
    #[error("the groups are unknown: {0}")]
    Groups(&'static str),
    /// `act` is not an object, nests too deeply, or names another issuer's subject.
    #[error("the delegation is not accepted: {0}")]
    Delegation(&'static str),
    /// The token is bound (`cnf`) to a key that this connection did not prove.
    #[error("the token is bound to another key: {0}")]
    Binding(&'static str),
    /// The client certificate names nobody.
    #[error(transparent)]
    Certificate(#[from] SvidError),
    /// A short-lived password that Sluice did not issue, or that ended, was dropped, or is for another target.
    #[error("the password is none that Sluice issued for this: {0}")]
    Password(&'static str),
    /// An SSH certificate that Sluice did not issue, or that is not good here and now.
    #[error("the SSH certificate is not accepted: {0}")]
    SshCertificate(String),
    /// A public key that stands for nobody here and now.
    #[error("the public key is not accepted: {0}")]
    SshKey(&'static str),
    /// The token, a subject or an issuer in it was revoked.
    #[error("revoked: {0}")]
    Revoked(Arc<str>),
}

impl IdentityError {
    /// Whose doing it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLong => ErrorKind::Limit,
            Self::KeysTooOld { .. } | Self::NotAsked { .. } => ErrorKind::Internal,
            _ => ErrorKind::Client,
        }
    }

    /// What the caller is told, whatever the reason: it must not help to forge a better token.
    pub const fn client_message(&self) -> &'static str {
        "authentication failed: the identity was not accepted"
    }
}

/// Why a key set was refused. The keys in use stay in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Longer or with more keys than any issuer needs.
    #[error("the key set is larger than {} bytes or {} keys", crate::keys::MAX_BYTES, crate::keys::MAX_KEYS)]
    TooLarge,
    /// Not a JWK set (RFC 7517, section 5).
    #[error("the key set is malformed: {0}")]
    Malformed(String),
    /// It publishes a secret: whoever reads it could sign.
    #[error("key {0} of the set is symmetric or private")]
    Secret(String),
    /// Two keys share a `kid`, or a key without one is not alone.
    #[error("the key id {0} does not name one key")]
    Ambiguous(String),
    /// A key of a known type is broken or too weak.
    #[error("key {id} is unusable: {reason}")]
    BadKey {
        /// Which.
        id: String,
        /// Why.
        reason: &'static str,
    },
    /// No key is left that could verify a token.
    #[error("the key set has no signature key of an allowed algorithm")]
    Empty,
}

/// A short, escaped piece of what somebody else wrote, fit for a log.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
