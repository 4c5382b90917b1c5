//! The server's nonces (RFC 9449, section 8): its own clock inside each proof.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::secret::Secret;
use model::time::Timestamp;

/// How long a nonce may be used, in seconds.
pub const NONCE_LIFETIME: u64 = 300;

/// Makes nonces and knows them again without keeping them: each is its moment, and a code that only this key makes.
/// With a key drawn at each start, no proof outlives the process that let it in, nor what that process remembers of
/// used ones.
pub struct Nonces(Key);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Nonces")
    }
}

impl Nonces {
    /// With a key that the caller drew at random.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(Key::new(HMAC_SHA256, key.expose()))
    }

    /// One that is fresh now.
    pub fn issue(&self, now: Timestamp) -> String {
        let seconds = now.seconds().to_be_bytes();
        URL_SAFE_NO_PAD.encode([&seconds, self.code(&seconds).as_ref()].concat())
    }

    /// Whether it is one of these, and not too old.
    pub fn is_fresh(&self, nonce: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((seconds, code)) = bytes.split_first_chunk::<8>() else { return false };
        let age = now.seconds().checked_sub(u64::from_be_bytes(*seconds));
        verify_slices_are_equal(code, self.code(seconds).as_ref()).is_ok()
            && age.is_some_and(|age| age < NONCE_LIFETIME)
    }

    fn code(&self, seconds: &[u8; 8]) -> Tag {
        sign(&self.0, seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_known_again_while_it_is_fresh_and_by_its_own_key_alone() {
        let nonces = |seed| Nonces::new(&Secret::new([seed; 32]));
        let at = Timestamp::from_seconds;
        let nonce = nonces(1).issue(at(1000));
        assert!(nonces(1).is_fresh(&nonce, at(1000)) && nonces(1).is_fresh(&nonce, at(1000 + NONCE_LIFETIME - 1)));
        assert!(!nonces(1).is_fresh(&nonce, at(1000 + NONCE_LIFETIME)), "stale");
        assert!(!nonces(1).is_fresh(&nonce, at(999)), "from the future");
        assert!(!nonces(2).is_fresh(&nonce, at(1000)), "of another process");
        let mut forged = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
        forged[7] ^= 1;
        for wrong in [URL_SAFE_NO_PAD.encode(&forged), nonce[1..].to_owned(), String::new(), "?".to_owned()] {
            assert!(!nonces(1).is_fresh(&wrong, at(1001)), "{wrong}");
        }
    }
}
