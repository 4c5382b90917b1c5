//! The secrets of targets: read at the moment of use from where the configuration says they are.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::secret::Secret;
use zeroize::Zeroize;

use crate::config::CredentialSource;

/// The longest secret, in bytes.
const MAX_SECRET: usize = 64 * 1024;
/// Permission bits that let others than the owner and the group in, or the group write.
const TOO_OPEN: u32 = 0o027;

/// Why a secret cannot be had. It names the place, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The variable is not set, or not text.
    #[error("{0} is not set, or is not UTF-8; set it in Sluice's environment")]
    NotSet(CredentialSource),
    /// The file cannot be read.
    #[error("{reference} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        reference: CredentialSource,
        /// Why.
        reason: String,
    },
    /// Others can read the file, or the group can change it.
    #[error("{0} is open to others; run chmod 600 on it")]
    TooOpen(CredentialSource),
    /// The vault has no such secret, or cannot be opened.
    #[error("{0} is not in the vault; run `sluice secret set`")]
    NotInVault(CredentialSource),
    /// There is no text that could be a secret.
    #[error("{0} is empty, too long, or has a NUL")]
    Unusable(CredentialSource),
}

/// What the record calls the secret, such as `env:PAYMENTS_PASSWORD`.
impl fmt::Display for CredentialSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(out, "env:{name}"),
            Self::File(path) => write!(out, "file:{}", path.display()),
            Self::Vault(name) => write!(out, "vault:{name}"),
        }
    }
}

/// Reads the secret that `source` refers to. Read it again for each use: it may have been rotated.
///
/// # Errors
/// If it is not there, is open to others, or cannot be a password.
pub fn resolve(
    source: &CredentialSource,
    vault: &dyn Fn(&str) -> Option<Secret<String>>,
) -> Result<Secret<String>, CredentialError> {
    let secret = match source {
        CredentialSource::Env(name) => {
            std::env::var(name).map(Secret::new).map_err(|_| CredentialError::NotSet(source.clone()))?
        }
        CredentialSource::File(path) => read_file(source, path)?,
        CredentialSource::Vault(name) => vault(name).ok_or_else(|| CredentialError::NotInVault(source.clone()))?,
    };
    if !is_usable(secret.expose()) {
        return Err(CredentialError::Unusable(source.clone()));
    }
    Ok(secret)
}

/// Whether it can be a secret at all: some text, not too long, without NUL.
pub fn is_usable(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_SECRET && !text.contains('\0')
}

/// Whether others than the owner and the group can get at what is there, or the group can change it.
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & TOO_OPEN != 0)
}

/// Reads a file that only its owner and group can read. One newline at its end is the editor's.
fn read_file(source: &CredentialSource, path: &Path) -> Result<Secret<String>, CredentialError> {
    let unreadable = |error: std::io::Error| CredentialError::Unreadable {
        reference: source.clone(),
        reason: error.kind().to_string(),
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::ErrorKind::InvalidInput.into()));
    }
    let file = File::open(path).map_err(unreadable)?;
    // Of the opened file, so that it is the one that is read.
    if file.metadata().map_err(unreadable)?.permissions().mode() & TOO_OPEN != 0 {
        return Err(CredentialError::TooOpen(source.clone()));
    }
    // Never grown, so that no copy of it stays behind on the heap.
    let mut bytes = Vec::with_capacity(MAX_SECRET + 3);
    let limit = u64::try_from(MAX_SECRET + 3).unwrap_or(0);
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        error.into_bytes().zeroize();
        CredentialError::Unusable(source.clone())
    })?;
    let mut text = text;
    for ending in ['\n', '\r'] {
        if text.ends_with(ending) {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests;
