//! Checkpoints: signed tree heads, as C2SP signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).
//!
//! ```text
//! sluice.example/journal            origin
//! 1234                              number of entries
//! qoXJ…=                            root of the tree, base64
//!
//! — sluice.example/journal Az3g…=   key name; base64 of key id (4 bytes) and Ed25519 signature (64 bytes)
//! ```

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::{Hash, sha256};

/// The signature type of Ed25519 in C2SP signed notes.
const ED25519_TYPE: u8 = 0x01;
/// A note with more signatures than this is refused.
const MAX_SIGNATURES: usize = 16;
/// A note longer than this is refused.
pub(crate) const MAX_NOTE: usize = 16 * 1024;

/// Why a key cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// A key name holds no space, no `+`, no control character, and is not empty.
    #[error("a key name must be 1 to 200 characters without space, `+` or control characters")]
    Name,
    /// Not 32 bytes of Ed25519.
    #[error("not an Ed25519 key")]
    Key,
    /// The text is not `NAME+ID+KEY`, or the id does not belong to name and key.
    #[error("not a verifier key: expected NAME+ID+KEY")]
    Text,
}

/// Why a note is not a checkpoint by that key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// Not of the form of a signed note.
    #[error("malformed note")]
    Malformed,
    /// The text is not a checkpoint.
    #[error("malformed checkpoint")]
    NotACheckpoint,
    /// It speaks for another log.
    #[error("another log's checkpoint")]
    Origin,
    /// The key did not sign it.
    #[error("not signed by the key")]
    Unsigned,
    /// The key's signature is wrong.
    #[error("wrong signature")]
    Signature,
}

/// The public half of a journal's key: what `verify` needs. Its text is the C2SP form `NAME+ID+KEY`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyingKey {
    name: String,
    key: [u8; 32],
}

impl VerifyingKey {
    /// A key by its name, which is also the origin of the log, and its 32 bytes.
    pub fn new(name: impl Into<String>, key: [u8; 32]) -> Result<Self, KeyError> {
        let name = name.into();
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if name.is_empty() || name.len() > 200 || !name.chars().all(plain) {
            return Err(KeyError::Name);
        }
        Ok(Self { name, key })
    }

    /// The key's name: the origin of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The four bytes that name the key in a signature line.
    fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = sha256(&[self.name.as_bytes(), b"\n", &[ED25519_TYPE], &self.key]);
        [a, b, c, d]
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key).verify(text.as_bytes(), signature).is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}+{:08x}+", self.name, u32::from_be_bytes(self.id()))?;
        let mut bytes = vec![ED25519_TYPE];
        bytes.extend_from_slice(&self.key);
        out.write_str(&STANDARD.encode(bytes))
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim_end().splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Text);
        };
        let bytes = STANDARD.decode(key).map_err(|_| KeyError::Text)?;
        let key = bytes.strip_prefix(&[ED25519_TYPE]).and_then(|key| key.try_into().ok()).ok_or(KeyError::Key)?;
        let parsed = Self::new(name, key)?;
        if parsed.to_string() == text.trim_end() { Ok(parsed) } else { Err(KeyError::Text) }
    }
}

/// The key that signs checkpoints.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key made from 32 random bytes. The caller draws them and wipes its copy.
    pub fn from_seed(name: impl Into<String>, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Key)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Key)?;
        Ok(Self { pair, public: VerifyingKey::new(name, key)? })
    }

    /// The public half.
    pub const fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs a tree head.
    pub(crate) fn sign(&self, size: u64, root: Hash) -> Checkpoint {
        let text = format!("{}\n{size}\n{}\n", self.public.name, STANDARD.encode(root));
        let mut signature = self.public.id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let note = format!("{text}\n\u{2014} {} {}\n", self.public.name, STANDARD.encode(signature));
        Checkpoint { size, root, note }
    }
}

/// Shows the public half only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A tree head whose signature was verified or made here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    size: u64,
    root: Hash,
    note: String,
}

impl Checkpoint {
    /// Verifies a signed note as c2sp.org/signed-note and c2sp.org/tlog-checkpoint demand. Signatures by other keys
    /// and extension lines are allowed; a signature that claims to be by `key` must be right.
    pub fn open(note: &[u8], key: &VerifyingKey) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
        if note.len() > MAX_NOTE || note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = note.get(..text.len().saturating_add(1)).ok_or(NoteError::Malformed)?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        check_signatures(text, signatures, key)?;
        let (size, root) = parse_head(text, key)?;
        Ok(Self { size, root, note: note.to_owned() })
    }

    /// Number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over them.
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// The signed note.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Whether the note is exactly as this ledger writes it: no extension, one signature.
    pub(crate) fn is_own_form(&self) -> bool {
        self.note.lines().count() == 5
    }
}

fn check_signatures(text: &str, lines: &str, key: &VerifyingKey) -> Result<(), NoteError> {
    let mut signed = false;
    for (number, line) in lines.split('\n').enumerate() {
        let line = line.strip_prefix("\u{2014} ").ok_or(NoteError::Malformed)?;
        let (name, encoded) = line.split_once(' ').ok_or(NoteError::Malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Malformed)?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
        if number >= MAX_SIGNATURES || name.is_empty() || signature.is_empty() {
            return Err(NoteError::Malformed);
        }
        if name == key.name && *id == key.id() {
            if !key.verifies(text, signature) {
                return Err(NoteError::Signature);
            }
            signed = true;
        }
    }
    if signed { Ok(()) } else { Err(NoteError::Unsigned) }
}

fn parse_head(text: &str, key: &VerifyingKey) -> Result<(u64, Hash), NoteError> {
    let body = text.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let mut lines = body.split('\n');
    let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(NoteError::NotACheckpoint);
    };
    if lines.any(str::is_empty) {
        return Err(NoteError::NotACheckpoint);
    }
    if origin != key.name {
        return Err(NoteError::Origin);
    }
    let number: u64 = size.parse().map_err(|_| NoteError::NotACheckpoint)?;
    let bytes = STANDARD.decode(root).map_err(|_| NoteError::NotACheckpoint)?;
    let root = bytes.as_slice().try_into().map_err(|_| NoteError::NotACheckpoint)?;
    // `parse` takes "+5" and "05"; the one spelling of a number is the one that we would write.
    if number.to_string() == size { Ok((number, root)) } else { Err(NoteError::NotACheckpoint) }
}

#[cfg(test)]
mod tests;
