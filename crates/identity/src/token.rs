//! The form of a token: a JWS in compact serialization (RFC 7515, section 3.1), and what its header may say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::issuer::Algorithm;
use serde_json::Value;

use crate::error::{IdentityError, excerpt};
use crate::json::{Json, Object, parse_object};

/// The longest token that is read, in bytes. A thousand groups fit; ten thousand do not.
pub const MAX_TOKEN: usize = 64 * 1024;

const MAX_KEY_ID: usize = 256;

/// A token whose form is right and of which nothing is believed yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    /// What the signature covers, byte by byte as it came.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
    pub(crate) algorithm: Algorithm,
    /// `kid`: an opaque name of one of the issuer's keys.
    pub(crate) key_id: Option<String>,
    /// `typ`, in lower case and without `application/` (RFC 7515, section 4.1.9).
    pub(crate) kind: Option<String>,
    /// All of the header: for kinds of tokens that carry their own key there.
    pub(crate) header: Object,
    pub(crate) claims: Object,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, IdentityError> {
        if text.len() > MAX_TOKEN {
            return Err(IdentityError::TooLong);
        }
        let (signed, header, claims, signature) = split(text)?;
        let header = decode_object("header", header)?;
        refuse_extensions(&header)?;
        let algorithm = algorithm(&header)?;
        let key_id = key_id(&header)?;
        let kind = kind(&header)?;
        Ok(Self {
            signed: signed.as_bytes(),
            signature: decode("signature", signature)?,
            algorithm,
            key_id,
            kind,
            claims: decode_object("claims", claims)?,
            header,
        })
    }
}

/// The header and the claims of a token as they stand there, for people to see; nothing where they cannot be read.
pub(crate) fn shown(text: &str) -> Option<(Value, Value)> {
    let (_, header, claims, _) = split(text).ok()?;
    let read = |part, text| decode_object(part, text).ok().map(|object| Json::shown(&object));
    Some((read("header", header)?, read("claims", claims)?))
}

/// What a text claims that has the form of a token, whatever else of it is wrong.
///
/// # Errors
/// [`IdentityError::NotCompact`] and [`IdentityError::Encrypted`] if it has not, and nothing in it is JSON; another one if
/// nobody can say what it claims.
pub(crate) fn claims(text: &str) -> Result<Object, IdentityError> {
    let (_, header, claims, _) = split(text)?;
    decode_object("claims", claims).map_err(|error| match decode_object("header", header) {
        Ok(_) => error,
        Err(_) => IdentityError::NotCompact,
    })
}

/// The signed bytes, and the three parts.
fn split(text: &str) -> Result<(&str, &str, &str, &str), IdentityError> {
    let dots = text.bytes().filter(|byte| *byte == b'.').count();
    if dots == 4 {
        return Err(IdentityError::Encrypted);
    }
    let parts = (dots == 2).then(|| {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some((signed, header, claims, signature))
    });
    parts.flatten().ok_or(IdentityError::NotCompact)
}

fn decode(part: &'static str, text: &str) -> Result<Vec<u8>, IdentityError> {
    let malformed = |_| IdentityError::Malformed { part, reason: String::from("not canonical base64url") };
    URL_SAFE_NO_PAD.decode(text).map_err(malformed)
}

fn decode_object(part: &'static str, text: &str) -> Result<Object, IdentityError> {
    parse_object(&decode(part, text)?).map_err(|reason| IdentityError::Malformed { part, reason })
}

/// `crit` names extensions that must be understood (RFC 7515, 4.1.11), and Sluice has none; `zip` and `enc` are JWE's;
/// `b64` changes what is signed (RFC 7797). What only suggests a key (`jku`, `jwk`, `x5u`, `x5c`) is never looked at.
fn refuse_extensions(header: &Object) -> Result<(), IdentityError> {
    let refused = ["crit", "zip", "enc", "b64"].into_iter().find(|name| header.contains_key(*name));
    refused.map_or(Ok(()), |name| Err(IdentityError::Header(name)))
}

fn algorithm(header: &Object) -> Result<Algorithm, IdentityError> {
    let Some(Json::Text(name)) = header.get("alg") else {
        return Err(IdentityError::Algorithm(String::from("(absent)")));
    };
    name.parse().map_err(|_| IdentityError::Algorithm(excerpt(name)))
}

fn key_id(header: &Object) -> Result<Option<String>, IdentityError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Json::Text(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => Ok(Some(id.clone())),
        Some(_) => Err(IdentityError::KeyId),
    }
}

fn kind(header: &Object) -> Result<Option<String>, IdentityError> {
    match header.get("typ") {
        None => Ok(None),
        Some(Json::Text(kind)) => {
            let kind = kind.to_ascii_lowercase();
            Ok(Some(kind.strip_prefix("application/").unwrap_or(&kind).to_owned()))
        }
        Some(_) => Err(IdentityError::Kind("`typ` is not a text")),
    }
}
