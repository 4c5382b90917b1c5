//! The proof that bytes went through the masks.

use model::disclosure::Disclosure;

/// Bytes for the client, and what they give away. Only [`crate::postgres::Outbox`], [`crate::ssh`] and [`crate::http`] make it.
///
/// ```compile_fail,E0277
/// fn is_cloned<T: Clone>() {}
/// is_cloned::<masking::Masked>();
/// ```
///
/// ```
/// fn is_told<T: std::fmt::Debug>() {}
/// is_told::<masking::Masked>();
/// ```
#[derive(Debug)]
pub struct Masked {
    bytes: Vec<u8>,
    disclosure: Disclosure,
}

impl Masked {
    pub(crate) const fn new(bytes: Vec<u8>, disclosure: Disclosure) -> Self {
        Self { bytes, disclosure }
    }

    /// The bytes: whole messages in order, or what goes on in a stream.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the bytes give away.
    pub const fn disclosure(&self) -> &Disclosure {
        &self.disclosure
    }

    /// Takes it apart, so that the buffer can be given back by [`crate::postgres::Outbox::recycle`] or
    /// [`crate::ssh::Stream::recycle`].
    pub fn into_parts(self) -> (Vec<u8>, Disclosure) {
        (self.bytes, self.disclosure)
    }
}

/// Words of Sluice itself, such as a notice on stderr or why a request was refused. They must hold no value from a target.
pub fn own(words: &str) -> Masked {
    let bytes = u64::try_from(words.len()).unwrap_or(u64::MAX);
    Masked::new(words.as_bytes().to_vec(), Disclosure { bytes, ..Disclosure::default() })
}
