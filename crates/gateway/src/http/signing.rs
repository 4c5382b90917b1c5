//! Requests to services of AWS, signed over what is really sent (signature version 4).

use std::borrow::Cow;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use model::secret::Secret;
use store::config::{AwsSigning, HttpCredential, HttpTarget, TlsMode};

use super::forward::without_lookalikes;
use super::refusal::Refusal;
use crate::credentials::{AwsKeys, Payload, aws_now, sign_request};

/// The fields by which a request is signed: a caller's own never pass.
const FIELDS: [&str; 4] = ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// The parameters by which a URL is signed, in lower case: a caller that has them shows a credential of its own.
const PARAMETERS: [&str; 5] =
    ["x-amz-algorithm", "x-amz-credential", "x-amz-security-token", "x-amz-signature", "signature"];

/// As whom, and for what.
pub(super) struct Signer {
    keys: AwsKeys,
    signing: AwsSigning,
}

/// What is signed of a request, beside its fields.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) scheme: &'a str,
    pub(super) authority: &'a str,
    /// The path and the query, as they are sent.
    pub(super) path: &'a str,
    /// The body; `None` while it is on its way.
    pub(super) body: Option<&'a [u8]>,
}

/// Whether a target wants to be sent bodies whole, as they are signed.
pub(super) fn signs_bodies(target: &HttpTarget) -> bool {
    match &target.credential {
        HttpCredential::SigV4(signing) => signing.service != "s3" || target.tls.mode != TlsMode::VerifyFull,
        _ => false,
    }
}

/// Whether a query has a signature of the caller's own.
pub(super) fn is_signed(path_and_query: &str) -> bool {
    let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}

impl Signer {
    /// With these keys; `None` if they are none.
    pub(super) fn new(keys: &Secret<String>, signing: &AwsSigning) -> Option<Self> {
        Some(Self { keys: AwsKeys::read(keys)?, signing: signing.clone() })
    }

    /// Signs a request with these fields, to which it adds its own.
    pub(super) fn sign(&self, signed: &Signed<'_>, fields: &mut HeaderMap) -> Result<(), Refusal> {
        for name in FIELDS {
            without_lookalikes(fields, &HeaderName::from_static(name));
        }
        let url = format!("{}://{}{}", signed.scheme, signed.authority, signed.path);
        // What is no text cannot be signed, and goes as it is.
        let mut texts: Vec<(&str, &str)> = fields
            .iter()
            .filter(|(name, _)| name.as_str() != "host")
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        texts.push(("host", signed.authority));
        let payload = signed.body.map_or(Payload::Unsigned, Payload::Whole);
        let made = sign_request(&self.keys, &self.signing, (signed.method, &url), &texts, payload, aws_now());
        let made = made.map_err(|_| Refusal::Internal)?;
        for (name, value) in made {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refusal::Internal)?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| Refusal::Internal)?;
            value.set_sensitive(name == AUTHORIZATION || name.as_str() == "x-amz-security-token");
            fields.insert(name, value);
        }
        Ok(())
    }
}

/// The path with everything escaped that the signature has escaped: then all agree on what was signed.
pub(super) fn strict(path_and_query: &str) -> Cow<'_, str> {
    let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/%-._~".contains(&byte);
    if path.bytes().all(is_plain) {
        return Cow::Borrowed(path_and_query);
    }
    let mut out = String::with_capacity(path_and_query.len().saturating_mul(2));
    for byte in path.bytes() {
        match is_plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.push_str(query);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_as_the_signature_has_it() {
        assert_eq!(strict("/a/b%20c~d?x=a:b"), "/a/b%20c~d?x=a:b");
        assert_eq!(strict("/a:b@c/(1)+,=&$'!*?x=:"), "/a%3Ab%40c/%281%29%2B%2C%3D%26%24%27%21%2A?x=:");
    }

    #[test]
    fn a_query_with_a_signature_is_known() {
        for signed in ["/a?X-Amz-Signature=1", "/a?b=c&x-amz-credential=1", "/?X-Amz-Security-Token", "/?Signature=1"] {
            assert!(is_signed(signed), "{signed}");
        }
        for other in ["/a", "/X-Amz-Signature=1", "/a?b=X-Amz-Signature", "/a?X-Amz-Signatures=1"] {
            assert!(!is_signed(other), "{other}");
        }
    }
}
