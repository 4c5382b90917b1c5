//! What a caller proved beside the credential itself.

use model::id::Digest;

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
}
