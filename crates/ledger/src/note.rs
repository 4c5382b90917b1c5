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
/// The first character of a signature line.
const DASH: &str = "\u{2014} ";
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
        Ok(Self { name: checked_name(name.into())?, key })
    }

    /// The key's name: the origin of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The four bytes that name the key in a signature line.
    fn id(&self) -> [u8; 4] {
        key_id(&self.name, ED25519_TYPE, &self.key)
    }

    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        verifies(&self.key, text, signature)
    }
}

/// Whether a key's 32 bytes made the signature.
pub(crate) fn verifies(key: &[u8; 32], text: &str, signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), signature).is_ok()
}

fn checked_name(name: String) -> Result<String, KeyError> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    let good = !name.is_empty() && name.len() <= 200 && name.chars().all(plain);
    if good { Ok(name) } else { Err(KeyError::Name) }
}

/// The four bytes that name a key of any type in a signature line (c2sp.org/signed-note, "Signatures").
pub(crate) fn key_id(name: &str, kind: u8, key: &[u8; 32]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind], key]);
    [a, b, c, d]
}

/// A key as `NAME+ID+KEY` (c2sp.org/signed-note, "Verifier keys").
pub(crate) fn key_text(name: &str, kind: u8, key: &[u8; 32]) -> String {
    let bytes = [&[kind], key.as_slice()].concat();
    format!("{name}+{:08x}+{}", u32::from_be_bytes(key_id(name, kind, key)), STANDARD.encode(bytes))
}

/// Name and bytes of a key of this type.
pub(crate) fn parse_key(text: &str, kind: u8) -> Result<(String, [u8; 32]), KeyError> {
    let text = text.trim_end();
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Text);
    };
    let bytes = STANDARD.decode(key).map_err(|_| KeyError::Text)?;
    let key = bytes.strip_prefix(&[kind]).and_then(|key| key.try_into().ok()).ok_or(KeyError::Key)?;
    let name = checked_name(name.to_owned())?;
    if key_text(&name, kind, &key) == text { Ok((name, key)) } else { Err(KeyError::Text) }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&key_text(&self.name, ED25519_TYPE, &self.key))
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, key) = parse_key(text, ED25519_TYPE)?;
        Ok(Self { name, key })
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

    /// Signs a text that is no checkpoint.
    pub(crate) fn sign_text(&self, text: &str) -> Vec<u8> {
        self.pair.sign(text.as_bytes()).as_ref().to_vec()
    }

    /// Signs a tree head.
    pub(crate) fn sign(&self, size: u64, root: Hash) -> Checkpoint {
        let text = format!("{}\n{size}\n{}\n", self.public.name, STANDARD.encode(root));
        let line = signature_line(&self.public.name, self.public.id(), self.pair.sign(text.as_bytes()).as_ref());
        Checkpoint { size, root, note: format!("{text}\n{line}") }
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
        let parsed = Note::parse(note)?;
        parsed.signed_by(&key.name, key.id(), |signature| key.verifies(parsed.text, signature))?;
        let head = parsed.head()?;
        if head.origin != key.name {
            return Err(NoteError::Origin);
        }
        Ok(Self { size: head.size, root: head.root, note: parsed.whole.to_owned() })
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

    /// The same checkpoint, with no signature but this key's.
    pub(crate) fn only_by(&self, key: &VerifyingKey) -> Result<Self, NoteError> {
        let note = Note::parse(self.note.as_bytes())?;
        let signature = note.signed_by(&key.name, key.id(), |signature| key.verifies(note.text, signature))?;
        let line = signature_line(&key.name, key.id(), signature);
        Ok(Self { note: format!("{}\n{line}", note.text), ..self.clone() })
    }

    /// The same checkpoint, with more signature lines behind its own. The caller has verified them.
    pub(crate) fn with_lines(&self, lines: &str) -> Self {
        Self { note: format!("{}{lines}", self.note), ..self.clone() }
    }

    /// Whether the note is exactly as this ledger writes it: no extension, one signature.
    pub(crate) fn is_own_form(&self) -> bool {
        self.note.lines().count() == 5
    }
}

/// A signature line as it stands at the end of a note.
pub(crate) fn signature_line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    format!("{DASH}{name} {}\n", STANDARD.encode([&id, signature].concat()))
}

/// A signed note taken apart. Nothing of it is verified.
pub(crate) struct Note<'a> {
    whole: &'a str,
    /// What is signed, with the newline at its end.
    pub(crate) text: &'a str,
    signatures: Vec<Signature<'a>>,
}

struct Signature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// What the text of a checkpoint says.
pub(crate) struct Head<'a> {
    pub(crate) origin: &'a str,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl<'a> Note<'a> {
    pub(crate) fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        let whole = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
        // Control characters are "those below U+0020", and key names have no Unicode spaces or plus (c2sp.org/signed-note,
        // "Format").
        if whole.len() > MAX_NOTE || whole.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let (text, lines) = whole.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = whole.get(..text.len().saturating_add(1)).ok_or(NoteError::Malformed)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures = lines.split('\n').map(Signature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES { Err(NoteError::Malformed) } else { Ok(Self { whole, text, signatures }) }
    }

    /// The last signature that claims to be by this key; all that do must be right.
    pub(crate) fn signed_by(
        &self,
        name: &str,
        id: [u8; 4],
        is_right: impl Fn(&[u8]) -> bool,
    ) -> Result<&[u8], NoteError> {
        let claimed = || self.signatures.iter().filter(|signature| signature.name == name && signature.id == id);
        if !claimed().all(|signature| is_right(&signature.bytes)) {
            return Err(NoteError::Signature);
        }
        claimed().next_back().map(|signature| signature.bytes.as_slice()).ok_or(NoteError::Unsigned)
    }

    pub(crate) fn head(&self) -> Result<Head<'a>, NoteError> {
        let body = self.text.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::NotACheckpoint);
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(NoteError::NotACheckpoint);
        }
        let size = parse_number(size).ok_or(NoteError::NotACheckpoint)?;
        let root = parse_hash(root).ok_or(NoteError::NotACheckpoint)?;
        Ok(Head { origin, size, root })
    }
}

impl<'a> Signature<'a> {
    fn parse(line: &'a str) -> Result<Self, NoteError> {
        let line = line.strip_prefix(DASH).ok_or(NoteError::Malformed)?;
        let (name, encoded) = line.split_once(' ').ok_or(NoteError::Malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Malformed)?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
        let is_odd = |c: char| c.is_whitespace() || c == '+';
        if name.is_empty() || name.contains(is_odd) || bytes.is_empty() {
            return Err(NoteError::Malformed);
        }
        Ok(Self { name, id: *id, bytes: bytes.to_vec() })
    }
}

/// A decimal number in its one spelling: `parse` takes "+5" and "05" too.
pub(crate) fn parse_number(digits: &str) -> Option<u64> {
    digits.parse::<u64>().ok().filter(|number| number.to_string() == digits)
}

/// A hash in base64, in its one spelling.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
