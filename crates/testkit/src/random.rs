//! Random values for passwords, keys and canaries.

use anyhow::{Context, Result};

/// `LENGTH` random bytes from the operating system's generator.
pub(crate) fn bytes<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut bytes).ok().context("the random generator failed")?;
    Ok(bytes)
}

/// A random number; the small bias of callers' `%` is of no matter here.
pub(crate) fn number() -> Result<u64> {
    Ok(u64::from_be_bytes(bytes::<8>()?))
}

/// A random lowercase hexadecimal word of 32 characters: a password, a name's unique part.
pub(crate) fn word() -> Result<String> {
    Ok(hex(&bytes::<16>()?))
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
