//! The keys behind tokens and format-preserving masks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aes::Aes256;
use aws_lc_rs::hmac;
use fpe::ff1::{FF1, FlexibleNumeralString};
use model::class::DataClass;

/// Crockford's base 32 in lower case, as ids use it.
pub(crate) const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The root of every mask that depends on a key. Each data class has keys of its own, so a token of one class says
/// nothing about another. Clones share what was derived.
#[derive(Clone)]
pub struct Keys(Arc<Root>);

struct Root {
    key: hmac::Key,
    /// Those of every class that was asked for. There are as many as the classifications of this process had, and each is
    /// two kibibytes: too much for every lens to have its own.
    classes: Mutex<BTreeMap<DataClass, Arc<ClassKeys>>>,
}

impl Keys {
    /// Derives from 32 secret bytes. Changing them changes every token.
    ///
    /// HKDF-SHA-256 (RFC 5869); an output of one block is a single HMAC, so it is written out here and cannot fail.
    pub fn derive(root: &[u8; 32]) -> Self {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, b"sluice masking v1");
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&salt, root).as_ref());
        Self(Arc::new(Root { key, classes: Mutex::default() }))
    }

    pub(crate) fn class(&self, class: &DataClass) -> Arc<ClassKeys> {
        let mut classes = self.0.classes.lock().unwrap_or_else(PoisonError::into_inner);
        match classes.get(class) {
            Some(keys) => Arc::clone(keys),
            None => {
                let keys = Arc::new(self.derive_class(class));
                classes.insert(class.clone(), Arc::clone(&keys));
                keys
            }
        }
    }

    fn derive_class(&self, class: &DataClass) -> ClassKeys {
        let token = hmac::Key::new(hmac::HMAC_SHA256, self.expand(b"token", class).as_ref());
        let mut id = String::new();
        symbols(hmac::sign(&token, b"key id").as_ref(), ID_SYMBOLS, &mut id);
        let ff1 = FF1::new(self.expand(b"ff1", class).as_ref(), 10).ok();
        ClassKeys { token, id, ff1 }
    }

    fn expand(&self, purpose: &[u8], class: &DataClass) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0.key);
        for part in [purpose, b"\0", class.as_str().as_bytes(), b"\x01"] {
            context.update(part);
        }
        context.sign()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Keys")
    }
}

/// How many symbols name the key in a token: enough to tell keys apart, too few to say anything about them.
pub(crate) const ID_SYMBOLS: usize = 4;

/// How many symbols of five bits hold the 128 bits of a token.
pub(crate) const TOKEN_SYMBOLS: usize = 26;

/// The keys of one class.
pub(crate) struct ClassKeys {
    token: hmac::Key,
    id: String,
    /// Absent only if the cipher refuses the radix, which it does not; then values are redacted instead.
    ff1: Option<FF1<Aes256>>,
}

impl ClassKeys {
    /// Writes `tok_`, the key's id and 128 bits of HMAC-SHA-256 over `canonical`.
    pub(crate) fn token(&self, canonical: &[u8], out: &mut String) {
        out.push_str("tok_");
        out.push_str(&self.id);
        symbols(hmac::sign(&self.token, canonical).as_ref(), TOKEN_SYMBOLS, out);
    }

    /// Encrypts decimal digits (each 0 to 9) to as many digits by FF1 (NIST SP 800-38G), or nothing if there are too
    /// few of them for it to be safe.
    pub(crate) fn digits(&self, digits: &[u16]) -> Option<Vec<u16>> {
        if digits.len() < MIN_DIGITS {
            return None;
        }
        let numerals = FlexibleNumeralString::from(digits.to_vec());
        self.ff1.as_ref()?.encrypt(&[], &numerals).ok().map(Vec::from)
    }
}

/// FF1 needs a domain of at least a million values (SP 800-38G Rev. 1).
pub(crate) const MIN_DIGITS: usize = 6;

/// How deep the calls that mask a value go, several times over.
const STACK: usize = 16 * 1024;

/// Wipes the stack below whoever calls it. What was hashed or enciphered there (the last block of a value, its digits)
/// stays until something else needs the place.
#[inline(never)]
pub(crate) fn wipe_stack() {
    std::hint::black_box(&mut [0u8; STACK]);
}

fn symbols(bytes: &[u8], count: usize, out: &mut String) {
    let (mut bits, mut held) = (0u32, 0u32);
    let mut bytes = bytes.iter();
    for _ in 0..count {
        if held < 5 {
            bits = (bits << 8 | u32::from(bytes.next().copied().unwrap_or(0))) & 0xffff;
            held += 8;
        }
        held -= 5;
        let symbol = usize::try_from((bits >> held) & 31).unwrap_or(0);
        out.push(ALPHABET.get(symbol).copied().map_or('0', char::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_class_are_derived_once_and_depend_on_the_root_and_the_class() {
        let (root, email, ssn) = (Keys::derive(&[7; 32]), DataClass::new("email"), DataClass::new("us_ssn"));
        let first = root.class(&email);
        assert!(Arc::ptr_eq(&first, &root.clone().class(&email)));
        let token = |keys: &ClassKeys| {
            let mut out = String::new();
            keys.token(b"value", &mut out);
            out
        };
        let others = [root.class(&ssn), Keys::derive(&[8; 32]).class(&email)];
        assert!(others.iter().all(|other| token(other) != token(&first)));
        assert_eq!(token(&Keys::derive(&[7; 32]).class(&email)), token(&first));
    }
}
