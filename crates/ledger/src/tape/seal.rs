//! Tapes at rest: each is sealed with a data key of its own (AES-256-GCM), and that key, sealed with the key of all tapes,
//! lies in another directory. Whoever destroys a tape's key has destroyed the tape, its copies and backups included.
//!
//! ```text
//! "SLUICEK" | version u8 (1) | session u64 | nonce (12 bytes) | sealed key (48 bytes)      one file a tape; little-endian
//! ```
//!
//! A data key seals one tape and nothing else. So a nonce is what it seals and where that is: which part of the tape, and a
//! record of the live form and its place in the file, or a block of the compressed form and its place in the part.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use model::id::SessionId;
use model::secret::Secret;

use super::TapeReadError;
use super::part::Part;
use crate::disk::{Disk, DiskFile, append_all, read_small};

const MAGIC: &[u8; 8] = b"SLUICEK\x01";
const KEY: usize = 32;
/// Bytes of AES-GCM's tag.
pub(super) const TAG: usize = 16;
/// Magic and session: authenticated with the key.
const HEAD: usize = 16;
const LENGTH: usize = HEAD + NONCE_LEN + KEY + TAG;

/// Random bytes for the key of one tape. The ledger draws none itself.
pub struct Drawn {
    /// The data key.
    pub key: Secret<[u8; KEY]>,
    /// The nonce under which it is sealed.
    pub nonce: [u8; NONCE_LEN],
}

/// The data keys of tapes: where they are, and the key that opens them.
pub struct KeyStore {
    dir: PathBuf,
    master: LessSafeKey,
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("KeyStore").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl KeyStore {
    /// The keys in `dir`, sealed with `master`.
    ///
    /// # Errors
    /// If the cryptographic library refuses.
    pub fn new(dir: &Path, master: &Secret<[u8; KEY]>) -> io::Result<Self> {
        Ok(Self { dir: dir.to_owned(), master: aes(master.expose()).map_err(refused)? })
    }

    /// Destroys the key of a session's tape for good; says whether there was one.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn shred(&self, disk: &dyn Disk, session: SessionId) -> io::Result<bool> {
        match disk.remove(&self.path(session)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        }
        disk.sync_dir(&self.dir)?;
        Ok(true)
    }

    /// Whether this opens the keys of the tapes that are there: one is enough. `None` if none of them says so or the
    /// contrary, because there is none, or because a power cut left less than a whole key.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn opens_what_is_there(&self, disk: &dyn Disk) -> io::Result<Option<bool>> {
        use io::ErrorKind::{NotADirectory, NotFound};
        let names = match disk.list(&self.dir) {
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(None),
            names => names?,
        };
        let mut found = None;
        for session in names.iter().filter_map(|name| name.strip_suffix(".key")?.parse().ok()) {
            let whole = read_small(disk, &self.path(session), LENGTH);
            if !whole.is_ok_and(|bytes| bytes.len() == LENGTH && bytes.starts_with(&head(session))) {
                continue;
            }
            match self.open(disk, session) {
                Ok(_) => return Ok(Some(true)),
                Err(TapeReadError::WrongKey) => found = Some(false),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// Stores the key of a new tape. It survives a power cut once the file is synced.
    pub(super) fn create(&self, disk: &dyn Disk, session: SessionId, drawn: &Drawn) -> io::Result<(TapeKey, KeyFile)> {
        disk.create_dir(&self.dir)?;
        let mut bytes = head(session);
        bytes.extend_from_slice(&drawn.nonce);
        let mut sealed = drawn.key.expose().to_vec();
        let nonce = Nonce::assume_unique_for_key(drawn.nonce);
        self.master.seal_in_place_append_tag(nonce, Aad::from(head(session)), &mut sealed).map_err(refused)?;
        bytes.append(&mut sealed);
        let file = disk.create(&self.path(session))?;
        append_all(file.as_ref(), &bytes)?;
        let key = TapeKey::new(drawn.key.expose()).map_err(refused)?;
        Ok((key, KeyFile { file, dir: self.dir.clone() }))
    }

    /// The key of a session's tape.
    pub(super) fn open(&self, disk: &dyn Disk, session: SessionId) -> Result<TapeKey, TapeReadError> {
        let bytes = match read_small(disk, &self.path(session), LENGTH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(TapeReadError::Shredded),
            other => other?,
        };
        let whole = bytes.strip_prefix(head(session).as_slice()).and_then(|rest| rest.split_first_chunk::<NONCE_LEN>());
        let (nonce, sealed) = whole.ok_or(TapeReadError::WrongKey)?;
        let (nonce, mut sealed) = (Nonce::assume_unique_for_key(*nonce), sealed.to_vec());
        let opened = self.master.open_in_place(nonce, Aad::from(head(session)), &mut sealed);
        let key = opened.ok().and_then(|key| key.first_chunk::<KEY>()).ok_or(TapeReadError::WrongKey)?;
        let key = Secret::new(*key);
        TapeKey::new(key.expose()).map_err(|error| refused(error).into())
    }

    fn path(&self, session: SessionId) -> PathBuf {
        self.dir.join(format!("{session}.key"))
    }
}

/// The key of one tape, for one of its parts.
pub(super) struct TapeKey {
    aes: Arc<LessSafeKey>,
    salt: [u8; 32],
    part: Part,
}

/// The file of a new key.
pub(super) struct KeyFile {
    file: Arc<dyn DiskFile>,
    dir: PathBuf,
}

impl KeyFile {
    /// Makes the key survive a power cut.
    pub(super) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        self.file.sync()?;
        disk.sync_dir(&self.dir)
    }
}

impl std::fmt::Debug for TapeKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TapeKey(…)")
    }
}

/// What is sealed, and where it is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A record at this byte of the live file.
    Record(u64),
    /// A block that begins at this byte of the tape.
    Block(u64),
}

impl Place {
    fn nonce(self, part: Part) -> Nonce {
        let parts = part.index().wrapping_mul(2);
        let (kind, at) = match self {
            Self::Record(at) => (parts, at),
            Self::Block(at) => (parts | 1, at),
        };
        let mut bytes = [0; NONCE_LEN];
        let parts = kind.to_le_bytes().into_iter().chain(at.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Nonce::assume_unique_for_key(bytes)
    }
}

impl TapeKey {
    fn new(key: &[u8; KEY]) -> Result<Self, Unspecified> {
        let salt = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"sluice tape digest");
        let salt = salt.as_ref().first_chunk().copied().ok_or(Unspecified)?;
        Ok(Self { aes: Arc::new(aes(key)?), salt, part: Part::FIRST })
    }

    /// The same key, for another part.
    pub(super) fn of(&self, part: Part) -> Self {
        Self { aes: Arc::clone(&self.aes), salt: self.salt, part }
    }

    /// What a sealed tape's digest begins with: nobody can tell a destroyed tape's content by trying digests.
    pub(super) const fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Seals `content` where it is; its tag has to be stored with it.
    pub(super) fn seal(&self, place: Place, about: &[u8], content: &mut [u8]) -> io::Result<impl AsRef<[u8]> + use<>> {
        self.aes.seal_in_place_separate_tag(place.nonce(self.part), Aad::from(about), content).map_err(refused)
    }

    /// Opens content with its tag behind it, where it is; `None` if it is not what was sealed there.
    pub(super) fn open<'a>(&self, place: Place, about: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.aes.open_in_place(place.nonce(self.part), Aad::from(about), sealed).ok()
    }
}

fn aes(key: &[u8; KEY]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)
}

fn head(session: SessionId) -> Vec<u8> {
    [MAGIC.as_slice(), &session.bits().to_le_bytes()].concat()
}

fn refused(_: Unspecified) -> io::Error {
    io::Error::other("the cryptographic library refused")
}
