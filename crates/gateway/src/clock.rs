//! The one place that reads the wall clock and draws random bits.

use std::time::{SystemTime, UNIX_EPOCH};

use model::time::Timestamp;

/// Now, by the wall clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Random bytes from the operating system, or an error that must end what asked for them.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// Random bits for an id.
pub fn random_bits() -> Result<u64, NoRandomness> {
    random::<8>().map(u64::from_le_bytes)
}

/// The operating system gave no randomness: nothing that needs an id or a key may go on.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;
