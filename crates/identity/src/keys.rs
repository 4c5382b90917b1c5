//! The public keys of an issuer (RFC 7517), each pinned to the one algorithm that it verifies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use model::issuer::Algorithm;

use crate::error::{KeySetError, excerpt};
use crate::json::{Json, Object, parse_object};

mod parse;
mod thumbprint;

pub(crate) use thumbprint::thumbprint;

/// The longest key set that is read, in bytes. The largest public ones are below 20 KiB.
pub(crate) const MAX_BYTES: usize = 256 * 1024;
/// The most keys in a set.
pub(crate) const MAX_KEYS: usize = 100;

/// The members that make a JWK private or symmetric (RFC 7518, section 6).
const SECRET_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// What an issuer published, as far as it can verify tokens.
#[derive(Default)]
pub struct KeySet {
    /// By `kid`. A key without one is the only key, and is under `None`.
    keys: BTreeMap<Option<String>, Key>,
}

pub(crate) struct Key {
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

impl KeySet {
    /// Reads a JWK set. Keys for encryption and of unknown types are passed over (RFC 7517, section 5), and so are keys
    /// for algorithms that are not `allowed`. An RSA key without `alg` is pinned to RS256, or to the only RSA algorithm
    /// that is allowed.
    ///
    /// # Errors
    /// The whole set is refused when it is too large, malformed or ambiguous, publishes a secret, has a broken or weak
    /// key, or nothing usable: the caller then goes on with the keys that it has.
    pub fn from_jwks(json: &[u8], allowed: &BTreeSet<Algorithm>) -> Result<Self, KeySetError> {
        if json.len() > MAX_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let set = parse_object(json).map_err(KeySetError::Malformed)?;
        let Some(entries) = set.get("keys").and_then(Json::list) else {
            return Err(KeySetError::Malformed(String::from("`keys` is not a list")));
        };
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooLarge);
        }
        let mut keys = BTreeMap::new();
        for entry in entries {
            let jwk = entry.object().ok_or_else(|| KeySetError::Malformed(String::from("a key is not an object")))?;
            add(&mut keys, jwk, "sig", allowed)?;
        }
        Self::whole(keys)
    }

    /// The keys of a SPIFFE bundle document whose `use` says that they verify JWT-SVIDs.
    pub(crate) fn of_svids(entries: &[&Object], allowed: &BTreeSet<Algorithm>) -> Result<Self, KeySetError> {
        let mut keys = BTreeMap::new();
        entries.iter().try_for_each(|jwk| add(&mut keys, jwk, "jwt-svid", allowed))?;
        Self::whole(keys)
    }

    fn whole(keys: BTreeMap<Option<String>, Key>) -> Result<Self, KeySetError> {
        match keys.len() {
            0 => Err(KeySetError::Empty),
            2.. if keys.contains_key(&None) => Err(KeySetError::Ambiguous(String::from("(absent)"))),
            _ => Ok(Self { keys }),
        }
    }

    /// The ids of the keys, for `sluice check` and logs; a key without id is left out.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().filter_map(Option::as_deref)
    }

    /// The key that a token names. A token without `kid` means the only key there is.
    pub(crate) fn find(&self, id: Option<&str>) -> Option<&Key> {
        match id {
            Some(id) => self.keys.get(&Some(id.to_owned())),
            None if self.keys.len() == 1 => self.keys.values().next(),
            None => None,
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.keys.iter().map(|(id, key)| (id, key.algorithm))).finish()
    }
}

impl Key {
    /// The key that a proof carries in its own header, for the algorithm that the proof is signed with (RFC 9449,
    /// section 4.2): public, and no weaker than an issuer's has to be. Whose it is, only a token that is bound to it
    /// can say.
    pub(crate) fn of_proof(jwk: &Object, algorithm: Algorithm) -> Result<Self, &'static str> {
        if is_secret(jwk) {
            return Err("it is symmetric or private");
        }
        parse::public_key(jwk, "sig", &BTreeSet::from([algorithm]))?.ok_or("it is not one for that algorithm")
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

fn is_secret(jwk: &Object) -> bool {
    let is_symmetric = jwk.get("kty").and_then(Json::text) == Some("oct");
    is_symmetric || SECRET_MEMBERS.iter().any(|member| jwk.contains_key(*member))
}

/// Adds a key, unless it says that it has another `usage` or is of an algorithm that is not allowed.
fn add(
    keys: &mut BTreeMap<Option<String>, Key>,
    jwk: &Object,
    usage: &str,
    allowed: &BTreeSet<Algorithm>,
) -> Result<(), KeySetError> {
    let id = match jwk.get("kid") {
        None => None,
        Some(Json::Text(id)) if !id.is_empty() => Some(id.clone()),
        Some(_) => return Err(KeySetError::Malformed(String::from("a `kid` is not a text"))),
    };
    let shown = id.as_deref().map_or_else(|| String::from("(no kid)"), excerpt);
    if is_secret(jwk) {
        return Err(KeySetError::Secret(shown));
    }
    let bad = |reason| KeySetError::BadKey { id: shown.clone(), reason };
    let Some(key) = parse::public_key(jwk, usage, allowed).map_err(bad)? else {
        return Ok(());
    };
    match keys.insert(id, key) {
        None => Ok(()),
        Some(_) => Err(KeySetError::Ambiguous(shown)),
    }
}

#[cfg(test)]
mod tests;
