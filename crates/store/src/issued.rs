//! What Sluice issued and knows again by its digest: short-lived passwords, and SSH certificates.

use model::id::Digest;
use model::time::Timestamp;

/// One of them, as it is kept. A password is random and long, so that its digest tells nobody what it is; a certificate is no
/// secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptCredential {
    /// The SHA-256 of it.
    pub digest: Digest,
    /// Whom it stands for and where, as a document that only the gateway reads.
    pub stands_for: String,
    /// When it ends.
    pub expires_at: Timestamp,
}
