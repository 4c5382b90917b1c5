//! What a caller proved beside the credential itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::id::Digest;
use model::subject::Binding;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The keys that a caller showed to hold, to which a credential may be bound (`cnf`, RFC 7800). Nothing of it is a name:
/// it only lets a bound token count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Proven {
    /// The SHA-256 of the DER of the client certificate of *this* TLS connection: what `cnf.x5t#S256` is compared with
    /// (RFC 8705, section 3).
    pub certificate: Option<Digest>,
    /// The SHA-256 thumbprint of the key whose DPoP proof came with *this* request: what `cnf.jkt` is compared with
    /// (RFC 9449, section 6).
    pub proof_key: Option<Digest>,
}

impl Proven {
    /// Nothing: only a bearer token will do.
    pub const NOTHING: Self = Self { certificate: None, proof_key: None };

    /// What ties a credential of this binding to its holder: what was proven when it was verified.
    pub fn confirmation(&self, binding: Binding) -> Option<Confirmation> {
        match binding {
            // A key of SSH is proven to a connection there, and to nobody else.
            Binding::Bearer | Binding::Ssh => None,
            Binding::Mtls => self.certificate.map(Confirmation::Certificate),
            Binding::Dpop => self.proof_key.map(Confirmation::ProofKey),
        }
    }
}

/// What a credential that Sluice issues is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Confirmation {
    /// A client certificate, by the SHA-256 of its DER (RFC 8705, section 3.1).
    Certificate(Digest),
    /// A key, by its SHA-256 thumbprint (RFC 9449, section 6.1).
    ProofKey(Digest),
}

impl Confirmation {
    /// Whether the caller proved it.
    pub fn is_proven(&self, proven: &Proven) -> bool {
        match self {
            Self::Certificate(digest) => proven.certificate == Some(*digest),
            Self::ProofKey(digest) => proven.proof_key == Some(*digest),
        }
    }

    /// How a credential with it is tied to its holder.
    pub const fn binding(&self) -> Binding {
        match self {
            Self::Certificate(_) => Binding::Mtls,
            Self::ProofKey(_) => Binding::Dpop,
        }
    }

    /// The claim `cnf` (RFC 7800, section 3.1).
    pub(crate) fn claim(&self) -> Value {
        match self {
            Self::Certificate(digest) => json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(digest.0) }),
            Self::ProofKey(digest) => json!({ "jkt": URL_SAFE_NO_PAD.encode(digest.0) }),
        }
    }
}
