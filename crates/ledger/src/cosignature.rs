//! Cosignatures: what a witness puts below a checkpoint that grew from the last one it saw (c2sp.org/tlog-cosignature).
//!
//! ```text
//! cosignature/v1                    what is signed: two lines, and the checkpoint's own text
//! time 1679315147                   seconds since 1970
//! …
//!
//! — witness.example/w1 jWbP…=       key name; base64 of key id (4 bytes), time (8, big-endian) and signature (64)
//! ```

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::note::{self, Checkpoint, KeyError, Note, NoteError};

/// The signature type of Ed25519 cosignatures (c2sp.org/tlog-cosignature, "Format").
const COSIGNATURE_TYPE: u8 = 0x04;
/// The latest time that a cosignature can name (c2sp.org/tlog-cosignature, "Format").
const LATEST: u64 = u64::MAX >> 1;
/// What a witness's secret key begins with, as other tools write it (golang.org/x/mod/sumdb/note).
const SECRET: &str = "PRIVATE+KEY+";

/// The public half of a witness's key. Its text is `NAME+ID+KEY`, of another type than that of a journal's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessKey {
    name: String,
    key: [u8; 32],
}

impl WitnessKey {
    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        note::key_id(&self.name, COSIGNATURE_TYPE, &self.key)
    }

    /// The time of the cosignature, if it is by this key.
    fn time_in(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        (time <= LATEST && note::verifies(&self.key, &message(text, time), signature)).then_some(time)
    }

    fn cosigned_at(&self, note: &Note<'_>) -> Result<u64, NoteError> {
        let last = note.signed_by(&self.name, self.id(), |signature| self.time_in(note.text, signature).is_some())?;
        self.time_in(note.text, last).ok_or(NoteError::Signature)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&note::key_text(&self.name, COSIGNATURE_TYPE, &self.key))
    }
}

impl FromStr for WitnessKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, key) = note::parse_key(text, COSIGNATURE_TYPE)?;
        Ok(Self { name, key })
    }
}

fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The key of a witness.
pub struct Cosigner {
    pair: Ed25519KeyPair,
    public: WitnessKey,
}

impl Cosigner {
    /// The key made from 32 random bytes. The caller draws them and wipes its copy.
    ///
    /// # Errors
    /// If the name cannot be one.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Key)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Key)?;
        // Through its text, which a name must survive.
        let public = note::key_text(name, COSIGNATURE_TYPE, &key).parse()?;
        Ok(Self { pair, public })
    }

    /// The text of a secret key: `PRIVATE+KEY+NAME+ID+SEED`.
    pub(crate) fn secret_text(name: &str, seed: &[u8; 32]) -> Result<String, KeyError> {
        let public = Self::from_seed(name, seed)?.public;
        let secret = STANDARD.encode([&[COSIGNATURE_TYPE], seed.as_slice()].concat());
        Ok(format!("{SECRET}{name}+{:08x}+{secret}\n", u32::from_be_bytes(public.id())))
    }

    /// Reads the text of a secret key.
    pub(crate) fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        let parts = text.trim_end().strip_prefix(SECRET).and_then(|rest| {
            let (name, rest) = rest.split_once('+')?;
            Some((name, rest.split_once('+')?.1))
        });
        let (name, secret) = parts.ok_or(KeyError::Text)?;
        let bytes = STANDARD.decode(secret).map_err(|_| KeyError::Text)?;
        let seed =
            bytes.strip_prefix(&[COSIGNATURE_TYPE]).and_then(|seed| seed.try_into().ok()).ok_or(KeyError::Key)?;
        // The id binds name and seed: a text that was damaged does not come out the same.
        if Self::secret_text(name, seed)?.trim_end() == text.trim_end() {
            Self::from_seed(name, seed)
        } else {
            Err(KeyError::Text)
        }
    }

    /// The public half.
    pub const fn public(&self) -> &WitnessKey {
        &self.public
    }

    /// The signature line over a checkpoint's text.
    pub(crate) fn line(&self, text: &str, time: u64) -> String {
        let signature = self.pair.sign(message(text, time.min(LATEST)).as_bytes());
        let bytes = [time.min(LATEST).to_be_bytes().as_slice(), signature.as_ref()].concat();
        note::signature_line(&self.public.name, self.public.id(), &bytes)
    }
}

/// Shows the public half only.
impl fmt::Debug for Cosigner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cosigner").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// When the witness cosigned this checkpoint, in seconds since 1970.
    ///
    /// # Errors
    /// If it did not, or a signature that claims to be its is wrong.
    pub fn cosigned_at(&self, witness: &WitnessKey) -> Result<u64, NoteError> {
        witness.cosigned_at(&Note::parse(self.note().as_bytes())?)
    }

    /// This checkpoint with the witness's cosignature, out of the lines that it answered with. Lines of other keys are
    /// left out.
    ///
    /// # Errors
    /// If there is no cosignature by that key in them, or it is not of this checkpoint.
    pub fn with_cosignature(&self, lines: &str, witness: &WitnessKey) -> Result<Self, NoteError> {
        let text = Note::parse(self.note().as_bytes())?.text;
        let offered = format!("{text}\n{lines}");
        let time = witness.cosigned_at(&Note::parse(offered.as_bytes())?)?;
        let line = lines.split_inclusive('\n').find(|line| {
            let alone = format!("{text}\n{line}");
            Note::parse(alone.as_bytes()).and_then(|note| witness.cosigned_at(&note)) == Ok(time)
        });
        line.map(|line| self.with_lines(line)).ok_or(NoteError::Unsigned)
    }
}

/// What a witness remembers of a log, read back from a note that it cosigned itself.
pub(crate) fn own(note: &[u8], witness: &WitnessKey) -> Result<(String, u64, crate::merkle::Hash), NoteError> {
    let note = Note::parse(note)?;
    witness.cosigned_at(&note)?;
    let head = note.head()?;
    Ok((head.origin.to_owned(), head.size, head.root))
}

#[cfg(test)]
mod tests;
