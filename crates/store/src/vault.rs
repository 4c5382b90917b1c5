//! The vault: secrets sealed with a key that state never sees.
//!
//! Each secret is sealed alone with AES-256-GCM under a random nonce. Its name is authenticated with it, so that a row
//! moved to another name does not open. A check value sealed with the same key tells a wrong key from a damaged row.
//! What the seal cannot tell is an older value put back in place of a newer one of the same name.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::secret::Secret;
use model::time::Timestamp;
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, State};

/// A secret as state holds it: 12 bytes of nonce, the ciphertext, 16 bytes of tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedSecret(pub Vec<u8>);

/// What may be shown of a secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// When it was first set.
    pub created_at: Timestamp,
    /// When its value was last set.
    pub updated_at: Timestamp,
}

/// Something that was done to the vault, until the journal has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VaultChange {
    /// Its place among all changes, from 1.
    pub number: u64,
    /// What was done: `vault.make`, `secret.set` or `secret.remove`.
    pub action: String,
    /// The secret's name.
    pub name: String,
    /// Who did it, as the operating system knows them, such as `uid:0`; `sluice` where `sluice serve` made the vault.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Why a secret was not set or opened. None of these carries a secret or a part of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The key's text is not 32 bytes in hexadecimal or base 64.
    #[error("a vault key is 32 bytes, written as 64 hexadecimal digits or 44 characters of base 64")]
    InvalidKey,
    /// The vault was made with another key.
    #[error("this is not the key that the vault was made with")]
    WrongKey,
    /// There is no secret of this name.
    #[error("the vault has no secret named `{0}`")]
    NotFound(String),
    /// The row was changed, moved from another name, or cut.
    #[error("the secret `{0}` was damaged or tampered with: set it again")]
    Damaged(String),
    /// A name is 1 to 200 bytes without control characters.
    #[error("a secret's name is 1 to 200 bytes without control characters")]
    InvalidName,
    /// The cryptographic library refused.
    #[error("sealing failed")]
    Sealing,
    /// State failed.
    #[error(transparent)]
    State(#[from] Error),
}

/// The key of a vault: 32 bytes, wiped when dropped.
pub struct VaultKey(Secret<[u8; 32]>);

impl VaultKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| VaultError::Sealing)?;
        Ok(Self(Secret::new(*bytes)))
    }

    /// Reads a key from text: 64 hexadecimal digits or padded base 64, with white space around it.
    ///
    /// # Errors
    /// [`VaultError::InvalidKey`] for anything else.
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let text = text.trim();
        let bytes = if text.len() == 64 { from_hex(text) } else { STANDARD.decode(text).ok() };
        let bytes = Zeroizing::new(bytes.ok_or(VaultError::InvalidKey)?);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| VaultError::InvalidKey)?;
        Ok(Self(Secret::new(key)))
    }

    /// The key as text, to be written to a file that only its owner may read.
    pub fn to_base64(&self) -> Secret<String> {
        Secret::new(STANDARD.encode(self.0.expose()))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|byte| char::from(byte).to_digit(16)).collect::<Option<Vec<_>>>()?;
    let pairs = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |value, digit| value * 16 + digit));
    pairs.map(|value| u8::try_from(value).ok()).collect()
}

/// What the check value's text is, under a name that no secret can have.
const CHECK: (&str, &str) = ("", "sluice vault check 1");

/// An opened vault.
pub struct Vault {
    state: Arc<dyn State>,
    by: Arc<str>,
    key: RandomizedNonceKey,
}

impl Vault {
    /// Opens the vault that is kept in `state`; the first time, makes it with this key. What is changed is noted as done
    /// by `by`.
    ///
    /// # Errors
    /// [`VaultError::WrongKey`] if it was made with another key.
    pub fn open(state: Arc<dyn State>, key: &VaultKey, by: &str, now: Timestamp) -> Result<Self, VaultError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.0.expose()).map_err(|_| VaultError::Sealing)?;
        let vault = Self { state, by: by.into(), key };
        let first = vault.seal(CHECK.0, CHECK.1)?;
        let stored = vault.state.vault_check(&first, by, now)?;
        match vault.unseal(CHECK.0, &stored) {
            Some(text) if text.expose() == CHECK.1 => Ok(vault),
            Some(_) | None => Err(VaultError::WrongKey),
        }
    }

    /// Sets a secret, in place of an older value of that name.
    ///
    /// # Errors
    /// The name is not one, or state fails.
    pub fn set(&self, name: &str, value: &Secret<String>, now: Timestamp) -> Result<(), VaultError> {
        if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            return Err(VaultError::InvalidName);
        }
        let sealed = self.seal(name, value.expose())?;
        Ok(self.state.put_sealed(name, &sealed, &self.by, now)?)
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// There is none, or its row was tampered with.
    pub fn secret(&self, name: &str) -> Result<Secret<String>, VaultError> {
        let sealed = self.state.sealed(name)?.ok_or_else(|| VaultError::NotFound(name.to_owned()))?;
        self.unseal(name, &sealed).ok_or_else(|| VaultError::Damaged(name.to_owned()))
    }

    /// Names and dates, never values.
    ///
    /// # Errors
    /// State fails.
    pub fn list(&self) -> Result<Vec<SecretInfo>, VaultError> {
        Ok(self.state.secrets()?)
    }

    /// Removes a secret; returns whether it was there.
    ///
    /// # Errors
    /// State fails.
    pub fn remove(&self, name: &str, now: Timestamp) -> Result<bool, VaultError> {
        Ok(self.state.remove_sealed(name, &self.by, now)?)
    }

    fn seal(&self, name: &str, value: &str) -> Result<SealedSecret, VaultError> {
        // Reserved in full, so that appending the tag does not leave a copy of the text behind in freed memory.
        let tag = AES_256_GCM.tag_len();
        let mut text = Vec::with_capacity(value.len().saturating_add(tag));
        text.extend_from_slice(value.as_bytes());
        let nonce = self.key.seal_in_place_append_tag(Aad::from(associated(name)), &mut text);
        let Ok(nonce) = nonce else {
            text.zeroize();
            return Err(VaultError::Sealing);
        };
        Ok(SealedSecret([nonce.as_ref().as_slice(), &text].concat()))
    }

    fn unseal(&self, name: &str, sealed: &SealedSecret) -> Option<Secret<String>> {
        let (nonce, text) = sealed.0.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self.key.open_in_place(nonce, Aad::from(associated(name)), &mut text).ok()?;
        std::str::from_utf8(opened).ok().map(|opened| Secret::new(opened.to_owned()))
    }
}

/// What is authenticated with a secret besides its text.
fn associated(name: &str) -> Vec<u8> {
    [b"sluice vault 1\0".as_slice(), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
