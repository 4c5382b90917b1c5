//! Private keys of SSH in files: Sluice's own, and those that it is given.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use model::id::Digest;
use model::secret::Secret;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};
use store::config::CredentialSource;
use zeroize::Zeroize;

use crate::clock;
use crate::node::StartError;

/// Why a text is no private key that can be used. It says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// Another form, or none.
    #[error("it is not a private key in OpenSSH's form; `ssh-keygen -p -f FILE` brings one into it")]
    Form,
    /// It is encrypted, and nothing opens it.
    #[error("it has a passphrase, and none is configured")]
    Encrypted,
    /// The passphrase is another key's.
    #[error("the passphrase does not open it")]
    Passphrase,
    /// RSA below 2048 bits, or DSA.
    #[error("it is too weak, or of a kind that is not used any more")]
    Weak,
}

/// A new key, which nobody has seen.
pub(crate) fn new() -> Result<PrivateKey, clock::NoRandomness> {
    let mut seed = clock::random::<32>()?;
    let pair = Ed25519Keypair::from_seed(&seed);
    seed.zeroize();
    Ok(PrivateKey::from(pair))
}

/// Reads a private key; `passphrase` opens one that is encrypted.
pub(crate) fn parse(text: &Secret<String>, passphrase: Option<&Secret<String>>) -> Result<PrivateKey, KeyError> {
    let key = PrivateKey::from_openssh(text.expose()).map_err(|_| KeyError::Form)?;
    let key = match (key.is_encrypted(), passphrase) {
        (false, _) => key,
        (true, None) => return Err(KeyError::Encrypted),
        (true, Some(passphrase)) => key.decrypt(passphrase.expose()).map_err(|_| KeyError::Passphrase)?,
    };
    if is_strong(&key) { Ok(key) } else { Err(KeyError::Weak) }
}

fn is_strong(key: &PrivateKey) -> bool {
    match key.key_data() {
        KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) => true,
        KeypairData::Rsa(pair) => pair.public().key_size() >= store::config::LEAST_RSA,
        _ => false,
    }
}

/// The key of a file in the data directory, made if it is not there. One that others can read is refused.
///
/// # Errors
/// If it cannot be made or read.
pub(crate) fn own(path: &Path) -> Result<PrivateKey, StartError> {
    if path.symlink_metadata().is_err() {
        make(path)?;
    }
    read(path)
}

/// The key of a file, which is closed to others and not encrypted.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read(path: &Path) -> Result<PrivateKey, StartError> {
    let source = CredentialSource::File(path.to_owned());
    let text =
        store::credential::resolve(&source, &|_| None).map_err(|error| StartError::KeySource(error.to_string()))?;
    parse(&text, None).map_err(|error| StartError::KeySource(format!("{}: {error}", path.display())))
}

/// Whoever comes first makes it, and whoever comes at the same time reads that: it is whole before it has its name.
fn make(path: &Path) -> Result<(), StartError> {
    let file = |source| StartError::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        crate::node::create_private(dir)?;
    }
    let key = new()?;
    let text = key.to_openssh(LineEnding::LF).map_err(|error| StartError::Internal(error.to_string()))?;
    let beside = path.with_extension(format!("new-{}", Digest(clock::random()?)));
    let mut options = std::fs::OpenOptions::new();
    let mut out = options.write(true).create_new(true).mode(0o600).open(&beside).map_err(file)?;
    std::io::Write::write_all(&mut out, text.as_bytes()).and_then(|()| out.sync_all()).map_err(file)?;
    let named = match std::fs::hard_link(&beside, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(file(error)),
        Ok(()) | Err(_) => Ok(()),
    };
    std::fs::remove_file(&beside).map_err(file)?;
    named
}

#[cfg(test)]
mod tests;
