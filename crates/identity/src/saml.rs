//! SAML 2.0: who is calling, by an assertion of an identity provider.
//!
//! [`verify`] turns an assertion, or a response with one in it, into a [`Subject`](model::subject::Subject), or refuses
//! it. What attacks on SAML have in common is that one thing is verified and another is read. Here there is one way from
//! bytes to meaning, and each step has a type of its own:
//!
//! 1. `xml` parses the bytes: bounded in size and depth, without document type, entities and processing instructions.
//! 2. `signature` canonicalises the one assertion in it, compares the octets with the digest that the provider signed,
//!    and returns *those octets*. The key comes from the provider's metadata and from nowhere else, and the algorithms,
//!    the reference and the transforms are read from the signed octets of `SignedInfo`, not from the document.
//! 3. `assertion` parses these octets anew and reads everything from them. What stood around them is gone: comments, a
//!    second assertion, what wrapped it.
//! 4. `check` compares what was read with what [`SamlProvider`](model::saml::SamlProvider) expects, and with the time.
//!
//! So a fault in the parser or in the canonicaliser can refuse what is genuine, but cannot make the provider say what it
//! did not sign. `docs/adr/0014-saml-reads-what-was-signed.md` has why this is our own.
//!
//! What it must never do: what the crate must not, and read one more byte from a document once it is verified.

mod algorithm;
mod assertion;
mod check;
mod error;
mod keys;
mod metadata;
mod providers;
mod signature;
mod xml;

pub use check::{Accepted, verify};
pub use error::{MetadataError, SamlError};
pub use keys::ProviderKeys;
pub use metadata::Metadata;
pub use providers::Providers;
pub use xml::MAX_DOCUMENT;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Reads the form in which RFC 7522, section 2.1, sends an assertion: base64url, with padding or without.
///
/// # Errors
/// [`SamlError::Encoding`], or [`SamlError::TooLong`] before anything is decoded.
pub fn decode(text: &str) -> Result<Vec<u8>, SamlError> {
    const FORM: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if text.len() / 4 * 3 > MAX_DOCUMENT {
        return Err(SamlError::TooLong);
    }
    FORM.decode(text).map_err(|_| SamlError::Encoding("base64url"))
}
