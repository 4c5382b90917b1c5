//! What was carried that is not on the tape itself: how much it was, and its digest.

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;

/// What was carried, as the tape has it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Counts and digests what passes.
#[derive(Clone)]
pub(crate) struct Measure {
    bytes: u64,
    digest: Context,
}

impl Default for Measure {
    fn default() -> Self {
        Self { bytes: 0, digest: Context::new(&SHA256) }
    }
}

impl Measure {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.digest.update(bytes);
    }

    /// Whether nothing passed.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn finish(self) -> Measured {
        let sha256 = self.digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Measured { bytes: self.bytes, sha256 }
    }
}
