//! What an identity provider publishes about itself (SAML V2.0 metadata), as far as it can verify assertions.

use std::sync::Arc;

use model::time::Timestamp;

use super::assertion::moment;
use super::error::{MetadataError, SamlError};
use super::keys::ProviderKeys;
use super::signature::{self, binary};
use super::xml::{DSIG, Element, Tree};
use crate::error::excerpt;

const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

/// The metadata of one identity provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// Its entity id.
    pub entity_id: Arc<str>,
    /// What it signs with.
    pub keys: ProviderKeys,
    /// When all of this stops being true, if it says so.
    pub valid_until: Option<Timestamp>,
}

impl Metadata {
    /// Reads an `EntityDescriptor` that the operator trusts as it is: a file, or what came over verified TLS.
    ///
    /// # Errors
    /// If it is not the metadata of an identity provider of this entity id, or is over, or has no usable key.
    pub fn read(document: &[u8], entity_id: &str, now: Timestamp) -> Result<Self, MetadataError> {
        let tree = Tree::parse(document).map_err(MetadataError::Document)?;
        let root = tree.root().map_err(MetadataError::Document)?;
        Self::of(root, entity_id, now)
    }

    /// Reads an `EntityDescriptor` that is signed by one of `signers`, wherever it comes from.
    ///
    /// # Errors
    /// Likewise, or if the signature is not there, not of the one accepted form, or by another key.
    pub fn read_signed(
        document: &[u8],
        signers: &ProviderKeys,
        entity_id: &str,
        now: Timestamp,
    ) -> Result<Self, MetadataError> {
        let octets = verified(document, signers).map_err(MetadataError::Document)?;
        let tree = octets.tree().map_err(MetadataError::Document)?;
        let root = tree.root().map_err(MetadataError::Document)?;
        Self::of(root, entity_id, now)
    }

    fn of(root: Element<'_>, entity_id: &str, now: Timestamp) -> Result<Self, MetadataError> {
        let form = |reason| MetadataError::Document(SamlError::Shape(reason));
        if !root.is(METADATA, "EntityDescriptor") {
            return Err(form("the outermost element is not EntityDescriptor"));
        }
        let found = root.attribute("entityID").unwrap_or_default();
        if found != entity_id {
            return Err(MetadataError::Entity(excerpt(found)));
        }
        let speaks = |role: &Element<'_>| {
            let protocols = role.attribute("protocolSupportEnumeration").unwrap_or_default();
            protocols.split_ascii_whitespace().any(|protocol| protocol == PROTOCOL)
        };
        let mut roles = root.named(METADATA, "IDPSSODescriptor").filter(speaks);
        let role = roles.next().ok_or_else(|| form("it has no IDPSSODescriptor for SAML 2.0"))?;
        if roles.next().is_some() {
            return Err(form("it has several IDPSSODescriptors for SAML 2.0"));
        }
        let ends = [root, role].into_iter().filter_map(|element| element.attribute("validUntil")).map(moment);
        let ends = ends.collect::<Option<Vec<_>>>().ok_or_else(|| form("a validUntil is not a time in UTC"))?;
        let valid_until = ends.into_iter().min();
        if let Some(end) = valid_until.filter(|end| *end <= now) {
            return Err(MetadataError::Expired(end));
        }
        let certificates = certificates(role).map_err(MetadataError::Document)?;
        let keys = ProviderKeys::from_certificates(certificates.iter().map(Vec::as_slice))?;
        Ok(Self { entity_id: entity_id.into(), keys, valid_until })
    }
}

fn verified(document: &[u8], signers: &ProviderKeys) -> Result<signature::SignedOctets, SamlError> {
    let tree = Tree::parse(document)?;
    tree.check_ids()?;
    signature::verify(tree.root()?, signers)
}

/// The certificates of the keys that are for signing, or for anything (metadata, section 2.4.1.1).
fn certificates(role: Element<'_>) -> Result<Vec<Vec<u8>>, SamlError> {
    let for_signing = |key: &Element<'_>| matches!(key.attribute("use"), None | Some("signing"));
    let mut certificates = Vec::new();
    for key in role.named(METADATA, "KeyDescriptor").filter(for_signing) {
        for data in key.only(DSIG, "KeyInfo")?.named(DSIG, "X509Data") {
            for certificate in data.named(DSIG, "X509Certificate") {
                certificates.push(binary(certificate)?);
            }
        }
    }
    Ok(certificates)
}
